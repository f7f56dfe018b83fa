package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"stemma"
)

// inSet is a further document: a PolicySet with some content.
func inSet(spec ...string) string {
	return "\n---\napiVersion: policy.stemma.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: acme}\nspec:\n  " + strings.Join(spec, "\n  ") + "\n"
}

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// TestEffect: what an edge does is milder than the verdict only where a line of the set or of the policy says so, and the
// verdict stays what it is.
func TestEffect(t *testing.T) {
	old := signedAt(now().At.AddDate(0, 0, -91)) // provenance.maxAge is 90d
	wrong := byCertificate(stemma.FieldRepository, "github.com/evil/app")
	mode := func(m string) string { return change(t, f0Policy, "spec:\n", "spec:\n  "+m+"\n") }
	exempt := f0Policy + inSet("exempt: [{namespace: kube-system, owner: platform, reason: provider images, until: 2026-06-01}]")
	keep := f0Policy + inSet("running: keep")
	keep30 := f0Policy + inSet("running: keep:30d")
	good := f0Policy + inSet("undetermined: {lastKnownGood: 72h}")
	warn := f0Policy + inSet("undetermined: {otherwise: warn}")
	in := func(ns string) func(*stemma.Situation) { return func(s *stemma.Situation) { s.Namespace = ns } }
	ran := func(days int) func(*stemma.Situation) {
		return func(s *stemma.Situation) { s.Admitted = s.At.AddDate(0, 0, -days) }
	}
	allowedBefore := func(hours int) func(*stemma.Situation) {
		return func(s *stemma.Situation) { s.LastGood = s.At.Add(-time.Duration(hours) * time.Hour) }
	}
	later := func(days int) func(*stemma.Situation) {
		return func(s *stemma.Situation) { s.At = s.At.AddDate(0, 0, days) }
	}
	distrusted := distrust("commits: [" + commitOfSource + "]")
	type change = func(*stemma.Evidence)
	type situation = func(*stemma.Situation)
	for _, c := range []struct {
		name, policy string
		evidence     []change
		at           []situation
		verdict      stemma.Verdict
		effect       stemma.Effect
		because      string
	}{
		{"enforce", f0Policy, []change{wrong}, nil, stemma.Deny, stemma.Refuse, ""},
		{"warn", mode("mode: warn"), []change{wrong}, nil, stemma.Deny, stemma.Warn, "policy app only warns (mode warn)"},
		{"audit", mode("mode: audit"), []change{wrong}, nil, stemma.Deny, stemma.Admit, "policy app only observes (mode audit)"},
		{"audit allows", mode("mode: audit"), nil, nil, stemma.Allow, stemma.Admit, ""},

		{"before the day", mode("enforceFrom: 2026-06-02"), []change{wrong}, nil, stemma.Deny, stemma.Warn, "policy app warns until it enforces from 2026-06-02"},
		{"on the day", mode("enforceFrom: 2026-06-01"), []change{wrong}, nil, stemma.Deny, stemma.Refuse, ""},
		{"before the day, distrusted", mode("enforceFrom: 2026-06-02") + distrusted, nil, nil, stemma.Deny, stemma.Refuse, ""},

		{"exempt", exempt, []change{wrong}, []situation{in("kube-system")}, stemma.Deny, stemma.Admit, "namespace kube-system is exempt until 2026-06-01 (platform): provider images"},
		{"another namespace", exempt, []change{wrong}, []situation{in("kube-system-2")}, stemma.Deny, stemma.Refuse, ""},
		{"no namespace", exempt, []change{wrong}, nil, stemma.Deny, stemma.Refuse, ""},
		{"exemption ended", exempt, []change{wrong}, []situation{in("kube-system"), later(1)}, stemma.Deny, stemma.Refuse, ""},
		{"exempt, distrusted", exempt + distrusted, nil, []situation{in("kube-system")}, stemma.Deny, stemma.Refuse, ""},

		{"restart", keep, []change{old}, []situation{ran(40)}, stemma.Deny, stemma.Warn, "it was admitted here on 2026-04-22, and nothing but time has passed (running: keep)"},
		{"first start", keep, []change{old}, nil, stemma.Deny, stemma.Refuse, ""},
		{"admitted in the future", keep, []change{old}, []situation{ran(-1)}, stemma.Deny, stemma.Refuse, ""},
		{"restart, and something else is wrong", keep, []change{old, wrong}, []situation{ran(40)}, stemma.Deny, stemma.Refuse, ""},
		{"restart, distrusted", keep + distrusted, []change{old}, []situation{ran(40)}, stemma.Deny, stemma.Refuse, ""},
		{"restart of what lost its signature", keep, []change{old, nothing}, []situation{ran(40)}, stemma.Deny, stemma.Refuse, ""},
		{"rejudge", f0Policy + inSet("running: rejudge"), []change{old}, []situation{ran(40)}, stemma.Deny, stemma.Refuse, ""},
		{"restart within 30 days", keep30, []change{old}, []situation{ran(30)}, stemma.Deny, stemma.Warn, "it was admitted here on 2026-05-02, and nothing but time has passed (running: keep)"},
		{"restart after 31 days", keep30, []change{old}, []situation{ran(31)}, stemma.Deny, stemma.Refuse, ""},

		{"known good", good, []change{unavailable}, []situation{allowedBefore(72)}, stemma.Undetermined, stemma.Warn, "the same set allowed it on 2026-05-29 00:00Z, and not all of it can be looked at now (undetermined.lastKnownGood)"},
		{"known good too long ago", good, []change{unavailable}, []situation{allowedBefore(73)}, stemma.Undetermined, stemma.Refuse, ""},
		{"never known good", good, []change{unavailable}, nil, stemma.Undetermined, stemma.Refuse, ""},
		{"known good, and refused now", good, []change{wrong}, []situation{allowedBefore(1)}, stemma.Deny, stemma.Refuse, ""},
		{"known good in the future", good, []change{unavailable}, []situation{allowedBefore(-1)}, stemma.Undetermined, stemma.Refuse, ""},
		{"otherwise warn", warn, []change{unavailable}, nil, stemma.Undetermined, stemma.Warn, "not all of it could be looked at (undetermined.otherwise: warn)"},
		{"otherwise warn, and refused", warn, []change{nothing}, nil, stemma.Deny, stemma.Refuse, ""},

		{"observed tag", f0Policy + inSet("tags: observe"), nil, []situation{func(s *stemma.Situation) { s.ByTag = true }}, stemma.Allow, stemma.Admit, ""},
		{"pinned tag", f0Policy + inSet("tags: pin"), nil, []situation{func(s *stemma.Situation) { s.ByTag, s.Pinned = true, true }}, stemma.Allow, stemma.Admit, ""},
		{"pinned tag where it is refused", f0Policy + inSet("tags: refuse"), nil, []situation{func(s *stemma.Situation) { s.ByTag = true }}, stemma.Deny, stemma.Refuse, ""},

		{"what if", f0Policy, nil, []situation{func(s *stemma.Situation) { s.WhatIf = true }}, stemma.Allow, stemma.None, "it is a decision about another time than the present, by which nothing may be admitted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, at := f0(), now()
			for _, f := range c.evidence {
				f(e)
			}
			for _, f := range c.at {
				f(&at)
			}
			d := Evaluate(load(t, c.policy), e, at)
			if d.Verdict != c.verdict || d.Effect != c.effect || strings.Join(d.Because, "; ") != c.because {
				t.Errorf("%s, %s because %q; want %s, %s because %q\n%s", d.Verdict, d.Effect, d.Because, c.verdict, c.effect, c.because, render(d))
			}
		})
	}
}

const namespacePolicy = `
---
apiVersion: policy.stemma.dev/v1alpha1
kind: NamespaceImageTrustPolicy
metadata: {name: app, namespace: payments}
spec:
  match: {images: ["ghcr.io/**"]}
  builders:
    release: {github: {workflow: trusted/builders/.github/workflows/build.yml, workflowRefs: ["refs/tags/v1.2.3"]}}
  provenance: {by: [release], maxAge: 1h}
`

// kyverno#16731: a policy of one namespace was applied in another, by its name.
func TestReg_E17_namespaces(t *testing.T) {
	set := load(t, f0Policy+namespacePolicy+strings.NewReplacer("payments", "shop", "maxAge: 1h", "maxAge: 2h").Replace(namespacePolicy))
	for ns, want := range map[string][]string{"": {"app"}, "orders": {"app"}, "payments": {"app", "payments/app"}, "shop": {"app", "shop/app"}} {
		at := now()
		at.Namespace = ns
		d := Evaluate(set, f0(), at)
		var got []string
		for _, p := range d.Policies {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("in %q: %v, want %v", ns, got, want)
		}
		if refused := d.Verdict == stemma.Deny; refused != (len(want) > 1) {
			t.Errorf("in %q: %s", ns, d.Verdict)
		}
	}
	// What a namespace adds lets nothing in that the set has no policy for.
	e, at := f0(), now()
	e.Image.Repository, at.Namespace = "ghcr.io/other/app", "payments"
	e.Attestations[0].SignedAt[0].Time = at.At
	d := Evaluate(set, e, at)
	only(t, d, "image.policy", stemma.ReasonNoPolicy)
	if _, err := Load(files(strings.TrimPrefix(namespacePolicy, "\n---\n"))...); err == nil || !strings.Contains(err.Error(), "no ImageTrustPolicy in it") {
		t.Errorf("a set of nothing but a policy of a namespace: %v", err)
	}
}
