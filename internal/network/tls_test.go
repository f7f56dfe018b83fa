package network

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// direct is a Config that uses no proxy and repeats nothing.
func direct(hosts ...Host) Config {
	return Config{Hosts: hosts, Retry: Retry{Attempts: 1}, Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// client makes a certificate of a client's own, and its key.
func client(t *testing.T) (certificate, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stemma"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("CERTIFICATE", der), pemOf("PRIVATE KEY", raw)
}

// A host is verified with its own authorities where it has some, and with no others; its client certificate is shown to
// it alone.
func TestTLS(t *testing.T) {
	shown := map[string]int{}
	serve := func(name string) (*httptest.Server, string, []byte) {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shown[name] += len(r.TLS.PeerCertificates)
			_, _ = w.Write([]byte("{}"))
		}))
		server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		server.Config.ErrorLog = quiet()
		server.StartTLS()
		t.Cleanup(server.Close)
		return server, strings.TrimPrefix(server.URL, "https://"), pemOf("CERTIFICATE", server.Certificate().Raw)
	}
	_, one, ca := serve("one")
	_, two, _ := serve("two")
	certificate, key := client(t)
	other, _ := client(t)
	for name, c := range map[string]struct {
		config Config
		host   string
		want   string
		shown  int
	}{
		"own authority":         {direct(Host{Name: one, Private: true, CA: ca}), one, "", 0},
		"the system's":          {direct(Host{Name: one, Private: true}), one, "certificate", 0},
		"another authority":     {direct(Host{Name: one, Private: true, CA: other}), one, "certificate", 0},
		"authority of one host": {direct(Host{Name: one, Private: true, CA: ca}, Host{Name: two, Private: true}), two, "certificate", 0},
		"client certificate":    {direct(Host{Name: one, Private: true, CA: ca, ClientCertificate: certificate, ClientKey: key}), one, "", 1},
		"another's certificate": {direct(Host{Name: one, Private: true, CA: ca, ClientCertificate: certificate, ClientKey: key}, Host{Name: two, Private: true, CA: ca}), two, "", 0},
		"not allowed to be private, whatever its authority": {direct(Host{Name: one, CA: ca}), one, "loopback", 0},
	} {
		t.Run(name, func(t *testing.T) {
			clear(shown)
			_, err := get(t, newNetwork(t, c.config), "https://"+c.host+"/v2/")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if got := shown["one"] + shown["two"]; got != c.shown {
				t.Errorf("%d client certificates shown, want %d", got, c.shown)
			}
		})
	}
}

// What is wrong with a configuration is said when it is made, with the host that it is about.
func TestConfig(t *testing.T) {
	certificate, key := client(t)
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"nothing":               {Config{}, ""},
		"no name":               {Config{Hosts: []Host{{}}}, `"" is not the name of a host`},
		"a URL":                 {Config{Hosts: []Host{{Name: "https://a.example"}}}, "is not the name of a host"},
		"a path":                {Config{Hosts: []Host{{Name: "a.example/x"}}}, "is not the name of a host"},
		"a user":                {Config{Hosts: []Host{{Name: "u@a.example"}}}, "is not the name of a host"},
		"twice":                 {Config{Hosts: []Host{{Name: "a.example"}, {Name: "A.example"}}}, "two entries for the host a.example"},
		"twice by port":         {Config{Hosts: []Host{{Name: "a.example"}, {Name: "a.example:443"}}}, "two entries for the host a.example"},
		"no certificate in it":  {Config{Hosts: []Host{{Name: "a.example", CA: []byte("x")}}}, "host a.example: its authorities: no certificate"},
		"a second that is none": {Config{Hosts: []Host{{Name: "a.example", CA: slices.Concat(certificate, pemOf("CERTIFICATE", []byte("x")))}}}, "host a.example: its authorities: certificate 2"},
		"a second that is cut":  {Config{Hosts: []Host{{Name: "a.example", CA: slices.Concat(certificate, certificate[:80])}}}, "certificate 2 is not PEM"},
		"a key among them":      {Config{Hosts: []Host{{Name: "a.example", CA: slices.Concat(certificate, key)}}}, "block 2 of PEM is not a certificate"},
		"two":                   {Config{Hosts: []Host{{Name: "a.example", CA: slices.Concat([]byte("# ours\n"), certificate, []byte("\n# theirs\n"), certificate)}}}, ""},
		"no port":               {Config{Hosts: []Host{{Name: "a.example:"}}}, "is not the name of a host"},
		"a port too large":      {Config{Hosts: []Host{{Name: "a.example:65536"}}}, "is not the name of a host"},
		"no number":             {Config{Hosts: []Host{{Name: "a.example", RequestsPerSecond: math.NaN()}}}, "NaN requests"},
		"key alone":             {Config{Hosts: []Host{{Name: "a.example", ClientKey: key}}}, "need each other"},
		"certificate alone":     {Config{Hosts: []Host{{Name: "a.example", ClientCertificate: certificate}}}, "need each other"},
		"no key":                {Config{Hosts: []Host{{Name: "a.example", ClientCertificate: certificate, ClientKey: certificate}}}, "host a.example: client certificate"},
		"negative rate":         {Config{Hosts: []Host{{Name: "a.example", RequestsPerSecond: -1}}}, "host a.example: -1 requests"},
		"negative attempts":     {Config{Retry: Retry{Attempts: -1}}, "negative"},
	} {
		_, err := New(c.config)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// A proxy may be at a private address, and what is asked through it is judged by its name all the same.
func TestProxy(t *testing.T) {
	asked := ""
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		asked = r.URL.String()
		_, _ = w.Write([]byte("{}"))
	}))
	defer proxy.Close()
	c := direct(Host{Name: "plain.example", PlainHTTP: true})
	c.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	n := newNetwork(t, c)
	if _, err := get(t, n, "http://plain.example/v2/"); err != nil || asked != "http://plain.example/v2/" {
		t.Errorf("through the proxy: %v, asked %q", err, asked)
	}
	asked = ""
	for _, target := range []string{"https://10.0.0.1/v2/", "https://169.254.169.254/v2/", "http://other.example/v2/", "https://localhost/v2/"} {
		if _, err := get(t, n, target); err == nil || asked != "" {
			t.Errorf("%s: %v, asked %q", target, err, asked)
		}
	}
	// What the proxy answers is not what the registry answers.
	if _, err := get(t, n, "https://ghcr.io/v2/"); err == nil || !strings.Contains(err.Error(), "proxyconnect: the proxy answers 407 Proxy Authentication Required") {
		t.Errorf("refused by the proxy: %v", err)
	}
	// A host of the proxy's own name is no proxy.
	direct := newNetwork(t, direct())
	if _, err := get(t, direct, strings.Replace(proxy.URL, "http:", "https:", 1)); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("without the proxy: %v", err)
	}
}

// quiet is a log for what servers say of clients that are meant to fail.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// The authorities of the system vouch for hosts that have none of their own, and for no others.
func TestSystemAuthorities(t *testing.T) {
	if at := os.Getenv("STEMMA_TEST_SERVER"); at != "" {
		ca, err := os.ReadFile(os.Getenv("STEMMA_TEST_CA"))
		if err != nil {
			t.Fatal(err)
		}
		other, _ := client(t)
		for name, c := range map[string]struct {
			ca []byte
			ok bool
		}{"the system's": {nil, true}, "the same of its own": {ca, true}, "another": {other, false}, "another, and the right one": {slices.Concat(other, ca), true}} {
			_, err := get(t, newNetwork(t, direct(Host{Name: at, Private: true, CA: c.ca})), "https://"+at+"/")
			var unknown x509.UnknownAuthorityError
			if c.ok && err != nil || !c.ok && !errors.As(err, &unknown) {
				t.Errorf("%s: %v, want accepted %v", name, err, c.ok)
			}
		}
		return
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pemOf("CERTIFICATE", server.Certificate().Raw), 0o600); err != nil {
		t.Fatal(err)
	}
	// A process reads the authorities of its system once.
	cmd := exec.Command(os.Args[0], "-test.run=^TestSystemAuthorities$", "-test.count=1")
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+file, "SSL_CERT_DIR="+t.TempDir(), "STEMMA_TEST_CA="+file, "STEMMA_TEST_SERVER="+strings.TrimPrefix(server.URL, "https://"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Older versions of TLS are not spoken, and nothing goes out without it to a host that is not listed for that.
func TestDowngrade(t *testing.T) {
	var arrived atomic.Int32
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) })
	for version, ok := range map[uint16]bool{tls.VersionTLS13: true, tls.VersionTLS12: true, tls.VersionTLS11: false, tls.VersionTLS10: false} {
		server := httptest.NewUnstartedServer(handler)
		server.TLS, server.Config.ErrorLog = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}, quiet()
		server.StartTLS()
		at := strings.TrimPrefix(server.URL, "https://")
		arrived.Store(0)
		_, err := get(t, newNetwork(t, direct(Host{Name: at, Private: true, CA: pemOf("CERTIFICATE", server.Certificate().Raw)})), server.URL)
		if (err == nil) != ok || (arrived.Load() == 1) != ok {
			t.Errorf("%s: %v, want spoken %v", tls.VersionName(version), err, ok)
		}
		server.Close()
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "http://")
	for name, c := range map[string]struct {
		host Host
		ok   bool
	}{
		"listed": {Host{Name: at, PlainHTTP: true}, true}, "private": {Host{Name: at, Private: true}, false},
		"another port": {Host{Name: "127.0.0.1:1", PlainHTTP: true}, false}, "another host": {Host{Name: "localhost" + at[strings.Index(at, ":"):], PlainHTTP: true}, false},
	} {
		arrived.Store(0)
		_, err := get(t, newNetwork(t, direct(c.host)), server.URL)
		var refused *Error
		if (arrived.Load() == 1) != c.ok || !c.ok && (!errors.As(err, &refused) || !strings.Contains(refused.Hint, "--plain-http "+at)) {
			t.Errorf("%s: %v, %d requests, want spoken to %v", name, err, arrived.Load(), c.ok)
		}
	}
}

// A proxy that is spoken to over TLS is verified with the system's authorities, and shown no certificate.
func TestProxyOverTLS(t *testing.T) {
	certificate, key := client(t)
	through := func(proxy string, ca []byte) error {
		c := direct(Host{Name: "registry.example", CA: ca, ClientCertificate: certificate, ClientKey: key})
		c.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy) }
		_, err := get(t, newNetwork(t, c), "https://registry.example/")
		return err
	}
	if proxy := os.Getenv("STEMMA_TEST_PROXY"); proxy != "" {
		if err := through(proxy, certificate); err == nil || !strings.Contains(err.Error(), "I'm a teapot") {
			t.Errorf("%v, want what the proxy says", err)
		}
		return
	}
	var shown, asked atomic.Int32
	proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusTeapot)
	}))
	proxy.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, VerifyConnection: func(s tls.ConnectionState) error {
		shown.Add(int32(len(s.PeerCertificates)))
		return nil
	}}
	proxy.Config.ErrorLog = quiet()
	proxy.StartTLS()
	defer proxy.Close()
	ca := pemOf("CERTIFICATE", proxy.Certificate().Raw)
	var unknown x509.UnknownAuthorityError
	if err := through(proxy.URL, ca); !errors.As(err, &unknown) || asked.Load() != 0 || shown.Load() != 0 {
		t.Errorf("authorities of the host behind it vouch for the proxy: %v, %d requests, %d certificates", err, asked.Load(), shown.Load())
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestProxyOverTLS$", "-test.count=1")
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+file, "SSL_CERT_DIR="+t.TempDir(), "STEMMA_TEST_PROXY="+proxy.URL)
	if out, err := cmd.CombinedOutput(); err != nil || asked.Load() != 1 || shown.Load() != 0 {
		t.Errorf("%d requests to the proxy, which was shown %d certificates; want 1 and none: %v\n%s", asked.Load(), shown.Load(), err, out)
	}
}

// Connections are kept, and answers come as they are sent.
func TestTransport(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/header" {
			w.Header().Set("X", strings.Repeat("x", 2*maxHeader))
		}
		if r.Header.Get("Accept-Encoding") != "" {
			w.WriteHeader(http.StatusNotAcceptable)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	n := newNetwork(t, direct(Host{Name: strings.TrimPrefix(server.URL, "https://"), Private: true, CA: pemOf("CERTIFICATE", server.Certificate().Raw)}))
	for range 5 {
		if resp, err := get(t, n, server.URL); err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
			t.Fatalf("%v, %+v", err, resp)
		}
	}
	if connections.Load() != 1 {
		t.Errorf("%d connections for 5 requests", connections.Load())
	}
	if _, err := get(t, n, server.URL+"/header"); err == nil {
		t.Error("headers of twice the bound were read")
	}
}
