package sigstore

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"stemma"
	"stemma/stemmatest"
)

// edits that several cases share

func another(t *testing.T, w *world, o stemmatest.Sign) *stemmatest.Signed {
	s := w.statement()
	s.Set("/runDetails/metadata/invocationId", "https://github.com/acme/app/actions/runs/2/attempts/1")
	return w.attest(t, o, s.JSON())
}

func relog(t *testing.T, w *world, x *stemmatest.Signed) {
	x.Entries = nil
	check(t, x.Log(w.Rekor, stemmatest.EntryDSSE001, w.Now))
}

func retime(t *testing.T, w *world, x *stemmatest.Signed) {
	x.Timestamps = nil
	check(t, x.Timestamp(w.TSA, w.Now))
}

// A00: the control of this group, in every form and with every kind of entry.
func TestReg_A00_control(t *testing.T) {
	for _, mediaType := range []string{stemmatest.MediaTypeV01, stemmatest.MediaTypeV02, stemmatest.MediaTypeV03Param, stemmatest.MediaTypeV03} {
		for _, kind := range []stemmatest.EntryKind{stemmatest.EntryDSSE001, stemmatest.EntryInToto002, stemmatest.EntryHashedRekord002} {
			if mediaType == stemmatest.MediaTypeV01 && kind == stemmatest.EntryHashedRekord002 {
				continue // v0.1 wants a promise, which Rekor v2 does not make
			}
			t.Run(mediaType+" "+string(kind), func(t *testing.T) {
				w := newWorld(t)
				x := w.attest(t, stemmatest.Sign{Entry: kind, MediaType: mediaType}, nil)
				a := wantAccepted(t, authenticator(t, w.domain(t)), bundleOf(x), w.image)
				if a.Log[0].Kind != string(kind) || !a.Time().Equal(w.Now) || a.Signer.Claims[stemma.ClaimTokenSubject] != "repo:acme/app:ref:refs/tags/v2.0.0" {
					t.Errorf("log %v, signed at %v, claims %v", a.Log, a.SignedAt, a.Signer.Claims)
				}
			})
		}
	}
	for _, kind := range []stemmatest.EntryKind{stemmatest.EntryDSSE001, stemmatest.EntryInToto001, stemmatest.EntryInToto002} {
		t.Run("cosign "+string(kind), func(t *testing.T) {
			w := newWorld(t)
			x := w.attest(t, stemmatest.Sign{Entry: kind, MediaType: stemmatest.MediaTypeDSSE}, nil)
			a := wantAccepted(t, authenticator(t, w.domain(t)), attLayer(t, x), w.image)
			if a.Format != "cosign dsse" || len(a.SignedAt) != 2 || a.Log[0].Proof != "promise" {
				t.Errorf("%s, signed at %v, log %v", a.Format, a.SignedAt, a.Log)
			}
		})
	}
}

// A01 [CVE-2022-23649, CVE-2026-22703], A02 [conformance rekor2-dsse-mismatch-sig], A03 [cosign mismatched bundle].
func TestReg_A01_entry_of_another_payload(t *testing.T) {
	var cases []spoiled
	for _, kind := range []stemmatest.EntryKind{stemmatest.EntryDSSE001, stemmatest.EntryInToto002, stemmatest.EntryHashedRekord002} {
		cases = append(cases, spoiled{
			name: "CVE-2022-23649/" + string(kind), sign: stemmatest.Sign{Entry: kind}, want: stemma.ReasonLogMismatch,
			edit: func(t *testing.T, w *world, x *stemmatest.Signed) {
				x.Entries = another(t, w, stemmatest.Sign{With: x.Signer, Entry: kind}).Entries
			},
		})
	}
	regressions(t, cases...)
}

func TestReg_A02_second_signature(t *testing.T) {
	var cases []spoiled
	for _, kind := range []stemmatest.EntryKind{stemmatest.EntryDSSE001, stemmatest.EntryInToto002, stemmatest.EntryHashedRekord002} {
		cases = append(cases, spoiled{
			name: "dsse-mismatch-sig/" + string(kind), sign: stemmatest.Sign{Entry: kind}, want: stemma.ReasonLogMismatch,
			edit: func(t *testing.T, w *world, x *stemmatest.Signed) {
				check(t, x.Resign())
				retime(t, w, x)
			},
		})
	}
	regressions(t, cases...)
	t.Run("dsse-mismatch-sig/cosign intoto 0.0.1", func(t *testing.T) {
		w := newWorld(t)
		x := w.attest(t, stemmatest.Sign{Entry: stemmatest.EntryInToto001, MediaType: stemmatest.MediaTypeDSSE}, nil)
		check(t, x.Resign())
		retime(t, w, x)
		wantRejected(t, authenticator(t, w.domain(t)), attLayer(t, x), w.image, stemma.ReasonLogMismatch)
	})
}

func TestReg_A03_entry_of_another_certificate(t *testing.T) {
	regressions(t, spoiled{
		name: "cosign TestVerifyMismatchedBundle", want: stemma.ReasonLogMismatch,
		edit: func(t *testing.T, w *world, x *stemmatest.Signed) {
			cert := w.job.Certificate()
			cert.Key = x.Signer.Key
			twin := *x
			twin.Signer = must[*stemmatest.Signer](t)(w.Certify(cert, w.Now))
			relog(t, w, &twin)
			x.Entries = twin.Entries
		},
	})
}

// A04: an entry of a trusted log that does not hold is never passed over for another.
func TestReg_A04_no_fallback(t *testing.T) {
	garbage := func(t *testing.T, w *world, x *stemmatest.Signed) {
		bad := *x
		relog(t, w, &bad)
		bad.Entries[0].SET = []byte("garbage")
		x.Entries = append(bad.Entries, x.Entries...)
	}
	regressions(t,
		spoiled{name: "CVE-2022-36056", want: stemma.ReasonLogInvalid, edit: garbage},
		spoiled{name: "no log required", config: []func(*DomainConfig){stampOnly}, want: stemma.ReasonLogInvalid, edit: garbage},
		spoiled{name: "time changed after the promise", want: stemma.ReasonLogInvalid, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) {
			x.Entries[0].Time++
		}},
		spoiled{name: "entry of a log that is not known", want: stemma.ReasonLogMissing, edit: func(t *testing.T, w *world, x *stemmatest.Signed) {
			x.Entries = nil
			check(t, x.Log(newWorld(t).Rekor, stemmatest.EntryDSSE001, w.Now))
		}},
		spoiled{name: "no entry", want: stemma.ReasonLogMissing, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Entries = nil }},
	)
}

// A05, A06: nothing counts twice. One log entry, one certificate timestamp and one signed timestamp are all that a
// domain can require, so what is left to attack is the same thing given twice.
func TestReg_A05_same_log_twice(t *testing.T) {
	regressions(t,
		spoiled{name: "CVE-2026-49834/one entry twice", want: stemma.ReasonLogInvalid, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) {
			x.Entries = append(x.Entries, x.Entries[0])
		}},
		spoiled{name: "two entries", edit: func(t *testing.T, w *world, x *stemmatest.Signed) {
			check(t, x.Log(w.Rekor, stemmatest.EntryDSSE001, w.Now))
		}},
	)
	w := newWorld(t)
	x := w.attest(t, stemmatest.Sign{}, nil)
	check(t, x.Timestamp(w.TSA, w.Now))
	if a := wantAccepted(t, authenticator(t, w.domain(t)), bundleOf(x), w.image); len(a.SignedAt) != 2 {
		t.Errorf("signed at %v, want one time of the log and one of the authority", a.SignedAt)
	}
}

func TestReg_A06_certificate_timestamps(t *testing.T) {
	sct := func(name string, want stemma.Reason, logs func(t *testing.T, w *world) []*stemmatest.CTLog) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cert := w.job.Certificate()
			cert.CT = logs(t, w)
			x := w.attest(t, stemmatest.Sign{As: cert}, nil)
			a := authenticator(t, w.domain(t))
			if want == "" {
				wantAccepted(t, a, bundleOf(x), w.image)
				return
			}
			wantRejected(t, a, bundleOf(x), w.image, want)
			wantAccepted(t, authenticator(t, w.domain(t, stampOnly)), bundleOf(x), w.image)
		})
	}
	sct("CVE-2026-49834/two of one log", "", func(_ *testing.T, w *world) []*stemmatest.CTLog { return []*stemmatest.CTLog{w.CT, w.CT} })
	sct("none", stemma.ReasonSCT, func(*testing.T, *world) []*stemmatest.CTLog { return []*stemmatest.CTLog{} })
	sct("of an unknown log", stemma.ReasonSCT, func(t *testing.T, _ *world) []*stemmatest.CTLog { return []*stemmatest.CTLog{newWorld(t).CT} })
	sct("two of an unknown log", stemma.ReasonSCT, func(t *testing.T, _ *world) []*stemmatest.CTLog {
		other := newWorld(t).CT
		return []*stemmatest.CTLog{other, other}
	})
}

// A09 [CVE-2026-24122]: the whole chain must be valid when it was signed.
func TestReg_A09_intermediate_expired(t *testing.T) {
	for name, until := range map[string]time.Duration{"before the certificate": -time.Minute, "before signing": 2 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Fulcio = must[*stemmatest.CA](t)(w.Root.Intermediate("expiring", w.Now.AddDate(-1, 0, 0), w.Now.Add(until), x509.ExtKeyUsageCodeSigning))
			cert := w.job.Certificate()
			cert.From, cert.Until = w.Now, w.Now.Add(10*time.Minute)
			x := w.attest(t, stemmatest.Sign{As: cert, At: w.Now.Add(5 * time.Minute)}, nil)
			wantRejected(t, authenticator(t, w.domain(t)), bundleOf(x), w.image, stemma.ReasonCertificateTime)
			if until > 0 {
				early := w.attest(t, stemmatest.Sign{As: cert, At: w.Now.Add(time.Minute)}, nil)
				wantAccepted(t, authenticator(t, w.domain(t)), bundleOf(early), w.image)
			}
		})
	}
	regressions(t, spoiled{name: "certificate expired", want: stemma.ReasonCertificateTime, edit: func(t *testing.T, w *world, x *stemmatest.Signed) {
		w.Now = w.Now.Add(11 * time.Minute)
		relog(t, w, x)
		retime(t, w, x)
	}}, spoiled{name: "one of two times outside", want: stemma.ReasonCertificateTime, edit: func(t *testing.T, w *world, x *stemmatest.Signed) {
		w.Now = w.Now.Add(11 * time.Minute)
		retime(t, w, x)
	}})
}

// A10 [CVE-2026-54787]: a managed key counts only inside of its window.
func TestReg_A10_key_window(t *testing.T) {
	year := func(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
	cases := []struct {
		name        string
		from, until time.Time
		want        stemma.Reason
	}{
		{"open", time.Time{}, time.Time{}, ""},
		{"covers", year(2026), year(2027), ""},
		{"ends at the very time", year(2026), stemmatest.Now(), ""},
		{"CVE-2026-54787/2020 to 2021", year(2020), year(2021), stemma.ReasonKeyTime},
		{"from 2027", year(2027), time.Time{}, stemma.ReasonKeyTime},
		{"ended a second before", year(2026), stemmatest.Now().Add(-time.Second), stemma.ReasonKeyTime},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			key := must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "builder-1"))
			proven := w.attest(t, stemmatest.Sign{With: key}, nil)
			bare := w.attest(t, stemmatest.Sign{With: key, Entry: stemmatest.NotLogged, NoTimestamp: true}, nil)
			window := func(d *DomainConfig) { d.Keys[0].From, d.Keys[0].Until = c.from, c.until }
			online := authenticator(t, w.domain(t, withKeys(key), window))
			now := authenticator(t, w.domain(t, withKeys(key), window, offline))
			at := w.image
			at.Now = w.Now
			if c.want == "" {
				if a := wantAccepted(t, online, bundleOf(proven), w.image); a.Signer.KeyID != "builder-1" || a.Signer.Key == "" || a.Signer.Subject != "" {
					t.Errorf("signer %+v", a.Signer)
				}
				wantAccepted(t, now, bundleOf(bare), at)
			} else {
				wantRejected(t, online, bundleOf(proven), w.image, c.want)
				// The time of the call does not heal what is proven.
				wantRejected(t, online, bundleOf(proven), Artifact{Digest: w.image.Digest, Now: year(2020).AddDate(0, 6, 0)}, c.want)
				wantRejected(t, now, bundleOf(bare), at, c.want)
			}
			wantRejected(t, authenticator(t, w.domain(t, withKeys(key), window, stampOnly, logTime)), bundleOf(bare), at, stemma.ReasonTimeMissing)
		})
	}
}

// A11 [CVE-2026-39984], A12 [GHSA-5qp5]: the signer of a timestamp, whether or not the trusted root pins it.
func TestReg_A11_timestamp_decoy(t *testing.T) {
	for name, pinned := range map[string]bool{"pinned signer": true, "signer in the token": false} {
		t.Run("CVE-2026-39984/"+name, func(t *testing.T) {
			w := newWorld(t)
			x := w.attest(t, stemmatest.Sign{}, nil)
			unpin := func(c *DomainConfig) {
				trust := w.Trust()
				if chain := &trust.TimestampAuthorities[0].CertChain; !pinned {
					chain.Certificates = chain.Certificates[1:]
				}
				c.TrustedRoot = trust.JSON()
			}
			a := authenticator(t, w.domain(t, unpin))
			wantAccepted(t, a, bundleOf(x), w.image)

			rogue := must[*stemmatest.TSA](t)(w.TSA.WithUsage(w.TSARoot, true))
			rogue.Embed = []*x509.Certificate{w.TSA.Signer.Certificate, rogue.Signer.Certificate}
			x.Timestamps = nil
			check(t, x.Timestamp(rogue, w.Now))
			want := stemma.ReasonTimestampInvalid
			if pinned {
				want = stemma.ReasonTimeMissing // the token names a signer that is none of the domain's
			}
			wantRejected(t, a, bundleOf(x), w.image, want)
		})
	}
}

func TestReg_A12_timestamp_usage(t *testing.T) {
	usage := func(critical bool, usages ...int) func(*testing.T, *world, *stemmatest.Signed) {
		return func(t *testing.T, w *world, x *stemmatest.Signed) {
			w.TSA = must[*stemmatest.TSA](t)(w.TSA.WithUsage(w.TSARoot, critical, usages...))
			retime(t, w, x)
		}
	}
	regressions(t,
		spoiled{name: "critical and alone", edit: usage(true, stemmatest.UsageTimeStamping)},
		spoiled{name: "GHSA-5qp5/serverAuth too", want: stemma.ReasonTimestampInvalid, edit: usage(true, stemmatest.UsageTimeStamping, stemmatest.UsageServerAuth)},
		spoiled{name: "not critical", want: stemma.ReasonTimestampInvalid, edit: usage(false, stemmatest.UsageTimeStamping)},
		spoiled{name: "code signing", want: stemma.ReasonTimestampInvalid, edit: usage(true, stemmatest.UsageCodeSigning)},
		spoiled{name: "none", want: stemma.ReasonTimestampInvalid, edit: usage(true)},
	)
}

// A13 [conformance rekor2-timestamp-payload-mismatch]
func TestReg_A13_timestamp_of_another_signature(t *testing.T) {
	mix := func(t *testing.T, w *world, x *stemmatest.Signed) {
		x.Timestamps = another(t, w, stemmatest.Sign{}).Timestamps
	}
	cut := func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Timestamps[0] = x.Timestamps[0][:40] }
	regressions(t,
		spoiled{name: "rekor2-timestamp-payload-mismatch", want: stemma.ReasonTimestampInvalid, edit: mix},
		spoiled{name: "not required", config: []func(*DomainConfig){logTime}, want: stemma.ReasonTimestampInvalid, edit: mix},
		spoiled{name: "cut", want: stemma.ReasonTimestampInvalid, edit: cut},
		spoiled{name: "bytes after it", want: stemma.ReasonTimestampInvalid, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) {
			x.Timestamps[0] = append(x.Timestamps[0], 0)
		}},
		spoiled{name: "of another authority with the same names", want: stemma.ReasonTimestampInvalid, edit: func(t *testing.T, w *world, x *stemmatest.Signed) {
			x.Timestamps = nil
			check(t, x.Timestamp(newWorld(t).TSA, w.Now))
		}},
		spoiled{name: "of an unknown authority", want: stemma.ReasonTimeMissing, edit: func(t *testing.T, w *world, x *stemmatest.Signed) {
			x.Timestamps = nil
			foreign := newWorld(t)
			check(t, x.Timestamp(must[*stemmatest.TSA](t)(foreign.TSA.WithUsage(foreign.TSARoot, true, stemmatest.UsageTimeStamping)), w.Now))
		}},
		spoiled{name: "none", want: stemma.ReasonTimeMissing, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Timestamps = nil }},
	)
}

// A14 [sigstore-go tlog.go]: an integrated time without the promise that signs it proves nothing.
func TestReg_A14_no_proven_time(t *testing.T) {
	regressions(t,
		spoiled{
			name: "inclusion proof only", sign: stemmatest.Sign{NoTimestamp: true}, config: []func(*DomainConfig){logTime}, want: stemma.ReasonTimeMissing,
			edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Entries[0].SET = nil },
		},
		spoiled{
			name: "integrated time changed, no promise", sign: stemmatest.Sign{}, config: []func(*DomainConfig){logTime},
			edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) { x.Entries[0].SET, x.Entries[0].Time = nil, 1 },
		},
	)
	w := newWorld(t)
	y := w.attest(t, stemmatest.Sign{}, nil)
	proven := y.Entries[0].Proof.Index
	y.Entries[0].SET, y.Entries[0].Index, y.Entries[0].Time = nil, 123456789, 1
	if a := wantAccepted(t, authenticator(t, w.domain(t)), bundleOf(y), w.image); a.Log[0].Index != proven || !a.Log[0].Time.IsZero() {
		t.Errorf("log entry %+v, want the index %d that is proven, and no time", a.Log[0], proven)
	}
	x := w.attest(t, stemmatest.Sign{NoTimestamp: true, Entry: stemmatest.EntryHashedRekord002}, nil)
	wantRejected(t, authenticator(t, w.domain(t, logTime)), bundleOf(x), w.image, stemma.ReasonTimeMissing)
}

// A15 [conformance trust-root-*-validity-end-inclusive], A16 [trust-root-tlog-missing-validity-start], A17 [sigstore-go 1.2.1]
func TestReg_A15_windows_of_trust(t *testing.T) {
	type edit func(trust *stemmatest.TrustedRoot, end time.Time)
	rekor := func(r *stemmatest.TrustedRoot, end time.Time) { r.TLogs[0].PublicKey.ValidFor.End = &end }
	tiles := func(r *stemmatest.TrustedRoot, end time.Time) { r.TLogs[1].PublicKey.ValidFor.End = &end }
	tsa := func(r *stemmatest.TrustedRoot, end time.Time) { r.TimestampAuthorities[0].ValidFor.End = &end }
	ca := func(r *stemmatest.TrustedRoot, end time.Time) { r.CertificateAuthorities[0].ValidFor.End = &end }
	ct := func(r *stemmatest.TrustedRoot, end time.Time) { r.CTLogs[0].PublicKey.ValidFor.End = &end }
	for name, c := range map[string]struct {
		edit edit
		kind stemmatest.EntryKind
		want stemma.Reason
	}{
		"log":                   {rekor, stemmatest.EntryDSSE001, stemma.ReasonLogInvalid},
		"A17/log v2":            {tiles, stemmatest.EntryHashedRekord002, stemma.ReasonLogInvalid},
		"timestamp authority":   {tsa, stemmatest.EntryDSSE001, stemma.ReasonTimestampInvalid},
		"certificate authority": {ca, stemmatest.EntryDSSE001, stemma.ReasonCertificateTime},
		"certificate log":       {ct, stemmatest.EntryDSSE001, stemma.ReasonSCT},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			x := w.attest(t, stemmatest.Sign{Entry: c.kind}, nil)
			until := func(end time.Time) *Authenticator {
				trust := w.Trust()
				c.edit(&trust, end)
				return authenticator(t, w.domain(t, func(d *DomainConfig) { d.TrustedRoot = trust.JSON() }))
			}
			wantAccepted(t, until(w.Now), bundleOf(x), w.image)
			wantRejected(t, until(w.Now.Add(-time.Second)), bundleOf(x), w.image, c.want)
		})
	}
}

// A18, A19 [conformance rekor2-checkpoint-*]
func TestReg_A18_checkpoint(t *testing.T) {
	for _, kind := range []stemmatest.EntryKind{stemmatest.EntryDSSE001, stemmatest.EntryHashedRekord002} {
		log := func(w *world) *stemmatest.Log {
			if kind == stemmatest.EntryHashedRekord002 {
				return w.Tiles
			}
			return w.Rekor
		}
		resign := func(sign func(t *testing.T, w *world, text string) string) func(*testing.T, *world, *stemmatest.Signed) {
			return func(t *testing.T, w *world, x *stemmatest.Signed) {
				p := x.Entries[0].Proof
				text, _, _ := strings.Cut(p.Checkpoint, "\n\n")
				p.Checkpoint = sign(t, w, text+"\n")
			}
		}
		note := func(t *testing.T, text string, by ...stemmatest.NoteSigner) string {
			return must[string](t)(stemmatest.SignNote(text, by...))
		}
		witness := func(t *testing.T) stemmatest.NoteSigner {
			return stemmatest.NoteSigner{Name: "witness.test", Key: must[*stemmatest.Signer](t)(stemmatest.NewKey(stemmatest.ECDSAP256, "")).Key}
		}
		sign := stemmatest.Sign{Entry: kind}
		regressions(t,
			spoiled{name: string(kind) + "/witness first", sign: sign, edit: resign(func(t *testing.T, w *world, text string) string {
				return note(t, text, witness(t), stemmatest.NoteSigner{Name: log(w).Name, Key: log(w).Key})
			})},
			spoiled{name: string(kind) + "/witness only", sign: sign, want: stemma.ReasonLogInvalid, edit: resign(func(t *testing.T, _ *world, text string) string {
				return note(t, text, witness(t))
			})},
			spoiled{name: string(kind) + "/another key under the log's name", sign: sign, want: stemma.ReasonLogInvalid, edit: resign(func(t *testing.T, w *world, text string) string {
				by := witness(t)
				by.Name = log(w).Name
				return note(t, text, by)
			})},
			spoiled{name: string(kind) + "/A19 origin of another log", sign: sign, want: stemma.ReasonLogInvalid, edit: resign(func(t *testing.T, w *world, text string) string {
				text = strings.Replace(text, log(w).Name, "other.sigstore.test", 1)
				return note(t, text, stemmatest.NoteSigner{Name: "other.sigstore.test", Key: log(w).Key})
			})},
			spoiled{name: string(kind) + "/tree without the entry", sign: sign, want: stemma.ReasonLogInvalid, edit: func(t *testing.T, w *world, x *stemmatest.Signed) {
				p := x.Entries[0].Proof
				p.Root = bytes.Repeat([]byte{1}, 32)
				p.Checkpoint = must[string](t)(log(w).Checkpoint(p.Size, p.Root))
			}},
			spoiled{name: string(kind) + "/no proof", sign: sign, want: stemma.ReasonLogInvalid, edit: func(_ *testing.T, _ *world, x *stemmatest.Signed) {
				x.Entries[0].Proof = nil
			}},
		)
	}
}

// A20 [conformance bundle-from-wrong-instance], A27 [CVE-2023-47122]: trust comes from the domains alone.
func TestReg_A20_wrong_instance(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	x := w.attest(t, stemmatest.Sign{MediaType: stemmatest.MediaTypeV02}, nil)
	a := authenticator(t, other.domain(t))
	wantRejected(t, a, bundleOf(x), w.image, stemma.ReasonSignerUnknown)
	wantRejected(t, a, attLayer(t, x), w.image, stemma.ReasonSignerUnknown) // its annotations bring the chain along
	both := authenticator(t, w.domain(t), other.domain(t, func(c *DomainConfig) { c.Name = "other" }))
	if att := wantAccepted(t, both, bundleOf(x), w.image); att.Signer.Trust != "test" {
		t.Errorf("verified under %s", att.Signer.Trust)
	}

	// A certificate that names the right authority and was issued by another.
	forged := *other.Sigstore
	cert := *other.Fulcio.Certificate
	cert.SubjectKeyId, cert.RawSubject = w.Fulcio.Certificate.SubjectKeyId, w.Fulcio.Certificate.RawSubject
	forged.Fulcio = &stemmatest.CA{Certificate: &cert, Key: other.Fulcio.Key, Parent: other.Fulcio.Parent, URL: other.Fulcio.URL}
	y := must[*stemmatest.Signed](t)(forged.Attest(stemmatest.Sign{As: w.job}, w.statement().JSON()))
	wantRejected(t, authenticator(t, w.domain(t)), bundleOf(y), w.image, stemma.ReasonCertificateInvalid)
}

// Requirements of one domain are never met by asking another.
func TestNoFallbackBetweenDomains(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	x := w.attest(t, stemmatest.Sign{Entry: stemmatest.NotLogged}, nil)
	mild := other.domain(t, stampOnly, func(c *DomainConfig) { c.Name = "mild" })
	wantRejected(t, authenticator(t, mild, w.domain(t)), bundleOf(x), w.image, stemma.ReasonLogMissing)
	wantAccepted(t, authenticator(t, w.domain(t, stampOnly)), bundleOf(x), w.image)
}
