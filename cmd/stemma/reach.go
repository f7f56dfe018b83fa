package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"stemma/verify"
)

// reaching holds the flags that say how registries and services are reached. None of them can change what evidence
// means.
type reaching struct {
	registries   string
	plainHTTP    []string
	allowPrivate []string
	pullSecrets  []string
	providers    string
	providerBin  string
}

func (r *reaching) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&r.registries, "registries", "", "`FILE` that says how particular registries are reached: certificates, credentials, private addresses, limits")
	flags.StringArrayVar(&r.plainHTTP, "plain-http", nil, "registry `HOST:PORT` that is spoken to without TLS, at whatever address. Repeatable")
	flags.StringArrayVar(&r.allowPrivate, "allow-private", nil, "registry `HOST[:PORT]` that may have a private or loopback address, or a network such as 10.1.0.0/16. Repeatable")
	flags.StringArrayVar(&r.pullSecrets, "pull-secret", nil, "`FILE` with the .dockerconfigjson of a Kubernetes image pull secret. Repeatable")
	flags.StringVar(&r.providers, "image-credential-provider-config", "", "`FILE` that configures kubelet credential providers, as the kubelet's flag of this name")
	flags.StringVar(&r.providerBin, "image-credential-provider-bin-dir", "", "`DIR` of the credential providers' programs")
}

const maxNetworkFile = 1 << 20 // bytes of a registries file, a pull secret, a certificate

// network is the configuration that the flags make, with the credentials of the user's own environment.
func (r *reaching) network() (verify.Network, error) {
	n := verify.Network{Docker: true}
	if r.registries != "" {
		data, err := readFile(r.registries, maxNetworkFile)
		if err != nil {
			return n, &usageError{fmt.Errorf("reading the registries file: %w", err), "give the path of a file such as docs/registries.md describes"}
		}
		read := func(path string) ([]byte, error) {
			if !filepath.IsAbs(path) {
				path = filepath.Join(filepath.Dir(r.registries), path) // beside the file that names it, wherever it is used
			}
			return readFile(path, maxNetworkFile)
		}
		if n.Hosts, n.AllowPrivate, err = verify.LoadHosts(clean(r.registries), data, read); err != nil {
			return n, &usageError{err, "docs/registries.md lists the keys"}
		}
	}
	for _, host := range r.plainHTTP {
		if !isHost(host) {
			return n, &usageError{fmt.Errorf("--plain-http %q is not the name of a host", host), "write it as in the reference of the image: --plain-http " + hostOf(host)}
		}
		known(&n, host).PlainHTTP = true
	}
	for _, what := range r.allowPrivate {
		if prefix, err := netip.ParsePrefix(what); err == nil {
			n.AllowPrivate = append(n.AllowPrivate, prefix)
			continue
		}
		if !isHost(what) {
			return n, &usageError{fmt.Errorf("--allow-private %q is neither the name of a host nor a network", what), "write --allow-private " + hostOf(what) + ", or a network such as --allow-private 10.1.0.0/16"}
		}
		known(&n, what).Private = true
	}
	for _, file := range r.pullSecrets {
		data, err := readFile(file, maxNetworkFile)
		if err != nil {
			return n, &usageError{fmt.Errorf("reading a pull secret: %w", err), "kubectl get secret NAME -o jsonpath='{.data.\\.dockerconfigjson}' | base64 -d > FILE"}
		}
		n.PullSecrets = append(n.PullSecrets, data)
	}
	if (r.providers == "") != (r.providerBin == "") {
		return n, &usageError{errors.New("credential providers need a configuration and the directory of their programs"), "give both --image-credential-provider-config FILE and --image-credential-provider-bin-dir DIR"}
	}
	if r.providers != "" {
		data, err := readFile(r.providers, maxNetworkFile)
		if err != nil {
			return n, &usageError{fmt.Errorf("reading the configuration of credential providers: %w", err), "give the file that the kubelet is started with"}
		}
		n.Providers = &verify.Providers{Config: data, Name: clean(r.providers), BinDir: r.providerBin}
	}
	tokens(&n)
	return n, nil
}

// tokens adds the tokens that the environment holds for services, each for the one host that it is for.
func tokens(n *verify.Network) {
	for _, t := range []struct{ host, names string }{
		{"api.github.com", "GH_TOKEN GITHUB_TOKEN"},
		{"gitlab.com", "GITLAB_TOKEN"},
		{"containeranalysis.googleapis.com", "GOOGLE_OAUTH_ACCESS_TOKEN"},
	} {
		for name := range strings.FieldsSeq(t.names) {
			if token := os.Getenv(name); token != "" {
				if h := known(n, t.host); h.Token == "" && h.Username == "" && h.IdentityToken == "" {
					h.Token = token
				}
				break
			}
		}
	}
}

// known is the entry of a host, which is made when there is none.
func known(n *verify.Network, name string) *verify.Host {
	for i := range n.Hosts {
		if strings.EqualFold(n.Hosts[i].Name, name) {
			return &n.Hosts[i]
		}
	}
	n.Hosts = append(n.Hosts, verify.Host{Name: strings.ToLower(name)})
	return &n.Hosts[len(n.Hosts)-1]
}

func isHost(name string) bool {
	return name != "" && !strings.Contains(name, "://") && !strings.ContainsAny(name, "/@ ")
}

// hostOf guesses the host that was meant.
func hostOf(text string) string {
	if _, rest, ok := strings.Cut(text, "://"); ok {
		text = rest
	}
	host, _, _ := strings.Cut(strings.TrimLeft(text, "/"), "/")
	return cmp.Or(strings.Trim(host, " @"), "localhost:5000")
}
