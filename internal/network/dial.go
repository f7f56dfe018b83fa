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
	"strconv"
	"strings"
	"syscall"
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

// Where is the host.
func (e *Error) Where() string { return e.Host }

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
	if u == nil {
		return errors.New("a request without an address")
	}
	host := canonicalHost(u)
	switch {
	case u.Scheme == "http" && !n.known(host).PlainHTTP:
		return &Error{Host: host, Detail: "it is to be spoken to without TLS", Hint: fmt.Sprintf("If it has none, say so: --plain-http %s, or plainHTTP: true in the registries file.", host)}
	case u.Scheme != "https" && u.Scheme != "http":
		return &Error{Host: host, Detail: "the scheme is " + strings.ToLower(u.Scheme) + ", and only https is spoken"}
	case u.User != nil:
		return &Error{Host: host, Detail: "the address has credentials in it"}
	case u.Opaque != "":
		return &Error{Host: host, Detail: "the address is not one of a host"} // a proxy would ask whatever stands there
	case !isPort(u):
		return &Error{Host: host, Detail: "it has no port of 1 to 65535"}
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
	all, _ := literals(name)
	for _, a := range all {
		if !judge(a).public() && !n.allowed(a) {
			return false
		}
	}
	return len(all) > 0
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

func isPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0
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

// final reports whether asking again would bring the same: a decision of ours, a certificate that is not accepted, a name
// that does not exist, a host that speaks TLS where none is spoken or the other way round.
func final(err error) bool {
	var refused *Error
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var record tls.RecordHeaderError
	var alert *net.OpError // of crypto/tls, which keeps its type of alerts to itself
	var address *net.AddrError
	var name *net.DNSError
	return errors.As(err, &refused) || errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &record) || errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error") || errors.As(err, &address) || errors.Is(err, http.ErrSchemeMismatch) ||
		errors.As(err, &name) && name.IsNotFound ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
