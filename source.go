package stemma

import (
	"errors"
	"fmt"
	"strings"
)

// maxURI is the longest URI that is read, in bytes. What is longer is no name of anything.
const maxURI = 2048

// CanonicalRepository returns the one name of a source repository, "github.com/acme/app": lower-case host, a port that
// is not the scheme's own, and the path, without scheme, user, ref and ".git". On GitHub's hosts the path is
// lower-case, too, since there case does not distinguish. Two URIs have equal names only if they lead to the same place.
//
// It takes the forms in which builders write a repository: git+https, https, http, ssh and git URLs, git@host:path,
// pkg:github package URLs, and host/path, each with "@ref" or "#ref" behind it or not. Whatever two readers could
// understand differently is an error: percent-encoding, "..", users other than git, backslashes, control and non-ASCII
// characters, queries, empty path segments, and hosts that are not plain qualified names.
func CanonicalRepository(uri string) (string, error) {
	repository, _, err := ParseRepository(uri)
	return repository, err
}

// ParseRepository is [CanonicalRepository] that also returns what stands behind @ or #: a ref or a commit, or "".
func ParseRepository(uri string) (repository, revision string, err error) {
	host, path, revision, err := splitRepository(uri)
	if err == nil {
		path, err = canonicalPath(host, path)
	}
	if err != nil {
		return "", "", fmt.Errorf("repository %.80q: %w", uri, err)
	}
	return host + "/" + path, revision, nil
}

func splitRepository(uri string) (host, path, revision string, err error) {
	fail := func(why string) (string, string, string, error) { return "", "", "", errors.New(why) }
	if len(uri) > maxURI {
		return fail("too long")
	}
	for i := range len(uri) {
		// CVE-2021-41087, CVE-2026-39821: what is decoded after the check is something else than what was checked.
		c := uri[i]
		if c >= 0x7f {
			return fail("a character that is not ASCII")
		}
		switch c {
		case '%', '\\', '?', '"', '<', '>', '^', '`', '{', '|', '}':
			return fail(fmt.Sprintf("character %q is not taken", rune(c)))
		}
		if c <= ' ' {
			return fail(fmt.Sprintf("character %q is not taken", rune(c)))
		}
	}
	if strings.Contains(uri, "..") {
		return fail(`".." is not taken`)
	}
	rest, fragment, found := strings.Cut(uri, "#")
	if found && (fragment == "" || strings.Contains(fragment, "#")) {
		return fail("the part behind # is empty or ambiguous")
	}
	authority, path, scheme, err := splitAuthority(rest)
	if err != nil {
		return "", "", "", err
	}
	if host, err = canonicalHost(authority, scheme); err != nil {
		return "", "", "", err
	}
	path, revision, at := strings.Cut(path, "@")
	switch {
	case at && revision == "":
		return fail("nothing behind @")
	case strings.Contains(path, "//"), strings.Contains(revision, "//"):
		return fail("empty path segment")
	case !at:
		revision, _, _ = strings.Cut(fragment, ":") // BuildKit: ref:subdirectory
	}
	return host, path, revision, nil
}

// splitAuthority tells apart the forms of a URI.
func splitAuthority(s string) (authority, path, scheme string, err error) {
	name, ok := strings.CutPrefix(s, "pkg:")
	if ok {
		if path, ok = strings.CutPrefix(name, "github/"); !ok {
			return "", "", "", errors.New("of package URLs, only pkg:github names a repository")
		}
		return "github.com", path, "https", nil
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		if authority, path, ok = strings.Cut(rest, "/"); !ok {
			return "", "", "", errors.New("no path")
		}
		return authority, path, strings.TrimPrefix(strings.ToLower(scheme), "git+"), nil
	}
	if rest, ok := strings.CutPrefix(s, "git@"); ok {
		host, path, ok := strings.Cut(rest, ":")
		// git@host:22/app is a path that begins with 22 to one reader and a port to another.
		if first, _, _ := strings.Cut(path, "/"); !ok || isDigits(first) || strings.Contains(host, "/") {
			return "", "", "", errors.New("want git@host:path")
		}
		return host, path, "", nil
	}
	if authority, path, ok = strings.Cut(s, "/"); !ok {
		return "", "", "", errors.New("no path")
	}
	return authority, path, "", nil
}

func canonicalHost(authority, scheme string) (string, error) {
	own := ""
	switch scheme {
	case "":
	case "https":
		own = "443"
	case "http":
		own = "80"
	case "ssh":
		own = "22"
	case "git":
		own = "9418"
	default:
		return "", fmt.Errorf("scheme %q is not taken", scheme)
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		// github.com@evil.com is evil.com.
		if authority[:i] != "git" {
			return "", errors.New("a user other than git is not taken")
		}
		authority = authority[i+1:]
	}
	host, port, hasPort := strings.Cut(authority, ":")
	host = strings.ToLower(host)
	switch {
	case !IsHost(host):
		return "", fmt.Errorf("host %q is not a plain qualified name", host)
	case !hasPort, port == own && own != "":
		return host, nil
	case len(port) > 5 || !isDigits(port) || port[0] == '0':
		return "", fmt.Errorf("port %q", port)
	}
	return host + ":" + port, nil
}

// IsHost reports whether s is a lower-case host name of at least two labels. International names are refused in both
// their forms: they exist to look like others.
func IsHost(s string) bool {
	if len(s) > 253 || strings.IndexByte(s, '.') < 0 {
		return false
	}
	for l := range strings.SplitSeq(s, ".") {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.HasPrefix(l, "xn--") {
			return false
		}
		for i := range len(l) {
			if c := l[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

func canonicalPath(host, path string) (string, error) {
	github := host == "github.com" || strings.HasSuffix(host, ".ghe.com")
	if github {
		path = strings.ToLower(path)
	}
	path = strings.TrimSuffix(strings.TrimSuffix(path, "/"), ".git")
	if strings.HasSuffix(path, ".git") {
		return "", errors.New(`".git" twice`)
	}
	segments := 0
	for s := range strings.SplitSeq(path, "/") {
		segments++
		if s == "" || s == "." {
			return "", errors.New("empty path segment")
		}
		for i := range len(s) {
			if c := s[i]; !isAlphanumeric(c) && c != '-' && c != '.' && c != '_' && c != '~' && c != '+' {
				return "", fmt.Errorf("character %q is not taken in a path", rune(c))
			}
		}
	}
	if github && segments != 2 {
		return "", errors.New("want owner/name on this host")
	}
	return path, nil
}

// IsCommit reports whether s is a whole git object name, of SHA-1 or SHA-256.
func IsCommit(s string) bool { return (len(s) == 40 || len(s) == 64) && isLowerHex(s) }

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// IsRef follows git-check-ref-format, for full and for short names.
func IsRef(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f || strings.IndexByte("~^:?*[\\", c) >= 0 {
			return false
		}
	}
	for _, bad := range []string{"..", "@{", "//"} {
		if strings.Contains(s, bad) {
			return false
		}
	}
	for _, c := range strings.Split(s, "/") {
		if c == "" || c[0] == '.' || strings.HasSuffix(c, ".lock") {
			return false
		}
	}
	return s != "@" && !strings.HasSuffix(s, ".") && s[0] != '-'
}

// Workflow is the identity of a workflow file of GitHub Actions, as it stands in a certificate's subject alternative name.
type Workflow struct {
	Repository string // canonical: "github.com/acme/build"
	Path       string // without host and ref, as written: "acme/build/.github/workflows/image.yml"
	File       string // name in .github/workflows
	Ref        string // "refs/tags/v2", or the commit at which a caller pinned it
}

// ParseWorkflow reads "https://github.com/acme/build/.github/workflows/image.yml@refs/tags/v2", of any host. A file's
// name may hold an '@', and so may a ref; "@refs/" can stand in the latter only, since a workflow lies in no subdirectory.
func ParseWorkflow(uri string) (Workflow, bool) {
	repository, rest, ok := strings.Cut(uri, "/.github/workflows/")
	if !ok || !strings.HasPrefix(uri, "https://") {
		return Workflow{}, false
	}
	canonical, revision, err := ParseRepository(repository)
	at := strings.Index(rest, "@refs/")
	if at < 0 {
		at = strings.LastIndexByte(rest, '@')
	}
	if err != nil || revision != "" || at <= 0 || at+1 == len(rest) || strings.ContainsAny(rest[:at], "/%?#\\ ") {
		return Workflow{}, false
	}
	host, path, _ := strings.Cut(strings.TrimPrefix(uri[:len(repository)+len("/.github/workflows/")+at], "https://"), "/")
	if !strings.HasPrefix(canonical, host+"/") {
		return Workflow{}, false // an authority writes one spelling of a host, and policies name that
	}
	return Workflow{Repository: canonical, Path: path, File: rest[:at], Ref: rest[at+1:]}, true
}
