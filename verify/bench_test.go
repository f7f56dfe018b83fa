package verify_test

import (
	"context"
	"testing"
	"time"

	"stemma"
	"stemma/policy"
	"stemma/verify"
)

// BenchmarkVerifyContainer judges one real image of the corpus from its layout to the decision, within this process:
// with everything done anew, trusted root and policy included; and by a verifier that has authenticated it before.
func BenchmarkVerifyContainer(b *testing.B) {
	dir := corpus(b)
	c := containers()[3]
	root := read(b, dir, publicGoodRoot)
	open := func() *verify.Verifier {
		return must[*verify.Verifier](b)(verify.New(context.Background(), verify.Config{
			Policies: c.wanted().policy(b), Roots: map[string][]byte{policy.PublicGood: root},
			Clock: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC).UTC,
		}))
	}
	request := verify.Request{
		Image: "oci:" + c.layout(dir), Name: containerName,
		Situation: stemma.Situation{At: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)},
	}
	ask := func(v *verify.Verifier) {
		if r, err := v.Verify(context.Background(), request); err != nil || r.Decision.Verdict != stemma.Allow {
			b.Fatalf("result %+v, error %v", r, err)
		}
	}
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ask(open())
		}
	})
	b.Run("cached", func(b *testing.B) {
		v := open()
		ask(v)
		b.ReportAllocs()
		for b.Loop() {
			ask(v)
		}
	})
}
