package verify_test

import (
	"errors"
	"slices"
	"testing"

	"stemma"
	"stemma/stemmatest"
	"stemma/verify"
)

// conforma IV-4: a request that leaves an image of the release out is refused for it.
func TestReg_B16_release(t *testing.T) {
	s := newStage(t)
	s.attach(stemmatest.Vary{})
	d := s.expect(want{}).Decision
	v := must[*verify.Verifier](t)(s.verifier())
	own := d.Image.Repository + "@" + string(d.Image.Digest)
	elsewhere := "ghcr.io/acme/web@" + string(d.Image.Digest)
	other := "ghcr.io/acme/app@" + string(s.Image.Digest())
	for name, c := range map[string]struct {
		release string
		given   []*stemma.Decision
		omitted []string
	}{
		"whole":                       {own + "\n", []*stemma.Decision{d}, nil},
		"with comments, twice":        {"# api\n\n" + own + "  # first\n" + own, []*stemma.Decision{d}, nil},
		"two of three":                {own + "\n" + other + "\n" + elsewhere, []*stemma.Decision{d}, []string{other, elsewhere}},
		"none given":                  {own, nil, []string{own}},
		"same digest, another name":   {elsewhere, []*stemma.Decision{d}, []string{elsewhere}},
		"same name, another digest":   {other, []*stemma.Decision{d}, []string{other}},
		"more given than the release": {own, []*stemma.Decision{d, {Image: stemma.Image{Repository: "ghcr.io/acme/x", Digest: d.Image.Digest}}}, nil},
	} {
		release, err := verify.ReadRelease("release.txt", []byte(c.release))
		check(t, err)
		var got []string
		for _, o := range v.Omitted(release, c.given, s.request.Situation) {
			got = append(got, o.Image.String())
			f := o.Findings[0]
			if o.Verdict != stemma.Deny || o.Effect != stemma.Refuse || f.Rule != "release.complete" || f.Reason != stemma.ReasonOmitted || o.ID == "" {
				t.Errorf("%s: %+v", name, o)
			}
		}
		if !slices.Equal(got, c.omitted) {
			t.Errorf("%s: omitted %v, want %v", name, got, c.omitted)
		}
	}
	for _, bad := range []string{"", "# nothing", "ghcr.io/acme/app:v1", "oci:dir", "ghcr.io/acme/app@sha256:1", own + "\n\x00"} {
		var failure *verify.Error
		if _, err := verify.ReadRelease("release.txt", []byte(bad)); !errors.As(err, &failure) || failure.Kind != verify.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
