package oci

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// CVE-2024-29903: large lists and tags, whose sizes nobody declares, keep out no small one.
func TestReg_F14_large_tags(t *testing.T) {
	w := newWorld(t, many(8))
	config := w.registry.PutBlob(repo, v1.MediaTypeEmptyJSON, []byte("{}"))
	for i, child := range w.image.Children {
		w.image.AttachReferrer(onto(child, bundle(i)))
		for _, suffix := range []string{".sig", ".att"} {
			junk := func(pad int) string {
				return encode(t, object{
					"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "config": config, "layers": []v1.Descriptor{},
					"annotations": object{"junk": strings.Repeat(" ", pad)},
				})
			}
			w.registry.PutManifest(repo, v1.MediaTypeImageManifest, []byte(junk(maxManifest-len(junk(0)))), tagOf(stemma.Digest(child.Digest), suffix))
		}
	}
	// The registry chooses the order of its answers.
	for first, second := range map[string]string{".sig": "/referrers/", "/referrers/": ".sig"} {
		w.answer(func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, second) && !strings.Contains(r.URL.Path, first) {
				time.Sleep(200 * time.Millisecond)
			}
			return false
		})
		w.client = newClient(t, Config{Transport: stemmatest.Network{host: w.registry}})
		f := w.mustOpen()
		truncated := 0
		for i, child := range f.Children {
			if !child.has(i) {
				t.Errorf("of platform %d: %d pieces, %+v", i, len(child.Raw), child.Unavailable)
			}
			for _, u := range child.Unavailable {
				if truncated++; u.Reason != stemma.ReasonTruncated || !strings.Contains(u.Detail, "MiB of lists and tags") {
					t.Errorf("%+v", u)
				}
			}
		}
		if truncated == 0 {
			t.Error("nothing was too much")
		}
	}
}

// What is not read of an artifact is named in short, however many types it has: its answer is shown, hashed and kept.
func TestReg_F17_many_types(t *testing.T) {
	w := newWorld(t, single)
	number := 0
	for range 40 {
		a := stemmatest.Artifact{Type: "junk"}
		for range maxLayers {
			number++
			a.Layers = append(a.Layers, stemmatest.Layer{MediaType: fmt.Sprintf("application/junk-%05d", number), Data: []byte("{}")})
		}
		w.image.AttachReferrer(a)
	}
	f := w.mustOpen()
	want := "200"
	for i := range 8 {
		want += fmt.Sprintf("; 1 of type application/junk-%05d not read", i+1)
	}
	if want += "; 10232 of other types not read"; f.Places[0].Answer != want {
		t.Errorf("%d bytes: %.500s", len(f.Places[0].Answer), f.Places[0].Answer)
	}
}

// Answers that stall when they have taken the room for large ones give it back while there is time for the others.
func TestReg_F16_stalled_large_answers(t *testing.T) {
	const good, junk = 1 << 20, roomUnits
	w := newWorld(t, single)
	w.image.AttachReferrer(large(good-9, junk))
	stalled := map[string]int{}
	for i := range junk {
		a := large(good, i)
		w.image.AttachReferrer(a)
		stalled[string(stemma.SHA256(a.Layers[0].Data))] = len(a.Layers[0].Data)
	}
	var began, ended sync.WaitGroup
	began.Add(junk)
	ended.Add(junk)
	w.answer(func(rw http.ResponseWriter, r *http.Request) bool {
		_, digest, _ := strings.Cut(r.URL.Path, "/blobs/")
		if size := stalled[digest]; size > 0 {
			rw.Header().Set("Content-Length", fmt.Sprint(size))
			_, _ = rw.Write(make([]byte, 2*smallBody))
			rw.(http.Flusher).Flush()
			began.Done()
			<-r.Context().Done()
			ended.Done()
			return true
		}
		if digest == string(stemma.SHA256(large(good-9, junk).Layers[0].Data)) {
			began.Wait() // until the others have taken all the room
			time.Sleep(100 * time.Millisecond)
			data := large(good-9, junk).Layers[0].Data
			_, _ = rw.Write(data[:good/2])
			rw.(http.Flusher).Flush()
			ended.Wait() // until they are given up
			time.Sleep(100 * time.Millisecond)
			_, _ = rw.Write(data[good/2:])
			return true
		}
		return false
	})
	server := httptest.NewServer(w.registry)
	t.Cleanup(server.Close)
	at := strings.TrimPrefix(server.URL, "http://")
	w.client = newClient(t, Config{PlainHTTP: []string{at}, Clock: time.Now})
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	f, err := w.client.Open(ctx, Look{Ref: Reference{Repository: at + "/" + repo, Host: at, Tag: "v1"}})
	if err != nil || len(f.Raw) != 1 || len(f.Raw[0].Data) < good-9 {
		t.Fatalf("%v: %d pieces, %+v", err, len(f.Raw), f.Unavailable)
	}
	wantUnavailable(t, f, "referrers", stemma.ReasonTimeout, "bytes in")
}

// oras GHSA-298f: marks of an index that lead round in a ring take no attestation manifest from the platform that it is
// about, wherever the ring is broken up: a platform is never attached to anything by a mark alone.
func TestReg_B14_ring_of_marks(t *testing.T) {
	spec := chain(false)
	spec.Platforms = many(3).Platforms
	spec.Attest = func(p stemma.Platform, _ stemma.Digest) []*stemmatest.Statement {
		return []*stemmatest.Statement{{PredicateType: "https://example.test/" + p.Architecture}}
	}
	w := newWorld(t, spec)
	for turn := range 6 {
		children := append(slices.Clone(w.image.Children[turn:]), w.image.Children[:turn]...)
		for i := range children {
			for k := range 3 {
				if children[i].Digest == w.image.Children[k].Digest { // it is said to be about the next platform's attestations
					children[i].Annotations = map[string]string{annotationReferenceType: attestationManifest, annotationReferenceDigest: string(w.image.Children[3+(k+1)%3].Digest)}
				}
			}
		}
		w.registry.PutManifest(repo, v1.MediaTypeImageIndex, []byte(encode(t, object{"schemaVersion": 2, "manifests": children})), "v1")
		f := w.mustOpen()
		for k := range 3 {
			if x := f.child(w.image.Children[k]); len(x.Raw) != 1 || len(x.Attached) != 1 || x.Attached[0].Image.Digest != stemma.Digest(w.image.Children[3+k].Digest) {
				t.Errorf("turn %d, platform %d: %d pieces, attached %+v", turn, k, len(x.Raw), x.Attached)
			}
		}
		if len(f.Rejected) != 3 || f.Rejected[0].Reason != stemma.ReasonUnsupported {
			t.Errorf("%+v", f.Rejected)
		}
	}
}

// An attestation manifest that is asked for itself has no config of an image, however little is wanted: evidence about
// that config is none about what runs.
func TestWantedConfigOfAttestations(t *testing.T) {
	w := newWorld(t, chain(false))
	for i, config := range []bool{true, false} {
		for _, want := range []*Want{nil, {Children: true}, {Indexes: true}, {}} {
			ref := Reference{Repository: host + "/" + repo, Host: host, Digest: stemma.Digest(w.image.Children[i].Digest)}
			f, err := w.client.Open(t.Context(), Look{Ref: ref, Want: want})
			if err != nil || f.AttestationManifest == config || (f.Config != "") != config {
				t.Errorf("child %d, %+v: %v, %+v", i, want, err, f)
			}
		}
	}
}
