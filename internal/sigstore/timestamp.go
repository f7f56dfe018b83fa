package sigstore

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/sigstore/sigstore-go/pkg/root"

	"stemma"
)

// checkTimestamps verifies the RFC 3161 timestamps that name an authority of the domain: each of them must hold, and
// every time that they prove must fall into the window of the certificate or key. If one that does were enough, or only
// the first of an authority counted, an expired key's holder could add or reorder timestamps until it passes. That all
// count, sorted, makes the result the same in any order. A timestamp of another authority proves nothing and counts for
// nothing.
func (d *Domain) checkTimestamps(e *envelope) ([]stemma.SignedTime, *refusal) {
	var out []stemma.SignedTime
	over := e.stamped
	if over == nil {
		over = e.signatures[0].sig
	}
	for _, token := range e.timestamps {
		signer, err := checkToken(token)
		if err != nil {
			return nil, refuse(stemma.ReasonTimestampInvalid, "timestamp: %v", err)
		}
		if !d.knowsAuthority(signer) {
			continue
		}
		t, err := d.stampedBy(token, over)
		if err != nil {
			return nil, refuse(stemma.ReasonTimestampInvalid, "no timestamp authority of trust domain %s verifies the timestamp: %.300s", d.name, err.Error())
		}
		// What says the same twice counts once.
		if at := (stemma.SignedTime{Time: t.Time.UTC(), By: "timestamp", From: t.URI}); !slices.Contains(out, at) {
			out = append(out, at)
		}
	}
	slices.SortFunc(out, func(x, y stemma.SignedTime) int {
		return cmp.Or(x.Time.Compare(y.Time), cmp.Compare(x.From, y.From))
	})
	if len(out) == 0 && d.timestamp == Required {
		return nil, refuse(stemma.ReasonTimeMissing, "no signed timestamp of an authority of trust domain %s, which requires one; %d of others", d.name, len(e.timestamps))
	}
	return out, nil
}

// knowsAuthority reports whether a token names an authority of the domain as its signer: by the certificate, where the
// trusted root holds it, or else by whoever issued the certificate.
func (d *Domain) knowsAuthority(signer issuerAndSerial) bool {
	for _, a := range d.authorities {
		tsa, ok := a.(*root.SigstoreTimestampingAuthority)
		if !ok {
			return true
		}
		if tsa.Leaf != nil {
			if bytes.Equal(tsa.Leaf.RawIssuer, signer.Issuer.FullBytes) && tsa.Leaf.SerialNumber.Cmp(signer.Serial) == 0 {
				return true
			}
			continue
		}
		for _, c := range append([]*x509.Certificate{tsa.Root}, tsa.Intermediates...) {
			if c != nil && bytes.Equal(c.RawSubject, signer.Issuer.FullBytes) {
				return true
			}
		}
	}
	return false
}

func (d *Domain) stampedBy(token, over []byte) (*root.Timestamp, error) {
	var errs []error
	for _, a := range d.authorities {
		t, err := a.Verify(token, over)
		if err == nil {
			return t, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// The parts of a TimeStampResp that the verifier behind sigstore-go does not look at (RFC 3161, RFC 5652).
type timeStampResp struct {
	Status asn1.RawValue
	Token  contentInfo
}

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content signedData `asn1:"explicit,tag:0"`
}

type signedData struct {
	Version      int
	Digests      asn1.RawValue `asn1:"set"`
	Encapsulated struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}
	Certificates asn1.RawValue `asn1:"optional,tag:0"`
	CRLs         asn1.RawValue `asn1:"optional,tag:1"`
	Signers      []signerInfo  `asn1:"set"`
}

type signerInfo struct {
	Version          int
	IssuerAndSerial  issuerAndSerial
	DigestAlgorithm  algorithmIdentifier
	SignedAttributes []attribute `asn1:"optional,omitempty,tag:0,set"`
	Algorithm        algorithmIdentifier
	Signature        []byte
	Unsigned         asn1.RawValue `asn1:"optional,tag:1"`
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

type algorithmIdentifier struct {
	Algorithm  asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

type attribute struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

// checkToken holds the form of a timestamp to what its signature relies on:
//
//   - DER only, with nothing after it, so that two readers see the same token
//   - "The content type … id-ct-TSTInfo" inside and in a signed attribute: a signature over something else than a
//     timestamp is not one (the PKCS #7 library does not compare the two)
//   - "The time-stamp token MUST NOT contain any signatures other than the signature of the TSA"
//   - signed attributes there: without them the signature is over the bare content, which an attacker may choose to be
//     the attributes of another message
//   - the message digest made with SHA-2
//
// It returns whom the token names as its signer, unproven.
func checkToken(der []byte) (issuerAndSerial, error) {
	var none issuerAndSerial
	var resp timeStampResp
	rest, err := asn1.Unmarshal(der, &resp)
	switch {
	case err != nil:
		return none, fmt.Errorf("reading RFC 3161 response: %w", err)
	case len(rest) != 0:
		return none, errors.New("bytes after the RFC 3161 response")
	}
	tstInfo := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	sd := resp.Token.Content
	switch {
	case !resp.Token.Type.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}):
		return none, errors.New("the token is not signed data")
	case !sd.Encapsulated.Type.Equal(tstInfo):
		return none, fmt.Errorf("the token holds content of type %v: want a timestamp", sd.Encapsulated.Type)
	case len(sd.Signers) != 1:
		return none, fmt.Errorf("%d signers: want exactly one", len(sd.Signers))
	}
	s := sd.Signers[0]
	if s.IssuerAndSerial.Serial == nil {
		return none, errors.New("the signer has no serial number")
	}
	sha2 := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2}
	if alg := s.DigestAlgorithm.Algorithm; len(alg) != len(sha2)+1 || !alg[:len(sha2)].Equal(sha2) || alg[len(sha2)] < 1 || alg[len(sha2)] > 3 {
		return none, fmt.Errorf("digest algorithm %v: want SHA-256, SHA-384 or SHA-512", alg)
	}
	types := 0
	for _, a := range s.SignedAttributes {
		if !a.Type.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}) {
			continue
		}
		var got asn1.ObjectIdentifier
		if len(a.Values) != 1 {
			return none, errors.New("a content type attribute without exactly one value")
		}
		if rest, err := asn1.Unmarshal(a.Values[0].FullBytes, &got); err != nil || len(rest) != 0 || !got.Equal(tstInfo) {
			return none, errors.New("the signed content type is not that of a timestamp")
		}
		types++
	}
	if types != 1 {
		return none, fmt.Errorf("%d signed content types: want exactly one", types)
	}
	return s.IssuerAndSerial, nil
}
