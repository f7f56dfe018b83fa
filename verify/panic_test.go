package verify_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("a defect") }

// late panics at the second request, in a goroutine of the search for evidence.
type late struct {
	http.RoundTripper
	requests atomic.Int64
}

func (l *late) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.requests.Add(1) > 1 {
		panic("a defect")
	}
	return l.RoundTripper.RoundTrip(r)
}

// TestPanic: a defect anywhere below is an error without a decision, and does not end the process (INV-2).
func TestPanic(t *testing.T) {
	world, err := stemmatest.NewWorld(stemmatest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, transport := range map[string]http.RoundTripper{"at once": panicking{}, "late": &late{RoundTripper: world.Transport()}} {
		v, err := verify.New(context.Background(), verify.Config{
			Policies: containers()[0].wanted().policy(t), Network: verify.Network{Transport: transport, Sleep: atOnce},
			Roots: map[string][]byte{policy.PublicGood: world.Sigstore.TrustedRoot()},
		})
		if err != nil {
			t.Fatal(err)
		}
		result, err := v.Verify(context.Background(), verify.Request{Image: "ghcr.io/acme/app:v2.0.0"})
		var failure *verify.Error
		if result != nil || !errors.As(err, &failure) || failure.Kind != verify.Internal {
			t.Errorf("%s: result %v, error %v", name, result, err)
		}
	}
}
