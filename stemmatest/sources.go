package stemmatest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"stemma"
)

// SourceAPI is what the services have in common that keep attestations by digest. Set its fields before serving.
type SourceAPI struct {
	Token    string // whoever does not send it is refused; "": everybody is answered
	PageSize int    // attestations in a page; 0: all

	// Fault sees every request before the service does and reports whether it answered it. It may be called from
	// several goroutines.
	Fault func(w http.ResponseWriter, r *http.Request) (answered bool)

	mu       sync.Mutex
	kept     []attested
	requests []string
}

// attested is one attestation, and under what it is kept.
type attested struct {
	place string // project or repository
	about stemma.Digest
	data  []byte
}

func (a *SourceAPI) put(place string, about stemma.Digest, data []byte) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kept = append(a.kept, attested{place, about, data})
	return len(a.kept)
}

// Requests lists method and URI of what was asked since the last call, in order of arrival.
func (a *SourceAPI) Requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.requests
	a.requests = nil
	return out
}

// admit reports whether a request is to be answered, and returns what is kept.
func (a *SourceAPI) admit(w http.ResponseWriter, r *http.Request) ([]attested, bool) {
	a.mu.Lock()
	a.requests = append(a.requests, r.Method+" "+r.URL.RequestURI())
	kept := slices.Clone(a.kept)
	a.mu.Unlock()
	if a.Fault != nil && a.Fault(w, r) {
		return nil, false
	}
	if a.Token != "" && r.Header.Get("Authorization") != "Bearer "+a.Token {
		complain(w, http.StatusUnauthorized, "Bad credentials")
		return nil, false
	}
	return kept, true
}

// about are those of what is kept that are about a digest, at a place that is one of these.
func about(kept []attested, d stemma.Digest, at func(place string) bool) []attested {
	return slices.DeleteFunc(kept, func(x attested) bool { return x.about != d || !at(x.place) })
}

func complain(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(canonical(object{"message": message})) // the client may have gone away
}

// GitHubAPI is the part of GitHub's REST API that serves attestations, at api.github.com, or below /api/v3.
type GitHubAPI struct {
	SourceAPI
	Users []string // owners that are no organisations
	// Store is the host that bundles are linked to at, compressed; the handler serves it, too. "": they are in the list.
	Store string
}

// Put keeps a bundle in a repository, "acme/app".
func (g *GitHubAPI) Put(repository string, about stemma.Digest, bundle []byte) {
	g.put(repository, about, bundle)
}

// ServeHTTP serves /repos/OWNER/REPO/attestations/DIGEST, /orgs/OWNER/attestations/DIGEST and the same below /users.
func (g *GitHubAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.Store != "" && r.Host == g.Store {
		g.serveStore(w, r)
		return
	}
	kept, ok := g.admit(w, r)
	if !ok {
		return
	}
	head, digest, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/v3"), "/attestations/")
	names := strings.Split(strings.Trim(head, "/"), "/")
	var list []attested
	switch {
	case !ok || r.Method != http.MethodGet:
	case names[0] == "repos" && len(names) == 3:
		list = about(kept, stemma.Digest(digest), func(place string) bool { return strings.EqualFold(place, names[1]+"/"+names[2]) })
	case len(names) == 2 && (names[0] == "users" || names[0] == "orgs") && slices.Contains(g.Users, names[1]) == (names[0] == "users"):
		list = about(kept, stemma.Digest(digest), func(place string) bool { return strings.HasPrefix(place, names[1]+"/") })
	}
	if len(list) == 0 {
		complain(w, http.StatusNotFound, "Not Found")
		return
	}
	entries := []object{}
	for _, x := range page(w, r, g.PageSize, list) {
		entry := object{"bundle": json.RawMessage(x.data), "repository_id": 1}
		if g.Store != "" {
			entry["bundle"] = nil
			entry["bundle_url"] = "https://" + g.Store + "/" + stemma.SHA256(x.data).Hex() + ".json.sn?sig=secret"
		}
		entries = append(entries, entry)
	}
	answer(w, r, "application/json; charset=utf-8", "", canonical(object{"attestations": entries}))
}

func (g *GitHubAPI) serveStore(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	kept := slices.Clone(g.kept)
	g.mu.Unlock()
	// A blob store refuses a signed address that comes with a token.
	if r.URL.Query().Get("sig") == "" || r.Header.Get("Authorization") != "" {
		complain(w, http.StatusForbidden, "AuthenticationFailed")
		return
	}
	for _, x := range kept {
		if r.URL.Path == "/"+stemma.SHA256(x.data).Hex()+".json.sn" {
			answer(w, r, "application/x-snappy", "", Snappy(x.data))
			return
		}
	}
	complain(w, http.StatusNotFound, "BlobNotFound")
}

// Snappy writes a block of Snappy that holds data as it stands.
func Snappy(data []byte) []byte {
	block := binary.AppendUvarint(nil, uint64(len(data)))
	for chunk := range slices.Chunk(data, 1<<16) {
		block = append(block, 61<<2) // a literal whose length less one follows in two bytes
		block = binary.LittleEndian.AppendUint16(block, uint16(len(chunk)-1))
		block = append(block, chunk...)
	}
	return block
}

// GitLabAPI is the part of GitLab's REST API that serves attestations.
type GitLabAPI struct {
	SourceAPI
}

// Put keeps a bundle in a project, "group/project". Nil stands for one that GitLab failed to make.
func (g *GitLabAPI) Put(project string, about stemma.Digest, bundle []byte) {
	g.put(project, about, bundle)
}

// ServeHTTP serves /api/v4/projects/ID/attestations/HEX and /api/v4/projects/ID/attestations/IID/download.
func (g *GitLabAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kept, ok := g.admit(w, r)
	if !ok {
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/api/v4/projects/"), "/")
	project, err := url.PathUnescape(parts[0])
	iids := map[int]attested{}
	for _, x := range kept {
		if x.place == project {
			iids[len(iids)+1] = x
		}
	}
	if err != nil || len(parts) < 3 || parts[1] != "attestations" || len(iids) == 0 || r.Method != http.MethodGet {
		complain(w, http.StatusNotFound, "404 Project Not Found")
		return
	}
	if len(parts) == 4 && parts[3] == "download" {
		iid, err := strconv.Atoi(parts[2])
		if x, ok := iids[iid]; err == nil && ok && x.data != nil {
			answer(w, r, "application/octet-stream", "", x.data)
			return
		}
		complain(w, http.StatusNotFound, "404 Not found")
		return
	}
	list := []object{}
	for iid := 1; iid <= len(iids); iid++ {
		x := iids[iid]
		if x.about != stemma.Digest("sha256:"+parts[2]) {
			continue
		}
		status := "success"
		if x.data == nil {
			status = "error"
		}
		list = append(list, object{
			"id": 1000 + iid, "iid": iid, "project_id": 7, "status": status, "predicate_kind": "provenance",
			"predicate_type": "https://slsa.dev/provenance/v1", "subject_digest": x.about.Hex(),
			"download_url": fmt.Sprintf("https://%s/api/v4/projects/7/attestations/%d/download", r.Host, iid),
		})
	}
	list = append([]object{}, page(w, r, g.PageSize, list)...)
	if link := w.Header().Get("Link"); link != "" { // the project stays one component of the path
		w.Header().Set("Link", strings.Replace(link, r.URL.Path, r.URL.EscapedPath(), 1))
	}
	answer(w, r, "application/json", "", canonical(list))
}

// ArtifactAnalysisAPI is the part of Google's Container Analysis API that lists occurrences.
type ArtifactAnalysisAPI struct {
	SourceAPI
	Project string
	// URLAlphabet makes it write bytes in the base64 of URLs, as gcloud does.
	URLAlphabet bool
}

// Put keeps an envelope about an image, "us-docker.pkg.dev/acme/images/app". Nil stands for an occurrence without one.
func (g *ArtifactAnalysisAPI) Put(image string, about stemma.Digest, envelope *Envelope) {
	var data []byte
	if envelope != nil {
		data = envelope.JSON()
		if g.URLAlphabet {
			signatures := []object{}
			for _, s := range envelope.Signatures {
				signatures = append(signatures, object{"keyid": s.KeyID, "sig": base64.URLEncoding.EncodeToString(s.Sig)})
			}
			data = canonical(object{"payload": base64.URLEncoding.EncodeToString(envelope.Payload), "payloadType": envelope.PayloadType, "signatures": signatures})
		}
	}
	g.put(image, about, data)
}

// ServeHTTP serves /v1/projects/PROJECT/occurrences by a filter of kinds and a resource.
func (g *ArtifactAnalysisAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kept, ok := g.admit(w, r)
	if !ok {
		return
	}
	query := r.URL.Query()
	kinds, resource, ok := strings.Cut(query.Get("filter"), ` AND resourceUrl="https://`)
	image, digest, named := strings.Cut(strings.TrimSuffix(resource, `"`), "@")
	switch {
	case r.URL.Path != "/v1/projects/"+g.Project+"/occurrences" || r.Method != http.MethodGet:
		complain(w, http.StatusForbidden, "permission denied")
		return
	case !ok || !named || kinds != `(kind="BUILD" OR kind="ATTESTATION")`:
		complain(w, http.StatusBadRequest, "invalid filter")
		return
	}
	list := about(kept, stemma.Digest(digest), func(place string) bool { return place == image })
	from, err := strconv.Atoi(query.Get("pageToken"))
	if err != nil || from < 0 || from > len(list) {
		from = 0
	}
	end := len(list)
	if g.PageSize > 0 {
		end = min(from+g.PageSize, end)
	}
	said := object{} // empty lists are left out
	var occurrences []object
	for _, x := range list[from:end] {
		o := object{"kind": "BUILD", "resourceUri": "https://" + image + "@" + digest, "build": object{}}
		if x.data != nil {
			o["envelope"] = json.RawMessage(x.data)
		}
		occurrences = append(occurrences, o)
	}
	if len(occurrences) > 0 {
		said["occurrences"] = occurrences
	}
	if end < len(list) {
		said["nextPageToken"] = strconv.Itoa(end)
	}
	answer(w, r, "application/json; charset=UTF-8", "", canonical(said))
}

// ArchivistaAPI is the part of Archivista that finds envelopes by the digest of a subject, at its root and below /v1.
type ArchivistaAPI struct {
	SourceAPI
}

// Put keeps an envelope, and returns its gitoid.
func (a *ArchivistaAPI) Put(about stemma.Digest, envelope []byte) string {
	a.put("", about, envelope)
	return gitoid(envelope)
}

// gitoid is what git calls a blob, with sha256.
func gitoid(data []byte) string {
	sum := sha256.Sum256(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...))
	return hex.EncodeToString(sum[:])
}

// ServeHTTP serves POST /query and GET /download/GITOID.
func (a *ArchivistaAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kept, ok := a.admit(w, r)
	if !ok {
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1")
	if id, ok := strings.CutPrefix(path, "/download/"); ok && r.Method == http.MethodGet {
		if i := slices.IndexFunc(kept, func(x attested) bool { return gitoid(x.data) == id }); i >= 0 {
			answer(w, r, "application/json", "", kept[i].data)
			return
		}
		complain(w, http.StatusInternalServerError, "no such object")
		return
	}
	if path != "/query" || r.Method != http.MethodPost {
		complain(w, http.StatusNotFound, "404 page not found")
		return
	}
	var asked struct {
		Query     string `json:"query"`
		Variables struct {
			Algorithm string `json:"algorithm"`
			Digest    string `json:"digest"`
			After     string `json:"after"`
		} `json:"variables"`
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = stemma.DecodeJSON(bytes.TrimSpace(body), &asked)
	}
	if err != nil || !strings.Contains(asked.Query, "dsses(") || !strings.Contains(asked.Query, "hasSubjectDigestsWith") {
		answer(w, r, "application/json", "", canonical(object{"errors": []object{{"message": "unknown query"}}, "data": nil}))
		return
	}
	list := about(kept, stemma.Digest(asked.Variables.Algorithm+":"+asked.Variables.Digest), func(string) bool { return true })
	from, err := strconv.Atoi(asked.Variables.After)
	if err != nil || from < 0 || from > len(list) {
		from = 0
	}
	end := len(list)
	if a.PageSize > 0 {
		end = min(from+a.PageSize, end)
	}
	edges := []object{}
	for _, x := range list[from:end] {
		edges = append(edges, object{"node": object{"gitoidSha256": gitoid(x.data)}})
	}
	answer(w, r, "application/json", "", canonical(object{"data": object{"dsses": object{
		"edges": edges, "pageInfo": object{"hasNextPage": end < len(list), "endCursor": strconv.Itoa(end)},
	}}}))
}
