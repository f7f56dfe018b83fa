package stemmatest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
)

// LayoutStyle is how the index of an OCI layout names what is in it.
type LayoutStyle string

// The two ways in which layouts with evidence are written in practice.
const (
	LayoutTags   LayoutStyle = ""       // every tag as org.opencontainers.image.ref.name, referrers without (oras)
	LayoutCosign LayoutStyle = "cosign" // the annotation "kind" says what it is, and there are no tags (cosign save)
)

const annotationKind = "kind"

// WriteLayout writes the image with all of its evidence that the registry holds as an OCI image layout into dir,
// which is made if need be. The bytes are those that the registry serves, corrupted ones included.
func (i *Image) WriteLayout(dir string, style LayoutStyle) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making layout: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening layout: %w", err)
	}
	err = i.writeLayout(root, style)
	if cerr := root.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("writing layout %s: %w", dir, err)
	}
	return nil
}

func (i *Image) writeLayout(root *os.Root, style LayoutStyle) error {
	i.Registry.mu.Lock()
	defer i.Registry.mu.Unlock()
	repo := i.Registry.repo(i.Repository)
	w := &layoutWriter{repo: repo, blobs: map[stemma.Digest][]byte{}}
	w.entry(i.Descriptor, i.annotations(style))
	w.manifest(i.Digest(), 0)
	for _, tag := range slices.Sorted(maps.Keys(repo.tags)) {
		of, suffix, _ := strings.Cut(tag, ".")
		if w.blobs[stemma.Digest(strings.Replace(of, "-", ":", 1))] == nil {
			continue // a tag of something else
		}
		annotations := map[string]string{v1.AnnotationRefName: tag}
		if style == LayoutCosign {
			kind := map[string]string{"sig": "sigs", "att": "atts", "sbom": "sboms"}[suffix]
			if kind == "" {
				continue
			}
			annotations = map[string]string{annotationKind: "dev.cosignproject.cosign/" + kind}
		}
		d := repo.tags[tag]
		w.entry(describeAs(d, repo.manifests[d]), annotations)
		w.manifest(d, 0)
	}
	files := map[string][]byte{
		v1.ImageLayoutFile: canonical(v1.ImageLayout{Version: v1.ImageLayoutVersion}),
		v1.ImageIndexFile:  canonical(object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": w.entries}),
	}
	for d, data := range w.blobs {
		d, err := stemma.ParseDigest(string(d)) // it becomes a path
		if err != nil {
			return err
		}
		files[v1.ImageBlobsDir+"/"+d.Algorithm()+"/"+d.Hex()] = data
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if at := strings.LastIndex(name, "/"); at > 0 {
			if err := root.MkdirAll(name[:at], 0o755); err != nil {
				return err
			}
		}
		if err := root.WriteFile(name, files[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (i *Image) annotations(style LayoutStyle) map[string]string {
	switch {
	case style == LayoutCosign && i.Children == nil:
		return map[string]string{annotationKind: "dev.cosignproject.cosign/image"}
	case style == LayoutCosign:
		return map[string]string{annotationKind: "dev.cosignproject.cosign/imageIndex"}
	case len(i.Tags) > 0:
		return map[string]string{v1.AnnotationRefName: i.Tags[0]}
	}
	return nil
}

// layoutWriter gathers what a manifest leads to. It follows what the registry was told rather than what the bytes
// say, so that a manifest of any bytes can be written.
type layoutWriter struct {
	repo    *repository
	blobs   map[stemma.Digest][]byte
	entries []v1.Descriptor
}

func (w *layoutWriter) entry(d v1.Descriptor, annotations map[string]string) {
	d.Annotations = annotations
	w.entries = append(w.entries, d)
}

func describeAs(d stemma.Digest, m manifest) v1.Descriptor {
	return v1.Descriptor{MediaType: m.mediaType, Digest: digest.Digest(d), Size: int64(len(m.data))}
}

func (w *layoutWriter) manifest(d stemma.Digest, depth int) {
	m, ok := w.repo.manifests[d]
	if !ok || w.blobs[d] != nil || depth > 8 {
		return
	}
	w.blobs[d] = m.data
	var links struct {
		Config    v1.Descriptor   `json:"config"`
		Layers    []v1.Descriptor `json:"layers"`
		Manifests []v1.Descriptor `json:"manifests"`
	}
	// What is not a manifest leads nowhere, and is written all the same.
	if err := stemma.DecodeJSON(m.data, &links); err == nil {
		for _, b := range append(links.Layers, links.Config) {
			if data, ok := w.repo.blobs[stemma.Digest(b.Digest)]; ok {
				w.blobs[stemma.Digest(b.Digest)] = data
			}
		}
		for _, c := range links.Manifests {
			w.manifest(stemma.Digest(c.Digest), depth+1)
		}
	}
	for _, r := range w.repo.referrers[d] {
		at := stemma.Digest(r.Digest)
		if w.blobs[at] == nil {
			w.entry(r, r.Annotations)
		}
		w.manifest(at, depth+1)
	}
}
