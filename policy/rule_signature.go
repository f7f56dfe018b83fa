package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"stemma"
)

func signatureBy() Rule {
	return Rule{
		ID:      "signature.by",
		Title:   "the image is not signed by those who must sign it",
		Why:     "A signature of the image says that somebody released this very digest. An attestation of another type, such as an SBOM, says something about the image and does not release it (CVE-2022-35929).",
		Fix:     "have it signed by an identity that signature.by names, after the review that this signature stands for",
		Since:   "0.1",
		inForce: func(p *loaded) bool { return p.spec.Signature != nil },
		image:   checkSignature,
	}
}

func checkSignature(j *judgement) result {
	by := j.spec.Signature.By
	matches := map[string][]string{}
	var accepted, others, tooOld []string
	var cites []stemma.Digest
	var newest *stemma.Attestation
	untimed := false
	for i := range j.evidence.Attestations {
		a := &j.evidence.Attestations[i]
		if !a.Signature || a.Binding.Kind != stemma.BindingExact {
			continue
		}
		for _, id := range append([]stemma.Identity{a.Signer}, a.Cosigners...) {
			names := slices.DeleteFunc(slices.Clone(by.Of), func(n string) bool { return j.policy.signer(n).differs(id).reason != "" })
			if len(names) == 0 {
				others = append(others, describe(id))
				continue
			}
			switch fresh, known := young(a, time.Duration(j.spec.Signature.MaxAge), j.at.At); {
			case !known:
				untimed = true
				continue
			case !fresh:
				tooOld = append(tooOld, describe(id)+" on "+a.Time().UTC().Format(time.DateOnly))
				continue
			}
			key := distinctID(id)
			matches[key] = slices.Compact(slices.Sorted(slices.Values(append(matches[key], names...))))
			accepted = append(accepted, describe(id))
			cites = append(cites, a.Bundle)
			newest = a
		}
	}
	want := strings.Join(by.Of, " or ")
	if by.AtLeast > 1 {
		want = fmt.Sprintf("%d of %s", by.AtLeast, strings.Join(by.Of, ", "))
	}
	want = "a signature by " + want
	n := distinct(matches)
	slices.Sort(accepted)
	accepted = slices.Compact(accepted)
	switch {
	case n >= by.AtLeast && n > 0:
		r := pass("a signature by "+strings.Join(accepted, ", "), cites...)
		r.proof = proof(newest)
		return r
	case len(j.evidence.Unavailable) > 0:
		return *j.unseen(want, "signature.by")
	case untimed && n == 0:
		return result{outcome: stemma.Unknown, reason: stemma.ReasonNoTime, want: want + " not older than " + j.spec.Signature.MaxAge.String(), path: "signature.maxAge", detail: "the trust domain proves no signing time"}
	case n > 0:
		return result{outcome: stemma.Fail, reason: stemma.ReasonThreshold, got: fmt.Sprintf("%d: %s", n, strings.Join(accepted, ", ")), want: want, path: "signature.by", cites: cites}
	case len(tooOld) > 0:
		slices.Sort(tooOld)
		return result{outcome: stemma.Fail, reason: stemma.ReasonAge, got: tooOld[0], want: want + " not older than " + j.spec.Signature.MaxAge.String(), path: "signature.maxAge"}
	case len(others) > 0:
		slices.Sort(others)
		return result{outcome: stemma.Fail, reason: stemma.ReasonSigner, got: "a signature by " + strings.Join(slices.Compact(others), ", "), want: want, path: "signature.by"}
	}
	return j.missing(stemma.ReasonNoSignature, want, "signature")
}

// skew is how far a proven signing time may lie after the time of the decision, for clocks that disagree.
const skew = 5 * time.Minute

// young reports whether an attestation is not older than max (0: any age). known is false when nothing proves when it
// was signed and the age matters.
func young(a *stemma.Attestation, max time.Duration, now time.Time) (fresh, known bool) {
	if max == 0 {
		return true, true
	}
	t := a.Time()
	if t.IsZero() {
		return false, false
	}
	return now.Sub(t) <= max && t.Sub(now) <= skew, true
}
