package policy

import (
	"testing"

	"stemma"
)

// A subject that is not exactly a workflow of GitHub at a ref is none: nothing in it is decoded, resolved or cut off.
func TestParseWorkflow(t *testing.T) {
	for subject, want := range map[string]stemma.Workflow{
		trustedSAN:                                                {Path: "trusted/builders/.github/workflows/build.yml", Ref: "refs/tags/v1.2.3"},
		trustedWorkflow + "@" + commitOfBuilder:                   {Path: "trusted/builders/.github/workflows/build.yml", Ref: commitOfBuilder},
		trustedWorkflow + "@refs/heads/x@refs/tags/v1":            {Path: "trusted/builders/.github/workflows/build.yml", Ref: "refs/heads/x@refs/tags/v1"},
		"https://github.com/a/b/.github/workflows/x@y.yml@refs/z": {Path: "a/b/.github/workflows/x@y.yml", Ref: "refs/z"},

		"":                    {},
		trustedWorkflow:       {},
		trustedWorkflow + "@": {},
		"https://github.com/a/b/.github/workflows/@refs/heads/x":       {},
		"https://github.com/a//.github/workflows/x.yml@refs/heads/x":   {},
		"https://github.com/a/./.github/workflows/x.yml@refs/heads/x":  {},
		"https://github.com/a/../.github/workflows/x.yml@refs/heads/x": {},
		"https://github.com/a/b%2F/.github/workflows/x.yml@refs/h":     {},
		"https://github.com/a/b?c/.github/workflows/x.yml@refs/h":      {},
		"https://github.com/a/b#c/.github/workflows/x.yml@refs/h":      {},
		`https://github.com/a/b\c/.github/workflows/x.yml@refs/h`:      {},
		"https://github.com/a/b c/.github/workflows/x.yml@refs/h":      {},
		"https://github.com/a/b/workflows/.github/x.yml@refs/heads/x":  {},
	} {
		got, ok := stemma.ParseWorkflow(subject)
		if got.Path != want.Path || got.Ref != want.Ref || ok != (want != stemma.Workflow{}) {
			t.Errorf("%q: %v %v", subject, got, ok)
		}
	}
}

// A workflow of another host than the issuer's is none of that issuer's, whatever its path.
func TestWorkflowOfAnotherHost(t *testing.T) {
	g := Signer{GitHub: &GitHub{Workflow: "trusted/builders/.github/workflows/build.yml", WorkflowRefs: []Pattern{"refs/tags/*"}}}
	if d := g.differs(githubSigner(trustedSAN)); d.reason != "" {
		t.Errorf("the workflow itself: %v", d)
	}
	for _, host := range []string{"gitlab.com", "github.com.evil.example", "acme.ghe.com"} {
		id := githubSigner("https://" + host + "/trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.3")
		if d := g.differs(id); d.reason != stemma.ReasonBuilder {
			t.Errorf("%s: %v", host, d)
		}
	}
}

func TestDistinctID(t *testing.T) {
	key := keySigner("acme-kms", "a")
	renamed, another := key, keySigner("acme-kms", "b")
	renamed.KeyID, renamed.Trust = "b", "chains"
	same := githubSigner("https://github.com/Trusted/BUILDERS/.github/workflows/build.yml@refs/heads/main")
	file := githubSigner("https://github.com/trusted/builders/.github/workflows/Build.yml@refs/tags/v1.2.3")
	issuer := githubSigner(trustedSAN)
	issuer.Issuer = "https://issuer.example"
	for name, c := range map[string]struct {
		a, b stemma.Identity
		same bool
	}{
		"one key, two names":     {key, renamed, true},
		"two keys":               {key, another, false},
		"case of the owner":      {githubSigner(trustedSAN), same, true},
		"case of the file":       {githubSigner(trustedSAN), file, false},
		"another issuer":         {githubSigner(trustedSAN), issuer, false},
		"key and certificate":    {key, githubSigner(trustedSAN), false},
		"nobody and a no-key ID": {stemma.Identity{}, stemma.Identity{KeyID: "x"}, false},
	} {
		if got := distinctID(c.a) == distinctID(c.b); got != c.same {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What no canonical name has matches no pattern, not even "**".
func TestCanonicalOnly(t *testing.T) {
	for _, name := range []string{"a", "a/b", "ghcr.io:5000/a-b/c_d.e", "refs/heads/größe"} {
		if _, ok := Pattern("**").match(name, nil); !ok {
			t.Errorf("%q matches nothing", name)
		}
	}
	for _, name := range []string{"", "/", "a/", "/a", "a//b", "a/./b", "a/../b", "..", "a\nb", "a b", "a\x00", "a\x7f", "a\u202eb", "a\u200bb", "a\u2028", "a\xff"} {
		for _, p := range []Pattern{"**", "*", "{x}", "{x**}", "a*", "a/**"} {
			if _, ok := p.match(name, nil); ok {
				t.Errorf("%q matches %s", name, p)
			}
		}
	}
}
