package oci

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"sync"
	"syscall"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"

	"stemma"
)

// stream opens a blob. Whoever reads it compares it with its digest.
func (r *registry) stream(ctx context.Context, d descriptor) (io.ReadCloser, error) {
	target := r.base + "/blobs/" + string(d.Digest)
	scoped := auth.AppendRepositoryScope(ctx, orasregistry.Reference{Registry: r.host, Repository: r.path}, auth.ActionPull)
	req, err := http.NewRequestWithContext(scoped, http.MethodGet, target, nil)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", r.host, err)
	}
	req.Header.Set("Accept", "application/octet-stream, */*")
	resp, err := r.client.session(r.host, r.path).Do(req)
	if err != nil {
		return nil, r.unanswered(ctx, target, err)
	}
	if resp.StatusCode != http.StatusOK {
		err = r.refused(target, resp)
	} else if resp.ContentLength >= 0 && resp.ContentLength != d.Size {
		err = badAnswer("GET %s: header Content-Length says %d, the descriptor %d", target, resp.ContentLength, d.Size)
	}
	if err != nil {
		_ = resp.Body.Close() // there is an error already
		return nil, err
	}
	return resp.Body, nil
}

// stream opens a blob: a regular file of the right size that no link leads to.
func (l *layout) stream(_ context.Context, d descriptor) (io.ReadCloser, error) {
	folder := path.Join(v1.ImageBlobsDir, d.Digest.Algorithm())
	name := path.Join(folder, d.Digest.Hex())
	before, err := l.dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, missing("reading %s: it is not in the layout", name)
	case err != nil:
		return nil, fmt.Errorf("reading layout: %w", err)
	case !before.Mode().IsRegular() || !isFolder(l.dir, v1.ImageBlobsDir) || !isFolder(l.dir, folder):
		return nil, badAnswer("reading %s: it is not a regular file, or a link leads to it", name)
	case before.Size() != d.Size:
		return nil, badAnswer("reading %s: it has %d bytes, its descriptor says %d", name, before.Size(), d.Size)
	}
	f, err := l.dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading layout: %w", err)
	}
	if after, err := f.Stat(); err != nil || !os.SameFile(before, after) {
		_ = f.Close() // it was only opened
		return nil, badAnswer("reading %s: it was replaced while it was opened", name)
	}
	return f, nil
}

// verified passes content on and keeps the last of it back until all of it was compared with its descriptor.
type verified struct {
	body io.ReadCloser
	want descriptor
	hash hash.Hash

	mu   sync.Mutex // the sender may still read when its answer has come
	left int64
	done bool
	err  error
}

func newVerified(body io.ReadCloser, want descriptor) *verified {
	v := &verified{body: body, want: want, left: want.Size, hash: sha256.New()}
	switch want.Digest.Algorithm() {
	case "sha384":
		v.hash = sha512.New384()
	case "sha512":
		v.hash = sha512.New()
	}
	return v
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		return 0, v.err
	}
	if v.done {
		return 0, io.EOF
	}
	n, err := v.body.Read(p[:min(int64(len(p)), v.left)])
	v.hash.Write(p[:n])
	if v.left -= int64(n); v.left > 0 {
		if errors.Is(err, io.EOF) {
			err = badAnswer("%s ends after %d bytes, its descriptor says %d", v.want.Digest.Short(), v.want.Size-v.left, v.want.Size)
		}
		v.err = err
		return n, err
	}
	var more [1]byte
	if m, _ := io.ReadFull(v.body, more[:]); m > 0 {
		v.err = badAnswer("%s is longer than %d bytes, as its descriptor says", v.want.Digest.Short(), v.want.Size)
	} else if got, err := stemma.NewDigest(v.want.Digest.Algorithm(), fmt.Sprintf("%x", v.hash.Sum(nil))); err != nil || got != v.want.Digest {
		v.err = badAnswer("what is served as %s has the digest %s", v.want.Digest.Short(), got.Short())
	}
	if v.err != nil {
		return 0, v.err
	}
	v.done = true
	return n, nil
}

// Close implements io.Closer.
func (v *verified) Close() error { return v.body.Close() }

// failed is why the content could not be passed on, if that lies with the source.
func (v *verified) failed() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err
}
