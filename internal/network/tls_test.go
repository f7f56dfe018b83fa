package network

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
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
		server.Config.ErrorLog = nil
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
		"nothing":              {Config{}, ""},
		"no name":              {Config{Hosts: []Host{{}}}, `"" is not the name of a host`},
		"a URL":                {Config{Hosts: []Host{{Name: "https://a.example"}}}, "is not the name of a host"},
		"a path":               {Config{Hosts: []Host{{Name: "a.example/x"}}}, "is not the name of a host"},
		"a user":               {Config{Hosts: []Host{{Name: "u@a.example"}}}, "is not the name of a host"},
		"twice":                {Config{Hosts: []Host{{Name: "a.example"}, {Name: "A.example"}}}, "two entries for the host a.example"},
		"twice by port":        {Config{Hosts: []Host{{Name: "a.example"}, {Name: "a.example:443"}}}, "two entries for the host a.example"},
		"no certificate in it": {Config{Hosts: []Host{{Name: "a.example", CA: []byte("x")}}}, "host a.example: its authorities: no certificate"},
		"key alone":            {Config{Hosts: []Host{{Name: "a.example", ClientKey: key}}}, "need each other"},
		"certificate alone":    {Config{Hosts: []Host{{Name: "a.example", ClientCertificate: certificate}}}, "need each other"},
		"no key":               {Config{Hosts: []Host{{Name: "a.example", ClientCertificate: certificate, ClientKey: certificate}}}, "host a.example: client certificate"},
		"negative rate":        {Config{Hosts: []Host{{Name: "a.example", RequestsPerSecond: -1}}}, "host a.example: -1 requests"},
		"negative attempts":    {Config{Retry: Retry{Attempts: -1}}, "negative"},
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
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked = r.URL.String(); _, _ = w.Write([]byte("{}")) }))
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
	// A host of the proxy's own name is no proxy.
	direct := newNetwork(t, direct())
	if _, err := get(t, direct, strings.Replace(proxy.URL, "http:", "https:", 1)); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("without the proxy: %v", err)
	}
}
