package stemmatest

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync/atomic"
	"time"
)

// TSA is a timestamp authority (RFC 3161).
type TSA struct {
	URL    string
	Signer *Signer

	// Embed are the certificates that a token carries, in this order. Nil: that of the signer only.
	Embed []*x509.Certificate

	serial atomic.Int64
}

// The usages that a certificate may be given (RFC 5280 section 4.2.1.12), for TSA.WithUsage.
const (
	UsageServerAuth   = 1
	UsageCodeSigning  = 3
	UsageTimeStamping = 8
)

// newTSA makes an authority below the root with an ordinary signer: "The corresponding certificate MUST contain only
// one instance of the extended key usage field extension … with KeyPurposeID having value id-kp-timeStamping. This
// extension MUST be critical."
func newTSA(url string, issuer *CA, from, until time.Time) (*TSA, error) {
	t := &TSA{URL: url, Signer: &Signer{Chain: issuer.Chain()}}
	return t.issue(issuer, from, until, true, UsageTimeStamping)
}

// WithUsage is an authority with the same name and issuer whose signer's certificate has these usages, critical or
// not, in place of the only right one. None: no such extension.
func (t *TSA) WithUsage(issuer *CA, critical bool, usages ...int) (*TSA, error) {
	return t.issue(issuer, t.Signer.Certificate.NotBefore, t.Signer.Certificate.NotAfter, critical, usages...)
}

func (t *TSA) issue(issuer *CA, from, until time.Time, critical bool, usages ...int) (*TSA, error) {
	key, err := generate(ECDSAP256)
	if err != nil {
		return nil, fmt.Errorf("making timestamp authority: %w", err)
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{"stemmatest"}, CommonName: "timestamp signer"},
		NotBefore: from, NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if len(usages) > 0 {
		var ids []asn1.ObjectIdentifier
		for _, u := range usages {
			ids = append(ids, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, u})
		}
		value, err := asn1.Marshal(ids)
		if err != nil {
			return nil, fmt.Errorf("encoding usages: %w", err)
		}
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: critical, Value: value}}
	}
	cert, err := issuer.Issue(template, key.Public())
	if err != nil {
		return nil, err
	}
	return &TSA{URL: t.URL, Signer: &Signer{Key: key, Certificate: cert, Chain: issuer.Chain()}}, nil
}

// Timestamp is a TimeStampResp for message: the token of a signature is over its bytes.
func (t *TSA) Timestamp(message []byte, at time.Time) ([]byte, error) {
	return t.stamp(sumOf(crypto.SHA256, message), nil, at)
}

// stamp is Timestamp for a message of which the SHA-256 is known, in answer to a question with a nonce, or with none.
func (t *TSA) stamp(imprint []byte, nonce *big.Int, at time.Time) ([]byte, error) {
	cert := t.Signer.Certificate
	if cert == nil {
		return nil, errors.New("timestamping: the authority's signer has no certificate")
	}
	const h = crypto.SHA256
	alg, err := hashOID(h)
	if err != nil {
		return nil, err
	}
	said := [][]byte{
		derInt(big.NewInt(1)),
		derOID(1, 3, 6, 1, 4, 1, 57264, 2),
		tlv(tagSequence, alg, tlv(tagOctetString, imprint)),
		derInt(big.NewInt(1_000_000 + t.serial.Add(1))),
		tlv(tagGeneralizedTime, []byte(at.UTC().Format("20060102150405Z"))),
	}
	if nonce != nil {
		said = append(said, derInt(nonce))
	}
	info := tlv(tagSequence, said...)
	attributes, err := t.attributes(h, info)
	if err != nil {
		return nil, err
	}
	// "a separate encoding of the signedAttrs field is performed for message digest calculation. The IMPLICIT [0] tag
	// … is not used" (RFC 5652 section 5.4)
	sig, err := t.Signer.Sign(tlv(tagSet, attributes))
	if err != nil {
		return nil, fmt.Errorf("signing timestamp: %w", err)
	}
	signer := tlv(tagSequence,
		derInt(big.NewInt(1)),
		tlv(tagSequence, cert.RawIssuer, derInt(cert.SerialNumber)),
		alg,
		tlv(tagContext0, attributes),
		tlv(tagSequence, derOID(1, 2, 840, 10045, 4, 3, 2)), // ecdsa-with-SHA256
		tlv(tagOctetString, sig),
	)
	embed := t.Embed
	if embed == nil {
		embed = []*x509.Certificate{cert}
	}
	var certificates []byte
	for _, c := range embed {
		certificates = append(certificates, c.Raw...)
	}
	parts := [][]byte{
		derInt(big.NewInt(3)),
		tlv(tagSet, alg),
		tlv(tagSequence, derOID(1, 2, 840, 113549, 1, 9, 16, 1, 4), tlv(tagContext0, tlv(tagOctetString, info))),
	}
	if len(embed) > 0 {
		parts = append(parts, tlv(tagContext0, certificates))
	}
	parts = append(parts, tlv(tagSet, signer))
	return tlv(tagSequence,
		tlv(tagSequence, derInt(big.NewInt(0))), // granted
		tlv(tagSequence, derOID(1, 2, 840, 113549, 1, 7, 2), tlv(tagContext0, tlv(tagSequence, parts...))),
	), nil
}

// attributes are the signed attributes in DER order: content type, message digest and the signer's certificate by
// its hash (RFC 5816, ESSCertIDv2 with its default of SHA-256).
func (t *TSA) attributes(h crypto.Hash, info []byte) ([]byte, error) {
	cert := t.Signer.Certificate
	set := [][]byte{
		tlv(tagSequence, derOID(1, 2, 840, 113549, 1, 9, 3), tlv(tagSet, derOID(1, 2, 840, 113549, 1, 9, 16, 1, 4))),
		tlv(tagSequence, derOID(1, 2, 840, 113549, 1, 9, 4), tlv(tagSet, tlv(tagOctetString, sumOf(h, info)))),
		tlv(tagSequence, derOID(1, 2, 840, 113549, 1, 9, 16, 2, 47),
			tlv(tagSet, tlv(tagSequence, tlv(tagSequence, tlv(tagSequence, tlv(tagOctetString, sumOf(crypto.SHA256, cert.Raw))))))),
	}
	slices.SortFunc(set, bytes.Compare)
	return slices.Concat(set...), nil
}
