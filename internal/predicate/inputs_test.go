package predicate

import (
	"maps"
	"strings"
	"testing"

	"stemma"
)

const (
	contentA = "c5b1261d6d3e43071626931fc004f70149baeba2c8ec672bd4f27761f8e1ad6b"
	contentB = "bc5f0b5e43282627279fe5262ae275fecb3d2eae3b33977a7fd200c7a760d6f1"
)

// inputOf is the normal form of one dependency as a builder wrote it.
func inputOf(uri string, digest map[string]string) (stemma.Input, []string) {
	r := &reader{out: &stemma.Provenance{}, grade: stemma.SaidByBuilder}
	return r.input(stemma.ResourceDescriptor{URI: uri, Digest: digest}, "/d/0"), r.out.Notes
}

func content(hex string) map[string]string { return map[string]string{"sha256": hex} }

func commit(key, hex string) map[string]string { return map[string]string{key: hex} }

// TestInputs states the normal form of every form in which builders write their inputs.
func TestInputs(t *testing.T) {
	for _, c := range []struct {
		uri                      string
		digest                   map[string]string
		kind                     stemma.InputKind
		canonical, host, version string
		pinned                   bool
	}{
		// Images: BuildKit, the specification of package URLs, Tekton Chains, an LLB, Kubernetes, and bare.
		{"pkg:docker/golang@1.20?digest=sha256:" + contentA + "&platform=linux%2Famd64", content(contentA), stemma.InputImage, "docker.io/library/golang", "docker.io", "1.20", true},
		{"pkg:docker/docker/dockerfile@1", content(contentA), stemma.InputImage, "docker.io/docker/dockerfile", "docker.io", "1", true},
		{"pkg:docker/gcr.io/distroless/static?platform=linux%2Famd64", content(contentA), stemma.InputImage, "gcr.io/distroless/static", "gcr.io", "", true},
		{"pkg:docker/localhost%3A5000/app@1", nil, stemma.InputImage, "localhost:5000/app", "localhost:5000", "1", false},
		{"pkg:docker/GCR.io/acme/app@1", nil, stemma.InputImage, "gcr.io/acme/app", "gcr.io", "1", false},
		{"pkg:docker/customer/app@sha256%3A" + contentA + "?repository_url=gcr.io", nil, stemma.InputImage, "gcr.io/customer/app", "gcr.io", "", true},
		{"pkg:docker/customer/app@sha256:" + contentA + "?repository_url=https://gcr.io/", nil, stemma.InputImage, "gcr.io/customer/app", "gcr.io", "", true},
		{"pkg:oci/debian@sha256%3A" + contentA + "?repository_url=docker.io/library/debian&tag=12", nil, stemma.InputImage, "docker.io/library/debian", "docker.io", "12", true},
		{"PKG:Docker/alpine@3", nil, stemma.InputImage, "docker.io/library/alpine", "docker.io", "3", false},
		{"pkg:docker/index.docker.io/library/alpine", nil, stemma.InputImage, "docker.io/library/alpine", "docker.io", "", false},
		{"oci://quay.io/konflux-ci/yq", content(contentA), stemma.InputImage, "quay.io/konflux-ci/yq", "quay.io", "", true},
		{"oci://Quay.io:443/konflux-ci/yq:1@sha256:" + contentA, nil, stemma.InputImage, "quay.io/konflux-ci/yq", "quay.io", "1", true},
		{"docker-image://docker.io/library/golang:1.20@sha256:" + contentA, nil, stemma.InputImage, "docker.io/library/golang", "docker.io", "1.20", true},
		{"docker://alpine", nil, stemma.InputImage, "docker.io/library/alpine", "docker.io", "", false},
		{"docker-pullable://registry:5000/a/b@sha256:" + contentA, nil, stemma.InputImage, "registry:5000/a/b", "registry:5000", "", true},
		{"ghcr.io/acme/app:v1", nil, stemma.InputImage, "ghcr.io/acme/app", "ghcr.io", "v1", false},
		{"ghcr.io/acme/app", content(contentA), stemma.InputImage, "ghcr.io/acme/app", "ghcr.io", "", true},
		{"alpine@sha256:" + contentA, nil, stemma.InputImage, "docker.io/library/alpine", "docker.io", "", true},

		// Repositories.
		{"git+https://github.com/Acme/App@refs/tags/v1", commit("gitCommit", commitA), stemma.InputGit, "github.com/acme/app", "github.com", "refs/tags/v1", true},
		{"https://github.com/acme/app.git#" + commitA, nil, stemma.InputGit, "github.com/acme/app", "github.com", commitA, true},
		{"https://github.com/acme/app.git#main:sub", commit("sha1", commitA), stemma.InputGit, "github.com/acme/app", "github.com", "main", true},
		{"https://gitlab.com/acme/App", commit("sha256", commitA), stemma.InputGit, "gitlab.com/acme/App", "gitlab.com", "", true},
		{"git@github.com:acme/app.git", nil, stemma.InputGit, "github.com/acme/app", "github.com", "", false},
		{"ssh://git@git.acme.example:2222/app", nil, stemma.InputGit, "git.acme.example:2222/app", "git.acme.example:2222", "", false},
		{"pkg:github/acme/app@v1", nil, stemma.InputGit, "github.com/acme/app", "github.com", "v1", false},
		{"git.acme.example/acme/app", commit("sha1", commitA), stemma.InputGit, "git.acme.example/acme/app", "git.acme.example", "", true},

		// Files.
		{"https://DL.example.com:443/a/b%20c.tgz?x=1#y", content(contentA), stemma.InputHTTP, "dl.example.com/a/b%20c.tgz", "dl.example.com", "", true},
		{"http://dl.example.com:80/a%2bb", nil, stemma.InputHTTP, "dl.example.com/a%2Bb", "dl.example.com", "", false},
		{"HTTPS://dl.example.com:8443/a", nil, stemma.InputHTTP, "dl.example.com:8443/a", "dl.example.com:8443", "", false},
		{"https://dl.example.com", nil, stemma.InputHTTP, "dl.example.com/", "dl.example.com", "", false},
		{"https://github.com/acme/app/releases/download/v1/app.tgz", content(contentA), stemma.InputHTTP, "github.com/acme/app/releases/download/v1/app.tgz", "github.com", "", true},
		{"https://repo1.maven.org/a/a.jar", map[string]string{"sha256": contentA, "sha1": commitA}, stemma.InputHTTP, "repo1.maven.org/a/a.jar", "repo1.maven.org", "", true},
		{"https://dl.example.com/.github/workflows/x.yml", nil, stemma.InputHTTP, "dl.example.com/.github/workflows/x.yml", "dl.example.com", "", false},

		// Actions and workflows.
		{"pkg:githubactions/Actions/Checkout@v4", nil, stemma.InputAction, "actions/checkout", "github.com", "v4", false},
		{"pkg:githubactions/actions/checkout@" + commitA, nil, stemma.InputAction, "actions/checkout", "github.com", commitA, true},
		{"pkg:githubactions/github/codeql-action@v3#init", nil, stemma.InputAction, "github/codeql-action/init", "github.com", "v3", false},
		{"pkg:githubactions/github/codeql-action/init@v3", nil, stemma.InputAction, "github/codeql-action/init", "github.com", "v3", false},
		{"pkg:githubactions/acme/build@v1?repository_url=https://acme.ghe.com#.github%2Fworkflows%2FX.yml", nil, stemma.InputAction, "acme.ghe.com/acme/build/.github/workflows/X.yml", "acme.ghe.com", "v1", false},
		{"https://github.com/acme/build/.github/workflows/x.yml@refs/tags/v1", nil, stemma.InputAction, "acme/build/.github/workflows/x.yml", "github.com", "refs/tags/v1", false},
		{"github.com/acme/tool/sub/action.yml@v1", nil, stemma.InputAction, "acme/tool/sub", "github.com", "v1", false},
		{"https://acme.ghe.com/acme/tool/action.yaml", nil, stemma.InputAction, "acme.ghe.com/acme/tool", "acme.ghe.com", "", false},

		// Packages.
		{"pkg:npm/%40acme/lib@1.0.0", nil, stemma.InputPackage, "pkg:npm/%40acme/lib", "registry.npmjs.org", "1.0.0", false},
		{"pkg:npm/@acme/lib@1.0.0?repository_url=https%3A%2F%2FNPM.acme.example%2F", nil, stemma.InputPackage, "pkg:npm/%40acme/lib", "npm.acme.example", "1.0.0", false},
		{"pkg:npm/JSONStream@1", nil, stemma.InputPackage, "pkg:npm/JSONStream", "registry.npmjs.org", "1", false},
		{"pkg:pypi/Foo_.Bar@1", nil, stemma.InputPackage, "pkg:pypi/foo-bar", "pypi.org", "1", false},
		{"pkg:golang/github.com/Azure/sdk@v1.2.3%2Bincompatible#sub", nil, stemma.InputPackage, "pkg:golang/github.com/azure/sdk", "proxy.golang.org", "v1.2.3+incompatible", false},
		{"pkg:maven/org.Acme/lib@1?type=jar", content(contentA), stemma.InputPackage, "pkg:maven/org.Acme/lib", "repo.maven.apache.org", "1", true},
		{"pkg:generic/openssl@1?download_url=https://dl.acme.example/openssl.tgz", nil, stemma.InputPackage, "pkg:generic/openssl", "dl.acme.example", "1", false},
		{"pkg:deb/Debian/libstdc%2B%2B6@1?arch=amd64", nil, stemma.InputPackage, "pkg:deb/debian/libstdc++6", "", "1", false},

		// What is none of these, or has no single meaning.
		{"", nil, stemma.InputOther, "", "", "", false},
		{"alpine", nil, stemma.InputOther, "", "", "", false},
		{"acme/app", content(contentA), stemma.InputOther, "", "", "", true},
		{"gs://bucket/object", content(contentA), stemma.InputOther, "", "", "", true},
		{"file:///etc/passwd", nil, stemma.InputOther, "", "", "", false},
		{"oci-layout://x@sha256:" + contentA, nil, stemma.InputOther, "", "", "", false},
		{"oci:dir", nil, stemma.InputOther, "", "", "", false},
		{"local://context", nil, stemma.InputOther, "", "", "", false},
	} {
		in, notes := inputOf(c.uri, c.digest)
		if in.Kind != c.kind || in.Canonical != c.canonical || in.Host != c.host || in.Version != c.version || in.Pinned() != c.pinned {
			t.Errorf("%s:\ngot  %s %q on %q version %q pinned %v\nwant %s %q on %q version %q pinned %v", c.uri,
				in.Kind, in.Canonical, in.Host, in.Version, in.Pinned(), c.kind, c.canonical, c.host, c.version, c.pinned)
		}
		if in.URI != c.uri || in.By != stemma.SaidByBuilder || in.Where != "/d/0" || in.Role != "" || in.Undeclared || len(notes) > 0 {
			t.Errorf("%s: %+v, notes %q", c.uri, in, notes)
		}
	}
}

// What is written differently and leads to the same place is one input, whose name is compared as a whole. Source: threats,
// canonical forms that are equal.
func TestReg_D02_one_name_of_inputs(t *testing.T) {
	for want, uris := range map[string][]string{
		"docker.io/library/alpine": {
			"pkg:docker/alpine@3", "pkg:docker/library/alpine", "pkg:docker/docker.io/alpine", "pkg:docker/index.docker.io/library/alpine", "pkg:docker/alpine?repository_url=docker.io",
			"pkg:oci/alpine?repository_url=index.docker.io/library/alpine", "oci://docker.io/library/alpine:3", "docker-image://alpine", "docker://registry-1.docker.io/library/alpine",
		},
		"ghcr.io/acme/app": {"pkg:docker/ghcr.io/acme/app", "oci://GHCR.io/acme/app", "oci://ghcr.io:443/acme/app", "pkg:docker/acme/app?repository_url=https:%2F%2Fghcr.io", "ghcr.io/acme/app:1@sha256:" + contentA},
		"github.com/acme/app": {
			"git+https://github.com/acme/app@refs/tags/v2", "https://GitHub.com:443/acme/app.git", "ssh://git@github.com/acme/app.git", "git@github.com:acme/app.git", "git://github.com/acme/app.git#main", "pkg:github/Acme/App@v2",
		},
		"dl.example.com/a%2Bb": {"https://dl.example.com/a%2Bb", "https://DL.EXAMPLE.com:443/a%2bb?x=1", "http://dl.example.com:80/a%2Bb#y"},
		"pkg:npm/%40acme/lib":  {"pkg:npm/%40acme/lib", "pkg:npm/@acme/lib@1", "PKG:NPM/%40acme/lib?repository_url=https://npm.acme.example", "pkg://npm/%40acme/lib#sub"},
		"actions/checkout":     {"pkg:githubactions/actions/checkout@v4", "pkg:githubactions/Actions/Checkout", "https://github.com/actions/checkout/action.yml@v4", "github.com/Actions/checkout/action.yaml"},
	} {
		for _, uri := range uris {
			if in, _ := inputOf(uri, nil); in.Canonical != want {
				t.Errorf("%s is %q, want %q", uri, in.Canonical, want)
			}
		}
	}
}

// Case distinguishes what a place distinguishes by it: owners on GitHub's hosts it does not.
func TestReg_D04_case_of_inputs(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"git+https://github.com/ACME/app", "git+https://github.com/acme/app", true},
		{"git+https://acme.ghe.com/ACME/app", "git+https://acme.ghe.com/acme/app", true},
		{"pkg:githubactions/ACME/build", "pkg:githubactions/acme/build", true},
		{"pkg:pypi/Flask_Login", "pkg:pypi/flask-login", true},
		{"git+https://git.acme.example/ACME/app", "git+https://git.acme.example/acme/app", false},
		{"https://dl.example.com/A", "https://dl.example.com/a", false},
		{"https://github.com/acme/b/.github/workflows/X.yml@v1", "https://github.com/acme/b/.github/workflows/x.yml@v1", false},
		{"pkg:npm/JSONStream", "pkg:npm/jsonstream", false},
		{"pkg:maven/org.Acme/lib", "pkg:maven/org.acme/lib", false},
		{"git+https://github.com.evil.com/acme/app", "git+https://github.com/acme/app", false},
	} {
		a, _ := inputOf(c.a, nil)
		b, _ := inputOf(c.b, nil)
		if same := a.Canonical == b.Canonical; same != c.same || a.Canonical == "" || b.Canonical == "" {
			t.Errorf("%s is %q, %s is %q", c.a, a.Canonical, c.b, b.Canonical)
		}
	}
}

// A name is had by its own spelling only: what one reader would decode, fold or resolve and another would not has none.
// Source: CVE-2021-41087, CVE-2026-39821, opa-envoy CVE-2026-26205.
func TestReg_D03_names_of_inputs(t *testing.T) {
	for kind, uris := range map[stemma.InputKind][]string{
		stemma.InputImage: {
			"pkg:docker/acme%2Fapp", "pkg:docker/acme/..%2Fevil", "pkg:docker/acme/%2e%2e/evil", "pkg:docker/acme/../evil", "pkg:docker/acme//app",
			"pkg:docker/%61lpine", "pkg:docker/%2561lpine", "pkg:docker/alpine%00", "pkg:docker/alpine%0A", "pkg:docker/alpine%", "pkg:docker/alpine%4",
			"pkg:docker/Alpine", "pkg:docker/acme/App", "pkg:docker/ACME/app", "pkg:docker/аlpine", "pkg:docker/alpine\\x", "pkg:docker/alp ine",
			"pkg:docker/gcr.io/acme/app?repository_url=evil.example", "pkg:docker/app?repository_url=evil.example&repository_url=gcr.io",
			"pkg:docker/app?repository_url=user@gcr.io", "pkg:docker/app?repository_url=gcr.io%252Fx", "pkg:docker/app?repository_url=acme",
			"pkg:docker/app?repository_url=gcr.io/../x", "pkg:docker/app?x", "pkg:docker/app?tag=a?b", "pkg:docker/app@1@2", "pkg:docker/app@", "pkg:docker/", "pkg:docker",
			"pkg:docker/app@1?tag=2", "pkg:docker/app@sha256:" + contentA + "?digest=sha256:" + contentB, "pkg:docker/app@sha256:abc", "pkg:docker/node%3Alatest",
			"pkg:docker/app@sha256:" + strings.ToUpper(contentA), "pkg:oci/debian", "pkg:oci/debian?repository_url=docker.io/library/alpine",
			"pkg:oci/library/debian?repository_url=docker.io/library/debian", "pkg:oci/debian?repository_url=debian",
			"oci://gcr.io.", "oci://gcr.io./acme/app", "oci://user@gcr.io/acme/app", "oci://gcr.io/acme/app@sha256:" + contentA + "@sha256:" + contentB,
			"oci://gcr.io:0443/acme/app", "oci://gcr.io:99999/acme/app", "oci://gcr.io:/acme/app", "oci://xn--gcr-9ia.io/acme/app", "oci://[::1]/app", "oci://gcr.io/acme/app:",
			"oci://gcr.io/acme/a..b", "oci://gcr.io/acme/-b", "oci://gcr.io/acme/b.", "oci://gcr.io/acme/b___c", "oci://gcr.io/acme/b.-c", "oci://gcr.io/acme/b:.x", "oci://",
			"docker://gcr.io/acme/app?x=1", "docker://gcr.io/acme/app#x", "docker-image://gcr.io/acme/%61pp", "oci://gcr.io/" + strings.Repeat("a/", 510) + "a",
		},
		stemma.InputGit: {
			"git+https://github.com/acme/app%2F..%2Fevil", "git+https://github.com/acme/app/../evil", "git+https://github.com@evil.com/acme/app", "git+https://github.com/acme//app",
			"git+https://github.com./acme/app", "git+https://gıthub.com/acme/app", "git+https://xn--gthub-n4a.com/acme/app", "git+https://github.com/acme/app\x00", "pkg:github/acme%2Fapp",
			"pkg:github/acme/app@v1@v2", "pkg:github/acme/../app", "pkg:github/acme", "git@github.com:22/app", "git+https://github.com/acme/app?x", "git@github.com", "git://github.com/",
		},
		stemma.InputHTTP: {
			"https://dl.example.com/a%2F..%2Fb", "https://dl.example.com/a/../b", "https://dl.example.com/a/%2e%2e/b", "https://dl.example.com/./b", "https://dl.example.com/a//b",
			"https://dl.example.com/%61", "https://dl.example.com/%252e", "https://dl.example.com/a%5Cb", "https://dl.example.com/a\\b", "https://dl.example.com/%00", "https://dl.example.com/%0a",
			"https://dl.example.com/%zz", "https://dl.example.com/%", "https://dl.example.com@evil.com/a", "https://u:p@dl.example.com/a", "https://dl.example.com./a", "https://dl.example.com:/a",
			"https://dl.example.com:0/a", "https://dl.example.com:65536/a", "https://nexus/a", "https:///a", "https://dl.example.com/a b", "https://dl.example.com/ä", "https://xn--dl-eka.example.com/a",
			"https://dl.example.com/a\n", "https://dl.example.com/[a]", "https://[::1]/a", "https://dl.example.com/a..b", "https://dl_x.example.com/a",
		},
		stemma.InputAction: {
			"pkg:githubactions/actions", "pkg:githubactions/actions/checkout%2F..%2Fevil", "pkg:githubactions/actions/../evil", "pkg:githubactions/evil.com/x", "pkg:githubactions/actions/checkout@v4@v5",
			"pkg:githubactions/actions/checkout#../evil", "pkg:githubactions/actions/checkout#%2e%2e/evil", "pkg:githubactions/actions/checkout/a#b", "pkg:githubactions/a/b?repository_url=evil.com",
			"pkg:githubactions/a/b?repository_url=https://github.com.evil.com", "https://github.com/acme/b/../evil/.github/workflows/x.yml@v1", "https://github.com/acme/b//action.yml",
			"https://github.com/acme/b%2Fc/.github/workflows/x.yml", "pkg:githubactions/аctions/checkout",
		},
		stemma.InputPackage: {
			"pkg:npm/@acme%2Flib", "pkg:npm/%40acme%2Flib@1", "pkg:npm/../lib", "pkg:npm/a//b", "pkg:npm/%6cib", "pkg:npm/lib%00", "pkg:npm/lib@1@2", "pkg:npm/lib@", "pkg:npm/", "pkg:npm", "pkg:", "pkg:/",
			"pkg:npm/lib?a=1&a=2", "pkg:npm/lib?A=1&a=2", "pkg:npm/lib?a", "pkg:npm/lib?a=1?b=2", "pkg:npm/lïb", "pkg:npm/l ib", "pkg:npm/lib%5C", "pkg:n%70m/lib", "pkg:pypi/_foo", "pkg:pypi/foo-", "pkg:pypi/-",
			"pkg:npm/@", "pkg:npm/a@1%2F%2561", "pkg:npm/" + strings.Repeat("<", 400),
		},
	} {
		for _, uri := range uris {
			if in, _ := inputOf(uri, nil); in.Kind != kind || in.Canonical != "" || in.Host != "" || in.Version != "" || in.Pinned() {
				t.Errorf("%q is %s %q on %q, version %q, pinned %v; want %s without a name", uri, in.Kind, in.Canonical, in.Host, in.Version, in.Pinned(), kind)
			}
		}
	}
}

// A package comes from where all that is said of it agrees.
func TestHostOfPackage(t *testing.T) {
	const lib = "pkg:npm/lib@1"
	for uri, want := range map[string]string{
		lib:                      "registry.npmjs.org",
		lib + "?repository_url=": "registry.npmjs.org",
		lib + "?vcs_url=git%2Bhttps://evil.example/x":                                                    "registry.npmjs.org",
		lib + "?repository_url=npm.acme.example":                                                         "npm.acme.example",
		lib + "?repository_url=https://npm.acme.example/x&download_url=https://npm.acme.example/lib.tgz": "npm.acme.example",
		lib + "?repository_url=https://npm.acme.example&download_url=https://evil.example/lib.tgz":       "",
		lib + "?download_url=https://npm.acme.example@evil.example/lib.tgz":                              "",
		lib + "?download_url=ftp://npm.acme.example/lib.tgz":                                             "",
		lib + "?download_url=https://npm.acme.example/%25":                                               "",
		"pkg:generic/lib@1": "",
	} {
		in, _ := inputOf(uri, nil)
		if in.Host != want || in.Canonical == "" {
			t.Errorf("%s: %q on %q, want %q", uri, in.Canonical, in.Host, want)
		}
	}
}

// A sha256 of 40 digits is the name of a commit, and of no content; and no digest is taken that contradicts another.
func TestDigestsOfInputs(t *testing.T) {
	for _, c := range []struct {
		name, uri       string
		digest          map[string]string
		canonical, note string
		pinned          bool
	}{
		{"content", "https://dl.example.com/a", content(contentA), "dl.example.com/a", "", true},
		{"commit as sha256 of a file", "pkg:npm/lib@1", content(commitA), "pkg:npm/lib", "", false},
		{"commit as sha256 of an image", "oci://gcr.io/acme/app", content(commitA), "gcr.io/acme/app", "", false},
		{"commit as gitCommit of an image", "oci://gcr.io/acme/app", commit("gitCommit", commitA), "gcr.io/acme/app", "", false},
		{"commit of a repository", "git+https://github.com/acme/app", content(commitA), "github.com/acme/app", "", true},
		{"short commit", "git+https://github.com/acme/app", commit("sha1", commitA[:12]), "github.com/acme/app", "", false},
		{"tree", "git+https://github.com/acme/app", commit("gitTree", commitA), "github.com/acme/app", "", false},
		{"weak", "pkg:docker/alpine@3", map[string]string{"md5": "00", "sha1": commitA}, "docker.io/library/alpine", "", false},
		{"the same twice", "oci://gcr.io/acme/app@sha256:" + contentA, content(contentA), "gcr.io/acme/app", "", true},
		{"two of an image", "oci://gcr.io/acme/app@sha256:" + contentA, content(contentB), "", "the URI at /d/0 names another digest than stands beside it", true},
		{"two of a package URL", "pkg:docker/alpine?digest=sha256:" + contentA, content(contentB), "", "the URI at /d/0 names another digest than stands beside it", true},
		{"two of a repository", "git+https://github.com/acme/app@" + commitA, commit("sha1", commitB), "", "the URI at /d/0 names another digest than stands beside it", true},
		{"two of an action", "pkg:githubactions/actions/checkout@" + commitA, commit("gitCommit", commitB), "", "the URI at /d/0 names another digest than stands beside it", true},
		{"commit beside a branch", "git+https://github.com/acme/app@main", commit("gitCommit", commitB), "github.com/acme/app", "", true},
	} {
		before := maps.Clone(c.digest)
		in, notes := inputOf(c.uri, c.digest)
		if in.Canonical != c.canonical || in.Pinned() != c.pinned || strings.Join(notes, "; ") != c.note {
			t.Errorf("%s: %q, pinned %v, notes %q; want %q, %v, %q", c.name, in.Canonical, in.Pinned(), notes, c.canonical, c.pinned, c.note)
		}
		if !maps.Equal(before, c.digest) {
			t.Errorf("%s: the digests as written were changed to %v", c.name, c.digest)
		}
	}
	// Of an URI alone, a whole commit and a digest are taken, a tag and an abbreviation are not.
	for uri, want := range map[string]map[string]string{
		"git+https://github.com/acme/app@" + commitA:     {"gitCommit": commitA},
		"git+https://github.com/acme/app@refs/tags/v1":   nil,
		"git+https://github.com/acme/app@" + commitA[:9]: nil,
		"oci://gcr.io/acme/app:1@sha256:" + contentA:     {"sha256": contentA},
		"oci://gcr.io/acme/app:1":                        nil,
	} {
		if in, _ := inputOf(uri, nil); !maps.Equal(in.Digest, want) {
			t.Errorf("%s: %v, want %v", uri, in.Digest, want)
		}
	}
}

// uriOf writes a canonical name as a URI of its kind.
func uriOf(in stemma.Input) string {
	switch in.Kind {
	case stemma.InputImage:
		return "oci://" + in.Canonical
	case stemma.InputGit:
		if strings.Contains(in.Canonical, ":443/") {
			return "git+http://" + in.Canonical
		}
		return "git+https://" + in.Canonical
	case stemma.InputHTTP:
		if strings.Contains(in.Canonical, ":443/") {
			return "http://" + in.Canonical // where 443 is not the usual port
		}
		return "https://" + in.Canonical
	case stemma.InputAction:
		if first, _, _ := strings.Cut(in.Canonical, "/"); strings.Contains(first, ".") {
			_, rest, _ := strings.Cut(in.Canonical, "/")
			parts := strings.SplitN(rest+"//", "/", 4)
			return "pkg:githubactions/" + parts[0] + "/" + parts[1] + "?repository_url=" + first + "#" + strings.Trim(parts[2]+"/"+parts[3], "/")
		}
		return "pkg:githubactions/" + in.Canonical
	}
	return in.Canonical
}

func FuzzInput(f *testing.F) {
	for _, uri := range []string{
		"pkg:docker/golang@1.20?digest=sha256:" + contentA + "&platform=linux%2Famd64", "oci://gcr.io:443/a/b:1", "https://DL.example.com:443/a%2bb?x", "git+https://github.com/Acme/App@v1",
		"pkg:githubactions/acme/build@v1?repository_url=https://acme.ghe.com#.github%2Fworkflows%2FX.yml", "pkg:npm/@acme/lib@1", "pkg:pypi/A_b", "github.com/acme/b/action.yml", "alpine@sha256:" + contentA,
	} {
		f.Add(uri, contentA)
	}
	f.Fuzz(func(t *testing.T, uri, hex string) {
		for _, digest := range []map[string]string{nil, {"sha256": hex}, {"sha1": hex}} {
			in, _ := inputOf(uri, digest)
			if in.Kind == "" || in.Kind == stemma.InputOther && in.Canonical != "" || in.Canonical == "" && in.Host != "" {
				t.Fatalf("%+v", in)
			}
			if in.Canonical == "" {
				return
			}
			lower := strings.ToLower(in.Canonical)
			host, path, _ := strings.Cut(in.Canonical, "/")
			if strings.Contains(lower, "..") || strings.Contains(lower, "%2f") || strings.Contains(lower, "%25") || strings.Contains(lower, "%2e") || strings.Contains(lower, "\\") ||
				strings.ContainsFunc(in.Canonical, func(c rune) bool { return c <= ' ' || c >= 0x7f }) || in.Kind != stemma.InputAction && host != strings.ToLower(host) || in.Host != strings.ToLower(in.Host) {
				t.Fatalf("%q has the name %q on %q", uri, in.Canonical, in.Host)
			}
			if in.Kind != stemma.InputHTTP && (strings.Contains(path, "//") || strings.HasSuffix(path, "/")) {
				t.Fatalf("%q has the name %q", uri, in.Canonical)
			}
			again, _ := inputOf(uriOf(in), nil)
			if again.Canonical != in.Canonical || again.Kind != in.Kind {
				t.Fatalf("%q has the name %q of %s; %q has %q of %s", uri, in.Canonical, in.Kind, uriOf(in), again.Canonical, again.Kind)
			}
		}
	})
}
