package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"stemma"
)

const (
	providerGroup = "credentialprovider.kubelet.k8s.io/"
	maxProviders  = 64
	maxKept       = 1024 // answers that one provider's cache holds
)

// provider is one kubelet credential provider: a program that is asked for the credentials of an image.
type provider struct {
	called  string
	program program // without stdin
	version string
	images  []pattern
	keep    time.Duration
	clock   func() time.Time

	mu      sync.Mutex
	kept    map[string]kept // by what the provider said its answers are good for
	running map[string]*call
}

type kept struct {
	keys  []key
	until time.Time
}

// call is one run of the program, for all who ask about the same image meanwhile.
type call struct {
	done chan struct{}
	keys []key
	err  error
}

type providerConfig struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Providers  []struct {
		Name        string   `json:"name"`
		MatchImages []string `json:"matchImages"`
		Keep        *string  `json:"defaultCacheDuration"`
		APIVersion  string   `json:"apiVersion"`
		Args        []string `json:"args"`
		Env         []struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"env"`
		Token json.RawMessage `json:"tokenAttributes"`
	} `json:"providers"`
}

func providerSchema() schema {
	return schema{"apiVersion": nil, "kind": nil, "providers": schema{
		"name": nil, "matchImages": nil, "defaultCacheDuration": nil, "apiVersion": nil, "args": nil,
		"env": schema{"name": nil, "value": nil}, "tokenAttributes": anything(),
	}}
}

// newProviders reads a CredentialProviderConfig. Unknown keys are an error, as they are to the kubelet.
func newProviders(p Providers, clock func() time.Time) ([]source, error) {
	var config providerConfig
	if err := readYAML(p.Name, p.Config, providerSchema(), &config); err != nil {
		return nil, err
	}
	fail := func(format string, args ...any) ([]source, error) {
		return nil, fmt.Errorf("reading %s: %w", p.Name, fmt.Errorf(format, args...))
	}
	if group, version, _ := strings.Cut(config.APIVersion, "/"); group != "kubelet.config.k8s.io" || !isVersion(version) {
		return fail("apiVersion %q; known are kubelet.config.k8s.io/v1, v1beta1 and v1alpha1", stemma.Printable(config.APIVersion, 80))
	}
	if config.Kind != "CredentialProviderConfig" {
		return fail("kind %q, expected CredentialProviderConfig", stemma.Printable(config.Kind, 80))
	}
	if len(config.Providers) == 0 || len(config.Providers) > maxProviders {
		return fail("%d providers; expected 1 to %d", len(config.Providers), maxProviders)
	}
	dir, err := filepath.Abs(p.BinDir)
	if err != nil || p.BinDir == "" {
		return fail("there is no directory of programs beside it")
	}
	var out []source
	for i, c := range config.Providers {
		at := fmt.Sprintf("providers[%d]", i)
		if !isWord(c.Name) {
			// A name with a path in it would run whatever the path leads to.
			return fail("%s.name: %q is not the plain name of a file", at, stemma.Printable(c.Name, 80))
		}
		at += " (" + c.Name + ")"
		if slices.ContainsFunc(out, func(s source) bool { return s.(*provider).called == c.Name }) {
			return fail("%s: a second provider of this name", at)
		}
		if c.Token != nil {
			return fail("%s.tokenAttributes: not supported: there is no pod here whose service account token could be shown to the program", at)
		}
		one := &provider{called: c.Name, clock: clock, kept: map[string]kept{}, running: map[string]*call{}}
		if group, version, _ := strings.Cut(c.APIVersion, "/"); group+"/" != providerGroup || !isVersion(version) {
			return fail("%s.apiVersion %q; known are %sv1, v1beta1 and v1alpha1", at, stemma.Printable(c.APIVersion, 80), providerGroup)
		}
		one.version = c.APIVersion
		if c.Keep == nil {
			return fail("%s.defaultCacheDuration: missing; write a duration such as 10m, or 0s", at)
		}
		if one.keep, err = duration(*c.Keep); err != nil {
			return fail("%s.defaultCacheDuration: %w", at, err)
		}
		if len(c.MatchImages) == 0 {
			return fail("%s.matchImages: missing; write the hosts of the images that it knows about", at)
		}
		for j, text := range c.MatchImages {
			pattern, err := newPattern(text, kubelet)
			if err != nil {
				return fail("%s.matchImages[%d]: %q is not HOST[:PORT][/PATH]: %w", at, j, stemma.Printable(text, 120), err)
			}
			one.images = append(one.images, pattern)
		}
		for j, e := range c.Env {
			if e.Name == "" || strings.ContainsAny(e.Name, "=\x00") || strings.Contains(e.Value, "\x00") {
				return fail("%s.env[%d]: not a variable", at, j)
			}
			one.program.env = append(one.program.env, e.Name+"="+e.Value)
		}
		if slices.ContainsFunc(c.Args, func(arg string) bool { return strings.Contains(arg, "\x00") }) {
			return fail("%s.args: a NUL in an argument", at)
		}
		one.program.args = c.Args
		if one.program.path, err = exec.LookPath(filepath.Join(dir, c.Name)); err != nil {
			return fail("%s: there is no program of this name in %s", at, stemma.Printable(dir, 200))
		}
		out = append(out, one)
	}
	return out, nil
}

func isVersion(v string) bool { return v == "v1" || v == "v1beta1" || v == "v1alpha1" }

func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration such as 10m", stemma.Printable(text, 40))
	}
	return d, nil
}

func (p *provider) name() string { return "provider " + p.called }

func (p *provider) ask(ctx context.Context, of place) (Credential, error) {
	if of.repository == "" || !slices.ContainsFunc(p.images, func(i pattern) bool { return i.about(of) }) {
		return Credential{}, &absent{"not asked: no pattern of its matchImages is about " + of.String()}
	}
	keys, err := p.answer(ctx, of)
	if err != nil {
		return Credential{}, fmt.Errorf("asking %s about %s: %w", p.name(), of, err)
	}
	k, _ := best(keys, of)
	return k.credential, nil
}

// answer is that of the cache, of a run for the same image that is under way, or of a run.
func (p *provider) answer(ctx context.Context, of place) ([]key, error) {
	image := of.String()
	for {
		p.mu.Lock()
		if keys, ok := p.cached(of); ok {
			p.mu.Unlock()
			return keys, nil
		}
		c, started := p.running[image]
		if !started {
			c = &call{done: make(chan struct{})}
			p.running[image] = c
		}
		p.mu.Unlock()
		if started {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-c.done:
			}
			if errors.Is(c.err, context.Canceled) || errors.Is(c.err, context.DeadlineExceeded) {
				continue // who started it gave up; that is no answer for those who did not
			}
			return c.keys, c.err
		}
		p.start(ctx, c, of)
		return c.keys, c.err
	}
}

// start runs the program and tells all who wait, whatever happens.
func (p *provider) start(ctx context.Context, c *call, of place) {
	c.err = errors.New("it was not asked")
	var scope string
	var keep time.Duration
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.running, of.String())
		if c.err == nil && keep > 0 && p.clock != nil {
			if len(p.kept) >= maxKept {
				clear(p.kept)
			}
			p.kept[scope] = kept{c.keys, p.clock().Add(keep)}
		}
		close(c.done)
	}()
	c.keys, scope, keep, c.err = p.run(ctx, of)
}

// The scopes of an answer: an image, all of a registry, everything.
func imageScope(of place) string    { return "image " + of.String() }
func registryScope(of place) string { return "registry " + of.authority() }

const globalScope = "global"

// cached must be called with the lock held.
func (p *provider) cached(of place) ([]key, bool) {
	if p.clock == nil {
		return nil, false
	}
	now := p.clock()
	for _, scope := range []string{imageScope(of), registryScope(of), globalScope} {
		if k, ok := p.kept[scope]; ok && now.Before(k.until) {
			return k.keys, true
		}
	}
	return nil, false
}

// run asks the program. The image is in its standard input and nowhere else: no argument, no path and no variable is
// made of what somebody wants admitted.
func (p *provider) run(ctx context.Context, of place) (keys []key, scope string, keep time.Duration, err error) {
	request, err := json.Marshal(struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Image      string `json:"image"`
	}{p.version, "CredentialProviderRequest", of.String()})
	if err != nil {
		return nil, "", 0, err
	}
	asked := p.program
	asked.stdin = request
	out, said, err := run(ctx, asked)
	if err != nil {
		return nil, "", 0, because(err, said)
	}
	var answer struct {
		APIVersion string  `json:"apiVersion"`
		Kind       string  `json:"kind"`
		Scope      string  `json:"cacheKeyType"`
		Keep       *string `json:"cacheDuration"`
		Auth       map[string]struct {
			Username string `json:"username"`
			Password string `json:"password"`
		} `json:"auth"`
	}
	if err := stemma.DecodeJSON(out, &answer); err != nil {
		return nil, "", 0, unreadable("its answer", err)
	}
	if answer.Kind != "CredentialProviderResponse" || answer.APIVersion != p.version {
		return nil, "", 0, fmt.Errorf("it answered with another kind or version than CredentialProviderResponse of %s", p.version)
	}
	switch answer.Scope {
	case "Image":
		scope = imageScope(of)
	case "Registry":
		scope = registryScope(of)
	case "Global":
		scope = globalScope
	default:
		return nil, "", 0, errors.New("it answered with another cacheKeyType than Image, Registry or Global")
	}
	keep = p.keep
	if answer.Keep != nil {
		if keep, err = duration(*answer.Keep); err != nil {
			return nil, "", 0, errors.New("it answered with a cacheDuration that is none")
		}
	}
	for text, a := range answer.Auth {
		pattern, err := newPattern(text, kubelet)
		if err != nil {
			return nil, "", 0, errors.New("it answered with a key of auth that is not HOST[:PORT][/PATH]")
		}
		if c := (Credential{Username: a.Username, Password: a.Password}); c != (Credential{}) {
			c.Source = p.name()
			keys = append(keys, key{pattern: pattern, text: text, credential: c})
		}
	}
	order(keys)
	return keys, scope, keep, nil
}
