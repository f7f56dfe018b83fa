package stemmatest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"stemma"
	"stemma/stemmatest"
)

// go-containerregistry reads every form of image over a socket and finds each digest right.
func TestRegistryOverHTTP(t *testing.T) {
	r := stemmatest.NewRegistry("")
	server := httptest.NewServer(r)
	defer server.Close()
	r.Host = strings.TrimPrefix(server.URL, "http://")
	arm := stemma.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	for _, c := range []struct {
		spec stemmatest.ImageSpec
		want types.MediaType
	}{
		{stemmatest.ImageSpec{Tags: []string{"oci"}, Platforms: []stemma.Platform{arm, {OS: "linux", Architecture: "amd64"}}}, types.OCIImageIndex},
		{stemmatest.ImageSpec{Tags: []string{"docker"}, Docker: true}, types.DockerManifestList},
		{stemmatest.ImageSpec{Tags: []string{"oci-single"}, Single: true}, types.OCIManifestSchema1},
		{stemmatest.ImageSpec{Tags: []string{"docker-single"}, Single: true, Docker: true, Labels: map[string]string{"a": "b"}}, types.DockerManifestSchema2},
	} {
		c.spec.Repository, c.spec.Content = "acme/app", c.spec.Tags[0]
		image := must[*stemmatest.Image](t)(r.PutImage(c.spec))
		ref := must[name.Reference](t)(name.ParseReference(image.Name().Repository + ":" + c.spec.Tags[0]))
		got := must[*remote.Descriptor](t)(remote.Get(ref))
		if got.MediaType != c.want || got.Digest.String() != string(image.Digest()) || string(got.Manifest) != string(image.Manifest) {
			t.Errorf("%s: got %s of type %s", c.spec.Content, got.Digest, got.MediaType)
		}
		if c.spec.Single {
			check(t, validate.Image(must[ggcr.Image](t)(got.Image())))
		} else {
			check(t, validate.Index(must[ggcr.ImageIndex](t)(got.ImageIndex())))
		}
	}
	repo := must[name.Repository](t)(name.NewRepository(r.Host + "/acme/app"))
	r.PageSize = 3
	if diff := cmp.Diff([]string{"docker", "docker-single", "oci", "oci-single"}, must[[]string](t)(remote.List(repo))); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if _, err := remote.Get(repo.Tag("none")); err == nil || !strings.Contains(err.Error(), "MANIFEST_UNKNOWN") {
		t.Errorf("a tag that does not exist: %v", err)
	}
	image := must[*stemmatest.Image](t)(r.PutImage(stemmatest.ImageSpec{Repository: "acme/app", Content: "corrupt", Single: true}))
	check(t, r.Corrupt("acme/app", image.Digest(), append(image.Manifest, ' ')))
	if _, err := remote.Get(repo.Digest(string(image.Digest()))); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("a manifest whose bytes were exchanged: %v", err)
	}
	r.Delete("acme/app", image.Digest())
	if _, err := remote.Get(repo.Digest(string(image.Digest()))); err == nil || !strings.Contains(err.Error(), "MANIFEST_UNKNOWN") {
		t.Errorf("a manifest that was deleted: %v", err)
	}
	if err := r.Corrupt("acme/app", image.Digest(), nil); err == nil {
		t.Error("what is not there was corrupted")
	}
}

func get(t *testing.T, transport http.RoundTripper, ctx context.Context, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	check(t, err)
	return (&http.Client{Transport: transport}).Do(req)
}

func TestFaults(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stalled := make(chan struct{})
	w.Registry.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/v2/acme/app/manifests/busy":
			rw.Header().Set("Retry-After", "60")
			rw.WriteHeader(http.StatusTooManyRequests)
		case "/v2/acme/app/manifests/moved":
			http.Redirect(rw, r, "https://elsewhere.example/", http.StatusTemporaryRedirect)
		case "/v2/acme/app/manifests/cut":
			rw.Header().Set("Content-Length", "100")
			_, _ = rw.Write([]byte("half"))
			panic(http.ErrAbortHandler)
		case "/v2/acme/app/manifests/dead":
			panic(http.ErrAbortHandler)
		case "/v2/acme/app/manifests/stalled":
			_, _ = rw.Write([]byte("half"))
			<-r.Context().Done()
			close(stalled)
		default:
			return false
		}
		return true
	}
	const base = "https://ghcr.io/v2/acme/app/manifests/"
	res, err := get(t, w.Transport(), ctx, base+"busy")
	check(t, err)
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "60" {
		t.Errorf("busy: %s", res.Status)
	}
	if _, err := get(t, w.Transport(), ctx, base+"moved"); err == nil || !strings.Contains(err.Error(), "elsewhere.example: no such host") {
		t.Errorf("moved: %v", err)
	}
	if _, err := get(t, w.Transport(), ctx, base+"dead"); err == nil || !strings.Contains(err.Error(), "connection cut") {
		t.Errorf("dead: %v", err)
	}
	res, err = get(t, w.Transport(), ctx, base+"cut")
	check(t, err)
	if b, err := io.ReadAll(res.Body); string(b) != "half" || err == nil || res.ContentLength != 100 {
		t.Errorf("cut: read %q of %d bytes, %v", b, res.ContentLength, err)
	}
	res, err = get(t, w.Transport(), ctx, base+"stalled")
	check(t, err)
	cancel()
	if b, err := io.ReadAll(res.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("stalled: read %q, %v", b, err)
	}
	<-stalled

	w.Registry.Requests()
	res, err = get(t, w.Registry.Transport(), context.Background(), "http://any.host.example/v2/acme/app/manifests/v2.0.0")
	check(t, err)
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != string(w.Image.Manifest) {
		t.Errorf("v2.0.0: %q, %v", b, err)
	}
	if diff := cmp.Diff([]string{"GET /v2/acme/app/manifests/v2.0.0"}, w.Registry.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestReadOnly(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/v2/", http.StatusOK},
		{http.MethodHead, "/v2/acme/app/manifests/v2.0.0", http.StatusOK},
		{http.MethodPut, "/v2/acme/app/manifests/v2.0.0", http.StatusMethodNotAllowed},
		{http.MethodGet, "/", http.StatusNotFound},
		{http.MethodGet, "/v2/acme", http.StatusNotFound},
		{http.MethodGet, "/v2/other/app/manifests/v2.0.0", http.StatusNotFound},
		{http.MethodGet, "/v2/acme/app/blobs/sha256:00", http.StatusNotFound},
		{http.MethodGet, "/v2/acme/app/other/x", http.StatusNotFound},
	} {
		rec := httptest.NewRecorder()
		w.Registry.ServeHTTP(rec, httptest.NewRequest(c.method, c.path, nil))
		if rec.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, rec.Code, c.want)
		}
		if c.method == http.MethodHead && (rec.Body.Len() != 0 || rec.Header().Get("Docker-Content-Digest") != string(w.Image.Digest())) {
			t.Errorf("HEAD: %d bytes, %v", rec.Body.Len(), rec.Header())
		}
	}
}
