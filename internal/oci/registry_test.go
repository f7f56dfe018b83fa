package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

const (
	host    = "registry.acme.test"
	repo    = "acme/api"
	linux64 = "linux/amd64"
)

// world is a registry that can be made to misbehave, and a client of it.
type world struct {
	t        *testing.T
	registry *stemmatest.Registry
	image    *stemmatest.Image
	client   *Client
	faulty   atomic.Pointer[func(http.ResponseWriter, *http.Request) bool] // requests that were given up may still arrive
}

func newWorld(t *testing.T, spec stemmatest.ImageSpec) *world {
	t.Helper()
	r := stemmatest.NewRegistry(host)
	spec.Repository, spec.Tags = repo, []string{"v1"}
	image, err := r.PutImage(spec)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, registry: r, image: image, client: newClient(t, Config{Transport: stemmatest.Network{host: r}})}
	r.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
		f := w.faulty.Load()
		return f != nil && (*f)(rw, r)
	}
	return w
}

func newClient(t *testing.T, c Config) *Client {
	t.Helper()
	if c.Transport == nil {
		c.Transport = &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	}
	client, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (w *world) open(suffix string) (*Found, error) { return w.openWithin(w.t.Context(), suffix) }

func (w *world) openWithin(ctx context.Context, suffix string) (*Found, error) {
	w.t.Helper()
	ref, err := ParseReference(host + "/" + repo + suffix)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.client.Open(ctx, Look{Ref: ref})
}

func (w *world) mustOpen() *Found {
	w.t.Helper()
	f, err := w.open(":v1")
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// fault lets f answer the requests whose path contains part.
func (w *world) fault(part string, f http.HandlerFunc) {
	w.answer(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, part) {
			return false
		}
		f(rw, r)
		return true
	})
}

// answer lets f see every request first. Nil: nobody does.
func (w *world) answer(f func(http.ResponseWriter, *http.Request) bool) {
	if f == nil {
		f = func(http.ResponseWriter, *http.Request) bool { return false }
	}
	w.faulty.Store(&f)
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// stall never answers. The caller's patience ends when the request has arrived.
func stall(end context.CancelFunc) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		end()
		<-r.Context().Done()
	}
}

func wantKind(t *testing.T, err error, kind Kind, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != kind || !strings.Contains(e.Error(), text) || e.Hint == "" || strings.Contains(e.Error()+e.Hint, "\n") {
		t.Errorf("got %v (%+v)\nwant %s: %s", err, e, kind, text)
	}
}

func wantUnavailable(t *testing.T, f *Found, place string, reason stemma.Reason, text string) {
	t.Helper()
	for _, u := range f.Unavailable {
		if u.Place == place && u.Reason == reason && strings.Contains(u.Detail, text) {
			return
		}
	}
	t.Errorf("unavailable: %+v\nwant %s %s: %s", f.Unavailable, place, reason, text)
}

func bundle(i int) stemmatest.Artifact {
	const mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	return stemmatest.Artifact{Type: mediaType, Layers: []stemmatest.Layer{{MediaType: mediaType, Data: fmt.Appendf(nil, `{"verificationMaterial":%d}`, i)}}}
}

var single = stemmatest.ImageSpec{Single: true}

func TestRegistryPlaces(t *testing.T) {
	w := newWorld(t, stemmatest.ImageSpec{
		Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64", Variant: "v8"}},
		Subject:   true,
		Attest: func(p stemma.Platform, d stemma.Digest) []*stemmatest.Statement {
			return []*stemmatest.Statement{{PredicateType: "https://example.test/" + p.Architecture}}
		},
	})
	w.image.AttachReferrer(bundle(1))
	if _, err := w.image.AttachFallback(bundle(1)); err != nil {
		t.Fatal(err)
	}
	w.image.AttachCosign(".att", stemmatest.Layer{MediaType: mediaTypeDSSE, Data: []byte(someEnvelope), Annotations: map[string]string{"a": "b"}})
	w.image.AttachCosign(".sbom", stemmatest.Layer{MediaType: "text/spdx+json", Data: []byte("{}")})
	f := w.mustOpen()
	if f.Image != (stemma.Image{Repository: host + "/" + repo, Digest: w.image.Digest(), Tag: "v1"}) || f.MediaType != v1.MediaTypeImageIndex {
		t.Errorf("opened %+v", f.Image)
	}
	var raws, places, platforms []string
	f.each(func(f *Found) {
		if len(f.Unavailable)+len(f.Rejected) > 0 {
			t.Errorf("%v %v", f.Unavailable, f.Rejected)
		}
		platforms = append(platforms, strings.TrimSpace(fmt.Sprintf("%s %v", f.Platform, f.AttestationManifest)))
		for _, r := range f.Raw {
			raws = append(raws, fmt.Sprintf("%s: %s sealed=%v %v", f.Platform, r.Place, r.Sealed, r.Format))
		}
	})
	for _, p := range f.Places {
		places = append(places, fmt.Sprintf("%s %s %d", p.Name, p.Answer, p.Found))
	}
	if diff := cmp.Diff([]string{"false", "linux/amd64 false", "linux/arm64/v8 false", "unknown/unknown true", "unknown/unknown true"}, platforms); diff != "" {
		t.Error(diff)
	}
	slices.Sort(raws)
	if diff := cmp.Diff([]string{
		": .att tag sealed=false dsse", ": referrers, fallback tag sealed=false sigstore-bundle",
		"linux/amd64: referrers, index children sealed=true in-toto-statement", "linux/arm64/v8: referrers, index children sealed=true in-toto-statement",
	}, raws); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"referrers 200 1", "fallback tag 200 1", ".sig tag 404 0", ".att tag 200 1", ".sbom tag 200 1", "index children 4 listed 2"}, places); diff != "" {
		t.Error(diff)
	}
	// The same at any concurrency, and each thing asked for once.
	seen := map[string]bool{}
	for _, r := range w.registry.Requests() {
		if seen[r] {
			t.Errorf("asked twice: %s", r)
		}
		seen[r] = true
	}
	for _, n := range []int{1, 3, 32} {
		w.client = newClient(t, Config{Transport: stemmatest.Network{host: w.registry}, Concurrency: n})
		if diff := cmp.Diff(f, w.mustOpen()); diff != "" {
			t.Errorf("%d at a time: %s", n, diff)
		}
	}
}

func TestReg_F01_tag_resolved_once(t *testing.T) { // CVE-2022-47633, GHSA-wfqx
	w := newWorld(t, stemmatest.ImageSpec{})
	other, err := w.registry.PutImage(stemmatest.ImageSpec{Repository: repo, Content: "unsigned"})
	if err != nil {
		t.Fatal(err)
	}
	w.image.AttachReferrer(bundle(1))
	w.answer(func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/manifests/v1") {
			// The tag is moved as soon as it was answered.
			rw.Header().Set("Content-Type", v1.MediaTypeImageIndex)
			_, _ = rw.Write(w.image.Manifest)
			w.registry.Tag(repo, "v1", other.Digest())
			return true
		}
		return false
	})
	f := w.mustOpen()
	asked := 0
	for _, r := range w.registry.Requests() {
		if strings.HasSuffix(r, "/manifests/v1") {
			asked++
		} else if strings.Contains(r, other.Digest().Hex()) {
			t.Errorf("asked for the other image: %s", r)
		}
	}
	if asked != 1 || f.Image.Digest != w.image.Digest() || len(f.Raw) != 1 {
		t.Errorf("the tag was asked for %d times; %+v", asked, f.Image)
	}
	w.answer(nil)
	w.registry.Tag(repo, "v1", w.image.Digest())
	// A digest wins. The tag is asked for once, as an index that may list the image, and is never taken for it.
	f, err = w.open(":v1@" + string(other.Digest()))
	if err != nil || f.Image.Digest != other.Digest() || f.Image.Tag != "v1" || len(f.Indexes) != 0 {
		t.Errorf("%+v, %v", f, err)
	}
	asked = 0
	for _, r := range w.registry.Requests() {
		if strings.HasSuffix(r, "/manifests/v1") {
			asked++
		} else if strings.Contains(r, w.image.Digest().Hex()) {
			t.Errorf("asked for the other image: %s", r)
		}
	}
	if i := slices.IndexFunc(f.Places, func(p stemma.Place) bool { return p.Name == "index by tag" }); asked != 1 || f.Places[i].Answer != "200, does not list it" {
		t.Errorf("the tag was asked for %d times beside a digest; %+v", asked, f.Places)
	}
}

func TestReg_F02_digest_lie(t *testing.T) { // CVE-2023-33959, GHSA-qv35
	w := newWorld(t, stemmatest.ImageSpec{})
	other, err := w.registry.PutImage(stemmatest.ImageSpec{Repository: repo, Content: "other"})
	if err != nil {
		t.Fatal(err)
	}
	corrupt := func(d stemma.Digest, data []byte) {
		t.Helper()
		if err := w.registry.Corrupt(repo, d, data); err != nil {
			t.Fatal(err)
		}
		w.client = newClient(t, Config{Transport: stemmatest.Network{host: w.registry}}) // which remembers nothing
	}
	if _, err := w.open("@" + string(w.image.Digest())); err != nil {
		t.Fatal(err)
	}
	artifact := w.image.AttachReferrer(bundle(1))
	layer := stemma.SHA256(bundle(1).Layers[0].Data)
	corrupt(layer, []byte(`{"verificationMaterial":2}`))
	f := w.mustOpen()
	wantUnavailable(t, f, "referrers", stemma.ReasonBadAnswer, "what is served as "+layer.Short()+" has the digest")
	if len(f.Raw) != 0 {
		t.Errorf("used %+v", f.Raw)
	}
	corrupt(stemma.Digest(artifact.Digest), []byte(goodManifest))
	wantUnavailable(t, w.mustOpen(), "referrers", stemma.ReasonBadAnswer, "has the digest")
	child := w.image.Platform(stemma.Platform{OS: "linux", Architecture: "amd64"})
	corrupt(child, []byte(goodManifest))
	f = w.mustOpen()
	wantUnavailable(t, f, "index children", stemma.ReasonBadAnswer, "has the digest")
	if len(f.Children) != 0 {
		t.Errorf("used %+v", f.Children)
	}
	// The tag's header still says the digest of the right bytes.
	corrupt(w.image.Digest(), other.Manifest)
	_, err = w.open(":v1")
	wantKind(t, err, BadAnswer, "header Docker-Content-Digest says "+w.image.Digest().Short())
	_, err = w.open("@" + string(w.image.Digest()))
	wantKind(t, err, BadAnswer, "the answer has the digest "+other.Digest().Short())
	w.fault("/manifests/v1", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Docker-Content-Digest", "sha256:none")
		_, _ = io.WriteString(rw, goodManifest)
	})
	_, err = w.open(":v1")
	wantKind(t, err, BadAnswer, "header Docker-Content-Digest")
}

func TestReg_F03_size_lie(t *testing.T) {
	w := newWorld(t, single)
	m := w.image.AttachReferrer(bundle(1))
	for _, by := range []int64{-1, 1} {
		wrong := m
		wrong.Size += by
		other := newWorld(t, single)
		other.image.AttachReferrer(bundle(1))
		other.registry.PutReferrer(repo, other.image.Digest(), wrong)
		f := other.mustOpen()
		wantUnavailable(t, f, "referrers", stemma.ReasonBadAnswer, "bytes")
		if len(f.Raw) != 1 {
			t.Errorf("%+d: the right descriptor beside it yields %d pieces", by, len(f.Raw))
		}
		index := object{"schemaVersion": 2, "manifests": []v1.Descriptor{{MediaType: v1.MediaTypeImageManifest, Digest: w.image.Descriptor.Digest, Size: w.image.Descriptor.Size + by}}}
		w.registry.PutManifest(repo, v1.MediaTypeImageIndex, []byte(encode(t, index)), "v1")
		f = w.mustOpen()
		wantUnavailable(t, f, "index children", stemma.ReasonBadAnswer, "bytes")
		if len(f.Children) != 0 {
			t.Errorf("used %+v", f.Children)
		}
	}
}

func TestReg_F04_content_type(t *testing.T) { // GHSA-qq97, GHSA-5j5w
	w := newWorld(t, single)
	for contentType, ok := range map[string]bool{
		v1.MediaTypeImageManifest: true, v1.MediaTypeImageManifest + "; charset=utf-8": true, "": true,
		v1.MediaTypeImageIndex: false, mediaTypeDockerManifest: false, "application/json": false, "text/html": false, ";": false,
	} {
		w.fault("/manifests/v1", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", contentType)
			_, _ = rw.Write(w.image.Manifest)
		})
		_, err := w.open(":v1")
		if ok && err != nil {
			t.Errorf("%q: %v", contentType, err)
		} else if !ok {
			wantKind(t, err, BadAnswer, "")
		}
	}
	// An index that calls its child something else than the child calls itself.
	w.answer(nil)
	index := object{"schemaVersion": 2, "manifests": []v1.Descriptor{{MediaType: mediaTypeDockerManifest, Digest: w.image.Descriptor.Digest, Size: w.image.Descriptor.Size}}}
	w.registry.PutManifest(repo, v1.MediaTypeImageIndex, []byte(encode(t, index)), "v1")
	f := w.mustOpen()
	wantUnavailable(t, f, "index children", stemma.ReasonBadAnswer, "it is called")
	if len(f.Children) != 0 {
		t.Errorf("used %+v", f.Children)
	}
}

func TestReg_F05_referrers_pages(t *testing.T) { // opa-provider#196, GHSA-298f
	for _, c := range []struct {
		referrers, answer int
		truncated         bool
	}{{1, 1, false}, {2, 2, false}, {16, 16, false}, {17, 16, true}} {
		w := newWorld(t, single)
		w.registry.PageSize = 1
		for i := range c.referrers {
			w.image.AttachReferrer(bundle(i))
		}
		f := w.mustOpen()
		if len(f.Raw) != c.answer || len(f.Unavailable) > 0 != c.truncated {
			t.Errorf("%d pages: %d pieces, %+v", c.referrers, len(f.Raw), f.Unavailable)
		}
		if c.truncated {
			wantUnavailable(t, f, "referrers", stemma.ReasonTruncated, "more than 16 pages")
		}
		if want := fmt.Sprintf("200, %d pages", c.answer); c.answer > 1 && f.Places[0].Answer != want {
			t.Errorf("answer %q, want %q", f.Places[0].Answer, want)
		}
	}
	for name, c := range map[string]struct{ link, want string }{ // a path in the same registry is a bad answer, anywhere else is forbidden
		"loop":       {`<?page=1>; rel="next"`, "already read"},
		"itself":     {`<>; rel=next`, "already read"},
		"other host": {`<https://evil.test/v2/acme/api/referrers/x>; rel="next"`, "not in the API"},
		"metadata":   {`<http://169.254.169.254/v2/x>; rel="next"`, "not in the API"},
		"downgrade":  {`<http://` + host + `/v2/x>; rel="next"`, "not in the API"},
		"other port": {`<https://` + host + `:8443/v2/x>; rel="next"`, "not in the API"},
		"other API":  {`</admin>; rel="next"`, "not in the API"},
		"user":       {`<https://a:b@` + host + `/v2/x>; rel="next"`, "not in the API"},
		"schemeless": {`<//evil.test/v2/x>; rel="next"`, "not in the API"},
		"second":     {`</x>; rel="prev", <//evil.test/v2/x>; foo=bar; REL="last next"`, "not in the API"},
		"unclosed":   {`</v2/x`, "unclosed"},
		"no URL":     {`<:%>; rel=next`, "not a URL"},
		"not next":   {`<https://evil.test/x>; rel="prev"`, ""},
		"none":       {``, ""},
	} {
		w := newWorld(t, single)
		w.image.AttachReferrer(bundle(1))
		w.answer(func(rw http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/referrers/") {
				rw.Header().Set("Link", c.link)
			}
			return false
		})
		f := w.mustOpen()
		if len(f.Raw) != 1 {
			t.Errorf("%s: the first page yields %d pieces", name, len(f.Raw))
		}
		if c.want != "" {
			reason := stemma.ReasonBadAnswer
			if c.want == "not in the API" && name != "other API" {
				reason = stemma.ReasonForbidden
			}
			wantUnavailable(t, f, "referrers", reason, c.want)
		} else if len(f.Unavailable) > 0 {
			t.Errorf("%s: %+v", name, f.Unavailable)
		}
	}
}

func TestReg_F06_referrers_withheld(t *testing.T) { // kyverno#16678
	for _, mode := range []stemmatest.Referrers{stemmatest.ReferrersEmpty, stemmatest.ReferrersOff, stemmatest.ReferrersNull} {
		w := newWorld(t, single)
		w.registry.Referrers = mode
		if _, err := w.image.AttachFallback(bundle(1)); err != nil {
			t.Fatal(err)
		}
		f := w.mustOpen()
		if len(f.Raw) != 1 || f.Raw[0].Place != "fallback tag" || len(f.Unavailable) != 0 {
			t.Errorf("%s: %+v %+v", mode, f.Raw, f.Unavailable)
		}
	}
}

func TestReg_F08_discovery_errors(t *testing.T) { // kyverno#16678
	for _, c := range []struct {
		name, part, place, answer string
		h                         http.HandlerFunc
		reason                    stemma.Reason // "": the answer is taken
	}{
		{"404", "/referrers/", "referrers", "404", status(404), ""},
		{"400", "/referrers/", "referrers", "400", status(400), ""},
		{"405", "/referrers/", "referrers", "405", status(405), ""},
		{"406", "/referrers/", "referrers", "406", status(406), ""},
		{"401", "/referrers/", "referrers", "401", status(401), stemma.ReasonUnauthorized},
		{"403", "/referrers/", "referrers", "403", status(403), stemma.ReasonUnauthorized},
		{"429", "/referrers/", "referrers", "429", status(429), stemma.ReasonRateLimited},
		{"500", "/referrers/", "referrers", "500", status(500), stemma.ReasonUnreachable},
		{"503", "/referrers/", "referrers", "503", status(503), stemma.ReasonUnreachable},
		{"cut", "/referrers/", "referrers", "no usable answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, stemma.ReasonUnreachable},
		{"stall", "/referrers/", "referrers", "no usable answer", nil, stemma.ReasonTimeout},
		{"html", "/referrers/", "referrers", "200", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, stemma.ReasonBadAnswer},
		{"empty", "/referrers/", "referrers", "200", status(200), stemma.ReasonBadAnswer},
		{"manifest", "/referrers/", "referrers", "200", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, goodManifest) }, stemma.ReasonBadAnswer},
		{"tag 500", ".att", ".att tag", "500", status(500), stemma.ReasonUnreachable},
		{"tag 403", ".sig", ".sig tag", "403", status(403), stemma.ReasonUnauthorized},
		{"tag 400", ".sig", ".sig tag", "400", status(400), stemma.ReasonBadAnswer},
		{"tag nonsense", ".sig", ".sig tag", "no usable answer", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, stemma.ReasonBadAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, single)
			// Evidence elsewhere is found whatever this place does.
			w.image.AttachCosign(map[bool]string{true: ".sig", false: ".att"}[c.part == ".att"], stemmatest.Layer{MediaType: mediaTypeDSSE, Data: []byte(someEnvelope)})
			if _, err := w.image.AttachFallback(bundle(1)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.h == nil {
				c.h = stall(cancel)
			}
			w.fault(c.part, c.h)
			f, err := w.openWithin(ctx, ":v1")
			if err != nil {
				t.Fatal(err)
			}
			if c.name != "stall" && len(f.Raw) != 2 {
				t.Errorf("%d pieces", len(f.Raw))
			}
			for _, p := range f.Places {
				if p.Name == c.place && p.Answer != c.answer {
					t.Errorf("answer %q, want %q", p.Answer, c.answer)
				}
			}
			if c.reason != "" {
				wantUnavailable(t, f, c.place, c.reason, "")
			} else if len(f.Unavailable) > 0 {
				t.Errorf("%+v", f.Unavailable)
			}
		})
	}
}

func TestReg_F09_artifact_type_is_a_hint(t *testing.T) { // aicr#1957
	w := newWorld(t, single)
	m := w.image.AttachReferrer(bundle(1))
	other := newWorld(t, single)
	other.registry.PutBlob(repo, "", bundle(1).Layers[0].Data)
	_, data, err := w.registry.Manifest(repo, string(m.Digest))
	if err != nil {
		t.Fatal(err)
	}
	d := other.registry.PutManifest(repo, m.MediaType, data)
	d.ArtifactType = v1.MediaTypeEmptyJSON
	other.registry.PutReferrer(repo, other.image.Digest(), d)
	if f := other.mustOpen(); len(f.Raw) != 1 || f.Raw[0].Format != stemma.FormatBundle {
		t.Errorf("%+v %+v", f.Raw, f.Unavailable)
	}
}

func TestReg_F10_subject_of_referrer(t *testing.T) { // OCI distribution specification
	for name, make := range map[string]func(w *world){
		"of another image": func(w *world) {
			a := bundle(1)
			a.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digA, Size: 2}
			d := w.image.AttachReferrer(a)
			w.registry.PutReferrer(repo, w.image.Digest(), d)
		},
		"of nothing": func(w *world) {
			layer := w.registry.PutBlob(repo, "application/vnd.dev.sigstore.bundle.v0.3+json", []byte(someBundle))
			m := object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "config": layer, "layers": []v1.Descriptor{layer}}
			w.registry.PutReferrer(repo, w.image.Digest(), w.registry.PutManifest(repo, v1.MediaTypeImageManifest, []byte(encode(w.t, m))))
		},
	} {
		w := newWorld(t, single)
		make(w)
		f := w.mustOpen()
		if len(f.Raw) != 0 || len(f.Rejected) != 1 || f.Rejected[0].Reason != stemma.ReasonSubjectMismatch || f.Rejected[0].Place != "referrers" {
			t.Errorf("%s: %+v %+v", name, f.Raw, f.Rejected)
		}
	}
	w := newWorld(t, single)
	w.image.AttachReferrer(bundle(1))
	if f := w.mustOpen(); len(f.Raw) != 1 || len(f.Rejected) != 0 {
		t.Errorf("its own: %+v %+v", f.Raw, f.Rejected)
	}
}

func TestReg_F17_flood(t *testing.T) { // CVE-2023-33958, CVE-2023-42814
	w := newWorld(t, single)
	good := w.image.AttachReferrer(bundle(7))
	junk := w.registry.PutManifest(repo, v1.MediaTypeImageManifest, []byte(goodManifest))
	for i := range 10_000 {
		d := junk
		d.Digest = digest.FromString(fmt.Sprint(i))
		d.ArtifactType = "application/vnd.example.junk"
		w.registry.PutReferrer(repo, w.image.Digest(), d)
	}
	f := w.mustOpen()
	if requests := w.registry.Requests(); len(requests) > maxPieces+20 {
		t.Errorf("%d requests", len(requests))
	}
	wantUnavailable(t, f, "referrers", stemma.ReasonTruncated, "10001 referrers, of which 256 were looked at")
	if len(f.Raw) != 1 || f.Raw[0].Data == nil || f.Raw[0].ID() != stemma.SHA256(bundle(7).Layers[0].Data) {
		t.Errorf("the good one (%s) is not among %d pieces", good.Digest, len(f.Raw))
	}
	if len(f.Unavailable) > 10 || len(f.Rejected) > maxPieces {
		t.Errorf("%d unavailable, %d rejected", len(f.Unavailable), len(f.Rejected))
	}
}

func TestOpenErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		h    http.HandlerFunc
		kind Kind
		text string
		hint string
	}{
		{"404", nil, NotFound, "404 Not Found (MANIFEST_UNKNOWN: no such manifest)", "Check repository, tag and digest"},
		{"401", status(401), Refused, "401 Unauthorized", "docker login " + host},
		{"403", status(403), Refused, "403 Forbidden", "when a repository does not exist"},
		{"429", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(429)
		}, RateLimited, "429 Too Many Requests", "Try again after 60 seconds"},
		{"500", status(500), Unreachable, "500 Internal Server Error", "Check that " + host},
		{"escape", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = io.WriteString(w, `{"errors":[{"code":"\u001b[2J","message":"x\ny"}]}`)
		}, Unreachable, "500 Internal Server Error (\uFFFD[2J: x\uFFFDy)", ""},
		{"cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Unreachable, "connection cut", ""},
		{"nonsense", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }, BadAnswer, "expected an object", "nothing was concluded"},
		{"stall", nil, Unreachable, "context canceled", "in time"},
	} {
		w := newWorld(t, single)
		ctx, cancel := context.WithCancel(t.Context())
		if c.name == "stall" {
			c.h = stall(cancel)
		}
		if c.h != nil {
			w.fault("/manifests/none", c.h)
		}
		_, err := w.openWithin(ctx, ":none")
		cancel()
		wantKind(t, err, c.kind, c.text)
		var e *Error
		if errors.As(err, &e) && !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: hint %q, want %q", c.name, e.Hint, c.hint)
		}
	}
	w := newWorld(t, single)
	ref, err := ParseReference("nowhere.test/x")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.client.Open(t.Context(), Look{Ref: ref})
	wantKind(t, err, Unreachable, "no such host")
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close() // nothing listens there any more
	ref, err = ParseReference(strings.TrimPrefix(server.URL, "http://") + "/x")
	if err != nil {
		t.Fatal(err)
	}
	_, err = newClient(t, Config{}).Open(t.Context(), Look{Ref: ref})
	wantKind(t, err, Unreachable, "connection refused")
}
