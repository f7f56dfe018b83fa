package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"stemma"
)

// ReadEvidenceFile reads a file of evidence: a Sigstore bundle, a DSSE envelope, a bare in-toto statement, an attestation
// of PyPI, or what other tools write around them: a JSON array, a list of GitHub's or npm's API, PyPI's answer about the
// integrity of a file, the document of gcloud artifacts docker images describe --show-provenance --format json. Several
// may stand one on each line (JSONL). Of is empty in what it returns: the file does not say which image it is about.
// What is none of these is a Rejection that says what it seems to be. The data is not copied, and must not be changed
// while what is returned is in use.
func ReadEvidenceFile(name string, data []byte) ([]stemma.Raw, []stemma.Rejection) {
	f := &evidenceFile{name: "file " + name}
	if len(data) > maxEvidence {
		f.reject(f.name, nil, stemma.ReasonLimit, fmt.Sprintf("it has more than %d bytes", maxEvidence))
		return nil, f.rejected
	}
	// JSON may be indented, so lines are documents only when the first is one by itself. Anything else after a
	// document is not a second one that somebody asked to be read.
	var first []byte
	documents := 0
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if documents++; documents == 1 {
				first = line
			}
		}
	}
	if documents < 2 || stemma.CheckJSON(first) != nil {
		f.add(f.name, bytes.TrimSpace(data), true)
		return f.raws, f.rejected
	}
	number, read := 0, 0
	for line := range bytes.Lines(data) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if read++; read > maxPieces {
			f.reject(f.name, nil, stemma.ReasonLimit, fmt.Sprintf("%d lines, of which %d were read", documents, maxPieces))
			break
		}
		f.add(fmt.Sprintf("%s line %d", f.name, number), line, true)
	}
	return f.raws, f.rejected
}

type evidenceFile struct {
	name     string
	raws     []stemma.Raw
	rejected []stemma.Rejection
	full     bool
}

// add reads one document. Whole is what stands by itself, and may hold others; what stands in another may not.
func (f *evidenceFile) add(place string, data []byte, whole bool) {
	kind := classify(data)
	switch {
	case kind.format != "":
		f.put(place, data, kind.format)
	case kind.is == isPyPI:
		bundle, err := bundleOfPyPI(data)
		if err != nil {
			f.reject(place, data, reasonOfJSON(err), "an attestation of PyPI: "+err.Error())
			return
		}
		f.put(place, bundle, stemma.FormatBundle)
	case kind.is != isOther && whole:
		f.open(place, data, kind.is)
	case kind.is != isOther:
		f.reject(place, data, stemma.ReasonUnsupported, "a list in a list: want a Sigstore bundle, a DSSE envelope or an in-toto statement")
	default:
		f.reject(place, data, kind.reason, kind.detail)
	}
}

// put keeps a piece, as long as there is room for more.
func (f *evidenceFile) put(place string, data []byte, format stemma.Format) {
	switch {
	case len(f.raws) < maxPieces:
		f.raws = append(f.raws, stemma.Raw{Format: format, Data: data, Place: place})
	case !f.full:
		f.full = true
		f.reject(f.name, nil, stemma.ReasonLimit, fmt.Sprintf("more than %d pieces of evidence, of which %d were read", maxPieces, maxPieces))
	}
}

// open reads what a document holds. Of a value that is not of the kind that its place prescribes nothing is read.
func (f *evidenceFile) open(place string, data []byte, is container) {
	var list []json.RawMessage
	var err error
	name, use := "attestation", func(place string, e []byte) { f.add(place, e, false) }
	switch is {
	case isArray:
		name = "element"
		err = stemma.DecodeJSON(data, &list)
	case isAttestations:
		var doc struct {
			Attestations []json.RawMessage `json:"attestations"`
		}
		err = stemma.DecodeJSON(data, &doc)
		list, use = doc.Attestations, f.attestation
	case isGcloud:
		var doc struct {
			Summary struct {
				Provenance []json.RawMessage `json:"provenance"`
			} `json:"provenance_summary"`
		}
		err = stemma.DecodeJSON(data, &doc)
		name, list, use = "provenance", doc.Summary.Provenance, f.occurrence
	case isIntegrity:
		var doc struct {
			Bundles []struct {
				Attestations []json.RawMessage `json:"attestations"`
			} `json:"attestation_bundles"`
		}
		err = stemma.DecodeJSON(data, &doc)
		for _, b := range doc.Bundles {
			list = append(list, b.Attestations...)
		}
	}
	switch {
	case err != nil:
		f.reject(place, data, reasonOfJSON(err), err.Error())
		return
	case len(list) == 0:
		f.reject(place, data, stemma.ReasonUnsupported, "a list of attestations with none in it")
		return
	case len(list) > maxPieces:
		f.reject(place, data, stemma.ReasonLimit, fmt.Sprintf("%d entries, of which %d were read", len(list), maxPieces))
		list = list[:maxPieces]
	}
	for i, e := range list {
		use(fmt.Sprintf("%s %s %d", place, name, i+1), e)
	}
}

// attestation is one entry of a list of GitHub or npm.
func (f *evidenceFile) attestation(place string, data []byte) {
	var e struct {
		Bundle json.RawMessage `json:"bundle"`
		Link   json.RawMessage `json:"bundle_url"`
	}
	err := stemma.DecodeJSON(data, &e)
	switch {
	case err != nil:
		f.reject(place, data, stemma.ReasonMalformed, err.Error())
	case bytes.HasPrefix(e.Bundle, []byte("{")):
		f.put(place, e.Bundle, stemma.FormatBundle)
	case e.Bundle == nil && e.Link != nil:
		f.reject(place, data, stemma.ReasonUnsupported, "only a link to a bundle, which is not followed: write the bundle itself (gh attestation download)")
	default:
		f.reject(place, data, stemma.ReasonUnsupported, "an attestation without a bundle")
	}
}

// occurrence is one entry of a document of gcloud.
func (f *evidenceFile) occurrence(place string, data []byte) {
	var o occurrence
	err := stemma.DecodeJSON(data, &o)
	if err == nil {
		var envelope []byte
		if envelope, err = standardEnvelope(o.envelope()); err == nil {
			if err = readableCopy(o, envelope); err == nil {
				f.put(place, envelope, stemma.FormatDSSE)
				return
			}
			f.reject(place, data, reasonOfJSON(err), err.Error())
			return
		}
	}
	f.reject(place, data, reasonOfJSON(err), "the envelope: "+err.Error())
}

// reasonOfJSON is why a document was not read.
func reasonOfJSON(err error) stemma.Reason {
	var j *stemma.JSONError
	if errors.As(err, &j) && j.Limit {
		return stemma.ReasonLimit
	}
	return stemma.ReasonMalformed
}

func (f *evidenceFile) reject(place string, data []byte, reason stemma.Reason, detail string) {
	r := stemma.Rejection{Format: "unknown", Place: place, Reason: reason, Detail: stemma.Printable(detail, 300)}
	if data != nil {
		r.Bundle = stemma.SHA256(data)
	}
	f.rejected = append(f.rejected, r)
}

// standardEnvelope writes a DSSE envelope of Google in the form that DSSE prescribes. Google writes the bytes in either
// alphabet of base64 (the API in the standard one, gcloud in that of URLs), and readers here accept one: what is hashed
// and what is decoded is then one thing. Signatures are over the type and the decoded payload, which stay what they
// are; everything beside them is signed by nobody, and left out. Whether there is a signature at all is not asked here.
func standardEnvelope(data []byte) ([]byte, error) {
	var in struct {
		Payload     string `json:"payload"`
		PayloadType string `json:"payloadType"`
		Signatures  []struct {
			KeyID string `json:"keyid"`
			Sig   string `json:"sig"`
		} `json:"signatures"`
	}
	if !bytes.HasPrefix(data, []byte("{")) {
		return nil, errors.New("there is none")
	}
	if err := stemma.DecodeJSON(data, &in); err != nil {
		return nil, err
	}
	type signature struct {
		KeyID string `json:"keyid"`
		Sig   []byte `json:"sig"`
	}
	out := struct {
		Payload     []byte      `json:"payload"`
		PayloadType string      `json:"payloadType"`
		Signatures  []signature `json:"signatures"`
	}{PayloadType: in.PayloadType, Signatures: []signature{}}
	var err error
	if out.Payload, err = eitherBase64(in.Payload); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	for i, s := range in.Signatures {
		sig, err := eitherBase64(s.Sig)
		if err != nil {
			return nil, fmt.Errorf("signature %d: %w", i+1, err)
		}
		out.Signatures = append(out.Signatures, signature{s.KeyID, sig})
	}
	return json.Marshal(out)
}

// eitherBase64 decodes base64 in the alphabet of RFC 4648 section 4 or in that of section 5, and not in a mixture.
func eitherBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "-_") {
		if strings.ContainsAny(s, "+/") {
			return nil, errors.New("decoding base64: two alphabets in one text")
		}
		s = strings.NewReplacer("-", "+", "_", "/").Replace(s)
	}
	return stemma.DecodeBase64(s)
}

// bundleOfPyPI writes an attestation object of PEP 740 as the Sigstore bundle v0.3 that it stands for. Nothing is added but
// what the PEP prescribes (the signature is over the PAE of DSSE, with the payload type of in-toto), and nothing that is
// verified is left out: the log entries are those of a bundle as they stand.
func bundleOfPyPI(data []byte) ([]byte, error) {
	var in struct {
		Version  int `json:"version"`
		Material struct {
			Certificate []byte            `json:"certificate"`
			Entries     []json.RawMessage `json:"transparency_entries"`
		} `json:"verification_material"`
		Envelope struct {
			Statement []byte `json:"statement"`
			Signature []byte `json:"signature"`
		} `json:"envelope"`
	}
	if err := stemma.DecodeJSON(data, &in); err != nil {
		return nil, err
	}
	if in.Version != 1 {
		return nil, fmt.Errorf("version %d, want 1", in.Version)
	}
	type object map[string]any
	return json.Marshal(object{
		"mediaType": mediaTypeBundlePrefix + ".v0.3+json",
		"verificationMaterial": object{
			"certificate": object{"rawBytes": in.Material.Certificate},
			"tlogEntries": append([]json.RawMessage{}, in.Material.Entries...),
		},
		"dsseEnvelope": object{
			"payload": in.Envelope.Statement, "payloadType": mediaTypeInToto,
			"signatures": []object{{"sig": in.Envelope.Signature}},
		},
	})
}

// kind is what a document is taken to be, or why it is no evidence.
type kind struct {
	format stemma.Format
	is     container
	reason stemma.Reason
	detail string
}

// container is a document that evidence is read out of.
type container int

const (
	isOther container = iota
	isArray
	isAttestations // of GitHub's or npm's API
	isGcloud       // gcloud artifacts docker images describe
	isIntegrity    // PyPI's answer about a file
	isPyPI         // one attestation object of PEP 740
)

// classify looks at the names at the top of a document and at nothing else: whether it is what it seems is for its
// reader to say.
func classify(data []byte) kind {
	unsupported := func(detail string) kind { return kind{reason: stemma.ReasonUnsupported, detail: detail} }
	if len(data) == 0 {
		return kind{reason: stemma.ReasonMalformed, detail: "it is empty"}
	}
	if err := stemma.CheckJSON(data); err != nil {
		return notJSON(data, err)
	}
	names := topLevel{}
	if data[0] == '[' {
		return kind{is: isArray}
	}
	if err := stemma.DecodeJSON(data, &names); err != nil {
		return kind{reason: stemma.ReasonMalformed, detail: err.Error()}
	}
	has := names.has
	switch {
	case has("verificationMaterial") || strings.HasPrefix(names.text("mediaType"), mediaTypeBundlePrefix):
		return kind{format: stemma.FormatBundle}
	case has("payloadType") || has("payload") && has("signatures"):
		return kind{format: stemma.FormatDSSE}
	case has("_type") || has("predicateType"):
		return kind{format: stemma.FormatStatement}
	case has("verification_material") && has("envelope"):
		return kind{is: isPyPI}
	case has("provenance_summary"):
		return kind{is: isGcloud}
	case has("attestation_bundles"):
		return kind{is: isIntegrity}
	case has("attestations"):
		return kind{is: isAttestations}
	case has("base64Signature") || has("rekorBundle"):
		return unsupported("cosign's own bundle of before v3: sign with --new-bundle-format, or give the image with its .sig tag")
	case has("certificateAuthorities") || has("tlogs"):
		return unsupported("a trusted root, not evidence: give it with --trusted-root")
	case has("protected") && has("signature"):
		return unsupported("a Notary Project signature, which is not supported")
	case has("critical"):
		return unsupported("the payload of a cosign signature without the signature: give the image with its .sig tag")
	case has("buildDefinition") || has("buildType") || has("builder"):
		return unsupported("a bare SLSA predicate: it names no subject and nobody signed it")
	case has("spdxVersion") || has("bomFormat"):
		return unsupported("a bare SBOM: it names no image and nobody signed it")
	case has("manifests") || has("layers"):
		return unsupported("an image manifest, not evidence")
	}
	return unsupported("a JSON document that is no Sigstore bundle, DSSE envelope or in-toto statement")
}

// topLevel is the members of a document, as they stand.
type topLevel map[string]json.RawMessage

func (t topLevel) has(name string) bool {
	_, ok := t[name]
	return ok
}

func (t topLevel) text(name string) string {
	var s string
	if err := stemma.DecodeJSON(t[name], &s); err != nil {
		return ""
	}
	return s
}

func notJSON(data []byte, err error) kind {
	switch reason := reasonOfJSON(err); {
	case reason == stemma.ReasonLimit:
		return kind{reason: reason, detail: err.Error()}
	case bytes.HasPrefix(data, []byte("-----BEGIN ")):
		return kind{reason: stemma.ReasonUnsupported, detail: "a PEM file (a key or certificate), not evidence"}
	case bytes.HasPrefix(data, []byte("\x1f\x8b")) || bytes.HasPrefix(data, []byte("PK\x03\x04")):
		return kind{reason: stemma.ReasonUnsupported, detail: "a compressed file: unpack it first"}
	case data[0] != '{' && data[0] != '[' && !bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return kind{reason: stemma.ReasonUnsupported, detail: "not JSON: want a Sigstore bundle, a DSSE envelope or an in-toto statement"}
	}
	return kind{reason: stemma.ReasonMalformed, detail: err.Error()}
}
