package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

func ok[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// places puts images into the world whose evidence lies in different places: ghcr.io/acme/app:places has some in each,
// and of ghcr.io/acme/app:elsewhere all is in ghcr.io/acme/evidence.
func places(t *testing.T, w *stemmatest.World) {
	t.Helper()
	image := ok[*stemmatest.Image](t)(w.Registry.PutImage(stemmatest.ImageSpec{
		Repository: stemmatest.Repository, Tags: []string{"places"}, Content: "places",
		Attest: func(p stemma.Platform, manifest stemma.Digest) []*stemmatest.Statement {
			return []*stemmatest.Statement{stemmatest.BuildKit{Platform: p, Repository: "ghcr.io/acme/app", Tag: "places"}.V1(manifest)}
		},
	}))
	attest := func(i *stemmatest.Image, run string) *stemmatest.Signed {
		v := stemmatest.Vary{Statement: func(s *stemmatest.Statement) { s.Set("/runDetails/metadata/extra", run) }}
		if run == "att tag" { // what cosign writes there has no timestamp
			v.Sign = func(s *stemmatest.Sign) { s.MediaType, s.Entry = stemmatest.MediaTypeDSSE, stemmatest.EntryDSSE001 }
		}
		return ok[*stemmatest.Signed](t)(w.Attest(i, v))
	}
	w.Attach(image, attest(image, "referrers"))
	sbom := ok[*stemmatest.Signed](t)(w.Sigstore.Attest(stemmatest.Sign{As: w.Build}, stemmatest.SPDX(w.Subject(image)).JSON()))
	ok[v1.Descriptor](t)(image.AttachFallback(stemmatest.BundleArtifact(sbom)))
	signature := ok[*stemmatest.Signed](t)(w.Sigstore.SignMessage(stemmatest.Sign{As: w.Build}, stemmatest.SimpleSigning("ghcr.io/acme/app", image.Digest())))
	image.AttachCosign(".sig", ok[stemmatest.Layer](t)(signature.CosignSignature()))
	image.AttachCosign(".att", ok[stemmatest.Layer](t)(attest(image, "att tag").CosignAttestation()))
	image.At(w.Registry, "acme/evidence").AttachReferrer(stemmatest.BundleArtifact(attest(image, "alternate")))
	// An SBOM as a file, and its signature: a referrer of a referrer.
	file := image.AttachReferrer(stemmatest.Artifact{Type: "application/spdx+json", Layers: []stemmatest.Layer{{
		MediaType: "application/spdx+json", Data: []byte(`{"spdxVersion":"SPDX-2.3","name":"app"}`),
	}}})
	_, manifest, err := w.Registry.Manifest(stemmatest.Repository, string(file.Digest))
	signed := ok[*stemmatest.Signed](t)(w.Sigstore.SignMessage(stemmatest.Sign{As: w.Build}, ok[[]byte](t)(manifest, err)))
	artifact := stemmatest.BundleArtifact(signed)
	artifact.Subject = &file
	image.AttachReferrer(artifact)

	elsewhere := ok[*stemmatest.Image](t)(w.PutImage("elsewhere"))
	elsewhere.At(w.Registry, "acme/evidence").AttachReferrer(stemmatest.BundleArtifact(attest(elsewhere, "alternate")))
}

// family puts images into the world of which one member of the family is attested, and copies.
func family(t *testing.T, w *stemmatest.World) {
	t.Helper()
	about := func(i *stemmatest.Image, d v1.Descriptor) {
		x := ok[*stemmatest.Signed](t)(w.Attest(i, stemmatest.Vary{Statement: func(s *stemmatest.Statement) {
			s.Subject = []stemma.ResourceDescriptor{stemmatest.Subject("ghcr.io/acme/app", stemma.Digest(d.Digest))}
		}}))
		a := stemmatest.BundleArtifact(x)
		a.Subject = &d
		i.AttachReferrer(a)
	}
	children := ok[*stemmatest.Image](t)(w.PutImage("children")) // every child is attested, the index is not
	for _, c := range children.Children {
		about(children, c)
	}
	twice := ok[*stemmatest.Image](t)(w.PutImage("twice")) // two manifests of one platform
	list := slices.Clone(twice.Children)
	list[1].Platform = list[0].Platform
	data := ok[[]byte](t)(json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": list}))
	twice.Children, twice.Descriptor = list, w.Registry.PutManifest(stemmatest.Repository, v1.MediaTypeImageIndex, data, "twice")
	for _, c := range list {
		about(twice, c)
	}
	for _, repository := range []string{"evil/app", "hub/app"} { // copies of the good image, without evidence
		ok[*stemmatest.Image](t)(w.Image.CopyTo(w.Registry, repository, "v2.0.0"))
	}
	misnamed := ok[*stemmatest.Image](t)(w.PutImage("misnamed")) // a cosign signature that names another repository
	x := ok[*stemmatest.Signed](t)(w.Sigstore.SignMessage(stemmatest.Sign{As: w.Build}, stemmatest.SimpleSigning("ghcr.io/evil/app", misnamed.Digest())))
	misnamed.AttachCosign(".sig", ok[stemmatest.Layer](t)(x.CosignSignature()))
}

// broken adds registries of which each answers in one wrong way when it is asked for its image acme/app:v1.
func broken(t *testing.T, w *stemmatest.World) {
	t.Helper()
	for host, fault := range map[string]func(http.ResponseWriter, *http.Request){
		"401.example": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			rw.WriteHeader(http.StatusUnauthorized)
		},
		"403.example": func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusForbidden) },
		"404.example": func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNotFound) },
		"429.example": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Retry-After", "60")
			rw.WriteHeader(http.StatusTooManyRequests)
		},
		"500.example":     func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusInternalServerError) },
		"timeout.example": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"digest.example": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", v1.MediaTypeImageIndex)
			_, _ = rw.Write([]byte(`{"schemaVersion":2,"manifests":[]}`)) // of another digest than any that is asked for
		},
	} {
		r := stemmatest.NewRegistry(host)
		ok[*stemmatest.Image](t)(r.PutImage(stemmatest.ImageSpec{Repository: "acme/app", Tags: []string{"v1"}, Content: "app"}))
		r.Fault = func(rw http.ResponseWriter, q *http.Request) bool {
			if !strings.Contains(q.URL.Path, "/manifests/") {
				return false
			}
			fault(rw, q)
			return true
		}
		w.Network[host] = r
	}
}

// services puts attestations of ghcr.io/acme/app:services, which has none in its registry, into the services that keep
// them by digest.
func services(t *testing.T, w *stemmatest.World) {
	t.Helper()
	image := ok[*stemmatest.Image](t)(w.PutImage("services"))
	attest := func(run string) *stemmatest.Signed {
		return ok[*stemmatest.Signed](t)(w.Attest(image, stemmatest.Vary{Statement: func(s *stemmatest.Statement) { s.Set("/runDetails/metadata/extra", run) }}))
	}
	github, gitlab := &stemmatest.GitHubAPI{}, &stemmatest.GitLabAPI{}
	github.Put("acme/app", image.Digest(), attest("github").Bundle())
	gitlab.Put("acme/app", image.Digest(), attest("gitlab").Bundle())
	analysis, archivista := &stemmatest.ArtifactAnalysisAPI{Project: "acme"}, &stemmatest.ArchivistaAPI{}
	analysis.Put("ghcr.io/acme/app", image.Digest(), attest("analysis").Envelope)
	archivista.Put(image.Digest(), attest("archivista").Envelope.JSON())
	w.Network["api.github.com"], w.Network["gitlab.example"] = github, gitlab
	w.Network["containeranalysis.googleapis.com"], w.Network["archivista.example"] = analysis, archivista
	denied := &stemmatest.GitHubAPI{}
	denied.Token = "never"
	w.Network["ghe.example"] = denied
}

// standing puts images into the world that stand on one another: ghcr.io/acme/app:shop on ghcr.io/acme/web, that on
// ghcr.io/acme/debian. Provenance of the first two, signed by the builder, says so; of the third there is none.
func standing(t *testing.T, w *stemmatest.World) {
	t.Helper()
	amd64 := stemma.Platform{OS: "linux", Architecture: "amd64"}
	var on *stemmatest.Image
	for _, name := range []string{"debian", "web", "app"} {
		tag := map[string]string{"app": "shop"}[name]
		if tag == "" {
			tag = "v1"
		}
		image := ok[*stemmatest.Image](t)(w.Registry.PutImage(stemmatest.ImageSpec{Repository: "acme/" + name, Tags: []string{tag}, Content: name, On: on}))
		if on != nil {
			build := stemmatest.BuildKit{
				Repository: name, Tag: tag, Platform: amd64, Max: true, Steps: true, Source: "https://github.com/acme/" + name + ".git", Commit: strings.Repeat("a", 40),
				Base: "pkg:docker/ghcr.io/" + on.Repository + "@v1", BaseDigest: on.Digest(),
			}
			at, as := *image, w.Build
			at.Descriptor, as.Repository, as.SHA = image.Children[0], "acme/"+name, build.Commit
			w.Attach(&at, ok[*stemmatest.Signed](t)(w.Sigstore.Attest(stemmatest.Sign{As: as}, build.V1(image.Platform(amd64)).JSON())))
		}
		if name == "web" {
			// Of what stands beside app on the same, nothing is said.
			ok[*stemmatest.Image](t)(w.Registry.PutImage(stemmatest.ImageSpec{Repository: "acme/plain", Tags: []string{"v1"}, Content: "plain", On: image}))
		}
		on = image
	}
}
