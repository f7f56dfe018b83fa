package oci

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

// debianRegistry runs Debian's docker-registry (Distribution 2.8, which has no referrers API) on a port of its own, and
// returns that and the directory that it keeps its content in.
func debianRegistry(t *testing.T) (at, dir string) {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		if os.Getenv("STEMMA_REQUIRE_PEERS") == "1" {
			t.Fatalf("docker-registry required: %v", err)
		}
		t.Skip("docker-registry not found; apt-get install docker-registry")
	}
	dir = t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: info, formatter: text}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: \"127.0.0.1:0\"}\n", dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// The context of a test ends before its clean-up: the registry is killed, and then waited for.
	cmd := exec.CommandContext(t.Context(), program, "serve", config)
	cmd.Env = []string{"OTEL_TRACES_EXPORTER=none"}
	cmd.WaitDelay = 10 * time.Second
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			if _, rest, ok := strings.Cut(lines.Text(), "listening on "); ok {
				select {
				case heard <- rest[:strings.IndexAny(rest+"\"", "\", ")]:
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		<-done
		_ = cmd.Wait() // it was killed
	})
	select {
	case at = <-heard:
	case <-done:
		t.Fatal("docker-registry ended")
	case <-time.After(time.Minute):
		t.Fatal("docker-registry does not listen")
	}
	return at, dir
}

// upload sends a manifest of the in-memory registry and all that it consists of, as any client does.
func (w *world) upload(base, reference string) {
	w.t.Helper()
	mediaType, data, err := w.registry.Manifest(repo, reference)
	if err != nil {
		w.t.Fatal(err)
	}
	var m struct {
		Config    *v1.Descriptor  `json:"config"`
		Layers    []v1.Descriptor `json:"layers"`
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := stemma.DecodeJSON(data, &m); err != nil {
		w.t.Fatal(err)
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, b := range m.Layers {
		content, err := w.registry.Blob(repo, stemma.Digest(b.Digest))
		if err != nil {
			w.t.Fatal(err)
		}
		res, err := (&http.Client{}).Post(base+"/blobs/uploads/", "", nil)
		if err != nil {
			w.t.Fatal(err)
		}
		_ = res.Body.Close()
		to, err := res.Location()
		if err != nil {
			w.t.Fatalf("%s: %v", res.Status, err)
		}
		to.RawQuery += "&digest=" + url.QueryEscape(string(b.Digest))
		put(w.t, to.String(), "application/octet-stream", string(content))
	}
	for _, c := range m.Manifests {
		w.upload(base, string(c.Digest))
	}
	put(w.t, base+"/manifests/"+reference, mediaType, string(data))
}

// A registry without a referrers API, as Debian has it: what stands in for it is found, and what each place answers is
// told.
func TestDebianRegistry(t *testing.T) {
	at, dir := debianRegistry(t)
	w := newWorld(t, stemmatest.ImageSpec{
		Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}}, Subject: true,
		Attest: func(stemma.Platform, stemma.Digest) []*stemmatest.Statement {
			return []*stemmatest.Statement{{PredicateType: "https://example.test/x"}}
		},
	})
	child := *w.image
	child.Descriptor = w.image.Children[0]
	for about, a := range map[*stemmatest.Image]stemmatest.Artifact{w.image: bundle(1), &child: bundle(2)} {
		if _, err := about.AttachFallback(a); err != nil {
			t.Fatal(err)
		}
	}
	w.image.AttachCosign(".att", stemmatest.Layer{MediaType: mediaTypeDSSE, Data: []byte(someEnvelope)})
	child.AttachCosign(".sig", stemmatest.Layer{MediaType: mediaTypeSimpleSigning, Data: []byte(`{"critical":{}}`)})
	base := "http://" + at + "/v2/" + repo
	for _, tag := range []string{"v1", tagOf(w.image.Digest(), ""), tagOf(w.image.Digest(), ".att"), tagOf(child.Digest(), ""), tagOf(child.Digest(), ".sig")} {
		w.upload(base, tag)
	}
	open := func(tag string) (*Found, error) {
		return newClient(t, Config{PlainHTTP: []string{at}}).Open(t.Context(), Look{Ref: mustRef(t, at+"/"+repo+":"+tag)})
	}
	f, err := open("v1")
	if err != nil {
		t.Fatal(err)
	}
	if f.Image.Digest != w.image.Digest() || len(f.Children) != 2 || !f.Children[1].AttestationManifest || len(f.Unavailable)+len(f.Rejected) > 0 {
		t.Errorf("%+v %+v %+v", f.Image, f.Unavailable, f.Rejected)
	}
	answers := map[string][]string{}
	for name, f := range map[string]*Found{"index": f, "child": f.Children[0]} {
		for _, p := range f.Places {
			answers[name] = append(answers[name], fmt.Sprintf("%s %s %d", p.Name, p.Answer, p.Found))
		}
		for _, r := range f.Raw {
			answers[name] = append(answers[name], fmt.Sprintf("%s %s", r.Place, r.Format))
		}
		slices.Sort(answers[name])
	}
	if diff := cmp.Diff(map[string][]string{
		"index": {".att tag 200 1", ".att tag dsse", ".sbom tag 404 0", ".sig tag 404 0", "fallback tag 200 1", "fallback tag sigstore-bundle", "index children 2 listed 1", "referrers 404 0"},
		"child": {".att tag 404 0", ".sbom tag 404 0", ".sig tag 200 1", ".sig tag cosign-simple-signing", "fallback tag 200 1", "fallback tag sigstore-bundle", "index children in-toto-statement", "referrers 404 0"},
	}, answers); diff != "" {
		t.Error(diff)
	}
	_, err = open("v2")
	wantKind(t, err, NotFound, "404")

	// The bundle is another one on the disk of the registry, which serves it as if it were not.
	blob := bundle(1).Layers[0].Data
	d := stemma.SHA256(blob)
	stored := filepath.Join(dir, "docker", "registry", "v2", "blobs", "sha256", d.Hex()[:2], d.Hex(), "data")
	if err := os.WriteFile(stored, slices.Concat(blob[:len(blob)-1], []byte(" ")), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err = open("v1"); err != nil || len(f.Raw) != 1 {
		t.Fatalf("%+v, %v", f, err)
	}
	wantUnavailable(t, f, "fallback tag", stemma.ReasonBadAnswer, d.Short())
}

// sockets reaches registries that are not in the process over sockets.
type sockets struct {
	within stemmatest.Network
	http.Transport
}

// RoundTrip implements http.RoundTripper.
func (s *sockets) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, ok := s.within[req.URL.Host]; ok {
		return s.within.RoundTrip(req)
	}
	return s.Transport.RoundTrip(req)
}

// A copy to it has all evidence that the source had, under fallback tags.
func TestDebianRegistryCopy(t *testing.T) {
	at, _ := debianRegistry(t)
	m := newMirrored(t, nil)
	transport := &sockets{within: stemmatest.Network{host: m.registry}}
	transport.DisableCompression = true
	defer transport.CloseIdleConnections()
	client := func() *Client { return newClient(t, Config{Transport: transport, PlainHTTP: []string{at}}) }
	to := mustRef(t, at+"/hub/api:v1")
	copied, err := client().Copy(t.Context(), m.from(), to, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := results(copied); n[CopyDone]+n[AlreadyThere] != len(copied.Items) || !copied.Fallback {
		t.Errorf("%+v, fallback tags: %v", n, copied.Fallback)
	}
	after, err := client().Open(t.Context(), Look{Ref: to})
	if err != nil {
		t.Fatal(err)
	}
	want, got := evidence(m.mustOpen()), evidence(after)
	if len(want) != 7 || !slices.Equal(want, got) || len(after.Unavailable)+len(after.Rejected) > 0 {
		t.Errorf("before\n%s\nafter\n%s\n%+v %+v", strings.Join(want, "\n"), strings.Join(got, "\n"), after.Unavailable, after.Rejected)
	}
	res, err := (&http.Client{}).Get("http://" + at + "/v2/hub/api/referrers/" + string(m.image.Digest()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if body, err := io.ReadAll(io.LimitReader(res.Body, 1<<10)); res.StatusCode != http.StatusNotFound || err != nil {
		t.Errorf("it has a referrers API after all: %s %s %v", res.Status, body, err)
	}
}
