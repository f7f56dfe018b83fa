package stemmatest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
)

// Hostile is a registry that does harm. It is an http.Handler in front of an honest one, and does to the answers of that
// one what it is told to do:
//
//	h := &stemmatest.Hostile{Registry: r}
//	h.Do(stemmatest.LoopPages())
//	h.Do(stemmatest.Busy("1").To(stemmatest.AskBlob).Times(2))
//
// What it does to one request may be several things: the behaviour that was added last gets the request first, and what
// it takes for the honest answer is what the one added before it makes of it. Everything large is made while it is
// sent. Two rows of the table of threats are not the doing of a registry: names that lead to inner addresses (F11), and
// layouts with links out of them (F19).
type Hostile struct {
	Registry http.Handler

	mu       sync.Mutex
	deeds    []*deed
	requests []string
}

// Ask is a kind of request.
type Ask string

// The kinds of requests.
const (
	AskManifest  Ask = "manifest"     // by digest
	AskTag       Ask = "tag"          // a manifest by a tag that is not one for evidence
	AskBlob      Ask = "blob"         // by digest
	AskReferrers Ask = "referrers"    // the referrers API
	AskFallback  Ask = "fallback tag" // sha256-<hex>, which stands in for the referrers API
	AskCosign    Ask = "cosign tag"   // sha256-<hex>.sig, .att or .sbom
	AskUpload    Ask = "upload"       // anything about a blob that is pushed
	AskOther     Ask = "other"
)

// Behaviour is one thing that a hostile registry does, made by one of the functions of this package, such as LoopPages.
// Its methods narrow it down.
type Behaviour struct {
	Row     string // of the table of threats: "F05"
	Name    string // "pages in a circle"
	Forever bool   // it ends only when the client gives up

	asks  []Ask // none: all
	about string
	after int
	times int // 0: always
	serve func(x *exchange)
}

// To does it to these kinds of requests only, in place of those that it is meant for.
func (b Behaviour) To(asks ...Ask) Behaviour {
	b.asks = asks
	return b
}

// About does it only to requests whose path contains part: a digest, a repository, "/blobs/".
func (b Behaviour) About(part string) Behaviour {
	b.about = part
	return b
}

// After leaves the first n requests of each path alone.
func (b Behaviour) After(n int) Behaviour {
	b.after = n
	return b
}

// Times does it to so many requests of each path, and leaves those that follow alone.
func (b Behaviour) Times(n int) Behaviour {
	b.times = n
	return b
}

// Do adds behaviours.
func (h *Hostile) Do(behaviours ...Behaviour) *Hostile {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range behaviours {
		h.deeds = append(h.deeds, &deed{Behaviour: b, seen: map[string]int{}, made: map[stemma.Digest]func() whole{}})
	}
	return h
}

// Behave ends all that it was told to do.
func (h *Hostile) Behave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deeds = nil
}

// Requests lists method and path of what was asked since the last call, in order of arrival.
func (h *Hostile) Requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.requests
	h.requests = nil
	return out
}

// ServeHTTP answers as it was told to.
func (h *Hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.requests = append(h.requests, r.Method+" "+r.URL.RequestURI())
	deeds := slices.Clone(h.deeds)
	h.mu.Unlock()
	next := h.Registry
	for _, d := range deeds {
		next = &layered{d, next}
	}
	next.ServeHTTP(w, r)
}

// deed is a behaviour and what it remembers.
type deed struct {
	Behaviour

	mu   sync.Mutex
	seen map[string]int
	made map[stemma.Digest]func() whole // what it has invented, by digest
}

// does reports whether it is done to the request.
func (d *deed) does(r *http.Request, ask Ask) bool {
	if len(d.asks) > 0 && !slices.Contains(d.asks, ask) || !strings.Contains(r.URL.Path, d.about) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[r.URL.Path]++
	n := d.seen[r.URL.Path]
	return n > d.after && (d.times == 0 || n <= d.after+d.times)
}

// remember keeps how content is made that the registry does not have.
func (d *deed) remember(of stemma.Digest, content func() whole) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made[of] = content
}

type layered struct {
	deed *deed
	next http.Handler
}

// ServeHTTP implements http.Handler.
func (l *layered) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, next: l.next, deed: l.deed}
	path, _ := strings.CutPrefix(r.URL.Path, "/v2/")
	x.repository, x.kind, x.reference = parsePath(path)
	x.ask = askOf(x.kind, x.reference)
	if !l.deed.does(r, x.ask) {
		x.honestly()
		return
	}
	l.deed.serve(x)
}

func askOf(kind, reference string) Ask {
	switch kind {
	case "blobs":
		return AskBlob
	case "referrers":
		return AskReferrers
	case "uploads":
		return AskUpload
	case "manifests":
	default:
		return AskOther
	}
	if strings.Contains(reference, ":") {
		return AskManifest
	}
	name, suffix, _ := strings.Cut(reference, ".")
	if _, err := stemma.ParseDigest(strings.Replace(name, "-", ":", 1)); err != nil {
		return AskTag
	}
	if suffix == "" {
		return AskFallback
	}
	return AskCosign
}

// exchange is one request to which something is done.
type exchange struct {
	w    http.ResponseWriter
	r    *http.Request
	next http.Handler
	deed *deed

	ask                         Ask
	repository, kind, reference string
}

// about is the digest that a request for evidence is about.
func (x *exchange) about() stemma.Digest {
	name, _, _ := strings.Cut(x.reference, ".")
	return stemma.Digest(strings.Replace(name, "-", ":", 1))
}

// whole is an answer that is there as a whole.
type whole struct {
	status int
	header http.Header
	body   []byte
}

// honestly answers as it would be without the behaviour, but for what the behaviour has invented.
func (x *exchange) honestly() {
	x.deed.mu.Lock()
	content := x.deed.made[stemma.Digest(x.reference)]
	x.deed.mu.Unlock()
	if content != nil && (x.ask == AskManifest || x.ask == AskBlob) {
		x.send(content())
		return
	}
	x.next.ServeHTTP(x.w, x.r)
}

// instead asks for something else in the same repository.
func (x *exchange) instead(kind, reference string) *http.Request {
	r := x.r.Clone(x.r.Context())
	r.URL.Path = "/v2/" + x.repository + "/" + kind + "/" + reference
	r.URL.RawPath, r.RequestURI = "", r.URL.RequestURI()
	return r
}

// honest is the answer to a request, with the body even of HEAD. That of another behaviour may be endless.
func (x *exchange) honest(r *http.Request) whole {
	if r.Method == http.MethodHead {
		r = r.Clone(r.Context())
		r.Method = http.MethodGet
	}
	rec := &recorder{whole: whole{status: http.StatusOK, header: http.Header{}}}
	x.next.ServeHTTP(rec, r)
	return rec.whole
}

const maxRecorded = 16 << 20

type recorder struct {
	whole
	begun bool
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if !r.begun {
		r.status, r.begun = status, true
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	r.begun = true
	if len(r.body)+len(b) > maxRecorded {
		return 0, errors.New("recording an answer: it is too long")
	}
	r.body = append(r.body, b...)
	return len(b), nil
}

// begin sends status and header, with a length if it is not negative, and reports whether a body is to follow.
func (x *exchange) begin(a whole, length int64) bool {
	h := x.w.Header()
	maps.Copy(h, a.header)
	h.Del("Content-Length")
	if length >= 0 {
		h.Set("Content-Length", strconv.FormatInt(length, 10))
	}
	x.w.WriteHeader(a.status)
	x.flush()
	return x.r.Method != http.MethodHead
}

func (x *exchange) send(a whole) {
	if x.begin(a, int64(len(a.body))) {
		_, _ = x.w.Write(a.body) // the client may have gone away
	}
}

// flush has what was written sent, where that takes more than writing it.
func (x *exchange) flush() {
	_ = http.NewResponseController(x.w).Flush() // in-process, everything is sent at once
}

// fill sends bytes until there are as many, or without end.
func (x *exchange) fill(with byte, length int64) {
	chunk := bytes.Repeat([]byte{with}, 32<<10)
	for length != 0 && x.r.Context().Err() == nil {
		if length > 0 && int64(len(chunk)) > length {
			chunk = chunk[:length]
		}
		if _, err := x.w.Write(chunk); err != nil {
			return // the client has had enough
		}
		if length > 0 {
			length -= int64(len(chunk))
		}
	}
}

// wait waits, and reports whether the client still does.
func (x *exchange) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.r.Context().Done():
		return false
	}
}

// list is what the honest answer lists, by the referrers API or under a fallback tag. It has answered when ok is false.
func (x *exchange) list() (a whole, list []v1.Descriptor, ok bool) {
	a = x.honest(x.r)
	var index v1.Index
	if a.status != http.StatusOK || stemma.DecodeJSON(a.body, &index) != nil {
		x.send(a)
		return a, nil, false
	}
	return a, index.Manifests, true
}

// sendList sends what is to be listed. Under a tag it is a manifest with a digest, by which it can be got, too.
func (x *exchange) sendList(a whole, list []v1.Descriptor) {
	a.body = canonical(object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": append([]v1.Descriptor{}, list...)})
	a.status = http.StatusOK
	a.header.Set("Content-Type", v1.MediaTypeImageIndex)
	if x.ask == AskFallback {
		x.invent(&a)
	}
	x.send(a)
}

// invent gives a manifest under a tag its digest, under which it can be got from now on.
func (x *exchange) invent(a *whole) {
	d := stemma.SHA256(a.body)
	a.header.Set("Docker-Content-Digest", string(d))
	kept := *a
	kept.header = a.header.Clone()
	x.deed.remember(d, func() whole { return kept })
}

func (x *exchange) link(to string) {
	x.w.Header().Set("Link", fmt.Sprintf("<%s>; rel=\"next\"", to))
}
