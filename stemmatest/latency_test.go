package stemmatest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stemma/stemmatest"
)

// together asks for the paths at the same time.
func together(t *testing.T, transport http.RoundTripper, base string, paths ...string) {
	t.Helper()
	var all sync.WaitGroup
	for _, p := range paths {
		all.Go(func() {
			res, err := get(t, transport, t.Context(), base+p)
			if err != nil {
				return // cut, as meant
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		})
	}
	all.Wait()
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := make(chan struct{})
		s := &stemmatest.Slow{Delay: 100 * time.Millisecond, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/cut":
				panic(http.ErrAbortHandler)
			case "/begun":
				_, _ = w.Write([]byte("half"))
				<-begin
			}
		})}
		net := stemmatest.Network{"x.test": s}
		start := time.Now()
		together(t, net, "https://x.test", "/", "/", "/")
		together(t, net, "https://x.test", "/", "/cut")
		together(t, net, "https://x.test", "/")
		if s.Requests() != 6 || s.Rounds() != 3 || time.Since(start) != 300*time.Millisecond {
			t.Errorf("%d requests in %d rounds and %v", s.Requests(), s.Rounds(), time.Since(start))
		}
		s.Reset()
		// One that takes longer than two others is no reason to count them as three.
		var slow sync.WaitGroup
		slow.Go(func() {
			time.Sleep(50 * time.Millisecond)
			together(t, net, "https://x.test", "/")
		})
		together(t, net, "https://x.test", "/")
		together(t, net, "https://x.test", "/")
		slow.Wait()
		if s.Requests() != 3 || s.Rounds() != 2 {
			t.Errorf("%d requests in %d rounds", s.Requests(), s.Rounds())
		}
		s.Reset()
		// Who has seen the beginning of an answer can ask because of it.
		res, err := get(t, net, t.Context(), "https://x.test/begun")
		check(t, err)
		together(t, net, "https://x.test", "/")
		if s.Rounds() != 2 {
			t.Errorf("%d rounds", s.Rounds())
		}
		// What began before Reset is not counted, whenever it ends.
		s.Reset()
		close(begin)
		_, _ = io.Copy(io.Discard, res.Body)
		together(t, net, "https://x.test", "/")
		if s.Requests() != 1 || s.Rounds() != 1 {
			t.Errorf("%d requests in %d rounds after the reset", s.Requests(), s.Rounds())
		}
	})
}

// Over a socket it counts the same.
func TestSlowOverHTTP(t *testing.T) {
	s := &stemmatest.Slow{Delay: time.Millisecond, Handler: newWorld(t).Registry}
	server := httptest.NewServer(s)
	defer server.Close()
	for range 5 {
		together(t, server.Client().Transport, server.URL, "/v2/acme/app/manifests/v2.0.0")
	}
	if s.Requests() != 5 || s.Rounds() != 5 {
		t.Errorf("%d requests in %d rounds", s.Requests(), s.Rounds())
	}
}
