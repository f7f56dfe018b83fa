package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"stemma"
)

// github is a repository of GitHub, or all of an owner.
//
//	GET /repos/OWNER/REPO/attestations/DIGEST
//	GET /orgs/OWNER/attestations/DIGEST, or /users/…
//	{"attestations": [{"bundle": {…}, "bundle_url": "https://…"}]}
type github struct {
	names []string // owner, or owner and repository
}

func (g *github) ask(ctx context.Context, q *inquiry) (string, error) {
	paths := []string{"/repos/" + strings.Join(g.names, "/")}
	if len(g.names) == 1 {
		paths = []string{"/orgs/" + g.names[0], "/users/" + g.names[0]}
	}
	for _, path := range paths {
		said, err := q.pages(ctx, q.api+path+"/attestations/"+string(q.about)+"?per_page=100", func(at string) call {
			return call{
				target: at, accept: "application/vnd.github+json", limit: maxListing,
				// The last version that puts bundles into the list, where one request gets a hundred.
				header: map[string]string{"X-GitHub-Api-Version": "2022-11-28"},
			}
		}, func(c call, a *answer) (string, error) { return g.page(ctx, q, c, a) })
		if said != "404" {
			return said, err
		}
	}
	return q.missing(), nil
}

func (g *github) page(ctx context.Context, q *inquiry, c call, a *answer) (next string, err error) {
	var said struct {
		Attestations []struct {
			Bundle    json.RawMessage `json:"bundle"`
			BundleURL string          `json:"bundle_url"`
		} `json:"attestations"`
	}
	if err := stemma.DecodeJSON(a.body, &said); err != nil {
		return "", badAnswer("%s: %w", c, err)
	}
	if said.Attestations == nil {
		return "", badAnswer("%s: the answer is not a list of attestations", c)
	}
	err = q.collect(len(said.Attestations), stemma.FormatBundle, func(i int) ([]byte, error) {
		switch found := said.Attestations[i]; {
		case bytes.HasPrefix(found.Bundle, []byte("{")):
			return found.Bundle, nil
		case len(found.Bundle) > 0:
			return nil, badAnswer("%s: attestation %d is not a bundle", c, i+1)
		case found.BundleURL == "":
			return nil, badAnswer("%s: attestation %d has neither a bundle nor a link to one", c, i+1)
		default:
			return g.linked(ctx, q, found.BundleURL)
		}
	})
	if err != nil {
		return "", err
	}
	return q.next(c, a.header)
}

// linked fetches a bundle from the blob store that the list links to, where the token of the API is nobody's business.
// It is compressed (application/x-snappy).
func (g *github) linked(ctx context.Context, q *inquiry, link string) ([]byte, error) {
	u, err := url.Parse(link)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return nil, badAnswer("asking %s: a link to a bundle that is not an address", q.host)
	case !strings.HasPrefix(q.api, u.Scheme+"://"):
		return nil, forbidden("asking %s: a link to a bundle by %s", q.host, stemma.Printable(u.Scheme, 20))
	case isForbidden(u.Hostname()):
		return nil, forbidden("asking %s: a link to a bundle at %s, an address that no service serves from", q.host, u.Hostname())
	}
	c := call{target: link, accept: "application/x-snappy, application/json", limit: maxEvidence, elsewhere: true, nobody: true}
	a, err := q.do(ctx, c)
	if err != nil {
		return nil, err
	}
	// No block of Snappy that holds a bundle begins with a brace: it would have 123 bytes.
	if bytes.HasPrefix(a.body, []byte("{")) {
		return a.body, nil
	}
	data, err := unsnap(a.body, q.hold)
	if err != nil {
		return nil, &fault{reason: asFault(err).reason, err: fmt.Errorf("%s: %w", c, err)}
	}
	return data, nil
}

// next is the page after this one, in the same API.
func (q *inquiry) next(c call, header http.Header) (string, error) {
	at, err := url.Parse(c.target)
	if err != nil {
		return "", badAnswer("%s: not an address", c)
	}
	base, err := url.Parse(q.api + "/")
	if err != nil {
		return "", badAnswer("%s: not an address", c)
	}
	next, err := nextPage(header, at, base.Path)
	if err != nil {
		f := asFault(err)
		if f.reason == stemma.ReasonUnreachable {
			f.reason = stemma.ReasonBadAnswer
		}
		return "", &fault{reason: f.reason, err: fmt.Errorf("%s: %w", c, err)}
	}
	if next == nil {
		return "", nil
	}
	return next.String(), nil
}

// gitlab is a project of GitLab.
//
//	GET /projects/URL-ENCODED-PATH/attestations/HEX
//	[{"iid": 1, "status": "success", "download_url": "…/projects/1/attestations/1/download"}]
type gitlab struct {
	project string
}

func (g *gitlab) ask(ctx context.Context, q *inquiry) (string, error) {
	if q.about.Algorithm() != "sha256" {
		return "not asked (it keeps attestations by sha256 alone)", nil
	}
	base := q.api + "/projects/" + url.PathEscape(g.project) + "/attestations/"
	failed := 0
	said, err := q.pages(ctx, base+q.about.Hex(), func(at string) call {
		return call{target: at, accept: "application/json", limit: maxManifest}
	}, func(c call, a *answer) (string, error) {
		var said []struct {
			IID    int64  `json:"iid"`
			Status string `json:"status"`
		}
		if err := stemma.DecodeJSON(a.body, &said); err != nil {
			return "", badAnswer("%s: %w", c, err)
		}
		if said == nil {
			return "", badAnswer("%s: the answer is not a list of attestations", c)
		}
		var made []int64
		for _, x := range said {
			if x.Status == "error" { // GitLab could not make it, and there is nothing to download
				failed++
				continue
			}
			made = append(made, x.IID)
		}
		err := q.collect(len(made), stemma.FormatBundle, func(i int) ([]byte, error) {
			if made[i] <= 0 {
				return nil, badAnswer("%s: an attestation without an iid, which GitLab gives from 18.7 on", c)
			}
			// The address is made from the number: what is said in download_url is where somebody wants a token sent.
			bundle, err := q.do(ctx, call{target: base + strconv.FormatInt(made[i], 10) + "/download", accept: "application/json, application/octet-stream", limit: maxEvidence, elsewhere: true})
			if err != nil {
				return nil, err
			}
			return bundle.body, nil
		})
		if err != nil {
			return "", err
		}
		return q.next(c, a.header)
	})
	switch {
	case said == "404":
		return q.missing(), nil
	case failed > 0:
		said += fmt.Sprintf("; %s that GitLab failed to make", counted(failed, "attestation", "attestations"))
	}
	return said, err
}

// analysis is a project that keeps occurrences in Google Artifact Analysis (the Container Analysis API). They are filed
// under the name of the image with its digest, and are not found by the digest alone.
//
//	GET /projects/ID/occurrences?filter=…
//	{"occurrences": [{"kind": "BUILD", "envelope": {…}}], "nextPageToken": "…"}
type analysis struct {
	project string
}

func (g *analysis) ask(ctx context.Context, q *inquiry) (string, error) {
	switch {
	case q.repository == "" || strings.ContainsAny(q.repository, "\"\\"):
		return "not asked (the image has no name in a registry)", &fault{
			reason: stemma.ReasonUnreachable, err: fmt.Errorf("asking %s: occurrences are filed under the name of the image in its registry, and it has none", q.host),
		}
	case q.authorization == "": // it answers nobody, and says so with a page about projects
		return "not asked (no token)", &fault{reason: stemma.ReasonUnauthorized, err: fmt.Errorf("asking %s: there is no token for it", q.host)}
	}
	filter := fmt.Sprintf(`(kind="BUILD" OR kind="ATTESTATION") AND resourceUrl="https://%s@%s"`, q.repository, q.about)
	other := 0
	said, err := q.pages(ctx, "", func(token string) call {
		query := url.Values{"filter": {filter}, "pageSize": {"100"}}
		if token != "" {
			query.Set("pageToken", token)
		}
		return call{target: q.api + "/projects/" + g.project + "/occurrences?" + query.Encode(), accept: "application/json", limit: maxListing}
	}, func(c call, a *answer) (string, error) {
		var said struct {
			Occurrences []occurrence `json:"occurrences"` // left out when there are none
			Next        string       `json:"nextPageToken"`
		}
		names := topLevel{}
		if err := stemma.DecodeJSON(a.body, &names); err != nil {
			return "", badAnswer("%s: %w", c, err)
		}
		// An empty list is {}: anything else that has no list in it is no such answer.
		if len(names) > 0 && !names.has("occurrences") && !names.has("nextPageToken") || bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("null")) {
			return "", badAnswer("%s: the answer is not a list of occurrences", c)
		}
		if err := stemma.DecodeJSON(a.body, &said); err != nil {
			return "", badAnswer("%s: %w", c, err)
		}
		var envelopes []json.RawMessage
		for _, o := range said.Occurrences {
			if e := o.envelope(); e != nil {
				envelopes = append(envelopes, e)
			} else {
				other++
			}
		}
		err := q.collect(len(envelopes), stemma.FormatDSSE, func(i int) ([]byte, error) {
			e, err := standardEnvelope(envelopes[i])
			if err != nil {
				return nil, badAnswer("%s: an envelope: %w", c, err)
			}
			return e, nil
		})
		return said.Next, err
	})
	if other > 0 {
		said += fmt.Sprintf("; %s without an envelope not read", counted(other, "occurrence", "occurrences"))
	}
	return said, err
}

// occurrence is one of Artifact Analysis, as far as it can be evidence: an envelope at its top, or where it once stood.
type occurrence struct {
	Envelope json.RawMessage `json:"envelope"`
	DSSE     *struct {
		Envelope json.RawMessage `json:"envelope"`
	} `json:"dsseAttestation"`
	Build *struct {
		Statement json.RawMessage `json:"intotoStatement"` // for people
	} `json:"build"`
}

func (o occurrence) envelope() json.RawMessage {
	if o.Envelope == nil && o.DSSE != nil {
		return o.DSSE.Envelope
	}
	return o.Envelope
}

// archivista is a server of in-toto's Archivista.
//
//	POST /query, which lists envelopes by a digest of their subject
//	GET /download/GITOID, which returns one
type archivista struct{}

const archivistaQuery = `query($algorithm: String!, $digest: String!, $after: Cursor) {
  dsses(first: 100, after: $after, where: {hasStatementWith: {hasSubjectsWith: {hasSubjectDigestsWith: {algorithm: $algorithm, value: $digest}}}}) {
    edges { node { gitoidSha256 } }
    pageInfo { hasNextPage endCursor }
  }
}`

func (archivista) ask(ctx context.Context, q *inquiry) (string, error) {
	return q.pages(ctx, "", func(cursor string) call {
		variables := map[string]string{"algorithm": q.about.Algorithm(), "digest": q.about.Hex()}
		if cursor != "" {
			variables["after"] = cursor
		}
		body, _ := json.Marshal(map[string]any{"query": archivistaQuery, "variables": variables}) // strings have a JSON form
		return call{target: q.api + "/query", accept: "application/json", body: body, limit: maxManifest}
	}, func(c call, a *answer) (string, error) {
		var said struct {
			Data struct {
				DSSEs struct {
					Edges []struct {
						Node struct {
							GitOID string `json:"gitoidSha256"`
						} `json:"node"`
					} `json:"edges"`
					PageInfo struct {
						HasNext bool   `json:"hasNextPage"`
						End     string `json:"endCursor"`
					} `json:"pageInfo"`
				} `json:"dsses"`
			} `json:"data"`
			Errors []struct {
				Message string `json:"message"`
			} `json:"errors"`
		}
		if err := stemma.DecodeJSON(a.body, &said); err != nil {
			return "", badAnswer("%s: %w", c, err)
		}
		list := said.Data.DSSEs
		switch {
		case len(said.Errors) > 0:
			return "", badAnswer("%s: %s", c, stemma.Printable(said.Errors[0].Message, 160))
		case list.Edges == nil:
			return "", badAnswer("%s: the answer is not a list of envelopes", c)
		}
		err := q.collect(len(list.Edges), stemma.FormatDSSE, func(i int) ([]byte, error) {
			return download(ctx, q, list.Edges[i].Node.GitOID)
		})
		switch {
		case err != nil:
			return "", err
		case !list.PageInfo.HasNext:
			return "", nil
		case list.PageInfo.End == "":
			return "", badAnswer("%s: there are more envelopes, and no cursor leads to them", c)
		}
		return list.PageInfo.End, nil
	})
}

// download gets an envelope by the identifier that git would give it: the sha256 of "blob LENGTH\0" and its bytes.
func download(ctx context.Context, q *inquiry, gitoid string) ([]byte, error) {
	if _, err := stemma.NewDigest("sha256", gitoid); err != nil {
		return nil, badAnswer("asking %s: an envelope with the gitoid %s", q.host, stemma.Printable(gitoid, 80))
	}
	c := call{target: q.api + "/download/" + gitoid, accept: "application/json", limit: maxEvidence}
	a, err := q.do(ctx, c)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	fmt.Fprintf(h, "blob %d\x00", len(a.body))
	h.Write(a.body)
	if got := hex.EncodeToString(h.Sum(nil)); got != gitoid {
		return nil, badAnswer("%s: the answer has the gitoid %s", c, got)
	}
	return a.body, nil
}

// unsnap decodes one block of Snappy: the length of what comes out, then literals and copies of what already came out.
// Room asks for the memory. The format reaches at most 64 bytes for three, so that a length beyond that is a lie, and
// costs nothing.
func unsnap(block []byte, room func(int) bool) ([]byte, error) {
	broken := func(what string) error { return badAnswer("decompressing: %s", what) }
	length, n := binary.Uvarint(block)
	if n <= 0 {
		return nil, broken("no length")
	}
	block = block[n:]
	switch {
	case length > maxEvidence:
		return nil, &fault{reason: stemma.ReasonTruncated, err: fmt.Errorf("decompressing: longer than %d bytes", maxEvidence)}
	case length > uint64(len(block))*22:
		return nil, broken("shorter than its length says")
	case !room(int(length)):
		return nil, tooMuch()
	}
	out := make([]byte, 0, length)
	for len(block) > 0 {
		tag, size, offset := block[0], 0, 0
		take := func(bytes int) int { // little-endian
			v := 0
			for i := range bytes {
				v |= int(block[i+1]) << (8 * i)
			}
			block = block[bytes:]
			return v
		}
		// Bytes that follow the tag, by its lowest bits; of a literal, by its length.
		follow := [4]int{0, 1, 2, 4}[tag&3]
		if tag&3 == 0 && tag>>2 >= 60 {
			follow = int(tag>>2) - 59
		}
		if len(block) < 1+follow {
			return nil, broken("it ends in the middle")
		}
		switch tag & 3 {
		case 0:
			if size = int(tag>>2) + 1; follow > 0 {
				size = take(follow) + 1
			}
			block = block[1:]
			if size <= 0 || size > len(block) || size > cap(out)-len(out) {
				return nil, broken("a literal that is longer than what is left")
			}
			out = append(out, block[:size]...)
			block = block[size:]
			continue
		case 1:
			size, offset = 4+int(tag>>2)&7, int(tag>>5)<<8|take(1)
		default:
			size, offset = int(tag>>2)+1, take(follow)
		}
		block = block[1:]
		if offset <= 0 || offset > len(out) || size > cap(out)-len(out) {
			return nil, broken("a copy of what is not there")
		}
		for range size { // a copy may run into what it writes
			out = append(out, out[len(out)-offset])
		}
	}
	if uint64(len(out)) != length {
		return nil, broken("shorter than its length says")
	}
	return out, nil
}
