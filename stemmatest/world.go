package stemmatest

import (
	"fmt"
	"net/http"
	"time"

	"stemma"
)

// World is an image with complete evidence, and what is needed to make more of it:
//
//	ghcr.io/acme/app:v2.0.0, an index of linux/amd64 and linux/arm64
//	built from github.com/acme/app at refs/tags/v2.0.0, started by its .github/workflows/release.yml
//	by the reusable workflow trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.3
//	with SLSA v1 provenance and an SPDX document as Sigstore bundles v0.3 in the referrers of the index,
//	each with a certificate timestamp, a Rekor entry and an RFC 3161 timestamp
type World struct {
	Now      time.Time
	Sigstore *Sigstore
	Registry *Registry // ghcr.io
	Network  Network   // all hosts that exist: ghcr.io

	Build GitHub // the job that builds and signs, every field filled

	Image      *Image
	Provenance *Signed
	SBOM       *Signed
}

// Repository is where the images of a World are, within its registry.
const Repository = "acme/app"

// NewWorld makes a World.
func NewWorld(c Config) (*World, error) {
	s, err := NewSigstore(c)
	if err != nil {
		return nil, fmt.Errorf("making world: %w", err)
	}
	w := &World{Now: s.Now, Sigstore: s, Registry: NewRegistry("ghcr.io")}
	w.Network = Network{"ghcr.io": w.Registry}
	w.Build = GitHub{
		Repository: "acme/app", Ref: "refs/tags/v2.0.0",
		Workflow: ".github/workflows/release.yml",
		Builder:  "trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.3",
	}.defaults()
	if w.Image, err = w.PutImage("v2.0.0"); err != nil {
		return nil, err
	}
	if w.Provenance, err = w.Attest(w.Image, Vary{}); err != nil {
		return nil, err
	}
	if w.SBOM, err = w.Sigstore.Attest(Sign{As: w.Build}, SPDX(w.Subject(w.Image)).JSON()); err != nil {
		return nil, err
	}
	w.Attach(w.Image, w.Provenance)
	w.Attach(w.Image, w.SBOM)
	return w, nil
}

// Transport reaches the hosts of the world and no other, without a socket.
func (w *World) Transport() http.RoundTripper { return w.Network }

// PutImage makes another image in the same repository, with nothing attached. Images with different tags differ.
func (w *World) PutImage(tag string) (*Image, error) {
	return w.Registry.PutImage(ImageSpec{
		Repository: Repository, Tags: []string{tag}, Content: "acme/app " + tag,
		Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}},
	})
}

// Subject names an image as its builders do.
func (w *World) Subject(i *Image) stemma.ResourceDescriptor {
	return Subject(i.Name().Repository, i.Digest())
}

// Vary changes one step on the way to a piece of evidence; every function may be nil. The order is that of the
// fields, and each step is made from the result of the one before: a change of Build is told by certificate and
// statement alike, while one of Certificate or Statement is a lie of that part alone.
type Vary struct {
	Build       func(*GitHub)      // the job
	Certificate func(*Certificate) // what the certificate says
	Statement   func(*Statement)   // what the provenance says
	Payload     func([]byte) []byte
	Sign        func(*Sign)   // how it is signed
	Signed      func(*Signed) // what comes out
}

// Attest makes provenance of an image by the world's builder, varied as told.
func (w *World) Attest(i *Image, v Vary) (*Signed, error) {
	build := w.Build
	if v.Build != nil {
		v.Build(&build)
		if build.Builder != w.Build.Builder && build.BuilderSHA == w.Build.BuilderSHA {
			build.BuilderSHA = "" // another workflow is at another commit, unless the change says which
		}
	}
	cert := build.Certificate()
	if v.Certificate != nil {
		v.Certificate(&cert)
	}
	statement := ActionsAttest(build, w.Subject(i))
	if v.Statement != nil {
		v.Statement(statement)
	}
	payload := statement.JSON()
	if v.Payload != nil {
		payload = v.Payload(payload)
	}
	sign := Sign{As: cert}
	if v.Sign != nil {
		v.Sign(&sign)
	}
	signed, err := w.Sigstore.Attest(sign, payload)
	if err != nil {
		return nil, fmt.Errorf("attesting %s: %w", i.Name(), err)
	}
	if v.Signed != nil {
		v.Signed(signed)
	}
	return signed, nil
}

// Attach stores a signature as a bundle in the referrers of the image.
func (w *World) Attach(i *Image, x *Signed) {
	i.AttachReferrer(BundleArtifact(x))
}

// PutBuildKitImage makes an image for linux/amd64 and linux/arm64 as BuildKit does from 0.32: with an attestation
// manifest for each, which holds SLSA v1 provenance (mode=max) that nobody has signed.
func (w *World) PutBuildKitImage(tag string) (*Image, error) {
	repository := w.Registry.Host + "/" + Repository
	return w.Registry.PutImage(ImageSpec{
		Repository: Repository, Tags: []string{tag}, Content: "acme/app " + tag, Subject: true,
		Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}},
		Attest: func(p stemma.Platform, manifest stemma.Digest) []*Statement {
			return []*Statement{BuildKit{
				Repository: repository, Tag: tag, Platform: p, Source: "https://github.com/" + w.Build.Repository + ".git", Commit: w.Build.SHA,
				BuilderID: w.Build.runURL(), Max: true,
			}.V1(manifest)}
		},
	})
}

// SignManifest signs the bytes of any manifest in the repository of the image as cosign sign does with bundles: the
// image, one of its children, an SBOM that is attached to it. The signature is a referrer of that manifest. With
// [DockerBuilder] and the attestation manifests of [World.PutBuildKitImage] it is what docker/github-builder does: a
// signature of what holds the provenance.
func (w *World) SignManifest(i *Image, d stemma.Digest, as Identity) (*Signed, error) {
	mediaType, data, err := i.Registry.Manifest(i.Repository, string(d))
	if err != nil {
		return nil, fmt.Errorf("signing manifest: %w", err)
	}
	x, err := w.Sigstore.SignMessage(Sign{As: as}, data)
	if err != nil {
		return nil, fmt.Errorf("signing manifest %s: %w", d, err)
	}
	a := BundleArtifact(x)
	subject := describe(mediaType, data)
	a.Subject = &subject
	i.AttachReferrer(a)
	return x, nil
}

// Hostile puts a hostile registry in front of that of the world.
func (w *World) Hostile() *Hostile {
	h := &Hostile{Registry: w.Registry}
	w.Network[w.Registry.Host] = h
	return h
}
