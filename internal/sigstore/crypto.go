package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // crypto.SHA256
	_ "crypto/sha512" // crypto.SHA384, crypto.SHA512
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"stemma"
)

// Bounds of RSA keys, in bits. The upper one bounds the time of a verification.
const (
	minRSA = 2048
	maxRSA = 8192
)

// refusal says why a piece of evidence does not hold.
type refusal struct {
	reason stemma.Reason
	detail string
}

// maxDetail bounds in runes what a rejection says: it quotes the evidence, and is kept.
const maxDetail = 600

func refuse(reason stemma.Reason, format string, args ...any) *refusal {
	return &refusal{reason, stemma.Printable(fmt.Sprintf(format, args...), maxDetail)}
}

// checkKey refuses keys outside of Sigstore's algorithm registry or below its floor.
func checkKey(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fmt.Errorf("an ECDSA key on %s: want P-256, P-384 or P-521", k.Curve.Params().Name)
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return fmt.Errorf("an RSA key of %d bits: want %d to %d", n, minRSA, maxRSA)
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("a key of type %T: want ECDSA, RSA or Ed25519", pub)
}

// hashOf is the one hash that signatures of a key are over. A second choice (SHA-256 with P-384) would be another
// signature scheme that nobody asked for. Ed25519 has none of its own.
func hashOf(pub crypto.PublicKey) crypto.Hash {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P384():
			return crypto.SHA384
		case elliptic.P521():
			return crypto.SHA512
		}
		return crypto.SHA256
	case *rsa.PublicKey:
		return crypto.SHA256
	}
	return 0
}

// prehashOf is hashOf where only a digest is known; for Ed25519 that is Ed25519ph (RFC 8032 section 5.1).
func prehashOf(pub crypto.PublicKey) crypto.Hash {
	if h := hashOf(pub); h != 0 {
		return h
	}
	return crypto.SHA512
}

// keyDetails is the name of the key's algorithm in a Rekor v2 entry (protobuf-specs, PublicKeyDetails).
func keyDetails(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P384():
			return "PKIX_ECDSA_P384_SHA_384"
		case elliptic.P521():
			return "PKIX_ECDSA_P521_SHA_512"
		}
		return "PKIX_ECDSA_P256_SHA_256"
	case *rsa.PublicKey:
		return fmt.Sprintf("PKIX_RSA_PKCS1V15_%d_SHA256", k.N.BitLen())
	}
	return "PKIX_ED25519_PH"
}

var errSignature = errors.New("the signature does not verify")

// verifyMessage checks a signature over a message: ECDSA (ASN.1) and RSA PKCS #1 v1.5 over its hash, pure Ed25519.
func verifyMessage(pub crypto.PublicKey, message, sig []byte) error {
	if k, ok := pub.(ed25519.PublicKey); ok {
		if !ed25519.Verify(k, message, sig) {
			return errSignature
		}
		return nil
	}
	return verifyDigest(pub, sumOf(hashOf(pub), message), sig)
}

// verifyDigest checks a signature over a digest made with prehashOf(pub).
func verifyDigest(pub crypto.PublicKey, digest, sig []byte) error {
	h := prehashOf(pub)
	if len(digest) != h.Size() {
		return fmt.Errorf("a digest of %d bytes: want %s", len(digest), h)
	}
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if ecdsa.VerifyASN1(k, digest, sig) {
			return nil
		}
	case *rsa.PublicKey:
		if rsa.VerifyPKCS1v15(k, h, digest, sig) == nil {
			return nil
		}
	case ed25519.PublicKey:
		if ed25519.VerifyWithOptions(k, digest, sig, &ed25519.Options{Hash: h}) == nil {
			return nil
		}
	}
	return errSignature
}

func sumOf(h crypto.Hash, b []byte) []byte {
	s := h.New()
	s.Write(b)
	return s.Sum(nil)
}

// hashNamed knows the names of in-toto and Rekor v1 ("sha256") and of protobuf-specs ("SHA2_256").
func hashNamed(name string) crypto.Hash {
	switch name {
	case "sha256", "SHA2_256":
		return crypto.SHA256
	case "sha384", "SHA2_384":
		return crypto.SHA384
	case "sha512", "SHA2_512":
		return crypto.SHA512
	}
	return 0
}

func digestAlgorithm(h crypto.Hash) string {
	switch h {
	case crypto.SHA384:
		return "sha384"
	case crypto.SHA512:
		return "sha512"
	}
	return "sha256"
}

// onePEM decodes exactly one PEM block (RFC 7468) of the given type. The size is bounded by its caller: pem.Decode is
// quadratic in lines of dashes.
func onePEM(text []byte, kind string) ([]byte, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, fmt.Errorf("no PEM block: want one %s", kind)
	case block.Type != kind:
		return nil, fmt.Errorf("a PEM block %.40q: want %s", block.Type, kind)
	case len(block.Headers) != 0:
		return nil, errors.New("a PEM block with headers")
	}
	for _, c := range rest {
		if c != '\n' && c != '\r' && c != ' ' && c != '\t' {
			return nil, fmt.Errorf("bytes after the PEM block: want one %s", kind)
		}
	}
	return block.Bytes, nil
}

// parseKey reads a PKIX public key in PEM.
func parseKey(text []byte) (crypto.PublicKey, error) {
	if len(text) > maxPEM {
		return nil, fmt.Errorf("%d bytes of PEM, limit %d", len(text), maxPEM)
	}
	der, err := onePEM(text, "PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("parsing public key: %w", err)
	}
	return pub, checkKey(pub)
}
