package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stemma"
)

func expectRules() []Rule { return []Rule{provenanceExpected()} }

func provenanceExpected() Rule {
	return Rule{
		ID:       "provenance.expected",
		Title:    "this deployment expects another build",
		Why:      "A policy accepts every build of a project, old ones and other branches' included. Only who deploys knows which one is meant: an image that was exchanged for another good one passes everything else.",
		Fix:      "deploy the image of the build that is expected, or correct the expectation",
		Since:    "0.1",
		Controls: []string{"CM-3", "SI-7"},
		// It is no policy that asks for it.
		inForce: func(*loaded) bool { return false },
		asked:   func(at stemma.Situation) bool { return len(at.Expect) > 0 },
		image:   checkExpected,
	}
}

// asks reports whether the policy or the situation asks for a rule.
func (j *judgement) asks(r Rule) bool {
	return r.inForce(j.policy) || r.asked != nil && r.asked(j.at)
}

// entirely reports whether provenances of enough distinct builders are accepted, meet every rule about one provenance,
// and are good besides. What no single provenance has, the image has not (provenance.whole).
func (j *judgement) entirely(good func(*candidate) bool) bool {
	return j.enough(func(c *candidate) bool {
		return c.accepted() && !slices.ContainsFunc(c.results, func(r result) bool { return badness(r.outcome) > 0 }) && good(c)
	})
}

// deferred is the result of a rule that is met, but only by provenance that does not count: the rule that keeps it from
// counting says more.
func (j *judgement) deferred(want string) result {
	rules := slices.DeleteFunc(Rules(), func(r Rule) bool { return r.each == nil || !j.asks(r) })
	r := result{outcome: stemma.Fail, reason: stemma.ReasonThreshold, got: "met by provenance that does not count", want: want, path: "provenance.by"}
	for _, c := range j.candidates {
		for i, lacks := range c.results {
			if badness(lacks.outcome) > 0 && len(rules) == len(c.results) {
				r.outcome, r.reason, r.detail, r.path, r.needs = lacks.outcome, lacks.reason, lacks.detail, lacks.path, rules[i].ID
				return r
			}
		}
	}
	return r
}

// expectation is what the situation expects of one field, in canonical form.
type expectation struct {
	field   stemma.Field
	value   string
	problem string // why no provenance could meet it
	form    string // what it must look like
}

func (e expectation) String() string { return string(e.field) + " " + shortened(e.value) }

// expectations reads what the situation expects, in the order of the fields. What could not be told apart from something
// else is met by nothing: an abbreviated commit is the name of many.
func expectations(expect map[stemma.Field]string) []expectation {
	var out []expectation
	for _, f := range stemma.Fields() {
		if value, ok := expect[f]; ok {
			out = append(out, expected(f, value))
		}
	}
	for _, f := range slices.Sorted(maps.Keys(expect)) {
		if !slices.Contains(stemma.Fields(), f) {
			names := make([]string, len(stemma.Fields()))
			for i, known := range stemma.Fields() {
				names[i] = string(known)
			}
			out = append(out, expectation{stemma.Field(shortened(string(f))), expect[f], "no such field", "one of " + strings.Join(names, ", ")})
		}
	}
	return out
}

func expected(f stemma.Field, value string) expectation {
	e := expectation{field: f, value: value}
	switch f {
	case stemma.FieldCommit, stemma.FieldWorkflowCommit:
		if !stemma.IsCommit(value) {
			e.problem, e.form = "no whole commit", "all 40 or 64 lower-case hex digits"
		}
	case stemma.FieldRepository:
		name, err := stemma.CanonicalRepository(value)
		if err != nil {
			e.problem, e.form = "no repository", "host/owner/name: github.com/acme/api"
		} else {
			e.value = name
		}
	case stemma.FieldRef:
		if !strings.HasPrefix(value, "refs/") || !stemma.IsRef(value) {
			e.problem, e.form = "no full ref", "refs/heads/NAME or refs/tags/NAME"
		}
	default:
		if value == "" {
			e.problem, e.form = "empty", "a value"
		}
	}
	return e
}

// checkExpected judges what the situation expects of the provenance. All of it must be met by one that also meets the
// policy.
func checkExpected(j *judgement) result {
	list := expectations(j.at.Expect)
	var wants, problems []string
	for _, e := range list {
		wants = append(wants, e.String())
		if e.problem != "" {
			problems = append(problems, fmt.Sprintf("%s: %q is %s; want %s", e.field, shortened(e.value), e.problem, e.form))
		}
	}
	need := j.grade()
	r := result{outcome: stemma.Fail, reason: stemma.ReasonExpected, want: strings.Join(wants, ", ") + ", said by " + string(need) + " or better", path: "provenance"}
	switch {
	case len(problems) > 0:
		r.got, r.items = problems[0], problems
		r.fix = "correct what is expected: no provenance could meet it"
		return r
	case j.spec.Provenance == nil:
		r.reason, r.got, r.path = stemma.ReasonNotStated, "a policy that reads no provenance", "match"
		r.fix = "write a provenance block into the policy, or expect nothing of the provenance"
		return r
	case len(j.candidates) == 0:
		return j.dependent()
	case j.entirely(func(c *candidate) bool { _, items := unexpected(c, list, need); return len(items) == 0 }):
		return pass(strings.Join(wants, ", "), j.bundles()...)
	}
	for _, counted := range []bool{true, false} {
		for _, c := range j.candidates {
			if reason, items := unexpected(c, list, need); len(items) > 0 && c.accepted() == counted {
				r.reason, r.got, r.items, r.proof, r.cites = reason, strings.Join(items, "; "), items, c.proof(), []stemma.Digest{c.provenance.Bundle}
				if reason == stemma.ReasonSaidBy {
					r.fix = "build with a builder whose certificate states it, or, if a weaker word is enough, say so with source.saidBy"
				}
				return r
			}
		}
	}
	return j.deferred(r.want)
}

// unexpected lists what a provenance says otherwise than expected, or not at all, or by nobody whose word is enough.
func unexpected(c *candidate, list []expectation, need stemma.Grade) (stemma.Reason, []string) {
	var items []string
	reason := stemma.ReasonNotStated
	for _, e := range list {
		claim := c.provenance.Claims[e.field]
		switch {
		case claim.Value == "":
			items = append(items, string(e.field)+" not stated")
		case claim.Value != e.value:
			items = append(items, fmt.Sprintf("%s %s (%s)", e.field, shortened(claim.Value), shortened(claim.Where)))
			reason = stemma.ReasonExpected
		case claim.By.Rank() < need.Rank():
			items = append(items, fmt.Sprintf("%s said by %s", e, grade(claim.By)))
			if reason != stemma.ReasonExpected {
				reason = stemma.ReasonSaidBy
			}
		}
	}
	return reason, items
}

// grade is the weakest grade whose word on the source is enough.
func (j *judgement) grade() stemma.Grade {
	if j.spec.Source == nil {
		return stemma.SaidByCertificate
	}
	return stemma.Grade(cmp.Or(string(j.spec.Source.SaidBy), string(stemma.SaidByCertificate)))
}

func grade(g stemma.Grade) string { return cmp.Or(string(g), "nobody") }
