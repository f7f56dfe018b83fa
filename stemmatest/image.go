package stemmatest

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
)

// Media types of Docker's image format, and those by which BuildKit and cosign mark evidence.
const (
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	mediaTypeDockerConfig   = "application/vnd.docker.container.image.v1+json"
	mediaTypeDockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"

	annotationReferenceType   = "vnd.docker.reference.type"
	annotationReferenceDigest = "vnd.docker.reference.digest"
	annotationPredicateType   = "in-toto.io/predicate-type"
	artifactTypeAttestation   = "application/vnd.docker.attestation.manifest.v1+json"
)

// ImageSpec says which image to make.
type ImageSpec struct {
	Repository  string            // within the registry, "acme/app"
	Tags        []string          // "v2.0.0"
	Platforms   []stemma.Platform // none: linux/amd64
	Single      bool              // a manifest of the only platform, without an index around it
	Docker      bool              // Docker's media types (schema 2) in place of OCI's
	Content     string            // what is in the only layer's only file; images with other content have other digests
	File        string            // path of that file; "app" when empty
	Env         []string          // of the config
	Labels      map[string]string // of the config
	Annotations map[string]string // of the index and of each platform's manifest

	// On is the image that this one stands on: its layers, platform by platform, come first. Anew compresses them anew.
	On   *Image
	Anew bool

	// Layers changes what the manifest and the config of a platform list: the blobs, and what they are said to unpack to.
	Layers func(blobs []v1.Descriptor, diffIDs []stemma.Digest) ([]v1.Descriptor, []stemma.Digest)

	// Attest makes the statements of an attestation manifest for a platform manifest, which becomes a child of the
	// index as BuildKit makes it. Subject also gives that manifest a subject, as BuildKit does from 0.32.
	Attest  func(platform stemma.Platform, manifest stemma.Digest) []*Statement
	Subject bool

	// Index changes what the index lists: a child twice, one of another image for the same platform, a wrong size, none.
	Index func(children []v1.Descriptor) []v1.Descriptor
}

// Image is an image in a registry.
type Image struct {
	Registry   *Registry
	Repository string // within the registry, "acme/app"
	Tags       []string
	Descriptor v1.Descriptor // of the index or of the only manifest
	Manifest   []byte
	Children   []v1.Descriptor // of the index: platforms first, then attestation manifests
}

// Name is the image as package stemma names it.
func (i *Image) Name() stemma.Image {
	name := stemma.Image{Repository: i.Registry.Host + "/" + i.Repository, Digest: i.Digest()}
	if len(i.Tags) > 0 {
		name.Tag = i.Tags[0]
	}
	return name
}

// Digest identifies the image.
func (i *Image) Digest() stemma.Digest { return stemma.Digest(i.Descriptor.Digest) }

// Platform is the digest of the platform's manifest, or "". A platform without a version of the operating system is met
// by the first of any version.
func (i *Image) Platform(p stemma.Platform) stemma.Digest {
	for _, c := range i.Children {
		if c.Platform != nil && c.Platform.OS == p.OS && c.Platform.Architecture == p.Architecture && c.Platform.Variant == p.Variant &&
			(p.OSVersion == "" || c.Platform.OSVersion == p.OSVersion) {
			return stemma.Digest(c.Digest)
		}
	}
	return ""
}

// Attestation is the digest of the attestation manifest for the platform, or "".
func (i *Image) Attestation(p stemma.Platform) stemma.Digest {
	of := i.Platform(p)
	for _, c := range i.Children {
		if of != "" && c.Annotations[annotationReferenceDigest] == string(of) {
			return stemma.Digest(c.Digest)
		}
	}
	return ""
}

// Config is the digest of the config of the platform's manifest, or of the only manifest of an image without index.
func (i *Image) Config(p stemma.Platform) (stemma.Digest, error) {
	d := i.Digest()
	if i.Children != nil {
		d = i.Platform(p)
	}
	_, data, err := i.Registry.Manifest(i.Repository, string(d))
	if err != nil {
		return "", err
	}
	var m v1.Manifest
	if err := stemma.DecodeJSON(data, &m); err != nil {
		return "", fmt.Errorf("reading manifest %s: %w", d, err)
	}
	return stemma.Digest(m.Config.Digest), nil
}

// At is the image as a repository would have it, of this registry or of another one: what is attached to it is there,
// about the same digest. Its bytes are there only if CopyTo has put them.
func (i *Image) At(r *Registry, repository string) *Image {
	at := *i
	at.Registry, at.Repository, at.Tags = r, repository, nil
	return &at
}

// CopyTo copies the image to another repository, and nothing that is about it but what its digest covers: a mirror that
// leaves evidence behind.
func (i *Image) CopyTo(r *Registry, repository string, tags ...string) (*Image, error) {
	to := i.At(r, repository)
	to.Tags = tags
	if err := i.copyManifest(to, i.Digest(), tags); err != nil {
		return nil, fmt.Errorf("copying %s: %w", i.Name(), err)
	}
	return to, nil
}

func (i *Image) copyManifest(to *Image, d stemma.Digest, tags []string) error {
	mediaType, data, err := i.Registry.Manifest(i.Repository, string(d))
	if err != nil {
		return err
	}
	var links struct {
		Config    *v1.Descriptor  `json:"config"`
		Layers    []v1.Descriptor `json:"layers"`
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := stemma.DecodeJSON(data, &links); err != nil {
		return fmt.Errorf("reading manifest %s: %w", d, err)
	}
	if links.Config != nil {
		links.Layers = append(links.Layers, *links.Config)
	}
	for _, b := range links.Layers {
		if len(b.URLs) > 0 {
			continue // it is elsewhere
		}
		data, err := i.Registry.Blob(i.Repository, stemma.Digest(b.Digest))
		if err != nil {
			return err
		}
		to.Registry.PutBlob(to.Repository, b.MediaType, data)
	}
	for _, c := range links.Manifests {
		if err := i.copyManifest(to, stemma.Digest(c.Digest), nil); err != nil {
			return err
		}
	}
	to.Registry.PutManifest(to.Repository, mediaType, data, tags...)
	return nil
}

// PutImage makes an image with real, tiny layers.
func (r *Registry) PutImage(spec ImageSpec) (*Image, error) {
	if spec.Repository == "" {
		return nil, errors.New("making image: no repository")
	}
	if len(spec.Platforms) == 0 {
		spec.Platforms = []stemma.Platform{{OS: "linux", Architecture: "amd64"}}
	}
	if spec.Single && (len(spec.Platforms) != 1 || spec.Attest != nil) {
		return nil, errors.New("making image: a single manifest has one platform and no attestation manifest")
	}
	img := &Image{Registry: r, Repository: spec.Repository, Tags: spec.Tags}
	indexType := v1.MediaTypeImageIndex
	if spec.Docker {
		indexType = MediaTypeDockerIndex
	}
	var attestations []v1.Descriptor
	for _, p := range spec.Platforms {
		d, data, err := r.putPlatform(spec, p)
		if err != nil {
			return nil, fmt.Errorf("making image %s for %s: %w", spec.Repository, p, err)
		}
		if spec.Single {
			img.Descriptor, img.Manifest = r.PutManifest(spec.Repository, d.MediaType, data, spec.Tags...), data
			return img, nil
		}
		if spec.Attest != nil {
			attestations = append(attestations, r.putAttestationManifest(spec, d, spec.Attest(p, stemma.Digest(d.Digest))))
		}
		d.Platform = &v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion}
		img.Children = append(img.Children, d)
	}
	img.Children = append(img.Children, attestations...)
	if spec.Index != nil {
		img.Children = spec.Index(img.Children)
	}
	index := object{"schemaVersion": 2, "mediaType": indexType, "manifests": append([]v1.Descriptor{}, img.Children...)}
	if spec.Annotations != nil {
		index["annotations"] = spec.Annotations
	}
	img.Manifest = canonical(index)
	img.Descriptor = r.PutManifest(spec.Repository, indexType, img.Manifest, spec.Tags...)
	return img, nil
}

func (r *Registry) putPlatform(spec ImageSpec, p stemma.Platform) (v1.Descriptor, []byte, error) {
	manifestType, configType, layerType := v1.MediaTypeImageManifest, v1.MediaTypeImageConfig, v1.MediaTypeImageLayerGzip
	if spec.Docker {
		manifestType, configType, layerType = MediaTypeDockerManifest, mediaTypeDockerConfig, mediaTypeDockerLayer
	}
	plain, packed, err := layer(cmp.Or(spec.File, "app"), spec.Content+" for "+p.String()+"\n")
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	l := r.PutBlob(spec.Repository, layerType, packed)
	layers, ids, err := r.under(spec, p)
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	layers, ids = append(layers, l), append(ids, stemma.SHA256(plain))
	if spec.Layers != nil {
		layers, ids = spec.Layers(layers, ids)
	}
	entry := object{"Entrypoint": []string{"/app"}, "Labels": spec.Labels}
	if spec.Env != nil {
		entry["Env"] = spec.Env
	}
	config := object{
		"architecture": p.Architecture, "os": p.OS, "created": Now(),
		"config":  entry,
		"rootfs":  object{"type": "layers", "diff_ids": ids},
		"history": []object{{"created": Now(), "created_by": "COPY app /app"}},
	}
	if p.Variant != "" {
		config["variant"] = p.Variant
	}
	if p.OSVersion != "" {
		config["os.version"] = p.OSVersion
	}
	c := r.PutBlob(spec.Repository, configType, canonical(config))
	manifest := object{"schemaVersion": 2, "mediaType": manifestType, "config": c, "layers": layers}
	if spec.Annotations != nil {
		manifest["annotations"] = spec.Annotations
	}
	data := canonical(manifest)
	return r.PutManifest(spec.Repository, manifestType, data), data, nil
}

// under copies the layers of the image that another is to stand on.
func (r *Registry) under(spec ImageSpec, p stemma.Platform) (layers []v1.Descriptor, ids []stemma.Digest, err error) {
	if spec.On == nil {
		return nil, nil, nil
	}
	from := spec.On
	d := from.Digest()
	if from.Children != nil {
		d = from.Platform(p)
	}
	_, data, err := from.Registry.Manifest(from.Repository, string(d))
	if err != nil {
		return nil, nil, err
	}
	var m v1.Manifest
	if err := stemma.DecodeJSON(data, &m); err != nil {
		return nil, nil, fmt.Errorf("reading manifest %s: %w", d, err)
	}
	for _, l := range m.Layers {
		packed, err := from.Registry.Blob(from.Repository, stemma.Digest(l.Digest))
		if err != nil {
			return nil, nil, err
		}
		zr, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, nil, fmt.Errorf("unpacking layer: %w", err)
		}
		plain, err := io.ReadAll(io.LimitReader(zr, 1<<20))
		if err != nil {
			return nil, nil, fmt.Errorf("unpacking layer: %w", err)
		}
		if spec.Anew {
			var z bytes.Buffer
			zw, _ := gzip.NewWriterLevel(&z, gzip.NoCompression) // a known level
			_, _ = zw.Write(plain)                               // a buffer takes all
			_ = zw.Close()
			packed = z.Bytes()
		}
		layers = append(layers, r.PutBlob(spec.Repository, l.MediaType, packed))
		ids = append(ids, stemma.SHA256(plain))
	}
	return layers, ids, nil
}

func (r *Registry) putAttestationManifest(spec ImageSpec, of v1.Descriptor, statements []*Statement) v1.Descriptor {
	layers := []v1.Descriptor{}
	ids := []stemma.Digest{}
	for _, s := range statements {
		data := s.JSON()
		d := r.PutBlob(spec.Repository, MediaTypeInToto, data)
		d.Annotations = map[string]string{annotationPredicateType: s.PredicateType}
		layers = append(layers, d)
		ids = append(ids, stemma.SHA256(data))
	}
	manifest := object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "layers": layers}
	if spec.Subject {
		manifest["artifactType"] = artifactTypeAttestation
		manifest["config"] = r.PutBlob(spec.Repository, v1.MediaTypeEmptyJSON, []byte("{}"))
		manifest["subject"] = v1.Descriptor{MediaType: of.MediaType, Digest: of.Digest, Size: of.Size}
	} else {
		manifest["config"] = r.PutBlob(spec.Repository, v1.MediaTypeImageConfig, canonical(object{
			"architecture": "unknown", "os": "unknown", "config": object{}, "rootfs": object{"type": "layers", "diff_ids": ids},
		}))
	}
	d := r.PutManifest(spec.Repository, v1.MediaTypeImageManifest, canonical(manifest))
	if spec.Subject {
		listed := d
		listed.ArtifactType = artifactTypeAttestation
		r.PutReferrer(spec.Repository, stemma.Digest(of.Digest), listed)
	}
	d.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
	d.Annotations = map[string]string{annotationReferenceType: "attestation-manifest", annotationReferenceDigest: string(of.Digest)}
	return d
}

// Artifact is what is attached to an image as a referrer.
type Artifact struct {
	Type        string // artifactType
	Layers      []Layer
	Annotations map[string]string
	Subject     *v1.Descriptor // in place of the image itself
}

// BundleArtifact is a bundle as a referrer, annotated as actions/attest and cosign do.
func BundleArtifact(x *Signed) Artifact {
	l := x.BundleLayer()
	a := Artifact{Type: l.MediaType, Layers: []Layer{l}, Annotations: map[string]string{"dev.sigstore.bundle.content": "message-signature"}}
	if x.Envelope != nil {
		a.Annotations["dev.sigstore.bundle.content"] = "dsse-envelope"
		a.Annotations["dev.sigstore.bundle.predicateType"] = x.predicateType()
	}
	return a
}

// AttachReferrer stores the artifact so that the referrers API lists it.
func (i *Image) AttachReferrer(a Artifact) v1.Descriptor {
	d, subject := i.putArtifact(a)
	i.Registry.PutReferrer(i.Repository, subject, d)
	return d
}

// AttachFallback stores the artifact and lists it in the index under the tag that stands in for the referrers API
// where a registry has none.
func (i *Image) AttachFallback(a Artifact) (v1.Descriptor, error) {
	d, subject := i.putArtifact(a)
	tag := strings.Replace(string(subject), ":", "-", 1)
	var index v1.Index
	if _, data, err := i.Registry.Manifest(i.Repository, tag); err == nil {
		if err := stemma.DecodeJSON(data, &index); err != nil {
			return v1.Descriptor{}, fmt.Errorf("reading fallback tag %s: %w", tag, err)
		}
	}
	index.SchemaVersion, index.MediaType = 2, v1.MediaTypeImageIndex
	index.Manifests = append(index.Manifests, d)
	i.Registry.PutManifest(i.Repository, v1.MediaTypeImageIndex, canonical(index), tag)
	return d, nil
}

func (i *Image) putArtifact(a Artifact) (v1.Descriptor, stemma.Digest) {
	subject := i.Descriptor
	if a.Subject != nil {
		subject = *a.Subject
	}
	subject = v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	manifest := object{
		"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "artifactType": a.Type, "subject": subject,
		"config": i.Registry.PutBlob(i.Repository, v1.MediaTypeEmptyJSON, []byte("{}")),
		"layers": i.putLayers(a.Layers),
	}
	if a.Annotations != nil {
		manifest["annotations"] = a.Annotations
	}
	d := i.Registry.PutManifest(i.Repository, v1.MediaTypeImageManifest, canonical(manifest))
	d.ArtifactType, d.Annotations = a.Type, a.Annotations
	return d, stemma.Digest(subject.Digest)
}

// CosignTag is the tag under which cosign keeps evidence about a digest; suffix is ".sig", ".att" or ".sbom".
func CosignTag(d stemma.Digest, suffix string) string {
	return strings.Replace(string(d), ":", "-", 1) + suffix
}

// AttachCosign stores layers in a manifest under cosign's tag for the image; suffix is ".sig" or ".att". It replaces
// what was there.
func (i *Image) AttachCosign(suffix string, layers ...Layer) v1.Descriptor {
	ids := []stemma.Digest{}
	for _, l := range layers {
		ids = append(ids, stemma.SHA256(l.Data))
	}
	config := i.Registry.PutBlob(i.Repository, v1.MediaTypeImageConfig, canonical(object{
		"architecture": "", "os": "", "created": "0001-01-01T00:00:00Z", "config": object{}, "rootfs": object{"type": "layers", "diff_ids": ids},
	}))
	data := canonical(object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "config": config, "layers": i.putLayers(layers)})
	return i.Registry.PutManifest(i.Repository, v1.MediaTypeImageManifest, data, CosignTag(i.Digest(), suffix))
}

func (i *Image) putLayers(layers []Layer) []v1.Descriptor {
	out := []v1.Descriptor{}
	for _, l := range layers {
		d := describe(l.MediaType, l.Data)
		if len(l.URLs) == 0 {
			i.Registry.PutBlob(i.Repository, l.MediaType, l.Data)
		}
		d.Annotations, d.URLs = l.Annotations, l.URLs
		out = append(out, d)
	}
	return out
}

func describe(mediaType string, data []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.Digest(stemma.SHA256(data)), Size: int64(len(data))}
}

// layer is a tar archive of one file, and the same compressed. It is always the same for the same content.
func layer(name, content string) (plain, packed []byte, err error) {
	var t, z bytes.Buffer
	tw := tar.NewWriter(&t)
	if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content)), ModTime: Now(), Format: tar.FormatUSTAR}); err != nil {
		return nil, nil, fmt.Errorf("writing layer: %w", err)
	}
	if _, err := tw.Write([]byte(content)); err != nil {
		return nil, nil, fmt.Errorf("writing layer: %w", err)
	}
	if err := tw.Close(); err != nil {
		return nil, nil, fmt.Errorf("writing layer: %w", err)
	}
	zw := gzip.NewWriter(&z)
	if _, err := zw.Write(t.Bytes()); err != nil {
		return nil, nil, fmt.Errorf("compressing layer: %w", err)
	}
	if err := zw.Close(); err != nil {
		return nil, nil, fmt.Errorf("compressing layer: %w", err)
	}
	return t.Bytes(), z.Bytes(), nil
}
