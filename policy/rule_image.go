package policy

import "stemma"

func imageAuthentic() Rule {
	return Rule{
		ID:      "image.authentic",
		Title:   "nothing authentic is about this image",
		Why:     "Without a signature or a provenance whose subject is this very digest, the image could come from anywhere; evidence about another artifact of the same repository or build says nothing about it.",
		Fix:     "deploy the image that the release job built and attested, by digest; if it should be attested, check that the job ran its attestation step",
		Since:   "0.1",
		inForce: func(*loaded) bool { return true },
		image: func(j *judgement) result {
			for i := range j.evidence.Attestations {
				a := &j.evidence.Attestations[i]
				if a.Binding.Kind != stemma.BindingExact {
					continue
				}
				if a.Signature {
					r := pass("a signature by "+describe(a.Signer), a.Bundle)
					r.proof = proof(a)
					return r
				}
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
