package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

// What must not matter: order, processors, junk, and what a registry keeps back.

// pile is evidence of all kinds about one image: good, alike, weaker, refused and unsigned.
func pile(s *stage) []stemmatest.Artifact {
	var out []stemmatest.Artifact
	add := func(x *stemmatest.Signed) { out = append(out, stemmatest.BundleArtifact(x)) }
	sign := func(st *stemmatest.Statement) *stemmatest.Signed {
		return must[*stemmatest.Signed](s)(s.Sigstore.Attest(stemmatest.Sign{As: s.Build}, st.JSON()))
	}
	add(s.attest(stemmatest.Vary{}))
	add(s.attest(build(func(g *stemmatest.GitHub) { g.Run = "15920000001/attempts/2" })))
	add(sign(stemmatest.SPDX(s.Subject(s.image))))
	add(sign(stemmatest.CycloneDX(s.Subject(s.image))))
	add(must[*stemmatest.Signed](s)(s.Sigstore.SignMessage(stemmatest.Sign{As: s.Build}, s.image.Manifest)))
	add(s.Provenance) // about a sibling
	x := s.attest(stemmatest.Vary{})
	x.Entries = nil
	add(x)
	x = s.attest(stemmatest.Vary{})
	x.Envelope.Signatures[0].Sig[9] ^= 1
	add(x)
	return out
}

// renew puts the same image with other evidence into a registry of its own.
func (s *stage) renew(attach ...stemmatest.Artifact) {
	s.Helper()
	before := s.image.Digest()
	s.Registry = stemmatest.NewRegistry("ghcr.io")
	s.Network["ghcr.io"] = s.Registry
	if s.image = must[*stemmatest.Image](s)(s.PutImage("v2.0.1")); s.image.Digest() != before {
		s.Fatal("the image is not the same")
	}
	for _, a := range attach {
		s.image.AttachReferrer(a)
	}
}

// J16: the order in which evidence is listed, and the number of processors, change nothing, not a byte.
func TestReg_J16_determinism(t *testing.T) {
	s := newStage(t)
	all := pile(s)
	v := must[*verify.Verifier](t)(s.verifier())
	run := func() []byte {
		r, err := v.Verify(context.Background(), s.request)
		check(t, err)
		if r.Decision.Verdict != stemma.Allow {
			t.Fatalf("%s%s", findings(r.Decision), refusals(r.Evidence))
		}
		return must[[]byte](t)(json.Marshal(r))
	}
	s.renew(all...)
	want := run()
	random := rand.New(rand.NewPCG(1, 2))
	for _, processors := range []int{1, 2} {
		before := runtime.GOMAXPROCS(processors)
		for range 25 {
			random.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
			s.renew(all...)
			if got := run(); !bytes.Equal(got, want) {
				runtime.GOMAXPROCS(before)
				t.Fatalf("decision or evidence differs:\n%s\n%s", got, want)
			}
		}
		runtime.GOMAXPROCS(before)
	}
	// A verifier that has nothing cached says the same.
	v = must[*verify.Verifier](t)(s.verifier())
	if got := run(); !bytes.Equal(got, want) {
		t.Errorf("decision or evidence differs without cache:\n%s\n%s", got, want)
	}
}

// junk is what somebody with write access to the registry can add who can sign nothing.
func junk(s *stage, n int) []stemmatest.Artifact {
	random := rand.New(rand.NewPCG(3, 4))
	foreign := must[*stemmatest.Sigstore](s)(stemmatest.NewSigstore(stemmatest.Config{}))
	good := s.attest(stemmatest.Vary{}).Bundle()
	var out []stemmatest.Artifact
	for i := range n {
		data := make([]byte, 200)
		for k := range data {
			data[k] = byte(random.UintN(256))
		}
		switch i % 5 {
		case 0: // garbage
		case 1:
			data = append(good[:random.IntN(len(good))], fmt.Sprint(i)...)
		case 2:
			x := must[*stemmatest.Signed](s)(s.Sigstore.Attest(stemmatest.Sign{As: s.Build}, stemmatest.ActionsAttest(s.Build, stemmatest.Subject("x", stemma.SHA256(data))).JSON()))
			data = x.Bundle()
		case 3:
			data = must[*stemmatest.Signed](s)(foreign.Attest(stemmatest.Sign{As: s.Build}, stemmatest.SPDX(s.Subject(s.image)).JSON())).Bundle()
		case 4:
			data = must[*stemmatest.Signed](s)(foreign.Attest(stemmatest.Sign{As: s.Build}, stemmatest.ActionsAttest(s.Build, s.Subject(s.image)).JSON())).Bundle()
		}
		out = append(out, stemmatest.Artifact{
			Type: stemmatest.MediaTypeV03, Layers: []stemmatest.Layer{{MediaType: stemmatest.MediaTypeV03, Data: data, Annotations: map[string]string{
				"dev.sigstore.bundle.predicateType": stemma.PredicateSLSAv1, "dev.cosignproject.cosign/signature": fmt.Sprint(i), "x": string(data[:min(8, len(data))]),
			}}},
			Annotations: map[string]string{"verified": "true", "dev.sigstore.bundle.predicateType": stemma.PredicateSLSAv1},
		})
	}
	return out
}

// TestJunk: what nobody who counts has signed changes neither the verdict nor what it rests on.
func TestJunk(t *testing.T) {
	for name, c := range map[string]struct {
		vary stemmatest.Vary
		want stemma.Verdict
	}{
		"good image": {stemmatest.Vary{}, stemma.Allow},
		"bad image":  {build(func(g *stemmatest.GitHub) { g.Ref, g.SHA = "refs/heads/wip", "" }), stemma.Deny},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			own := stemmatest.BundleArtifact(s.attest(c.vary))
			rubbish := junk(s, 100)
			v := must[*verify.Verifier](t)(s.verifier())
			ask := func(attach ...stemmatest.Artifact) *verify.Result {
				s.renew(attach...)
				r, err := v.Verify(context.Background(), s.request)
				check(t, err)
				if r.Decision.Verdict != c.want {
					t.Fatalf("%s%s", findings(r.Decision), refusals(r.Evidence))
				}
				return r
			}
			clean := ask(own)
			dirty := ask(append(slices.Clone(rubbish), own)...)
			if n := len(dirty.Evidence.Rejected); n < 90 || len(dirty.Evidence.Attestations) != 1 {
				t.Errorf("%d pieces of junk rejected, %d attestations", n, len(dirty.Evidence.Attestations))
			}
			if clean.Decision.Decided != dirty.Decision.Decided {
				t.Errorf("junk changes what was decided:\n%s\n%s", findings(clean.Decision), findings(dirty.Decision))
			}
			if a, b := rules(clean.Decision), rules(dirty.Decision); !slices.Equal(a, b) {
				t.Errorf("junk changes the findings:\n%v\n%v", a, b)
			}
			if clean.Decision.Evidence == dirty.Decision.Evidence || clean.Decision.ID == dirty.Decision.ID {
				t.Error("junk was not seen")
			}
		})
	}
	// An image with nothing but junk is denied.
	s := newStage(t)
	s.renew(junk(s, 100)...)
	if r := s.expect(want{verdict: stemma.Deny}); len(r.Evidence.Attestations) != 0 {
		t.Errorf("%d attestations", len(r.Evidence.Attestations))
	}
}

// D13: evidence that is kept back never makes a requirement met that was not. Agreement is left out: it is a fact about
// what contradicts, and says nothing when the contradiction is kept back.
func TestReg_D13_monotonic(t *testing.T) {
	s := newStage(t)
	s.policy = in(trusting, "  provenance:", "  signature: {by: [trusted-builder]}\n  provenance:")
	all := pile(s)[:6]
	all = append(all, stemmatest.BundleArtifact(s.attest(build(func(g *stemmatest.GitHub) { g.Event = "pull_request" }))))
	monotonic(t, s, all)
}

// monotonic judges an image with every subset of some evidence: what is withheld never turns an unmet requirement into a
// met one, but for what says that all evidence agrees.
func monotonic(t *testing.T, s *stage, all []stemmatest.Artifact) {
	t.Helper()
	v := must[*verify.Verifier](t)(s.verifier())
	passed := make([]map[string]bool, 1<<len(all))
	allows := 0
	for set := range passed {
		var some []stemmatest.Artifact
		for i, a := range all {
			if set>>i&1 == 1 {
				some = append(some, a)
			}
		}
		s.renew(some...)
		r, err := v.Verify(t.Context(), s.request)
		check(t, err)
		if r.Decision.Verdict == stemma.Allow {
			allows++
		}
		passed[set] = map[string]bool{}
		for _, f := range r.Decision.Findings {
			passed[set][f.Rule] = f.Outcome == stemma.Pass
		}
	}
	for set, met := range passed {
		for i := range all {
			if set>>i&1 == 0 {
				continue
			}
			for rule, ok := range passed[set&^(1<<i)] {
				if had, judged := met[rule]; ok && judged && !had && !slices.Contains([]string{"provenance.agreement", "provenance.run", "provenance.builders"}, rule) {
					t.Errorf("evidence %b without piece %d meets %s", set, i, rule)
				}
			}
		}
	}
	if allows == 0 || allows == len(passed) {
		t.Errorf("%d of %d sets are allowed", allows, len(passed))
	}
}

// fault is one way in which a registry does not answer as it should.
type fault struct {
	name  string
	serve func(w http.ResponseWriter, r *http.Request, real http.Handler)
	truth bool // it may be the truth: what is not there is not there
}

func faults() []fault {
	status := func(code int) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(code) }
	}
	body := func(text string) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			fmt.Fprint(w, text)
		}
	}
	return []fault{
		{name: "500", serve: status(500)},
		{name: "503", serve: status(503)},
		{name: "401", serve: status(401)},
		{name: "403", serve: status(403)},
		{name: "429", serve: status(429)},
		{name: "404", serve: status(404), truth: true},
		{name: "garbage", serve: body("\x00\xff<html>")},
		{name: "nothing", serve: body("")},
		{name: "another document", serve: body(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`), truth: true},
		{name: "null", serve: body("null")},
		{name: "cut", serve: func(_ http.ResponseWriter, _ *http.Request, _ http.Handler) { panic(http.ErrAbortHandler) }},
		{name: "cut in the middle", serve: func(w http.ResponseWriter, r *http.Request, real http.Handler) {
			real.ServeHTTP(&half{ResponseWriter: w}, r)
			panic(http.ErrAbortHandler)
		}},
		{name: "one byte changed", serve: func(w http.ResponseWriter, r *http.Request, real http.Handler) {
			real.ServeHTTP(&changed{ResponseWriter: w}, r)
		}},
		{name: "no answer", serve: func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }},
	}
}

// half writes the first half of a body.
type half struct{ http.ResponseWriter }

func (h *half) Write(b []byte) (int, error) {
	if _, err := h.ResponseWriter.Write(b[:len(b)/2]); err != nil {
		return 0, err
	}
	return len(b), nil
}

// changed flips a bit in the middle of a body.
type changed struct{ http.ResponseWriter }

func (c *changed) Write(b []byte) (int, error) {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return c.ResponseWriter.Write(b)
}

// TestHostileRegistry answers each request of a verification wrongly in turn. An image is allowed on evidence that was
// seen, and never denied because a registry is out of order: nothing is known to be wrong with it then.
func TestHostileRegistry(t *testing.T) {
	s := newStage(t)
	x := s.attach(stemmatest.Vary{})
	s.Attach(s.image, must[*stemmatest.Signed](t)(s.Sigstore.Attest(stemmatest.Sign{As: s.Build}, stemmatest.SPDX(s.Subject(s.image)).JSON())))
	s.expect(want{})
	paths := s.Registry.Requests()
	slices.Sort(paths)
	paths = slices.Compact(paths)
	if len(paths) < 9 {
		t.Fatalf("only %d requests", len(paths))
	}
	provenance := stemma.SHA256(x.Bundle())
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			count := map[string]int{}
			for _, path := range paths {
				real := http.HandlerFunc(s.Registry.ServeHTTP)
				client := stemmatest.Network{"ghcr.io": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method+" "+r.URL.RequestURI() == path {
						f.serve(w, r, real)
						return
					}
					real(w, r)
				})}
				limit := 20 * time.Second
				if f.name == "no answer" {
					limit = 100 * time.Millisecond
				}
				count[hostile(t, s, client, limit, path, f.truth, provenance)]++
			}
			t.Logf("%d requests: %v", len(paths), count)
			if count["allow"] == len(paths) {
				t.Error("no request matters")
			}
		})
	}
}

// hostile verifies once and names what came out.
func hostile(t *testing.T, s *stage, client http.RoundTripper, limit time.Duration, path string, truth bool, provenance stemma.Digest) string {
	t.Helper()
	set := must[*policy.Set](t)(policy.Load(policy.File{Name: "policy.yaml", Data: []byte(s.policy)}))
	v := must[*verify.Verifier](t)(verify.New(context.Background(), verify.Config{
		Policies: set, Network: verify.Network{Transport: client, Sleep: atOnce}, Roots: map[string][]byte{policy.PublicGood: s.Sigstore.TrustedRoot()},
		Clock: s.Now.UTC,
	}))
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r, err := v.Verify(ctx, s.request)
	if err != nil {
		var failure *verify.Error
		switch {
		case !errors.As(err, &failure) || failure.Kind == verify.Internal:
			t.Errorf("%s: %v", path, err)
		case failure.Kind != verify.Unreachable && !truth:
			t.Errorf("%s: %s, where only the registry is at fault: %v", path, failure.Kind, err)
		}
		return "error"
	}
	d := r.Decision
	switch d.Verdict {
	case stemma.Allow:
		cited := slices.ContainsFunc(d.Findings, func(f stemma.Finding) bool { return slices.Contains(f.Cites, provenance) })
		if !cited || !slices.ContainsFunc(r.Evidence.Attestations, func(a stemma.Attestation) bool { return a.Bundle == provenance }) {
			t.Errorf("%s: allowed without its provenance", path)
		}
	case stemma.Deny:
		if !truth {
			t.Errorf("%s: denied where only the registry is at fault:\n%s%s", path, findings(d), refusals(r.Evidence))
		}
	default:
		if !slices.ContainsFunc(d.Findings, func(f stemma.Finding) bool {
			return f.Outcome == stemma.Unknown && f.Reason.Class() == stemma.CouldNotCheck
		}) {
			t.Errorf("%s: undetermined without saying what could not be looked at:\n%s", path, findings(d))
		}
		if strings.Contains(refusals(r.Evidence), "internal error") {
			t.Errorf("%s: %s", path, refusals(r.Evidence))
		}
	}
	return string(d.Verdict)
}
