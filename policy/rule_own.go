package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"stemma"
	"stemma/internal/expression"
)

// maxRules is how many rules of one's own a policy may have, so that the worst of them together end in time.
const maxRules = 100

// expressions is the environment of the set's expressions, made when the first is met.
func (s *Set) expressions() *expression.Environment {
	if s.environment == nil {
		e, err := expression.New(expression.Functions{
			Glob:    globbed,
			Pattern: checkPattern,
			Nearest: suggestion,
			PURL: func(text string) (kind, name, version string, ok bool) {
				p, ok := parsePURL(text)
				return p.kind, p.name, p.version, ok
			},
		})
		if err != nil {
			panic("policy: the environment of expressions: " + err.Error()) // unreachable: it depends on nothing
		}
		s.environment = e
	}
	return s.environment
}

// globbed is whether a pattern matches a text. Of one that no pattern could match that is no answer: that it is not of some
// place would then be true of it.
func globbed(pattern, text string) (ok bool, problem string) {
	if !matchable(text) {
		return false, fmt.Sprintf("%q is no name that a pattern could match: it is too long, or has a blank, or an empty component as that of a scheme", stemma.Printable(text, 80))
	}
	steps := 0
	_, ok = matchComponents(pattern, text, nil, &steps)
	if steps > maxMatchSteps {
		return false, "the pattern takes too many steps"
	}
	return ok, ""
}

// expression compiles an expression, with what is wrong with it at its place.
func (c *checker) expression(s *Set, e *Expression, kind ForEach) {
	if e.program != nil || e.node == nil {
		return // that of an alternative is the policy's own
	}
	program, issue := s.expressions().Compile(e.Text, string(kind))
	node := e.node
	if e.program, e.node = program, nil; issue == nil {
		return
	}
	n, problem := c.d.inside(node, e.Text, issue.Line, issue.Column)
	if n == node && issue.Line*issue.Column > 1 {
		problem = fmt.Sprintf(" (at %d:%d of it)", issue.Line, issue.Column)
	}
	c.d.fail(n, issue.Hint, "%s%s", issue.Problem, problem)
}

// inside finds the place of a character of a scalar in the file. Where the text was folded or has escapes, it is the
// scalar's own place.
func (d *decoder) inside(n *yaml.Node, text string, line, column int) (*yaml.Node, string) {
	at := &yaml.Node{Kind: yaml.ScalarNode, Line: n.Line, Column: n.Column + column - 1, Value: "x"}
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		at.Line = n.Line + line
		first := d.line(n.Line + 1)
		at.Column = len(first) - len(strings.TrimLeft(first, " ")) + column
		return at, ""
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		at.Column++
	}
	source := []rune(d.line(n.Line))
	from := at.Column - column
	if line == 1 && from >= 0 && from <= len(source) && strings.HasPrefix(string(source[from:]), text) {
		return at, ""
	}
	return n, ""
}

// own checks the rules that a policy adds, and makes rules of them.
func (c *checker) own(s *Set, p *loaded) {
	if len(p.spec.Rules) > maxRules {
		c.fail("spec.rules", "", "%d rules, more than %d", len(p.spec.Rules), maxRules)
		return
	}
	known := []string{UnmatchedRule().ID, ReleaseRule().ID}
	for _, r := range Rules() {
		known = append(known, r.ID)
	}
	for i := range p.spec.Rules {
		rule, at := &p.spec.Rules[i], fmt.Sprintf("spec.rules[%d]", i)
		block, name, dotted := strings.Cut(rule.ID, ".")
		switch {
		case !dotted || !validName(block) || !validName(name):
			c.fail(join(at, "id"), "write a name of your own, a dot and what it is about: acme.no-debug-build", "%q is not the id of a rule", rule.ID)
		case slices.Contains(known, rule.ID) || slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, block+".") }):
			c.fail(join(at, "id"), "begin it with a name of your own: acme."+name, "%s.* are rules of the language", block)
		case slices.ContainsFunc(p.spec.Rules[:i], func(o Custom) bool { return o.ID == rule.ID }):
			c.fail(join(at, "id"), "give it another id", "a second rule %q", rule.ID)
		}
		if rule.For == ForProvenance && p.spec.Provenance == nil && len(p.spec.AnyOf) == 0 {
			c.fail(join(at, "for"), "add provenance: {by: [...]}", "this policy does not say whose provenance counts")
		}
		c.expression(s, &rule.Require, rule.For)
		p.rules = append(p.rules, rule.rule(i))
	}
}

// attested compiles what is required of attestations.
func (c *checker) attested(s *Set, p *loaded) {
	for i := range p.spec.Attestations {
		if a := &p.spec.Attestations[i]; a.Require.Text != "" {
			c.expression(s, &a.Require, ForAttestations)
		}
	}
}

// rule is the rule that is written at index i of rules.
func (r *Custom) rule(i int) Rule {
	return Rule{
		ID: r.ID, Title: "a rule of this policy is not met", Why: r.Why, Fix: cmp.Or(r.Fix, "see why the policy asks for it, or ask who wrote it"), Controls: r.Controls,
		inForce: func(*loaded) bool { return true },
		image:   func(j *judgement) result { return j.own(r, fmt.Sprintf("rules[%d]", i)) },
	}
}

// own judges a rule of the policy's own: of each accepted piece of one kind of evidence, of which there must be one, or of
// the image as a whole.
func (j *judgement) own(r *Custom, path string) result {
	path = join(path, "require")
	if r.For == "" {
		out := j.holds(&r.Require, nil, path)
		out.detail = cmp.Or(out.detail, r.Why)
		return j.asSeen(r, out, path)
	}
	pieces, absent := j.pieces(r.For)
	want := r.Require.Text
	if len(pieces) == 0 {
		if u := j.unseen(absent, want, path); u != nil {
			return *u
		}
		return result{outcome: stemma.Fail, reason: absent, got: "no accepted " + r.For.one(), want: want, path: path, detail: r.Why}
	}
	var worst result
	var items []string
	cites := make([]stemma.Digest, 0, len(pieces))
	for _, p := range pieces {
		out := j.holds(&r.Require, p.it, path)
		if p.bundle != "" {
			cites = append(cites, p.bundle)
		}
		if out.outcome == stemma.Pass {
			continue
		}
		if out.got = p.name + ": " + out.got; badness(out.outcome) > badness(worst.outcome) || len(items) == 0 {
			worst = out
		}
		items = append(items, out.got)
	}
	if len(items) == 0 {
		return j.asSeen(r, pass("holds for "+count(len(pieces), r.For.one()), cites...), path)
	}
	worst.detail = cmp.Or(worst.detail, r.Why)
	if len(items) > 1 {
		worst.items = cutShort(items)
	}
	return worst
}

// asSeen is a Pass that more evidence could take away, where some could not be looked at: reported, and not counted. Anyone
// who can make a place fail could otherwise stop deploys, or have what speaks against an image overlooked.
func (j *judgement) asSeen(r *Custom, out result, path string) result {
	if out.outcome != stemma.Pass || r.Require.program.Grows || r.For == ForPlatforms || r.For == ForBase {
		return out
	}
	u := j.unseen(r.For.absent(), r.Require.Text, path)
	if u == nil {
		return out
	}
	u.got, u.cites, u.fix, u.advisory = out.got+", as far as could be seen", out.cites, remedy(u.reason), true
	return *u
}

// one names one piece of a kind of evidence.
func (f ForEach) one() string {
	switch f {
	case ForProvenance:
		return "provenance"
	case ForSBOMs:
		return "SBOM"
	case ForBase:
		return "step down"
	}
	return strings.TrimSuffix(string(f), "s")
}

// holds evaluates an expression. Whatever goes wrong is never a Pass: what nobody states fails, and all else is unknown.
func (j *judgement) holds(e *Expression, it any, path string) result {
	r := result{outcome: stemma.Fail, reason: stemma.ReasonRule, got: "it does not hold", want: e.Text, path: path}
	if e.program == nil {
		r.outcome, r.reason, r.got = stemma.Unknown, stemma.ReasonExpression, "it was not compiled"
		return r
	}
	ok, err := e.program.Holds(j.scope(), it)
	if _, element := it.(*stemma.ImageFacts); element || e.ofPlatforms("") {
		if u := j.unreadPlatform(); u != nil {
			// A platform that is not there may be the one of which it does not hold.
			r.outcome, r.reason, r.got, r.detail = stemma.Unknown, u.Reason, "", u.Place+": "+u.Detail
			r.fix = remedy(u.Reason)
			return r
		}
	}
	if _, element := it.(*stemma.BaseFacts); element || e.program.Base {
		for _, c := range j.chains() {
			if c.open.outcome == stemma.Unknown {
				r.outcome, r.reason, r.got, r.detail = stemma.Unknown, c.open.reason, "", c.open.detail
				r.fix = remedy(r.reason)
				return r
			}
		}
	}
	switch {
	case errors.Is(err, expression.ErrNotStated):
		r.reason, r.got = stemma.ReasonNotStated, stemma.Printable(err.Error(), 200)
	case err != nil:
		r.outcome, r.reason, r.got = stemma.Unknown, stemma.ReasonExpression, ""
		r.detail, r.fix = stemma.Printable(err.Error(), 200), "mend the rule, which cannot be evaluated for this image"
	case ok:
		return pass("it holds")
	}
	return r
}

// unreadPlatform is a child of the index of which nothing is known, or nil.
func (j *judgement) unreadPlatform() *stemma.Unavailable {
	if !isIndex(j.top) {
		return nil
	}
	var f family
	f.add(j.top, nil)
	switch {
	case len(f.unread) > 0:
		return &f.unread[0]
	case len(f.leaves) == 0:
		return &stemma.Unavailable{Place: unreadChildren, Reason: stemma.ReasonBadAnswer, Detail: "none of them was read"}
	}
	return nil
}

// element is a piece of evidence that an expression is about.
type element struct {
	it     any
	name   string // for people
	bundle stemma.Digest
}

// pieces are the accepted pieces of a kind of evidence, and the reason where there is none.
func (j *judgement) pieces(kind ForEach) (all []element, absent stemma.Reason) {
	if known, ok := j.elements[kind]; ok {
		return known, kind.absent()
	}
	defer func() {
		if j.elements == nil {
			j.elements = map[ForEach][]element{}
		}
		j.elements[kind] = all
	}()
	absent = kind.absent()
	f := j.facts()
	switch kind {
	case ForProvenance:
		for i := range f.Provenance {
			p := &f.Provenance[i]
			all = append(all, element{p, "provenance by " + cmp.Or(p.Signer.Subject, p.Signer.KeyID), p.Bundle})
		}
	case ForSBOMs:
		for i := range f.SBOMs {
			s := &f.SBOMs[i]
			all = append(all, element{s, "SBOM by " + cmp.Or(s.Signer.Subject, s.Signer.KeyID), s.Bundle})
		}
	case ForScans:
		for i := range f.Scans {
			s := &f.Scans[i]
			all = append(all, element{s, "scan by " + cmp.Or(s.Signer.Subject, s.Signer.KeyID), s.Bundle})
		}
	case ForAttestations:
		for i := range f.Attestations {
			a := &f.Attestations[i]
			all = append(all, element{a, cmp.Or(a.Type, "signature") + " by " + cmp.Or(a.Signer.Subject, a.Signer.KeyID), a.Bundle})
		}
	case ForSigners:
		for i := range f.Signers {
			s := &f.Signers[i]
			all = append(all, element{s, cmp.Or(s.Subject, s.KeyID), ""})
		}
	case ForBase:
		for i := range f.Base {
			b := &f.Base[i]
			name := "nothing"
			if b.Image != nil {
				name = b.Image.Repository + "@" + b.Image.Digest.Short()
			}
			all = append(all, element{b, fmt.Sprintf("%s, %s at depth %d", name, b.Grade, b.Depth), ""})
		}
	case ForPlatforms:
		for i := range f.Platforms {
			p := &f.Platforms[i]
			all = append(all, element{p, strings.Trim(p.OS+"/"+p.Architecture+"/"+p.Variant, "/") + " " + p.Digest.Short(), ""})
		}
	}
	return all, absent
}

// absent is the reason where there is no accepted piece of the kind.
func (f ForEach) absent() stemma.Reason {
	switch f {
	case ForProvenance:
		return stemma.ReasonNoProvenance
	case ForSBOMs:
		return stemma.ReasonNoSBOM
	case ForSigners:
		return stemma.ReasonNoEvidence
	case ForPlatforms:
		return stemma.ReasonPlatform
	case ForBase:
		return stemma.ReasonBaseEnd
	}
	return stemma.ReasonNoAttestation
}

// lookAtPlatforms reports whether an expression of the set may look at what an index lists.
func (s *Set) lookAtPlatforms() bool {
	of := func(spec *Spec) bool {
		return slices.ContainsFunc(spec.Rules, func(r Custom) bool { return r.Require.ofPlatforms(r.For) }) ||
			slices.ContainsFunc(spec.Attestations, func(a Attested) bool { return a.Require.ofPlatforms("") })
	}
	return slices.ContainsFunc(s.policies, func(p *loaded) bool {
		return of(&p.spec) || slices.ContainsFunc(p.alternatives, func(a *loaded) bool { return of(&a.spec) })
	})
}

// ofPlatforms reports whether an expression may look at what an index lists.
func (e *Expression) ofPlatforms(kind ForEach) bool {
	return kind == ForPlatforms || strings.Contains(e.Text, "platforms")
}

// looksAtBase reports whether an expression of the policy looks at what the image stands on.
func (p *loaded) looksAtBase() bool {
	of := func(spec *Spec) bool {
		return slices.ContainsFunc(spec.Rules, func(r Custom) bool { return r.For == ForBase || r.Require.program.Base }) ||
			slices.ContainsFunc(spec.Attestations, func(a Attested) bool { return a.Require.program != nil && a.Require.program.Base })
	}
	return of(&p.spec) || slices.ContainsFunc(p.alternatives, func(a *loaded) bool { return of(&a.spec) })
}
