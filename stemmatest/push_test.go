package stemmatest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

// go-containerregistry copies an index from one registry to another, and to another repository of the same.
func TestPushOverHTTP(t *testing.T) {
	from, to := stemmatest.NewRegistry(""), stemmatest.NewRegistry("")
	to.Writable = true
	source, destination := httptest.NewServer(from), httptest.NewServer(to)
	defer source.Close()
	defer destination.Close()
	image := must[*stemmatest.Image](t)(from.PutImage(stemmatest.ImageSpec{
		Repository: "acme/app", Tags: []string{"v1"}, Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}},
	}))
	ref := func(server *httptest.Server, rest string) name.Reference {
		return must[name.Reference](t)(name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/" + rest))
	}
	index := must[ggcr.ImageIndex](t)(remote.Index(ref(source, "acme/app:v1")))
	check(t, remote.WriteIndex(ref(destination, "mirror/app:v1"), index))
	pushed := must[ggcr.ImageIndex](t)(remote.Index(ref(destination, "mirror/app:v1")))
	check(t, remote.WriteIndex(ref(destination, "mirror/other:v2"), pushed))
	for _, repo := range []string{"mirror/app", "mirror/other"} {
		_, data, err := to.Manifest(repo, string(image.Digest()))
		if err != nil || !bytes.Equal(data, image.Manifest) {
			t.Errorf("%s: %v", repo, err)
		}
	}
	log := to.Requests()
	mounts := slices.DeleteFunc(slices.Clone(log), func(r string) bool { return !strings.Contains(r, "mount=") || !strings.Contains(r, "from=mirror") })
	sent := slices.DeleteFunc(slices.Clone(log), func(r string) bool { return !strings.HasPrefix(r, "PATCH") })
	if len(mounts) != 4 || len(sent) != 4 {
		t.Errorf("%d blobs were mounted and %d sent, want 4 and 4: %q", len(mounts), len(sent), log)
	}
	check(t, from.Corrupt("acme/app", image.Digest(), nil))
	if err := remote.WriteIndex(ref(source, "acme/app:v2"), index); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("pushed to a registry that is not writable: %v", err)
	}
}

// sent is what came back of one request.
type sent struct {
	status int
	header http.Header
	body   string
}

func ask(h http.Handler, method, target, body string, header ...string) sent {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return sent{rec.Code, rec.Header(), rec.Body.String()}
}

const blobs = "/v2/acme/app/blobs/"

func TestUploads(t *testing.T) {
	d := string(stemma.SHA256([]byte("content")))
	for _, c := range []struct {
		name   string
		steps  []string // METHOD body [Content-Range]; ! before the method: at the end, with the digest
		status int
		has    string
	}{
		{"at once", []string{"!PUT content"}, 201, "content"},
		{"in chunks", []string{"PATCH con 0-2", "PATCH tent 3-6", "!PUT"}, 201, "content"},
		{"in chunks, the last with the end", []string{"PATCH con", "!PUT tent"}, 201, "content"},
		{"a hole", []string{"PATCH con 0-2", "PATCH ent 4-6"}, 416, ""},
		{"twice", []string{"PATCH con 0-2", "PATCH con 0-2"}, 416, ""},
		{"a range that is longer", []string{"PATCH con 0-6"}, 416, ""},
		{"other content", []string{"!PUT contents"}, 400, ""},
		{"given up", []string{"PATCH content", "DELETE", "!PUT"}, 404, ""},
		{"asked after", []string{"PATCH con", "GET"}, 204, ""},
		{"another method", []string{"POST content"}, 405, ""},
	} {
		r := stemmatest.NewRegistry("")
		r.Writable = true
		got := ask(r, http.MethodPost, blobs+"uploads/", "")
		if got.status != http.StatusAccepted || got.header.Get("Range") != "0-0" {
			t.Fatalf("%s: %+v", c.name, got)
		}
		at := got.header.Get("Location")
		for _, step := range c.steps {
			words := append(strings.Fields(step), "", "")
			target := at
			if method, ok := strings.CutPrefix(words[0], "!"); ok {
				words[0], target = method, at+"?digest="+d
			}
			var header []string
			if words[2] != "" {
				header = []string{"Content-Range", words[2]}
			}
			got = ask(r, words[0], target, words[1], header...)
		}
		there := ask(r, http.MethodGet, blobs+d, "")
		if got.status != c.status || (there.status == 200) != (c.has != "") || c.has != "" && there.body != c.has {
			t.Errorf("%s: %+v, and the blob %d %q", c.name, got, there.status, there.body)
		}
		if c.name == "asked after" && got.header.Get("Range") != "0-2" {
			t.Errorf("%s: %v", c.name, got.header)
		}
	}
}

func TestUploadForms(t *testing.T) {
	r := stemmatest.NewRegistry("")
	r.Writable = true
	d := string(stemma.SHA256([]byte("content")))
	if got := ask(r, http.MethodPost, blobs+"uploads/?digest="+d, "content"); got.status != 201 || got.header.Get("Location") != blobs+d {
		t.Errorf("in one request: %+v", got)
	}
	for target, want := range map[string]int{
		"/v2/other/app/blobs/uploads/?mount=" + d + "&from=acme/app":                          201,
		"/v2/third/app/blobs/uploads/?mount=" + d + "&from=acme/none":                         202,
		"/v2/third/app/blobs/uploads/?mount=" + string(stemma.SHA256(nil)) + "&from=acme/app": 202,
	} {
		if got := ask(r, http.MethodPost, target, ""); got.status != want {
			t.Errorf("%s: %+v", target, got)
		}
	}
	if got := ask(r, http.MethodGet, "/v2/other/app/blobs/"+d, ""); got.body != "content" {
		t.Errorf("mounted: %+v", got)
	}
	// An upload belongs to its repository, and there are not arbitrarily many, nor arbitrarily large ones.
	at := ask(r, http.MethodPost, blobs+"uploads/", "").header.Get("Location")
	if got := ask(r, http.MethodPut, strings.Replace(at, "acme", "evil", 1)+"?digest="+d, "content"); got.status != 404 {
		t.Errorf("of another repository: %+v", got)
	}
	if got := ask(r, http.MethodPatch, at, string(make([]byte, 64<<20+1))); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", got.status)
	}
	for range 2000 {
		if got := ask(r, http.MethodPost, blobs+"uploads/", ""); got.status == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("2000 uploads were begun")
}

func TestPushManifest(t *testing.T) {
	const manifests = "/v2/acme/app/manifests/"
	subject := stemma.SHA256([]byte("subject"))
	empty := fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":2}`, v1.MediaTypeEmptyJSON, stemma.SHA256([]byte("{}")))
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","artifactType":"application/x","config":%s,"layers":[%s],"annotations":{"a":"b"},`+
		`"subject":{"mediaType":"m","digest":"%s","size":7}}`, v1.MediaTypeImageManifest, empty, empty, subject)
	d := string(stemma.SHA256([]byte(manifest)))
	replace := func(old, with string) string { return strings.Replace(manifest, old, with, 1) }
	for _, c := range []struct {
		name, at, body, mediaType string
		status                    int
	}{
		{"by tag", "v1", manifest, v1.MediaTypeImageManifest, 201},
		{"by digest", d, manifest, v1.MediaTypeImageManifest, 201},
		{"by another digest", string(subject), manifest, v1.MediaTypeImageManifest, 400},
		{"no tag", "-v1", manifest, v1.MediaTypeImageManifest, 400},
		{"long tag", strings.Repeat("a", 129), manifest, v1.MediaTypeImageManifest, 400},
		{"no type", "v1", manifest, "", 400},
		{"another type", "v1", manifest, v1.MediaTypeImageIndex, 400},
		{"no JSON", "v1", "{", v1.MediaTypeImageManifest, 400},
		{"a missing layer", "v1", replace(`"layers":[{`, `"layers":[{"mediaType":"x","size":2,"digest":"`+string(subject)+`"},{`), v1.MediaTypeImageManifest, 404},
		{"a missing child", "v1", replace(`"layers":[`, `"manifests":[{"mediaType":"x","size":2,"digest":"`+string(subject)+`"}],"layers":[`), v1.MediaTypeImageManifest, 404},
		{"a layer from elsewhere", "v1", replace(`"layers":[{`, `"layers":[{"urls":["https://x.test"],"mediaType":"x","size":2,"digest":"`+string(subject)+`"},{`), v1.MediaTypeImageManifest, 201},
		{"a subject without digest", "v1", replace(string(subject), "x"), v1.MediaTypeImageManifest, 400},
		{"too large", "v1", manifest + strings.Repeat(" ", 4<<20), v1.MediaTypeImageManifest, 413},
	} {
		for _, referrers := range []stemmatest.Referrers{stemmatest.ReferrersOn, stemmatest.ReferrersOff, stemmatest.ReferrersEmpty} {
			r := stemmatest.NewRegistry("")
			r.Writable, r.Referrers = true, referrers
			r.PutBlob("acme/app", v1.MediaTypeEmptyJSON, []byte("{}"))
			got := ask(r, http.MethodPut, manifests+c.at, c.body, "Content-Type", c.mediaType)
			got2 := ask(r, http.MethodPut, manifests+c.at, c.body, "Content-Type", c.mediaType)
			if got.status != c.status || got2.status != c.status {
				t.Errorf("%s: %+v", c.name, got)
			}
			there := ask(r, http.MethodGet, manifests+c.at, "")
			if taken := c.status == 201; taken != (there.status == 200) || taken && (there.body != c.body || there.header.Get("Content-Type") != c.mediaType) {
				t.Errorf("%s: there is %+v", c.name, there)
			}
			list, want := ask(r, http.MethodGet, "/v2/acme/app/referrers/"+string(subject), ""), ""
			if c.status == 201 && referrers == stemmatest.ReferrersOn {
				want = string(subject)
				var index v1.Index
				check(t, stemma.DecodeJSON([]byte(list.body), &index))
				listed := []v1.Descriptor{{
					MediaType: v1.MediaTypeImageManifest, ArtifactType: "application/x", Annotations: map[string]string{"a": "b"},
					Digest: digest.FromString(c.body), Size: int64(len(c.body)),
				}}
				if diff := cmp.Diff(listed, index.Manifests); diff != "" {
					t.Errorf("%s: listed (-want +got)\n%s", c.name, diff)
				}
			} else if strings.Contains(list.body, d) {
				t.Errorf("%s: listed %s", c.name, list.body)
			}
			if got.header.Get("OCI-Subject") != want {
				t.Errorf("%s, referrers %q: OCI-Subject %q", c.name, referrers, got.header.Get("OCI-Subject"))
			}
		}
	}
}

// A registry that cannot hold something, in each way in which one cannot.
func TestPushRefused(t *testing.T) {
	const manifest = `{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"%s","size":2},"subject":{"digest":"%[1]s","size":2}}`
	empty := stemma.SHA256([]byte("{}"))
	body := fmt.Sprintf(manifest, empty)
	d := stemma.SHA256([]byte(body))
	var asked []stemmatest.Push
	refuse := map[stemmatest.PushKind]int{}
	r := stemmatest.NewRegistry("")
	r.Writable = true
	r.Refuse = func(p stemmatest.Push) int {
		asked = append(asked, p)
		return refuse[p.Kind]
	}
	requests := map[stemmatest.PushKind]func() sent{
		stemmatest.PushUpload: func() sent { return ask(r, http.MethodPost, blobs+"uploads/", "") },
		stemmatest.PushMount: func() sent {
			r.PutBlob("other", "", []byte("{}"))
			return ask(r, http.MethodPost, blobs+"uploads/?from=other&mount="+string(empty), "")
		},
		stemmatest.PushBlob: func() sent {
			return ask(r, http.MethodPost, blobs+"uploads/?digest="+string(empty), "{}")
		},
		stemmatest.PushManifest: func() sent {
			return ask(r, http.MethodPut, "/v2/acme/app/manifests/"+string(d), body, "Content-Type", v1.MediaTypeImageManifest)
		},
		stemmatest.PushTag: func() sent {
			return ask(r, http.MethodPut, "/v2/acme/app/manifests/v1", body, "Content-Type", v1.MediaTypeImageManifest)
		},
	}
	for _, kind := range []stemmatest.PushKind{stemmatest.PushUpload, stemmatest.PushMount, stemmatest.PushBlob, stemmatest.PushManifest, stemmatest.PushTag} {
		for status, code := range map[int]string{403: "DENIED", 413: "SIZE_INVALID", 405: "UNSUPPORTED", 429: "TOOMANYREQUESTS"} {
			refuse = map[stemmatest.PushKind]int{kind: status}
			if got := requests[kind](); got.status != status || !strings.Contains(got.body, code) {
				t.Errorf("%s refused with %d: %+v", kind, status, got)
			}
		}
		refuse = map[stemmatest.PushKind]int{}
		if got := requests[kind](); got.status/100 != 2 {
			t.Errorf("%s: %+v", kind, got)
		}
	}
	refuse = map[stemmatest.PushKind]int{stemmatest.PushMount: 202}
	if got := requests[stemmatest.PushMount](); got.status != 202 || !strings.Contains(got.header.Get("Location"), "/uploads/") {
		t.Errorf("what is not mounted is to be sent: %+v", got)
	}
	asked = nil
	requests[stemmatest.PushTag]()
	want := []stemmatest.Push{{
		Kind: stemmatest.PushTag, Repository: "acme/app", Reference: "v1", Size: int64(len(body)), MediaType: v1.MediaTypeImageManifest,
		ArtifactType: "application/vnd.cncf.helm.config.v1+json", Subject: empty,
	}}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}
