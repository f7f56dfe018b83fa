package stemma

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode"
)

// Types of an in-toto Statement, and the predicate types that this package gives a meaning to.
const (
	StatementV01 = "https://in-toto.io/Statement/v0.1"
	StatementV1  = "https://in-toto.io/Statement/v1"

	PredicateSLSAv01 = "https://slsa.dev/provenance/v0.1"
	PredicateSLSAv02 = "https://slsa.dev/provenance/v0.2"
	PredicateSLSAv1  = "https://slsa.dev/provenance/v1"

	PredicateVSAv1 = "https://slsa.dev/verification_summary/v1"

	// PredicateCosignSign is what cosign 3 signs when asked to sign an image: a statement with an empty predicate.
	PredicateCosignSign = "https://sigstore.dev/cosign/sign/v1"

	// PayloadTypeInToto is the DSSE payload type of a Statement, the only one accepted for it.
	PayloadTypeInToto = "application/vnd.in-toto+json"
)

// Bounds of a Statement.
const (
	MaxSubjects       = 1024
	MaxSubjectDigests = 16
)

// ResourceDescriptor is an in-toto ResourceDescriptor v1. A digest set may hold algorithms that do not identify an
// image (gitCommit, sha1, arn); they are kept as written.
type ResourceDescriptor struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"`
	MediaType   string            `json:"mediaType,omitempty"`
	Annotations json.RawMessage   `json:"annotations,omitempty"`
}

// Statement is an in-toto Statement v0.1 or v1. Predicate holds the bytes as they were signed.
type Statement struct {
	Type          string               `json:"_type"`
	Subject       []ResourceDescriptor `json:"subject"`
	PredicateType string               `json:"predicateType"`
	Predicate     json.RawMessage      `json:"predicate,omitempty"`
	// SLSAProvenance is the copy of the predicate that Google Cloud Build signs beside it. Nothing is read from it; the
	// two must say the same.
	SLSAProvenance json.RawMessage `json:"slsaProvenance,omitempty"`
}

// ParseStatement reads the payload of an envelope with the strict reader and holds it to the Attestation Framework:
// a known _type, at least one subject and a predicate type.
func ParseStatement(payload []byte) (Statement, error) {
	var s Statement
	if err := DecodeJSON(payload, &s); err != nil {
		return Statement{}, err
	}
	switch {
	case s.Type != StatementV01 && s.Type != StatementV1:
		return Statement{}, fmt.Errorf("statement type %.80q: want %s or %s", s.Type, StatementV1, StatementV01)
	case s.PredicateType == "":
		return Statement{}, fmt.Errorf("statement without predicateType")
	case len(s.Subject) == 0:
		return Statement{}, fmt.Errorf("statement without subject")
	case len(s.Subject) > MaxSubjects:
		return Statement{}, &JSONError{Pointer: "/subject", Problem: fmt.Sprintf("%d subjects, limit %d", len(s.Subject), MaxSubjects), Limit: true}
	}
	for i, sub := range s.Subject {
		if len(sub.Digest) > MaxSubjectDigests {
			return Statement{}, &JSONError{Pointer: fmt.Sprintf("/subject/%d/digest", i), Problem: fmt.Sprintf("%d digests, limit %d", len(sub.Digest), MaxSubjectDigests), Limit: true}
		}
	}
	return s, nil
}

// Bind finds the subject that names the artifact with digest d and content c (nil when only d is known), and says
// why there is none. Only digests of accepted algorithms count. A subject that also carries another accepted digest
// which contradicts the artifact, or which cannot be compared because c is not known, does not bind: an attacker
// may pair the digest of one artifact with that of another. Digests of other algorithms do not disturb.
func (s Statement) Bind(d Digest, c []byte) (ResourceDescriptor, Reason, string) {
	detail := ""
	want := d.Hex()
	var bound *ResourceDescriptor
	sums := map[string]Digest{}
	for i, sub := range s.Subject {
		value, ok := sub.Digest[d.Algorithm()]
		if !ok {
			detail = otherwise(sub, d, detail)
			continue
		}
		if _, err := NewDigest(d.Algorithm(), value); err != nil {
			detail = err.Error()
			continue
		}
		if value != want {
			continue
		}
		for _, alg := range slices.Sorted(maps.Keys(sub.Digest)) {
			if alg == d.Algorithm() || !AcceptedAlgorithm(alg) {
				continue
			}
			if _, ok := sums[alg]; !ok && c != nil {
				sums[alg] = sum(alg, c) // once, however many subjects there are
			}
			if other, err := NewDigest(alg, sub.Digest[alg]); err != nil || c == nil || other != sums[alg] {
				return ResourceDescriptor{}, ReasonSubjectConflict, fmt.Sprintf("subject %.80q has the right %s digest and a %s digest of something else", sub.Name, d.Algorithm(), alg)
			}
		}
		// The rest is looked at, too: a conflict must not depend on the order of the subjects.
		if bound == nil {
			bound = &s.Subject[i]
		}
	}
	if bound != nil {
		return *bound, "", ""
	}
	if detail == "" {
		detail = "it is about " + describeSubjects(s.Subject)
	}
	return ResourceDescriptor{}, ReasonSubjectMismatch, detail
}

// otherwise explains why a subject without a digest of the wanted algorithm does not bind, unless detail already says
// as much.
func otherwise(sub ResourceDescriptor, d Digest, detail string) string {
	for _, alg := range slices.Sorted(maps.Keys(sub.Digest)) {
		if sub.Digest[alg] == d.Hex() {
			return fmt.Sprintf("the value stands under %.40q, not %s", alg, d.Algorithm())
		}
		if !AcceptedAlgorithm(alg) && detail == "" {
			detail = fmt.Sprintf("subject has no %s digest (%.40s does not identify an image)", d.Algorithm(), alg)
		}
	}
	return detail
}

func describeSubjects(subjects []ResourceDescriptor) string {
	if len(subjects) == 0 {
		return "nothing"
	}
	first := subjects[0]
	text := fmt.Sprintf("%.80s", first.Name)
	for _, alg := range slices.Sorted(maps.Keys(first.Digest)) {
		text = fmt.Sprintf("%s %.8s:%.16s…", text, alg, first.Digest[alg])
		break
	}
	if n := len(subjects) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

func graphic(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.Is(unicode.Bidi_Control, r)
}
