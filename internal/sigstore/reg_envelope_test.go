package sigstore

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
	"stemma/stemmatest"
)

// A21 [CVE-2026-44310]: what is empty is refused, without a panic.
func TestReg_A21_empty(t *testing.T) {
	v02 := stemmatest.Sign{MediaType: stemmatest.MediaTypeV02}
	regressions(t,
		spoiled{name: "chain of none", sign: v02, want: stemma.ReasonMalformed, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Chain = []*x509.Certificate{} }},
		spoiled{name: "no signatures", want: stemma.ReasonSignatureCount, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) {
			x.Envelope.Signatures = []stemmatest.Signature{}
		}},
		spoiled{name: "empty signature", want: stemma.ReasonSignatureCount, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) {
			x.Envelope.Signatures[0].Sig = []byte{}
		}},
		spoiled{name: "CVE-2026-44310/timestamp without certificates", edit: func(t *testing.T, w *world, x *stemmatest.Signed) {
			w.TSA.Embed = []*x509.Certificate{}
			retime(t, w, x)
		}},
		spoiled{name: "empty timestamp", want: stemma.ReasonTimestampInvalid, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Timestamps[0] = nil }},
		spoiled{name: "empty promise", want: stemma.ReasonLogInvalid, sign: stemmatest.Sign{MediaType: stemmatest.MediaTypeV01}, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) {
			x.Entries[0].SET = []byte{}
		}},
		spoiled{name: "empty body", want: stemma.ReasonMalformed, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Entries[0].Body = []byte{} }},
		spoiled{name: "empty log id", want: stemma.ReasonMalformed, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Entries[0].LogID = nil }},
		spoiled{name: "empty checkpoint", want: stemma.ReasonMalformed, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Entries[0].Proof.Checkpoint = "" }},
	)
	w := newWorld(t)
	a := authenticator(t, w.domain(t))
	for _, format := range []stemma.Format{stemma.FormatBundle, stemma.FormatDSSE, stemma.FormatSimpleSigning, stemma.FormatStatement, "other"} {
		for _, data := range []string{"", "{}", "null", "[]", `""`} {
			want := stemma.ReasonMalformed
			switch {
			case format == stemma.FormatStatement, format == stemma.FormatSimpleSigning, format == stemma.FormatDSSE && (data == "{}" || data == "null"):
				want = stemma.ReasonSignatureCount
			case format == "other", format == stemma.FormatBundle && data != "":
				want = stemma.ReasonUnsupported
			}
			t.Run(string(format)+" "+data, func(t *testing.T) {
				wantRejected(t, a, stemma.Raw{Format: format, Data: []byte(data)}, w.image, want)
			})
		}
	}
}

// A22 [conformance bundle-with-root-cert]: a root in a chain. In v0.1, older than that rule, it is ignored.
func TestReg_A22_root_in_chain(t *testing.T) {
	chain := func(_ *testing.T, _ *world, x *stemmatest.Signed) {
		x.Chain = append([]*x509.Certificate{x.Signer.Certificate}, x.Signer.Chain...)
	}
	regressions(t,
		spoiled{name: "v0.2", sign: stemmatest.Sign{MediaType: stemmatest.MediaTypeV02}, want: stemma.ReasonMalformed, edit: chain},
		spoiled{name: "v0.3", want: stemma.ReasonMalformed, edit: chain},
		spoiled{name: "v0.1", sign: stemmatest.Sign{MediaType: stemmatest.MediaTypeV01}, edit: chain},
		spoiled{name: "v0.3 with a chain of the certificate alone", want: stemma.ReasonMalformed, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) {
			x.Chain = []*x509.Certificate{x.Signer.Certificate}
		}},
	)
}

// A24 [in-toto validation], A28 [GHSA-r2xv]: what exactly was signed.
func TestReg_A24_payload_type(t *testing.T) {
	for _, payloadType := range []string{"application/json", "application/vnd.in-toto+json; charset=utf-8", "application/vnd.in-toto.provenance+json", ""} {
		t.Run(payloadType, func(t *testing.T) {
			w := newWorld(t)
			x := w.attest(t, stemmatest.Sign{}, nil)
			x.Envelope = must[*stemmatest.Envelope](t)(stemmatest.Seal(payloadType, x.Envelope.Payload, x.Signer))
			relog(t, w, x)
			retime(t, w, x)
			wantRejected(t, authenticator(t, w.domain(t)), bundleOf(x), w.image, stemma.ReasonPayloadType)
		})
	}
	regressions(t, spoiled{name: "changed after signing", want: stemma.ReasonSignatureInvalid, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) {
		x.Envelope.PayloadType = "application/json"
	}})
}

func TestReg_A28_no_encoding(t *testing.T) {
	regressions(t, spoiled{name: "GHSA-r2xv", want: stemma.ReasonSignatureInvalid, edit: func(t *testing.T, w *world, x *stemmatest.Signed) {
		x.Envelope.Signatures[0].Sig = must[[]byte](t)(x.Signer.Sign(x.Envelope.Payload))
		relog(t, w, x)
		retime(t, w, x)
	}})
}

// A25 [sigstore-go ErrDSSEInvalidSignatureCount]: a bundle has one signature, and so has an envelope with a log entry.
func TestReg_A25_two_signatures(t *testing.T) {
	for _, sig := range []string{"garbage", ""} {
		w := newWorld(t)
		x := w.attest(t, stemmatest.Sign{MediaType: stemmatest.MediaTypeDSSE}, nil)
		y := w.attest(t, stemmatest.Sign{}, nil)
		for _, s := range []*stemmatest.Signed{x, y} {
			s.Envelope.Signatures = append(s.Envelope.Signatures, stemmatest.Signature{Sig: []byte(sig)})
		}
		a := authenticator(t, w.domain(t))
		wantRejected(t, a, attLayer(t, x), w.image, stemma.ReasonSignatureCount)
		wantRejected(t, a, bundleOf(y), w.image, stemma.ReasonSignatureCount)
	}
}

// A26 [GHSA-2v4r]: of an envelope with several signatures only those count that verify, and none twice.
func TestReg_A26_several_signers(t *testing.T) {
	w := newWorld(t)
	first, second, stranger := newKey(t, stemmatest.ECDSAP256, "first"), newKey(t, stemmatest.Ed25519, "second"), newKey(t, stemmatest.ECDSAP256, "first")
	a := authenticator(t, w.domain(t, withKeys(first, second), offline))
	seal := func(by ...*stemmatest.Signer) *stemmatest.Envelope {
		return must[*stemmatest.Envelope](t)(stemmatest.Seal(stemmatest.PayloadTypeInToto, w.statement().JSON(), by...))
	}
	for _, c := range []struct {
		name string
		env  *stemmatest.Envelope
		edit func(*stemmatest.Envelope)
		want string // key ids
		why  stemma.Reason
	}{
		{name: "one", env: seal(second), want: "second"},
		{name: "two", env: seal(first, second), want: "first second"},
		{name: "two in the other order", env: seal(second, first), want: "first second"},
		{name: "one twice", env: seal(first, first), want: "first"},
		{name: "a stranger first", env: seal(stranger, second), want: "second"},
		{name: "GHSA-2v4r/valid identity, bad signature", env: seal(first, second), want: "second", edit: func(e *stemmatest.Envelope) {
			e.Signatures[0].Sig[10] ^= 1
			e.Signatures[0].KeyID = "first"
		}},
		{name: "key id of another key", env: seal(second), why: stemma.ReasonSignatureInvalid, edit: func(e *stemmatest.Envelope) { e.Signatures[0].KeyID = "first" }},
		{name: "strangers only", env: seal(stranger, stranger), why: stemma.ReasonSignerUnknown},
		{name: "17 signatures", env: seal(first, first, first, first, first, first, first, first, first, first, first, first, first, first, first, first, first), why: stemma.ReasonLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.edit != nil {
				c.edit(c.env)
			}
			raw := stemma.Raw{Format: stemma.FormatDSSE, Data: c.env.JSON()}
			if c.why != "" {
				wantRejected(t, a, raw, w.image, c.why)
				return
			}
			att := wantAccepted(t, a, raw, w.image)
			got := att.Signer.KeyID
			for _, o := range att.Cosigners {
				got += " " + o.KeyID
			}
			if got != c.want {
				t.Errorf("signed by %q, want %q", got, c.want)
			}
		})
	}
	t.Run("requirements of the key's own domain", func(t *testing.T) {
		strict := authenticator(t, w.domain(t, withKeys(first)), w.domain(t, withKeys(second), offline, func(c *DomainConfig) { c.Name = "offline" }))
		raw := stemma.Raw{Format: stemma.FormatDSSE, Data: seal(first).JSON()}
		wantRejected(t, strict, raw, w.image, stemma.ReasonTimeMissing)
		raw.Data = seal(first, second).JSON()
		if att := wantAccepted(t, strict, raw, w.image); att.Signer.KeyID != "second" || len(att.Cosigners) != 0 {
			t.Errorf("signed by %v and %v", att.Signer, att.Cosigners)
		}
	})
	t.Run("certificate in the envelope, no log", func(t *testing.T) {
		x := w.attest(t, stemmatest.Sign{}, nil)
		cert := string(x.Signer.VerifierPEM())
		data := strings.Replace(string(x.Envelope.JSON()), `"keyid":""`, `"keyid":"","cert":"`+strings.ReplaceAll(cert, "\n", `\n`)+`"`, 1)
		wantRejected(t, authenticator(t, w.domain(t, logTime)), stemma.Raw{Format: stemma.FormatDSSE, Data: []byte(data)}, w.image, stemma.ReasonLogMissing)
		wantRejected(t, authenticator(t, w.domain(t, stampOnly)), stemma.Raw{Format: stemma.FormatDSSE, Data: []byte(data)}, w.image, stemma.ReasonTimeMissing)
	})
}

// A29 [sigstore-go d0614335]: entries of a kind or version that is not known, or without what their kind prescribes.
func TestReg_A29_unsupported_entry(t *testing.T) {
	body := func(kind stemmatest.EntryKind, text string, tiled bool) func(*testing.T, *world, *stemmatest.Signed) {
		return func(t *testing.T, w *world, x *stemmatest.Signed) {
			log := w.Rekor
			if tiled {
				log = w.Tiles
			}
			x.Entries = []*stemmatest.Entry{must[*stemmatest.Entry](t)(log.AppendBody(kind, []byte(text), w.Now))}
		}
	}
	regressions(t,
		spoiled{name: "d0614335/empty spec", want: stemma.ReasonMalformed, edit: body("hashedrekord 0.0.2", `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{}}`, true)},
		spoiled{name: "d0614335/v0.0.1 in a v2 log", want: stemma.ReasonMalformed, edit: body("hashedrekord 0.0.1", `{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{}}`, true)},
		spoiled{name: "dsse 0.0.2", want: stemma.ReasonUnsupported, edit: body("dsse 0.0.2", `{"apiVersion":"0.0.2","kind":"dsse","spec":{"dsseV002":{}}}`, true)},
		spoiled{name: "rpm", want: stemma.ReasonUnsupported, edit: body("rpm 0.0.1", `{"apiVersion":"0.0.1","kind":"rpm","spec":{}}`, false)},
		spoiled{name: "no spec", want: stemma.ReasonMalformed, edit: body("dsse 0.0.1", `{"apiVersion":"0.0.1","kind":"dsse"}`, false)},
		spoiled{name: "not JSON", want: stemma.ReasonMalformed, edit: body("dsse 0.0.1", `dsse`, false)},
		spoiled{name: "kind of the bundle", want: stemma.ReasonLogMismatch, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Entries[0].Kind = "intoto 0.0.2" }},
		spoiled{
			name: "promise for a v2 entry", sign: stemmatest.Sign{Entry: stemmatest.EntryHashedRekord002}, want: stemma.ReasonLogInvalid,
			edit: func(t *testing.T, w *world, x *stemmatest.Signed) {
				x.Entries[0].Time = w.Now.Unix()
				check(t, w.Tiles.Promise(x.Entries[0]))
			},
		},
	)
}

// C15 [summarize.go], C16 [extensions.go], and what else a certificate may say twice or not at all.
func TestReg_C15_certificate_identity(t *testing.T) {
	ext := func(n int, value []byte) pkix.Extension {
		return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, n}, Value: value}
	}
	bad, time := stemma.ReasonCertificateInvalid, stemma.ReasonCertificateTime
	for _, c := range []struct {
		name string
		edit func(c *stemmatest.Certificate)
		want stemma.Reason
	}{
		{"as issued", func(*stemmatest.Certificate) {}, ""},
		{"old issuer only", func(c *stemmatest.Certificate) { delete(c.Extensions, 8) }, ""},
		{"new issuer only", func(c *stemmatest.Certificate) { delete(c.Extensions, 1) }, ""},
		{"C16 issuers disagree", func(c *stemmatest.Certificate) { c.Extensions[1] = "https://accounts.google.com" }, bad},
		{"no issuer", func(c *stemmatest.Certificate) { delete(c.Extensions, 1); delete(c.Extensions, 8) }, bad},
		{"empty issuer", func(c *stemmatest.Certificate) { delete(c.Extensions, 1); c.Extensions[8] = "" }, bad},
		{"C15 two URIs", func(c *stemmatest.Certificate) { c.URIs = append(c.URIs, "https://evil.example/") }, bad},
		{"URI and email", func(c *stemmatest.Certificate) { c.Emails = []string{"a@example.com"} }, bad},
		{"no name", func(c *stemmatest.Certificate) { c.URIs = nil }, bad},
		{"issuer is not UTF8String", func(c *stemmatest.Certificate) {
			delete(c.Extensions, 8)
			c.Raw = append(c.Raw, ext(8, append([]byte{0x16, 1}, 'x')))
		}, bad},
		{"bytes after a claim", func(c *stemmatest.Certificate) {
			delete(c.Extensions, 12)
			c.Raw = append(c.Raw, ext(12, []byte{0x0c, 1, 'x', 0}))
		}, bad},
		{"control character in a claim", func(c *stemmatest.Certificate) { c.Extensions[12] = "https://github.com/acme/app\n" }, bad},
		{"extension that is not known", func(c *stemmatest.Certificate) { c.Extensions[99] = "x" }, ""},
		{"no code signing", func(c *stemmatest.Certificate) { c.Usage = []x509.ExtKeyUsage{} }, bad},
		{"server", func(c *stemmatest.Certificate) { c.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, bad},
		{"expired", func(c *stemmatest.Certificate) {
			c.From, c.Until = stemmatest.Now().AddDate(0, 0, -2), stemmatest.Now().AddDate(0, 0, -1)
		}, time},
		{"not yet valid", func(c *stemmatest.Certificate) {
			c.From, c.Until = stemmatest.Now().AddDate(0, 0, 1), stemmatest.Now().AddDate(0, 0, 2)
		}, time},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			cert := w.job.Certificate()
			c.edit(&cert)
			x := w.attest(t, stemmatest.Sign{As: cert}, nil)
			a := authenticator(t, w.domain(t))
			if c.want != "" {
				wantRejected(t, a, bundleOf(x), w.image, c.want)
				return
			}
			if att := wantAccepted(t, a, bundleOf(x), w.image); att.Signer.Issuer != stemmatest.GitHubIssuer || att.Signer.Subject != "https://github.com/"+w.job.Builder {
				t.Errorf("signer %+v", att.Signer)
			}
		})
	}
}

// All that a certificate says is in the identity, under its name.
func TestClaims(t *testing.T) {
	w := newWorld(t)
	w.job.Environment = "production"
	got := wantAccepted(t, authenticator(t, w.domain(t)), bundleOf(w.attest(t, stemmatest.Sign{}, nil)), w.image).Signer.Claims
	want := map[string]string{}
	for n, v := range w.job.Certificate().Extensions {
		if name := claimName(n); name != "" {
			want[name] = v
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 21 {
		t.Errorf("%d claims (-want +got):\n%s", len(want), diff)
	}
	for name, id := range map[string]stemmatest.Identity{
		"release@acme.example": stemmatest.Email{Address: "release@acme.example"},
		"builder!acme":         stemmatest.Certificate{OtherName: "builder!acme", Extensions: map[int]string{8: "https://issuer.acme.example"}},
	} {
		att := wantAccepted(t, authenticator(t, w.domain(t)), bundleOf(w.attest(t, stemmatest.Sign{As: id}, nil)), w.image)
		if att.Signer.Subject != name {
			t.Errorf("signer %q, want %q", att.Signer.Subject, name)
		}
	}
}

// An authority is never an identity (INV-9).
func TestAuthorityAsSigner(t *testing.T) {
	w := newWorld(t)
	signer := &stemmatest.Signer{Key: w.Fulcio.Key, Certificate: w.Fulcio.Certificate}
	x := w.attest(t, stemmatest.Sign{With: signer}, nil)
	wantRejected(t, authenticator(t, w.domain(t)), bundleOf(x), w.image, stemma.ReasonCertificateInvalid)
	raw := attLayer(t, x)
	raw.Annotations[annotationCertificate] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.Root.Certificate.Raw}))
	wantRejected(t, authenticator(t, w.domain(t)), raw, w.image, stemma.ReasonCertificateInvalid)
}
