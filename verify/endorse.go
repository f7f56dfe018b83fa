package verify

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"

	"stemma"
	"stemma/internal/oci"
	"stemma/internal/sigstore"
	"stemma/policy"
)

// endorsements verifies signatures over documents of policies, each a Sigstore bundle of a signature over a file. What
// signs none of them comes back as a rejection. Statements do not count: a signed bill of materials of a document is no
// consent to it.
func (v *Verifier) endorsements(signables []policy.Signable, files []policy.File) (signed []stemma.Endorsement, refused []stemma.Rejection) {
	about := map[string]policy.Signable{}
	for _, s := range signables {
		for algorithm, digest := range sums(s.Content) {
			about[algorithm+":"+digest] = s
		}
	}
	for _, f := range files {
		raws, unread := oci.ReadEvidenceFile(f.Name, f.Data)
		refused = append(refused, unread...)
		for _, raw := range raws {
			reject := func(reason stemma.Reason, detail string) {
				refused = append(refused, stemma.Rejection{Bundle: raw.ID(), Place: raw.Place, Reason: reason, Detail: detail})
			}
			algorithm, digest, _, err := sigstore.Message(raw.Data)
			of, ok := about[algorithm+":"+digest]
			switch {
			case err != nil:
				reject(stemma.ReasonFormat, err.Error())
				continue
			case !ok:
				reject(stemma.ReasonSubjectMismatch, fmt.Sprintf("it signs %s:%.12s…, which none of the files has; what is signed is every byte of a file", algorithm, digest))
				continue
			case v.auth == nil:
				reject(stemma.ReasonTrustRoot, "no trust domain could be loaded")
				continue
			}
			a, rejection := v.auth.Authenticate(raw, sigstore.Artifact{Digest: of.Digest, Content: of.Content, Now: v.now()})
			if rejection != nil {
				refused = append(refused, *rejection)
				continue
			}
			for _, id := range append([]stemma.Identity{a.Signer}, a.Cosigners...) {
				signed = append(signed, stemma.Endorsement{Of: of.Digest, Bundle: a.Bundle, Signer: id, SignedAt: a.SignedAt})
			}
		}
	}
	return signed, refused
}

// sums are the digests of content by which message signatures know it.
func sums(content []byte) map[string]string {
	a, b, c := sha256.Sum256(content), sha512.Sum384(content), sha512.Sum512(content)
	return map[string]string{"sha256": hex.EncodeToString(a[:]), "sha384": hex.EncodeToString(b[:]), "sha512": hex.EncodeToString(c[:])}
}

// endorse verifies the signatures that lie beside the policies. A set that says by whom it is signed must be: whoever can
// write its files, and sign none, would else replace it by what they like.
func (v *Verifier) endorse() error {
	set := v.config.Policies
	if set == nil {
		return nil
	}
	v.endorsed, v.unendorsed = v.endorsements(set.Signables(), v.config.Signatures)
	by := set.Unsigned(v.endorsed)
	if by == "" {
		return nil
	}
	e := &Error{Kind: Invalid, Err: fmt.Errorf("policy set %s says signedBy: %s, and no signature beside its file is by them", set.Name, by), Hint: "take the set as it was released, with the .sigstore.json files beside its own; whoever may sign it does so with stemma policy sign, or cosign sign-blob --bundle FILE.sigstore.json FILE"}
	for _, m := range v.missing {
		if set.SignedUnder(strings.TrimPrefix(m.Place, "trust domain ")) {
			e.Kind, e.Hint = Unreachable, m.Place+" could not be loaded: "+m.Detail
		}
	}
	return e
}

// Unendorsed lists the signatures of Config.Signatures that are no valid signature over a file of the policies, and why.
func (v *Verifier) Unendorsed() []stemma.Rejection { return v.unendorsed }
