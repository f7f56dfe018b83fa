package oci

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"stemma"
)

// signedBy reports whether one of the envelope's signatures is by a key: over the type and the payload, as DSSE has it, or
// over the payload alone, as the older keys of Cloud Build signed.
func signedBy(t *testing.T, envelope []byte, key func(keyID string) *ecdsa.PublicKey) bool {
	t.Helper()
	var e struct {
		Payload     []byte `json:"payload"`
		PayloadType string `json:"payloadType"`
		Signatures  []struct {
			KeyID string `json:"keyid"`
			Sig   []byte `json:"sig"`
		} `json:"signatures"`
	}
	if err := stemma.DecodeJSON(envelope, &e); err != nil {
		t.Fatalf("what was written is no envelope: %v", err)
	}
	pae := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(e.Payload), e.Payload))
	bare := sha256.Sum256(e.Payload)
	for _, s := range e.Signatures {
		if k := key(s.KeyID); k != nil && (ecdsa.VerifyASN1(k, pae[:], s.Sig) || ecdsa.VerifyASN1(k, bare[:], s.Sig)) {
			return true
		}
	}
	return false
}

// TestCorpusGcloud: of every document of gcloud that independent scripts found to be signed by Cloud Build, what is read is
// signed still; of every other one nothing is.
func TestCorpusGcloud(t *testing.T) {
	dir := corpus(t)
	index, err := os.ReadFile(filepath.Join(dir, "index.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	key := func(keyID string) *ecdsa.PublicKey {
		// projects/verified-builder/locations/LOCATION/keyRings/attestor/cryptoKeys/NAME/cryptoKeyVersions/1
		_, at, _ := strings.Cut(keyID, "/locations/")
		location, _, _ := strings.Cut(at, "/")
		data, err := os.ReadFile(filepath.Join(dir, "data/slsa-verifier/verifiers/internal/gcb/keys/materials", path.Base(location)+".key"))
		if err != nil {
			return nil
		}
		block, _ := pem.Decode(data)
		if block == nil {
			t.Fatalf("%s: no key", location)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return parsed.(*ecdsa.PublicKey)
	}
	documents, held := 0, 0
	for line := range strings.Lines(string(index)) {
		var r struct {
			Format, Path string
			N            int `json:"n_provenance"`
			Verified     struct {
				Keys []struct{ OK any } `json:"gcb_keys"`
			} `json:"offline_verify"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			continue // records of another form
		}
		if r.Format != "gcloud-container-describe" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, r.Path))
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, k := range r.Verified.Keys {
			if k.OK == true {
				want++
			}
		}
		documents++
		raws, rejected := ReadEvidenceFile(filepath.Base(r.Path), data)
		got := 0
		if strings.Contains(r.Path, "-mismatch-text-") {
			// The signature holds, and the copy for people was changed.
			want = 0
			if len(rejected) != 1 || !strings.Contains(rejected[0].Detail, "the readable copy says") {
				t.Errorf("%s: rejected %+v", r.Path, rejected)
			}
		}
		for _, raw := range raws {
			if raw.Format != stemma.FormatDSSE {
				t.Errorf("%s: %s", r.Path, raw.Format)
			}
			if signedBy(t, raw.Data, key) {
				got++
			}
		}
		if len(raws)+len(rejected) != r.N || (got > 0) != (want > 0) {
			t.Errorf("%s: %d read of %d, %d of them signed, want %d; rejected %+v", r.Path, len(raws), r.N, got, want, rejected)
		}
		held += got
	}
	if documents < 20 || held < 10 {
		t.Errorf("only %d documents with %d signatures", documents, held)
	}
}

// TestCorpusPyPI: what an attestation of PyPI is written as is signed by the key of its certificate.
func TestCorpusPyPI(t *testing.T) {
	dir := corpus(t)
	files, err := filepath.Glob(filepath.Join(dir, "data/trailofbits_pypi-attestations/test/assets/*.attestation"))
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		raws, rejected := ReadEvidenceFile("f", data)
		if len(raws) != 1 || len(rejected) > 0 || raws[0].Format != stemma.FormatBundle {
			t.Errorf("%s: %+v %+v", filepath.Base(file), raws, rejected)
			continue
		}
		var b struct {
			MediaType string `json:"mediaType"`
			Material  struct {
				Certificate struct {
					Raw []byte `json:"rawBytes"`
				} `json:"certificate"`
				Entries []json.RawMessage `json:"tlogEntries"`
			} `json:"verificationMaterial"`
			Envelope json.RawMessage `json:"dsseEnvelope"`
		}
		if err := stemma.DecodeJSON(raws[0].Data, &b); err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(b.Material.Certificate.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Material.Entries) == 0 || !signedBy(t, b.Envelope, func(string) *ecdsa.PublicKey { return cert.PublicKey.(*ecdsa.PublicKey) }) {
			t.Errorf("%s: the signature is not that of the certificate", filepath.Base(file))
		}
	}
}

// TestCorpusLists: lists of npm and of GitHub's API hold as many bundles as they say.
func TestCorpusLists(t *testing.T) {
	dir := corpus(t)
	npm, err := filepath.Glob(filepath.Join(dir, "data/slsa-verifier/cli/slsa-verifier/testdata/npm/gha/*.json"))
	if err != nil || len(npm) < 9 {
		t.Fatalf("%d files, %v", len(npm), err)
	}
	for _, file := range append(npm, filepath.Join(dir, "data/carabiner-dev_collector/repository/github/testdata/output.json")) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			Attestations []struct{ Bundle json.RawMessage }
		}
		if err := json.Unmarshal(data, &list); err != nil {
			t.Fatal(err)
		}
		raws, rejected := ReadEvidenceFile("f", data)
		if len(raws) != len(list.Attestations) || len(raws) == 0 || len(rejected) > 0 {
			t.Errorf("%s: %d of %d, %+v", filepath.Base(file), len(raws), len(list.Attestations), rejected)
		}
		for i, raw := range raws {
			if raw.Format != stemma.FormatBundle || string(raw.Data) != string(list.Attestations[i].Bundle) {
				t.Errorf("%s: attestation %d is not what stands there", filepath.Base(file), i+1)
			}
		}
	}
}
