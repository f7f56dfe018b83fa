package policy

import (
	"cmp"
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

// signatures sorts the signers of the image by what they are to signature.by. Each maps a distinct signer to the names
// that it fits.
type signatures struct {
	fresh, untimed map[string][]string
	accepted       []string // descriptions
	tooOld, others []string
	cites          []stemma.Digest
	newest         *stemma.Attestation // of the fresh ones
}

func (j *judgement) signatures() signatures {
	by := j.spec.Signature.By
	s := signatures{fresh: map[string][]string{}, untimed: map[string][]string{}}
	for i := range j.evidence.Attestations {
		a := &j.evidence.Attestations[i]
		if !a.Signature || !j.bound(a) {
			continue
		}
		for _, id := range append([]stemma.Identity{a.Signer}, a.Cosigners...) {
			names := slices.DeleteFunc(slices.Clone(by.Of), func(n string) bool { return j.policy.signer(n).differs(id).reason != "" })
			if len(names) == 0 {
				s.others = append(s.others, describe(id))
				continue
			}
			key := distinctID(id)
			switch fresh, known := young(a, time.Duration(j.spec.Signature.MaxAge), j.at.At); {
			case !known:
				s.untimed[key] = append(s.untimed[key], names...)
			case !fresh:
				s.tooOld = append(s.tooOld, describe(id)+" on "+a.Time().UTC().Format(time.DateOnly))
			default:
				s.fresh[key] = append(s.fresh[key], names...)
				s.untimed[key] = append(s.untimed[key], names...)
				s.accepted = append(s.accepted, describe(id))
				s.cites = append(s.cites, a.Bundle)
				if s.newest == nil || cmp.Or(a.Time().Compare(s.newest.Time()), -compareAttestations(a, s.newest)) > 0 {
					s.newest = a
				}
			}
		}
	}
	for _, list := range []*[]string{&s.accepted, &s.tooOld, &s.others} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return s
}

func checkSignature(j *judgement) result {
	by := j.spec.Signature.By
	want := "a signature by " + strings.Join(by.Of, " or ")
	if by.AtLeast > 1 {
		want = fmt.Sprintf("a signature by %d of %s", by.AtLeast, strings.Join(by.Of, ", "))
	}
	recent := want + " not older than " + j.spec.Signature.MaxAge.String()
	s := j.signatures()
	n := distinct(s.fresh)
	switch {
	case n >= by.AtLeast && n > 0:
		r := pass("a signature by "+strings.Join(s.accepted, ", "), s.cites...)
		r.proof = proof(s.newest)
		return r
	case len(j.unavailable) > 0:
		return *j.unseen(stemma.ReasonNoSignature, want, "signature.by")
	case distinct(s.untimed) >= by.AtLeast:
		return result{outcome: stemma.Unknown, reason: stemma.ReasonNoTime, want: recent, path: "signature.maxAge", detail: "the trust domain proves no signing time"}
	case len(s.tooOld) > 0:
		return result{outcome: stemma.Fail, reason: stemma.ReasonAge, got: s.tooOld[0], want: recent, path: "signature.maxAge"}
	case n > 0:
		return result{outcome: stemma.Fail, reason: stemma.ReasonThreshold, got: fmt.Sprintf("%d: %s", n, strings.Join(s.accepted, ", ")), want: want, path: "signature.by", cites: s.cites}
	case len(s.others) > 0:
		return result{outcome: stemma.Fail, reason: stemma.ReasonSigner, got: "a signature by " + strings.Join(s.others, ", "), want: want, path: "signature.by"}
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
