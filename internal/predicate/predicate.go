// Package predicate reads what a statement says: SLSA provenance v0.2 and v1 into [stemma.Provenance], and SBOMs, which
// are recognised only, into [stemma.SBOM]. It verifies nothing and decides nothing.
//
// Of every claim it records by whom it is said. A certificate says what the identity provider knew of the run; a
// predicate says what its author wrote, and who that is follows from the signer, never from the text: see grade.
//
// The world is open. A build type that is not known is read by the fields that SLSA gives to all of them; a predicate
// type that is not known is nobody's, and no error.
package predicate

import (
	"encoding/json"
	"fmt"

	"stemma"
)

// Read reads the predicate of a verified attestation. It returns a Provenance, an SBOM, or neither when the predicate
// type is none that is read here, or the attestation signs an image and states nothing about it. An error says that
// the predicate is not what the specification of its own type prescribes, or is over the limits of the strict reader
// (a [stemma.JSONError] with Limit).
func Read(a stemma.Attestation) (*stemma.Provenance, *stemma.SBOM, error) {
	if a.Signature {
		return nil, nil, nil
	}
	return read(a.Bundle, a.Statement, &a.Signer)
}

// ReadUnsigned is Read for a statement that nobody signed: every claim is graded [stemma.SaidByNobody]. The id is that
// of the piece of evidence.
func ReadUnsigned(id stemma.Digest, s stemma.Statement) (*stemma.Provenance, *stemma.SBOM, error) {
	return read(id, s, nil)
}

func read(id stemma.Digest, s stemma.Statement, signer *stemma.Identity) (*stemma.Provenance, *stemma.SBOM, error) {
	switch s.PredicateType {
	case stemma.PredicateSLSAv1, stemma.PredicateSLSAv02:
		p, err := provenance(id, s, signer)
		return p, nil, err
	}
	if family, version, ok := sbomType(s.PredicateType); ok {
		b, err := sbom(id, family, version, s.Predicate)
		return nil, b, err
	}
	return nil, nil, nil
}

func provenance(id stemma.Digest, s stemma.Statement, signer *stemma.Identity) (*stemma.Provenance, error) {
	root, err := stemma.ParseJSON(s.Predicate)
	if err != nil {
		return nil, fmt.Errorf("reading predicate: %w", err)
	}
	r := &reader{
		out:    &stemma.Provenance{Bundle: id},
		signer: signer,
		grade:  grade(signer),
		said:   map[stemma.Field][]stemma.Said{},
	}
	r.certificate()
	r.dispatch(r.layout(s.PredicateType, root))
	if r.err != nil {
		return nil, fmt.Errorf("reading predicate: %w", r.err)
	}
	r.finish()
	return r.out, nil
}

// dispatch gives the predicate to the reader of its builder family. The build type is the author's word: it decides
// where things are looked for, and nothing else.
func (r *reader) dispatch(b build) {
	if r.err != nil {
		return
	}
	r.out.Format, r.out.BuildType = b.format, b.buildType
	r.out.Dependencies = r.descriptors(b.dependencies)
	r.out.Parameters = redact(b.external)
	family, ok := families()[b.format+" "+b.buildType]
	if !ok {
		r.unknown(b)
		return
	}
	r.out.Known = family.name
	family.read(r, b)
}

type family struct {
	name string
	read func(*reader, build)
}

// families holds the readers by format and build type.
func families() map[string]family {
	const generator = "https://github.com/slsa-framework/slsa-github-generator"
	github := family{"GitHub Actions", (*reader).github}
	generatorV02 := family{"slsa-github-generator", (*reader).generator}
	return map[string]family{
		formatV1 + " https://actions.github.io/buildtypes/workflow/v1":                                   github,
		formatV1 + " https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1":             github,
		formatV1 + " https://slsa.dev/container-based-build/v0.1?draft":                                  {"slsa-github-generator", (*reader).containerBased},
		formatV1 + " " + buildTypeDelegator:                                                              {"slsa-github-generator", (*reader).delegator},
		formatV1 + " https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md": {"BuildKit", (*reader).buildkitV1},
		formatV02 + " https://mobyproject.org/buildkit@v1":                                               {"BuildKit", (*reader).buildkitV02},
		formatV02 + " " + generator + "/container@v1":                                                    generatorV02,
		formatV02 + " " + generator + "/generic@v1":                                                      generatorV02,
		formatV02 + " " + generator + "/go@v1":                                                           generatorV02,
		formatV02 + " " + generator + "@v1":                                                              generatorV02, // generic, before v1.2.1
		formatV02 + " https://github.com/slsa-framework/slsa-github-generator-go@v1":                     generatorV02, // go, before v1.0
	}
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
