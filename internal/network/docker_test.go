package network

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDockerFile: what a file says, and what is wrong with it, in words that quote nothing of it.
func TestDockerFile(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Credential // without Source
		err        string
	}{
		{"auth", `{"auths":{"registry.example":{"auth":"` + basic("ci", "s3cret") + `"}},"psFormat":"x"}`, Credential{Username: "ci", Password: "s3cret"}, ""},
		{"auth without padding", `{"auths":{"registry.example":{"auth":"` + strings.TrimRight(basic("ci", "s3cre"), "=") + `"}}}`, Credential{Username: "ci", Password: "s3cre"}, ""},
		{"a password with a colon", `{"auths":{"registry.example":{"auth":"` + basic("ci", "a:b") + `"}}}`, Credential{Username: "ci", Password: "a:b"}, ""},
		{"user and password", `{"auths":{"registry.example":{"username":"ci","password":"s3cret"}}}`, Credential{Username: "ci", Password: "s3cret"}, ""},
		{"identity token", `{"auths":{"registry.example":{"auth":"` + basic("ci", "") + `","identitytoken":"s3cret"}}}`, Credential{Username: "ci", IdentityToken: "s3cret"}, ""},
		{"<token>", `{"auths":{"registry.example":{"auth":"` + basic("<token>", "s3cret") + `"}}}`, Credential{IdentityToken: "s3cret"}, ""},
		{"registry token", `{"auths":{"registry.example":{"registrytoken":"s3cret"}}}`, Credential{Token: "s3cret"}, ""},
		{"empty entry", `{"auths":{"registry.example":{}}}`, Credential{}, ""},
		{"null", `{"auths":null}`, Credential{}, ""},
		{"empty file", " \n", Credential{}, ""},
		{"not JSON", `{"auths":{"registry.example":{"auth":"s3cret`, Credential{}, "not the JSON that it has to be"},
		{"twice", `{"auths":{"registry.example":{"auth":"s3cret"},"registry.example":{}}}`, Credential{}, "not the JSON that it has to be"},
		{"auth is a number", `{"auths":{"registry.example":{"auth":53123}}}`, Credential{}, "not the JSON that it has to be"},
		{"not base64", `{"auths":{"registry.example":{"auth":"s3cret!"}}}`, Credential{}, "the entry of registry.example: auth is not base64"},
		{"no colon", `{"auths":{"registry.example":{"auth":"czNjcmV0"}}}`, Credential{}, "the entry of registry.example: auth is not base64 of user:password"},
		{"too large", `{"auths":{}}` + strings.Repeat(" ", maxDocument), Credential{}, "larger than 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := noFiles(t)
			path := write(t, filepath.Join(dir, "docker", "config.json"), tt.text)
			n := ring(t, Config{Docker: true}) // a file that nobody needs stops nobody
			got, err := n.Credential(t.Context(), "registry.example", "acme/app")
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), "reading Docker configuration "+path+": ") || !strings.HasSuffix(err.Error(), tt.err) || got != (Credential{}) {
					t.Errorf("%+v, %v; want an error that ends in %q", got, err, tt.err)
				}
				if strings.Contains(fmt.Sprint(err), "s3cret") || strings.Contains(fmt.Sprint(err), "czNj") {
					t.Errorf("the error quotes what is secret: %v", err)
				}
				return
			}
			got.Source = ""
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

// TestDockerFileIsReadAgainUntilItCanBe: a failure is not remembered, what was read is.
func TestDockerFileIsReadAgainUntilItCanBe(t *testing.T) {
	path := filepath.Join(noFiles(t), "docker", "config.json")
	n := ring(t, Config{Docker: true})
	ask := func() (string, error) {
		c, err := n.Credential(t.Context(), "registry.example", "acme/app")
		return c.Password, err
	}
	if got, err := ask(); got != "" || err != nil {
		t.Fatalf("%q, %v without a file", got, err)
	}
	write(t, path, "{")
	if _, err := ask(); err == nil {
		t.Fatal("a broken file was taken for none")
	}
	for _, text := range []string{string(secretFor("registry.example")), "{"} {
		write(t, path, text)
		if got, err := ask(); got != "password" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := ring(t, Config{Docker: true}).Credential(t.Context(), "registry.example", ""); err == nil || !strings.HasSuffix(err.Error(), "not a regular file") {
		t.Errorf("%v for a directory", err)
	}
}

// TestContainersFile: keys with namespaces; the longest that is about the repository wins.
func TestContainersFile(t *testing.T) {
	dir := noFiles(t)
	var entries []string
	for _, key := range []string{"quay.io", "quay.io/acme", "quay.io/acme/app", "docker.io/library"} {
		entries = append(entries, fmt.Sprintf(`%q:{"auth":%q}`, key, basic(key, "password")))
	}
	file := write(t, filepath.Join(dir, "auth.json"), `{"auths":{`+strings.Join(entries, ",")+`}}`)
	for _, way := range []string{"REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"} {
		if way == "XDG_RUNTIME_DIR" {
			t.Setenv("REGISTRY_AUTH_FILE", "")
			t.Setenv("XDG_RUNTIME_DIR", filepath.Join(dir, "run"))
			if err := os.MkdirAll(filepath.Join(dir, "run", "containers"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(file, filepath.Join(dir, "run", "containers", "auth.json")); err != nil {
				t.Fatal(err)
			}
		}
		n := ring(t, Config{Docker: true})
		for _, tt := range []struct{ host, repository, want string }{
			{"quay.io", "acme/app", "quay.io/acme/app"},
			{"quay.io", "acme/app/deeper", "quay.io/acme/app"},
			{"quay.io", "acme/application", "quay.io/acme"},
			{"quay.io", "acme2/app", "quay.io"},
			{"quay.io", "", "quay.io"},
			{"registry-1.docker.io", "library/alpine", "docker.io/library"},
			{"registry-1.docker.io", "acme/app", ""},
			{"registry.example", "acme/app", ""},
		} {
			if got, err := n.Credential(t.Context(), tt.host, tt.repository); err != nil || got.Username != tt.want {
				t.Errorf("%s: %s/%s: %+v, %v; want %q", way, tt.host, tt.repository, got, err, tt.want)
			}
		}
	}
}

// TestHelpers: which helper is asked about what, and what it may answer.
func TestHelpers(t *testing.T) {
	const store, named = `{"credsStore":"fake"}`, `{"credHelpers":{"registry.example":"fake"},"auths":{"registry.example":{}}}`
	echo := `echo "{\"ServerURL\":\"$(cat)\",\"Username\":\"ci\",\"Secret\":\"s3cret\"}"`
	ci := Credential{Username: "ci", Password: "s3cret"}
	for _, tt := range []struct {
		name, config, host, script string
		asked                      string // what the helper read; "-": it was not run
		want                       Credential
		err                        string
	}{
		{"named", named, "registry.example", echo, "registry.example", ci, ""},
		{"named for another", named, "other.example", echo, "-", Credential{}, ""},
		{"named for what only looks like it", `{"credHelpers":{"cr.io":"fake"}}`, "ghcr.io", echo, "-", Credential{}, ""},
		{"the store", store, "registry.example:5000", echo, "registry.example:5000", ci, ""},
		{"the store, Docker Hub", store, "registry-1.docker.io", echo, "https://index.docker.io/v1/", ci, ""},
		{"named, Docker Hub", `{"credHelpers":{"docker.io":"fake"}}`, "registry-1.docker.io", echo, "docker.io", ci, ""},
		{"identity token", named, "registry.example", `echo '{"Username":"<token>","Secret":"s3cret"}'`, "registry.example", Credential{IdentityToken: "s3cret"}, ""},
		{"nobody", named, "registry.example", `echo 'credentials not found in native keychain'; exit 1`, "registry.example", Credential{}, ""},
		{"nobody, and the file knows", `{"credHelpers":{"registry.example":"fake"},"auths":{"registry.example":{"auth":"` + basic("ci", "s3cret") + `"}}}`, "registry.example", `echo 'credentials not found in native keychain'; exit 1`, "registry.example", ci, ""},
		{"for another host", named, "registry.example", `echo '{"ServerURL":"https://registry.example.evil.com","Username":"ci","Secret":"s3cret"}'`, "registry.example", Credential{}, "it answered for another host"},
		{"fails", named, "registry.example", `echo 'the keychain is locked, password=s3cret'; exit 1`, "registry.example", Credential{}, "exit status 1: the keychain is locked, password=…"},
		{"fails on standard error", named, "registry.example", `echo 'the keychain is locked' >&2; exit 1`, "registry.example", Credential{}, "exit status 1: the keychain is locked"},
		{"not JSON", named, "registry.example", `echo 's3cret'`, "registry.example", Credential{}, "not the JSON that it has to be"},
		{"twice", named, "registry.example", `echo '{"Username":"ci","Secret":"s3cret","Secret":"s3cret"}'`, "registry.example", Credential{}, "not the JSON that it has to be"},
		{"another spelling", named, "registry.example", `echo '{"username":"ci","secret":"s3cret"}'`, "registry.example", Credential{}, "not the JSON that it has to be"},
		{"endless", named, "registry.example", `while :; do echo s3cret s3cret s3cret s3cret; done`, "registry.example", Credential{}, "its answer is longer than 65536 bytes"},
		{"there is none", `{"credHelpers":{"registry.example":"absent"}}`, "registry.example", echo, "-", Credential{}, `exec: "docker-credential-absent": executable file not found in $PATH`},
		{"a path", `{"credHelpers":{"registry.example":"../../bin/sh"}}`, "registry.example", echo, "-", Credential{}, `the credential helper "../../bin/sh" is not a plain word`},
		{"an option", `{"credHelpers":{"registry.example":"-x"}}`, "registry.example", echo, "-", Credential{}, `the credential helper "-x" is not a plain word`},
		{"two words", `{"credHelpers":{"registry.example":"fake --evil"}}`, "registry.example", echo, "-", Credential{}, `the credential helper "fake --evil" is not a plain word`},
		{"the store fails, and docker login was", `{"credsStore":"fake","auths":{"registry.example":{}}}`, "registry.example", `exit 1`, "registry.example", Credential{}, "exit status 1"},
		{"the store fails, and docker login was not", store, "registry.example", `exit 1`, "registry.example", Credential{}, ""},
		{"the store is a path", `{"credsStore":"../x","auths":{"registry.example":{}}}`, "registry.example", echo, "-", Credential{}, `the credential helper "../x" is not a plain word`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := noFiles(t)
			t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			asked := filepath.Join(dir, "asked")
			write(t, filepath.Join(dir, "docker-credential-fake"), "#!/bin/sh\n[ \"$*\" = get ] || exit 9\ncat > "+asked+"\nexec < "+asked+"\n"+tt.script+"\n")
			write(t, filepath.Join(dir, "docker", "config.json"), tt.config)
			got, err := ring(t, Config{Docker: true}).Credential(t.Context(), tt.host, "acme/app")
			got.Source = ""
			if got != tt.want || tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.HasSuffix(err.Error(), tt.err)) {
				t.Errorf("%+v, %v; want %+v, %q", got, err, tt.want, tt.err)
			}
			if strings.Contains(fmt.Sprint(err), "s3cret") {
				t.Errorf("the error tells the secret: %v", err)
			}
			read, _ := os.ReadFile(asked)
			if _, err := os.Stat(asked); tt.asked == "-" && err == nil || tt.asked != "-" && string(read) != tt.asked {
				t.Errorf("the helper was asked about %q, want %q", read, tt.asked)
			}
		})
	}
}

// TestStoreThatIsNotThere: images of everybody else can still be read, and the trail says why nobody was asked.
func TestStoreThatIsNotThere(t *testing.T) {
	dir := noFiles(t)
	write(t, filepath.Join(dir, "docker", "config.json"), `{"credsStore":"absent"}`)
	got, trail, err := ring(t, Config{Docker: true}).Consult(t.Context(), "registry.example", "acme/app")
	want := []Consulted{
		{"Docker configuration " + dir + "/docker/config.json", `no entry, and asking docker-credential-absent about registry.example: exec: "docker-credential-absent": executable file not found in $PATH`},
		{"containers authentication file " + dir + "/auth.json", "nothing for registry.example/acme/app"},
	}
	if err != nil || got != (Credential{}) || !slices.Equal(trail, want) {
		t.Errorf("%+v, %+v, %v", got, trail, err)
	}
}
