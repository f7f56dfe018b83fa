package oci

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
	"stemma/stemmatest"
)

// GitLab's bundles are downloaded by their number, whatever address the list gives them, and without the token from where
// GitLab keeps them.
func TestSourceGitLabDownloads(t *testing.T) {
	about := stemma.SHA256([]byte("image"))
	const text = "gitlab=gitlab.example.com/group/project"
	entry := func(iid, status, at string) string {
		return fmt.Sprintf(`{"id":1,"iid":%s,"status":%q,"download_url":%q}`, iid, status, at)
	}
	for name, c := range map[string]struct {
		list   string
		play   func(http.ResponseWriter, *http.Request)
		pieces int
		answer string
		reason stemma.Reason
		part   string
	}{
		"good":              {list: entry("1", "success", "https://gitlab.example.com/api/v4/projects/7/attestations/1/download"), pieces: 1, answer: "200"},
		"another host":      {list: entry("1", "success", "https://evil.example/1"), pieces: 1, answer: "200"},
		"not made":          {list: entry("1", "error", "") + "," + entry("2", "success", ""), pieces: 1, answer: "200; 1 attestation that GitLab failed to make"},
		"no iid":            {list: `{"id":1,"status":"success"}`, answer: "200", reason: stemma.ReasonBadAnswer, part: "without an iid"},
		"negative":          {list: entry("-1", "success", ""), answer: "200", reason: stemma.ReasonBadAnswer, part: "without an iid"},
		"null":              {list: `null`, answer: "200", reason: stemma.ReasonBadAnswer, part: "without an iid"},
		"one null":          {list: "null," + entry("3", "success", ""), pieces: 1, answer: "200", reason: stemma.ReasonBadAnswer, part: "without an iid"},
		"a path for an iid": {list: entry(`"../../x"`, "success", ""), answer: "200", reason: stemma.ReasonBadAnswer, part: "expected a value"},
		"gone":              {list: entry("1", "success", ""), play: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, answer: "200", reason: stemma.ReasonBadAnswer, part: "/attestations/1/download: 404"},
		"may not":           {list: entry("1", "success", "") + "," + entry("2", "success", ""), play: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, answer: "200", reason: stemma.ReasonUnauthorized, part: "(and 1 more)"},
		"at an object store": {list: entry("1", "success", ""), play: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://store.example/1?sig=secret", http.StatusFound)
		}, pieces: 1, answer: "200"},
		"at an address within": {list: entry("1", "success", ""), play: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1/1", http.StatusFound)
		}, answer: "200", reason: stemma.ReasonForbidden, part: "127.0.0.1"},
		"there and back": {list: entry("1", "success", ""), play: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/back" {
				if r.Header.Get("Authorization") != "" {
					t.Error("the token came back")
				}
				_, _ = w.Write([]byte(someBundle))
				return
			}
			http.Redirect(w, r, "https://store.example/back", http.StatusFound)
		}, pieces: 1, answer: "200"},
		"larger than any": {list: entry("1", "success", ""), play: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "33554433") }, answer: "200", reason: stemma.ReasonTruncated, part: "longer than 33554432 bytes"},
	} {
		api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path != "/back" && r.Header.Get("Authorization") != "Bearer T":
				t.Errorf("%s: %s as %q", name, r.URL, r.Header.Get("Authorization"))
			case strings.HasSuffix(r.URL.Path, about.Hex()):
				_, _ = w.Write([]byte("[" + c.list + "]"))
			case c.play != nil:
				c.play(w, r)
			default:
				_, _ = w.Write([]byte(someBundle))
			}
		})
		store := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
				t.Errorf("%s: told %v", name, r.Header)
			}
			if r.URL.Path == "/back" {
				http.Redirect(w, r, "https://gitlab.example.com/back", http.StatusFound)
				return
			}
			_, _ = w.Write([]byte(someBundle))
		})
		stray := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s: asked %s", name, r.URL) })
		pieces, answer, err := consult(t, stemmatest.Network{"gitlab.example.com": api, "store.example": store, "evil.example": stray, "127.0.0.1": stray}, text, about, with("gitlab.example.com", "T"))
		if c.reason != "" {
			wantFault(t, name, err, c.reason, c.part)
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(pieces) != c.pieces || answer != c.answer {
			t.Errorf("%s: %d pieces, %q", name, len(pieces), answer)
		}
	}
	// It knows nothing but sha256.
	d, err := stemma.ParseDigest("sha512:" + strings.Repeat("0", 128))
	if err != nil {
		t.Fatal(err)
	}
	if _, answer, err := consult(t, stemmatest.Network{}, text, d, Config{}); err != nil || !strings.HasPrefix(answer, "not asked (") {
		t.Errorf("%q, %v", answer, err)
	}
}

// Envelopes of Google come in either alphabet of base64, and are the same evidence in both.
func TestSourceArtifactAnalysis(t *testing.T) {
	about := stemma.SHA256([]byte("image"))
	const text, host = "artifact-analysis=acme-images", "containeranalysis.googleapis.com"
	for _, urls := range []bool{false, true} {
		api := &stemmatest.ArtifactAnalysisAPI{Project: "acme-images", URLAlphabet: urls}
		api.Put(filedUnder, about, sourceEnvelope(1))
		api.Put(filedUnder, about, nil)
		api.Put("us-docker.pkg.dev/acme/images/other", about, sourceEnvelope(2))
		pieces, answer, err := consult(t, stemmatest.Network{host: api}, text, about, with(host, "T"))
		if diff := cmp.Diff([]string{string(sourceEnvelope(1).JSON())}, texts(pieces)); diff != "" || err != nil || answer != "200; 1 occurrence without an envelope not read" {
			t.Errorf("%v: %q, %v %s", urls, answer, err, diff)
		}
	}
	good := string(sourceEnvelope(1).JSON())
	for name, c := range map[string]struct {
		list   string
		pieces int
		reason stemma.Reason
		part   string
	}{
		"none":               {`{}`, 0, "", ""},
		"good":               {`{"occurrences":[{"envelope":` + good + `}]}`, 1, "", ""},
		"where it once was":  {`{"occurrences":[{"kind":"DSSE_ATTESTATION","dsseAttestation":{"envelope":` + good + `}}]}`, 1, "", ""},
		"null":               {`{"occurrences":[null,{"envelope":null},{"dsseAttestation":null}]}`, 0, "", ""},
		"an error":           {`{"error":{"code":7}}`, 0, stemma.ReasonBadAnswer, "not a list of occurrences"},
		"text":               {`{"occurrences":[{"envelope":"x"},{"envelope":` + good + `}]}`, 1, stemma.ReasonBadAnswer, "an envelope: there is none"},
		"two alphabets":      {`{"occurrences":[{"envelope":{"payload":"+_-/","payloadType":"t"}}]}`, 0, stemma.ReasonBadAnswer, "two alphabets"},
		"a name in capitals": {`{"occurrences":[{"envelope":{"Payload":"","payload":"e30="}}]}`, 0, stemma.ReasonBadAnswer, "only in case"},
		"J01":                {`{"occurrences":[{"envelope":{"payload":"","payload":"e30="}}]}`, 0, stemma.ReasonBadAnswer, "duplicate name"},
	} {
		api := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(c.list)) })
		pieces, _, err := consult(t, stemmatest.Network{host: api}, text, about, with(host, "T"))
		if c.reason != "" {
			wantFault(t, name, err, c.reason, c.part)
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(pieces) != c.pieces {
			t.Errorf("%s: %d pieces", name, len(pieces))
		}
	}
	// What has no name in a registry is filed under none, and that is not the same as nothing being there.
	client := newClient(t, with(host, "T"))
	d := &discovery{client: client, room: newRoom(), held: &atomic.Int64{}}
	_, answer, err := d.consult(t.Context(), Source{ArtifactAnalysis, "acme-images"}, about)
	wantFault(t, "layout", err, stemma.ReasonUnreachable, "filed under the name")
	if answer != "not asked (the image has no name in a registry)" {
		t.Error(answer)
	}
}

// What Archivista returns is what it was asked for by its gitoid, or nothing.
func TestSourceArchivista(t *testing.T) {
	about := stemma.SHA256([]byte("image"))
	const text, host = "archivista=https://archivista.example/v1", "archivista.example"
	api := &stemmatest.ArchivistaAPI{}
	good := string(sourceEnvelope(1).JSON())
	id := api.Put(about, []byte(good))
	pieces, _, err := consult(t, stemmatest.Network{host: api}, text, about, Config{})
	if diff := cmp.Diff([]string{good}, texts(pieces)); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if diff := cmp.Diff([]string{"POST /v1/query", "GET /v1/download/" + id}, api.Requests()); diff != "" {
		t.Error(diff)
	}
	node := func(id string) string {
		return `{"data":{"dsses":{"edges":[{"node":{"gitoidSha256":"` + id + `"}}],"pageInfo":{"hasNextPage":false,"endCursor":null}}}}`
	}
	for name, c := range map[string]struct {
		list   string
		body   string
		pieces int
		reason stemma.Reason
		part   string
		asked  int
	}{
		"good":             {node(id), good, 1, "", "", 2},
		"one byte more":    {node(id), good + "\n", 0, stemma.ReasonBadAnswer, "the answer has the gitoid", 2},
		"another one":      {node(id), string(sourceEnvelope(2).JSON()), 0, stemma.ReasonBadAnswer, "the answer has the gitoid", 2},
		"its own sha256":   {node(stemma.SHA256([]byte(good)).Hex()), good, 0, stemma.ReasonBadAnswer, "the answer has the gitoid " + id, 2},
		"a path":           {node("../../admin"), good, 0, stemma.ReasonBadAnswer, "an envelope with the gitoid ../../admin", 1},
		"sha1":             {node(id[:40]), good, 0, stemma.ReasonBadAnswer, "an envelope with the gitoid", 1},
		"capitals":         {node(strings.ToUpper(id)), good, 0, stemma.ReasonBadAnswer, "an envelope with the gitoid", 1},
		"null":             {`{"data":{"dsses":{"edges":[null,{"node":null}],"pageInfo":null}}}`, good, 0, stemma.ReasonBadAnswer, "(and 1 more)", 1},
		"errors":           {`{"data":null,"errors":[{"message":"no such field"}]}`, good, 0, stemma.ReasonBadAnswer, "no such field", 1},
		"errors and data":  {`{"errors":[{"message":"part of it"}],` + node(id)[1:], good, 0, stemma.ReasonBadAnswer, "part of it", 1},
		"more, no cursor":  {strings.Replace(node(id), "false", "true", 1), good, 1, stemma.ReasonBadAnswer, "no cursor leads", 2},
		"no edges":         {`{"data":{"dsses":{"pageInfo":{"hasNextPage":false}}}}`, good, 0, stemma.ReasonBadAnswer, "not a list", 1},
		"an empty list":    {`{"data":{"dsses":{"edges":[],"pageInfo":{"hasNextPage":false}}}}`, good, 0, "", "", 1},
		"a list elsewhere": {`{"data":{"dsses":[]}}`, good, 0, stemma.ReasonBadAnswer, "expected an object", 1},
	} {
		var asked atomic.Int32
		api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			if r.Method == http.MethodPost {
				_, _ = w.Write([]byte(c.list))
				return
			}
			_, _ = w.Write([]byte(c.body))
		})
		pieces, _, err := consult(t, stemmatest.Network{host: api}, text, about, Config{})
		if c.reason != "" {
			wantFault(t, name, err, c.reason, c.part)
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(pieces) != c.pieces || int(asked.Load()) != c.asked {
			t.Errorf("%s: %d pieces, %d requests", name, len(pieces), asked.Load())
		}
	}
}

// No service makes a look keep, or ask for, more than the bounds allow.
func TestSourceBounded(t *testing.T) {
	about := stemma.SHA256([]byte("image"))
	for kind, k := range keepers() {
		for n := range maxPieces + 5 {
			k.put(about, n)
		}
		pieces, answer, err := consult(t, stemmatest.Network{k.host: k}, k.text, about, with(k.host, "T"))
		wantFault(t, string(kind), err, stemma.ReasonTruncated, "more than 256 attestations, of which 256 were read")
		if n := len(k.api.Requests()); len(pieces) != maxPieces || n > maxPieces+1 || answer != "200" {
			t.Errorf("%s: %d pieces, %d requests, %q", kind, len(pieces), n, answer)
		}
	}
	// What all services keep of one look is bounded together.
	k := keepers()[GitHubAttestations]
	large := `{"attestations":[{"bundle":{"x":"` + strings.Repeat("x", 10<<20) + `"}}]}`
	k.api.Fault = func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte(large)); return true }
	d := &discovery{client: newClient(t, Config{Transport: stemmatest.Network{k.host: k}}), room: newRoom(), held: &atomic.Int64{}}
	for i := range 4 {
		pieces, _, err := d.consult(t.Context(), Source{GitHubAttestations, "acme/app"}, about)
		if i < 2 && (err != nil || len(pieces) != 1) {
			t.Errorf("%d: %d, %v", i, len(pieces), err)
		} else if i >= 2 {
			wantFault(t, "third", err, stemma.ReasonTruncated, "more than 24 MiB")
		}
	}
}

// A source is asked by Open like any other place, and what it sends stands filed under the digest that was asked about.
func TestSourceOpen(t *testing.T) {
	w := newWorld(t, single)
	api := &stemmatest.GitHubAPI{}
	api.Put("acme/app", w.image.Digest(), []byte(sourceBundle(1)))
	w.client = newClient(t, Config{Transport: stemmatest.Network{host: w.registry, "api.github.com": api}})
	f, err := w.client.Open(t.Context(), Look{Ref: Reference{Repository: host + "/" + repo, Host: host, Tag: "v1"}, Sources: []Source{{GitHubAttestations, "acme/app"}}})
	if err != nil || len(f.Unavailable) > 0 {
		t.Fatal(f, err)
	}
	if len(f.Raw) != 1 || f.Raw[0].Place != "GitHub attestations of acme/app" || f.Raw[0].Of != w.image.Digest() || string(f.Raw[0].Data) != sourceBundle(1) || f.Raw[0].Format != stemma.FormatBundle {
		t.Errorf("%+v", f.Raw)
	}
	answers := map[string]string{}
	for _, p := range f.Places {
		if p.Name == "GitHub attestations of acme/app" {
			answers[string(p.Of)] = fmt.Sprintf("%s %d", p.Answer, p.Found)
		}
	}
	if diff := cmp.Diff(map[string]string{string(w.image.Digest()): "200 1", string(f.Config): "404 (asked without credentials) 0"}, answers); diff != "" {
		t.Error(diff)
	}
}

func TestParseSource(t *testing.T) {
	for text, name := range map[string]string{
		"github=acme/app":                        "GitHub attestations of acme/app",
		"github=acme_corp":                       "GitHub attestations of acme_corp",
		"github=acme/.github":                    "GitHub attestations of acme/.github",
		"github=github.com/acme/app":             "GitHub attestations of acme/app",
		"github=ghe.example.com/acme/app":        "GitHub attestations of ghe.example.com/acme/app",
		"gitlab=gitlab.example.com:8443/g/s/p.q": "GitLab attestations of gitlab.example.com:8443/g/s/p.q",
		"gitlab=127.0.0.1:8080/g/p":              "GitLab attestations of 127.0.0.1:8080/g/p",
		"artifact-analysis=my-project":           "Artifact Analysis of my-project",
		"artifact-analysis=example.com:my":       "Artifact Analysis of example.com:my",
		"archivista=https://archivista.example/": "Archivista at https://archivista.example",
		"archivista=https://localhost:8082/v1":   "Archivista at https://localhost:8082/v1",
	} {
		s, err := ParseSource(text)
		if err != nil || s.String() != name || s.Check() != nil {
			t.Errorf("%s: %s, %v", text, s, err)
		}
	}
	for _, text := range []string{
		"", "github", "acme/app", "=", "GitHub=acme/app", " github=acme/app", "rekor=x", "github =acme",
		"github=", "github=/", "github=acme/", "github=acme/app/x", "github=acme/..", "github=../x", "github=acme/a?b", "github=acme/a#b", "github=acme/a%2fb", "github=acme app", "github=acme/app\n",
		"github=https://github.com/acme/app", "github=GHE.example.com/acme/app", "github=ghe.example.com", "github=ghe.example.com:443/acme", "github=ghe.example.com:x/acme", "github=-.example/acme", "github=u@ghe.example.com/acme", "github=github.com",
		"gitlab=acme/app", "gitlab=gitlab.com/app", "gitlab=https://gitlab.com/acme/app", "gitlab=gitlab.com/acme/../x", "gitlab=gitlab.com/acme//x", "gitlab=gitlab.com/acme/app?x",
		"artifact-analysis=", "artifact-analysis=projects/x", "artifact-analysis=X", "artifact-analysis=..", "artifact-analysis=a b",
		"archivista=", "archivista=archivista.example", "archivista=http://archivista.example", "archivista=https://u:p@archivista.example", "archivista=https://archivista.example/?q", "archivista=https://archivista.example/#f",
		"archivista=https://archivista.example/../x", "archivista=https://archivista.example/%2e%2e", "archivista=https://archivista", "archivista=https://", "archivista=file:///etc",
	} {
		_, err := ParseSource(text)
		wantKind(t, err, Invalid, "")
		if e, ok := err.(*Error); ok && e.Hint == "" {
			t.Errorf("%q: %v has no hint", text, err)
		}
	}
	_, err := ParseSource("gitlab=acme/app")
	if e, ok := err.(*Error); !ok || e.Hint != "Write it with its host: gitlab=gitlab.com/acme/app" {
		t.Errorf("%+v", err)
	}
	if want := `looking for evidence at "gitlab=acme/app": not a project of GitLab`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// Blocks of Snappy, written by hand after its format: literals with lengths of one to four bytes, copies with offsets of
// one, two and four, and copies that run into what they write.
func TestUnsnap(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	for name, c := range map[string]struct{ block, want string }{
		"empty":              {"\x00", ""},
		"literal":            {"\x03\x08abc", "abc"},
		"literal, one byte":  {"\x03\xf0\x02abc", "abc"},
		"literal, four":      {"\x03\xfc\x02\x00\x00\x00abc", "abc"},
		"literal, three":     {"\xf0\xa2\x04\xf8\x6f\x11\x01" + long, long},
		"copy, one byte":     {"\x08\x0cabcd\x01\x04", "abcdabcd"},
		"copy, two":          {"\x06\x08abc\x0a\x03\x00", "abcabc"},
		"copy, four":         {"\x06\x08abc\x0b\x03\x00\x00\x00", "abcabc"},
		"copy of itself":     {"\x05\x00a\x01\x01", "aaaaa"},
		"no length":          {"", ""},
		"length of no end":   {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", ""},
		"more than is said":  {"\x02\x08abc", ""},
		"less than is said":  {"\x04\x08abc", ""},
		"much less":          {"\xff\xff\x01\x08abc", ""},
		"literal, cut":       {"\x03\x08ab", ""},
		"length, cut":        {"\x03\xfc\x02\x00", ""},
		"length, huge":       {"\x03\xfc\xff\xff\xff\xffabc", ""},
		"copy, cut":          {"\x06\x08abc\x0a\x03", ""},
		"copy of nothing":    {"\x04\x01\x00", ""},
		"offset of zero":     {"\x06\x08abc\x0a\x00\x00", ""},
		"offset of too much": {"\x06\x08abc\x0a\x04\x00", ""},
		"copy of too much":   {"\x06\x08abc\x0e\x03\x00", ""},
	} {
		got, err := unsnap([]byte(c.block), func(int) bool { return true })
		if (err == nil) != (c.want != "" || name == "empty") || string(got) != c.want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := unsnap([]byte("\x03\x08abc"), func(int) bool { return false }); asFault(err).reason != stemma.ReasonTruncated {
		t.Errorf("without room: %v", err)
	}
}

// FuzzSource lets every service answer with the same bytes, whatever is asked.
func FuzzSource(f *testing.F) {
	about := stemma.SHA256([]byte("image"))
	good := sourceEnvelope(1).JSON()
	for _, s := range []string{
		"{}", "null", "[]", someBundle, `{"attestations":[{"bundle":` + someBundle + `},{"bundle_url":"https://api.github.com/x"},null]}`,
		`[{"iid":1,"status":"success"},{"iid":2,"status":"error"},null]`, `{"occurrences":[{"envelope":` + string(good) + `},{}],"nextPageToken":"x"}`,
		`{"data":{"dsses":{"edges":[{"node":{"gitoidSha256":"` + about.Hex() + `"}}],"pageInfo":{"hasNextPage":true,"endCursor":"x"}}}}`, string(stemmatest.Snappy([]byte(someBundle))), "\x08\x0cabcd\x01\x04",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		api := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
		for _, k := range keepers() {
			pieces, answer, err := consult(t, stemmatest.Network{k.host: api}, k.text, about, with(k.host, "T"))
			if answer == "" || len(pieces) > maxPieces {
				t.Fatalf("%s: %d pieces, %q, %v", k.text, len(pieces), answer, err)
			}
			for _, p := range pieces {
				if p.Format != k.format || len(p.Data) > maxEvidence || p.Of != "" || p.Place != "" {
					t.Fatalf("%s: %+v", k.text, p)
				}
			}
		}
		room := 0
		out, err := unsnap(body, func(n int) bool { room += n; return n <= 1<<20 })
		if err == nil && len(out) != room || room > 22*len(body) {
			t.Fatalf("%d bytes out of %d, room for %d", len(out), len(body), room)
		}
	})
}
