package network

import "context"

// Providers are kubelet credential providers, as in the kubelet's --image-credential-provider-config and
// --image-credential-provider-bin-dir.
type Providers struct {
	Config []byte // CredentialProviderConfig, YAML or JSON
	Name   string // of the file that Config came from, for messages
	BinDir string // directory of the programs
}

// Credential returns what a host is spoken to with about a repository ("" for a service that is no registry): that of
// the Host entry, else of the pull secrets, the providers, the Docker configuration, in this order. The zero Credential
// is nobody. An error says that a source that should know could not be asked: then nothing is sent.
func (n *Network) Credential(ctx context.Context, host, repository string) (Credential, error) {
	return Credential{}, nil
}
