package policy

import (
	"cmp"
	"slices"
	"strings"

	"stemma"
)

// Signable is what a signature may be over: a file of documents, or the canonical form of one document.
type Signable struct {
	Name    string // of the file; "" of a canonical form
	Digest  stemma.Digest
	Content []byte
}

// Signables are the files of the set, and the canonical form of each Waiver, whose digest is its id. Of these, a PolicySet
// with signedBy and every Waiver count only when they are signed.
func (s *Set) Signables() []Signable {
	out := slices.Clone(s.files)
	for _, w := range s.waivers {
		out = append(out, Signable{"", w.id, w.canonical})
	}
	slices.SortFunc(out, func(a, b Signable) int { return cmp.Compare(a.Digest, b.Digest) })
	return slices.CompactFunc(out, func(a, b Signable) bool { return a.Digest == b.Digest })
}

// Version is the version of the PolicySet, which only goes up; 0 when it says none.
func (s *Set) Version() int { return s.spec.Version }

// SignedBy lists who may sign the set and its successors, as people know them: "policy-release (key release-2026 under
// acme-keys)". Empty: it asks for nobody's signature.
func (s *Set) SignedBy() []string {
	var out []string
	for _, name := range s.spec.SignedBy {
		out = append(out, s.called(name))
	}
	return out
}

// SignedUnder reports whether one of those who may sign the set signs under a trust domain.
func (s *Set) SignedUnder(trust string) bool {
	return slices.ContainsFunc(s.spec.SignedBy, func(name string) bool { return cmp.Or(s.spec.Signers[name].Trust, PublicGood) == trust })
}

// Approvers lists the names of those who may approve waivers.
func (s *Set) Approvers() []string {
	if s.spec.Waivers == nil {
		return nil
	}
	return slices.Clone(s.spec.Waivers.ApprovedBy)
}

// Approver is SignedBy for one of Approvers. keyless says that what it signs is certified, and that no key of its own
// signs.
func (s *Set) Approver(name string) (called string, keyless bool) {
	return s.called(name), len(s.spec.Signers[name].Keys) == 0
}

func (s *Set) called(name string) string {
	signer := s.spec.Signers[name]
	return name + " (" + signer.describe() + " under " + cmp.Or(signer.Trust, PublicGood) + ")"
}

// MaySign reports whether an identity is one of those who may sign the set and its successors.
func (s *Set) MaySign(id stemma.Identity) bool {
	return slices.ContainsFunc(s.spec.SignedBy, func(name string) bool { return s.spec.Signers[name].speaks(id) })
}

// SignersOf lists the names that the set has for an identity.
func (s *Set) SignersOf(id stemma.Identity) []string {
	var out []string
	for name, signer := range s.spec.Signers {
		if signer.speaks(id) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Unsigned says whose signature over the file of the PolicySet is missing, or "".
func (s *Set) Unsigned(signed []stemma.Endorsement) string {
	if len(s.spec.SignedBy) == 0 || slices.ContainsFunc(signed, func(e stemma.Endorsement) bool { return e.Of == s.file && s.MaySign(e.Signer) }) {
		return ""
	}
	return strings.Join(s.SignedBy(), " or ")
}

// endorsers names those whose signatures over documents of the set count.
func (s *Set) endorsers() []string {
	names := slices.Clone(s.spec.SignedBy)
	for _, w := range s.waivers {
		names = append(names, w.spec.ApprovedBy)
	}
	return names
}

// oneFile refuses a signed set whose policies stand in several files. A signature is over one file and ties no two
// together: whoever can write files, and sign none, could else put a policy of an earlier version beside a newer set, or
// take one out (the partial rollback that TUF calls mix-and-match).
func (c *checker) oneFile(s *Set) {
	if len(s.spec.SignedBy) == 0 {
		return
	}
	for _, p := range s.policies {
		inForce := len(s.spec.Policies) == 0 || slices.Contains(s.spec.Policies, p.name)
		if p.namespace == "" && inForce && p.of != s.file {
			c.fail("spec.signedBy", "put it below --- into the file of the PolicySet: what is signed is a file, and two that are signed each by itself can be of different versions", "policy %q of a signed set stands in another file, %s", p.name, p.file)
		}
	}
}
