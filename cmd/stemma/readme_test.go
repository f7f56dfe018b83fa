package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestReadme runs the commands of README about the image that it names, under the policy that it shows. With -update what
// they print is written into the page.
func TestReadme(t *testing.T) {
	page, err := filepath.Abs("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	corpus := os.Getenv("STEMMA_CORPUS")
	if corpus == "" {
		corpus = filepath.Join("..", "..", "..", "shared", "corpus")
	}
	if corpus, err = filepath.Abs(corpus); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(corpus, "index.jsonl")); err != nil {
		if os.Getenv("STEMMA_REQUIRE_CORPUS") == "1" {
			t.Fatalf("the corpus is required and not there: %v", err)
		}
		t.Skip("corpus not found; set STEMMA_CORPUS")
	}
	t.Chdir(t.TempDir())
	for name, path := range map[string]string{
		"image":             "slsa-verifier/cli/slsa-verifier/testdata/gha_generic_container/v1.9.0/container_workflow_dispatch",
		"top":               "chainguard-dev_apko/internal/cli/testdata/top_image",
		"base":              "chainguard-dev_apko/internal/cli/testdata/base_image",
		"trusted_root.json": "sigstore_root-signing/targets/trusted_root.json",
	} {
		if err := os.Symlink(filepath.Join(corpus, "data", path), name); err != nil {
			t.Fatal(err)
		}
	}
	_, rest, _ := strings.Cut(string(data), "```yaml\n")
	policy, _, _ := strings.Cut(rest, "```")

	blocks := strings.Split(string(data), "```")
	count := map[string]int{}
	for i := 1; i < len(blocks); i += 2 {
		command, _, _ := strings.Cut(strings.TrimPrefix(blocks[i], "\n"), "\n")
		words := strings.Fields(strings.TrimPrefix(command, "$ stemma "))
		if !strings.HasPrefix(command, "$ stemma ") || len(words) < 2 || !strings.HasPrefix(words[1], "oci:") {
			continue
		}
		if count[words[0]]++; words[0] == "verify" && count["verify"] == 2 {
			// "With source.repository: … in that policy".
			good, bad := "repository: github.com/slsa-framework/example-package", "repository: github.com/slsa-framework/another"
			if !strings.Contains(policy, good) || !strings.Contains(blocks[i-1], "`source."+bad+"`") {
				t.Fatal("the second policy is not the first with another source")
			}
			policy = strings.Replace(policy, good, bad, 1)
		}
		if err := os.WriteFile("policy.yaml", []byte(policy), 0o600); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, _ := execute(nil, time.Date(2026, 11, 23, 14, 3, 12, 0, time.UTC), words...)
		blocks[i] = fmt.Sprintf("\n%s\n%s%s", command, stdout, stderr)
	}
	if count["inspect"] != 1 || count["tree"] != 1 || count["verify"] != 2 {
		t.Fatalf("commands of README: %v", count)
	}
	got := strings.Join(blocks, "```")
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The id of a decision says nothing to a reader, and changes with the form of evidence.
	id := regexp.MustCompile(`decision [a-z2-7]{26}`)
	if diff := cmp.Diff(id.ReplaceAllString(string(data), ""), id.ReplaceAllString(got, "")); diff != "" && !*update {
		t.Errorf("README does not show what the commands print; go test ./cmd/stemma -run TestReadme -update (-page +commands)\n%s", diff)
	}
}
