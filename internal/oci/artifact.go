package oci

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
)

// Bounds of an artifact of files.
const (
	maxArtifactFiles = 512
	maxArtifactFile  = 1 << 20  // bytes of one file
	maxArtifactTotal = 16 << 20 // bytes of all files together
)

// Artifact is an OCI artifact of small files: an image manifest with an artifact type, the empty config, and a layer for
// each file, whose name is its title.
type Artifact struct {
	Type  string
	Files []ArtifactFile
}

// ArtifactFile is one file of an artifact.
type ArtifactFile struct {
	Name      string
	MediaType string
	Data      []byte
}

// manifest is the artifact as a manifest. The same files make the same bytes, in whatever order they are given.
func (a Artifact) manifest() (*document, map[stemma.Digest][]byte, error) {
	empty := v1.DescriptorEmptyJSON
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, ArtifactType: a.Type, Config: empty, Layers: []v1.Descriptor{}}
	m.SchemaVersion = 2
	blobs := map[stemma.Digest][]byte{stemma.Digest(empty.Digest): empty.Data}
	files, total := slices.Clone(a.Files), 0
	slices.SortFunc(files, func(x, y ArtifactFile) int { return cmp.Compare(x.Name, y.Name) })
	for i, f := range files {
		if total += len(f.Data); len(files) > maxArtifactFiles || len(f.Data) > maxArtifactFile || total > maxArtifactTotal {
			return nil, nil, fmt.Errorf("%d files, of which one may have %d bytes and all together %d: it is too much", len(files), maxArtifactFile, maxArtifactTotal)
		}
		if f.Name == "" || i > 0 && files[i-1].Name == f.Name {
			return nil, nil, fmt.Errorf("two files of the name %q", f.Name)
		}
		d := stemma.SHA256(f.Data)
		blobs[d] = f.Data
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: f.MediaType, Digest: digest.Digest(d), Size: int64(len(f.Data)), Annotations: map[string]string{v1.AnnotationTitle: f.Name}})
	}
	if len(files) == 0 {
		return nil, nil, errors.New("an artifact without files")
	}
	data, err := json.Marshal(m)
	if err != nil {
		return nil, nil, fmt.Errorf("writing manifest: %w", err)
	}
	doc, err := parseDocument(data, stemma.SHA256(data))
	return doc, blobs, err
}

// PushArtifact puts an artifact into a repository, under a tag if the reference has one, and returns its digest. The tag
// is set last. An error is an *Error.
func (c *Client) PushArtifact(ctx context.Context, to Reference, a Artifact) (stemma.Digest, error) {
	const doing = "pushing to"
	if to.Repository == "" || to.Host == "" || to.Digest != "" {
		return "", &Error{Kind: Invalid, Ref: to.String(), doing: doing, Err: errors.New("a push goes to a repository, with or without a tag"), Hint: "Write registry/repository[:tag]."}
	}
	doc, blobs, err := a.manifest()
	if err != nil {
		return "", &Error{Kind: Invalid, Ref: to.String(), doing: doing, Err: err}
	}
	source := memory{doc, blobs}
	k := c.newCopier(ctx, source, Reference{Layout: "memory"}, to)
	if err := k.run(ctx, &graph{source: source, parts: []*part{{doc: doc}}}, doc); err != nil {
		var said *Error
		if errors.As(err, &said) {
			said.doing = doing
		}
		return "", err
	}
	return doc.digest, nil
}

// PullArtifact gets an artifact of one type, whose layers are all of the given media types and have names that differ. All
// that it returns was compared with its digest, which is that of the reference, or of what its tag meant. An error is an
// *Error.
func (c *Client) PullArtifact(ctx context.Context, from Reference, artifactType string, mediaTypes ...string) (*Artifact, stemma.Digest, error) {
	if from.Repository == "" || from.Host == "" {
		return nil, "", &Error{Kind: Invalid, Ref: from.String(), Err: errors.New("not an artifact of a registry"), Hint: "Write registry/repository@digest."}
	}
	r := c.at(from)
	doc, err := r.named(ctx, from.Tag, from.Digest)
	if err != nil {
		return nil, "", c.opening(ctx, from, err)
	}
	if err := doc.isFiles(artifactType, mediaTypes); err != nil {
		return nil, "", &Error{Kind: Invalid, Ref: from.String(), Err: err, Hint: "Check the reference: what it leads to was not made by stemma policy push."}
	}
	layers := doc.body.Layers
	a := &Artifact{Type: artifactType, Files: make([]ArtifactFile, len(layers))}
	errs := make([]error, len(layers))
	each(blobsAtOnce, len(layers), func(i int) {
		a.Files[i] = ArtifactFile{Name: layers[i].Annotations[v1.AnnotationTitle], MediaType: layers[i].MediaType}
		a.Files[i].Data, errs[i] = r.blob(ctx, layers[i], maxArtifactFile)
	})
	for _, err := range errs {
		if err != nil {
			return nil, "", c.opening(ctx, from, err)
		}
	}
	return a, doc.digest, nil
}

// isFiles says why a manifest is not an artifact of files of a type.
func (d *document) isFiles(artifactType string, mediaTypes []string) error {
	b := d.body
	switch {
	case d.mediaType != v1.MediaTypeImageManifest || b.ArtifactType != artifactType:
		return fmt.Errorf("it is of type %q: want %s", stemma.Printable(cmp.Or(b.ArtifactType, d.mediaType), 100), artifactType)
	case b.Config == nil || b.Config.MediaType != v1.MediaTypeEmptyJSON || b.Config.Digest != stemma.Digest(v1.DescriptorEmptyJSON.Digest) || b.Config.Size != v1.DescriptorEmptyJSON.Size:
		return errors.New("it has a config: want the empty one")
	case b.Subject != nil:
		return errors.New("it is about another manifest")
	case len(b.Layers) == 0 || len(b.Layers) > maxArtifactFiles:
		return fmt.Errorf("it has %d files: want 1 to %d", len(b.Layers), maxArtifactFiles)
	}
	total := int64(0)
	for i, l := range b.Layers {
		name := l.Annotations[v1.AnnotationTitle]
		if err := l.check(maxArtifactFile); err != nil {
			return err
		}
		if total += l.Size; total > maxArtifactTotal {
			return fmt.Errorf("its files have more than %d bytes together", maxArtifactTotal)
		}
		switch {
		case name == "":
			return fmt.Errorf("layer %d has no title, so that it is no file", i)
		case slices.ContainsFunc(b.Layers[:i], func(o descriptor) bool { return o.Annotations[v1.AnnotationTitle] == name }):
			return fmt.Errorf("two of its files are called %q", stemma.Printable(name, 100))
		case !slices.Contains(mediaTypes, l.MediaType):
			return fmt.Errorf("its file %q is of type %q, which is not known", stemma.Printable(name, 100), stemma.Printable(l.MediaType, 100))
		}
	}
	return nil
}

// memory is a source of what is not stored yet.
type memory struct {
	doc   *document
	blobs map[stemma.Digest][]byte
}

func (m memory) manifest(context.Context, descriptor) (*document, error) { return m.doc, nil }

func (m memory) named(context.Context, string, stemma.Digest) (*document, error) { return m.doc, nil }

func (m memory) tagged(context.Context, string) ([]*document, string, error) { return nil, "", nil }

func (m memory) referrers(context.Context, stemma.Digest) ([]descriptor, string, error) {
	return nil, "", nil
}

func (m memory) blob(_ context.Context, d descriptor, _ int64) ([]byte, error) {
	data, ok := m.blobs[d.Digest]
	if !ok {
		return nil, missing("reading %s: it is not in the artifact", d.Digest.Short())
	}
	return data, nil
}

func (m memory) stream(ctx context.Context, d descriptor) (io.ReadCloser, error) {
	data, err := m.blob(ctx, d, maxArtifactFile)
	return io.NopCloser(bytes.NewReader(data)), err
}
