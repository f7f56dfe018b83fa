package network

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxHeader = 64 << 10 // bytes of the headers of an answer
	perHost   = 64       // connections to one host
)

// line is how hosts are spoken to of which the same is known: directly or by a proxy, which are kept apart. The address
// of a proxy is the operator's choice, and may be private; that is no reason to connect a request to it that is not sent
// through it.
type line struct {
	choose          func(*http.Request) (*url.URL, error)
	direct, proxied *http.Transport
}

func (l *line) RoundTrip(req *http.Request) (*http.Response, error) {
	proxy, err := l.choose(req)
	if err != nil {
		return nil, unsent(req, fmt.Errorf("choosing a proxy: %w", err))
	}
	if proxy == nil {
		return l.direct.RoundTrip(req)
	}
	return l.proxied.RoundTrip(req)
}

// newTransport speaks HTTP to hosts for which the same is known.
func (n *Network) newTransport(h Host) (*line, error) {
	config, err := tlsConfig(h)
	if err != nil {
		return nil, err
	}
	l := &line{choose: n.config.Proxy}
	if l.choose == nil {
		l.choose = http.ProxyFromEnvironment
	}
	dialer := func() *net.Dialer {
		return &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Resolver: n.resolver}
	}
	private := h.Private || h.PlainHTTP
	l.direct = transport(config)
	l.direct.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		d := dialer()
		d.ControlContext = n.guard(strings.TrimSuffix(address, ":443"), private)
		return d.DialContext(ctx, network, address)
	}
	l.proxied = transport(config)
	l.proxied.DialContext = dialer().DialContext
	// Spoken to over TLS, a proxy is a host of its own: the certificate for the host behind it is not shown to it, and the
	// authorities of that host do not vouch for it.
	l.proxied.DialTLSContext = (&tls.Dialer{NetDialer: dialer(), Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext
	l.proxied.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			// net/http gives the text of the status alone, as if it were the registry's.
			return fmt.Errorf("proxyconnect: the proxy answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
		}
		return nil
	}
	l.proxied.Proxy = func(req *http.Request) (*url.URL, error) {
		proxy, err := l.choose(req)
		if err == nil && proxy == nil {
			err = errors.New("there was a proxy for it, and now there is none") // nothing is judged when this one dials
		}
		return proxy, err
	}
	return l, nil
}

func transport(config *tls.Config) *http.Transport {
	return &http.Transport{
		TLSClientConfig:     config.Clone(),
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 30 * time.Second, IdleConnTimeout: 30 * time.Second,
		MaxIdleConnsPerHost: perHost, MaxConnsPerHost: perHost, MaxResponseHeaderBytes: maxHeader,
		DisableCompression: true, // digests are of what is sent, and nothing may grow on the way
		ForceAttemptHTTP2:  true,
	}
}

// tlsConfig trusts the host's own authorities and no others, where it has some, and shows its certificate to it alone.
func tlsConfig(h Host) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if h.CA != nil {
		var err error
		if c.RootCAs, err = authorities(h.CA); err != nil {
			return nil, fmt.Errorf("host %s: its authorities: %w", h.Name, err)
		}
	}
	if (h.ClientCertificate == nil) != (h.ClientKey == nil) {
		return nil, fmt.Errorf("host %s: a client certificate and its key need each other", h.Name)
	}
	if h.ClientCertificate != nil {
		pair, err := tls.X509KeyPair(h.ClientCertificate, h.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("host %s: client certificate: %w", h.Name, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// authorities reads PEM strictly: a certificate that is passed over in silence would be missed when it is needed.
func authorities(data []byte) (*x509.CertPool, error) {
	pool, count := x509.NewCertPool(), 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		data, count = rest, count+1
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d of PEM is not a certificate", count)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", count, err)
		}
		pool.AddCert(c)
	}
	if bytes.Contains(data, []byte("-----BEGIN")) {
		return nil, fmt.Errorf("certificate %d is not PEM", count+1)
	}
	if count == 0 {
		return nil, errors.New("no certificate in PEM")
	}
	return pool, nil
}
