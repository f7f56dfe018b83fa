package sigstore

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"

	"stemma"
)

// Bounds of one piece of evidence.
const (
	maxEntries     = 16
	maxTimestamps  = 16
	maxSignatures  = 16
	maxChain       = 10
	maxToken       = 64 << 10 // bytes of one timestamp
	maxCheckpoint  = 64 << 10
	maxProof       = 64 // hashes of an inclusion proof: a tree of 2^64 leaves
	maxCertificate = 64 << 10
	maxAnnotations = 4 << 20 // a manifest is not larger
)

// envelope is a piece of evidence read and not yet verified, whatever form it had.
type envelope struct {
	format string // for people, with version

	// What is signed: a DSSE envelope, the payload of a simple signing layer, or a message known by its digest.
	kind        content
	payloadType string
	payload     []byte
	digest      []byte // of the message, made with hash
	hash        crypto.Hash
	signatures  []sealed

	// Who says so, and by when. A bare DSSE envelope has its certificates with its signatures.
	leaf       *x509.Certificate
	hint       string
	entries    []*entry
	timestamps [][]byte
	stamped    []byte // what timestamps are over; nil: the signature
	logged     []byte // the envelope as intoto 0.0.1 hashed it
	bare       bool   // several signers are possible
	signed     *signed
	unframed   *signed // the payload alone, of a DSSE envelope: what keys sign that do not know of its framing
}

type content int

const (
	isDSSE content = iota
	isSimpleSigning
	isMessage
)

// sealed is one signature.
type sealed struct {
	keyID string
	sig   []byte
	leaf  *x509.Certificate // bare envelopes only
}

// signed is what signatures are over, and its digests, each made once: an attacker chooses how large a payload is and
// how many signatures are tried with every key. Only pure Ed25519 reads the bytes each time.
type signed struct {
	bytes []byte
	sums  map[crypto.Hash][]byte
}

// newSigned is for everything but a message, of which only the digest is known. For DSSE:
//
//	PAE(type, body) = "DSSEv1" + SP + LEN(type) + SP + type + SP + LEN(body) + SP + body
func newSigned(e *envelope) *signed {
	s := &signed{bytes: e.payload, sums: map[crypto.Hash][]byte{}}
	if e.kind == isDSSE {
		head := fmt.Sprintf("DSSEv1 %d %s %d ", len(e.payloadType), e.payloadType, len(e.payload))
		s.bytes = append([]byte(head), e.payload...)
	}
	return s
}

func (s *signed) sum(h crypto.Hash) []byte {
	if s.sums[h] == nil {
		s.sums[h] = sumOf(h, s.bytes)
	}
	return s.sums[h]
}

// verify checks a signature over the bytes as verifyMessage does.
func (s *signed) verify(pub crypto.PublicKey, sig []byte) error {
	if h := hashOf(pub); h != 0 {
		return verifyDigest(pub, s.sum(h), sig)
	}
	return verifyMessage(pub, s.bytes, sig)
}

func annotationBytes(raw stemma.Raw) int {
	size := 0
	for k, v := range raw.Annotations {
		size += len(k) + len(v)
	}
	return size
}

// read reads what is signed and by whom, and verifies nothing.
func read(raw stemma.Raw) (*envelope, *refusal) {
	e, ref := readForm(raw)
	if ref == nil {
		e.signed = newSigned(e)
		if e.kind == isDSSE && e.payloadType == stemma.PayloadTypeInToto {
			e.unframed = &signed{bytes: e.payload, sums: map[crypto.Hash][]byte{}}
		}
	}
	return e, ref
}

// readForm dispatches on the form. The form is what the finder took the bytes for; reading decides.
func readForm(raw stemma.Raw) (*envelope, *refusal) {
	if len(raw.Data) > stemma.MaxJSONBytes {
		return nil, refuse(stemma.ReasonLimit, "%d bytes, limit %d", len(raw.Data), stemma.MaxJSONBytes)
	}
	if annotationBytes(raw) > maxAnnotations {
		return nil, refuse(stemma.ReasonLimit, "annotations of more than %d bytes", maxAnnotations)
	}
	switch raw.Format {
	case stemma.FormatBundle:
		return readBundle(raw.Data)
	case stemma.FormatDSSE:
		return readDSSE(raw)
	case stemma.FormatSimpleSigning:
		return readSimpleSigning(raw)
	case stemma.FormatStatement:
		return nil, refuse(stemma.ReasonSignatureCount, "a bare statement: nobody signed it")
	}
	return nil, refuse(stemma.ReasonUnsupported, "form %.40q is not known", raw.Format)
}

// parseCertificate parses the certificate of a signer, DER.
func parseCertificate(der []byte) (*x509.Certificate, *refusal) {
	switch {
	case len(der) == 0:
		return nil, refuse(stemma.ReasonMalformed, "an empty signing certificate")
	case len(der) > maxCertificate:
		return nil, refuse(stemma.ReasonLimit, "a certificate of %d bytes, limit %d", len(der), maxCertificate)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, refuse(stemma.ReasonMalformed, "parsing signing certificate: %v", err)
	}
	// crypto/x509 does not know Fulcio's user names, and so takes a critical extension that holds nothing else for one
	// that nobody understands. onlyName reads every name.
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, func(id asn1.ObjectIdentifier) bool { return id.Equal(oidNames()) })
	return leaf, nil
}

func pemCertificate(text string) (*x509.Certificate, *refusal) {
	if len(text) > maxPEM {
		return nil, refuse(stemma.ReasonLimit, "a certificate of %d bytes in PEM, limit %d", len(text), maxPEM)
	}
	der, err := onePEM([]byte(text), "CERTIFICATE")
	if err != nil {
		return nil, refuse(stemma.ReasonMalformed, "signing certificate: %v", err)
	}
	return parseCertificate(der)
}
