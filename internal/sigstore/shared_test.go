package sigstore

import (
	"crypto"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stemma"
	"stemma/stemmatest"
)

func scribbleIdentity(id *stemma.Identity) {
	for k := range id.Claims {
		id.Claims[k] = "scribbled"
	}
	*id = stemma.Identity{Claims: id.Claims}
}

func scribbleResource(r *stemma.ResourceDescriptor, d stemma.Digest) {
	for k := range r.Digest {
		r.Digest[k] = d.Hex()
	}
	for i := range r.Annotations {
		r.Annotations[i] = ' '
	}
	r.Name = "scribbled"
}

// scribble writes to everything that can be reached from an attestation.
func scribble(a *stemma.Attestation, d stemma.Digest) {
	scribbleIdentity(&a.Signer)
	for i := range a.Cosigners {
		scribbleIdentity(&a.Cosigners[i])
	}
	for i := range a.Statement.Subject {
		scribbleResource(&a.Statement.Subject[i], d)
	}
	for i := range a.Statement.Predicate {
		a.Statement.Predicate[i] = ' '
	}
	scribbleResource(&a.Binding.Subject, d)
	clear(a.Log)
	clear(a.SignedAt)
}

// A caller that writes to a result does not change what the cache holds: else it would come to be about another image.
func TestResultIsTheCallersOwn(t *testing.T) {
	w := newWorld(t)
	first, second := newKey(t, stemmatest.ECDSAP256, "first"), newKey(t, stemmatest.ECDSAP256, "second")
	s := w.statement()
	s.Subject[0].Annotations = []byte(`{"built":"here"}`)
	s.Subject = append(s.Subject, stemmatest.Subject("beside", stemma.SHA256([]byte("beside"))))
	x := w.attest(t, stemmatest.Sign{}, s.JSON())
	two := must[*stemmatest.Envelope](t)(stemmatest.Seal(stemmatest.PayloadTypeInToto, s.JSON(), first, second))
	other := stemma.SHA256([]byte("other"))
	for name, raw := range map[string]stemma.Raw{
		"bundle": bundleOf(x), "attestation": attLayer(t, w.attest(t, stemmatest.Sign{MediaType: stemmatest.MediaTypeDSSE}, s.JSON())),
		"two signers": {Format: stemma.FormatDSSE, Data: two.JSON()},
	} {
		t.Run(name, func(t *testing.T) {
			keys := w.domain(t, withKeys(first, second), offline, func(c *DomainConfig) { c.Name = "keys" })
			a := must[*Authenticator](t)(New(Config{Domains: []*Domain{w.domain(t), keys}, CacheEntries: 8}))
			want := wantAccepted(t, authenticator(t, w.domain(t), keys), raw, w.image)
			for range 2 {
				got := wantAccepted(t, a, raw, w.image)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("after a caller wrote to its result (-want +got):\n%s", diff)
				}
				scribble(got, other)
				wantRejected(t, a, raw, Artifact{Digest: other}, stemma.ReasonSubjectMismatch)
			}
		})
	}

	// No form of evidence gives a cosigner claims as yet; they are copied all the same.
	a := must[*Authenticator](t)(New(Config{Domains: []*Domain{w.domain(t)}, CacheEntries: 8}))
	raw := bundleOf(x)
	wantAccepted(t, a, raw, w.image)
	res, _ := a.cache.get(cacheKey{raw.ID(), raw.Format})
	res.ok.also = []*verified{{signer: stemma.Identity{Claims: map[string]string{"c": "kept"}}}}
	scribble(wantAccepted(t, a, raw, w.image), other)
	if c := wantAccepted(t, a, raw, w.image).Cosigners[0].Claims["c"]; c != "kept" {
		t.Errorf("claim of a cosigner is %q", c)
	}
}

// What is signed is hashed once, however many signatures are tried with however many keys.
func TestHashedOnce(t *testing.T) {
	w := newWorld(t)
	var keys []*stemmatest.Signer
	for _, alg := range []stemmatest.Algorithm{stemmatest.ECDSAP256, stemmatest.ECDSAP384, stemmatest.RSA2048, stemmatest.ECDSAP521} {
		keys = append(keys, newKey(t, alg, string(alg)))
	}
	env := must[*stemmatest.Envelope](t)(stemmatest.Seal(stemmatest.PayloadTypeInToto, w.statement().JSON(), keys...))
	e, ref := read(stemma.Raw{Format: stemma.FormatDSSE, Data: env.JSON()})
	if ref != nil {
		t.Fatal(ref.detail)
	}
	a := authenticator(t, w.domain(t, withKeys(keys...), offline))
	good := slices.Clone(e.signatures)
	for range maxSignatures {
		e.signatures = append(e.signatures, sealed{sig: []byte("garbage")})
	}
	if v, ref := a.verifyBare(e); ref != nil || len(v.also) != 3 {
		t.Fatalf("%+v, %+v", v, ref)
	}
	sums := e.signed.sums
	if len(sums) != 3 || sums[crypto.SHA256] == nil || sums[crypto.SHA384] == nil || sums[crypto.SHA512] == nil {
		t.Errorf("%d digests, want one with each of three hashes", len(sums))
	}
	// Were anything hashed again, it would be other bytes now.
	clear(e.signed.bytes)
	e.signatures = good
	if v, ref := a.verifyBare(e); ref != nil || len(v.also) != 3 {
		t.Errorf("hashed again: %+v, %+v", v, ref)
	}
}

// A signer whose key has expired does not spoil the signature of another, and is not named as a signer.
func TestExpiredCosigner(t *testing.T) {
	w := newWorld(t)
	for _, names := range [][]string{{"k", "old"}, {"old", "k"}} { // the order of the keys decides who comes first
		keys := map[string]*stemmatest.Signer{"k": newKey(t, stemmatest.ECDSAP256, "k"), "old": newKey(t, stemmatest.ECDSAP256, "old")}
		d := w.domain(t, withKeys(keys[names[0]], keys[names[1]]), offline, func(c *DomainConfig) {
			for i := range c.Keys {
				if c.Keys[i].Name == "old" {
					c.Keys[i].Until = w.Now
				}
			}
		})
		a := must[*Authenticator](t)(New(Config{Domains: []*Domain{d}, CacheEntries: 8}))
		sealed := func(by ...string) stemma.Raw {
			var signers []*stemmatest.Signer
			for _, name := range by {
				signers = append(signers, keys[name])
			}
			return stemma.Raw{Format: stemma.FormatDSSE, Data: must[*stemmatest.Envelope](t)(stemmatest.Seal(stemmatest.PayloadTypeInToto, w.statement().JSON(), signers...)).JSON()}
		}
		before := Artifact{Digest: w.image.Digest, Now: w.Now}
		after := Artifact{Digest: w.image.Digest, Now: w.Now.Add(time.Second)}
		for range 2 { // the second time from the cache
			for _, by := range [][]string{{"k"}, {"k", "old"}, {"old", "k"}} {
				if att := wantAccepted(t, a, sealed(by...), after); att.Signer.KeyID != "k" || len(att.Cosigners) != 0 {
					t.Errorf("%v: signed by %v and %v", by, att.Signer, att.Cosigners)
				}
			}
			if att := wantAccepted(t, a, sealed("k", "old"), before); att.Signer.KeyID != names[0] || len(att.Cosigners) != 1 {
				t.Errorf("while both are valid: signed by %v and %v", att.Signer, att.Cosigners)
			}
			wantAccepted(t, a, sealed("old"), before)
			wantRejected(t, a, sealed("old"), after, stemma.ReasonKeyTime)
			wantRejected(t, a, sealed("old"), Artifact{Digest: w.image.Digest}, stemma.ReasonKeyTime)
		}
	}
}

// Every time that is proven must fall into the certificate's window, in whatever order the timestamps stand.
func TestTimestampOrder(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		late time.Duration
		want stemma.Reason
	}{
		"both within the certificate": {time.Minute, ""},
		"one after its end":           {48 * time.Hour, stemma.ReasonCertificateTime},
		"one before its start":        {-48 * time.Hour, stemma.ReasonCertificateTime},
	} {
		t.Run(name, func(t *testing.T) {
			x := w.attest(t, stemmatest.Sign{}, nil)
			check(t, x.Timestamp(w.TSA, w.Now.Add(c.late)))
			a := authenticator(t, w.domain(t))
			var results []any
			for range 2 {
				if c.want != "" {
					wantRejected(t, a, bundleOf(x), w.image, c.want)
				} else if att := wantAccepted(t, a, bundleOf(x), w.image); len(att.SignedAt) != 3 || !att.Time().Equal(w.Now) {
					t.Errorf("signed at %v", att.SignedAt)
				}
				att, rej := a.Authenticate(bundleOf(x), w.image)
				if att != nil {
					results = append(results, att.SignedAt)
				} else {
					results = append(results, rej.Detail)
				}
				slices.Reverse(x.Timestamps)
			}
			if diff := cmp.Diff(results[0], results[1]); diff != "" {
				t.Errorf("the order of timestamps matters:\n%s", diff)
			}
		})
	}
}

// Evidence counts with its annotations, which may be larger than what they stand beside.
func TestCacheCountsAnnotations(t *testing.T) {
	w := newWorld(t)
	a := must[*Authenticator](t)(New(Config{Domains: []*Domain{w.domain(t)}, CacheEntries: 8}))
	raw := stemma.Raw{Format: stemma.FormatDSSE, Data: []byte("{}"), Annotations: map[string]string{"name": "value"}}
	wantRejected(t, a, raw, w.image, stemma.ReasonSignatureCount)
	if want := len("{}namevalue"); a.cache.bytes != want {
		t.Errorf("counted as %d bytes, want %d", a.cache.bytes, want)
	}
}
