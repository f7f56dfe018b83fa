package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"stemma"
)

// Version of the rules, part of every Decision.
const Version = "0.1"

// Evaluate judges evidence by a set. It is pure, and total: whatever the evidence holds, the result is a complete
// Decision, and a panic inside a rule is an Unknown of that rule, never an Allow.
func Evaluate(set *Set, evidence *stemma.Evidence, situation stemma.Situation) *stemma.Decision {
	if set == nil {
		set = &Set{} // no policy: refuses
	}
	if evidence == nil {
		evidence = &stemma.Evidence{}
	}
	d := &stemma.Decision{
		Image: evidence.Image, Situation: situation, Set: set.Digest, Trust: slices.SortedFunc(slices.Values(evidence.Trust), compareTrust),
		SetVersion: set.spec.Version, Policies: []stemma.PolicyRef{}, Help: set.spec.Help.String(), Version: Version,
		From: evidence.From, NotFetched: notFetched(evidence),
	}
	d.Effect = stemma.Admit
	leveled := false
	targets := set.targets(evidence, situation)
	var matched []application
	waived := set.waived(evidence.Image, situation)
	for _, p := range set.policies {
		pattern, vars, ok := p.matches(evidence.Image.Repository, situation)
		if !ok {
			continue
		}
		var missing []string
		first := len(d.Findings)
		for _, t := range targets {
			t = set.derived(t, p)
			j := &judgement{of: set, set: &set.spec, expressions: set.environment, policy: p, spec: &p.spec, top: evidence, target: t, at: situation, vars: vars, waived: waived[p.name]}
			said := j.judge()
			if d.Findings == nil {
				d.Findings = said.findings // nobody else has them
			} else {
				d.Findings = append(d.Findings, said.findings...)
			}
			if said.policy.spec.Provenance != nil && (!leveled || said.level < d.Level) {
				d.Level, leveled = said.level, true
			}
			missing = append(missing, said.policy.spec.notRequired()...)
			d.Skipped = append(d.Skipped, j.weakened()...)
		}
		missing = slices.DeleteFunc(requirements(), func(block string) bool { return !slices.Contains(missing, block) })
		if len(d.Policies) > 0 {
			missing = slices.DeleteFunc(missing, func(block string) bool { return !slices.Contains(d.NotRequired, block) })
		}
		d.NotRequired = missing
		d.Policies = append(d.Policies, stemma.PolicyRef{Name: p.name, Digest: p.id, Mode: string(p.mode()), Why: pattern})
		d.Skipped = append(d.Skipped, set.skipped(p)...)
		matched = append(matched, application{p, first, len(d.Findings)})
		if situation.At.Before(p.spec.EnforceFrom.Time) && p.mode() == Enforce {
			d.Upcoming = append(d.Upcoming, "policy "+p.name+" enforces from "+p.spec.EnforceFrom.Format(time.DateOnly))
		}
	}
	set.waive(d)
	for _, m := range matched {
		effect, because := set.effect(m.policy, d.Findings[m.first:m.end], situation)
		d.Effect = stronger(d.Effect, effect)
		if because != "" {
			d.Because = append(d.Because, because)
		}
	}
	if !slices.ContainsFunc(matched, func(m application) bool { return m.policy.namespace == "" }) {
		// What a namespace adds tightens: an image that the set has no policy for stays one.
		d.Findings = append(d.Findings, unmatched(set, evidence))
		effect := map[Unmatched]stemma.Effect{UnmatchedAllow: stemma.Admit, UnmatchedWarn: stemma.Warn}[set.spec.Unmatched]
		if e := set.exempt(situation); e != nil {
			effect = stemma.Admit
		}
		d.Effect = stronger(d.Effect, cmp.Or(effect, stemma.Refuse))
		if effect != "" {
			d.Because = append(d.Because, "that is what the policy set says of images that no policy is about")
		}
	}
	slices.Sort(d.Skipped)
	d.Skipped = slices.Compact(d.Skipped)
	slices.Sort(d.Because)
	if d.Because = slices.Compact(d.Because); d.Effect == stemma.Refuse {
		d.Because = nil // something else refuses
	}
	d.Verdict = verdictOf(d.Findings)
	if situation.WhatIf {
		d.Effect, d.Because = stemma.None, []string{"it is a decision about another time than the present, by which nothing may be admitted"}
	}
	set.sealer.seal(d, evidence)
	return d
}

// application is a policy that is about the image, and its findings.
type application struct {
	policy     *loaded
	first, end int
}

// notFetched unites what was left alone of the image and of its platforms.
func notFetched(e *stemma.Evidence) []string {
	out := slices.Clone(e.NotFetched)
	for _, c := range e.Platforms {
		if c != nil {
			out = append(out, notFetched(c)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func compareTrust(a, b stemma.TrustRef) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest))
}

// matches returns the pattern by which the policy is about an image, and what its captures bind.
func (p *loaded) matches(repository string, at stemma.Situation) (string, map[string]string, bool) {
	if p.namespace != "" && p.namespace != at.Namespace {
		return "", nil, false
	}
	return p.spec.Match.match(repository)
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
		Got: quoteEmpty(evidence.Image.Repository),
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

// rules lists what is required of the target.
func (j *judgement) rules() []Rule {
	current, _, _ := j.approval()
	if current == nil && len(j.at.Expect) == 0 {
		return j.policy.required // which nothing changes
	}
	return slices.DeleteFunc(append(Rules(), j.policy.rules...), func(r Rule) bool { return !j.asks(r) || current != nil && !underApproval(r) })
}

// run applies every rule in force to the target. A panic outside of a rule leaves it Unknown as a whole.
func (j *judgement) run() (findings []stemma.Finding, level stemma.Level) {
	defer func() {
		if p := recover(); p != nil {
			authentic := imageAuthentic()
			findings, level = []stemma.Finding{j.finding(&authentic, panicked(p))}, 0
		}
	}()
	rules := j.rules()
	if j.evidence = j.target.evidence; j.evidence == nil {
		return j.nothing(rules), 0
	}
	j.unavailable = j.evidence.Unavailable
	for _, index := range j.target.above {
		// Evidence about a platform may lie in a child of the index, such as its attestation manifest.
		for _, u := range index.Unavailable {
			if u.Place == unreadChildren {
				j.unavailable = append(slices.Clip(j.unavailable), u)
			}
		}
	}
	j.collect(rules)
	each := 0
	if len(j.candidates) > 0 {
		j.cells = make([]*result, 0, len(j.candidates[0].results))
	}
	for i := range rules {
		if rules[i].each == nil {
			continue
		}
		j.each = append(j.each, rules[i].ID)
		if len(j.candidates) == 0 {
			r := j.dependent()
			j.cells = append(j.cells, &r)
		} else {
			j.cells = append(j.cells, j.together(each))
		}
		each++
	}
	each = 0
	findings = make([]stemma.Finding, 0, len(rules))
	for i := range rules {
		rule := &rules[i]
		var r result
		switch {
		case rule.platforms != nil:
			findings = append(findings, j.listed(rule)...)
			continue
		case rule.image != nil:
			r = guard(func() result { return rule.image(j) })
		default:
			r = *j.cells[each]
			each++
		}
		if r.outcome != stemma.NotApplicable {
			findings = append(findings, j.finding(rule, r))
		}
	}
	if taken, _, _ := j.approval(); taken != nil {
		return findings, 0 // nothing was asked of how it was built
	}
	return findings, j.decidedLevel()
}

// listed makes the findings of a rule about what an index lists.
func (j *judgement) listed(rule *Rule) []stemma.Finding {
	var out []stemma.Finding
	for _, l := range rule.platforms(j) {
		f := j.finding(rule, l.result)
		f.Platform, f.Of = l.platform, l.of
		out = append(out, f)
	}
	return out
}

// nothing makes the findings about a platform for which there is nothing to judge: every requirement has a cell, and
// image.platform says why.
func (j *judgement) nothing(rules []Rule) []stemma.Finding {
	var out []stemma.Finding
	why := j.target.listings[0].result
	for i := range rules {
		rule := &rules[i]
		switch {
		case rule.platforms != nil:
			out = append(out, j.listed(rule)...)
		case rule.ID != "provenance.whole" && rule.ID != "sbom.whole": // which have nothing to say of less than two
			r := result{outcome: why.outcome, reason: why.reason, got: why.got, want: why.want, path: "platforms", needs: imagePlatform().ID}
			out = append(out, j.finding(rule, r))
		}
	}
	return out
}

// collect finds the provenance about this very image and judges each by every rule that concerns one.
func (j *judgement) collect(rules []Rule) {
	each := func(list []stemma.Provenance, identify func(*stemma.Attestation, *stemma.Provenance)) {
		for i := range list {
			p := &list[i]
			for k := range j.evidence.Attestations {
				// One bundle can be authentic under several trust domains: each is an attestation of its own.
				if a := &j.evidence.Attestations[k]; p.Bundle != "" && a.Bundle == p.Bundle && !a.Signature && j.bound(a) {
					j.cosigned(a, func(a *stemma.Attestation) { identify(a, p) })
				}
			}
		}
	}
	each(j.evidence.Provenance, func(a *stemma.Attestation, p *stemma.Provenance) { j.identify(a, p, everyBuilder) })
	each(j.evidence.Other, func(a *stemma.Attestation, p *stemma.Provenance) {
		// A statement of a type that no reader knows is provenance only to a builder that is said to write the type.
		j.identify(a, p, func(b Builder) bool { return b.Internal != nil && b.Internal.Type == a.Statement.PredicateType })
	})
	judging := 0
	for i := range rules {
		if rules[i].each != nil {
			judging++
		}
	}
	for _, c := range j.candidates {
		c.results = make([]result, 0, judging)
		for i := range rules {
			if rule := &rules[i]; rule.each != nil {
				c.results = append(c.results, guard(func() result { return rule.each(j, c) }))
			}
		}
	}
	slices.SortFunc(j.candidates, compareCandidates)
	j.candidates = slices.CompactFunc(j.candidates, func(a, b *candidate) bool { return compareCandidates(a, b) == 0 })
}

// cosigned identifies the first signer of an envelope and each further managed key that signed it. What a predicate says
// is read as the word of the first signer, so that only keys, which all speak for a builder, stand in for one another; and
// of the others neither a time nor a log entry is proven. Beside an accepted signer a stranger takes nothing away: whoever
// has a key of a trust domain could add its signature to what is not his.
func (j *judgement) cosigned(a *stemma.Attestation, identify func(*stemma.Attestation)) {
	before := len(j.candidates)
	identify(a)
	first := len(j.candidates)
	for _, id := range a.Cosigners {
		if a.Signer.KeyID != "" && id.KeyID != "" {
			c := *a
			c.Signer, c.Cosigners, c.Log, c.SignedAt = id, nil, nil, nil
			identify(&c)
		}
	}
	accepted := slices.DeleteFunc(slices.Clone(j.candidates[before:]), func(c *candidate) bool { return !c.accepted() })
	if j.candidates = j.candidates[:first]; len(accepted) > 0 {
		j.candidates = append(j.candidates[:before], accepted...)
	}
}

// compareCandidates puts first the provenance that meets the policy, or else the one that comes closest. It is a total
// order by content, so that the order in which evidence was found never matters.
func compareCandidates(a, b *candidate) int {
	ready := func(c *candidate) int {
		if c.accepted() {
			return 0
		}
		return 1
	}
	order := cmp.Or(
		cmp.Compare(ready(a), ready(b)),
		compareResults(a.results, b.results),
		cmp.Compare(b.away.rank, a.away.rank),
		cmp.Compare(a.provenance.Bundle, b.provenance.Bundle),
		cmp.Compare(a.order, b.order),
	)
	if order == 0 && (a.attestation != b.attestation || a.provenance != b.provenance) {
		order = bytes.Compare(encode([]any{a.attestation, a.provenance}), encode([]any{b.attestation, b.provenance}))
	}
	return order
}

func compareResults(a, b []result) int {
	tally := func(rs []result) (fails, unknowns int) {
		for _, r := range rs {
			switch badness(r.outcome) {
			case 1:
				unknowns++
			case 2:
				fails++
			}
		}
		return fails, unknowns
	}
	af, au := tally(a)
	bf, bu := tally(b)
	return cmp.Or(cmp.Compare(af, bf), cmp.Compare(au, bu))
}

// enough reports whether the candidates that are good come from as many distinct builders as the policy asks for.
func (j *judgement) enough(good func(*candidate) bool) bool {
	if j.spec.Provenance.By.AtLeast <= 1 {
		return slices.ContainsFunc(j.candidates, good)
	}
	return j.distinct(good) >= j.spec.Provenance.By.AtLeast
}

func (j *judgement) distinct(good func(*candidate) bool) int {
	matches := map[string][]string{}
	for _, c := range j.candidates {
		if good(c) {
			id := distinctID(c.attestation.Signer)
			matches[id] = append(matches[id], c.builder)
		}
	}
	return distinct(matches)
}

// together is what all candidates say of the rule with index i among those that judge each. It passes when one
// candidate passes it (with atLeast: candidates of as many distinct builders). So evidence that is withheld can take a
// Pass away and never give one. That the same candidate passes all rules is a rule of its own, provenance.whole.
func (j *judgement) together(i int) *result {
	first := func(good func(*candidate) bool) *result {
		for _, c := range j.candidates {
			if good(c) {
				return &c.results[i]
			}
		}
		return nil
	}
	atMost := func(worst int) func(*candidate) bool {
		return func(c *candidate) bool { return badness(c.results[i].outcome) <= worst }
	}
	failed := func(c *candidate) bool { return badness(c.results[i].outcome) == 2 }
	met := first(atMost(0))
	switch {
	case met != nil && j.enough(atMost(0)):
		return met
	case j.enough(atMost(1)):
		return first(func(c *candidate) bool { return badness(c.results[i].outcome) == 1 })
	}
	if r := first(func(c *candidate) bool { return failed(c) && c.accepted() }); r != nil || met == nil {
		if r == nil {
			r = first(failed)
		}
		if r != nil {
			return r
		}
	}
	by := j.spec.Provenance.By
	want := count(by.AtLeast, "distinct builder") + " of " + strings.Join(by.Of, ", ")
	if u := j.unseen(stemma.ReasonNoProvenance, want, "provenance.by"); u != nil {
		return u
	}
	return &result{
		outcome: stemma.Fail, reason: stemma.ReasonThreshold, got: count(j.distinct(atMost(0)), "accepted builder"), want: want, path: "provenance.by",
	}
}

// decidedLevel is the lowest level of the provenances that decide: the nearest one, with atLeast the nearest of as many
// distinct builders.
func (j *judgement) decidedLevel() stemma.Level {
	if j.spec.Provenance == nil || len(j.candidates) == 0 {
		return 0
	}
	level, _ := j.level(j.candidates[0])
	matches := map[string][]string{}
	for _, c := range j.candidates {
		before := distinct(matches)
		if before == j.spec.Provenance.By.AtLeast || !c.accepted() {
			break
		}
		id := distinctID(c.attestation.Signer)
		matches[id] = append(matches[id], c.builder)
		if distinct(matches) > before {
			l, _ := j.level(c)
			level = min(level, l)
		}
	}
	return level
}

func badness(o stemma.Outcome) int {
	switch o {
	case stemma.NotApplicable, stemma.Pass:
		return 0
	case stemma.Fail:
		return 2
	}
	return 1
}

func panicked(p any) result {
	return result{outcome: stemma.Unknown, reason: stemma.ReasonBadAnswer, detail: fmt.Sprintf("internal error while judging: %v", p)}
}

// guard turns a panic of a rule into an Unknown (INV-2).
func guard(check func() result) (r result) {
	defer func() {
		if p := recover(); p != nil {
			r = panicked(p)
		}
	}()
	return check()
}

func (j *judgement) finding(rule *Rule, r result) stemma.Finding {
	f := stemma.Finding{
		Rule: rule.ID, Outcome: r.outcome, Reason: r.reason, Title: rule.Title, Got: r.got, Want: r.want, Detail: r.detail,
		Proof: r.proof, Policy: j.policy.name, Where: cmp.Or(r.place, j.policy.where(cmp.Or(r.path, "match"))), Platform: j.target.platform, Of: j.target.of,
	}
	f.Items = r.items
	f.Cites = r.cites[:len(r.cites):len(r.cites)]
	if len(f.Cites) > 1 {
		f.Cites = slices.Compact(slices.Sorted(slices.Values(r.cites)))
	}
	switch r.outcome {
	case stemma.Pass:
	case stemma.Fail:
		f.Fix = cmp.Or(r.fix, rule.Fix)
	default:
		f.Outcome, f.Fix, f.Advisory = stemma.Unknown, r.fix, r.advisory
	}
	if f.Needs = r.needs; f.Needs != "" {
		f.Fix = "" // what to do is said there
	}
	return f
}

// verdictOf: any Fail denies; else any Unknown leaves it undetermined; else at least one Pass allows. Nothing at all is
// undetermined: the empty set never passes, and what is waived is no Pass. What is advisory counts only when it fails.
func verdictOf(findings []stemma.Finding) stemma.Verdict {
	passed, unknown := false, false
	for _, f := range findings {
		switch {
		case f.Outcome == stemma.Fail:
			return stemma.Deny
		case f.Advisory:
		case f.Outcome == stemma.Pass:
			passed = true
		case f.Outcome == stemma.Waived:
		default:
			unknown = true
		}
	}
	if unknown || !passed {
		return stemma.Undetermined
	}
	return stemma.Allow
}

// requirements lists the blocks of the language that require something.
func requirements() []string {
	return []string{"signature", "provenance", "source", "inputs", "sbom", "vulnerabilities", "attestations", "base"}
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
	if s.Inputs == nil {
		out = append(out, "inputs")
	}
	if s.SBOM == nil {
		out = append(out, "sbom")
	}
	if s.Vulnerabilities == nil {
		out = append(out, "vulnerabilities")
	}
	if len(s.Attestations) == 0 {
		out = append(out, "attestations")
	}
	if s.Base == nil {
		out = append(out, "base")
	}
	return out
}
