package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"stemma"
)

func baseRules() []Rule {
	return []Rule{baseProven(), baseEnds(), basePolicy(), baseImage(), baseAge(), baseNewer(), baseFiles(), baseSettings(), baseStages()}
}

func hasBase(p *loaded) bool { return p.spec.Base != nil }

// sum makes one result of those of all steps: the worst, and a line for each that is not met.
func (j *judgement) sum(parts []result, path, got string) result {
	var bad []result
	var cites []stemma.Digest
	for _, r := range parts {
		cites = append(cites, r.cites...)
		if badness(r.outcome) > 0 {
			bad = append(bad, r)
		}
	}
	if len(bad) == 0 {
		r := pass(got, cites...)
		r.path = path
		return r
	}
	// What another rule says of the same is said there.
	if of := slices.DeleteFunc(slices.Clone(bad), func(r result) bool { return r.needs != "" }); len(of) > 0 {
		bad = of
	}
	slices.SortStableFunc(bad, func(a, b result) int { return cmp.Compare(badness(b.outcome), badness(a.outcome)) })
	r := bad[0]
	r.path = cmp.Or(r.path, path)
	if r.needs == "" && r.outcome == stemma.Unknown && r.fix == "" && r.reason.Class() == stemma.CouldNotCheck {
		r.fix = "nothing is known to be wrong with the image; " + remedy(r.reason)
	}
	if r.needs != "" {
		return r
	}
	if len(bad) > 1 && len(r.items) == 0 {
		for _, b := range bad {
			r.items = append(r.items, strings.TrimPrefix(cmp.Or(b.got, b.detail, string(b.reason)), "\n"))
		}
		slices.Sort(r.items)
		r.items = slices.Compact(r.items)
	} else if len(bad) > 1 {
		for _, b := range bad[1:] {
			r.items = append(r.items, b.items...)
		}
	}
	return r
}

// where names the step in texts, and the platform where there are several.
func (c chain) where() string {
	if p := c.of.Platform.String(); p != "" {
		return " (" + p + ")"
	}
	return ""
}

func baseProven() Rule {
	return Rule{
		ID:       "base.proven",
		Title:    "it is not known well enough what the image stands on",
		Why:      "An image runs everything that lies in the layers of its base. A label or an annotation that names a trusted one can be written by anybody, over any layers.",
		Fix:      "attest the build with provenance that tells its steps (BuildKit: mode=max), keep the layers of the base as they are, or give the base with --base",
		Since:    "0.1",
		Controls: []string{"SR-4(3)", "SI-7(15)"},
		inForce:  hasBase,
		image: func(j *judgement) result {
			var parts []result
			var names []string
			for _, c := range j.chains() {
				for _, s := range c.steps {
					want := cmp.Or(j.spec.Base.asked(s.depth).Proof, ProofLayers)
					names = append(names, fmt.Sprintf("%s %s", s.lineage.Grade, brief(s.lineage.Base)))
					if r := j.proofOf(s.lineage, want, c); r != nil {
						parts = append(parts, *r)
					} else {
						parts = append(parts, pass("", s.lineage.Bundle))
					}
				}
				if c.end == EndScratch {
					want := cmp.Or(j.spec.Base.asked(len(c.steps)+1).Proof, ProofLayers)
					names = append(names, string(c.last.Grade))
					if r := j.proofOf(c.last, want, c); r != nil {
						parts = append(parts, *r)
					}
				}
				if c.open.reason != "" && (len(c.steps) == 0 || c.open.reason == stemma.ReasonBaseMismatch) {
					r := c.open
					r.want = "a base that is known by " + string(cmp.Or(j.spec.Base.Proof, ProofLayers)) + " at least"
					parts = append(parts, r)
				}
			}
			slices.Sort(names)
			return j.sum(parts, "base.proof", cmp.Or(strings.Join(slices.Compact(names), ", "), "nothing known is underneath"))
		},
	}
}

// proofOf compares how well a base is known with what is wanted; nil: well enough.
func (j *judgement) proofOf(l *stemma.Lineage, want Proof, c chain) *result {
	if strength(l) >= want.strength() {
		return nil
	}
	r := fault(cmp.Or(l.Reason, stemma.ReasonBaseProof), result{
		want: string(want) + " at least",
		got:  strings.TrimSuffix(fmt.Sprintf("%s %s%s: %s", l.Grade, nameOf(l), c.where(), l.Why), ": "), cites: []stemma.Digest{l.Bundle},
	})
	return &r
}

func nameOf(l *stemma.Lineage) string {
	if l.Base == (stemma.Image{}) {
		return "of nothing"
	}
	return brief(l.Base)
}

func baseEnds() Rule {
	return Rule{
		ID:       "base.ends",
		Title:    "what the image stands on does not end where it may",
		Why:      "Provenance of an image says nothing of what was underneath already. Only when each step is followed down to something that is taken on trust by name is nothing left out.",
		Fix:      "build on an image whose own bases are known, or have its owner entered under base.foundations after a review",
		Since:    "0.1",
		Controls: []string{"SR-4", "CM-7(5)"},
		inForce:  hasBase,
		image: func(j *judgement) result {
			var words []string
			for _, e := range j.spec.Base.ends() {
				words = append(words, map[BaseEnd]string{EndFoundation: "a foundation", EndScratch: "scratch", EndNone: "an image with nothing known underneath"}[e])
			}
			want := "an end at " + enumerate(words, " or ")
			var parts []result
			var names []string
			for _, c := range j.chains() {
				r := j.endOf(c)
				r.want = want
				names = append(names, r.got)
				parts = append(parts, r)
			}
			slices.Sort(names)
			return j.sum(parts, "base.endsAt", strings.Join(slices.Compact(names), ", "))
		},
	}
}

// endOf says of one chain whether it ends where it may.
func (j *judgement) endOf(c chain) result {
	image := c.of.Image.Digest.Short()
	if n := len(c.steps); n > 0 {
		s := c.steps[n-1]
		image = brief(s.lineage.Base)
		switch f := s.foundation; {
		case f.inForce(j.at.At) && slices.Contains(j.spec.Base.ends(), EndFoundation):
			return pass("foundation " + image + " until " + f.Until.Format(time.DateOnly) + " (" + f.Owner + ": " + f.Reason + ")")
		case s.summary != nil:
			return pass("verified by "+s.summary.Verifier+" on "+s.summary.Time.UTC().Format(time.DateOnly)+": "+image, s.summary.Bundle)
		}
	}
	if c.end != "" && slices.Contains(j.spec.Base.ends(), c.end) {
		return pass(map[BaseEnd]string{EndScratch: "scratch", EndNone: "nothing known under " + image, EndFoundation: image}[c.end])
	}
	for _, s := range c.steps {
		if f := s.foundation; f != nil && !f.inForce(j.at.At) {
			return result{
				outcome: stemma.Fail, reason: stemma.ReasonExpired, path: s.at, got: brief(s.lineage.Base) + " was a foundation until " + f.Until.Format(time.DateOnly),
				fix: "ask " + f.Owner + " to renew it, if the reason still holds: " + f.Reason,
			}
		}
	}
	if c.end == "" {
		r := c.open
		r.got = cmp.Or(r.got, image+", of which it is not known")
		return r
	}
	r := result{outcome: stemma.Fail, reason: stemma.ReasonBaseEnd}
	switch c.end {
	case EndScratch:
		r.got = "scratch, under " + image
	case EndFoundation:
		r.got = "the foundation " + image
	default:
		r.got = "nothing known under " + image + c.where()
		r.detail = c.last.Why
	}
	return r
}

func basePolicy() Rule {
	return Rule{
		ID:       "base.policy",
		Title:    "an image underneath does not meet its policy",
		Why:      "Whoever controls a base controls all that is built on it. It is an image like any other, and is judged as one.",
		Fix:      "build on an image that meets the policy; stemma tree IMAGE --policy shows what each one lacks",
		Since:    "0.1",
		Controls: []string{"SR-3", "SR-4", "CM-14"},
		inForce: func(p *loaded) bool {
			return p.spec.Base != nil && (p.spec.Base.Policy != "" || slices.ContainsFunc(p.spec.Base.AtDepth, func(a AtDepth) bool { return a.Policy != "" }))
		},
		image: func(j *judgement) result {
			return j.eachStep("base.policy", func(s step, asked AtDepth) *result {
				if asked.Policy == "" || s.stopped(j.at.At) {
					return nil
				}
				if l := s.lineage; l.Evidence == nil {
					r := unlooked(l.Base, l.Reason, cmp.Or(l.Stopped, l.Why))
					r.want = "all that policy " + asked.Policy + " asks for"
					return &r
				}
				r := j.role(asked.Policy, s.lineage.Base, s.lineage.Evidence)
				return &r
			})
		},
	}
}

// eachStep asks something of every step. Of a chain of which the end is not known it is not known either: what lies there
// may not meet it.
func (j *judgement) eachStep(path string, ask func(step, AtDepth) *result) result {
	var parts []result
	var names []string
	for _, c := range j.chains() {
		for _, s := range c.steps {
			if r := ask(s, j.spec.Base.asked(s.depth)); r != nil {
				if badness(r.outcome) == 0 {
					names = append(names, cmp.Or(r.got, brief(s.lineage.Base)))
				}
				parts = append(parts, *r)
			}
		}
		if c.end == "" && (len(c.steps) == 0 || c.steps[len(c.steps)-1].summary == nil) {
			r := c.open
			r.want, r.needs = "a chain whose end is known", baseEnds().ID
			parts = append(parts, r)
		}
	}
	slices.Sort(names)
	return j.sum(parts, path, cmp.Or(strings.Join(slices.Compact(names), ", "), "nothing underneath that it is asked of"))
}

// role is an image that is judged by a policy as what another stands on.
type role struct {
	policy string
	of     *stemma.Evidence
	name   stemma.Image
}

// role judges an image underneath, or beside, by a policy of the set: as an image that was asked for by digest. It does so once:
// each image of a chain asks the same of all that are below it.
func (j *judgement) role(name string, image stemma.Image, e *stemma.Evidence) result {
	k := role{name, e, image}
	if known, ok := j.descent.roles[k]; ok {
		return known
	}
	if j.descent.roles == nil {
		j.descent.roles = map[role]result{}
	}
	r := j.judged(name, image, e)
	j.descent.roles[k] = r
	return r
}

func (j *judgement) judged(name string, image stemma.Image, e *stemma.Evidence) result {
	r := result{outcome: stemma.Unknown, reason: stemma.ReasonUnreachable, want: "all that policy " + name + " asks for", got: brief(image)}
	if j.of == nil {
		return r
	}
	var p *loaded
	for _, q := range j.of.policies {
		if q.name == name && q.namespace == "" {
			p = q
		}
	}
	at := j.at
	at.ByTag, at.Pinned, at.Expect, at.Platforms = false, false, nil, nil
	at.Admitted, at.LastGood = time.Time{}, time.Time{}
	var vars map[string]string
	matched := false
	if p != nil {
		_, vars, matched = p.matches(e.Image.Repository, at)
	}
	if !matched {
		r.outcome, r.reason, r.got = stemma.Fail, stemma.ReasonNoPolicy, brief(image)+", which policy "+name+" is not about"
		r.fix = "add the repository to match.images of policy " + name + " if images may stand on it"
		return r
	}
	if j.descent.nested >= maxSteps {
		r.reason, r.detail = stemma.ReasonTruncated, fmt.Sprintf("more than %d images stand on one another", maxSteps)
		return r
	}
	below := &judgement{
		of: j.of, set: j.set, expressions: j.expressions, policy: p, spec: &p.spec, top: e, target: target{evidence: e}, at: at, vars: vars,
		waived: j.of.waived(e.Image, at)[p.name], descent: &descent{nested: j.descent.nested + 1, roles: j.descent.roles},
	}
	said := below.judge()
	d := stemma.Decision{Image: e.Image, Situation: at, Findings: said.findings}
	j.of.waive(&d)
	switch verdictOf(d.Findings) {
	case stemma.Allow:
		return pass(brief(image), e.Image.Digest)
	case stemma.Deny:
		r.outcome, r.reason = stemma.Fail, stemma.ReasonBasePolicy
	}
	for _, f := range d.Findings {
		if badness(f.Outcome) == 0 || f.Outcome == stemma.Waived || f.Advisory || f.Needs != "" {
			continue
		}
		if f.Reason == stemma.ReasonDistrusted {
			r.reason = f.Reason // no date, namespace or restart makes less of it
		} else if r.outcome == stemma.Unknown && f.Outcome == stemma.Unknown {
			r.reason = f.Reason
		}
		line := fmt.Sprintf("%s  %s (%s)", brief(image), f.Rule, f.Reason)
		if f.Got != "" {
			line += ": got " + f.Got
		}
		if f.Want != "" {
			line += ", want " + f.Want
		}
		r.items = append(r.items, strings.TrimSuffix(line, ", "))
		r.cites = append(r.cites, f.Cites...)
	}
	return r
}

func baseImage() Rule {
	return Rule{
		ID:       "base.image",
		Title:    "an image underneath is of a repository that is not accepted",
		Why:      "A list of repositories that may be built on keeps out what nobody looks after, whatever else is known of it.",
		Fix:      "build on an image of an accepted repository, or add it to base.images after a review",
		Since:    "0.1",
		Controls: []string{"CM-7(5)", "SR-3"},
		inForce: func(p *loaded) bool {
			return p.spec.Base != nil && (len(p.spec.Base.Images) > 0 || slices.ContainsFunc(p.spec.Base.AtDepth, func(a AtDepth) bool { return len(a.Images) > 0 }))
		},
		image: func(j *judgement) result {
			return j.eachStep("base.images", func(s step, asked AtDepth) *result {
				if len(asked.Images) == 0 || s.foundation.inForce(j.at.At) {
					return nil
				}
				r := j.among(s.lineage.Base, asked.Images)
				return &r
			})
		},
	}
}

// among compares the repository of an image with those that are accepted.
func (j *judgement) among(image stemma.Image, accepted []Pattern) result {
	name := j.set.called(image.Repository)
	var want []string
	for _, p := range accepted {
		if _, ok := p.match(name, j.vars); ok {
			return pass(brief(image))
		}
		want = append(want, string(p))
	}
	return result{outcome: stemma.Fail, reason: stemma.ReasonInput, got: brief(image), want: enumerate(want, " or ")}
}

func baseAge() Rule {
	return Rule{
		ID:       "base.age",
		Title:    "an image underneath is older than allowed",
		Why:      "Every hole that was found since a base was built is in everything that stands on it.",
		Fix:      "rebuild on a newer base",
		Since:    "0.1",
		Controls: []string{"SI-2"},
		inForce: func(p *loaded) bool {
			return p.spec.Base != nil && (p.spec.Base.MaxAge > 0 || slices.ContainsFunc(p.spec.Base.AtDepth, func(a AtDepth) bool { return a.MaxAge > 0 }))
		},
		image: func(j *judgement) result {
			return j.eachStep("base.maxAge", func(s step, asked AtDepth) *result {
				if asked.MaxAge == 0 || s.stopped(j.at.At) {
					return nil
				}
				r := j.ageOf(s, asked)
				return &r
			})
		},
	}
}

// ageOf is the age of a base: since the earliest proven time at which one whom its policy names signed something about it.
// A later signature makes nothing younger.
func (j *judgement) ageOf(s step, asked AtDepth) result {
	r := result{outcome: stemma.Unknown, reason: stemma.ReasonNoTime, want: "not older than " + asked.MaxAge.String(), detail: "no accepted signature about " + brief(s.lineage.Base) + " has a proven time"}
	e := s.lineage.Evidence
	if e == nil {
		return unlooked(s.lineage.Base, s.lineage.Reason, s.lineage.Stopped)
	}
	var first time.Time
	for _, p := range j.of.policies {
		_, vars, ok := p.matches(e.Image.Repository, j.at)
		if p.name != asked.Policy || !ok {
			continue
		}
		below := &judgement{of: j.of, set: j.set, policy: p, spec: &p.spec, top: e, target: target{evidence: e}, evidence: e, at: j.at, vars: vars}
		for i := range e.Attestations {
			a := &e.Attestations[i]
			if t := a.Time(); !t.IsZero() && below.bound(a) && below.signedBy(a, By{Of: p.by()}) && (first.IsZero() || t.Before(first)) {
				first = t
			}
		}
	}
	if first.IsZero() {
		return r
	}
	r.detail, r.got = "", fmt.Sprintf("%s, signed %s", brief(s.lineage.Base), first.UTC().Format(time.DateOnly))
	if age := j.at.At.Sub(first); age < 0 || age > time.Duration(asked.MaxAge) {
		r.outcome, r.reason = stemma.Fail, stemma.ReasonAge
		return r
	}
	return pass(r.got)
}
