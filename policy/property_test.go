package policy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stemma"
)

// strictPolicy has two builders that fit one signer: the one with controls and credit, the other with neither.
const strictPolicy = `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: strict}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  builders:
    strict:
      github: {workflow: trusted/builders/.github/workflows/build.yml, workflowRefs: ["refs/tags/**"], events: [push], runner: github-hosted}
      level: 3
    loose:
      github: {workflow: trusted/builders/.github/workflows/*, workflowRefs: ["refs/**"], events: [push, workflow_run]}
      level: 1
  provenance: {by: [strict, loose], level: 2, maxAge: 90d}
  source: {repository: "github.com/acme/{service}"}
`

// quorumPolicy wants two builders and two signatures.
const quorumPolicy = keySet + `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: quorum}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  builders:
    one: {github: {workflow: trusted/builders/.github/workflows/*, workflowRefs: ["refs/tags/**"]}, level: 3}
    two: {github: {workflow: other/builders/.github/workflows/build.yml, workflowRefs: ["refs/tags/**"], runner: github-hosted}, level: 3}
    three: {github: {workflow: "trusted/builders/.github/workflows/build.yml", workflowRefs: ["refs/**"]}}
  signers:
    reviewer: {trust: acme-kms, keys: [review, review-again]}
    releaser: {trust: acme-kms, keys: [release]}
  provenance: {by: {atLeast: 2, of: [one, two, three]}, maxAge: 90d}
  source: {repository: "github.com/acme/{service}", refs: ["refs/tags/**"]}
  signature: {by: {atLeast: 2, of: [reviewer, releaser]}, maxAge: 90d}
`

func propertyPolicies() []string {
	either := strings.Replace(twoKeys, "by: {atLeast: 2, of: [build, audit]}", "by: [build, audit]", 1)
	return []string{f0Policy, strictPolicy, quorumPolicy, signedPolicy, chainsPolicy, f0Policy + "---\n" + strictPolicy, tektonPolicy(), twoKeys, either}
}

// drawEvidence makes evidence of parts that meet, half meet and miss what the policies above ask for.
func drawEvidence(t *rapid.T) *stemma.Evidence {
	e := none()
	n := 0
	pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	when := func(a *stemma.Attestation) {
		switch pick("time", "recent", "recent", "old", "future", "none") {
		case "old":
			a.SignedAt[0].Time = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		case "future":
			a.SignedAt[0].Time = now().At.AddDate(1, 0, 0)
		case "none":
			a.SignedAt = nil
		}
	}
	// What meets a policy is drawn too rarely, and most has to be near it.
	most := 1
	switch pick("begin", "nothing", "certificate", "pipeline", "two keys") {
	case "nothing":
		most = 4
	case "certificate":
		add(e, "bundle", githubSigner(trustedSAN))
	case "pipeline":
		chained(e)
	case "two keys":
		keyedBy(keySigner("chains", "chains-2026"), keySigner("acme-kms", "release"))(e)
	}
	for range rapid.IntRange(0, most).Draw(t, "provenances") {
		n++
		signer := githubSigner("https://github.com/" + pick("workflow", "trusted/builders", "trusted/builders", "other/builders", "evil/x") +
			"/.github/workflows/" + pick("file", "build.yml", "build.yml", "other.yml") + "@" + pick("at", "refs/tags/v1.2.3", "refs/tags/v1.2.4", "refs/heads/dev"))
		if pick("kind of signer", "certificate", "certificate", "key") == "key" {
			signer = keySigner("chains", "chains-2026")
		}
		add(e, fmt.Sprint("provenance ", n), signer, func(a *stemma.Attestation, p *stemma.Provenance) {
			when(a)
			p.Claims[stemma.FieldRunner] = said(pick("runner", "github-hosted", "self-hosted"), stemma.SaidByCertificate, "certificate .11")
			p.Claims[stemma.FieldTrigger] = said(pick("event", "push", "push", "workflow_run", ""), stemma.SaidByCertificate, "certificate .20")
			p.Claims[stemma.FieldRef] = said(pick("ref", "refs/tags/v2.0.0", "refs/tags/v2.0.0", "refs/heads/wip"), stemma.SaidByCertificate, "certificate .14")
			grade := rapid.SampledFrom([]stemma.Grade{stemma.SaidByCertificate, stemma.SaidByCertificate, stemma.SaidByBuilder, stemma.SaidByTenant}).Draw(t, "grade")
			p.Claims[stemma.FieldRepository] = said(pick("repository", "github.com/acme/app", "github.com/acme/app", "github.com/evil/app", ""), grade, "somewhere")
			if pick("commit", "same", "same", "other") == "other" {
				p.Claims[stemma.FieldCommit] = said("dead000000000000000000000000000000000003", stemma.SaidByCertificate, "certificate .13", bySelf(pick("other commit", "dead000000000000000000000000000000000003", "beef"), "/x"))
			}
			if pick("bound", "yes", "yes", "yes", "no") == "no" {
				a.Binding.Member = digest("other")
			}
			if a.Signer.KeyID != "" {
				drawKeyed(t, a, p)
			}
		})
	}
	for range rapid.IntRange(0, 3).Draw(t, "signatures") {
		n++
		key := func() stemma.Identity {
			id := keySigner("acme-kms", pick("key", "review", "review-again", "release", "intern"))
			if id.KeyID == "review-again" {
				id.Key = digest("key review")
			}
			return id
		}
		a := signature(fmt.Sprint("signature ", n), key())
		when(&a)
		if pick("cosigned", "no", "yes") == "yes" {
			a.Cosigners = []stemma.Identity{key()}
		}
		e.Attestations = append(e.Attestations, a)
	}
	if pick("seen", "all", "all", "some") == "some" {
		e.Unavailable = []stemma.Unavailable{away()}
	}
	return e
}

// drawKeyed makes provenance that a key signed that of a pipeline, or of a builder that others sign for, too.
func drawKeyed(t *rapid.T, a *stemma.Attestation, p *stemma.Provenance) {
	pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	by := rapid.SampledFrom([]stemma.Grade{stemma.SaidByBuilder, stemma.SaidByBuilder, stemma.SaidByTenant})
	switch pick("keyed", "plain", "tekton", "tekton", "cosigned", "cosigned") {
	case "tekton":
		p.Known, p.BuildType = "Tekton Chains", pick("build type", "tekton.dev/v1/PipelineRun", "https://tekton.dev/chains/v2/slsa")
		p.Claims[stemma.FieldBuilder] = said("https://tekton.dev/chains/v2", stemma.SaidByBuilder, "/builder/id")
		p.Claims[stemma.FieldNamespace] = said(pick("namespace", "acme-tenant", "team-a", "team-a", "evil", ""), by.Draw(t, "namespace by"), "/x")
		p.Claims[stemma.FieldServiceAccount] = said(pick("account", "build-pipeline", "build-pipeline", "default"), by.Draw(t, "account by"), "/x")
		for range rapid.IntRange(0, 4).Draw(t, "tasks") {
			task := stemma.Task{Name: pick("task", "clone", "clone", "build"), Ref: pick("defined", "quay.io/acme/tasks/x", "quay.io/acme/tasks/x", "quay.io/evil/x", ""), Digest: pick("pinned", string(digest("x")), string(digest("x")), "")}
			if task.Name == "clone" {
				task.Outputs = map[string]string{"url": pick("url", "https://github.com/acme/app", "https://github.com/acme/app", "https://github.com/evil/app", "x"), "commit": pick("cloned", commitOfSource, commitOfSource, "main")}
			}
			if pick("result", "this", "this", "none") == "this" {
				task.Results = []stemma.Digest{imageDigest()}
			}
			p.Tasks = append(p.Tasks, task)
		}
	case "cosigned":
		p.Claims[stemma.FieldBuilder] = said(pick("id", "https://ci.acme.example/builder", "https://ci.acme.example/builder", "https://evil.example"), stemma.SaidByBuilder, "/builder/id")
		for range rapid.IntRange(0, 2).Draw(t, "cosigners") {
			a.Cosigners = append(a.Cosigners, keySigner(pick("domain", "acme-kms", "acme-kms", "chains"), pick("cosigner", "release", "review", "intern", "chains-2026")))
		}
	}
}

func without[T any](list []T, i int) []T { return slices.Delete(slices.Clone(list), i, i+1) }

func cells(d *stemma.Decision) map[string]stemma.Outcome {
	out := map[string]stemma.Outcome{}
	for _, f := range d.Findings {
		out[f.Policy+" "+f.Rule+" "+f.Platform+string(f.Of)] = f.Outcome
	}
	return out
}

// TestRemoving: withholding evidence never turns an unmet requirement into a met one, nor a refusal into an Allow, but
// for agreement, which is a fact about what contradicts (D13, in-toto).
func TestRemoving(t *testing.T) {
	verdicts := map[stemma.Verdict]int{}
	for i, text := range propertyPolicies() {
		set := load(t, text)
		t.Run(fmt.Sprint(i), rapid.MakeCheck(func(t *rapid.T) {
			e := drawEvidence(t)
			before := Evaluate(set, e, now())
			verdicts[before.Verdict]++
			less := func(what string, e stemma.Evidence) {
				after := Evaluate(set, &e, now())
				had, has := cells(before), cells(after)
				agreed := true
				for cell, outcome := range had {
					if negative(cell) {
						agreed = agreed && outcome != stemma.Fail
						continue
					}
					if outcome != stemma.Pass && has[cell] == stemma.Pass {
						t.Fatalf("without %s, %s passes:\n%s\n%s", what, cell, render(before), render(after))
					}
				}
				if after.Verdict == stemma.Allow && before.Verdict != stemma.Allow && agreed {
					t.Fatalf("without %s it is allowed:\n%s\n%s", what, render(before), render(after))
				}
			}
			for i := range e.Provenance {
				c := *e
				c.Provenance = without(e.Provenance, i)
				less(fmt.Sprint("provenance ", i), c)
			}
			for i := range e.Attestations {
				c := *e
				c.Attestations = without(e.Attestations, i)
				less(fmt.Sprint("attestation ", i), c)
			}
		}))
	}
	if testing.Short() {
		return // too few are drawn to reach all verdicts
	}
	if verdicts[stemma.Allow] == 0 || verdicts[stemma.Deny] == 0 || verdicts[stemma.Undetermined] == 0 {
		t.Errorf("the generator does not reach all verdicts: %v", verdicts)
	}
}

// TestAdding: what nobody verified, or what is of another type, changes neither verdict nor Decided; what could not be
// looked at never allows; order is nothing.
func TestAdding(t *testing.T) {
	for i, text := range propertyPolicies() {
		set := load(t, text)
		t.Run(fmt.Sprint(i), rapid.MakeCheck(func(t *rapid.T) {
			e := drawEvidence(t)
			before := Evaluate(set, e, now())

			junk := *e
			junk.Rejected = []stemma.Rejection{
				{Bundle: digest("j"), Reason: rapid.SampledFrom([]stemma.Reason{stemma.ReasonMalformed, stemma.ReasonSubjectMismatch, stemma.ReasonTimestampInvalid, ""}).Draw(t, "junk")},
			}
			genuine := provenance("u", githubSigner(trustedSAN))
			junk.Unsigned = []stemma.Unsigned{{Bundle: digest("u"), Sealed: true, Bound: true, Provenance: &genuine}}
			sbom := attest("sbom", githubSigner(trustedSAN))
			sbom.Statement.PredicateType = "https://spdx.dev/Document"
			junk.Attestations = append(slices.Clone(e.Attestations), sbom)
			junk.SBOMs = []stemma.SBOM{{Bundle: sbom.Bundle}}
			if after := Evaluate(set, &junk, now()); after.Verdict != before.Verdict || after.Decided != before.Decided || after.Effect != before.Effect {
				t.Fatalf("junk changes the decision:\n%s\n%s", render(before), render(after))
			}

			cut := *e
			cut.Unavailable = append(slices.Clone(e.Unavailable), stemma.Unavailable{Place: "a", Reason: stemma.ReasonTruncated})
			if after := Evaluate(set, &cut, now()); after.Verdict == stemma.Allow && before.Verdict != stemma.Allow {
				t.Fatalf("blindness allows:\n%s\n%s", render(before), render(after))
			}

			if d := Evaluate(set, e, on("linux/amd64")); d.Verdict != before.Verdict {
				t.Fatalf("a manifest that is pinned depends on where it may run:\n%s\n%s", render(before), render(d))
			}

			want := encode(before)
			shuffle(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), e)
			if !bytes.Equal(encode(Evaluate(set, e, now())), want) {
				t.Fatal("another order, another decision")
			}
		}))
	}
}

// TestVacuous: whatever is taken from the evidence of an Allow, field by field, the result is complete and never better.
func TestVacuous(t *testing.T) {
	set := load(t, f0Policy)
	allowed(t, Evaluate(set, f0(), now()))
	for name, change := range map[string]func(*stemma.Evidence){
		"signer":      signerIs(func(id *stemma.Identity) { *id = stemma.Identity{} }),
		"trust":       signerIs(func(id *stemma.Identity) { id.Trust = "" }),
		"issuer":      signerIs(func(id *stemma.Identity) { id.Issuer = "" }),
		"subject":     san(""),
		"claims":      signerIs(func(id *stemma.Identity) { id.Claims = nil }),
		"time":        untimed,
		"binding":     func(e *stemma.Evidence) { e.Attestations[0].Binding = stemma.Binding{} },
		"bundle":      func(e *stemma.Evidence) { e.Attestations[0].Bundle = "" },
		"attestation": func(e *stemma.Evidence) { e.Attestations[0] = stemma.Attestation{} },
		"provenance":  func(e *stemma.Evidence) { e.Provenance[0] = stemma.Provenance{} },
		"said":        func(e *stemma.Evidence) { e.Provenance[0].Claims = nil },
		"format":      func(e *stemma.Evidence) { e.Provenance[0].Format = "" },
		"grade":       claim(stemma.FieldRepository, stemma.Claim{Said: stemma.Said{Value: "github.com/acme/app"}}),
		"digest":      func(e *stemma.Evidence) { e.Image.Digest = "" },
		"repository":  func(e *stemma.Evidence) { e.Image.Repository = "" },
	} {
		e := f0()
		change(e)
		if d := Evaluate(set, e, now()); d.Verdict == stemma.Allow || d.Effect != stemma.Refuse || len(d.Findings) == 0 {
			t.Errorf("without %s:\n%s", name, render(d))
		}
	}
	// The time of the decision is part of what it rests on.
	if d := Evaluate(set, f0(), stemma.Situation{}); finding(t, d, "provenance.age").Outcome != stemma.Fail {
		t.Errorf("%s", render(d))
	}
}

// negative reports whether a cell is about what no evidence may say: taking evidence away can only help there, and the
// store keeps such facts for that reason.
func negative(cell string) bool {
	return slices.ContainsFunc([]string{"provenance.agreement", "provenance.run", "provenance.builders", "image.distrusted", "vulnerabilities.none"}, func(rule string) bool {
		return strings.Contains(cell, " "+rule+" ")
	})
}
