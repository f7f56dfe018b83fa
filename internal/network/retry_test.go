package network

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// F20: failures that a second attempt cannot mend are not repeated, and over real connections neither.
func TestReg_F20_sockets(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut":
			panic(http.ErrAbortHandler)
		case "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	count := func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Config.ConnState = count
	server.Start()
	defer server.Close()
	secure := httptest.NewUnstartedServer(server.Config.Handler)
	secure.Config.ConnState, secure.Config.ErrorLog = count, quiet()
	secure.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}
	secure.StartTLS()
	defer secure.Close()
	plain, over := strings.TrimPrefix(server.URL, "http://"), strings.TrimPrefix(secure.URL, "https://")
	ca := pemOf("CERTIFICATE", secure.Certificate().Raw)
	for name, c := range map[string]struct {
		host   Host
		target string
		waits  int
	}{
		"good":                            {Host{Name: plain, PlainHTTP: true}, "http://" + plain + "/", 0},
		"busy":                            {Host{Name: plain, PlainHTTP: true}, "http://" + plain + "/busy", 3},
		"cut":                             {Host{Name: plain, PlainHTTP: true}, "http://" + plain + "/cut", 3},
		"nobody there":                    {Host{Name: "127.0.0.1:1", Private: true}, "https://127.0.0.1:1/", 3},
		"TLS to what speaks none":         {Host{Name: plain, Private: true}, "https://" + plain + "/", 0},
		"a certificate that is not known": {Host{Name: over, Private: true}, "https://" + over + "/", 0},
		"no client certificate":           {Host{Name: over, Private: true, CA: ca}, "https://" + over + "/", 0},
		"refused":                         {Host{Name: over}, "https://" + over + "/", 0},
	} {
		waits := 0
		config := direct(c.host)
		config.Retry = Retry{}
		config.Sleep = func(ctx context.Context, _ time.Duration) error { waits++; return ctx.Err() }
		connections.Store(0)
		_, err := get(t, newNetwork(t, config), c.target)
		if waits != c.waits || name == "refused" && connections.Load() != 0 {
			t.Errorf("%s: %v, repeated %d times over %d connections, want %d", name, err, waits, connections.Load(), c.waits)
		}
	}
}

// F20: without a clock, nobody can tell how long it is until a date; and nobody guesses.
func TestReg_F20_date_without_clock(t *testing.T) {
	for value, want := range map[string]int32{"Mon, 23 Nov 2026 07:00:00 GMT": 1, "1": 2, "": 2, "2147483647": 1, "2147483648": 1, " 2 ": 2, "+1": 2, "1.5": 2, "0x10": 2} {
		wire := &counted{answer: func(n int32, r *http.Request) (*http.Response, error) {
			if n == 1 {
				return respond(r, http.StatusServiceUnavailable, map[string]string{"Retry-After": value}), nil
			}
			return respond(r, http.StatusOK, nil), nil
		}}
		n := newNetwork(t, Config{Transport: wire, Sleep: func(context.Context, time.Duration) error { return nil }})
		if resp, err := get(t, n, "https://ghcr.io/"); err != nil || wire.requests.Load() != want || (resp.StatusCode == http.StatusOK) != (want == 2) {
			t.Errorf("Retry-After %q: %v, %d requests, want %d", value, err, wire.requests.Load(), want)
		}
	}
}

// F20, F16: what is thrown away is closed, and its end is not waited for.
func TestReg_F20_discarded(t *testing.T) {
	var bodies []*endless
	wire := &counted{answer: func(n int32, r *http.Request) (*http.Response, error) {
		resp := respond(r, http.StatusServiceUnavailable, nil)
		if n > 2 {
			resp.StatusCode = http.StatusOK
			return resp, nil
		}
		b := &endless{stall: n == 2, closed: make(chan struct{})}
		bodies = append(bodies, b)
		resp.Body = b
		return resp, nil
	}}
	n := newNetwork(t, Config{Transport: wire, Sleep: func(context.Context, time.Duration) error { return nil }})
	n.window = time.Hour
	if resp, err := get(t, n, "https://ghcr.io/"); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	for i, b := range bodies {
		select {
		case <-b.closed:
		default:
			t.Errorf("body %d is not closed", i+1)
		}
		if b.read > maxDiscarded {
			t.Errorf("%d bytes of body %d were read", b.read, i+1)
		}
	}
	if len(bodies) != 2 || bodies[0].read != maxDiscarded {
		t.Errorf("%d bodies: %+v", len(bodies), bodies)
	}
}

// endless is a body without an end, or without a beginning.
type endless struct {
	stall  bool
	read   int
	once   sync.Once
	closed chan struct{}
}

func (e *endless) Read(p []byte) (int, error) {
	if e.stall {
		<-e.closed
		return 0, io.ErrClosedPipe
	}
	e.read += len(p)
	return len(p), nil
}

func (e *endless) Close() error { e.once.Do(func() { close(e.closed) }); return nil }

// A host is asked as often as its entry says, and waiting for that ends with the request.
func TestRate(t *testing.T) {
	var waits []time.Duration
	wire := &counted{}
	now := time.Date(2126, 6, 1, 0, 0, 0, 0, time.UTC)
	n := newNetwork(t, Config{
		Transport: wire, Hosts: []Host{{Name: "slow.example", RequestsPerSecond: 0.5}}, Clock: func() time.Time { return now },
		Sleep: func(ctx context.Context, d time.Duration) error { waits = append(waits, d); return ctx.Err() },
	})
	for range 3 {
		if _, err := get(t, n, "https://slow.example/"); err != nil {
			t.Fatal(err)
		}
	}
	if len(waits) != 2 || waits[0] <= 0 || waits[0] > 2*time.Second || waits[1] <= 2*time.Second || waits[1] > 4*time.Second {
		t.Errorf("waited %v, want up to 2 s and up to 4 s after one request at once", waits)
	}
	for range 20 {
		if _, err := get(t, n, "https://other.example/"); err != nil || len(waits) != 2 {
			t.Fatalf("another host waited: %v, %v", waits, err)
		}
	}
	req, err := http.NewRequestWithContext(deadline{t.Context(), now.Add(time.Second)}, http.MethodPost, "https://slow.example/", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	body := &closing{Reader: strings.NewReader("x")}
	req.Body = body
	before := wire.requests.Load()
	resp, err := n.RoundTrip(req)
	if resp != nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) || wire.requests.Load() != before || len(waits) != 2 || !body.closed.Load() {
		t.Errorf("%v after %d requests, waited %v, body closed %v; want an end at once", err, wire.requests.Load()-before, waits, body.closed.Load())
	}
	// Whoever gave up has left the queue.
	if _, err := get(t, n, "https://slow.example/"); err != nil || len(waits) != 3 || waits[2] <= 4*time.Second || waits[2] > 6*time.Second {
		t.Errorf("%v, waited %v, want up to 6 s", err, waits)
	}
}

// F16: looks find a stall and a drip, and leave alone what is slow within bounds.
func TestReg_F16_pace(t *testing.T) {
	for name, c := range map[string]struct {
		came func(look int) int // bytes before a look
		end  int                // the look at which it is over, 0: never
		why  string
	}{
		"nothing":             {func(int) int { return 0 }, looks, "not a byte for 30s"},
		"one byte each":       {func(int) int { return 1 }, 2 * looks, "fewer than 1024 bytes in 30s"},
		"one byte at last":    {func(i int) int { return map[bool]int{true: 1}[i%(looks-1) == 0] }, 2 * looks, "fewer than 1024 bytes in 30s"},
		"just enough":         {func(i int) int { return map[bool]int{true: leastBytes}[i%(looks-1) == 0] }, 0, ""},
		"a byte too few":      {func(i int) int { return map[bool]int{true: leastBytes - 1}[i%(looks-1) == 0] }, 2 * looks, "fewer than 1024 bytes in 30s"},
		"much, then nothing":  {func(i int) int { return map[bool]int{true: 1 << 20}[i <= 45] }, 45 + looks - 1, "not a byte for 30s"},
		"much, then the drip": {func(i int) int { return map[bool]int{true: 1 << 20, false: 1}[i <= 75] }, 4 * looks, "fewer than 1024 bytes in 30s"},
	} {
		var p pace
		end, why := 0, ""
		for i := 1; i <= 10*looks && why == ""; i++ {
			p.came(c.came(i))
			if why = p.look(defaultWindow); why != "" {
				end = i
			}
		}
		if end != c.end || why != c.why {
			t.Errorf("%s: ended at look %d with %q, want %d, %q", name, end, why, c.end, c.why)
		}
	}
}

// F16: the same over connections, of HTTP/1.1 and HTTP/2; and who takes long to ask for the next bytes is not punished.
func TestReg_F16_sockets(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		flush := http.NewResponseController(w)
		switch r.URL.Path {
		case "/stall":
			_, _ = fmt.Fprint(w, "{")
			_ = flush.Flush()
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/drip":
			for r.Context().Err() == nil {
				_, _ = fmt.Fprint(w, " ")
				_ = flush.Flush()
				time.Sleep(2 * time.Millisecond)
			}
		default:
			_, _ = w.Write(make([]byte, 1<<20))
		}
	}))
	server.EnableHTTP2, server.Config.ErrorLog = true, quiet()
	server.StartTLS()
	defer server.Close()
	defer close(release)
	plain := httptest.NewServer(server.Config.Handler)
	defer plain.Close()
	host, bare := strings.TrimPrefix(server.URL, "https://"), strings.TrimPrefix(plain.URL, "http://")
	n := newNetwork(t, direct(Host{Name: host, Private: true, CA: pemOf("CERTIFICATE", server.Certificate().Raw)}, Host{Name: bare, PlainHTTP: true}))
	n.window = 300 * time.Millisecond
	for base, major := range map[string]int{server.URL: 2, plain.URL: 1} {
		for path, ok := range map[string]bool{"/good": true, "/stall": false, "/drip": false} {
			resp, err := get(t, n, base+path)
			if err != nil {
				t.Fatal(err)
			}
			size, err := io.CopyN(io.Discard, resp.Body, 1)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				time.Sleep(2 * n.window) // it waits for nobody
			}
			rest, err := io.Copy(io.Discard, resp.Body)
			size += rest
			var timeout net.Error
			if resp.ProtoMajor != major || ok && (err != nil || size != 1<<20) || !ok && (!errors.As(err, &timeout) || !timeout.Timeout()) {
				t.Errorf("%s of HTTP/%d: %d bytes, %v; want a good end: %v", path, resp.ProtoMajor, size, err, ok)
			}
		}
	}
}
