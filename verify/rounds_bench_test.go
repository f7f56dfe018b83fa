package verify_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stemma"
	"stemma/policy"
	"stemma/stemmatest"
	"stemma/verify"
)

// distant carries requests to a registry that is far away, and remembers when each was under way.
type distant struct {
	next  http.RoundTripper
	delay time.Duration
	epoch time.Time

	mu   sync.Mutex
	seen []underway
}

type underway struct {
	path       string
	start, end time.Duration
}

func (d *distant) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Since(d.epoch)
	time.Sleep(d.delay)
	resp, err := d.next.RoundTrip(r)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, underway{r.Method + " " + r.URL.RequestURI(), start, time.Since(d.epoch)})
	return resp, err
}

// rounds is the length of the longest chain of requests of which each began after the one before had ended.
func (d *distant) rounds() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.SortFunc(d.seen, func(a, b underway) int { return int(a.start - b.start) })
	longest, best := 0, make([]int, len(d.seen))
	for i, r := range d.seen {
		best[i] = 1
		for j, before := range d.seen[:i] {
			if before.end <= r.start {
				best[i] = max(best[i], best[j]+1)
			}
		}
		longest = max(longest, best[i])
	}
	return longest
}

// BenchmarkDistantRegistry verifies an image with 2, 20 and 100 bundles among its referrers against a registry that
// takes 100 ms to answer: how many requests are made, how many of them one after another, and how long it takes; and
// the same once more by a verifier that has seen the digest.
func BenchmarkDistantRegistry(b *testing.B) {
	for _, c := range []struct {
		name   string
		index  bool
		tag    bool
		rounds int
	}{{"digest", false, false, 4}, {"tag", false, true, 5}, {"index", true, false, 4}} {
		for _, n := range []int{2, 20, 100} {
			limit := map[int]time.Duration{2: 600 * time.Millisecond, 20: 600 * time.Millisecond, 100: 1500 * time.Millisecond}[n]
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				s := newStage(b)
				s.image = must[*stemmatest.Image](b)(s.Registry.PutImage(stemmatest.ImageSpec{
					Repository: stemmatest.Repository, Tags: []string{"far"}, Content: "far", Single: !c.index,
					Platforms: []stemma.Platform{{OS: "linux", Architecture: "amd64"}},
				}))
				for i := range n {
					s.attach(stemmatest.Vary{Statement: func(st *stemmatest.Statement) { st.Set("/runDetails/metadata/extra", fmt.Sprint(i)) }})
				}
				s.request.Image = "ghcr.io/acme/app@" + string(s.image.Digest())
				if c.tag {
					s.request.Image = "ghcr.io/acme/app:far"
				}
				set := must[*policy.Set](b)(policy.Load(policy.File{Name: "policy.yaml", Data: []byte(s.policy)}))
				var first, again, requests, rounds, repeated float64
				for b.Loop() {
					d := &distant{next: s.Transport(), delay: 100 * time.Millisecond, epoch: time.Now()}
					v := must[*verify.Verifier](b)(verify.New(context.Background(), verify.Config{
						Policies: set, Network: verify.Network{Transport: d}, Roots: map[string][]byte{policy.PublicGood: s.Sigstore.TrustedRoot()},
					}))
					ask := func() time.Duration {
						start := time.Now()
						if r, err := v.Verify(context.Background(), s.request); err != nil || r.Decision.Verdict != stemma.Allow {
							b.Fatalf("result %+v, error %v", r, err)
						}
						return time.Since(start)
					}
					first += ask().Seconds()
					requests, rounds = float64(len(d.seen)), float64(d.rounds())
					if rounds > float64(c.rounds) || requests > float64(6+2*n) {
						b.Fatalf("%v requests in %v rounds, want at most %d in %d", requests, rounds, 6+2*n, c.rounds)
					}
					d.seen = nil
					again += ask().Seconds()
					repeated = float64(len(d.seen))
					if slices.ContainsFunc(d.seen, func(r underway) bool { return strings.Contains(r.path, "/blobs/") }) {
						b.Fatal("a blob was fetched again")
					}
				}
				wall := first / float64(b.N)
				b.ReportMetric(wall*1000, "first-ms")
				b.ReportMetric(again*1000/float64(b.N), "again-ms")
				b.ReportMetric(requests, "requests")
				b.ReportMetric(rounds, "rounds")
				b.ReportMetric(repeated, "again-requests")
				if wall > limit.Seconds() {
					b.Errorf("%.0f ms, want less than %v", wall*1000, limit)
				}
			})
		}
	}
}
