package policy

import (
	"stemma"
)

func (BuildKit) key() string { return "buildkit" }

func (BuildKit) view(_ *stemma.Attestation, p *stemma.Provenance) (*stemma.Provenance, difference) {
	return ofFamily("BuildKit", "buildkit", p)
}

func (b BuildKit) check(c *checker, path string, _ Builder) {
	if b.Mode != "" && b.Mode != modeMax {
		c.fail(join(path, "mode"), "write max, or leave it out", "%q asks for nothing", b.Mode)
	}
}

const (
	modeMax = "max"
	modeMin = "min"
)

func builderSteps() Rule {
	return Rule{
		ID:       "builder.steps",
		Title:    "the provenance does not tell the steps of the build",
		Why:      "With mode=min BuildKit leaves out the arguments and the steps: nothing shows what was fetched while building, and a build that read the network looks like one that did not.",
		Fix:      "build with docker buildx build --provenance=mode=max",
		Since:    "0.1",
		Controls: []string{"SA-15", "SR-4"},
		inForce: func(p *loaded) bool {
			return p.asksBuilder(func(b Builder) bool { return b.BuildKit != nil && b.BuildKit.Mode == modeMax })
		},
		each: func(j *judgement, c *candidate) result {
			if b := j.policy.builders[c.builder]; b.BuildKit == nil || b.BuildKit.Mode != modeMax {
				return result{outcome: stemma.NotApplicable}
			}
			r := result{
				outcome: stemma.Fail, reason: stemma.ReasonNotStated, got: "no steps", want: "parameters and steps (mode=max)",
				proof: c.proof(), path: j.builderPath(c.builder, "buildkit.mode"),
			}
			switch n := len(c.provenance.Tasks); {
			case c.provenance.Mode == modeMin:
				r.got = "mode=min"
			case n > 0:
				return pass(count(n, "step"), c.provenance.Bundle)
			}
			return r
		},
	}
}
