package policy

import (
	"fmt"
	"slices"
	"strings"

	"stemma"
)

// learnedSigner is an identity that signs something else than provenance.
type learnedSigner struct {
	name string
	key  string
	said []exhibit // that a block of the policy asks for
}

// documents learns what else is signed of every image: signatures, bills of materials, scans and attestations of any type,
// where an identity can be named for each.
func (g *group) documents() {
	kinds := []string{"signature", "sbom", "vulnerabilities"}
	found := map[string]map[*studied][]exhibit{}
	for _, i := range g.images {
		for _, s := range i.all() {
			kind := s.kind()
			if kind == "" {
				continue
			}
			if !slices.Contains(kinds, kind) {
				kinds = append(kinds, kind)
			}
			if found[kind] == nil {
				found[kind] = map[*studied][]exhibit{}
			}
			found[kind][i] = append(found[kind][i], s)
		}
	}
	slices.Sort(kinds[3:])
	for _, kind := range kinds {
		if n := len(found[kind]); n < len(g.images) {
			if n > 0 {
				g.leave("%s: only %d of %s have it", kind, n, count(len(g.images), "image"))
			}
			continue
		}
		by, all := g.by(found[kind])
		switch kind {
		case "signature":
			g.spec.Signature = &Signature{By: by}
			g.signedBy("signature.by", by)
		case "sbom":
			g.bom(by, all)
		case "vulnerabilities":
			g.scanned(by, all)
		default:
			g.attested(kind, by, all)
		}
	}
	for _, s := range g.signers {
		if len(s.said) == 0 {
			continue // whoever signs nothing that is asked for
		}
		if g.spec.Signers == nil {
			g.spec.Signers = map[string]Signer{}
		}
		g.spec.Signers[s.name] = g.signer("signers."+s.name, s.said, unchanged)
	}
}

// kind is the block that asks for such evidence, or the predicate type; "" of provenance and of what nothing asks for.
func (s exhibit) kind() string {
	e := s.image.evidence
	predicate := s.attestation.Statement.Predicate
	switch t := s.attestation.Statement.PredicateType; {
	case s.provenance != nil, len(predicate) > 0 && stemma.CheckJSON(predicate) != nil:
		return ""
	case s.attestation.Signature:
		return "signature"
	case len(sbomsOf(e, s.attestation)) > 0:
		return "sbom"
	case len(scansOf(e, s.attestation)) > 0:
		return "vulnerabilities"
	case t == stemma.PredicateCosignSign:
		return ""
	default:
		return t
	}
}

func (g *group) signedBy(path string, by By) {
	g.because(path, "%s", g.of("signer", len(g.images)))
}

// by names who signs one kind of evidence: those who do of every image, or else all who do of some.
func (g *group) by(found map[*studied][]exhibit) (By, []exhibit) {
	all, seen := map[string][]exhibit{}, tally{}
	for _, i := range g.images {
		for _, s := range found[i] {
			name := g.signatory(s)
			all[name] = append(all[name], s)
			seen.add(name, i)
		}
	}
	names := seen.values()
	always := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return len(seen[n]) < len(g.images) })
	out := By{AtLeast: 1, Of: always}
	if len(always) == 0 {
		out.Of = names
	} else if len(always) > 1 {
		out.AtLeast = len(always)
		for _, i := range g.images {
			ids := map[string][]string{}
			for _, name := range always {
				for _, s := range all[name] {
					if s.image == i {
						id := distinctID(s.attestation.Signer)
						ids[id] = append(ids[id], name)
					}
				}
			}
			if distinct(ids) < len(always) {
				out.AtLeast = 1
			}
		}
	}
	var counted []exhibit
	for _, name := range out.Of {
		counted = append(counted, all[name]...)
	}
	for _, name := range out.Of {
		if k := slices.IndexFunc(g.signers, func(s *learnedSigner) bool { return s.name == name }); k >= 0 {
			for _, s := range all[name] {
				if !slices.Contains(g.signers[k].said, s) {
					g.signers[k].said = append(g.signers[k].said, s)
				}
			}
		}
	}
	return out, counted
}

// signatory is the name of a builder that has the identity, or of a signer. A builder that tells its tenants apart by its
// provenance cannot sign anything else for them.
func (g *group) signatory(s exhibit) string {
	for _, b := range g.builders {
		if !b.shared() && b.accepts(s.attestation.Signer) {
			return b.name
		}
	}
	form, key := formOf(s.attestation.Signer, unchanged)
	for _, have := range g.signers {
		if have.key == key {
			return have.name
		}
	}
	name := form + "-signer"
	for n := 2; slices.ContainsFunc(g.signers, func(s *learnedSigner) bool { return s.name == name }); n++ {
		name = fmt.Sprintf("%s-signer-%d", form, n)
	}
	g.signers = append(g.signers, &learnedSigner{name: name, key: key})
	return name
}

func (g *group) bom(by By, all []exhibit) {
	g.signedBy("sbom.by", by)
	formats := tally{}
	for _, s := range all {
		for _, b := range sbomsOf(s.image.evidence, s.attestation) {
			family, _, _ := strings.Cut(b.Format, " ")
			formats.add(strings.ToLower(family), s.image)
		}
	}
	out := &BOM{By: by, Formats: formats.values(), ConsistentWith: []string{consistentImage}, Elements: elementsNTIA}
	if len(g.builders) > 0 {
		out.ConsistentWith = append(out.ConsistentWith, consistentProvenance, consistentBase)
	}
	if slices.ContainsFunc(out.Formats, func(f string) bool { return f != "spdx" && f != "cyclonedx" }) {
		out.Formats = nil
	}
	g.all("sbom.formats", "predicate type", formats, out.Formats)
	g.because("sbom.consistentWith", "%s", g.of("compared, and alike,", len(g.images)))
	g.because("sbom.elements", "%s", g.of("minimum elements, all there,", len(g.images)))
	g.spec.SBOM = out
}

// scanned asks for what no scan found. Severities that one found cannot be refused without refusing the image.
func (g *group) scanned(by By, all []exhibit) {
	found := map[string]bool{}
	for _, s := range all {
		for _, scan := range scansOf(s.image.evidence, s.attestation) {
			if notUnderstood(scan) != "" {
				g.leave("vulnerabilities: a result that cannot be read")
				return
			}
			for _, v := range scan.Found {
				severity := strings.ToLower(v.Severity)
				if !slices.Contains(severities(), severity) {
					severity = "unknown"
				}
				found[severity] = true
			}
		}
	}
	clean := slices.DeleteFunc(severities(), func(s string) bool { return found[s] })
	if len(clean) == 0 {
		g.leave("vulnerabilities: the scans found some of every severity")
		return
	}
	g.spec.Vulnerabilities = &Vulnerabilities{By: by, None: clean}
	g.signedBy("vulnerabilities.by", by)
	g.because("vulnerabilities.none", "%s", g.of("severities that no scan found", len(g.images)))
}

// attested asks for an attestation of a type, and for what it says of its result, where all say that.
func (g *group) attested(kind string, by By, all []exhibit) {
	path := fmt.Sprintf("attestations[%d]", len(g.spec.Attestations))
	out := Attested{Type: kind, By: by}
	g.because(path+".type", "%s", g.of("predicate type", len(g.images)))
	g.signedBy(path+".by", by)
	for _, pointer := range []string{"/result", "/verificationResult", "/verifier/id"} {
		values := tally{}
		for _, s := range all {
			root, err := stemma.ParseJSON(s.attestation.Statement.Predicate)
			got := ""
			if err == nil {
				got, _ = scalarAt(root, pointer)
			}
			values.add(got, s.image)
		}
		if list := values.values(); len(list) > 0 && len(list) <= maxListed {
			if out.Values == nil {
				out.Values = Pointers{}
			}
			out.Values[pointer] = list
			g.all(join(path+".values", pointer), "predicate", values, list)
		}
	}
	g.spec.Attestations = append(g.spec.Attestations, out)
}
