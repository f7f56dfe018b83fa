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
