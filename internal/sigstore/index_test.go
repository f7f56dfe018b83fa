package sigstore

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stemma"
)

// record is one line of index.jsonl, as far as it says something about signatures.
type record struct {
	ID, Family, Path, Format string
	Expected                 string
	SAN                      []string          `json:"cert_san"`
	Times                    []string          `json:"verified_timestamps"` // "Tlog@2024-09-11T19:19:03Z"
	Claims                   map[string]string `json:"fulcio_claims"`
	Facts                    struct {
		PredicateType string
		Subjects      []struct{ Name, Alg, Digest string }
	}
}

// records are the signed ones of the families that images and their builders use.
func records(t *testing.T) []record {
	t.Helper()
	var out []record
	s := bufio.NewScanner(bytes.NewReader(load(t, "index.jsonl")))
	s.Buffer(nil, 8<<20)
	for s.Scan() {
		var head struct {
			Family string
			Signed bool
		}
		if err := json.Unmarshal(s.Bytes(), &head); err != nil {
			t.Fatalf("%v in %.200s", err, s.Text())
		}
		switch {
		case !head.Signed:
			continue
		case strings.HasPrefix(head.Family, "gha-"), head.Family == "bcr-gh-attest", head.Family == "gh-attest", head.Family == "sigstore-bundles":
		default:
			continue
		}
		var r record
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			t.Fatalf("%v in %.200s", err, s.Text())
		}
		out = append(out, r)
	}
	return out
}

// indexDisagrees are the records of which the index says "signature valid" and which are refused, and why the bytes
// agree with that.
func indexDisagrees() map[string]stemma.Reason {
	return map[string]stemma.Reason{
		// The index tried one set of requirements after the other and took the mildest: a timestamp, no log. The entries in
		// these bundles are of a trusted log and about another envelope and another signature, as their names say.
		"bundle.dsse.rekor-v2.mismatched-envelope.sigstore":  stemma.ReasonLogMismatch,
		"bundle.dsse.rekor-v2.mismatched-signature.sigstore": stemma.ReasonLogMismatch,
		// A key on P-384 that signed a SHA-256 digest. sigstore-go tries a second hash for such keys; the algorithm
		// registry of the client specification knows P-384 with SHA-384 only (case A23).
		"sigstore-python/test/assets/bundle.txt.sigstore": stemma.ReasonAlgorithm,
	}
}

// indexRefused are the records that the index does not call valid, by the end of their path.
func indexRefused() map[string]stemma.Reason {
	return map[string]stemma.Reason{
		"bundle-missing-cert.jsonl":                     stemma.ReasonMalformed,
		"sigstoreBundle-invalid-signature.json":         stemma.ReasonSignatureInvalid,
		"examples/bundle-publish.json":                  stemma.ReasonSignerUnknown, // npm's key, which no domain has
		"othername.sigstore.json":                       stemma.ReasonSignerUnknown, // a private Fulcio
		"public-key-validity.sigstore.json":             stemma.ReasonSignerUnknown,
		"bundle-no-digest.sigstore":                     stemma.ReasonMalformed,
		"bundle-with-bad-checkpoint-signature.sigstore": stemma.ReasonLogInvalid,
		"bundle-with-expired-cert.sigstore":             stemma.ReasonCertificateTime,
		"bundle-with-wrong-tlog-entry.sigstore":         stemma.ReasonLogMismatch,
		"bundle.dsse.rekor-v2.bad-entry-type.sigstore":  stemma.ReasonUnsupported,
		"bundle.v2.no.inclusion.sigstore":               stemma.ReasonLogInvalid,
		"bundle_cve_2022_36056.txt.sigstore":            stemma.ReasonLogMismatch,
		"bundle_invalid_version.txt.sigstore":           stemma.ReasonUnsupported,
		"bundle_no_cert_v1.txt.sigstore":                stemma.ReasonMalformed,
		"bundle_no_checkpoint.txt.sigstore":             stemma.ReasonMalformed,
		"bundle_no_log_entry.txt.sigstore":              stemma.ReasonAlgorithm, // P-384 with SHA-256, too
		"bundle_v3_no_signed_time.txt.sigstore.json":    stemma.ReasonTimeMissing,
	}
}

func byEnd(table map[string]stemma.Reason, path string) stemma.Reason {
	for end, reason := range table {
		if strings.HasSuffix(path, end) {
			return reason
		}
	}
	return ""
}

// want is the reason for which a record must be refused, "" for none.
func (r record) want(t *testing.T, data []byte) stemma.Reason {
	if reason := byEnd(indexDisagrees(), r.Path); reason != "" {
		return reason
	}
	if r.Expected == "signature valid" {
		return ""
	}
	if r.Format == "dsse" {
		// Envelopes of the generators without annotations beside them: with their certificate in them there is no log
		// entry, and without it there is no signer.
		if bytes.Contains(data, []byte(`"cert":"-----BEGIN CERTIFICATE-----`)) {
			return stemma.ReasonLogMissing
		}
		return stemma.ReasonSignerUnknown
	}
	reason := byEnd(indexRefused(), r.Path)
	if reason == "" {
		t.Fatalf("the index does not say that %s is valid, and the test not why not", r.Path)
	}
	return reason
}

// artifact is what the record's evidence is about: the first subject of the statement, or the message.
func (r record) artifact(raw stemma.Raw) Artifact {
	if len(r.Facts.Subjects) > 0 {
		return Artifact{Digest: stemma.Digest(r.Facts.Subjects[0].Alg + ":" + r.Facts.Subjects[0].Digest)}
	}
	if e, _ := read(raw); e != nil && e.kind == isMessage {
		return Artifact{Digest: stemma.Digest(digestAlgorithm(e.hash) + ":" + hex.EncodeToString(e.digest))}
	}
	return Artifact{Digest: stemma.SHA256(nil)}
}

func TestIndex(t *testing.T) {
	a := authenticator(t, publicGood(t), gitHub(t), stagingDomain(t))
	accepted, refused, other := 0, 0, 0
	for _, r := range records(t) {
		format := stemma.FormatDSSE
		switch {
		case strings.HasPrefix(r.Format, "sigstore-bundle"):
			format = stemma.FormatBundle
		case r.Format != "dsse": // layouts, whose layers TestContainers reads, and TUF metadata
			other++
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(corpus(t), r.Path))
			if err != nil {
				t.Fatal(err)
			}
			raw := stemma.Raw{Format: format, Data: data, Place: "file"}
			art := r.artifact(raw)
			if want := r.want(t, data); want != "" {
				refused++
				wantRejected(t, a, raw, art, want)
				return
			}
			accepted++
			att := wantAccepted(t, a, raw, art)
			r.compare(t, att)
			reason := stemma.ReasonSubjectMismatch
			if att.Statement.Type == "" && art.Digest.Algorithm() != "sha256" {
				reason = stemma.ReasonAlgorithm // signs a SHA-384 digest: nothing to compare with
			}
			wantRejected(t, a, raw, Artifact{Digest: stemma.SHA256([]byte("something else"))}, reason)
		})
	}
	t.Logf("%d accepted, %d refused, %d records that are no envelopes", accepted, refused, other)
	if accepted < 70 || refused < 100 {
		t.Error("fewer records than the corpus was known to have")
	}
}

// compare holds an attestation to what independent scripts read in the same bytes.
func (r record) compare(t *testing.T, a *stemma.Attestation) {
	t.Helper()
	if len(r.SAN) != 1 || a.Signer.Subject != r.SAN[0] {
		t.Errorf("signer %q, the index says %q", a.Signer.Subject, r.SAN)
	}
	if r.Facts.PredicateType != a.Statement.PredicateType {
		t.Errorf("predicate type %q, the index says %q", a.Statement.PredicateType, r.Facts.PredicateType)
	}
	for name, want := range r.Claims {
		got := a.Signer.Claims[name]
		switch name {
		case "subjectAlternativeName":
			got = a.Signer.Subject
		case "issuer":
			got = a.Signer.Issuer
		}
		if got != want {
			t.Errorf("claim %s is %q, the index says %q", name, got, want)
		}
	}
	for _, text := range r.Times {
		by, at, _ := strings.Cut(text, "@")
		want, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		source := map[string]string{"Tlog": "log", "TimestampAuthority": "timestamp"}[by]
		found := false
		for _, s := range a.SignedAt {
			found = found || s.By == source && s.Time.Equal(want)
		}
		if !found {
			t.Errorf("signed at %v, the index says %s", a.SignedAt, text)
		}
	}
}
