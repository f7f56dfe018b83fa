package network

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"stemma"
)

// Bounds of what credentials come from.
const (
	maxDocument = 1 << 20 // bytes of a configuration, a pull secret, a registries file
	maxSaid     = 400     // bytes of somebody else's words in a message
)

// auth is what Docker's configuration and a pull secret say of one key.
type auth struct {
	Auth          string `json:"auth"` // base64 of user:password
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func (a auth) credential() (Credential, error) {
	c := Credential{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, Token: a.RegistryToken}
	if a.Auth != "" {
		text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(a.Auth, "="))
		if err != nil {
			return Credential{}, errors.New("auth is not base64")
		}
		user, password, ok := strings.Cut(string(text), ":")
		if !ok {
			return Credential{}, errors.New("auth is not base64 of user:password")
		}
		c.Username, c.Password = user, strings.Trim(password, "\x00")
	}
	if c.Username == "<token>" {
		// As docker login writes an identity token where there is no other place for it.
		c.IdentityToken, c.Username, c.Password = cmp.Or(c.IdentityToken, c.Password), "", ""
	}
	return c, nil
}

// unreadable says where a document that holds secrets could not be read, and quotes nothing of it.
func unreadable(what string, err error) error {
	var at *stemma.JSONError
	if errors.As(err, &at) {
		return fmt.Errorf("reading %s: at byte %d: not the JSON that it has to be", what, at.Offset)
	}
	return fmt.Errorf("reading %s: not the JSON that it has to be", what)
}

// newKeys reads the entries of auths.
func newKeys(auths map[string]auth, d dialect) ([]key, error) {
	var keys []key
	for text, a := range auths {
		p, err := newPattern(text, d)
		if err != nil {
			continue // docker login wrote anything that was typed
		}
		c, err := a.credential()
		if err != nil {
			return nil, fmt.Errorf("the entry of %s: %w", stemma.Printable(p.host, 120), err)
		}
		keys = append(keys, key{pattern: p, text: text, credential: c})
	}
	order(keys)
	return keys, nil
}

// secrets are Kubernetes pull secrets.
type secrets []key

func newSecrets(all [][]byte) (secrets, error) {
	var s secrets
	for i, data := range all {
		what := fmt.Sprintf("pull secret %d of %d", i+1, len(all))
		if len(data) > maxDocument {
			return nil, fmt.Errorf("reading %s: larger than %d bytes", what, maxDocument)
		}
		var document struct {
			Auths map[string]auth `json:"auths"`
		}
		if err := stemma.DecodeJSON(data, &document); err != nil {
			return nil, unreadable(what, err)
		}
		if document.Auths == nil {
			return nil, fmt.Errorf("reading %s: it has no auths; it has to be the content of .dockerconfigjson, of a secret of type kubernetes.io/dockerconfigjson", what)
		}
		keys, err := newKeys(document.Auths, kubelet)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", what, err)
		}
		for _, k := range keys {
			if k.credential != (Credential{}) {
				k.credential.Source = what
				s = append(s, k)
			}
		}
	}
	return s, nil
}

func (secrets) name() string { return "pull secrets" }

func (s secrets) ask(_ context.Context, of place) (Credential, error) {
	k, _ := best(s, of)
	return k.credential, nil
}
