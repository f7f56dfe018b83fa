package oci

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stemma"
)

const (
	maxListing = 16 << 20 // bytes of one page of a list that has the attestations themselves in it
	fetchers   = 8        // attestations of one list that are under way at a time
)

// service is the protocol of one Source.
type service interface {
	// ask adds what is kept about q.about to q.pieces. The answer is what was said, in short, as in a Place; the error
	// is a *fault.
	ask(ctx context.Context, q *inquiry) (answer string, err error)
}

// consult asks a source for what it keeps about a digest. The answer is what it said, in short, as in a Place; the error
// is a *fault, and there may be pieces besides. They have no Place and no Of, and are not judged: whether they are about
// the digest is for whoever verifies them to say.
func (d *discovery) consult(ctx context.Context, s Source, about stemma.Digest) (pieces []stemma.Raw, answer string, err error) {
	svc, at, err := s.service()
	if err != nil {
		return nil, "not asked (no such service)", badAnswer("%w", err)
	}
	// The digest goes into addresses and queries: nothing but one that was parsed may get there.
	if _, err := stemma.ParseDigest(string(about)); err != nil {
		return nil, "not asked (no digest)", badAnswer("asking %s: %w", s, err)
	}
	q := &inquiry{client: d.client, room: d.room, held: d.held, host: at.host, repository: cmp.Or(d.look.Name, d.look.Ref.Repository), about: about}
	q.api = "https://" + at.host + at.path
	if slices.Contains(d.client.config.PlainHTTP, at.host) {
		q.api = "http://" + at.host + at.path
	}
	if err := q.introduce(ctx); err != nil {
		return nil, "not asked (no credentials)", err
	}
	answer, err = svc.ask(ctx, q)
	if err == nil && len(q.lost) > 0 {
		f := asFault(q.lost[0])
		err = &fault{reason: f.reason, err: f.err}
		if more := len(q.lost) - 1; more > 0 {
			err = &fault{reason: f.reason, err: fmt.Errorf("%w (and %d more)", f.err, more)}
		}
	}
	return q.pieces, answer, err
}

// site is where the API of a service is.
type site struct {
	host string // "gitlab.example.com"
	path string // before what the API itself prescribes: "/api/v4"
}

// ParseSource reads "github=acme/app" and the like. What stands after the equals sign is
//
//	github             acme/app, or acme for all of an owner; of an Enterprise: ghe.example.com/acme/app
//	gitlab             gitlab.example.com/group/project
//	artifact-analysis  the id of a project of Google Cloud
//	archivista         https://archivista.example, or https://archivista.example/v1
//
// A host that is spoken to without TLS is listed in Config.PlainHTTP, and written no differently here.
func ParseSource(text string) (Source, error) {
	kind, of, found := strings.Cut(text, "=")
	if !found {
		return Source{}, wrongSource(text, "a service without what is asked there", "Write github=acme/app, gitlab=gitlab.com/acme/app, artifact-analysis=my-project or archivista=https://archivista.example")
	}
	s := Source{Kind: SourceKind(kind), Of: of}
	switch s.Kind {
	case GitHubAttestations:
		s.Of = strings.TrimPrefix(of, "github.com/")
	case Archivista:
		s.Of = strings.TrimRight(of, "/")
	}
	if _, _, err := s.service(); err != nil {
		return Source{}, err
	}
	return s, nil
}

// Check says what is wrong with a source. The error is an *Error.
func (s Source) Check() error {
	_, _, err := s.service()
	return err
}

// String names the source for people, as in a Place.
func (s Source) String() string {
	of := stemma.Printable(s.Of, 200)
	switch s.Kind {
	case GitHubAttestations:
		return "GitHub attestations of " + of
	case GitLabAttestations:
		return "GitLab attestations of " + of
	case ArtifactAnalysis:
		return "Artifact Analysis of " + of
	case Archivista:
		return "Archivista at " + of
	}
	return stemma.Printable(string(s.Kind), 40) + " " + of
}

func (s Source) service() (service, site, error) {
	text := string(s.Kind) + "=" + s.Of
	parts := strings.Split(s.Of, "/")
	switch s.Kind {
	case GitHubAttestations:
		at := site{host: "api.github.com"}
		// An owner has no dot in its name, and a host has one, or a port.
		if parts[0] == "github.com" {
			parts = parts[1:]
		} else if strings.ContainsAny(parts[0], ".:") {
			switch {
			case !isHost(parts[0]):
				return nil, site{}, wrongSource(text, "neither an owner nor a host", "Write github=acme/app, or github=ghe.example.com/acme/app for an Enterprise.")
			case strings.HasSuffix(parts[0], ".ghe.com"): // data residency: octocorp.ghe.com
				at.host = "api." + parts[0]
			default: // Enterprise Server
				at = site{host: parts[0], path: "/api/v3"}
			}
			parts = parts[1:]
		}
		if len(parts) < 1 || len(parts) > 2 || !plain(parts) {
			return nil, site{}, wrongSource(text, "neither a repository nor an owner of GitHub", "Write github=acme/app, or github=acme for all that acme owns.")
		}
		return &github{names: parts}, at, nil
	case GitLabAttestations:
		if len(parts) < 3 || !isHost(parts[0]) || !plain(parts[1:]) {
			return nil, site{}, wrongSource(text, "not a project of GitLab", "Write it with its host: gitlab=gitlab.com/acme/app")
		}
		return &gitlab{project: strings.Join(parts[1:], "/")}, site{host: parts[0], path: "/api/v4"}, nil
	case ArtifactAnalysis:
		if s.Of == "" || strings.Trim(s.Of, lowerDigits+"-.:") != "" || strings.Trim(s.Of, ".") == "" {
			return nil, site{}, wrongSource(text, "not the id of a project of Google Cloud", "Write the id of the project that keeps the occurrences: artifact-analysis=my-project")
		}
		return &analysis{project: s.Of}, site{host: "containeranalysis.googleapis.com", path: "/v1"}, nil
	case Archivista:
		u, err := url.Parse(s.Of)
		if err != nil || u.Scheme != "https" || !isHost(u.Host) || u.User != nil || strings.ContainsAny(s.Of, "?#%\\") || u.Path != "" && !plain(strings.Split(u.Path[1:], "/")) {
			return nil, site{}, wrongSource(text, "not the URL of a server", "Write archivista=https://archivista.example")
		}
		return archivista{}, site{host: u.Host, path: u.Path}, nil
	}
	return nil, site{}, wrongSource(text, "no such service", "Known are github, gitlab, artifact-analysis and archivista.")
}

func wrongSource(text, what, hint string) error {
	return &Error{Kind: Invalid, Ref: fmt.Sprintf("%q", stemma.Printable(text, 200)), Hint: hint, Err: errors.New(what), doing: "looking for evidence at"}
}

const lowerDigits = "abcdefghijklmnopqrstuvwxyz0123456789"

// plain reports whether names can stand in a path as they are, and lead nowhere but down.
func plain(names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool {
		return strings.Trim(n, ".") == "" || strings.Trim(strings.ToLower(n), lowerDigits+"._-") != ""
	})
}

// isHost accepts host[:port] in the one spelling under which credentials are looked up: lower case, with a dot or a port.
func isHost(s string) bool {
	name, port, hasPort := strings.Cut(s, ":")
	if hasPort {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port || n == 443 {
			return false
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return (hasPort || strings.Contains(name, ".")) && !slices.ContainsFunc(strings.Split(name, "."), func(label string) bool {
		return strings.Trim(label, "-") != label || label == "" || strings.Trim(label, lowerDigits+"-") != ""
	})
}

// inquiry is one question to one service, and what came of it.
type inquiry struct {
	client     *Client
	room       *room         // for the larger answers under way, of the whole look
	held       *atomic.Int64 // bytes of lists and of what came in them, of the whole look
	host       string        // "api.github.com"
	api        string        // "https://api.github.com", without a slash at its end
	repository string        // that the image was read from; "" for a layout
	about      stemma.Digest

	authorization string // header; "" is nobody

	pieces []stemma.Raw
	lost   []error
}

// introduce looks up whom the service is spoken to as: a token is sent as it is, a user with its password.
func (q *inquiry) introduce(ctx context.Context) error {
	if q.client.config.Credentials == nil {
		return nil
	}
	found, err := q.client.config.Credentials(ctx, q.host, "")
	switch {
	case err != nil:
		return &fault{reason: stemma.ReasonUnauthorized, err: fmt.Errorf(gettingCredentials+"%s: %w", q.host, err)}
	case found.AccessToken != "":
		q.authorization = "Bearer " + found.AccessToken
	case found.Password != "":
		q.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(found.Username+":"+found.Password))
	}
	return nil
}

// missing is the answer of a service that has nothing. Some hide what nobody in particular may see behind the same.
func (q *inquiry) missing() string {
	if q.authorization == "" {
		return "404 (asked without credentials)"
	}
	return "404"
}

// call is one request.
type call struct {
	target string
	accept string
	body   []byte            // nil: GET; otherwise JSON to POST
	header map[string]string // further headers
	limit  int64             // bytes of the answer

	elsewhere bool // what is asked for may lie on another host: redirects lead there, and nothing secret goes along
	nobody    bool // without credentials, because it is no address of the service's own
}

func (c call) method() string {
	if c.body != nil {
		return http.MethodPost
	}
	return http.MethodGet
}

// String is the request without its query: links to blob stores are signed there.
func (c call) String() string {
	u, err := url.Parse(c.target)
	if err != nil {
		return c.method()
	}
	return c.method() + " " + stemma.Printable((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String(), 300)
}

// do asks, and asks once more when the answer breaks off in the middle: connections do.
func (q *inquiry) do(ctx context.Context, c call) (*answer, error) {
	a, broken, err := q.once(ctx, c)
	if broken && ctx.Err() == nil && c.body == nil {
		a, _, err = q.once(ctx, c)
	}
	return a, err
}

func (q *inquiry) once(ctx context.Context, c call) (a *answer, broken bool, err error) {
	var body io.Reader
	if c.body != nil {
		body = bytes.NewReader(c.body)
	}
	req, err := http.NewRequestWithContext(ctx, c.method(), c.target, body)
	if err != nil {
		return nil, false, badAnswer("asking %s: not an address", q.host)
	}
	req.Header.Set("Accept", c.accept)
	req.Header.Set("User-Agent", "stemma")
	if c.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	if q.authorization != "" && !c.nobody {
		req.Header.Set("Authorization", q.authorization)
	}
	client := &http.Client{
		Transport:     &guard{next: q.client.transport, host: q.host, trace: q.client.config.Trace},
		CheckRedirect: func(req *http.Request, via []*http.Request) error { return c.redirected(req, via) },
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, false, c.unanswered(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK {
		return nil, false, q.refused(c, resp)
	}
	if resp.ContentLength > c.limit {
		return nil, false, c.tooLong()
	}
	data, err := q.room.read(ctx, resp.Body, resp.ContentLength, c.limit)
	switch {
	case err != nil:
		return nil, true, c.unanswered(ctx, err)
	case int64(len(data)) > c.limit:
		return nil, false, c.tooLong()
	case resp.ContentLength >= 0 && resp.ContentLength != int64(len(data)):
		return nil, resp.ContentLength > int64(len(data)), badAnswer("%s: header Content-Length says %d, the answer has %d bytes", c, resp.ContentLength, len(data))
	case !q.hold(len(data)):
		return nil, false, tooMuch()
	}
	return &answer{url: c.target, header: resp.Header, body: data}, false, nil
}

// hold reports whether n more bytes may be kept, as that of a registry.
func (q *inquiry) hold(n int) bool { return (&registry{held: q.held}).hold(n) }

// redirected keeps what is secret where it was configured for. net/http takes credentials along to subdomains, and tells
// each host the address that led there: neither is wanted (CVE-2024-45336).
func (c call) redirected(req *http.Request, via []*http.Request) error {
	if err := checkRedirect(req, via); err != nil {
		return err
	}
	req.Header.Del("Referer")
	first := via[0].URL.Host
	if req.URL.Host == first && !slices.ContainsFunc(via, func(r *http.Request) bool { return r.URL.Host != first }) {
		return nil
	}
	if !c.elsewhere {
		return forbidden("redirected to %s, where the API of %s is not", stemma.Printable(req.URL.Host, 100), first)
	}
	req.Header.Del("Authorization")
	return nil
}

func (c call) tooLong() error {
	return &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("%s: the answer is longer than %d bytes", c, c.limit)}
}

func (c call) unanswered(ctx context.Context, err error) error {
	var known *fault
	var u *url.Error
	switch {
	case errors.As(err, &known):
		return &fault{reason: known.reason, advice: known.advice, where: known.where, err: fmt.Errorf("%s: %w", c, known.err)}
	case ctx.Err() != nil:
		return &fault{reason: stemma.ReasonTimeout, err: fmt.Errorf("%s: %w", c, ctx.Err())}
	case errors.As(err, &u):
		err = u.Err
	}
	f := asFault(err)
	return &fault{reason: f.reason, advice: f.advice, where: f.where, err: fmt.Errorf("%s: %w", c, err)}
}

// refused gives a reason to an answer that is none. GitHub answers 403 to whom it has answered too often, as it does to
// whom it does not answer at all.
func (q *inquiry) refused(c call, resp *http.Response) error {
	f := &fault{reason: reasonOf(resp.StatusCode), status: resp.StatusCode, wait: resp.Header.Get("Retry-After")}
	text := fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	// The status says enough when the body cannot be read.
	if body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)); err == nil {
		if said := complaint(body); said != "" {
			text += " (" + stemma.Printable(said, 160) + ")"
		}
	}
	header := func(name string) string { return cmp.Or(resp.Header.Get("X-"+name), resp.Header.Get(name)) }
	spent := header("RateLimit-Remaining") == "0" || f.wait != ""
	if resp.StatusCode == http.StatusForbidden && spent {
		f.reason = stemma.ReasonRateLimited
	}
	if f.reason == stemma.ReasonRateLimited {
		if at, err := strconv.ParseInt(header("RateLimit-Reset"), 10, 64); err == nil && at > 0 && at < 1<<36 {
			f.wait = "until " + time.Unix(at, 0).UTC().Format(time.RFC3339)
			text += ", limited " + f.wait
		} else if f.wait != "" {
			text += ", limited for " + retryAfter(f.wait)
		}
	}
	if q.authorization == "" && (f.reason == stemma.ReasonUnauthorized || f.reason == stemma.ReasonRateLimited) {
		text += ", and there are no credentials for " + q.host
	}
	f.err = fmt.Errorf("%s: %s", c, text)
	return f
}

// complaint is what the bodies of errors say: {"message": …} of GitHub and GitLab, {"error": {"message": …}} of Google.
func complaint(body []byte) string {
	doc, err := stemma.ParseJSON(body)
	if err != nil {
		return ""
	}
	return cmp.Or(doc.At("message").Text(), doc.At("error", "message").Text())
}

// pages reads one page after the other. Each names the next: "" is none. What is wrong with a page that came is an error,
// and the answer is still that it came.
func (q *inquiry) pages(ctx context.Context, first string, request func(at string) call, read func(c call, a *answer) (next string, err error)) (said string, err error) {
	seen := map[string]bool{}
	at := first
	for page := 1; ; page++ {
		said := "200"
		if page > 1 {
			said = fmt.Sprintf("200, %d pages", page)
		}
		seen[at] = true
		c := request(at)
		a, err := q.do(ctx, c)
		switch {
		case err != nil && page > 1:
			return fmt.Sprintf("200, then %s for page %d", statusOf(err), page), err
		case err != nil:
			return statusOf(err), err
		}
		next, err := read(c, a)
		switch {
		case err != nil || next == "":
			return said, err
		case seen[next]:
			return said, badAnswer("%s: the next page is one that was already read", c)
		case page == maxPages:
			return said, &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("%s: more than %d pages", c, maxPages)}
		}
		at = next
	}
}

// collect gets n attestations, a few at a time, and adds them in their order. What one of them lacks does not keep the
// others away.
func (q *inquiry) collect(n int, format stemma.Format, fetch func(i int) ([]byte, error)) error {
	most := maxPieces - len(q.pieces) - len(q.lost)
	type result struct {
		data  []byte
		err   error
		panic any
	}
	results := make([]result, min(n, most))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(fetchers, len(results)) {
		wg.Go(func() {
			for i := range next {
				func() {
					defer func() { results[i].panic = recover() }()
					results[i].data, results[i].err = fetch(i)
				}()
			}
		})
	}
	for i := range results {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, r := range results {
		switch {
		case r.panic != nil:
			panic(r.panic) // for whoever asked to recover from: in a goroutine of its own it would end the process
		case r.err != nil:
			q.lost = append(q.lost, r.err)
		default:
			q.pieces = append(q.pieces, stemma.Raw{Format: format, Data: r.data})
		}
	}
	if n > most {
		return &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("asking %s: more than %d attestations, of which %d were read", q.host, maxPieces, maxPieces)}
	}
	return nil
}
