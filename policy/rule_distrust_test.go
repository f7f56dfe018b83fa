package policy

import (
	"strings"
	"testing"

	"stemma"
)

// A name in a list of distrust is met in every form in which evidence states it, and in no other.
func TestReg_C13_distrust_forms(t *testing.T) {
	const run = "https://github.com/acme/app/actions/runs/15920000001"
	const workflow = "github.com/trusted/builders/.github/workflows/build.yml"
	for _, c := range []struct {
		run, entry string
		deny       bool
	}{
		{run + "/attempts/3", `runs: ["github.com/acme/app/actions/runs/15920000001"]`, true},
		{run + "/attempts/3", `runs: ["github.com/acme/app/actions/runs/15920000001/**"]`, true},
		{run + "/attempts/3", `runs: ["github.com/acme/app/actions/runs/15920000001/attempts/3"]`, true},
		{run + "/attempts/3", `runs: ["github.com/acme/app/actions/runs/15920000001/attempts/1"]`, false},
		{run + "/attempts/3", `runs: ["github.com/acme/app/actions/runs/1592000000"]`, false},
		{run + "/attempts/3", `runs: ["github.com/acme/app/actions/runs/15920000002"]`, false},
		// Who does not say which attempt it was may have been any.
		{run, `runs: ["github.com/acme/app/actions/runs/15920000001"]`, true},
		{run, `runs: ["github.com/acme/app/actions/runs/15920000001/**"]`, true},
		{run, `runs: ["github.com/acme/app/actions/runs/15920000001/attempts/1"]`, true},
		{run, `runs: ["github.com/acme/app/actions/runs/15920000001/*/2"]`, true},
		{run, `runs: ["github.com/acme/app/actions/runs/15920000001/jobs/1"]`, false},
		{run, `runs: ["github.com/acme/app/actions/runs/15920000002/attempts/1"]`, false},
		{run, `runs: ["github.com/acme/app/actions/runs/15920000002/**"]`, false},

		{runA, `builders: ["` + workflow + `"]`, true},
		{runA, `builders: ["github.com/Trusted/Builders/.github/workflows/*"]`, true},
		{runA, `builders: ["` + workflow + `@*/**"]`, true},
		{runA, `builders: ["` + workflow + `@refs/tags/v1.2.3"]`, true},
		{runA, `builders: ["` + workflow + `@refs/tags/v1.2.4"]`, false},
		{runA, `builders: ["github.com/trusted/builders/.github/workflows/build"]`, false},
		{runA, `builders: ["github.com/trusted/builders/.github/workflows/build.yaml"]`, false},
		{runA, `signers: ["` + workflow + `"]`, true},
		{runA, `signers: ["` + workflow + `@refs/tags/v1.2.4"]`, false},
		{runA, `signers: ["github.com/trusted/builders/.github/workflows/build.yaml"]`, false},

		{runA, `issuers: ["https://token.actions.githubusercontent.com/"]`, true},
		{runA, `issuers: ["https://Token.Actions.GitHubUserContent.com"]`, true},
		{runA, `issuers: ["https://token.actions.githubusercontent.com/acme"]`, false},
		{runA, `issuers: ["https://actions.githubusercontent.com/"]`, false},
	} {
		d := evaluate(t, f0Policy+distrust(c.entry), builtIn(c.run))
		if c.deny {
			only(t, d, "image.distrusted", stemma.ReasonDistrusted)
		} else {
			allowed(t, d)
		}
		if t.Failed() {
			t.Fatalf("%s of %s", c.entry, c.run)
		}
	}
	// An address has no ref: its name alone is not the name of everybody's.
	if f := finding(t, evaluate(t, f0Policy+distrust(`signers: ["jane"]`), san("jane@acme.example")), "image.distrusted"); f.Outcome != stemma.Pass {
		t.Errorf("%+v", f)
	}
}

// What says how to build is as bad as what was built: a poisoned pipeline or task leaves evidence of good sources.
func TestReg_C13_distrust_definitions(t *testing.T) {
	pipelines, fork := strings.Repeat("d", 40), strings.Repeat("e", 40)
	defined := func(value string) func(*stemma.Evidence) {
		return claim(stemma.FieldDefinition, said(value, stemma.SaidByBuilder, "/x"))
	}
	for _, c := range []struct {
		definition, entry string
		deny              bool
	}{
		{"github.com/acme/pipelines@" + pipelines, `commits: [` + pipelines + `]`, true},
		{"github.com/acme/pipelines@" + pipelines, `commits: [` + fork + `]`, false},
		{"github.com/acme/pipelines@" + pipelines, `repositories: [github.com/Acme/pipelines]`, true},
		{"github.com/acme/pipelines@" + pipelines, `repositories: ["github.com/acme/pipelines-2"]`, false},
		{"github.com/acme/pipelines", `repositories: ["github.com/acme/pipelines"]`, true},
		{"quay.io/acme/pipelines@" + string(digest("pipelines")), `digests: ["` + string(digest("pipelines")) + `"]`, true},
		{"quay.io/acme/pipelines@" + string(digest("pipelines")), `digests: ["` + string(digest("other")) + `"]`, false},

		{"", `commits: [` + commitOfBuilder + `]`, true}, // of the task that builds
		{"", `digests: ["` + string(digest("git-clone")) + `"]`, true},
		{"", `repositories: ["quay.io/acme/tasks/git-clone"]`, true},
		{"", `repositories: ["quay.io/acme/*"]`, true}, // a task lies below the name
		{"", `repositories: ["github.com/acme/tasks"]`, true},
		{"", `repositories: ["github.com/*/tasks/build"]`, true},
		{"", `repositories: ["github.com/acme/task"]`, false},
		{"", `repositories: ["github.com/acme/tasks/build/Image.yml"]`, false},
		{"", `repositories: ["quay.io/acme/tasks/git-clone/x"]`, false},
	} {
		changes := []func(*stemma.Evidence){chained}
		if c.definition != "" {
			changes = append(changes, defined(c.definition))
		}
		d := evaluate(t, tektonPolicy()+distrust(c.entry), changes...)
		if f := finding(t, d, "image.distrusted"); c.deny != (f.Reason == stemma.ReasonDistrusted) || c.deny == (f.Outcome == stemma.Pass) {
			t.Errorf("%s: %s: %s", c.definition, c.entry, render(d))
		}
	}
	// A definition that no pattern can be compared with is not passed over.
	d := evaluate(t, tektonPolicy()+distrust(`repositories: ["github.com/evil/**"]`), chained, defined("github.com/evil\u200b/pipelines"))
	if f := finding(t, d, "image.distrusted"); f.Reason != stemma.ReasonBadAnswer || d.Verdict != stemma.Undetermined {
		t.Errorf("%s", render(d))
	}
	d = evaluate(t, tektonPolicy()+distrust(`repositories: ["github.com/evil/**"]`), chained, task(1, func(x *stemma.Task) { x.Ref = "github.com/evil/../tasks/x.yaml" }))
	if f := finding(t, d, "image.distrusted"); f.Reason != stemma.ReasonBadAnswer {
		t.Errorf("%s", render(d))
	}
}

// Certificates of before 2023, and such as sign no provenance, name commits and repositories under other extensions.
func TestReg_C13_distrust_certificate(t *testing.T) {
	bad := strings.Repeat("d", 40)
	for _, c := range []struct {
		claim, value, entry string
		deny                bool
	}{
		{stemma.ClaimSourceRepositoryHash, bad, `commits: [` + bad + `]`, true},
		{stemma.ClaimGitHubSHA, bad, `commits: [` + bad + `]`, true},
		{stemma.ClaimBuildConfigDigest, bad, `commits: [` + bad + `]`, true},
		{stemma.ClaimGitHubRepository, "evil/app", `repositories: ["github.com/evil/*"]`, true},
		{stemma.ClaimGitHubRepository, "acme/app", `repositories: ["github.com/evil/*"]`, false},
		{stemma.ClaimBuildConfigURI, "https://github.com/evil/app/.github/workflows/x.yml@refs/heads/main", `repositories: ["github.com/evil/app"]`, true},
		{stemma.ClaimBuildConfigURI, "https://github.com/evil/app2/.github/workflows/x.yml@refs/heads/main", `repositories: ["github.com/evil/app"]`, false},
		{stemma.ClaimRunInvocationURI, runB, `runs: ["github.com/acme/app/actions/runs/15920000002"]`, true},
	} {
		d := evaluate(t, f0Policy+distrust(c.entry), func(e *stemma.Evidence) {
			id := githubSigner(trustedSAN)
			id.Claims = map[string]string{c.claim: c.value}
			e.Attestations = append(e.Attestations, signature("s", id))
		})
		if f := finding(t, d, "image.distrusted"); c.deny != (f.Reason == stemma.ReasonDistrusted) || c.deny == (f.Outcome == stemma.Pass) {
			t.Errorf("%s: %s", c.claim, render(d))
		}
	}
}

// A time that was proven is that of the first signature. Another key of the same envelope may have been stolen and used
// since then.
func TestReg_C13_distrust_cosigner(t *testing.T) {
	stolen := keySigner("chains", "chains-2026")
	window := func(key stemma.Digest) string { return distrust("keys: [\"" + string(key) + "\"]\n  from: 2026-06-01") }
	cosigned := func(e *stemma.Evidence) { e.Attestations[0].Cosigners = []stemma.Identity{stolen} }
	if f := finding(t, evaluate(t, f0Policy+window(stolen.Key), cosigned), "image.distrusted"); f.Reason != stemma.ReasonDistrusted {
		t.Errorf("%+v", f)
	}
	for _, key := range []stemma.Digest{githubSigner(trustedSAN).Key, digest("another")} {
		if f := finding(t, evaluate(t, f0Policy+window(key), cosigned), "image.distrusted"); f.Outcome != stemma.Pass {
			t.Errorf("%s: %+v", key, f)
		}
	}
}
