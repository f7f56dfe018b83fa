package policy

import (
	"cmp"
	"fmt"
	"slices"

	"stemma"
)

// Rule is one requirement that the language can express. It is a documented value: what "stemma policy explain", the
// reference page and the findings print comes from here.
type Rule struct {
	ID    string // stable, "block.what"
	Title string // what is wrong when it fails, in a few words
	Why   string // what an attacker or an accident could do without it
	Fix   string // what the reader can do
	Since string // version that introduced it

	// inForce reports whether the policy asks for it.
	inForce func(*loaded) bool
	// Exactly one of the two is set: a requirement of the image as a whole, or of the provenance that is judged.
	image func(*judgement) result
	each  func(*judgement, *candidate) result
}

// Rules returns every rule in the order in which findings are listed.
func Rules() []Rule {
	return []Rule{
		imageAuthentic(), signatureBy(),
		provenancePresent(), builderApproved(), builderTrigger(), builderRunner(),
		provenanceFormat(), provenanceLevel(), provenanceAge(), provenanceConsistent(), provenanceAgreement(), provenanceWhole(),
		sourceRepository(), sourceRef(),
	}
}

// UnmatchedRule is the rule of the set itself: an image needs a policy.
func UnmatchedRule() Rule {
	return Rule{
		ID:    "image.policy",
		Title: "no policy is about this image",
		Why:   "An image that no policy matches was never thought about; letting it pass would make the policy set a list of suggestions.",
		Fix:   "add the repository to match.images of a policy, or set unmatched in the PolicySet",
		Since: "0.1",
	}
}

// result is what a rule's check says.
type result struct {
	outcome stemma.Outcome
	reason  stemma.Reason
	got     string
	want    string
	detail  string
	proof   string
	fix     string // instead of the rule's own
	path    string // of the requirement in the policy, below spec
	cites   []stemma.Digest
	needs   string // the rule whose outcome this is, for want of anything to judge
}

func pass(got string, cites ...stemma.Digest) result {
	return result{outcome: stemma.Pass, got: got, cites: cites}
}

// judgement is one policy applied to one image.
type judgement struct {
	policy     *loaded
	spec       *Spec
	evidence   *stemma.Evidence
	at         stemma.Situation
	vars       map[string]string // captures of the pattern that matched the image
	candidates []*candidate      // the nearest to what the policy wants first
	cells      []result          // of the rules that judge each provenance, over all candidates
}

// candidate is an authenticated provenance about this very image, judged as the work of one builder. A signer that fits
// several names in provenance.by makes a candidate of each, so that the controls of one and the credit of another never
// add up.
type candidate struct {
	attestation *stemma.Attestation
	provenance  *stemma.Provenance
	builder     string     // name in provenance.by that the signer is, or came closest to
	order       int        // of that name in provenance.by
	away        difference // from that builder; zero when the signer is it
	results     []result   // of the rules that judge each provenance, in order
}

// accepted reports whether a builder that the policy names made the provenance.
func (c *candidate) accepted() bool { return c.builder != "" && c.away.reason == "" }

// credit is the level that the policy gives to the builder of the candidate.
func (j *judgement) credit(c *candidate) (credit int, name string) {
	if !c.accepted() {
		return 0, ""
	}
	return cmp.Or(j.policy.builders[c.builder].Level, defaultCredit), c.builder
}

// defaultCredit is the level of a builder to which the policy gives none.
const defaultCredit = 2

// proof says where the identity of an attestation is proven.
func proof(a *stemma.Attestation) string {
	who := "certificate SAN"
	if a.Signer.KeyID != "" {
		who = "key " + a.Signer.Key.Short()
	}
	text := fmt.Sprintf("%s in %s %s", who, a.Format, a.Bundle.Short())
	for _, l := range a.Log {
		text += fmt.Sprintf(", %s entry %d", l.Log, l.Index)
	}
	if t := a.Time(); !t.IsZero() {
		text += ", signed " + t.UTC().Format("2006-01-02 15:04:05Z")
	}
	return text
}

// unseen reports what could not be looked at, as an Unknown, or nil when everything was seen. An absence is a fact only
// when the look was complete: an answer that never came is neither absence nor guilt.
func (j *judgement) unseen(want, path string) *result {
	u := slices.Clone(j.evidence.Unavailable)
	if len(u) == 0 {
		return nil
	}
	slices.SortFunc(u, func(a, b stemma.Unavailable) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail))
	})
	detail := fmt.Sprintf("%s: %s", u[0].Place, u[0].Detail)
	if len(u) > 1 {
		detail += "; and " + count(len(u)-1, "more place")
	}
	r := &result{outcome: stemma.Unknown, reason: u[0].Reason, want: want, detail: detail, path: path}
	r.fix = "try again when the place answers, or add --evidence FILE"
	if r.reason == stemma.ReasonTrustRoot {
		r.fix = "give the trusted root with --trusted-root, or try again when it can be fetched"
	}
	// Who adds a place that never answers must not be able to turn a refused forgery into an innocent gap.
	switch near := nearestRejection(j.evidence.Rejected); {
	case near != nil && r.reason != stemma.ReasonTrustRoot && progress(near.Reason) > 1:
		r.got = fmt.Sprintf("%s, of which the nearest: %s (%s)", count(len(j.evidence.Rejected), "rejected piece"), near.Detail, near.Reason)
	default:
		r.fix = "nothing is known to be wrong with the image; " + r.fix
	}
	return r
}

// missing is the result for evidence that is not there: what was rejected explains it best, what was never there least.
func (j *judgement) missing(absent stemma.Reason, want, path string) result {
	if u := j.unseen(want, path); u != nil {
		return *u
	}
	r := result{outcome: stemma.Fail, reason: absent, got: "nothing", want: want, path: path}
	if near := nearestRejection(j.evidence.Rejected); near != nil {
		r.reason = near.Reason
		r.got = near.Detail
		r.proof = fmt.Sprintf("%s %s (%s) was rejected", near.Format, near.Bundle.Short(), near.Place)
		if n := len(j.evidence.Rejected); n > 1 {
			r.detail = fmt.Sprintf("%d pieces of evidence were rejected; this one came closest", n)
		}
	} else if n := len(j.evidence.Unsigned); n > 0 {
		r.got = fmt.Sprintf("only %s that nobody signed", count(n, "statement"))
	} else if n := len(j.evidence.Attestations); n > 0 {
		r.got = fmt.Sprintf("%s of other types", count(n, "attestation"))
	}
	return r
}

// nearestRejection picks the one that got furthest before it failed; ties go to the smaller digest, so that neither
// order nor added junk of a lesser kind changes the explanation.
func nearestRejection(rejected []stemma.Rejection) *stemma.Rejection {
	if len(rejected) == 0 {
		return nil
	}
	best := slices.MinFunc(rejected, func(a, b stemma.Rejection) int {
		return cmp.Or(
			cmp.Compare(progress(b.Reason), progress(a.Reason)), cmp.Compare(a.Bundle, b.Bundle),
			cmp.Compare(a.Place, b.Place), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail), cmp.Compare(a.Format, b.Format),
		)
	})
	return &best
}

// progress orders rejections by how much was verified before they failed.
func progress(r stemma.Reason) int {
	switch r {
	case stemma.ReasonSubjectMismatch, stemma.ReasonSubjectConflict:
		return 6
	case stemma.ReasonSignatureInvalid, stemma.ReasonSignatureCount, stemma.ReasonPayloadType:
		return 5
	case stemma.ReasonCertificateTime, stemma.ReasonKeyTime, stemma.ReasonCertificateInvalid, stemma.ReasonSCT, stemma.ReasonAlgorithm:
		return 4
	case stemma.ReasonLogInvalid, stemma.ReasonLogMismatch, stemma.ReasonLogMissing, stemma.ReasonTimeMissing, stemma.ReasonTimestampInvalid:
		return 3
	case stemma.ReasonSignerUnknown:
		return 2
	}
	return 1
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
