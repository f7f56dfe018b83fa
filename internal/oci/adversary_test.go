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

// many is an image of so many platforms.
func many(n int) stemmatest.ImageSpec {
	var spec stemmatest.ImageSpec
	for i := range n {
		spec.Platforms = append(spec.Platforms, stemma.Platform{OS: "linux", Architecture: fmt.Sprint(i)})
	}
	return spec
}

func onto(d v1.Descriptor, a stemmatest.Artifact) stemmatest.Artifact {
	a.Subject = subject(d)
	return a
}

// large is junk of so many bytes that calls itself a bundle.
func large(size int, number int) stemmatest.Artifact {
	a := bundle(0)
	a.Layers[0].Data = append(fmt.Appendf(nil, `{"junk":%d}`, number), make([]byte, size)...)
	return a
}

// has reports whether bundle i is among the evidence.
func (f *Found) has(i int) bool {
	for _, r := range f.Raw {
		if string(r.Data) == string(bundle(i).Layers[0].Data) {
			return true
		}
	}
	return false
}

// CVE-2023-42814: junk as large as the bounds allow, about one member of the family, keeps no evidence out about another
// one, which is found later.
func TestReg_F17_large_junk(t *testing.T) {
	w := newWorld(t, many(3))
	w.image.AttachReferrer(bundle(0))
	w.image.AttachReferrer(large(maxEvidence-requestCost-20, 0)) // all the room that the good one leaves
	for i, child := range w.image.Children {
		w.image.AttachReferrer(onto(child, bundle(i+1)))
		w.image.AttachReferrer(onto(child, large(maxEvidence/2, i)))
	}
	f := w.mustOpen()
	if !f.has(0) || len(f.Raw) != 1 {
		t.Errorf("of the index: %d pieces", len(f.Raw))
	}
	for i, child := range f.Children {
		if !child.has(i + 1) {
			t.Errorf("of platform %d: %d pieces, %+v", i, len(child.Raw), child.Unavailable)
		}
	}
	// Without junk beside it, a piece as large as the bounds allow is had.
	w = newWorld(t, many(3))
	w.image.AttachReferrer(large(maxEvidence-1<<16, 0))
	w.image.AttachReferrer(bundle(1))
	if f := w.mustOpen(); len(f.Raw) != 2 || len(f.Unavailable) > 0 {
		t.Errorf("%d pieces, %+v", len(f.Raw), f.Unavailable)
	}
	// The signature of an attestation manifest is found last of all.
	w = newWorld(t, chain(false))
	w.image.AttachReferrer(onto(w.image.Children[0], large(maxEvidence-requestCost-20, 0)))
	w.image.AttachReferrer(onto(w.image.Children[1], bundle(1)))
	if f := w.mustOpen(); len(f.Children[0].Attached) != 1 || !f.Children[0].Attached[0].has(1) || len(f.Children[0].Attached[0].Statements) != 1 {
		t.Errorf("%+v", f.Children[0].Unavailable)
	}
}

// CVE-2023-42814: the manifests of junk about the first platforms keep out none about the last.
func TestReg_F17_large_manifests(t *testing.T) {
	w := newWorld(t, many(20))
	for i, child := range w.image.Children {
		if w.image.AttachReferrer(onto(child, bundle(i))); i == 19 {
			break
		}
		for n := range 40 { // of all sizes up to 2 MiB, so that some fit whatever is left
			a := bundle(0)
			a.Layers[0].Annotations = map[string]string{"junk": fmt.Sprint(n, strings.Repeat(" ", requestCost<<(n/4)))}
			w.image.AttachReferrer(onto(child, a))
		}
	}
	f := w.mustOpen()
	for i, child := range f.Children {
		if !child.has(i) {
			t.Errorf("of platform %d: %d pieces, %+v", i, len(child.Raw), child.Unavailable)
		}
	}
}

// What is listed where it is not is had from where it is, although that comes to be known later.
func TestReg_F08_listed_where_it_is_not(t *testing.T) {
	const elsewhere = "store.corp.test"
	for name, junk := range map[string]func(w *world) v1.Descriptor{
		"about the index": func(w *world) v1.Descriptor { return w.image.Descriptor },
		"about a sibling": func(w *world) v1.Descriptor { return w.image.Children[1] },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, many(2))
			store := stemmatest.NewRegistry(elsewhere)
			there := &stemmatest.Image{Registry: store, Repository: "evidence"}
			there.AttachReferrer(onto(w.image.Children[0], bundle(1)))
			w.image.AttachReferrer(onto(junk(w), bundle(1)))
			w.registry.Delete(repo, stemma.SHA256(bundle(1).Layers[0].Data))
			w.client = newClient(t, Config{Transport: stemmatest.Network{host: w.registry, elsewhere: store}})
			f, err := w.client.Open(t.Context(), Look{Ref: Reference{Repository: host + "/" + repo, Host: host, Tag: "v1"}, Also: []string{elsewhere + "/evidence"}})
			if err != nil || !f.Children[0].has(1) || len(f.Children[0].Unavailable) > 0 {
				t.Errorf("%v, %+v", err, f.Children[0])
			}
		})
	}
}
