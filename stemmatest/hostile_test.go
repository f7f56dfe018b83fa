package stemmatest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

const app = "https://ghcr.io/v2/acme/app/"

// hostile is a registry with two images, of which one has a bundle, and something to ask it with.
type hostile struct {
	*stemmatest.Hostile
	t      *testing.T
	image  *stemmatest.Image
	other  *stemmatest.Image
	bundle v1.Descriptor // manifest about image
	about  v1.Descriptor // manifest about other
	net    stemmatest.Network
}

func newHostile(t *testing.T, does ...stemmatest.Behaviour) *hostile {
	t.Helper()
	r := stemmatest.NewRegistry("ghcr.io")
	put := func(tag string) (*stemmatest.Image, v1.Descriptor) {
		i := must[*stemmatest.Image](t)(r.PutImage(stemmatest.ImageSpec{Repository: "acme/app", Tags: []string{tag}, Content: tag}))
		layer := stemmatest.Layer{MediaType: stemmatest.MediaTypeV03, Data: []byte(`{"bundle":"` + tag + `"}`)}
		i.AttachCosign(".att", layer)
		return i, i.AttachReferrer(stemmatest.Artifact{Type: stemmatest.MediaTypeV03, Layers: []stemmatest.Layer{layer}})
	}
	h := &hostile{Hostile: &stemmatest.Hostile{Registry: r}, t: t}
	h.image, h.bundle = put("v1")
	h.other, h.about = put("v2")
	h.net = stemmatest.Network{"ghcr.io": h.Hostile}
	h.Do(does...)
	return h
}

// got is one answer, of which at most a megabyte was read.
type got struct {
	*http.Response
	body  string
	ended error // why the body ended; nil: properly
	read  int
}

func (h *hostile) get(path string) *got {
	h.t.Helper()
	return h.at(h.net, app+path)
}

func (h *hostile) at(transport http.RoundTripper, url string) *got {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, url, nil)
	check(h.t, err)
	res, err := transport.RoundTrip(req)
	if err != nil {
		return &got{Response: &http.Response{Header: http.Header{}}, ended: err}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	_ = res.Body.Close()
	return &got{res, string(body), err, len(body)}
}

func (h *hostile) referrers() string { return "referrers/" + string(h.image.Digest()) }

// listed are the digests in a list.
func (g *got) listed(t *testing.T) []digest.Digest {
	t.Helper()
	var index v1.Index
	check(t, stemma.DecodeJSON([]byte(g.body), &index))
	var list []digest.Digest
	for _, d := range index.Manifests {
		list = append(list, d.Digest)
	}
	return list
}

// Without a behaviour, and after all, it is honest.
func TestHostileHonest(t *testing.T) {
	h := newHostile(t)
	for range 2 {
		for _, path := range []string{"manifests/v1", "manifests/" + string(h.image.Digest())} {
			if g := h.get(path); g.body != string(h.image.Manifest) || g.Header.Get("Docker-Content-Digest") != string(h.image.Digest()) {
				t.Errorf("%s: %d %q", path, g.StatusCode, g.body)
			}
		}
		if diff := cmp.Diff([]digest.Digest{h.bundle.Digest}, h.get(h.referrers()).listed(t)); diff != "" {
			t.Error(diff)
		}
		h.Do(stemmatest.Hostilities(h.other.Digest())...)
		h.Behave()
	}
	if n := len(h.Requests()); n != 6 {
		t.Errorf("%d requests", n)
	}
}

func TestHostileManifests(t *testing.T) {
	h := newHostile(t)
	other, image := string(h.other.Digest()), string(h.image.Digest())
	h.Do(stemmatest.MoveTag(h.other.Digest())) // F01
	for i, want := range []string{image, other, other} {
		if g := h.get("manifests/v1"); g.Header.Get("Docker-Content-Digest") != want || !stemma.Digest(want).Matches([]byte(g.body)) {
			t.Errorf("F01: request %d: %v", i, g.Header)
		}
	}
	if g := h.get("manifests/" + image); g.body != string(h.image.Manifest) {
		t.Error("F01: by digest it is another one, too")
	}

	h.Behave()
	h.Do(stemmatest.SwapManifest(h.other.Digest())) // F02
	if g := h.get("manifests/" + image); g.body != string(h.other.Manifest) || g.Header.Get("Docker-Content-Digest") != image {
		t.Errorf("F02: %q", g.body)
	}
	if g := h.get("manifests/v1"); g.body != string(h.image.Manifest) {
		t.Errorf("F02: by tag: %q", g.body)
	}

	h.Behave()
	child := string(h.image.Children[0].Digest)
	honest := h.get("manifests/" + child)
	h.Do(stemmatest.Tamper(stemma.Digest(child), func(b []byte) []byte { return append(b, ' ') })) // F02
	if g := h.get("manifests/" + child); g.body != honest.body+" " || g.ContentLength != int64(g.read) {
		t.Errorf("F02: tampered: %q", g.body)
	}
	if g := h.get("manifests/" + image); g.body != string(h.image.Manifest) {
		t.Errorf("F02: another one is tampered: %q", g.body)
	}

	h.Behave()
	h.Do(stemmatest.LieAboutSize(3)) // F03
	var index v1.Index
	check(t, stemma.DecodeJSON([]byte(h.get(h.referrers()).body), &index))
	if index.Manifests[0].Size != h.bundle.Size+3 || index.Manifests[0].Digest != h.bundle.Digest {
		t.Errorf("F03: %+v", index.Manifests)
	}

	h.Behave()
	h.Do(stemmatest.LayersAndManifests()) // F04
	single := must[*stemmatest.Image](t)(h.image.Registry.PutImage(stemmatest.ImageSpec{Repository: "acme/app", Tags: []string{"single"}, Single: true}))
	for tag, was := range map[string]*stemmatest.Image{"v1": h.image, "single": single} {
		g := h.get("manifests/" + tag)
		for _, part := range []string{`"layers":[{`, `"manifests":[{`, `"config":{`} {
			if strings.Count(g.body, part) != 1 {
				t.Errorf("F04: %s: not one %s: %s", tag, part, g.body)
			}
		}
		d := stemma.Digest(g.Header.Get("Docker-Content-Digest"))
		if again := h.get("manifests/" + string(d)); !d.Matches([]byte(g.body)) || again.body != g.body || d == was.Digest() {
			t.Errorf("F04: %s: %s is served as %q", tag, d, again.body)
		}
	}

	h.Behave()
	h.Do(stemmatest.LieAboutType()) // F04
	for path, want := range map[string]string{"v1": v1.MediaTypeImageManifest, "single": v1.MediaTypeImageIndex, image: v1.MediaTypeImageManifest, child: v1.MediaTypeImageIndex} {
		if g := h.get("manifests/" + path); g.Header.Get("Content-Type") != want || path == "v1" && g.body != string(h.image.Manifest) {
			t.Errorf("F04: %s: %v", path, g.Header)
		}
	}

	h.Behave()
	h.Do(stemmatest.RollBack(h.other.Digest())) // F18
	if g := h.get("manifests/v1"); g.body != string(h.other.Manifest) {
		t.Errorf("F18: %q", g.body)
	}
	if g := h.get("manifests/" + stemmatest.CosignTag(h.image.Digest(), ".att")); g.StatusCode != 200 || g.body == string(h.other.Manifest) {
		t.Errorf("F18: a tag for evidence: %q", g.body)
	}
}

// follow reads pages until there is none, or a hundred.
func (h *hostile) follow() (pages int, on map[int]int, last string) {
	h.t.Helper()
	on = map[int]int{}
	seen := map[string]bool{}
	for next := h.referrers(); pages < 100 && !seen[next]; {
		seen[next] = true
		pages++
		g := h.get(next)
		if n := len(g.listed(h.t)); n > 0 {
			on[pages] = n
		}
		link, ok := strings.CutSuffix(g.Header.Get("Link"), `>; rel="next"`)
		if link = strings.TrimPrefix(link, "<"); !ok || !strings.HasPrefix(link, "/v2/acme/app/") {
			return pages, on, link
		}
		next = strings.TrimPrefix(link, "/v2/acme/app/")
	}
	return pages, on, "more"
}

func TestHostilePages(t *testing.T) { // F05
	for _, c := range []struct {
		does  []stemmatest.Behaviour
		pages int
		on    map[int]int // page: how many it lists
		last  string      // where the last one links to
	}{
		{nil, 1, map[int]int{1: 1}, ""},
		{[]stemmatest.Behaviour{stemmatest.EvidenceOnPage(1)}, 1, map[int]int{1: 1}, ""},
		{[]stemmatest.Behaviour{stemmatest.EvidenceOnPage(2)}, 2, map[int]int{2: 1}, ""},
		{[]stemmatest.Behaviour{stemmatest.EvidenceOnPage(16)}, 16, map[int]int{16: 1}, ""},
		{[]stemmatest.Behaviour{stemmatest.LoopPages()}, 3, map[int]int{1: 1, 3: 1}, "more"},
		{[]stemmatest.Behaviour{stemmatest.EndlessPages()}, 100, map[int]int{1: 1}, "more"},
		{[]stemmatest.Behaviour{stemmatest.PagesAt("http://ghcr.io")}, 1, map[int]int{1: 1}, "http://ghcr.io/v2/acme/app/referrers/"},
		{[]stemmatest.Behaviour{stemmatest.PagesAt("https://evil.test")}, 1, map[int]int{1: 1}, "https://evil.test/v2/acme/app/referrers/"},
		{[]stemmatest.Behaviour{stemmatest.Withhold(), stemmatest.PagesAt("https://evil.test")}, 1, map[int]int{}, "https://evil.test/v2/acme/app/referrers/"},
		{[]stemmatest.Behaviour{stemmatest.EvidenceOnPage(3), stemmatest.Flood(10).After(2)}, 3, map[int]int{3: 11}, ""},
	} {
		h := newHostile(t, c.does...)
		pages, on, last := h.follow()
		if pages != c.pages || !cmp.Equal(on, c.on) || !strings.HasPrefix(last, c.last) || c.last == "" && last != "" {
			t.Errorf("%v: %d pages, %v, %q", c.does, pages, on, last)
		}
	}
	// Pages of the registry itself follow those that are invented.
	h := newHostile(t, stemmatest.EvidenceOnPage(2))
	h.image.Registry.PageSize = 1
	h.image.AttachReferrer(stemmatest.Artifact{Type: "x", Layers: []stemmatest.Layer{{MediaType: "x", Data: []byte("x")}}})
	if pages, on, _ := h.follow(); pages != 3 || !cmp.Equal(on, map[int]int{2: 1, 3: 1}) {
		t.Errorf("%d pages, %v", pages, on)
	}
}

func TestHostileLists(t *testing.T) {
	h := newHostile(t, stemmatest.OnlyFallback()) // F06
	fallback := "manifests/" + stemmatest.CosignTag(h.image.Digest(), "")
	if list := h.get(h.referrers()).listed(t); len(list) != 0 {
		t.Errorf("F06: %v", list)
	}
	g := h.get(fallback)
	if diff := cmp.Diff([]digest.Digest{h.bundle.Digest}, g.listed(t)); diff != "" || !stemma.Digest(g.Header.Get("Docker-Content-Digest")).Matches([]byte(g.body)) {
		t.Errorf("F06: %s %v", diff, g.Header)
	}
	if again := h.get("manifests/" + g.Header.Get("Docker-Content-Digest")); again.body != g.body {
		t.Errorf("F06: by digest %q", again.body)
	}
	if g := h.get("manifests/" + stemmatest.CosignTag(stemma.SHA256(nil), "")); g.StatusCode != 404 {
		t.Errorf("F06: about nothing: %d", g.StatusCode)
	}

	h.Behave()
	att := "manifests/" + stemmatest.CosignTag(h.image.Digest(), ".att")
	if g := h.get(att); g.StatusCode != 200 {
		t.Fatal("there is nothing to withhold")
	}
	h.Do(stemmatest.Withhold()) // F07
	if list := h.get(h.referrers()).listed(t); len(list) != 0 || h.get(att).StatusCode != 404 || h.get(fallback).StatusCode != 404 {
		t.Errorf("F07: %v", list)
	}
	if g := h.get("manifests/v1"); g.StatusCode != 200 {
		t.Errorf("F07: the image: %d", g.StatusCode)
	}

	for _, status := range []int{400, 401, 403, 404, 406, 429, 500, 503} { // F08, F20
		h.Behave()
		h.Do(stemmatest.Answer(status).To(stemmatest.AskReferrers))
		if g := h.get(h.referrers()); g.StatusCode != status || h.get("manifests/v1").StatusCode != 200 {
			t.Errorf("F08: %d", g.StatusCode)
		}
		h.Do(stemmatest.Answer(status))
		if g := h.get("manifests/v1"); g.StatusCode != status {
			t.Errorf("F20: %d", g.StatusCode)
		}
	}

	h.Behave()
	h.Do(stemmatest.EmptyArtifactType()) // F09
	if g := h.get(h.referrers()); strings.Count(g.body, `"artifactType":"application/vnd.oci.empty.v1+json"`) != 1 || strings.Contains(g.body, stemmatest.MediaTypeV03) {
		t.Errorf("F09: %s", g.body)
	}
	if g := h.get("manifests/" + string(h.bundle.Digest)); !strings.Contains(g.body, `"artifactType":"`+stemmatest.MediaTypeV03) {
		t.Errorf("F09: %s", g.body)
	}

	h.Behave()
	theirs := h.get("manifests/" + stemmatest.CosignTag(h.other.Digest(), ".att"))
	h.Do(stemmatest.EvidenceOf(h.other.Digest())) // F10
	if diff := cmp.Diff([]digest.Digest{h.about.Digest}, h.get(h.referrers()).listed(t)); diff != "" || h.get(att).body != theirs.body {
		t.Errorf("F10: %s", diff)
	}
}

func TestHostileFlood(t *testing.T) { // F17
	h := newHostile(t, stemmatest.Flood(100, "application/a", "application/b"))
	g := h.get(h.referrers())
	var index v1.Index
	check(t, stemma.DecodeJSON([]byte(g.body), &index))
	if len(index.Manifests) != 101 || index.Manifests[50].Digest != h.bundle.Digest {
		t.Fatalf("%d are listed", len(index.Manifests))
	}
	digests := map[digest.Digest]bool{}
	for i, d := range index.Manifests {
		digests[d.Digest] = true
		m := h.get("manifests/" + string(d.Digest))
		var manifest v1.Manifest
		check(t, stemma.DecodeJSON([]byte(m.body), &manifest))
		blob := h.get("blobs/" + string(manifest.Layers[0].Digest))
		if want := []string{"application/a", "application/b", stemmatest.MediaTypeV03}; !slices.Contains(want, d.ArtifactType) || manifest.ArtifactType != d.ArtifactType {
			t.Errorf("%d is a %s", i, d.ArtifactType)
		}
		if int64(m.read) != d.Size || digest.FromString(m.body) != d.Digest || digest.FromString(blob.body) != manifest.Layers[0].Digest || manifest.Subject.Digest != h.image.Descriptor.Digest {
			t.Errorf("%d: %s %q", i, m.body, blob.body)
		}
	}
	if len(digests) != 101 {
		t.Errorf("%d different ones", len(digests))
	}
}

func TestHostileHosts(t *testing.T) { // F12, F13
	h := newHostile(t, stemmatest.Redirect("http://169.254.169.254"))
	if g := h.get("manifests/v1?a=b"); g.StatusCode != 307 || g.Header.Get("Location") != "http://169.254.169.254/v2/acme/app/manifests/v1?a=b" {
		t.Errorf("%d %v", g.StatusCode, g.Header)
	}
	h.Behave()
	h.Do(stemmatest.Realm("https://evil.test/token"))
	g := h.get("manifests/v1")
	if g.StatusCode != 401 || g.Header.Get("WWW-Authenticate") != `Bearer realm="https://evil.test/token",service="registry",scope="repository:acme/app:pull"` {
		t.Errorf("%d %v", g.StatusCode, g.Header)
	}
	h.net["evil.test"] = stemmatest.Tokens()
	var token struct {
		Token string `json:"token"`
	}
	check(t, stemma.DecodeJSON([]byte(h.at(h.net, "https://evil.test/token").body), &token))
	if own := h.at(h.net, "https://ghcr.io/token"); !strings.Contains(own.body, token.Token) || token.Token == "" {
		t.Errorf("its own token service: %q", own.body)
	}
	for header, want := range map[string]int{"Bearer " + token.Token: 200, "Bearer x": 401, "Basic " + token.Token: 401} {
		if got := ask(h, http.MethodGet, app+"manifests/v1", "", "Authorization", header); got.status != want {
			t.Errorf("%s: %d", header, got.status)
		}
	}
	h.Behave()
	h.image.Registry.Writable = true
	h.Do(stemmatest.UploadAt("https://evil.test"))
	if got := ask(h, http.MethodPost, app+"blobs/uploads/", ""); got.status != 202 || got.header.Get("Location") != "https://evil.test/v2/acme/app/blobs/uploads/upload-1" {
		t.Errorf("%+v", got)
	}
}

func TestHostileBodies(t *testing.T) {
	const mib = 1 << 20
	h := newHostile(t)
	blob := "blobs/" + string(stemma.SHA256([]byte(`{"bundle":"v1"}`)))
	honest := h.get(blob)
	h.Do(stemmatest.Huge(200 << 20)) // F14
	if g := h.get("manifests/v1"); g.ContentLength != 200<<20 || g.read != mib || !strings.HasPrefix(g.body, string(h.image.Manifest)+"   ") || strings.Trim(g.body[len(h.image.Manifest):], " ") != "" {
		t.Errorf("F14: %d bytes of %d", g.read, g.ContentLength)
	}
	h.Behave()
	h.Do(stemmatest.Huge(int64(honest.read) + 70_000))
	if g := h.get(blob); g.ContentLength != int64(g.read) || g.read != honest.read+70_000 {
		t.Errorf("F14: %d bytes of %d", g.read, g.ContentLength)
	}
	h.Behave()
	h.Do(stemmatest.Endless()) // F14
	if g := h.get(blob); g.ContentLength != -1 || g.read != mib || !strings.HasPrefix(g.body, honest.body) {
		t.Errorf("F14: %d bytes of %d", g.read, g.ContentLength)
	}
	for _, by := range []int64{-1, 1, 100, -1000} { // F14
		h.Behave()
		h.Do(stemmatest.LieAboutLength(by))
		if g := h.get(blob); g.ContentLength != max(0, int64(honest.read)+by) || g.body != honest.body {
			t.Errorf("F14: %+d: %d bytes of %d", by, g.read, g.ContentLength)
		}
	}

	h.Behave()
	h.Do(stemmatest.Bomb("gzip")) // F15
	res, err := get(t, h.net, t.Context(), app+blob)
	check(t, err)
	if res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("F15: %v", res.Header)
	}
	packed, err := io.ReadAll(io.LimitReader(res.Body, 8*mib))
	check(t, err)
	z, err := gzip.NewReader(bytes.NewReader(packed))
	check(t, err)
	if n, err := io.Copy(zero{}, z); n != 1<<30 || err != nil || n/int64(len(packed)) < 900 {
		t.Errorf("F15: %d bytes from %d, %v", n, len(packed), err)
	}
	h.Behave()
	h.Do(stemmatest.Bomb("zstd"))
	g := h.get(blob)
	if n, err := repeated([]byte(g.body)); n != 1<<30 || err != nil || g.Header.Get("Content-Encoding") != "zstd" {
		t.Errorf("F15: %d bytes from %d, %v", n, g.read, err)
	}
}

// zero takes zeros only.
type zero struct{}

func (zero) Write(b []byte) (int, error) {
	if bytes.Count(b, []byte{0}) != len(b) {
		return 0, errors.New("not zero")
	}
	return len(b), nil
}

// repeated unpacks a frame of zstd that has a window of 128 KiB and blocks of one repeated byte.
func repeated(b []byte) (n int, err error) {
	b, ok := bytes.CutPrefix(b, []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x38})
	for ok && len(b) >= 4 {
		head := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		if head>>1&3 != 1 || head>>3 > 128<<10 || b[3] != 0 {
			break
		}
		n += head >> 3
		b = b[4:]
		if head&1 == 1 {
			ok = false
		}
	}
	if ok || len(b) > 0 {
		return n, fmt.Errorf("%d bytes are left", len(b))
	}
	return n, nil
}

func TestHostileTime(t *testing.T) { // F08, F16
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(t, stemmatest.Drip(time.Second))
		start := time.Now()
		if g := h.get("manifests/v1"); g.body != string(h.image.Manifest) || time.Since(start) != time.Duration(g.read)*time.Second {
			t.Errorf("F16: %d bytes in %v", g.read, time.Since(start))
		}
		for name, c := range map[string]struct {
			does    stemmatest.Behaviour
			answers bool
		}{"stall": {stemmatest.Stall(), true}, "hang": {stemmatest.Hang(), false}, "drip": {stemmatest.Drip(time.Hour), true}} {
			h.Behave()
			h.Do(c.does)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			start := time.Now()
			res, err := get(t, h.net, ctx, app+"manifests/v1")
			if (err == nil) != c.answers {
				t.Errorf("%s: %v", name, err)
			}
			if err == nil {
				if res.ContentLength != int64(len(h.image.Manifest)) {
					t.Errorf("%s: %d", name, res.ContentLength)
				}
				var n int64
				if n, err = io.Copy(io.Discard, res.Body); n != 0 {
					t.Errorf("%s: %d bytes", name, n)
				}
			}
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
				t.Errorf("%s: %v after %v", name, err, time.Since(start))
			}
			cancel()
		}
	})
}

func TestHostileAgain(t *testing.T) { // F20
	h := newHostile(t, stemmatest.Busy("7").Times(2), stemmatest.Answer(503).After(2).Times(1).About("/manifests/"))
	for path, want := range map[string][]int{"manifests/v1": {429, 429, 503, 200}, h.referrers(): {429, 429, 200, 200}} {
		for i, status := range want {
			if g := h.get(path); g.StatusCode != status || (status == 429) != (g.Header.Get("Retry-After") == "7") {
				t.Errorf("%s: %d at request %d, want %d", path, g.StatusCode, i+1, status)
			}
		}
	}
}

// Over a socket, what is cut is cut, and a length that is a lie is noticed.
func TestHostileOverHTTP(t *testing.T) {
	for _, c := range []struct {
		name  string
		does  stemmatest.Behaviour
		error string
		body  string // "": all of it
	}{
		{"honest", stemmatest.Answer(500).About("/none"), "", ""},
		{"cut", stemmatest.Cut(5), "EOF", `{"man`},
		{"cut at once", stemmatest.Cut(-1), "EOF", "-"},
		{"cut after the header", stemmatest.Cut(0), "EOF", "-"},
		{"longer than told", stemmatest.LieAboutLength(-3), "", "shorter"},
		{"shorter than told", stemmatest.LieAboutLength(3), "EOF", ""},
		{"dripping", stemmatest.Drip(0), "", ""},
	} {
		h := newHostile(t, c.does)
		server := httptest.NewServer(h)
		g := h.at(server.Client().Transport, server.URL+"/v2/acme/app/manifests/v1")
		want := string(h.image.Manifest)
		switch c.body {
		case "":
		case "-":
			want = ""
		case "shorter":
			want = want[:len(want)-3]
		default:
			want = c.body
		}
		if g.body != want || (g.ended != nil) != (c.error != "") || g.ended != nil && !strings.Contains(g.ended.Error(), c.error) {
			t.Errorf("%s: %q, %v", c.name, g.body, g.ended)
		}
		server.Close()
	}
}

// Every behaviour belongs to a row and does something to some request, and HEAD has no body.
func TestHostilities(t *testing.T) {
	rows := map[string]bool{}
	names := map[string]bool{}
	list := stemmatest.Hostilities(newHostile(t).other.Digest())
	for _, b := range list {
		for _, row := range strings.Split(b.Row, ", ") {
			rows[row] = true
		}
		names[b.Name] = true
		if b.Forever {
			continue
		}
		h := newHostile(t)
		h.image.Registry.Writable = true
		all := func() (answers []string) {
			for range 2 {
				for _, path := range []string{"manifests/v1", "manifests/" + string(h.image.Digest()), "blobs/" + string(h.bundle.Digest), h.referrers(), "manifests/" + stemmatest.CosignTag(h.image.Digest(), "")} {
					g := h.get(path)
					answers = append(answers, fmt.Sprintf("%d %d %v %v %s", g.StatusCode, g.ContentLength, g.Header, g.ended, stemma.SHA256([]byte(g.body))))
				}
			}
			if b.Name != "the connection is cut after -1 bytes" && b.Name != "the connection is cut after 10 bytes" {
				for _, path := range []string{"manifests/v1", h.referrers()} {
					if got := ask(h, http.MethodHead, app+path, ""); strings.HasPrefix(got.header.Get("Content-Type"), "application/vnd") && got.body != "" {
						t.Errorf("%s: HEAD has %d bytes", b.Name, len(got.body))
					}
				}
				got := ask(h, http.MethodPost, app+"blobs/uploads/", "")
				answers = append(answers, strings.TrimRight(fmt.Sprint(got), "0123456789"), got.header.Get("Location")[:min(5, len(got.header.Get("Location")))])
			}
			return answers
		}
		before := all()
		h.Do(b)
		if after := all(); slices.Equal(before, after) {
			t.Errorf("%s %s does nothing", b.Row, b.Name)
		}
	}
	for i := 1; i <= 20; i++ {
		if row := fmt.Sprintf("F%02d", i); !rows[row] && row != "F11" && row != "F19" {
			t.Errorf("nothing does %s", row)
		}
	}
	if len(names) < 35 {
		t.Errorf("%d names", len(names))
	}
}

func TestWire(t *testing.T) {
	hosts := stemmatest.Network{"a.test": stemmatest.Tokens(), "b.test": stemmatest.Tokens(), "a.test:5000": stemmatest.Tokens()}
	n := &stemmatest.Wire{Next: hosts}
	for _, c := range []struct{ method, url, body, header, value string }{
		{http.MethodGet, "https://a.test/", "", "Authorization", "Basic abc"},
		{http.MethodGet, "https://a.test/", "", "Authorization", "Bearer def"},
		{http.MethodPost, "https://b.test/token", "service=x&grant_type=refresh_token&refresh_token=s3cret", "Content-Type", "application/x-www-form-urlencoded"},
		{http.MethodPost, "https://b.test/token", "service=x", "Content-Type", "application/x-www-form-urlencoded"},
		{http.MethodPut, "http://b.test/", "password=no", "Content-Type", "application/octet-stream"},
		{http.MethodGet, "https://me:pass@a.test:5000/", "", "Cookie", "id=1"},
		{http.MethodGet, "https://none.test/", "", "Proxy-Authorization", "Basic ghi"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, c.url, strings.NewReader(c.body))
		check(t, err)
		req.Header.Set(c.header, c.value)
		if res, err := n.RoundTrip(req); (err == nil) != (req.URL.Host != "none.test") {
			t.Errorf("%s: %v", c.url, err)
		} else if err == nil {
			_ = res.Body.Close()
		}
	}
	want := map[string][]string{
		"https://a.test": {"Basic abc", "Bearer def"}, "https://b.test": {"refresh_token s3cret"}, "http://b.test": nil,
		"https://a.test:5000": {"id=1", "user me:pass"}, "https://none.test": {"Basic ghi"},
	}
	got := map[string][]string{}
	for _, host := range n.Hosts() {
		got[host] = n.Secrets(host)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"https://a.test:5000", "https://none.test"}, n.Leaks("https://a.test", "https://b.test")); diff != "" {
		t.Error(diff)
	}
	// What it has read of a form is still sent.
	var sent string
	hosts["b.test"] = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 100))
		sent = string(body)
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://b.test/", strings.NewReader("password=p"))
	check(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if res, err := n.RoundTrip(req); err != nil || sent != "password=p" {
		t.Errorf("%q, %v", sent, err)
	} else {
		_ = res.Body.Close()
	}
}
