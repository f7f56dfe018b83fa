package policy

import (
	"fmt"
	"strings"

	"stemma"
)

// Assessment is the level of the SLSA Build track that evidence supports by itself, whatever a policy credits.
type Assessment struct {
	// Level is 0 to 2. That a builder keeps its signing from its tenants cannot be read from evidence, so that level 3 is
	// credited by a policy only.
	Level stemma.Level
	// Ceiling is the most that a policy can credit: 3 where nothing in the evidence speaks against it, else Level.
	Ceiling stemma.Level
	Reasons []string // why it is that level
	Missing []string // what the next level lacks
}

// Assess computes the SLSA Build level of one provenance from the pair of signer and builder id, from the isolation of the
// signer from the source, and from what the provenance leaves out (SLSA v1.0, "Build track"). A nil attestation is a
// provenance that nobody signed: it never has a level here, since whoever could replace the image could write it, too.
func Assess(a *stemma.Attestation, p *stemma.Provenance) Assessment {
	lacks := func(level stemma.Level, missing string, reasons ...string) Assessment {
		return Assessment{Level: level, Ceiling: level, Reasons: reasons, Missing: []string{missing}}
	}
	switch {
	case p == nil:
		return lacks(0, "L1 needs a provenance")
	case a == nil:
		return lacks(0, "L1 needs somebody who answers for this provenance: nobody signed it")
	}
	id := p.Claims[stemma.FieldBuilder]
	if id.Value == "" {
		return lacks(0, "L1 needs a provenance that names its builder", "it names no builder")
	}
	reasons := []string{"it names its builder, " + id.Value}
	if other := id.Contradicted(); other != nil {
		return lacks(1, fmt.Sprintf("L2 needs a signer who is the builder: %s says %s, and %s says %s", id.Where, id.Value, other.Where, other.Value), reasons...)
	}
	signer := describe(a.Signer)
	switch {
	case a.Signer.KeyID != "":
		reasons = append(reasons, signer+" signed it, for which whoever holds it answers")
	case p.Author == stemma.SaidByBuilder, certified(p, stemma.FieldBuilder), certified(p, stemma.FieldRun):
		reasons = append(reasons, "a hosted builder signed it, "+signer)
	default:
		return lacks(1, "L2 needs a provenance signed by a hosted builder; "+signer+" is not known as one", reasons...)
	}
	out := Assessment{Level: 2, Ceiling: 2, Reasons: reasons}
	if p.Author != stemma.SaidByBuilder {
		out.Missing = append(out.Missing, isolation(a))
	}
	if p.Mode == modeMin || p.Mode == "" && p.Known == "BuildKit" {
		// "externalParameters … MUST be complete at SLSA Build L3."
		out.Missing = append(out.Missing, "L3 needs all external parameters: with mode=min BuildKit leaves most of them out")
	}
	if len(out.Missing) == 0 {
		out.Ceiling = 3
		out.Missing = []string{"L3 if a policy credits " + credited(a.Signer) + " with it"}
	}
	return out
}

// isolation says what keeps tenants from speaking as the signer, if nothing does.
func isolation(a *stemma.Attestation) string {
	if _, ok := stemma.ParseWorkflow(a.Signer.Subject); ok {
		return "L3 needs a reusable workflow in a repository of its own: this one is built and signed by the source's own workflow"
	}
	if strings.Contains(a.Signer.Subject, "//.") || strings.Count(a.Signer.Subject, "//") > 1 {
		return "L3 needs a CI configuration in a project of its own: this one is built and signed by the source's own"
	}
	return "L3 needs a builder whose instructions its tenants cannot change: the certificate of " + describe(a.Signer) + " does not tell where they came from"
}

// credited names what a policy would credit with a level.
func credited(id stemma.Identity) string {
	if w, ok := stemma.ParseWorkflow(id.Subject); ok {
		return w.Repository
	}
	return describe(id)
}

func certified(p *stemma.Provenance, f stemma.Field) bool {
	c := p.Claims[f]
	return c.Value != "" && c.By == stemma.SaidByCertificate
}

// level is the level of a candidate under this policy: what its builder is credited with, as far as evidence goes.
func (j *judgement) level(c *candidate) (stemma.Level, string) {
	if c.assessed == nil {
		level, why := j.assess(c)
		c.assessed = &assessed{level, why}
	}
	return c.assessed.level, c.assessed.why
}

// assessed is the level of a candidate, and why it is no higher.
type assessed struct {
	level stemma.Level
	why   string
}

func (j *judgement) assess(c *candidate) (stemma.Level, string) {
	own := Assess(c.attestation, c.provenance)
	credit, name := j.credit(c)
	switch {
	case name == "":
		return min(own.Level, 1), "the signer is none of the builders that this policy credits with a level"
	case stemma.Level(credit) < own.Level:
		return stemma.Level(credit), "the policy credits " + name + " with no more"
	}
	return max(own.Level, min(own.Ceiling, stemma.Level(credit))), strings.Join(own.Missing, "; ")
}
