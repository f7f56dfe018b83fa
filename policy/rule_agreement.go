package policy

import (
	"fmt"
	"slices"
	"strings"

	"stemma"
)

func provenanceAgreement() Rule {
	return Rule{
		ID:       "provenance.agreement",
		Title:    "valid provenances of this image name different sources",
		Why:      "An image has one origin. Two authentic statements that name different sources mean that one of them is false, or that somebody attested an image that is not theirs.",
		Fix:      "find out who signed the other provenance, and why; if both are meant, say so in allowDisagreement",
		Since:    "0.1",
		Controls: []string{"SR-4(3)", "SR-11"},
		inForce:  hasProvenance,
		image:    checkAgreement,
	}
}

func provenanceRun() Rule {
	return Rule{
		ID:       "provenance.run",
		Title:    "valid provenances of this image name different runs",
		Why:      "One run built it. A second one that claims the same digest is a rebuild that somebody should know of, or the word of somebody who built nothing.",
		Fix:      "find out which run built the image; if it is rebuilt to the same digest on purpose, say so in allowDisagreement",
		Since:    "0.1",
		Controls: []string{"SR-4(3)"},
		inForce:  hasProvenance,
		image: func(j *judgement) result {
			if len(j.candidates) == 0 {
				return j.dependent()
			}
			// Several builders that must each build it run each for itself.
			several := j.spec.Provenance.By.AtLeast > 1
			r := j.compare(stemma.FieldRun, func(c *candidate) string {
				run := c.provenance.Value(stemma.FieldRun)
				if !strings.HasPrefix(run, "https://") || several && c.accepted() {
					return "" // a number of no service, or of another one, contradicts nothing
				}
				// A failed job that is run again is the same run once more.
				run, _, _ = strings.Cut(run, "/attempts/")
				return run
			})
			if r != nil {
				return *r
			}
			return pass("no other run is named", j.bundles()...)
		},
	}
}

func provenanceBuilders() Rule {
	return Rule{
		ID:       "provenance.builders",
		Title:    "another builder claims this image, too",
		Why:      "An image has one builder. A second one, which the policy does not name, attests an image that is not its own, or the image passed through hands that nobody reviewed.",
		Fix:      "find out who signed the other provenance, and why; if that builder is expected, add it to provenance.by or allowDisagreement",
		Since:    "0.1",
		Controls: []string{"SR-4(3)", "SR-11"},
		inForce:  hasProvenance,
		image: func(j *judgement) result {
			if len(j.candidates) == 0 {
				return j.dependent()
			}
			first := j.candidates[0]
			if r := j.apart(); r != nil {
				return *r
			}
			for _, c := range j.candidates[1:] {
				same := distinctID(c.attestation.Signer) == distinctID(first.attestation.Signer)
				if !c.accepted() && (first.accepted() || !same) && !j.acceptedElsewhere(c) && !j.mayDiffer(c, "builder") {
					return result{
						outcome: stemma.Fail, reason: stemma.ReasonDisagreement,
						got:   "also built by " + describe(c.attestation.Signer),
						want:  "built by " + describe(first.attestation.Signer) + " only",
						proof: c.proof(), path: "provenance.by", cites: j.bundles(),
					}
				}
			}
			return pass("no other builder than "+describe(first.attestation.Signer), j.bundles()...)
		},
	}
}

// apart finds provenance by an accepted identity that was made as no builder of that identity may work: started by
// another event, or on another machine. That the image has a good one, too, does not make it one.
func (j *judgement) apart() *result {
	breaks := func(c *candidate) *result {
		for i := range c.results {
			if r := &c.results[i]; r.outcome == stemma.Fail && (j.each[i] == "builder.trigger" || j.each[i] == "builder.runner") {
				return r
			}
		}
		return nil
	}
	if !slices.ContainsFunc(j.candidates, func(c *candidate) bool { return breaks(c) != nil }) {
		return nil
	}
	held := map[stemma.Digest]bool{} // pieces that some name of provenance.by accepts under its controls
	for _, c := range j.candidates {
		if c.accepted() && breaks(c) == nil {
			held[c.provenance.Bundle] = true
		}
	}
	if len(held) == 0 {
		return nil // nothing is accepted, which rules of their own say
	}
	for _, c := range j.candidates {
		if r := breaks(c); r != nil && c.accepted() && !held[c.provenance.Bundle] && !j.mayDiffer(c, "builder") {
			return &result{
				outcome: stemma.Fail, reason: r.reason, got: "also built by " + describe(c.attestation.Signer) + ": " + r.got, want: r.want,
				proof: c.proof(), path: r.path, cites: j.bundles(),
			}
		}
	}
	return nil
}

// checkAgreement compares all authenticated provenance, approved or not: a good one does not silence a bad one.
func checkAgreement(j *judgement) result {
	if len(j.candidates) == 0 {
		return j.dependent()
	}
	for _, f := range []stemma.Field{stemma.FieldRepository, stemma.FieldCommit, stemma.FieldRef} {
		if r := j.compare(f, func(c *candidate) string {
			claim := c.provenance.Claims[f]
			if f == stemma.FieldRef && (!strings.HasPrefix(claim.Value, "refs/") || claim.By.Rank() < stemma.SaidByBuilder.Rank() || c.provenance.Value(stemma.FieldCommit) != "") {
				// A commit is what was built, by whatever branches and tags it may go; without one the ref is all there is. A
				// short one stands for a branch and for a tag alike.
				return ""
			}
			return claim.Value
		}); r != nil {
			return *r
		}
	}
	cites := j.bundles()
	r := pass(fmt.Sprintf("%d provenances that agree", len(cites)), cites...)
	if len(cites) == 1 {
		r.got = "one provenance"
	}
	if u := j.unseen(stemma.ReasonNoProvenance, "no other provenance that says otherwise", "provenance.agreement"); u != nil {
		// Anyone who can make a place fail could otherwise stop deploys; it is said and does not refuse, unless the policy
		// asks for more.
		u.got, u.cites, u.fix = r.got+", as far as could be seen", cites, remedy(u.reason)
		u.advisory = j.spec.Provenance.Agreement != AgreementComplete
		return *u
	}
	return r
}

// compare finds two provenances that state different values of a field, or returns nil. Each is compared with the first
// that states the value, not with the first: that one may state nothing.
func (j *judgement) compare(f stemma.Field, value func(*candidate) string) *result {
	var first *candidate
	for _, c := range j.candidates {
		got := value(c)
		switch {
		case got == "" || j.mayDiffer(c, string(f)):
		case first == nil:
			first = c
		case got != value(first):
			return &result{
				outcome: stemma.Fail, reason: stemma.ReasonDisagreement,
				got:   fmt.Sprintf("%s %s, by %s", f, got, describe(c.attestation.Signer)),
				want:  fmt.Sprintf("%s %s, by %s", f, value(first), describe(first.attestation.Signer)),
				proof: c.proof(), path: "provenance", cites: j.bundles(),
			}
		}
	}
	return nil
}

// mayDiffer reports whether the policy puts up with it that this provenance says something else than the others.
func (j *judgement) mayDiffer(c *candidate, on string) bool {
	return slices.ContainsFunc(j.spec.AllowDisagreement, func(d Disagreement) bool {
		return slices.Contains(d.On, on) && slices.ContainsFunc(d.By, func(name string) bool {
			return j.policy.builders[name].accepts(c.attestation.Signer)
		})
	})
}

// acceptedElsewhere reports whether the same piece of evidence is authentic under another trust domain, too, and accepted
// there: it is no second builder.
func (j *judgement) acceptedElsewhere(c *candidate) bool {
	return slices.ContainsFunc(j.candidates, func(o *candidate) bool {
		return o.accepted() && o.provenance.Bundle == c.provenance.Bundle && distinctID(o.attestation.Signer) == distinctID(c.attestation.Signer)
	})
}
