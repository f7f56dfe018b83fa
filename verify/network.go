package verify

import (
	"context"
	"net/netip"
	"time"

	"stemma/internal/network"
	"stemma/internal/oci"
)

// Network says how registries and services are reached.
type Network = network.Config

// Host is what is known of one host.
type Host = network.Host

// connect makes the network that is configured, and the client of registries and services over it. w sees what happens
// on it, and may be nil.
func connect(c Config, w *watch) (*network.Network, *oci.Client, error) {
	reach := c.Network
	if reach.Clock == nil {
		reach.Clock = time.Now
	}
	way, err := network.New(reach)
	if err != nil {
		return nil, nil, &Error{Kind: Invalid, Err: err}
	}
	config := oci.Config{
		Transport: way, PlainHTTP: way.PlainHTTP(), CacheDir: c.CacheDir, Clock: reach.Clock,
		Credentials: func(ctx context.Context, host, repository string) (oci.Credential, error) {
			found, trail, err := way.Consult(ctx, host, repository)
			if w != nil {
				w.consulted(host, found, trail)
			}
			return oci.Credential{Username: found.Username, Password: found.Password, RefreshToken: found.IdentityToken, AccessToken: found.Token}, err
		},
	}
	if w != nil {
		config.Transport, config.Trace = listening{way, w}, w.exchanged
	}
	client, err := oci.New(config)
	if err != nil {
		return nil, nil, &Error{Kind: Invalid, Err: err}
	}
	return way, client, nil
}

// Providers are kubelet credential providers.
type Providers = network.Providers

// LoadHosts reads a registries file: what is known of particular hosts, and which networks may be connected to although
// they are private. name is for messages; read returns the content of a file that it refers to.
func LoadHosts(name string, data []byte, read func(path string) ([]byte, error)) ([]Host, []netip.Prefix, error) {
	return network.LoadHosts(name, data, read)
}
