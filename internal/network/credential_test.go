package network

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// noFiles keeps a test from the configuration of whoever runs it.
func noFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("DOCKER_CONFIG", filepath.Join(dir, "docker"))
	t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(dir, "auth.json"))
	t.Setenv("XDG_RUNTIME_DIR", "")
	if err := os.Mkdir(filepath.Join(dir, "docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	mode := os.FileMode(0o600)
	if strings.HasPrefix(text, "#!") {
		mode = 0o700
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func ring(t *testing.T, c Config) *Network {
	t.Helper()
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// secretFor is a pull secret with one key.
func secretFor(key string) []byte {
	return fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, key, basic("user", "password"))
}

// TestReg_F13_exact_host: a credential goes to the host that it was configured for, by every source, and to no other
// (CVE-2025-27403; "cr.io" was once enough for "ghcr.io").
func TestReg_F13_exact_host(t *testing.T) {
	for _, tt := range []struct {
		key, host string
		want      bool
	}{
		{"ghcr.io", "ghcr.io", true},
		{"cr.io", "ghcr.io", false},
		{"ghcr.io", "cr.io", false},
		{"ghcr.io", "ghcr.io.evil.com", false},
		{"ghcr.io", "evil.com", false},
		{"ghcr.io", "evil-ghcr.io", false},
		{"ghcr.io", "x.ghcr.io", false},
		{"ghcr.io", "ghcr.io.", false},
		{"GHCR.io", "ghcr.io", true},
		{"ghcr.io", "GHCR.IO", true},
		{"registry.example:5000", "registry.example:5000", true},
		{"registry.example:5000", "registry.example:5001", false},
		{"registry.example:5000", "registry.example", false},
		{"registry.example", "registry.example:5000", false},
		{"registry.example:443", "registry.example", true},
		{"registry.example", "registry.example:443", true},
		{"registry.example", "registry.example:80", false},
		{"docker.io", "registry-1.docker.io", true},
		{"index.docker.io", "registry-1.docker.io", true},
		{"registry-1.docker.io", "registry-1.docker.io", true},
		{"auth.docker.io", "registry-1.docker.io", false},
		{"docker.io", "auth.docker.io", false},
		{"docker.io:5000", "registry-1.docker.io", false},
		{"ocker.io", "registry-1.docker.io", false},
		{"[::1]:5000", "[::1]:5000", true},
		{"[::1]:5000", "[::1]:5001", false},
		{"127.0.0.1", "127.0.0.1:5000", false},
	} {
		t.Run(tt.key+" for "+tt.host, func(t *testing.T) {
			dir := noFiles(t)
			secret := secretFor(tt.key)
			write(t, filepath.Join(dir, "docker", "config.json"), string(secret))
			for name, c := range map[string]Config{
				"entry":  {Hosts: []Host{{Name: tt.key, Username: "user", Password: "password"}}},
				"secret": {PullSecrets: [][]byte{secret}},
				"docker": {Docker: true},
			} {
				got, err := ring(t, c).Credential(t.Context(), tt.host, "acme/app")
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if has := got.Username == "user" && got.Password == "password"; has != tt.want {
					t.Errorf("%s: %+v, want a credential: %v", name, got, tt.want)
				}
				if !tt.want && got != (Credential{}) {
					t.Errorf("%s: %+v for another host", name, got)
				}
			}
		})
	}
}

// TestReg_F13_keys_with_schemes_and_paths: what docker login and people write into auths, and what it is about.
func TestReg_F13_keys_with_schemes_and_paths(t *testing.T) {
	for _, tt := range []struct {
		key, host, repository string
		secret, docker        bool
	}{
		{"https://index.docker.io/v1/", "registry-1.docker.io", "library/alpine", true, true},
		{"https://index.docker.io/v1/", "registry-1.docker.io", "", true, true},
		{"https://index.docker.io/v1/", "registry.example", "library/alpine", false, false},
		{"https://registry.example", "registry.example", "acme/app", true, true},
		{"http://registry.example/", "registry.example", "acme/app", true, true},
		{"https://registry.example/v2/", "registry.example", "acme/app", true, true},
		{"ftp://registry.example", "registry.example", "acme/app", false, false},
		{"registry.example/acme", "registry.example", "acme/app", true, true},
		{"registry.example/acme/app", "registry.example", "acme/app", true, true},
		{"registry.example/acme/app", "registry.example", "acme", false, false},
		{"registry.example/acme", "registry.example", "", false, false},
		{"registry.example/acme", "registry.example", "other/app", false, false},
		{"registry.example/acme", "registry.example", "acme-evil/app", true, false}, // any prefix is one to the kubelet
		{"registry.example/acme", "other.example", "acme/app", false, false},
		{"*.azurecr.io", "acme.azurecr.io", "app", true, false},
		{"*.azurecr.io", "azurecr.io", "app", false, false},
		{"*.azurecr.io", "a.b.azurecr.io", "app", false, false},
		{"*.azurecr.io", "azurecr.io.evil.com", "app", false, false},
		{"*.azurecr.io", "acme.azurecr.io:5000", "app", false, false},
		{"*.azurecr.io", "acme.azurecr.io", "", false, false}, // a service is named, not guessed
		{"acme*.azurecr.io", "acme2.azurecr.io", "app", true, false},
		{"*.io", "a.ghcr.io", "app", false, false},
		{"user@registry.example", "registry.example", "app", false, false},
		{"registry.example@evil.com", "evil.com", "app", false, false},
		{"registry.example?x", "registry.example", "app", false, false},
		{"", "registry.example", "app", false, false},
	} {
		t.Run(tt.key+" for "+tt.host+"/"+tt.repository, func(t *testing.T) {
			dir := noFiles(t)
			write(t, filepath.Join(dir, "docker", "config.json"), string(secretFor(tt.key)))
			for _, s := range []struct {
				name string
				c    Config
				want bool
			}{{"secret", Config{PullSecrets: [][]byte{secretFor(tt.key)}}, tt.secret}, {"docker", Config{Docker: true}, tt.docker}} {
				got, err := ring(t, s.c).Credential(t.Context(), tt.host, tt.repository)
				if err != nil {
					t.Fatalf("%s: %v", s.name, err)
				}
				if has := got.Password == "password"; has != s.want || !has && got != (Credential{}) {
					t.Errorf("%s: %+v, want a credential: %v", s.name, got, s.want)
				}
			}
		})
	}
}

// TestOrderOfSources: entry, pull secrets, providers, Docker's configuration, the containers' file.
func TestOrderOfSources(t *testing.T) {
	dir := noFiles(t)
	entry := func(user string) string {
		return fmt.Sprintf(`{"auths":{"registry.example":{"auth":%q}}}`, basic(user, "password"))
	}
	write(t, filepath.Join(dir, "docker", "config.json"), entry("docker"))
	write(t, filepath.Join(dir, "auth.json"), entry("containers"))
	bin := t.TempDir()
	write(t, filepath.Join(bin, "one"), answering(`{"registry.example":{"username":"provider","password":"password"}}`))
	all := Config{
		Hosts:       []Host{{Name: "registry.example", Username: "entry", Password: "password"}},
		PullSecrets: [][]byte{[]byte(entry("secret"))},
		Providers:   &Providers{Name: "providers.yaml", Config: []byte(oneProvider), BinDir: bin},
		Docker:      true,
	}
	docker, containers := "Docker configuration "+dir+"/docker/config.json", "containers authentication file "+dir+"/auth.json"
	nothing := "nothing for registry.example/acme/app"
	for _, tt := range []struct {
		name, want, source string
		change             func(*Config)
		trail              []Consulted
	}{
		{"entry", "entry", "entry of registry.example", func(*Config) {}, []Consulted{{"entries of hosts", "served"}}},
		{"an entry of nobody", "secret", "pull secret 1 of 1", func(c *Config) { c.Hosts = []Host{{Name: "registry.example", Private: true}} }, []Consulted{{"entries of hosts", nothing}, {"pull secrets", "served"}}},
		{"pull secret", "secret", "pull secret 1 of 1", func(c *Config) { c.Hosts = nil }, []Consulted{{"pull secrets", "served"}}},
		{"provider", "provider", "provider one", func(c *Config) { c.Hosts, c.PullSecrets = nil, nil }, []Consulted{{"provider one", "served"}}},
		{"docker", "docker", docker, func(c *Config) { c.Hosts, c.PullSecrets, c.Providers = nil, nil, nil }, []Consulted{{docker, "served"}}},
		{"containers", "containers", containers, func(c *Config) {
			c.Hosts, c.PullSecrets, c.Providers = nil, nil, nil
			if err := os.Remove(filepath.Join(dir, "docker", "config.json")); err != nil {
				t.Fatal(err)
			}
		}, []Consulted{{docker, nothing}, {containers, "served"}}},
		{"none", "", "", func(c *Config) { *c = Config{} }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := all
			tt.change(&c)
			got, trail, err := ring(t, c).Consult(t.Context(), "registry.example", "acme/app")
			if err != nil || got.Username != tt.want || got.Source != tt.source || !slices.Equal(trail, tt.trail) {
				t.Errorf("%+v, %+v, %v; want %s by %s, %+v", got, trail, err, tt.want, tt.source, tt.trail)
			}
		})
	}
}

// TestUnsendable: what would end the header that it is sent in is sent to nobody.
func TestUnsendable(t *testing.T) {
	for _, c := range []struct {
		host Host
		want string
	}{
		{Host{Username: "user", Password: "password"}, ""},
		{Host{Token: "a\r\nX-Forged: 1"}, "a credential with a control character in it"},
		{Host{Username: "user", Password: "a\nb"}, "a credential with a control character in it"},
		{Host{IdentityToken: "a\x00"}, "a credential with a control character in it"},
		{Host{Username: "us:er", Password: "password"}, "a user name with a colon in it, where Basic authentication ends it"},
	} {
		c.host.Name = "registry.example"
		got, err := ring(t, Config{Hosts: []Host{c.host}}).Credential(t.Context(), "registry.example", "acme/app")
		if text := fmt.Sprint(err); c.want != "" && (text != c.want || got != (Credential{})) || c.want == "" && err != nil {
			t.Errorf("%+v: %+v, %v; want %q", c.host, got, err, c.want)
		}
	}
}

// TestRedact: what programs say is shown without what may be secret.
func TestRedact(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"error: no identity; is the metadata server reachable?", "error: no identity; is the metadata server reachable?"},
		{"token expired", "token expired"},
		{"password=hunter2 for ci", "password=… for ci"},
		{`{"user":"ci","password":"hunter2"}`, `{"user":"ci","password":"…"}`},
		{"sent Authorization: Bearer abc.def", "sent Authorization: Bearer …"},
		{"used token hunter2hunter2", "used token …"},
		{"GET https://ci:hunter2@registry.example/v2/: 401", "GET https://ci:…: 401"},
		{"got " + basic("user", "password-that-is-long-1"), "got …=="},
		{"ghp_0123456789abcdefghijABCDEFGHIJ is not valid", "… is not valid"},
		{"value swordfish of the variable", "value … of the variable"},
		{"\x1b[2Jtwo\nlines", "�[2Jtwo lines"},
	} {
		if got := redact(tt.in, []string{"A=swordfish"}); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}

// TestRun: a program is bounded in its words and in its time.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ name, script, out, said, err string }{
		{"good", "cat; echo complaint >&2", "in", "complaint", ""},
		{"fails", "echo complaint >&2; exit 3", "", "complaint", "exit status 3"},
		{"too long", "while :; do echo 0123456789012345678901234567890123456789; done", "", "", "its answer is longer than 65536 bytes"},
		{"long complaint", "while [ ${#x} -lt 9000 ]; do x=\"$x word word word\"; done; echo $x >&2; echo out", "out\n", strings.TrimSpace(strings.Repeat("word ", 80)) + "…", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, filepath.Join(dir, "program"), "#!/bin/sh\n"+tt.script+"\n")
			out, said, err := run(t.Context(), program{path: path, stdin: []byte("in")})
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("%v, want %s", err, tt.err)
				}
			} else if err != nil || string(out) != tt.out {
				t.Errorf("%q, %v; want %q", out, err, tt.out)
			}
			if tt.name != "long complaint" && said != tt.said || len(said) > maxSaid+8 {
				t.Errorf("said %q, want %q", said, tt.said)
			}
		})
	}
	t.Run("given up", func(t *testing.T) {
		path := write(t, filepath.Join(dir, "program"), "#!/bin/sh\nexec sleep 600\n")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, _, err := run(ctx, program{path: path}); err != context.DeadlineExceeded {
			t.Errorf("%v, want the end of the deadline", err)
		}
	})
	t.Run("a child that stays", func(t *testing.T) {
		path := write(t, filepath.Join(dir, "program"), "#!/bin/sh\nsleep 600 &\necho '{}'\n")
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, _, err := run(ctx, program{path: path}); err == nil || ctx.Err() != nil {
			t.Errorf("%v after %v: it waits for whom the program left behind", err, ctx.Err())
		}
	})
}
