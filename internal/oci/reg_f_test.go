package oci

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

// An index tampered child by child: exactly that child is missing, and said to be, and nothing is used in its place.
func TestReg_F02_index_tampered_child_by_child(t *testing.T) { // CVE-2023-33959
	for i := range 6 {
		for name, with := range map[string]func(t *testing.T, w *world) []byte{
			"other bytes":   func(*testing.T, *world) []byte { return []byte(goodManifest) },
			"a sibling":     func(_ *testing.T, w *world) []byte { return manifestOf(w, (i+1)%6) },
			"one byte more": func(_ *testing.T, w *world) []byte { return append(bytes.Clone(manifestOf(w, i)), ' ') },
			"the index":     func(_ *testing.T, w *world) []byte { return w.image.Manifest },
			"nothing":       func(*testing.T, *world) []byte { return nil },
		} {
			w, _ := lazyWorld(t)
			if f := w.mustOpen(); len(f.Children) != 6 || len(f.Unavailable) > 0 {
				t.Fatalf("untouched: %d children, %+v", len(f.Children), f.Unavailable)
			}
			child := stemma.Digest(w.image.Children[i].Digest)
			if err := w.registry.Corrupt(repo, child, with(t, w)); err != nil {
				t.Fatal(err)
			}
			w.client = newClient(t, Config{Transport: stemmatest.Network{host: w.registry}})
			f := w.mustOpen()
			reason := stemma.ReasonBadAnswer
			wantUnavailable(t, f, "index children", reason, "child "+child.Short())
			if len(f.Children) != 5 || len(f.Unavailable) != 1 {
				t.Errorf("child %d, %s: %d children, %+v", i, name, len(f.Children), f.Unavailable)
			}
			f.each(func(f *Found) {
				if f.Image.Digest == child || !f.Image.Digest.Matches(f.Manifest) {
					t.Errorf("child %d, %s: used %s", i, name, f.Image.Digest)
				}
			})
		}
	}
}

func manifestOf(w *world, i int) []byte {
	_, data, err := w.registry.Manifest(repo, string(w.image.Children[i].Digest))
	if err != nil {
		w.t.Fatal(err)
	}
	return data
}

func TestReg_F07_everything_withheld(t *testing.T) { // SLSA de-list
	w := newWorld(t, single)
	w.image.AttachReferrer(bundle(1))
	if f := w.mustOpen(); len(f.Raw) != 1 {
		t.Fatalf("%+v", f)
	}
	w.answer(func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/referrers/") {
			_, _ = io.WriteString(rw, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
			return true
		}
		return false
	})
	f := w.mustOpen()
	var places []string
	for _, p := range f.Places {
		places = append(places, fmt.Sprintf("%s %s %d", p.Name, p.Answer, p.Found))
	}
	if diff := cmp.Diff([]string{"referrers 200 0", "fallback tag 404 0", ".sig tag 404 0", ".att tag 404 0", ".sbom tag 404 0"}, places); diff != "" || len(f.Raw)+len(f.Unavailable) > 0 {
		t.Errorf("%s %+v %+v", diff, f.Raw, f.Unavailable)
	}
}

// One place that stalls costs half of the time that is left, and the others are decided on.
func TestReg_F08_one_place_stalls(t *testing.T) { // kyverno#16678
	for part, want := range map[string]struct {
		place string
		raws  int
	}{
		".sbom": {".sbom tag", 2}, ".sig": {".sig tag", 2}, "/referrers/": {"referrers", 1}, string(stemma.SHA256(bundle(1).Layers[0].Data)): {"referrers", 1}, "nothing": {"", 2},
	} {
		t.Run(part, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, single)
				w.image.AttachReferrer(bundle(1))
				w.image.AttachCosign(".att", stemmatest.Layer{MediaType: mediaTypeDSSE, Data: []byte(someEnvelope)})
				w.fault(part, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
				w.client = newClient(t, Config{Transport: stemmatest.Network{host: w.registry}, Clock: time.Now})
				ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
				defer cancel()
				start := time.Now()
				f, err := w.openWithin(ctx, "@"+string(w.image.Digest()))
				if err != nil {
					t.Fatal(err)
				}
				if len(f.Raw) != want.raws || ctx.Err() != nil {
					t.Errorf("%d pieces, %v", len(f.Raw), ctx.Err())
				}
				if want.place == "" {
					if len(f.Unavailable) != 0 || time.Since(start) != 0 {
						t.Errorf("%v %+v", time.Since(start), f.Unavailable)
					}
					return
				}
				wantUnavailable(t, f, want.place, stemma.ReasonTimeout, "")
				if took := time.Since(start); took != 4*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
	// The image itself may take all the time there is.
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, single)
		w.fault("/manifests/sha256:", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		w.client = newClient(t, Config{Transport: stemmatest.Network{host: w.registry}, Clock: time.Now})
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		start := time.Now()
		_, err := w.openWithin(ctx, "@"+string(w.image.Digest()))
		if wantKind(t, err, Unreachable, "deadline exceeded"); time.Since(start) != 8*time.Second {
			t.Errorf("it took %v", time.Since(start))
		}
	})
	// Without a deadline nothing waits for ever.
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, single)
		w.fault(".sbom", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		start := time.Now()
		if wantUnavailable(t, w.mustOpen(), ".sbom tag", stemma.ReasonTimeout, ""); time.Since(start) != maxWaiting {
			t.Errorf("it took %v", time.Since(start))
		}
	})
}

// refusal is how the network says that it does not connect to an address.
type refusal struct{}

func (refusal) Error() string {
	return "connecting to registry.acme.test: it is at 10.0.0.5, a private address"
}
func (refusal) Forbidden() bool { return true }
func (refusal) Advice() string  { return "Name the host in the registries file." }

type refusing struct {
	host string
	next http.RoundTripper
}

func (r refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == r.host {
		return nil, refusal{}
	}
	return r.next.RoundTrip(req)
}

func TestReg_F12_forbidden_addresses(t *testing.T) { // go-containerregistry #2285, Tekton, Rekor
	// The image's own registry, an alternate, a redirect.
	w := newWorld(t, single)
	w.client = newClient(t, Config{Transport: refusing{host, stemmatest.Network{host: w.registry}}})
	_, err := w.open(":v1")
	wantKind(t, err, Forbidden, "a private address")
	var e *Error
	if errors.As(err, &e) && e.Hint != (refusal{}).Advice() {
		t.Errorf("hint %q", e.Hint)
	}
	w.client = newClient(t, Config{Transport: refusing{"other.test", stemmatest.Network{host: w.registry}}})
	f, err := w.client.Open(t.Context(), Look{Ref: Reference{Repository: host + "/" + repo, Host: host, Tag: "v1"}, Also: []string{"other.test/x"}})
	if err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, f, "referrers in other.test/x", stemma.ReasonForbidden, "a private address")
	w.image.AttachReferrer(bundle(1))
	w.fault("/blobs/", func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, "https://other.test"+r.URL.Path, http.StatusTemporaryRedirect)
	})
	f = w.mustOpen()
	if wantUnavailable(t, f, "referrers", stemma.ReasonForbidden, "a private address"); len(f.Raw) != 0 {
		t.Errorf("%+v", f.Raw)
	}
	w.answer(nil)
	if f = w.mustOpen(); len(f.Raw) != 1 || len(f.Unavailable) != 0 {
		t.Errorf("the control: %+v", f)
	}
}

// A layer with addresses of its own is fetched from the repository, or not at all.
func TestReg_F12_foreign_layer(t *testing.T) { // CVE-2020-15157
	for _, there := range []bool{true, false} {
		w := newWorld(t, single)
		data := bundle(1).Layers[0].Data
		layer := v1.Descriptor{MediaType: bundle(1).Type, Digest: digest.FromBytes(data), Size: int64(len(data)), URLs: []string{"https://evil.test/x", "http://169.254.169.254/latest/meta-data"}}
		if there {
			w.registry.PutBlob(repo, layer.MediaType, data)
		}
		m := object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "config": layer, "layers": []v1.Descriptor{layer}, "subject": subject(w.image.Descriptor)}
		w.registry.PutReferrer(repo, w.image.Digest(), w.registry.PutManifest(repo, v1.MediaTypeImageManifest, []byte(encode(t, m))))
		net := &wire{hosts: stemmatest.Network{host: w.registry}}
		w.client = newClient(t, Config{Transport: net})
		f := w.mustOpen()
		if (len(f.Raw) == 1) != there || len(net.saw) != 1 {
			t.Errorf("%d pieces, hosts %v", len(f.Raw), net.saw)
		}
		if !there {
			wantUnavailable(t, f, "referrers", stemma.ReasonBadAnswer, "404")
		}
	}
}

// An answer that breaks off in the middle is asked for once more, and no more than once.
func TestReg_F14_broken_off(t *testing.T) {
	for breaks, want := range map[int32]int{0: 1, 1: 1, 2: 0} {
		w := newWorld(t, single)
		w.image.AttachReferrer(bundle(1))
		blob := "/blobs/" + string(stemma.SHA256(bundle(1).Layers[0].Data))
		var asked atomic.Int32
		w.fault(blob, func(rw http.ResponseWriter, _ *http.Request) {
			data := bundle(1).Layers[0].Data
			rw.Header().Set("Content-Length", strconv.Itoa(len(data)))
			if asked.Add(1) <= breaks {
				_, _ = rw.Write(data[:5])
				panic(http.ErrAbortHandler)
			}
			_, _ = rw.Write(data)
		})
		f := w.mustOpen()
		if len(f.Raw) != want || asked.Load() != min(2, breaks+1) {
			t.Errorf("broken %d times: %d pieces, asked %d times, %+v", breaks, len(f.Raw), asked.Load(), f.Unavailable)
		}
		if want == 0 {
			wantUnavailable(t, f, "referrers", stemma.ReasonUnreachable, "connection cut")
		}
	}
}

// What a descriptor or a header declares takes no memory until it comes, and what comes is bounded.
func TestReg_F14_memory(t *testing.T) { // CVE-2024-29902, CVE-2024-29903
	listed := func(w *world, sizes ...int64) {
		layers := []v1.Descriptor{}
		for i, size := range sizes {
			layers = append(layers, v1.Descriptor{MediaType: mediaTypeDSSE, Digest: digest.FromString(fmt.Sprint(i)), Size: size})
		}
		m := object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "config": layers[0], "layers": layers, "subject": subject(w.image.Descriptor)}
		w.registry.PutReferrer(repo, w.image.Digest(), w.registry.PutManifest(repo, v1.MediaTypeImageManifest, []byte(encode(t, m))))
	}
	few := func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Length", strconv.Itoa(maxEvidence))
		_, _ = rw.Write(make([]byte, 1000))
	}
	for name, c := range map[string]struct {
		sizes  []int64
		h      http.HandlerFunc
		reason stemma.Reason
		text   string
		most   uint64 // bytes allocated in all
	}{
		"1 GiB is said":         {[]int64{1 << 30}, flood, "", "", 8 << 20},
		"the largest, a little": {[]int64{maxEvidence}, few, stemma.ReasonBadAnswer, "the answer has 1000 bytes", 8 << 20},
		"the largest, endless":  {[]int64{maxEvidence}, flood, stemma.ReasonTruncated, "longer than 33554432 bytes", maxEvidence + 8<<20},
		"many, endless":         {[]int64{8 << 20, 8 << 20, 8<<20 - 1, 8<<20 - 1, 8 << 20, 8 << 20}, flood, stemma.ReasonBadAnswer, "longer than 8388608 bytes", maxEvidenceTotal + 8<<20},
		"small, endless":        {[]int64{100}, flood, stemma.ReasonBadAnswer, "longer than 100 bytes", 8 << 20},
	} {
		w := newWorld(t, single)
		listed(w, c.sizes...)
		w.fault("/blobs/", c.h)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := w.client.Open(t.Context(), Look{Ref: Reference{Repository: host + "/" + repo, Host: host, Tag: "v1"}, Want: &Want{}})
		runtime.ReadMemStats(&after)
		if err != nil || len(f.Raw) != 0 {
			t.Fatalf("%s: %+v, %v", name, f, err)
		}
		if c.reason != "" {
			wantUnavailable(t, f, "referrers", c.reason, c.text)
		} else if len(f.Rejected) != 1 || f.Rejected[0].Reason != stemma.ReasonLimit {
			t.Errorf("%s: %+v %+v", name, f.Rejected, f.Unavailable)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > c.most {
			t.Errorf("%s: %d MiB were allocated, at most %d", name, took>>20, c.most>>20)
		}
	}
}

// Nothing is unpacked: not what a server says it has packed, and no layer that is packed by its type.
func TestReg_F15_compressed(t *testing.T) { // Rekor advisories
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := z.Write(make([]byte, 64<<20)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	w := newWorld(t, single)
	w.image.AttachReferrer(bundle(1))
	w.fault("/blobs/"+string(stemma.SHA256(bundle(1).Layers[0].Data)), func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("asked for %s", r.Header.Get("Accept-Encoding"))
		}
		rw.Header().Set("Content-Encoding", "gzip")
		_, _ = rw.Write(bomb.Bytes())
	})
	f := w.mustOpen()
	if wantUnavailable(t, f, "referrers", stemma.ReasonBadAnswer, "longer than"); len(f.Raw) != 0 {
		t.Errorf("%+v", f.Raw)
	}
	w = newWorld(t, single)
	w.image.AttachReferrer(stemmatest.Artifact{Type: "x", Layers: []stemmatest.Layer{{MediaType: mediaTypeInToto + "+gzip", Data: bomb.Bytes()}, bundle(1).Layers[0]}})
	if f = w.mustOpen(); len(f.Raw) != 1 || f.Raw[0].Format != stemma.FormatBundle || f.Places[0].Answer != "200; 1 of type application/vnd.in-toto+json+gzip not read" {
		t.Errorf("%+v %+v", f.Raw, f.Places)
	}
}

// Ten thousand pieces of junk crowd the good one out neither by number, nor by the right type, nor by being smaller.
func TestReg_F17_flood_of_kinds(t *testing.T) { // CVE-2023-33958, CVE-2023-42814
	const many = 10_000
	bundleType := bundle(0).Type
	for name, c := range map[string]struct {
		before int // how many of the junk are listed before the good one
		listed v1.Descriptor
		found  bool
	}{
		"no junk":                     {0, v1.Descriptor{}, true},
		"other types, before":         {many, v1.Descriptor{ArtifactType: "application/vnd.example.junk", Size: 1}, true},
		"no type, smaller, before":    {many, v1.Descriptor{Size: 1}, true},
		"right type, larger, before":  {many, v1.Descriptor{ArtifactType: bundleType, Size: 4000}, true},
		"right type, huge, before":    {many, v1.Descriptor{ArtifactType: bundleType, Size: maxManifest}, true},
		"right type, smaller, after":  {0, v1.Descriptor{ArtifactType: bundleType, Size: 1}, true},
		"right type, smaller, around": {100, v1.Descriptor{ArtifactType: bundleType, Size: 1}, true},
		"right type, smaller, before": {many, v1.Descriptor{ArtifactType: bundleType, Size: 1}, false}, // what is left: it is said
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, single)
			junk := func(from, to int) {
				for i := from; i < to && c.listed.Size > 0; i++ {
					d := c.listed
					d.MediaType, d.Digest = v1.MediaTypeImageManifest, digest.FromString(fmt.Sprint(i))
					w.registry.PutReferrer(repo, w.image.Digest(), d)
				}
			}
			junk(0, c.before)
			w.image.AttachReferrer(bundle(7))
			junk(c.before, many)
			f := w.mustOpen()
			if n := len(w.registry.Requests()); n > maxPieces+20 {
				t.Errorf("%d requests", n)
			}
			if found := len(f.Raw) == 1 && string(f.Raw[0].Data) == string(bundle(7).Layers[0].Data); found != c.found {
				t.Errorf("found: %v, %+v", found, f.Unavailable)
			}
			if c.listed.Size > 0 {
				wantUnavailable(t, f, "referrers", stemma.ReasonTruncated, "10001 referrers, of which ")
			} else if len(f.Unavailable) > 0 {
				t.Errorf("%+v", f.Unavailable)
			}
		})
	}
	// A long list does not stand before what another place lists.
	w := newWorld(t, single)
	for i := range many {
		w.registry.PutReferrer(repo, w.image.Digest(), v1.Descriptor{MediaType: v1.MediaTypeImageManifest, ArtifactType: bundleType, Size: 1, Digest: digest.FromString(fmt.Sprint(i))})
	}
	if _, err := w.image.AttachFallback(bundle(7)); err != nil {
		t.Fatal(err)
	}
	if f := w.mustOpen(); len(f.Raw) != 1 || f.Raw[0].Place != "fallback tag" {
		t.Errorf("%+v %+v", f.Raw, f.Unavailable)
	}
}

// Pieces are chosen as referrers are.
func TestReg_F17_pieces(t *testing.T) { // CVE-2023-33958
	w := newWorld(t, single)
	w.image.AttachReferrer(bundle(7)) // listed first, and larger than the junk
	for m := range 3 {
		var layers []stemmatest.Layer
		for i := range maxLayers {
			layers = append(layers, stemmatest.Layer{MediaType: bundle(0).Type, Data: fmt.Appendf(nil, "%d", m*maxLayers+i)})
		}
		w.image.AttachReferrer(stemmatest.Artifact{Type: bundle(0).Type, Layers: layers})
	}
	f := w.mustOpen()
	wantUnavailable(t, f, "referrers", stemma.ReasonTruncated, "769 pieces of evidence, of which 256 were looked at")
	good := 0
	for _, r := range f.Raw {
		if string(r.Data) == string(bundle(7).Layers[0].Data) {
			good++
		}
	}
	if good != 1 || len(f.Raw) != maxPieces {
		t.Errorf("%d good of %d", good, len(f.Raw))
	}
}
