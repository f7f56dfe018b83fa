package stemmatest_test

import (
	"encoding/hex"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"stemma"
	"stemma/stemmatest"
)

func newSigstore(t *testing.T) *stemmatest.Sigstore {
	t.Helper()
	s, err := stemmatest.NewSigstore(stemmatest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verifyBundle is sigstore-go's own verdict on a bundle, with a certificate timestamp, a log entry and a signed
// timestamp required.
func verifyBundle(t *testing.T, trustedRoot, data []byte, subject stemma.Digest) error {
	t.Helper()
	trust, err := root.NewTrustedRootFromJSON(trustedRoot)
	if err != nil {
		t.Fatalf("loading trusted root: %v", err)
	}
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(data); err != nil {
		return err
	}
	v, err := verify.NewVerifier(trust, verify.WithSignedCertificateTimestamps(1), verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := hex.DecodeString(subject.Hex())
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", sum), verify.WithoutIdentitiesUnsafe()))
	return err
}

func statement(d stemma.Digest) []byte {
	return []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"app","digest":{"sha256":"` + d.Hex() + `"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{}}`)
}

func TestBundlesVerify(t *testing.T) {
	s := newSigstore(t)
	image := stemma.SHA256([]byte("image"))
	id := stemmatest.GitHub{Repository: "acme/app"}
	for _, entry := range []stemmatest.EntryKind{stemmatest.EntryDSSE001, stemmatest.EntryInToto002, stemmatest.EntryHashedRekord002} {
		for _, mediaType := range []string{stemmatest.MediaTypeV01, stemmatest.MediaTypeV02, stemmatest.MediaTypeV03, stemmatest.MediaTypeV03Param} {
			if entry == stemmatest.EntryHashedRekord002 && mediaType == stemmatest.MediaTypeV01 {
				continue // v0.1 requires a promise, which a v2 log does not make
			}
			t.Run(string(entry)+" "+mediaType, func(t *testing.T) {
				x, err := s.Attest(stemmatest.Sign{As: id, Entry: entry, MediaType: mediaType}, statement(image))
				if err != nil {
					t.Fatal(err)
				}
				if err := verifyBundle(t, s.TrustedRoot(), x.Bundle(), image); err != nil {
					t.Error(err)
				}
				if err := verifyBundle(t, newSigstore(t).TrustedRoot(), x.Bundle(), image); err == nil {
					t.Error("verifies under another trusted root")
				}
			})
		}
	}
}
