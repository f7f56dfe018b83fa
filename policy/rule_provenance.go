package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"stemma"
)

func hasProvenance(p *loaded) bool { return p.spec.Provenance != nil }

func provenancePresent() Rule {
	return Rule{
		ID:       "provenance.present",
		Title:    "no authenticated provenance is about this image",
		Why:      "Provenance is the only statement of how the image was made. Without one, who built it, from which source and under which controls is a guess.",
		Fix:      "build the image with a workflow that attests it, or deploy a digest that was attested",
		Since:    "0.1",
		Controls: []string{"SR-4"},
		inForce:  hasProvenance,
		image: func(j *judgement) result {
			if len(j.candidates) == 0 {
				r := j.missing(stemma.ReasonNoProvenance, "a signed SLSA provenance about "+j.evidence.Image.Digest.Short(), "provenance")
				if !slices.ContainsFunc(j.evidence.Attestations, func(a stemma.Attestation) bool { return a.Signature && j.bound(&a) }) {
					r.needs = "image.authentic" // it says the same of the same evidence
				}
				return r
			}
			cites := j.bundles()
			return pass(count(len(cites), "provenance"), cites...)
		},
	}
}

func provenanceFormat() Rule {
	return Rule{
		ID:       "provenance.format",
		Title:    "the provenance has a format that this policy does not accept",
		Why:      "A policy that reads a format it was not written for may look at fields that mean something else there.",
		Fix:      "add the format to provenance.formats, or attest in an accepted one",
		Since:    "0.1",
		Controls: []string{"SR-4"},
		inForce:  func(p *loaded) bool { return p.spec.Provenance != nil && len(p.spec.Provenance.Formats) > 0 },
		each: func(j *judgement, c *candidate) result {
			if slices.Contains(j.spec.Provenance.Formats, c.provenance.Format) {
				return pass(c.provenance.Format, c.provenance.Bundle)
			}
			return result{
				outcome: stemma.Fail, reason: stemma.ReasonFormat, got: c.provenance.Format,
				want: strings.Join(j.spec.Provenance.Formats, " or "), path: "provenance.formats",
			}
		},
	}
}

func provenanceLevel() Rule {
	return Rule{
		ID:       "provenance.level",
		Title:    "the build has a lower SLSA level than required",
		Why:      "Below level 3 the tenant of the builder can influence what the provenance says; below level 2 anybody can write it.",
		Fix:      "build with a reusable workflow in a repository of its own, and credit that builder with level 3 in the policy once it was reviewed",
		Since:    "0.1",
		Controls: []string{"SR-3", "SR-4"},
		inForce:  func(p *loaded) bool { return p.spec.Provenance != nil && p.spec.Provenance.Level > 0 },
		each: func(j *judgement, c *candidate) result {
			level, why := j.level(c)
			want := fmt.Sprintf("SLSA Build L%d", j.spec.Provenance.Level)
			if int(level) >= j.spec.Provenance.Level {
				return pass(fmt.Sprintf("SLSA Build L%d", level), c.provenance.Bundle)
			}
			r := result{
				outcome: stemma.Fail, reason: stemma.ReasonLevel, got: fmt.Sprintf("SLSA Build L%d", level), want: want,
				detail: why, proof: c.proof(), path: "provenance.level",
			}
			if _, name := j.credit(c); name == "" {
				r.needs = "builder.approved" // only an accepted builder is credited with a level
			} else if id := c.provenance.Claims[stemma.FieldBuilder]; id.Contradicted() != nil {
				r.needs = "provenance.consistent" // which of two builders it was, that says
			}
			return r
		},
	}
}

func provenanceAge() Rule {
	return Rule{
		ID:       "provenance.age",
		Title:    "the provenance is older than allowed",
		Why:      "A registry can serve last year's image with last year's valid evidence; everything about it verifies, and every hole found since is in it.",
		Fix:      "rebuild the image",
		Since:    "0.1",
		Controls: []string{"SI-2"},
		inForce:  func(p *loaded) bool { return p.spec.Provenance != nil && p.spec.Provenance.MaxAge > 0 },
		each: func(j *judgement, c *candidate) result {
			limit := j.spec.Provenance.MaxAge
			want := "not older than " + limit.String()
			fresh, known := young(c.attestation, time.Duration(limit), j.at.At)
			t := c.attestation.Time().UTC()
			switch {
			case !known:
				return result{
					outcome: stemma.Unknown, reason: stemma.ReasonNoTime, want: want, path: "provenance.maxAge",
					detail: "trust domain " + c.attestation.Signer.Trust + " proves no signing time",
				}
			case fresh:
				return pass("signed "+t.Format(time.DateOnly), c.provenance.Bundle)
			}
			got := fmt.Sprintf("signed %s, %d days ago", t.Format(time.DateOnly), int(j.at.At.Sub(t).Hours()/24))
			if t.After(j.at.At) {
				got = "signed " + t.Format(time.RFC3339) + ", after the time of this decision"
			}
			return result{outcome: stemma.Fail, reason: stemma.ReasonAge, got: got, want: want, proof: c.proof(), path: "provenance.maxAge"}
		},
	}
}

func provenanceConsistent() Rule {
	return Rule{
		ID:       "provenance.consistent",
		Title:    "certificate and provenance contradict each other",
		Why:      "The certificate carries what the identity provider knows of the run; the provenance carries what the job wrote. Where they differ, the provenance is about another run, or it lies.",
		Fix:      "find out how this provenance was written; a genuine builder does not contradict its own certificate",
		Since:    "0.1",
		Controls: []string{"AU-10", "SR-4(3)"},
		inForce:  hasProvenance,
		each: func(_ *judgement, c *candidate) result {
			checked := 0
			for _, f := range stemma.Fields() {
				claim, ok := c.provenance.Claims[f]
				if !ok {
					continue
				}
				if other := claim.Contradicted(); other != nil {
					return result{
						outcome: stemma.Fail, reason: stemma.ReasonContradiction,
						got:   fmt.Sprintf("%s %s (%s)", f, other.Value, other.Where),
						want:  fmt.Sprintf("%s %s (%s)", f, claim.Value, claim.Where),
						proof: c.proof(), path: "provenance",
					}
				}
				checked += len(claim.Others)
			}
			return pass(fmt.Sprintf("%s said twice, alike", count(checked, "value")), c.provenance.Bundle)
		},
	}
}

// bundles lists the distinct pieces of evidence that are provenance of this image: one that was found in three places is
// one (GHSA-c346).
func (j *judgement) bundles() []stemma.Digest {
	var all []stemma.Digest
	for _, c := range j.candidates {
		all = append(all, c.provenance.Bundle)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func provenanceWhole() Rule {
	return Rule{
		ID:       "provenance.whole",
		Title:    "no single provenance meets every requirement",
		Why:      "Requirements that are met by parts of several statements are met by none: the builder of one build and the source of another are no origin of an image.",
		Fix:      "deploy an image with one provenance that meets provenance and source alike",
		Since:    "0.1",
		Controls: []string{"SR-4"},
		inForce:  hasProvenance,
		image:    checkWhole,
	}
}

// checkWhole asks that the same provenance, judged as the work of the same builder, passes all rules but those that are
// waived. With one candidate there is nothing to mix, and where a rule fails for all of them, that says it.
func checkWhole(j *judgement) result {
	worse := func(of func(rule int) stemma.Outcome, than int) bool {
		for i, id := range j.each {
			if badness(of(i)) > than && !slices.Contains(j.waived, id) {
				return true
			}
		}
		return false
	}
	if len(j.candidates) < 2 || worse(func(rule int) stemma.Outcome { return j.cells[rule].outcome }, 1) {
		return result{outcome: stemma.NotApplicable}
	}
	atMost := func(worst int) func(*candidate) bool {
		return func(c *candidate) bool {
			return !worse(func(rule int) stemma.Outcome { return c.results[rule].outcome }, worst)
		}
	}
	nearest := j.candidates[0]
	if j.enough(atMost(0)) {
		return pass("every requirement, by "+describe(nearest.attestation.Signer), nearest.provenance.Bundle)
	}
	worst := 2
	if j.enough(atMost(1)) {
		worst = 1
	}
	for _, c := range j.candidates {
		for i, r := range c.results {
			if atMost(worst)(c) && badness(r.outcome) == worst && !slices.Contains(j.waived, j.each[i]) {
				r.detail = "each requirement is met by some provenance, and all of them by none; this is what the nearest one lacks"
				r.fix = ""
				return r
			}
		}
	}
	return j.dependent()
}

// dependent is the result of a rule about provenance when there is none: what provenance.present says, so that every
// requirement has a cell and none passes for want of something to judge (GHSA-vmvj).
func (j *judgement) dependent() result {
	r := j.missing(stemma.ReasonNoProvenance, "a provenance to judge", "provenance")
	r.proof, r.detail, r.needs = "", "", "provenance.present"
	return r
}
