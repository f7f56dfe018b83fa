package policy

import (
	"cmp"
	"slices"

	"stemma"
	"stemma/internal/expression"
)

// scope is what expressions of the policy see of the target.
func (j *judgement) scope() *expression.Scope {
	if j.seen == nil {
		j.seen = j.expressions.Scope(j.facts())
	}
	return j.seen
}

// facts gathers the evidence by identities that the policy names. Of a kind of evidence for which the policy has a block
// those count whom the block names; what others sign, a stranger above all, is not to be seen.
func (j *judgement) facts() *stemma.Facts {
	if j.told != nil {
		return j.told
	}
	f := &stemma.Facts{
		Image: imageFacts(j.evidence), Now: j.at.At, Situation: stemma.SituationFacts{Namespace: j.at.Namespace, Requester: j.at.Requester},
	}
	j.told = f
	f.Image.Repository, f.Image.Tag = j.top.Image.Repository, j.top.Image.Tag
	for _, c := range j.top.Platforms {
		if c != nil && !c.Attestation {
			f.Platforms = append(f.Platforms, imageFacts(c))
		}
	}
	if len(f.Platforms) == 0 {
		f.Platforms = []stemma.ImageFacts{f.Image}
	}
	if j.policy.onBase {
		f.Base = j.baseFacts()
	}
	for _, c := range j.candidates {
		if c.accepted() {
			level, _ := j.level(c)
			f.Provenance = append(f.Provenance, stemma.NewProvenanceFacts(c.provenance, c.attestation, []string{c.builder}, level))
		}
	}
	for i := range j.evidence.Attestations {
		a := &j.evidence.Attestations[i]
		if !j.bound(a) {
			continue
		}
		j.tell(f, a)
	}
	ordered(f)
	return f
}

// baseFacts are all steps down, and what is known where they end.
func (j *judgement) baseFacts() []stemma.BaseFacts {
	out := []stemma.BaseFacts{}
	for _, c := range j.chains() {
		platform := c.of.Platform.String()
		for _, s := range c.steps {
			out = append(out, stemma.NewBaseFacts(platform, s.depth, s.lineage))
		}
		if n := len(c.steps); (n == 0 || c.last != c.steps[n-1].lineage) && c.open.outcome != stemma.Unknown {
			out = append(out, stemma.NewBaseFacts(platform, n+1, c.last))
		}
	}
	return out
}

// ordered makes facts the same in whatever order evidence was found.
func ordered(f *stemma.Facts) {
	slices.SortFunc(f.Attestations, func(a, b stemma.AttestedFacts) int { return cmp.Compare(a.Bundle, b.Bundle) })
	slices.SortFunc(f.SBOMs, func(a, b stemma.SBOMFacts) int { return cmp.Compare(a.Bundle, b.Bundle) })
	slices.SortFunc(f.Scans, func(a, b stemma.ScanFacts) int { return cmp.Compare(a.Bundle, b.Bundle) })
	slices.SortFunc(f.Signers, func(a, b stemma.SignerFacts) int {
		return cmp.Or(cmp.Compare(a.Trust, b.Trust), cmp.Compare(a.Issuer, b.Issuer), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.KeyID, b.KeyID))
	})
}

// tell adds what an attestation is evidence of, as far as its signer is one whom the policy names for it.
func (j *judgement) tell(f *stemma.Facts, a *stemma.Attestation) {
	for _, p := range j.signatories(a) {
		// A builder that tells those it signs for apart by its provenance is not told by its identity.
		id, named := p.id, make([]string, 0, len(p.names))
		for _, n := range p.names {
			if !j.policy.builders[n].shared() {
				named = append(named, n)
			}
		}
		if len(named) == 0 {
			continue
		}
		by := func(names []string) (of []string, ok bool) {
			if names == nil {
				return named, true
			}
			for _, n := range named {
				if slices.Contains(names, n) {
					of = append(of, n)
				}
			}
			return of, len(of) > 0
		}
		if !slices.ContainsFunc(f.Signers, func(s stemma.SignerFacts) bool {
			return s.Trust == id.Trust && s.Issuer == id.Issuer && s.Subject == id.Subject && s.KeyID == id.KeyID
		}) {
			f.Signers = append(f.Signers, stemma.NewSignerFacts(id, named))
		}
		if names, ok := by(j.spec.attestedBy(a)); ok && a.Binding.Kind != stemma.BindingSource {
			f.Attestations = append(f.Attestations, attestedFacts(a, id, names))
		}
		for i := range j.evidence.SBOMs {
			if s := &j.evidence.SBOMs[i]; s.Bundle == a.Bundle && s.Bundle != "" {
				var only []string
				if j.spec.SBOM != nil {
					only = j.spec.SBOM.By.Of
				}
				if names, ok := by(only); ok {
					f.SBOMs = append(f.SBOMs, sbomFacts(s, a, id, names))
				}
			}
		}
		for i := range j.evidence.Scans {
			if s := &j.evidence.Scans[i]; s.Bundle == a.Bundle && s.Bundle != "" {
				var only []string
				if j.spec.Vulnerabilities != nil {
					only = j.spec.Vulnerabilities.By.Of
				}
				if names, ok := by(only); ok {
					f.Scans = append(f.Scans, scanFacts(s, a, id, names))
				}
			}
		}
		return // the first signer that counts
	}
}

// attestedBy lists who may make an attestation of the type, where the policy says so; nil: whoever it names.
func (s *Spec) attestedBy(a *stemma.Attestation) []string {
	if a.Signature && s.Signature != nil {
		return s.Signature.By.Of
	}
	for i := range s.Attestations {
		if e := &s.Attestations[i]; !a.Signature && e.Type == a.Statement.PredicateType {
			return e.By.Of
		}
	}
	return nil
}

func attestedFacts(a *stemma.Attestation, id stemma.Identity, by []string) stemma.AttestedFacts {
	return stemma.AttestedFacts{
		Type: a.Statement.PredicateType, Signature: a.Signature, Predicate: a.Statement.Predicate, Signer: stemma.NewSignerFacts(id, by),
		SignedAt: a.Time(), Binding: a.Binding.Kind, Bundle: a.Bundle,
	}
}

func sbomFacts(s *stemma.SBOM, a *stemma.Attestation, id stemma.Identity, by []string) stemma.SBOMFacts {
	return stemma.SBOMFacts{
		Format: s.Format, Name: s.Name, Created: s.Created, Tools: s.Tools, Authors: s.Authors, Subjects: s.Subjects, Bases: s.Bases,
		Packages: s.Packages, Signer: stemma.NewSignerFacts(id, by), SignedAt: a.Time(), Bundle: a.Bundle,
	}
}

func scanFacts(s *stemma.Scan, a *stemma.Attestation, id stemma.Identity, by []string) stemma.ScanFacts {
	return stemma.ScanFacts{
		Scanner: s.Scanner, Database: s.Database, Finished: s.Finished, Found: s.Found,
		Signer: stemma.NewSignerFacts(id, by), SignedAt: a.Time(), Bundle: a.Bundle,
	}
}

func imageFacts(e *stemma.Evidence) stemma.ImageFacts {
	return stemma.ImageFacts{
		Repository: e.Image.Repository, Digest: e.Image.Digest, Tag: e.Image.Tag, MediaType: e.MediaType,
		OS: e.Platform.OS, Architecture: e.Platform.Architecture, Variant: e.Platform.Variant,
	}
}

// FactsOf is all that is authentic of an image, for policy engines of one's own: unlike what expressions see, signed by
// anybody. Who signed is for the reader to judge; By has the names that the set gives them, in policies that are about the
// image. A nil Set gives none.
func (s *Set) FactsOf(e *stemma.Evidence, at stemma.Situation) *stemma.Facts {
	f := &stemma.Facts{
		Image: imageFacts(e), Now: at.At, Situation: stemma.SituationFacts{Namespace: at.Namespace, Requester: at.Requester},
		Platforms: []stemma.ImageFacts{}, Attestations: []stemma.AttestedFacts{}, Provenance: []stemma.ProvenanceFacts{},
		SBOMs: []stemma.SBOMFacts{}, Scans: []stemma.ScanFacts{}, Signers: []stemma.SignerFacts{},
	}
	for _, c := range e.Platforms {
		if c != nil && !c.Attestation {
			f.Platforms = append(f.Platforms, imageFacts(c))
		}
	}
	if len(f.Platforms) == 0 {
		f.Platforms = append(f.Platforms, f.Image)
	}
	f.Base = (&judgement{set: &SetSpec{}, spec: &Spec{}, top: e, target: target{evidence: e}, evidence: e, at: at}).baseFacts()
	for i := range e.Attestations {
		a := &e.Attestations[i]
		by := s.names(a, e, at)
		f.Attestations = append(f.Attestations, attestedFacts(a, a.Signer, by))
		if signer := stemma.NewSignerFacts(a.Signer, by); !slices.ContainsFunc(f.Signers, func(o stemma.SignerFacts) bool {
			return o.Trust == signer.Trust && o.Issuer == signer.Issuer && o.Subject == signer.Subject && o.KeyID == signer.KeyID
		}) {
			f.Signers = append(f.Signers, signer)
		}
		for j := range e.Provenance {
			if p := &e.Provenance[j]; p.Bundle == a.Bundle {
				f.Provenance = append(f.Provenance, stemma.NewProvenanceFacts(p, a, by, Assess(a, p).Level))
			}
		}
		for j := range e.SBOMs {
			if b := &e.SBOMs[j]; b.Bundle == a.Bundle {
				f.SBOMs = append(f.SBOMs, sbomFacts(b, a, a.Signer, by))
			}
		}
		for j := range e.Scans {
			if b := &e.Scans[j]; b.Bundle == a.Bundle {
				f.Scans = append(f.Scans, scanFacts(b, a, a.Signer, by))
			}
		}
	}
	slices.SortFunc(f.Provenance, func(a, b stemma.ProvenanceFacts) int { return cmp.Compare(a.Bundle, b.Bundle) })
	ordered(f)
	return f
}

// Trusts says of which attestations about an image the policies that are about it take the word. Of provenance, where they
// ask for it, it is that of the builders that they name for it; of all else, that of whom they name.
func (s *Set) Trusts(e *stemma.Evidence, at stemma.Situation) func(*stemma.Attestation) bool {
	asked, accepted := false, map[stemma.Digest]bool{}
	for _, p := range s.policies {
		_, vars, ok := p.matches(e.Image.Repository, at)
		if !ok {
			continue
		}
		for _, q := range append([]*loaded{p}, p.alternatives...) {
			if q.spec.Provenance == nil {
				continue
			}
			asked = true
			j := judgement{of: s, set: &s.spec, policy: q, spec: &q.spec, top: e, target: target{evidence: e}, evidence: e, at: at, vars: vars}
			j.collect(nil)
			for _, c := range j.candidates {
				if c.accepted() {
					accepted[c.attestation.Bundle] = true
				}
			}
		}
	}
	return func(a *stemma.Attestation) bool {
		if asked && slices.ContainsFunc(e.Provenance, func(p stemma.Provenance) bool { return p.Bundle == a.Bundle }) && !a.Signature {
			return accepted[a.Bundle]
		}
		return len(s.names(a, e, at)) > 0
	}
}

// names lists what the policies about an image call the first signer of an attestation.
func (s *Set) names(a *stemma.Attestation, e *stemma.Evidence, at stemma.Situation) []string {
	out := []string{}
	if s == nil {
		return out
	}
	for _, p := range s.policies {
		if _, vars, ok := p.matches(e.Image.Repository, at); ok {
			j := judgement{policy: p, spec: &p.spec, vars: vars, evidence: e}
			out = append(out, j.signatories(a)[0].names...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
