package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
	"stemma/verify"
)

// fault answers a request in place of the registry, or not.
type hostility func(s *stage) func(w http.ResponseWriter, r *http.Request) bool

// row is one way in which a registry does not do as it should, and how a verification ends that meets it: through the
// library, within the process; and through the program, over a socket on loopback.
type row struct {
	name  string
	stage func(s *stage) // zero: the world's provenance is attached to the image
	fault hostility
	age   string                // ", maxAge: …" of the policy
	ask   func(s *stage) string // zero: the tag; what follows the repository in the reference
	want  want
	fails verify.Failure // there is no decision
	check func(t *testing.T, s *stage, r *verify.Result)
}

const anyHost = `["ghcr.io/acme/{service}", "127.0.0.1:*/acme/{service}"]`

// playRows plays each row beside its control: the same without the fault, which must be allowed.
func playRows(t *testing.T, rows ...row) {
	t.Helper()
	program := must[string](t)(built())
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.policy = in(trusting, `["ghcr.io/acme/{service}"]`, anyHost)
			// The program looks at the clock.
			s.policy = in(s.policy, ", maxAge: 365d", c.age)
			if c.stage != nil {
				c.stage(s)
			} else {
				s.attach(stemmatest.Vary{})
			}
			ask := ":v2.0.1"
			if c.ask != nil {
				ask = c.ask(s)
			}
			// A request of the first look may still be under way when the second begins.
			var armed atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
			s.Registry.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				f := armed.Load()
				return f != nil && (*f)(w, r)
			}
			arm := func() {
				if c.fault != nil {
					f := c.fault(s)
					armed.Store(&f)
				}
				s.Registry.Requests()
			}
			arm()
			c.library(t, s, ask)
			arm()
			c.program(t, s, program, ask)
		})
	}
}

func (c row) library(t *testing.T, s *stage, ask string) {
	t.Helper()
	s.request.Image = "ghcr.io/acme/app" + ask
	v := must[*verify.Verifier](t)(s.verifier())
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	r, err := v.Verify(ctx, s.request)
	if c.fails != "" {
		var failure *verify.Error
		if r != nil || !errors.As(err, &failure) || failure.Kind != c.fails {
			t.Errorf("library: %v, %v; want a failure of kind %s", r, err, c.fails)
		}
		return
	}
	if err != nil {
		t.Fatalf("library: %v", err)
	}
	s.compare(r, c.want)
	if c.check != nil {
		c.check(t, s, r)
	}
}

func (c row) program(t *testing.T, s *stage, program, ask string) {
	t.Helper()
	server := httptest.NewServer(s.Registry)
	defer server.CloseClientConnections()
	at := strings.TrimPrefix(server.URL, "http://")
	dir := t.TempDir()
	args := []string{"verify", at + "/acme/app" + ask, "--plain-http", at, "--timeout", "4s", "--cache-dir", "", "-o", "json"}
	for flag, data := range map[string][]byte{"--policy": []byte(s.policy), "--trusted-root": s.Sigstore.TrustedRoot()} {
		file := filepath.Join(dir, strings.Trim(flag, "-")+".yaml")
		check(t, os.WriteFile(file, data, 0o600))
		args = append(args, flag, file)
	}
	code, d, stderr := execute(t, program, args)
	exit := map[stemma.Verdict]int{stemma.Allow: 0, stemma.Deny: 1, stemma.Undetermined: 3}
	switch w := c.want; {
	case c.fails != "":
		if d != nil || code != map[verify.Failure]int{verify.Unreachable: 3, verify.NotFound: 2, verify.Invalid: 2}[c.fails] {
			t.Errorf("program: exit code %d, decision %v, want %s: %s", code, d, c.fails, stderr)
		}
	case d == nil:
		t.Errorf("program: no decision: %s", stderr)
	default:
		if w.verdict == "" {
			w.verdict = stemma.Allow
			if w.reason != "" || w.rejection != "" {
				w.verdict = stemma.Deny
			}
		}
		if code != exit[w.verdict] || d.Verdict != w.verdict {
			t.Errorf("program: exit code %d, %v", code, rules(d))
		}
		if w.rule != "" && !slices.ContainsFunc(d.Findings, func(f stemma.Finding) bool {
			return f.Rule == w.rule && f.Outcome != stemma.Pass && f.Reason == w.reason
		}) {
			t.Errorf("program: want %s to end as %s: %v", w.rule, w.reason, rules(d))
		}
	}
}

// unknown is the end of a look at which the evidence could not be had.
func unknown(r stemma.Reason) want {
	return want{verdict: stemma.Undetermined, rule: "image.authentic", reason: r}
}

// on serves requests whose path contains all of the parts.
func on(serve func(w http.ResponseWriter, r *http.Request), parts ...string) hostility {
	return func(*stage) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			for _, p := range parts {
				if !strings.Contains(r.URL.Path, p) {
					return false
				}
			}
			serve(w, r)
			return true
		}
	}
}

func code(n int) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) }
}

func send(mediaType string, body string) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		_, _ = io.WriteString(w, body)
	}
}

// edit changes what the registry really answers.
func edit(change func(s *stage, body []byte) []byte, parts ...string) hostility {
	return func(s *stage) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("X-Real") != "" {
				return false
			}
			return on(func(w http.ResponseWriter, r *http.Request) {
				real, rec := r.Clone(r.Context()), httptest.NewRecorder()
				real.Header.Set("X-Real", "1")
				s.Registry.ServeHTTP(rec, real)
				w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
				for _, link := range rec.Header().Values("Link") {
					w.Header().Add("Link", link)
				}
				w.WriteHeader(rec.Code)
				_, _ = w.Write(change(s, rec.Body.Bytes()))
			}, parts...)(s)(w, r)
		}
	}
}

// descriptors changes the descriptors that the referrers API lists.
func descriptors(change func(s *stage, list []v1.Descriptor) []v1.Descriptor) hostility {
	return edit(func(s *stage, body []byte) []byte {
		var i v1.Index
		if err := stemma.DecodeJSON(body, &i); err != nil {
			panic(err)
		}
		return []byte(index(change(s, i.Manifests)...))
	}, "/referrers/")
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func index(list ...v1.Descriptor) string {
	data, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": append([]v1.Descriptor{}, list...)})
	if err != nil {
		panic(err)
	}
	return string(data)
}

// junk attaches n referrers to the image that are evidence of nothing.
func (s *stage) junk(n int, artifactType string) {
	subject := s.image.Descriptor
	for i := range n {
		data := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[],"subject":{"mediaType":%q,"digest":%q,"size":%d},"annotations":{"n":"%d"}}`,
			v1.MediaTypeImageManifest, artifactType, v1.MediaTypeEmptyJSON, stemma.SHA256([]byte("{}")), subject.MediaType, subject.Digest, subject.Size, i)
		d := s.Registry.PutManifest(stemmatest.Repository, v1.MediaTypeImageManifest, []byte(data))
		d.ArtifactType = artifactType
		s.Registry.PutReferrer(stemmatest.Repository, s.image.Digest(), d)
	}
}

// byTag attaches the world's provenance as cosign does, and byFallback as is done where the API is missing.
func (s *stage) byTag() {
	x := s.attest(stemmatest.Vary{Sign: func(o *stemmatest.Sign) { o.MediaType, o.Entry = stemmatest.MediaTypeDSSE, stemmatest.EntryDSSE001 }})
	s.image.AttachCosign(".att", must[stemmatest.Layer](s)(x.CosignAttestation()))
}

func (s *stage) byFallback() {
	must[v1.Descriptor](s)(s.image.AttachFallback(stemmatest.BundleArtifact(s.attest(stemmatest.Vary{}))))
}

// CVE-2022-47633, GHSA-wfqx: the tag is asked for once, and what was answered is what is judged.
func TestReg_F01_tag_moves(t *testing.T) {
	moving := func(first, then string) hostility {
		return func(s *stage) func(http.ResponseWriter, *http.Request) bool {
			var asked atomic.Int32
			return func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/manifests/v2.0.1") {
					return false
				}
				tag := first
				if asked.Add(1) > 1 {
					tag = then
				}
				_, data, err := s.Registry.Manifest(stemmatest.Repository, tag)
				if err != nil {
					panic(err)
				}
				send(v1.MediaTypeImageIndex, string(data))(w, r)
				return true
			}
		}
	}
	once := func(t *testing.T, s *stage, r *verify.Result) {
		n := 0
		for _, q := range s.Registry.Requests() {
			if strings.HasSuffix(q, "/manifests/v2.0.1") {
				n++
			}
		}
		if n != 1 || r.Decision.Image.Digest != s.image.Digest() {
			t.Errorf("the tag was asked for %d times, and %s judged", n, r.Decision.Image)
		}
	}
	unsigned := func(s *stage) { must[*stemmatest.Image](s)(s.PutImage("unsigned")); s.attach(stemmatest.Vary{}) }
	playRows(
		t,
		row{name: "signed, then unsigned", stage: unsigned, fault: moving("v2.0.1", "unsigned"), check: once},
		row{name: "unsigned, then signed", stage: unsigned, fault: moving("unsigned", "v2.0.1"), want: fails("image.authentic", stemma.ReasonNoEvidence)},
	)
}

// CVE-2023-33959, GHSA-qv35; GHSA-qq97, GHSA-5j5w (CVE-2021-41190): what is served is not what was asked for.
func TestReg_F02_F03_F04_lies(t *testing.T) {
	digest := func(s *stage) string { return "@" + string(s.image.Digest()) }
	// top serves something for the digest of the image.
	top := func(serve func(w http.ResponseWriter, r *http.Request)) hostility {
		return func(s *stage) func(http.ResponseWriter, *http.Request) bool {
			return on(serve, "/manifests/"+string(s.image.Digest()))(s)
		}
	}
	another := func(s *stage) func(http.ResponseWriter, *http.Request) bool {
		return top(send(v1.MediaTypeImageIndex, string(s.Image.Manifest)))(s)
	}
	misnamed := func(s *stage) func(http.ResponseWriter, *http.Request) bool {
		return top(send(v1.MediaTypeImageManifest, string(s.image.Manifest)))(s)
	}
	size := func(by int64) hostility {
		return descriptors(func(_ *stage, list []v1.Descriptor) []v1.Descriptor { list[0].Size += by; return list })
	}
	playRows(
		t,
		row{name: "control", ask: digest},
		row{name: "F02 the image is another", ask: digest, fault: another, fails: verify.Unreachable},
		row{name: "F02 a blob is another", fault: on(send("application/octet-stream", "{}"), "/blobs/"), want: unknown(stemma.ReasonBadAnswer)},
		row{name: "F02 a referrer is another", fault: descriptors(func(s *stage, list []v1.Descriptor) []v1.Descriptor {
			list[0].Digest = s.image.Descriptor.Digest
			return list
		}), want: unknown(stemma.ReasonBadAnswer)},
		row{name: "F03 a byte more than listed", fault: size(-1), want: unknown(stemma.ReasonBadAnswer)},
		row{name: "F03 a byte less than listed", fault: size(1), want: unknown(stemma.ReasonBadAnswer)},
		row{name: "F04 Content-Type and body disagree", ask: digest, fault: misnamed, fails: verify.Unreachable},
		row{name: "F04 layers and manifests", fault: on(send(v1.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[],"layers":[]}`), "/manifests/v2.0.1"), fails: verify.Unreachable},
		row{name: "F04 manifests twice", fault: on(send(v1.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[],"manifests":[]}`), "/referrers/"), want: unknown(stemma.ReasonBadAnswer)},
	)
}

// opa-provider#196, GHSA-298f; kyverno#16678; aicr#1957: where lists of referrers end, and what stands in them.
func TestReg_F05_F10_referrers(t *testing.T) {
	page := func(n int) func(s *stage) { // evidence on the n-th page
		return func(s *stage) {
			s.Registry.PageSize = 1
			s.junk(n-1, "application/vnd.example.junk")
			s.attach(stemmatest.Vary{})
		}
	}
	link := func(to string) hostility {
		return on(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "<"+strings.ReplaceAll(to, "SELF", r.URL.Path)+">; rel=\"next\"")
			send(v1.MediaTypeImageIndex, index())(w, r)
		}, "/referrers/")
	}
	withheld := on(send(v1.MediaTypeImageIndex, index()), "/referrers/")
	playRows(
		t,
		row{name: "F05 page 2", stage: page(2)},
		row{name: "F05 page 16", stage: page(16)},
		row{name: "F05 page 17", stage: page(17), want: unknown(stemma.ReasonTruncated)},
		row{name: "F05 a loop", fault: link("SELF"), want: unknown(stemma.ReasonBadAnswer)},
		row{name: "F05 another host", fault: link("https://evil.example/v2/acme/app/referrers/x"), want: unknown(stemma.ReasonForbidden)},
		row{name: "F05 another scheme", fault: link("ftp://127.0.0.1/v2/"), want: unknown(stemma.ReasonForbidden)},
		row{name: "F06 empty list, evidence under the fallback tag", stage: (*stage).byFallback, fault: withheld},
		row{name: "F06 null list, evidence under the fallback tag", stage: (*stage).byFallback, fault: on(send(v1.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":null}`), "/referrers/")},
		row{name: "F07 all withheld", fault: withheld, want: fails("image.authentic", stemma.ReasonNoEvidence)},
		row{name: "F09 listed as an empty config", fault: descriptors(func(_ *stage, list []v1.Descriptor) []v1.Descriptor {
			list[0].ArtifactType, list[0].Annotations = v1.MediaTypeEmptyJSON, nil
			return list
		})},
		row{name: "F09 listed as an SBOM", fault: descriptors(func(_ *stage, list []v1.Descriptor) []v1.Descriptor {
			list[0].ArtifactType = "application/spdx+json"
			return list
		})},
		row{name: "F10 about another digest", stage: func(s *stage) {
			a := stemmatest.BundleArtifact(s.attest(stemmatest.Vary{}))
			a.Subject = &s.Image.Descriptor
			d := s.image.AttachReferrer(a)
			s.Registry.PutReferrer(stemmatest.Repository, s.image.Digest(), d)
		}, want: rejected(stemma.ReasonSubjectMismatch)},
	)
}

// kyverno#16678: one place that is out of order hides nothing that another has, and what none has is not known then.
func TestReg_F08_places_out_of_order(t *testing.T) {
	for name, c := range map[string]struct {
		serve  func(w http.ResponseWriter, r *http.Request)
		absent want
	}{
		"404":     {code(404), fails("image.authentic", stemma.ReasonNoEvidence)},
		"400":     {code(400), fails("image.authentic", stemma.ReasonNoEvidence)},
		"406":     {code(406), fails("image.authentic", stemma.ReasonNoEvidence)},
		"401":     {code(401), unknown(stemma.ReasonUnauthorized)},
		"403":     {code(403), unknown(stemma.ReasonUnauthorized)},
		"429":     {code(429), unknown(stemma.ReasonRateLimited)},
		"500":     {code(500), unknown(stemma.ReasonUnreachable)},
		"timeout": {hang, unknown(stemma.ReasonTimeout)},
		"garbage": {send(v1.MediaTypeImageIndex, "\x00"), unknown(stemma.ReasonBadAnswer)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playRows(
				t,
				row{name: "evidence elsewhere", stage: (*stage).byTag, fault: on(c.serve, "/referrers/")},
				row{name: "evidence there", fault: on(c.serve, "/referrers/"), want: c.absent},
			)
		})
	}
}

// go-containerregistry #2285, Tekton, Rekor: redirects and foreign layers lead nowhere that only the client can reach.
func TestReg_F11_F12_addresses(t *testing.T) {
	redirect := func(to string) hostility {
		return on(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, "/blobs/")
	}
	playRows(
		t,
		row{name: "F12 control"},
		row{name: "F12 private address", fault: redirect("https://10.0.0.1/blob"), want: unknown(stemma.ReasonForbidden)},
		row{name: "F12 metadata", fault: redirect("http://169.254.169.254/latest/meta-data"), want: unknown(stemma.ReasonForbidden)},
		row{name: "F12 another scheme", fault: redirect("gopher://cdn.example/blob"), want: unknown(stemma.ReasonForbidden)},
		row{name: "F12 loopback by name", fault: redirect("https://localhost:2375/info"), want: unknown(stemma.ReasonForbidden)},
		row{name: "F12 without an end", fault: on(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", r.URL.Path+"?again="+r.URL.Query().Get("again")+"x")
			w.WriteHeader(http.StatusFound)
		}, "/blobs/"), want: unknown(stemma.ReasonBadAnswer)},
	)
	// F11: what the reference itself names, over real sockets and with nothing to answer.
	s := newStage(t)
	for _, host := range []string{
		"169.254.169.254", "[::ffff:169.254.169.254]", "localhost:2375", "0.0.0.0:80", "2852039166.:443", "127.0.0.1:1", "10.1.2.3", "[::1]:5000",
		"metadata.google.internal", "0xa9.0xfe.0xa9.0xfe",
	} {
		v := must[*verify.Verifier](t)(verify.New(t.Context(), verify.Config{Roots: map[string][]byte{"public-good": s.Sigstore.TrustedRoot()}}))
		_, err := v.Collect(t.Context(), verify.Request{Image: host + "/x/y:v1"})
		var failure *verify.Error
		if !errors.As(err, &failure) || failure.Kind == verify.NotFound || failure.Kind == verify.Internal {
			t.Errorf("%s: %v, want a refusal", host, err)
		} else if failure.Kind == verify.Unreachable && !strings.Contains(err.Error(), "connecting to") {
			t.Errorf("%s: %v, want it refused before a connection is made", host, err)
		}
	}
}

// CVE-2024-29902, CVE-2024-29903; Rekor advisories: what is too large, endless, too slow or compressed is not read, and
// what lies beside it is.
func TestReg_F14_F15_F16_sizes(t *testing.T) {
	// extra lists a second piece of evidence, in front of the good one, whose blob is served by fault.
	const bad = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
	extra := func(size int64) func(s *stage) {
		return func(s *stage) {
			s.attach(stemmatest.Vary{})
			subject := s.image.Descriptor
			data := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":%d}],"subject":{"mediaType":%q,"digest":%q,"size":%d}}`,
				v1.MediaTypeImageManifest, stemmatest.MediaTypeV03, v1.MediaTypeEmptyJSON, stemma.SHA256([]byte("{}")), stemmatest.MediaTypeV03, bad, size, subject.MediaType, subject.Digest, subject.Size)
			d := s.Registry.PutManifest(stemmatest.Repository, v1.MediaTypeImageManifest, []byte(data))
			d.ArtifactType = stemmatest.MediaTypeV03
			s.Registry.PutReferrer(stemmatest.Repository, s.image.Digest(), d)
		}
	}
	blob := func(serve func(w http.ResponseWriter, r *http.Request)) hostility { return on(serve, "/blobs/"+bad) }
	endless := func(w http.ResponseWriter, r *http.Request) {
		for chunk := bytes.Repeat([]byte("x"), 1<<16); r.Context().Err() == nil; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	drip := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte("x"))
			if f, ok := w.(http.Flusher); ok {
				f.Flush()
			}
			select {
			case <-r.Context().Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	length := func(n int64, body string) func(w http.ResponseWriter, r *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
			_, _ = io.WriteString(w, body)
		}
	}
	bomb := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		send("application/octet-stream", strings.Repeat("\x1f\x8b", 500))(w, r)
	}
	huge := on(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", v1.MediaTypeImageIndex)
		w.Header().Set("Content-Length", strconv.Itoa(200<<20))
		endless(w, r)
	}, "/manifests/v2.0.1")
	playRows(
		t,
		row{name: "F14 manifest of 200 MB", fault: huge, fails: verify.Unreachable},
		row{name: "F14 endless manifest", fault: on(endless, "/manifests/v2.0.1"), fails: verify.Unreachable},
		row{name: "F14 layer of a gigabyte", stage: extra(1 << 30), fault: blob(endless)},
		row{name: "F14 endless layer", stage: extra(1000), fault: blob(endless)},
		row{name: "F14 Content-Length is less", stage: extra(1000), fault: blob(length(10, "0123456789"))},
		row{name: "F14 Content-Length is more", stage: extra(1000), fault: blob(length(100000, strings.Repeat("x", 1000)))},
		row{name: "F15 compressed on the way", stage: extra(1000), fault: blob(bomb)},
		row{name: "F16 a byte at a time", stage: extra(1000), fault: blob(drip)},
		row{name: "F16 stalled after the headers", stage: extra(1000), fault: blob(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			hang(w, r)
		})},
		row{name: "F14 endless, and nothing else", fault: on(endless, "/blobs/"), want: unknown(stemma.ReasonBadAnswer)},
		row{name: "F16 a byte at a time, and nothing else", fault: on(drip, "/blobs/"), want: unknown(stemma.ReasonTimeout)},
	)
}

// CVE-2023-33958, CVE-2023-42814: 10,000 referrers beside the good one change no requirement. That the look was cut short
// is said, and makes agreement unknown.
func TestReg_F17_flood(t *testing.T) {
	alone := newStage(t)
	alone.attach(stemmatest.Vary{})
	alone.policy = strings.Replace(trusting, ", maxAge: 365d", "", 1)
	cells := requirements(alone.expect(want{}))
	// before and after the good one
	flood := func(artifactType string, before, after int) func(s *stage) {
		return func(s *stage) {
			s.junk(before, artifactType)
			s.attach(stemmatest.Vary{})
			s.junk(after, artifactType)
		}
	}
	same := func(t *testing.T, _ *stage, r *verify.Result) {
		if got := requirements(r); !slices.Equal(got, cells) {
			t.Errorf("cells %v\nwant  %v", got, cells)
		}
		i := slices.IndexFunc(r.Decision.Findings, func(f stemma.Finding) bool { return f.Rule == "provenance.agreement" })
		if f := r.Decision.Findings[i]; f.Outcome != stemma.Unknown || !f.Advisory {
			t.Errorf("agreement %+v, want unknown and not counted", f)
		}
		if !slices.ContainsFunc(r.Evidence.Unavailable, func(u stemma.Unavailable) bool { return u.Reason == stemma.ReasonTruncated }) {
			t.Errorf("nothing says that the look was cut short: %+v", r.Evidence.Unavailable)
		}
	}
	playRows(
		t,
		row{name: "of other types, in front", stage: flood("application/vnd.example.junk", 10000, 0), check: same},
		row{name: "of no type, all around", stage: flood("", 5000, 5000), check: same},
		row{name: "of SBOMs, behind", stage: flood("application/spdx+json", 0, 10000), check: same},
		row{name: "of its own type and smaller, behind", stage: flood(stemmatest.MediaTypeV03, 0, 10000), check: same},
		row{name: "without the good one", stage: func(s *stage) { s.junk(10000, "application/vnd.example.junk") }, want: unknown(stemma.ReasonTruncated)},
	)
}

// requirements are the outcomes of all rules but agreement.
func requirements(r *verify.Result) []string {
	var out []string
	for _, f := range r.Decision.Findings {
		if f.Rule != "provenance.agreement" {
			out = append(out, f.Rule+" "+string(f.Outcome)+" "+string(f.Reason)+" "+f.Got)
		}
	}
	return out
}

// CVE-2024-23332: last year's image with last year's evidence, all of it valid, is refused by its age.
func TestReg_F18_rollback(t *testing.T) {
	signed := func(s *stage) { s.sign(stemmatest.Sign{At: stemmatest.Now().Add(-360 * 24 * time.Hour)}) }
	playRows(
		t,
		row{name: "as old as is allowed", stage: signed, age: ", maxAge: 36500d"},
		row{name: "older", stage: signed, age: ", maxAge: 90d", want: fails("provenance.age", stemma.ReasonAge)},
	)
}

// go-containerregistry #2306: a layout with links, or with names that lead out of it, is damaged.
func TestReg_F19_layout(t *testing.T) {
	program := must[string](t)(built())
	for name, damage := range map[string]func(t *testing.T, dir string, blob string){
		"control": nil,
		"a linked blob": func(t *testing.T, dir, blob string) {
			moved := filepath.Join(dir, "moved")
			check(t, os.Rename(blob, moved))
			check(t, os.Symlink(moved, blob))
		},
		"a linked directory": func(t *testing.T, dir, blob string) {
			parent := filepath.Dir(blob)
			check(t, os.Rename(parent, parent+"-moved"))
			check(t, os.Symlink(parent+"-moved", parent))
		},
		"a digest that leads out": func(t *testing.T, dir, _ string) {
			file := filepath.Join(dir, "index.json")
			data := must[[]byte](t)(os.ReadFile(file))
			var i v1.Index
			check(t, stemma.DecodeJSON(data, &i))
			check(t, os.WriteFile(file, bytes.ReplaceAll(data, []byte(i.Manifests[0].Digest), []byte("sha256:../../../../etc/passwd")), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.attach(stemmatest.Vary{})
			dir := t.TempDir()
			check(t, s.image.WriteLayout(dir, stemmatest.LayoutTags))
			if damage != nil {
				damage(t, dir, filepath.Join(dir, "blobs", "sha256", s.image.Digest().Hex()))
			}
			s.request.Image, s.request.Name = "oci:"+dir, "ghcr.io/acme/app"
			r, err := s.run()
			files := t.TempDir()
			args := []string{"verify", "oci:" + dir, "--name", "ghcr.io/acme/app", "-o", "json"}
			for flag, data := range map[string][]byte{"--policy": []byte(s.policy), "--trusted-root": s.Sigstore.TrustedRoot()} {
				file := filepath.Join(files, strings.Trim(flag, "-")+".yaml")
				check(t, os.WriteFile(file, data, 0o600))
				args = append(args, flag, file)
			}
			code, d, stderr := execute(t, program, args)
			if damage == nil {
				if err != nil || r.Decision.Verdict != stemma.Allow || code != 0 || d == nil {
					t.Fatalf("%v, %v, exit code %d: %s", r, err, code, stderr)
				}
				return
			}
			var failure *verify.Error
			if r != nil || !errors.As(err, &failure) || failure.Kind != verify.Invalid || code != 2 || d != nil {
				t.Errorf("%v, %v, exit code %d: %s", r, err, code, stderr)
			}
		})
	}
}

// Ratify's load plan: 429 and 5xx are asked for again, with a budget, and then it is not known.
func TestReg_F20_repetition(t *testing.T) {
	// first answers the first n requests of each path with a status.
	first := func(n, status int, parts ...string) hostility {
		return func(s *stage) func(http.ResponseWriter, *http.Request) bool {
			var mu sync.Mutex
			seen := map[string]int{}
			return on(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				seen[r.URL.Path]++
				good := seen[r.URL.Path] > n
				mu.Unlock()
				if good {
					r.Header.Set("X-Real", "1")
					s.Registry.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(status)
			}, parts...)(s)
		}
	}
	real := func(h hostility) hostility {
		return func(s *stage) func(http.ResponseWriter, *http.Request) bool {
			serve := h(s)
			return func(w http.ResponseWriter, r *http.Request) bool { return r.Header.Get("X-Real") == "" && serve(w, r) }
		}
	}
	playRows(
		t,
		row{name: "429 twice", fault: real(first(2, 429, "/blobs/"))},
		row{name: "503 once, everywhere", fault: real(first(1, 503, "/v2/"))},
		row{name: "500 three times", fault: real(first(3, 500, "/referrers/"))},
		row{name: "429 for ever", fault: real(first(1000, 429, "/blobs/")), want: unknown(stemma.ReasonRateLimited)},
		row{name: "503 for ever", fault: real(first(1000, 503, "/v2/")), fails: verify.Unreachable},
		row{name: "401 is not asked for again", fault: real(first(1, 401, "/blobs/")), want: unknown(stemma.ReasonUnauthorized)},
	)
}
