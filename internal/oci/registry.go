package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"stemma"
)

// registry is one repository, for one look at one image. It speaks the Distribution Specification itself, over the
// authenticating client of oras-go: a client that returns parsed manifests has thrown away what is compared here
// (bytes, headers, sizes), and one that follows pages for its caller does not say when it stopped.
type registry struct {
	base   string // "https://ghcr.io/v2/acme/api"
	host   string
	path   string // "acme/api"
	client *Client
	room   *room         // for the larger answers under way, of all repositories together
	held   *atomic.Int64 // bytes of lists and tags beyond their shares, of all repositories together
	share  *int64        // bytes of each list and tag that are kept in any case
}

func newRegistry(d *discovery, ref Reference) *registry {
	scheme := "https"
	if slices.Contains(d.client.config.PlainHTTP, ref.Host) {
		scheme = "http"
	}
	return &registry{base: scheme + "://" + ref.Host + "/v2/" + ref.path(), host: ref.Host, path: ref.path(), client: d.client, room: d.room, held: d.held, share: &d.share}
}

const acceptManifests = v1.MediaTypeImageIndex + ", " + v1.MediaTypeImageManifest + ", " + mediaTypeDockerIndex + ", " + mediaTypeDockerManifest

// named gets a manifest by tag or digest. It is always asked for: whether there is such an image here, and whether one may
// read it, is for the registry to say each time.
func (r *registry) named(ctx context.Context, tag string, want stemma.Digest) (*document, error) {
	if want != "" {
		return r.getManifest(ctx, string(want), want, maxManifest)
	}
	return r.getManifest(ctx, tag, "", maxManifest)
}

// getManifest gets a manifest by tag or digest. Its digest is that of the bytes, never what a header says.
func (r *registry) getManifest(ctx context.Context, name string, want stemma.Digest, limit int64, told ...string) (*document, error) {
	resp, err := r.get(ctx, r.base+"/manifests/"+name, acceptManifests, limit)
	if err != nil {
		return nil, err
	}
	digest := want
	switch {
	case want == "":
		digest = stemma.SHA256(resp.body)
	case !want.Matches(resp.body):
		// CVE-2023-33959: a registry that answers another manifest than the one that was asked for.
		return nil, badAnswer("GET %s: the answer has the digest %s", resp.url, stemma.SHA256(resp.body).Short())
	}
	if header := resp.header.Get("Docker-Content-Digest"); header != "" {
		said, err := stemma.ParseDigest(header)
		if err != nil {
			return nil, badAnswer("GET %s: header Docker-Content-Digest: %w", resp.url, err)
		}
		if !said.Matches(resp.body) {
			return nil, badAnswer("GET %s: header Docker-Content-Digest says %s, the answer has the digest %s", resp.url, said.Short(), digest.Short())
		}
	}
	contentType := ""
	if header := resp.header.Get("Content-Type"); header != "" {
		if contentType, _, err = mime.ParseMediaType(header); err != nil {
			return nil, badAnswer("GET %s: header Content-Type: %w", resp.url, err)
		}
	}
	return parseDocument(resp.body, digest, append(told, contentType)...)
}

// manifest gets what a descriptor leads to, from the cache if it is there.
func (r *registry) manifest(ctx context.Context, d descriptor) (*document, error) {
	if err := d.check(maxManifest); err != nil {
		return nil, err
	}
	if data := r.client.cache.get(d.Digest, d.Size); data != nil {
		return parseDocument(data, d.Digest, d.MediaType)
	}
	doc, err := r.getManifest(ctx, string(d.Digest), d.Digest, d.Size, d.MediaType)
	if err != nil {
		return nil, err
	}
	if err := d.matches(doc.data); err != nil {
		return nil, err
	}
	// What only a header calls by its type would be something else when it is read without one.
	if doc.body.MediaType != "" {
		r.client.cache.put(d.Digest, doc.data)
	}
	return doc, nil
}

func (r *registry) blob(ctx context.Context, d descriptor, limit int64) ([]byte, error) {
	if err := d.check(limit); err != nil {
		return nil, err
	}
	if data := r.client.cache.get(d.Digest, d.Size); data != nil {
		return data, nil
	}
	// Only ever from the repository itself: a descriptor's "urls" are somebody's wish, and never followed (CVE-2020-15157).
	resp, err := r.get(ctx, r.base+"/blobs/"+string(d.Digest), "application/octet-stream, */*", d.Size)
	if err != nil {
		return nil, err
	}
	if err := d.matches(resp.body); err != nil {
		return nil, err
	}
	r.client.cache.put(d.Digest, resp.body)
	return resp.body, nil
}

func (r *registry) tagged(ctx context.Context, tag string) ([]*document, string, error) {
	doc, err := r.named(ctx, tag, "")
	switch {
	case isMissing(err):
		return nil, "404", nil
	case err != nil:
		return nil, statusOf(err), err
	case !r.keep(0, len(doc.data)):
		return nil, "200", tooMuch()
	}
	return []*document{doc}, "200", nil
}

// referrers reads every page of the referrers API. It asks for no artifact type: what a registry says of the type is
// a hint, and a filter would hide what is listed under a wrong one.
func (r *registry) referrers(ctx context.Context, subject stemma.Digest) ([]descriptor, string, error) {
	var list []descriptor
	at, err := url.Parse(r.base + "/referrers/" + string(subject))
	if err != nil {
		return nil, "", fmt.Errorf("listing referrers: %w", err)
	}
	seen := map[string]bool{}
	total := 0
	for page := 1; ; page++ {
		answer := "200"
		if page > 1 {
			answer = fmt.Sprintf("200, %d pages", page)
		}
		seen[at.String()] = true
		resp, err := r.get(ctx, at.String(), v1.MediaTypeImageIndex, maxManifest)
		if err != nil {
			status := statusOf(err)
			if page > 1 {
				return list, fmt.Sprintf("200, then %s for page %d", status, page), err
			}
			if noReferrersAPI(err) {
				return nil, status, nil
			}
			return nil, status, err
		}
		var index struct {
			SchemaVersion int          `json:"schemaVersion"`
			MediaType     string       `json:"mediaType"`
			Manifests     []descriptor `json:"manifests"`
		}
		if err := stemma.DecodeJSON(resp.body, &index); err != nil {
			return list, answer, badAnswer("GET %s: %w", resp.url, err)
		}
		if index.SchemaVersion != 2 || index.MediaType != "" && index.MediaType != v1.MediaTypeImageIndex {
			return list, answer, badAnswer("GET %s: the answer is not an image index", resp.url)
		}
		cost := len(resp.body) + descriptorCost*len(index.Manifests)
		if total+cost > maxReferrersBytes || !r.keep(total, cost) {
			return list, answer, tooMuch()
		}
		total += cost
		list = append(list, index.Manifests...)
		next, err := nextPage(resp.header, at, "/v2/")
		switch {
		case err != nil:
			f := asFault(err)
			if f.reason == stemma.ReasonUnreachable {
				f.reason = stemma.ReasonBadAnswer
			}
			return list, answer, &fault{reason: f.reason, err: fmt.Errorf("GET %s: %w", resp.url, err)}
		case next == nil:
			return list, answer, nil
		case seen[next.String()]:
			return list, answer, badAnswer("GET %s: the next page is one that was already read", resp.url)
		case page == maxPages:
			return list, answer, &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("GET %s: more than %d pages of referrers", resp.url, maxPages)}
		}
		at = next
	}
}

// noReferrersAPI recognises how registries say that they have none. Everything else (5xx, 401, 429) may hide what
// there is, and must not read as "nothing there" (kyverno #16678).
func noReferrersAPI(err error) bool {
	switch asFault(err).status {
	case http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable:
		return true
	}
	return false
}

// keep reports whether n more bytes of a list or a tag may be kept, of which there are some already. Each has a share of
// its own: large ones, which whoever can push makes of any of them, keep out no small one, in whatever order they come
// (CVE-2024-29903).
func (r *registry) keep(before, n int) bool {
	over := func(size int) int { return max(0, size-int(*r.share)) }
	return r.hold(over(before+n) - over(before))
}

// hold reports whether n more bytes beyond the shares may be kept. Where the bound is reached depends on the order of answers; that it
// was reached does not, and is said.
func (r *registry) hold(n int) bool {
	if r.held.Add(int64(n)) <= maxUndeclared {
		return true
	}
	r.held.Add(-int64(n))
	return false
}

func tooMuch() error {
	return &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("more than %d MiB of lists and tags about one image", maxUndeclared>>20)}
}

func statusOf(err error) string {
	if f := asFault(err); f.status != 0 {
		return strconv.Itoa(f.status)
	}
	return "no usable answer"
}

// nextPage is the target of "Link: <…>; rel=next" (RFC 8288). It stays on the host and scheme of the list: whoever
// answers for one registry does not choose where else its client goes (GHSA-298f), nor outside the API, which is at a path.
func nextPage(header http.Header, at *url.URL, api string) (*url.URL, error) {
	for _, value := range header.Values("Link") {
		for rest := value; ; {
			_, after, ok := strings.Cut(rest, "<")
			if !ok {
				break
			}
			target, params, ok := strings.Cut(after, ">")
			if !ok {
				return nil, errors.New("header Link: unclosed target")
			}
			end := strings.Index(params, "<")
			if end < 0 {
				end = len(params)
			}
			if rest = params[end:]; !isNext(params[:end]) {
				continue
			}
			ref, err := url.Parse(target)
			if err != nil {
				return nil, errors.New("header Link: not a URL")
			}
			next := at.ResolveReference(ref)
			if next.Scheme != at.Scheme || next.Host != at.Host || next.User != nil {
				return nil, forbidden("header Link: the next page is at %s, not in the API of %s", stemma.Printable(next.Redacted(), 120), at.Host)
			}
			if !strings.HasPrefix(next.Path, api) {
				return nil, badAnswer("header Link: the next page is at %s, not in the API of %s", stemma.Printable(next.Redacted(), 120), at.Host)
			}
			return next, nil
		}
	}
	return nil, nil
}

func isNext(params string) bool {
	for param := range strings.FieldsFuncSeq(params, func(r rune) bool { return r == ';' || r == ',' }) {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if strings.EqualFold(strings.TrimSpace(name), "rel") && slices.Contains(strings.Fields(strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`))), "next") {
			return true
		}
	}
	return false
}

// answer is a complete answer of status 200.
type answer struct {
	url    string
	header http.Header
	body   []byte
}

// get asks, and asks once more when the answer breaks off in the middle: connections do.
func (r *registry) get(ctx context.Context, target, accept string, limit int64) (*answer, error) {
	a, broken, err := r.getOnce(ctx, target, accept, limit)
	if broken && ctx.Err() == nil {
		a, _, err = r.getOnce(ctx, target, accept, limit)
	}
	return a, err
}

func (r *registry) getOnce(ctx context.Context, target, accept string, limit int64) (a *answer, broken bool, err error) {
	scoped := auth.AppendRepositoryScope(ctx, orasregistry.Reference{Registry: r.host, Repository: r.path}, auth.ActionPull)
	req, err := http.NewRequestWithContext(scoped, http.MethodGet, target, nil)
	if err != nil {
		return nil, false, fmt.Errorf("asking %s: %w", r.host, err)
	}
	req.Header.Set("Accept", accept)
	resp, err := r.client.session(r.host, r.path).Do(req)
	if err != nil {
		return nil, false, r.unanswered(ctx, target, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK {
		return nil, false, r.refused(target, resp)
	}
	if resp.ContentLength > limit {
		return nil, false, tooLong(target, limit)
	}
	body, err := r.room.read(ctx, resp.Body, resp.ContentLength, limit)
	switch {
	case err != nil:
		var slow *fault
		return nil, !errors.As(err, &slow), r.unanswered(ctx, target, err)
	case int64(len(body)) > limit:
		return nil, false, tooLong(target, limit)
	case resp.ContentLength >= 0 && resp.ContentLength != int64(len(body)):
		return nil, resp.ContentLength > int64(len(body)), badAnswer("GET %s: header Content-Length says %d, the answer has %d bytes", target, resp.ContentLength, len(body))
	}
	return &answer{url: target, header: resp.Header, body: body}, false, nil
}

func tooLong(target string, limit int64) error {
	reason := stemma.ReasonBadAnswer // longer than its descriptor says
	if limit == maxManifest || limit == maxEvidence {
		reason = stemma.ReasonTruncated
	}
	return &fault{reason: reason, err: fmt.Errorf("GET %s: the answer is longer than %d bytes", target, limit)}
}

// unanswered gives a reason to the absence of an answer.
func (r *registry) unanswered(ctx context.Context, target string, err error) error {
	var token *errcode.ErrorResponse
	var known *fault
	switch {
	case errors.As(err, &known):
		return &fault{reason: known.reason, status: known.status, advice: known.advice, where: known.where, err: fmt.Errorf("GET %s: %w", target, known.err)}
	case ctx.Err() != nil:
		return &fault{reason: stemma.ReasonTimeout, err: fmt.Errorf("GET %s: %w", target, ctx.Err())}
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return &fault{reason: stemma.ReasonUnauthorized, status: http.StatusUnauthorized, err: fmt.Errorf("GET %s: 401 Unauthorized, and there are no credentials for %s", target, r.host)}
	case errors.As(err, &token):
		// The status is that of another question: a token service that answers 404 does not say that there is no image.
		return &fault{reason: reasonOf(token.StatusCode), err: fmt.Errorf("GET %s: the token service answers %d %s", target, token.StatusCode, http.StatusText(token.StatusCode))}
	}
	if realm := badRealm(err); realm != nil {
		return forbidden("GET %s: %w", target, realm)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	f := asFault(err)
	return &fault{reason: f.reason, advice: f.advice, where: f.where, err: fmt.Errorf("GET %s: %w", target, err)}
}

// badRealm finds what oras-go says of a token service that it does not ask, which it gives no type (CVE-2025-27403).
func badRealm(err error) error {
	for ; err != nil; err = errors.Unwrap(err) {
		if strings.HasPrefix(err.Error(), "bearer realm ") {
			return err
		}
	}
	return nil
}

// refused reads the error body of the Distribution Specification, as far as it is one.
func (r *registry) refused(target string, resp *http.Response) error {
	f := &fault{reason: reasonOf(resp.StatusCode), status: resp.StatusCode, wait: resp.Header.Get("Retry-After")}
	text := fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	// The status says enough when the body cannot be read.
	if body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)); err == nil {
		var said struct {
			Errors []struct {
				Code    string `json:"code"`
				Message string `json:"message"`
			} `json:"errors"`
		}
		if stemma.DecodeJSON(body, &said) == nil && len(said.Errors) > 0 {
			text += fmt.Sprintf(" (%s: %s)", stemma.Printable(said.Errors[0].Code, 40), stemma.Printable(said.Errors[0].Message, 120))
		}
	}
	f.err = fmt.Errorf("GET %s: %s", target, text)
	return f
}

func reasonOf(status int) stemma.Reason {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return stemma.ReasonUnauthorized
	case status == http.StatusTooManyRequests:
		return stemma.ReasonRateLimited
	case status >= 500 || status == http.StatusRequestTimeout:
		return stemma.ReasonUnreachable
	}
	return stemma.ReasonBadAnswer
}
