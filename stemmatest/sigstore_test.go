package stemmatest_test

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

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

// must is for the steps of a test that always succeed.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// verifier asks sigstore-go for its verdict. Its zero value requires a certificate timestamp, one log entry and one
// proven time.
type verifier struct {
	trust []byte
	key   *stemmatest.Signer // a managed key: no certificate timestamp
	logs  int
}

func (v verifier) verify(t *testing.T, data []byte, subject stemma.Digest) error {
	t.Helper()
	trust, err := root.NewTrustedRootFromJSON(v.trust)
	if err != nil {
		t.Fatalf("loading trusted root: %v", err)
	}
	var material root.TrustedMaterial = trust
	options := []verify.VerifierOption{verify.WithTransparencyLog(max(v.logs, 1)), verify.WithObserverTimestamps(1)}
	policy := []verify.PolicyOption{verify.WithoutIdentitiesUnsafe()}
	if v.key == nil {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	} else {
		sv, err := loadVerifier(v.key)
		if err != nil {
			t.Fatal(err)
		}
		keys := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
			return root.NewExpiringKey(sv, time.Time{}, time.Time{}), nil
		})
		material = root.TrustedMaterialCollection{trust, keys}
		policy = []verify.PolicyOption{verify.WithKey()}
	}
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(data); err != nil {
		return err
	}
	sv, err := verify.NewVerifier(material, options...)
	if err != nil {
		t.Fatal(err)
	}
	sum := must[[]byte](t)(hex.DecodeString(subject.Hex()))
	_, err = sv.Verify(b, verify.NewPolicy(verify.WithArtifactDigest(subject.Algorithm(), sum), policy...))
	return err
}

func imageDigest() stemma.Digest { return stemma.SHA256([]byte("image")) }

func provenance() []byte {
	return stemmatest.ActionsAttest(job(), stemmatest.Subject("ghcr.io/acme/app", imageDigest())).JSON()
}

func job() stemmatest.GitHub {
	return stemmatest.GitHub{Repository: "acme/app", Ref: "refs/tags/v2.0.0", Builder: "trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.3"}
}

func TestBundlesVerify(t *testing.T) {
	s := newSigstore(t)
	other := newSigstore(t).TrustedRoot()
	for _, entry := range []stemmatest.EntryKind{stemmatest.EntryDSSE001, stemmatest.EntryInToto002, stemmatest.EntryHashedRekord002} {
		for _, mediaType := range []string{stemmatest.MediaTypeV01, stemmatest.MediaTypeV02, stemmatest.MediaTypeV03, stemmatest.MediaTypeV03Param} {
			if entry == stemmatest.EntryHashedRekord002 && mediaType == stemmatest.MediaTypeV01 {
				continue // v0.1 requires a promise, which a v2 log does not make
			}
			t.Run(string(entry)+" "+mediaType, func(t *testing.T) {
				x := must[*stemmatest.Signed](t)(s.Attest(stemmatest.Sign{As: job(), Entry: entry, MediaType: mediaType}, provenance()))
				if err := (verifier{trust: s.TrustedRoot()}).verify(t, x.Bundle(), imageDigest()); err != nil {
					t.Error(err)
				}
				if err := (verifier{trust: other}).verify(t, x.Bundle(), imageDigest()); err == nil {
					t.Error("verifies under the trusted root of another instance")
				}
				if err := (verifier{trust: s.TrustedRoot()}).verify(t, x.Bundle(), stemma.SHA256([]byte("other"))); err == nil {
					t.Error("verifies for another image")
				}
			})
		}
	}
}

// The public v2 logs sign their checkpoints with Ed25519.
func TestTiledLogWithEd25519(t *testing.T) {
	s := newSigstore(t)
	s.Tiles.Key = must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.Ed25519, "")).Key
	x := must[*stemmatest.Signed](t)(s.Attest(stemmatest.Sign{As: job(), Entry: stemmatest.EntryHashedRekord002}, provenance()))
	if err := (verifier{trust: s.TrustedRoot()}).verify(t, x.Bundle(), imageDigest()); err != nil {
		t.Error(err)
	}
	s.Tiles.Key = must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.Ed25519, "")).Key
	if err := (verifier{trust: s.TrustedRoot()}).verify(t, x.Bundle(), imageDigest()); err == nil {
		t.Error("verifies under another log key")
	}
}

func TestMessageSignaturesVerify(t *testing.T) {
	s := newSigstore(t)
	for _, entry := range []stemmatest.EntryKind{stemmatest.EntryHashedRekord001, stemmatest.EntryHashedRekord002} {
		x := must[*stemmatest.Signed](t)(s.SignMessage(stemmatest.Sign{As: job(), Entry: entry}, []byte("image")))
		if err := (verifier{trust: s.TrustedRoot()}).verify(t, x.Bundle(), imageDigest()); err != nil {
			t.Errorf("%s: %v", entry, err)
		}
		x.Message = []byte("other")
		if err := (verifier{trust: s.TrustedRoot()}).verify(t, x.Bundle(), stemma.SHA256([]byte("other"))); err == nil {
			t.Errorf("%s: verifies for other bytes", entry)
		}
	}
}

func TestManagedKeysVerify(t *testing.T) {
	s := newSigstore(t)
	for _, alg := range []stemmatest.Algorithm{stemmatest.ECDSAP256, stemmatest.ECDSAP384, stemmatest.ECDSAP521, stemmatest.RSA2048, stemmatest.Ed25519} {
		t.Run(string(alg), func(t *testing.T) {
			key := must[*stemmatest.Signer](t)(stemmatest.NewKey(alg, "builder-1"))
			x := must[*stemmatest.Signed](t)(s.Attest(stemmatest.Sign{With: key}, provenance()))
			if !bytes.Contains(x.Bundle(), []byte(`"publicKey":{"hint":"builder-1"}`)) {
				t.Error("the bundle does not name the key")
			}
			if err := (verifier{trust: s.TrustedRoot(), key: key}).verify(t, x.Bundle(), imageDigest()); err != nil {
				t.Error(err)
			}
			wrong := must[*stemmatest.Signer](t)(stemmatest.NewKey(alg, "builder-1"))
			if err := (verifier{trust: s.TrustedRoot(), key: wrong}).verify(t, x.Bundle(), imageDigest()); err == nil {
				t.Error("verifies with another key of the same name")
			}
		})
	}
}

// Each case spoils one part of a bundle that verifies, and sigstore-go names that part in its refusal.
func TestSpoiledParts(t *testing.T) {
	type edit func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed)
	another := func(t *testing.T, s *stemmatest.Sigstore, o stemmatest.Sign) *stemmatest.Signed {
		if o.As == nil && o.With == nil {
			o.As = job()
		}
		return must[*stemmatest.Signed](t)(s.Attest(o, []byte(strings.Replace(string(provenance()), "push", "workflow_dispatch", 1))))
	}
	retime := func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
		x.Timestamps = nil
		check(t, x.Timestamp(s.TSA, s.Now))
	}
	relog := func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
		x.Entries = nil
		check(t, x.Log(s.Rekor, stemmatest.EntryDSSE001, s.Now))
	}
	tsaUsage := func(critical bool, usages ...int) edit {
		return func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			s.TSA = must[*stemmatest.TSA](t)(s.TSA.WithUsage(s.TSARoot, critical, usages...))
			x.Entries[0].SET = nil // leaves the timestamp as the only proof of time
			retime(t, s, x)
		}
	}
	cases := []struct {
		name string
		edit edit
		want string // part of sigstore-go's error
		sign stemmatest.Sign
		logs int
	}{
		{name: "entry of another signature by the same key", want: "transparency log signature does not match", edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Entries = another(t, s, stemmatest.Sign{With: x.Signer}).Entries
		}},
		{name: "second valid signature by the same key", want: "transparency log signature does not match", edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			check(t, x.Resign())
			retime(t, s, x)
		}},
		{name: "entry with another certificate of the same key", want: "transparency log certificate does not match", edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			cert := job().Certificate()
			cert.Key = x.Signer.Key
			twin := *x
			twin.Signer, twin.Entries = must[*stemmatest.Signer](t)(s.Certify(cert, s.Now)), nil
			relog(t, s, &twin)
			x.Entries = twin.Entries
		}},
		{name: "entry with the payload hash of another", want: "payload hash", edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			env := *x.Envelope
			env.Payload = []byte("{}")
			e, err := s.Rekor.Append(stemmatest.EntryDSSE001, stemmatest.Content{Signer: x.Signer, Envelope: &env}, s.Now)
			check(t, err)
			x.Entries = []*stemmatest.Entry{e}
		}},
		{name: "garbage promise", want: "not enough verified log entries", edit: func(_ *testing.T, _ *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Entries[0].SET = []byte("garbage")
		}},
		{name: "no promise", sign: stemmatest.Sign{MediaType: stemmatest.MediaTypeV01}, want: "inclusion promises missing", edit: func(_ *testing.T, _ *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Entries[0].SET = nil
		}},
		{name: "integrated time changed after the promise", want: "not enough verified log entries", edit: func(_ *testing.T, _ *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Entries[0].Time++
		}},
		{name: "no proof", want: "inclusion proof missing", edit: func(_ *testing.T, _ *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Entries[0].Proof = nil
		}},
		{name: "proof for another root", want: "does not match expected root", edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			p := x.Entries[0].Proof
			p.Root = bytes.Repeat([]byte{1}, 32)
			p.Checkpoint = must[string](t)(s.Rekor.Checkpoint(p.Size, p.Root))
		}},
		{name: "checkpoint signed by a witness only", want: "signature on checkpoint did not verify", edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			key := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, ""))
			text, _, _ := strings.Cut(x.Entries[0].Proof.Checkpoint, "\n\n")
			x.Entries[0].Proof.Checkpoint = must[string](t)(stemmatest.SignNote(text+"\n", stemmatest.NoteSigner{Name: "witness.test", Key: key.Key}))
		}},
		{name: "v2 checkpoint of another origin", want: "verifying log entry", sign: stemmatest.Sign{Entry: stemmatest.EntryHashedRekord002}, edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			p := x.Entries[0].Proof
			s.Tiles.Origin = "other.rekor.sigstore.test"
			p.Checkpoint = must[string](t)(s.Tiles.Checkpoint(p.Size, p.Root))
		}},
		{name: "v2 entry of another signature", want: "verifying inclusion", sign: stemmatest.Sign{Entry: stemmatest.EntryHashedRekord002}, edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Entries = another(t, s, stemmatest.Sign{With: x.Signer, Entry: stemmatest.EntryHashedRekord002}).Entries
		}},
		{name: "entry in a log that is not trusted", want: "not enough verified log entries", edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Entries = nil
			check(t, x.Log(newSigstore(t).Rekor, stemmatest.EntryDSSE001, s.Now))
		}},
		{name: "two entries of one log", logs: 2, want: "not enough verified log entries", edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			check(t, x.Log(s.Rekor, stemmatest.EntryDSSE001, s.Now))
		}},
		{name: "one entry twice", want: "duplicate tlog entries", edit: func(_ *testing.T, _ *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Entries = append(x.Entries, x.Entries[0])
		}},
		{name: "signed after the certificate expired", want: "integrated time outside certificate validity", edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			s.Now = s.Now.Add(time.Hour)
			relog(t, s, x)
			retime(t, s, x)
		}},
		{name: "timestamp over another signature", want: "hashed messages don't match", edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Entries[0].SET = nil
			x.Timestamps = another(t, s, stemmatest.Sign{}).Timestamps
		}},
		{name: "timestamp signer without usage", want: "must set EKU to critical", edit: tsaUsage(true)},
		{name: "timestamp signer with uncritical usage", want: "must set EKU to critical", edit: tsaUsage(false, stemmatest.UsageTimeStamping)},
		{name: "timestamp signer with a second usage", want: "2 extended key usages", edit: tsaUsage(true, stemmatest.UsageTimeStamping, stemmatest.UsageServerAuth)},
		{name: "timestamp by a signer without usage behind a decoy", want: "does not match the provided TSA certificate", edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			rogue := must[*stemmatest.TSA](t)(s.TSA.WithUsage(s.TSARoot, true))
			rogue.Embed = []*x509.Certificate{s.TSA.Signer.Certificate, rogue.Signer.Certificate}
			x.Entries[0].SET, x.Timestamps = nil, nil
			check(t, x.Timestamp(rogue, s.Now))
		}},
		{name: "signature over the payload without its encoding", want: "could not verify envelope", edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Envelope.Signatures[0].Sig = must[[]byte](t)(x.Signer.Sign(x.Envelope.Payload))
			relog(t, s, x)
			retime(t, s, x)
		}},
		{name: "payload type changed after signing", want: "could not verify envelope", edit: func(t *testing.T, s *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Envelope.PayloadType = "application/json"
			relog(t, s, x)
		}},
		{name: "two signatures", want: "exactly one signature", edit: func(t *testing.T, _ *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Envelope.Signatures = append(x.Envelope.Signatures, stemmatest.Signature{Sig: []byte("garbage")})
		}},
		{name: "chain of none", sign: stemmatest.Sign{MediaType: stemmatest.MediaTypeV02}, want: "missing verification material", edit: func(_ *testing.T, _ *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Chain = []*x509.Certificate{}
		}},
		{name: "chain with root in v0.3", want: "cannot be X.509 certificate chain", edit: func(_ *testing.T, _ *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.Chain = append([]*x509.Certificate{x.Signer.Certificate}, x.Signer.Chain...)
		}},
		{name: "media type of an unknown version", want: "not yet supported", edit: func(_ *testing.T, _ *stemmatest.Sigstore, x *stemmatest.Signed) {
			x.MediaType = "application/vnd.dev.sigstore.bundle.v0.4+json"
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSigstore(t)
			c.sign.As = job()
			x := must[*stemmatest.Signed](t)(s.Attest(c.sign, provenance()))
			if err := (verifier{trust: s.TrustedRoot()}).verify(t, x.Bundle(), imageDigest()); err != nil {
				t.Fatalf("before the edit: %v", err)
			}
			c.edit(t, s, x)
			err := (verifier{trust: s.TrustedRoot(), logs: c.logs}).verify(t, x.Bundle(), imageDigest())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// Each case issues a certificate that may not sign, and signs with it in the ordinary way.
func TestHostileCertificates(t *testing.T) {
	now := stemmatest.Now()
	cases := []struct {
		name string
		edit func(t *testing.T, s *stemmatest.Sigstore, c *stemmatest.Certificate)
		want string
	}{
		{"as issued", func(*testing.T, *stemmatest.Sigstore, *stemmatest.Certificate) {}, ""},
		{"no usage", func(_ *testing.T, _ *stemmatest.Sigstore, c *stemmatest.Certificate) { c.Usage = []x509.ExtKeyUsage{} }, ""},
		{"usage of a server", func(_ *testing.T, _ *stemmatest.Sigstore, c *stemmatest.Certificate) {
			c.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}, "leaf certificate verification failed"},
		{"expired", func(_ *testing.T, _ *stemmatest.Sigstore, c *stemmatest.Certificate) {
			c.From, c.Until = now.Add(-time.Hour), now.Add(-time.Minute)
		}, "outside certificate validity"},
		{"not yet valid", func(_ *testing.T, _ *stemmatest.Sigstore, c *stemmatest.Certificate) {
			c.From, c.Until = now.Add(time.Minute), now.Add(time.Hour)
		}, "outside certificate validity"},
		{"no certificate timestamp", func(_ *testing.T, _ *stemmatest.Sigstore, c *stemmatest.Certificate) {
			c.CT = []*stemmatest.CTLog{}
		}, "SCT"},
		{"certificate timestamp of another log", func(t *testing.T, _ *stemmatest.Sigstore, c *stemmatest.Certificate) {
			c.CT = []*stemmatest.CTLog{newSigstore(t).CT}
		}, "only able to verify 0 SCT entries"},
		{"two certificate timestamps of one log", func(_ *testing.T, s *stemmatest.Sigstore, c *stemmatest.Certificate) {
			c.CT = []*stemmatest.CTLog{s.CT, s.CT}
		}, ""},
		{"intermediate expired while the certificate is valid", func(t *testing.T, s *stemmatest.Sigstore, _ *stemmatest.Certificate) {
			s.Fulcio = must[*stemmatest.CA](t)(s.Root.Intermediate("expired", now.AddDate(-1, 0, 0), now.Add(-time.Minute)))
		}, "leaf certificate verification failed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSigstore(t)
			cert := job().Certificate()
			c.edit(t, s, &cert)
			x := must[*stemmatest.Signed](t)(s.Attest(stemmatest.Sign{As: cert}, provenance()))
			err := (verifier{trust: s.TrustedRoot()}).verify(t, x.Bundle(), imageDigest())
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestTrustedRootWindows(t *testing.T) {
	s := newSigstore(t)
	x := must[*stemmatest.Signed](t)(s.Attest(stemmatest.Sign{As: job(), NoTimestamp: true}, provenance()))
	trust := s.Trust()
	end := s.Now
	trust.TLogs[0].PublicKey.ValidFor.End = &end
	if err := (verifier{trust: trust.JSON()}).verify(t, x.Bundle(), imageDigest()); err != nil {
		t.Errorf("at the end of the window, which is closed: %v", err)
	}
	end = end.Add(-time.Second)
	if err := (verifier{trust: trust.JSON()}).verify(t, x.Bundle(), imageDigest()); err == nil {
		t.Error("verifies after the end of the window")
	}
	trust.TLogs[0].PublicKey.ValidFor.Start = nil
	if _, err := root.NewTrustedRootFromJSON(trust.JSON()); err == nil {
		t.Error("a log key without start is loaded")
	}
}

// TSA tokens of a signer that the trusted root does not pin are accepted, so that only a pinned one refuses a decoy.
func TestUnpinnedTimestampSigner(t *testing.T) {
	s := newSigstore(t)
	x := must[*stemmatest.Signed](t)(s.Attest(stemmatest.Sign{As: job()}, provenance()))
	x.Entries[0].SET = nil
	trust := s.Trust()
	chain := &trust.TimestampAuthorities[0].CertChain
	chain.Certificates = chain.Certificates[1:]
	if err := (verifier{trust: trust.JSON()}).verify(t, x.Bundle(), imageDigest()); err != nil {
		t.Error(err)
	}
	rogue := must[*stemmatest.TSA](t)(s.TSA.WithUsage(s.TSARoot, true))
	rogue.Embed = []*x509.Certificate{s.TSA.Signer.Certificate, rogue.Signer.Certificate}
	x.Timestamps = nil
	check(t, x.Timestamp(rogue, s.Now))
	if err := (verifier{trust: trust.JSON()}).verify(t, x.Bundle(), imageDigest()); err == nil {
		t.Error("a token of a signer without usage behind a decoy verifies")
	}
}

func TestBundleIsStrictJSON(t *testing.T) {
	s := newSigstore(t)
	x := must[*stemmatest.Signed](t)(s.Attest(stemmatest.Sign{As: job()}, provenance()))
	for name, data := range map[string][]byte{"bundle": x.Bundle(), "trusted root": s.TrustedRoot(), "payload": x.Envelope.Payload, "entry": x.Entries[0].Body} {
		if err := stemma.CheckJSON(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !json.Valid(data) {
			t.Errorf("%s: not JSON", name)
		}
	}
	if _, err := stemma.ParseStatement(x.Envelope.Payload); err != nil {
		t.Error(err)
	}
}
