package verify

import (
	"context"
	"time"

	"stemma/internal/network"
	"stemma/internal/oci"
)

// Network says how registries and services are reached.
type Network = network.Config

// Host is what is known of one host.
type Host = network.Host

// newClient makes the client of registries and services over the network that is configured.
func newClient(c Config) (*oci.Client, error) {
	reach := c.Network
	if reach.Clock == nil {
		reach.Clock = time.Now
	}
	way, err := network.New(reach)
	if err != nil {
		return nil, &Error{Kind: Invalid, Err: err}
	}
	client, err := oci.New(oci.Config{
		Transport: way, PlainHTTP: way.PlainHTTP(), CacheDir: c.CacheDir,
		Credentials: func(ctx context.Context, host, repository string) (oci.Credential, error) {
			found, err := way.Credential(ctx, host, repository)
			return oci.Credential{Username: found.Username, Password: found.Password, RefreshToken: found.IdentityToken, AccessToken: found.Token}, err
		},
	})
	if err != nil {
		return nil, &Error{Kind: Invalid, Err: err}
	}
	return client, nil
}
