package sigstore

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"stemma"
	"stemma/stemmatest"
)

// Results that depend on the artifact or on the time of the call are never answered from the cache.
func TestCache(t *testing.T) {
	w := newWorld(t)
	key := newKey(t, stemmatest.ECDSAP256, "k")
	until := w.Now.Add(time.Hour)
	keys := w.domain(t, withKeys(key), offline, func(c *DomainConfig) { c.Name, c.Keys[0].Until = "keys", until })
	a := must[*Authenticator](t)(New(Config{Domains: []*Domain{w.domain(t), keys}, CacheEntries: 2}))

	x := w.attest(t, stemmatest.Sign{}, nil)
	first := wantAccepted(t, a, bundleOf(x), w.image)
	first.Signer.Claims[stemma.ClaimSourceRepositoryURI] = "changed by the caller"
	raw := bundleOf(x)
	raw.Place = "another place"
	again := wantAccepted(t, a, raw, w.image)
	if again.Signer.Claims[stemma.ClaimSourceRepositoryURI] != "https://github.com/acme/app" || again.Place != "another place" {
		t.Errorf("from the cache: %+v", again)
	}
	raw.Format = stemma.FormatDSSE
	wantRejected(t, a, raw, w.image, stemma.ReasonSignatureCount) // the same bytes in another form

	signed := stemma.Raw{Format: stemma.FormatDSSE, Data: must[*stemmatest.Envelope](t)(stemmatest.Seal(stemmatest.PayloadTypeInToto, w.statement().JSON(), key)).JSON()}
	at := func(now time.Time) Artifact { return Artifact{Digest: w.image.Digest, Now: now} }
	for range 2 {
		wantAccepted(t, a, signed, at(until))
		wantRejected(t, a, signed, at(until.Add(time.Second)), stemma.ReasonKeyTime)
		wantRejected(t, a, signed, at(time.Time{}), stemma.ReasonKeyTime)
	}
	for i := range 10 {
		wantRejected(t, a, stemma.Raw{Format: stemma.FormatDSSE, Data: fmt.Append(nil, i)}, w.image, stemma.ReasonMalformed)
	}
	if n := a.cache.order.Len(); n != 2 || len(a.cache.items) != 2 {
		t.Errorf("%d results in a cache of two", n)
	}

	c := newCache(100)
	for i := range 100 {
		c.put(cacheKey{id: stemma.SHA256(fmt.Append(nil, i))}, result{}, cacheBytes/8)
	}
	c.put(cacheKey{id: "large"}, result{}, cacheBytes/8+1)
	if _, ok := c.get(cacheKey{id: "large"}); ok || c.bytes > cacheBytes || c.order.Len() != 8 {
		t.Errorf("%d bytes in %d results", c.bytes, c.order.Len())
	}
}

func TestConcurrentUse(t *testing.T) {
	w := newWorld(t)
	a := must[*Authenticator](t)(New(Config{Domains: []*Domain{w.domain(t)}, CacheEntries: 3}))
	all := seeds(t, w)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 20 {
				if _, rej := a.Authenticate(all[(i+n)%len(all)].raw, w.image); rej != nil {
					t.Error(rej.Detail)
				}
			}
		})
	}
	wg.Wait()
}

// A panic is a rejection (INV-2).
func TestPanicIsRejection(t *testing.T) {
	w := newWorld(t)
	a := authenticator(t, w.domain(t))
	a.domains = append(a.domains, nil) // what no caller can do
	att, rej := a.Authenticate(bundleOf(w.attest(t, stemmatest.Sign{}, nil)), w.image)
	if att != nil || rej == nil || rej.Reason != stemma.ReasonMalformed || !strings.Contains(rej.Detail, "panicked") {
		t.Errorf("%+v, %+v", att, rej)
	}
}

// A rejection says whom the evidence names, unproven.
func TestRejectedSigner(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	a := authenticator(t, other.domain(t))
	_, rej := a.Authenticate(bundleOf(w.attest(t, stemmatest.Sign{}, nil)), w.image)
	if rej == nil || rej.Signer != "https://github.com/"+w.job.Builder || rej.Format != "sigstore-bundle v0.3" {
		t.Errorf("%+v", rej)
	}
}
