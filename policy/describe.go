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
	Name        string
	Digest      stemma.Digest
	Mode        string
	Images      []string
	Rules       []string // ids in force
	NotRequired []string
	Trust       []string // trust domains of the identities it accepts
}

// Summary describes the policies in force.
func (s *Set) Summary() []Summary {
	var out []Summary
	for _, p := range s.policies {
		sum := Summary{Name: p.name, Digest: p.id, Mode: string(cmp.Or(p.spec.Mode, Enforce)), NotRequired: p.spec.notRequired()}
		for _, i := range p.spec.Match.Images {
			sum.Images = append(sum.Images, string(i))
		}
		for _, e := range p.spec.Match.Except {
			sum.Images = append(sum.Images, "except "+string(e))
		}
		for _, r := range append(Rules(), p.rules...) {
			if r.inForce(p) {
				sum.Rules = append(sum.Rules, r.ID)
			}
		}
		sum.Trust = p.trust()
		out = append(out, sum)
	}
	return out
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
	}
	slices.Sort(by)
	return slices.Compact(by)
}
