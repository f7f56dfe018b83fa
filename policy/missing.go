package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stemma"
)

// unseen reports what could not be looked at, as an Unknown, or nil when everything was seen. An absence is a fact only
// when the look was complete: an answer that never came is neither absence nor guilt.
func (j *judgement) unseen(absent stemma.Reason, want, path string) *result {
	return j.blind(kindOf(absent), want, path)
}

// blind is unseen for any kind of evidence.
func (j *judgement) blind(k kind, want, path string) *result {
	if len(j.unavailable) == 0 {
		return nil
	}
	u := slices.SortedFunc(slices.Values(j.unavailable), compareUnavailable)
	detail := fmt.Sprintf("%s: %s", u[0].Place, u[0].Detail)
	if len(u) > 1 {
		detail += "; and " + count(len(u)-1, "more place")
	}
	r := &result{outcome: stemma.Unknown, reason: u[0].Reason, want: want, detail: detail, path: path}
	r.fix = remedy(r.reason)
	if r.reason != stemma.ReasonTrustRoot {
		r.fix += ", or add --evidence FILE"
	}
	// Who adds a place that never answers must not be able to turn a refused forgery into an innocent gap.
	switch near, rejected := j.nearMiss(k), nearestRejection(j.evidence.Rejected); {
	case near != nil && r.reason != stemma.ReasonTrustRoot:
		r.got = near.got
	case rejected != nil && r.reason != stemma.ReasonTrustRoot && progress(rejected.Reason) > 1:
		r.got = fmt.Sprintf("%s, of which the nearest: %s (%s)", count(len(j.evidence.Rejected), "rejected piece"), rejected.Detail, rejected.Reason)
	default:
		r.fix = "nothing is known to be wrong with the image; " + r.fix
	}
	return r
}

// remedy says what to do about a place that could not be looked at: to try again helps only where it did not answer.
func remedy(reason stemma.Reason) string {
	switch reason {
	case stemma.ReasonTrustRoot:
		return "give the trusted root with --trusted-root, or try again when it can be fetched"
	case stemma.ReasonUnauthorized:
		return "log in as somebody who may read there (stemma credentials IMAGE shows as whom it is asked)"
	case stemma.ReasonRateLimited:
		return "wait and try again, or log in for a higher limit"
	case stemma.ReasonForbidden:
		return "allow the place if it is meant to be there (--allow-private or --plain-http HOST, or the registries file)"
	case stemma.ReasonTruncated:
		return "remove what the place is flooded with"
	case stemma.ReasonBadAnswer:
		return "have the place mended, whose answer is not what it was asked for"
	case stemma.ReasonTimeout:
		return "try again, or allow more time with --timeout"
	}
	return "try again when the place answers"
}

// missing is the result for evidence that is not there, of the kind whose absence has the reason absent: what is
// authentic and does not count explains it best, then what was rejected, what was never there least.
func (j *judgement) missing(absent stemma.Reason, want, path string) result {
	return j.absent(kindOf(absent), want, path)
}

// absent is missing for any kind of evidence.
func (j *judgement) absent(k kind, want, path string) result {
	if u := j.blind(k, want, path); u != nil {
		return *u
	}
	r := result{outcome: stemma.Fail, reason: k.absent, got: "nothing", want: want, path: path}
	unsigned := ""
	if k.unsigned != nil {
		unsigned = k.unsigned(j.evidence)
	}
	if near := j.nearMiss(k); near != nil {
		r.reason, r.got, r.want, r.fix, r.proof = near.reason, near.got, near.want, near.fix, near.proof
		return r
	}
	if near := nearestRejection(j.evidence.Rejected); near != nil {
		r.reason = near.Reason
		r.got = near.Detail
		r.proof = fmt.Sprintf("%s %s (%s) was rejected", near.Format, near.Bundle.Short(), near.Place)
		if n := len(j.evidence.Rejected); n > 1 {
			r.detail = fmt.Sprintf("%d pieces of evidence were rejected; this one came closest", n)
		}
		if unsigned != "" {
			r.detail = strings.TrimPrefix(r.detail+"; there is also "+unsigned, "; ")
		}
		return r
	}
	if unsigned != "" {
		r.got = unsigned
	} else if n := len(j.evidence.Unsigned); n > 0 {
		r.got = fmt.Sprintf("only %s that nobody signed", count(n, "statement"))
	} else if n := len(j.evidence.Attestations); n > 0 {
		r.got = fmt.Sprintf("%s of other types", count(n, "attestation"))
	}
	if j.top.From != "" && !slices.ContainsFunc(j.evidence.Attestations, func(a stemma.Attestation) bool { return j.bound(&a) }) {
		// A copy without its evidence is the work of whoever mirrors, and no sign of an attack.
		r.reason = stemma.ReasonNotMirrored
		r.detail = "read from " + j.top.From + ", a mirror of " + j.top.Image.Repository
		r.fix = fmt.Sprintf("copy the evidence with stemma mirror %s %s, or list the origin under evidence in the PolicySet", j.top.Image, j.top.From)
	}
	return r
}

// bound reports whether an attestation is about what is judged, in a way that the set accepts. That its authenticator
// says how it is tied to it is not enough: the member of the family that it matched must be the one that is judged, its
// config, or an index whose bytes were seen to list it; never a child, a sibling, or an index that says so of itself.
func (j *judgement) bound(a *stemma.Attestation) bool {
	b, e := a.Binding, j.evidence
	if b.Member == "" || j.misnamed(a) != "" {
		return false
	}
	switch b.Kind {
	case stemma.BindingExact:
		return b.Member == e.Image.Digest
	case stemma.BindingViaManifest:
		// Who signs an attestation manifest signs the statements in it, and not the image.
		return b.Member == e.Image.Digest && b.Via != "" && b.Via != b.Member && !a.Signature
	case stemma.BindingViaIndex:
		return len(j.set.Platforms) == 0 && j.listedBy(b.Member)
	case stemma.BindingViaConfig:
		return j.set.ConfigSubjects == ConfigsAccepted && b.Member == e.Config
	}
	return false
}

// listedBy reports whether the bytes of an index were seen to list the manifest that is judged (B13).
func (j *judgement) listedBy(index stemma.Digest) bool {
	return !isIndex(j.evidence) && slices.Contains(j.evidence.Indexes, index)
}

// misnamed returns the repository that a cosign payload names when it is another one than the image's, or "". Who signed
// an image under one name did not release it under every name that its bytes are copied to.
func (j *judgement) misnamed(a *stemma.Attestation) string {
	name := a.Binding.Subject.Name
	if !a.Signature || name == "" || !strings.Contains(a.Format, "simple") {
		return ""
	}
	name = repositoryOf(name)
	if name == j.top.Image.Repository || name == j.top.From {
		return ""
	}
	return name
}

// kind is a kind of evidence that can be absent.
type kind struct {
	absent   stemma.Reason
	what     func(e *stemma.Evidence, a *stemma.Attestation) string // what an attestation among e is called if it is of the kind, or ""
	unsigned func(e *stemma.Evidence) string                        // names what is of the kind and signed by nobody, or ""
}

// kindOf is signatures, provenance or either, by the reason for their absence.
func kindOf(absent stemma.Reason) kind {
	return kind{absent: absent, what: func(e *stemma.Evidence, a *stemma.Attestation) string {
		switch {
		case a.Signature && absent != stemma.ReasonNoProvenance:
			return "a signature"
		case !a.Signature && absent != stemma.ReasonNoSignature && slices.ContainsFunc(e.Provenance, func(p stemma.Provenance) bool { return p.Bundle == a.Bundle }):
			return "a provenance"
		}
		return ""
	}}
}

// near is authentic evidence that does not count.
type near struct {
	reason                stemma.Reason
	got, want, fix, proof string
}

// nearMiss finds authentic evidence of a kind that is about another member of the image's family than the set accepts, or
// about the same bytes under another name. The choice does not depend on order.
func (j *judgement) nearMiss(k kind) *near {
	var all []near
	look := func(e *stemma.Evidence, why func(a *stemma.Attestation, what string) *near) {
		for i := range e.Attestations {
			a := &e.Attestations[i]
			what := k.what(e, a)
			if what == "" {
				continue
			}
			if n := why(a, what); n != nil {
				n.proof = proof(a)
				all = append(all, *n)
			}
		}
	}
	look(j.evidence, j.unaccepted)
	for _, index := range j.target.above {
		look(index, func(a *stemma.Attestation, what string) *near {
			if a.Binding.Kind != stemma.BindingExact || a.Binding.Member != index.Image.Digest || a.Binding.Member == "" {
				return nil
			}
			return ofIndex(a, what)
		})
	}
	if len(all) == 0 {
		return nil
	}
	best := slices.MinFunc(all, func(a, b near) int {
		// By reason: what a key of the set would accept before what is about something else.
		return cmp.Or(cmp.Compare(a.reason, b.reason), cmp.Compare(a.got, b.got), cmp.Compare(a.want, b.want), cmp.Compare(a.proof, b.proof))
	})
	return &best
}

func ofIndex(a *stemma.Attestation, what string) *near {
	return &near{
		reason: stemma.ReasonBinding, got: what + " of the index " + a.Binding.Member.Short() + " that lists it", want: "platforms: index",
		fix: "attest each platform; or, if evidence about an index is enough for what it lists, set platforms: index in the PolicySet",
	}
}

// unaccepted says why an attestation that is filed under what is judged does not count.
func (j *judgement) unaccepted(a *stemma.Attestation, what string) *near {
	b := a.Binding
	if name := j.misnamed(a); name != "" {
		return &near{
			reason: stemma.ReasonSubjectMismatch, got: what + " of " + name, want: what + " of " + j.top.Image.Repository,
			fix: "sign the image under this name; if it is a copy, say so in mirrors of the PolicySet",
		}
	}
	switch {
	case b.Kind == stemma.BindingViaIndex && j.listedBy(b.Member) && len(j.set.Platforms) > 0:
		return ofIndex(a, what)
	case b.Kind == stemma.BindingViaIndex && !j.listedBy(b.Member):
		return &near{
			reason: stemma.ReasonSubjectMismatch, got: what + " of " + b.Member.Short() + ", which was not seen to list it", want: what + " of " + j.evidence.Image.Digest.Short(),
		}
	case b.Kind == stemma.BindingViaConfig && b.Member != "" && b.Member == j.evidence.Config && j.set.ConfigSubjects != ConfigsAccepted:
		return &near{
			reason: stemma.ReasonBinding, got: what + " of the config " + b.Member.Short(), want: "configSubjects: accept",
			fix: "attest the digest of the manifest; or, if no node pulls layers lazily, set configSubjects: accept in the PolicySet",
		}
	}
	return nil
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
