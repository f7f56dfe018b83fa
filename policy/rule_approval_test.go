package policy

import (
	"strings"
	"testing"
	"time"

	"stemma"
)

const (
	stranger = "https://github.com/evil/x/.github/workflows/y.yml@refs/heads/main"
	runA     = "https://github.com/acme/app/actions/runs/15920000001/attempts/1"
	runB     = "https://github.com/acme/app/actions/runs/15920000002/attempts/1"
)

// distrust is a document that names one thing.
func distrust(entry string) string {
	return "---\napiVersion: policy.stemma.dev/v1alpha1\nkind: Distrust\nmetadata: {name: incident-7}\nspec:\n  reason: the runner was compromised\n  ticket: SEC-7\n  " + entry + "\n"
}

// approved is f0Policy with an approval of the image.
func approved(image, digest, until string) string {
	return f0Policy + "  approved:\n    - {image: \"" + image + "\", digest: \"" + digest + "\", owner: platform-team, reason: publishes no provenance, until: " + until + "}\n"
}

func disagreement(on, by string) string {
	return f0Policy + "  allowDisagreement: [{on: [" + on + "], by: [" + by + "], reason: rebuilt every night}]\n"
}

// alternatives is a policy that asks for the release workflow's provenance, or for two signatures.
const alternatives = `apiVersion: policy.stemma.dev/v1alpha1
kind: PolicySet
metadata: {name: set}
spec:
  trust:
    - name: acme-kms
      keys: [{name: review, pem: "` + pem1 + `"}]
---
apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: app}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  builders:
    release:
      github: {workflow: trusted/builders/.github/workflows/build.yml, workflowRefs: ["refs/tags/v1.*"]}
  signers:
    reviewer: {trust: acme-kms, keys: [review]}
  anyOf:
    - name: built-here
      provenance: {by: [release]}
      source: {repository: "github.com/acme/{service}"}
    - name: reviewed
      signature: {by: [reviewer]}
`

func withRun(run string) func(*stemma.Attestation, *stemma.Provenance) {
	return func(_ *stemma.Attestation, p *stemma.Provenance) {
		p.Claims[stemma.FieldRun] = said(run, stemma.SaidByCertificate, "certificate .21")
	}
}

func builtIn(run string) func(*stemma.Evidence) {
	return byCertificate(stemma.FieldRun, run)
}

func approvalRuleCases() []ruleCase {
	type many = []func(*stemma.Evidence)
	good := string(imageDigest())
	another := func(e *stemma.Evidence) { add(e, "another", githubSigner(stranger)) }
	review := signed(keySigner("acme-kms", "review"))
	return []ruleCase{
		{"provenance.run", stemma.Pass, "", f0Policy, many{builtIn(runA)}},
		{"provenance.run", stemma.Pass, "", f0Policy, many{builtIn(runA), second(withRun(strings.Replace(runA, "attempts/1", "attempts/2", 1)))}},
		{"provenance.run", stemma.Pass, "", f0Policy, many{builtIn(runA), second(withRun("4711"))}},
		{"provenance.run", stemma.Fail, stemma.ReasonDisagreement, f0Policy, many{builtIn(runA), second(withRun(runB))}},
		{"provenance.run", stemma.Pass, "", disagreement("run", "release"), many{builtIn(runA), second(withRun(runB))}},
		{"provenance.run", stemma.Fail, stemma.ReasonDisagreement, disagreement("commit", "release"), many{builtIn(runA), second(withRun(runB))}},
		{"provenance.builders", stemma.Pass, "", f0Policy, many{second(withRun(runA))}},
		{"provenance.builders", stemma.Fail, stemma.ReasonDisagreement, f0Policy, many{another}},
		{"provenance.builders", stemma.Fail, stemma.ReasonDisagreement, disagreement("builder", "release"), many{another}},

		{"image.approved", stemma.Pass, "", approved("ghcr.io/acme/*", good, "2026-06-01"), many{nothing}},
		{"image.approved", stemma.Unknown, stemma.ReasonExpired, approved("ghcr.io/acme/*", good, "2026-05-31"), many{nothing}},

		{"image.distrusted", stemma.Pass, "", f0Policy + distrust(`runs: ["github.com/acme/app/actions/runs/1/**"]`), many{builtIn(runA)}},
		{"image.distrusted", stemma.Fail, stemma.ReasonDistrusted, f0Policy + distrust(`runs: ["github.com/acme/app/actions/runs/15920000001/**"]`), many{builtIn(runA)}},
		{"image.distrusted", stemma.Unknown, stemma.ReasonBadAnswer, f0Policy + distrust(`signers: ["github.com/evil/**"]`), many{san("https://github.com/evil\u200b/x")}},

		{"policy.alternative", stemma.Pass, "", alternatives, nil},
		{"policy.alternative", stemma.Pass, "", alternatives, many{review}},
		{"policy.alternative", stemma.Fail, stemma.ReasonAlternatives, alternatives, many{san(stranger)}},
		{"policy.alternative", stemma.Fail, stemma.ReasonAlternatives, alternatives, many{signed(keySigner("acme-kms", "intern"))}},
		{"policy.alternative", stemma.Unknown, stemma.ReasonRateLimited, alternatives, many{unavailable}},
	}
}

// Mini Shai-Hulud: a compromised run leaves evidence that verifies for ever. Everything that can be distrusted denies, in
// any spelling, and nothing else does.
func TestReg_C13_distrust(t *testing.T) {
	allowed(t, evaluate(t, f0Policy, builtIn(runA)))
	signer := githubSigner(trustedSAN)
	for _, c := range []struct {
		entry string
		deny  bool
	}{
		{`runs: ["github.com/acme/app/actions/runs/15920000001/**"]`, true},
		{`runs: ["GitHub.com/Acme/App/actions/runs/15920000001/attempts/1"]`, true},
		{`runs: ["github.com/acme/app/actions/runs/15920000002/**"]`, false},
		{`digests: ["` + string(imageDigest()) + `"]`, true},
		{`digests: ["` + string(digest("bundle")) + `"]`, true},
		{`digests: ["` + string(digest("another")) + `"]`, false},
		{`keys: ["` + string(signer.Key) + `"]`, true},
		{`keys: ["` + string(digest("another")) + `"]`, false},
		{`commits: [` + commitOfSource + `]`, true},
		{`commits: [` + commitOfBuilder + `]`, true},
		{`commits: [dead000000000000000000000000000000000003]`, false},
		{`signers: ["github.com/trusted/builders/**"]`, true},
		{`signers: ["github.com/Trusted/Builders/.github/workflows/build.yml@refs/tags/v1.2.3"]`, true},
		{`signers: ["github.com/trusted/other/**"]`, false},
		{`issuers: ["https://token.actions.githubusercontent.com"]`, true},
		{`issuers: ["https://gitlab.com"]`, false},
		{`builders: ["github.com/trusted/**"]`, true},
		{`builders: ["github.com/evil/**"]`, false},
		{`repositories: ["github.com/acme/*"]`, true},
		{`repositories: ["github.com/acme/app/x"]`, false},
		{"commits: [" + commitOfSource + "]\n  from: 2026-05-31\n  until: 2026-05-31", true},
		{"commits: [" + commitOfSource + "]\n  until: 2026-05-30", false},
		{"commits: [" + commitOfSource + "]\n  from: 2026-06-01", false},
	} {
		d := evaluate(t, f0Policy+distrust(c.entry), builtIn(runA))
		if !c.deny {
			allowed(t, d)
			continue
		}
		only(t, d, "image.distrusted", stemma.ReasonDistrusted)
		if f := finding(t, d, "image.distrusted"); f.Where != "policy.yaml:26" || !strings.Contains(f.Detail, "SEC-7") {
			t.Errorf("%s: where %s, %s", c.entry, f.Where, f.Detail)
		}
	}
	// Without a proven time it counts as within: a signer who leaves the time out is no better than one who does not.
	window := f0Policy + distrust("commits: ["+commitOfSource+"]\n  until: 2026-05-30")
	if f := finding(t, evaluate(t, window, untimed), "image.distrusted"); f.Outcome != stemma.Fail {
		t.Errorf("%+v", f)
	}
	// What is distrusted denies beside evidence that is not, and an approval does not help.
	entry := distrust(`signers: ["github.com/evil/**"]`)
	for _, text := range []string{disagreement("builder", "release") + entry, approved("ghcr.io/acme/app", string(imageDigest()), "2027-01-01") + entry} {
		d := evaluate(t, text, func(e *stemma.Evidence) { add(e, "another", githubSigner(stranger)) })
		if f := finding(t, d, "image.distrusted"); f.Outcome != stemma.Fail || d.Verdict != stemma.Deny {
			t.Errorf("%s", render(d))
		}
	}
	// A policy without Distrust documents has no such cell, and each document is part of the set.
	if a, b := load(t, f0Policy), load(t, f0Policy+distrust(`issuers: ["https://gitlab.com"]`)); a.Digest == b.Digest {
		t.Error("a Distrust document does not change the digest of the set")
	}
}

func TestApproved(t *testing.T) {
	good := string(imageDigest())
	d := evaluate(t, approved("ghcr.io/acme/app", good, "2026-06-01"), nothing)
	if d.Verdict != stemma.Allow || d.Level != 0 || len(d.Findings) != 1 || len(d.Skipped) != 1 || !strings.HasPrefix(d.Skipped[0], "approved: ") {
		t.Errorf("%s", render(d))
	}
	for name, text := range map[string]string{
		"another digest": approved("ghcr.io/acme/app", string(digest("x")), "2027-01-01"),
		"another image":  approved("ghcr.io/acme/api", good, "2027-01-01"),
		"ended":          approved("ghcr.io/acme/app", good, "2026-05-31"),
		"none":           f0Policy,
	} {
		if d := evaluate(t, text, nothing); d.Verdict != stemma.Deny || len(d.Skipped) != 0 {
			t.Errorf("%s: %s", name, render(d))
		}
	}
	// One that ended refuses nothing that is proven.
	allowed(t, evaluate(t, approved("ghcr.io/acme/app", good, "2026-05-31")))
	// The last day counts whole.
	set := load(t, approved("ghcr.io/acme/app", good, "2026-06-01"))
	e := f0()
	nothing(e)
	for at, want := range map[string]stemma.Verdict{"2026-06-01T23:59:59Z": stemma.Allow, "2026-06-02T00:00:00Z": stemma.Deny} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if d := Evaluate(set, e, stemma.Situation{At: when}); d.Verdict != want {
			t.Errorf("%s: %s", at, render(d))
		}
	}
	// An approval is of a digest, under each platform rule: the index that was asked for, or the platform itself.
	text := platformsSet("[linux/amd64, linux/arm64]") + approved("ghcr.io/acme/app", good, "2027-01-01")
	if d := evaluate(t, text, index("linux/amd64", "linux/arm64"), nothing, bare); d.Verdict != stemma.Allow {
		t.Errorf("index: %s", render(d))
	}
	if d := evaluate(t, text, index("linux/amd64"), nothing, bare); d.Verdict != stemma.Deny {
		t.Errorf("a platform is missing: %s", render(d))
	}
	one := child("linux/amd64").Image.Digest
	text = platformsSet("[linux/amd64, linux/arm64]") + approved("ghcr.io/acme/app", string(one), "2027-01-01")
	if d := evaluate(t, text, index("linux/amd64", "linux/arm64"), nothing, bare); d.Verdict != stemma.Deny {
		t.Errorf("one of two platforms: %s", render(d))
	}
}

// bare takes the evidence of all platforms away.
func bare(e *stemma.Evidence) {
	for _, c := range e.Platforms {
		nothing(c)
	}
}

func TestAlternatives(t *testing.T) {
	review := signed(keySigner("acme-kms", "review"))
	for name, c := range map[string]struct {
		changes []func(*stemma.Evidence)
		verdict stemma.Verdict
		got     string
	}{
		"the first":  {nil, stemma.Allow, "alternative built-here"},
		"the second": {[]func(*stemma.Evidence){review}, stemma.Allow, "alternative reviewed"},
		"halves of both": {[]func(*stemma.Evidence){byCertificate(stemma.FieldRepository, "github.com/acme/other"), func(e *stemma.Evidence) {
			e.Attestations = append(e.Attestations, signature("s", keySigner("acme-kms", "intern")))
		}}, stemma.Deny, "nearest: built-here"},
		"none":              {[]func(*stemma.Evidence){nothing}, stemma.Deny, "nearest: built-here"},
		"a place is silent": {[]func(*stemma.Evidence){byCertificate(stemma.FieldRepository, "github.com/acme/other"), func(e *stemma.Evidence) { e.Unavailable = []stemma.Unavailable{away()} }}, stemma.Undetermined, "nearest: reviewed"},
	} {
		d := evaluate(t, alternatives, c.changes...)
		f := finding(t, d, "policy.alternative")
		if d.Verdict != c.verdict || f.Got != c.got {
			t.Errorf("%s: %s", name, render(d))
		}
	}
	// A requirement of an alternative is shown where it stands.
	if f := finding(t, evaluate(t, alternatives, byCertificate(stemma.FieldRepository, "github.com/acme/other")), "source.repository"); f.Where != "policy.yaml:22" {
		t.Errorf("%+v", f)
	}
	// Who is named only in an alternative is trusted by the set, too.
	if got := strings.Join(load(t, alternatives).TrustNames(), " "); got != "acme-kms public-good" {
		t.Errorf("trust domains %s", got)
	}
}
