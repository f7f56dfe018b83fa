package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"stemma/policy"
	"stemma/stemmatest"
)

// signers are the keys of the scripts about signed sets, new in every run: release signs the set, leads approve waivers,
// and nobody knows mallory.
func signers() []string { return []string{"release", "leads", "mallory"} }

// distribution are the keys, a set that release signs in three versions, and one that says nothing of signatures. The
// authority timestamp.sigstore.test is in the world.
func distribution(t *testing.T, world *stemmatest.World) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	set := `apiVersion: policy.stemma.dev/v1alpha1
kind: PolicySet
metadata: {name: acme}
spec:
  version: VERSION
  signedBy: [policy-release]
  waivers: {longest: 60d, approvedBy: [security-leads], never: ["signature.*", source.repository]}
  trust:
    - name: acme-keys
      requires: {log: none, timestamp: none, sct: none}
      time: none
      keys:
        - {name: release-2026, pem: "RELEASE"}
        - {name: leads-2026, pem: "LEADS"}
  signers:
    policy-release: {trust: acme-keys, keys: [release-2026]}
    security-leads: {trust: acme-keys, keys: [leads-2026]}
---
` + strings.Replace(demoPolicy, `refs: ["refs/tags/v*"]`, `refs: [refs/heads/main]`, 1)
	for _, name := range signers() {
		key, err := stemmatest.NewKey(stemmatest.ECDSAP256, name)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key.Key)
		if err != nil {
			t.Fatal(err)
		}
		files[name+".key"] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		set = strings.Replace(set, strings.ToUpper(name), strings.ReplaceAll(string(key.PublicKeyPEM()), "\n", `\n`), 1)
	}
	for version := 1; version <= 3; version++ {
		files["v"+strconv.Itoa(version)+"/set.yaml"] = []byte(strings.Replace(set, "VERSION", strconv.Itoa(version), 1))
	}
	files["unsigned/set.yaml"] = []byte(strings.Replace(strings.Replace(set, "VERSION", "1", 1), "  signedBy: [policy-release]\n", "", 1))
	world.Network["timestamp.sigstore.test"] = world.Sigstore.TSA.Server(world.Now)
	hub := stemmatest.NewRegistry("hub.example")
	hub.Writable = true
	world.Network[hub.Host] = hub
	return files
}

// The password of a key comes from the environment, never from the command line, which others can read.
func TestSignPassword(t *testing.T) {
	world, err := stemmatest.NewWorld(stemmatest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := distribution(t, world)
	block, _ := pem.Decode(files["release.key"])
	sealed, err := encrypted.Encrypt(block.Bytes, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	set, key := filepath.Join(dir, "set.yaml"), filepath.Join(dir, "cosign.key")
	for name, data := range map[string][]byte{set: files["v1/set.yaml"], key: pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: sealed})} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, stemma, cosign string
		code                 int
	}{
		{"ours", "secret", "", exitAdmit},
		{"that of cosign", "", "secret", exitAdmit},
		{"ours comes first", "secret", "other", exitAdmit},
		{"wrong", "other", "secret", exitUsage},
		{"none", "", "", exitUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range map[string]string{"STEMMA_PASSWORD": c.stemma, "COSIGN_PASSWORD": c.cosign} {
				t.Setenv(name, value)
				if value == "" {
					_ = os.Unsetenv(name)
				}
			}
			_ = os.Remove(set + signatureSuffix)
			stdout, stderr, code := execute(world.Transport(), world.Now, "policy", "sign", set, "--key", key)
			if code != c.code || isThere(set+signatureSuffix) != (c.code == exitAdmit) {
				t.Errorf("exit %d, want %d: %s%s", code, c.code, stdout, stderr)
			}
			if strings.Contains(string(stdout)+string(stderr), "secret") {
				t.Error("it prints the password")
			}
		})
	}
}

// A directory is replaced as a whole, through a link or not, and nothing of it stays when that cannot be done.
func TestReplaced(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	list := func(dir string) string {
		var names []string
		entries, _ := os.ReadDir(dir) // none: it is not there
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, " ")
	}
	for i, c := range []struct {
		into  string
		files []policy.File
		want  string
		fails bool
	}{
		{real, []policy.File{{Name: "a.yaml"}, {Name: "b.yaml"}}, "a.yaml b.yaml", false},
		{link, []policy.File{{Name: "c.yaml"}}, "c.yaml", false},
		{real, []policy.File{{Name: "d.yaml"}, {Name: "e/f.yaml"}}, "c.yaml", true},
	} {
		if err := replaced(c.into, c.files); (err != nil) != c.fails {
			t.Errorf("%d: %v", i, err)
		}
		if got := list(real); got != c.want || list(dir) != "link real" {
			t.Errorf("%d: %q in %q, want %q", i, got, list(dir), c.want)
		}
	}
}

// conforma SC-2, EC-2014: the policy of a run is the one that was named, whatever a tag means meanwhile and whatever a
// misspelt scheme could lead to.
func TestReg_E14_policy_source(t *testing.T) {
	world, err := stemmatest.NewWorld(stemmatest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := distribution(t, world)
	files["root.json"] = world.Sigstore.TrustedRoot()
	for name, data := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, string, int) {
		stdout, stderr, code := execute(world.Transport(), world.Now, append(args, "--trusted-root", filepath.Join(dir, "root.json"))...)
		return string(stdout), string(stderr), code
	}
	push := func(version string) string {
		set := filepath.Join(dir, version, "set.yaml")
		if out, text, code := run("policy", "sign", set, "--key", filepath.Join(dir, "release.key")); code != exitAdmit {
			t.Fatal(out, text)
		}
		out, text, code := run("policy", "push", set, "oci://hub.example/acme/policy:stable")
		if code != exitAdmit {
			t.Fatal(out, text)
		}
		return strings.TrimSpace(out)
	}
	first := push("v1")
	second := push("v2") // and the tag has moved
	hub, ok := world.Network["hub.example"].(*stemmatest.Registry)
	if !ok {
		t.Fatal("no registry")
	}
	_, digest, _ := strings.Cut(first, "@")
	_, other, _ := strings.Cut(second, "@")
	for _, c := range []struct {
		policy string
		code   int
		asked  bool // whether the registry was
		want   string
	}{
		{first, exitRefuse, true, "set version 1, "},
		{second, exitRefuse, true, "set version 2, "},
		{"oci://hub.example/acme/policy:stable@" + digest, exitRefuse, true, "set version 1, "},
		{"oci://hub.example/acme/policy:stable", exitUsage, false, "names no digest"},
		{"oci://hub.example/acme/policy", exitUsage, false, "names no digest"},
		{"oci://hub.example/acme/other@" + digest, exitUsage, true, "404"},
		{"oci://hub.example/acme/policy@sha256:" + strings.Repeat("0", 64), exitUsage, true, "404"},
		{"oci://hub.example/acme/policy@" + digest + ",@" + other, exitUsage, false, "digest"},
		{"http://hub.example/acme/policy@" + digest, exitUsage, false, "neither a file nor a published"},
		{"Http://hub.example/acme/policy@" + digest, exitUsage, false, "neither a file nor a published"},
		{"OCI://hub.example/acme/policy@" + digest, exitUsage, false, "neither a file nor a published"},
		{"oci:hub.example/acme/policy@" + digest, exitUsage, false, "neither a file nor a published"},
		{"hub.example/acme/policy@" + digest, exitUsage, false, "no such file"},
	} {
		hub.Requests() // those until now
		stdout, stderr, code := run("verify", "ghcr.io/acme/app:v2.0.0", "--policy", c.policy)
		if asked := len(hub.Requests()) > 0; code != c.code || asked != c.asked || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%s: exit %d, want %d; registry asked: %v, want %v\n%s%s", c.policy, code, c.code, asked, c.asked, stdout, stderr)
		}
	}
}
