package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

// A signer that fits two builders is judged as each by itself: the controls of one and the credit of the other, or the
// controls of both taken one by one, never add up.
func TestTwoBuilders(t *testing.T) {
	selfHosted, byRun := byCertificate(stemma.FieldRunner, "self-hosted"), byCertificate(stemma.FieldTrigger, "workflow_run")
	allowed(t, evaluate(t, strictPolicy))
	// On a self-hosted runner it is the loose builder's, and that one is not credited with level 2.
	only(t, evaluate(t, strictPolicy, selfHosted), "provenance.whole", stemma.ReasonRunner)
	only(t, evaluate(t, strictPolicy, byRun), "provenance.whole", stemma.ReasonTrigger)
	// As the loose builder's it is good enough, when no more is asked for.
	low := change(t, strictPolicy, "level: 2, maxAge", "level: 1, maxAge")
	d := evaluate(t, low, selfHosted, byRun)
	allowed(t, d)
	if d.Level != 1 {
		t.Errorf("credited with level %d, the loose builder has 1", d.Level)
	}
	// Controls that exclude each other: neither builder is met, though each control is by one of them.
	split := change(t, low, "events: [push, workflow_run]", "events: [workflow_run], runner: self-hosted")
	allowed(t, evaluate(t, split))
	allowed(t, evaluate(t, split, selfHosted, byRun))
	only(t, evaluate(t, split, selfHosted), "provenance.whole", stemma.ReasonRunner)
	only(t, evaluate(t, split, byRun), "provenance.whole", stemma.ReasonTrigger)
}

// Of two builders that must both have built it, both must have built it as the policy asks.
func TestTwoRequiredBuilders(t *testing.T) {
	two := change(t, f0Policy, "by: [release]", "by: {atLeast: 2, of: [release, other]}", "    release:\n", `    other:
      github: {workflow: other/builders/.github/workflows/build.yml, workflowRefs: ["refs/tags/**"]}
      level: 3
    release:
`)
	another := func(change func(*stemma.Attestation, *stemma.Provenance)) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) {
			add(e, "other", githubSigner("https://github.com/other/builders/.github/workflows/build.yml@refs/tags/v1"), change)
		}
	}
	same := func(*stemma.Attestation, *stemma.Provenance) {}
	wip := func(_ *stemma.Attestation, p *stemma.Provenance) {
		p.Claims[stemma.FieldRef] = said("refs/heads/wip", stemma.SaidByCertificate, "certificate .14")
	}
	allowed(t, evaluate(t, two, another(same)))
	if d := evaluate(t, change(t, two, "refs/tags/**\"]}\n      level: 3", "refs/tags/**\"]}\n      level: 2", "level: 3, maxAge", "level: 2, maxAge"), another(same)); d.Verdict != stemma.Allow || d.Level != 2 {
		t.Errorf("the level is that of the lesser one:\n%s", render(d))
	}
	only(t, evaluate(t, two, another(wip)), "source.ref", stemma.ReasonRef)
	// A third provenance, of the builder that is met already, does not stand in for the one that is not.
	only(t, evaluate(t, two, another(wip), func(e *stemma.Evidence) { add(e, "third", githubSigner(trustedWorkflow+"@refs/tags/v1.9.9")) }), "source.ref", stemma.ReasonRef)
	// A second, good one of the other builder does.
	allowed(t, evaluate(t, two, another(wip), func(e *stemma.Evidence) {
		add(e, "good", githubSigner("https://github.com/other/builders/.github/workflows/build.yml@refs/tags/v2"))
	}))
	// One of two, and a place gave no answer: not known.
	d := evaluate(t, two, func(e *stemma.Evidence) { e.Unavailable = []stemma.Unavailable{away()} })
	if d.Verdict != stemma.Undetermined || finding(t, d, "builder.approved").Reason != stemma.ReasonRateLimited {
		t.Errorf("%s", render(d))
	}
}

// Each pair is compared: the first provenance may state nothing that the others contradict each other in.
func TestAgreementOfAll(t *testing.T) {
	silent := func(_ *stemma.Attestation, p *stemma.Provenance) { delete(p.Claims, stemma.FieldCommit) }
	commit := func(value string) func(*stemma.Attestation, *stemma.Provenance) {
		return func(_ *stemma.Attestation, p *stemma.Provenance) {
			p.Claims[stemma.FieldCommit] = said(value, stemma.SaidByCertificate, "certificate .13")
		}
	}
	for _, names := range [][]string{{"a", "b", "c"}, {"c", "a", "b"}, {"b", "c", "a"}} {
		e := none()
		add(e, names[0], githubSigner(trustedSAN), silent)
		add(e, names[1], githubSigner(trustedSAN), commit(commitOfSource))
		allowed(t, Evaluate(load(t, f0Policy), e, now()))
		add(e, names[2], githubSigner(trustedSAN), commit("dead000000000000000000000000000000000003"))
		only(t, Evaluate(load(t, f0Policy), e, now()), "provenance.agreement", stemma.ReasonDisagreement)
	}
	// An image has one builder: a stranger's provenance that says the same is a disagreement, too.
	only(t, evaluate(t, f0Policy, func(e *stemma.Evidence) {
		add(e, "stranger", githubSigner("https://github.com/evil/x/.github/workflows/y.yml@refs/heads/main"))
	}), "provenance.builders", stemma.ReasonDisagreement)
	// The same bundle, authentic under a second trust domain, is no second builder.
	twin := func(e *stemma.Evidence) {
		a := e.Attestations[0]
		a.Signer.Trust = GitHubTrust
		e.Attestations = append([]stemma.Attestation{a}, e.Attestations...)
	}
	allowed(t, evaluate(t, f0Policy, twin))
	// What could not be seen is said, and refuses nothing that was seen, unless the policy asks for complete agreement.
	cut := func(e *stemma.Evidence) {
		e.Unavailable = []stemma.Unavailable{{Place: "referrers", Reason: stemma.ReasonTruncated, Detail: "10001 referrers, of which 256 were looked at"}}
	}
	complete := change(t, f0Policy, "maxAge: 90d", "maxAge: 90d, agreement: complete")
	whole := evaluate(t, f0Policy)
	d := evaluate(t, f0Policy, cut)
	allowed(t, d)
	f := finding(t, d, "provenance.agreement")
	if f.Outcome != stemma.Unknown || !f.Advisory || f.Reason != stemma.ReasonTruncated || f.Got != "one provenance, as far as could be seen" || f.Detail == "" {
		t.Errorf("%+v", f)
	}
	for i, f := range d.Findings {
		// F17: a flood changes no other cell.
		if f.Rule != "provenance.agreement" && string(encode(f)) != string(encode(whole.Findings[i])) {
			t.Errorf("%+v, want %+v", f, whole.Findings[i])
		}
	}
	d = evaluate(t, complete, cut)
	if f := finding(t, d, "provenance.agreement"); d.Verdict != stemma.Undetermined || f.Outcome != stemma.Unknown || f.Advisory {
		t.Errorf("%s", render(d))
	}
	allowed(t, evaluate(t, complete))
	allowed(t, evaluate(t, change(t, f0Policy, "maxAge: 90d", "maxAge: 90d, agreement: reported"), cut))
	// A disagreement that was found is one, whatever could not be seen.
	for _, text := range []string{f0Policy, complete} {
		only(t, evaluate(t, text, cut, second(func(_ *stemma.Attestation, p *stemma.Provenance) {
			p.Claims[stemma.FieldCommit] = said("dead000000000000000000000000000000000003", stemma.SaidByCertificate, "certificate .13")
		})), "provenance.agreement", stemma.ReasonDisagreement)
	}
	// Where there is nothing to compare, it is as unknown as the rest, and counts.
	if f := finding(t, evaluate(t, f0Policy, unavailable), "provenance.agreement"); f.Outcome != stemma.Unknown || f.Advisory {
		t.Errorf("%+v", f)
	}
}

// What is advisory counts only when it fails, and allows nothing by itself.
func TestAdvisory(t *testing.T) {
	pass, advisory := stemma.Finding{Outcome: stemma.Pass}, stemma.Finding{Outcome: stemma.Unknown, Advisory: true}
	for _, c := range []struct {
		want     stemma.Verdict
		findings []stemma.Finding
	}{
		{stemma.Allow, []stemma.Finding{pass, advisory}},
		{stemma.Undetermined, []stemma.Finding{advisory}},
		{stemma.Undetermined, []stemma.Finding{{Outcome: stemma.Pass, Advisory: true}}},
		{stemma.Undetermined, []stemma.Finding{pass, advisory, {Outcome: stemma.Unknown}}},
		{stemma.Undetermined, []stemma.Finding{pass, advisory, {}}},
		{stemma.Deny, []stemma.Finding{pass, {Outcome: stemma.Fail, Advisory: true}}},
	} {
		if got := verdictOf(c.findings); got != c.want {
			t.Errorf("%s, want %s: %+v", got, c.want, c.findings)
		}
	}
}

// An explanation is about the builder that the signer came closest to.
func TestNearestBuilder(t *testing.T) {
	several := change(t, withoutLevel(t), "by: [release]", "by: [first, release, last]", "    release:\n", `    first: {github: {workflow: other/builders/.github/workflows/build.yml, workflowRefs: ["refs/tags/**"]}}
    last: {oidc: {issuer: "https://accounts.google.com", subject: dev@acme.example}}
    release:
`)
	allowed(t, evaluate(t, several))
	d := evaluate(t, several, san(trustedWorkflow+"@refs/heads/dev"))
	only(t, d, "builder.approved", stemma.ReasonBuilderRef)
	if f := finding(t, d, "builder.approved"); f.Want != "trusted/builders/.github/workflows/build.yml @ refs/tags/v1.* (or first, last)" || f.Where != "policy.yaml:12" {
		t.Errorf("%+v", f)
	}
	d = evaluate(t, several, san("https://github.com/other/builders/.github/workflows/debug.yml@refs/heads/dev"))
	only(t, d, "builder.approved", stemma.ReasonBuilder)
	if f := finding(t, d, "builder.approved"); f.Detail != "differs in: workflow file   (same organisation, same workflow repository)" {
		t.Errorf("%+v", f)
	}
	// Two strangers who agree with each other agree; that neither is accepted is said once.
	stranger := "https://github.com/evil/x/.github/workflows/y.yml@refs/heads/main"
	only(t, evaluate(t, withoutLevel(t), san(stranger), func(e *stemma.Evidence) { add(e, "second", githubSigner(stranger)) }), "builder.approved", stemma.ReasonBuilder)
}

func TestTrustDomains(t *testing.T) {
	byGitHub := change(t, f0Policy, "      github:\n", "      trust: github\n      github:\n")
	under := func(name string) func(*stemma.Evidence) {
		return signerIs(func(id *stemma.Identity) { id.Trust = name })
	}
	noLevel := change(t, byGitHub, "level: 3, maxAge", "maxAge")
	d := evaluate(t, noLevel, under("github"))
	allowed(t, d)
	if want := []string{"trust domain github does not require: log, sct (GitHub's instance offers neither)"}; !slices.Equal(d.Skipped, want) {
		t.Errorf("skipped %q", d.Skipped)
	}
	for _, name := range []string{PublicGood, "", "Github", "acme-kms"} {
		only(t, evaluate(t, noLevel, under(name)), "builder.approved", stemma.ReasonTrustDomain)
	}
	if d := evaluate(t, f0Policy); d.Skipped != nil {
		t.Errorf("the public-good domain requires all it can: %q", d.Skipped)
	}
	d = evaluate(t, signedPolicy, signed(keySigner("acme-kms", "review")))
	allowed(t, d)
	if want := []string{
		"ages under trust domain acme-kms are those of the timestamp: a key's signature may be older",
		"trust domain acme-kms does not require: log, sct",
	}; !slices.Equal(d.Skipped, want) {
		t.Errorf("skipped %q", d.Skipped)
	}
	// Domains of policies that do not match the image are not told, and neither are those that no policy uses.
	d = evaluate(t, signedPolicy+"---\n"+change(t, byGitHub, "ghcr.io/acme/{service}", "ghcr.io/else/{service}"), signed(keySigner("acme-kms", "review")))
	if len(d.Skipped) != 2 || !strings.Contains(d.Skipped[0], "acme-kms") || !strings.Contains(d.Skipped[1], "acme-kms") {
		t.Errorf("skipped %q", d.Skipped)
	}
	if names := load(t, signedPolicy+"---\n"+byGitHub).TrustNames(); !slices.Equal(names, []string{"acme-kms", "github"}) {
		t.Errorf("%q", names)
	}
}

func TestModes(t *testing.T) {
	named := func(name, mode, ref string) string {
		return change(t, f0Policy, "name: app", "name: "+name, "spec:\n", "spec:\n  mode: "+mode+"\n", "refs/heads/main, \"refs/tags/v*\"", ref)
	}
	const good, bad = `"refs/tags/*"`, "refs/heads/main"
	for _, c := range []struct {
		policies []string
		verdict  stemma.Verdict
		effect   stemma.Effect
	}{
		{[]string{named("a", "enforce", good)}, stemma.Allow, stemma.Admit},
		{[]string{named("a", "enforce", bad)}, stemma.Deny, stemma.Refuse},
		{[]string{named("a", "warn", bad)}, stemma.Deny, stemma.Warn},
		{[]string{named("a", "audit", bad)}, stemma.Deny, stemma.Admit},
		{[]string{named("a", "audit", bad), named("b", "enforce", good)}, stemma.Deny, stemma.Admit},
		{[]string{named("a", "warn", bad), named("b", "enforce", good)}, stemma.Deny, stemma.Warn},
		{[]string{named("a", "audit", bad), named("b", "warn", bad)}, stemma.Deny, stemma.Warn},
		{[]string{named("a", "warn", good), named("b", "enforce", bad)}, stemma.Deny, stemma.Refuse},
		{[]string{named("a", "enforce", bad), named("b", "audit", good), named("c", "warn", bad)}, stemma.Deny, stemma.Refuse},
		{[]string{named("a", "audit", good), named("b", "warn", good)}, stemma.Allow, stemma.Admit},
	} {
		set := load(t, c.policies...)
		if d := Evaluate(set, f0(), now()); d.Verdict != c.verdict || d.Effect != c.effect || len(d.Policies) != len(c.policies) {
			t.Errorf("want %s, %s:\n%s", c.verdict, c.effect, render(d))
		}
	}
	for mode, effect := range map[string]stemma.Effect{"enforce": stemma.Refuse, "warn": stemma.Warn, "audit": stemma.Admit} {
		if d := evaluate(t, named("a", mode, good), unavailable); d.Verdict != stemma.Undetermined || d.Effect != effect {
			t.Errorf("%s: %s", mode, render(d))
		}
	}
}

// PolicySet.policies says which of the given policies are in force.
func TestSubset(t *testing.T) {
	head := "apiVersion: policy.stemma.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: acme}\nspec: {policies: [%]}\n---\n"
	hard := change(t, f0Policy, "name: app", "name: hard", "refs/heads/main, \"refs/tags/v*\"", "refs/heads/main")
	both := f0Policy + "---\n" + hard
	soft, all := load(t, strings.Replace(head, "%", "app", 1)+both), load(t, strings.Replace(head, "%", "app, hard", 1)+both)
	allowed(t, Evaluate(soft, f0(), now()))
	only(t, Evaluate(all, f0(), now()), "source.ref", stemma.ReasonRef)
	if soft.Digest == all.Digest || !slices.Equal(soft.Policies(), []string{"app"}) || !slices.Equal(all.Policies(), []string{"app", "hard"}) {
		t.Errorf("%v %v", soft.Policies(), all.Policies())
	}
	// What is not in force is held to the same rules, all the same.
	if _, err := Load(files(strings.Replace(head, "%", "app", 1) + f0Policy + "---\n" + change(t, hard, "by: [release]", "by: [nobody]"))...); err == nil {
		t.Error("a mistake in a policy that is not in force went unseen")
	}
}

// Builders of the set serve all policies, findings point to where they stand, and no policy can redefine one.
func TestShared(t *testing.T) {
	set := `apiVersion: policy.stemma.dev/v1alpha1
kind: PolicySet
metadata: {name: acme}
spec:
  help: {contact: "#platform", url: "https://go.acme.example"}
  builders:
    release:
      github:
        workflow: trusted/builders/.github/workflows/build.yml
        workflowRefs: ["refs/tags/v1.*"]
`
	lean := `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: lean}
spec:
  match: {images: ["ghcr.io/acme/*"]}
  provenance: {by: [release]}
`
	d := Evaluate(load(t, set, lean), f0(), now())
	allowed(t, d)
	if d.Help != "#platform   https://go.acme.example" {
		t.Errorf("%q", d.Help)
	}
	d = Evaluate(load(t, set, lean), mutated(san(trustedWorkflow+"@refs/heads/dev")), now())
	only(t, d, "builder.approved", stemma.ReasonBuilderRef)
	if got := finding(t, d, "builder.approved").Where; got != "policy.yaml:10" {
		t.Errorf("%s", got)
	}
	mine := change(t, lean, "  provenance", "  builders: {release: {oidc: {issuer: \"https://evil.example\", subject: x}}}\n  provenance")
	_, err := Load(files(set, mine)...)
	if err == nil || !strings.Contains(err.Error(), `"release" names a builder or signer already`) {
		t.Errorf("%v", err)
	}
}

func TestCaptures(t *testing.T) {
	several := change(t, f0Policy, "ghcr.io/acme/{service}", "ghcr.io/{path**}", "github.com/acme/{service}", "github.com/{path**}")
	at := func(image, source string) []func(*stemma.Evidence) {
		return []func(*stemma.Evidence){func(e *stemma.Evidence) { e.Image.Repository = image }, byCertificate(stemma.FieldRepository, source)}
	}
	allowed(t, evaluate(t, several, at("ghcr.io/acme/team/app", "github.com/acme/team/app")...))
	allowed(t, evaluate(t, several, at("ghcr.io/acme/app", "github.com/acme/app")...))
	only(t, evaluate(t, several, at("ghcr.io/acme/app", "github.com/acme/team/app")...), "source.repository", stemma.ReasonRepository)
	only(t, evaluate(t, several, at("ghcr.io/acme/app", "github.com/evil/app")...), "source.repository", stemma.ReasonRepository)
	only(t, evaluate(t, several, at("ghcr.io/acme/app", "ghcr.io/acme/app")...), "source.repository", stemma.ReasonRepository)
	// A ref that carries the name of the image.
	tied := change(t, f0Policy, `[refs/heads/main, "refs/tags/v*"]`, `["refs/tags/{service}/v*"]`)
	allowed(t, evaluate(t, tied, byCertificate(stemma.FieldRef, "refs/tags/app/v1")))
	only(t, evaluate(t, tied, byCertificate(stemma.FieldRef, "refs/tags/web/v1")), "source.ref", stemma.ReasonRef)
	// D04: the case of a name is nothing on github.com, and something elsewhere.
	upper := change(t, f0Policy, "repository: github.com/acme/{service}", "repository: GitHub.com/ACME/{service}")
	allowed(t, evaluate(t, upper))
	elsewhere := change(t, f0Policy, "repository: github.com/acme/{service}", "repository: gitlab.com/ACME/{service}")
	allowed(t, evaluate(t, elsewhere, byCertificate(stemma.FieldRepository, "gitlab.com/ACME/app")))
	only(t, evaluate(t, elsewhere, byCertificate(stemma.FieldRepository, "gitlab.com/acme/app")), "source.repository", stemma.ReasonRepository)
	got := Pattern("github.com/{a}/{b**}/x-{c}").expand(map[string]string{"a": "{b**}", "b": "1/2", "c": "no"})
	if got != "github.com/{b**}/1/2/x-{c}" {
		t.Errorf("%q", got)
	}
}

func TestGrades(t *testing.T) {
	for i, need := range []string{"certificate", "builder", "tenant", "unsigned"} {
		text := change(t, f0Policy, "    refs: [refs/heads/main, \"refs/tags/v*\"]", "    saidBy: "+need)
		for k, by := range []stemma.Grade{stemma.SaidByCertificate, stemma.SaidByBuilder, stemma.SaidByTenant, stemma.SaidByNobody, "", "root"} {
			d := evaluate(t, text, claim(stemma.FieldRepository, said("github.com/acme/app", by, "/x")))
			if k <= i {
				allowed(t, d)
			} else {
				only(t, d, "source.repository", stemma.ReasonSaidBy)
			}
		}
	}
}

func TestSummary(t *testing.T) {
	got := load(t, change(t, f0Policy, `{service}"]}`, `{service}"], except: ["ghcr.io/acme/x"]}`)).Summary()[0]
	got.Digest = ""
	want := Summary{
		Name: "app", Mode: "enforce", Images: []string{"ghcr.io/acme/{service}", "except ghcr.io/acme/x"}, NotRequired: []string{"signature", "inputs", "sbom", "vulnerabilities", "attestations", "base"}, Trust: []string{PublicGood},
		Rules: []string{
			"image.authentic", "image.platform", "provenance.present", "builder.approved", "builder.trigger", "builder.runner", "provenance.format", "provenance.level",
			"provenance.age", "provenance.consistent", "provenance.agreement", "provenance.run", "provenance.builders", "provenance.whole", "source.repository", "source.ref",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestRequirements: a policy without any block lacks them all.
func TestRequirements(t *testing.T) {
	if got, want := (&Spec{}).notRequired(), requirements(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
