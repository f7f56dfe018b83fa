package oci

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

// What whoever can push to the registry, or the registry itself, may try to have good evidence overlooked.

// chain is an image of BuildKit, whose provenance lies in an attestation manifest.
func chain(subject bool) stemmatest.ImageSpec {
	return stemmatest.ImageSpec{Subject: subject, Attest: func(stemma.Platform, stemma.Digest) []*stemmatest.Statement {
		return []*stemmatest.Statement{{PredicateType: "https://example.test/x"}}
	}}
}

// An attestation manifest that is a child of the index and a referrer is read twice when it failed once. A look that
// ended in a panic would be no decision at all.
func TestReg_F08_child_fails_and_referrer_does_not(t *testing.T) {
	for failing := range 3 {
		t.Run(fmt.Sprint(failing), func(t *testing.T) {
			w := newWorld(t, chain(true))
			attestation := string(w.image.Children[1].Digest)
			var asked atomic.Int64
			w.answer(func(rw http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/manifests/"+attestation) || asked.Add(1) > int64(failing) {
					return false
				}
				rw.WriteHeader(http.StatusInternalServerError)
				return true
			})
			f := w.mustOpen()
			child := f.Children[0]
			if found := failing < 2; found != (len(child.Attached) == 1 && len(child.Attached[0].Statements) == 1 && len(child.Raw) == 1) {
				t.Errorf("%d attached, %d pieces", len(child.Attached), len(child.Raw))
			}
			if failing > 0 {
				wantUnavailable(t, f, "index children", stemma.ReasonUnreachable, "500")
			} else if len(f.Unavailable) > 0 {
				t.Errorf("%+v", f.Unavailable)
			}
		})
	}
}

// CVE-2023-33958: what an index lists is covered by its digest. However much is attached by whoever can push, it does
// not take its place.
func TestReg_F17_flood_of_attached(t *testing.T) {
	for _, subject := range []bool{false, true} {
		w := newWorld(t, chain(subject))
		platform, attestation := w.image.Children[0], w.image.Children[1]
		for i := range maxAttached + 4 {
			w.image.AttachReferrer(stemmatest.Artifact{
				Subject: &v1.Descriptor{MediaType: platform.MediaType, Digest: platform.Digest, Size: platform.Size},
				Layers:  []stemmatest.Layer{{MediaType: mediaTypeInToto, Data: fmt.Appendf(nil, `{"junk":%d}`, i)}},
			})
		}
		f := w.mustOpen()
		found := false
		for _, a := range f.Children[0].Attached {
			found = found || a.Image.Digest == stemma.Digest(attestation.Digest) && len(a.Statements) == 1
		}
		if !found {
			t.Errorf("subject %v: the attestation manifest of the index is not among %d attached", subject, len(f.Children[0].Attached))
		}
		wantUnavailable(t, f.Children[0], "referrers", stemma.ReasonTruncated, "manifests are attached")
	}
}
