package stemmatest

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"stemma"
)

// Media types of Sigstore bundles. That of v0.3 has two spellings; the second is the one now written.
const (
	MediaTypeV01      = "application/vnd.dev.sigstore.bundle+json;version=0.1"
	MediaTypeV02      = "application/vnd.dev.sigstore.bundle+json;version=0.2"
	MediaTypeV03Param = "application/vnd.dev.sigstore.bundle+json;version=0.3"
	MediaTypeV03      = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// Media types of the layers that cosign stores.
const (
	MediaTypeDSSE          = "application/vnd.dsse.envelope.v1+json"
	MediaTypeSimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	MediaTypeInToto        = "application/vnd.in-toto+json"
)

// PayloadTypeInToto is the payload type of a statement.
const PayloadTypeInToto = stemma.PayloadTypeInToto

// Envelope is a DSSE envelope.
type Envelope struct {
	Payload     []byte      `json:"payload"`
	PayloadType string      `json:"payloadType"`
	Signatures  []Signature `json:"signatures"`
}

// Signature is one signature of an envelope.
type Signature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
}

// PAE is what the signatures are over:
// "DSSEv1" + SP + LEN(type) + SP + type + SP + LEN(body) + SP + body.
func (e *Envelope) PAE() []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(e.Payload), e.Payload)
}

// JSON encodes the envelope.
func (e *Envelope) JSON() []byte { return canonical(e) }

// Sign adds a signature without key id, as cosign does. A key id is a hint that nothing protects.
func (e *Envelope) Sign(s *Signer) error {
	sig, err := s.Sign(e.PAE())
	if err != nil {
		return fmt.Errorf("signing envelope: %w", err)
	}
	e.Signatures = append(e.Signatures, Signature{Sig: sig})
	return nil
}

// Seal makes an envelope with one signature of each signer.
func Seal(payloadType string, payload []byte, signers ...*Signer) (*Envelope, error) {
	e := &Envelope{PayloadType: payloadType, Payload: payload, Signatures: []Signature{}}
	for _, s := range signers {
		if err := e.Sign(s); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Signed is a signature with everything that goes along with it, before it is put into one of the forms in which it
// is stored. Every field may be exchanged.
type Signed struct {
	Signer *Signer

	Envelope  *Envelope // either an envelope
	Message   []byte    // or a message and its signature
	Signature []byte

	Entries    []*Entry // log entries
	Timestamps [][]byte // RFC 3161 responses

	MediaType string              // of the bundle; empty: MediaTypeV03. MediaTypeDSSE: to be stored as cosign does
	Chain     []*x509.Certificate // in place of what the version prescribes; empty but not nil: a chain of none
}

// Resign replaces the signature by another of the same signer over the same bytes. Log entries and timestamps stay
// what they were.
func (x *Signed) Resign() error {
	if x.Envelope == nil {
		sig, err := x.Signer.Sign(x.Message)
		x.Signature = sig
		return err
	}
	x.Envelope = &Envelope{Payload: x.Envelope.Payload, PayloadType: x.Envelope.PayloadType}
	return x.Envelope.Sign(x.Signer)
}

// Log appends an entry about the signature as it now is.
func (x *Signed) Log(log *Log, kind EntryKind, at time.Time) error {
	e, err := log.Append(kind, Content{Signer: x.Signer, Envelope: x.Envelope, Message: x.Message, Signature: x.Signature}, at)
	if err != nil {
		return err
	}
	x.Entries = append(x.Entries, e)
	return nil
}

// Timestamp adds a timestamp over the signature as it now is; in cosign's layout for attestations it is over the
// whole envelope as it is stored.
func (x *Signed) Timestamp(t *TSA, at time.Time) error {
	_, message := Content{Envelope: x.Envelope, Message: x.Message, Signature: x.Signature}.signed()
	if x.MediaType == MediaTypeDSSE {
		message = x.Envelope.JSON()
	}
	token, err := t.Timestamp(message, at)
	if err != nil {
		return err
	}
	x.Timestamps = append(x.Timestamps, token)
	return nil
}

// Bundle encodes a Sigstore bundle.
func (x *Signed) Bundle() []byte {
	mediaType := x.MediaType
	if mediaType == "" {
		mediaType = MediaTypeV03
	}
	material := x.material(mediaType)
	var entries []object
	for _, e := range x.Entries {
		entries = append(entries, e.bundled())
	}
	if len(entries) > 0 {
		material["tlogEntries"] = entries
	}
	var stamps []object
	for _, t := range x.Timestamps {
		stamps = append(stamps, object{"signedTimestamp": t})
	}
	if len(stamps) > 0 {
		material["timestampVerificationData"] = object{"rfc3161Timestamps": stamps}
	}
	b := object{"mediaType": mediaType, "verificationMaterial": material}
	if x.Envelope != nil {
		b["dsseEnvelope"] = x.Envelope
	} else {
		h := Content{Signer: x.Signer}.prehash()
		b["messageSignature"] = object{
			"messageDigest": object{"algorithm": "SHA2_" + hashName(h)[3:], "digest": sumOf(h, x.Message)},
			"signature":     x.Signature,
		}
	}
	return canonical(b)
}

// material names the signer: "certificate" from v0.3 on, before it "x509CertificateChain", which may not hold the
// root, or the hint of a key.
func (x *Signed) material(mediaType string) object {
	cert := x.Signer.Certificate
	chain := x.Chain
	switch {
	case chain == nil && cert == nil:
		return object{"publicKey": object{"hint": x.Signer.Hint}}
	case chain == nil && (mediaType == MediaTypeV01 || mediaType == MediaTypeV02):
		chain = append([]*x509.Certificate{cert}, x.Signer.Chain...)
		chain = chain[:max(len(chain)-1, 1)]
	case chain == nil:
		return object{"certificate": object{"rawBytes": cert.Raw}}
	}
	raw := []object{}
	for _, c := range chain {
		raw = append(raw, object{"rawBytes": c.Raw})
	}
	return object{"x509CertificateChain": object{"certificates": raw}}
}

// bundled is the TransparencyLogEntry of protobuf-specs in its JSON form, in which 64-bit integers are strings.
func (e *Entry) bundled() object {
	kind, version, _ := strings.Cut(string(e.Kind), " ")
	o := object{
		"logIndex":          strconv.FormatInt(e.Index, 10),
		"logId":             object{"keyId": e.LogID},
		"kindVersion":       object{"kind": kind, "version": version},
		"canonicalizedBody": e.Body,
	}
	if e.Time != 0 {
		o["integratedTime"] = strconv.FormatInt(e.Time, 10)
	}
	if e.SET != nil {
		o["inclusionPromise"] = object{"signedEntryTimestamp": e.SET}
	}
	if p := e.Proof; p != nil {
		hashes := p.Hashes
		if hashes == nil {
			hashes = [][]byte{}
		}
		o["inclusionProof"] = object{
			"logIndex": strconv.FormatInt(p.Index, 10), "treeSize": strconv.FormatInt(p.Size, 10),
			"rootHash": p.Root, "hashes": hashes, "checkpoint": object{"envelope": p.Checkpoint},
		}
	}
	return o
}

// Layer is a blob with its annotations, as it stands in a manifest.
type Layer struct {
	MediaType   string
	Data        []byte
	Annotations map[string]string
	URLs        []string // where it is said to be; then the registry does not have it (CVE-2020-15157)
}

// Raw is the layer as found evidence, filed under the manifest of.
func (l Layer) Raw(place string, of stemma.Digest) stemma.Raw {
	format := stemma.FormatBundle
	switch l.MediaType {
	case MediaTypeDSSE:
		format = stemma.FormatDSSE
	case MediaTypeSimpleSigning:
		format = stemma.FormatSimpleSigning
	case MediaTypeInToto:
		format = stemma.FormatStatement
	}
	return stemma.Raw{Format: format, Data: l.Data, Annotations: l.Annotations, Place: place, Of: of}
}

// predicateType is that of the statement in the envelope, for annotations; "" where there is none.
func (x *Signed) predicateType() string {
	if x.Envelope == nil {
		return ""
	}
	var s stemma.Statement
	if err := stemma.DecodeJSON(x.Envelope.Payload, &s); err != nil {
		return "" // a payload that is no statement has none
	}
	return s.PredicateType
}

// BundleLayer is the bundle as the layer of a referrer.
func (x *Signed) BundleLayer() Layer {
	mediaType := x.MediaType
	if mediaType == "" {
		mediaType = MediaTypeV03
	}
	return Layer{MediaType: mediaType, Data: x.Bundle()}
}

// CosignAttestation is the signed envelope as a layer of cosign's .att manifest.
func (x *Signed) CosignAttestation() (Layer, error) {
	if x.Envelope == nil {
		return Layer{}, errors.New("storing an attestation: it is not in an envelope")
	}
	l := Layer{MediaType: MediaTypeDSSE, Data: x.Envelope.JSON(), Annotations: x.cosign()}
	l.Annotations["dev.cosignproject.cosign/signature"] = ""
	l.Annotations["predicateType"] = x.predicateType()
	return l, nil
}

// CosignSignature is the signed message, a payload made by SimpleSigning, as a layer of cosign's .sig manifest.
func (x *Signed) CosignSignature() (Layer, error) {
	if x.Envelope != nil {
		return Layer{}, errors.New("storing a signature: it is in an envelope")
	}
	l := Layer{MediaType: MediaTypeSimpleSigning, Data: x.Message, Annotations: x.cosign()}
	l.Annotations["dev.cosignproject.cosign/signature"] = base64.StdEncoding.EncodeToString(x.Signature)
	return l, nil
}

// cosign is what cosign keeps in annotations: certificate, chain, the first log entry that has a promise, and the
// first timestamp.
func (x *Signed) cosign() map[string]string {
	a := map[string]string{}
	if x.Signer.Certificate != nil {
		a["dev.sigstore.cosign/certificate"] = string(certificatePEM(x.Signer.Certificate))
		chain := x.Chain
		if chain == nil {
			chain = x.Signer.Chain
		}
		a["dev.sigstore.cosign/chain"] = string(certificatePEM(chain...))
	}
	for _, e := range x.Entries {
		if e.SET != nil {
			a["dev.sigstore.cosign/bundle"] = string(canonical(object{"SignedEntryTimestamp": e.SET, "Payload": e.promised()}))
			break
		}
	}
	if len(x.Timestamps) > 0 {
		a["dev.sigstore.cosign/rfc3161timestamp"] = string(canonical(object{"SignedRFC3161Timestamp": x.Timestamps[0]}))
	}
	return a
}

// SimpleSigning is the payload that cosign signs for an image.
func SimpleSigning(repository string, digest stemma.Digest) []byte {
	return canonical(object{
		"critical": object{
			"identity": object{"docker-reference": repository},
			"image":    object{"docker-manifest-digest": digest},
			"type":     "cosign container image signature",
		},
		"optional": nil,
	})
}
