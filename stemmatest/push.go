package stemmatest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
)

// PushKind is what is pushed.
type PushKind string

// The kinds of pushes.
const (
	PushUpload   PushKind = "upload"   // an upload is begun; nothing is known of what will come
	PushMount    PushKind = "mount"    // a blob is to be taken from another repository; refused with 202: it is to be sent
	PushBlob     PushKind = "blob"     // a blob has come
	PushManifest PushKind = "manifest" // a manifest under its digest
	PushTag      PushKind = "tag"      // a manifest under a tag
)

// Push is what a client wants a registry to take.
type Push struct {
	Kind         PushKind
	Repository   string
	Reference    string // digest or tag; "" of an upload
	Size         int64
	MediaType    string        // of a manifest
	ArtifactType string        // of a manifest, as it would be listed
	Subject      stemma.Digest // of a manifest that has one
}

// What is pushed is kept in memory, and therefore bounded.
const (
	maxPushedBlob     = 64 << 20
	maxPushedManifest = 4 << 20
	maxPushed         = 512 << 20
	maxUploads        = 1000
)

type upload struct {
	repo string
	data []byte
}

// push serves what changes the registry, and the state of uploads.
func (r *Registry) push(w http.ResponseWriter, req *http.Request, name, kind, reference string) {
	switch {
	case kind == "manifests" && req.Method == http.MethodPut:
		r.pushManifest(w, req, name, reference)
	case kind == "uploads" && reference == "" && req.Method == http.MethodPost:
		r.startUpload(w, req, name)
	case kind == "uploads" && reference != "":
		r.continueUpload(w, req, name, reference)
	default:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this cannot be done here")
	}
}

// refused answers a push that the registry is told to refuse.
func (r *Registry) refused(w http.ResponseWriter, p Push) bool {
	if r.Refuse == nil {
		return false
	}
	status := r.Refuse(p)
	if status == 0 {
		return false
	}
	code, ok := map[int]string{
		http.StatusUnauthorized: "UNAUTHORIZED", http.StatusForbidden: "DENIED", http.StatusNotFound: "NAME_UNKNOWN",
		http.StatusRequestEntityTooLarge: "SIZE_INVALID", http.StatusTooManyRequests: "TOOMANYREQUESTS",
	}[status]
	if !ok {
		code = "UNSUPPORTED"
	}
	refuse(w, status, code, "this registry does not take it: "+string(p.Kind))
	return true
}

// received reads the body of a push. It has answered when ok is false.
func (r *Registry) received(w http.ResponseWriter, req *http.Request, limit int64) (data []byte, ok bool) {
	data, err := io.ReadAll(io.LimitReader(req.Body, limit+1))
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "the body broke off")
		return nil, false
	case int64(len(data)) > limit:
		refuse(w, http.StatusRequestEntityTooLarge, "SIZE_INVALID", "this is too large")
		return nil, false
	}
	r.mu.Lock()
	full := r.pushed+int64(len(data)) > maxPushed
	if !full {
		r.pushed += int64(len(data))
	}
	r.mu.Unlock()
	if full {
		refuse(w, http.StatusInsufficientStorage, "SIZE_INVALID", "this registry is full")
		return nil, false
	}
	return data, true
}

// startUpload mounts, takes a whole blob, or begins an upload, as the request says.
func (r *Registry) startUpload(w http.ResponseWriter, req *http.Request, name string) {
	q := req.URL.Query()
	if mount := stemma.Digest(q.Get("mount")); mount != "" {
		r.mu.Lock()
		var data []byte
		there := false
		if from := r.repos[q.Get("from")]; from != nil {
			data, there = from.blobs[mount]
		}
		r.mu.Unlock()
		p := Push{Kind: PushMount, Repository: name, Reference: string(mount), Size: int64(len(data))}
		if there && (r.Refuse == nil || r.Refuse(p) != http.StatusAccepted) {
			if !r.refused(w, p) {
				r.PutBlob(name, "", data)
				created(w, name, "blobs", mount)
			}
			return
		}
	}
	if r.refused(w, Push{Kind: PushUpload, Repository: name}) {
		return
	}
	if d := q.Get("digest"); d != "" {
		if data, ok := r.received(w, req, maxPushedBlob); ok {
			r.finishBlob(w, name, d, data)
		}
		return
	}
	r.mu.Lock()
	full := len(r.uploads) >= maxUploads
	r.started++
	id := fmt.Sprintf("upload-%d", r.started)
	if !full {
		if r.uploads == nil {
			r.uploads = map[string]*upload{}
		}
		r.uploads[id] = &upload{repo: name}
	}
	r.mu.Unlock()
	if full {
		refuse(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many uploads were begun")
		return
	}
	uploading(w, name, id, 0, http.StatusAccepted)
}

// continueUpload appends to an upload, finishes it, gives it up or says how far it is.
func (r *Registry) continueUpload(w http.ResponseWriter, req *http.Request, name, id string) {
	r.mu.Lock()
	u, ok := r.uploads[id]
	have := 0
	if ok {
		have = len(u.data)
	}
	r.mu.Unlock()
	if !ok || u.repo != name {
		refuse(w, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "no such upload")
		return
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		uploading(w, name, id, have, http.StatusNoContent)
	case http.MethodDelete:
		r.drop(id)
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPatch, http.MethodPut:
		chunk, ok := r.received(w, req, maxPushedBlob-int64(have))
		if !ok {
			return
		}
		all, ok := r.append(id, req.Header.Get("Content-Range"), have, chunk)
		switch {
		case !ok:
			w.Header().Set("Range", rangeOf(have))
			refuse(w, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "this is not the next chunk")
		case req.Method == http.MethodPatch:
			uploading(w, name, id, len(all), http.StatusAccepted)
		default:
			r.drop(id)
			r.finishBlob(w, name, req.URL.Query().Get("digest"), all)
		}
	default:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this cannot be done to an upload")
	}
}

func (r *Registry) drop(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.uploads, id)
}

// append adds a chunk to an upload that has as many bytes. A chunk that says where it belongs must belong there.
func (r *Registry) append(id, contentRange string, have int, chunk []byte) ([]byte, bool) {
	if contentRange != "" && contentRange != fmt.Sprintf("%d-%d", have, have+len(chunk)-1) {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.uploads[id]
	if u == nil || len(u.data) != have {
		return nil, false // another request was faster
	}
	u.data = append(u.data, chunk...)
	return u.data, true
}

func (r *Registry) finishBlob(w http.ResponseWriter, name, want string, data []byte) {
	d, err := stemma.ParseDigest(want)
	if err != nil || !d.Matches(data) {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "the content has another digest")
		return
	}
	if r.refused(w, Push{Kind: PushBlob, Repository: name, Reference: want, Size: int64(len(data))}) {
		return
	}
	r.mu.Lock()
	r.repo(name).blobs[d] = data
	r.mu.Unlock()
	created(w, name, "blobs", d)
}

// pushedManifest is what a registry reads of a manifest.
type pushedManifest struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Config       *v1.Descriptor    `json:"config"`
	Layers       []v1.Descriptor   `json:"layers"`
	Manifests    []v1.Descriptor   `json:"manifests"`
	Subject      *v1.Descriptor    `json:"subject"`
	Annotations  map[string]string `json:"annotations"`
}

// pushManifest takes a manifest whose parts are there. One about another manifest is listed among its referrers, whether
// or not that exists, if the registry does list referrers.
func (r *Registry) pushManifest(w http.ResponseWriter, req *http.Request, name, reference string) {
	data, ok := r.received(w, req, maxPushedManifest)
	if !ok {
		return
	}
	var m pushedManifest
	mediaType := req.Header.Get("Content-Type")
	if err := stemma.DecodeJSON(data, &m); err != nil || mediaType == "" || m.MediaType != "" && m.MediaType != mediaType {
		refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", "this is not a manifest of the type that it is said to be")
		return
	}
	p := Push{Kind: PushTag, Repository: name, Reference: reference, Size: int64(len(data)), MediaType: mediaType, ArtifactType: m.ArtifactType}
	if p.ArtifactType == "" && m.Config != nil {
		p.ArtifactType = m.Config.MediaType
	}
	d := stemma.SHA256(data)
	if by, err := stemma.ParseDigest(reference); err == nil {
		p.Kind, d = PushManifest, by
		if !d.Matches(data) {
			refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "the manifest has another digest")
			return
		}
	} else if !isTag(reference) {
		refuse(w, http.StatusBadRequest, "TAG_INVALID", "this is neither a tag nor a digest")
		return
	}
	if m.Subject != nil {
		subject, err := stemma.ParseDigest(string(m.Subject.Digest))
		if err != nil {
			refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", "the subject has no digest")
			return
		}
		p.Subject = subject
	}
	if r.refused(w, p) {
		return
	}
	if missing := r.keep(name, d, p, m, data); missing != "" {
		refuse(w, http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN", "not here: "+missing)
		return
	}
	if p.Subject != "" && r.Referrers == ReferrersOn {
		w.Header().Set("OCI-Subject", string(p.Subject))
	}
	created(w, name, "manifests", d)
}

// keep stores a manifest, unless a part of it is missing.
func (r *Registry) keep(name string, d stemma.Digest, p Push, m pushedManifest, data []byte) (missing string) {
	blobs := m.Layers
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	repo := r.repo(name)
	for _, b := range blobs {
		foreign := len(b.URLs) > 0 || strings.Contains(b.MediaType, "foreign") || strings.Contains(b.MediaType, "nondistributable")
		if _, ok := repo.blobs[stemma.Digest(b.Digest)]; !ok && !foreign {
			return string(b.Digest)
		}
	}
	for _, c := range m.Manifests {
		if _, ok := repo.manifests[stemma.Digest(c.Digest)]; !ok {
			return string(c.Digest)
		}
	}
	repo.manifests[d] = manifest{p.MediaType, data}
	if p.Kind == PushTag {
		repo.tags[p.Reference] = d
	}
	if p.Subject != "" && r.Referrers == ReferrersOn {
		listed := v1.Descriptor{MediaType: p.MediaType, Digest: digest.Digest(d), Size: p.Size, ArtifactType: p.ArtifactType, Annotations: m.Annotations}
		if !slices.ContainsFunc(repo.referrers[p.Subject], func(o v1.Descriptor) bool { return o.Digest == listed.Digest }) {
			repo.referrers[p.Subject] = append(repo.referrers[p.Subject], listed)
		}
	}
	return ""
}

// isTag reports whether the reference is a tag by the grammar of the Distribution Specification.
func isTag(reference string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
	return reference != "" && len(reference) <= 128 && strings.Trim(reference[:1], letters) == "" && strings.Trim(reference, letters+".-") == ""
}

func created(w http.ResponseWriter, name, kind string, d stemma.Digest) {
	w.Header().Set("Location", "/v2/"+name+"/"+kind+"/"+string(d))
	w.Header().Set("Docker-Content-Digest", string(d))
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
}

func uploading(w http.ResponseWriter, name, id string, have, status int) {
	w.Header().Set("Location", "/v2/"+name+"/blobs/uploads/"+id)
	w.Header().Set("Docker-Upload-UUID", id)
	w.Header().Set("Range", rangeOf(have))
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", "0")
	}
	w.WriteHeader(status)
}

// rangeOf is the range of bytes that an upload has; that of none is written as that of one.
func rangeOf(have int) string { return "0-" + strconv.Itoa(max(0, have-1)) }
