package stemmatest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// Algorithm names the kind of a key to make.
type Algorithm string

// The kinds of keys. The last two are too weak for a verifier to accept.
const (
	ECDSAP256 Algorithm = "ecdsa-p256"
	ECDSAP384 Algorithm = "ecdsa-p384"
	ECDSAP521 Algorithm = "ecdsa-p521"
	RSA2048   Algorithm = "rsa-2048"
	Ed25519   Algorithm = "ed25519"
	RSA1024   Algorithm = "rsa-1024"
	ECDSAP224 Algorithm = "ecdsa-p224"
)

// Signer is a private key and what names it: the certificate it was issued, or the hint of a managed key.
type Signer struct {
	Key         crypto.Signer
	Certificate *x509.Certificate   // nil for a managed key
	Chain       []*x509.Certificate // issuers of Certificate, root last
	Hint        string              // key id under which a verifier finds a managed key

	// Hash replaces the hash that goes with the key: SHA-256 for RSA and ECDSA on P-256, SHA-384 on P-384, SHA-512 on
	// P-521, none for Ed25519. SHA-512 with an Ed25519 key makes Ed25519ph (RFC 8032 section 5.1).
	Hash crypto.Hash
}

// NewKey makes a managed key.
func NewKey(a Algorithm, hint string) (*Signer, error) {
	key, err := generate(a)
	if err != nil {
		return nil, fmt.Errorf("making key %s: %w", hint, err)
	}
	return &Signer{Key: key, Hint: hint}, nil
}

func generate(a Algorithm) (crypto.Signer, error) {
	switch a {
	case ECDSAP224:
		return ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	case ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case ECDSAP521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case RSA1024:
		return rsa.GenerateKey(rand.Reader, 1024)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("unknown algorithm %q", a)
}

// Sign signs message. ECDSA and RSA signatures are over its hash; ECDSA is randomised, so that signing twice yields
// two valid signatures.
func (s *Signer) Sign(message []byte) ([]byte, error) {
	h := s.hash()
	if h == 0 {
		return s.Key.Sign(rand.Reader, message, crypto.Hash(0))
	}
	sum := h.New()
	sum.Write(message)
	return s.Key.Sign(rand.Reader, sum.Sum(nil), h)
}

// hash is the hash that Sign applies, or zero.
func (s *Signer) hash() crypto.Hash {
	if s.Hash != 0 {
		return s.Hash
	}
	switch k := s.Key.Public().(type) {
	case ed25519.PublicKey:
		return 0
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P384():
			return crypto.SHA384
		case elliptic.P521():
			return crypto.SHA512
		}
	}
	return crypto.SHA256
}

// PublicKey is the DER encoding of the SubjectPublicKeyInfo (RFC 5280), or nil for a key that has none.
func (s *Signer) PublicKey() []byte { return publicKey(s.Key) }

// PublicKeyPEM is PublicKey in PEM (RFC 7468).
func (s *Signer) PublicKeyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: s.PublicKey()})
}

// VerifierPEM is what a transparency log records: the certificate, or the public key where there is none.
func (s *Signer) VerifierPEM() []byte {
	if s.Certificate == nil {
		return s.PublicKeyPEM()
	}
	return certificatePEM(s.Certificate)
}

// keyDetails is the name of the key's algorithm in Sigstore's protobuf-specs.
func keyDetails(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return "PKIX_ECDSA_P256_SHA_256"
		case elliptic.P384():
			return "PKIX_ECDSA_P384_SHA_384"
		case elliptic.P521():
			return "PKIX_ECDSA_P521_SHA_512"
		}
	case *rsa.PublicKey:
		return fmt.Sprintf("PKIX_RSA_PKCS1V15_%d_SHA256", k.N.BitLen())
	case ed25519.PublicKey:
		return "PKIX_ED25519"
	}
	return "PUBLIC_KEY_DETAILS_UNSPECIFIED"
}

func publicKey(key crypto.Signer) []byte {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil
	}
	return der
}

// keyID is the identity of a log: the SHA-256 of its public key (RFC 6962 section 3.2).
func keyID(key crypto.Signer) []byte {
	sum := sha256.Sum256(publicKey(key))
	return sum[:]
}

func certificatePEM(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}
