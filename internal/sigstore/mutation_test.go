package sigstore

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"stemma"
	"stemma/stemmatest"
)

// seed is a piece of evidence that verifies.
type seed struct {
	name string
	raw  stemma.Raw
}

// seeds are one of each form, all about the image of w.
func seeds(t testing.TB, w *world) []seed {
	t.Helper()
	message := must[*stemmatest.Signed](t)(w.SignMessage(stemmatest.Sign{As: w.job}, w.image.Content))
	simple := must[*stemmatest.Signed](t)(w.SignMessage(stemmatest.Sign{As: w.job}, stemmatest.SimpleSigning("ghcr.io/acme/app", w.image.Digest)))
	return []seed{
		{"bundle v0.3", bundleOf(w.attest(t, stemmatest.Sign{}, nil))},
		{"bundle v0.1", bundleOf(w.attest(t, stemmatest.Sign{MediaType: stemmatest.MediaTypeV01, Entry: stemmatest.EntryInToto002}, nil))},
		{"bundle v0.3, Rekor v2", bundleOf(w.attest(t, stemmatest.Sign{Entry: stemmatest.EntryHashedRekord002}, nil))},
		{"bundle of a message", bundleOf(message)},
		{"cosign dsse", attLayer(t, w.attest(t, stemmatest.Sign{MediaType: stemmatest.MediaTypeDSSE, Entry: stemmatest.EntryInToto001}, nil))},
		{"cosign simple signing", sigLayer(t, simple)},
	}
}

// TestMutation (J15) flips one byte after the other, in data and annotations. Most of the bytes are signed or decide how
// what is signed is read; the others (hints, the integrated time of an entry without promise, issuers in the chain of an
// old bundle) may change, and then the result must say exactly the same: same statement, same signer, same binding.
func TestMutation(t *testing.T) {
	w := newWorld(t)
	a := authenticator(t, w.domain(t))
	steps := map[byte]int{0x01: 1, 0x20: 7} // by the bit that is flipped
	if testing.Short() {
		steps = map[byte]int{0x01: 23, 0x20: 29}
	}
	for _, s := range seeds(t, w) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			want := wantAccepted(t, a, s.raw, w.image)
			flips, accepted := 0, 0
			judge := func(raw stemma.Raw) {
				flips++
				if att, _ := a.Authenticate(raw, w.image); att != nil {
					accepted++
					same(t, want, att)
				}
			}
			for flip, step := range steps {
				for i := 0; i < len(s.raw.Data); i += step {
					raw := s.raw
					raw.Data = append([]byte{}, s.raw.Data...)
					raw.Data[i] ^= flip
					judge(raw)
				}
				for _, name := range []string{annotationSignature, annotationCertificate, annotationBundle, annotationTimestamp} {
					text := s.raw.Annotations[name]
					for i := 0; i < len(text); i += step {
						raw := s.raw
						raw.Annotations = maps.Clone(s.raw.Annotations)
						b := []byte(text)
						b[i] ^= flip
						raw.Annotations[name] = string(b)
						judge(raw)
					}
				}
			}
			if accepted*20 > flips {
				t.Errorf("%d of %d flips are accepted: more is unsigned than is known", accepted, flips)
			}
			t.Logf("%d flips, %d harmless", flips, accepted)
		})
	}
}

// TestSplice puts each part of one good bundle into another.
func TestSplice(t *testing.T) {
	w := newWorld(t)
	a := authenticator(t, w.domain(t))
	for name, splice := range map[string]func(x, y *stemmatest.Signed){
		"signer":     func(x, y *stemmatest.Signed) { x.Signer = y.Signer },
		"envelope":   func(x, y *stemmatest.Signed) { x.Envelope = y.Envelope },
		"payload":    func(x, y *stemmatest.Signed) { x.Envelope.Payload = y.Envelope.Payload },
		"signatures": func(x, y *stemmatest.Signed) { x.Envelope.Signatures = y.Envelope.Signatures },
		"entries":    func(x, y *stemmatest.Signed) { x.Entries = y.Entries },
		"timestamps": func(x, y *stemmatest.Signed) { x.Timestamps = y.Timestamps },
		"body":       func(x, y *stemmatest.Signed) { x.Entries[0].Body = y.Entries[0].Body },
		"promise":    func(x, y *stemmatest.Signed) { x.Entries[0].SET = y.Entries[0].SET },
		"proof":      func(x, y *stemmatest.Signed) { x.Entries[0].Proof = y.Entries[0].Proof },
	} {
		t.Run(name, func(t *testing.T) {
			x, y := w.attest(t, stemmatest.Sign{}, nil), another(t, w, stemmatest.Sign{})
			splice(x, y)
			if att, _ := a.Authenticate(bundleOf(x), w.image); att != nil {
				t.Error("accepted")
			}
		})
	}
}

// FuzzAuthenticate: nothing but the seeds verifies, whatever the bytes; and what does verify says the same as its seed.
// The keys of a private instance are new in every process of a fuzzing run, so that there the seeds of the corpus are the
// ones to begin from.
func FuzzAuthenticate(f *testing.F) {
	w := newWorld(f)
	domains := []*Domain{w.domain(f)}
	type about struct {
		raw stemma.Raw
		art Artifact
	}
	var all []about
	for _, s := range seeds(f, w) {
		all = append(all, about{s.raw, w.image})
	}
	if dir, ok := corpusDir(); ok {
		domains = append(domains, publicGood(f), stagingDomain(f))
		artifact := load(f, "data/sigstore-conformance/test/assets/bundle-verify/a.txt")
		for _, name := range []string{"happy-path-v0.1", "happy-path-v0.3", "happy-path-intoto-in-dsse-v3"} {
			b, err := os.ReadFile(filepath.Join(dir, "data/sigstore-conformance/test/assets/bundle-verify", name, "bundle.sigstore.json"))
			if err != nil {
				f.Fatal(err)
			}
			all = append(all, about{stemma.Raw{Format: stemma.FormatBundle, Data: b}, Artifact{Digest: stemma.SHA256(artifact), Content: artifact}})
		}
		for _, c := range containers()[:2] {
			all = append(all, about{c.raws(f)["cosign dsse"], Artifact{Digest: c.subject}})
		}
	}
	a := authenticator(f, domains...)
	known := map[stemma.Digest][]*stemma.Attestation{}
	for _, s := range all {
		att, rej := a.Authenticate(s.raw, s.art)
		if rej != nil {
			f.Fatal(rej.Detail)
		}
		known[s.art.Digest] = append(known[s.art.Digest], att)
		n := s.raw.Annotations
		f.Add(string(s.raw.Format), s.raw.Data, n[annotationSignature], n[annotationCertificate], n[annotationBundle], n[annotationTimestamp])
	}
	f.Fuzz(func(t *testing.T, format string, data []byte, sig, cert, entry, stamp string) {
		raw := stemma.Raw{Format: stemma.Format(format), Data: data, Annotations: map[string]string{}}
		for name, text := range map[string]string{annotationSignature: sig, annotationCertificate: cert, annotationBundle: entry, annotationTimestamp: stamp} {
			if text != "" {
				raw.Annotations[name] = text
			}
		}
		for digest, wants := range known {
			att, rej := a.Authenticate(raw, Artifact{Digest: digest})
			switch {
			case (att == nil) == (rej == nil):
				t.Fatal("both or neither result")
			case rej != nil:
				if rej.Reason.Class() != stemma.Untrusted && rej.Reason.Class() != stemma.Mismatch || rej.Detail == "" {
					t.Errorf("rejection %+v", rej)
				}
				continue
			}
			i := slices.IndexFunc(wants, func(want *stemma.Attestation) bool { return want.Signer.Key == att.Signer.Key })
			if i < 0 {
				t.Fatalf("accepted as signed by %s", att.Signer)
			}
			same(t, wants[i], att)
		}
	})
}

// FuzzTrustedRoot: reading one never panics, and an error is always given for what cannot be trusted.
func FuzzTrustedRoot(f *testing.F) {
	w := newWorld(f)
	f.Add(w.TrustedRoot(), newKey(f, stemmatest.ECDSAP256, "k").PublicKeyPEM())
	f.Add([]byte(`{}`), []byte("-----BEGIN PUBLIC KEY-----"))
	raw := bundleOf(newWorld(f).attest(f, stemmatest.Sign{}, nil))
	f.Fuzz(func(t *testing.T, root, key []byte) {
		for _, c := range []DomainConfig{{Name: "test", TrustedRoot: root}, {Name: "test", TrustedRoot: root, Keys: []Key{{Name: "k", PEM: key}}}} {
			d, err := NewDomain(c)
			if err != nil {
				continue
			}
			if att, _ := authenticator(t, d).Authenticate(raw, w.image); att != nil {
				t.Fatal("accepted evidence of an instance that is not in the trusted root")
			}
		}
	})
}
