package verify_test

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"stemma"
	"stemma/stemmatest"
	"stemma/verify"
)

// TestHints: what builders leave in the image itself is shown, and nothing rests on it: an image with all of it is refused
// as one without, and one that has provenance is judged by that.
func TestHints(t *testing.T) {
	base := stemma.SHA256([]byte("base"))
	ko := stemmatest.KoAnnotations("https://github.com/acme/app", stemmatest.Commit("app"), base)
	packs := stemmatest.BuildpackLabels("https://github.com/acme/app", stemmatest.Commit("app"), base)
	decide := func(t testing.TB, annotations, labels map[string]string, attest bool) (*stemma.Decision, *stemma.Evidence) {
		s := newStage(t)
		image, err := s.Registry.PutImage(stemmatest.ImageSpec{Repository: stemmatest.Repository, Tags: []string{"hints"}, Content: "app", Annotations: annotations, Labels: labels})
		if err != nil {
			t.Fatal(err)
		}
		s.image, s.request.Image = image, "ghcr.io/acme/app:hints"
		if attest {
			s.attach(stemmatest.Vary{})
		}
		r := must[*verify.Result](t)(s.run())
		return r.Decision, must[*stemma.Evidence](t)(must[*verify.Verifier](t)(s.verifier()).Collect(t.Context(), s.request))
	}
	d, e := decide(t, ko, packs, false)
	if d.Verdict != stemma.Deny || len(e.Hints) != 1 || len(e.Platforms[0].Hints) != 2 || len(e.Unsigned) > 0 {
		t.Errorf("%s, %d and %d hints\n%s", d.Verdict, len(e.Hints), len(e.Platforms[0].Hints), findings(d))
	}
	lie := maps.Clone(ko)
	lie["org.opencontainers.image.source"] = "https://github.com/evil/app"
	if d, _ = decide(t, lie, nil, true); d.Verdict != stemma.Allow {
		t.Errorf("an annotation that nobody signs decides\n%s", findings(d))
	}
	keys := append(slices.Sorted(maps.Keys(ko)), slices.Sorted(maps.Keys(packs))...)
	rapid.Check(t, func(rt *rapid.T) {
		draw := rapid.MapOf(rapid.SampledFrom(keys), rapid.OneOf(rapid.String(), rapid.SampledFrom(append(slices.Sorted(maps.Values(ko)), slices.Sorted(maps.Values(packs))...))))
		d, e := decide(t, draw.Draw(rt, "annotations"), draw.Draw(rt, "labels"), false)
		if d.Verdict != stemma.Deny || d.Level != 0 {
			rt.Fatalf("%s at level %d\n%s", d.Verdict, d.Level, findings(d))
		}
		for _, h := range slices.Concat(e.Hints, e.Platforms[0].Hints) {
			for f, c := range h.Claims {
				if c.By != stemma.SaidByNobody {
					rt.Fatalf("%s is said by %s", f, c.By)
				}
			}
		}
	})
}
