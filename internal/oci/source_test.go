package oci

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
	"stemma/stemmatest"
)

// keeper is one of the four services, with what can be put into it.
type keeper struct {
	text string // as a source is written
	host string
	api  *stemmatest.SourceAPI
	http.Handler
	list   string // a part of the address of its list
	format stemma.Format
	put    func(about stemma.Digest, n int) // the n-th piece
	piece  func(n int) string               // as it is returned
}

const filedUnder = "us-docker.pkg.dev/acme/images/app"

func sourceBundle(n int) string {
	return fmt.Sprintf(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{},"dsseEnvelope":{"n":%d}}`, n)
}

func sourceEnvelope(n int) *stemmatest.Envelope {
	return &stemmatest.Envelope{PayloadType: "application/vnd.in-toto+json", Payload: fmt.Appendf(nil, `{"?":">~~","n":%d}`, n), Signatures: []stemmatest.Signature{{KeyID: "k", Sig: []byte{0xfb, 0xff, 0xbf}}}}
}

func keepers() map[SourceKind]*keeper {
	github, gitlab, google, archivista := &stemmatest.GitHubAPI{}, &stemmatest.GitLabAPI{}, &stemmatest.ArtifactAnalysisAPI{Project: "acme-images"}, &stemmatest.ArchivistaAPI{}
	envelope := func(n int) string { return string(sourceEnvelope(n).JSON()) }
	return map[SourceKind]*keeper{
		GitHubAttestations: {
			"github=acme/app", "api.github.com", &github.SourceAPI, github, "/repos/acme/app/attestations/sha256:", stemma.FormatBundle,
			func(d stemma.Digest, n int) { github.Put("acme/app", d, []byte(sourceBundle(n))) }, sourceBundle,
		},
		GitLabAttestations: {
			"gitlab=gitlab.example.com/group/sub/project", "gitlab.example.com", &gitlab.SourceAPI, gitlab, "/api/v4/projects/group%2Fsub%2Fproject/attestations/", stemma.FormatBundle,
			func(d stemma.Digest, n int) { gitlab.Put("group/sub/project", d, []byte(sourceBundle(n))) }, sourceBundle,
		},
		ArtifactAnalysis: {
			"artifact-analysis=acme-images", "containeranalysis.googleapis.com", &google.SourceAPI, google, "/v1/projects/acme-images/occurrences?filter=", stemma.FormatDSSE,
			func(d stemma.Digest, n int) { google.Put(filedUnder, d, sourceEnvelope(n)) }, envelope,
		},
		Archivista: {
			"archivista=https://archivista.example", "archivista.example", &archivista.SourceAPI, archivista, "/query", stemma.FormatDSSE,
			func(d stemma.Digest, n int) { archivista.Put(d, sourceEnvelope(n).JSON()) }, envelope,
		},
	}
}

// consult asks a source over a network, spoken to as Bearer T where there is a token.
func consult(t testing.TB, net http.RoundTripper, text string, about stemma.Digest, c Config) ([]stemma.Raw, string, error) {
	t.Helper()
	s, err := ParseSource(text)
	if err != nil {
		t.Fatal(err)
	}
	c.Transport = net
	client, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	d := &discovery{client: client, room: newRoom(), held: &atomic.Int64{}, look: Look{Ref: Reference{Repository: filedUnder}}}
	pieces, answer, err := d.consult(t.Context(), s, about)
	var f *fault
	if err != nil && !errors.As(err, &f) {
		t.Errorf("%s: %T is no fault: %v", text, err, err)
	}
	return pieces, answer, err
}

// with speaks to a host, and to no other, with a token.
func with(host, token string) Config {
	return Config{Credentials: func(_ context.Context, asked, repository string) (Credential, error) {
		if asked != host || repository != "" {
			return Credential{}, nil
		}
		return Credential{AccessToken: token}, nil
	}}
}

func texts(pieces []stemma.Raw) []string {
	var out []string
	for _, p := range pieces {
		out = append(out, string(p.Data))
	}
	return out
}

func wantFault(t *testing.T, name string, err error, reason stemma.Reason, part string) {
	t.Helper()
	if err == nil || asFault(err).reason != reason || !strings.Contains(err.Error(), part) {
		t.Errorf("%s: got %v, want %s: %s", name, err, reason, part)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("%s: tells a secret: %v", name, err)
	}
}

var _ http.Handler = (*keeper)(nil)

// What is kept under a digest is found, page by page, and nothing else; whose subject it really is is not judged here.
func TestSourceFound(t *testing.T) {
	for kind, k := range keepers() {
		about, other := stemma.SHA256([]byte("image")), stemma.SHA256([]byte("other"))
		var want []string
		for n := range 5 {
			k.put(about, n)
			want = append(want, k.piece(n))
		}
		k.put(other, 99)
		k.api.Token = "T"
		for size, answer := range map[int]string{0: "200", 2: "200, 3 pages", 5: "200"} {
			k.api.PageSize = size
			pieces, said, err := consult(t, stemmatest.Network{k.host: k}, k.text, about, with(k.host, "T"))
			if err != nil || said != answer {
				t.Errorf("%s by %d: %q, %v", kind, size, said, err)
			}
			if diff := cmp.Diff(want, texts(pieces)); diff != "" {
				t.Errorf("%s by %d: %s", kind, size, diff)
			}
			if asked := k.api.Requests(); !strings.Contains(asked[0], k.list) {
				t.Errorf("%s: %s", kind, asked[0])
			}
			for _, p := range pieces {
				if p.Format != k.format || p.Place != "" || p.Of != "" || p.Annotations != nil || p.Sealed {
					t.Errorf("%s: %+v", kind, p)
				}
			}
		}
		k.api.PageSize = 0
		none := map[SourceKind]string{GitHubAttestations: "404"}[kind]
		if none == "" {
			none = "200"
		}
		if pieces, said, err := consult(t, stemmatest.Network{k.host: k}, k.text, stemma.SHA256([]byte("none")), with(k.host, "T")); err != nil || len(pieces) > 0 || said != none {
			t.Errorf("%s: of nothing: %d, %q, %v", kind, len(pieces), said, err)
		}
	}
}

// Whatever is no proper list is an answer of its own, with the same reason as that of a registry, and never "none".
func TestSourceRefuses(t *testing.T) {
	header := func(w http.ResponseWriter, status int, pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			w.Header().Set(pairs[i], pairs[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"message":"said so"}`))
	}
	body := func(s string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { _, _ = w.Write([]byte(s)) }
	}
	type row struct {
		name   string
		play   func(http.ResponseWriter)
		answer string
		reason stemma.Reason
		part   string
	}
	rows := []row{
		{"401", func(w http.ResponseWriter) { header(w, 401) }, "401", stemma.ReasonUnauthorized, "401 Unauthorized (said so)"},
		{"403", func(w http.ResponseWriter) { header(w, 403, "X-RateLimit-Remaining", "7") }, "403", stemma.ReasonUnauthorized, "403 Forbidden (said so)"},
		{"403, limited", func(w http.ResponseWriter) {
			header(w, 403, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1800000000")
		}, "403", stemma.ReasonRateLimited, "limited until 2027-01-15T08:00:00Z"},
		{"403, once too often", func(w http.ResponseWriter) { header(w, 403, "Retry-After", "60") }, "403", stemma.ReasonRateLimited, "limited for 60 seconds"},
		{"403, nonsense", func(w http.ResponseWriter) { header(w, 403, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "-1") }, "403", stemma.ReasonRateLimited, "403 Forbidden (said so)"},
		{"429", func(w http.ResponseWriter) { header(w, 429, "RateLimit-Reset", "1800000000") }, "429", stemma.ReasonRateLimited, "limited until 2027-01-15T08:00:00Z"},
		{"500", func(w http.ResponseWriter) { header(w, 500) }, "500", stemma.ReasonUnreachable, "500 Internal Server Error"},
		{"503", func(w http.ResponseWriter) { header(w, 503, "X-RateLimit-Remaining", "0") }, "503", stemma.ReasonUnreachable, "503"},
		{"410", func(w http.ResponseWriter) { header(w, 410) }, "410", stemma.ReasonBadAnswer, "410 Gone"},
		{"204", func(w http.ResponseWriter) { w.WriteHeader(204) }, "204", stemma.ReasonBadAnswer, "204"},
		{"page for people", body("<html>"), "200", stemma.ReasonBadAnswer, "reading JSON"},
		{"nothing", body(""), "200", stemma.ReasonBadAnswer, "reading JSON"},
		{"null", body("null"), "200", stemma.ReasonBadAnswer, "not a list"},
		{"another document", body(`{"message":"ok"}`), "200", stemma.ReasonBadAnswer, ""},
		{"text", body(`"ok"`), "200", stemma.ReasonBadAnswer, "expected a"},
		{"lists of null", body(`{"attestations":null,"data":{"dsses":null},"errors":null,"occurrences":7}`), "200", stemma.ReasonBadAnswer, ""},
		{"cut short", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{}"))
		}, "no usable answer", stemma.ReasonBadAnswer, "Content-Length says 100"},
		{"said to be large", func(w http.ResponseWriter) { w.Header().Set("Content-Length", strconv.Itoa(1<<40)) }, "no usable answer", stemma.ReasonTruncated, "longer than"},
		{"endless", func(w http.ResponseWriter) {
			for range (maxListing + 1<<20) >> 16 {
				if _, err := w.Write([]byte(strings.Repeat(" ", 1<<16))); err != nil {
					return
				}
			}
		}, "no usable answer", stemma.ReasonTruncated, "longer than"},
		{"torn", func(w http.ResponseWriter) {
			_, _ = w.Write([]byte("{"))
			panic(http.ErrAbortHandler)
		}, "no usable answer", stemma.ReasonUnreachable, "cut"},
		{"elsewhere", func(w http.ResponseWriter) { header(w, 307, "Location", "https://evil.example/?a=secret") }, "no usable answer", stemma.ReasonForbidden, "redirected to evil.example"},
		{"below itself", func(w http.ResponseWriter) { header(w, 308, "Location", "https://x.api.github.com/") }, "no usable answer", stemma.ReasonForbidden, "redirected to x.api.github.com"},
		{"metadata", func(w http.ResponseWriter) { header(w, 307, "Location", "https://169.254.169.254/") }, "no usable answer", stemma.ReasonForbidden, "169.254.169.254"},
		{"in clear", func(w http.ResponseWriter) { header(w, 307, "Location", "http://evil.example/") }, "no usable answer", stemma.ReasonForbidden, "redirected from https to http"},
	}
	for kind, k := range keepers() {
		about := stemma.SHA256([]byte("image"))
		k.put(about, 1)
		for _, c := range rows {
			stray := 0
			k.api.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/moved" || r.Header.Get("Authorization") != "Bearer T" {
					t.Errorf("%s, %s: asked %s as %q", kind, c.name, r.URL, r.Header.Get("Authorization"))
				}
				c.play(w)
				return true
			}
			evil := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { stray++; w.WriteHeader(500) })
			pieces, answer, err := consult(t, stemmatest.Network{k.host: k, "evil.example": evil, "x.api.github.com": evil, "169.254.169.254": evil}, k.text, about, with(k.host, "T"))
			wantFault(t, string(kind)+", "+c.name, err, c.reason, c.part)
			if len(pieces) > 0 || answer != c.answer || stray > 0 {
				t.Errorf("%s, %s: %d pieces, %q, %d requests elsewhere", kind, c.name, len(pieces), answer, stray)
			}
		}
		// The nearest that is good: the same requests, answered.
		k.api.Fault = nil
		if pieces, answer, err := consult(t, stemmatest.Network{k.host: k}, k.text, about, with(k.host, "T")); err != nil || answer != "200" || len(pieces) != 1 {
			t.Errorf("%s: %d, %q, %v", kind, len(pieces), answer, err)
		}
		if _, answer, err := consult(t, stemmatest.Network{}, k.text, about, with(k.host, "T")); err == nil || asFault(err).reason != stemma.ReasonUnreachable || answer != "no usable answer" {
			t.Errorf("%s: %q, %v", kind, answer, err)
		}
	}
}

// A 404 says "none there" where a service answers so, and something else is wrong where it does not.
func TestSourceNotFound(t *testing.T) {
	for kind, k := range keepers() {
		k.api.Fault = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(404); return true }
		for _, c := range []struct {
			config Config
			answer string
		}{{with(k.host, "T"), "404"}, {Config{}, "404 (asked without credentials)"}} {
			_, answer, err := consult(t, stemmatest.Network{k.host: k}, k.text, stemma.SHA256([]byte("image")), c.config)
			switch {
			case kind == GitHubAttestations || kind == GitLabAttestations:
				if answer != c.answer || err != nil {
					t.Errorf("%s: %q, %v", kind, answer, err)
				}
			case kind == ArtifactAnalysis && c.config.Credentials == nil:
				wantFault(t, string(kind), err, stemma.ReasonUnauthorized, "no token")
			default:
				wantFault(t, string(kind), err, stemma.ReasonBadAnswer, "404 Not Found")
			}
		}
	}
}

// Credentials are those of the very host, in the form that they have; without any, nobody asks, except where that is
// known to be useless.
func TestSourceCredentials(t *testing.T) {
	about := stemma.SHA256([]byte("image"))
	for kind, k := range keepers() {
		k.put(about, 1)
		for name, c := range map[string]struct {
			credential Credential
			err        error
			sent       string
		}{
			"nobody":                {},
			"token":                 {credential: Credential{AccessToken: "T"}, sent: "Bearer T"},
			"token before password": {credential: Credential{AccessToken: "T", Username: "u", Password: "p"}, sent: "Bearer T"},
			"password":              {credential: Credential{Username: "u", Password: "p"}, sent: "Basic dTpw"},
			"refresh token":         {credential: Credential{RefreshToken: "R"}},
			"broken":                {credential: Credential{AccessToken: "T"}, err: errors.New("helper gone")},
		} {
			sent := []string{}
			k.api.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
				sent = append(sent, r.Header.Get("Authorization"))
				return false
			}
			_, answer, err := consult(t, stemmatest.Network{k.host: k}, k.text, about, Config{Credentials: func(_ context.Context, host, repository string) (Credential, error) {
				if host != k.host || repository != "" {
					t.Errorf("%s: asked for credentials of %q for %q", kind, host, repository)
				}
				return c.credential, c.err
			}})
			switch {
			case c.err != nil:
				wantFault(t, string(kind)+", "+name, err, stemma.ReasonUnauthorized, "helper gone")
				if answer != "not asked (no credentials)" || len(sent) > 0 {
					t.Errorf("%s, %s: %q, %v", kind, name, answer, sent)
				}
			case c.sent == "" && kind == ArtifactAnalysis:
				wantFault(t, string(kind)+", "+name, err, stemma.ReasonUnauthorized, "no token")
				if answer != "not asked (no token)" || len(sent) > 0 {
					t.Errorf("%s, %s: %q, %v", kind, name, answer, sent)
				}
			default:
				if err != nil || len(sent) == 0 || slices.ContainsFunc(sent, func(s string) bool { return s != c.sent }) {
					t.Errorf("%s, %s: sent %q, %v", kind, name, sent, err)
				}
			}
		}
	}
	// Who was refused as nobody is told so.
	k := keepers()[GitHubAttestations]
	k.api.Token = "T"
	_, _, err := consult(t, stemmatest.Network{k.host: k}, k.text, about, Config{})
	wantFault(t, "nobody", err, stemma.ReasonUnauthorized, "401 Unauthorized (Bad credentials), and there are no credentials for api.github.com")
}

// A list that leads on to another host, out of its API, or in circles ends there; what was read stays.
func TestReg_F05_source_pages(t *testing.T) {
	about := stemma.SHA256([]byte("image"))
	for name, c := range map[string]struct {
		link   string
		reason stemma.Reason
		part   string
		asked  int
	}{
		"the other page":      {"/again?from=1", "", "", 2},
		"another host":        {"https://evil.example/repos", stemma.ReasonForbidden, "the next page is at https://evil.example/repos", 1},
		"a host below":        {"https://x.api.github.com/", stemma.ReasonForbidden, "the next page is at", 1},
		"another port":        {"https://api.github.com:8443/", stemma.ReasonForbidden, "the next page is at", 1},
		"in clear":            {"http://api.github.com/", stemma.ReasonForbidden, "the next page is at", 1},
		"with a user":         {"https://u:secret@api.github.com/", stemma.ReasonForbidden, "the next page is at", 1},
		"itself":              {"?per_page=100", stemma.ReasonBadAnswer, "already read", 1},
		"two that take turns": {"/again?from=0", stemma.ReasonBadAnswer, "already read", 2},
		"no end":              {"more", stemma.ReasonTruncated, "more than 16 pages", maxPages},
		"no address":          {"https://[", stemma.ReasonBadAnswer, "not a URL", 1},
	} {
		asked := 0
		api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			switch {
			case c.link == "more":
				w.Header().Set("Link", fmt.Sprintf(`</p?from=%d>; rel="next"`, asked))
			case asked == 1 || c.link == "/again?from=0":
				w.Header().Set("Link", `<https://api.github.com/x>; rel="prev", <`+c.link+`>; rel="next"`)
			}
			_, _ = fmt.Fprintf(w, `{"attestations":[{"bundle":%s}]}`, sourceBundle(asked))
		})
		stray := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s: asked %s", name, r.URL) })
		pieces, answer, err := consult(t, stemmatest.Network{"api.github.com": api, "evil.example": stray, "x.api.github.com": stray, "api.github.com:8443": stray}, "github=acme/app", about, with("api.github.com", "T"))
		if c.reason != "" {
			wantFault(t, name, err, c.reason, c.part)
		} else if err != nil || answer != "200, 2 pages" {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
		if asked != c.asked || len(pieces) != c.asked {
			t.Errorf("%s: %d requests, %d pieces", name, asked, len(pieces))
		}
	}
	// Below /api/v3 another Enterprise's pages are not the API's.
	k := keepers()[GitHubAttestations]
	k.put(about, 1)
	k.api.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Link", `</login?x=1>; rel=next`)
		return false
	}
	pieces, _, err := consult(t, stemmatest.Network{"ghe.example.com": k}, "github=ghe.example.com/acme/app", about, Config{})
	wantFault(t, "out of the API", err, stemma.ReasonBadAnswer, "not in the API of ghe.example.com")
	if got := k.api.Requests(); len(pieces) != 1 || len(got) != 1 || !strings.HasPrefix(got[0], "GET /api/v3/repos/acme/app/attestations/"+string(about)) {
		t.Errorf("%v", got)
	}
	// Cursors and tokens that lead in circles.
	for kind, loop := range map[SourceKind]string{
		ArtifactAnalysis: `{"nextPageToken":"x"}`,
		Archivista:       `{"data":{"dsses":{"edges":[],"pageInfo":{"hasNextPage":true,"endCursor":"x"}}}}`,
	} {
		k := keepers()[kind]
		k.api.Fault = func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte(loop)); return true }
		_, answer, err := consult(t, stemmatest.Network{k.host: k}, k.text, about, with(k.host, "T"))
		wantFault(t, string(kind), err, stemma.ReasonBadAnswer, "already read")
		if n := len(k.api.Requests()); n != 2 || answer != "200, 2 pages" {
			t.Errorf("%s: %d requests, %q", kind, n, answer)
		}
	}
}

// A second page that fails is not the end of the list.
func TestSourceSecondPageFails(t *testing.T) {
	about := stemma.SHA256([]byte("image"))
	for kind, k := range keepers() {
		k.put(about, 1)
		k.put(about, 2)
		k.api.PageSize = 1
		lists := 0
		k.api.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/download") {
				return false
			}
			if lists++; lists == 2 {
				w.WriteHeader(404)
				return true
			}
			return false
		}
		pieces, answer, err := consult(t, stemmatest.Network{k.host: k}, k.text, about, with(k.host, "T"))
		wantFault(t, string(kind), err, stemma.ReasonBadAnswer, "404")
		if diff := cmp.Diff([]string{k.piece(1)}, texts(pieces)); diff != "" || answer != "200, then 404 for page 2" {
			t.Errorf("%s: %q %s", kind, answer, diff)
		}
	}
}

func TestSourceGitHubForms(t *testing.T) {
	about := stemma.SHA256([]byte("image"))
	for text, c := range map[string]struct {
		host  string
		paths []string
	}{
		"github=acme/app":                  {"api.github.com", []string{"/repos/acme/app"}},
		"github=github.com/acme/app":       {"api.github.com", []string{"/repos/acme/app"}},
		"github=acme":                      {"api.github.com", []string{"/orgs/acme"}},
		"github=alice":                     {"api.github.com", []string{"/orgs/alice", "/users/alice"}},
		"github=none":                      {"api.github.com", []string{"/orgs/none", "/users/none"}},
		"github=octo.ghe.com/acme/app":     {"api.octo.ghe.com", []string{"/repos/acme/app"}},
		"github=ghe.example.com/acme":      {"ghe.example.com", []string{"/api/v3/orgs/acme"}},
		"github=ghe.example.com:8443/acme": {"ghe.example.com:8443", []string{"/api/v3/orgs/acme"}},
	} {
		api := &stemmatest.GitHubAPI{Users: []string{"alice"}}
		api.Put("acme/app", about, []byte(sourceBundle(1)))
		api.Put("alice/app", about, []byte(sourceBundle(1)))
		pieces, answer, err := consult(t, stemmatest.Network{c.host: api}, text, about, Config{})
		if err != nil || (len(pieces) == 1) == (text == "github=none") || (answer == "200") == (text == "github=none") {
			t.Errorf("%s: %d, %q, %v", text, len(pieces), answer, err)
		}
		var want []string
		for _, p := range c.paths {
			want = append(want, "GET "+p+"/attestations/"+string(about)+"?per_page=100")
		}
		if diff := cmp.Diff(want, api.Requests()); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

// Bundles that are linked to are had from where the link leads, without the token, decompressed, and never from an
// address that no service serves from.
func TestSourceGitHubLinked(t *testing.T) {
	about := stemma.SHA256([]byte("image"))
	api := &stemmatest.GitHubAPI{Store: "blobs.example"}
	api.Token = "T"
	var want []string
	for n := range 20 {
		api.Put("acme/app", about, []byte(sourceBundle(n)))
		want = append(want, sourceBundle(n))
	}
	var told []Exchange
	config := with("api.github.com", "T")
	seen := make(chan Exchange, 100)
	config.Trace = func(e Exchange) { seen <- e }
	pieces, answer, err := consult(t, stemmatest.Network{"api.github.com": api, "blobs.example": api}, "github=acme/app", about, config)
	if err != nil || answer != "200" {
		t.Fatal(answer, err)
	}
	if diff := cmp.Diff(want, texts(pieces)); diff != "" {
		t.Error(diff)
	}
	close(seen)
	for e := range seen {
		told = append(told, e)
		if (e.Host == "api.github.com") != (e.Sent == "Bearer") || strings.Contains(fmt.Sprintf("%+v", e), "secret") {
			t.Errorf("%+v", e)
		}
	}
	if len(told) != 21 {
		t.Errorf("%d requests", len(told))
	}

	good := string(stemmatest.Snappy([]byte(sourceBundle(1))))
	for name, c := range map[string]struct {
		entry  string
		body   string // of https://blobs.example/b
		reason stemma.Reason
		part   string
	}{
		"compressed":            {`{"bundle":null,"bundle_url":"https://blobs.example/b?sig=secret"}`, good, "", ""},
		"plain":                 {`{"bundle_url":"https://blobs.example/b?sig=secret"}`, sourceBundle(1), "", ""},
		"moved":                 {`{"bundle_url":"https://blobs.example/moved?sig=secret"}`, good, "", ""},
		"inline and linked":     {`{"bundle":` + sourceBundle(1) + `,"bundle_url":"https://evil.example/b"}`, "", "", ""},
		"gone":                  {`{"bundle_url":"https://blobs.example/gone?sig=secret"}`, "", stemma.ReasonBadAnswer, "GET https://blobs.example/gone: 404"},
		"in clear":              {`{"bundle_url":"http://blobs.example/b"}`, good, stemma.ReasonForbidden, "by http"},
		"a file":                {`{"bundle_url":"file:///etc/passwd"}`, good, stemma.ReasonBadAnswer, "not an address"},
		"no host":               {`{"bundle_url":"/b"}`, good, stemma.ReasonBadAnswer, "not an address"},
		"a user":                {`{"bundle_url":"https://u:secret@blobs.example/b"}`, good, stemma.ReasonBadAnswer, "not an address"},
		"metadata":              {`{"bundle_url":"https://169.254.169.254/b"}`, good, stemma.ReasonForbidden, "169.254.169.254"},
		"loopback, mapped":      {`{"bundle_url":"https://[::ffff:127.0.0.1]/b"}`, good, stemma.ReasonForbidden, "127.0.0.1"},
		"moved to metadata":     {`{"bundle_url":"https://blobs.example/inside?sig=secret"}`, good, stemma.ReasonForbidden, "169.254.169.254"},
		"neither":               {`{"repository_id":1}`, good, stemma.ReasonBadAnswer, "neither a bundle nor a link"},
		"null":                  {`null`, good, stemma.ReasonBadAnswer, "neither a bundle nor a link"},
		"a text for a bundle":   {`{"bundle":"x","bundle_url":"https://blobs.example/b"}`, good, stemma.ReasonBadAnswer, "is not a bundle"},
		"cut off":               {`{"bundle_url":"https://blobs.example/b"}`, good[:len(good)-1], stemma.ReasonBadAnswer, "decompressing"},
		"a bomb":                {`{"bundle_url":"https://blobs.example/b"}`, string(binary.AppendUvarint(nil, 1<<30)), stemma.ReasonTruncated, "longer than"},
		"nothing":               {`{"bundle_url":"https://blobs.example/b"}`, "", stemma.ReasonBadAnswer, "decompressing"},
		"a text for an address": {`{"bundle_url":7}`, good, stemma.ReasonBadAnswer, "expected a string"},
	} {
		list := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"attestations":[` + c.entry + `,{"bundle":` + sourceBundle(2) + `}]}`))
		})
		store := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
				t.Errorf("%s: told %v", name, r.Header)
			}
			switch r.URL.Path {
			case "/gone":
				w.WriteHeader(404)
			case "/moved":
				http.Redirect(w, r, "https://cdn.example/b", http.StatusFound)
			case "/inside":
				http.Redirect(w, r, "https://169.254.169.254/b", http.StatusFound)
			default:
				_, _ = w.Write([]byte(c.body))
			}
		})
		stray := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s: asked %s", name, r.URL) })
		pieces, _, err := consult(t, stemmatest.Network{
			"api.github.com": list, "blobs.example": store, "cdn.example": store, "169.254.169.254": stray, "[::ffff:127.0.0.1]": stray, "evil.example": stray,
		}, "github=acme/app", about, with("api.github.com", "T"))
		want := []string{sourceBundle(1), sourceBundle(2)}
		if c.reason != "" {
			wantFault(t, name, err, c.reason, c.part)
			want = want[1:] // the other one is still there
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name == "a text for an address" {
			want = nil // a list that is none
		}
		if diff := cmp.Diff(want, texts(pieces)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
