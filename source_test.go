package stemma

import (
	"strings"
	"testing"
)

// One repository, many spellings.
func TestReg_D02_canonical(t *testing.T) {
	for want, uris := range map[string][]string{
		"github.com/acme/app": {
			"git+https://github.com/acme/app@refs/tags/v2",
			"git+https://github.com/acme/app@refs/heads/release/2@next",
			"https://github.com/acme/app",
			"https://github.com/acme/app/",
			"https://github.com/acme/app.git",
			"https://github.com/acme/app.git/",
			"https://github.com/acme/app.git#refs/heads/main:dir",
			"https://github.com/acme/app.git#3f1c2b3a4d5e6f708192a3b4c5d6e7f801234567",
			"https://github.com:443/acme/app",
			"http://github.com:80/acme/app",
			"https://GitHub.COM/acme/app",
			"HTTPS://github.com/acme/app",
			"git://github.com/acme/app.git",
			"git://github.com:9418/acme/app",
			"ssh://git@github.com/acme/app.git",
			"ssh://git@github.com:22/acme/app",
			"git+ssh://git@github.com/acme/app@v1",
			"git@github.com:acme/app.git",
			"git@github.com:acme/app",
			"pkg:github/acme/app@v2.0.0",
			"pkg:github/acme/app",
			"github.com/acme/app",
			"https://git@github.com/acme/app",
		},
		"gitlab.com/Group/Sub/app": {"https://gitlab.com/Group/Sub/app.git", "git@gitlab.com:Group/Sub/app.git", "gitlab.com/Group/Sub/app"},
		"git.acme.example:8443/a":  {"https://git.acme.example:8443/a", "git.acme.example:8443/a.git"},
		"acme.ghe.com/team/app":    {"https://acme.ghe.com/Team/App.git"},
		"git.sr.ht/~user/app":      {"https://git.sr.ht/~user/app"},
	} {
		for _, uri := range uris {
			if got, err := CanonicalRepository(uri); err != nil || got != want {
				t.Errorf("%q: got %q, %v; want %q", uri, got, err, want)
			}
		}
	}
}

// What two readers could understand differently is no name. Source: CVE-2021-41087, CVE-2026-39821, CVE-2026-26205.
func TestReg_D03_confusing_uris(t *testing.T) {
	for uri, why := range map[string]string{
		"https://github.com/acme/app%2F..%2Fevil":         `character '%' is not taken`,
		"https://github.com/acme%2Fapp":                   `character '%' is not taken`,
		"https://github.com/acme/app/../evil":             `".." is not taken`,
		"https://github.com/acme/..":                      `".." is not taken`,
		"https://github.com@evil.com/acme/app":            "a user other than git is not taken",
		"https://git:secret@github.com/acme/app":          "a user other than git is not taken",
		"https://git@github.com@evil.com/acme/app":        "a user other than git is not taken",
		"https://x-access-token@github.com/acme/app":      "a user other than git is not taken",
		"user@github.com:acme/app":                        "a user other than git is not taken",
		"https://gıthub.com/acme/app":                     "a character that is not ASCII",
		"https://xn--gthub-n4a.com/acme/app":              `host "xn--gthub-n4a.com" is not a plain qualified name`,
		"https://github.com//acme/app":                    "empty path segment",
		"https://github.com/acme//app":                    "empty path segment",
		"https://github.com/acme/app//":                   "empty path segment",
		"https://github.com/acme/app@refs//tags/v1":       "empty path segment",
		"https://github.com/acme/./app":                   "empty path segment",
		"https://github.com/acme/.git":                    "empty path segment",
		"https://github.com/acme/app.git.git":             `".git" twice`,
		"https://github.com/acme/app\x00.example":         `character '\x00' is not taken`,
		"https://github.com/acme/app\nx":                  `character '\n' is not taken`,
		"https://github.com\\@evil.com/acme/app":          `character '\\' is not taken`,
		"https://github.com/acme/app?x=y":                 `character '?' is not taken`,
		"pkg:github/acme/app?repository_url=evil.com":     `character '?' is not taken`,
		"https://github.com./acme/app":                    `host "github.com." is not a plain qualified name`,
		"https://.github.com/acme/app":                    `host ".github.com" is not a plain qualified name`,
		"https://[::1]/acme/app":                          `host "[" is not a plain qualified name`,
		"https://github/acme/app":                         `host "github" is not a plain qualified name`,
		"acme/app":                                        `host "acme" is not a plain qualified name`,
		"https://github.com:/acme/app":                    `port ""`,
		"https://github.com:0443/acme/app":                `port "0443"`,
		"https://github.com:443x/acme/app":                `port "443x"`,
		"https://github.com:443:80/acme/app":              `port "443:80"`,
		"git@github.com:22/acme/app":                      "want git@host:path",
		"git@github.com/acme:app":                         "want git@host:path",
		"git@github.com:/acme/app":                        "empty path segment",
		"https://github.com/acme":                         "want owner/name on this host",
		"https://github.com/acme/app/tree/main":           "want owner/name on this host",
		"https://github.com":                              "no path",
		"github.com":                                      "no path",
		"":                                                "no path",
		"pkg:gitlab/acme/app":                             "of package URLs, only pkg:github names a repository",
		"pkg:docker/github.com/acme/app":                  "of package URLs, only pkg:github names a repository",
		"file:///github.com/acme/app":                     `scheme "file" is not taken`,
		"git+git+https://github.com/acme/app":             `scheme "git+https" is not taken`,
		"javascript://github.com/acme/app":                `scheme "javascript" is not taken`,
		"https://github.com/acme/app@":                    "nothing behind @",
		"https://github.com/acme/app#":                    "the part behind # is empty or ambiguous",
		"https://github.com/acme/app#a#b":                 "the part behind # is empty or ambiguous",
		"https://github.com/acme/app:evil":                "character ':' is not taken in a path",
		"https://github.com/" + strings.Repeat("a", 3000): "too long",
	} {
		got, err := CanonicalRepository(uri)
		if err == nil {
			t.Errorf("%q: taken as %q", uri, got)
			continue
		}
		if !strings.HasSuffix(err.Error(), ": "+why) {
			t.Errorf("%q: refused for %q, want %q", uri, err, why)
		}
	}
	// These are names, and not of github.com.
	for uri, want := range map[string]string{
		"https://github.com.evil.com/acme/app":        "github.com.evil.com/acme/app",
		"https://www.github.com/acme/app":             "www.github.com/acme/app",
		"https://github.com:8443/acme/app":            "github.com:8443/acme/app",
		"https://evil.com/github.com/acme/app":        "evil.com/github.com/acme/app",
		"https://evil.com/x@https:/github.com/acme":   "evil.com/x",
		"https://evil-ghe.com/Acme/App":               "evil-ghe.com/Acme/App",
		"https://github.com.evil.com/acme/app#github": "github.com.evil.com/acme/app",
		"http://github.com:443/acme/app":              "github.com:443/acme/app",
	} {
		if got, err := CanonicalRepository(uri); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", uri, got, err, want)
		}
	}
}

// Case does not distinguish on GitHub's hosts, and does elsewhere.
func TestReg_D04_owner_case(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"https://github.com/ACME/App", "https://github.com/acme/app", true},
		{"https://Acme.ghe.com/Team/App.GIT", "https://acme.ghe.com/team/app", true},
		{"https://gitlab.com/ACME/App", "https://gitlab.com/acme/app", false},
		{"https://github.com.evil.com/ACME/App", "https://github.com.evil.com/acme/app", false},
		{"https://GITLAB.com/acme/app", "https://gitlab.com/acme/app", true},
	} {
		x, err := CanonicalRepository(c.a)
		if err != nil {
			t.Fatal(err)
		}
		y, err := CanonicalRepository(c.b)
		if err != nil {
			t.Fatal(err)
		}
		if (x == y) != c.same {
			t.Errorf("%q is %q and %q is %q; same: want %v", c.a, x, c.b, y, c.same)
		}
	}
}

func TestRefs(t *testing.T) {
	for ref, want := range map[string]bool{
		"refs/heads/main": true, "main": true, "refs/pull/7/merge": true, "refs/heads/a@b": true, "refs/heads/größe": true,
		"refs/heads/a..b": false, "refs/heads/": false, "/refs": false, "refs//heads": false, "refs/heads/a.lock": false,
		"refs/heads/.a": false, "refs/heads/a b": false, "refs/heads/a\x1b[1m": false, "refs/heads/a~1": false, "refs/heads/a^": false,
		"refs/heads/*": false, "refs/heads/a:b": false, "refs/heads/a?": false, "refs/heads/[a]": false, `refs\heads`: false,
		"refs/heads/a@{1}": false, "@": false, "a.": false, "-a": false,
	} {
		if IsRef(ref) != want {
			t.Errorf("IsRef(%q) is not %v", ref, want)
		}
	}
}

func TestWorkflowIdentity(t *testing.T) {
	for uri, want := range map[string]Workflow{
		"https://github.com/Acme/app/.github/workflows/release.yml@refs/heads/main":                    {"github.com/acme/app", "Acme/app/.github/workflows/release.yml", "release.yml", "refs/heads/main"},
		"https://github.com/acme/app/.github/workflows/a@b.yml@refs/tags/v1@x":                         {"github.com/acme/app", "acme/app/.github/workflows/a@b.yml", "a@b.yml", "refs/tags/v1@x"},
		"https://github.com/acme/app/.github/workflows/a.yml@9f6d9dc1f6d9dc1f6d9dc1f6d9dc1f6d9dc1f6d9": {"github.com/acme/app", "acme/app/.github/workflows/a.yml", "a.yml", "9f6d9dc1f6d9dc1f6d9dc1f6d9dc1f6d9dc1f6d9"},
		"https://github.com/acme/app/.github/workflows/a.yml":                                          {},
		"https://github.com/acme/app/.github/workflows/@refs/heads/main":                               {},
		"https://github.com/acme/app/.github/workflows/x/a.yml@refs/heads/main":                        {},
		"https://github.com/acme/app@v1/.github/workflows/a.yml@refs/heads/main":                       {},
		"https://github.com/acme/.github/workflows/a.yml@refs/heads/main":                              {},
		"http://github.com/acme/app/.github/workflows/a.yml@refs/heads/main":                           {},
		"https://GITHUB.COM/acme/app/.github/workflows/a.yml@refs/heads/main":                          {},
		"https://github.com:443/acme/app/.github/workflows/a.yml@refs/heads/main":                      {},
		"https://git@github.com/acme/app/.github/workflows/a.yml@refs/heads/main":                      {},
		"someone@acme.example": {},
	} {
		got, ok := ParseWorkflow(uri)
		if ok != (want != Workflow{}) || ok && got != want {
			t.Errorf("%q: got %v, %v", uri, got, ok)
		}
	}
}

func FuzzCanonicalRepository(f *testing.F) {
	for _, s := range []string{
		"git+https://github.com/acme/app@refs/tags/v2", "https://github.com@evil.com/a/b", "git@github.com:acme/app.git",
		"https://evil.com/https://github.com/acme/app", "pkg:github/acme/app@v1", "ssh://git@GITHUB.com:22/a/b.git/", "github.com:443/a/b",
		"https://evil.com#@github.com/a/b", "https://evil.com/@github.com/a/b", "git+ssh://git@git@github.com/a/b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		got, err := CanonicalRepository(uri)
		if err != nil {
			if got != "" {
				t.Errorf("an error and a name: %q", got)
			}
			return
		}
		if again, err := CanonicalRepository(got); err != nil || again != got {
			t.Errorf("%q is %q, which is %q, %v", uri, got, again, err)
		}
		host, path, _ := strings.Cut(got, "/")
		if !strings.Contains(strings.ToLower(uri), host) && !strings.HasPrefix(uri, "pkg:github/") {
			t.Errorf("%q is %q, and does not hold its host", uri, got)
		}
		// Only what begins with the host, after scheme and user, is on github.com.
		if host == "github.com" {
			rest := strings.ToLower(uri)
			if i := strings.Index(rest, "://"); i >= 0 {
				rest = rest[i+3:]
			}
			rest = strings.TrimPrefix(rest, "git@")
			if !strings.HasPrefix(rest, "github.com/") && !strings.HasPrefix(rest, "github.com:") && !strings.HasPrefix(rest, "pkg:github/") {
				t.Errorf("%q is %q", uri, got)
			}
			if strings.Count(path, "/") != 1 {
				t.Errorf("%q is %q", uri, got)
			}
		}
		if strings.ContainsAny(got, "%\\@?# ") || strings.Contains(got, "//") || strings.Contains(got, "..") {
			t.Errorf("%q is %q", uri, got)
		}
	})
}
