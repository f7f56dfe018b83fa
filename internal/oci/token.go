package oci

import (
	"context"
	"errors"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// maxTokens bounds how many repositories a Client remembers a token for.
const maxTokens = 1024

var errNoToken = errors.New("no token")

// token is what one repository is spoken to with, as its registry has asked for it. A token is for one repository: what
// gives access to another one on the same host is another credential.
type token struct {
	turn chan struct{} // held by whoever asks the token service

	mu     sync.Mutex
	scheme auth.Scheme
	value  string
	failed int // how often asking has failed
	err    error
}

func (c *Client) token(host, repository string) *token {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := host + "/" + repository
	t := c.tokens[key]
	if t == nil {
		if len(c.tokens) >= maxTokens {
			clear(c.tokens)
		}
		t = &token{turn: make(chan struct{}, 1)}
		c.tokens[key] = t
	}
	return t
}

// attempt is the view that one request has of a token. Requests that are refused together ask the token service once:
// each knows which token it was refused with, and takes a newer one, or the failure to get one, from whoever was first.
type attempt struct {
	token *token

	mu     sync.Mutex
	tried  string
	failed int
}

// GetScheme implements auth.Cache. It is the first that a request asks for.
func (a *attempt) GetScheme(context.Context, string) (auth.Scheme, error) {
	a.token.mu.Lock()
	defer a.token.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = a.token.failed
	if a.token.value == "" {
		return auth.SchemeUnknown, errNoToken
	}
	return a.token.scheme, nil
}

// GetToken implements auth.Cache. Scopes are not told apart: there is one repository, and it is only read.
func (a *attempt) GetToken(_ context.Context, _ string, scheme auth.Scheme, _ string) (string, error) {
	a.token.mu.Lock()
	defer a.token.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token.value == "" || a.token.scheme != scheme || a.token.value == a.tried {
		return "", errNoToken
	}
	a.tried = a.token.value
	return a.tried, nil
}

// Set implements auth.Cache.
func (a *attempt) Set(ctx context.Context, registry string, scheme auth.Scheme, key string, fetch func(context.Context) (string, error)) (string, error) {
	select {
	case a.token.turn <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-a.token.turn }()
	if value, err := a.GetToken(ctx, registry, scheme, key); err == nil {
		return value, nil
	}
	a.mu.Lock()
	seen := a.failed
	a.mu.Unlock()
	a.token.mu.Lock()
	failed, err := a.token.failed, a.token.err
	a.token.mu.Unlock()
	if failed > seen {
		return "", err
	}
	value, err := fetch(ctx)
	a.token.mu.Lock()
	defer a.token.mu.Unlock()
	switch {
	case err == nil:
		a.token.scheme, a.token.value = scheme, value
	case ctx.Err() == nil: // another one's patience may be longer
		a.token.failed++
		a.token.err = err
	}
	return value, err
}
