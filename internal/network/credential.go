package network

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"stemma"
)

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
	found, _, err := n.keys.consult(ctx, host, repository)
	return found, err
}

// Consulted is a source of credentials that was asked, and what it said. Neither holds anything secret.
type Consulted struct {
	Source string // "pull secrets", "provider ecr-credential-provider", "Docker configuration /home/ci/.docker/config.json"
	Answer string // "served", "nothing for ghcr.io", or why it could not be asked
}

// Consult is Credential, with the sources that were asked, in their order. Those after the one that served were not.
func (n *Network) Consult(ctx context.Context, host, repository string) (Credential, []Consulted, error) {
	return n.keys.consult(ctx, host, repository)
}

// keyring knows whom hosts are spoken to as.
type keyring struct {
	sources []source // in the order in which they are asked
}

// source is one place that credentials come from. What it returns for a host was configured for exactly that host.
type source interface {
	name() string
	ask(ctx context.Context, of place) (Credential, error)
}

// absent is an answer without a credential that says more than that there is none.
type absent struct{ why string }

func (a *absent) Error() string { return a.why }

func newKeyring(c Config) (*keyring, error) {
	k := &keyring{}
	if len(c.Hosts) > 0 {
		k.sources = append(k.sources, entries(c.Hosts))
	}
	if len(c.PullSecrets) > 0 {
		s, err := newSecrets(c.PullSecrets)
		if err != nil {
			return nil, err
		}
		k.sources = append(k.sources, s)
	}
	if c.Providers != nil {
		all, err := newProviders(*c.Providers, c.Clock)
		if err != nil {
			return nil, err
		}
		k.sources = append(k.sources, all...)
	}
	if c.Docker {
		k.sources = append(k.sources, dockerFiles()...)
	}
	return k, nil
}

func (k *keyring) consult(ctx context.Context, host, repository string) (Credential, []Consulted, error) {
	of := newPlace(host, repository)
	var trail []Consulted
	for _, s := range k.sources {
		found, err := s.ask(ctx, of)
		if err == nil && found != (Credential{}) {
			err = sendable(found)
		}
		var none *absent
		switch {
		case errors.As(err, &none):
			trail = append(trail, Consulted{s.name(), none.why})
		case err != nil:
			trail = append(trail, Consulted{s.name(), stemma.Printable(err.Error(), maxSaid)})
			return Credential{}, trail, err
		case found != (Credential{}):
			if found.Source == "" {
				found.Source = s.name()
			}
			return found, append(trail, Consulted{s.name(), "served"}), nil
		default:
			trail = append(trail, Consulted{s.name(), "nothing for " + of.String()})
		}
	}
	return Credential{}, trail, nil
}

// sendable refuses what would break out of the header that it is sent in.
func sendable(c Credential) error {
	for _, s := range []string{c.Username, c.Password, c.IdentityToken, c.Token} {
		if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			return errors.New("a credential with a control character in it")
		}
	}
	if strings.Contains(c.Username, ":") {
		return errors.New("a user name with a colon in it, where Basic authentication ends it")
	}
	return nil
}

// entries are the hosts of the configuration.
type entries []Host

func (entries) name() string { return "entries of hosts" }

func (e entries) ask(_ context.Context, of place) (Credential, error) {
	for _, h := range e {
		if at := newPlace(h.Name, ""); at.host == of.host && at.port == of.port {
			c := Credential{Username: h.Username, Password: h.Password, IdentityToken: h.IdentityToken, Token: h.Token}
			if c != (Credential{}) {
				c.Source = "entry of " + h.Name
			}
			return c, nil
		}
	}
	return Credential{}, nil
}

// Docker Hub has many names. This is the one that stands for it here.
const (
	hub       = "docker.io"
	hubServer = "https://index.docker.io/v1/" // as docker login calls it
)

// place is what a credential is wanted for.
type place struct {
	host, port string // canonical; no port is that of HTTPS
	repository string // "" for a service
}

func newPlace(host, repository string) place {
	p := place{repository: repository}
	p.host, p.port = canonical(host)
	return p
}

// authority is host[:port].
func (p place) authority() string {
	if p.port != "" {
		return p.host + ":" + p.port
	}
	return p.host
}

func (p place) String() string {
	if p.repository != "" {
		return p.authority() + "/" + p.repository
	}
	return p.authority()
}

// canonical is the one spelling of host[:port]: host names have no case (RFC 4343), the port of HTTPS goes without
// saying, and Docker Hub is docker.io.
func canonical(host string) (name, port string) {
	name = strings.ToLower(host)
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, ']') {
		name, port = name[:at], name[at+1:]
	}
	if port == "443" {
		port = ""
	}
	if port == "" && (name == "index.docker.io" || name == "registry-1.docker.io") {
		name = hub
	}
	return name, port
}

// dialect is how the keys of a source are read.
type dialect int

const (
	exact   dialect = iota // hosts as they stand; paths name a repository or a namespace (containers-auth.json)
	kubelet                // globs in the labels of a host, paths are any prefix, as the kubelet matches images
)

// pattern says which images a key is about. It is compared host by host and label by label, never as a substring:
// "cr.io" is not "ghcr.io", and neither is "ghcr.io.evil.example" (CVE-2025-27403: credentials for whatever looked like the
// registry that they were for).
type pattern struct {
	host, port, path string
	glob             bool
	dialect          dialect
}

// newPattern reads a key: [scheme://]host[:port][/path]. What names no host is about nothing.
func newPattern(key string, d dialect) (pattern, error) {
	p := pattern{dialect: d}
	rest, legacy := key, false
	for _, scheme := range []string{"https://", "http://"} {
		if after, ok := strings.CutPrefix(rest, scheme); ok {
			rest, legacy = after, true
			break
		}
	}
	authority, tail, _ := strings.Cut(rest, "/")
	if authority == "" || strings.ContainsAny(authority, "@?#%\\ \t\r\n") {
		return pattern{}, errors.New("not a host")
	}
	p.host, p.port = canonical(authority)
	p.path = strings.Trim(tail, "/")
	if legacy {
		// docker login wrote the root of the API: https://index.docker.io/v1/.
		for _, version := range []string{"v1", "v2"} {
			if after, ok := strings.CutPrefix(p.path+"/", version+"/"); ok {
				p.path = strings.Trim(after, "/")
				break
			}
		}
	}
	// In brackets at the beginning is an IPv6 address.
	if p.glob = d == kubelet && strings.ContainsAny(p.host, "*?[") && p.host[0] != '['; p.glob {
		for label := range strings.SplitSeq(p.host, ".") {
			if _, err := path.Match(label, ""); err != nil {
				return pattern{}, fmt.Errorf("the label %q of its host: %w", stemma.Printable(label, 80), err)
			}
		}
	}
	return p, nil
}

func (p pattern) about(of place) bool {
	switch {
	case p.port != of.port:
		return false
	case !p.glob && p.host != of.host:
		return false
	case p.glob && (of.repository == "" || !labelsMatch(p.host, of.host)):
		return false // globs are about images; a service has to be named
	case p.path == "":
		return true
	case p.dialect == kubelet:
		return strings.HasPrefix(of.repository, p.path)
	}
	return of.repository == p.path || strings.HasPrefix(of.repository, p.path+"/")
}

// labelsMatch compares label by label: *.io is not a.b.io.
func labelsMatch(globs, host string) bool {
	a, b := strings.Split(globs, "."), strings.Split(host, ".")
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if ok, err := path.Match(a[i], b[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

// key is one entry of a source.
type key struct {
	pattern
	text       string // as it was written
	credential Credential
}

// best picks, of the keys that are about a place, the one with the longest path; of those one without a glob.
func best(keys []key, of place) (key, bool) {
	var about []key
	for _, k := range keys {
		if k.about(of) {
			about = append(about, k)
		}
	}
	if len(about) == 0 {
		return key{}, false
	}
	return slices.MinFunc(about, func(a, b key) int {
		return cmp.Or(cmp.Compare(len(b.path), len(a.path)), compareBool(a.glob, b.glob))
	}), true
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// order puts keys, which came from a JSON object, into an order that is the same each time.
func order(keys []key) {
	slices.SortStableFunc(keys, func(a, b key) int { return strings.Compare(a.text, b.text) })
}
