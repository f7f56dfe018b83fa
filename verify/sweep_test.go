package verify_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

// TestHostileSweep plays every behaviour of a hostile registry, alone and in pairs, on an image that is allowed, one that
// is denied and one of which the evidence cannot be had. Nothing makes the last two allowed, sends a secret elsewhere,
// reaches another host or is a defect of the program; and what is allowed is the image whose evidence is good.
func TestHostileSweep(t *testing.T) {
	s := newStage(t)
	rogue := must[*stemmatest.Image](t)(s.PutImage("rogue"))
	s.image = rogue
	s.attach(stemmatest.Vary{Build: func(b *stemmatest.GitHub) { b.Builder = "evil/builders/.github/workflows/build.yml@refs/tags/v1.2.3" }})
	must[*stemmatest.Image](t)(s.PutImage("unsigned"))
	good := s.World.Image
	set := must[*policy.Set](t)(policy.Load(policy.File{Name: "policy.yaml", Data: []byte(s.policy)}))
	all := stemmatest.Hostilities(good.Digest())
	var plays [][]stemmatest.Behaviour
	for i, b := range all {
		plays = append(plays, []stemmatest.Behaviour{b})
		if !testing.Short() { // pairs, each behaviour with two others
			plays = append(plays, []stemmatest.Behaviour{b, all[(i+7)%len(all)]}, []stemmatest.Behaviour{all[(i+13)%len(all)], b})
		}
	}
	allowed := 0
	for _, play := range plays {
		name, patience := "", 2*time.Second
		for _, b := range play {
			name += b.Row + " " + b.Name + "; "
			if b.Forever {
				patience = 300 * time.Millisecond
			}
		}
		for _, c := range []struct {
			tag   string
			allow bool
		}{{"v2.0.0", true}, {"rogue", false}, {"unsigned", false}} {
			h := (&stemmatest.Hostile{Registry: s.Registry}).Do(play...)
			wire := &stemmatest.Wire{Next: stemmatest.Network{"ghcr.io": h, "elsewhere.test": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })}}
			config := verify.Config{
				Clock:    s.Now.UTC,
				Policies: set, Roots: map[string][]byte{"public-good": s.Sigstore.TrustedRoot()},
				Network: verify.Network{
					Transport: wire, Sleep: atOnce,
					Hosts: []verify.Host{{Name: "ghcr.io", Username: "user", Password: "a very secret secret"}},
				},
			}
			v := must[*verify.Verifier](t)(verify.New(t.Context(), config))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			r, err := v.Verify(ctx, verify.Request{Image: "ghcr.io/acme/app:" + c.tag, Situation: stemma.Situation{At: s.Now}})
			cancel()
			var failure *verify.Error
			switch {
			case err != nil && (!errors.As(err, &failure) || failure.Kind == verify.Internal):
				t.Errorf("%s%s: %v", name, c.tag, err)
			case err == nil && r.Decision.Verdict == stemma.Allow && r.Decision.Image.Digest != good.Digest():
				t.Errorf("%s%s: %s is allowed", name, c.tag, r.Decision.Image)
			case err == nil && r.Decision.Verdict == stemma.Allow && c.allow:
				allowed++
			}
			if leaks := wire.Leaks("https://ghcr.io"); len(leaks) > 0 {
				t.Errorf("%s%s: a secret reached %v", name, c.tag, leaks)
			}
			for _, host := range wire.Hosts() {
				if host != "https://ghcr.io" && host != "https://elsewhere.test" {
					t.Errorf("%s%s: %s was asked", name, c.tag, host)
				}
			}
		}
	}
	// Most plays take the image or its evidence away, which is no defect; a few leave both.
	if allowed < 10 {
		t.Errorf("the good image was allowed in %d of %d plays: too few for the others to mean anything", allowed, len(plays))
	}
}
