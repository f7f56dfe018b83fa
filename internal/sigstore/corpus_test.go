package sigstore

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"stemma"
)

// corpusDir is the directory of real evidence that is kept outside of the repository.
func corpusDir() (string, bool) {
	dir := os.Getenv("STEMMA_CORPUS")
	if dir == "" {
		at, err := os.Getwd()
		for err == nil && at != filepath.Dir(at) {
			if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
				dir = filepath.Join(at, "..", "shared", "corpus")
				break
			}
			at = filepath.Dir(at)
		}
	}
	_, err := os.Stat(filepath.Join(dir, "index.jsonl"))
	return dir, err == nil
}

func corpus(t testing.TB) string {
	t.Helper()
	dir, ok := corpusDir()
	if !ok {
		if os.Getenv("STEMMA_REQUIRE_CORPUS") == "1" {
			t.Fatal("corpus not found; set STEMMA_CORPUS")
		}
		t.Skip("corpus not found; set STEMMA_CORPUS")
	}
	return dir
}

func load(t testing.TB, elem ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{corpus(t)}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func one(t testing.TB, pattern string) []byte {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(corpus(t), pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no file %s in the corpus", pattern)
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func publicGoodRoot(t testing.TB) []byte {
	return load(t, "data/sigstore_root-signing/targets/trusted_root.json")
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func publicGood(t testing.TB) *Domain { return must[*Domain](t)(PublicGood(publicGoodRoot(t))) }

func stagingDomain(t testing.TB) *Domain {
	root := one(t, "data/sigstore_sigstore-python/sigstore/_store/*sigstage.dev/trusted_root.json")
	return must[*Domain](t)(NewDomain(DomainConfig{Name: "staging", TrustedRoot: root, Timestamp: None}))
}

func gitHub(t testing.TB) *Domain {
	return must[*Domain](t)(GitHub(load(t, "data/carabiner-dev_signer/sigstore/roots/github.trusted_root.json")))
}

func authenticator(t testing.TB, domains ...*Domain) *Authenticator {
	return must[*Authenticator](t)(New(Config{Domains: domains}))
}

// wantRejected fails unless the evidence is refused for the reason.
func wantRejected(t *testing.T, a *Authenticator, raw stemma.Raw, art Artifact, want stemma.Reason) {
	t.Helper()
	att, rej := a.Authenticate(raw, art)
	if att != nil || rej == nil {
		t.Fatalf("accepted as signed by %s, want a rejection for %s", att.Signer, want)
	}
	if rej.Reason != want {
		t.Errorf("rejected for %s (%s), want %s", rej.Reason, rej.Detail, want)
	}
	if rej.Detail == "" || rej.Bundle != raw.ID() {
		t.Errorf("rejection lacks its detail or its bundle: %+v", rej)
	}
}

func wantAccepted(t *testing.T, a *Authenticator, raw stemma.Raw, art Artifact) *stemma.Attestation {
	t.Helper()
	att, rej := a.Authenticate(raw, art)
	if rej != nil || att == nil {
		t.Fatalf("rejected for %s: %s", rej.Reason, rej.Detail)
	}
	return att
}

// layers yields the layers of the attestation manifests in a layout, as they are found in a registry.
func layers(t testing.TB, dir string) []stemma.Raw {
	t.Helper()
	type descriptor struct {
		MediaType   string            `json:"mediaType"`
		Digest      stemma.Digest     `json:"digest"`
		Annotations map[string]string `json:"annotations"`
	}
	type manifest struct {
		Layers    []descriptor `json:"layers"`
		Manifests []descriptor `json:"manifests"`
	}
	blob := func(d stemma.Digest) []byte {
		b, err := os.ReadFile(filepath.Join(dir, "blobs", d.Algorithm(), d.Hex()))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var index manifest
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err == nil {
		err = json.Unmarshal(b, &index)
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []stemma.Raw
	for _, d := range index.Manifests {
		var m manifest
		if err := json.Unmarshal(blob(d.Digest), &m); err != nil {
			t.Fatal(err)
		}
		for _, l := range m.Layers {
			if l.MediaType == "application/vnd.dsse.envelope.v1+json" {
				out = append(out, stemma.Raw{Format: stemma.FormatDSSE, Data: blob(l.Digest), Annotations: l.Annotations, Place: "layout"})
			}
		}
	}
	return out
}

func hexDecode(s string) ([]byte, error) { return hex.DecodeString(s) }
