package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// counted answers every request, and counts them.
type counted struct {
	requests atomic.Int32
	answer   func(n int32, r *http.Request) (*http.Response, error)
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	n := c.requests.Add(1)
	if c.answer != nil {
		return c.answer(n, r)
	}
	return respond(r, http.StatusOK, nil), nil
}

func respond(r *http.Request, status int, header map[string]string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}")), Request: r}
	for k, v := range header {
		resp.Header.Set(k, v)
	}
	return resp
}

func newNetwork(t *testing.T, c Config) *Network {
	t.Helper()
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func get(t *testing.T, n *Network, target string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := n.RoundTrip(req)
	if err == nil {
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return resp, err
}

// F11 (go-containerregistry #2285 and others, CVE-2024-24790): what a reference names is refused before anything is
// connected to, in every spelling, while a public host passes.
func TestReg_F11_names_and_literals(t *testing.T) {
	for host, want := range map[string]string{
		"ghcr.io": "", "1.1.1.1": "", "[2606:4700::1111]": "", "::": "not built", "registry.corp.example:5000": "",
		"[::ffff:1.1.1.1]": "", "[2002:101:101::1]": "", "metadata.example.com": "", "localhost.example.com": "", "127.0.0.1.example.com": "",

		"169.254.169.254": "metadata", "[::ffff:169.254.169.254]": "metadata", "[fd00:ec2::254]": "metadata", "100.100.100.200": "metadata",
		"168.63.129.16": "metadata", "2852039166": "metadata", "0xA9FEA9FE": "metadata", "0251.0376.0251.0376": "metadata",
		"169.254.43518": "metadata", "0xa9.0xfe.0xa9.0xfe": "metadata", "169.254.169.254.": "metadata", "[64:ff9b::a9fe:a9fe]": "metadata",
		"[2002:a9fe:a9fe::1]": "metadata", "[2001:0:0:0:0:0:5601:5601]": "metadata", "[::169.254.169.254]": "metadata",
		"metadata.google.internal": "metadata", "METADATA.google.internal.": "metadata", "metadata": "metadata", "instance-data": "metadata",
		"x.metadata.google.internal": "metadata",
		"169.254.1.1":                "link-local", "[fe80::1]": "link-local", "[fe80::1%25eth0]": "link-local",
		"0.0.0.0": "unspecified", "0": "unspecified", "[::]": "unspecified", "0.1.2.3": "unspecified", "[::ffff:0.0.0.0]": "unspecified",
		"127.0.0.1": "loopback", "127.1": "loopback", "2130706433": "loopback", "0x7f.1": "loopback", "017700000001": "loopback",
		"[::1]": "loopback", "[::ffff:127.0.0.1]": "loopback", "[::127.0.0.1]": "loopback", "127.8.9.10": "loopback",
		"localhost": "this machine", "localhost:2375": "this machine", "LOCALHOST.": "this machine", "a.localhost": "this machine",
		"10.0.0.5": "private", "172.16.0.1": "private", "192.168.1.1": "private", "[fc00::1]": "private", "[fd12::1]": "private",
		"100.64.0.1": "private", "[fec0::1]": "private", "192.0.0.1": "special", "198.18.0.1": "benchmarks", "203.0.113.1": "documentation",
		"224.0.0.1": "multicast", "[ff02::1]": "multicast", "255.255.255.255": "reserved", "240.0.0.1": "reserved", "[4000::1]": "not global",
		"[64:ff9b:1::1]": "translator", "[2002:7f00:1::1]": "loopback", "１２７.0.0.1": "ASCII",
	} {
		if want == "not built" {
			continue
		}
		wire := &counted{}
		n := newNetwork(t, Config{Transport: wire})
		req := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: strings.ReplaceAll(host, "%25", "%"), Path: "/v2/"}, Header: http.Header{}}
		resp, err := n.RoundTrip(req.WithContext(t.Context()))
		if resp != nil {
			_ = resp.Body.Close()
		}
		var refused *Error
		switch {
		case want == "" && (err != nil || wire.requests.Load() != 1):
			t.Errorf("%s: %v, %d requests; it is public", host, err, wire.requests.Load())
		case want != "" && (!errors.As(err, &refused) || !strings.Contains(refused.Detail, want) || wire.requests.Load() != 0):
			t.Errorf("%s: %v, %d requests; want a refusal for %q before anything is sent", host, err, wire.requests.Load(), want)
		case want != "" && (refused.Hint == "" || !refused.Forbidden()):
			t.Errorf("%s: no hint: %+v", host, refused)
		}
	}
}

// F11: what may be private, and what may not be, whatever is configured.
func TestReg_F11_allowed_private(t *testing.T) {
	c := Config{
		Hosts:        []Host{{Name: "10.0.0.5:5000", Private: true}, {Name: "localhost:5000", PlainHTTP: true}, {Name: "169.254.169.254", Private: true}},
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("0.0.0.0/0")},
	}
	c.AllowPrivate = c.AllowPrivate[:2]
	for target, ok := range map[string]bool{
		"https://10.0.0.5:5000/v2/": true, "https://10.0.0.5/v2/": false, "https://10.0.0.6:5000/v2/": false, "http://10.0.0.5:5000/v2/": false,
		"http://localhost:5000/v2/": true, "https://localhost:5000/v2/": true, "http://localhost:5001/v2/": false, "https://localhost/v2/": false,
		"https://192.168.7.7/v2/": true, "https://[::ffff:192.168.7.7]/v2/": true, "https://192.169.0.1/v2/": true, "https://172.16.0.1/": false,
		"https://169.254.169.254/v2/": false, "http://169.254.169.254/v2/": false, "https://169.254.1.1/": false,
		"http://ghcr.io/v2/": false, "ftp://ghcr.io/v2/": false, "https://user@ghcr.io/v2/": false, "https://user:pass@ghcr.io/": false,
	} {
		wire := &counted{}
		c.Transport = wire
		_, err := get(t, newNetwork(t, c), target)
		var refused *Error
		if ok && err != nil || !ok && (!errors.As(err, &refused) || wire.requests.Load() != 0) {
			t.Errorf("%s: %v after %d requests, want allowed %v", target, err, wire.requests.Load(), ok)
		}
	}
}

// names resolves every name to what it is told, over a resolver of its own on loopback.
func names(t *testing.T, answer func(query int32) netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var queries atomic.Int32
	go func() {
		buf := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			q := bytes.Clone(buf[:size])
			end := 12
			for q[end] != 0 {
				end += int(q[end]) + 1
			}
			kind := q[end+2]
			msg := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end+5]...)
			if kind == 1 { // A
				a := answer(queries.Add(1)).As4()
				msg[7] = 1
				msg = append(msg, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, a[0], a[1], a[2], a[3])
			}
			_, _ = conn.WriteTo(msg, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// F11: a name that resolves to a private address is refused when it is dialled, also when it resolved to a public one a
// moment before (DNS rebinding). Nothing reaches the server.
func TestReg_F11_rebinding(t *testing.T) {
	var reached atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer server.Close()
	port := strings.TrimPrefix(server.URL, "http://127.0.0.1")
	loopback, public := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
	for name, c := range map[string]struct {
		private bool
		answer  func(int32) netip.Addr
		ok      bool
	}{
		"allowed":   {true, func(int32) netip.Addr { return loopback }, true},
		"private":   {false, func(int32) netip.Addr { return loopback }, false},
		"rebinding": {false, func(n int32) netip.Addr { return map[bool]netip.Addr{true: public, false: loopback}[n == 1] }, false},
		"metadata":  {true, func(int32) netip.Addr { return netip.MustParseAddr("169.254.169.254") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			reached.Store(0)
			n := newNetwork(t, Config{
				Hosts: []Host{{Name: "other.example" + port, PlainHTTP: true}},
				Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
				Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
			})
			n.resolver = names(t, c.answer)
			h := Host{Name: "registry.example" + port, PlainHTTP: true}
			n.hosts[h.Name] = h // so that no TLS server is needed; whether it may be private is for the transport
			transport, err := n.newTransport(Host{Private: c.private})
			if err != nil {
				t.Fatal(err)
			}
			n.own[h.Name] = transport
			_, err = get(t, n, "http://"+h.Name+"/v2/")
			var refused *Error
			if c.ok && (err != nil || reached.Load() != 1) || !c.ok && (!errors.As(err, &refused) || reached.Load() != 0) {
				t.Errorf("%v, %d requests arrived; want allowed %v", err, reached.Load(), c.ok)
			}
		})
	}
}

// F12: a redirect is followed by whoever asks, through the same network, so that its target is judged as a reference is.
func TestReg_F12_redirects(t *testing.T) {
	for target, want := range map[string]string{
		"https://cdn.example/blob": "", "https://10.0.0.1/blob": "private", "https://169.254.169.254/latest": "metadata",
		"http://cdn.example/blob": "without TLS", "gopher://cdn.example/": "scheme",
	} {
		wire := &counted{answer: func(n int32, r *http.Request) (*http.Response, error) {
			if n == 1 {
				return respond(r, http.StatusFound, map[string]string{"Location": target}), nil
			}
			return respond(r, http.StatusOK, nil), nil
		}}
		client := &http.Client{Transport: newNetwork(t, Config{Transport: wire})}
		resp, err := client.Get("https://ghcr.io/v2/")
		if err == nil {
			_ = resp.Body.Close()
		}
		var refused *Error
		if want == "" && (err != nil || wire.requests.Load() != 2) || want != "" && (!errors.As(err, &refused) || !strings.Contains(refused.Detail, want) || wire.requests.Load() != 1) {
			t.Errorf("%s: %v after %d requests, want %q", target, err, wire.requests.Load(), want)
		}
	}
}

// F16: a byte a second, or nothing after the headers, ends as a timeout; a slow body that keeps up its pace does not.
func TestReg_F16_slow(t *testing.T) {
	for name, c := range map[string]struct {
		chunk  int
		chunks int
		every  time.Duration
		ok     bool
	}{
		"steady":       {leastBytes, 20, 5 * time.Millisecond, true},
		"short":        {1, 5, 5 * time.Millisecond, true},
		"drip":         {1, 1 << 20, 5 * time.Millisecond, false},
		"stall":        {0, 1, time.Hour, false},
		"stall, later": {leastBytes, 1, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, w := io.Pipe()
			stop := make(chan struct{})
			go func() {
				defer w.Close()
				for range c.chunks {
					if _, err := w.Write(make([]byte, c.chunk)); err != nil {
						return
					}
					select {
					case <-stop:
						return
					case <-time.After(c.every):
					}
				}
			}()
			defer close(stop)
			n := newNetwork(t, Config{Transport: &counted{answer: func(_ int32, req *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Body: r, Request: req}, nil
			}}})
			n.window = 300 * time.Millisecond
			resp, err := get(t, n, "https://ghcr.io/v2/")
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadAll(resp.Body)
			var timeout net.Error
			if c.ok && err != nil || !c.ok && (!errors.As(err, &timeout) || !timeout.Timeout()) {
				t.Errorf("got %v, want a good end: %v", err, c.ok)
			}
		})
	}
}

// F20: what may be better a moment later is asked for again, with growing waits, within the bounds; all else is not.
func TestReg_F20_repetition(t *testing.T) {
	now := time.Date(2126, 6, 1, 0, 0, 0, 0, time.UTC) // in the future of the limiter, which has a clock of its own
	status := func(codes ...int) func(int32, *http.Request) (*http.Response, error) {
		return func(n int32, r *http.Request) (*http.Response, error) {
			return respond(r, codes[min(int(n), len(codes))-1], nil), nil
		}
	}
	after := func(value string) func(int32, *http.Request) (*http.Response, error) {
		return func(n int32, r *http.Request) (*http.Response, error) {
			if n == 1 {
				return respond(r, http.StatusTooManyRequests, map[string]string{"Retry-After": value}), nil
			}
			return respond(r, http.StatusOK, nil), nil
		}
	}
	fails := func(errs ...error) func(int32, *http.Request) (*http.Response, error) {
		return func(n int32, r *http.Request) (*http.Response, error) {
			if int(n) <= len(errs) {
				return nil, errs[n-1]
			}
			return respond(r, http.StatusOK, nil), nil
		}
	}
	reset := &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
	for name, c := range map[string]struct {
		answer   func(int32, *http.Request) (*http.Response, error)
		method   string
		body     io.Reader
		deadline time.Duration // from now; 0: none
		status   int           // 0: an error
		requests int32
		waits    string // of the server's asking
	}{
		"good at once":              {answer: status(200), status: 200, requests: 1},
		"429 then good":             {answer: status(429, 200), status: 200, requests: 2},
		"503 twice then good":       {answer: status(503, 503, 200), status: 200, requests: 3},
		"500 then good":             {answer: status(500, 200), status: 200, requests: 2},
		"always 503":                {answer: status(503), status: 503, requests: 4},
		"401":                       {answer: status(401, 200), status: 401, requests: 1},
		"403":                       {answer: status(403, 200), status: 403, requests: 1},
		"404":                       {answer: status(404, 200), status: 404, requests: 1},
		"501":                       {answer: status(501, 200), status: 501, requests: 1},
		"a post":                    {answer: status(503, 200), method: http.MethodPost, body: strings.NewReader("x"), status: 503, requests: 1},
		"a head":                    {answer: status(503, 200), method: http.MethodHead, status: 200, requests: 2},
		"cut then good":             {answer: fails(reset, io.ErrUnexpectedEOF), status: 200, requests: 3},
		"always cut":                {answer: fails(reset, reset, reset, reset, reset), requests: 4},
		"no such host":              {answer: fails(&net.DNSError{IsNotFound: true}), requests: 1},
		"refused address":           {answer: fails(fmt.Errorf("dialling: %w", &Error{Host: "x", Detail: "y"})), requests: 1},
		"seconds":                   {answer: after("7"), status: 200, requests: 2, waits: "7s"},
		"date":                      {answer: after(now.Add(5 * time.Second).Format(http.TimeFormat)), status: 200, requests: 2, waits: "5s"},
		"date gone by":              {answer: after(now.Add(-time.Hour).Format(http.TimeFormat)), status: 200, requests: 2, waits: "0s"},
		"longer than is waited":     {answer: after("3600"), status: 429, requests: 1},
		"huge":                      {answer: after("99999999999999999999"), status: 429, requests: 1},
		"negative":                  {answer: after("-5"), status: 200, requests: 2},
		"garbage":                   {answer: after("soon\x00"), status: 200, requests: 2},
		"later than the deadline":   {answer: after("7"), deadline: 5 * time.Second, status: 429, requests: 1},
		"earlier than the deadline": {answer: after("7"), deadline: 9 * time.Second, status: 200, requests: 2, waits: "7s"},
	} {
		t.Run(name, func(t *testing.T) {
			wire := &counted{answer: c.answer}
			var waits []time.Duration
			at := now
			n := newNetwork(t, Config{
				Transport: wire, Clock: func() time.Time { return at },
				Sleep: func(ctx context.Context, d time.Duration) error {
					waits = append(waits, d)
					at = at.Add(d)
					return ctx.Err()
				},
			})
			ctx := t.Context()
			if c.deadline > 0 {
				ctx = deadline{ctx, now.Add(c.deadline)}
			}
			method := c.method
			if method == "" {
				method = http.MethodGet
			}
			req, err := http.NewRequestWithContext(ctx, method, "https://ghcr.io/v2/", c.body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := n.RoundTrip(req)
			got := 0
			if err == nil {
				got = resp.StatusCode
				_ = resp.Body.Close()
			}
			if got != c.status || wire.requests.Load() != c.requests {
				t.Errorf("status %d (%v) after %d requests, want %d after %d", got, err, wire.requests.Load(), c.status, c.requests)
			}
			bound := defaultFirst
			for i, d := range waits {
				if c.waits == "" && (d < bound/2 || d > bound) {
					t.Errorf("wait %d of %v, want between %v and %v", i+1, d, bound/2, bound)
				}
				bound *= 2
			}
			if c.waits != "" && (len(waits) == 0 || waits[0].String() != c.waits) {
				t.Errorf("waited %v, want %s", waits, c.waits)
			}
		})
	}
}

// deadline is a context that ends at a time of the test's clock.
type deadline struct {
	context.Context
	at time.Time
}

func (d deadline) Deadline() (time.Time, bool) { return d.at, true }

// F20: a host that fails for everybody is not asked four times by everybody: repetition has a budget, which good answers
// fill again. What one host uses up is not another's.
func TestReg_F20_budget(t *testing.T) {
	bad := true
	wire := &counted{answer: func(_ int32, r *http.Request) (*http.Response, error) {
		if bad && r.URL.Host == "bad.example" {
			return respond(r, http.StatusServiceUnavailable, nil), nil
		}
		return respond(r, http.StatusOK, nil), nil
	}}
	n := newNetwork(t, Config{Transport: wire, Sleep: func(context.Context, time.Duration) error { return nil }})
	ask := func(host string, times int) int32 {
		before := wire.requests.Load()
		for range times {
			_, _ = get(t, n, "https://"+host+"/v2/")
		}
		return wire.requests.Load() - before
	}
	if got := ask("bad.example", 100); got != 100+defaultBudget {
		t.Errorf("100 requests were sent %d times, want %d", got, 100+defaultBudget)
	}
	if got := ask("good.example", 10); got != 10 {
		t.Errorf("another host: %d", got)
	}
	bad = false
	ask("bad.example", 5)
	bad = true
	if got := ask("bad.example", 10); got != 15 {
		t.Errorf("after 5 good answers, 10 requests were sent %d times, want 15", got)
	}
}

// A cancelled request ends at once, and is not repeated.
func TestCancelled(t *testing.T) {
	wire := &counted{answer: func(_ int32, r *http.Request) (*http.Response, error) {
		return respond(r, http.StatusServiceUnavailable, nil), nil
	}}
	n := newNetwork(t, Config{Transport: wire})
	ctx, cancel := context.WithCancel(t.Context())
	n.config.Sleep = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://ghcr.io/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := n.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) || wire.requests.Load() != 1 {
		t.Errorf("%v after %d requests", err, wire.requests.Load())
	}
}

// A host that asks to be left alone is, also by those who ask it something else.
func TestRest(t *testing.T) {
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	var waits []time.Duration
	first := true
	wire := &counted{answer: func(_ int32, r *http.Request) (*http.Response, error) {
		if first {
			first = false
			return respond(r, http.StatusTooManyRequests, map[string]string{"Retry-After": "8"}), nil
		}
		return respond(r, http.StatusOK, nil), nil
	}}
	n := newNetwork(t, Config{
		Transport: wire, Clock: func() time.Time { return at }, Retry: Retry{Attempts: 1},
		Sleep: func(_ context.Context, d time.Duration) error { waits = append(waits, d); at = at.Add(d); return nil },
	})
	if resp, err := get(t, n, "https://ghcr.io/a"); err != nil || resp.StatusCode != http.StatusTooManyRequests {
		t.Fatal(resp, err)
	}
	if resp, err := get(t, n, "https://quay.io/b"); err != nil || resp.StatusCode != http.StatusOK || len(waits) != 0 {
		t.Errorf("another host waited %v: %v", waits, err)
	}
	if resp, err := get(t, n, "https://ghcr.io/b"); err != nil || resp.StatusCode != http.StatusOK || len(waits) != 1 || waits[0] != 8*time.Second {
		t.Errorf("waited %v: %v", waits, err)
	}
}
