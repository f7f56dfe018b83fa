package policy

import (
	"slices"
	"strings"
	"testing"

	"stemma"
)

const waiverSet = `
---
apiVersion: policy.stemma.dev/v1alpha1
kind: PolicySet
metadata: {name: acme}
spec:
  waivers: {longest: 90d, approvedBy: [leads], never: [source.repository, "signature.*"]}
  trust:
    - {name: acme-kms, keys: [{name: leads-2026, pem: PEM}], requires: {log: none, timestamp: none, sct: none}, time: none}
  signers:
    leads: {trust: acme-kms, keys: [leads-2026]}
    others: {trust: acme-kms, keys: [leads-2026]}
`

func waiverOf(name string, changes ...string) string {
	text := "\n---\napiVersion: policy.stemma.dev/v1alpha1\nkind: Waiver\nmetadata: {name: " + name + "}\nspec:" + `
  policy: app
  rules: [source.ref]
  images: ["ghcr.io/acme/app@` + string(imageDigest()) + `"]
  reason: released from a branch
  ticket: TICKET-812
  owner: app-team
  approvedBy: leads
  from: 2026-05-01
  until: 2026-06-30
`
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			panic(changes[i] + " is not in the waiver")
		}
		text = strings.Replace(text, changes[i], changes[i+1], 1)
	}
	return text
}

func waived(t testing.TB, waivers ...string) *Set {
	t.Helper()
	return load(t, append([]string{f0Policy + strings.Replace(waiverSet, "PEM", `"`+pem1+`"`, 1)}, waivers...)...)
}

// endorsed is a situation in which every waiver of the set is signed.
func endorsed(set *Set, by stemma.Identity) stemma.Situation {
	at := now()
	for _, d := range set.Signables() {
		at.Endorsed = append(at.Endorsed, stemma.Endorsement{Of: d.Digest, Bundle: digest("endorsement"), Signer: by})
	}
	return at
}

func leads() stemma.Identity { return keySigner("acme-kms", "leads-2026") }

func TestWaiver(t *testing.T) {
	wip := byCertificate(stemma.FieldRef, "refs/heads/wip")
	evil := byCertificate(stemma.FieldRepository, "github.com/evil/app")
	type change = func(*stemma.Evidence)
	for _, c := range []struct {
		name     string
		waivers  []string
		evidence []change
		at       func(*stemma.Situation)
		verdict  stemma.Verdict
		unmet    string
		ignored  string
	}{
		{"in force", []string{waiverOf("w")}, []change{wip}, nil, stemma.Allow, "waived source.ref", ""},
		{"not needed", []string{waiverOf("w")}, nil, nil, stemma.Allow, "", ""},
		{"of a pattern", []string{waiverOf("w", "ghcr.io/acme/app@"+string(imageDigest()), "ghcr.io/acme/*")}, []change{wip}, nil, stemma.Allow, "waived source.ref", ""},
		{"of another image", []string{waiverOf("w", string(imageDigest()), string(digest("other")))}, []change{wip}, nil, stemma.Deny, "fail source.ref", "none"},
		{"of another repository", []string{waiverOf("w", "ghcr.io/acme/app@", "ghcr.io/acme/web@")}, []change{wip}, nil, stemma.Deny, "fail source.ref", "none"},
		{"of another rule", []string{waiverOf("w", "[source.ref]", "[provenance.age]")}, []change{wip}, nil, stemma.Deny, "fail source.ref", ""},
		{"one of two rules", []string{waiverOf("w")}, []change{wip, evil}, nil, stemma.Deny, "fail source.repository; waived source.ref", ""},
		{"first day", []string{waiverOf("w", "2026-05-01", "2026-06-01")}, []change{wip}, nil, stemma.Allow, "waived source.ref", ""},
		{"last moment", []string{waiverOf("w", "2026-06-30", "2026-05-31")}, []change{wip}, func(s *stemma.Situation) { s.At = day("2026-06-01").Add(-1) }, stemma.Allow, "waived source.ref", ""},
		{"ended", []string{waiverOf("w", "2026-06-30", "2026-05-31")}, []change{wip}, nil, stemma.Deny, "fail source.ref", "ended on 2026-05-31"},
		{"not begun", []string{waiverOf("w", "2026-05-01", "2026-06-02")}, []change{wip}, nil, stemma.Deny, "fail source.ref", "begins on 2026-06-02"},
		{"its namespace", []string{waiverOf("w", "  reason", "  namespaces: [payments]\n  reason")}, []change{wip}, func(s *stemma.Situation) { s.Namespace = "payments" }, stemma.Allow, "waived source.ref", ""},
		{"another namespace", []string{waiverOf("w", "  reason", "  namespaces: [payments]\n  reason")}, []change{wip}, func(s *stemma.Situation) { s.Namespace = "shop" }, stemma.Deny, "fail source.ref", "for namespace payments alone"},
		{"no namespace", []string{waiverOf("w", "  reason", "  namespaces: [payments]\n  reason")}, []change{wip}, nil, stemma.Deny, "fail source.ref", "for namespace payments alone"},
		{"unsigned", []string{waiverOf("w")}, []change{wip}, func(s *stemma.Situation) { s.Endorsed = nil }, stemma.Deny, "fail source.ref", "not signed by leads"},
		{"signed by somebody else", []string{waiverOf("w")}, []change{wip}, func(s *stemma.Situation) {
			for i := range s.Endorsed {
				s.Endorsed[i].Signer.KeyID = "mallory"
			}
		}, stemma.Deny, "fail source.ref", "signed by key mallory, which is not leads"},
		{"signed under another trust domain", []string{waiverOf("w")}, []change{wip}, func(s *stemma.Situation) {
			for i := range s.Endorsed {
				s.Endorsed[i].Signer.Trust = "x"
			}
		}, stemma.Deny, "fail source.ref", "signed by key leads-2026, which is not leads"},
		{"signature over something else", []string{waiverOf("w")}, []change{wip}, func(s *stemma.Situation) {
			for i := range s.Endorsed {
				s.Endorsed[i].Of = digest("x")
			}
		}, stemma.Deny, "fail source.ref", "not signed by leads"},
		{"what could not be looked at", []string{waiverOf("w", "[source.ref]", "[provenance.present]")}, []change{unavailable}, nil, stemma.Undetermined, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := waived(t, c.waivers...)
			e, at := f0(), endorsed(set, leads())
			if c.at != nil {
				c.at(&at)
			}
			for _, f := range c.evidence {
				f(e)
			}
			d := Evaluate(set, e, at)
			var unmet []string
			for _, f := range d.Findings {
				if f.Outcome != stemma.Pass {
					unmet = append(unmet, string(f.Outcome)+" "+f.Rule)
				}
			}
			if got := strings.Join(unmet, "; "); d.Verdict != c.verdict || c.unmet != "" && got != c.unmet || c.verdict == stemma.Allow && got != c.unmet {
				t.Errorf("%s by %q, want %s by %q", d.Verdict, got, c.verdict, c.unmet)
			}
			if c.ignored == "none" {
				if len(d.Waivers) > 0 {
					t.Errorf("it is about another image, and is shown: %+v", d.Waivers)
				}
				return
			}
			if c.unmet != "" && (len(d.Waivers) != 1 || d.Waivers[0].Ignored != c.ignored) {
				t.Errorf("shown as %+v, want %q", d.Waivers, c.ignored)
			}
		})
	}
}

// An image of which nothing is met is allowed by no waiver: what is waived is not a Pass.
func TestWaiverOfEverything(t *testing.T) {
	set := waived(t)
	var rules []string
	for _, id := range set.policies[0].ruleIDs() {
		if _, never := set.neverWaived(id); !never {
			rules = append(rules, id)
		}
	}
	text := strings.Replace(waiverSet, ", never: [source.repository, \"signature.*\"]", "", 1)
	policy := f0Policy + strings.Replace(text, "PEM", `"`+pem1+`"`, 1)
	set = load(t, policy, waiverOf("w", "[source.ref]", "["+strings.Join(append(rules, "source.repository"), ", ")+"]"))
	e := f0()
	nothing(e)
	d := Evaluate(set, e, endorsed(set, leads()))
	if d.Verdict != stemma.Undetermined || d.Effect != stemma.Refuse {
		t.Errorf("%s", render(d))
	}
	for _, f := range d.Findings {
		if f.Outcome != stemma.Waived {
			t.Errorf("%s is %s", f.Rule, f.Outcome)
		}
	}
	if d.Level != 0 {
		t.Errorf("level %d", d.Level)
	}
}

// kyverno GHSA-gg4x: exceptions for parts added up to one for the whole.
func TestReg_E08_union(t *testing.T) {
	wip := byCertificate(stemma.FieldRef, "refs/heads/wip")
	old := signedAt(now().At.AddDate(0, 0, -91))
	judge := func(waivers ...string) *stemma.Decision {
		set := waived(t, waivers...)
		e := f0()
		wip(e)
		old(e)
		return Evaluate(set, e, endorsed(set, leads()))
	}
	ref, age := waiverOf("ref"), waiverOf("age", "[source.ref]", "[provenance.age]")
	if d := judge(ref, age); d.Verdict != stemma.Allow {
		t.Errorf("each is waived by its own: %s", render(d))
	}
	only := func(name string, d *stemma.Decision, rule string) {
		t.Helper()
		for _, f := range d.Findings {
			if f.Outcome == stemma.Fail && f.Rule != rule || f.Rule == rule && f.Outcome != stemma.Fail {
				t.Errorf("%s: %s is %s", name, f.Rule, f.Outcome)
			}
		}
		if d.Verdict != stemma.Deny {
			t.Errorf("%s: %s", name, d.Verdict)
		}
	}
	only("one of two", judge(ref), "provenance.age")
	only("the other", judge(age), "source.ref")
	only("one for another image", judge(ref, waiverOf("age", "[source.ref]", "[provenance.age]", "ghcr.io/acme/app@", "ghcr.io/acme/web@")), "provenance.age")
	only("one that ended", judge(ref, waiverOf("age", "[source.ref]", "[provenance.age]", "2026-06-30", "2026-05-31")), "provenance.age")
	only("rules of one and the namespace of the other", judge(ref, waiverOf("age", "[source.ref]", "[provenance.age]", "  reason", "  namespaces: [payments]\n  reason")), "provenance.age")
}

// CVE-2024-48921: an exception that a tenant made in its own namespace counted.
func TestReg_E09_scope(t *testing.T) {
	refuse := func(name, problem string, texts ...string) {
		t.Helper()
		_, err := Load(files(texts...)...)
		if err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v, want %q", name, err, problem)
		}
	}
	base := f0Policy + strings.Replace(waiverSet, "PEM", `"`+pem1+`"`, 1)
	load(t, base, waiverOf("w"))
	refuse("in a namespace", `unknown key "namespace" in metadata`, base, waiverOf("w", "{name: w}", "{name: w, namespace: payments}"))
	refuse("no set", "nobody may approve waivers", f0Policy, waiverOf("w"))
	refuse("not an approver", `waivers.approvedBy of the PolicySet does not name "others"`, base, waiverOf("w", "approvedBy: leads", "approvedBy: others"))
	refuse("never", "source.repository is never waived (waivers.never has source.repository)", base, waiverOf("w", "[source.ref]", "[source.repository]"))
	refuse("too long", "it lasts longer than 90d, the longest that the PolicySet allows", base, waiverOf("w", "2026-06-30", "2026-07-30"))
	refuse("backwards", "it ends before it begins", base, waiverOf("w", "2026-06-30", "2026-04-30"))
	refuse("no such rule", `policy "app" has no rule "sbom.present" in force`, base, waiverOf("w", "[source.ref]", "[sbom.present]"))
	refuse("a pattern of rules", `policy "app" has no rule "source.*" in force`, base, waiverOf("w", "[source.ref]", `["source.*"]`))
	refuse("no such policy", `no policy named "apps" was given`, base, waiverOf("w", "policy: app", "policy: apps"))
	refuse("a tag", "has a tag or digest", base, waiverOf("w", "@"+string(imageDigest()), ":latest"))
	refuse("half a digest", "is not a digest", base, waiverOf("w", string(imageDigest()), "sha256:12"))
	refuse("twice", `a second Waiver named "w"`, base, waiverOf("w"), waiverOf("w"))
	refuse("distrust", "image.distrusted is never waived (no set can allow it)", base+distrust("commits: ["+commitOfSource+"]"), waiverOf("w", "[source.ref]", "[image.distrusted]"))
	// Granting one changes no digest of a policy or of the set.
	one, two := load(t, base), load(t, base, waiverOf("w"))
	if one.Digest != two.Digest || !slices.Equal(one.Summary()[0].Rules, two.Summary()[0].Rules) {
		t.Error("a waiver changed the set")
	}
}

// A waiver of one rule neither lets parts of several provenances stand for one in what it does not waive, nor asks of the
// whole what it waives of the part.
func TestWaiverAndWhole(t *testing.T) {
	two := change(t, f0Policy, "      level: 3\n", `      level: 3
    lab:
      github:
        workflow: trusted/builders/.github/workflows/build.yml
        workflowRefs: ["refs/tags/v1.*"]
      level: 1
`, "by: [release]", "by: [release, lab]")
	set := func(text string, changes ...string) *Set {
		return load(t, text+strings.Replace(waiverSet, "PEM", `"`+pem1+`"`, 1), waiverOf("w", changes...))
	}
	branch := byCertificate(stemma.FieldRef, "refs/heads/x")
	strange := func(e *stemma.Evidence) { // release refuses the event, and lab has no level
		byCertificate(stemma.FieldTrigger, "pull_request_target")(e)
		e.Attestations[0].Signer.Claims[stemma.ClaimBuildTrigger] = "pull_request_target"
	}
	timeless := func(e *stemma.Evidence) { e.Attestations[0].SignedAt = nil }
	for _, c := range []struct {
		name    string
		set     *Set
		changes []func(*stemma.Evidence)
		want    stemma.Verdict
		whole   stemma.Outcome
	}{
		{"waived and met besides", set(two), []func(*stemma.Evidence){branch}, stemma.Allow, stemma.Pass},
		{"waived, and the rest is met by halves", set(two), []func(*stemma.Evidence){branch, strange}, stemma.Deny, stemma.Fail},
		{"the rest is met by halves", set(two), []func(*stemma.Evidence){strange}, stemma.Deny, stemma.Fail},
		{"waived and unknown", set(two, "source.ref", "provenance.age"), []func(*stemma.Evidence){timeless}, stemma.Allow, stemma.Pass},
		{"unknown and not waived", set(two), []func(*stemma.Evidence){timeless}, stemma.Undetermined, stemma.Unknown},
	} {
		e := f0()
		for _, change := range c.changes {
			change(e)
		}
		d := Evaluate(c.set, e, endorsed(c.set, leads()))
		if f := finding(t, d, "provenance.whole"); d.Verdict != c.want || f.Outcome != c.whole {
			t.Errorf("%s: %s", c.name, render(d))
		}
	}
}
