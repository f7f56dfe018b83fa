package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
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
	program := filepath.Join(b.TempDir(), "stemma")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
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
