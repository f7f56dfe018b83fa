package stemmatest

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"sync/atomic"
	"time"
)

// CA is a certificate authority, root or intermediate.
type CA struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	Parent      *CA // nil for a root
	URL         string

	serial atomic.Int64
}

// NewCA makes a self-signed root, valid from and until the given times.
func NewCA(name string, from, until time.Time) (*CA, error) {
	c := &CA{}
	if err := c.certify(name, from, until, nil, nil); err != nil {
		return nil, fmt.Errorf("making root %s: %w", name, err)
	}
	return c, nil
}

// Intermediate makes an authority below c, with its own validity. With usages given it may issue for those only.
func (c *CA) Intermediate(name string, from, until time.Time, usage ...x509.ExtKeyUsage) (*CA, error) {
	sub := &CA{Parent: c, URL: c.URL}
	if err := sub.certify(name, from, until, c, usage); err != nil {
		return nil, fmt.Errorf("making intermediate %s: %w", name, err)
	}
	return sub, nil
}

func (c *CA) certify(name string, from, until time.Time, parent *CA, usage []x509.ExtKeyUsage) error {
	key, err := generate(ECDSAP256)
	if err != nil {
		return err
	}
	c.Key = key
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"stemmatest"}, CommonName: name},
		NotBefore:             from,
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           usage,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	if parent == nil {
		template.SerialNumber = big.NewInt(1)
		c.Certificate, err = create(template, template, key.Public(), key)
		return err
	}
	c.Certificate, err = parent.Issue(template, key.Public())
	return err
}

// Issue signs a certificate as the template has it; a serial number is added where it has none.
func (c *CA) Issue(template *x509.Certificate, key crypto.PublicKey) (*x509.Certificate, error) {
	if template.SerialNumber == nil {
		template.SerialNumber = big.NewInt(1000 + c.serial.Add(1))
	}
	return create(template, c.Certificate, key, c.Key)
}

func create(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading issued certificate: %w", err)
	}
	return cert, nil
}

// Chain is the authority's own certificate and those above it, root last.
func (c *CA) Chain() []*x509.Certificate {
	if c == nil {
		return nil
	}
	return append([]*x509.Certificate{c.Certificate}, c.Parent.Chain()...)
}

// CTLog is a certificate transparency log (RFC 6962). It signs timestamps and keeps no tree.
type CTLog struct {
	URL string
	Key crypto.Signer
}

// sct is a SignedCertificateTimestamp over a precertificate (RFC 6962 section 3.2).
func (l *CTLog) sct(tbs []byte, issuer *x509.Certificate, at time.Time) ([]byte, error) {
	stamp := uint64(at.UnixMilli())
	issuerKey := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)

	signed := []byte{0, 0} // v1, certificate_timestamp
	signed = binary.BigEndian.AppendUint64(signed, stamp)
	signed = append(signed, 0, 1) // precert_entry
	signed = append(signed, issuerKey[:]...)
	signed = append(signed, byte(len(tbs)>>16), byte(len(tbs)>>8), byte(len(tbs)))
	signed = append(signed, tbs...)
	signed = append(signed, 0, 0) // no extensions
	sig, err := (&Signer{Key: l.Key}).Sign(signed)
	if err != nil {
		return nil, fmt.Errorf("signing certificate timestamp: %w", err)
	}

	out := []byte{0}
	out = append(out, keyID(l.Key)...)
	out = binary.BigEndian.AppendUint64(out, stamp)
	out = append(out, 0, 0) // no extensions
	out = append(out, 4, 3) // SHA-256, ECDSA (RFC 5246 section 7.4.1.4.1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(sig)))
	return append(out, sig...), nil
}

// withSCTs issues the template with one embedded timestamp of each log. The timestamps cover the certificate without
// their own extension, which therefore stands last.
func (c *CA) withSCTs(template *x509.Certificate, key crypto.PublicKey, logs []*CTLog, at time.Time) (*x509.Certificate, error) {
	pre, err := c.Issue(template, key)
	if err != nil || len(logs) == 0 {
		return pre, err
	}
	var list []byte
	for _, l := range logs {
		sct, err := l.sct(pre.RawTBSCertificate, c.Certificate, at)
		if err != nil {
			return nil, err
		}
		list = binary.BigEndian.AppendUint16(list, uint16(len(sct)))
		list = append(list, sct...)
	}
	list = append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...)
	final := *template
	final.ExtraExtensions = append(slices.Clone(template.ExtraExtensions), pkix.Extension{
		Id:    asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2},
		Value: tlv(tagOctetString, list),
	})
	return c.Issue(&final, key)
}
