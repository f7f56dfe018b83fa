package stemmatest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Wire is a network that remembers what went over it: which hosts were spoken to, and which secrets each was told. It is
// an http.RoundTripper.
type Wire struct {
	Next http.RoundTripper // such as a Network

	mu    sync.Mutex
	hosts map[string][]string
}

// RoundTrip remembers the request and passes it on.
func (n *Wire) RoundTrip(req *http.Request) (*http.Response, error) {
	var secrets []string
	for _, header := range []string{"Authorization", "Proxy-Authorization", "Cookie"} {
		secrets = append(secrets, req.Header.Values(header)...)
	}
	if req.URL.User != nil {
		secrets = append(secrets, "user "+req.URL.User.String())
	}
	if strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") && req.Body != nil {
		body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
		if cerr := req.Body.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, fmt.Errorf("reading form to %s: %w", req.URL.Host, err)
		}
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, fmt.Errorf("reading form to %s: %w", req.URL.Host, err)
		}
		for _, name := range []string{"password", "refresh_token", "access_token", "client_secret", "assertion"} {
			if form.Has(name) {
				secrets = append(secrets, name+" "+form.Get(name))
			}
		}
	}
	n.mu.Lock()
	if n.hosts == nil {
		n.hosts = map[string][]string{}
	}
	at := req.URL.Scheme + "://" + req.URL.Host
	n.hosts[at] = append(n.hosts[at], secrets...)
	n.mu.Unlock()
	return n.Next.RoundTrip(req)
}

// Hosts lists those that were spoken to, whether or not they exist: "https://ghcr.io". It is sorted.
func (n *Wire) Hosts() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.hosts))
}

// Secrets lists what a host was told, in the order of the requests: values of the Authorization, Proxy-Authorization and
// Cookie headers as they stand, the user of a URL as "user name:password", and from forms the name and value of
// passwords and tokens.
func (n *Wire) Secrets(host string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.hosts[host])
}

// Leaks lists the hosts that were told a secret and are not among these. It is sorted.
func (n *Wire) Leaks(allowed ...string) []string {
	var leaks []string
	for _, host := range n.Hosts() {
		if len(n.Secrets(host)) > 0 && !slices.Contains(allowed, host) {
			leaks = append(leaks, host)
		}
	}
	return leaks
}
