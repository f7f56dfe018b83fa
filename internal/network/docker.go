package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"stemma"
)

// dockerFile is a file in the form of Docker's configuration: Docker's own, or that of Podman, Skopeo and Buildah. It is
// read when it is first needed, and only then can it be wrong: who never needs a credential is not stopped by it.
//
// It is read here and not by oras-go, whose reader is unbounded, quotes an auth that it cannot decode in its error, takes
// any key of a host for it whatever its path, and runs whatever the name of a helper leads to.
type dockerFile struct {
	title string
	path  string

	mu   sync.Mutex
	read *dockerConfig // once it could be read
}

type dockerConfig struct {
	auths   []key
	helpers []key  // credHelpers: text is the server that the helper is asked about
	helper  string // credsStore: of everything else
}

// dockerFiles are the files that this user has, or may have.
func dockerFiles() []source {
	var out []source
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		if home, err := os.UserHomeDir(); err == nil {
			dir = filepath.Join(home, ".docker")
		}
	}
	if dir != "" {
		out = append(out, &dockerFile{title: "Docker configuration", path: filepath.Join(dir, "config.json")})
	}
	file := os.Getenv("REGISTRY_AUTH_FILE")
	if run := os.Getenv("XDG_RUNTIME_DIR"); file == "" && run != "" {
		file = filepath.Join(run, "containers", "auth.json")
	}
	if file != "" {
		out = append(out, &dockerFile{title: "containers authentication file", path: file})
	}
	return out
}

func (d *dockerFile) name() string { return d.title + " " + stemma.Printable(d.path, 200) }

func (d *dockerFile) ask(ctx context.Context, of place) (Credential, error) {
	config, err := d.load()
	if err != nil {
		return Credential{}, err
	}
	// A helper that is named for a host is the one to ask about it.
	if h, ok := best(config.helpers, of); ok {
		server := h.text
		found, err := d.help(ctx, h.credential.Source, server, of)
		if err != nil || found != (Credential{}) {
			return found, err
		}
	}
	entry, listed := best(config.auths, of)
	if entry.credential != (Credential{}) {
		return entry.credential, nil
	}
	if config.helper == "" {
		return Credential{}, nil
	}
	server := of.authority()
	if server == hub {
		server = hubServer
	}
	found, err := d.help(ctx, config.helper, server, of)
	if err != nil && !listed {
		// docker login leaves an empty entry of every host that it gave to the store. A store that is not there, or
		// locked, is then no reason to keep everybody else's public images from being read.
		return Credential{}, &absent{stemma.Printable("no entry, and "+err.Error(), maxSaid)}
	}
	return found, err
}

func (d *dockerFile) load() (*dockerConfig, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.read != nil {
		return d.read, nil
	}
	data, err := readBounded(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return &dockerConfig{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", d.name(), err)
	}
	var document struct {
		Auths   map[string]auth   `json:"auths"`
		Store   string            `json:"credsStore"`
		Helpers map[string]string `json:"credHelpers"`
	}
	if len(strings.TrimSpace(string(data))) > 0 {
		if err := stemma.DecodeJSON(data, &document); err != nil {
			return nil, unreadable(d.name(), err)
		}
	}
	config := &dockerConfig{helper: document.Store}
	if config.auths, err = newKeys(document.Auths, exact); err != nil {
		return nil, fmt.Errorf("reading %s: %w", d.name(), err)
	}
	for server, helper := range document.Helpers {
		if p, err := newPattern(server, exact); err == nil {
			config.helpers = append(config.helpers, key{pattern: p, text: server, credential: Credential{Source: helper}})
		}
	}
	order(config.helpers)
	d.read = config
	return config, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file") // a pipe would be waited for
	}
	data, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxDocument:
		return nil, fmt.Errorf("larger than %d bytes", maxDocument)
	}
	return data, nil
}

const helperPrefix = "docker-credential-"

// help asks a credential helper: docker-credential-NAME get, with the server on its standard input.
func (d *dockerFile) help(ctx context.Context, helper, server string, of place) (Credential, error) {
	if !isWord(helper) {
		// What a file says must not become a path to a program.
		return Credential{}, fmt.Errorf("%s: the credential helper %q is not a plain word", d.name(), stemma.Printable(helper, 80))
	}
	name := helperPrefix + helper
	out, said, err := run(ctx, program{path: name, args: []string{"get"}, stdin: []byte(server)})
	if err != nil {
		if strings.HasPrefix(strings.TrimSpace(string(out)), "credentials not found") {
			return Credential{}, nil
		}
		var ended *exec.ExitError
		if errors.As(err, &ended) && said == "" && len(out) <= maxComplaint {
			said = redact(string(out), nil) // helpers complain on standard output
		}
		return Credential{}, fmt.Errorf("asking %s about %s: %w", name, of.authority(), because(err, said))
	}
	var answer struct {
		ServerURL string `json:"ServerURL"`
		Username  string `json:"Username"`
		Secret    string `json:"Secret"`
	}
	if err := stemma.DecodeJSON(out, &answer); err != nil {
		return Credential{}, unreadable("the answer of "+name, err)
	}
	if answer.ServerURL != "" {
		// Some keychains look for what is nearly the name.
		if p, err := newPattern(answer.ServerURL, exact); err != nil || p.host != of.host || p.port != of.port {
			return Credential{}, fmt.Errorf("asking %s about %s: it answered for another host", name, of.authority())
		}
	}
	c := Credential{Username: answer.Username, Password: answer.Secret}
	if answer.Username == "<token>" {
		c = Credential{IdentityToken: answer.Secret}
	}
	if c != (Credential{}) {
		c.Source = name + ", named by " + d.name()
	}
	return c, nil
}
