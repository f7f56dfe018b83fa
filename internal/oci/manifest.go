package oci

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
)

// Bounds of one look at one image. None can be raised. What is kept, what is under way and what is listed together stay
// below 64 MiB whatever a registry sends, as long as it sends evidence of a usual size.
const (
	maxManifest       = 4 << 20  // bytes of a manifest, an index, a page of referrers or a config
	maxEvidence       = 32 << 20 // bytes of one piece of evidence
	maxEvidenceTotal  = 32 << 20 // bytes of all pieces together
	maxManifestsTotal = 16 << 20 // bytes of all manifests that descriptors lead to
	maxUndeclared     = 24 << 20 // bytes of lists and tags, whose sizes nobody declares beforehand, beyond the share of each
	maxShares         = 8 << 20  // bytes of the shares of all lists and tags
	maxPieces         = 256      // pieces of evidence, and referrers, about one manifest
	maxLayers         = 256      // layers of one manifest that carries evidence
	maxNodes          = 128      // manifests of an index, at any depth
	maxDepth          = 4        // indexes in indexes
	maxAttached       = 16       // manifests attached to one manifest that are looked at
	maxNested         = 3        // manifests attached to attached ones
	maxAttachedTotal  = 256      // manifests attached to anything
	maxIndexes        = 4        // indexes of a layout that list one manifest
	maxAlternates     = 16       // further repositories, and services
	maxListed         = 1024     // entries of index.json that are read
	maxPages          = 16       // pages of referrers
	maxReferrersBytes = 16 << 20 // bytes of all pages of one list of referrers
	maxErrorBody      = 64 << 10 // bytes of an error or a token
	descriptorCost    = 256      // bytes that a listed descriptor counts for, however few it is written in
	requestCost       = 4 << 10  // bytes that a manifest or a piece counts for, however few it is said to have
	maxRedirects      = 3

	smallBody  = 256 << 10        // bytes that are read of any answer before it has to wait for room
	roomUnit   = 4 << 20          // bytes of one unit of room
	roomUnits  = 8                // units of room for the larger answers under way
	maxWaiting = 60 * time.Second // for any one place
)

// Media types of Docker's format, and of evidence.
const (
	mediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaTypeDockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	mediaTypeDockerConfig   = "application/vnd.docker.container.image.v1+json"

	mediaTypeBundlePrefix  = "application/vnd.dev.sigstore.bundle" // ".v0.3+json" and "+json;version=0.2"
	mediaTypeDSSE          = "application/vnd.dsse.envelope.v1+json"
	mediaTypeSimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	mediaTypeInToto        = "application/vnd.in-toto+json"
	mediaTypeDockerAttest  = "application/vnd.docker.attestation.manifest.v1+json"
)

// Annotations by which evidence is marked.
const (
	annotationReferenceType   = "vnd.docker.reference.type"
	annotationReferenceDigest = "vnd.docker.reference.digest"
	attestationManifest       = "attestation-manifest" // value of vnd.docker.reference.type
	annotationCosignKind      = "kind"
	cosignKindPrefix          = "dev.cosignproject.cosign/"
)

// descriptor is an OCI content descriptor as it stands in a manifest. Nothing in it is checked.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       stemma.Digest     `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType"`
	Platform     *platform         `json:"platform"`
	Annotations  map[string]string `json:"annotations"`
	URLs         []string          `json:"urls"`
}

func (d descriptor) check(limit int64) error {
	if _, err := stemma.ParseDigest(string(d.Digest)); err != nil {
		return badAnswer("reading descriptor: %w", err)
	}
	if d.Size < 0 || d.Size > limit {
		return &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("%s says it has %d bytes, limit %d", d.Digest.Short(), d.Size, limit)}
	}
	return nil
}

// isAttestation reports whether an index marks what it lists as a BuildKit attestation manifest.
func (d descriptor) isAttestation() bool {
	return d.Annotations[annotationReferenceType] == attestationManifest
}

// matches compares bytes with the descriptor that led to them: digest and size, both.
func (d descriptor) matches(data []byte) error {
	switch {
	case int64(len(data)) != d.Size:
		return badAnswer("%s has %d bytes, its descriptor says %d", d.Digest.Short(), len(data), d.Size)
	case !d.Digest.Matches(data):
		return badAnswer("what is served as %s has the digest %s", d.Digest.Short(), stemma.SHA256(data).Short())
	}
	return nil
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	OSVersion    string `json:"os.version"`
	Variant      string `json:"variant"`
}

func (p *platform) value() stemma.Platform {
	if p == nil {
		return stemma.Platform{}
	}
	return stemma.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion}
}

// document is a manifest or an index: its bytes, their digest, and what they say.
type document struct {
	data      []byte
	digest    stemma.Digest
	mediaType string
	body      body
}

type body struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *descriptor       `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Manifests     []descriptor      `json:"manifests"`
	Subject       *descriptor       `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

func isIndex(mediaType string) bool {
	return mediaType == v1.MediaTypeImageIndex || mediaType == mediaTypeDockerIndex
}

func isManifest(mediaType string) bool {
	return mediaType == v1.MediaTypeImageManifest || mediaType == mediaTypeDockerManifest
}

func (d *document) isIndex() bool { return isIndex(d.mediaType) }

// lists reports whether the document is an index that lists a manifest, with its size and, if it says one, its type.
func (d *document) lists(m descriptor) bool {
	return d.isIndex() && slices.ContainsFunc(d.body.Manifests, func(c descriptor) bool {
		return c.Digest == m.Digest && c.Size == m.Size && (c.MediaType == "" || c.MediaType == m.MediaType)
	})
}

// descriptor is what would lead to the document.
func (d *document) descriptor() descriptor {
	return descriptor{MediaType: d.mediaType, Digest: d.digest, Size: int64(len(d.data))}
}

// parseDocument reads a manifest or an index whose bytes were already compared with their digest. told are the media
// types that others gave it: the Content-Type header, the descriptor; an empty one was not given.
//
// All that name a type must name the same one, and it must fit the shape: a client that takes a document for an index
// and one that takes it for a manifest would otherwise see two images under one digest (CVE-2021-41190).
func parseDocument(data []byte, digest stemma.Digest, told ...string) (*document, error) {
	d := &document{data: data, digest: digest}
	if len(data) > maxManifest {
		return nil, &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("manifest of %d bytes, limit %d", len(data), maxManifest)}
	}
	if err := stemma.DecodeJSON(data, &d.body); err != nil {
		return nil, badAnswer("reading manifest %s: %w", digest.Short(), err)
	}
	d.mediaType = d.body.MediaType
	for _, t := range told {
		switch {
		case t == "":
		case d.mediaType == "":
			d.mediaType = t
		case t != d.mediaType:
			return nil, badAnswer("reading manifest %s: it is called %q and %q", digest.Short(), stemma.Printable(d.mediaType, 100), stemma.Printable(t, 100))
		}
	}
	// "schemaVersion: This REQUIRED property specifies the image manifest schema version. […] this MUST be 2"
	if d.body.SchemaVersion != 2 {
		return nil, badAnswer("reading manifest %s: schemaVersion %d, want 2", digest.Short(), d.body.SchemaVersion)
	}
	if err := d.shape(); err != nil {
		return nil, badAnswer("reading manifest %s: %w", digest.Short(), err)
	}
	return d, nil
}

func (d *document) shape() error {
	asIndex, asManifest := d.body.Manifests != nil, d.body.Layers != nil || d.body.Config != nil
	switch {
	case asIndex && asManifest:
		return errors.New("it lists manifests and layers, so it is an index to one reader and an image to another")
	case d.isIndex() && asManifest, isManifest(d.mediaType) && asIndex:
		return fmt.Errorf("its content does not fit the media type %s", d.mediaType)
	case d.isIndex(), isManifest(d.mediaType) && asManifest:
		return nil
	case d.mediaType != "" && !isManifest(d.mediaType):
		return fmt.Errorf("media type %q is neither an image manifest nor an index", stemma.Printable(d.mediaType, 100))
	case asIndex:
		d.mediaType = v1.MediaTypeImageIndex
	case asManifest: // and no media type
		d.mediaType = v1.MediaTypeImageManifest
	default:
		return errors.New("it lists neither layers nor manifests")
	}
	return nil
}

// isAttestation recognises a BuildKit attestation manifest that is not marked as one by an index.
func (d *document) isAttestation() bool {
	if d.isIndex() {
		return false
	}
	if d.body.ArtifactType == mediaTypeDockerAttest {
		return true
	}
	for _, l := range d.body.Layers {
		if l.MediaType != mediaTypeInToto {
			return false
		}
	}
	return len(d.body.Layers) > 0
}

// isRunnable reports whether the document may be an image: neither evidence nor another artifact.
func (d *document) isRunnable() bool {
	if d.body.Subject != nil || d.isAttestation() || isArtifact(d.body.ArtifactType) {
		return false
	}
	if d.isIndex() {
		return true
	}
	for _, l := range d.body.Layers {
		if _, ok := formatOf(l.MediaType); ok {
			return false
		}
	}
	return d.body.Config == nil || !isArtifact(d.body.Config.MediaType)
}

// isArtifact reports whether an artifact type, or a config's media type, says "not a container image".
func isArtifact(t string) bool {
	return t != "" && t != v1.MediaTypeImageConfig && t != mediaTypeDockerConfig
}

// formatOf is the form of evidence in a layer of this media type. Whether the bytes are in that form is for whoever
// reads them to see.
func formatOf(mediaType string) (stemma.Format, bool) {
	switch {
	case mediaType == mediaTypeDSSE:
		return stemma.FormatDSSE, true
	case mediaType == mediaTypeSimpleSigning:
		return stemma.FormatSimpleSigning, true
	case mediaType == mediaTypeInToto:
		return stemma.FormatStatement, true
	case strings.HasPrefix(mediaType, mediaTypeBundlePrefix+".") || strings.HasPrefix(mediaType, mediaTypeBundlePrefix+"+"):
		return stemma.FormatBundle, true
	}
	return "", false
}

// isSBOM recognises layers that are a software bill of materials as it stands.
func isSBOM(mediaType string) bool {
	name, _, _ := strings.Cut(mediaType, ";") // "application/vnd.cyclonedx+json;version=1.5"
	switch strings.TrimSpace(name) {
	case "application/spdx+json", "application/spdx+xml", "text/spdx", "text/spdx+json", "text/spdx+xml", "spdx+json", "spdx+xml",
		"application/vnd.cyclonedx", "application/vnd.cyclonedx+json", "application/vnd.cyclonedx+xml", "application/vnd.syft+json":
		return true
	}
	return false
}

// isSignature recognises layers that are signatures of a kind that is not read. Nobody signs a signature.
func isSignature(mediaType string) bool {
	return mediaType == "application/jose+json" || mediaType == "application/cose" || mediaType == "application/vnd.cncf.notary.signature"
}
