package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"

	"stemma"
)

// noTransport is the network of a client that was given none.
type noTransport struct{}

func (noTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no network was configured")
}

// gettingCredentials begins the text of an error of a source of credentials.
const gettingCredentials = "getting credentials for "

// session makes the client through which one repository of a registry, or a service, is asked once. The authentication
// of the Distribution Specification is oras-go's; what is added here is what it leaves to its caller.
func (c *Client) session(host, repository string) *auth.Client {
	return &auth.Client{
		Client: &http.Client{Transport: &guard{next: c.transport, host: host, trace: c.config.Trace}, CheckRedirect: checkRedirect},
		Header: http.Header{"User-Agent": {"stemma"}},
		Cache:  &attempt{token: c.token(host, repository)},
		Credential: func(ctx context.Context, asked string) (auth.Credential, error) {
			// "cr.io" is not "ghcr.io": credentials are for exactly the host that they were configured for.
			if asked != host {
				return auth.EmptyCredential, nil
			}
			cred, err := c.credential(ctx, host, repository)
			if err != nil {
				return auth.EmptyCredential, &fault{reason: stemma.ReasonUnauthorized, err: fmt.Errorf(gettingCredentials+"%s: %w", host, err)}
			}
			return cred, nil
		},
	}
}

func (c *Client) credential(ctx context.Context, host, repository string) (auth.Credential, error) {
	if c.config.Credentials == nil {
		return auth.EmptyCredential, nil
	}
	found, err := c.config.Credentials(ctx, host, repository)
	return auth.Credential{Username: found.Username, Password: found.Password, RefreshToken: found.RefreshToken, AccessToken: found.AccessToken}, err
}

// checkRedirect bounds redirects. That credentials do not follow to another origin is seen to by auth.Client.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > maxRedirects:
		return badAnswer("more than %d redirects", maxRedirects)
	case first.Scheme == "http" && req.URL.Scheme == "https":
		return &fault{
			reason: stemma.ReasonForbidden, err: errors.New("redirected from http to https"),
			advice: fmt.Sprintf("Leave out --plain-http %s: it wants to be spoken to over TLS.", stemma.Printable(first.Host, 100)),
		}
	case req.URL.Scheme != first.Scheme:
		return forbidden("redirected from %s to %s", first.Scheme, stemma.Printable(req.URL.Scheme, 20))
	case req.URL.User != nil:
		return forbidden("redirected to an address with credentials in it")
	case req.URL.Hostname() != first.Hostname() && isForbidden(req.URL.Hostname()):
		// A registry must not make its client talk to what only the client can reach (instance metadata, loopback).
		return forbidden("redirected to %s, an address that no registry serves from", req.URL.Hostname())
	}
	return nil
}

// isForbidden recognises addresses that are never a public blob store: loopback, link-local, unspecified, metadata.
func isForbidden(host string) bool {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, prefix := range auth.DefaultBlockedRealmPrefixes() {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// guard is the last step before the wire. It bounds what is not content (errors and tokens), keeps the credentials of a
// registry from a token service that has nothing to do with it, and tells of each request.
type guard struct {
	next  http.RoundTripper
	host  string
	trace func(Exchange)
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	// Every request of a registry names the types it accepts; those of auth.Client to a token service do not.
	token := req.Header.Get("Accept") == ""
	if token && !trustedRealm(g.host, req.URL) {
		if req.Body != nil && req.Body != http.NoBody {
			return nil, &fault{reason: stemma.ReasonUnauthorized, err: fmt.Errorf("%s asks to send its credentials to %s, which is not done", g.host, req.URL.Host)}
		}
		if req.Header.Get("Authorization") != "" {
			// What everybody may read can still be had without them.
			req = req.Clone(req.Context())
			req.Header.Del("Authorization")
		}
	}
	resp, err := g.next.RoundTrip(req)
	if err == nil && (token || resp.StatusCode >= 300) {
		resp.Body = limited{io.LimitReader(resp.Body, maxErrorBody), resp.Body}
	}
	if g.trace != nil {
		g.trace(exchange(req, token, resp, err))
	}
	return resp, err
}

// exchange is what may be told of a request. Queries are left out: signed addresses of blob stores carry secrets there.
func exchange(req *http.Request, token bool, resp *http.Response, err error) Exchange {
	e := Exchange{Host: req.URL.Host, Method: req.Method, URL: (&url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path}).String()}
	e.Sent, _, _ = strings.Cut(req.Header.Get("Authorization"), " ")
	if token && (e.Sent != "" || req.Body != nil && req.Body != http.NoBody) {
		e.Sent = "token request" // one without credentials is sent by nobody
	}
	if err != nil {
		e.Err = stemma.Printable(err.Error(), 300)
	} else {
		e.Status = resp.StatusCode
	}
	return e
}

type limited struct {
	io.Reader
	io.Closer
}

// trustedRealm reports whether a token service may be given the credentials of a registry: it is on the same host, or
// over TLS on a neighbour under the registry's own domain, as auth.docker.io is of registry-1.docker.io and gitlab.com
// of registry.gitlab.com.
func trustedRealm(host string, realm *url.URL) bool {
	name := (&url.URL{Host: host}).Hostname()
	if strings.EqualFold(realm.Hostname(), name) {
		return realm.Scheme == "https" || strings.EqualFold(realm.Host, host)
	}
	if _, err := netip.ParseAddr(name); err == nil || realm.Scheme != "https" {
		return false
	}
	_, parent, _ := strings.Cut(strings.ToLower(name), ".")
	other := strings.ToLower(realm.Hostname())
	return strings.Contains(parent, ".") && (other == parent || strings.HasSuffix(other, "."+parent))
}
