package policy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"stemma"
)

// drawSet writes a set: policies of blocks that drawEvidence's parts meet, half meet and miss, rules of their own, waivers,
// and all that makes an effect milder than a verdict.
func drawSet(t *rapid.T) (files []string, waivable []string) {
	pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	maybe := func(label, text string) string {
		if rapid.Bool().Draw(t, label) {
			return text
		}
		return ""
	}
	var b strings.Builder
	b.WriteString("apiVersion: policy.stemma.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: drawn}\nspec:\n")
	b.WriteString("  waivers: {longest: 90d, approvedBy: [leads]" + maybe("never", ", never: [source.repository, builder.*]") + "}\n")
	b.WriteString(maybe("undetermined", "  undetermined: {lastKnownGood: 72h, otherwise: "+pick("otherwise", "refuse", "warn")+"}\n"))
	b.WriteString(maybe("running", "  running: "+pick("how", "keep", "keep:30d", "rejudge")+"\n"))
	b.WriteString(maybe("exempt", "  exempt: [{namespace: "+pick("exempted", "payments", "shop")+", owner: o, reason: r, until: "+pick("exempt until", "2026-05-31", "2026-07-01")+"}]\n"))
	b.WriteString(maybe("tags", "  tags: "+pick("tag", "refuse", "observe", "pin")+"\n"))
	b.WriteString("  unmatched: " + pick("unmatched", "refuse", "warn", "allow") + "\n")
	b.WriteString("  trust:\n    - {name: acme-kms, keys: [{name: review, pem: \"" + pem1 + "\"}, {name: release, pem: \"" + pem2 + "\"}], requires: {log: none, sct: none, timestamp: none}, time: none}\n")
	b.WriteString("  signers:\n    leads: {trust: acme-kms, keys: [review]}\n")
	names := []string{"a", "b"}[:rapid.IntRange(1, 2).Draw(t, "policies")]
	waivable = []string{"provenance.present", "builder.approved", "provenance.age", "source.repository", "source.ref", "provenance.consistent", "acme.exists", "signature.by"}
	for _, name := range names {
		kind, meta := "ImageTrustPolicy", "{name: "+name+"}"
		if name == "b" && rapid.Bool().Draw(t, "of a namespace") {
			kind, meta = "NamespaceImageTrustPolicy", "{name: b, namespace: payments}"
		}
		b.WriteString("---\napiVersion: policy.stemma.dev/v1alpha1\nkind: " + kind + "\nmetadata: " + meta + "\nspec:\n")
		b.WriteString("  match: {images: [\"" + pick("images", "ghcr.io/acme/{service}", "ghcr.io/{service**}", "ghcr.io/other/{service}") + "\"]}\n")
		b.WriteString(maybe("mode", "  mode: "+pick("modes", "audit", "warn", "enforce")+"\n"))
		b.WriteString(maybe("from", "  enforceFrom: "+pick("enforced", "2026-06-01", "2026-06-02")+"\n"))
		b.WriteString("  builders:\n    strict: {github: {workflow: trusted/builders/.github/workflows/build.yml, workflowRefs: [\"refs/tags/**\"]" + maybe("events", ", events: [push]") + maybe("runner", ", runner: github-hosted") + "}, level: 3}\n")
		b.WriteString("    loose: {github: {workflow: \"trusted/builders/.github/workflows/*\", workflowRefs: [\"refs/**\"]}, level: 1}\n")
		b.WriteString("  provenance: {by: " + pick("by", "[strict]", "[strict, loose]", "[loose]") + maybe("level", ", level: "+pick("levels", "1", "2", "3")) + maybe("age", ", maxAge: 90d") + "}\n")
		b.WriteString(maybe("source", "  source: {repository: github.com/acme/app, saidBy: "+pick("said", "certificate", "builder", "tenant")+maybe("refs", ", refs: [\"refs/tags/**\"]")+"}\n"))
		b.WriteString(maybe("signature", "  signature: {by: [leads]}\n"))
		if rapid.Bool().Draw(t, "rules") {
			b.WriteString("  rules:\n    - {id: acme.exists, why: x, require: 'provenance.exists(p, p." + pick("field", "repository == \"github.com/acme/app\"", "trigger == \"push\"", "ref.glob(\"refs/tags/*\")", "level >= 2") + ")'}\n")
			b.WriteString(maybe("each", "    - {id: acme.each, why: x, for: provenance, require: it.commit.size() == 40}\n"))
		}
	}
	files = []string{b.String()}
	for i := range rapid.IntRange(0, 2).Draw(t, "waivers") {
		rules := []string{}
		for range rapid.IntRange(1, 3).Draw(t, "of rules") {
			if r := pick("rule", waivable...); !slices.Contains(rules, r) {
				rules = append(rules, r)
			}
		}
		files = append(files, strings.Replace(waiverOf(fmt.Sprint("w", i), "[source.ref]", "["+strings.Join(rules, ", ")+"]", "policy: app", "policy: a",
			"until: 2026-06-30", "until: "+pick("until", "2026-06-30", "2026-05-31")), "  reason", maybe("namespaces", "  namespaces: [payments]\n")+"  reason", 1))
	}
	return files, waivable
}

func drawSituation(t *rapid.T, set *Set) stemma.Situation {
	at := now()
	if rapid.Bool().Draw(t, "endorsed") {
		at = endorsed(set, keySigner("acme-kms", rapid.SampledFrom([]string{"review", "review", "intern"}).Draw(t, "endorser")))
	}
	at.Namespace = rapid.SampledFrom([]string{"", "payments", "shop"}).Draw(t, "namespace")
	at.ByTag, at.Pinned = rapid.Bool().Draw(t, "by tag"), rapid.Bool().Draw(t, "pinned")
	if rapid.Bool().Draw(t, "admitted") {
		at.Admitted = at.At.AddDate(0, 0, -rapid.IntRange(-1, 60).Draw(t, "days ago"))
	}
	if rapid.Bool().Draw(t, "good") {
		at.LastGood = at.At.AddDate(0, 0, -rapid.IntRange(-1, 6).Draw(t, "good days ago"))
	}
	at.WhatIf = rapid.IntRange(0, 9).Draw(t, "what if") == 0
	return at
}

// TestDrawnSets: over generated policies, evidence and situations. Nothing is gained by withholding; order is nothing; junk
// changes neither Decided nor what is done; waivers grant what they say; and no effect is milder than its verdict without
// a line that says why.
func TestDrawnSets(t *testing.T) {
	tried, milder, waivers := map[string]int{}, 0, 0
	check := func(t *rapid.T) {
		texts, _ := drawSet(t)
		set, err := Load(files(texts...)...)
		if err != nil {
			// A waiver for a rule that is not in force, or never waived, is refused; the rest is judged without it.
			if set, err = Load(files(texts[0])...); err != nil {
				if strings.Contains(err.Error(), "no ImageTrustPolicy") {
					return
				}
				t.Fatal(err)
			}
		}
		e, at := drawEvidence(t), drawSituation(t, set)
		if rapid.IntRange(0, 4).Draw(t, "nothing could be looked at") == 0 {
			unavailable(e)
		}
		before := Evaluate(set, e, at)
		tried[string(before.Verdict)+" "+string(before.Effect)]++

		order := []stemma.Effect{stemma.Admit, stemma.Warn, stemma.Refuse}
		switch {
		case at.WhatIf != (before.Effect == stemma.None):
			t.Fatalf("what if %v has the effect %s", at.WhatIf, before.Effect)
		case !at.WhatIf && !slices.Contains(order, before.Effect), before.Verdict == "":
			t.Fatalf("no effect or verdict: %s", render(before))
		case before.Effect != stemma.Refuse && before.Verdict != stemma.Allow && len(before.Because) == 0:
			t.Fatalf("%s, %s, and nothing says why: %s", before.Verdict, before.Effect, render(before))
		case before.Effect == stemma.Refuse && before.Verdict == stemma.Allow:
			t.Fatalf("refused although all is met: %s", render(before))
		}
		if before.Verdict != stemma.Allow && (before.Effect == stemma.Admit || before.Effect == stemma.Warn) {
			milder++
		}

		// Waivers grant what they say and no more.
		plain := at
		plain.Endorsed = nil
		without := Evaluate(set, e, plain)
		had := cells(without)
		for i, f := range before.Findings {
			was := had[f.Policy+" "+f.Rule+" "+f.Platform+string(f.Of)]
			switch {
			case f.Outcome == stemma.Waived:
				waivers++
				j := slices.IndexFunc(before.Waivers, func(w stemma.WaiverRef) bool { return w.Name == f.Waiver })
				if j < 0 || before.Waivers[j].Ignored != "" || !slices.Contains(before.Waivers[j].Rules, f.Rule) || before.Waivers[j].Policy != f.Policy || was == stemma.Pass {
					t.Fatalf("%s is waived by nothing that says so: %+v", f.Rule, before.Waivers)
				}
			case strings.HasSuffix(f.Rule, ".whole") && (was == "" || badness(f.Outcome) < badness(was)):
				// What one piece of evidence must meet as a whole is then all but what is waived.
				if !slices.ContainsFunc(before.Waivers, func(w stemma.WaiverRef) bool { return w.Policy == f.Policy && w.Ignored == "" }) {
					t.Fatalf("%s turns from %s to %s, and nothing is waived", f.Rule, was, f.Outcome)
				}
			case was != f.Outcome:
				t.Fatalf("a waiver turns %s from %s to %s", before.Findings[i].Rule, was, f.Outcome)
			}
		}

		// Order is nothing.
		want := encode(before)
		shuffled := *e
		shuffled.Attestations, shuffled.Provenance = slices.Clone(e.Attestations), slices.Clone(e.Provenance)
		shuffle(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), &shuffled)
		if !bytes.Equal(encode(Evaluate(set, &shuffled, at)), want) {
			t.Fatal("another order, another decision")
		}

		// Junk, and what a stranger signs of another type, is nothing.
		junk := *e
		junk.Rejected = []stemma.Rejection{{Bundle: digest("j"), Reason: stemma.ReasonMalformed}}
		stranger := attest("stranger", githubSigner("https://github.com/evil/x/.github/workflows/x.yml@refs/heads/main"))
		stranger.Statement.PredicateType = "https://spdx.dev/Document"
		junk.Attestations = append(slices.Clone(e.Attestations), stranger)
		junk.SBOMs = []stemma.SBOM{{Bundle: stranger.Bundle}}
		if after := Evaluate(set, &junk, at); after.Decided != before.Decided || after.Effect != before.Effect || after.Verdict != before.Verdict {
			t.Fatalf("junk changes the decision:\n%s\n%s", render(before), render(after))
		}

		// Nothing is gained by withholding.
		for i := range e.Attestations {
			c := *e
			c.Attestations = slices.Delete(slices.Clone(e.Attestations), i, i+1)
			after := Evaluate(set, &c, at)
			agreed := true
			has := cells(after)
			for cell, outcome := range cells(before) {
				switch {
				case negative(cell) || strings.Contains(cell, " acme.each "):
					agreed = agreed && (outcome == stemma.Pass || outcome == stemma.Waived)
				case outcome != stemma.Pass && has[cell] == stemma.Pass:
					t.Fatalf("without attestation %d, %s passes:\n%s\n%s", i, cell, render(before), render(after))
				}
			}
			if agreed && after.Verdict == stemma.Allow && before.Verdict != stemma.Allow {
				t.Fatalf("without attestation %d it is allowed:\n%s\n%s", i, render(before), render(after))
			}
		}
	}
	if rapid.Check(t, check); testing.Short() || t.Failed() {
		return
	}
	for range 4 { // all that can become of an image is drawn
		rapid.Check(t, check)
	}
	for _, want := range []string{"allow admit", "deny refuse", "undetermined refuse"} {
		if tried[want] == 0 {
			t.Errorf("nothing drawn was %s: %v", want, tried)
		}
	}
	if milder == 0 || waivers == 0 {
		t.Errorf("%d effects milder than the verdict, %d cells waived: %v", milder, waivers, tried)
	}
}
