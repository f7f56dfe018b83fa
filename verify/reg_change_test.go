package verify_test

import (
	"testing"
	"time"

	"stemma"
	"stemma/policy"
	"stemma/verify"
)

// conforma CA-2, EC-1993: who could choose the time could make an image that is too old young again. The time of a request
// that is not the present makes a decision by which nothing may be admitted, and it says so.
func TestReg_E10_effective_time(t *testing.T) {
	w := newWorld(t)
	set := must[*policy.Set](t)(policy.Load(policy.File{Name: "policy.yaml", Data: []byte(workflowPolicy)}))
	now := w.Now
	v := must[*verify.Verifier](t)(verify.New(t.Context(), verify.Config{
		Policies: set, Network: verify.Network{Transport: w.Transport(), Sleep: atOnce}, Roots: map[string][]byte{policy.PublicGood: w.Sigstore.TrustedRoot()},
		Clock: func() time.Time { return now },
	}))
	for _, c := range []struct {
		name   string
		at     time.Time
		asked  bool
		effect stemma.Effect
	}{
		{"now", time.Time{}, false, stemma.Admit},
		{"now, as the caller's clock has it", now.Add(-4 * time.Minute), false, stemma.Admit},
		{"a while ago", now.Add(-6 * time.Minute), false, stemma.None},
		{"soon", now.Add(6 * time.Minute), false, stemma.None},
		{"next year", now.AddDate(1, 0, 0), false, stemma.None},
		{"2020", time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), false, stemma.None},
		{"what if it were now", now, true, stemma.None},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := v.Verify(t.Context(), verify.Request{Image: "ghcr.io/acme/app:v2.0.0", Situation: stemma.Situation{At: c.at, WhatIf: c.asked}})
			if err != nil {
				t.Fatal(err)
			}
			d := r.Decision
			if d.Effect != c.effect || d.Situation.WhatIf != (c.effect == stemma.None) {
				t.Errorf("%s, %s, what if %v; want %s", d.Verdict, d.Effect, d.Situation.WhatIf, c.effect)
			}
			if want := c.at; !want.IsZero() && !d.Situation.At.Equal(want) {
				t.Errorf("the decision is of %s, not of %s", d.Situation.At, want)
			}
		})
	}
}
