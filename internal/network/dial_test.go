package network

import (
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
)

// listener counts the connections that arrive at it, and drops them.
func listener(t *testing.T) (port string, arrived *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	arrived = &atomic.Int32{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			arrived.Add(1)
			_ = conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, arrived
}

// F11: over sockets, too, nothing arrives where a listener is, in any spelling of its address; when that is listed, it
// does.
func TestReg_F11_sockets(t *testing.T) { // go-containerregistry #2285, CVE-2024-24790
	port, arrived := listener(t)
	for _, host := range []string{"127.0.0.1", "127.1", "0x7f000001", "2130706433", "017700000001", "localhost", "a.localhost", "127.0.0.1.", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1]", "0.0.0.0", "0", "[::]"} {
		_, err := get(t, newNetwork(t, direct()), "https://"+host+":"+port+"/v2/")
		var refused *Error
		if !errors.As(err, &refused) || arrived.Load() != 0 {
			t.Errorf("%s: %v, and %d connections arrived", host, err, arrived.Load())
		}
	}
	if _, err := get(t, newNetwork(t, direct(Host{Name: "127.0.0.1:" + port, Private: true})), "https://127.0.0.1:"+port+"/v2/"); err == nil || arrived.Load() == 0 {
		t.Errorf("listed: %v, and %d connections arrived", err, arrived.Load())
	}
}

// F11: spellings that readers read differently are refused for each of the readings, and what no reader can read is no
// name either.
func TestReg_F11_readings(t *testing.T) { // CVE-2021-29923
	for host, want := range map[string]string{
		"8.8.8.8": "", "134744072": "", "0x8.8.8.8": "", "08.8.8.8": "", "1.2.3.4.example": "", "0x7f.example": "", "registry1": "", "127.0.0.1x": "",
		"010.0.0.1": "private", "012.0.0.1": "private", "0127.0.0.1": "loopback", "0x0.0x0.0": "unspecified", "0x": "unspecified", "169.0376.43518": "metadata",
		"127.0.0.1..": "loopback", "256.1.1.1": "neither", "127.0.0.1.1": "neither", "127..1": "neither", "4294967297": "neither", "a.127": "neither", "a.0x7f": "neither",
		"[::1.1.1.1]": "not global", "[2001:0:a00:1::fefe:fefe]": "private", "[2001:0:101:101::fefe:fefe]": "",
		"[64:ff9b::101:101]": "", "[64:ff9b:1::101:101]": "translator", "[64:ff9b:1:a9fe:a9:fe00::]": "metadata", "[64:ff9b:1::a9fe:a9fe]": "metadata", "[64:ff9b:1::a00:5]": "private",
		"[fd20:ce::254]": "metadata", "[fd00:ec2::23]": "metadata", "[fd00:ec2::1]": "private",
	} {
		wire := &counted{}
		_, err := get(t, newNetwork(t, Config{Transport: wire}), "https://"+host+"/v2/")
		var refused *Error
		if want == "" && (err != nil || wire.requests.Load() != 1) || want != "" && (!errors.As(err, &refused) || !strings.Contains(refused.Detail, want) || wire.requests.Load() != 0) {
			t.Errorf("%s: %v after %d requests, want %q", host, err, wire.requests.Load(), want)
		}
	}
}

// F11: what a listed host may be at, and what it may not be at, when it is dialled.
func TestReg_F11_guard(t *testing.T) {
	n := newNetwork(t, Config{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("0.0.0.0/1")}})
	n.config.AllowPrivate = n.config.AllowPrivate[:2]
	for address, want := range map[string][2]bool{ // of any host, of a private one
		"1.1.1.1:443": {true, true}, "[2606:4700::1111]:443": {true, true}, "10.1.2.3:443": {true, true}, "[::ffff:10.1.2.3]:443": {true, true}, "[fd00::1]:443": {true, true},
		"10.2.2.3:443": {false, true}, "127.0.0.1:443": {false, true}, "[::1]:443": {false, true}, "100.64.0.1:443": {false, true}, "[fc00::1]:443": {false, true},
		"[64:ff9b:1::a02:203]:443": {false, true}, "[64:ff9b::a02:203]:443": {false, true},
		"169.254.1.1:443": {false, false}, "[fe80::1%1]:443": {false, false}, "[fd00:ec2::254]:443": {false, false}, "100.100.100.200:443": {false, false},
		"0.0.0.0:443": {false, false}, "[::]:443": {false, false}, "224.0.0.1:443": {false, false}, "[ff02::1]:443": {false, false}, "255.255.255.255:443": {false, false},
		"[64:ff9b:1::a9fe:a9fe]:443": {false, false}, "[::ffff:169.254.169.254]:443": {false, false}, "nowhere": {false, false},
	} {
		for i, private := range []bool{false, true} {
			err := n.guard("registry.example", private)(t.Context(), "tcp", address, nil)
			var refused *Error
			if got := err == nil; got != want[i] || !got && (!errors.As(err, &refused) || refused.Host != "registry.example") {
				t.Errorf("%s, private %v: %v, want %v", address, private, err, want[i])
			}
		}
	}
}

// Every network can be allowed, and still not what nothing can allow.
func TestReg_F11_allowing_everything(t *testing.T) {
	all := Config{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}, Hosts: []Host{{Name: "metadata", Private: true}, {Name: "169.254.169.254", PlainHTTP: true}}}
	for target, ok := range map[string]bool{
		"https://10.0.0.1/": true, "https://[::1]/": true, "https://127.0.0.1/": true,
		"https://metadata/": false, "https://169.254.169.254/": false, "http://169.254.169.254/": false, "https://[fe80::1]/": false, "https://0.0.0.0/": false, "https://224.0.0.1/": false,
	} {
		wire := &counted{}
		all.Transport = wire
		_, err := get(t, newNetwork(t, all), target)
		var refused *Error
		if ok && err != nil || !ok && (!errors.As(err, &refused) || wire.requests.Load() != 0 || strings.Contains(refused.Hint, "--allow-private")) {
			t.Errorf("%s: %v, want allowed %v, and no advice that does not help", target, err, ok)
		}
	}
}

// A request that leads to no host is refused as well, and the body of any is closed as it would be by a transport.
func TestRefusedRequest(t *testing.T) {
	for name, u := range map[string]*url.URL{
		"no address": nil, "no host": {Scheme: "https", Path: "/v2/"}, "opaque": {Scheme: "https", Host: "ghcr.io", Opaque: "//10.0.0.1/"},
		"port 0": {Scheme: "https", Host: "ghcr.io:0"}, "a port too large": {Scheme: "https", Host: "ghcr.io:65536"}, "half a port": {Scheme: "https", Host: "ghcr.io:"},
		"a space": {Scheme: "https", Host: "ghcr.io evil"}, "upper case scheme": {Scheme: "HTTP", Host: "ghcr.io"},
	} {
		wire, body := &counted{}, &closing{Reader: strings.NewReader("x")}
		resp, err := newNetwork(t, Config{Transport: wire}).RoundTrip((&http.Request{Method: http.MethodPost, URL: u, Body: body}).WithContext(t.Context()))
		if resp != nil {
			_ = resp.Body.Close()
		}
		if err == nil || wire.requests.Load() != 0 || !body.closed.Load() {
			t.Errorf("%s: %v after %d requests, body closed %v", name, err, wire.requests.Load(), body.closed.Load())
		}
	}
}

type closing struct {
	io.Reader
	closed atomic.Bool
}

func (c *closing) Close() error { c.closed.Store(true); return nil }

// A proxy is where its operator wants it. What is not sent through it is not connected to it either, whatever it is
// called, and however often it was used.
func TestProxyIsNoHost(t *testing.T) {
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); _, _ = fmt.Fprint(w, "{}") }))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	named := "proxy.corp.example:" + at.Port()
	c := direct(Host{Name: "plain.example", PlainHTTP: true})
	c.Proxy = func(r *http.Request) (*url.URL, error) {
		if r.URL.Hostname() == "plain.example" {
			return &url.URL{Scheme: "http", Host: named}, nil
		}
		return nil, nil
	}
	n := newNetwork(t, c)
	n.resolver = names(t, func(int32) netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	n.others, n.own = remade(t, n)
	if _, err := get(t, n, "http://plain.example/v2/"); err != nil || asked.Load() != 1 {
		t.Fatalf("through the proxy: %v, %d requests", err, asked.Load())
	}
	var refused *Error
	if _, err := get(t, n, "https://"+named+"/v2/"); !errors.As(err, &refused) || !strings.Contains(refused.Detail, "loopback") {
		t.Errorf("to the proxy itself: %v", err)
	}
	c.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("no proxy for you") }
	if _, err := get(t, newNetwork(t, c), "https://ghcr.io/"); err == nil || !strings.Contains(err.Error(), "no proxy for you") {
		t.Errorf("no choice: %v", err)
	}
}

// remade makes the lines of a network again, with its resolver.
func remade(t *testing.T, n *Network) (*line, map[string]*line) {
	t.Helper()
	must := func(h Host) *line {
		l, err := n.newTransport(h)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	own := map[string]*line{}
	for name, h := range n.hosts {
		own[name] = must(h)
	}
	return must(Host{}), own
}
