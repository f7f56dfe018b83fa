package policy

import (
	"bytes"
	"cmp"

	"stemma"
)

func imageAuthentic() Rule {
	return Rule{
		ID:      "image.authentic",
		Title:   "nothing authentic is about this image",
		Why:     "Without a signature or a provenance whose subject is this very digest, the image could come from anywhere; evidence about another artifact of the same repository or build says nothing about it.",
		Fix:     "deploy the image that the release job built and attested, by digest; if it should be attested, check that the job ran its attestation step",
		Since:   "0.1",
		inForce: func(*loaded) bool { return true },
		image: func(j *judgement) result {
			var signature *stemma.Attestation
			for i := range j.evidence.Attestations {
				a := &j.evidence.Attestations[i]
				if a.Signature && j.bound(a) && (signature == nil || compareAttestations(a, signature) < 0) {
					signature = a
				}
			}
			if signature != nil {
				r := pass("a signature by "+describe(signature.Signer), signature.Bundle)
				r.proof = proof(signature)
				return r
			}
			for _, c := range j.candidates {
				r := pass("a provenance whose subject is this digest, signed by "+describe(c.attestation.Signer), c.attestation.Bundle)
				r.proof = proof(c.attestation)
				return r
			}
			return j.missing(stemma.ReasonNoEvidence, "a signature or a provenance about "+j.evidence.Image.Digest.Short(), "match")
		},
	}
}

// compareAttestations orders by content, so that the order in which evidence was found never matters.
func compareAttestations(a, b *stemma.Attestation) int {
	return cmp.Or(cmp.Compare(a.Bundle, b.Bundle), cmp.Compare(a.Signer.Trust, b.Signer.Trust), bytes.Compare(encode(a), encode(b)))
}
