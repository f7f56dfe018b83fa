package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"stemma"
)

// ReadEvidenceFile reads a file of evidence: a Sigstore bundle, a DSSE envelope, a bare in-toto statement, or several
// of them, one on each line (JSONL). Of is empty in what it returns: the file does not say which image it is about.
// What is none of these is a Rejection that says what it seems to be. The error is that of reading r.
func ReadEvidenceFile(name string, r io.Reader) ([]stemma.Raw, []stemma.Rejection, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxEvidence+1))
	if err != nil {
		return nil, nil, fmt.Errorf("reading evidence %s: %w", name, err)
	}
	f := &evidenceFile{name: "file " + name}
	if len(data) > maxEvidence {
		f.reject(f.name, nil, stemma.ReasonLimit, fmt.Sprintf("it has more than %d bytes", maxEvidence))
		return nil, f.rejected, nil
	}
	// JSON may be indented, so lines are documents only when the first is one by itself. Anything else after a
	// document is not a second one that somebody asked to be read.
	lines := bytes.Split(data, []byte("\n"))
	first, documents := -1, 0
	for i, line := range lines {
		if lines[i] = bytes.TrimSpace(line); len(lines[i]) > 0 {
			if documents++; first < 0 {
				first = i
			}
		}
	}
	if documents < 2 || stemma.CheckJSON(lines[first]) != nil {
		f.add(f.name, bytes.TrimSpace(data))
		return f.raws, f.rejected, nil
	}
	read := 0
	for i, line := range lines {
		if len(line) == 0 {
			continue
		}
		if read++; read > maxPieces {
			f.reject(f.name, nil, stemma.ReasonLimit, fmt.Sprintf("%d lines, of which %d were read", documents, maxPieces))
			break
		}
		f.add(fmt.Sprintf("%s line %d", f.name, i+1), line)
	}
	return f.raws, f.rejected, nil
}

type evidenceFile struct {
	name     string
	raws     []stemma.Raw
	rejected []stemma.Rejection
}

func (f *evidenceFile) add(place string, data []byte) {
	kind := classify(data)
	if kind.format == "" {
		f.reject(place, data, kind.reason, kind.detail)
		return
	}
	f.raws = append(f.raws, stemma.Raw{Format: kind.format, Data: data, Place: place})
}

func (f *evidenceFile) reject(place string, data []byte, reason stemma.Reason, detail string) {
	r := stemma.Rejection{Format: "unknown", Place: place, Reason: reason, Detail: stemma.Printable(detail, 300)}
	if data != nil {
		r.Bundle = stemma.SHA256(data)
	}
	f.rejected = append(f.rejected, r)
}

// kind is what a document is taken to be, or why it is no evidence.
type kind struct {
	format stemma.Format
	reason stemma.Reason
	detail string
}

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
		return unsupported("a JSON array: write its elements one on each line")
	}
	if err := stemma.DecodeJSON(data, &names); err != nil {
		return kind{reason: stemma.ReasonMalformed, detail: err.Error()}
	}
	has := func(name string) bool { _, ok := names[name]; return ok }
	switch {
	case has("verificationMaterial") || strings.HasPrefix(names.text("mediaType"), mediaTypeBundlePrefix):
		return kind{format: stemma.FormatBundle}
	case has("payloadType") || has("payload") && has("signatures"):
		return kind{format: stemma.FormatDSSE}
	case has("_type") || has("predicateType"):
		return kind{format: stemma.FormatStatement}
	case has("attestations"):
		return unsupported("a list of attestations: extract each bundle to a line of its own (jq -c '.attestations[].bundle')")
	case has("base64Signature") || has("rekorBundle"):
		return unsupported("cosign's own bundle of before v3: sign with --new-bundle-format, or give the image with its .sig tag")
	case has("provenance_summary"):
		return unsupported("the output of gcloud artifacts docker images describe: extract the envelopes (jq -c '.provenance_summary.provenance[].envelope')")
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

func (t topLevel) text(name string) string {
	var s string
	if err := stemma.DecodeJSON(t[name], &s); err != nil {
		return ""
	}
	return s
}

func notJSON(data []byte, err error) kind {
	var j *stemma.JSONError
	switch {
	case errors.As(err, &j) && j.Limit:
		return kind{reason: stemma.ReasonLimit, detail: err.Error()}
	case bytes.HasPrefix(data, []byte("-----BEGIN ")):
		return kind{reason: stemma.ReasonUnsupported, detail: "a PEM file (a key or certificate), not evidence"}
	case bytes.HasPrefix(data, []byte("\x1f\x8b")) || bytes.HasPrefix(data, []byte("PK\x03\x04")):
		return kind{reason: stemma.ReasonUnsupported, detail: "a compressed file: unpack it first"}
	case data[0] != '{' && data[0] != '[' && !bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return kind{reason: stemma.ReasonUnsupported, detail: "not JSON: want a Sigstore bundle, a DSSE envelope or an in-toto statement"}
	}
	return kind{reason: stemma.ReasonMalformed, detail: err.Error()}
}
