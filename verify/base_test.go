package verify_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
	"stemma/verify"
)

// basing is trusting with a base block.
func basing(lines ...string) string {
	return strings.Replace(trusting, "  provenance: {by", "  signers:\n    gate: {github: {workflow: trusted/builders/.github/workflows/build.yml, workflowRefs: [\"refs/tags/v1.*\"], caller: {ownerID: 9001000}}}\n  provenance: {by", 1) +
		"  base:\n    " + strings.Join(lines, "\n    ") + "\n---\napiVersion: policy.stemma.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: acme}\nspec: {platforms: all}\n"
}

// rooted is a chain of three images that is allowed, and how.
type rooted struct {
	name   string
	policy func(debian *stemmatest.Image) string
	known  []string // images that are given
	plain  bool     // provenance names no base: annotations do
	summed bool     // a verification summary stands for the base
	want   string
}

// positives are chains that are allowed, each by another way of knowing it. All have their files kept.
func positives() []rooted {
	foundation := func(debian *stemmatest.Image) string {
		return fmt.Sprintf(`foundations: [{image: ghcr.io/acme/debian, digests: ["%s"], owner: platform, reason: reviewed, until: 2030-12-31}]`, debian.Digest())
	}
	return []rooted{
		{
			name: "named by builders, down to nothing",
			policy: func(*stemmatest.Image) string {
				return basing("proof: proven", "policy: services", "endsAt: [scratch]", "denyOverwrite: [loader]", `denyEnv: ["LD_*"]`)
			},
			want: "proven run 2 blob-identical\nproven debian 1 blob-identical\nscratch-proven\n",
		},
		{
			name: "found by layers, down to a foundation",
			policy: func(debian *stemmatest.Image) string {
				return basing("proof: layers", "policy: services", foundation(debian), "denyOverwrite: [loader]", `denyEnv: ["LD_*"]`)
			},
			known: []string{"ghcr.io/acme/run:v1"}, plain: true,
			want: "layers run 2 blob-identical\nlayers debian 1 blob-identical\nunknown\n",
		},
		{
			name: "summarised",
			policy: func(*stemmatest.Image) string {
				return basing("proof: layers", `vsa: [{by: [gate], verifier: "https://gate.example", maxAge: 7d}]`, "denyOverwrite: [loader]", `denyEnv: ["LD_*"]`)
			},
			known: []string{"ghcr.io/acme/run:v1"}, plain: true, summed: true,
			want: "layers run 2 blob-identical\nlayers debian 1 blob-identical\nunknown\n",
		},
	}
}

// world builds the chain of a positive, with what a threat does to it.
func (p rooted) build(s *stage, t threat) {
	put := func(name string, on *stemmatest.Image, change func(*level)) *stemmatest.Image {
		l := level{stage: s, name: name, on: on, plain: p.plain}
		if p.plain && on != nil {
			l.spec.Annotations = naming(on)
		}
		l.spec.File = name
		if change != nil {
			change(&l)
		}
		return l.put()
	}
	debian := put("debian", nil, func(l *level) { l.spec.File = "lib/ld-musl-x86_64.so.1" })
	under := debian
	run := put("run", under, func(l *level) {
		if t.run != nil {
			t.run(l)
		}
	})
	if p.summed {
		subject := run.Platform(linuxAMD64())
		if t.summary {
			subject = run.Digest()
		}
		sum := stemmatest.VSA{Verifier: "https://gate.example", Resource: "ghcr.io/acme/run", Policy: "https://gate.example/p", Result: "PASSED", Levels: []string{"SLSA_BUILD_LEVEL_3"}, Time: s.Now.Add(-time.Hour)}
		st := sum.Statement(stemma.ResourceDescriptor{Name: "ghcr.io/acme/run", Digest: map[string]string{"sha256": strings.TrimPrefix(string(subject), "sha256:")}})
		at := *run
		at.Descriptor = run.Children[0]
		s.Attach(&at, must[*stemmatest.Signed](s)(s.Sigstore.Attest(stemmatest.Sign{As: s.Build}, st.JSON())))
	}
	put("shop", run, func(l *level) {
		if t.shop != nil {
			t.shop(l, run, debian)
		}
	})
	if t.after != nil {
		t.after(s, run, debian)
	}
	s.policy = p.policy(debian)
}

func naming(base *stemmatest.Image) map[string]string {
	return map[string]string{"org.opencontainers.image.base.name": "ghcr.io/" + base.Repository + ":v1", "org.opencontainers.image.base.digest": string(base.Digest())}
}

// threat is what an attacker, or an accident, does to a chain.
type threat struct {
	name    string
	run     func(*level)
	shop    func(l *level, run, debian *stemmatest.Image)
	after   func(s *stage, run, debian *stemmatest.Image)
	summary bool          // the summary is about the index
	reason  stemma.Reason // for which a requirement is not met
	// harmless threats are lies that nobody believes: the image is what it was, and so is all that is known of it.
	harmless func(rooted) bool
	// not is true of a positive that has no part for it.
	not func(rooted) bool
}

// names makes an image name another as its base, in whatever way it names one.
func (l *level) claims(base *stemmatest.Image) {
	l.names = base
	if l.plain {
		l.spec.Annotations = naming(base)
	}
}

func always(rooted) bool { return true }

// emptyLayer is a tar of nothing, compressed.
const emptyDiffID = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

func threats() []threat {
	other := func(l *level) *stemmatest.Image { return level{stage: l.stage, name: "other", silent: true}.put() }
	return []threat{
		{name: "claimed trusted base over other layers", reason: stemma.ReasonBaseMismatch, shop: func(l *level, run, _ *stemmatest.Image) {
			l.on = other(l)
			l.claims(run)
		}},
		{name: "diff_ids copied from a trusted base over other blobs", reason: stemma.ReasonBaseMismatch, shop: func(l *level, run, _ *stemmatest.Image) {
			evil := l.Registry.PutBlob("acme/shop", v1.MediaTypeImageLayerGzip, []byte("other bytes"))
			l.spec.Layers = func(blobs []v1.Descriptor, ids []stemma.Digest) ([]v1.Descriptor, []stemma.Digest) {
				blobs[0] = evil
				return blobs, ids
			}
			l.claims(run)
		}},
		{name: "trusted prefix with the loader replaced above", reason: stemma.ReasonOverwritten, shop: func(l *level, _, _ *stemmatest.Image) { l.spec.File = "lib/ld-musl-x86_64.so.1" }},
		{name: "trusted prefix with the loader replaced in between", reason: stemma.ReasonOverwritten, run: func(l *level) { l.spec.File = "lib/ld-musl-x86_64.so.1" }, not: func(p rooted) bool { return p.summed }},
		{name: "trusted layers with a library preloaded", reason: stemma.ReasonSetting, shop: func(l *level, _, _ *stemmatest.Image) { l.spec.Env = []string{"LD_PRELOAD=/app"} }},
		{name: "annotation of the grandparent", shop: func(l *level, _, debian *stemmatest.Image) { l.spec.Annotations = naming(debian) }, harmless: always},
		{name: "base.digest of another platform's manifest", reason: stemma.ReasonPlatform, shop: func(l *level, run, _ *stemmatest.Image) {
			arm := stemma.Platform{OS: "linux", Architecture: "arm64"}
			base := level{stage: l.stage, name: "multi", silent: true, spec: stemmatest.ImageSpec{Platforms: []stemma.Platform{linuxAMD64(), arm}}}.put()
			one := *base
			one.Descriptor = base.Children[1]
			one.Children = nil
			l.on = base
			l.claims(&one)
		}},
		{name: "index with a second manifest for the same platform", reason: stemma.ReasonPlatform, shop: func(l *level, _, _ *stemmatest.Image) {
			twin := level{stage: l.stage, name: "twin", silent: true}.put()
			base := level{stage: l.stage, name: "double", silent: true, spec: stemmatest.ImageSpec{Index: func(c []v1.Descriptor) []v1.Descriptor { return append(c, twin.Children...) }}}.put()
			l.on = base
			l.claims(base)
		}},
		{name: "unsigned provenance beside a signed one naming another base", shop: func(l *level, _, _ *stemmatest.Image) { l.beside = other(l) }, harmless: always},
		{name: "provenance of another image of the same build", reason: stemma.ReasonSubjectMismatch, shop: func(l *level, _, _ *stemmatest.Image) { l.of = other(l) }},
		{name: "summary for the index used for a manifest", reason: stemma.ReasonBaseEnd, summary: true, not: func(p rooted) bool { return !p.summed }},
		{name: "another repository with the name of the foundation in front", reason: stemma.ReasonBaseEnd, run: func(l *level) {
			l.on = level{stage: l.stage, name: "debian-evil", silent: true}.put()
			l.claims(l.on)
		}, not: func(p rooted) bool { return p.summed }},
		{name: "base of empty layers alone", reason: stemma.ReasonBaseMismatch, shop: func(l *level, _, _ *stemmatest.Image) {
			empty := []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x62\x18\x05\xa3\x60\x14\x8c\x58\x00\x08\x00\x00\xff\xff\x2e\xaf\xb5\xef\x00\x04\x00\x00")
			hollow := func(keep int) func([]v1.Descriptor, []stemma.Digest) ([]v1.Descriptor, []stemma.Digest) {
				return func(blobs []v1.Descriptor, ids []stemma.Digest) ([]v1.Descriptor, []stemma.Digest) {
					for _, repository := range []string{"acme/hollow", "acme/shop"} {
						l.Registry.PutBlob(repository, v1.MediaTypeImageLayerGzip, empty)
					}
					d := l.Registry.PutBlob("acme/shop", v1.MediaTypeImageLayerGzip, empty)
					return append([]v1.Descriptor{d}, blobs[len(blobs)-keep:]...), append([]stemma.Digest{emptyDiffID}, ids[len(ids)-keep:]...)
				}
			}
			l.claims(level{stage: l.stage, name: "hollow", silent: true, spec: stemmatest.ImageSpec{Layers: hollow(0)}}.put())
			l.on, l.spec.Layers = nil, hollow(1)
		}},
		{name: "10,000-layer manifest", reason: stemma.ReasonTruncated, shop: func(l *level, _, _ *stemmatest.Image) {
			l.spec.Layers = func(blobs []v1.Descriptor, ids []stemma.Digest) ([]v1.Descriptor, []stemma.Digest) {
				for len(blobs) < 10000 {
					blobs, ids = append(blobs, blobs[0]), append(ids, ids[0])
				}
				return blobs, ids
			}
		}},
		{name: "cycle through annotations", reason: stemma.ReasonBaseMismatch, run: func(l *level) {
			l.on, l.silent = nil, false
			l.spec.Content = "same"
			twin := level{stage: l.stage, name: "twin", spec: stemmatest.ImageSpec{Content: "same", File: "run", Labels: map[string]string{"name": "twin"}}, plain: l.plain, silent: true}.put()
			l.claims(twin)
		}, not: func(p rooted) bool { return len(p.known) == 0 || p.summed }},
		{name: "oversized answer of the registry", reason: stemma.ReasonBadAnswer, after: func(s *stage, run, _ *stemmatest.Image) {
			check(s, s.Registry.Corrupt(run.Repository, run.Platform(linuxAMD64()), make([]byte, 64<<20)))
		}},
		{name: "base is gone", reason: stemma.ReasonBaseProof, after: func(s *stage, run, _ *stemmatest.Image) {
			s.Registry.Delete(run.Repository, run.Platform(linuxAMD64()))
		}},
		{name: "blob of the base is another", reason: stemma.ReasonBadAnswer, after: func(s *stage, run, debian *stemmatest.Image) {
			for _, l := range must[[]v1.Descriptor](s)(layersOf(s, run)) {
				check(s, s.Registry.Corrupt("acme/shop", stemma.Digest(l.Digest), []byte("other bytes")))
			}
		}},
	}
}

func layersOf(s *stage, image *stemmatest.Image) ([]v1.Descriptor, error) {
	_, data, err := s.Registry.Manifest(image.Repository, string(image.Platform(linuxAMD64())))
	if err != nil {
		return nil, err
	}
	var m v1.Manifest
	err = stemma.DecodeJSON(data, &m)
	return m.Layers, err
}

// TestMutations: every chain that is allowed is turned into each threat. None survives: the image is refused or, where the
// lie is one that nobody believes, it is allowed for what it is.
func TestMutations(t *testing.T) {
	for _, p := range positives() {
		for _, threat := range append([]threat{{name: "as it is", harmless: always}}, threats()...) {
			if threat.not != nil && threat.not(p) {
				continue
			}
			t.Run(p.name+"/"+threat.name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				p.build(s, threat)
				v := must[*verify.Verifier](t)(s.verifier())
				r, err := v.Verify(t.Context(), verify.Request{Image: "ghcr.io/acme/shop:v1", Situation: stemma.Situation{At: s.Now}, Bases: p.known})
				harmless := threat.harmless != nil && threat.harmless(p)
				switch {
				case err != nil:
					t.Fatal(err)
				case harmless && (r.Decision.Verdict != stemma.Allow || outline(r.Evidence) != p.want):
					t.Errorf("not allowed for what it is:\n%s%s", outline(r.Evidence), unmet(r.Decision))
				case !harmless && !slices.ContainsFunc(r.Decision.Findings, func(f stemma.Finding) bool { return f.Reason == threat.reason && f.Outcome != stemma.Pass }):
					t.Errorf("not for %s:\n%s%s", threat.reason, outline(r.Evidence), unmet(r.Decision))
				case !harmless && r.Decision.Effect != stemma.Refuse:
					t.Errorf("the mutant survives:\n%s%s", outline(r.Evidence), unmet(r.Decision))
				}
			})
		}
	}
}

func unmet(d *stemma.Decision) string {
	var b strings.Builder
	for _, f := range d.Findings {
		if f.Outcome != stemma.Pass {
			fmt.Fprintf(&b, "%s %s %s got %s; %s %v\n", f.Outcome, f.Rule, f.Reason, f.Got, f.Detail, f.Items)
		}
	}
	return string(d.Verdict) + "\n" + b.String()
}

// BenchmarkHundredOnOne verifies a hundred images on one base, which stands on another, as a cluster that restarts does.
func BenchmarkHundredOnOne(b *testing.B) {
	s := newStage(b)
	debian := level{stage: s, name: "debian"}.put()
	run := level{stage: s, name: "run", on: debian}.put()
	for i := range 100 {
		level{stage: s, name: fmt.Sprintf("app%d", i), on: run}.put()
	}
	s.policy = basing("proof: proven", "policy: services", "endsAt: [scratch]")
	v := must[*verify.Verifier](b)(s.verifier())
	s.Registry.Requests()
	bases, images := 0, 0
	b.ResetTimer()
	for n := range b.N {
		at := s.Now.Add(time.Duration(n%2) * 2 * time.Minute) // what was found is old each time
		for i := range 100 {
			r, err := v.Verify(b.Context(), verify.Request{Image: fmt.Sprintf("ghcr.io/acme/app%d:v1", i), Situation: stemma.Situation{At: at}})
			if err != nil || r.Decision.Verdict != stemma.Allow {
				b.Fatal(err)
			}
		}
		for _, r := range s.Registry.Requests() {
			switch {
			case strings.Contains(r, "/v2/acme/app"):
				images++
			default:
				bases++
			}
		}
	}
	b.ReportMetric(float64(bases)/float64(b.N), "requests-bases")
	b.ReportMetric(float64(images)/float64(b.N)/100, "requests/image")
}

// TestBaseOnce: a hundred images on one base look at that base once, one after another or all at a time; and again when what was
// found has grown old, or could not all be looked at.
func TestBaseOnce(t *testing.T) {
	const images = 100
	chain := func(s *stage) {
		debian := level{stage: s, name: "debian"}.put()
		run := level{stage: s, name: "run", on: debian}.put()
		for i := range images {
			level{stage: s, name: fmt.Sprintf("app%d", i), on: run}.put()
		}
		s.policy = basing("proof: proven", "policy: services", "endsAt: [scratch]")
	}
	asked := func(s *stage) (n int) { // since it was asked last
		for _, r := range s.Registry.Requests() {
			if strings.Contains(r, "/v2/acme/run/referrers/") {
				n++
			}
		}
		return n
	}
	one := func(t *testing.T, s *stage, v *verify.Verifier, i int, at time.Time) {
		r, err := v.Verify(t.Context(), verify.Request{Image: fmt.Sprintf("ghcr.io/acme/app%d:v1", i), Situation: stemma.Situation{At: at}})
		if err != nil || r.Decision.Verdict != stemma.Allow {
			t.Errorf("image %d: %v", i, err)
		}
	}
	once := 0
	t.Run("one after another", func(t *testing.T) {
		s := newStage(t)
		chain(s)
		v := must[*verify.Verifier](t)(s.verifier())
		one(t, s, v, 0, s.Now)
		once = asked(s)
		for i := range images {
			one(t, s, v, i, s.Now)
		}
		if got := asked(s); once == 0 || got != 0 {
			t.Errorf("asked %d times for the first, %d for the others", once, got)
		}
		one(t, s, v, 0, s.Now.Add(2*time.Minute))
		if got := asked(s); got != once {
			t.Errorf("asked %d times when it is old, want %d", got, once)
		}
	})
	t.Run("at a time", func(t *testing.T) {
		s := newStage(t)
		chain(s)
		v := must[*verify.Verifier](t)(s.verifier())
		var wg sync.WaitGroup
		for i := range images {
			wg.Go(func() { one(t, s, v, i, s.Now) })
		}
		wg.Wait()
		if got := asked(s); got != once {
			t.Errorf("asked %d times, want %d", got, once)
		}
	})
	t.Run("a place that does not answer", func(t *testing.T) {
		s := newStage(t)
		chain(s)
		v := must[*verify.Verifier](t)(s.verifier())
		s.Registry.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/v2/acme/run/referrers/") {
				return false
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		r := must[*verify.Result](t)(v.Verify(t.Context(), verify.Request{Image: "ghcr.io/acme/app1:v1", Situation: stemma.Situation{At: s.Now}}))
		if r.Decision.Verdict != stemma.Undetermined {
			t.Errorf("%s", unmet(r.Decision))
		}
		s.Registry.Fault = nil
		one(t, s, v, 1, s.Now)
	})
}
