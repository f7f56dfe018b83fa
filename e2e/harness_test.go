//go:build e2e

// Package e2e builds images with BuildKit and buildah, copies them with skopeo, puts them into a real registry, and judges
// them with the program as it is installed. What must come out is written by what builds the images.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stemma"
	"stemma/stemmatest"
)

// world is a registry, the builders, and a private Sigstore that signs.
type world struct {
	*testing.T
	dir    string
	host   string // of the registry
	stemma string // the program
	bins   string // with buildctl and buildkitd
	bk     string // address of buildkitd
	sig    *stemmatest.World
	root   string // file of the trusted root
	stored string // file of known bases
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), bins: os.Getenv("STEMMA_E2E_BIN")}
	if w.bins == "" {
		t.Fatal("STEMMA_E2E_BIN is not set: run make e2e")
	}
	w.stemma = filepath.Join(w.dir, "stemma")
	w.run("go", "build", "-o", w.stemma, "stemma/cmd/stemma")
	w.host = fmt.Sprintf("127.0.0.1:%d", free(t))
	config := w.file("registry.yml", fmt.Sprintf("version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\nlog: {level: error, accesslog: {disabled: true}}\n", filepath.Join(w.dir, "registry"), w.host))
	w.start("docker-registry", "serve", config)
	w.bk = "unix://" + filepath.Join(w.dir, "bk.sock")
	w.start(filepath.Join(w.bins, "buildkitd"), "--addr", w.bk, "--root", filepath.Join(w.dir, "buildkit"), "--oci-worker-snapshotter=native")
	w.until("the registry", func() error {
		r, err := http.Get("http://" + w.host + "/v2/")
		if err == nil {
			_ = r.Body.Close()
		}
		return err
	})
	w.until("buildkitd", func() error {
		return exec.Command(filepath.Join(w.bins, "buildctl"), "--addr", w.bk, "debug", "workers").Run()
	})
	sig, err := stemmatest.NewWorld(stemmatest.Config{})
	w.must(err)
	w.sig = sig
	w.root = w.file("root.json", string(sig.Sigstore.TrustedRoot()))
	w.stored = filepath.Join(w.dir, "bases.db")
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func free(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (w *world) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	w.must(os.WriteFile(path, []byte(text), 0o755))
	return path
}

// start runs a server until the test ends.
func (w *world) start(name string, args ...string) {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, name, args...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	var log bytes.Buffer
	c.Stdout, c.Stderr = &log, &log
	w.must(c.Start())
	w.Cleanup(func() {
		cancel()
		_ = c.Wait() // it was interrupted
		if w.Failed() {
			w.Logf("%s:\n%.2000s", filepath.Base(name), log.String())
		}
	})
}

func (w *world) until(what string, ready func() error) {
	w.Helper()
	var err error
	for range 300 {
		if err = ready(); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.Fatalf("%s does not come up: %v", what, err)
}

// run runs a command, which must succeed, and returns what it prints.
func (w *world) run(name string, args ...string) string {
	w.Helper()
	out, code := w.try(name, args...)
	if code != 0 {
		w.Fatalf("%s %s: exit %d\n%s", name, strings.Join(args, " "), code, out)
	}
	return out
}

func (w *world) try(name string, args ...string) (string, int) {
	w.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "BUILDAH_ISOLATION=chroot", "STORAGE_DRIVER=vfs", "TMPDIR="+w.dir)
	var errors bytes.Buffer
	c.Stderr = &errors
	out, err := c.Output()
	if err != nil && c.ProcessState == nil {
		w.Fatalf("%s: %v", name, err)
	}
	if len(out) == 0 || !json.Valid(out) {
		return string(out) + errors.String(), c.ProcessState.ExitCode()
	}
	return string(out), c.ProcessState.ExitCode()
}

// buildKit builds a directory and pushes it, with provenance of all its steps. It returns the digest of the index.
func (w *world) buildKit(repository, dockerfile string, files map[string]string, platforms string) stemma.Digest {
	w.Helper()
	dir := filepath.Join("build", strings.ReplaceAll(repository, ":", "-"))
	w.file(filepath.Join(dir, "Dockerfile"), dockerfile)
	for name, text := range files {
		w.file(filepath.Join(dir, name), text)
	}
	dir = filepath.Join(w.dir, dir)
	meta := filepath.Join(w.dir, "metadata.json")
	args := []string{
		"--addr", w.bk, "build", "--frontend", "dockerfile.v0", "--local", "context=" + dir, "--local", "dockerfile=" + dir, "--opt", "attest:provenance=mode=max",
		"--output", "type=image,name=" + w.host + "/acme/" + repository + ",push=true,registry.insecure=true", "--metadata-file", meta,
	}
	if platforms != "" {
		args = append(args, "--opt", "platform="+platforms)
	}
	w.run(filepath.Join(w.bins, "buildctl"), args...)
	data, err := os.ReadFile(meta)
	w.must(err)
	var m struct {
		Digest stemma.Digest `json:"containerimage.digest"`
	}
	w.must(json.Unmarshal(data, &m))
	return m.Digest
}

// descriptor and manifest are as much of them as the tests read.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       stemma.Digest     `json:"digest"`
	Size         int               `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Platform     *stemma.Platform  `json:"platform,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

type manifest struct {
	MediaType   string            `json:"mediaType"`
	Config      descriptor        `json:"config"`
	Layers      []descriptor      `json:"layers"`
	Manifests   []descriptor      `json:"manifests"`
	Annotations map[string]string `json:"annotations"`
	raw         []byte
}

const (
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
)

func (w *world) request(method, url, contentType string, body []byte, want int) *http.Response {
	w.Helper()
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	w.must(err)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", strings.Join([]string{ociIndex, ociManifest, "application/vnd.docker.distribution.manifest.v2+json", "*/*"}, ", "))
	r, err := http.DefaultClient.Do(req)
	w.must(err)
	if r.StatusCode != want {
		text, _ := io.ReadAll(r.Body)
		w.Fatalf("%s %s: %s %s", method, url, r.Status, text)
	}
	return r
}

func (w *world) url(repository, kind, reference string) string {
	return "http://" + w.host + "/v2/acme/" + repository + "/" + kind + "/" + reference
}

func (w *world) manifest(repository, reference string) manifest {
	w.Helper()
	r := w.request(http.MethodGet, w.url(repository, "manifests", reference), "", nil, http.StatusOK)
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	w.must(err)
	m := manifest{raw: data}
	w.must(json.Unmarshal(data, &m))
	return m
}

func (w *world) blob(repository string, d stemma.Digest) []byte {
	w.Helper()
	r := w.request(http.MethodGet, w.url(repository, "blobs", string(d)), "", nil, http.StatusOK)
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	w.must(err)
	return data
}

func (w *world) putBlob(repository, mediaType string, data []byte) descriptor {
	w.Helper()
	d := stemma.SHA256(data)
	r := w.request(http.MethodPost, w.url(repository, "blobs", "uploads/"), "", nil, http.StatusAccepted)
	_ = r.Body.Close()
	to := r.Header.Get("Location")
	separator := "?"
	if strings.Contains(to, "?") {
		separator = "&"
	}
	_ = w.request(http.MethodPut, to+separator+"digest="+string(d), "application/octet-stream", data, http.StatusCreated).Body.Close()
	return descriptor{MediaType: mediaType, Digest: d, Size: len(data)}
}

func (w *world) putManifest(repository, reference, mediaType string, value any) descriptor {
	w.Helper()
	data, ok := value.([]byte)
	if !ok {
		var err error
		data, err = json.Marshal(value)
		w.must(err)
	}
	d := stemma.SHA256(data)
	if reference == "" {
		reference = string(d)
	}
	_ = w.request(http.MethodPut, w.url(repository, "manifests", reference), mediaType, data, http.StatusCreated).Body.Close()
	return descriptor{MediaType: mediaType, Digest: d, Size: len(data)}
}

// platform is the manifest of one platform of an index, or the image itself.
func (w *world) platform(repository, reference, architecture string) descriptor {
	w.Helper()
	m := w.manifest(repository, reference)
	if len(m.Manifests) == 0 {
		return descriptor{MediaType: m.MediaType, Digest: stemma.SHA256(m.raw), Size: len(m.raw)}
	}
	for _, d := range m.Manifests {
		if d.Platform != nil && d.Platform.Architecture == architecture {
			d.Platform = nil
			return d
		}
	}
	w.Fatalf("%s:%s has nothing for %s", repository, reference, architecture)
	return descriptor{}
}

// statement is the provenance that BuildKit put beside a manifest.
func (w *world) statement(repository, reference string, of stemma.Digest) []byte {
	w.Helper()
	for _, d := range w.manifest(repository, reference).Manifests {
		if d.Annotations["vnd.docker.reference.digest"] != string(of) {
			continue
		}
		for _, l := range w.manifest(repository, string(d.Digest)).Layers {
			if strings.Contains(l.Annotations["in-toto.io/predicate-type"], "provenance") {
				return w.blob(repository, l.Digest)
			}
		}
	}
	w.Fatalf("no provenance of %s beside %s:%s", of, repository, reference)
	return nil
}

// job is the identity of the job that builds a repository.
func (w *world) job(repository string) stemmatest.GitHub {
	job := w.sig.Build
	job.Repository, job.RepositoryID = "acme/"+repository, "700100201"
	if strings.HasPrefix(repository, "app") {
		job.RepositoryID = "700100202"
	}
	return job
}

// attest has the job of a repository sign a statement about a manifest, and attaches the bundle as a referrer; the registry lists
// none, so that it goes under the fallback tag.
func (w *world) attest(repository string, job stemmatest.GitHub, of descriptor, payload []byte) {
	w.Helper()
	signed, err := w.sig.Sigstore.Attest(stemmatest.Sign{As: job}, payload)
	w.must(err)
	artifact := stemmatest.BundleArtifact(signed)
	empty := w.putBlob(repository, "application/vnd.oci.empty.v1+json", []byte("{}"))
	layer := w.putBlob(repository, artifact.Layers[0].MediaType, artifact.Layers[0].Data)
	d := w.putManifest(repository, "", ociManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ociManifest, "artifactType": artifact.Type, "config": empty, "layers": []descriptor{layer},
		"subject": descriptor{MediaType: of.MediaType, Digest: of.Digest, Size: of.Size}, "annotations": artifact.Annotations,
	})
	d.ArtifactType = artifact.Type
	w.putManifest(repository, strings.Replace(string(of.Digest), ":", "-", 1), ociIndex, map[string]any{
		"schemaVersion": 2, "mediaType": ociIndex, "manifests": []descriptor{d},
	})
}

// decision is what the program says of an image.
func (w *world) decision(image, policy string, args ...string) *stemma.Decision {
	w.Helper()
	args = append([]string{"verify", w.host + "/acme/" + image, "--policy", policy, "--trusted-root", w.root, "--plain-http", w.host, "--allow-private", "127.0.0.1", "--cache-dir", "", "--timeout", "60s", "-o", "json"}, args...)
	out, _ := w.try(w.stemma, args...)
	var answer struct {
		Decisions []*stemma.Decision `json:"decisions"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.Decisions) != 1 {
		w.Fatalf("%v: %s", err, out)
	}
	return answer.Decisions[0]
}

// chain is what the program says an image stands on: an edge a line.
func (w *world) chain(image, policy string, args ...string) string {
	w.Helper()
	args = append([]string{"tree", w.host + "/acme/" + image, "--policy", policy, "--trusted-root", w.root, "--plain-http", w.host, "--allow-private", "127.0.0.1", "--cache-dir", "", "--timeout", "60s", "-o", "json"}, args...)
	var top stemma.Evidence
	w.must(json.Unmarshal([]byte(w.run(w.stemma, args...)), &top))
	e := &top
	for _, p := range top.Platforms {
		if p.Platform.Architecture == "amd64" {
			e = p
		}
	}
	var b strings.Builder
	for ; e != nil && e.Base != nil; e = e.Base.Evidence {
		fmt.Fprintf(&b, "%s %s %d %s\n", e.Base.Grade, e.Base.Base.Digest.Short(), e.Base.Layers, e.Base.How)
	}
	return b.String()
}

// edge is one line of a chain as the builder knows it.
func edge(grade stemma.BaseGrade, base descriptor, layers int, how string) string {
	return fmt.Sprintf("%s %s %d %s\n", grade, base.Digest.Short(), layers, how)
}

func end(grade stemma.BaseGrade) string { return fmt.Sprintf("%s  0 \n", grade) }
