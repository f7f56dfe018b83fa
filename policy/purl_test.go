package policy

import (
	"strings"
	"testing"
)

func TestToolName(t *testing.T) {
	for tool, want := range map[string]string{
		"syft 1.18.0": "syft", "syft": "syft", "syft-1.18.0": "syft", "syft v1.18.0": "syft", "syft-v1.0.0-rc1": "syft", "cyclonedx-maven-plugin 2.9": "cyclonedx-maven-plugin",
		"tool-2": "tool-2", "my syft": "my syft", "": "", " ": " ", "1.0": "1.0", "syft 1": "syft", "sbom-tool-3.0.1": "sbom-tool",
	} {
		if got := toolName(tool); got != want {
			t.Errorf("%q: %q, want %q", tool, got, want)
		}
	}
}

func TestPackageURL(t *testing.T) {
	for in, want := range map[string]string{
		"pkg:npm/%40acme/lib@1.2.3":                     "pkg:npm/%40acme/lib@1.2.3",
		"pkg:npm/@acme/lib@1.2.3":                       "pkg:npm/%40acme/lib@1.2.3",
		"pkg:npm/@acme/lib":                             "pkg:npm/%40acme/lib",
		"PKG://NPM/Lib@1?x=y#z":                         "pkg:npm/Lib@1",
		"pkg:deb/Debian/OpenSSL@3.0%2Bb?arch=amd64":     "pkg:deb/debian/openssl@3.0+b",
		"pkg:pypi/Foo._Bar@1":                           "pkg:pypi/foo-bar@1",
		"pkg:rpm/Fedora/Curl@1":                         "pkg:rpm/fedora/Curl@1",
		"pkg:golang/GitHub.com/Acme/x@v1":               "pkg:golang/github.com/acme/x@v1",
		"pkg:npm/a%2Fb@1":                               "pkg:npm/a%2Fb@1",
		"pkg:npm/a/b@1":                                 "pkg:npm/a/b@1",
		"pkg:github/a/b@feature/x":                      "pkg:github/a/b@feature/x",
		"pkg:maven/org.acme/x@1.0":                      "pkg:maven/org.acme/x@1.0",
		"pkg:oci/app@sha256%3Aabc?repository_url=x.y/z": "pkg:oci/app@sha256:abc",

		"": "", "pkg:": "", "pkg:npm": "", "pkg:npm/": "", "npm/lib": "", "pkg:npm/%2e%2e/x": "", "pkg:npm/./x": "", "pkg:npm/%zz": "", "pkg:npm/a b": "", "pkg:npm/a\n": "",
		"pkg:n_m/a": "", "pkg:npm/a@": "", "pkg:npm/a?x=%zz": "", "pkg:npm/" + strings.Repeat("a", maxPURL): "",
	} {
		p, ok := parsePURL(in)
		if ok != (want != "") || ok && p.String() != want {
			t.Errorf("%q: %q %v, want %q", in, p, ok, want)
		}
	}
	for in, want := range map[string]string{
		"pkg:docker/debian@bookworm?digest=" + string(digest("x")):                        "docker.io/library/debian " + string(digest("x")),
		"pkg:docker/acme/app@" + string(digest("x")) + "?repository_url=gcr.io":           "gcr.io/acme/app " + string(digest("x")),
		"pkg:docker/ghcr.io/acme/app@1":                                                   "ghcr.io/acme/app ",
		"pkg:oci/app@" + string(digest("x")) + "?repository_url=https://ghcr.io/acme/app": "ghcr.io/acme/app " + string(digest("x")),
		"pkg:oci/app@" + string(digest("x"))[:70]:                                         " ",
	} {
		p, _ := parsePURL(in)
		if repository, d := p.image(); repository+" "+string(d) != want {
			t.Errorf("%q: %s %s, want %s", in, repository, d, want)
		}
	}
}
