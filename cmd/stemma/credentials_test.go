package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stemma/stemmatest"
)

// TestMain keeps the credentials of whoever runs the tests out of them.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{
		"DOCKER_CONFIG": "/no-home/.docker", "REGISTRY_AUTH_FILE": "/no-home/auth.json",
		"GH_TOKEN": "", "GITHUB_TOKEN": "", "GITLAB_TOKEN": "", "GOOGLE_OAUTH_ACCESS_TOKEN": "",
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

const (
	wirePassword = "correct-horse-1"
	wireIdentity = "battery-staple-2"
	wireToken    = "issued-token-3"
)

// wireSecrets is every form in which a secret could be seen.
func wireSecrets() []string {
	var out []string
	for _, s := range []string{wirePassword, wireIdentity, wireToken, "ci:" + wirePassword} {
		out = append(out, s, base64.RawStdEncoding.EncodeToString([]byte(s)))
	}
	return out
}

// recorder is the wire: what went to which origin, and whether there was a secret in it.
type recorder struct {
	next stemmatest.Network
	mu   sync.Mutex
	seen map[string]bool // "https://ghcr.io": whether it was sent a secret
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	text := req.URL.String()
	for name, values := range req.Header {
		text += name + ": " + strings.Join(values, "\n")
	}
	if req.Body != nil {
		body, err := io.ReadAll(io.LimitReader(req.Body, 1<<16))
		if err != nil {
			return nil, err
		}
		text += string(body)
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	r.mu.Lock()
	origin := req.URL.Scheme + "://" + req.URL.Host
	r.seen[origin] = r.seen[origin] || slices.ContainsFunc(wireSecrets(), func(s string) bool { return strings.Contains(text, s) })
	r.mu.Unlock()
	return r.next.RoundTrip(req)
}

// tokenService gives everybody a token who asks well, and echoes what it was asked with.
func tokenService(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if err := r.ParseForm(); err == nil && r.PostForm.Get("refresh_token") == wireIdentity || user == "ci" && password == wirePassword {
		fmt.Fprintf(w, `{"token":%q,"access_token":%q}`, wireToken, wireToken)
		return
	}
	w.WriteHeader(http.StatusUnauthorized)
}

// demands serves to who brings the authorization, and tells everybody else how to get it. What it was sent, it repeats.
func demands(next http.Handler, challenge, authorization string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := r.Header.Get("Authorization")
		if got == authorization {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"errors":[{"code":"UNAUTHORIZED","message":%q}]}`, "you sent "+got)
	})
}

// TestReg_F13_on_the_wire: realm on another host, redirect to another host, names that look alike, plain HTTP. No
// credential is on the wire to anywhere but where it belongs, and none is in what is printed (CVE-2025-27403, oras-go
// GHSA-vh4v-2xq2-g5cg and GHSA-xf85-363p-868w, sigstore-js 85c58380).
func TestReg_F13_on_the_wire(t *testing.T) {
	pair := "Basic " + base64.StdEncoding.EncodeToString([]byte("ci:"+wirePassword))
	password := `{"auth":"` + base64.StdEncoding.EncodeToString([]byte("ci:"+wirePassword)) + `"}`
	identity := `{"identitytoken":"` + wireIdentity + `"}`
	bearer := func(realm string) string { return `Bearer realm="` + realm + `",service="s"` }
	redirect := func(to string) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler {
			return demands(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, to+r.URL.Path, http.StatusTemporaryRedirect)
			}), `Basic realm="r"`, pair)
		}
	}
	with := func(challenge, authorization string) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler { return demands(h, challenge, authorization) }
	}
	for _, tt := range []struct {
		name, registry, key, entry string
		guard                      func(http.Handler) http.Handler
		other                      string   // another host, which serves everything and everybody
		told                       []string // origins that are sent a secret
		untold                     []string // origins that are spoken to, and sent none
		code                       int
	}{
		{"basic", "ghcr.test", "ghcr.test", password, with(`Basic realm="r"`, pair), "", []string{"https://ghcr.test"}, nil, 0},
		{"realm on the host", "ghcr.test", "ghcr.test", password, with(bearer("https://ghcr.test/token"), "Bearer "+wireToken), "", []string{"https://ghcr.test"}, nil, 0},
		{"identity token, realm on the host", "ghcr.test", "ghcr.test", identity, with(bearer("https://ghcr.test/token"), "Bearer "+wireToken), "", []string{"https://ghcr.test"}, nil, 0},
		{"realm on a neighbour", "hub.corp.test", "hub.corp.test", password, with(bearer("https://auth.corp.test/token"), "Bearer "+wireToken), "auth.corp.test", []string{"https://auth.corp.test", "https://hub.corp.test"}, nil, 0},
		{"realm on another host", "ghcr.test", "ghcr.test", password, with(bearer("https://evil.test/token"), "Bearer "+wireToken), "evil.test", nil, []string{"https://evil.test", "https://ghcr.test"}, 3},
		{"identity token, realm on another host", "ghcr.test", "ghcr.test", identity, with(bearer("https://evil.test/token"), "Bearer "+wireToken), "evil.test", nil, []string{"https://ghcr.test"}, 3},
		{"realm on what begins alike", "ghcr.test", "ghcr.test", password, with(bearer("https://ghcr.test.evil.test/token"), "Bearer "+wireToken), "ghcr.test.evil.test", nil, []string{"https://ghcr.test", "https://ghcr.test.evil.test"}, 3},
		{"realm without TLS", "ghcr.test", "ghcr.test", password, with(bearer("http://ghcr.test/token"), "Bearer "+wireToken), "", nil, []string{"https://ghcr.test"}, 3},
		{"redirect to another host", "ghcr.test", "ghcr.test", password, redirect("https://evil.test"), "evil.test", []string{"https://ghcr.test"}, []string{"https://evil.test"}, 0},
		{"redirect to another port", "ghcr.test", "ghcr.test", password, redirect("https://ghcr.test:8443"), "ghcr.test:8443", []string{"https://ghcr.test"}, []string{"https://ghcr.test:8443"}, 0},
		{"redirect to plain HTTP", "ghcr.test", "ghcr.test", password, redirect("http://ghcr.test"), "", []string{"https://ghcr.test"}, nil, 3},
		{"redirect to a password", "ghcr.test", "ghcr.test", password, redirect("https://ci:x@evil.test"), "evil.test", []string{"https://ghcr.test"}, nil, 3},
		{"a name that ends alike", "ghcr.test", "cr.test", password, with(`Basic realm="r"`, pair), "", nil, []string{"https://ghcr.test"}, 3},
		{"a name that begins alike", "ghcr.test.evil.test", "ghcr.test", password, with(`Basic realm="r"`, pair), "", nil, []string{"https://ghcr.test.evil.test"}, 3},
		{"another port", "ghcr.test:5000", "ghcr.test", password, with(`Basic realm="r"`, pair), "", nil, []string{"https://ghcr.test:5000"}, 3},
		{"refused", "ghcr.test", "ghcr.test", password, with(`Basic realm="r"`, "Basic another"), "", []string{"https://ghcr.test"}, nil, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			registry := stemmatest.NewRegistry(tt.registry)
			if _, err := registry.PutImage(stemmatest.ImageSpec{Repository: "acme/app", Tags: []string{"v1"}, Content: "app"}); err != nil {
				t.Fatal(err)
			}
			serve := func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/token" {
						tokenService(w, r)
						return
					}
					h.ServeHTTP(w, r)
				})
			}
			wire := &recorder{next: stemmatest.Network{tt.registry: serve(tt.guard(registry))}, seen: map[string]bool{}}
			if tt.other != "" {
				wire.next[tt.other] = serve(registry)
			}
			secret := filepath.Join(t.TempDir(), "secret.json")
			if err := os.WriteFile(secret, fmt.Appendf(nil, `{"auths":{%q:%s}}`, tt.key, tt.entry), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, verb := range [][]string{{"credentials"}, {"credentials", "-o", "json"}} {
				clear(wire.seen)
				stdout, stderr, code := execute(wire, time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), append(verb, tt.registry+"/acme/app:v1", "--pull-secret", secret)...)
				if code != tt.code {
					t.Errorf("exit code %d, want %d\n%s%s", code, tt.code, stdout, stderr)
				}
				for _, s := range wireSecrets() {
					if strings.Contains(string(stdout)+string(stderr), s) {
						t.Errorf("%q is printed:\n%s%s", s, stdout, stderr)
					}
				}
				var told, untold []string
				for origin, secret := range wire.seen {
					if secret {
						told = append(told, origin)
					} else {
						untold = append(untold, origin)
					}
				}
				slices.Sort(told)
				slices.Sort(untold)
				if !slices.Equal(told, tt.told) || !slices.Equal(untold, tt.untold) {
					t.Errorf("sent secrets: %v, want %v; without: %v, want %v\n%s%s", told, tt.told, untold, tt.untold, stdout, stderr)
				}
				if len(verb) == 3 {
					checkCredentialReport(t, stdout, tt.code == 0)
				}
			}
		})
	}
}

func checkCredentialReport(t *testing.T, data []byte, good bool) {
	t.Helper()
	var report struct {
		Digest, Error string
		Hosts         []struct {
			Requests []struct{ URL string }
		}
	}
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	if (report.Digest != "") != good || (report.Error == "") != good || len(report.Hosts) == 0 {
		t.Errorf("%s", data)
	}
	for _, h := range report.Hosts {
		for _, r := range h.Requests {
			if strings.ContainsAny(r.URL, "?#@") {
				t.Errorf("%s has a query or a user", r.URL)
			}
		}
	}
}

// private is a registry for people who are known to its token service.
func private(t *testing.T) (registry, tokens http.Handler) {
	t.Helper()
	r := stemmatest.NewRegistry("hub.corp.example")
	if _, err := r.PutImage(stemmatest.ImageSpec{Repository: "acme/app", Tags: []string{"v1"}, Content: "app"}); err != nil {
		t.Fatal(err)
	}
	return demands(r, `Bearer realm="https://auth.corp.example/token",service="hub"`, "Bearer "+wireToken), http.HandlerFunc(tokenService)
}

// Who interrupts is not told that the registry is slow.
func TestCredentialsInterrupted(t *testing.T) {
	for name, stop := range map[string]bool{"interrupted": true, "in time": false} {
		ctx, cancel := context.WithCancel(t.Context())
		var stdout, stderr bytes.Buffer
		a := &app{stdout: &stdout, stderr: &stderr, clock: stemmatest.Now, sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
		a.transport = stemmatest.Network{"ghcr.io": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if stop {
				cancel()
				<-r.Context().Done()
			}
			w.WriteHeader(http.StatusNotFound)
		})}
		code := a.run(ctx, []string{"credentials", "ghcr.io/acme/app:v1"})
		said := strings.Contains(stderr.String(), "asking for the manifest of ghcr.io/acme/app:v1: interrupted") && !strings.Contains(stderr.String(), "in time")
		if said != stop || (code == exitUndetermined) != stop || !stop && code != exitUsage {
			t.Errorf("%s: exit %d\n%s", name, code, stderr.String())
		}
		cancel()
	}
}
