package stemmatest

import (
	"crypto"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// tlv is the DER encoding of one value (X.690 section 8.1). Certificates and timestamps are assembled by hand where
// a wrong one must be possible, which the encoders of the standard library prevent.
func tlv(tag byte, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	switch n := len(body); {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, body...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, body...)
	case n < 0x10000:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, body...)
	default:
		return append([]byte{tag, 0x83, byte(n >> 16), byte(n >> 8), byte(n)}, body...)
	}
}

// Tags of DER.
const (
	tagInteger         = 0x02
	tagOctetString     = 0x04
	tagUTF8String      = 0x0c
	tagGeneralizedTime = 0x18
	tagSequence        = 0x30
	tagSet             = 0x31
	tagContext0        = 0xa0 // context-specific, constructed
)

func derOID(oid ...int) []byte {
	b, err := asn1.Marshal(asn1.ObjectIdentifier(oid))
	if err != nil {
		panic(fmt.Sprintf("stemmatest: object identifier %v: %v", oid, err)) // only constants are passed
	}
	return b
}

func derInt(n *big.Int) []byte {
	b, err := asn1.Marshal(n)
	if err != nil {
		panic(fmt.Sprintf("stemmatest: integer %v: %v", n, err)) // every integer can be encoded
	}
	return b
}

// hashOID is the AlgorithmIdentifier of a SHA-2 hash.
func hashOID(h crypto.Hash) ([]byte, error) {
	last := map[crypto.Hash]int{crypto.SHA256: 1, crypto.SHA384: 2, crypto.SHA512: 3}[h]
	if last == 0 {
		return nil, fmt.Errorf("encoding hash %v: not SHA-256, SHA-384 or SHA-512", h)
	}
	return tlv(tagSequence, derOID(2, 16, 840, 1, 101, 3, 4, 2, last), []byte{0x05, 0x00}), nil
}
