package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stemma"
)

// Summary is what one policy in force says, for people.
type Summary struct {
	Name   string
	Digest stemma.Digest
	Mode   string
	Images []string
	Rules  []string // ids in force
	// Alternatives are the sets of rules of which one must be met besides.
	Alternatives []SummaryAlternative
	NotRequired  []string // blocks that neither the policy has nor any of its alternatives
	Approved     []string // images of which nothing else is required, and until when
	Trust        []string // trust domains of the identities it accepts
}

// SummaryAlternative is one alternative of a policy, and the ids of the rules that it adds.
type SummaryAlternative struct {
	Name  string
	Rules []string
}

// Summary describes the policies in force.
func (s *Set) Summary() []Summary {
	var out []Summary
	for _, p := range s.policies {
		sum := Summary{Name: p.name, Digest: p.id, Mode: string(cmp.Or(p.spec.Mode, Enforce)), Rules: p.requires(), NotRequired: p.spec.notRequired()}
		for _, i := range p.spec.Match.Images {
			sum.Images = append(sum.Images, string(i))
		}
		for _, e := range p.spec.Match.Except {
			sum.Images = append(sum.Images, "except "+string(e))
		}
		for _, q := range p.alternatives {
			own := q.requires()
			sum.NotRequired = slices.DeleteFunc(sum.NotRequired, func(block string) bool { return q.blocks[block] })
			sum.Alternatives = append(sum.Alternatives, SummaryAlternative{q.alternative, slices.DeleteFunc(own, func(id string) bool {
				return id == policyAlternative().ID || slices.Contains(sum.Rules, id)
			})})
		}
		if len(p.alternatives) > 0 {
			sum.Rules = append(sum.Rules, policyAlternative().ID)
		}
		for _, a := range p.spec.Approved {
			sum.Approved = append(sum.Approved, string(a.Image)+"@"+a.Digest+" until "+onDay(a.Until))
		}
		sum.Trust = p.trust()
		out = append(out, sum)
	}
	return out
}

// requires lists the rules in force that an image must meet: an approval is an exception from them.
func (p *loaded) requires() []string {
	var ids []string
	for _, r := range append(Rules(), p.rules...) {
		if r.inForce(p) && r.ID != imageApproved().ID {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// Reference is the page docs/rules.md: every rule, generated from the values that judge.
func Reference() string {
	var b strings.Builder
	b.WriteString("# Rules\n\nGenerated from package policy; `stemma policy explain RULE` prints the same.\n")
	b.WriteString("Every rule is phrased as a requirement: it passes in the safe direction, fails with a reason, or is unknown when something could not be looked at.\n")
	b.WriteString("Controls are those of NIST SP 800-53 Rev. 5 that a pass is evidence for; none is met by a rule alone.\n")
	block := ""
	for _, r := range append(append([]Rule{UnmatchedRule()}, Rules()...), ReleaseRule()) {
		if head, _, _ := strings.Cut(r.ID, "."); head != block {
			block = head
			fmt.Fprintf(&b, "\n## %s\n", block)
		}
		fmt.Fprintf(&b, "\n### %s\n\nFails when %s.\n\n*Why.* %s\n\n*Fix.* %s.\n\n*Controls.* %s. Since %s.\n", r.ID, r.Title, r.Why, strings.ToUpper(r.Fix[:1])+r.Fix[1:], strings.Join(r.Controls, ", "), r.Since)
	}
	return b.String()
}

// trust lists the trust domains of the identities that the policy accepts.
func (p *loaded) trust() []string {
	var names []string
	for _, name := range p.by() {
		names = append(names, cmp.Or(p.signer(name).Trust, PublicGood))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// by lists whose evidence counts for anything, in the policy or in one of its alternatives.
func (p *loaded) by() []string {
	var by []string
	for _, q := range append([]*loaded{p}, p.alternatives...) {
		s := &q.spec
		if s.Signature != nil {
			by = append(by, s.Signature.By.Of...)
		}
		if s.Provenance != nil {
			by = append(by, s.Provenance.By.Of...)
		}
		if s.SBOM != nil {
			by = append(by, s.SBOM.By.Of...)
		}
		if s.Vulnerabilities != nil {
			by = slices.Concat(by, s.Vulnerabilities.By.Of, s.Vulnerabilities.VEX)
		}
		for _, a := range s.Attestations {
			by = append(by, a.By.Of...)
		}
		if s.Base != nil {
			for _, names := range s.Base.names() {
				by = append(by, names...)
			}
		}
	}
	slices.Sort(by)
	return slices.Compact(by)
}

// Applicability says whether one policy is about an image, and why.
type Applicability struct {
	Policy   string
	Digest   stemma.Digest
	Mode     string
	Matches  bool
	Why      string // the pattern, or what it is not
	Captures map[string]string
}

// Match says of every policy in force whether it is about an image, by its canonical repository.
func (s *Set) Match(repository string, at stemma.Situation) []Applicability {
	var out []Applicability
	for _, p := range s.policies {
		a := Applicability{Policy: p.name, Digest: p.id, Mode: string(p.mode())}
		pattern, vars, ok := p.matches(repository, at)
		excepted := slices.IndexFunc(p.spec.Match.Except, func(e Pattern) bool { _, ok := e.match(repository, nil); return ok })
		switch {
		case ok:
			a.Matches, a.Why, a.Captures = true, "matches "+pattern, vars
		case p.namespace != "" && p.namespace != at.Namespace:
			a.Why = "counts in namespace " + p.namespace + " alone"
		case excepted >= 0:
			a.Why = "is excepted by " + string(p.spec.Match.Except[excepted])
		default:
			var patterns []string
			for _, i := range p.spec.Match.Images {
				patterns = append(patterns, string(i))
			}
			a.Why = "is none of " + strings.Join(patterns, ", ")
		}
		out = append(out, a)
	}
	return out
}

// UnmatchedEffect is what becomes of an image that no policy of the set is about: refuse, warn or allow.
func (s *Set) UnmatchedEffect() Unmatched { return cmp.Or(s.spec.Unmatched, UnmatchedRefuse) }
