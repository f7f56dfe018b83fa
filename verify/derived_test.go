package verify_test

import (
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
	"stemma/verify"
)

// made is an image that was made of another without building it.
type made struct {
	*stage
	run, newer, app *stemmatest.Image
	known           []string
	original        string
}

// making is a world in which app stands on run, and a newer run is there; both by the base's own job.
func making(t *testing.T, derived string) *made {
	s := newStage(t)
	m := &made{stage: s}
	debian := level{stage: s, name: "debian"}.put()
	m.run = level{stage: s, name: "run", on: debian, spec: stemmatest.ImageSpec{File: "run"}}.put()
	newer := level{stage: s, name: "run", on: debian, spec: stemmatest.ImageSpec{File: "run", Content: "newer run"}}
	m.newer = newer.put()
	m.app = level{stage: s, name: "shop", on: m.run, spec: stemmatest.ImageSpec{File: "shop"}}.put()
	s.policy = strings.Replace(basing("proof: layers", "policy: services", "endsAt: [scratch]"), "spec: {platforms: all}", "spec: {platforms: all, derived: ["+derived+"]}", 1)
	m.known = []string{"ghcr.io/acme/shop@" + string(m.app.Digest()), "ghcr.io/acme/run@" + string(m.newer.Digest())}
	return m
}

// again puts the image compressed anew.
func (m *made) again(change func(*stemmatest.ImageSpec)) {
	spec := stemmatest.ImageSpec{Repository: "acme/shop", Tags: []string{"zstd"}, On: m.app, Anew: true, Content: "shop", Layers: func(b []v1.Descriptor, ids []stemma.Digest) ([]v1.Descriptor, []stemma.Digest) {
		return b[:len(b)-1], ids[:len(ids)-1]
	}}
	change(&spec)
	must[*stemmatest.Image](m)(m.Registry.PutImage(spec))
}

// rebase puts the image onto the newer base.
func (m *made) rebase(change func(*stemmatest.ImageSpec)) {
	m.original = "ghcr.io/acme/shop@" + string(m.app.Digest())
	spec := stemmatest.ImageSpec{Repository: "acme/shop", Tags: []string{"rebased"}, On: m.newer, File: "shop", Content: "shop"}
	change(&spec)
	must[*stemmatest.Image](m)(m.Registry.PutImage(spec))
}

func (m *made) judged(tag string) *stemma.Decision {
	m.Helper()
	v := must[*verify.Verifier](m)(m.verifier())
	r := must[*verify.Result](m)(v.Verify(m.Context(), verify.Request{Image: "ghcr.io/acme/shop:" + tag, Situation: stemma.Situation{At: m.Now}, Bases: m.known, Original: m.original}))
	return r.Decision
}

// TestRecompressed: an image of the same config and content is the attested one where the set says so, and no other is.
func TestRecompressed(t *testing.T) {
	for _, c := range []struct {
		name    string
		derived string
		change  func(*stemmatest.ImageSpec)
		prepare func(*made)
		verdict stemma.Verdict
	}{
		{"the same content", "recompressed", func(*stemmatest.ImageSpec) {}, func(*made) {}, stemma.Allow},
		{"not asked for", "rebased", func(*stemmatest.ImageSpec) {}, func(*made) {}, stemma.Deny},
		{"another config", "recompressed", func(s *stemmatest.ImageSpec) { s.Env = []string{"X=1"} }, func(*made) {}, stemma.Deny},
		{"another label", "recompressed", func(s *stemmatest.ImageSpec) { s.Labels = map[string]string{"x": "y"} }, func(*made) {}, stemma.Deny},
		{"one layer less", "recompressed", func(s *stemmatest.ImageSpec) {
			s.Layers = func(b []v1.Descriptor, ids []stemma.Digest) ([]v1.Descriptor, []stemma.Digest) {
				return b[:len(b)-2], ids[:len(ids)-2]
			}
		}, func(*made) {}, stemma.Deny},
		{"one layer more", "recompressed", func(s *stemmatest.ImageSpec) { s.Layers = nil }, func(*made) {}, stemma.Deny},
		{"other bytes under the same names", "recompressed", func(s *stemmatest.ImageSpec) {
			keep := s.Layers
			s.Layers = func(b []v1.Descriptor, ids []stemma.Digest) ([]v1.Descriptor, []stemma.Digest) {
				b, ids = keep(b, ids)
				b[len(b)-1] = b[0]
				return b, ids
			}
		}, func(*made) {}, stemma.Deny},
		{"of an image that nobody attested", "recompressed", func(*stemmatest.ImageSpec) {}, func(m *made) {
			m.app = level{stage: m.stage, name: "shop", on: m.run, silent: true, spec: stemmatest.ImageSpec{File: "shop", Content: "unattested"}}.put()
			m.known = append(m.known, "ghcr.io/acme/shop@"+string(m.app.Digest()))
		}, stemma.Deny},
		{"of an image that is not known", "recompressed", func(*stemmatest.ImageSpec) {}, func(m *made) { m.known = nil }, stemma.Deny},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := making(t, c.derived)
			c.prepare(m)
			m.again(c.change)
			if d := m.judged("zstd"); d.Verdict != c.verdict {
				t.Errorf("%s: want %s\n%s", d.Verdict, c.verdict, unmet(d))
			}
		})
	}
}

// TestRebased: an image of the same layers on another base is the attested one where the set says so, as far as its new base is
// accepted and nothing else of it differs.
func TestRebased(t *testing.T) {
	for _, c := range []struct {
		name    string
		derived string
		change  func(*made, *stemmatest.ImageSpec)
		after   func(*made)
		verdict stemma.Verdict
	}{
		{"the same layers", "rebased", func(*made, *stemmatest.ImageSpec) {}, func(*made) {}, stemma.Allow},
		{"not asked for", "recompressed", func(*made, *stemmatest.ImageSpec) {}, func(*made) {}, stemma.Deny},
		{"the original is not named", "rebased", func(*made, *stemmatest.ImageSpec) {}, func(m *made) { m.original = "" }, stemma.Deny},
		{"another layer on top", "rebased", func(_ *made, s *stemmatest.ImageSpec) { s.Content = "evil" }, func(*made) {}, stemma.Deny},
		{"a setting of its own", "rebased", func(_ *made, s *stemmatest.ImageSpec) { s.Env = []string{"LD_PRELOAD=/x"} }, func(*made) {}, stemma.Deny},
		{"one layer more", "rebased", func(_ *made, s *stemmatest.ImageSpec) {
			s.Layers = func(b []v1.Descriptor, ids []stemma.Digest) ([]v1.Descriptor, []stemma.Digest) {
				return append(b, b[0]), append(ids, ids[0])
			}
		}, func(*made) {}, stemma.Deny},
		{"a base that nobody attested", "rebased", func(m *made, s *stemmatest.ImageSpec) {
			s.On = level{stage: m.stage, name: "evil", silent: true}.put()
			m.known = append(m.known, "ghcr.io/acme/evil:v1")
		}, func(*made) {}, stemma.Deny},
		{"a base that is not known", "rebased", func(m *made, s *stemmatest.ImageSpec) {
			s.On = level{stage: m.stage, name: "evil", silent: true}.put()
		}, func(*made) {}, stemma.Deny},
		{"an original that nobody attested", "rebased", func(*made, *stemmatest.ImageSpec) {}, func(m *made) {
			other := level{stage: m.stage, name: "shop", on: m.run, silent: true, spec: stemmatest.ImageSpec{File: "shop", Content: "shop", Labels: map[string]string{"x": "y"}}}.put()
			m.original = "ghcr.io/acme/shop@" + string(other.Digest())
		}, stemma.Deny},
		{"a policy that asks nothing of bases", "rebased", func(*made, *stemmatest.ImageSpec) {}, func(m *made) {
			m.policy = strings.Replace(trusting, "apiVersion", "apiVersion: policy.stemma.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: acme}\nspec: {platforms: all, derived: [rebased]}\n---\napiVersion", 1)
		}, stemma.Deny},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := making(t, c.derived)
			m.rebase(func(s *stemmatest.ImageSpec) { c.change(m, s) })
			c.after(m)
			if d := m.judged("rebased"); d.Verdict != c.verdict {
				t.Errorf("%s: want %s\n%s", d.Verdict, c.verdict, unmet(d))
			}
		})
	}
}
