package stemmatest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"stemma"
	"stemma/stemmatest"
)

func newWorld(t *testing.T) *stemmatest.World {
	t.Helper()
	return must[*stemmatest.World](t)(stemmatest.NewWorld(stemmatest.Config{}))
}

// client reaches the world's repository as a user's tool would.
func client(t *testing.T, w *stemmatest.World) *remote.Repository {
	t.Helper()
	repo := must[*remote.Repository](t)(remote.NewRepository("ghcr.io/acme/app"))
	repo.Client = &auth.Client{Client: &http.Client{Transport: w.Transport()}}
	return repo
}

func fetch(t *testing.T, repo *remote.Repository, d v1.Descriptor) []byte {
	t.Helper()
	r, err := repo.Fetch(context.Background(), d)
	check(t, err)
	b, err := io.ReadAll(r)
	check(t, err)
	check(t, r.Close())
	return b
}

func referrers(t *testing.T, repo *remote.Repository, of v1.Descriptor) []v1.Descriptor {
	t.Helper()
	out, err := registry.Referrers(context.Background(), repo, of, "")
	check(t, err)
	return out
}

func TestWorld(t *testing.T) {
	w := newWorld(t)
	repo := client(t, w)
	image := must[v1.Descriptor](t)(repo.Resolve(context.Background(), "v2.0.0"))
	if stemma.Digest(image.Digest) != w.Image.Digest() || image.MediaType != v1.MediaTypeImageIndex {
		t.Errorf("v2.0.0 is %s of type %s", image.Digest, image.MediaType)
	}
	if got, want := w.Image.Name().String(), "ghcr.io/acme/app@"+string(image.Digest); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	list := referrers(t, repo, image)
	if len(list) != 2 {
		t.Fatalf("%d referrers, want provenance and SBOM", len(list))
	}
	var types []string
	for _, d := range list {
		var m v1.Manifest
		check(t, stemma.DecodeJSON(fetch(t, repo, d), &m))
		if m.Subject == nil || m.Subject.Digest != image.Digest || len(m.Layers) != 1 {
			t.Fatalf("referrer %+v", m)
		}
		data := fetch(t, repo, m.Layers[0])
		if err := (verifier{trust: w.Sigstore.TrustedRoot()}).verify(t, data, w.Image.Digest()); err != nil {
			t.Error(err)
		}
		types = append(types, m.Annotations["dev.sigstore.bundle.predicateType"])
	}
	if diff := cmp.Diff([]string{"https://slsa.dev/provenance/v1", "https://spdx.dev/Document"}, types); diff != "" {
		t.Error(diff)
	}
	for _, p := range []string{"amd64", "arm64"} {
		d := w.Image.Platform(stemma.Platform{OS: "linux", Architecture: p})
		if d == "" {
			t.Fatalf("no child for %s", p)
		}
		var m v1.Manifest
		check(t, stemma.DecodeJSON(fetch(t, repo, must[v1.Descriptor](t)(repo.Resolve(context.Background(), string(d)))), &m))
		var config v1.Image
		check(t, json.Unmarshal(fetch(t, repo, m.Config), &config)) // has times, which the strict reader does not decode
		if config.Architecture != p || len(config.RootFS.DiffIDs) != 1 || len(fetch(t, repo, m.Layers[0])) == 0 {
			t.Errorf("%s: config %+v", p, config)
		}
	}
}

// Statement and certificate of an unvaried attestation tell the same story.
func TestWorldAgreesWithItself(t *testing.T) {
	w := newWorld(t)
	x := fulcio(t, w.Provenance.Signer.Certificate)
	j, err := stemma.ParseJSON(w.Provenance.Envelope.Payload)
	check(t, err)
	p := j.At("predicate")
	for _, c := range []struct{ what, got, want string }{
		{"builder", p.At("runDetails", "builder", "id").Text(), x[9]},
		{"run", p.At("runDetails", "metadata", "invocationId").Text(), x[21]},
		{"repository", p.At("buildDefinition", "externalParameters", "workflow", "repository").Text(), x[12]},
		{"ref", p.At("buildDefinition", "externalParameters", "workflow", "ref").Text(), x[14]},
		{"commit", p.At("buildDefinition", "resolvedDependencies", "0", "digest", "gitCommit").Text(), x[13]},
		{"dependency", p.At("buildDefinition", "resolvedDependencies", "0", "uri").Text(), "git+" + x[12] + "@" + x[14]},
		{"event", p.At("buildDefinition", "internalParameters", "github", "event_name").Text(), x[20]},
		{"runner", p.At("buildDefinition", "internalParameters", "github", "runner_environment").Text(), x[11]},
		{"workflow", x[12] + "/" + p.At("buildDefinition", "externalParameters", "workflow", "path").Text() + "@" + x[14], x[18]},
		{"builder of the fixture", x[9], "https://github.com/trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.3"},
		{"ref of the fixture", x[14], "refs/tags/v2.0.0"},
		{"caller of the fixture", x[12], "https://github.com/acme/app"},
		{"subject", "sha256:" + j.At("subject", "0", "digest", "sha256").Text(), string(w.Image.Digest())},
	} {
		if c.got != c.want || c.got == "" {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
}

// One changed step changes what it should and nothing else.
func TestVary(t *testing.T) {
	w := newWorld(t)
	trust := verifier{trust: w.Sigstore.TrustedRoot()}
	get := func(v stemmatest.Vary) (certificate map[int]string, statement *stemma.JSON) {
		t.Helper()
		x := must[*stemmatest.Signed](t)(w.Attest(w.Image, v))
		if err := trust.verify(t, x.Bundle(), w.Image.Digest()); err != nil {
			t.Error(err)
		}
		j, err := stemma.ParseJSON(x.Envelope.Payload)
		check(t, err)
		return fulcio(t, x.Signer.Certificate), j.At("predicate")
	}
	repository := []string{"buildDefinition", "externalParameters", "workflow", "repository"}
	c, s := get(stemmatest.Vary{Build: func(b *stemmatest.GitHub) { b.Repository = "evil/app" }})
	if c[12] != "https://github.com/evil/app" || s.At(repository...).Text() != c[12] || c[5] != "evil/app" || c[16] != "https://github.com/evil" {
		t.Errorf("another repository: certificate %q, statement %q", c[12], s.At(repository...).Text())
	}
	c, s = get(stemmatest.Vary{Build: func(b *stemmatest.GitHub) {
		b.Workflow, b.Ref = ".github/workflows/debug.yml", "refs/heads/wip"
		b.Builder = "acme/app/.github/workflows/debug.yml@refs/heads/wip"
	}})
	if c[9] != c[18] || c[10] != c[13] || s.At("runDetails", "builder", "id").Text() != c[9] {
		t.Errorf("a workflow of the repository itself: signer %s at %s, source at %s", c[9], c[10], c[13])
	}
	c, s = get(stemmatest.Vary{Certificate: func(c *stemmatest.Certificate) { c.Extensions[12] = "https://github.com/evil/app" }})
	if c[12] != "https://github.com/evil/app" || s.At(repository...).Text() != "https://github.com/acme/app" {
		t.Errorf("another repository in the certificate: certificate %q, statement %q", c[12], s.At(repository...).Text())
	}
	c, s = get(stemmatest.Vary{Statement: func(s *stemmatest.Statement) {
		s.Set("/buildDefinition/externalParameters/workflow/repository", "https://github.com/evil/app")
		s.Set("/buildDefinition/resolvedDependencies/0/digest/gitCommit", nil)
		s.Set("/runDetails/a~1b/~0", "new")
	}})
	if c[12] != "https://github.com/acme/app" || s.At(repository...).Text() != "https://github.com/evil/app" {
		t.Errorf("another repository in the statement: certificate %q, statement %q", c[12], s.At(repository...).Text())
	}
	if s.At("buildDefinition", "resolvedDependencies", "0", "digest", "gitCommit") != nil || s.At("runDetails", "a/b", "~").Text() != "new" {
		t.Errorf("removing and adding members: %s", s.Raw())
	}
}

func TestReferrersAnswers(t *testing.T) {
	for _, c := range []struct {
		mode stemmatest.Referrers
		size int
		want int
	}{
		{stemmatest.ReferrersOn, 0, 5},
		{stemmatest.ReferrersOn, 2, 5},
		{stemmatest.ReferrersEmpty, 0, 0},
		{stemmatest.ReferrersNull, 0, 0},
		{stemmatest.ReferrersOff, 0, 3},
	} {
		w := newWorld(t)
		// Three more, also in the index of the fallback tag.
		for i := range 3 {
			a := stemmatest.Artifact{Type: "application/vnd.acme.note", Annotations: map[string]string{"n": string(rune('0' + i))}}
			w.Image.AttachReferrer(a)
			must[v1.Descriptor](t)(w.Image.AttachFallback(a))
		}
		w.Registry.Referrers, w.Registry.PageSize = c.mode, c.size
		repo := client(t, w)
		if got := referrers(t, repo, w.Image.Descriptor); len(got) != c.want {
			t.Errorf("referrers %q with pages of %d: got %d, want %d", c.mode, c.size, len(got), c.want)
		}
		pages := 0
		for _, r := range w.Registry.Requests() {
			if strings.HasPrefix(r, "GET /v2/acme/app/referrers/") {
				pages++
			}
		}
		if c.size == 2 && pages != 3 {
			t.Errorf("%d pages, want 3", pages)
		}
	}
}

func TestAttestationManifests(t *testing.T) {
	for _, subject := range []bool{false, true} {
		w := newWorld(t)
		image := must[*stemmatest.Image](t)(w.Registry.PutImage(stemmatest.ImageSpec{
			Repository: stemmatest.Repository, Content: "buildkit", Subject: subject,
			Attest: func(p stemma.Platform, m stemma.Digest) []*stemmatest.Statement {
				b := stemmatest.BuildKit{Repository: "ghcr.io/acme/app", Tag: "v2.0.0", Platform: p, Source: "https://github.com/acme/app.git", Commit: stemmatest.Commit("x"), Base: "pkg:docker/alpine@3.22", BaseDigest: imageDigest(), Max: true}
				return []*stemmatest.Statement{b.V02(m), b.V1(m), stemmatest.SPDX(stemmatest.Subject("_", m))}
			},
		}))
		if len(image.Children) != 2 {
			t.Fatalf("%d children", len(image.Children))
		}
		child, att := image.Children[0], image.Children[1]
		if att.Annotations["vnd.docker.reference.type"] != "attestation-manifest" || att.Annotations["vnd.docker.reference.digest"] != string(child.Digest) || att.Platform.OS != "unknown" {
			t.Errorf("attestation manifest %+v", att)
		}
		repo := client(t, w)
		var m v1.Manifest
		check(t, stemma.DecodeJSON(fetch(t, repo, att), &m))
		if (m.Subject != nil) != subject {
			t.Errorf("subject %v", m.Subject)
		}
		if got := len(referrers(t, repo, child)); got != map[bool]int{false: 0, true: 1}[subject] {
			t.Errorf("%d referrers of the platform manifest", got)
		}
		for _, l := range m.Layers {
			s, err := stemma.ParseStatement(fetch(t, repo, l))
			check(t, err)
			if s.PredicateType != l.Annotations["in-toto.io/predicate-type"] {
				t.Errorf("layer says %s, statement %s", l.Annotations["in-toto.io/predicate-type"], s.PredicateType)
			}
			if _, reason, detail := s.Bind(stemma.Digest(child.Digest), nil); reason != "" {
				t.Errorf("%s: %s %s", s.PredicateType, reason, detail)
			}
		}
	}
}

func TestWriteLayout(t *testing.T) {
	w := newWorld(t)
	w.Image.AttachCosign(".att", must[stemmatest.Layer](t)(w.Provenance.CosignAttestation()))
	other := must[*stemmatest.Image](t)(w.PutImage("v2.0.1"))
	w.Attach(other, w.Provenance)
	att := stemmatest.CosignTag(w.Image.Digest(), ".att")
	for _, c := range []struct {
		style stemmatest.LayoutStyle
		want  []string // in index.json
	}{
		{stemmatest.LayoutTags, []string{"org.opencontainers.image.ref.name=v2.0.0", "org.opencontainers.image.ref.name=" + att}},
		{stemmatest.LayoutCosign, []string{"kind=dev.cosignproject.cosign/imageIndex", "kind=dev.cosignproject.cosign/atts"}},
	} {
		dir := t.TempDir()
		check(t, w.Image.WriteLayout(dir, c.style))
		store := must[*oci.ReadOnlyStore](t)(oci.NewFromFS(context.Background(), os.DirFS(dir)))
		if got := must[[]v1.Descriptor](t)(store.Predecessors(context.Background(), w.Image.Descriptor)); len(got) != 2 {
			t.Errorf("%q: %d referrers of the image, want 2", c.style, len(got))
		}
		if ok := must[bool](t)(store.Exists(context.Background(), other.Descriptor)); ok {
			t.Errorf("%q: another image is in the layout", c.style)
		}
		var index v1.Index
		check(t, stemma.DecodeJSON(must[[]byte](t)(os.ReadFile(filepath.Join(dir, "index.json"))), &index))
		var got []string
		for _, d := range index.Manifests {
			for _, k := range []string{"org.opencontainers.image.ref.name", "kind"} {
				if v := d.Annotations[k]; v != "" {
					got = append(got, k+"="+v)
				}
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q: index.json (-want +got):\n%s", c.style, diff)
		}
		// Every blob that the image needs is there and has its digest.
		l := must[layout.Path](t)(layout.FromPath(dir))
		root := must[ggcr.ImageIndex](t)(l.ImageIndex())
		image := must[ggcr.ImageIndex](t)(root.ImageIndex(ggcr.Hash{Algorithm: "sha256", Hex: w.Image.Digest().Hex()}))
		check(t, validate.Index(image))
	}
}
