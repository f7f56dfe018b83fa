package sigstore

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"stemma"
	"stemma/stemmatest"
)

func newKey(t testing.TB, a stemmatest.Algorithm, hint string) *stemmatest.Signer {
	return must[*stemmatest.Signer](t)(stemmatest.NewKey(a, hint))
}

// A07 [CVE-2026-23992], A08 [GHSA-3633], A16, A23: mistakes in a configuration are found before anything is verified.
func TestReg_A07_configuration(t *testing.T) {
	w := newWorld(t)
	key, twin := newKey(t, stemmatest.ECDSAP256, "k"), newKey(t, stemmatest.ECDSAP256, "k")
	same := *key
	same.Hint = "another name"
	without := func(edit func(*stemmatest.TrustedRoot)) func(*DomainConfig) {
		return func(c *DomainConfig) {
			trust := w.Trust()
			edit(&trust)
			c.TrustedRoot = trust.JSON()
		}
	}
	for _, c := range []struct {
		name string
		edit func(*DomainConfig)
		want string
	}{
		{"no name", func(c *DomainConfig) { c.Name = "" }, "without a name"},
		{"nothing", func(c *DomainConfig) { c.TrustedRoot = nil }, "trust nothing"},
		{"unknown need", func(c *DomainConfig) { c.Log = "0" }, `"0"`},
		{"negative need", func(c *DomainConfig) { c.Timestamp = "-1" }, `"-1"`},
		{"no certificate authority", without(func(r *stemmatest.TrustedRoot) { r.CertificateAuthorities = nil }), "no certificate authority"},
		{"no log", without(func(r *stemmatest.TrustedRoot) { r.TLogs = nil }), "no transparency log"},
		{"no certificate log", without(func(r *stemmatest.TrustedRoot) { r.CTLogs = nil }), "no certificate log"},
		{"no timestamp authority", without(func(r *stemmatest.TrustedRoot) { r.TimestampAuthorities = nil }), "no timestamp authority"},
		{"A16 log key without start", without(func(r *stemmatest.TrustedRoot) { r.TLogs[0].PublicKey.ValidFor.Start = nil }), "start time"},
		{"A16 log key without window", without(func(r *stemmatest.TrustedRoot) { r.TLogs[1].PublicKey.ValidFor = nil }), "validity period"},
		{"log without host", without(func(r *stemmatest.TrustedRoot) { r.TLogs[0].BaseURL = "" }), "no host"},
		{"chain out of order", without(func(r *stemmatest.TrustedRoot) {
			chain := r.CertificateAuthorities[0].CertChain.Certificates
			chain[0], chain[1] = chain[1], chain[0]
		}), "verifying certificate"},
		{"certificates without time", func(c *DomainConfig) { c.Time = None }, "prove nothing"},
		{"keys, log required, no root", func(c *DomainConfig) { withKeys(key)(c); c.TrustedRoot = nil }, "no transparency log"},
		{"keys, time required, nothing to prove it", func(c *DomainConfig) { withKeys(key)(c); offline(c); c.Time = Required }, "proven signing time"},
		{"A08 one key twice", withKeys(key, &same), "the same key"},
		{"two keys of one name", withKeys(key, twin), "two keys are named k"},
		{"window that is never", func(c *DomainConfig) {
			withKeys(key)(c)
			c.Keys[0].From, c.Keys[0].Until = w.Now, w.Now.AddDate(0, 0, -1)
		}, "which is never"},
		{"A23 RSA-1024", withKeys(newKey(t, stemmatest.RSA1024, "k")), "1024 bits"},
		{"A23 P-224", withKeys(newKey(t, stemmatest.ECDSAP224, "k")), "P-224"},
		{"duplicate member", func(c *DomainConfig) {
			c.TrustedRoot = bytes.Replace(c.TrustedRoot, []byte(`{"mediaType"`), []byte(`{"mediaType":"","mediaType"`), 1)
		}, "duplicate"},
		{"bytes after it", func(c *DomainConfig) { c.TrustedRoot = append(c.TrustedRoot, "{}"...) }, "after the document"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DomainConfig{Name: "test", TrustedRoot: w.TrustedRoot()}
			c.edit(&cfg)
			if _, err := NewDomain(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
	for name, c := range map[string]struct {
		domains []*Domain
		want    string
	}{
		"none":          {nil, "no trust domain"},
		"nil":           {[]*Domain{nil}, "is nil"},
		"one name":      {[]*Domain{w.domain(t), newWorld(t).domain(t)}, "two trust domains are named test"},
		"one authority": {[]*Domain{w.domain(t), w.domain(t, func(c *DomainConfig) { c.Name = "other" })}, "ambiguous"},
		"one key":       {[]*Domain{w.domain(t, withKeys(key)), w.domain(t, withKeys(key), func(c *DomainConfig) { c.Name = "other" })}, "ambiguous"},
	} {
		t.Run("domains/"+name, func(t *testing.T) {
			if _, err := New(Config{Domains: c.domains}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
	if a := authenticator(t, w.domain(t), w.domain(t, withKeys(key), func(c *DomainConfig) { c.Name = "keys" })); len(a.Trust()) != 2 || a.Trust()[0].Digest == a.Trust()[1].Digest {
		t.Errorf("trust %v", a.Trust())
	}
}

// Everything that a domain trusts or requires is in its digest, because results are cached under it.
func TestTrustDigest(t *testing.T) {
	w := newWorld(t)
	key := newKey(t, stemmatest.ECDSAP256, "k")
	seen := map[stemma.Digest]string{}
	for name, edits := range map[string][]func(*DomainConfig){
		"zero": nil, "name": {func(c *DomainConfig) { c.Name = "other" }}, "log": {func(c *DomainConfig) { c.Log = None }},
		"timestamp": {logTime}, "sct": {func(c *DomainConfig) { c.SCT = None }}, "key": {withKeys(key)},
		"key window":      {withKeys(key), func(c *DomainConfig) { c.Keys[0].From = w.Now }},
		"key name":        {withKeys(key), func(c *DomainConfig) { c.Keys[0].Name = "l" }},
		"another key":     {withKeys(newKey(t, stemmatest.ECDSAP256, "k"))},
		"key, no time":    {withKeys(key), func(c *DomainConfig) { c.Time = None }},
		"another root":    {func(c *DomainConfig) { c.TrustedRoot = newWorld(t).TrustedRoot() }},
		"key and no root": {withKeys(key), offline},
	} {
		d := w.domain(t, edits...).Ref().Digest
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[d] = name
	}
}

// A23 [client specification, algorithm registry]: one hash per kind of key, and no weak keys.
func TestReg_A23_algorithms(t *testing.T) {
	for _, alg := range []stemmatest.Algorithm{stemmatest.ECDSAP256, stemmatest.ECDSAP384, stemmatest.ECDSAP521, stemmatest.RSA2048, stemmatest.Ed25519} {
		t.Run(string(alg), func(t *testing.T) {
			w := newWorld(t)
			key := newKey(t, alg, "k")
			x := w.attest(t, stemmatest.Sign{With: key}, nil)
			a := authenticator(t, w.domain(t, withKeys(key)))
			wantAccepted(t, a, bundleOf(x), w.image)
			x.Signer.Hint = "another hint" // then all keys are tried
			wantAccepted(t, a, bundleOf(x), w.image)

			wrong := newKey(t, alg, "k")
			b := authenticator(t, w.domain(t, withKeys(wrong)))
			wantRejected(t, b, bundleOf(x), w.image, stemma.ReasonSignerUnknown)
			x.Signer.Hint = "k"
			wantRejected(t, b, bundleOf(x), w.image, stemma.ReasonSignatureInvalid)
		})
	}
	for alg, hash := range map[stemmatest.Algorithm]crypto.Hash{
		stemmatest.ECDSAP384: crypto.SHA256, stemmatest.ECDSAP521: crypto.SHA256, stemmatest.ECDSAP256: crypto.SHA384,
		stemmatest.RSA2048: crypto.SHA512, stemmatest.Ed25519: crypto.SHA512,
	} {
		t.Run(string(alg)+" with "+hash.String(), func(t *testing.T) {
			w := newWorld(t)
			key := newKey(t, alg, "k")
			key.Hash = hash
			x := w.attest(t, stemmatest.Sign{With: key}, nil)
			wantRejected(t, authenticator(t, w.domain(t, withKeys(key))), bundleOf(x), w.image, stemma.ReasonSignatureInvalid)
		})
	}
	for _, alg := range []stemmatest.Algorithm{stemmatest.RSA1024, stemmatest.ECDSAP224} {
		t.Run("certificate of "+string(alg), func(t *testing.T) {
			w := newWorld(t)
			cert := w.job.Certificate()
			cert.Key = newKey(t, alg, "").Key
			x := w.attest(t, stemmatest.Sign{As: cert}, nil)
			wantRejected(t, authenticator(t, w.domain(t)), bundleOf(x), w.image, stemma.ReasonAlgorithm)
		})
	}
}

// Messages: by content and by digest, with every kind of key.
func TestMessageSignatures(t *testing.T) {
	for _, alg := range []stemmatest.Algorithm{stemmatest.ECDSAP256, stemmatest.ECDSAP384, stemmatest.ECDSAP521, stemmatest.RSA2048, stemmatest.Ed25519} {
		t.Run(string(alg), func(t *testing.T) {
			w := newWorld(t)
			key := newKey(t, alg, "k")
			x := must[*stemmatest.Signed](t)(w.SignMessage(stemmatest.Sign{With: key, Entry: stemmatest.NotLogged}, w.image.Content))
			a := authenticator(t, w.domain(t, withKeys(key), func(c *DomainConfig) { c.Log = None }))
			att := wantAccepted(t, a, bundleOf(x), w.image)
			if !att.Signature || att.Statement.Type != "" || att.Binding.Member != w.image.Digest {
				t.Errorf("%+v", att)
			}
			byDigest := Artifact{Digest: w.image.Digest}
			if alg == stemmatest.ECDSAP256 || alg == stemmatest.RSA2048 {
				wantAccepted(t, a, bundleOf(x), byDigest)
			} else {
				wantRejected(t, a, bundleOf(x), byDigest, stemma.ReasonAlgorithm)
			}
			other := []byte("another image")
			wantRejected(t, a, bundleOf(x), Artifact{Digest: stemma.SHA256(other), Content: other}, stemma.ReasonSubjectMismatch)
			wantRejected(t, a, bundleOf(x), Artifact{Digest: w.image.Digest, Content: other}, stemma.ReasonSubjectMismatch)
			x.Signature[len(x.Signature)/2] ^= 1
			retime(t, w, x)
			wantRejected(t, a, bundleOf(x), w.image, stemma.ReasonSignatureInvalid)
		})
	}
	// Certificates, in both kinds of log.
	for _, kind := range []stemmatest.EntryKind{stemmatest.EntryHashedRekord001, stemmatest.EntryHashedRekord002} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t)
			sign := func(message []byte) *stemmatest.Signed {
				return must[*stemmatest.Signed](t)(w.SignMessage(stemmatest.Sign{As: w.job, Entry: kind}, message))
			}
			x := sign(w.image.Content)
			a := authenticator(t, w.domain(t))
			wantAccepted(t, a, bundleOf(x), Artifact{Digest: w.image.Digest})
			x.Entries = sign([]byte("another image")).Entries
			wantRejected(t, a, bundleOf(x), w.image, stemma.ReasonLogMismatch)
		})
	}
}

// J11: hostile keys are refused at once.
func TestReg_J11_hostile_keys(t *testing.T) {
	type domain struct{ P, Q, G *big.Int }
	type algorithm struct {
		Algorithm  asn1.ObjectIdentifier
		Parameters domain
	}
	dsaKey := must[[]byte](t)(asn1.Marshal(struct {
		Algorithm algorithm
		Key       asn1.BitString
	}{
		algorithm{asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, domain{big.NewInt(23), big.NewInt(11), big.NewInt(4)}},
		asn1.BitString{Bytes: []byte{2, 1, 8}, BitLength: 24},
	}))
	good := newKey(t, stemmatest.ECDSAP256, "k").PublicKeyPEM()
	deep := bytes.Repeat([]byte{0x30, 0x80}, 20_000)
	for name, text := range map[string][]byte{
		"10 MB of dashes":  bytes.Repeat([]byte("-"), 10<<20),
		"64 KB of dashes":  bytes.Repeat([]byte("-"), 64<<10),
		"empty":            nil,
		"garbage":          []byte("ssh-ed25519 AAAA"),
		"two keys":         append(append([]byte{}, good...), newKey(t, stemmatest.ECDSAP256, "l").PublicKeyPEM()...),
		"text after it":    append(append([]byte{}, good...), "x"...),
		"private key type": bytes.ReplaceAll(good, []byte("PUBLIC"), []byte("PRIVATE")),
		"DSA":              pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: dsaKey}),
		"deep ASN.1":       pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: deep}),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewDomain(DomainConfig{Name: "test", Keys: []Key{{Name: "k", PEM: text}}, Log: None, Timestamp: None, Time: None})
			if err == nil {
				t.Error("accepted")
			}
		})
	}
	w := newWorld(t)
	x := w.attest(t, stemmatest.Sign{MediaType: stemmatest.MediaTypeDSSE}, nil)
	for name, cert := range map[string]string{
		"dashes": strings.Repeat("-", 64<<10), "two": "", "key": string(good), "deep": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: deep})),
	} {
		t.Run("certificate annotation/"+name, func(t *testing.T) {
			raw := attLayer(t, x)
			if name == "two" {
				cert = raw.Annotations[annotationCertificate] + raw.Annotations[annotationCertificate]
			}
			raw.Annotations[annotationCertificate] = cert
			wantRejected(t, authenticator(t, w.domain(t)), raw, w.image, stemma.ReasonMalformed)
		})
	}
}

// Regional keys of Google Cloud Build sign the payload of an envelope and not the encoding that DSSE prescribes. A key
// signs in one way only: what it signed in the other counts for nothing, and neither does a payload of another type,
// which such a signature does not cover.
func TestUnframed(t *testing.T) {
	w := newWorld(t)
	key := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "google"))
	at := w.image
	at.Now = w.Now
	seal := func(payloadType string, payload []byte, framed bool) stemma.Raw {
		e := must[*stemmatest.Envelope](t)(stemmatest.Seal(payloadType, payload, key))
		if !framed {
			e.Signatures = []stemmatest.Signature{{Sig: must[[]byte](t)(key.Sign(payload))}}
		}
		return stemma.Raw{Format: stemma.FormatDSSE, Data: e.JSON()}
	}
	unframed := func(c *DomainConfig) { c.Keys[0].Unframed = true }
	payload := w.statement().JSON()
	google := authenticator(t, w.domain(t, withKeys(key), offline, unframed))
	ordinary := authenticator(t, w.domain(t, withKeys(key), offline))

	wantAccepted(t, google, seal(stemmatest.PayloadTypeInToto, payload, false), at)
	wantRejected(t, google, seal(stemmatest.PayloadTypeInToto, payload, true), at, stemma.ReasonSignerUnknown)
	wantAccepted(t, ordinary, seal(stemmatest.PayloadTypeInToto, payload, true), at)
	wantRejected(t, ordinary, seal(stemmatest.PayloadTypeInToto, payload, false), at, stemma.ReasonSignerUnknown)
	wantRejected(t, google, seal("application/json", payload, false), at, stemma.ReasonSignerUnknown)
	wantRejected(t, google, seal(stemmatest.PayloadTypeInToto, []byte(`{"critical":{}}`), false), at, stemma.ReasonMalformed)
	changed := seal(stemmatest.PayloadTypeInToto, payload, false)
	changed.Data = bytes.Replace(changed.Data, []byte(`"payload":"`), []byte(`"payload":"IA`), 1)
	if _, rejected := google.Authenticate(changed, at); rejected == nil {
		t.Error("a changed payload is taken")
	}
	// A domain whose keys can be logged by nobody must not require a log.
	if _, err := NewDomain(DomainConfig{Name: "test", TrustedRoot: w.TrustedRoot(), Keys: []Key{{Name: "k", PEM: key.PublicKeyPEM(), Unframed: true}}}); err == nil || !strings.Contains(err.Error(), "over the payload alone") {
		t.Errorf("%v", err)
	}
	if google.Trust()[0].Digest == ordinary.Trust()[0].Digest {
		t.Error("what keys sign is no part of the digest of a domain")
	}
}
