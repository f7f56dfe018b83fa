package verify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"stemma"
	"stemma/stemmatest"
)

// Group A of the regression cases, from the registry to the decision: signature, certificate, log and time.

// spoil is a case in which what comes out of signing is changed.
func spoil(name string, r stemma.Reason, change func(s *stage, x *stemmatest.Signed)) reg {
	return spoilAs(name, stemmatest.Sign{}, r, change)
}

func spoilAs(name string, sign stemmatest.Sign, r stemma.Reason, change func(s *stage, x *stemmatest.Signed)) reg {
	return reg{
		name:    name,
		control: func(s *stage) { s.attach(signAs(sign)) },
		play: func(s *stage) {
			x := s.attest(signAs(sign))
			change(s, x)
			s.Attach(s.image, x)
		},
		want: rejected(r),
	}
}

func (r reg) under(policy string) reg {
	r.policy = policy
	return r
}

// allowed turns a case into another positive: changed, and still good.
func (r reg) allowed() reg {
	r.want = want{}
	return r
}

func kinds() []stemmatest.EntryKind {
	return []stemmatest.EntryKind{stemmatest.EntryDSSE001, stemmatest.EntryInToto002, stemmatest.EntryHashedRekord002}
}

func TestReg_A00_control(t *testing.T) {
	for _, kind := range kinds() {
		for _, text := range []string{trusting, private()} {
			s := newStage(t)
			s.policy = text
			sign := stemmatest.Sign{Entry: kind}
			s.sign(sign)
			r := s.expect(want{})
			if r.Decision.Level != 3 || len(r.Evidence.Attestations) != 1 || len(r.Evidence.Rejected)+len(r.Evidence.Unavailable) != 0 {
				t.Errorf("level %d, %d attestations\n%s", r.Decision.Level, len(r.Evidence.Attestations), refusals(r.Evidence))
			}
		}
	}
	s := newStage(t)
	s.expect(fails("image.authentic", stemma.ReasonNoEvidence))
}

// CVE-2022-23649, CVE-2026-22703: the entry was genuine, and of another payload.
func TestReg_A01_entry_of_another_payload(t *testing.T) {
	for _, kind := range kinds() {
		sign := stemmatest.Sign{Entry: kind}
		play(t, spoilAs("CVE-2022-23649/"+string(kind), sign, stemma.ReasonLogMismatch, func(s *stage, x *stemmatest.Signed) {
			x.Entries = s.another(x.Signer, sign).Entries
		}))
	}
}

// Conformance dsse-mismatch-sig: a second valid signature of the same payload by the same key.
func TestReg_A02_second_signature(t *testing.T) {
	for _, kind := range kinds() {
		play(t, spoilAs("dsse-mismatch-sig/"+string(kind), stemmatest.Sign{Entry: kind}, stemma.ReasonLogMismatch, func(s *stage, x *stemmatest.Signed) {
			check(s, x.Resign())
			s.retime(x)
		}))
	}
}

// cosign TestVerifyImageSignatureWithMismatchedBundle: the same key and signature under another certificate.
func TestReg_A03_entry_of_another_certificate(t *testing.T) {
	play(t, spoil("mismatched bundle", stemma.ReasonLogMismatch, func(s *stage, x *stemmatest.Signed) {
		cert := s.Build.Certificate()
		cert.Key = x.Signer.Key
		twin := *x
		twin.Signer = must[*stemmatest.Signer](s)(s.Sigstore.Certify(cert, s.Now))
		s.relog(&twin)
		x.Entries = twin.Entries
	}))
}

// CVE-2022-36056: where the entry that came along did not hold, another one was looked for.
func TestReg_A04_no_fallback(t *testing.T) {
	play(
		t,
		spoil("CVE-2022-36056", stemma.ReasonLogInvalid, func(s *stage, x *stemmatest.Signed) {
			good := x.Entries[0]
			s.relog(x)
			x.Entries[0].SET = []byte("garbage")
			x.Entries = append(x.Entries, good)
		}),
		spoil("time changed after the promise", stemma.ReasonLogInvalid, func(_ *stage, x *stemmatest.Signed) { x.Entries[0].Time++ }),
		spoil("entry of a log that is not known", stemma.ReasonLogMissing, func(s *stage, x *stemmatest.Signed) {
			x.Entries = nil
			check(s, x.Log(newStage(s).Sigstore.Rekor, stemmatest.EntryDSSE001, s.Now))
		}),
		spoil("no entry", stemma.ReasonLogMissing, func(_ *stage, x *stemmatest.Signed) { x.Entries = nil }),
		// Nothing but the entry that came along is asked: the log is on no network that the verifier has.
		spoil("no entry, and one in the log", stemma.ReasonLogMissing, func(s *stage, x *stemmatest.Signed) {
			s.relog(x)
			x.Entries = nil
		}),
	)
}

// CVE-2026-49834: thresholds of logs were met by one log. Here a log is required or not; a number cannot be written,
// and the same entry twice is not two.
func TestReg_A05_same_log_twice(t *testing.T) {
	play(
		t,
		spoil("one entry twice", stemma.ReasonLogInvalid, func(_ *stage, x *stemmatest.Signed) { x.Entries = append(x.Entries, x.Entries[0]) }),
		spoil("two entries of one log", "", func(s *stage, x *stemmatest.Signed) {
			check(s, x.Log(s.Sigstore.Rekor, stemmatest.EntryDSSE001, s.Now))
		}).allowed(),
	)
	s := newStage(t)
	s.policy = in(private(), "    - name: private\n", "    - name: private\n      requires: {log: 2}\n")
	refusedAtStart(t, s, `log cannot be "2"`)
}

func TestReg_A06_certificate_timestamps(t *testing.T) {
	sct := func(name string, w want, logs func(s *stage) []*stemmatest.CTLog) reg {
		return reg{name: name, want: w, play: func(s *stage) {
			s.attach(stemmatest.Vary{Certificate: func(c *stemmatest.Certificate) { c.CT = logs(s) }})
		}}
	}
	play(
		t,
		sct("CVE-2026-49834/two of one log", want{}, func(s *stage) []*stemmatest.CTLog {
			return []*stemmatest.CTLog{s.Sigstore.CT, s.Sigstore.CT}
		}),
		sct("none", rejected(stemma.ReasonSCT), func(*stage) []*stemmatest.CTLog { return []*stemmatest.CTLog{} }),
		sct("of an unknown log", rejected(stemma.ReasonSCT), func(s *stage) []*stemmatest.CTLog { return []*stemmatest.CTLog{newStage(s).Sigstore.CT} }),
		sct("two of an unknown log", rejected(stemma.ReasonSCT), func(s *stage) []*stemmatest.CTLog {
			other := newStage(s).Sigstore.CT
			return []*stemmatest.CTLog{other, other}
		}),
	)
	s := newStage(t)
	s.policy = in(private(), "    - name: private\n", "    - name: private\n      requires: {sct: 2}\n")
	refusedAtStart(t, s, `sct cannot be "2"`)
}

// CVE-2026-23992, sigstore-go 607d023: a threshold of nothing was met by nobody.
func TestReg_A07_threshold_of_nothing(t *testing.T) {
	for value, problem := range map[string]string{
		"{atLeast: 0, of: [trusted-builder]}": "atLeast", "{atLeast: -1, of: [trusted-builder]}": "atLeast",
		"{atLeast: 2, of: [trusted-builder]}": "atLeast", "{atLeast: 1, of: []}": "of", "{of: [trusted-builder]}": "atLeast",
		"[]": "by", "[nobody]": "nobody",
	} {
		s := newStage(t)
		s.policy = in(trusting, "by: [trusted-builder]", "by: "+value)
		refusedAtStart(t, s, problem)
		s.policy = in(trusting, "by: [trusted-builder]", "by: {atLeast: 1, of: [trusted-builder]}")
		s.attach(stemmatest.Vary{})
		s.expect(want{})
	}
	for _, value := range []string{"0", "-1", "never", "false"} {
		s := newStage(t)
		s.policy = in(private(), "    - name: private\n", "    - name: private\n      requires: {log: "+value+"}\n")
		refusedAtStart(t, s, "log cannot be")
	}
}

// CVE-2026-24122: the chain was not valid as a whole at the time of signing.
func TestReg_A09_intermediate_expired(t *testing.T) {
	expiring := func(until time.Duration) func(s *stage) {
		return func(s *stage) {
			s.Sigstore.Fulcio = must[*stemmatest.CA](s)(s.Sigstore.Root.Intermediate("expiring", s.Now.AddDate(-1, 0, 0), s.Now.Add(until), x509.ExtKeyUsageCodeSigning))
		}
	}
	late := stemmatest.Vary{Sign: func(o *stemmatest.Sign) { o.At = stemmatest.Now().Add(5 * time.Minute) }, Certificate: func(c *stemmatest.Certificate) {
		c.From, c.Until = stemmatest.Now(), stemmatest.Now().Add(10*time.Minute)
	}}
	play(
		t,
		reg{name: "CVE-2026-24122", setup: expiring(2 * time.Minute), vary: late, want: rejected(stemma.ReasonCertificateTime)},
		reg{name: "certificate expired", vary: stemmatest.Vary{Certificate: func(c *stemmatest.Certificate) {
			c.From, c.Until = stemmatest.Now().AddDate(0, 0, -2), stemmatest.Now().AddDate(0, 0, -1)
		}}, want: rejected(stemma.ReasonCertificateTime)},
		reg{name: "certificate not yet valid", vary: stemmatest.Vary{Certificate: func(c *stemmatest.Certificate) {
			c.From, c.Until = stemmatest.Now().AddDate(0, 0, 1), stemmatest.Now().AddDate(0, 0, 2)
		}}, want: rejected(stemma.ReasonCertificateTime)},
		spoil("one of two times outside", stemma.ReasonCertificateTime, func(s *stage, x *stemmatest.Signed) {
			x.Timestamps = nil
			check(s, x.Timestamp(s.Sigstore.TSA, s.Now.Add(time.Hour)))
		}),
	)
}

// CVE-2026-39984, GHSA-5qp5, conformance rekor2-timestamp-payload-mismatch: what a timestamp must be.
func TestReg_A11_timestamps(t *testing.T) {
	foreign := func(critical bool, usages ...int) func(s *stage, x *stemmatest.Signed) {
		return func(s *stage, x *stemmatest.Signed) {
			// The trusted root names the authority's issuer, not its signer: whoever that issuer certified may sign.
			trust := s.Sigstore.Trust()
			chain := &trust.TimestampAuthorities[0].CertChain
			chain.Certificates = chain.Certificates[1:]
			s.root = trust.JSON()
			rogue := must[*stemmatest.TSA](s)(s.Sigstore.TSA.WithUsage(s.Sigstore.TSARoot, critical, usages...))
			rogue.Embed = []*x509.Certificate{s.Sigstore.TSA.Signer.Certificate, rogue.Signer.Certificate}
			x.Timestamps = nil
			check(s, x.Timestamp(rogue, s.Now))
		}
	}
	mix := func(s *stage, x *stemmatest.Signed) { x.Timestamps = s.another(x.Signer, stemmatest.Sign{}).Timestamps }
	const bad = stemma.ReasonTimestampInvalid
	for name, text := range map[string]string{"required": private(), "not required": trusting} {
		play(
			t,
			spoil(name+"/A11 CVE-2026-39984 decoy certificate first", bad, foreign(true)).under(text),
			spoil(name+"/A12 GHSA-5qp5 timestamping and more", bad, foreign(true, stemmatest.UsageTimeStamping, stemmatest.UsageServerAuth)).under(text),
			spoil(name+"/A12 not critical", bad, foreign(false, stemmatest.UsageTimeStamping)).under(text),
			spoil(name+"/A12 code signing", bad, foreign(true, stemmatest.UsageCodeSigning)).under(text),
			spoil(name+"/A12 as it should be", "", foreign(true, stemmatest.UsageTimeStamping)).under(text).allowed(),
			spoil(name+"/A13 rekor2-timestamp-payload-mismatch", bad, mix).under(text),
			spoil(name+"/A13 cut", bad, func(_ *stage, x *stemmatest.Signed) { x.Timestamps[0] = x.Timestamps[0][:40] }).under(text),
		)
	}
	none := func(_ *stage, x *stemmatest.Signed) { x.Timestamps = nil }
	play(
		t,
		spoil("none, required", stemma.ReasonTimeMissing, none).under(private()),
		spoil("none, not required", "", none).allowed(),
	)
}

// sigstore-go tlog.go: the integrated time of an entry without promise is signed by nobody.
func TestReg_A14_no_proven_time(t *testing.T) {
	bare := stemmatest.Sign{NoTimestamp: true}
	unsigned := func(_ *stage, x *stemmatest.Signed) { x.Entries[0].SET = nil }
	play(
		t,
		spoilAs("inclusion proof only", bare, stemma.ReasonTimeMissing, unsigned),
		spoil("inclusion proof and timestamp", "", unsigned).allowed(),
		reg{name: "Rekor v2 entry only", vary: signAs(stemmatest.Sign{NoTimestamp: true, Entry: stemmatest.EntryHashedRekord002}), want: rejected(stemma.ReasonTimeMissing)},
	)
}

// Conformance trust-root-*: the ends of windows. A16: a log key without a start. A17: sigstore-go 1.2.1.
func TestReg_A15_windows_of_trust(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(r *stemmatest.TrustedRoot, end *time.Time)
		kind stemmatest.EntryKind
		want stemma.Reason
	}{
		"log":                   {func(r *stemmatest.TrustedRoot, end *time.Time) { r.TLogs[0].PublicKey.ValidFor.End = end }, stemmatest.EntryDSSE001, stemma.ReasonLogInvalid},
		"A17 log v2":            {func(r *stemmatest.TrustedRoot, end *time.Time) { r.TLogs[1].PublicKey.ValidFor.End = end }, stemmatest.EntryHashedRekord002, stemma.ReasonLogInvalid},
		"timestamp authority":   {func(r *stemmatest.TrustedRoot, end *time.Time) { r.TimestampAuthorities[0].ValidFor.End = end }, stemmatest.EntryDSSE001, stemma.ReasonTimestampInvalid},
		"certificate authority": {func(r *stemmatest.TrustedRoot, end *time.Time) { r.CertificateAuthorities[0].ValidFor.End = end }, stemmatest.EntryDSSE001, stemma.ReasonCertificateTime},
		"certificate log":       {func(r *stemmatest.TrustedRoot, end *time.Time) { r.CTLogs[0].PublicKey.ValidFor.End = end }, stemmatest.EntryDSSE001, stemma.ReasonSCT},
	} {
		ends := func(at time.Duration) func(s *stage) {
			return func(s *stage) {
				trust := s.Sigstore.Trust()
				end := s.Now.Add(at)
				c.end(&trust, &end)
				s.root = trust.JSON()
				s.sign(stemmatest.Sign{Entry: c.kind})
			}
		}
		play(t, reg{name: name, control: ends(0), play: ends(-time.Second), want: rejected(c.want)})
	}
	for name, edit := range map[string]func(*stemmatest.TrustedRoot){
		"without start":  func(r *stemmatest.TrustedRoot) { r.TLogs[0].PublicKey.ValidFor.Start = nil },
		"without window": func(r *stemmatest.TrustedRoot) { r.TLogs[0].PublicKey.ValidFor = nil },
	} {
		t.Run("A16/"+name, func(t *testing.T) {
			s := newStage(t)
			trust := s.Sigstore.Trust()
			edit(&trust)
			s.root = trust.JSON()
			refusedAtStart(t, s, "public-good")
		})
	}
}

// Conformance rekor2-checkpoint-*: who signed the checkpoint, and of which log it is (A19).
func TestReg_A18_checkpoint(t *testing.T) {
	for _, kind := range []stemmatest.EntryKind{stemmatest.EntryDSSE001, stemmatest.EntryHashedRekord002} {
		log := func(s *stage) *stemmatest.Log {
			if kind == stemmatest.EntryHashedRekord002 {
				return s.Sigstore.Tiles
			}
			return s.Sigstore.Rekor
		}
		resign := func(text func(s *stage, text string) string, by func(s *stage) []stemmatest.NoteSigner) func(s *stage, x *stemmatest.Signed) {
			return func(s *stage, x *stemmatest.Signed) {
				p := x.Entries[0].Proof
				body, _, _ := strings.Cut(p.Checkpoint, "\n\n")
				body += "\n"
				if text != nil {
					body = text(s, body)
				}
				p.Checkpoint = must[string](s)(stemmatest.SignNote(body, by(s)...))
			}
		}
		itself := func(s *stage) stemmatest.NoteSigner {
			return stemmatest.NoteSigner{Name: log(s).Name, Key: log(s).Key}
		}
		witness := func(s *stage, name string) stemmatest.NoteSigner {
			return stemmatest.NoteSigner{Name: name, Key: s.key(stemmatest.ECDSAP256, "").Key}
		}
		sign := stemmatest.Sign{Entry: kind}
		play(
			t,
			spoilAs(string(kind)+"/witness beside", sign, "", resign(nil, func(s *stage) []stemmatest.NoteSigner {
				return []stemmatest.NoteSigner{witness(s, "witness.test"), itself(s)}
			})).allowed(),
			spoilAs(string(kind)+"/witness only", sign, stemma.ReasonLogInvalid, resign(nil, func(s *stage) []stemmatest.NoteSigner {
				return []stemmatest.NoteSigner{witness(s, "witness.test")}
			})),
			spoilAs(string(kind)+"/another key under the name of the log", sign, stemma.ReasonLogInvalid, resign(nil, func(s *stage) []stemmatest.NoteSigner {
				return []stemmatest.NoteSigner{witness(s, log(s).Name)}
			})),
			spoilAs(string(kind)+"/A19 origin of another log", sign, stemma.ReasonLogInvalid, resign(
				func(s *stage, text string) string { return in(text, log(s).Name, "other.sigstore.test") },
				func(s *stage) []stemmatest.NoteSigner {
					return []stemmatest.NoteSigner{{Name: "other.sigstore.test", Key: log(s).Key}}
				})),
			spoilAs(string(kind)+"/no proof", sign, stemma.ReasonLogInvalid, func(_ *stage, x *stemmatest.Signed) { x.Entries[0].Proof = nil }),
		)
	}
}

// Conformance bundle-from-wrong-instance; A27, CVE-2023-47122: nothing that comes with evidence or out of a registry is
// trusted for what it is.
func TestReg_A20_wrong_instance(t *testing.T) {
	stranger := func(mediaType string) func(s *stage) {
		return func(s *stage) {
			other := newStage(s).Sigstore
			x := must[*stemmatest.Signed](s)(other.Attest(stemmatest.Sign{As: s.Build, MediaType: mediaType}, stemmatest.ActionsAttest(s.Build, s.Subject(s.image)).JSON()))
			if mediaType == stemmatest.MediaTypeDSSE {
				s.image.AttachCosign(".att", must[stemmatest.Layer](s)(x.CosignAttestation()))
				return
			}
			s.Attach(s.image, x)
		}
	}
	play(
		t,
		reg{name: "wrong instance", play: stranger(""), want: rejected(stemma.ReasonSignerUnknown)},
		reg{name: "A27 chain in the bundle", play: stranger(stemmatest.MediaTypeV02), want: rejected(stemma.ReasonSignerUnknown)},
		reg{name: "A27 CVE-2023-47122 chain in annotations", play: stranger(stemmatest.MediaTypeDSSE), want: rejected(stemma.ReasonSignerUnknown)},
		reg{name: "A27 key beside the evidence", play: func(s *stage) {
			key := s.key(stemmatest.ECDSAP256, "cosign.pub")
			x := s.attest(signAs(stemmatest.Sign{With: key}))
			s.image.AttachReferrer(stemmatest.Artifact{Type: stemmatest.MediaTypeV03, Layers: []stemmatest.Layer{
				x.BundleLayer(), {MediaType: "application/x-pem-file", Data: key.PublicKeyPEM()},
			}})
		}, want: rejected(stemma.ReasonSignerUnknown)},
		reg{name: "A27 trusted root beside the evidence", play: func(s *stage) {
			other := newStage(s).Sigstore
			stranger("")(s)
			s.image.AttachReferrer(stemmatest.Artifact{Type: "application/vnd.dev.sigstore.trustedroot+json;version=0.1", Layers: []stemmatest.Layer{
				{MediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1", Data: other.TrustedRoot()},
			}})
		}, want: rejected(stemma.ReasonSignerUnknown)},
	)
}

// CVE-2026-44310, conformance bundle-with-root-cert (A22): what is empty, and what does not belong there.
func TestReg_A21_empty(t *testing.T) {
	v02 := stemmatest.Sign{MediaType: stemmatest.MediaTypeV02}
	play(
		t,
		spoilAs("chain of none", v02, stemma.ReasonMalformed, func(_ *stage, x *stemmatest.Signed) { x.Chain = []*x509.Certificate{} }),
		spoil("no signatures", stemma.ReasonSignatureCount, func(_ *stage, x *stemmatest.Signed) { x.Envelope.Signatures = []stemmatest.Signature{} }),
		spoil("empty signature", stemma.ReasonSignatureCount, func(_ *stage, x *stemmatest.Signed) { x.Envelope.Signatures[0].Sig = []byte{} }),
		spoil("empty timestamp", stemma.ReasonTimestampInvalid, func(_ *stage, x *stemmatest.Signed) { x.Timestamps[0] = nil }),
		spoil("empty body", stemma.ReasonMalformed, func(_ *stage, x *stemmatest.Signed) { x.Entries[0].Body = []byte{} }),
		spoil("empty promise", stemma.ReasonLogInvalid, func(_ *stage, x *stemmatest.Signed) { x.Entries[0].SET = []byte{0} }),
		spoil("CVE-2026-44310 timestamp without certificates", "", func(s *stage, x *stemmatest.Signed) {
			s.Sigstore.TSA.Embed = []*x509.Certificate{}
			s.retime(x)
		}).allowed(), // the trusted root pins the signer
		spoilAs("A22 root in the chain", v02, stemma.ReasonMalformed, func(_ *stage, x *stemmatest.Signed) {
			x.Chain = append([]*x509.Certificate{x.Signer.Certificate}, x.Signer.Chain...)
		}),
	)
}

// Client specification, algorithm registry: one hash for each kind of key, and no weak keys.
func TestReg_A23_algorithms(t *testing.T) {
	var cases []reg
	for alg, w := range map[stemmatest.Algorithm]want{
		stemmatest.ECDSAP384: {}, stemmatest.ECDSAP521: {}, stemmatest.RSA2048: {},
		stemmatest.RSA1024: rejected(stemma.ReasonAlgorithm), stemmatest.ECDSAP224: rejected(stemma.ReasonAlgorithm),
	} {
		cases = append(cases, reg{name: "certificate of " + string(alg), want: w, play: func(s *stage) {
			s.attach(stemmatest.Vary{Certificate: func(c *stemmatest.Certificate) { c.Key = s.key(alg, "").Key }})
		}})
	}
	play(t, cases...)
}

// in-toto validation: the payload type says how the payload is read.
func TestReg_A24_payload_type(t *testing.T) {
	for _, payloadType := range []string{"application/json", "application/vnd.in-toto+json; charset=utf-8", "text/plain", ""} {
		play(t, spoil("type "+payloadType, stemma.ReasonPayloadType, func(s *stage, x *stemmatest.Signed) {
			x.Envelope = must[*stemmatest.Envelope](s)(stemmatest.Seal(payloadType, x.Envelope.Payload, x.Signer))
			s.relog(x)
			s.retime(x)
		}))
	}
	play(t, spoil("changed after signing", stemma.ReasonSignatureInvalid, func(_ *stage, x *stemmatest.Signed) {
		x.Envelope.PayloadType = "application/json"
	}))
}

// sigstore-go ErrDSSEInvalidSignatureCount.
func TestReg_A25_two_signatures(t *testing.T) {
	play(
		t,
		spoil("garbage", stemma.ReasonSignatureCount, func(_ *stage, x *stemmatest.Signed) {
			x.Envelope.Signatures = append(x.Envelope.Signatures, stemmatest.Signature{Sig: []byte("garbage")})
		}),
		spoil("garbage first", stemma.ReasonSignatureCount, func(_ *stage, x *stemmatest.Signed) {
			x.Envelope.Signatures = slices.Insert(x.Envelope.Signatures, 0, stemmatest.Signature{Sig: []byte("garbage")})
		}),
		spoil("the same twice", stemma.ReasonSignatureCount, func(_ *stage, x *stemmatest.Signed) {
			x.Envelope.Signatures = append(x.Envelope.Signatures, x.Envelope.Signatures[0])
		}),
	)
}

// GHSA-r2xv: a signature over the payload without its encoding.
func TestReg_A28_no_encoding(t *testing.T) {
	play(t, spoil("GHSA-r2xv", stemma.ReasonSignatureInvalid, func(s *stage, x *stemmatest.Signed) {
		x.Envelope.Signatures[0].Sig = must[[]byte](s)(x.Signer.Sign(x.Envelope.Payload))
		s.relog(x)
		s.retime(x)
	}))
}

// sigstore-go d0614335: log entries without what their kind prescribes, and of kinds that are not known.
func TestReg_A29_unsupported_entry(t *testing.T) {
	body := func(name string, r stemma.Reason, kind stemmatest.EntryKind, text string, tiled bool) reg {
		return spoil(name, r, func(s *stage, x *stemmatest.Signed) {
			log := s.Sigstore.Rekor
			if tiled {
				log = s.Sigstore.Tiles
			}
			x.Entries = []*stemmatest.Entry{must[*stemmatest.Entry](s)(log.AppendBody(kind, []byte(text), s.Now))}
		})
	}
	play(
		t,
		body("d0614335/empty spec", stemma.ReasonMalformed, "hashedrekord 0.0.2", `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{}}`, true),
		body("d0614335/v0.0.1 in a v2 log", stemma.ReasonMalformed, "hashedrekord 0.0.1", `{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{}}`, true),
		body("dsse 0.0.2", stemma.ReasonUnsupported, "dsse 0.0.2", `{"apiVersion":"0.0.2","kind":"dsse","spec":{"dsseV002":{}}}`, true),
		body("rpm", stemma.ReasonUnsupported, "rpm 0.0.1", `{"apiVersion":"0.0.1","kind":"rpm","spec":{}}`, false),
		body("not JSON", stemma.ReasonMalformed, "dsse 0.0.1", `dsse`, false),
		spoil("kind of the bundle", stemma.ReasonLogMismatch, func(_ *stage, x *stemmatest.Signed) { x.Entries[0].Kind = stemmatest.EntryInToto002 }),
	)
}

// Wycheproof ecdsa_secp256r1_sha256: the classes of invalid encodings and values of a signature. The vectors themselves
// are about other messages and keys, and run at the key loader.
func TestReg_A30_wycheproof(t *testing.T) {
	type pair struct{ R, S *big.Int }
	order := elliptic.P256().Params().N
	var cases []reg
	for name, forge := range map[string]func(sig pair, der []byte) []byte{
		"r and s are zero":    func(pair, []byte) []byte { return []byte{0x30, 6, 2, 1, 0, 2, 1, 0} },
		"r and s are one":     func(pair, []byte) []byte { return []byte{0x30, 6, 2, 1, 1, 2, 1, 1} },
		"r plus the order":    func(p pair, _ []byte) []byte { return encodeASN1(pair{new(big.Int).Add(p.R, order), p.S}) },
		"s plus the order":    func(p pair, _ []byte) []byte { return encodeASN1(pair{p.R, new(big.Int).Add(p.S, order)}) },
		"r negative":          func(p pair, _ []byte) []byte { return encodeASN1(pair{new(big.Int).Neg(p.R), p.S}) },
		"r and s exchanged":   func(p pair, _ []byte) []byte { return encodeASN1(pair{p.S, p.R}) },
		"bytes after it":      func(_ pair, der []byte) []byte { return append(slices.Clone(der), 0) },
		"length in long form": func(_ pair, der []byte) []byte { return append([]byte{0x30, 0x81, der[1]}, der[2:]...) },
		"indefinite length":   func(_ pair, der []byte) []byte { return append(append([]byte{0x30, 0x80}, der[2:]...), 0, 0) },
		"plain r and s": func(p pair, _ []byte) []byte {
			return append(p.R.FillBytes(make([]byte, 32)), p.S.FillBytes(make([]byte, 32))...)
		},
		"set in place of a seq": func(_ pair, der []byte) []byte { return append([]byte{0x31}, der[1:]...) },
		"cut":                   func(_ pair, der []byte) []byte { return der[:len(der)-1] },
	} {
		cases = append(cases, spoil(name, stemma.ReasonSignatureInvalid, func(s *stage, x *stemmatest.Signed) {
			der := x.Envelope.Signatures[0].Sig
			var sig pair
			_, err := asn1.Unmarshal(der, &sig)
			check(s, err)
			if _, ok := x.Signer.Key.Public().(*ecdsa.PublicKey); !ok {
				s.Fatal("the world signs with another kind of key")
			}
			x.Envelope.Signatures[0].Sig = forge(sig, der)
			s.relog(x)
			s.retime(x)
		}))
	}
	play(t, cases...)
}

func encodeASN1(v any) []byte {
	b, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
