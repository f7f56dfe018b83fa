package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	maxHeader = 64 << 10 // bytes of the headers of an answer
	perHost   = 64       // connections to one host
)

// Error says that a connection was not made, and why. It is a decision, not a failure: trying again changes nothing.
type Error struct {
	Host   string
	Detail string // "10.0.0.5 is a private address"
	Hint   string // one sentence, or ""
}

func (e *Error) Error() string { return "connecting to " + e.Host + ": " + e.Detail }

// Forbidden tells the error from a failure to connect.
func (e *Error) Forbidden() bool { return true }

// Advice is the hint.
func (e *Error) Advice() string { return e.Hint }

// refuse makes an Error of what is wrong with an address or a name.
func refuse(host, subject string, s standing) *Error {
	e := &Error{Host: host, Detail: subject + " is " + s.what}
	if subject == "" {
		e.Detail = "it is " + s.what
	}
	if s.never {
		e.Hint = "Nothing that serves images has such an address: check where the reference, or the answer of the registry, comes from."
	} else {
		e.Hint = fmt.Sprintf("If this registry is meant to be there, say so: --allow-private %s, or private: true in the registries file.", host)
	}
	return e
}

// judgeURL is what can be said of a request before a name is resolved.
func (n *Network) judgeURL(u *url.URL) error {
	host := canonicalHost(u)
	switch {
	case u.Scheme == "http" && !n.known(host).PlainHTTP:
		return &Error{Host: host, Detail: "it is to be spoken to without TLS", Hint: fmt.Sprintf("If it has none, say so: --plain-http %s, or plainHTTP: true in the registries file.", host)}
	case u.Scheme != "https" && u.Scheme != "http":
		return &Error{Host: host, Detail: "the scheme is " + strings.ToLower(u.Scheme) + ", and only https is spoken"}
	case u.User != nil:
		return &Error{Host: host, Detail: "the address has credentials in it"}
	}
	if s := judgeName(u.Hostname()); !s.public() && (s.never || !n.mayBePrivate(host, u.Hostname())) {
		return refuse(host, "", s)
	}
	return nil
}

// mayBePrivate reports whether a host, by its name or by the address that is its name, may be at a private address.
func (n *Network) mayBePrivate(host, name string) bool {
	if h := n.known(host); h.Private || h.PlainHTTP {
		return true
	}
	a, ok := literal(name)
	return ok && n.allowed(a)
}

func (n *Network) allowed(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range n.config.AllowPrivate {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// canonicalHost is host[:port], as hosts are listed.
func canonicalHost(u *url.URL) string {
	name := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	port := u.Port()
	if port == "" || port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http" {
		return name
	}
	return name + ":" + port
}

// known is the entry of a host, or one that says nothing.
func (n *Network) known(host string) Host {
	if h, ok := n.hosts[host]; ok {
		return h
	}
	return Host{}
}

// guard judges the address that a socket is about to be connected to: after the name was resolved, so that what is judged
// and what is connected to cannot be two different addresses (DNS rebinding), and for every connection, whichever
// redirect, realm or page it was made for.
func (n *Network) guard(host string, private bool) func(ctx context.Context, network, address string, _ syscall.RawConn) error {
	return func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return &Error{Host: host, Detail: "it is at " + address + ", which is no address"}
		}
		s := judge(at.Addr())
		if s.public() || !s.never && (private || n.allowed(at.Addr())) {
			return nil
		}
		return refuse(host, at.Addr().Unmap().String(), s)
	}
}

// dialer connects for one host, or for all that nothing is known of.
func (n *Network) dialer(private bool, proxies *proxies) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host := strings.TrimSuffix(address, ":443")
		d := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Resolver: n.resolver}
		if !proxies.has(address) {
			d.ControlContext = n.guard(host, private)
		}
		return d.DialContext(ctx, network, address)
	}
}

// proxies remembers the proxies that requests were sent through. Their addresses are the operator's choice, and may be
// private; behind them, the proxy resolves names.
type proxies struct {
	choose func(*http.Request) (*url.URL, error)
	mu     sync.Mutex
	known  map[string]bool
}

func (p *proxies) proxy(r *http.Request) (*url.URL, error) {
	u, err := p.choose(r)
	if err != nil || u == nil {
		return u, err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
		if port == "" {
			port = "80"
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[net.JoinHostPort(u.Hostname(), port)] = true
	return u, nil
}

func (p *proxies) has(address string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[address]
}

// newTransport speaks HTTP to hosts for which the same is known.
func (n *Network) newTransport(h Host) (*http.Transport, error) {
	config, err := tlsConfig(h)
	if err != nil {
		return nil, err
	}
	choose := n.config.Proxy
	if choose == nil {
		choose = http.ProxyFromEnvironment
	}
	p := &proxies{choose: choose, known: map[string]bool{}}
	return &http.Transport{
		Proxy: p.proxy, DialContext: n.dialer(h.Private || h.PlainHTTP, p), TLSClientConfig: config,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 30 * time.Second, IdleConnTimeout: 30 * time.Second,
		MaxIdleConnsPerHost: perHost, MaxConnsPerHost: perHost, MaxResponseHeaderBytes: maxHeader,
		DisableCompression: true, // digests are of what is sent, and nothing may grow on the way
		ForceAttemptHTTP2:  true,
	}, nil
}

// tlsConfig trusts the host's own authorities and no others, where it has some, and shows its certificate to it alone.
func tlsConfig(h Host) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if h.CA != nil {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(h.CA) {
			return nil, fmt.Errorf("host %s: no certificate in its authorities (want PEM)", h.Name)
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

// final reports whether asking again would bring the same: a decision of ours, a certificate that is not accepted, a name
// that does not exist.
func final(err error) bool {
	var refused *Error
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var record tls.RecordHeaderError
	var name *net.DNSError
	return errors.As(err, &refused) || errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &record) || errors.As(err, &name) && name.IsNotFound ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
