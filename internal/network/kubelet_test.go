package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const oneProvider = `apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
  - name: one
    matchImages: ["registry.example", "*.azurecr.io", "registry.example:5000/acme"]
    defaultCacheDuration: 10m
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    args: [get-credentials, --verbose]
    env:
      - {name: SETTING, value: "swordfish"}
`

// answering is a provider that answers with this auth, for an hour and the image.
func answering(auth string) string {
	return "#!/bin/sh\ncat <<'E'\n" + response("v1", "Image", `"1h"`, auth) + "\nE\n"
}

func response(version, scope, keep, auth string) string {
	return fmt.Sprintf(`{"kind":"CredentialProviderResponse","apiVersion":"credentialprovider.kubelet.k8s.io/%s","cacheKeyType":%q,"cacheDuration":%s,"auth":%s}`, version, scope, keep, auth)
}

// TestProviderProtocol: the image goes in by standard input, and by nothing else.
func TestProviderProtocol(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("INHERITED", "yes")
	write(t, filepath.Join(bin, "one"), "#!/bin/sh\ncat > "+bin+"/in\necho \"$*|$SETTING|$INHERITED\" > "+bin+"/how\ncat <<'E'\n"+response("v1", "Image", "null", `{"registry.example":{"username":"AWS","password":"s3cret"}}`)+"\nE\n")
	n := ring(t, Config{Providers: &Providers{Name: "providers.yaml", Config: []byte(oneProvider), BinDir: bin}})
	got, err := n.Credential(t.Context(), "registry.example", "acme/app;$(touch x)")
	if want := (Credential{Username: "AWS", Password: "s3cret", Source: "provider one"}); err != nil || got != want {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
	for file, want := range map[string]string{
		"in":  `{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderRequest","image":"registry.example/acme/app;$(touch x)"}`,
		"how": "get-credentials --verbose|swordfish|yes\n",
	} {
		if data, err := os.ReadFile(filepath.Join(bin, file)); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v; want %q", file, data, err, want)
		}
	}
}

// TestReg_F13_provider_answers: which images a provider is asked about, and which of its answers are about them.
func TestReg_F13_provider_answers(t *testing.T) {
	const ok = `{"username":"ci","password":"s3cret"}`
	for _, tt := range []struct {
		name, host, repository, auth, want string // want is the user
	}{
		{"exact", "registry.example", "acme/app", `{"registry.example":` + ok + `}`, "ci"},
		{"not asked: another host", "other.example", "acme/app", `{"other.example":` + ok + `}`, ""},
		{"not asked: another port", "registry.example:5001", "acme/app", `{"registry.example:5001":` + ok + `}`, ""},
		{"not asked: another path", "registry.example:5000", "other/app", `{"registry.example:5000":` + ok + `}`, ""},
		{"not asked: a service", "registry.example", "", `{"registry.example":` + ok + `}`, ""},
		{"not asked: a label more", "a.b.azurecr.io", "app", `{"a.b.azurecr.io":` + ok + `}`, ""},
		{"port and path", "registry.example:5000", "acme/app", `{"registry.example:5000":` + ok + `}`, "ci"},
		{"glob", "acme.azurecr.io", "app", `{"*.azurecr.io":` + ok + `}`, "ci"},
		{"answers about another host", "registry.example", "acme/app", `{"cr.io":` + ok + `,"registry.example.evil.com":` + ok + `,"example":` + ok + `}`, ""},
		{"answers about another port", "registry.example", "acme/app", `{"registry.example:5000":` + ok + `}`, ""},
		{"answers about another repository", "registry.example", "acme/app", `{"registry.example/other":` + ok + `}`, ""},
		{"the longest path", "registry.example", "acme/app", `{"registry.example":` + ok + `,"registry.example/acme/app":{"username":"long","password":"s3cret"},"registry.example/acme":` + ok + `}`, "long"},
		{"exact before glob", "acme.azurecr.io", "app", `{"*.azurecr.io":` + ok + `,"acme.azurecr.io":{"username":"exact","password":"s3cret"}}`, "exact"},
		{"the path before that", "acme.azurecr.io", "app", `{"*.azurecr.io/app":{"username":"path","password":"s3cret"},"acme.azurecr.io":` + ok + `}`, "path"},
		{"nobody", "registry.example", "acme/app", `null`, ""},
		{"empty", "registry.example", "acme/app", `{"registry.example":{}}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bin := t.TempDir()
			write(t, filepath.Join(bin, "one"), "#!/bin/sh\n: > "+bin+"/ran\ncat <<'E'\n"+response("v1", "Image", "null", tt.auth)+"\nE\n")
			n := ring(t, Config{Providers: &Providers{Name: "providers.yaml", Config: []byte(oneProvider), BinDir: bin}})
			got, err := n.Credential(t.Context(), tt.host, tt.repository)
			if err != nil || got.Username != tt.want || tt.want == "" && got != (Credential{}) {
				t.Errorf("%+v, %v; want %q", got, err, tt.want)
			}
			if _, err := os.Stat(bin + "/ran"); (err == nil) == strings.HasPrefix(tt.name, "not asked") {
				t.Errorf("the program was run: %v", err == nil)
			}
		})
	}
}

// TestProviderFailures: a provider that should know and does not answer well is an error, without secrets, and no other
// source is asked instead.
func TestProviderFailures(t *testing.T) {
	good := response("v1", "Image", "null", `{"registry.example":{"username":"ci","password":"s3cret"}}`)
	for _, tt := range []struct{ name, script, err string }{
		{"fails", "echo 'no identity: token=s3cret swordfish' >&2; exit 2", "exit status 2: no identity: token=… …"},
		{"another kind", "echo '" + strings.Replace(good, "CredentialProviderResponse", "CredentialProviderRequest", 1) + "'", "it answered with another kind or version than CredentialProviderResponse of credentialprovider.kubelet.k8s.io/v1"},
		{"another version", "echo '" + strings.Replace(good, "k8s.io/v1", "k8s.io/v1beta1", 1) + "'", "it answered with another kind or version than CredentialProviderResponse of credentialprovider.kubelet.k8s.io/v1"},
		{"another scope", "echo '" + strings.Replace(good, `"Image"`, `"Planet"`, 1) + "'", "it answered with another cacheKeyType than Image, Registry or Global"},
		{"another duration", "echo '" + strings.Replace(good, `"cacheDuration":null`, `"cacheDuration":"-1h"`, 1) + "'", "it answered with a cacheDuration that is none"},
		{"a key that is no host", "echo '" + strings.Replace(good, `"registry.example"`, `"a@registry.example"`, 1) + "'", "it answered with a key of auth that is not HOST[:PORT][/PATH]"},
		{"twice", "echo '" + strings.Replace(good, `"password"`, `"password":"s3cret","password"`, 1) + "'", "not the JSON that it has to be"},
		{"something after it", "echo '" + good + "{}'", "not the JSON that it has to be"},
		{"nothing", "exit 0", "not the JSON that it has to be"},
		{"endless", "while :; do echo s3cret; done", "its answer is longer than 65536 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, bin := noFiles(t), t.TempDir()
			write(t, filepath.Join(dir, "docker", "config.json"), string(secretFor("registry.example")))
			write(t, filepath.Join(bin, "one"), "#!/bin/sh\n"+tt.script+"\n")
			n := ring(t, Config{Docker: true, Providers: &Providers{Name: "providers.yaml", Config: []byte(oneProvider), BinDir: bin}})
			got, trail, err := n.Consult(t.Context(), "registry.example", "acme/app")
			if err == nil || !strings.HasPrefix(err.Error(), "asking provider one about registry.example/acme/app: ") || !strings.HasSuffix(err.Error(), tt.err) || got != (Credential{}) {
				t.Errorf("%+v, %v; want %q", got, err, tt.err)
			}
			if text := fmt.Sprint(err, trail); strings.Contains(text, "s3cret") || strings.Contains(text, "swordfish") || len(trail) != 1 {
				t.Errorf("a secret is told, or others were asked: %s", text)
			}
		})
	}
}

// TestProviderCache: for how long and for what an answer is kept.
func TestProviderCache(t *testing.T) {
	auth := `{"registry.example":{"username":"ci","password":"s3cret"},"*.azurecr.io":{"username":"ci","password":"s3cret"}}`
	for _, tt := range []struct {
		name, scope, keep string
		clock             bool
		want              []int // runs after: the image, again, an image beside it, another registry, ten minutes on, an hour on
	}{
		{"image", "Image", `"30m"`, true, []int{1, 1, 2, 3, 3, 4}},
		{"registry", "Registry", `"30m"`, true, []int{1, 1, 1, 2, 2, 3}},
		{"global", "Global", `"30m"`, true, []int{1, 1, 1, 1, 1, 2}},
		{"for as long as the configuration says", "Image", `null`, true, []int{1, 1, 2, 3, 4, 5}},
		{"not at all", "Global", `"0s"`, true, []int{1, 2, 3, 4, 5, 6}},
		{"without a clock", "Global", `"30m"`, false, []int{1, 2, 3, 4, 5, 6}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bin := t.TempDir()
			write(t, filepath.Join(bin, "one"), "#!/bin/sh\necho run >> "+bin+"/runs\ncat <<'E'\n"+response("v1", tt.scope, tt.keep, auth)+"\nE\n")
			now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
			c := Config{Providers: &Providers{Name: "providers.yaml", Config: []byte(oneProvider), BinDir: bin}}
			if tt.clock {
				c.Clock = func() time.Time { return now }
			}
			n := ring(t, c)
			for i, step := range []struct {
				host, repository string
				later            time.Duration
			}{
				{"registry.example", "acme/app", 0},
				{"registry.example", "acme/app", 0},
				{"registry.example", "acme/other", 0},
				{"acme.azurecr.io", "app", 0},
				{"registry.example", "acme/app", 10 * time.Minute},
				{"registry.example", "acme/app", time.Hour},
			} {
				now = now.Add(step.later)
				if got, err := n.Credential(t.Context(), step.host, step.repository); err != nil || got.Username != "ci" {
					t.Fatalf("step %d: %+v, %v", i, got, err)
				}
				if runs := lines(t, bin+"/runs"); runs != tt.want[i] {
					t.Errorf("step %d: %d runs, want %d", i, runs, tt.want[i])
				}
			}
		})
	}
	// Row I10 of the threats: a transient failure is no answer.
	t.Run("failures are not kept", func(t *testing.T) {
		bin := t.TempDir()
		write(t, filepath.Join(bin, "one"), "#!/bin/sh\n[ -e "+bin+"/well ] || { : > "+bin+"/well; exit 1; }\ncat <<'E'\n"+response("v1", "Global", `"1h"`, auth)+"\nE\n")
		n := ring(t, Config{Clock: func() time.Time { return time.Unix(0, 0) }, Providers: &Providers{Name: "providers.yaml", Config: []byte(oneProvider), BinDir: bin}})
		if _, err := n.Credential(t.Context(), "registry.example", "acme/app"); err == nil {
			t.Fatal("a program that fails was believed")
		}
		if got, err := n.Credential(t.Context(), "registry.example", "acme/app"); err != nil || got.Username != "ci" {
			t.Errorf("%+v, %v: one failure is remembered", got, err)
		}
	})
}

func lines(t *testing.T, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(data), "\n")
}

// TestProviderIsRunOnce for all who ask about one image at a time; and who gives up takes nothing from the others.
func TestProviderIsRunOnce(t *testing.T) {
	bin := t.TempDir()
	write(t, filepath.Join(bin, "one"), "#!/bin/sh\necho run >> "+bin+"/runs\nwhile [ ! -e "+bin+"/go ]; do sleep 0.02; done\ncat <<'E'\n"+response("v1", "Image", `"1h"`, `{"registry.example":{"username":"ci","password":"s3cret"}}`)+"\nE\n")
	n := ring(t, Config{Clock: func() time.Time { return time.Unix(0, 0) }, Providers: &Providers{Name: "providers.yaml", Config: []byte(oneProvider), BinDir: bin}})
	impatient, giveUp := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := n.Credential(impatient, "registry.example", "acme/app")
		first <- err
	}()
	for lines(t, bin+"/runs") == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if got, err := n.Credential(t.Context(), "registry.example", "acme/app"); err != nil || got.Username != "ci" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	giveUp()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up got %v", err)
	}
	write(t, bin+"/go", "")
	wait.Wait()
	if runs := lines(t, bin+"/runs"); runs > 2 {
		t.Errorf("%d runs, want one for who gave up and one for all others", runs)
	}
}

// TestProviderConfig: everything that a configuration can have wrong.
func TestProviderConfig(t *testing.T) {
	bin := t.TempDir()
	write(t, filepath.Join(bin, "one"), "#!/bin/sh\n")
	write(t, filepath.Join(bin, "data"), "not a program")
	edit := func(old, new string) string {
		if !strings.Contains(oneProvider, old) {
			t.Fatalf("nothing to replace: %q", old)
		}
		return strings.Replace(oneProvider, old, new, 1)
	}
	known := "known are apiVersion, args, defaultCacheDuration, env, matchImages, name, tokenAttributes"
	for _, tt := range []struct{ name, text, err string }{
		{"YAML", oneProvider, ""},
		{"JSON", `{"apiVersion":"kubelet.config.k8s.io/v1beta1","kind":"CredentialProviderConfig","providers":[{"name":"one","matchImages":["a.example"],"defaultCacheDuration":"0s","apiVersion":"credentialprovider.kubelet.k8s.io/v1alpha1"}]}`, ""},
		{"empty", "", "it has no keys"},
		{"a list", "- a\n", "it has no keys"},
		{"not YAML", "a: [", "yaml: line 1: did not find expected node content"},
		{"two documents", oneProvider + "---\n" + oneProvider, "more than one document; what is after the first would be ignored"},
		{"too large", oneProvider + "#" + strings.Repeat("x", maxDocument), "larger than 1048576 bytes"},
		{"twice", edit("kind: Cred", "kind: x\nkind: Cred"), `line 3: key "kind" already set in map`},
		{"another version", edit("k8s.io/v1\n", "k8s.io/v2\n"), `apiVersion "kubelet.config.k8s.io/v2"; known are kubelet.config.k8s.io/v1, v1beta1 and v1alpha1`},
		{"another kind", edit("CredentialProviderConfig", "KubeletConfiguration"), `kind "KubeletConfiguration", expected CredentialProviderConfig`},
		{"no providers", "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders: []\n", "0 providers; expected 1 to 64"},
		{"a key in another spelling", edit("matchImages", "matchimages"), "providers[0].matchimages: unknown key; did you mean matchImages?"},
		{"a key that is nearly right", edit("matchImages", "matchImage"), "providers[0].matchImage: unknown key; did you mean matchImages?"},
		{"an unknown key", edit("    args:", "    frobnicate: 1\n    args:"), "providers[0].frobnicate: unknown key; " + known},
		{"a number", edit("[get-credentials, --verbose]", "[1]"), "providers[0].args[0]: expected a string"},
		{"a truth", edit(`"swordfish"`, "yes"), "providers[0].env[0].value: expected a string"},
		{"no value", edit("10m", ""), "providers[0].defaultCacheDuration: it has no value"},
		{"no duration", edit("    defaultCacheDuration: 10m\n", ""), "providers[0] (one).defaultCacheDuration: missing; write a duration such as 10m, or 0s"},
		{"not a duration", edit("10m", "soon"), `providers[0] (one).defaultCacheDuration: "soon" is not a duration such as 10m`},
		{"a negative duration", edit("10m", "-10m"), `providers[0] (one).defaultCacheDuration: "-10m" is not a duration such as 10m`},
		{"another protocol", edit("credentialprovider.kubelet.k8s.io/v1", "credentialprovider.kubelet.k8s.io/v9"), `providers[0] (one).apiVersion "credentialprovider.kubelet.k8s.io/v9"; known are credentialprovider.kubelet.k8s.io/v1, v1beta1 and v1alpha1`},
		{"no images", edit(`["registry.example", "*.azurecr.io", "registry.example:5000/acme"]`, "[]"), "providers[0] (one).matchImages: missing; write the hosts of the images that it knows about"},
		{"an image that is none", edit(`"*.azurecr.io"`, `"a b"`), `providers[0] (one).matchImages[1]: "a b" is not HOST[:PORT][/PATH]: not a host`},
		{"a broken glob", edit(`"*.azurecr.io"`, `"a[.azurecr.io"`), `providers[0] (one).matchImages[1]: "a[.azurecr.io" is not HOST[:PORT][/PATH]: the label "a[" of its host: syntax error in pattern`},
		{"no name", edit("name: one", `name: ""`), `providers[0].name: "" is not the plain name of a file`},
		{"a path", edit("name: one", "name: ../one"), `providers[0].name: "../one" is not the plain name of a file`},
		{"an absolute path", edit("name: one", "name: /bin/sh"), `providers[0].name: "/bin/sh" is not the plain name of a file`},
		{"the directory", edit("name: one", "name: .."), `providers[0].name: ".." is not the plain name of a file`},
		{"not there", edit("name: one", "name: two"), "providers[0] (two): there is no program of this name in " + bin},
		{"not a program", edit("name: one", "name: data"), "providers[0] (data): there is no program of this name in " + bin},
		{"one name twice", oneProvider + oneProvider[strings.Index(oneProvider, "  - name"):], "providers[1] (one): a second provider of this name"},
		{"a token of a pod", oneProvider + "    tokenAttributes: {serviceAccountTokenAudience: x}\n", "providers[0] (one).tokenAttributes: not supported: there is no pod here whose service account token could be shown to the program"},
		{"not a variable", edit("name: SETTING", `name: "A=B"`), "providers[0] (one).env[0]: not a variable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(Config{Providers: &Providers{Name: "providers.yaml", Config: []byte(tt.text), BinDir: bin}})
			want := "<nil>"
			if tt.err != "" {
				want = "reading providers.yaml: " + tt.err
			}
			if fmt.Sprint(err) != want {
				t.Errorf("%v\nwant %s", err, want)
			}
		})
	}
	if _, err := New(Config{Providers: &Providers{Name: "providers.yaml", Config: []byte(oneProvider)}}); err == nil {
		t.Error("a configuration without a directory was taken")
	}
}

// TestPullSecrets: several secrets, and what is wrong with one.
func TestPullSecrets(t *testing.T) {
	entry := func(key, user string) []byte {
		return fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, key, basic(user, "s3cret"))
	}
	n := ring(t, Config{PullSecrets: [][]byte{entry("*.azurecr.io", "glob"), entry("acme.azurecr.io", "exact"), entry("acme.azurecr.io/team", "path"), []byte(`{"auths":{"acme.azurecr.io/team/app":{}}}`)}})
	for repository, want := range map[string]string{"app": "exact", "team/app": "path", "": "exact"} {
		if got, err := n.Credential(t.Context(), "acme.azurecr.io", repository); err != nil || got.Username != want {
			t.Errorf("%q: %+v, %v; want %s", repository, got, err, want)
		}
	}
	if got, err := n.Credential(t.Context(), "other.azurecr.io", "team/app"); err != nil || got.Username != "glob" || got.Source != "pull secret 1 of 4" {
		t.Errorf("%+v, %v; want glob of secret 1", got, err)
	}
	for _, tt := range []struct{ text, err string }{
		{`{"auths":{"registry.example":{"auth":"s3cret`, "reading pull secret 2 of 2: at byte 44: not the JSON that it has to be"},
		{`{"registry.example":{"auth":"` + basic("ci", "s3cret") + `"}}`, "reading pull secret 2 of 2: it has no auths; it has to be the content of .dockerconfigjson, of a secret of type kubernetes.io/dockerconfigjson"},
		{`{"auths":{"registry.example":{"auth":"s3cret!"}}}`, "reading pull secret 2 of 2: the entry of registry.example: auth is not base64"},
		{`eyJhdXRocyI6e319`, "reading pull secret 2 of 2: at byte 0: not the JSON that it has to be"},
		{`{"auths":{}}` + strings.Repeat(" ", maxDocument), "reading pull secret 2 of 2: larger than 1048576 bytes"},
	} {
		if _, err := New(Config{PullSecrets: [][]byte{entry("a.example", "ci"), []byte(tt.text)}}); fmt.Sprint(err) != tt.err {
			t.Errorf("%v\nwant %s", err, tt.err)
		}
	}
}
