package policy

import (
	"strings"
	"testing"

	"stemma"
)

// judgedCase is the decision about the evidence of a case. What a deployment expects stands in the situation: here the
// source of F0, written as people write it.
func judgedCase(t *testing.T, c ruleCase) *stemma.Decision {
	t.Helper()
	at := now()
	if c.rule == "provenance.expected" {
		at.Expect = map[stemma.Field]string{stemma.FieldCommit: commitOfSource, stemma.FieldRepository: "https://github.com/ACME/app.git"}
	}
	at.ByTag = c.rule == "image.tag" && c.outcome != stemma.Pass
	e := f0()
	for _, change := range c.changes {
		change(e)
	}
	return Evaluate(load(t, c.policy), e, at)
}

const identityPolicy = f0Policy + "    repositoryIDs: [\"700\", \"701\"]\n    ownerIDs: [\"48120341\"]\n"

// numbered is a source that the certificate names by its numbers.
func numbered(e *stemma.Evidence) {
	byCertificate(stemma.FieldRepositoryID, "701")(e)
	byCertificate(stemma.FieldOwnerID, "48120341")(e)
}

func expectRuleCases() []ruleCase {
	type many = []func(*stemma.Evidence)
	const other = "dead000000000000000000000000000000000003"
	id, expected := "source.identity", "provenance.expected"
	return []ruleCase{
		{id, stemma.Pass, "", identityPolicy, many{numbered}},
		{id, stemma.Unknown, stemma.ReasonRateLimited, identityPolicy, many{unavailable}},
		{id, stemma.Fail, stemma.ReasonNotStated, identityPolicy, nil},
		{id, stemma.Fail, stemma.ReasonNotStated, identityPolicy, many{numbered, claim(stemma.FieldOwnerID, stemma.Claim{})}},
		{id, stemma.Fail, stemma.ReasonRepository, identityPolicy, many{numbered, byCertificate(stemma.FieldRepositoryID, "702")}},
		{id, stemma.Fail, stemma.ReasonRepository, identityPolicy, many{numbered, byCertificate(stemma.FieldRepositoryID, "48120341")}},
		{id, stemma.Fail, stemma.ReasonRepository, identityPolicy, many{numbered, byCertificate(stemma.FieldOwnerID, "701")}},
		{id, stemma.Fail, stemma.ReasonSaidBy, identityPolicy, many{numbered, claim(stemma.FieldRepositoryID, said("701", stemma.SaidByBuilder, "/repository_id"))}},
		{id, stemma.Fail, stemma.ReasonSaidBy, identityPolicy, many{numbered, claim(stemma.FieldOwnerID, said("48120341", stemma.SaidByTenant, "/owner_id"))}},
		{expected, stemma.Pass, "", f0Policy, nil},
		{expected, stemma.Unknown, stemma.ReasonRateLimited, f0Policy, many{unavailable}},
		{expected, stemma.Fail, stemma.ReasonNoProvenance, f0Policy, many{nothing}},
		{expected, stemma.Fail, stemma.ReasonExpected, f0Policy, many{byCertificate(stemma.FieldCommit, other)}},
		{expected, stemma.Fail, stemma.ReasonExpected, f0Policy, many{byCertificate(stemma.FieldCommit, commitOfSource[:12])}},
		{expected, stemma.Fail, stemma.ReasonNotStated, f0Policy, many{claim(stemma.FieldCommit, stemma.Claim{})}},
		{expected, stemma.Fail, stemma.ReasonSaidBy, f0Policy, many{claim(stemma.FieldCommit, said(commitOfSource, stemma.SaidByBuilder, "/commit"))}},
		{expected, stemma.Fail, stemma.ReasonNotStated, signedPolicy, many{signed(keySigner("acme-kms", "review"))}},
		// What is met by provenance that does not count is met by none; the rule that it fails says why.
		{expected, stemma.Fail, stemma.ReasonRef, f0Policy, many{byCertificate(stemma.FieldRef, "refs/heads/wip")}},
		{expected, stemma.Unknown, stemma.ReasonNoTime, f0Policy, many{untimed}},
	}
}

func expecting(t *testing.T, policy string, expect map[stemma.Field]string, changes ...func(*stemma.Evidence)) *stemma.Decision {
	t.Helper()
	e, at := f0(), now()
	for _, c := range changes {
		c(e)
	}
	at.Expect = expect
	return Evaluate(load(t, policy), e, at)
}

// TestExpect: what is expected in which form, and what is told of all that differs.
func TestExpect(t *testing.T) {
	type want = map[stemma.Field]string
	for _, good := range []want{
		nil,
		{},
		{"commit": commitOfSource},
		{"repository": "git@github.com:acme/app.git"},
		{"ref": "refs/tags/v2.0.0", "trigger": "push", "builder": trustedSAN},
		{"commit": commitOfSource, "repository": "github.com/acme/app", "runner": "github-hosted"},
	} {
		allowed(t, expecting(t, f0Policy, good))
	}
	for _, bad := range []want{
		{"commit": commitOfBuilder},
		{"commit": commitOfSource, "ref": "refs/tags/v2.0.1"},
		{"repository": "github.com/acme/app2"},
		{"repository": "gitlab.com/acme/app"},
		{"trigger": "Push"},
		{"builder": trustedWorkflow},
		// No provenance could meet these.
		{"commit": ""},
		{"commit": commitOfSource[:39]},
		{"commit": "C" + commitOfSource[1:]},
		{"commit": commitOfSource + "0"},
		{"commit": " " + commitOfSource},
		{"ref": "v2.0.0"},
		{"ref": "refs/tags/v2..0"},
		{"ref": ""},
		{"repository": ""},
		{"repository": "acme/app"},
		{"repository": "github.com/acme/../acme/app"},
		{"repository": "github.com/acme%2Fapp"},
		{"trigger": ""},
		{"Commit": commitOfSource},
		{"": "x"},
		{"sha": commitOfSource},
	} {
		d := expecting(t, f0Policy, bad)
		only(t, d, "provenance.expected", stemma.ReasonExpected)
	}
	for _, absent := range []want{{"environment": "production"}, {"runner": "github-hosted", "namespace": "ci"}} {
		only(t, expecting(t, f0Policy, absent), "provenance.expected", stemma.ReasonNotStated)
	}
	f := finding(t, expecting(t, f0Policy, want{"commit": commitOfBuilder, "ref": "refs/heads/main", "environment": "production"}), "provenance.expected")
	if items := []string{"commit " + commitOfSource + " (certificate .13)", "ref refs/tags/v2.0.0 (certificate .14)", "environment not stated"}; strings.Join(f.Items, "|") != strings.Join(items, "|") {
		t.Errorf("%q", f.Items)
	}
	f = finding(t, expecting(t, f0Policy, want{"sha": "x", "commit": "abc"}), "provenance.expected")
	if len(f.Items) != 2 || f.Items[0] != `commit: "abc" is no whole commit; want all 40 or 64 lower-case hex digits` || !strings.HasPrefix(f.Items[1], `sha: "x" is no such field; want one of builder, workflowCommit, repository,`) {
		t.Errorf("%q", f.Items)
	}
}

// TestExpectWhole: one provenance meets the policy and the expectation; two that share them do not.
func TestExpectWhole(t *testing.T) {
	other := func(a *stemma.Attestation, p *stemma.Provenance) {
		p.Claims[stemma.FieldTrigger] = said("release", stemma.SaidByCertificate, "certificate .20")
	}
	expect := map[stemma.Field]string{"trigger": "push"}
	allowed(t, expecting(t, f0Policy, expect, second(other)))
	wip := byCertificate(stemma.FieldRef, "refs/heads/wip")
	allowed(t, expecting(t, f0Policy, nil, second(other), wip))
	only(t, expecting(t, f0Policy, expect, second(other), wip), "provenance.expected", stemma.ReasonExpected)
	// The word that is enough for the source is enough for what is expected.
	builder := change(t, f0Policy, "    refs:", "    saidBy: builder\n    refs:")
	body := claim(stemma.FieldEntryPoint, said("build.yaml", stemma.SaidByBuilder, "/path"))
	allowed(t, expecting(t, builder, map[stemma.Field]string{"entryPoint": "build.yaml"}, body))
	only(t, expecting(t, f0Policy, map[stemma.Field]string{"entryPoint": "build.yaml"}, body), "provenance.expected", stemma.ReasonSaidBy)
	tenant := claim(stemma.FieldEntryPoint, said("build.yaml", stemma.SaidByTenant, "/path"))
	only(t, expecting(t, builder, map[stemma.Field]string{"entryPoint": "build.yaml"}, tenant), "provenance.expected", stemma.ReasonSaidBy)
	// Two builders are asked for: each of two meets it.
	e := f0()
	two := change(t, f0Policy, "by: [release]", "by: {atLeast: 2, of: [release, other]}", "    release:\n",
		"    other: {github: {workflow: other/builders/.github/workflows/build.yml, workflowRefs: [\"refs/tags/**\"]}, level: 3}\n    release:\n")
	add(e, "second", githubSigner("https://github.com/other/builders/.github/workflows/build.yml@refs/tags/v1"))
	at := now()
	at.Expect = map[stemma.Field]string{"ref": "refs/tags/v2.0.0"}
	allowed(t, Evaluate(load(t, two), e, at))
	e.Provenance[1].Claims[stemma.FieldRef] = said("refs/tags/v3.0.0", stemma.SaidByCertificate, "certificate .14")
	if d := Evaluate(load(t, two), e, at); d.Verdict != stemma.Deny || finding(t, d, "provenance.expected").Outcome != stemma.Fail {
		t.Errorf("%s", render(d))
	}
}

// TestExpectPlatforms: what is not expected is not said of a platform that is missing either.
func TestExpectPlatforms(t *testing.T) {
	text := platformsSet("[linux/amd64, linux/arm64]") + f0Policy
	for expects, n := range map[string]int{"": 0, commitOfSource: 2} {
		var expect map[stemma.Field]string
		if expects != "" {
			expect = map[stemma.Field]string{"commit": expects}
		}
		d, found := expecting(t, text, expect, index("linux/amd64")), 0
		for _, f := range d.Findings {
			if f.Rule == "provenance.expected" {
				found++
			}
		}
		if found != n || d.Verdict != stemma.Deny {
			t.Errorf("%d findings:\n%s", found, render(d))
		}
	}
}
