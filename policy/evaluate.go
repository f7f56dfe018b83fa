package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"stemma"
)

// Version of the rules, part of every Decision.
const Version = "0.1"

// Evaluate judges evidence by a set. It is pure, and total: whatever the evidence holds, the result is a complete
// Decision, and a panic inside a rule is an Unknown of that rule, never an Allow.
func Evaluate(set *Set, evidence *stemma.Evidence, situation stemma.Situation) *stemma.Decision {
	d := &stemma.Decision{
		Image: evidence.Image, Situation: situation, Set: set.Digest, Trust: evidence.Trust,
		Policies: []stemma.PolicyRef{}, Help: set.spec.Help.String(), Version: Version,
	}
	d.Effect = stemma.Admit
	matched := false
	for _, p := range set.policies {
		pattern, vars, ok := p.spec.Match.match(evidence.Image.Repository)
		if !ok {
			continue
		}
		matched = true
		mode := cmp.Or(p.spec.Mode, Enforce)
		d.Policies = append(d.Policies, stemma.PolicyRef{Name: p.name, Digest: p.id, Mode: string(mode), Why: pattern})
		j := &judgement{policy: p, spec: &p.spec, evidence: evidence, at: situation, vars: vars}
		findings, level := j.run()
		if len(d.Policies) == 1 || level < d.Level {
			d.Level = level
		}
		d.Findings = append(d.Findings, findings...)
		d.NotRequired = append(d.NotRequired, p.spec.notRequired()...)
		d.Effect = stronger(d.Effect, effectOf(mode, verdictOf(findings)))
	}
	if !matched {
		d.Findings = []stemma.Finding{unmatched(set, evidence)}
		d.Effect = map[Unmatched]stemma.Effect{UnmatchedAllow: stemma.Admit, UnmatchedWarn: stemma.Warn}[set.spec.Unmatched]
		d.Effect = cmp.Or(d.Effect, stemma.Refuse)
	}
	slices.Sort(d.NotRequired)
	d.NotRequired = slices.Compact(d.NotRequired)
	d.Verdict = verdictOf(d.Findings)
	seal(d, evidence)
	return d
}

// match returns the pattern that matched and what its captures bind.
func (m Match) match(repository string) (string, map[string]string, bool) {
	if repository == "" {
		return "", nil, false
	}
	for _, e := range m.Except {
		if _, ok := e.match(repository, nil); ok {
			return "", nil, false
		}
	}
	for _, p := range m.Images {
		if vars, ok := p.match(repository, nil); ok {
			return string(p), vars, true
		}
	}
	return "", nil, false
}

func unmatched(set *Set, evidence *stemma.Evidence) stemma.Finding {
	rule := UnmatchedRule()
	f := stemma.Finding{
		Rule: rule.ID, Outcome: stemma.Fail, Reason: stemma.ReasonNoPolicy, Title: rule.Title, Fix: rule.Fix,
		Got: quoteEmpty(evidence.Image.Repository), Where: set.Name,
	}
	var patterns []string
	for _, p := range set.policies {
		for _, i := range p.spec.Match.Images {
			patterns = append(patterns, string(i))
		}
	}
	if len(patterns) > 5 {
		patterns = append(patterns[:5], fmt.Sprintf("%d more", len(patterns)-5))
	}
	f.Want = "one of " + strings.Join(patterns, ", ")
	if evidence.Image.Repository == "" {
		f.Fix = "an image from a layout has no name of its own; say which image it is with --name REPOSITORY"
	}
	return f
}

// run applies every rule in force to the image.
func (j *judgement) run() ([]stemma.Finding, stemma.Level) {
	rules := slices.DeleteFunc(Rules(), func(r Rule) bool { return !r.inForce(j.policy) })
	j.collect(rules)
	selected := j.choose()
	var findings []stemma.Finding
	each := 0
	for _, rule := range rules {
		var r result
		switch {
		case rule.image != nil:
			r = guard(func() result { return rule.image(j) })
		case len(selected) == 0:
			r = j.dependent()
			each++
		default:
			r = worst(selected, each)
			each++
		}
		if r.outcome == stemma.NotApplicable {
			continue
		}
		findings = append(findings, j.finding(rule, r))
	}
	level := stemma.Level(0)
	if len(selected) > 0 {
		level, _ = j.level(selected[0])
		for _, c := range selected[1:] {
			l, _ := j.level(c)
			level = min(level, l)
		}
	}
	return findings, level
}

// collect finds the provenance about this very image and judges each by every rule that concerns one.
func (j *judgement) collect(rules []Rule) {
	for i := range j.evidence.Provenance {
		p := &j.evidence.Provenance[i]
		k := slices.IndexFunc(j.evidence.Attestations, func(a stemma.Attestation) bool { return a.Bundle == p.Bundle })
		if k < 0 || j.evidence.Attestations[k].Binding.Kind != stemma.BindingExact {
			continue
		}
		c := &candidate{attestation: &j.evidence.Attestations[k], provenance: p}
		if j.spec.Provenance != nil {
			j.identify(c)
		}
		j.candidates = append(j.candidates, c)
	}
	// Order is that of the digests, so that the order in which evidence was found never matters.
	slices.SortFunc(j.candidates, func(a, b *candidate) int { return cmp.Compare(a.provenance.Bundle, b.provenance.Bundle) })
	for _, c := range j.candidates {
		for _, rule := range rules {
			if rule.each != nil {
				c.results = append(c.results, guard(func() result { return rule.each(j, c) }))
			}
		}
	}
}

// choose puts first the provenance that meets the policy, or else the one that comes closest: one statement must meet all
// requirements, they are never collected from several. It returns it, and with atLeast
// as many distinct signers as are asked for.
func (j *judgement) choose() []*candidate {
	if j.spec.Provenance == nil || len(j.candidates) == 0 {
		return nil
	}
	slices.SortStableFunc(j.candidates, func(a, b *candidate) int {
		return cmp.Or(
			cmp.Compare(min(len(b.builders), 1), min(len(a.builders), 1)), // an accepted builder first
			compareResults(a.results, b.results),
			cmp.Compare(b.nearest.rank, a.nearest.rank),
		)
	})
	selected := []*candidate{j.candidates[0]}
	for _, c := range j.candidates[1:] {
		if len(selected) == j.spec.Provenance.By.AtLeast {
			break
		}
		if len(c.builders) > 0 && !slices.ContainsFunc(selected, func(s *candidate) bool {
			return distinctID(s.attestation.Signer) == distinctID(c.attestation.Signer)
		}) {
			selected = append(selected, c)
		}
	}
	return selected
}

func compareResults(a, b []result) int {
	tally := func(rs []result) (fails, unknowns int) {
		for _, r := range rs {
			switch r.outcome {
			case stemma.Pass, stemma.NotApplicable:
			case stemma.Fail:
				fails++
			default:
				unknowns++
			}
		}
		return fails, unknowns
	}
	af, au := tally(a)
	bf, bu := tally(b)
	return cmp.Or(cmp.Compare(af, bf), cmp.Compare(au, bu))
}

// worst is the least safe result of one rule among the selected candidates.
func worst(selected []*candidate, rule int) result {
	r := selected[0].results[rule]
	for _, c := range selected[1:] {
		if badness(c.results[rule].outcome) > badness(r.outcome) {
			r = c.results[rule]
		}
	}
	return r
}

func badness(o stemma.Outcome) int {
	switch o {
	case stemma.NotApplicable:
		return 0
	case stemma.Pass:
		return 1
	case stemma.Fail:
		return 3
	}
	return 2
}

// guard turns a panic of a rule into an Unknown (INV-2).
func guard(check func() result) (r result) {
	defer func() {
		if p := recover(); p != nil {
			r = result{outcome: stemma.Unknown, reason: stemma.ReasonBadAnswer, detail: fmt.Sprintf("internal error while judging: %v", p)}
		}
	}()
	return check()
}

func (j *judgement) finding(rule Rule, r result) stemma.Finding {
	f := stemma.Finding{
		Rule: rule.ID, Outcome: r.outcome, Reason: r.reason, Title: rule.Title, Got: r.got, Want: r.want, Detail: r.detail,
		Proof: r.proof, Policy: j.policy.name, Where: j.policy.where(cmp.Or(r.path, "match")),
	}
	f.Cites = slices.Compact(slices.Sorted(slices.Values(r.cites)))
	switch r.outcome {
	case stemma.Pass:
	case stemma.Fail:
		f.Fix = cmp.Or(r.fix, rule.Fix)
	default:
		f.Outcome, f.Fix = stemma.Unknown, r.fix
	}
	return f
}

// verdictOf: any Fail denies; else any Unknown leaves it undetermined; else at least one Pass allows. Nothing at all is
// undetermined: the empty set never passes.
func verdictOf(findings []stemma.Finding) stemma.Verdict {
	passed, unknown := false, false
	for _, f := range findings {
		switch f.Outcome {
		case stemma.Fail:
			return stemma.Deny
		case stemma.Pass:
			passed = true
		default:
			unknown = true
		}
	}
	if unknown || !passed {
		return stemma.Undetermined
	}
	return stemma.Allow
}

func effectOf(mode Mode, v stemma.Verdict) stemma.Effect {
	switch {
	case v == stemma.Allow || mode == Audit:
		return stemma.Admit
	case mode == WarnAll:
		return stemma.Warn
	}
	return stemma.Refuse
}

func stronger(a, b stemma.Effect) stemma.Effect {
	order := []stemma.Effect{stemma.Admit, stemma.Warn, stemma.Refuse}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// notRequired lists the blocks of the language that the policy does not have.
func (s *Spec) notRequired() []string {
	var out []string
	if s.Signature == nil {
		out = append(out, "signature")
	}
	if s.Provenance == nil {
		out = append(out, "provenance")
	}
	if s.Source == nil {
		out = append(out, "source")
	}
	return out
}

// seal computes the digests of a decision and its id. Decided covers the set, the situation and what was found, by the
// evidence that it rests on; an explanation that junk can change (which rejected piece came closest) is not part of it.
func seal(d *stemma.Decision, evidence *stemma.Evidence) {
	type cell struct {
		Policy, Rule string
		Outcome      stemma.Outcome
		Cites        []stemma.Digest
	}
	cells := make([]cell, len(d.Findings))
	for i, f := range d.Findings {
		cells[i] = cell{f.Policy, f.Rule, f.Outcome, f.Cites}
	}
	d.Decided = hash(d.Set, d.Image.Repository, d.Image.Digest, d.Situation, d.Trust, cells, d.Verdict, d.Effect)
	d.Evidence = DigestOf(evidence)
	sum := sha256.Sum256(encode(d))
	d.ID = strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
}

// DigestOf is the digest of all that was seen of an image, whatever the order in which it was found and the time of the
// look.
func DigestOf(e *stemma.Evidence) stemma.Digest {
	parts := []string{string(e.Image.Digest), e.Image.Repository}
	for _, a := range e.Attestations {
		parts = append(parts, "attestation "+string(a.Bundle)+" "+a.Signer.Trust)
	}
	for _, u := range e.Unsigned {
		parts = append(parts, "unsigned "+string(u.Bundle))
	}
	for _, r := range e.Rejected {
		parts = append(parts, "rejected "+string(r.Bundle)+" "+string(r.Reason))
	}
	for _, u := range e.Unavailable {
		parts = append(parts, "unavailable "+u.Place+" "+string(u.Reason))
	}
	for _, t := range e.Trust {
		parts = append(parts, "trust "+t.Name+" "+string(t.Digest))
	}
	for _, c := range e.Platforms {
		parts = append(parts, "platform "+string(DigestOf(c)))
	}
	slices.Sort(parts)
	return hash(parts)
}

func hash(v ...any) stemma.Digest { return stemma.SHA256(encode(v)) }

// encode is deterministic: structs, slices and maps with string keys, no floating-point numbers.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("policy: encoding a decision: " + err.Error()) // unreachable: every type in it encodes
	}
	return b
}
