package stemmatest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"stemma"
	"stemma/stemmatest"
)

// cosignBundle is the annotation in which cosign keeps a log entry.
type cosignBundle struct {
	SignedEntryTimestamp []byte `json:"SignedEntryTimestamp"`
	Payload              struct {
		Body           []byte `json:"body"`
		IntegratedTime int64  `json:"integratedTime"`
		LogIndex       int64  `json:"logIndex"`
		LogID          string `json:"logID"`
	} `json:"Payload"`
}

// entry checks the promise in the annotation under the log's key and returns the entry.
func entry(t *testing.T, log *stemmatest.Log, annotation string) cosignBundle {
	t.Helper()
	var b cosignBundle
	check(t, stemma.DecodeJSON([]byte(annotation), &b))
	// RFC 8785 of the payload, written out by hand
	text := `{"body":"` + base64.StdEncoding.EncodeToString(b.Payload.Body) + `","integratedTime":` + jsonInt(b.Payload.IntegratedTime) +
		`,"logID":"` + b.Payload.LogID + `","logIndex":` + jsonInt(b.Payload.LogIndex) + `}`
	sum := sha256.Sum256([]byte(text))
	if !ecdsa.VerifyASN1(log.Key.Public().(*ecdsa.PublicKey), sum[:], b.SignedEntryTimestamp) {
		t.Error("the promise does not verify")
	}
	if b.Payload.LogID != hex.EncodeToString(log.ID()) {
		t.Errorf("log id %s", b.Payload.LogID)
	}
	return b
}

func jsonInt(n int64) string { b, _ := json.Marshal(n); return string(b) }

func TestCosignAttestation(t *testing.T) {
	s := newSigstore(t)
	identity := stemmatest.SLSAGenerator(job(), "v2.0.0")
	statement := stemmatest.SLSAGeneratorContainer(identity, stemmatest.Subject("ghcr.io/acme/app", imageDigest()))
	x := must[*stemmatest.Signed](t)(s.Attest(stemmatest.Sign{As: identity, Entry: stemmatest.EntryInToto001, MediaType: stemmatest.MediaTypeDSSE}, statement.JSON()))
	l := must[stemmatest.Layer](t)(x.CosignAttestation())

	if l.MediaType != "application/vnd.dsse.envelope.v1+json" || l.Annotations["predicateType"] != "https://slsa.dev/provenance/v0.2" {
		t.Errorf("layer %s with predicateType %q", l.MediaType, l.Annotations["predicateType"])
	}
	if sig, ok := l.Annotations["dev.cosignproject.cosign/signature"]; !ok || sig != "" {
		t.Error("the signature annotation must be there and empty")
	}
	certs, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(l.Annotations["dev.sigstore.cosign/certificate"]))
	check(t, err)
	chain, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(l.Annotations["dev.sigstore.cosign/chain"]))
	check(t, err)
	if len(certs) != 1 || len(chain) != 2 || certs[0].CheckSignatureFrom(chain[0]) != nil || chain[0].CheckSignatureFrom(chain[1]) != nil {
		t.Error("certificate and chain do not hold")
	}
	var env dsse.Envelope
	check(t, json.Unmarshal(l.Data, &env))
	payload := must[[]byte](t)(env.DecodeB64Payload())
	sig := must[[]byte](t)(base64.StdEncoding.DecodeString(env.Signatures[0].Sig))
	sum := sha256.Sum256(dsse.PAE(env.PayloadType, payload))
	if !ecdsa.VerifyASN1(certs[0].PublicKey.(*ecdsa.PublicKey), sum[:], sig) {
		t.Error("the signature does not verify")
	}

	b := entry(t, s.Rekor, l.Annotations["dev.sigstore.cosign/bundle"])
	var body struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       struct {
			Content struct {
				Hash        struct{ Value string } `json:"hash"`
				PayloadHash struct{ Value string } `json:"payloadHash"`
			} `json:"content"`
			PublicKey []byte `json:"publicKey"`
		} `json:"spec"`
	}
	check(t, json.Unmarshal(b.Payload.Body, &body))
	if body.Kind != "intoto" || body.APIVersion != "0.0.1" {
		t.Errorf("entry of kind %s %s", body.Kind, body.APIVersion)
	}
	if got, want := body.Spec.Content.Hash.Value, stemma.SHA256(l.Data).Hex(); got != want {
		t.Errorf("entry has envelope hash %s, want %s", got, want)
	}
	if got, want := body.Spec.Content.PayloadHash.Value, stemma.SHA256(payload).Hex(); got != want {
		t.Errorf("entry has payload hash %s, want %s", got, want)
	}
	if !bytes.Equal(body.Spec.PublicKey, []byte(l.Annotations["dev.sigstore.cosign/certificate"])) {
		t.Error("entry has another certificate")
	}
	if got := time.Unix(b.Payload.IntegratedTime, 0); !got.Equal(s.Now) {
		t.Errorf("integrated at %s", got)
	}

	// The timestamp of an attestation is over the layer.
	verifyTimestamp(t, s, l, l.Data)
	if raw := l.Raw("tag", imageDigest()); raw.Format != stemma.FormatDSSE || raw.Of != imageDigest() {
		t.Errorf("raw evidence %s of %s", raw.Format, raw.Of)
	}
}

func TestCosignSignature(t *testing.T) {
	s := newSigstore(t)
	payload := stemmatest.SimpleSigning("ghcr.io/acme/app", imageDigest())
	x := must[*stemmatest.Signed](t)(s.SignMessage(stemmatest.Sign{As: job()}, payload))
	l := must[stemmatest.Layer](t)(x.CosignSignature())
	j, err := stemma.ParseJSON(l.Data)
	check(t, err)
	if got := j.At("critical", "image", "docker-manifest-digest").Text(); got != string(imageDigest()) {
		t.Errorf("payload names %s", got)
	}
	sig := must[[]byte](t)(base64.StdEncoding.DecodeString(l.Annotations["dev.cosignproject.cosign/signature"]))
	certs, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(l.Annotations["dev.sigstore.cosign/certificate"]))
	check(t, err)
	sum := sha256.Sum256(l.Data)
	if !ecdsa.VerifyASN1(certs[0].PublicKey.(*ecdsa.PublicKey), sum[:], sig) {
		t.Error("the signature does not verify")
	}
	b := entry(t, s.Rekor, l.Annotations["dev.sigstore.cosign/bundle"])
	body, err := stemma.ParseJSON(b.Payload.Body)
	check(t, err)
	if body.At("kind").Text() != "hashedrekord" || body.At("spec", "data", "hash", "value").Text() != hex.EncodeToString(sum[:]) {
		t.Errorf("entry %s", b.Payload.Body)
	}
	verifyTimestamp(t, s, l, sig)
	if raw := l.Raw("tag", imageDigest()); raw.Format != stemma.FormatSimpleSigning {
		t.Errorf("raw evidence %s", raw.Format)
	}
	if _, err := x.CosignAttestation(); err == nil {
		t.Error("a signature is stored as an attestation")
	}
}

func verifyTimestamp(t *testing.T, s *stemmatest.Sigstore, l stemmatest.Layer, message []byte) {
	t.Helper()
	var stamp struct{ SignedRFC3161Timestamp []byte }
	check(t, json.Unmarshal([]byte(l.Annotations["dev.sigstore.cosign/rfc3161timestamp"]), &stamp))
	trust := must[*root.TrustedRoot](t)(root.NewTrustedRootFromJSON(s.TrustedRoot()))
	got := must[*root.Timestamp](t)(trust.TimestampingAuthorities()[0].Verify(stamp.SignedRFC3161Timestamp, message))
	if !got.Time.Equal(s.Now) || got.URI != s.TSA.URL {
		t.Errorf("timestamp of %s by %s", got.Time, got.URI)
	}
}

func TestSeveralSigners(t *testing.T) {
	a := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "a"))
	b := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.Ed25519, "b"))
	env := must[*stemmatest.Envelope](t)(stemmatest.Seal(stemmatest.PayloadTypeInToto, provenance(), a, b))
	if len(env.Signatures) != 2 {
		t.Fatalf("%d signatures", len(env.Signatures))
	}
	for i, key := range []*stemmatest.Signer{a, b} {
		v, err := loadVerifier(key)
		check(t, err)
		for j, sig := range env.Signatures {
			err := v.VerifySignature(bytes.NewReader(sig.Sig), bytes.NewReader(env.PAE()))
			if (err == nil) != (i == j) {
				t.Errorf("signature %d with key %s: %v", j, key.Hint, err)
			}
		}
	}
}
