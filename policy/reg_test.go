package policy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"stemma"
)

// The regression cases of the threat model that a policy answers, by their ids. The source of each stands beside it.

func workflow2(path, ref string) string { return "https://github.com/" + path + "@" + ref }

// CVE-2026-22772, CVE-2026-25542: an expression that was not anchored matched a URL inside of a URL.
func TestReg_C01_unanchored(t *testing.T) {
	allowed(t, evaluate(t, f0Policy))
	for _, subject := range []string{
		"https://evil.com/?" + trustedSAN,
		"https://evil.com/#" + trustedSAN,
		"https://evil.com/" + trustedSAN,
		trustedSAN + "/../../../../../evil/x/.github/workflows/y.yml@refs/tags/v1.0.0",
		"x" + trustedSAN,
		" " + trustedSAN,
		trustedSAN + "\n",
		strings.Replace(trustedSAN, "https://", "http://", 1),
		strings.Replace(trustedSAN, "github.com", "github.com.evil.com", 1),
		strings.Replace(trustedSAN, "https://github.com", "https://github.com@evil.com", 1),
	} {
		t.Run(subject, func(t *testing.T) {
			d := evaluate(t, withoutLevel(t), san(subject))
			f := finding(t, d, "builder.approved")
			// With a line break the ref differs, with all others the workflow.
			if d.Verdict != stemma.Deny || f.Reason != stemma.ReasonBuilder && !strings.HasPrefix(subject, trustedSAN) {
				t.Errorf("%s", render(d))
			}
			if f.Outcome != stemma.Fail {
				t.Errorf("%s", render(d))
			}
		})
	}
}

// withoutLevel is F0's policy without what an unknown builder fails besides, so that a case fails in one cell.
func withoutLevel(t testing.TB) string {
	return change(t, f0Policy, "level: 3, maxAge", "maxAge", "        events: [push, release]\n        runner: github-hosted\n", "")
}

// slsa-verifier, cases "append A", "prepend A", "middle A".
func TestReg_C02_prefix_org(t *testing.T) {
	only := func(name, subject string, reason stemma.Reason) {
		t.Run(name, func(t *testing.T) { only(t, evaluate(t, withoutLevel(t), san(subject)), "builder.approved", reason) })
	}
	allowed(t, evaluate(t, withoutLevel(t)))
	const file = ".github/workflows/build.yml"
	for _, owner := range []string{"trusted-evil", "trustedX", "Xtrusted", "truXsted", "truste", "evil", "trusted%2Fbuilders"} {
		only("owner "+owner, workflow2(owner+"/builders/"+file, "refs/tags/v1.2.3"), stemma.ReasonBuilder)
	}
	for _, repository := range []string{"buildersX", "Xbuilders", "builXders", "builders.git", "builder"} {
		only("repository "+repository, workflow2("trusted/"+repository+"/"+file, "refs/tags/v1.2.3"), stemma.ReasonBuilder)
	}
	for _, f := range []string{"build.ymlX", "Xbuild.yml", "build.yaml", "Build.yml", "sub/build.yml", "../workflows/build.yml", ""} {
		only("file "+f, workflow2("trusted/builders/.github/workflows/"+f, "refs/tags/v1.2.3"), stemma.ReasonBuilder)
	}
	for _, ref := range []string{"refs/tags/v2.0.0", "refs/tags/xv1.2.3", "refs/tags/v1", "refs/heads/v1.2.3", "xrefs/tags/v1.2.3", "tags/v1.2.3", "v1.2.3", "refs/tags/v1.2.3/x"} {
		only("ref "+ref, workflow2("trusted/builders/"+file, ref), stemma.ReasonBuilderRef)
	}
	// D04: on GitHub, owner and repository are the same in any case; a file is not.
	allowed(t, evaluate(t, withoutLevel(t), san(workflow2("Trusted/BUILDERS/"+file, "refs/tags/v1.2.3"))))
}

// fulcio config_test: a dot that stands for any character.
func TestReg_C03_dot(t *testing.T) {
	allowed(t, evaluate(t, withoutLevel(t)))
	for _, subject := range []string{
		"https://githubXcom/trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.3",
		workflow2("trusted/builders/Xgithub/workflows/build.yml", "refs/tags/v1.2.3"),
		workflow2("trusted/builders/.github/workflows/buildXyml", "refs/tags/v1.2.3"),
	} {
		only(t, evaluate(t, withoutLevel(t), san(subject)), "builder.approved", stemma.ReasonBuilder)
	}
	only(t, evaluate(t, withoutLevel(t), san(trustedWorkflow+"@refs/tags/v1X2")), "builder.approved", stemma.ReasonBuilderRef)
	only(t, evaluate(t, f0Policy, byCertificate(stemma.FieldRepository, "githubXcom/acme/app")), "source.repository", stemma.ReasonRepository)
}

// CVE-2025-29778: a policy whose only identities are expressions was not enforced. Here none can be written.
func TestReg_C04_expressions(t *testing.T) {
	for _, key := range []string{"subjectRegExp", "issuerRegExp", "workflowRegExp"} {
		text := change(t, f0Policy, "        workflowRefs", "        "+key+": .*\n        workflowRefs")
		if _, err := Load(files(text)...); err == nil || !strings.Contains(err.Error(), "unknown key") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// GHSA-mpvw; sigstore-go refuses an empty issuer or subject, too. What is empty in the certificate matches nothing.
func TestReg_C05_empty_identity(t *testing.T) {
	for _, oidc := range []string{
		`{issuer: "", subject: ci}`, `{issuer: "https://issuer.example", subject: ""}`, `{subject: ci}`,
		`{issuer: "https://issuer.example"}`, `{issuer: ~, subject: ci}`, `{}`,
	} {
		text := strings.ReplaceAll(signedPolicy, "{trust: acme-kms, keys: [review]}", "{oidc: "+oidc+"}")
		if _, err := Load(files(text)...); err == nil || !strings.Contains(err.Error(), "empty") && !strings.Contains(err.Error(), "needs") {
			t.Errorf("%s: %v", oidc, err)
		}
	}
	text := strings.ReplaceAll(signedPolicy, "{trust: acme-kms, keys: [review]}", `{oidc: {issuer: "https://issuer.example", subject: ci}}`)
	ci := stemma.Identity{Trust: PublicGood, Issuer: "https://issuer.example", Subject: "ci"}
	allowed(t, evaluate(t, text, signed(ci)))
	for name, id := range map[string]stemma.Identity{
		"zero": {}, "no issuer": {Trust: PublicGood, Subject: "ci"}, "no subject": {Trust: PublicGood, Issuer: "https://issuer.example"},
		"no trust domain": {Issuer: "https://issuer.example", Subject: "ci"},
		"another":         {Trust: PublicGood, Issuer: "https://issuer.example", Subject: "ci2"},
		"key of no name":  {Trust: "acme-kms", Key: digest("key review")},
	} {
		t.Run(name, func(t *testing.T) {
			only(t, evaluate(t, text, signed(id)), "signature.by", stemma.ReasonSigner)
		})
	}
}

// Sigstore client specification: an issuer is compared as a whole.
func TestReg_C06_wrong_issuer(t *testing.T) {
	allowed(t, evaluate(t, withoutLevel(t)))
	for _, issuer := range []string{
		"https://accounts.google.com", "https://gitlab.acme.example", GitHubIssuer + "/hammer-time", GitHubIssuer + "/",
		"http://token.actions.githubusercontent.com", "https://token.actions.githubusercontent.com.evil.com", "",
	} {
		t.Run(issuer, func(t *testing.T) {
			only(t, evaluate(t, withoutLevel(t), signerIs(func(id *stemma.Identity) { id.Issuer = issuer })), "builder.approved", stemma.ReasonIssuer)
		})
	}
}

// cli/cli#9045: a trusted reusable workflow builds for whoever calls it.
func TestReg_C07_caller(t *testing.T) {
	allowed(t, evaluate(t, f0Policy))
	anyCaller := change(t, f0Policy, "        caller: {ownerID: 48120341}\n", "")
	allowed(t, evaluate(t, anyCaller))
	for _, repository := range []string{"github.com/evil/app", "github.com/acme/app2", "github.com/acme/app/x", "gitlab.com/acme/app", "github.com/acme"} {
		only(t, evaluate(t, anyCaller, byCertificate(stemma.FieldRepository, repository)), "source.repository", stemma.ReasonRepository)
	}
	evil := signerIs(func(id *stemma.Identity) { id.Claims[stemma.ClaimSourceOwnerID] = "666" })
	only(t, evaluate(t, withoutLevel(t), evil), "builder.approved", stemma.ReasonCaller)
	silent := signerIs(func(id *stemma.Identity) { delete(id.Claims, stemma.ClaimSourceOwnerID) })
	only(t, evaluate(t, withoutLevel(t), silent), "builder.approved", stemma.ReasonNotStated)
}

// A workflow that somebody added to the source's own repository.
func TestReg_C08_local_workflow(t *testing.T) {
	allowed(t, evaluate(t, withoutLevel(t)))
	for _, path := range []string{"acme/app/.github/workflows/x.yml", "acme/app/.github/workflows/build.yml"} {
		only(t, evaluate(t, withoutLevel(t), san(workflow2(path, "refs/tags/v1.2.3"))), "builder.approved", stemma.ReasonBuilder)
	}
}

// slsa-verifier verifyTrustedBuilderRef: the right workflow at a ref that anybody can make.
func TestReg_C09_ref(t *testing.T) {
	allowed(t, evaluate(t, withoutLevel(t)))
	for name, ref := range map[string]string{
		"branch": "refs/heads/dev", "branch like a tag": "refs/heads/v1.2.3", "tag of another major": "refs/tags/v2.0.0",
		"fork's pull request": "refs/pull/7/merge", "commit that is not listed": commitOfBuilder, "short commit": commitOfBuilder[:7],
		"branch that ends like a tag": "refs/heads/x@refs/tags/v1.2.3", "no ref": "", "tag of several components": "refs/tags/v1.2/3",
	} {
		t.Run(name, func(t *testing.T) {
			d := evaluate(t, withoutLevel(t), san(workflow2("trusted/builders/.github/workflows/build.yml", ref)))
			reason := stemma.ReasonBuilderRef
			if ref == "" {
				reason = stemma.ReasonBuilder
			}
			only(t, d, "builder.approved", reason)
		})
	}
	pinned := change(t, withoutLevel(t), `workflowRefs: ["refs/tags/v1.*"]`, "workflowCommits: ["+commitOfBuilder+"]")
	allowed(t, evaluate(t, pinned, san(trustedWorkflow+"@"+commitOfBuilder)))
	allowed(t, evaluate(t, pinned)) // called at a tag, and the certificate says that the tag was this commit
	elsewhere := signerIs(func(id *stemma.Identity) { id.Claims[stemma.ClaimBuildSignerDigest] = commitOfSource })
	only(t, evaluate(t, pinned, elsewhere), "builder.approved", stemma.ReasonBuilderRef)
	silent := signerIs(func(id *stemma.Identity) { delete(id.Claims, stemma.ClaimBuildSignerDigest) })
	only(t, evaluate(t, pinned, silent), "builder.approved", stemma.ReasonBuilderRef)
}

// attest#539: the body names the trusted builder, the certificate another.
func TestReg_C10_builder_lie(t *testing.T) {
	allowed(t, evaluate(t, withoutLevel(t)))
	rogue := "https://github.com/evil/x/.github/workflows/y.yml@refs/tags/v1.2.3"
	only(t, evaluate(t, withoutLevel(t), san(rogue)), "builder.approved", stemma.ReasonBuilder)
	d := evaluate(t, withoutLevel(t), san(rogue), claim(stemma.FieldBuilder, said(rogue, stemma.SaidByCertificate, "certificate SAN", bySelf(trustedSAN, "/runDetails/builder/id"))))
	if d.Verdict != stemma.Deny || finding(t, d, "builder.approved").Reason != stemma.ReasonBuilder || finding(t, d, "provenance.consistent").Reason != stemma.ReasonContradiction {
		t.Errorf("%s", render(d))
	}
	only(t, evaluate(t, withoutLevel(t), claim(stemma.FieldBuilder, said(trustedSAN, stemma.SaidByCertificate, "certificate SAN", bySelf(rogue, "/runDetails/builder/id")))), "provenance.consistent", stemma.ReasonContradiction)
}

// Fulcio extension .11.
func TestReg_C11_runner(t *testing.T) {
	allowed(t, evaluate(t, f0Policy))
	for _, runner := range []string{"self-hosted", "github-hosted ", "GitHub-hosted", "ssh-rerun"} {
		only(t, evaluate(t, f0Policy, byCertificate(stemma.FieldRunner, runner)), "builder.runner", stemma.ReasonRunner)
	}
	only(t, evaluate(t, f0Policy, claim(stemma.FieldRunner, said("github-hosted", stemma.SaidByBuilder, "/runner"))), "builder.runner", stemma.ReasonNotStated)
}

// Mini Shai-Hulud: malware released by events that strangers cause.
func TestReg_C12_trigger(t *testing.T) {
	allowed(t, evaluate(t, f0Policy))
	for _, event := range []string{"pull_request_target", "workflow_run", "pull_request", "issue_comment", "pushx", "PUSH", "schedule"} {
		only(t, evaluate(t, f0Policy, byCertificate(stemma.FieldTrigger, event)), "builder.trigger", stemma.ReasonTrigger)
	}
	only(t, evaluate(t, f0Policy, claim(stemma.FieldTrigger, said("push", stemma.SaidByTenant, "/event"))), "builder.trigger", stemma.ReasonNotStated)
}

// SLSA: a builder is believed up to a level.
func TestReg_C14_level(t *testing.T) {
	allowed(t, evaluate(t, f0Policy))
	only(t, evaluate(t, change(t, f0Policy, "      level: 3\n", "      level: 2\n")), "provenance.level", stemma.ReasonLevel)
	only(t, evaluate(t, change(t, f0Policy, "      level: 3\n", "")), "provenance.level", stemma.ReasonLevel)
	only(t, evaluate(t, change(t, f0Policy, "      level: 3\n", "      level: 1\n", "level: 3, maxAge", "level: 2, maxAge")), "provenance.level", stemma.ReasonLevel)
	// A policy cannot credit what evidence does not support: the source's own workflow is not isolated from it.
	same := signerIs(func(id *stemma.Identity) {
		id.Claims[stemma.ClaimSourceRepositoryURI] = "https://github.com/trusted/builders"
	})
	only(t, evaluate(t, f0Policy, same), "provenance.level", stemma.ReasonLevel)
	unknown := signerIs(func(id *stemma.Identity) { delete(id.Claims, stemma.ClaimSourceRepositoryURI) })
	only(t, evaluate(t, f0Policy, unknown), "provenance.level", stemma.ReasonLevel)
}

func chains(name, builder string) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		nothing(e)
		add(e, "bundle", keySigner("chains", name), func(a *stemma.Attestation, p *stemma.Provenance) {
			a.SignedAt, a.Log = nil, nil
			p.Claims = map[stemma.Field]stemma.Claim{
				stemma.FieldBuilder:    said(builder, stemma.SaidByBuilder, "/builder/id"),
				stemma.FieldRepository: said("github.com/acme/app", stemma.SaidByBuilder, "/materials/0/uri"),
			}
		})
	}
}

// SLSA: roots of trust map a key to the builder.id that it may speak for.
func TestReg_C17_key_builder(t *testing.T) {
	const tekton = "https://tekton.dev/chains/v2"
	d := evaluate(t, chainsPolicy, chains("chains-2026", tekton))
	allowed(t, d)
	if want := "trust domain chains does not require: log, timestamp, sct|trust domain chains proves no signing time"; strings.Join(d.Skipped, "|") != want {
		t.Errorf("skipped %q", d.Skipped)
	}
	noLevel := change(t, chainsPolicy, ", level: 2", "")
	for _, id := range []string{"https://jenkins.acme.example", tekton + "x", "x" + tekton, "", "https://tekton.dev/chains/v1"} {
		only(t, evaluate(t, noLevel, chains("chains-2026", id)), "builder.approved", stemma.ReasonBuilder)
	}
	only(t, evaluate(t, noLevel, chains("release", tekton)), "builder.approved", stemma.ReasonSigner)
	other := func(e *stemma.Evidence) { e.Attestations[0].Signer.Trust = "acme-kms" }
	only(t, evaluate(t, noLevel, chains("chains-2026", tekton), other), "builder.approved", stemma.ReasonTrustDomain)
	only(t, evaluate(t, noLevel, chains("chains-2026", tekton), byCertificate(stemma.FieldRepository, "github.com/evil/app")), "source.repository", stemma.ReasonRepository)
	only(t, evaluate(t, change(t, noLevel, ", saidBy: builder", ""), chains("chains-2026", tekton)), "source.repository", stemma.ReasonSaidBy)
}

// SLSA threat D: built from a fork.
func TestReg_D01_fork(t *testing.T) {
	allowed(t, evaluate(t, f0Policy))
	for _, source := range []string{
		"github.com/evilfork/app", "github.com/acme-evil/app", "github.com/acme/app-evil", "github.com/acme/app/evil",
		"evil.com/github.com/acme/app", "github.com/acme/app%2F..%2Fevil", "github.com/acme/../evil/app", "github.com.evil.com/acme/app", "github.com//acme/app",
	} {
		only(t, evaluate(t, f0Policy, byCertificate(stemma.FieldRepository, source)), "source.repository", stemma.ReasonRepository)
	}
	exception := change(t, f0Policy, "    refs:", "    exceptions: [{image: ghcr.io/acme/app, repository: github.com/acme/storefront}]\n    refs:")
	allowed(t, evaluate(t, exception, byCertificate(stemma.FieldRepository, "github.com/acme/storefront")))
	only(t, evaluate(t, exception), "source.repository", stemma.ReasonRepository)
	elsewhere := func(e *stemma.Evidence) { e.Image.Repository = "ghcr.io/acme/web" }
	only(t, evaluate(t, exception, elsewhere, byCertificate(stemma.FieldRepository, "github.com/acme/storefront")), "source.repository", stemma.ReasonRepository)
}

func effectOfNothing() stemma.Effect {
	effect, _ := (&Set{}).effect(&loaded{}, nil, now())
	return effect
}

// go-witness GHSA-rgp5, GHSA-567m, kyverno#17162: nothing to check was a pass.
func TestReg_E01_empty(t *testing.T) {
	for name, set := range map[string]*Set{"nil": nil, "zero": {}, "empty spec": {policies: []*loaded{{name: "x"}}}} {
		d := Evaluate(set, f0(), now())
		if d.Verdict != stemma.Deny || d.Effect != stemma.Refuse || d.Findings[0].Reason != stemma.ReasonNoPolicy {
			t.Errorf("%s: %s", name, render(d))
		}
	}
	if verdictOf(nil) != stemma.Undetermined || effectOfNothing() != stemma.Refuse {
		t.Error("no finding at all passes")
	}
	if v := verdictOf([]stemma.Finding{{Outcome: stemma.Pass}, {}}); v != stemma.Undetermined {
		t.Errorf("a zero outcome is %s", v)
	}
	set := load(t, f0Policy)
	for name, e := range map[string]*stemma.Evidence{
		"nil": nil, "zero": {}, "image only": none(),
		"nil child":                         {Image: none().Image, Platforms: []*stemma.Evidence{nil}},
		"attestation without provenance":    {Image: none().Image, Attestations: f0().Attestations},
		"provenance without attestation":    {Image: none().Image, Provenance: f0().Provenance},
		"provenance of another attestation": mutated(func(e *stemma.Evidence) { e.Provenance[0].Bundle = digest("other") }),
		"both without bundle":               mutated(func(e *stemma.Evidence) { e.Provenance[0].Bundle, e.Attestations[0].Bundle = "", "" }),
		"binding of no kind":                mutated(func(e *stemma.Evidence) { e.Attestations[0].Binding.Kind = "" }),
		"binding of another kind":           mutated(func(e *stemma.Evidence) { e.Attestations[0].Binding.Kind = "index" }),
		"bound to another manifest":         mutated(func(e *stemma.Evidence) { e.Attestations[0].Binding.Member = digest("other") }),
		"bound to nothing":                  mutated(func(e *stemma.Evidence) { e.Attestations[0].Binding.Member = "" }),
		"image of no digest, bound to none": mutated(func(e *stemma.Evidence) { e.Image.Digest, e.Attestations[0].Binding.Member = "", "" }),
		"a signature of another image": mutated(func(e *stemma.Evidence) {
			nothing(e)
			e.Attestations = []stemma.Attestation{signature("s", keySigner("acme-kms", "review"))}
			e.Attestations[0].Binding.Member = digest("other")
		}),
		"a signature that claims provenance": mutated(func(e *stemma.Evidence) { e.Attestations[0].Signature = true }),
		"evidence of a child":                {Image: stemma.Image{Repository: "ghcr.io/acme/app", Digest: digest("index")}, Platforms: []*stemma.Evidence{f0()}},
		"unsigned provenance": mutated(func(e *stemma.Evidence) {
			e.Unsigned = []stemma.Unsigned{{Bundle: digest("u"), Sealed: true, Bound: true, Provenance: &e.Provenance[0]}}
			e.Attestations, e.Provenance = nil, nil
		}),
	} {
		d := Evaluate(set, e, now())
		if d.Verdict != stemma.Deny || d.Effect != stemma.Refuse {
			t.Errorf("%s: %s", name, render(d))
		}
		// It is authentic as a signature, and says nothing of how the image was made.
		if want := name == "a signature that claims provenance"; (d.Findings[0].Outcome == stemma.Pass) != want {
			t.Errorf("%s: %s is %s", name, d.Findings[0].Rule, d.Findings[0].Outcome)
		}
	}
}

func mutated(change func(*stemma.Evidence)) *stemma.Evidence {
	e := f0()
	change(e)
	return e
}

// policy-controller no-match-policy: silence about an image is not consent.
func TestReg_E02_no_match(t *testing.T) {
	allowed(t, evaluate(t, f0Policy))
	for _, repository := range []string{"", "ghcr.io/acme", "ghcr.io/acme/app/sub", "ghcr.io/acme-evil/app", "evil.io/ghcr.io/acme/app", "ghcr.io/acme/", "ghcr.io//app", "GHCR.io/acme/app"} {
		d := evaluate(t, f0Policy, func(e *stemma.Evidence) { e.Image.Repository = repository })
		only(t, d, "image.policy", stemma.ReasonNoPolicy)
	}
	excepted := change(t, f0Policy, `{service}"]}`, `{service}"], except: ["ghcr.io/acme/app"]}`)
	only(t, evaluate(t, excepted), "image.policy", stemma.ReasonNoPolicy)
	for outcome, effect := range map[string]stemma.Effect{"refuse": stemma.Refuse, "warn": stemma.Warn, "allow": stemma.Admit} {
		set := "apiVersion: policy.stemma.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: s}\nspec: {unmatched: " + outcome + "}\n---\n"
		if d := evaluate(t, set+excepted); d.Verdict != stemma.Deny || d.Effect != effect {
			t.Errorf("unmatched: %s: %s", outcome, render(d))
		}
	}
}

// CVE-2022-35929, CVE-2022-35930: an attestation of another type passed for the one that was asked for.
func TestReg_E03_type(t *testing.T) {
	sbom := func(e *stemma.Evidence) {
		e.Attestations[0].Statement.PredicateType = "https://spdx.dev/Document"
		e.Provenance, e.SBOMs = nil, []stemma.SBOM{{Bundle: e.Attestations[0].Bundle, Format: "SPDX 2.3"}}
	}
	d := evaluate(t, f0Policy, sbom)
	if d.Verdict != stemma.Deny || finding(t, d, "provenance.present").Reason != stemma.ReasonNoProvenance || finding(t, d, "image.authentic").Reason != stemma.ReasonNoEvidence {
		t.Errorf("%s", render(d))
	}
	review := keySigner("acme-kms", "review")
	allowed(t, evaluate(t, signedPolicy, signed(review)))
	attested := func(e *stemma.Evidence) { e.Attestations[0].Signer = review }
	only(t, evaluate(t, signedPolicy, attested), "signature.by", stemma.ReasonNoSignature)
}

// GHSA-r4fv: the verdict depended on which of two attestations came first.
func TestReg_E05_duplicates(t *testing.T) {
	bad := func(_ *stemma.Attestation, p *stemma.Provenance) {
		p.Claims[stemma.FieldRef] = said("refs/heads/wip", stemma.SaidByCertificate, "certificate .14")
	}
	for _, names := range [][2]string{{"a", "b"}, {"b", "a"}} {
		for _, badFirst := range []bool{true, false} {
			e := none()
			if badFirst {
				add(e, names[0], githubSigner(trustedSAN), bad)
			}
			add(e, names[1], githubSigner(trustedSAN))
			if !badFirst {
				add(e, names[0], githubSigner(trustedSAN), bad)
			}
			allowed(t, Evaluate(load(t, f0Policy), e, now()))
		}
	}
}

// GHSA-c346: one attestation found in three places was counted three times.
func TestReg_E06_quorum(t *testing.T) {
	two := change(t, f0Policy, "by: [release]", "by: {atLeast: 2, of: [release, other]}", "    release:\n",
		"    other: {github: {workflow: other/builders/.github/workflows/build.yml, workflowRefs: [\"refs/tags/**\"]}, level: 3}\n    release:\n")
	other := githubSigner("https://github.com/other/builders/.github/workflows/build.yml@refs/tags/v1")
	allowed(t, evaluate(t, two, func(e *stemma.Evidence) { add(e, "second", other) }))
	copies := func(e *stemma.Evidence) {
		for range 2 {
			e.Attestations, e.Provenance = append(e.Attestations, e.Attestations[0]), append(e.Provenance, e.Provenance[0])
		}
	}
	again := func(e *stemma.Evidence) { add(e, "second", githubSigner(trustedSAN)) }
	otherTag := func(e *stemma.Evidence) { add(e, "second", githubSigner(trustedWorkflow+"@refs/tags/v1.9.9")) }
	for name, change := range map[string]func(*stemma.Evidence){"alone": func(*stemma.Evidence) {}, "copies": copies, "again": again, "another tag of the same workflow": otherTag} {
		t.Run(name, func(t *testing.T) {
			d := evaluate(t, two, change)
			if f := finding(t, d, "builder.approved"); d.Verdict != stemma.Deny || f.Reason != stemma.ReasonThreshold || f.Got != "1 accepted builder" {
				t.Errorf("%s", render(d))
			}
			if f := finding(t, d, "source.repository"); f.Outcome != stemma.Fail {
				t.Errorf("one of two provenances is enough for the source:\n%s", render(d))
			}
		})
	}
	// Who controls a workflow controls it at all its tags, whatever names a policy gives to them.
	tags := change(t, f0Policy, "by: [release]", "by: {atLeast: 2, of: [release, next]}", "    release:\n",
		"    next: {github: {workflow: trusted/builders/.github/workflows/build.yml, workflowRefs: [\"refs/tags/v2.*\"]}, level: 3}\n    release:\n")
	d := evaluate(t, tags, func(e *stemma.Evidence) { add(e, "second", githubSigner(trustedWorkflow+"@refs/tags/v2.0.0")) })
	if f := finding(t, d, "builder.approved"); d.Verdict != stemma.Deny || f.Reason != stemma.ReasonThreshold {
		t.Errorf("%s", render(d))
	}
	if d := evaluate(t, f0Policy, copies); finding(t, d, "provenance.present").Got != "1 provenance" {
		t.Errorf("%s", render(d))
	}
}

// GHSA-3633: one key under two names is one signer.
func TestReg_A08_duplicate_key(t *testing.T) {
	two := change(t, signedPolicy, "[reviewer, releaser], maxAge", "{atLeast: 2, of: [reviewer, releaser, again]}, maxAge", "  signature:", "    again: {trust: acme-kms, keys: [review-again, review]}\n  signature:")
	review, release := keySigner("acme-kms", "review"), keySigner("acme-kms", "release")
	again := keySigner("acme-kms", "review-again")
	again.Key = review.Key
	allowed(t, evaluate(t, two, signed(review, release)))
	cosigned := func(e *stemma.Evidence) { e.Attestations[0].Cosigners = []stemma.Identity{release} }
	allowed(t, evaluate(t, two, signed(review), cosigned))
	for name, signers := range map[string][]stemma.Identity{
		"one signature": {review}, "one key, two names": {review, again}, "the same twice": {review, review},
		"one accepted, one stranger": {review, keySigner("acme-kms", "intern")},
	} {
		t.Run(name, func(t *testing.T) {
			only(t, evaluate(t, two, signed(signers...)), "signature.by", stemma.ReasonThreshold)
		})
	}
	elsewhere := func(e *stemma.Evidence) { e.Attestations[1].Binding.Member = digest("other") }
	only(t, evaluate(t, two, signed(review, release), elsewhere), "signature.by", stemma.ReasonThreshold)
	self := func(e *stemma.Evidence) { e.Attestations[0].Cosigners = []stemma.Identity{review, again} }
	only(t, evaluate(t, two, signed(review), self), "signature.by", stemma.ReasonThreshold)
}

// CVE-2026-23992, sigstore-go 607d023: a threshold of zero was met by nobody.
func TestReg_A07_threshold(t *testing.T) {
	load(t, change(t, f0Policy, "by: [release]", "by: {atLeast: 1, of: [release]}"))
	for _, n := range []string{"0", "-1", "2", "1.0", "1e0", "0x1", "9223372036854775808", `""`, "~", "[1]"} {
		if _, err := Load(files(change(t, f0Policy, "by: [release]", "by: {atLeast: "+n+", of: [release]}"))...); err == nil || !strings.Contains(err.Error(), "atLeast") {
			t.Errorf("%s: %v", n, err)
		}
	}
}

// kyverno#16208: a rule that aborted left the rest unjudged.
func TestReg_E12_coverage(t *testing.T) {
	second := change(t, f0Policy, "name: app", "name: second", "github.com/acme/{service}", "github.com/other/{service}")
	third := change(t, signedPolicy, "by: [reviewer, releaser]", "by: [reviewer]")
	for _, texts := range [][]string{{f0Policy, second, third}, {third, second, f0Policy}} {
		d := Evaluate(load(t, texts...), f0(), now())
		got := map[string]stemma.Outcome{}
		for _, f := range d.Findings {
			got[f.Policy+" "+f.Rule] = f.Outcome
		}
		if d.Verdict != stemma.Deny || len(d.Policies) != 3 || got["app source.repository"] != stemma.Pass || got["second source.repository"] != stemma.Fail || got["signed signature.by"] != stemma.Fail || got["signed image.authentic"] != stemma.Pass {
			t.Errorf("%s", render(d))
		}
		for _, block := range []string{"signature", "provenance", "source"} {
			if slices.Contains(d.NotRequired, block) {
				t.Errorf("%s is required by some policy, and yet not required: %v", block, d.NotRequired)
			}
		}
	}
}

// Trail of Bits on parsers: what two readers understand differently is refused. The texts are in testdata/errors.
func TestReg_E15_parse(t *testing.T) {
	for name, text := range map[string]string{
		"duplicate key":          change(t, f0Policy, "  source:\n", "  match: {images: [\"**\"]}\n  source:\n"),
		"duplicate key, escaped": change(t, f0Policy, "  source:\n", "  \"m\\x61tch\": {images: [\"**\"]}\n  source:\n"),
		"unknown key":            change(t, f0Policy, "  source:\n", "  rules: []\n  source:\n"),
		"key in another case":    change(t, f0Policy, "  source:\n", "  Mode: audit\n  source:\n"),
	} {
		if _, err := Load(files(text)...); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

// yaml CVEs: aliases that grow, merge keys that hide, tags that change a type.
func TestReg_J13_yaml(t *testing.T) {
	bomb := "a: &a [" + strings.Repeat("x,", 9) + "x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 10), ","))
	}
	for name, text := range map[string]string{
		"alias bomb":    bomb + f0Policy,
		"recursion":     change(t, f0Policy, "[refs/heads/main,", "&a [*a,"),
		"merge":         change(t, f0Policy, "      level: 3\n", "      <<: {level: 3}\n"),
		"binary":        change(t, f0Policy, "acme/{service}\n", "acme/{service}\n    saidBy: !!binary YW55b25l\n"),
		"local tag":     change(t, f0Policy, "{ownerID: 48120341}", "!x {ownerID: 48120341}"),
		"set":           change(t, f0Policy, "[push, release]", "!!set {push, release}"),
		"complex key":   change(t, f0Policy, "      level: 3\n", "      ? [level]\n      : 3\n"),
		"directive":     "%TAG ! tag:evil.com,2000:\n---\n" + change(t, f0Policy, "{ownerID: 48120341}", "!x {ownerID: 48120341}"),
		"number as key": change(t, f0Policy, "      level: 3\n", "      3: 3\n"),
	} {
		set, err := Load(files(text)...)
		if err == nil {
			t.Errorf("%s: loaded %v", name, set.Policies())
		}
	}
}

// A pattern and a name that are made for each other: the steps are bounded, whatever they are.
func TestReg_J14_pattern(t *testing.T) {
	for _, p := range []Pattern{"**/**/**/**/x", "{a**}/{b**}/{c**}/{d**}/x", "**/a*a*a*a*a*a/**/b"} {
		for _, n := range []int{10, 60, 500, 2000} {
			steps := 0
			name := strings.TrimSuffix(strings.Repeat("a/", n), "/")
			_, ok := matchComponents(string(p), name, nil, &steps)
			if ok || steps > maxMatchSteps+1 {
				t.Errorf("%s on %d components: %v after %d steps", p, n, ok, steps)
			}
		}
	}
	if _, ok := Pattern("**").match(strings.Repeat("a", 4097), nil); ok {
		t.Error("a name without bound is matched")
	}
}

// GOMAXPROCS and the order of evidence never show in a decision.
func TestReg_J16_determinism(t *testing.T) {
	set := load(t, f0Policy, signedPolicy)
	blind, refused := crowd(), crowd()
	nothing(blind)
	nothing(refused)
	refused.Unavailable = nil
	for _, e := range []*stemma.Evidence{crowd(), blind, refused} {
		want := encode(Evaluate(set, e, now()))
		r := rand.New(rand.NewPCG(1, 2))
		for range 1000 {
			shuffle(r, e)
			if got := encode(Evaluate(set, e, now())); !bytes.Equal(got, want) {
				t.Fatalf("another order, another decision:\n%s\n%s", want, got)
			}
		}
	}
}

// crowd is evidence with something of everything, and with ties.
func crowd() *stemma.Evidence {
	e := f0()
	for i := range 4 {
		add(e, fmt.Sprint("twin ", i), githubSigner(trustedSAN))
		add(e, fmt.Sprint("rogue ", i), githubSigner(fmt.Sprintf("https://github.com/evil%d/x/.github/workflows/y.yml@refs/heads/main", i)))
		e.Attestations = append(e.Attestations, signature(fmt.Sprint("s", i), keySigner("acme-kms", "review")), signature(fmt.Sprint("o", i), keySigner("acme-kms", "intern")))
		e.Rejected = append(e.Rejected, rejected("r", stemma.ReasonSignatureInvalid), rejected(fmt.Sprint("r", i), stemma.ReasonMalformed))
		e.Rejected[len(e.Rejected)-2].Place = fmt.Sprint("place ", i)
		e.Unavailable = append(e.Unavailable, stemma.Unavailable{Place: fmt.Sprint("place ", i), Reason: stemma.ReasonTimeout})
		e.Unsigned = append(e.Unsigned, stemma.Unsigned{Bundle: digest(fmt.Sprint("u", i))})
		e.Trust = append(e.Trust, stemma.TrustRef{Name: fmt.Sprint("t", i)})
	}
	// One bundle that is authentic under two trust domains, found twice.
	twin := e.Attestations[0]
	twin.Signer.Trust = GitHubTrust
	e.Attestations = append(e.Attestations, twin, e.Attestations[0])
	e.Provenance = append(e.Provenance, e.Provenance[0])
	return e
}

func shuffle(r *rand.Rand, e *stemma.Evidence) {
	r.Shuffle(len(e.Attestations), func(i, j int) { e.Attestations[i], e.Attestations[j] = e.Attestations[j], e.Attestations[i] })
	r.Shuffle(len(e.Provenance), func(i, j int) { e.Provenance[i], e.Provenance[j] = e.Provenance[j], e.Provenance[i] })
	r.Shuffle(len(e.Rejected), func(i, j int) { e.Rejected[i], e.Rejected[j] = e.Rejected[j], e.Rejected[i] })
	r.Shuffle(len(e.Unavailable), func(i, j int) { e.Unavailable[i], e.Unavailable[j] = e.Unavailable[j], e.Unavailable[i] })
	r.Shuffle(len(e.Unsigned), func(i, j int) { e.Unsigned[i], e.Unsigned[j] = e.Unsigned[j], e.Unsigned[i] })
	r.Shuffle(len(e.Trust), func(i, j int) { e.Trust[i], e.Trust[j] = e.Trust[j], e.Trust[i] })
}

// C19 (slsa-verifier, delegated builders): a delegator signs for the workflow that calls it. Accepting the delegator
// accepts no such workflow by itself; the policy names the one that it may sign for.
func TestReg_C19_delegator(t *testing.T) {
	const inner = "https://github.com/acme/tool/.github/workflows/build.yml@refs/tags/v1.0.0"
	delegated := func(id string) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) { e.Provenance[0].Delegate = id }
	}
	named := change(t, f0Policy, "      github:\n", "      id: "+inner+"\n      github:\n")
	bySubject := builtBy("oidc: {issuer: \"" + GitHubIssuer + "\", subject: \"" + trustedSAN + "\"}")
	allowed(t, evaluate(t, f0Policy))
	allowed(t, evaluate(t, bySubject))
	allowed(t, evaluate(t, named, delegated(inner)))
	for name, d := range map[string]*stemma.Decision{
		"unnamed":  evaluate(t, f0Policy, delegated(inner)),
		"subject":  evaluate(t, bySubject, delegated(inner)),
		"another":  evaluate(t, named, delegated("https://github.com/evil/tool/.github/workflows/build.yml@refs/tags/v1.0.0")),
		"its ref":  evaluate(t, named, delegated("https://github.com/acme/tool/.github/workflows/build.yml@refs/heads/x")),
		"its case": evaluate(t, named, delegated("https://github.com/ACME/tool/.github/workflows/build.yml@refs/tags/v1.0.0")),
		"none":     evaluate(t, named),
	} {
		if f := finding(t, d, "builder.approved"); d.Verdict != stemma.Deny || f.Outcome != stemma.Fail || f.Reason != stemma.ReasonBuilder {
			t.Errorf("%s: %s %+v", name, d.Verdict, f)
		}
	}
}
