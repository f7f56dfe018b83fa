package network

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
)

const certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"

func readFake(path string) ([]byte, error) {
	data, ok := map[string]string{
		"ca.pem": certificate, "client.pem": certificate, "key.pem": "-----BEGIN PRIVATE KEY-----\n",
		"password": "s3cret\r\n", "token": "s3cret", "empty": "\n", "lines": "s3cret\ns3cret\n",
	}[path]
	if !ok {
		return nil, fmt.Errorf("%s: no such file", path)
	}
	return []byte(data), nil
}

func TestLoadHosts(t *testing.T) {
	t.Setenv("STEMMA_TEST_TOKEN", "s3cret")
	hosts, networks, err := LoadHosts("registries.yaml", []byte(`# How registries are reached.
---
hosts:
  - host: Registry.corp.example:5000
    private: true
    ca: ca.pem
    clientCertificate: client.pem
    clientKey: key.pem
    username: ci
    passwordFile: password
    requestsPerSecond: 0.5
  - host: localhost:5000
    plainHTTP: true
  - {host: docker.io, identityTokenFile: token}
  - {host: "ghcr.io:443", tokenEnv: STEMMA_TEST_TOKEN}
  - {host: "[::1]:5000", private: false}
allowPrivate: [10.0.0.0/8, "fd00::/8"]
`), readFake)
	want := []Host{
		{Name: "registry.corp.example:5000", Private: true, CA: []byte(certificate), ClientCertificate: []byte(certificate), ClientKey: []byte("-----BEGIN PRIVATE KEY-----\n"), Username: "ci", Password: "s3cret", RequestsPerSecond: 0.5},
		{Name: "localhost:5000", PlainHTTP: true, Private: true},
		{Name: "registry-1.docker.io", IdentityToken: "s3cret"},
		{Name: "ghcr.io", Token: "s3cret"},
		{Name: "[::1]:5000"},
	}
	if err != nil || !reflect.DeepEqual(hosts, want) {
		t.Errorf("%+v, %v\nwant %+v", hosts, err, want)
	}
	if nets := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}; !reflect.DeepEqual(networks, nets) {
		t.Errorf("%v, want %v", networks, nets)
	}
}

// TestLoadHostsErrors: every mistake is refused, says file and key, and tells no secret.
func TestLoadHostsErrors(t *testing.T) {
	t.Setenv("STEMMA_TEST_TOKEN", "s3cret")
	t.Setenv("STEMMA_TEST_EMPTY", "")
	host := func(rest string) string { return "hosts:\n  - host: a.example\n    " + rest + "\n" }
	for _, tt := range []struct{ name, text, err string }{
		{"empty", "", "it has no keys"},
		{"a list", "- host: a\n", "it has no keys"},
		{"not YAML", "hosts: {", "yaml: line 1: did not find expected node content"},
		{"two documents", "hosts: []\n---\nhosts: []\n", "more than one document; what is after the first would be ignored"},
		{"a key of the file", "host: []\n", "host: unknown key; did you mean hosts?"},
		{"an unknown key of the file", "registries-and-more: []\n", "registries-and-more: unknown key; known are allowPrivate, hosts"},
		{"another spelling", host("plainHttp: true"), "hosts[0].plainHttp: unknown key; did you mean plainHTTP?"},
		{"nearly", host("clientCert: x"), "hosts[0].clientCert: unknown key; did you mean clientCertificate?"},
		{"a secret", host("password: s3cret"), "hosts[0].password: unknown key; secrets do not stand here: passwordFile names a file with it, passwordEnv a variable"},
		{"a token", host("token: s3cret"), "hosts[0].token: unknown key; secrets do not stand here: tokenFile names a file with it, tokenEnv a variable"},
		{"twice", host("private: true\n    private: false"), `line 4: key "private" already set in map`},
		{"no value", host("ca:"), "hosts[0].ca: it has no value"},
		{"no hosts", "hosts:\n", "hosts: it has no value"},
		{"hosts is a map", "hosts: {a.example: {}}\n", "hosts.a.example: unknown key; known are ca, clientCertificate, clientKey, host, identityTokenEnv, identityTokenFile, passwordEnv, passwordFile, plainHTTP, private, requestsPerSecond, tokenEnv, tokenFile, username"},
		{"a host is a string", "hosts: [a.example]\n", "hosts[0]: expected an object"},
		{"a truth in quotes", host(`private: "true"`), "hosts[0].private: expected true or false"},
		{"a number", host("username: 12"), "hosts[0].username: expected a string"},
		{"a list", host("ca: [ca.pem]"), "hosts[0].ca: expected a string"},
		{"no host", "hosts: [{private: true}]\n", "hosts[0].host: missing; write host[:port] as in the reference of an image"},
		{"a URL", "hosts: [{host: 'https://a.example'}]\n", `hosts[0].host: "https://a.example" is not host[:port]; write it as in the reference of an image, without scheme and path`},
		{"a path", "hosts: [{host: a.example/acme}]\n", `hosts[0].host: "a.example/acme" is not host[:port]; write it as in the reference of an image, without scheme and path`},
		{"a glob", "hosts: [{host: '*.example'}]\n", `hosts[0].host: "*.example" is not host[:port]; write it as in the reference of an image, without scheme and path`},
		{"a port that is none", "hosts: [{host: 'a.example:http'}]\n", `hosts[0].host: "a.example:http" has no port of 1 to 65535`},
		{"port 0", "hosts: [{host: 'a.example:0'}]\n", `hosts[0].host: "a.example:0" has no port of 1 to 65535`},
		{"an empty port", "hosts: [{host: 'a.example:'}]\n", `hosts[0].host: "a.example:" is not host[:port]`},
		{"only a port", "hosts: [{host: ':5000'}]\n", `hosts[0].host: ":5000" is not host[:port]`},
		{"one host twice", "hosts: [{host: a.example}, {host: 'A.example:443'}]\n", "hosts[1].host: a.example has an entry already, hosts[0]"},
		{"Docker Hub twice", "hosts: [{host: docker.io}, {host: index.docker.io}]\n", "hosts[1].host: registry-1.docker.io has an entry already, hosts[0]"},
		{"a CA without TLS", host("plainHTTP: true\n    ca: ca.pem"), "hosts[0].plainHTTP: without TLS there are no certificates; leave out plainHTTP, or ca, clientCertificate and clientKey"},
		{"no key", host("clientCertificate: client.pem"), "hosts[0].clientCertificate: a certificate and its key belong together; give clientCertificate and clientKey"},
		{"no certificate", host("clientKey: key.pem"), "hosts[0].clientCertificate: a certificate and its key belong together; give clientCertificate and clientKey"},
		{"a file that is not there", host("ca: gone.pem"), "hosts[0].ca: gone.pem: no such file"},
		{"not PEM", host("ca: password"), "hosts[0].ca: password is not PEM"},
		{"no password", host("username: ci"), "hosts[0].username: a user and a password belong together; give username and passwordFile or passwordEnv"},
		{"no user", host("passwordFile: password"), "hosts[0].username: a user and a password belong together; give username and passwordFile or passwordEnv"},
		{"a user with a token", host("username: ci\n    tokenFile: token"), "hosts[0].username: a user and a password belong together; give username and passwordFile or passwordEnv"},
		{"a colon", host("username: 'c:i'\n    passwordFile: password"), "hosts[0].username: a user name with a colon in it, where Basic authentication ends it"},
		{"two of one kind", host("tokenFile: token\n    tokenEnv: STEMMA_TEST_TOKEN"), "hosts[0].tokenEnv: give tokenFile or tokenEnv, not both"},
		{"two kinds", host("identityTokenFile: token\n    tokenEnv: STEMMA_TEST_TOKEN"), "hosts[0].identityTokenFile: more than one of password, token and identityToken"},
		{"a password file that is not there", host("username: ci\n    passwordFile: gone"), "hosts[0].passwordFile: gone: no such file"},
		{"an empty file", host("tokenFile: empty"), "hosts[0].tokenFile: empty is empty"},
		{"lines", host("tokenFile: lines"), "hosts[0].tokenFile: lines has more than one line, or a control character"},
		{"an empty variable", host("tokenEnv: STEMMA_TEST_EMPTY"), "hosts[0].tokenEnv: the variable STEMMA_TEST_EMPTY is empty"},
		{"no requests", host("requestsPerSecond: 0"), "hosts[0].requestsPerSecond: expected a number above 0, at most 100000"},
		{"fewer", host("requestsPerSecond: -1"), "hosts[0].requestsPerSecond: expected a number above 0, at most 100000"},
		{"too many", host("requestsPerSecond: 1e9"), "hosts[0].requestsPerSecond: expected a number above 0, at most 100000"},
		{"not a number", host("requestsPerSecond: many"), "hosts[0].requestsPerSecond: expected a number above 0, at most 100000"},
		{"an address", "allowPrivate: [10.0.0.5]\n", `allowPrivate[0]: "10.0.0.5" is not a network; write 10.0.0.5/32`},
		{"bits of a host", "allowPrivate: [10.0.0.5/8]\n", `allowPrivate[0]: "10.0.0.5/8" is not a network; write 10.0.0.0/8`},
		{"a name", "allowPrivate: [a.example]\n", `allowPrivate[0]: "a.example" is not a network; write a network such as 10.0.0.0/8`},
		{"not a list", "allowPrivate: 10.0.0.0/8\n", "allowPrivate: expected an array"},
		{"too large", "hosts: []\n#" + strings.Repeat("x", maxDocument), "larger than 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hosts, networks, err := LoadHosts("registries.yaml", []byte(tt.text), readFake)
			if want := "reading registries.yaml: " + tt.err; fmt.Sprint(err) != want || hosts != nil || networks != nil {
				t.Errorf("%v\nwant %s", err, want)
			}
			if strings.Contains(fmt.Sprint(err), "s3cret") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
	gone := errors.New("gone")
	if _, _, err := LoadHosts("x", []byte(host("ca: z")), func(string) ([]byte, error) { return nil, gone }); !errors.Is(err, gone) {
		t.Errorf("%v does not say why a file could not be read", err)
	}
}

// TestRegistriesPage: docs/registries.md has every key, with the comment that stands beside its field.
// Its example loads.
func TestRegistriesPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/registries.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	hosts, networks, err := LoadHosts("docs/registries.md", []byte(example), func(path string) ([]byte, error) {
		return readFake(map[string]string{"/etc/pki/corp.pem": "ca.pem", "/run/secrets/registry": "password"}[path])
	})
	if err != nil || len(hosts) != 2 || len(networks) != 1 {
		t.Errorf("the example: %+v, %v, %v", hosts, networks, err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "hosts.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "registriesFile" && spec.Name.Name != "hostEntry" {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			key := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json")
			row := fmt.Sprintf("| `%s` | %s |\n", key, strings.TrimSpace(f.Comment.Text()))
			if rows++; !strings.Contains(string(page), row) {
				t.Errorf("docs/registries.md lacks the line %s", row)
			}
		}
		return true
	})
	if want := len(registriesSchema()) + len(registriesSchema()["hosts"]); rows != want || strings.Count(string(page), "\n| `") != want {
		t.Errorf("%d keys in the source, %d in the page, %d accepted", rows, strings.Count(string(page), "\n| `"), want)
	}
}

// TestSchemas: the keys that are accepted are the fields that are read.
func TestSchemas(t *testing.T) {
	var check func(t *testing.T, s schema, typ reflect.Type)
	check = func(t *testing.T, s schema, typ reflect.Type) {
		seen := 0
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			below, ok := s[name]
			if !ok {
				t.Errorf("%s.%s is not accepted", typ.Name(), name)
			}
			seen++
			if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
				check(t, below, f.Type.Elem())
			}
		}
		if seen != len(s) {
			t.Errorf("%s: %d keys are accepted, %d are read", typ.Name(), len(s), seen)
		}
	}
	check(t, registriesSchema(), reflect.TypeFor[registriesFile]())
	check(t, providerSchema(), reflect.TypeFor[providerConfig]())
}
