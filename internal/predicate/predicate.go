// Package predicate reads what a statement says: provenance of every builder that is known into [stemma.Provenance],
// bills of materials, scans, VEX documents and verification summaries into theirs. It verifies nothing and decides nothing.
//
// Of every claim it records by whom it is said. A certificate says what the identity provider knew of the run; a
// predicate says what its author wrote, and who that is follows from the signer, never from the text: see grade.
//
// The world is open. A build type that is not known is read by the fields that SLSA gives to all of them; a predicate
// type that is not known is nobody's, and no error.
package predicate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"stemma"
)

// Document is what a predicate says. At most one of its fields is set, but for a CycloneDX document in which somebody
// analysed vulnerabilities: it is an SBOM and a VEX document.
type Document struct {
	Provenance *stemma.Provenance
	SBOM       *stemma.SBOM
	Scan       *stemma.Scan
	VEX        *stemma.VEX
	VSA        *stemma.VSA
	// Other is what there is to say of a signed statement of a type that is none of these: by whom its words are said, and
	// what the certificate says.
	Other *stemma.Provenance
}

// Read reads the predicate of a verified attestation. The Document is empty when the predicate type is none that is read
// here, or the attestation signs an image and states nothing about it. An error says that the predicate is not what the
// specification of its own type prescribes, or is over the limits of the strict reader (a [stemma.JSONError] with Limit).
func Read(a stemma.Attestation) (Document, error) {
	if a.Signature {
		return Document{}, nil
	}
	if err := isProduct(a.Statement, a.Binding); err != nil {
		return Document{}, err
	}
	return read(a.Bundle, a.Statement, &a.Signer)
}

// ReadUnsigned is Read for a statement that nobody signed: every claim is graded [stemma.SaidByNobody]. The id is that
// of the piece of evidence.
func ReadUnsigned(id stemma.Digest, s stemma.Statement) (Document, error) {
	return read(id, s, nil)
}

func read(id stemma.Digest, s stemma.Statement, signer *stemma.Identity) (d Document, err error) {
	switch s.PredicateType {
	case stemma.PredicateSLSAv1, stemma.PredicateSLSAv02:
		d.Provenance, err = provenance(id, s, signer)
		return d, err
	case stemma.PredicateSLSAv01:
		d.Provenance, err = provenanceV01(id, s, signer)
		return d, err
	}
	if otherProvenance(s.PredicateType) != nil {
		d.Provenance, err = provenance(id, s, signer)
		return d, err
	}
	if family, version, ok := sbomType(s.PredicateType); ok {
		return sbom(id, family, version, bytes.NewReader(s.Predicate))
	}
	version, isVEX := openVEXType(s.PredicateType)
	switch {
	case isVEX:
		d.VEX, err = openVEX(id, version, s.Subject, bytes.NewReader(s.Predicate))
	case isScan(s.PredicateType):
		d.Scan, err = scan(id, s.Predicate)
	case s.PredicateType == stemma.PredicateVSAv1, s.PredicateType == predicateVSAv02:
		d.VSA, err = vsa(id, s)
	case signer != nil:
		r := newReader(id, signer)
		r.finish()
		d.Other = r.out
	}
	return d, err
}

func provenance(id stemma.Digest, s stemma.Statement, signer *stemma.Identity) (*stemma.Provenance, error) {
	root, err := stemma.ParseJSON(s.Predicate)
	if err != nil {
		return nil, fmt.Errorf("reading predicate: %w", err)
	}
	r := newReader(id, signer)
	if other := otherProvenance(s.PredicateType); other != nil {
		other(r, s, root)
	} else {
		r.dispatch(r.layout(s.PredicateType, root))
	}
	if r.err != nil {
		return nil, fmt.Errorf("reading predicate: %w", r.err)
	}
	r.finish()
	return r.out, nil
}

// newReader has what the certificate says.
func newReader(id stemma.Digest, signer *stemma.Identity) *reader {
	by := grade(signer)
	r := &reader{out: &stemma.Provenance{Bundle: id, Author: by}, signer: signer, grade: by, said: map[stemma.Field][]stemma.Said{}}
	r.certificate()
	return r
}

// dispatch gives the predicate to the reader of its builder family. The build type is the author's word: it decides
// where things are looked for, and nothing else.
func (r *reader) dispatch(b build) {
	if r.err != nil {
		return
	}
	r.out.Format, r.out.BuildType = b.format, b.buildType
	r.out.Inputs = r.inputs(b.dependencies)
	r.out.External = redact(b.external)
	for _, f := range families() {
		if f.format == b.format && f.is(b.buildType) {
			r.out.Known = f.name
			f.read(r, b)
			return
		}
	}
	r.unknown(b)
}

// family is a reader of what one kind of builder writes in one format.
type family struct {
	name   string // for people: "GitHub Actions"
	format string
	is     func(buildType string) bool
	read   func(*reader, build)
}

// exactly recognises build types by their whole name.
func exactly(buildTypes ...string) func(string) bool {
	return func(s string) bool { return slices.Contains(buildTypes, s) }
}

// families holds the readers of all builders; the first that fits reads.
func families() []family {
	return slices.Concat(githubFamilies(), generatorFamilies(), buildkitFamilies(), tektonFamilies(), cloudBuildFamilies(), gitlabFamilies(), otherFamilies())
}

// redact returns the external parameters without the payload of the event that started a GitHub workflow, which holds
// names and mail addresses of people and nothing that a policy could ask for. Everything else stands as it stood.
func redact(j *stemma.JSON) json.RawMessage {
	if !holdsEvent(j) {
		return j.Raw()
	}
	open, end := byte('{'), byte('}')
	if j.IsArray() {
		open, end = '[', ']'
	}
	out := []byte{open}
	for _, k := range j.Elems() {
		if j.IsObject() && isEvent(k.Name()) {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		if j.IsObject() {
			name, err := json.Marshal(k.Name())
			if err != nil {
				continue // unreachable: a name is a string
			}
			out = append(append(out, name...), ':')
		}
		out = append(out, redact(k)...)
	}
	return append(out, end)
}
