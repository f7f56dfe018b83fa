package policy

import (
	"strings"
	"testing"

	"stemma"
)

// alike adds a provenance like the first one, changed.
func alike(changes ...func(*stemma.Attestation, *stemma.Provenance)) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		first := f0().Provenance[0]
		add(e, "second", e.Attestations[0].Signer, func(a *stemma.Attestation, p *stemma.Provenance) {
			*p = first
			p.Bundle, p.Claims = a.Bundle, map[stemma.Field]stemma.Claim{}
			for f, c := range first.Claims {
				p.Claims[f] = c
			}
			for _, change := range changes {
				change(a, p)
			}
		})
	}
}

func stating(f stemma.Field, c stemma.Claim) func(*stemma.Attestation, *stemma.Provenance) {
	return func(_ *stemma.Attestation, p *stemma.Provenance) { p.Claims[f] = c }
}

// D09: a good provenance does not make one good that the same builder wrote under another event or on another machine.
func TestReg_D09_uncontrolled_second(t *testing.T) {
	certified := func(f stemma.Field, v string) func(*stemma.Attestation, *stemma.Provenance) {
		return stating(f, said(v, stemma.SaidByCertificate, "certificate"))
	}
	allowed(t, evaluate(t, f0Policy, alike()))
	let := f0Policy + "  allowDisagreement: [{on: [builder], by: [release], reason: nightly builds}]\n"
	for name, c := range map[string]struct {
		change func(*stemma.Attestation, *stemma.Provenance)
		reason stemma.Reason
	}{
		"another event":   {certified(stemma.FieldTrigger, "pull_request_target"), stemma.ReasonTrigger},
		"no event":        {stating(stemma.FieldTrigger, stemma.Claim{}), stemma.ReasonNotStated},
		"another machine": {certified(stemma.FieldRunner, "self-hosted"), stemma.ReasonRunner},
		"no machine":      {stating(stemma.FieldRunner, stemma.Claim{}), stemma.ReasonNotStated},
	} {
		d := evaluate(t, f0Policy, alike(c.change))
		if f := finding(t, d, "provenance.builders"); d.Verdict != stemma.Deny || f.Reason != c.reason {
			t.Errorf("%s: %s", name, render(d))
		}
		allowed(t, evaluate(t, let, alike(c.change)))
	}
}

// D09: where no commit is stated, the ref is what was built.
func TestReg_D09_ref_without_commit(t *testing.T) {
	without := func(e *stemma.Evidence) { delete(e.Provenance[0].Claims, stemma.FieldCommit) }
	none := stating(stemma.FieldCommit, stemma.Claim{})
	text := change(t, f0Policy, "    refs: [refs/heads/main, \"refs/tags/v*\"]\n", "")
	for name, c := range map[string]struct {
		changes []func(*stemma.Evidence)
		refused bool
	}{
		"the same":                       {[]func(*stemma.Evidence){without, alike(none)}, false},
		"another":                        {[]func(*stemma.Evidence){without, alike(none, stating(stemma.FieldRef, said("refs/heads/evil", stemma.SaidByBuilder, "/x")))}, true},
		"another, said by a tenant":      {[]func(*stemma.Evidence){without, alike(none, stating(stemma.FieldRef, said("refs/heads/evil", stemma.SaidByTenant, "/x")))}, false},
		"a short one":                    {[]func(*stemma.Evidence){without, alike(none, stating(stemma.FieldRef, said("v2.0.0", stemma.SaidByBuilder, "/x")))}, false},
		"another, of the same commit":    {[]func(*stemma.Evidence){alike(stating(stemma.FieldRef, said("refs/heads/main", stemma.SaidByBuilder, "/x")))}, false},
		"another, of a commit and none":  {[]func(*stemma.Evidence){alike(none, stating(stemma.FieldRef, said("refs/heads/main", stemma.SaidByBuilder, "/x")))}, false},
		"another repository, no commits": {[]func(*stemma.Evidence){without, alike(none, stating(stemma.FieldRepository, said("github.com/evil/app", stemma.SaidByBuilder, "/x")))}, true},
	} {
		d := evaluate(t, text, c.changes...)
		if f := finding(t, d, "provenance.agreement"); (d.Verdict == stemma.Deny && f.Reason == stemma.ReasonDisagreement) != c.refused {
			t.Errorf("%s: %s", name, render(d))
		}
	}
}

// D08: another commit of the source's own repository is another input: a fork's commits are served under its name.
func TestReg_D08_other_commit_of_source(t *testing.T) {
	text := f0Policy + "  inputs: {git: [github.com/acme/lib], unreported: ignore}\n"
	git := func(name, commit string, role stemma.InputRole) func(*stemma.Evidence) {
		return provenanceHas(func(p *stemma.Provenance) {
			in := stemma.Input{Kind: stemma.InputGit, Canonical: name, Role: role, Where: "/x"}
			if commit != "" {
				in.Digest = map[string]string{"gitCommit": commit}
			}
			p.Inputs = append(p.Inputs, in)
		})
	}
	unknown := func(e *stemma.Evidence) { delete(e.Provenance[0].Claims, stemma.FieldCommit) }
	nothing := func(*stemma.Evidence) {}
	other := strings.Repeat("e", 40)
	for name, c := range map[string]struct {
		before, change func(*stemma.Evidence)
		refused        bool
	}{
		"the source":                            {nothing, git("github.com/acme/app", commitOfSource, ""), false},
		"the source, no commit told of it":      {nothing, git("github.com/acme/app", "", ""), false},
		"another commit of it":                  {nothing, git("github.com/acme/app", other, ""), true},
		"another commit of it, said the source": {nothing, git("github.com/acme/app", other, stemma.RoleSource), true},
		"its commit is not known":               {unknown, git("github.com/acme/app", other, ""), true},
		"its commit is not known, a source":     {unknown, git("github.com/acme/app", other, stemma.RoleSource), false},
		"a listed one":                          {nothing, git("github.com/acme/lib", other, ""), false},
		"another repository at its commit":      {nothing, git("github.com/evil/app", commitOfSource, ""), true},
	} {
		e := f0()
		e.Provenance[0].Reported = map[stemma.InputKind]stemma.Reported{stemma.InputGit: stemma.ReportedAll}
		c.before(e)
		c.change(e)
		d := Evaluate(load(t, text), e, now())
		refused := false
		for _, f := range d.Findings {
			refused = refused || f.Rule == "inputs.git" && f.Reason == stemma.ReasonInput
		}
		if refused != c.refused {
			t.Errorf("%s: %s", name, render(d))
		}
	}
}

// What is let off must be one builder's: a key that signs for several lets off everybody who shares it.
func TestDisagreementOfShared(t *testing.T) {
	text := func(by string) string {
		return keyedPolicy("https://tekton.dev/chains/v2", "tekton: {namespaces: [acme-tenant]}", "") +
			"  allowDisagreement: [{on: [repository, ref], by: [" + by + "], reason: test}]\n"
	}
	plain := strings.Replace(text("keyed"), "      tekton: {namespaces: [acme-tenant]}\n", "", 1)
	if _, err := Load(files(plain)...); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(files(text("keyed"))...); err == nil || !strings.Contains(err.Error(), "who could all say something else then") {
		t.Error(err)
	}
}

// An image that is taken on trust has no level, whatever its evidence says (decision 14).
func TestApprovedHasNoLevel(t *testing.T) {
	d := evaluate(t, f0Policy+"  approved: [{image: ghcr.io/acme/app, digest: \""+string(imageDigest())+"\", owner: o, reason: r, until: 2026-12-31}]\n")
	if d.Verdict != stemma.Allow || d.Level != 0 {
		t.Error(render(d))
	}
	ended := evaluate(t, f0Policy+"  approved: [{image: ghcr.io/acme/app, digest: \""+string(imageDigest())+"\", owner: o, reason: r, until: 2026-01-31}]\n")
	if ended.Level != 3 {
		t.Error(render(ended))
	}
}

// E02: one workflow under the common issuer of GitHub and under that of an enterprise is one builder.
func TestReg_E02_enterprise_issuer(t *testing.T) {
	text := builtBy(`github: {workflow: acme/ci/.github/workflows/b.yml, workflowRefs: ["refs/tags/v*"]}
    second:
      github: {issuer: "` + GitHubIssuer + `/acme", workflow: acme/ci/.github/workflows/ID.yml, workflowRefs: ["refs/tags/v*"]}`)
	text = strings.Replace(text, "by: [release]", "by: {atLeast: 2, of: [release, second]}", 1)
	for file, want := range map[string]stemma.Verdict{"b": stemma.Deny, "c": stemma.Allow} {
		e := none()
		for issuer, f := range map[string]string{GitHubIssuer: "b", GitHubIssuer + "/acme": file} {
			id := githubSigner("https://github.com/acme/ci/.github/workflows/" + f + ".yml@refs/tags/v1")
			id.Issuer = issuer
			add(e, issuer, id)
		}
		if d := Evaluate(load(t, strings.Replace(text, "ID", file, 1)), e, now()); d.Verdict != want {
			t.Errorf("%s: %s", file, render(d))
		}
	}
}
