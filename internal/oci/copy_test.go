package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	ggcrregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

const mirrorHost = "mirror.test"

// mirrored is an image with evidence in every place, and a client of its registry and of one to copy to.
type mirrored struct {
	*world
	to *http.Handler
}

func ggcr(referrers bool) http.Handler {
	return ggcrregistry.New(ggcrregistry.WithReferrersSupport(referrers), ggcrregistry.Logger(log.New(io.Discard, "", 0)))
}

func newMirrored(t *testing.T, destination http.Handler) *mirrored {
	t.Helper()
	w := newWorld(t, stemmatest.ImageSpec{
		Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}, Subject: true,
		Attest: func(p stemma.Platform, d stemma.Digest) []*stemmatest.Statement {
			return []*stemmatest.Statement{{PredicateType: "https://example.test/" + p.Architecture}}
		},
	})
	w.image.AttachReferrer(bundle(1))
	if _, err := w.image.AttachFallback(bundle(2)); err != nil {
		t.Fatal(err)
	}
	w.image.AttachCosign(".att", stemmatest.Layer{MediaType: mediaTypeDSSE, Data: []byte(someEnvelope), Annotations: map[string]string{"a": "b"}})
	child := bundle(3)
	child.Subject = &w.image.Children[0]
	w.image.AttachReferrer(child)
	// An SBOM as a file, and a bundle about that.
	sbom := w.image.AttachReferrer(stemmatest.Artifact{Type: "application/spdx+json", Layers: []stemmatest.Layer{{MediaType: "application/spdx+json", Data: []byte(`{"spdxVersion":"SPDX-2.3"}`)}}})
	nested := bundle(4)
	nested.Subject = &sbom
	w.image.AttachReferrer(nested)
	m := &mirrored{world: w, to: &destination}
	m.client = m.fresh(nil)
	return m
}

// fresh is a client that has nothing in its cache.
func (m *mirrored) fresh(c func(*Config)) *Client {
	m.t.Helper()
	config := Config{Transport: stemmatest.Network{host: m.registry, mirrorHost: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*m.to).ServeHTTP(w, r)
	})}}
	if c != nil {
		c(&config)
	}
	return newClient(m.t, config)
}

// intercept lets f answer requests to the destination before it does.
func (m *mirrored) intercept(f func(w http.ResponseWriter, r *http.Request) bool) {
	inner := *m.to
	*m.to = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f(w, r) {
			inner.ServeHTTP(w, r)
		}
	})
}

func mustRef(t *testing.T, s string) Reference {
	t.Helper()
	ref, err := ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func (m *mirrored) from() Reference {
	return mustRef(m.t, host+"/"+repo+":v1@"+string(m.image.Digest()))
}

func (m *mirrored) copy(ctx context.Context) (*Copied, error) {
	return m.client.Copy(ctx, m.from(), mustRef(m.t, mirrorHost+"/hub/api:v1"), nil)
}

// there is what discovery finds at the destination, with a client that has seen nothing of the source.
func (m *mirrored) there(name string) (*Found, error) {
	return m.fresh(nil).Open(m.t.Context(), Look{Ref: mustRef(m.t, mirrorHost+"/hub/api"+name)})
}

// evidence lists what is about what.
func evidence(f *Found) []string {
	var list []string
	for _, r := range f.Raw {
		list = append(list, fmt.Sprintf("%s about %s", r.ID().Short(), r.Of.Short()))
	}
	for _, c := range slices.Concat(f.Children, f.Attached) {
		list = append(list, evidence(c)...)
	}
	slices.Sort(list)
	return list
}

func results(c *Copied) map[CopyResult]int {
	count := map[CopyResult]int{}
	for _, i := range c.Items {
		count[i.Result]++
	}
	return count
}

func TestCopy(t *testing.T) {
	for name, to := range map[string]http.Handler{
		"ociregistry":                   ociserver.New(ocimem.New(), nil),
		"ociregistry without referrers": ociserver.New(ocimem.New(), &ociserver.Options{DisableReferrersAPI: true}),
		"ggcr":                          ggcr(true),
		"ggcr without referrers":        ggcr(false),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirrored(t, to)
			before := m.mustOpen()
			last := 0
			copied, err := m.client.Copy(t.Context(), m.from(), mustRef(t, mirrorHost+"/hub/api:v1"), func(done, total int) {
				if done != last+1 || done > total {
					t.Errorf("progress %d of %d after %d", done, total, last)
				}
				last = done
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range copied.Items {
				if i.Result != CopyDone && i.Result != AlreadyThere {
					t.Errorf("%+v", i)
				}
			}
			if n := len(copied.Items); n != last || copied.Items[n-1].Kind != "tag" || copied.Items[n-1].Tag != "v1" || copied.Bytes == 0 {
				t.Errorf("%d items, %d steps, the last is %+v", n, last, copied.Items[n-1])
			}
			if copied.Image != (stemma.Image{Repository: mirrorHost + "/hub/api", Digest: m.image.Digest(), Tag: "v1"}) {
				t.Errorf("%+v", copied.Image)
			}
			after, err := m.there(":v1")
			if err != nil {
				t.Fatal(err)
			}
			want, got := evidence(before), evidence(after)
			if len(want) != 7 || !slices.Equal(got, want) || after.Image.Digest != before.Image.Digest {
				t.Errorf("before\n%s\nafter\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
			}
			if copied.Fallback != strings.HasSuffix(name, "without referrers") {
				t.Errorf("fallback tags: %v", copied.Fallback)
			}
			if len(after.Unavailable)+len(after.Rejected) > 0 {
				t.Errorf("at the destination: %+v %+v", after.Unavailable, after.Rejected)
			}
			again, err := m.copy(t.Context())
			if err != nil || again.Bytes != 0 {
				t.Fatalf("again: %v, %d bytes", err, again.Bytes)
			}
			for _, i := range again.Items {
				if i.Result != AlreadyThere && i.Kind != "referrer" {
					t.Errorf("again: %+v", i)
				}
			}
		})
	}
}

// TestCopyOrder: nobody ever finds half of an image, nor one whose evidence is on its way.
func TestCopyOrder(t *testing.T) {
	m := newMirrored(t, ociserver.New(ocimem.New(), nil))
	copied, err := m.copy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, i := range copied.Items {
		if len(kinds) == 0 || kinds[len(kinds)-1] != i.Kind {
			kinds = append(kinds, i.Kind)
		}
	}
	at := func(kind string) int { return slices.Index(kinds, kind) }
	if at("image manifest") < at("layer") || at("image index") < at("image manifest") || at("referrer") < at("image index") || at("tag") != len(kinds)-1 {
		t.Errorf("%v", kinds)
	}
	// What is looked at is copied, whatever has become of the tag since.
	other, err := m.registry.PutImage(stemmatest.ImageSpec{Repository: repo, Tags: []string{"v1"}, Content: "other"})
	if err != nil {
		t.Fatal(err)
	}
	m.to = ptr(ociserver.New(ocimem.New(), nil))
	m.client = m.fresh(nil)
	if copied, err = m.copy(t.Context()); err != nil || copied.Image.Digest != m.image.Digest() || copied.Image.Digest == other.Digest() {
		t.Errorf("after the tag was moved: %v %+v", err, copied)
	}
}

func ptr[T any](v T) *T { return &v }

// TestCopyWrongContent: what does not match its digest is never completed at the destination, and never tagged.
func TestCopyWrongContent(t *testing.T) {
	layers := func(m *mirrored) []stemma.Digest {
		doc, err := parseDocument(m.manifestOf(stemma.Digest(m.image.Children[0].Digest)), stemma.Digest(m.image.Children[0].Digest))
		if err != nil {
			m.t.Fatal(err)
		}
		return []stemma.Digest{doc.body.Layers[0].Digest, doc.body.Config.Digest}
	}
	right := func(m *mirrored, d stemma.Digest) []byte { return m.blobOf(d) }
	for _, c := range []struct {
		name string
		harm func(m *mirrored, d stemma.Digest)
		text string
	}{
		{"other bytes", func(m *mirrored, d stemma.Digest) {
			data := bytes.Clone(right(m, d))
			data[len(data)-1] ^= 1
			m.corrupt(d, data)
		}, "is served as"},
		{"shorter", func(m *mirrored, d stemma.Digest) { m.corrupt(d, right(m, d)[:5]) }, "the descriptor"},
		{"longer", func(m *mirrored, d stemma.Digest) { m.corrupt(d, append(bytes.Clone(right(m, d)), 'x')) }, "the descriptor"},
		{"cut", func(m *mirrored, d stemma.Digest) {
			m.fault("/blobs/"+string(d), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}, "connection cut"},
		{"missing", func(m *mirrored, d stemma.Digest) { m.fault("/blobs/"+string(d), status(404)) }, "404"},
		{"chunked, shorter", func(m *mirrored, d stemma.Digest) {
			data := right(m, d)[:5]
			m.fault("/blobs/"+string(d), func(w http.ResponseWriter, _ *http.Request) { flush(w, data) })
		}, "ends after 5 bytes"},
		{"chunked, longer", func(m *mirrored, d stemma.Digest) {
			data := append(bytes.Clone(right(m, d)), 'x')
			m.fault("/blobs/"+string(d), func(w http.ResponseWriter, _ *http.Request) { flush(w, data) })
		}, "is longer than"},
	} {
		for i, what := range []string{"layer", "config"} {
			m := newMirrored(t, nil)
			kept := false
			*m.to = ociserver.New(ocimem.New(), nil)
			d := layers(m)[i]
			m.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
				// A destination that compares nothing would keep what it was given whole.
				if r.Method == http.MethodPut && r.URL.Query().Get("digest") == string(d) {
					body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
					kept = kept || err == nil && int64(len(body)) >= r.ContentLength && r.ContentLength >= 0
				}
				return false
			})
			c.harm(m, d)
			copied, err := m.copy(t.Context())
			var e *Error
			if !errors.As(err, &e) || !strings.HasPrefix(e.Error(), "copying "+host) || !strings.Contains(e.Error(), c.text) || e.Hint == "" {
				t.Errorf("%s %s: %v", what, c.name, err)
			}
			if kept {
				t.Errorf("%s %s: the destination was given all of it", what, c.name)
			}
			if copied == nil || results(copied)[NotRead] != 1 {
				t.Errorf("%s %s: %+v", what, c.name, copied)
			}
			if _, err := m.there(":v1"); err == nil {
				t.Errorf("%s %s: the tag is there", what, c.name)
			}
		}
	}
}

// flush writes without a length declared.
func flush(w http.ResponseWriter, data []byte) { _, _ = w.Write(data) }

func (m *mirrored) manifestOf(d stemma.Digest) []byte {
	doc, err := m.fresh(nil).at(m.from()).named(m.t.Context(), "", d)
	if err != nil {
		m.t.Fatal(err)
	}
	return doc.data
}

func (m *mirrored) blobOf(d stemma.Digest) []byte {
	body, err := m.fresh(nil).at(m.from()).get(m.t.Context(), "https://"+host+"/v2/"+repo+"/blobs/"+string(d), "*/*", maxManifest)
	if err != nil {
		m.t.Fatal(err)
	}
	return body.body
}

func (m *mirrored) corrupt(d stemma.Digest, data []byte) {
	if err := m.registry.Corrupt(repo, d, data); err != nil {
		m.t.Fatal(err)
	}
}

// TestCopyEvidenceLost: evidence that cannot be copied does not keep the image from being copied, and is named.
func TestCopyEvidenceLost(t *testing.T) {
	for _, c := range []struct {
		name   string
		harm   func(m *mirrored)
		result CopyResult
		kind   string
		status int
		why    string
		lost   int // pieces
	}{
		{"the blob of a referrer has other bytes", func(m *mirrored) {
			m.corrupt(stemma.SHA256(bundle(1).Layers[0].Data), []byte(`{"verificationMaterial":9}`))
		}, NotRead, "layer", 0, "has the digest", 1},
		{"the source does not list referrers now", func(m *mirrored) { m.fault("/referrers/"+string(m.image.Digest()), status(503)) }, NotRead, "referrers", 503, "503 Service Unavailable", 2},
		{"the destination refuses referrers", func(m *mirrored) {
			m.intercept(func(w http.ResponseWriter, r *http.Request) bool {
				body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
				r.Body = io.NopCloser(bytes.NewReader(body))
				if r.Method != http.MethodPut || !bytes.Contains(body, []byte(`"application/spdx+json"`)) {
					return false
				}
				w.WriteHeader(400)
				_, _ = io.WriteString(w, `{"errors":[{"code":"MANIFEST_INVALID","message":"artifacts are not\u001b[2J accepted"}]}`)
				return true
			})
		}, NotTaken, "referrer", 400, "400 Bad Request (MANIFEST_INVALID: artifacts are not\uFFFD[2J accepted)", 0},
		{"the destination refuses a tag", func(m *mirrored) {
			m.intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, ".att") {
					w.WriteHeader(403)
					return true
				}
				return false
			})
		}, NotTaken, "cosign .att", 403, "403 Forbidden", 1},
		{"the destination has other evidence under the tag", func(m *mirrored) { m.seed(stemmatest.Layer{MediaType: mediaTypeDSSE, Data: []byte("other")}) }, NotTaken, "cosign .att", 0, "with evidence that the source does not have", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMirrored(t, ociserver.New(ocimem.New(), nil))
			before := m.mustOpen()
			m.client = m.fresh(nil)
			c.harm(m)
			copied, err := m.copy(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(copied.Items, func(i CopiedItem) bool { return i.Result == c.result && i.Kind == c.kind })
			if i < 0 || copied.Items[i].Status != c.status || !strings.Contains(copied.Items[i].Why, c.why) {
				t.Errorf("%+v", copied.Items)
			}
			after, err := m.there(":v1")
			if err != nil {
				t.Fatal(err)
			}
			if c.lost > 0 && len(evidence(after)) >= len(evidence(before)) {
				t.Errorf("%d pieces before, %d after", len(evidence(before)), len(evidence(after)))
			}
		})
	}
}

// seed puts a manifest under the .att tag of the destination.
func (m *mirrored) seed(layers ...stemmatest.Layer) {
	m.t.Helper()
	other := stemmatest.NewRegistry(host)
	image, err := other.PutImage(stemmatest.ImageSpec{Repository: repo, Tags: []string{"v1"}, Content: "seed", Single: true})
	if err != nil {
		m.t.Fatal(err)
	}
	desc := image.AttachCosign(".att", layers...)
	client := newClient(m.t, Config{Transport: stemmatest.Network{host: other, mirrorHost: *m.to}})
	from := mustRef(m.t, host+"/"+repo+"@"+string(desc.Digest))
	if _, err := client.Copy(m.t.Context(), from, mustRef(m.t, mirrorHost+"/hub/api:"+tagOf(m.image.Digest(), ".att")), nil); err != nil {
		m.t.Fatal(err)
	}
}

// TestCopyCosignTag: what cosign's tag holds may grow, and must not shrink.
func TestCopyCosignTag(t *testing.T) {
	m := newMirrored(t, ociserver.New(ocimem.New(), nil))
	m.seed(stemmatest.Layer{MediaType: mediaTypeDSSE, Data: []byte(someEnvelope), Annotations: map[string]string{"a": "b"}})
	copied, err := m.copy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(copied.Items, func(i CopiedItem) bool { return i.Kind == "cosign .att" })
	if got := copied.Items[i].Result; got != AlreadyThere && got != CopyDone {
		t.Errorf("%+v", copied.Items[i])
	}
	m = newMirrored(t, ociserver.New(ocimem.New(), nil))
	m.seed(stemmatest.Layer{MediaType: mediaTypeDSSE, Data: []byte(someEnvelope), Annotations: map[string]string{"a": "another signature"}})
	if copied, err = m.copy(t.Context()); err != nil {
		t.Fatal(err)
	}
	i = slices.IndexFunc(copied.Items, func(i CopiedItem) bool { return i.Kind == "cosign .att" })
	if got := copied.Items[i]; got.Result != NotTaken || got.Tag != tagOf(m.image.Digest(), ".att") {
		t.Errorf("a signature of the destination's own is taken away: %+v", got)
	}
}

// TestCopyNoImage: when the image itself cannot be written there is an error, a hint, and no tag.
func TestCopyNoImage(t *testing.T) {
	when := func(method, part string, code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != method || !strings.Contains(r.URL.Path, part) {
				return false
			}
			w.WriteHeader(code)
			return true
		}
	}
	for _, c := range []struct {
		name string
		f    func(http.ResponseWriter, *http.Request) bool
		kind Kind
		text string
		hint string
	}{
		{"401", when("POST", "/blobs/uploads/", 401), Refused, "401 Unauthorized", "Log in with docker login mirror.test as somebody who may write to hub/api."},
		{"403", when("POST", "/blobs/uploads/", 403), Refused, "403 Forbidden", "Log in with docker login mirror.test as somebody who may write to hub/api."},
		{"404", when("POST", "/blobs/uploads/", 404), NotFound, "404 Not Found", "Make the repository hub/api at mirror.test first, if that registry does not make it by itself."},
		{"429", when("PUT", "/manifests/", 429), RateLimited, "429 Too Many Requests", "Wait and run it again: what is there already is not sent again."},
		{"405", when("POST", "/blobs/uploads/", 405), BadAnswer, "405 Method Not Allowed", "The destination does not take the image; its answer says why."},
		{"500", when("PUT", "/manifests/", 500), Unreachable, "500 Internal Server Error", "Run it again: what is there already is not sent again, and the tag was not set."},
		{"the tag cannot be moved", when("PUT", "/manifests/v1", 409), BadAnswer, "409 Conflict", "The destination does not take the image; its answer says why."},
		{"uploads elsewhere", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			w.Header().Set("Location", "https://thief.test/upload")
			w.WriteHeader(202)
			return true
		}, Forbidden, "different host", "Have mirror.test take uploads at its own address, or name the host that it sends them to: what is pushed, and as whom, is told to nobody else."},
	} {
		m := newMirrored(t, ociserver.New(ocimem.New(), nil))
		m.intercept(c.f)
		_, err := m.copy(t.Context())
		var e *Error
		if !errors.As(err, &e) || e.Kind != c.kind || !strings.HasPrefix(e.Error(), "copying to mirror.test/hub/api:v1: ") || !strings.Contains(e.Error(), c.text) || e.Hint != c.hint {
			t.Errorf("%s: %v\n%+v", c.name, err, e)
		}
		if _, err := m.there(":v1"); err == nil {
			t.Errorf("%s: the tag is there", c.name)
		}
	}
	// Running it again changes nothing about what is not connected to.
	m := newMirrored(t, ociserver.New(ocimem.New(), nil))
	m.client = m.fresh(func(c *Config) { c.Transport = refusing{mirrorHost, c.Transport} })
	var e *Error
	if _, err := m.copy(t.Context()); !errors.As(err, &e) || e.Kind != Forbidden || !strings.Contains(e.Error(), "a private address") || e.Hint != (refusal{}).Advice() {
		t.Errorf("to a private address: %v\n%+v", err, e)
	}
	for name, to := range map[string]Reference{
		"a layout": mustRef(t, "oci:dir"), "a digest": mustRef(t, mirrorHost+"/x@"+string(m.image.Digest())),
		"nothing": {}, "itself": mustRef(t, host+"/"+repo+":v2"),
	} {
		var e *Error
		if _, err := m.client.Copy(t.Context(), m.from(), to, nil); !errors.As(err, &e) || e.Kind != Invalid || e.Hint == "" {
			t.Errorf("to %s: %v", name, err)
		}
	}
	if _, err := m.client.Copy(t.Context(), mustRef(t, host+"/"+repo+":v1"), mustRef(t, mirrorHost+"/x:v1"), nil); err == nil {
		t.Error("a tag is copied that may mean something else by now")
	}
	// A child of the index that cannot be read: half an image is not copied.
	m.fault("/manifests/"+string(m.image.Children[1].Digest), status(404))
	if _, err := m.copy(t.Context()); err == nil {
		t.Error("an index is copied without one of its children")
	}
}

// TestCopyCancelled: whenever a copy is given up, no tag is left.
func TestCopyCancelled(t *testing.T) {
	for _, after := range []int64{1, 5, 20, 35, 50} {
		m := newMirrored(t, ociserver.New(ocimem.New(), nil))
		ctx, cancel := context.WithCancel(t.Context())
		var n atomic.Int64
		m.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			if n.Add(1) == after {
				cancel()
			}
			return false
		})
		_, err := m.copy(ctx)
		cancel()
		if err == nil {
			t.Fatalf("after %d requests: nothing was given up", after)
		}
		if _, err := m.there(":v1"); err == nil {
			t.Errorf("after %d requests: the tag is there", after)
		}
	}
}

// TestCopyCredentials: the destination's credentials go there and nowhere else, and ask for the right to write.
func TestCopyCredentials(t *testing.T) {
	m := newMirrored(t, ociserver.New(ocimem.New(), nil))
	var scopes atomic.Value
	m.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		user, password, basic := r.BasicAuth()
		switch {
		case r.URL.Path == "/token":
			if !basic || user != "writer" || password != "secret" {
				w.WriteHeader(401)
				return true
			}
			scope := strings.Join(r.URL.Query()["scope"], " ")
			if strings.Contains(scope, "push") {
				scopes.Store(scope)
			}
			_, _ = fmt.Fprintf(w, `{"token":%q}`, scope)
			return true
		case !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer repository:hub/api:") || r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.Contains(r.Header.Get("Authorization"), "push"):
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://mirror.test/token",service="mirror.test"`)
			w.WriteHeader(401)
			return true
		}
		return false
	})
	var leaked atomic.Bool
	inner := m.registry.Fault
	m.registry.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			leaked.Store(true)
		}
		return inner != nil && inner(w, r)
	}
	with := func(c *Config) {
		c.Trace = func(e Exchange) {
			// What is taken for a request to a token service is not held to the rules of a registry's.
			if e.Sent == "token request" && !strings.HasSuffix(e.URL, "/token") {
				t.Errorf("%+v", e)
			}
		}
		c.Credentials = func(_ context.Context, asked, _ string) (Credential, error) {
			if asked == mirrorHost {
				return Credential{Username: "writer", Password: "secret"}, nil
			}
			return Credential{}, nil
		}
	}
	m.client = m.fresh(with)
	copied, err := m.copy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if leaked.Load() {
		t.Error("the source was sent the destination's credentials")
	}
	if got, _ := scopes.Load().(string); got != "repository:hub/api:pull,push" {
		t.Errorf("scope %q", got)
	}
	if results(copied)[NotTaken] != 0 {
		t.Errorf("%+v", copied.Items)
	}
}

// TestCopyFalseReferrer: what is listed as a referrer and is about something else is neither copied nor missed.
func TestCopyFalseReferrer(t *testing.T) {
	m := newMirrored(t, ociserver.New(ocimem.New(), nil))
	stray := bundle(9)
	stray.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("another"), Size: 3}
	desc := m.image.AttachReferrer(stray)
	m.registry.PutReferrer(repo, m.image.Digest(), desc)
	copied, err := m.copy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(copied.Items, func(i CopiedItem) bool { return i.Digest == stemma.Digest(desc.Digest) })
	if i < 0 || copied.Items[i].Result != LeftOut || !strings.Contains(copied.Items[i].Why, "which is not its subject") {
		t.Errorf("%+v", copied.Items)
	}
	if _, err := m.there("@" + string(desc.Digest)); err == nil {
		t.Error("it is at the destination")
	}
}

// TestCopyMount: within one registry, blobs are not sent.
func TestCopyMount(t *testing.T) {
	m := newMirrored(t, ociserver.New(ocimem.New(), nil))
	if _, err := m.copy(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/") {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		return false
	})
	from := mustRef(t, mirrorHost+"/hub/api@"+string(m.image.Digest()))
	copied, err := m.client.Copy(t.Context(), from, mustRef(t, mirrorHost+"/again/api:v1"), nil)
	if err != nil || copied.Bytes != 0 || results(copied)[Mounted] == 0 {
		t.Errorf("%v %+v", err, copied)
	}
}

// TestCopyLayout: a layout is a source like any other, and a link in it leads nowhere.
func TestCopyLayout(t *testing.T) {
	m := newMirrored(t, ociserver.New(ocimem.New(), nil))
	dir := t.TempDir()
	if err := m.image.WriteLayout(dir, stemmatest.LayoutTags); err != nil {
		t.Fatal(err)
	}
	from := mustRef(t, "oci:"+dir+"@"+string(m.image.Digest()))
	if _, err := m.client.Copy(t.Context(), from, mustRef(t, mirrorHost+"/hub/api:v1"), nil); err != nil {
		t.Fatal(err)
	}
	after, err := m.there(":v1")
	if err != nil || len(evidence(after)) == 0 {
		t.Fatalf("%v %+v", err, after)
	}
	doc, err := parseDocument(m.manifestOf(stemma.Digest(m.image.Children[0].Digest)), stemma.Digest(m.image.Children[0].Digest))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "blobs", "sha256", doc.body.Layers[0].Digest.Hex())
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.Rename(file, filepath.Join(dir, "elsewhere"))
	}
	if err == nil {
		err = os.Symlink("../../elsewhere", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, harm := range map[string]func() error{
		"a link":      func() error { return nil },
		"other bytes": func() error { _ = os.Remove(file); data[0] ^= 1; return os.WriteFile(file, data, 0o600) },
		"cut short":   func() error { _ = os.Remove(file); return os.WriteFile(file, data[:9], 0o600) },
	} {
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		m.to = ptr(ociserver.New(ocimem.New(), nil))
		if _, err := m.fresh(nil).Copy(t.Context(), from, mustRef(t, mirrorHost+"/hub/api:v1"), nil); err == nil {
			t.Errorf("%s is copied", name)
		}
	}
}

// TestCopyStreams: a large layer goes through, and is never in memory.
func TestCopyStreams(t *testing.T) {
	const size = 100 << 20
	zeros := func(w io.Writer) { _, _ = io.CopyN(w, zeroReader{}, size) }
	config := []byte(`{}`)
	sum := newVerified(nil, descriptor{Digest: stemma.SHA256(nil)})
	zeros(sum.hash)
	layer := stemma.Digest(fmt.Sprintf("sha256:%x", sum.hash.Sum(nil)))
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		v1.MediaTypeImageManifest, v1.MediaTypeImageConfig, stemma.SHA256(config), v1.MediaTypeImageLayer, layer, size)
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/manifests/"+string(stemma.SHA256(manifest))):
			w.Header().Set("Content-Type", v1.MediaTypeImageManifest)
			_, _ = w.Write(manifest)
		case strings.HasSuffix(r.URL.Path, "/blobs/"+string(stemma.SHA256(config))):
			_, _ = w.Write(config)
		case strings.HasSuffix(r.URL.Path, "/blobs/"+string(layer)):
			w.Header().Set("Content-Length", fmt.Sprint(size))
			zeros(w)
		default:
			w.WriteHeader(404)
		}
	}))
	defer source.Close()
	var got atomic.Int64
	tagged := false
	destination := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			w.Header().Set("Location", "/v2/a/b/upload")
			w.WriteHeader(202)
		case r.Method == http.MethodPut:
			n, _ := io.Copy(io.Discard, r.Body)
			got.Add(n)
			tagged = tagged || strings.HasSuffix(r.URL.Path, "/manifests/v1")
			w.WriteHeader(201)
		default:
			w.WriteHeader(404)
		}
	}))
	defer destination.Close()
	from, to := strings.TrimPrefix(source.URL, "http://"), strings.TrimPrefix(destination.URL, "http://")
	client := newClient(t, Config{PlainHTTP: []string{from, to}})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	copied, err := client.Copy(t.Context(), mustRef(t, from+"/a/b@"+string(stemma.SHA256(manifest))), mustRef(t, to+"/a/b:v1"), nil)
	runtime.ReadMemStats(&after)
	if err != nil || !tagged || copied.Bytes != size+2 || got.Load() < size {
		t.Fatalf("%v, tagged %v, %+v, %d bytes arrived", err, tagged, copied, got.Load())
	}
	// Both servers are in this process, too.
	if used := after.TotalAlloc - before.TotalAlloc; used > size/2 {
		t.Errorf("%d MiB of memory were taken for a layer of %d MiB", used>>20, size>>20)
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
