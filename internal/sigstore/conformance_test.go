package sigstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stemma"
)

// conformanceReasons are the reasons for which the cases that must fail do. A case that is not here fails the test.
func conformanceReasons() map[string]stemma.Reason {
	return map[string]stemma.Reason{
		"bundle-from-wrong-instance_fail":                           stemma.ReasonSignerUnknown,
		"bundle-invalid-base64-signature_fail":                      stemma.ReasonMalformed,
		"bundle-malformed-json_fail":                                stemma.ReasonMalformed,
		"bundle-unknown-version_fail":                               stemma.ReasonUnsupported,
		"bundle-with-root-cert_fail":                                stemma.ReasonMalformed, // its proof has no checkpoint, either
		"dsse-invalid-sig_fail":                                     stemma.ReasonSignatureInvalid,
		"integrated-time-in-future_fail":                            stemma.ReasonCertificateTime,
		"intoto-expired-certificate_fail":                           stemma.ReasonCertificateTime,
		"intoto-missing-inclusion-proof_fail":                       stemma.ReasonLogInvalid,
		"intoto-set-outside-signing-cert-validity_fail":             stemma.ReasonCertificateTime,
		"intoto-tsa-timestamp-outside-cert-validity_fail":           stemma.ReasonCertificateTime,
		"invalid-checkpoint-signature_fail":                         stemma.ReasonLogInvalid,
		"invalid-ct-key_fail":                                       stemma.ReasonSCT,
		"managed-key-no-key_fail":                                   stemma.ReasonSignerUnknown,
		"message-digest-mismatch_fail":                              stemma.ReasonSignatureInvalid,
		"rekor2-checkpoint-missing-log-signature_fail":              stemma.ReasonLogInvalid,
		"rekor2-checkpoint-missing-origin_fail":                     stemma.ReasonLogInvalid,
		"rekor2-checkpoint-missing-root-hash_fail":                  stemma.ReasonLogInvalid,
		"rekor2-checkpoint-no-matching-signature_fail":              stemma.ReasonLogInvalid,
		"rekor2-dsse-mismatch-sig_fail":                             stemma.ReasonLogMismatch,
		"rekor2-no-timestamp_fail":                                  stemma.ReasonTimeMissing,
		"rekor2-timestamp-outside-trust-root-tsa-validity_fail":     stemma.ReasonTimestampInvalid,
		"rekor2-timestamp-outside-tsa-cert-validity_fail":           stemma.ReasonTimestampInvalid,
		"rekor2-timestamp-payload-mismatch_fail":                    stemma.ReasonTimestampInvalid,
		"rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail":    stemma.ReasonTimeMissing,
		"rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail": stemma.ReasonTimeMissing,
		"signature-mismatch_fail":                                   stemma.ReasonSignatureInvalid,
		"wrong-material_fail":                                       stemma.ReasonSubjectMismatch,
	}
}

// conformanceConfig are the cases in which it is the trusted material that is refused, and the words that say why. The
// wrong key of managed-key-wrong-key_fail is not a point of its curve.
func conformanceConfig() map[string]string {
	return map[string]string{
		"trust-root-tlog-missing-validity-start_fail": "validity period start",
		"managed-key-wrong-key_fail":                  "not on curve",
	}
}

// conformanceCase is one directory of sigstore-conformance, ready to be verified. A nil authenticator with an error
// is a trusted root that was refused.
func conformanceCase(t *testing.T, dir string) (a *Authenticator, err error) {
	root, e := os.ReadFile(filepath.Join(dir, "trusted_root.json"))
	custom := e == nil
	if !custom {
		root = publicGoodRoot(t)
	}
	domains := []DomainConfig{{Name: "certificates", TrustedRoot: root, Timestamp: None}}
	if key, e := os.ReadFile(filepath.Join(dir, "key.pub")); e == nil {
		domains = append(domains, DomainConfig{Name: "keys", TrustedRoot: root, Timestamp: None, Keys: []Key{{Name: "key.pub", PEM: key}}})
	}
	var made []*Domain
	for _, c := range domains {
		d, err := NewDomain(c)
		if err != nil {
			return nil, err
		}
		made = append(made, d)
	}
	return New(Config{Domains: made})
}

// TestConformance runs every case of sigstore-conformance with the artifact at hand and by its digest alone.
func TestConformance(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(corpus(t), "data/sigstore-conformance/test/assets/bundle-verify/*/bundle.sigstore.json"))
	if err != nil || len(dirs) == 0 {
		t.Fatal("no conformance cases in the corpus")
	}
	var accepted, refused int
	for _, file := range dirs {
		dir := filepath.Dir(file)
		name := filepath.Base(dir)
		bundle, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		artifact, err := os.ReadFile(filepath.Join(dir, "artifact"))
		if err != nil {
			if artifact, err = os.ReadFile(filepath.Join(dir, "..", "a.txt")); err != nil {
				t.Fatal(err)
			}
		}
		raw := stemma.Raw{Format: stemma.FormatBundle, Data: bundle, Place: "file"}
		for how, art := range map[string]Artifact{
			"artifact": {Digest: stemma.SHA256(artifact), Content: artifact},
			"digest":   {Digest: stemma.SHA256(artifact)},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				a, err := conformanceCase(t, dir)
				if !strings.HasSuffix(name, "_fail") {
					if err != nil {
						t.Fatal(err)
					}
					att := wantAccepted(t, a, raw, art)
					if len(att.SignedAt) == 0 || len(att.Log) == 0 {
						t.Errorf("no proven time or no log entry: %+v", att)
					}
					accepted++
					return
				}
				if err != nil {
					if want := conformanceConfig()[name]; want == "" || !strings.Contains(err.Error(), want) {
						t.Fatalf("configuration refused: %v, want %q", err, want)
					}
					refused++
					return
				}
				wantRejected(t, a, raw, art, conformanceReasons()[name])
				refused++
			})
		}
	}
	t.Logf("%d positives accepted, %d negatives refused, of %d cases two ways", accepted, refused, len(dirs))
}
