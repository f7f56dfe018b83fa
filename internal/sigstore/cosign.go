package sigstore

import (
	"encoding/hex"

	"stemma"
)

// Annotations of cosign's layers (cosign, specs/SIGNATURE_SPEC.md).
const (
	annotationSignature   = "dev.cosignproject.cosign/signature"
	annotationCertificate = "dev.sigstore.cosign/certificate"
	annotationBundle      = "dev.sigstore.cosign/bundle"
	annotationTimestamp   = "dev.sigstore.cosign/rfc3161timestamp"
)

type wireCosignBundle struct {
	SignedEntryTimestamp []byte             `json:"SignedEntryTimestamp"`
	Payload              *wireCosignPayload `json:"Payload"`
}

type wireCosignPayload struct {
	Body           []byte `json:"body"`
	IntegratedTime int64  `json:"integratedTime"`
	LogIndex       int64  `json:"logIndex"`
	LogID          string `json:"logID"`
}

type wireCosignTimestamp struct {
	SignedRFC3161Timestamp []byte `json:"SignedRFC3161Timestamp"`
}

type wireDSSE struct {
	Payload     []byte              `json:"payload"`
	PayloadType string              `json:"payloadType"`
	Signatures  []wireDSSESignature `json:"signatures"`
}

type wireDSSESignature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
	Cert  string `json:"cert"` // slsa-github-generator: the signing certificate in PEM
}

// readDSSE reads an envelope (DSSE v1, JSON), with cosign's annotations beside it or bare.
func readDSSE(raw stemma.Raw) (*envelope, *refusal) {
	var w wireDSSE
	if err := stemma.DecodeJSON(raw.Data, &w); err != nil {
		return nil, malformed("DSSE envelope", err)
	}
	e := &envelope{format: "dsse", kind: isDSSE, payload: w.Payload, payloadType: w.PayloadType, logged: raw.Data}
	switch n := len(w.Signatures); {
	case n == 0:
		return nil, refuse(stemma.ReasonSignatureCount, "an envelope without signatures")
	case n > maxSignatures:
		return nil, refuse(stemma.ReasonLimit, "%d signatures, limit %d", n, maxSignatures)
	}
	for _, s := range w.Signatures {
		e.signatures = append(e.signatures, sealed{keyID: s.KeyID, sig: s.Sig})
	}
	if raw.Annotations[annotationCertificate] != "" || raw.Annotations[annotationBundle] != "" || raw.Annotations[annotationTimestamp] != "" {
		e.format = "cosign dsse"
		// cosign timestamps an attestation as it is stored, not its signature.
		e.stamped = raw.Data
		if ref := exactlyOne(e); ref != nil {
			return nil, ref
		}
		e.hint = w.Signatures[0].KeyID
		return e, readAnnotations(e, raw.Annotations)
	}
	e.bare = true
	for i, s := range w.Signatures {
		if s.Cert == "" {
			continue
		}
		leaf, ref := pemCertificate(s.Cert)
		if ref != nil {
			return nil, ref
		}
		e.signatures[i].leaf = leaf
	}
	return e, nil
}

// readSimpleSigning reads a layer of a .sig manifest. The payload is not looked at: it is not verified yet.
func readSimpleSigning(raw stemma.Raw) (*envelope, *refusal) {
	text, ok := raw.Annotations[annotationSignature]
	if !ok || text == "" {
		return nil, refuse(stemma.ReasonSignatureCount, "no annotation %s", annotationSignature)
	}
	sig, err := stemma.DecodeBase64(text)
	if err != nil {
		return nil, refuse(stemma.ReasonMalformed, "annotation %s: %v", annotationSignature, err)
	}
	e := &envelope{format: string(stemma.FormatSimpleSigning), kind: isSimpleSigning, payload: raw.Data, signatures: []sealed{{sig: sig}}}
	if ref := exactlyOne(e); ref != nil {
		return nil, ref
	}
	return e, readAnnotations(e, raw.Annotations)
}

// readAnnotations reads certificate, log entry and timestamp. The annotation with the chain is not read: issuers come
// from the trusted root only.
func readAnnotations(e *envelope, a map[string]string) *refusal {
	if text := a[annotationCertificate]; text != "" {
		var ref *refusal
		if e.leaf, ref = pemCertificate(text); ref != nil {
			return ref
		}
	}
	if text := a[annotationBundle]; text != "" {
		var w wireCosignBundle
		if err := stemma.DecodeJSON([]byte(text), &w); err != nil {
			return malformed("annotation "+annotationBundle, err)
		}
		if w.Payload == nil || len(w.SignedEntryTimestamp) == 0 || len(w.Payload.Body) == 0 || w.Payload.IntegratedTime < 0 || w.Payload.LogIndex < 0 {
			return refuse(stemma.ReasonMalformed, "annotation %s lacks the promise or the payload that it is for", annotationBundle)
		}
		id, err := hex.DecodeString(w.Payload.LogID)
		if err != nil || hex.EncodeToString(id) != w.Payload.LogID {
			return refuse(stemma.ReasonMalformed, "annotation %s: logID %.70q: want lower-case hex digits", annotationBundle, w.Payload.LogID)
		}
		e.entries = []*entry{{logID: id, index: w.Payload.LogIndex, time: w.Payload.IntegratedTime, body: w.Payload.Body, promise: w.SignedEntryTimestamp}}
	}
	if text := a[annotationTimestamp]; text != "" {
		var w wireCosignTimestamp
		if err := stemma.DecodeJSON([]byte(text), &w); err != nil {
			return malformed("annotation "+annotationTimestamp, err)
		}
		if len(w.SignedRFC3161Timestamp) == 0 {
			return refuse(stemma.ReasonMalformed, "annotation %s without a timestamp", annotationTimestamp)
		}
		e.timestamps = [][]byte{w.SignedRFC3161Timestamp}
	}
	return boundTimestamps(e)
}
