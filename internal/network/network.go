// Package network is the only way out: everything that Stemma asks of a registry or a service goes through one Network,
// which decides what may be connected to, by what, how often, and with whose credentials.
//
// References come from whoever wants an image admitted, and registries answer with addresses of their choice. So every
// connection is checked after the name was resolved, at the moment at which it is made: a name that means something
// public when it is looked up and something private when it is dialled does not pass.
package network

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Config is what a Network works with. The zero value reaches public addresses over TLS, with nobody's credentials.
type Config struct {
	// Hosts says what is known of particular hosts. Of two entries with one name the configuration is refused.
	Hosts []Host

	// AllowPrivate are addresses that may be connected to for any host, although they are not public. Link-local and
	// metadata addresses cannot be allowed.
	AllowPrivate []netip.Prefix

	// Docker reads the user's Docker configuration and asks the credential helpers that it names.
	Docker bool
	// PullSecrets are Kubernetes secrets of type kubernetes.io/dockerconfigjson, as the bytes of .dockerconfigjson.
	PullSecrets [][]byte
	// Providers are kubelet credential providers: programs that are asked for the credentials of an image.
	Providers *Providers

	// Proxy chooses the proxy of a request. Nil: that of the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY).
	Proxy func(*http.Request) (*url.URL, error)

	// Transport stands in for sockets. Everything that does not depend on them applies as ever. Nil: sockets.
	Transport http.RoundTripper

	// Retry bounds how often an answer is asked for again.
	Retry Retry

	// Clock tells the time. Nil: waiting for a date that a server names is not possible, and is not tried.
	Clock func() time.Time
	// Sleep waits. Nil: a timer. It returns the error of ctx when that ends first.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Host is what is known of one host.
type Host struct {
	Name      string // host[:port] as it is connected to, "registry.corp.example:5000"; lower case
	PlainHTTP bool   // it is spoken to without TLS; implies Private
	Private   bool   // it may have a private or loopback address

	CA                []byte // PEM: the only authorities that its certificate is verified with; nil: the system's
	ClientCertificate []byte // PEM: shown to it
	ClientKey         []byte // PEM

	// Credentials, of which Username and Password, IdentityToken or Token may be given.
	Username, Password string
	IdentityToken      string // OAuth2 refresh token
	Token              string // bearer token, sent as it is

	RequestsPerSecond float64 // 0: 200; the burst is twice as much
}

// Retry bounds repetition. What is repeated are requests without a body that got no answer, 429 or 5xx.
type Retry struct {
	Attempts int           // in all, for one request; 0: 4
	First    time.Duration // wait before the second attempt, doubled for each further one, with jitter; 0: 250 ms
	Longest  time.Duration // longest wait, also when a server asks for more; 0: 10 s
	Budget   int           // repetitions for one host until some of its answers are good again; 0: 32
}

// Credential is what a host is spoken to with. The zero value is nobody.
type Credential struct {
	Username      string
	Password      string
	IdentityToken string
	Token         string
	Source        string // where it came from, for people: "Docker configuration ~/.docker/config.json", "provider ecr-credential-provider"
}

// Network carries requests. It is safe for concurrent use.
type Network struct {
	config   Config
	keys     *keyring
	hosts    map[string]Host
	own      map[string]*line // to hosts that something is known of
	others   *line
	resolver *net.Resolver // nil: the system's
	window   time.Duration // in which an answer must bring some bytes

	mu     sync.Mutex
	memory map[string]*host
}

// New checks the configuration. It connects to nothing.
func New(c Config) (*Network, error) {
	c.Retry.Attempts = cmp.Or(c.Retry.Attempts, defaultAttempts)
	c.Retry.First = cmp.Or(c.Retry.First, defaultFirst)
	c.Retry.Longest = cmp.Or(c.Retry.Longest, defaultLongest)
	c.Retry.Budget = cmp.Or(c.Retry.Budget, defaultBudget)
	if c.Retry.Attempts < 0 || c.Retry.First < 0 || c.Retry.Longest < 0 || c.Retry.Budget < 0 {
		return nil, errors.New("configuring the network: a bound of repetition is negative")
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	n := &Network{config: c, hosts: map[string]Host{}, own: map[string]*line{}, window: defaultWindow, memory: map[string]*host{}}
	for _, h := range c.Hosts {
		u := &url.URL{Scheme: "https", Host: strings.ToLower(h.Name)}
		if h.PlainHTTP {
			u.Scheme = "http"
		}
		parsed, err := url.Parse(u.String())
		if err != nil || h.Name == "" || parsed.Host != u.Host || parsed.Path != "" || parsed.User != nil || parsed.RawQuery != "" || !isPort(parsed) {
			return nil, fmt.Errorf("configuring the network: %q is not the name of a host", h.Name)
		}
		name := canonicalHost(parsed)
		if _, twice := n.hosts[name]; twice {
			return nil, fmt.Errorf("configuring the network: two entries for the host %s", name)
		}
		if !(h.RequestsPerSecond >= 0 && h.RequestsPerSecond <= maxRequestsPerSecond) {
			return nil, fmt.Errorf("configuring the network: host %s: %v requests per second", name, h.RequestsPerSecond)
		}
		n.hosts[name] = h
		if n.own[name], err = n.newTransport(h); err != nil {
			return nil, fmt.Errorf("configuring the network: %w", err)
		}
	}
	var err error
	if n.others, err = n.newTransport(Host{}); err != nil {
		return nil, fmt.Errorf("configuring the network: %w", err)
	}
	if n.keys, err = newKeyring(c); err != nil {
		return nil, err
	}
	return n, nil
}

// RoundTrip carries one request and follows no redirect. What may not be connected to is an *Error.
func (n *Network) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := n.judgeURL(req.URL); err != nil {
		return nil, unsent(req, err)
	}
	name := canonicalHost(req.URL)
	var carry http.RoundTripper = n.others
	if own, ok := n.own[name]; ok {
		carry = own
	}
	if n.config.Transport != nil {
		carry = n.config.Transport
	}
	return n.send(req, name, carry)
}

// unsent closes the body of a request that no transport was given: every RoundTripper owes that, and whoever writes the
// other end of a pipe waits for it.
func unsent(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close() // err says more
	}
	return err
}

// PlainHTTP lists the hosts that are spoken to without TLS.
func (n *Network) PlainHTTP() []string {
	var names []string
	for _, h := range n.config.Hosts {
		if h.PlainHTTP {
			names = append(names, strings.ToLower(h.Name))
		}
	}
	return names
}
