package verify_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

func linuxAMD64() stemma.Platform { return stemma.Platform{OS: "linux", Architecture: "amd64"} }

// level is one image of a chain, each built and signed by a job of its own repository.
type level struct {
	*stage
	name string
	on   *stemmatest.Image
	spec stemmatest.ImageSpec

	copied *stemmatest.Image // from which a file was copied
	names  *stemmatest.Image // what its provenance names as base; nil: on
	by     *stemmatest.GitHub
	anyone bool              // nobody signs its provenance
	silent bool              // it has none
	plain  bool              // it names no images, and does not tell its steps
	beside *stemmatest.Image // what further provenance names, which nobody signs
	of     *stemmatest.Image // what the provenance is about; nil: the image
}

func (l level) put() *stemmatest.Image {
	l.Helper()
	if l.spec.Content == "" {
		l.spec.Content = l.name
	}
	l.spec.Repository, l.spec.On, l.spec.Tags = "acme/"+l.name, l.on, []string{"v1"}
	image := must[*stemmatest.Image](l)(l.Registry.PutImage(l.spec))
	if l.names == nil {
		l.names = l.on
	}
	if !l.silent {
		l.state(image)
	}
	return image
}

// state attaches provenance to the manifest of the platform.
func (l level) state(image *stemmatest.Image) {
	build := stemmatest.BuildKit{Repository: l.name, Tag: "v1", Platform: linuxAMD64(), Max: true, Steps: true, Source: "https://github.com/acme/" + l.name + ".git", Commit: strings.Repeat("a", 40)}
	if l.names != nil {
		build.Base, build.BaseDigest = "pkg:docker/ghcr.io/"+l.names.Repository+"@v1", l.names.Digest()
	}
	if l.copied != nil {
		build.Stage, build.StageOf = "pkg:docker/ghcr.io/"+l.copied.Repository+"@v1", l.copied.Digest()
	}
	about := image
	if l.of != nil {
		about = l.of
	}
	as := l.Build
	if as.Repository = "acme/" + l.name; l.by != nil {
		as = *l.by
	}
	as.SHA = build.Commit
	st := build.V1(about.Platform(linuxAMD64()))
	at := *image
	at.Descriptor = image.Children[0]
	if l.plain {
		st = stemmatest.ActionsAttest(as, stemma.ResourceDescriptor{Name: "ghcr.io/" + image.Repository, Digest: map[string]string{"sha256": strings.TrimPrefix(string(about.Platform(linuxAMD64())), "sha256:")}})
	}
	unsigned := func(st *stemmatest.Statement) {
		at.AttachReferrer(stemmatest.Artifact{Type: "application/vnd.in-toto+json", Layers: []stemmatest.Layer{{MediaType: "application/vnd.in-toto+json", Data: st.JSON()}}})
	}
	if l.beside != nil {
		build.Base, build.BaseDigest = "pkg:docker/ghcr.io/"+l.beside.Repository+"@v1", l.beside.Digest()
		unsigned(build.V1(image.Platform(linuxAMD64())))
	}
	if l.anyone {
		unsigned(st)
		return
	}
	l.Attach(&at, must[*stemmatest.Signed](l)(l.Sigstore.Attest(stemmatest.Sign{As: as}, st.JSON())))
}

// tree is what "stemma tree" is of an image: an edge a line, from the top.
func (s *stage) tree(image string, bases ...string) (string, *stemma.Evidence) {
	s.Helper()
	v := must[*verify.Verifier](s)(s.verifier())
	e, err := v.Tree(s.Context(), verify.Request{Image: image, Situation: stemma.Situation{At: s.Now}, Bases: bases})
	check(s, err)
	return outline(e), e
}

// outline is an edge a line, from the top.
func outline(e *stemma.Evidence) string {
	var b strings.Builder
	for n := e.Platforms[0]; n != nil && n.Base != nil; n = n.Base.Evidence {
		l := n.Base
		fmt.Fprintf(&b, "%s %s %d %s", l.Grade, strings.TrimPrefix(l.Base.Repository, "ghcr.io/acme/"), l.Layers, l.How)
		if l.Stopped != "" {
			b.WriteString(" stopped")
		}
		b.WriteString("\n")
	}
	return strings.NewReplacer("  0 \n", "\n", " 0 \n", "\n").Replace(b.String())
}

// A chain of five images, each on the one before, and what becomes of it when one of them lies. The expected chain is what
// was built, and never what the verifier said.
func TestLineageChain(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*level) // of the fourth of five
		want   string
		why    string
	}{
		{"good", func(*level) {}, "proven web 4 blob-identical\nproven node 3 blob-identical\nproven run 2 blob-identical\nproven debian 1 blob-identical\nscratch-proven\n", ""},
		{"compressed anew", func(l *level) { l.spec.Anew = true }, "proven web 4 blob-identical\nproven node 3 diffid-recomputed\nproven run 2 blob-identical\nproven debian 1 blob-identical\nscratch-proven\n", ""},
		{"wrong base", func(l *level) { l.names = level{stage: l.stage, name: "other"}.put() }, "proven web 4 blob-identical\ncontradicted other\n", "layer 1 of the image is not its"},
		{"squashed", func(l *level) { l.names, l.on = l.on, nil }, "proven web 1 blob-identical\ncontradicted node\n", "it has 3 layers, and the image 1"},
		{"nobody signed it", func(l *level) { l.anyone = true }, "proven web 4 blob-identical\nlayers node 3 blob-identical\nproven run 2 blob-identical\nproven debian 1 blob-identical\nscratch-proven\n", "nobody who is trusted names it"},
		{"signed by a stranger", func(l *level) {
			evil := l.Build
			evil.Builder, evil.BuilderSHA = "mallory/builders/.github/workflows/build.yml@refs/tags/v1.2.3", ""
			l.by = &evil
		}, "proven web 4 blob-identical\nlayers node 3 blob-identical\nproven run 2 blob-identical\nproven debian 1 blob-identical\nscratch-proven\n", "nobody who is trusted names it"},
		{"no evidence", func(l *level) { l.silent = true }, "proven web 4 blob-identical\nunknown\n", "nothing names what it stands on"},
		{"on nothing", func(l *level) { l.on = nil }, "proven web 1 blob-identical\nscratch-proven\n", ""},
		{"rebased by hand", func(l *level) { l.on = level{stage: l.stage, name: "newer"}.put() }, "proven web 2 blob-identical\nproven newer 1 blob-identical\nscratch-proven\n", ""},
		{"an annotation of another image", func(l *level) {
			l.silent, l.spec.Annotations = true, map[string]string{"org.opencontainers.image.base.name": "ghcr.io/acme/other:v1", "org.opencontainers.image.base.digest": string(level{stage: l.stage, name: "other"}.put().Digest())}
		}, "proven web 4 blob-identical\ncontradicted other\n", "the annotation org.opencontainers.image.base.name names it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			var on *stemmatest.Image
			for i, name := range []string{"debian", "run", "node", "web", "shop"} {
				l := level{stage: s, name: name, on: on}
				if i == 3 {
					c.change(&l)
				}
				on = l.put()
			}
			got, e := s.tree("ghcr.io/acme/shop:v1")
			if got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
			why := ""
			for n := e.Platforms[0]; n != nil && n.Base != nil; n = n.Base.Evidence {
				why += n.Base.Why + "\n"
			}
			if !strings.Contains(why, c.why) {
				t.Errorf("why %q: want %q in it", why, c.why)
			}
		})
	}
}

// Two images of the same layers name each other in what lies beside them. The walk ends, and says why.
func TestReg_H01_circle(t *testing.T) {
	s := newStage(t)
	of := func(name string) level {
		return level{stage: s, name: name, silent: true, spec: stemmatest.ImageSpec{Content: "same", Labels: map[string]string{"name": name}}}
	}
	a, b := of("a"), of("b")
	imageA, imageB := a.put(), b.put()
	a.names, b.names = imageB, imageA
	a.state(imageA)
	b.state(imageB)
	got, e := s.tree("ghcr.io/acme/a:v1")
	if want := "proven b 1 blob-identical\ncontradicted a 1 blob-identical\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if why := e.Platforms[0].Base.Evidence.Base.Why; !strings.Contains(why, "round in a circle") {
		t.Errorf("why %q", why)
	}
}

// A chain that is deeper than anybody looks ends there, and says so.
func TestReg_H02_deep(t *testing.T) {
	s := newStage(t)
	var on *stemmatest.Image
	for i := range 20 {
		on = level{stage: s, name: fmt.Sprintf("l%d", i), on: on}.put()
	}
	got, _ := s.tree("ghcr.io/acme/l19:v1")
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != 16 || lines[15] != "proven l3 4 blob-identical stopped" {
		t.Errorf("%d levels, the last %q", len(lines), lines[len(lines)-1])
	}
}

// An image of which the build used something is looked at apart, and is no base; it may be missing.
func TestReg_H06_stage(t *testing.T) {
	s := newStage(t)
	base := level{stage: s, name: "base"}.put()
	golang := level{stage: s, name: "golang"}.put()
	level{stage: s, name: "app", on: base, copied: golang}.put()
	missing := *golang
	missing.Descriptor.Digest = base.Children[0].Digest
	missing.Repository = "acme/absent"
	level{stage: s, name: "web", on: base, copied: &missing}.put()
	got, e := s.tree("ghcr.io/acme/app:v1")
	stages := e.Platforms[0].Base.Stages
	if got != "proven base 1 blob-identical\nscratch-proven\n" || len(stages) != 1 || stages[0].Image.Digest != golang.Digest() || stages[0].Evidence == nil || stages[0].Why != "" || stages[0].By == "" {
		t.Errorf("%s%+v", got, stages)
	}
	got, e = s.tree("ghcr.io/acme/web:v1")
	stages = e.Platforms[0].Base.Stages
	if got != "proven base 1 blob-identical\nscratch-proven\n" || len(stages) != 1 || stages[0].Evidence != nil || !strings.Contains(stages[0].Why, "404") {
		t.Errorf("%s%+v", got, stages)
	}
}

// What stands on nothing that is named is found by the images that are given, for its own platform.
func TestLineageKnown(t *testing.T) {
	s := newStage(t)
	arm := stemma.Platform{OS: "linux", Architecture: "arm64"}
	base := level{stage: s, name: "base", silent: true, spec: stemmatest.ImageSpec{Platforms: []stemma.Platform{linuxAMD64(), arm}}}.put()
	level{stage: s, name: "app", on: base, silent: true, spec: stemmatest.ImageSpec{Platforms: []stemma.Platform{linuxAMD64(), arm}}}.put()
	if got, _ := s.tree("ghcr.io/acme/app:v1"); got != "unknown\n" {
		t.Errorf("nothing is given: %s", got)
	}
	got, e := s.tree("ghcr.io/acme/app:v1", "ghcr.io/acme/base:v1")
	if got != "layers base 1 blob-identical\nunknown\n" {
		t.Errorf("%s", got)
	}
	for i, p := range []stemma.Platform{linuxAMD64(), arm} {
		if b := e.Platforms[i].Base; b.Base.Digest != base.Platform(p) || b.Index != base.Digest() {
			t.Errorf("%s stands on %s of %s: want %s of %s", p, b.Base, b.Index, base.Platform(p), base.Digest())
		}
	}
}

// Real images: three that were built with mode=max on one base, which is not at hand; one of which provenance names two
// images and tells neither; one of which nothing is told; apko's base and what stands on it, for two platforms; and
// Docker's, which stand on nothing though an image is among the materials.
func TestCorpusLineage(t *testing.T) {
	data := filepath.Join(corpus(t), "data")
	v := must[*verify.Verifier](t)(verify.New(t.Context(), verify.Config{Roots: map[string][]byte{policy.PublicGood: must[[]byte](t)(os.ReadFile(filepath.Join(data, "sigstore_root-signing/targets/trusted_root.json")))}, Network: verify.Network{Transport: nowhere{}, Sleep: atOnce}}))
	container := "slsa-verifier/cli/slsa-verifier/testdata/gha_generic_container/%s/container_workflow_dispatch"
	apko := "chainguard-dev_apko/internal/cli/testdata/"
	for _, c := range []struct {
		image, base string
		want        []string // of each platform: grade, base, layers
	}{
		{fmt.Sprintf(container, "v1.4.0"), "", []string{"unknown  0"}},
		{fmt.Sprintf(container, "v1.6.0"), "", []string{"claimed gcr.io/distroless/static 9"}},
		{fmt.Sprintf(container, "v1.7.0"), "", []string{"claimed gcr.io/distroless/static 9"}},
		{fmt.Sprintf(container, "v1.9.0"), "", []string{"claimed gcr.io/distroless/static 9"}},
		{fmt.Sprintf(container, "v2.0.0"), "", []string{"unknown  0"}},
		{apko + "top_image@sha256:3c6b4bb5b39be26700e6baff9d83a53bba4a0d994e22638d11a4c104bc9e39c9", apko + "base_image", []string{"layers base_image 1"}},
		{apko + "top_image@sha256:9743477d70b66d27d627eb7dc1a548dee98ad742b195e24545b73a1c7113aea8", apko + "base_image", []string{"layers base_image 1"}},
		{"docker_attest/test/testdata/unsigned-index", "", []string{"scratch-claimed  0", "scratch-claimed  0"}},
	} {
		r := verify.Request{Image: "oci:" + filepath.Join(data, c.image)}
		if c.base != "" {
			r.Bases = []string{"oci:" + filepath.Join(data, c.base)}
		}
		e, err := v.Tree(t.Context(), r)
		check(t, err)
		var got []string
		for _, n := range append([]*stemma.Evidence{e}, e.Platforms...) {
			if b := n.Base; b != nil {
				name := b.Base.Repository
				if strings.HasPrefix(name, "oci:") {
					name = filepath.Base(name)
				}
				got = append(got, fmt.Sprintf("%s %s %d", b.Grade, name, b.Layers))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.image, got, c.want)
		}
	}
}

// nowhere is a network without anybody in it.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("no network") }
