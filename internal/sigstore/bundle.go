package sigstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"stemma"
)

// The wire form of a Sigstore bundle (protobuf-specs, bundle v1, in proto3 JSON with lowerCamelCase names only).
type wireBundle struct {
	MediaType string        `json:"mediaType"`
	Material  *wireMaterial `json:"verificationMaterial"`
	Envelope  *wireEnvelope `json:"dsseEnvelope"`
	Message   *wireMessage  `json:"messageSignature"`
}

type wireMaterial struct {
	PublicKey   *wireHint       `json:"publicKey"`
	Chain       *wireChain      `json:"x509CertificateChain"`
	Certificate *wireCert       `json:"certificate"`
	Entries     []*wireEntry    `json:"tlogEntries"`
	Timestamps  *wireTimestamps `json:"timestampVerificationData"`
}

type wireHint struct {
	Hint string `json:"hint"`
}

type wireChain struct {
	Certificates []wireCert `json:"certificates"`
}

type wireCert struct {
	RawBytes []byte `json:"rawBytes"`
}

type wireEnvelope struct {
	Payload     []byte          `json:"payload"`
	PayloadType string          `json:"payloadType"`
	Signatures  []wireSignature `json:"signatures"`
}

type wireSignature struct {
	Sig   []byte `json:"sig"`
	KeyID string `json:"keyid"`
}

type wireMessage struct {
	Digest    *wireDigest `json:"messageDigest"`
	Signature []byte      `json:"signature"`
}

type wireDigest struct {
	Algorithm string `json:"algorithm"`
	Digest    []byte `json:"digest"`
}

type wireEntry struct {
	LogIndex       json.RawMessage `json:"logIndex"`
	LogID          *wireLogID      `json:"logId"`
	KindVersion    *wireKind       `json:"kindVersion"`
	IntegratedTime json.RawMessage `json:"integratedTime"`
	Promise        *wirePromise    `json:"inclusionPromise"`
	Proof          *wireProof      `json:"inclusionProof"`
	Body           []byte          `json:"canonicalizedBody"`
}

type wireLogID struct {
	KeyID []byte `json:"keyId"`
}

type wireKind struct {
	Kind    string `json:"kind"`
	Version string `json:"version"`
}

type wirePromise struct {
	SignedEntryTimestamp []byte `json:"signedEntryTimestamp"`
}

type wireProof struct {
	LogIndex   json.RawMessage `json:"logIndex"`
	RootHash   []byte          `json:"rootHash"`
	TreeSize   json.RawMessage `json:"treeSize"`
	Hashes     [][]byte        `json:"hashes"`
	Checkpoint *wireCheckpoint `json:"checkpoint"`
}

type wireCheckpoint struct {
	Envelope string `json:"envelope"`
}

type wireTimestamps struct {
	RFC3161 []wireTimestamp `json:"rfc3161Timestamps"`
}

type wireTimestamp struct {
	SignedTimestamp []byte `json:"signedTimestamp"`
}

// bundleVersion knows the media types of bundles. A version that is not known is refused: its rules are not known.
func bundleVersion(mediaType string) (string, *refusal) {
	switch mediaType {
	case "application/vnd.dev.sigstore.bundle+json;version=0.1":
		return "v0.1", nil
	case "application/vnd.dev.sigstore.bundle+json;version=0.2":
		return "v0.2", nil
	case "application/vnd.dev.sigstore.bundle+json;version=0.3", "application/vnd.dev.sigstore.bundle.v0.3+json":
		return "v0.3", nil
	case "":
		return "", refuse(stemma.ReasonUnsupported, "a bundle without mediaType: want v0.1, v0.2 or v0.3")
	}
	return "", refuse(stemma.ReasonUnsupported, "bundle of media type %.100q: want v0.1, v0.2 or v0.3", mediaType)
}

// malformed gives a reading error its reason: bounds are apart from form.
func malformed(what string, err error) *refusal {
	var je *stemma.JSONError
	if errors.As(err, &je) && je.Limit {
		return refuse(stemma.ReasonLimit, "%s: %v", what, err)
	}
	return refuse(stemma.ReasonMalformed, "%s: %v", what, err)
}

func readBundle(data []byte) (*envelope, *refusal) {
	tree, err := stemma.ParseJSON(data)
	if err != nil {
		return nil, malformed("bundle", err)
	}
	version, ref := bundleVersion(tree.At("mediaType").Text())
	if ref != nil {
		return nil, ref
	}
	var b wireBundle
	// Proto3 JSON has no unknown names; and snake_case names, which some readers take for the camelCase ones, must
	// not carry a second meaning past this one.
	if err := knownNames(tree, reflect.TypeOf(b)); err != nil {
		return nil, malformed("bundle", err)
	}
	if err := stemma.DecodeJSON(data, &b); err != nil {
		return nil, malformed("bundle", err)
	}
	if b.Material == nil {
		return nil, refuse(stemma.ReasonMalformed, "bundle without verificationMaterial")
	}
	e := &envelope{format: "sigstore-bundle " + version}
	for _, step := range []func(*envelope, *wireBundle, string) *refusal{readContent, readSigner, readEntries, readTimestamps} {
		if ref := step(e, &b, version); ref != nil {
			return nil, ref
		}
	}
	return e, nil
}

// knownNames refuses a member that the type does not have.
func knownNames(j *stemma.JSON, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Struct && j.IsObject():
		for _, kid := range j.Elems() {
			f, ok := fieldTagged(t, kid.Name())
			if !ok {
				return fmt.Errorf("%s: name %.60q is not known", kid.Pointer(), kid.Name())
			}
			if err := knownNames(kid, f.Type); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 && j.IsArray():
		for _, kid := range j.Elems() {
			if err := knownNames(kid, t.Elem()); err != nil {
				return err
			}
		}
	}
	return nil
}

func fieldTagged(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("json") == name {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}

func readContent(e *envelope, b *wireBundle, _ string) *refusal {
	switch {
	case b.Envelope != nil && b.Message != nil:
		return refuse(stemma.ReasonMalformed, "bundle with both a dsseEnvelope and a messageSignature")
	case b.Envelope != nil:
		env := b.Envelope
		e.kind, e.payload, e.payloadType = isDSSE, env.Payload, env.PayloadType
		for _, s := range env.Signatures {
			e.signatures = append(e.signatures, sealed{keyID: s.KeyID, sig: s.Sig})
		}
		e.logged = asLogged(env)
	case b.Message != nil:
		m := b.Message
		if m.Digest == nil {
			return refuse(stemma.ReasonMalformed, "messageSignature without messageDigest")
		}
		e.kind, e.digest, e.hash = isMessage, m.Digest.Digest, hashNamed(m.Digest.Algorithm)
		if e.hash == 0 || !strings.HasPrefix(m.Digest.Algorithm, "SHA2_") {
			return refuse(stemma.ReasonAlgorithm, "messageDigest of algorithm %.40q: want SHA2_256, SHA2_384 or SHA2_512", m.Digest.Algorithm)
		}
		if len(e.digest) != e.hash.Size() {
			return refuse(stemma.ReasonMalformed, "messageDigest of %d bytes: want %d for %s", len(e.digest), e.hash.Size(), m.Digest.Algorithm)
		}
		e.signatures = []sealed{{sig: m.Signature}}
	default:
		return refuse(stemma.ReasonMalformed, "bundle with neither a dsseEnvelope nor a messageSignature")
	}
	// "DSSE envelopes in Sigstore bundles MUST contain exactly one signature" (protobuf-specs, bundle v1)
	return exactlyOne(e)
}

func exactlyOne(e *envelope) *refusal {
	if n := len(e.signatures); n != 1 {
		return refuse(stemma.ReasonSignatureCount, "%d signatures: want exactly one", n)
	}
	if len(e.signatures[0].sig) == 0 {
		return refuse(stemma.ReasonSignatureCount, "an empty signature")
	}
	return nil
}

// asLogged is the envelope as the signers wrote it that uploaded it for an intoto 0.0.1 entry, which records the hash
// of the text and not the signature: members in the order of the DSSE library for Go, without space.
func asLogged(env *wireEnvelope) []byte {
	type sig struct {
		KeyID string `json:"keyid"`
		Sig   []byte `json:"sig"`
	}
	out := struct {
		PayloadType string `json:"payloadType"`
		Payload     []byte `json:"payload"`
		Signatures  []sig  `json:"signatures"`
	}{PayloadType: env.PayloadType, Payload: env.Payload}
	for _, s := range env.Signatures {
		out.Signatures = append(out.Signatures, sig{s.KeyID, s.Sig})
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil // unreachable: strings and bytes always have a JSON form
	}
	return text
}

func readSigner(e *envelope, b *wireBundle, version string) *refusal {
	m := b.Material
	count := 0
	for _, given := range []bool{m.PublicKey != nil, m.Chain != nil, m.Certificate != nil} {
		if given {
			count++
		}
	}
	if count != 1 {
		return refuse(stemma.ReasonMalformed, "%d of publicKey, x509CertificateChain and certificate: want exactly one", count)
	}
	if m.PublicKey != nil {
		e.hint = m.PublicKey.Hint
		return nil
	}
	var certs []wireCert
	switch {
	case m.Certificate != nil:
		certs = []wireCert{*m.Certificate}
	case version == "v0.3":
		return refuse(stemma.ReasonMalformed, "bundle v0.3 with an x509CertificateChain: want a single certificate")
	default:
		certs = m.Chain.Certificates
	}
	if len(certs) == 0 {
		return refuse(stemma.ReasonMalformed, "an empty certificate chain")
	}
	if len(certs) > maxChain {
		return refuse(stemma.ReasonLimit, "a chain of %d certificates, limit %d", len(certs), maxChain)
	}
	var ref *refusal
	if e.leaf, ref = parseCertificate(certs[0].RawBytes); ref != nil {
		return ref
	}
	for _, c := range certs[1:] {
		up, ref := parseCertificate(c.RawBytes)
		if ref != nil {
			return ref
		}
		// "Signers MUST NOT include root CA certificates in bundles." Those of v0.1 were written before that rule and
		// many have one; "Verifiers SHOULD handle old or non-complying bundles that have superfluous intermediate
		// and/or root CA certificates by either ignoring them …". Nothing in the chain but the leaf is ever used
		// (CVE-2023-47122: a bundle cannot bring its own trust).
		if version != "v0.1" && bytes.Equal(up.RawSubject, up.RawIssuer) {
			return refuse(stemma.ReasonMalformed, "the certificate chain holds the root %.80q: a bundle must not", up.Subject)
		}
	}
	return nil
}

func readEntries(e *envelope, b *wireBundle, version string) *refusal {
	if n := len(b.Material.Entries); n > maxEntries {
		return refuse(stemma.ReasonLimit, "%d log entries, limit %d", n, maxEntries)
	}
	for i, w := range b.Material.Entries {
		if w == nil || w.LogID == nil || len(w.LogID.KeyID) == 0 || w.KindVersion == nil || len(w.Body) == 0 {
			return refuse(stemma.ReasonMalformed, "log entry %d lacks its logId, kindVersion or canonicalizedBody", i)
		}
		x := &entry{logID: w.LogID.KeyID, kind: w.KindVersion.Kind, version: w.KindVersion.Version, body: w.Body}
		var err error
		if x.index, err = integer(w.LogIndex); err == nil {
			x.time, err = integer(w.IntegratedTime)
		}
		if err != nil {
			return refuse(stemma.ReasonMalformed, "log entry %d: %v", i, err)
		}
		if w.Promise != nil {
			x.promise = w.Promise.SignedEntryTimestamp
		}
		if w.Proof != nil {
			if x.proof, err = readProof(w.Proof); err != nil {
				return malformed(fmt.Sprintf("inclusion proof of log entry %d", i), err)
			}
		}
		// "inclusion_promise … REQUIRED for v0.1 bundles"; "inclusion_proof … REQUIRED for v0.2 bundles" and later
		switch {
		case version == "v0.1" && len(x.promise) == 0:
			return refuse(stemma.ReasonLogInvalid, "log entry %d has no inclusion promise, which bundle v0.1 requires", i)
		case version != "v0.1" && x.proof == nil:
			return refuse(stemma.ReasonLogInvalid, "log entry %d has no inclusion proof, which bundle %s requires", i, version)
		}
		e.entries = append(e.entries, x)
	}
	return nil
}

func readProof(w *wireProof) (*proof, error) {
	if w.Checkpoint == nil || w.Checkpoint.Envelope == "" {
		return nil, errors.New("no checkpoint")
	}
	p := &proof{root: w.RootHash, hashes: w.Hashes, checkpoint: w.Checkpoint.Envelope}
	if len(p.hashes) > maxProof || len(p.checkpoint) > maxCheckpoint {
		return nil, &stemma.JSONError{Problem: fmt.Sprintf("%d hashes and a checkpoint of %d bytes, limits %d and %d", len(p.hashes), len(p.checkpoint), maxProof, maxCheckpoint), Limit: true}
	}
	var err error
	if p.index, err = integer(w.LogIndex); err != nil {
		return nil, err
	}
	p.size, err = integer(w.TreeSize)
	return p, err
}

func readTimestamps(e *envelope, b *wireBundle, _ string) *refusal {
	if b.Material.Timestamps == nil {
		return nil
	}
	for _, t := range b.Material.Timestamps.RFC3161 {
		e.timestamps = append(e.timestamps, t.SignedTimestamp)
	}
	return boundTimestamps(e)
}

func boundTimestamps(e *envelope) *refusal {
	if n := len(e.timestamps); n > maxTimestamps {
		return refuse(stemma.ReasonLimit, "%d timestamps, limit %d", n, maxTimestamps)
	}
	for _, t := range e.timestamps {
		if len(t) > maxToken {
			return refuse(stemma.ReasonLimit, "a timestamp of %d bytes, limit %d", len(t), maxToken)
		}
	}
	return nil
}

// integer reads a non-negative int64: in proto3 JSON a decimal string, and a number is accepted too. Absent is 0.
func integer(raw json.RawMessage) (int64, error) {
	text := string(raw)
	if text == "" || text == "null" {
		return 0, nil
	}
	if s, ok := strings.CutPrefix(text, `"`); ok {
		text = strings.TrimSuffix(s, `"`)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("integer %.30q: want a decimal number from 0 to 2^63-1", raw)
	}
	return n, nil
}
