package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

// TestRawErrors has the inputs that no text archive can hold. The others are in testdata/errors.
func TestRawErrors(t *testing.T) {
	crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	near := change(t, f0Policy, "maxAge: 90d", "maxage: 90d")
	const pointed = `policy.yaml:15:61: unknown key "maxage" in provenance
  15 |   provenance: {by: [release], formats: [slsa/v1], level: 3, maxage: 90d}
     |                                                             ^^^^^^
  did you mean "maxAge"?`
	for _, c := range []struct{ name, data, want string }{
		{"LF", near, pointed},
		{"CRLF", crlf(near), pointed},
		{"CR", strings.ReplaceAll(near, "\n", "\r"), pointed},
		{"byte-order mark", "\ufeff" + near, pointed},
		{"byte-order mark, first line", "\ufeffapiVersion: v1\nkind: ImageTrustPolicy\nmetadata: {name: app}\nspec: {match: {images: [\"**\"]}}\n", "policy.yaml:1:13: unknown apiVersion \"v1\"\n  1 | apiVersion: v1\n    |             ^^\n  write apiVersion: policy.stemma.dev/v1alpha1"},
		{"line separators of YAML 1.1", "# a\u2028# b\u0085# c\u2029" + near, strings.ReplaceAll(strings.Replace(pointed, ":15:", ":18:", 1), "  15 |", "  18 |")},
		{"NUL", change(t, f0Policy, "release]", "re\x00lease]"), "policy.yaml: not valid YAML: control characters are not allowed"},
		{"invalid UTF-8", change(t, f0Policy, "release]", "re\xfflease]"), "policy.yaml: not valid UTF-8"},
		{"UTF-16", "\xff\xfea\x00", "policy.yaml: not valid UTF-8"},
		{"over 1 MiB", f0Policy + strings.Repeat("#", 1<<20), fmt.Sprintf("policy.yaml: policy file of %d bytes is over the limit of 1048576", len(f0Policy)+1<<20)},
		{"many documents", strings.Repeat("--- {a: b}\n", 257), "policy.yaml: more than 256 documents"},
		{"tab after a key", change(t, f0Policy, "provenance: {", "provenance:\t{", "maxAge: 90d", "maxage: 90d"), pointed},
		{"a long line", change(t, f0Policy, "maxAge: 90d", strings.Repeat(" ", 300)+"maxage: 90d"), "policy.yaml:15:361: unknown key \"maxage\" in provenance\n  did you mean \"maxAge\"?"},
		{"escape sequences", change(t, f0Policy, "level: 3, maxAge: 90d", "\"\\e[31mx\": 3"), "policy.yaml:15:51: unknown key \"\\x1b[31mx\" in provenance\n  15 |   provenance: {by: [release], formats: [slsa/v1], \"\\e[31mx\": 3}\n     |                                                   ^^^^^^^^\n  known here: by, formats, level, maxAge, agreement"},
		{"direction override", change(t, f0Policy, "maxAge: 90d", "\u202emaxage: 90d"), "policy.yaml:15:61: unknown key \"\\u202emaxage\" in provenance\n  15 |   provenance: {by: [release], formats: [slsa/v1], level: 3, \ufffdmaxage: 90d}\n     |                                                             ^^^^^^^\n  known here: by, formats, level, maxAge, agreement"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(File{Name: "policy.yaml", Data: []byte(c.data)})
			if err == nil {
				t.Fatal("loaded")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestManyErrors: a file of nothing but mistakes is not answered with as many lines.
func TestManyErrors(t *testing.T) {
	text := f0Policy
	for i := range 100 {
		text += fmt.Sprintf("    x%d: y\n", i)
	}
	var errs Errors
	if _, err := Load(files(text)...); !errors.As(err, &errs) || len(errs) != maxErrors {
		t.Errorf("%d errors", len(errs))
	}
}

// TestDigestSame: one meaning has one digest, however it is written.
func TestDigestSame(t *testing.T) {
	base := load(t, keySet+strings.TrimPrefix(chainsPolicy, keySet)+"---\n"+f0Policy)
	same := func(name, text string) {
		t.Helper()
		if set := load(t, text); set.Digest != base.Digest {
			t.Errorf("%s: another digest", name)
		}
	}
	text := keySet + strings.TrimPrefix(chainsPolicy, keySet) + "---\n" + f0Policy
	same("CRLF", strings.ReplaceAll(text, "\n", "\r\n"))
	same("comments", strings.ReplaceAll(text, "spec:\n", "spec: # what\n\n  # and more\n"))
	same("order of documents", f0Policy+"---\n"+text[:len(text)-len(f0Policy)-4])
	same("other quotes", change(t, text, `"refs/tags/v1.*"`, `'refs/tags/v1.*'`, "ownerID: 48120341", `ownerID: "48120341"`))
	same("block for flow", change(t, text, "        caller: {ownerID: 48120341}\n", "        caller:\n          ownerID: 48120341\n"))
	same("order of keys", change(t, text, "        caller: {ownerID: 48120341}\n", "", "        runner: github-hosted\n", "        runner: github-hosted\n        caller: {ownerID: 48120341}\n"))
	same("defaults written out", change(t, text,
		"{name: app}\nspec:\n", "{name: app}\nspec:\n  mode: enforce\n",
		"    release:\n      github:\n", "    release:\n      trust: public-good\n      github:\n        issuer: "+GitHubIssuer+"\n",
		"    repository: github.com/acme/{service}\n", "    repository: github.com/acme/{service}\n    saidBy: certificate\n",
		"{name: acme}\nspec:\n", "{name: acme}\nspec:\n  unmatched: refuse\n",
		"{log: none, sct: none}", "{log: none, sct: none, timestamp: required}"))
	same("a list and its threshold", change(t, text, "by: [release]", "by: {atLeast: 1, of: [release]}"))
	same("a day in hours", change(t, text, "maxAge: 90d", "maxAge: 2160h"))
	if f0 := load(t, f0Policy); f0.policies[0].id != base.policies[0].id {
		t.Error("a policy has another id beside others")
	}
	const domain = "  trust: [{name: own, trustedRoot: %s}]\n---\n"
	head := strings.SplitAfter(keySet, "spec:\n")[0]
	block := load(t, head+fmt.Sprintf(domain, `{b: 1, a: [x, true, "1"]}`)+f0Policy)
	quoted := load(t, head+fmt.Sprintf(domain, `'{"a":["x" , true,"1"],  "b":1}'`)+f0Policy)
	if block.Digest != quoted.Digest || string(block.Trust()[0].TrustedRoot) != `{"a":["x",true,"1"],"b":1}` {
		t.Errorf("a trusted root as block and as text: %s", block.Trust()[0].TrustedRoot)
	}
}

// TestDigestDiffers: every change of meaning has another digest.
func TestDigestDiffers(t *testing.T) {
	text := change(t, keySet, "spec:\n", "spec:\n  help: {contact: x}\n") + f0Policy
	seen := map[stemma.Digest]string{load(t, text).Digest: "as it is"}
	for _, c := range [][]string{
		{"name: app", "name: app2"},
		{"name: acme}", "name: acme2}"},
		{"spec:\n  help", "spec:\n  unmatched: warn\n  help"},
		{"spec:\n  help", "spec:\n  version: 2\n  help"},
		{"contact: x", "contact: y"},
		{"from: 2026-01-01", "from: 2026-01-02"},
		{", from: 2026-01-01", ""},
		{"until: 2027-01-31", "until: 2027-02-01"},
		{"{log: none, sct: none}", "{sct: none}"},
		{"{log: none, sct: none}", "{log: none}"},
		{"{log: none, sct: none}", "{log: none, sct: none, timestamp: none}"},
		{"      time: none\n", ""},
		{"name: chains-2026", "name: chains-2027"},
		{"match: {images", "mode: warn\n  match: {images"},
		{"match: {images", "mode: audit\n  match: {images"},
		{`ghcr.io/acme/{service}"]`, `ghcr.io/acme/{service}"], except: ["ghcr.io/acme/x"]`},
		{`images: ["ghcr.io/acme/{service}"]`, `images: ["ghcr.io/acme/{service}", "docker.io/acme/{service}"]`},
		{`images: ["ghcr.io/acme/{service}"]`, `images: ["docker.io/acme/{service}", "ghcr.io/acme/{service}"]`},
		{"    release:\n      github:\n", "    release:\n      trust: github\n      github:\n"},
		{"workflows/build.yml", "workflows/*.yml"},
		{"refs/tags/v1.*", "refs/tags/v*"},
		{"ownerID: 48120341", "ownerID: 48120342"},
		{"ownerID: 48120341", "repositoryID: 48120341"},
		{"events: [push, release]", "events: [push]"},
		{"        runner: github-hosted\n", ""},
		{"      level: 3\n", "      level: 1\n"},
		{"      level: 3\n", ""},
		{"formats: [slsa/v1]", "formats: [slsa/v0.2]"},
		{", formats: [slsa/v1]", ""},
		{"level: 3, maxAge", "level: 1, maxAge"},
		{", maxAge: 90d", ""},
		{"maxAge: 90d", "maxAge: 90m"},
		{"repository: github.com/acme/{service}", "repository: github.com/acme/*"},
		{"refs: [refs/heads/main, ", "saidBy: tenant\n    refs: [refs/heads/main, "},
		{"refs: [refs/heads/main, ", "refs: ["},
		{"  source:\n", "  signature: {by: [release]}\n  source:\n"},
	} {
		name := strings.Join(c, " → ")
		d := load(t, change(t, text, c...)).Digest
		if other, ok := seen[d]; ok {
			t.Errorf("%q and %q have one digest", name, other)
		}
		seen[d] = name
	}
}
