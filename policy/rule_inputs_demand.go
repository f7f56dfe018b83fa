package policy

import (
	"fmt"
	"slices"
	"strings"

	"stemma"
)

const allOfKind = "every input of the kinds that a list is written for"

func inputsUnreported() Rule {
	return Rule{
		ID:       "inputs.unreported",
		Title:    "the builder does not name all inputs of a kind that a list is written for",
		Why:      "Most builders name some of what they use: GitHub's attestations name no action, package or base image. A list of what is accepted says nothing about what is not named, and must not look as if it did.",
		Fix:      "build with a builder that names these inputs; to refuse what is not named, set inputs.unreported: refuse",
		Since:    "0.1",
		Controls: []string{"CM-8", "SR-4(4)"},
		inForce: hasInputs(func(i *Inputs) bool {
			return listed(i) && i.Unreported != UnreportedIgnore && i.Unreported != UnreportedRefuse
		}),
		image: func(j *judgement) result {
			if len(j.candidates) == 0 {
				return j.dependent()
			}
			if j.enough(func(c *candidate) bool { return c.accepted() && len(j.unreported(c)) == 0 }) {
				return pass(allOfKind, j.bundles()...)
			}
			// Of several the nearest is the one that decides; one that is left names something out.
			i := slices.IndexFunc(j.candidates, func(c *candidate) bool { return len(j.unreported(c)) > 0 })
			c := j.candidates[max(i, 0)]
			r := result{
				outcome: stemma.Unknown, reason: stemma.ReasonUnreported, advisory: true, want: allOfKind, path: "inputs",
				fix: "nothing is known to be wrong with them; to refuse what is not named, set inputs.unreported: refuse", cites: []stemma.Digest{c.provenance.Bundle},
			}
			if i < 0 {
				r.got = "named by provenance that is not accepted"
				return r
			}
			return unnamed(c, r, j.unreported(c))
		},
	}
}

func inputsComplete() Rule {
	return Rule{
		ID:       "inputs.complete",
		Title:    "the builder does not name all inputs of a kind that a list is written for, and the policy refuses that",
		Why:      "What a builder leaves out of its dependencies is in the image and in no list: where a list is meant to keep something out, silence is no proof of absence.",
		Fix:      "build with a builder that names these inputs; or, if they may stay unknown, set inputs.unreported to warn",
		Since:    "0.1",
		Controls: []string{"CM-8", "SR-4(4)"},
		inForce:  hasInputs(func(i *Inputs) bool { return listed(i) && i.Unreported == UnreportedRefuse }),
		each: func(j *judgement, c *candidate) result {
			if len(c.provenance.Inputs) == 0 {
				return withoutInputs("inputs.unreported")
			}
			items := j.unreported(c)
			if len(items) == 0 {
				return pass(allOfKind, c.provenance.Bundle)
			}
			return unnamed(c, result{outcome: stemma.Fail, reason: stemma.ReasonUnreported, want: allOfKind, path: "inputs.unreported"}, items)
		},
	}
}

func unnamed(c *candidate, r result, items []string) result {
	return several(c, r, items, fmt.Sprintf("%d gaps", len(items)))
}

// unreported lists the kinds that lists are written for and that the provenance does not name in full, and the inputs
// that are of no known kind and could be of any.
func (j *judgement) unreported(c *candidate) []string {
	if len(c.provenance.Inputs) == 0 {
		return []string{"no inputs at all"}
	}
	var items []string
	for _, l := range inputLists() {
		if len(l.patterns(j.spec.Inputs)) == 0 {
			continue
		}
		switch c.provenance.Reported[l.kind] {
		case stemma.ReportedAll:
		case stemma.ReportedSome:
			items = append(items, l.key+": the builder names some")
		default:
			items = append(items, l.key+": the builder names none")
		}
	}
	for i := range c.provenance.Inputs {
		if in := &c.provenance.Inputs[i]; !slices.Contains(stemma.InputKinds(), in.Kind) || in.Kind == stemma.InputOther {
			items = append(items, "of no known kind: "+inputItem(in))
		}
	}
	return items
}

func inputsDigests() Rule {
	return Rule{
		ID:       "inputs.digests",
		Title:    "an input is not named by its digest",
		Why:      "A tag, a branch or a version is what somebody can point elsewhere tomorrow: nobody can say afterwards what went in, and whoever moves the tag of an action is in every build.",
		Fix:      "pin images by digest and actions and repositories by commit",
		Since:    "0.1",
		Controls: []string{"CM-2", "SI-7"},
		inForce:  hasInputs(func(i *Inputs) bool { return i.Digests != "" }),
		each: func(_ *judgement, c *candidate) result {
			return judgeInputs(c, "inputs.digests", stemma.ReasonUnpinned, "a digest of each, of repositories a commit", func(in *stemma.Input) bool { return !in.Pinned() })
		},
	}
}

func inputsDeclared() Rule {
	return Rule{
		ID:       "inputs.declared",
		Title:    "a step of the build used something that the dependencies do not name",
		Why:      "What is fetched beside the declared dependencies is in the image and in no list that anybody checks.",
		Fix:      "declare it, so that the builder resolves and names it",
		Since:    "0.1",
		Controls: []string{"SR-4(4)"},
		inForce:  hasInputs(func(i *Inputs) bool { return i.Declared != "" }),
		each: func(_ *judgement, c *candidate) result {
			const path, want = "inputs.declared", "steps that use declared inputs only"
			r := judgeInputs(c, path, stemma.ReasonUndeclared, want, func(in *stemma.Input) bool { return in.Undeclared })
			if r.outcome == stemma.Pass && len(c.provenance.Tasks) == 0 {
				// Where no step is told, none was seen to use anything (INV-1).
				return result{
					outcome: stemma.Fail, reason: stemma.ReasonNotStated, got: "no steps are told", want: want, proof: c.proof(), path: path,
					fix: "build with a builder that tells its steps (docker buildx build --provenance=mode=max)",
				}
			}
			return r
		},
	}
}

// judgeInputs lists the inputs that are wrong, one by one.
func judgeInputs(c *candidate, path string, reason stemma.Reason, want string, wrong func(*stemma.Input) bool) result {
	if len(c.provenance.Inputs) == 0 {
		return withoutInputs(path)
	}
	var bad []string
	for i := range c.provenance.Inputs {
		if in := &c.provenance.Inputs[i]; wrong(in) {
			bad = append(bad, inputItem(in))
		}
	}
	n := count(len(c.provenance.Inputs), "input")
	if len(bad) == 0 {
		return pass(n, c.provenance.Bundle)
	}
	return several(c, result{outcome: stemma.Fail, reason: reason, want: want, path: path}, bad, fmt.Sprintf("%d of %s", len(bad), n))
}

// Kinds of parameters that are judged in a way of their own.
const (
	unknownParameter  = "unknown"  // a key that the build type does not define
	variableParameter = "variable" // GitLab puts every variable of CI into its provenance
)

func inputsParameters() Rule {
	return Rule{
		ID:       "inputs.parameters",
		Title:    "the build was given a parameter that is not accepted",
		Why:      "A parameter that the tenant sets can change what is built as much as a commit can, and no review sees it. Of a key that the build type does not define, nobody knows what it does (SLSA: external parameters must be checked).",
		Fix:      "build without it, or add its name to inputs.parameters.allow after a review of what it does",
		Since:    "0.1",
		Controls: []string{"CM-6"},
		inForce:  hasInputs(func(*Inputs) bool { return true }),
		each:     checkParameters,
	}
}

func checkParameters(j *judgement, c *candidate) result {
	allow, path, want := []Pattern(nil), "inputs", "no parameter that the build type does not define"
	if p := j.spec.Inputs.Parameters; p != nil {
		allow, path, want = p.Allow, "inputs.parameters", "only "+anyPattern(p.Allow, j.vars)
		if len(c.provenance.External) == 0 && len(c.provenance.Parameters) == 0 {
			return result{
				outcome: stemma.Fail, reason: stemma.ReasonNotStated, got: "the provenance tells no parameters", want: want,
				proof: c.proof(), path: path, fix: "build with a builder that tells its parameters",
			}
		}
	}
	var bad []string
	n := 0
	for _, p := range c.provenance.Parameters {
		if p.Kind == variableParameter || allow == nil && p.Kind != unknownParameter {
			continue
		}
		n++
		if !slices.ContainsFunc(allow, func(a Pattern) bool { _, ok := a.match(p.Name, j.vars); return ok }) {
			item := strings.TrimSpace(p.Kind+" "+shortened(p.Name)) + " (" + shortened(p.Where) + ")"
			if p.Kind == unknownParameter {
				item = "unknown key " + shortened(p.Name) + " (" + shortened(p.Where) + ")"
			}
			bad = append(bad, item)
		}
	}
	switch {
	case len(bad) > 0:
		return several(c, result{outcome: stemma.Fail, reason: stemma.ReasonParameter, want: want, path: path}, bad, count(len(bad), "parameter"))
	case allow == nil:
		return pass("no unknown parameter", c.provenance.Bundle)
	}
	return pass(count(n, "parameter")+", accepted", c.provenance.Bundle)
}

func inputsHermetic() Rule {
	return Rule{
		ID:       "inputs.hermetic",
		Title:    "the build was not without network",
		Why:      "A step with network can fetch anything, and what it fetched stands nowhere. Only the builder can say that there was none: a tenant who says so may have written it.",
		Fix:      "build with the network switched off for everything but declared inputs, on a builder that says so",
		Since:    "0.1",
		Controls: []string{"SA-15", "SC-7"},
		inForce:  hasInputs(func(i *Inputs) bool { return i.Hermetic != "" }),
		each:     checkHermetic,
	}
}

func checkHermetic(_ *judgement, c *candidate) result {
	r := result{
		outcome: stemma.Fail, reason: stemma.ReasonNetwork, want: "built without network, said by builder or better", proof: c.proof(), path: "inputs.hermetic",
	}
	claim := c.provenance.Claims[stemma.FieldHermetic]
	var used []string
	for _, t := range c.provenance.Tasks {
		if t.Network == "used" {
			used = append(used, fmt.Sprintf("%s used the network (%s)", shortened(t.Name), shortened(t.Where)))
		}
	}
	for _, s := range append([]stemma.Said{claim.Said}, claim.Others...) {
		if s.Value != "" && s.Value != "true" {
			used = append(used, fmt.Sprintf("hermetic %s, said by %s (%s)", shortened(s.Value), s.By, shortened(s.Where)))
		}
	}
	switch {
	case len(used) > 0:
		// What one step did outweighs what is said of all of them.
		return several(c, r, used, fmt.Sprintf("%d signs of network", len(used)))
	case claim.Value == "":
		r.reason, r.got = stemma.ReasonNotStated, "not stated"
	case claim.By.Rank() < stemma.SaidByBuilder.Rank():
		r.reason, r.got = stemma.ReasonSaidBy, "hermetic, said by "+grade(claim.By)
	default:
		return pass("hermetic, said by "+grade(claim.By), c.provenance.Bundle)
	}
	return r
}
