package lineage_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"stemma"
	"stemma/internal/lineage"
)

var amd64 = stemma.Platform{OS: "linux", Architecture: "amd64"} //nolint // constants cannot be structs

// shelf is a registry of stacks, by digest, with the contents of their blobs.
type shelf struct {
	stacks map[stemma.Digest]*stemma.Stack
	blobs  map[stemma.Digest][]byte
	known  []stemma.Image
	facts  map[stemma.Digest]stemma.Digest
	opened int
	broken bool
}

func newShelf() *shelf {
	return &shelf{stacks: map[stemma.Digest]*stemma.Stack{}, blobs: map[stemma.Digest][]byte{}, facts: map[stemma.Digest]stemma.Digest{}}
}

func (s *shelf) Stack(_ context.Context, image stemma.Image, p stemma.Platform) (*stemma.Stack, error) {
	if x := s.stacks[image.Digest]; x != nil && x.Platform == p {
		return x, nil
	}
	return nil, errors.New("404 Not Found")
}

func (s *shelf) Blob(_ context.Context, _ stemma.Image, l stemma.Layer) (io.ReadCloser, error) {
	s.opened++
	if b, ok := s.blobs[l.Digest]; ok && !s.broken {
		return io.NopCloser(bytes.NewReader(b)), nil
	}
	return nil, errors.New("503 Service Unavailable")
}

func (s *shelf) Known(_ context.Context, chains []stemma.Digest) ([]stemma.Image, error) {
	var out []stemma.Image
	for _, image := range s.known {
		ids := s.stacks[image.Digest].ChainIDs()
		for _, c := range chains {
			if c == ids[len(ids)-1] {
				out = append(out, image)
			}
		}
	}
	return out, nil
}

func (s *shelf) Content(blob stemma.Digest) (stemma.Digest, bool) {
	d, ok := s.facts[blob]
	return d, ok
}
func (s *shelf) Keep(blob, diffID stemma.Digest) { s.facts[blob] = diffID }

func zipped(text string, level int) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, level)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

// layer is one whose content is a text, compressed at a level.
func (s *shelf) layer(text string, level int) stemma.Layer {
	b := zipped(text, level)
	d := stemma.SHA256(b)
	s.blobs[d] = b
	return stemma.Layer{Digest: d, DiffID: stemma.SHA256([]byte(text)), Size: int64(len(b))}
}

// put makes an image of layers, a word each, at a level of compression.
func (s *shelf) put(name, words string, level int) *stemma.Stack {
	x := &stemma.Stack{Image: stemma.Image{Repository: "registry.example/" + name, Digest: stemma.SHA256([]byte(name))}, Platform: amd64}
	for _, w := range strings.Fields(words) {
		if w == "empty" {
			x.Layers = append(x.Layers, stemma.Layer{Digest: stemma.SHA256([]byte("e")), DiffID: "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"})
			continue
		}
		x.Layers = append(x.Layers, s.layer(w, level))
	}
	s.stacks[x.Image.Digest] = x
	return x
}

func attestation(bundle string, signer string) stemma.Attestation {
	return stemma.Attestation{
		Bundle: stemma.SHA256([]byte(bundle)), Signer: stemma.Identity{KeyID: signer}, Binding: stemma.Binding{Kind: stemma.BindingExact},
		Statement: stemma.Statement{PredicateType: stemma.PredicateSLSAv1},
	}
}

func input(x *stemma.Stack, role stemma.InputRole) stemma.Input {
	return stemma.Input{
		ResourceDescriptor: stemma.ResourceDescriptor{Digest: map[string]string{"sha256": x.Image.Digest.Hex()}},
		Kind:               stemma.InputImage, Canonical: x.Image.Repository, Role: role,
	}
}

func steps(bundle string, inputs ...stemma.Input) stemma.Provenance {
	p := stemma.Provenance{Bundle: stemma.SHA256([]byte(bundle)), Inputs: inputs, Ground: &stemma.Ground{Kind: stemma.GroundScratch}}
	for _, in := range inputs {
		if in.Role == stemma.RoleBase {
			p.Ground.Kind = stemma.GroundImage
		}
	}
	return p
}

func materials(bundle string, inputs ...stemma.Input) stemma.Provenance {
	return stemma.Provenance{Bundle: stemma.SHA256([]byte(bundle)), Inputs: inputs}
}

func hint(kind string, x *stemma.Stack) stemma.Provenance {
	in := input(x, stemma.RoleBase)
	in.Where = kind + " org.opencontainers.image.base.digest"
	return stemma.Provenance{Inputs: []stemma.Input{in}}
}

func show(l *stemma.Lineage) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %d %s", l.Grade, l.Base.Repository, l.Layers, l.How)
	for _, s := range l.Signals {
		name := s.Image.Repository
		if s.Scratch {
			name = "scratch"
		}
		fmt.Fprintf(&b, "; %s %s %s: %s", s.Binding, s.Kind, name, s.Outcome)
	}
	text := strings.ReplaceAll(strings.Join(strings.Fields(b.String()), " "), " ;", ";")
	return strings.ReplaceAll(text, "registry.example/", "")
}

// Each threat stands beside the positive that is nearest to it.
func TestLineage(t *testing.T) {
	const rest = " a b c"
	for _, c := range []struct {
		name string
		make func(*shelf, *stemma.Evidence) (app *stemma.Stack)
		want string
		why  string
	}{
		{"signed steps name the base", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("base", "1 2", 6), stemma.RoleBase), input(s.put("golang", "9", 6), stemma.RoleStage)))
			return s.put("app", "1 2 a", 6)
		}, "proven base 2 blob-identical; signed steps base: chosen", ""},
		{"signed steps, re-compressed", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("base", "1 2", 6), stemma.RoleBase)))
			return s.put("app", "1 2 a", 1)
		}, "proven base 2 diffid-recomputed; signed steps base: chosen", ""},
		{"H03: claimed trusted base over other layers", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("base", "1 2", 6), stemma.RoleBase)))
			return s.put("app", "1 x a", 6)
		}, "contradicted base 0; signed steps base: disagrees", "layer 2 of the image is not its"},
		{"diff_ids copied over other blobs", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("base", "1 2", 6), stemma.RoleBase)))
			app := s.put("app", "1 x a", 6)
			app.Layers[1].DiffID = stemma.SHA256([]byte("2"))
			return app
		}, "contradicted base 0; signed steps base: disagrees", "the content of layer 2 of registry.example/app"},
		{"diff_ids of the base are a lie", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			base := s.put("base", "1 x", 6)
			base.Layers[1].DiffID = stemma.SHA256([]byte("2"))
			e.Provenance = append(e.Provenance, steps("p", input(base, stemma.RoleBase)))
			return s.put("app", "1 2 a", 6)
		}, "contradicted base 0; signed steps base: disagrees", "the content of layer 2 of registry.example/base"},
		{"contents that cannot be computed", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			s.broken = true
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("base", "1 2", 6), stemma.RoleBase)))
			return s.put("app", "1 2 a", 1)
		}, "claimed base 0; signed steps base: unproven", "503 Service Unavailable"},
		{"a foreign layer", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("base", "1 2", 6), stemma.RoleBase)))
			app := s.put("app", "1 2 a", 6)
			app.Layers[0].Foreign = true
			return app
		}, "claimed base 0; signed steps base: unproven", "fetched from elsewhere"},
		{"another platform's manifest", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			base := s.put("base", "1 2", 6)
			base.Platform.Architecture = "arm64"
			e.Provenance = append(e.Provenance, steps("p", input(base, stemma.RoleBase)))
			return s.put("app", "1 2 a", 6)
		}, "claimed base 0; signed steps base: unresolvable", "404 Not Found"},
		{"an empty-layer base", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("base", "empty", 6), stemma.RoleBase)))
			return s.put("app", "empty a", 6)
		}, "contradicted base 0; signed steps base: disagrees", "empty layers alone"},
		{"an empty layer among others", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("base", "empty 1", 6), stemma.RoleBase)))
			return s.put("app", "empty 1 a", 6)
		}, "proven base 2 blob-identical; signed steps base: chosen", ""},
		{"config alone is changed", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("base", "1 2", 6), stemma.RoleBase)))
			return s.put("app", "1 2", 6)
		}, "proven base 2 blob-identical; signed steps base: chosen", ""},
		{"a base larger than the image", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("base", "1 2"+rest, 6), stemma.RoleBase)))
			return s.put("app", "1 2", 6)
		}, "contradicted base 0; signed steps base: disagrees", "it has 5 layers, and the image 2"},
		{"the image itself", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			app := s.put("app", "1 2", 6)
			e.Provenance = append(e.Provenance, steps("p", input(app, stemma.RoleBase)))
			return app
		}, "claimed app 0; signed steps app: unresolvable", "it is the image itself"},
		{"two that are trusted name two", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"), attestation("q", "ci"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("base", "1 2", 6), stemma.RoleBase)), steps("q", input(s.put("other", "1", 6), stemma.RoleBase)))
			return s.put("app", "1 2 a", 6)
		}, "contradicted 0; signed steps base: beneath; signed steps other: beneath", "says registry.example/"},
		{"an unsigned one beside it names another", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("base", "1 2", 6), stemma.RoleBase)))
			q := steps("q", input(s.put("other", "1", 6), stemma.RoleBase))
			e.Unsigned = append(e.Unsigned, stemma.Unsigned{Bound: true, Sealed: true, Provenance: &q})
			return s.put("app", "1 2 a", 6)
		}, "proven base 2 blob-identical; signed steps base: chosen; sealed steps other: not-immediate", ""},
		{"a stranger names another", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"), attestation("q", "stranger"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("base", "1 2", 6), stemma.RoleBase)), steps("q", input(s.put("other", "x", 6), stemma.RoleBase)))
			return s.put("app", "1 2 a", 6)
		}, "proven base 2 blob-identical; signed steps base: chosen; loose steps other: disagrees", ""},
		{"a stranger alone", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("q", "stranger"))
			e.Provenance = append(e.Provenance, steps("q", input(s.put("base", "1 2", 6), stemma.RoleBase)))
			return s.put("app", "1 2 a", 6)
		}, "layers base 2 blob-identical; loose steps base: chosen", "nobody who is trusted names it"},
		{"a stranger's lie", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("q", "stranger"))
			e.Provenance = append(e.Provenance, steps("q", input(s.put("base", "x", 6), stemma.RoleBase)))
			return s.put("app", "1 2 a", 6)
		}, "unknown 0; loose steps base: disagrees", "nothing names what it stands on"},
		{"sealed steps", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("sig", "ci"))
			q := steps("q", input(s.put("base", "1 2", 6), stemma.RoleBase))
			e.Unsigned = append(e.Unsigned, stemma.Unsigned{Bound: true, Sealed: true, Provenance: &q})
			return s.put("app", "1 2 a", 6)
		}, "sealed base 2 blob-identical; sealed steps base: chosen", ""},
		{"sealed, and nobody signed the image", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("sig", "stranger"))
			q := steps("q", input(s.put("base", "1 2", 6), stemma.RoleBase))
			e.Unsigned = append(e.Unsigned, stemma.Unsigned{Bound: true, Sealed: true, Provenance: &q})
			return s.put("app", "1 2 a", 6)
		}, "layers base 2 blob-identical; loose steps base: chosen", "nobody who is trusted names it"},
		{"provenance of another image of the same build", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("sig", "ci"))
			q := steps("q", input(s.put("base", "1 2", 6), stemma.RoleBase))
			e.Unsigned = append(e.Unsigned, stemma.Unsigned{Bound: false, Sealed: true, Provenance: &q})
			return s.put("app", "1 2 a", 6)
		}, "unknown 0", "nothing names what it stands on"},
		{"signed scratch", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, steps("p", input(s.put("alpine", "1", 6), stemma.RoleStage)))
			return s.put("app", "a b", 6)
		}, "scratch-proven 0; signed steps scratch: scratch", ""},
		{"signed scratch over the layers of a known image", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			alpine := s.put("alpine", "1", 6)
			s.known = append(s.known, alpine.Image)
			e.Provenance = append(e.Provenance, steps("p", input(alpine, stemma.RoleStage)))
			return s.put("app", "1 a", 6)
		}, "scratch-proven 0; signed steps scratch: scratch; bytes layers alpine: beneath", "the lowest 1 layers are those of registry.example/alpine"},
		{"scratch by the word of whoever pushes", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Hints = append(e.Hints, stemma.Provenance{Inputs: []stemma.Input{{ResourceDescriptor: stemma.ResourceDescriptor{URI: "scratch"}, Kind: stemma.InputImage, Role: stemma.RoleBase, Where: "annotation x"}}})
			return s.put("app", "a b", 6)
		}, "scratch-claimed 0; loose annotation scratch: scratch", "says so"},
		{"mode=min of one material", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, materials("p", input(s.put("base", "1 2", 6), "")))
			return s.put("app", "1 2 a", 6)
		}, "proven base 2 blob-identical; signed materials base: chosen", ""},
		{"mode=min never guesses", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, materials("p", input(&stemma.Stack{Image: stemma.Image{Repository: "registry.example/base", Digest: stemma.SHA256(nil)}}, ""), input(s.put("golang", "9", 6), "")))
			return s.put("app", "1 2 a", 6)
		}, "unknown 0; signed materials base: unresolvable; signed materials golang: disagrees", "does not tell which is the base: registry.example/base"},
		{"one material that cannot be read is no answer", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, materials("p", input(&stemma.Stack{Image: stemma.Image{Repository: "registry.example/base", Digest: stemma.SHA256(nil)}}, "")))
			return s.put("app", "1 2 a", 6)
		}, "unknown 0; signed materials base: unresolvable", "does not tell which is the base: registry.example/base"},
		{"the frontend is no candidate", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, materials("p", input(s.put("dockerfile", "1", 6), stemma.RoleBuilder)))
			return s.put("app", "1 2 a", 6)
		}, "unknown 0", "nothing names what it stands on"},
		{"the longest of two materials", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Attestations = append(e.Attestations, attestation("p", "ci"))
			e.Provenance = append(e.Provenance, materials("p", input(s.put("low", "1", 6), ""), input(s.put("base", "1 2", 6), "")))
			return s.put("app", "1 2 a", 6)
		}, "proven base 2 blob-identical; signed materials base: chosen; signed materials low: not-immediate", ""},
		{"an annotation whose layers match", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Hints = append(e.Hints, hint("annotation", s.put("base", "1 2", 6)))
			return s.put("app", "1 2 a", 6)
		}, "layers base 2 blob-identical; loose annotation base: chosen", "nobody who is trusted names it"},
		{"an annotation of the grandparent", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Hints = append(e.Hints, hint("annotation", s.put("grand", "1", 6)))
			s.known = append(s.known, s.put("base", "1 2", 6).Image)
			return s.put("app", "1 2 a", 6)
		}, "layers base 2 blob-identical; loose annotation grand: not-immediate; bytes layers base: chosen", "nobody who is trusted names it"},
		{"H03: an annotation whose layers do not match", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Hints = append(e.Hints, hint("annotation", s.put("base", "1 2", 6)))
			return s.put("app", "1 x a", 6)
		}, "contradicted base 0; loose annotation base: disagrees", "layer 2 of the image is not its"},
		{"an annotation that nobody can read", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Hints = append(e.Hints, hint("annotation", &stemma.Stack{Image: stemma.Image{Repository: "registry.example/base", Digest: stemma.SHA256(nil)}}))
			return s.put("app", "1 2 a", 6)
		}, "claimed base 0; loose annotation base: unresolvable", "404"},
		{"H04: a base by name alone", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Hints = append(e.Hints, stemma.Provenance{Inputs: []stemma.Input{{Kind: stemma.InputImage, Canonical: "docker.io/library/debian", Version: "12", Role: stemma.RoleBase, Where: "annotation x"}}})
			return s.put("app", "1 2 a", 6)
		}, "unknown 0; loose annotation docker.io/library/debian: no-digest", "without a digest"},
		{"a label that was inherited", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			e.Hints = append(e.Hints, hint("label", s.put("base", "x", 6)))
			return s.put("app", "1 2 a", 6)
		}, "unknown 0; loose label base: disagrees", "nothing names"},
		{"two known images of the same layers, and a hint", func(s *shelf, e *stemma.Evidence) *stemma.Stack {
			s.known = append(s.known, s.put("a", "1 2", 6).Image, s.put("b", "1 2", 6).Image)
			e.Hints = append(e.Hints, hint("annotation", s.stacks[s.known[1].Digest]))
			return s.put("app", "1 2 a", 6)
		}, "layers b 2 blob-identical; loose annotation b: chosen; bytes layers a: same-layers; bytes layers b: chosen", ""},
		{"nothing", func(s *shelf, _ *stemma.Evidence) *stemma.Stack { return s.put("app", "1 2 a", 6) }, "unknown 0", "nothing names what it stands on"},
		{"ten thousand layers", func(s *shelf, _ *stemma.Evidence) *stemma.Stack {
			app := s.put("app", "1", 6)
			for range 10_000 {
				app.Layers = append(app.Layers, app.Layers[0])
			}
			return app
		}, "unknown 0", "the image has 10001 layers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, e := newShelf(), &stemma.Evidence{}
			app := c.make(s, e)
			l := lineage.Finder{Source: s, Facts: s}.Find(t.Context(), lineage.Subject{
				Stack: app, Evidence: e, Trusted: func(a *stemma.Attestation) bool { return a.Signer.KeyID == "ci" },
			})
			if got := show(l); got != c.want {
				t.Errorf("got  %s\nwant %s\nwhy  %s", got, c.want, l.Why)
			}
			if !strings.Contains(l.Why, c.why) {
				t.Errorf("why %q: want %q in it", l.Why, c.why)
			}
		})
	}
}

// What an image changes of the config of its base, and what it only has from there.
func TestChanges(t *testing.T) {
	s, e := newShelf(), &stemma.Evidence{}
	base := s.put("base", "1 2", 6)
	base.Settings = stemma.Settings{
		User: "65532", Env: []string{"PATH=/usr/bin", "LANG=C", "TZ=UTC"}, Entrypoint: []string{"/bin/sh"}, WorkingDir: "/",
		Labels: map[string]string{"org.opencontainers.image.title": "base", "vendor": "Acme"},
	}
	e.Hints = append(e.Hints, hint("annotation", base))
	app := s.put("app", "1 2 a", 6)
	app.Settings = stemma.Settings{
		Env: []string{"PATH=/evil:/usr/bin", "LANG=C", "LD_PRELOAD=/evil.so", "LD_PRELOAD=/x.so"}, Entrypoint: []string{"/bin/sh", "-c"}, WorkingDir: "/",
		Labels: map[string]string{"org.opencontainers.image.title": "app", "vendor": "Acme"},
	}
	l := lineage.Finder{Source: s, Facts: s}.Find(t.Context(), lineage.Subject{Stack: app, Evidence: e})
	want := `[{user 65532 } {entrypoint ["/bin/sh"] ["/bin/sh","-c"]} {env LD_PRELOAD  /x.so} {env PATH /usr/bin /evil:/usr/bin} {env TZ UTC }] [vendor]`
	if got := fmt.Sprint(l.Changes, l.Inherited); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A blob is unpacked once, whatever asks for it.
func TestContentsAreRemembered(t *testing.T) {
	s, e := newShelf(), &stemma.Evidence{}
	e.Hints = append(e.Hints, hint("annotation", s.put("base", "1 2 3", 6)))
	app := s.put("app", "1 2 3 a", 1)
	for range 3 {
		l := lineage.Finder{Source: s, Facts: s}.Find(t.Context(), lineage.Subject{Stack: app, Evidence: e})
		if l.Grade != stemma.BaseLayers || l.How != "diffid-recomputed" || s.opened != 6 {
			t.Errorf("%s; %d blobs were opened", show(l), s.opened)
		}
	}
}

func TestDiffID(t *testing.T) {
	text := strings.Repeat("content ", 1000)
	var z bytes.Buffer
	w, _ := zstd.NewWriter(&z)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	packed := zipped(text, 6)
	for name, c := range map[string]struct {
		blob []byte
		most int64
		want string
	}{
		"gzip":                 {packed, 1 << 20, ""},
		"zstd":                 {z.Bytes(), 1 << 20, ""},
		"as it is":             {[]byte(text), 1 << 20, ""},
		"two members":          {append(zipped(text[:4000], 6), zipped(text[4000:], 1)...), 1 << 20, ""},
		"just as much":         {packed, int64(len(text)), ""},
		"too much":             {packed, int64(len(text)) - 1, "more than 7999 bytes"},
		"cut short":            {packed[:len(packed)-4], 1 << 20, "unexpected EOF"},
		"zstd cut short":       {z.Bytes()[:z.Len()-4], 1 << 20, "unexpected EOF"},
		"more behind":          {append(bytes.Clone(packed), "xx"...), 1 << 20, "unexpected EOF"},
		"zstd, more behind":    {append(bytes.Clone(z.Bytes()), "xxxx"...), 1 << 20, "magic number mismatch"},
		"a wrong check sum":    {append(bytes.Clone(packed[:len(packed)-8]), 0, 0, 0, 0, 0, 0, 0, 0), 1 << 20, "invalid checksum"},
		"a header and no more": {[]byte{0x1f, 0x8b}, 1 << 20, "unexpected EOF"},
	} {
		got, err := lineage.DiffID(bytes.NewReader(c.blob), c.most)
		switch {
		case c.want == "" && (err != nil || got != stemma.SHA256([]byte(text))):
			t.Errorf("%s: %s, %v", name, got, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %s, %v; want %q", name, got, err, c.want)
		}
	}
}

// BenchmarkDiffID unpacks a layer and computes its digest, and BenchmarkGzip only unpacks it, as a measure.
func BenchmarkDiffID(b *testing.B) {
	packed, size := large(b)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := lineage.DiffID(bytes.NewReader(packed), 1<<40); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGzip(b *testing.B) {
	packed, size := large(b)
	b.SetBytes(size)
	for b.Loop() {
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, z); err != nil {
			b.Fatal(err)
		}
	}
}

// large is a layer of 64 MiB of text and numbers, which compresses to about a third.
func large(b *testing.B) (packed []byte, size int64) {
	b.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	state := uint32(1)
	line := make([]byte, 0, 128)
	for size < 64<<20 {
		line = line[:0]
		for range 8 {
			state = state*1664525 + 1013904223
			line = fmt.Appendf(line, "/usr/lib/%x ", state>>12)
		}
		n, err := w.Write(line)
		if err != nil {
			b.Fatal(err)
		}
		size += int64(n)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return z.Bytes(), size
}
