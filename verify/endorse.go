package verify

import (
	"stemma"
	"stemma/internal/oci"
	"stemma/internal/sigstore"
	"stemma/policy"
)

// endorse verifies signatures over documents of the set, each a Sigstore bundle of a signature over the file. What signs
// none of them comes back as a rejection. Statements do not count: a signed bill of materials of a document is no consent
// to it.
func (v *Verifier) endorse(files []policy.File) {
	if v.config.Policies == nil {
		return
	}
	signable := v.config.Policies.Signables()
	for _, f := range files {
		raws, refused := oci.ReadEvidenceFile(f.Name, f.Data)
		v.unendorsed = append(v.unendorsed, refused...)
		for _, raw := range raws {
			if v.auth == nil {
				v.unendorsed = append(v.unendorsed, stemma.Rejection{Bundle: raw.ID(), Place: raw.Place, Reason: stemma.ReasonTrustRoot, Detail: "no trust domain could be loaded"})
				continue
			}
			var nearest *stemma.Rejection
			found := false
			for _, d := range signable {
				a, rejection := v.auth.Authenticate(raw, sigstore.Artifact{Digest: d.Digest, Content: d.Content, Now: v.now()})
				switch {
				case rejection != nil && (nearest == nil || nearest.Reason == stemma.ReasonSubjectMismatch):
					nearest = rejection
				case a != nil && !a.Signature:
					nearest = &stemma.Rejection{Bundle: raw.ID(), Place: raw.Place, Reason: stemma.ReasonFormat, Detail: "a statement about the file, which is no signature of it"}
				case a != nil:
					found = true
					for _, id := range append([]stemma.Identity{a.Signer}, a.Cosigners...) {
						v.endorsed = append(v.endorsed, stemma.Endorsement{Of: d.Digest, Bundle: a.Bundle, Signer: id, SignedAt: a.SignedAt})
					}
				}
			}
			if !found && nearest != nil {
				v.unendorsed = append(v.unendorsed, *nearest)
			}
		}
	}
}

// Unendorsed lists the signatures of Config.Signatures that are no valid signature over a document of the set, and why.
func (v *Verifier) Unendorsed() []stemma.Rejection { return v.unendorsed }
