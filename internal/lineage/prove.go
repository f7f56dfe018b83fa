package lineage

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"stemma"
)

// How layers are shown to be those of a base.
const (
	blobIdentical = "blob-identical"
	recomputed    = "diffid-recomputed"
)

// match is what comparing the layers of a base with the lowest of an image gave.
type match struct {
	how    string // or "": they are not shown to be the same
	why    string
	reason stemma.Reason // where it could not be seen: why not
	open   bool          // they say that they are the same, and it could not be seen whether they are
}

// prove compares layers from the bottom. The contents that configs claim are no proof, as registries compare them with
// nothing: the blobs must be the same, or their contents computed here. An image of empty layers alone is beneath
// everything, and so proves nothing. As many layers as the image has are allowed: then the image changes its config alone.
func (f Finder) prove(ctx context.Context, own, base *stemma.Stack) match {
	n := len(base.Layers)
	switch {
	case n == 0:
		return match{why: "it has no layers"}
	case n > len(own.Layers):
		return match{why: fmt.Sprintf("it has %d layers, and the image %d", n, len(own.Layers))}
	case base.Platform.Normal() != own.Platform.Normal():
		return match{why: fmt.Sprintf("it is for %s, and the image for %s", base.Platform, own.Platform)}
	}
	content, how := false, blobIdentical
	for i, b := range base.Layers {
		o := own.Layers[i]
		if b.DiffID != o.DiffID {
			return match{why: fmt.Sprintf("layer %d of the image is not its: %s, and its is %s", i+1, o.DiffID.Short(), b.DiffID.Short())}
		}
		if b.Foreign || o.Foreign {
			return match{why: fmt.Sprintf("layer %d is to be fetched from elsewhere", i+1), open: true}
		}
		content = content || !o.Empty()
		if b.Digest != o.Digest {
			how = recomputed
		}
	}
	if !content {
		return match{why: "it has empty layers alone, which are beneath anything"}
	}
	if how == blobIdentical {
		return match{how: how}
	}
	for i, b := range base.Layers {
		o := own.Layers[i]
		if b.Digest == o.Digest {
			continue
		}
		for _, l := range []struct {
			of    stemma.Image
			layer stemma.Layer
		}{{own.Image, o}, {base.Image, b}} {
			got, err := f.content(ctx, l.of, l.layer)
			switch {
			case err != nil:
				return match{why: fmt.Sprintf("the content of layer %d of %s could not be computed: %v", i+1, l.of, err), open: true, reason: reason(err)}
			case got != l.layer.DiffID:
				return match{why: fmt.Sprintf("the content of layer %d of %s is %s, and its config says %s", i+1, l.of, got.Short(), l.layer.DiffID.Short())}
			}
		}
	}
	return match{how: how}
}

// content computes the digest of what a blob unpacks to, once for each blob.
func (f Finder) content(ctx context.Context, image stemma.Image, layer stemma.Layer) (stemma.Digest, error) {
	if f.Facts != nil {
		if d, ok := f.Facts.Content(layer.Digest); ok {
			return d, nil
		}
	}
	blob, err := f.Source.Blob(ctx, image, layer)
	if err != nil {
		return "", err
	}
	d, err := DiffID(blob, maxBlob)
	if closing := blob.Close(); err == nil {
		err = closing
	}
	if err == nil && f.Facts != nil {
		f.Facts.Keep(layer.Digest, d)
	}
	return d, err
}

// DiffID is the SHA-256 of what a layer unpacks to: gzip, zstd or none, told by the first bytes, as runtimes do. It streams,
// and takes at most so many bytes of content. Whatever stands behind the end of the compressed content is an error: one
// reader would unpack it and another not.
func DiffID(blob io.Reader, most int64) (stemma.Digest, error) {
	in := bufio.NewReaderSize(blob, 64<<10)
	content, stop, err := unpacked(in)
	if err != nil {
		return "", err
	}
	defer stop()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(content, most+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("unpacking layer: %w", err)
	case n > most:
		return "", fmt.Errorf("unpacking layer: more than %d bytes", most)
	}
	// What is left of the blob is read, so that whoever streams it compares all of it with its digest.
	if rest, err := io.Copy(io.Discard, io.LimitReader(in, 1)); err != nil || rest > 0 {
		return "", fmt.Errorf("unpacking layer: there is more behind its end (%v)", err)
	}
	return stemma.NewDigest("sha256", hex.EncodeToString(h.Sum(nil)))
}

// unpacked is the content of a layer, and what to call when it was read.
func unpacked(in *bufio.Reader) (content io.Reader, stop func(), err error) {
	magic, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("reading layer: %w", err)
	}
	switch {
	case len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, nil, fmt.Errorf("reading layer: %w", err)
		}
		return z, func() {}, nil
	case len(magic) == 4 && (string(magic) == "\x28\xb5\x2f\xfd" || magic[0]&0xf0 == 0x50 && string(magic[1:]) == "\x2a\x4d\x18"):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("reading layer: %w", err)
		}
		return z, z.Close, nil
	}
	return in, func() {}, nil
}

// maxWindow is the largest window of zstd that is decoded, in bytes: what runtimes take by default.
const maxWindow = 8 << 20
