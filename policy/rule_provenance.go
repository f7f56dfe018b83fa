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
		ID:      "provenance.present",
		Title:   "no authenticated provenance is about this image",
		Why:     "Provenance is the only statement of how the image was made. Without one, who built it, from which source and under which controls is a guess.",
		Fix:     "build the image with a workflow that attests it, or deploy a digest that was attested",
		Since:   "0.1",
		inForce: hasProvenance,
		image: func(j *judgement) result {
			if len(j.candidates) == 0 {
				return j.missing(stemma.ReasonNoProvenance, "a signed SLSA provenance about "+j.evidence.Image.Digest.Short(), "provenance")
			}
			var cites []stemma.Digest
			for _, c := range j.candidates {
				cites = append(cites, c.provenance.Bundle)
			}
			return pass(count(len(j.candidates), "provenance"), cites...)
		},
	}
}

func provenanceFormat() Rule {
	return Rule{
		ID:      "provenance.format",
		Title:   "the provenance has a format that this policy does not accept",
		Why:     "A policy that reads a format it was not written for may look at fields that mean something else there.",
		Fix:     "add the format to provenance.formats, or attest in an accepted one",
		Since:   "0.1",
		inForce: func(p *loaded) bool { return p.spec.Provenance != nil && len(p.spec.Provenance.Formats) > 0 },
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
		ID:      "provenance.level",
		Title:   "the build has a lower SLSA level than required",
		Why:     "Below level 3 the tenant of the builder can influence what the provenance says; below level 2 anybody can write it.",
		Fix:     "build with a reusable workflow in a repository of its own, and credit that builder with level 3 in the policy once it was reviewed",
		Since:   "0.1",
		inForce: func(p *loaded) bool { return p.spec.Provenance != nil && p.spec.Provenance.Level > 0 },
		each: func(j *judgement, c *candidate) result {
			level, why := j.level(c)
			want := fmt.Sprintf("SLSA Build L%d", j.spec.Provenance.Level)
			if int(level) >= j.spec.Provenance.Level {
				return pass(fmt.Sprintf("SLSA Build L%d", level), c.provenance.Bundle)
			}
			return result{
				outcome: stemma.Fail, reason: stemma.ReasonLevel, got: fmt.Sprintf("SLSA Build L%d", level), want: want,
				detail: why, proof: proof(c.attestation), path: "provenance.level",
			}
		},
	}
}

func provenanceAge() Rule {
	return Rule{
		ID:      "provenance.age",
		Title:   "the provenance is older than allowed",
		Why:     "A registry can serve last year's image with last year's valid evidence; everything about it verifies, and every hole found since is in it.",
		Fix:     "rebuild the image",
		Since:   "0.1",
		inForce: func(p *loaded) bool { return p.spec.Provenance != nil && p.spec.Provenance.MaxAge > 0 },
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
			return result{outcome: stemma.Fail, reason: stemma.ReasonAge, got: got, want: want, proof: proof(c.attestation), path: "provenance.maxAge"}
		},
	}
}

func provenanceConsistent() Rule {
	return Rule{
		ID:      "provenance.consistent",
		Title:   "certificate and provenance contradict each other",
		Why:     "The certificate carries what the identity provider knows of the run; the provenance carries what the job wrote. Where they differ, the provenance is about another run, or it lies.",
		Fix:     "find out how this provenance was written; a genuine builder does not contradict its own certificate",
		Since:   "0.1",
		inForce: hasProvenance,
		each: func(_ *judgement, c *candidate) result {
			fields := []stemma.Field{
				stemma.FieldBuilder, stemma.FieldRepository, stemma.FieldCommit, stemma.FieldRef,
				stemma.FieldEntryPoint, stemma.FieldTrigger, stemma.FieldRunner, stemma.FieldRun,
			}
			checked := 0
			for _, f := range fields {
				claim, ok := c.provenance.Claims[f]
				if !ok {
					continue
				}
				if other := claim.Contradicted(); other != nil {
					return result{
						outcome: stemma.Fail, reason: stemma.ReasonContradiction,
						got:   fmt.Sprintf("%s %s (%s)", f, other.Value, other.Where),
						want:  fmt.Sprintf("%s %s (%s)", f, claim.Value, claim.Where),
						proof: proof(c.attestation), path: "provenance",
					}
				}
				checked += len(claim.Others)
			}
			return pass(fmt.Sprintf("%s said twice, alike", count(checked, "value")), c.provenance.Bundle)
		},
	}
}

func provenanceAgreement() Rule {
	return Rule{
		ID:      "provenance.agreement",
		Title:   "valid provenances of this image disagree",
		Why:     "An image has one origin. Two authentic statements that name different sources or builders mean that one of them is false, or that somebody attested an image that is not theirs.",
		Fix:     "find out who signed the other provenance, and why",
		Since:   "0.1",
		inForce: hasProvenance,
		image:   checkAgreement,
	}
}

// checkAgreement compares all authenticated provenance, approved or not: a good one does not silence a bad one.
func checkAgreement(j *judgement) result {
	if len(j.candidates) == 0 {
		return j.dependent()
	}
	first := j.candidates[0]
	cites := []stemma.Digest{first.provenance.Bundle}
	for _, c := range j.candidates[1:] {
		cites = append(cites, c.provenance.Bundle)
		for _, f := range []stemma.Field{stemma.FieldRepository, stemma.FieldCommit} {
			a, b := first.provenance.Value(f), c.provenance.Value(f)
			if a != "" && b != "" && a != b {
				return result{
					outcome: stemma.Fail, reason: stemma.ReasonDisagreement,
					got:   fmt.Sprintf("%s %s, by %s", f, b, describe(c.attestation.Signer)),
					want:  fmt.Sprintf("%s %s, by %s", f, a, describe(first.attestation.Signer)),
					proof: proof(c.attestation), path: "provenance", cites: cites,
				}
			}
		}
	}
	if len(first.builders) > 0 {
		for _, c := range j.candidates[1:] {
			if len(c.builders) == 0 {
				return result{
					outcome: stemma.Fail, reason: stemma.ReasonDisagreement,
					got:    "also built by " + describe(c.attestation.Signer),
					want:   "built by " + describe(first.attestation.Signer) + " only",
					detail: "an image has one builder; a second one attests it that this policy does not name",
					proof:  proof(c.attestation), path: "provenance.by", cites: cites,
				}
			}
		}
	}
	if len(j.candidates) == 1 {
		return pass("one provenance", cites...)
	}
	return pass(fmt.Sprintf("%d provenances that agree", len(j.candidates)), cites...)
}

// dependent is the result of a rule about provenance when there is none: what provenance.present says, so that every
// requirement has a cell and none passes for want of something to judge (GHSA-vmvj).
func (j *judgement) dependent() result {
	r := j.missing(stemma.ReasonNoProvenance, "a provenance to judge", "provenance")
	r.proof, r.detail = "", ""
	return r
}
