package stemmatest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
)

// Referrers is how a registry answers GET /v2/<name>/referrers/<digest>.
type Referrers string

// The behaviours of registries that exist.
const (
	ReferrersOn    Referrers = ""      // as the Distribution Specification 1.1 has it
	ReferrersOff   Referrers = "404"   // not known: the client must read the fallback tag
	ReferrersEmpty Referrers = "empty" // always an empty list, whatever is stored
	ReferrersNull  Referrers = "null"  // an index whose manifests are null
)

// Registry holds images in memory and serves them as an OCI registry by the Distribution Specification 1.1. It is an
// http.Handler. Content is put in by the methods, and by pushing if it is Writable.
type Registry struct {
	Host      string    // "ghcr.io"; only the names of images that are put need it
	Referrers Referrers // set before serving
	PageSize  int       // referrers and tags in a page; 0: all

	// Writable lets content be pushed over HTTP. Set it before serving.
	Writable bool
	// Refuse returns the status with which a push is refused, or 0 to take it: a destination that cannot hold
	// everything. It may be called from several goroutines. Set it before serving.
	Refuse func(Push) (status int)

	// Fault sees every request before the registry does and reports whether it answered it. It may be called from
	// several goroutines. Set it before serving.
	Fault func(w http.ResponseWriter, r *http.Request) (answered bool)

	mu       sync.Mutex
	repos    map[string]*repository
	requests []string
	uploads  map[string]*upload
	started  int   // uploads ever
	pushed   int64 // bytes
}

type repository struct {
	blobs     map[stemma.Digest][]byte
	manifests map[stemma.Digest]manifest
	tags      map[string]stemma.Digest
	referrers map[stemma.Digest][]v1.Descriptor
}

type manifest struct {
	mediaType string
	data      []byte
}

// NewRegistry makes an empty registry.
func NewRegistry(host string) *Registry {
	return &Registry{Host: host, repos: map[string]*repository{}}
}

// repo must be called with the lock held.
func (r *Registry) repo(name string) *repository {
	p := r.repos[name]
	if p == nil {
		p = &repository{
			blobs: map[stemma.Digest][]byte{}, manifests: map[stemma.Digest]manifest{},
			tags: map[string]stemma.Digest{}, referrers: map[stemma.Digest][]v1.Descriptor{},
		}
		r.repos[name] = p
	}
	return p
}

// PutBlob stores a blob and describes it.
func (r *Registry) PutBlob(repo, mediaType string, data []byte) v1.Descriptor {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := describe(mediaType, data)
	r.repo(repo).blobs[stemma.Digest(d.Digest)] = data
	return d
}

// PutManifest stores the bytes of a manifest, whatever they are, under their digest and the tags.
func (r *Registry) PutManifest(repo, mediaType string, data []byte, tags ...string) v1.Descriptor {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := describe(mediaType, data)
	p := r.repo(repo)
	p.manifests[stemma.Digest(d.Digest)] = manifest{mediaType, data}
	for _, t := range tags {
		p.tags[t] = stemma.Digest(d.Digest)
	}
	return d
}

// PutReferrer makes the referrers API list a descriptor, true or not, for a subject.
func (r *Registry) PutReferrer(repo string, subject stemma.Digest, d v1.Descriptor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.repo(repo)
	p.referrers[subject] = append(p.referrers[subject], d)
}

// Tag points a tag at a digest, which need not exist.
func (r *Registry) Tag(repo, tag string, d stemma.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repo(repo).tags[tag] = d
}

// Corrupt replaces the bytes that are served for a digest, so that they no longer match it.
func (r *Registry) Corrupt(repo string, d stemma.Digest, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.repo(repo)
	if m, ok := p.manifests[d]; ok {
		p.manifests[d] = manifest{m.mediaType, data}
		return nil
	}
	if _, ok := p.blobs[d]; ok {
		p.blobs[d] = data
		return nil
	}
	return fmt.Errorf("corrupting %s: not in %s", d, repo)
}

// Delete removes a manifest or blob and every tag that points at it.
func (r *Registry) Delete(repo string, d stemma.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.repo(repo)
	delete(p.manifests, d)
	delete(p.blobs, d)
	maps.DeleteFunc(p.tags, func(_ string, to stemma.Digest) bool { return to == d })
}

// Manifest returns a manifest by digest or tag.
func (r *Registry) Manifest(repo, reference string) (mediaType string, data []byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.repo(repo)
	d, ok := p.tags[reference]
	if !ok {
		d = stemma.Digest(reference)
	}
	m, ok := p.manifests[d]
	if !ok {
		return "", nil, fmt.Errorf("reading manifest %s of %s: no such manifest", reference, repo)
	}
	return m.mediaType, m.data, nil
}

// Blob returns a blob.
func (r *Registry) Blob(repo string, d stemma.Digest) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	data, ok := r.repo(repo).blobs[d]
	if !ok {
		return nil, fmt.Errorf("reading blob %s of %s: no such blob", d, repo)
	}
	return data, nil
}

// Requests lists method and path of what was asked since the last call, in order of arrival.
func (r *Registry) Requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.requests
	r.requests = nil
	return out
}

// ServeHTTP serves /v2/.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.requests = append(r.requests, req.Method+" "+req.URL.RequestURI())
	r.mu.Unlock()
	if r.Fault != nil && r.Fault(w, req) {
		return
	}
	path, ok := strings.CutPrefix(req.URL.Path, "/v2/")
	if !ok {
		refuse(w, http.StatusNotFound, "UNSUPPORTED", "no such page")
		return
	}
	name, kind, reference := parsePath(path)
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	switch {
	case !reads && !r.Writable:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is read-only")
		return
	case path == "" && reads:
		answer(w, req, "application/json", "", []byte("{}"))
		return
	case name == "":
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "no such repository")
		return
	case !reads || kind == "uploads" && r.Writable:
		r.push(w, req, name, kind, reference)
		return
	}
	r.mu.Lock()
	p, known := r.repos[name]
	var view repository
	if known {
		view = repository{maps.Clone(p.blobs), maps.Clone(p.manifests), maps.Clone(p.tags), maps.Clone(p.referrers)}
	}
	r.mu.Unlock()
	switch {
	case !known:
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "no such repository")
	case kind == "manifests":
		view.serveManifest(w, req, reference)
	case kind == "blobs":
		data, ok := view.blobs[stemma.Digest(reference)]
		if !ok {
			refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "no such blob")
			return
		}
		answer(w, req, "application/octet-stream", stemma.Digest(reference), data)
	case kind == "referrers":
		r.serveReferrers(w, req, view.referrers[stemma.Digest(reference)])
	case kind == "tags" && reference == "list":
		tags := page(w, req, r.PageSize, slices.Sorted(maps.Keys(view.tags)))
		answer(w, req, "application/json", "", canonical(object{"name": name, "tags": tags}))
	default:
		refuse(w, http.StatusNotFound, "UNSUPPORTED", "no such page")
	}
}

// parsePath takes <name>/(manifests|blobs|referrers|tags)/<reference> apart, where the name may hold slashes, and
// <name>/blobs/uploads/<id>.
func parsePath(path string) (name, kind, reference string) {
	parts := strings.Split(path, "/")
	if len(parts) < 3 {
		return "", "", ""
	}
	kind, reference = parts[len(parts)-2], parts[len(parts)-1]
	parts = parts[:len(parts)-2]
	if n := len(parts) - 1; kind == "uploads" && n > 0 && parts[n] == "blobs" {
		parts = parts[:n]
	}
	return strings.Join(parts, "/"), kind, reference
}

func (p *repository) serveManifest(w http.ResponseWriter, req *http.Request, reference string) {
	d, ok := p.tags[reference]
	if !ok {
		d = stemma.Digest(reference)
	}
	m, ok := p.manifests[d]
	if !ok {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "no such manifest")
		return
	}
	answer(w, req, m.mediaType, d, m.data)
}

func (r *Registry) serveReferrers(w http.ResponseWriter, req *http.Request, list []v1.Descriptor) {
	switch r.Referrers {
	case ReferrersOff:
		refuse(w, http.StatusNotFound, "NOT_FOUND", "404 page not found")
		return
	case ReferrersEmpty:
		list = nil
	}
	if want := req.URL.Query().Get("artifactType"); want != "" {
		list = slices.DeleteFunc(slices.Clone(list), func(d v1.Descriptor) bool { return d.ArtifactType != want })
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	index := object{"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": append([]v1.Descriptor{}, page(w, req, r.PageSize, list)...)}
	if r.Referrers == ReferrersNull {
		index["manifests"] = nil
	}
	answer(w, req, v1.MediaTypeImageIndex, "", canonical(index))
}

// page cuts one page out of a list, and links to the next one (RFC 8288).
func page[T any](w http.ResponseWriter, req *http.Request, size int, list []T) []T {
	if size <= 0 {
		return list
	}
	from, err := strconv.Atoi(req.URL.Query().Get("from"))
	if err != nil || from < 0 || from > len(list) {
		from = 0
	}
	end := min(from+size, len(list))
	if end < len(list) {
		q := req.URL.Query()
		q.Set("from", strconv.Itoa(end))
		w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", req.URL.Path, q.Encode()))
	}
	return list[from:end]
}

func answer(w http.ResponseWriter, req *http.Request, mediaType string, d stemma.Digest, data []byte) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(data)))
	h.Set("Docker-Distribution-Api-Version", "registry/2.0")
	if d != "" {
		h.Set("Docker-Content-Digest", string(d))
	}
	w.WriteHeader(http.StatusOK)
	if req.Method != http.MethodHead {
		_, _ = w.Write(data) // the client may have gone away
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(canonical(object{"errors": []object{{"code": code, "message": message}}})) // as above
}
