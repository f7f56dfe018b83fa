package sigstore

import (
	"testing"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"stemma"
)

// benchBundle is a public-good bundle v0.3 of actions/attest, and its subject.
func benchBundle(b *testing.B) (stemma.Raw, Artifact) {
	data := load(b, "data/cli_cli/pkg/cmd/attestation/test/data/reusable-workflow-attestation.sigstore.json")
	raw := stemma.Raw{Format: stemma.FormatBundle, Data: data, Place: "file"}
	e, ref := read(raw)
	if ref != nil {
		b.Fatal(ref.detail)
	}
	s, err := stemma.ParseStatement(e.payload)
	if err != nil {
		b.Fatal(err)
	}
	return raw, Artifact{Digest: stemma.Digest("sha256:" + s.Subject[0].Digest["sha256"])}
}

func BenchmarkAuthenticateCold(b *testing.B) {
	raw, art := benchBundle(b)
	a := authenticator(b, publicGood(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, rej := a.Authenticate(raw, art); rej != nil {
			b.Fatal(rej.Detail)
		}
	}
}

func BenchmarkAuthenticateCached(b *testing.B) {
	raw, art := benchBundle(b)
	a := must[*Authenticator](b)(New(Config{Domains: []*Domain{publicGood(b)}, CacheEntries: 16}))
	b.ReportAllocs()
	for b.Loop() {
		if _, rej := a.Authenticate(raw, art); rej != nil {
			b.Fatal(rej.Detail)
		}
	}
}

// BenchmarkSigstoreGoVerify is the measure for BenchmarkAuthenticateCold: the same bundle under the same requirements.
func BenchmarkSigstoreGoVerify(b *testing.B) {
	raw, art := benchBundle(b)
	tr := must[*root.TrustedRoot](b)(root.NewTrustedRootFromJSON(publicGoodRoot(b)))
	v := must[*verify.Verifier](b)(verify.NewVerifier(tr, verify.WithSignedCertificateTimestamps(1), verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1)))
	digest := must[[]byte](b)(hexDecode(art.Digest.Hex()))
	b.ReportAllocs()
	for b.Loop() {
		var bun bundle.Bundle
		if err := bun.UnmarshalJSON(raw.Data); err != nil {
			b.Fatal(err)
		}
		if _, err := v.Verify(&bun, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest), verify.WithoutIdentitiesUnsafe())); err != nil {
			b.Fatal(err)
		}
	}
}
