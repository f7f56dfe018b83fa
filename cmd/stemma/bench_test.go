package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stemma"
	"stemma/stemmatest"
)

// BenchmarkProcess measures the whole process, from its start to its exit, for one real image of the corpus that
// slsa-github-generator attested: the median processor time and the median peak of resident memory.
func BenchmarkProcess(b *testing.B) {
	dir := os.Getenv("STEMMA_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "corpus")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		b.Fatal(err)
	}
	layout := filepath.Join(dir, "data/slsa-verifier/cli/slsa-verifier/testdata/gha_generic_container/v1.9.0/container_workflow_dispatch")
	if _, err := os.Stat(layout); err != nil {
		b.Skip("corpus not found; set STEMMA_CORPUS")
	}
	program := build(b)
	policyFile := filepath.Join(b.TempDir(), "policy.yaml")
	if err := os.WriteFile(policyFile, []byte(containerPolicy), 0o600); err != nil {
		b.Fatal(err)
	}
	root := filepath.Join(dir, "data/sigstore_root-signing/targets/trusted_root.json")
	name := "ghcr.io/slsa-framework/example-package.verifier-e2e.all.tag.main.default.slsa3"
	for verb, args := range map[string][]string{
		"verify":  {"verify", "oci:" + layout, "--name", name, "--policy", policyFile, "--trusted-root", root},
		"inspect": {"inspect", "oci:" + layout, "--trusted-root", root},
		"version": {"--version"},
	} {
		b.Run(verb, func(b *testing.B) {
			var cpu []time.Duration
			var peak []int64
			for b.Loop() {
				c := exec.Command(program, args...)
				if out, err := c.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				cpu = append(cpu, c.ProcessState.UserTime()+c.ProcessState.SystemTime())
				peak = append(peak, c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			}
			slices.Sort(cpu)
			slices.Sort(peak)
			b.ReportMetric(float64(cpu[len(cpu)/2])/1e6, "cpu-ms")
			b.ReportMetric(float64(peak[len(peak)/2])/1024, "peak-MiB")
		})
	}
}

func build(b *testing.B) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "stemma")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// BenchmarkHostileMemory measures the peak of resident memory of a whole process that verifies an image beside whose
// good provenance lies an "attestation" that is too large, or never ends. The image is allowed all the same.
func BenchmarkHostileMemory(b *testing.B) {
	program := build(b)
	const most = 31 << 20 // bytes that are fetched beside the good evidence
	for name, size := range map[string]int64{"gigabyte": 1 << 30, "endless": 1 << 20, "endless, as large as is fetched": most} {
		b.Run(name, func(b *testing.B) {
			world, err := stemmatest.NewWorld(stemmatest.Config{})
			if err != nil {
				b.Fatal(err)
			}
			bad := stemma.SHA256([]byte(name))
			const bundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
			index := world.Image.Descriptor
			manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},`+
				`"layers":[{"mediaType":%q,"digest":%q,"size":%d}],"subject":{"mediaType":%q,"digest":%q,"size":%d}}`,
				v1.MediaTypeImageManifest, bundle, stemma.SHA256([]byte("{}")), bundle, bad, size, index.MediaType, index.Digest, index.Size)
			d := world.Registry.PutManifest(stemmatest.Repository, v1.MediaTypeImageManifest, []byte(manifest))
			d.ArtifactType = bundle
			world.Registry.PutReferrer(stemmatest.Repository, world.Image.Digest(), d)
			sent := 0
			world.Registry.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/blobs/"+string(bad)) {
					return false
				}
				w.WriteHeader(http.StatusOK)
				chunk := bytes.Repeat([]byte(" "), 1<<16)
				for n := 0; n < 4<<30; n += len(chunk) {
					if _, err := w.Write(chunk); err != nil {
						sent = max(sent, n)
						return true
					}
				}
				b.Error("four gigabytes were taken")
				return true
			}
			server := httptest.NewServer(world.Registry)
			defer server.Close()
			at := strings.TrimPrefix(server.URL, "http://")
			dir := b.TempDir()
			write := func(name string, data []byte) string {
				file := filepath.Join(dir, name)
				if err := os.WriteFile(file, data, 0o600); err != nil {
					b.Fatal(err)
				}
				return file
			}
			args := []string{
				"verify", at + "/" + stemmatest.Repository + "@" + string(world.Image.Digest()), "--plain-http", at, "--cache-dir", "",
				"--trusted-root", write("root.json", world.Sigstore.TrustedRoot()),
				"--policy", write("policy.yaml", []byte(strings.ReplaceAll(demoPolicy, "ghcr.io/", at+"/"))),
			}
			var peak []int64
			for b.Loop() {
				c := exec.Command(program, args...)
				out, err := c.CombinedOutput()
				if err != nil || !strings.Contains(string(out), "ALLOW") {
					b.Fatalf("%v\n%s", err, out)
				}
				peak = append(peak, c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			}
			slices.Sort(peak)
			b.ReportMetric(float64(peak[len(peak)-1])/1024, "peak-MiB")
			b.ReportMetric(float64(sent)/(1<<20), "sent-MiB")
			if peak[len(peak)-1] > 64<<10 {
				b.Errorf("peak of %d KiB, want less than 64 MiB", peak[len(peak)-1])
			}
		})
	}
}

const containerPolicy = `
apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: example-package}
spec:
  match: {images: ["ghcr.io/slsa-framework/*"]}
  builders:
    generator:
      github:
        workflow: slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml
        workflowRefs: ["refs/tags/v1.*", "refs/tags/v2.*"]
        caller: {ownerID: "80431187"}
        events: [workflow_dispatch, push]
        runner: github-hosted
      level: 3
  provenance: {by: [generator], formats: [slsa/v0.2], level: 3}
  source: {repository: github.com/slsa-framework/example-package, refs: [refs/heads/main, "refs/tags/v*"]}
`
