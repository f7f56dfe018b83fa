package oci

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	ggcrregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

// wire is a network that remembers which credentials reached which host.
type wire struct {
	hosts stemmatest.Network
	mu    sync.Mutex
	saw   map[string][]string // host: Authorization headers and form secrets
}

func (n *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	n.mu.Lock()
	if n.saw == nil {
		n.saw = map[string][]string{}
	}
	key := req.URL.Scheme + "://" + req.URL.Host
	n.saw[key] = append(n.saw[key], req.Header.Get("Authorization"))
	if req.Body != nil && req.Body != http.NoBody {
		body, err := io.ReadAll(io.LimitReader(req.Body, 1<<16))
		if err != nil {
			n.mu.Unlock()
			return nil, err
		}
		n.saw[key] = append(n.saw[key], string(body))
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	n.mu.Unlock()
	return n.hosts.RoundTrip(req)
}

func (n *wire) leaked(t *testing.T, only string) (reached bool) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	basic := base64.StdEncoding.EncodeToString([]byte("user:secret"))
	for host, headers := range n.saw {
		for _, h := range headers {
			if !strings.Contains(h, "secret") && !strings.Contains(h, basic) && !strings.Contains(h, "Bearer") {
				continue
			}
			reached = reached || host == only
			if host != only && host != "https://"+hostOf {
				t.Errorf("%s was sent %q", host, h)
			}
		}
	}
	return reached
}

const hostOf = host

// challenge answers 401 with a challenge until the request carries the token.
func challenge(next http.Handler, scheme, want string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == want {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", scheme)
		w.WriteHeader(http.StatusUnauthorized)
	})
}

func tokens(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"token":"T"}`) }

func TestReg_F13_credentials(t *testing.T) { // oras advisories, sigstore-js 85c58380, CVE-2025-27403
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:secret"))
	for name, c := range map[string]struct {
		realm   string // host of the token service
		scheme  string // of its URL
		user    string
		reached bool // the token service is given the credentials
		kind    Kind // "": the image is opened
	}{
		"same host":            {host, "https", "user", true, ""},
		"neighbour":            {"auth.acme.test", "https", "user", true, ""},
		"parent":               {"acme.test", "https", "user", true, ""},
		"other host":           {"auth.evil.test", "https", "user", false, ""}, // anonymous, and the registry lets anybody read
		"like the parent":      {"evilacme.test", "https", "user", false, ""},
		"other, with a token":  {"auth.evil.test", "https", "<token>", false, Refused},
		"neighbour, downgrade": {"auth.acme.test", "http", "user", false, Forbidden},
		"address":              {"169.254.169.254", "https", "user", false, Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, single)
			net := &wire{hosts: stemmatest.Network{}}
			net.hosts[c.realm] = http.HandlerFunc(tokens)
			guarded := challenge(w.registry, `Bearer realm="`+c.scheme+"://"+c.realm+`/token",service="s"`, "Bearer T")
			net.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					tokens(rw, r)
					return
				}
				guarded.ServeHTTP(rw, r)
			})
			if c.user == "<token>" {
				net.hosts[c.realm] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, `{"access_token":"T"}`) })
			}
			w.client = newClient(t, Config{Transport: net, Credentials: func(_ context.Context, asked, _ string) (Credential, error) {
				if asked != host {
					t.Errorf("asked for the credentials of %s", asked)
				}
				if c.user == "<token>" {
					return Credential{RefreshToken: "secret"}, nil
				}
				return Credential{Username: c.user, Password: "secret"}, nil
			}})
			_, err := w.open(":v1")
			if c.kind != "" {
				wantKind(t, err, c.kind, "")
				var e *Error
				if errors.As(err, &e) && e.Kind == Forbidden && e.Hint != "Check that "+host+" is the registry that is meant, and tell its operator: it sends its clients to where none are to go." {
					t.Errorf("hint %q", e.Hint)
				}
			} else if err != nil {
				t.Error(err)
			}
			// Of the token service only its own secrets are looked at: a bearer token is for the registry.
			reached := false
			for _, h := range net.saw["https://"+c.realm] {
				reached = reached || h == basic
			}
			if reached != c.reached {
				t.Errorf("the token service saw %q, want the credentials: %v", net.saw["https://"+c.realm], c.reached)
			}
			if only := "https://" + c.realm; !c.reached {
				net.leaked(t, "")
			} else {
				net.leaked(t, only)
			}
		})
	}
}

func TestReg_F13_redirect(t *testing.T) { // oras GHSA-vh4v-2xq2-g5cg
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:secret"))
	for name, c := range map[string]struct {
		to   string // %s: path
		ok   bool
		text string
	}{
		"CDN":         {"https://cdn.test%s", true, ""},
		"downgrade":   {"http://" + host + "%s", false, "redirected from https to http"},
		"metadata":    {"https://169.254.169.254%s", false, "no registry serves from"},
		"mapped":      {"https://[::ffff:169.254.169.254]%s", false, "no registry serves from"},
		"loopback":    {"https://127.0.0.1%s", false, "no registry serves from"},
		"credentials": {"https://a:b@cdn.test%s", false, "with credentials in it"},
		"loop":        {"https://" + host + "/again%s", false, "more than 3 redirects"},
		"file":        {"file:///etc/passwd?%s", false, "redirected from https to file"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, single)
			w.image.AttachReferrer(bundle(1))
			net := &wire{hosts: stemmatest.Network{"cdn.test": w.registry}}
			net.hosts[host] = challenge(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if i := strings.Index(r.URL.Path, "/blobs/"); i >= 0 {
					http.Redirect(rw, r, fmt.Sprintf(c.to, r.URL.Path), http.StatusTemporaryRedirect)
					return
				}
				w.registry.ServeHTTP(rw, r)
			}), "Basic", basic)
			w.client = newClient(t, Config{Transport: net, Credentials: func(context.Context, string, string) (Credential, error) {
				return Credential{Username: "user", Password: "secret"}, nil
			}})
			f := w.mustOpen()
			if c.ok != (len(f.Raw) == 1) {
				t.Errorf("%d pieces, %+v", len(f.Raw), f.Unavailable)
			}
			if !c.ok {
				reason := stemma.ReasonForbidden
				if name == "loop" {
					reason = stemma.ReasonBadAnswer
				}
				wantUnavailable(t, f, "referrers", reason, c.text)
			}
			net.leaked(t, "")
		})
	}
}

// A name is not a suffix: the credentials of ghcr.io are not for cr.io, nor for another port.
func TestReg_F13_exact_host(t *testing.T) { // CVE-2025-27403
	for asked, want := range map[string]bool{"ghcr.io/acme/api": true, "cr.io/acme/api": false, "ghcr.io:8443/acme/api": false, "ghcr.io.evil.test/acme/api": false} {
		ref, err := ParseReference(asked)
		if err != nil {
			t.Fatal(err)
		}
		r := stemmatest.NewRegistry(ref.Host)
		net := &wire{hosts: stemmatest.Network{ref.Host: challenge(r, "Basic", "never")}}
		c := newClient(t, Config{Transport: net, Credentials: func(_ context.Context, host, _ string) (Credential, error) {
			if host == "ghcr.io" {
				return Credential{Username: "user", Password: "secret"}, nil
			}
			return Credential{}, nil
		}})
		_, err = c.Open(t.Context(), Look{Ref: ref})
		wantKind(t, err, Refused, "401")
		if cred, err := c.session("ghcr.io", "acme/app").Credential(t.Context(), ref.Host); err != nil || (cred.Password != "") != want {
			t.Errorf("a session of ghcr.io asked for the credentials of %s: %+v, %v", ref.Host, cred, err)
		}
		sent := false
		for _, h := range net.saw["https://"+ref.Host] {
			sent = sent || h != ""
		}
		if sent != want {
			t.Errorf("%s: credentials sent: %v", asked, sent)
		}
	}
}

// flood writes without end, until the client goes away.
func flood(w http.ResponseWriter, _ *http.Request) {
	for line := []byte(strings.Repeat(" ", 1<<16)); ; {
		if _, err := w.Write(line); err != nil {
			return
		}
	}
}

func TestReg_F14_sizes(t *testing.T) { // CVE-2024-29902, CVE-2024-29903
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	claims := func(n int, h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(n))
			h(w, r)
		}
	}
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		text string
	}{
		"endless manifest":       {flood, "longer than 4194304 bytes"},
		"200 MB manifest":        {claims(200<<20, flood), "longer than 4194304 bytes"},
		"endless error":          {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); flood(w, r) }, "500 Internal Server Error"},
		"length says too much":   {claims(9, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }), "Content-Length says 9"},
		"length says too little": {claims(1, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }), "Content-Length says 1"},
	} {
		w := newWorld(t, single)
		w.fault("/manifests/v1", c.h)
		_, err := w.open(":v1")
		kind := BadAnswer
		if name == "endless error" {
			kind = Unreachable
		}
		wantKind(t, err, kind, c.text)
	}
	for name, c := range map[string]struct {
		part, place string
		reason      stemma.Reason
		h           http.HandlerFunc
	}{
		"endless blob":      {"/blobs/", "referrers", stemma.ReasonBadAnswer, flood},
		"endless referrers": {"/referrers/", "referrers", stemma.ReasonTruncated, flood},
		"endless tag":       {".att", ".att tag", stemma.ReasonTruncated, flood},
	} {
		w := newWorld(t, single)
		w.image.AttachReferrer(bundle(1))
		w.fault(c.part, c.h)
		f := w.mustOpen()
		wantUnavailable(t, f, c.place, c.reason, "longer than")
		if name == "endless blob" && len(f.Raw) != 0 {
			t.Errorf("%+v", f.Raw)
		}
	}
	// A layer that says it is larger than any evidence is refused before it is asked for.
	w := newWorld(t, single)
	layer := v1.Descriptor{MediaType: mediaTypeDSSE, Digest: digA, Size: 1 << 30}
	m := object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "config": layer, "layers": []v1.Descriptor{layer}, "subject": w.image.Descriptor}
	w.registry.PutReferrer(repo, w.image.Digest(), w.registry.PutManifest(repo, v1.MediaTypeImageManifest, []byte(encode(t, m))))
	f := w.mustOpen()
	if len(f.Rejected) != 1 || f.Rejected[0].Reason != stemma.ReasonLimit || f.Rejected[0].Bundle != digA {
		t.Errorf("%+v", f.Rejected)
	}
	for _, r := range w.registry.Requests() {
		if strings.Contains(r, "/blobs/"+digA) {
			t.Errorf("asked: %s", r)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("%d MiB are still held", grown>>20)
	}
}

func TestReg_F14_pieces(t *testing.T) { // CVE-2024-29902
	w := newWorld(t, single)
	var layers []stemmatest.Layer
	for i := range maxLayers + 4 {
		layers = append(layers, bundle(i).Layers[0])
	}
	w.image.AttachReferrer(stemmatest.Artifact{Type: "x", Layers: layers})
	f := w.mustOpen()
	wantUnavailable(t, f, "referrers", stemma.ReasonTruncated, "260 layers, of which 256 were looked at")
	if len(f.Raw) != maxPieces {
		t.Errorf("%d pieces", len(f.Raw))
	}
	w.image.AttachCosign(".att", stemmatest.Layer{MediaType: mediaTypeDSSE, Data: []byte(someEnvelope)})
	f = w.mustOpen()
	if wantUnavailable(t, f, "referrers", stemma.ReasonTruncated, ""); len(f.Raw) != maxPieces {
		t.Errorf("%d pieces", len(f.Raw))
	}
}

func TestReg_F16_slow(t *testing.T) {
	// The caller's time is up when a few bytes have come, so that the test does not depend on any clock.
	drip := func(end context.CancelFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; ; i++ {
				if i == 10 {
					end()
					<-r.Context().Done()
					return
				}
				if _, err := w.Write([]byte(" ")); err != nil {
					return
				}
				w.(http.Flusher).Flush()
			}
		}
	}
	headers := func(end context.CancelFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			end()
			<-r.Context().Done()
		}
	}
	for name, h := range map[string]func(context.CancelFunc) http.HandlerFunc{"one byte at a time": drip, "after the headers": headers} {
		w := newWorld(t, single)
		server := httptest.NewServer(w.registry)
		defer server.Close()
		at := strings.TrimPrefix(server.URL, "http://")
		w.client = newClient(t, Config{PlainHTTP: []string{at}})
		ref, err := ParseReference(at + "/" + repo + ":v1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.client.Open(t.Context(), Look{Ref: ref}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.fault("/manifests/v1", h(cancel))
		_, err = w.client.Open(ctx, Look{Ref: ref})
		cancel()
		wantKind(t, err, Unreachable, "context canceled")
		ctx, cancel = context.WithCancel(t.Context())
		w.fault("/referrers/", h(cancel))
		f, err := w.client.Open(ctx, Look{Ref: ref})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		wantUnavailable(t, f, "referrers", stemma.ReasonTimeout, "")
	}
	expired, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	_, err := newWorld(t, single).openWithin(expired, ":v1")
	wantKind(t, err, Unreachable, "context deadline exceeded")
}

func TestTrustedRealm(t *testing.T) {
	for _, c := range []struct {
		host, realm string
		want        bool
	}{
		{"registry-1.docker.io", "https://auth.docker.io/token", true},
		{"registry.gitlab.com", "https://gitlab.com/jwt/auth", true},
		{"ghcr.io", "https://ghcr.io/token", true},
		{"GHCR.io", "https://ghcr.IO:8443/token", true},
		{"127.0.0.1:5000", "http://127.0.0.1:5000/token", true},
		{"127.0.0.1:5000", "http://127.0.0.1:6000/token", false},
		{"ghcr.io", "http://ghcr.io:80/token", false},
		{"ghcr.io", "https://evil.io/token", false},
		{"127.0.0.1", "https://4.0.0.1/token", false},
		{"registry-1.docker.io", "http://auth.docker.io/token", false},
		{"registry-1.docker.io", "https://evildocker.io/token", false},
		{"registry-1.docker.io", "https://docker.io.evil.test/token", false},
		{"localhost", "https://evil.test/token", false},
	} {
		realm, err := url.Parse(c.realm)
		if err != nil {
			t.Fatal(err)
		}
		if got := trustedRealm(c.host, realm); got != c.want {
			t.Errorf("%s to %s: %v", c.host, c.realm, got)
		}
	}
}

// TestOtherRegistries reads what other implementations serve: with a correct referrers API, with one that ignores
// filters and gives wrong types, and with none.
func TestOtherRegistries(t *testing.T) {
	for kind, h := range map[string]http.Handler{
		"ociregistry": ociserver.New(ocimem.New(), nil),
		"ggcr on":     ggcrregistry.New(ggcrregistry.WithReferrersSupport(true), ggcrregistry.Logger(log.New(io.Discard, "", 0))),
		"ggcr off":    ggcrregistry.New(ggcrregistry.WithReferrersSupport(false), ggcrregistry.Logger(log.New(io.Discard, "", 0))),
	} {
		t.Run(kind, func(t *testing.T) {
			server := httptest.NewServer(h)
			defer server.Close()
			at := strings.TrimPrefix(server.URL, "http://")
			push := func(path, mediaType, data string) v1.Descriptor {
				t.Helper()
				d := descriptor{Digest: stemma.SHA256([]byte(data)), Size: int64(len(data))}
				target := server.URL + "/v2/" + repo + path
				if strings.HasSuffix(path, "/manifests/") {
					target += string(d.Digest)
				}
				put(t, target, mediaType, data)
				return v1.Descriptor{MediaType: mediaType, Digest: digest.Digest(d.Digest), Size: d.Size}
			}
			blob := func(mediaType, data string) v1.Descriptor {
				t.Helper()
				tag, err := name.NewRepository(at+"/"+repo, name.Insecure)
				if err != nil {
					t.Fatal(err)
				}
				l := static.NewLayer([]byte(data), types.MediaType(mediaType))
				if err := remote.WriteLayer(tag, l); err != nil {
					t.Fatal(err)
				}
				return v1.Descriptor{MediaType: mediaType, Digest: digest.FromString(data), Size: int64(len(data))}
			}
			config := blob(v1.MediaTypeImageConfig, `{"os":"linux","architecture":"amd64"}`)
			image := encode(t, object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "config": config, "layers": []v1.Descriptor{}})
			subject := push("/manifests/v1", v1.MediaTypeImageManifest, image)
			bundle := blob("application/vnd.dev.sigstore.bundle.v0.3+json", someBundle)
			empty := blob(v1.MediaTypeEmptyJSON, "{}")
			ref := encode(t, object{
				"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "artifactType": bundle.MediaType, "config": empty,
				"layers": []v1.Descriptor{bundle}, "subject": subject,
			})
			referrer := push("/manifests/", v1.MediaTypeImageManifest, ref)
			index := encode(t, object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": []v1.Descriptor{referrer}})
			push("/manifests/"+fallbackTag(stemma.Digest(subject.Digest)), v1.MediaTypeImageIndex, index)

			parsed, err := ParseReference(at + "/" + repo + ":v1")
			if err != nil {
				t.Fatal(err)
			}
			f, err := newClient(t, Config{PlainHTTP: []string{at}}).Open(t.Context(), Look{Ref: parsed})
			if err != nil {
				t.Fatal(err)
			}
			want := "referrers, fallback tag"
			if kind == "ggcr off" {
				want = "fallback tag"
			}
			if len(f.Raw) != 1 || f.Raw[0].Place != want || f.Raw[0].Format != stemma.FormatBundle || string(f.Raw[0].Data) != someBundle || len(f.Unavailable)+len(f.Rejected) > 0 {
				t.Errorf("%+v %+v %+v %+v", f.Raw, f.Places, f.Unavailable, f.Rejected)
			}
			if f.Platform.String() != linux64 || string(f.Manifest) != image {
				t.Errorf("%s %s", f.Platform, f.Manifest)
			}
			// Without plain HTTP nothing is said in clear text.
			_, err = newClient(t, Config{}).Open(t.Context(), Look{Ref: parsed})
			wantKind(t, err, Unreachable, "HTTP response to HTTPS client")
		})
	}
}

func put(t *testing.T, target, mediaType, data string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, target, strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("PUT %s: %s", target, resp.Status)
	}
}

// Lists and tags have no declared size: all of them together are bounded, and what is left out is said.
func TestReg_F14_everything_together(t *testing.T) { // CVE-2024-29902
	var platforms []stemma.Platform
	for i := range 18 {
		platforms = append(platforms, stemma.Platform{OS: "linux", Architecture: strconv.Itoa(i)})
	}
	w := newWorld(t, stemmatest.ImageSpec{Platforms: platforms})
	padded := []byte(goodManifest + strings.Repeat(" ", maxManifest-len(goodManifest)))
	for _, child := range w.image.Children {
		w.registry.PutManifest(repo, v1.MediaTypeImageManifest, padded, tagOf(stemma.Digest(child.Digest), ".att"))
	}
	truncated := 0
	w.mustOpen().each(func(f *Found) {
		for _, u := range f.Unavailable {
			if u.Reason != stemma.ReasonTruncated || !strings.Contains(u.Detail, "more than 24 MiB") {
				t.Errorf("%+v", u)
			}
			truncated++
		}
	})
	if truncated < 12 || truncated > 13 { // 72 MiB of tags, and a few lists between them
		t.Errorf("%d were left out", truncated)
	}
}

func TestJunkInPlaces(t *testing.T) {
	w := newWorld(t, single)
	w.registry.PutReferrer(repo, w.image.Digest(), v1.Descriptor{Digest: "sha256:../../x", Size: 1})
	w.registry.PutReferrer(repo, w.image.Digest(), v1.Descriptor{Digest: digA, Size: 1 << 40})
	w.registry.PutManifest(repo, v1.MediaTypeImageIndex, []byte(goodIndex), tagOf(w.image.Digest(), ".sig"))
	w.registry.PutManifest(repo, v1.MediaTypeImageManifest, []byte(goodManifest), fallbackTag(w.image.Digest()))
	w.image.AttachReferrer(bundle(1))
	f := w.mustOpen()
	var got []string
	for _, r := range f.Rejected {
		got = append(got, r.Place+" "+string(r.Reason))
	}
	if diff := cmp.Diff([]string{".sig tag unsupported", "referrers malformed"}, got); diff != "" {
		t.Error(diff)
	}
	wantUnavailable(t, f, "fallback tag", stemma.ReasonBadAnswer, "not an index")
	if len(f.Raw) != 1 {
		t.Errorf("%d pieces", len(f.Raw))
	}
}
