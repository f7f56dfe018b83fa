package stemma

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest is a content address in the form of the OCI image specification, "sha256:<64 lower-case hex digits>".
// sha384 and sha512 are accepted too. It is made by [ParseDigest] or [SHA256] and compared as a whole.
type Digest string

// digestSize is the length in hex digits of the accepted algorithms, 0 for all others. Weak ones (sha1, md5) are not here, so
// they can never identify an image nor bind a statement to it.
func digestSize(algorithm string) int {
	switch algorithm {
	case "sha256":
		return 64
	case "sha384":
		return 96
	case "sha512":
		return 128
	}
	return 0
}

// ParseDigest parses "algorithm:hex" and accepts only the canonical form: a known algorithm and exactly as many
// lower-case hex digits as it yields.
func ParseDigest(s string) (Digest, error) {
	algorithm, value, ok := strings.Cut(s, ":")
	if !ok {
		return "", fmt.Errorf("digest %.80q: want algorithm:hex, such as sha256:…", s)
	}
	return NewDigest(algorithm, value)
}

// NewDigest is ParseDigest for the two halves kept apart, as in the digest sets of in-toto.
func NewDigest(algorithm, value string) (Digest, error) {
	size := digestSize(algorithm)
	switch {
	case size == 0:
		return "", fmt.Errorf("digest algorithm %.40q: want sha256, sha384 or sha512", algorithm)
	case len(value) != size:
		return "", fmt.Errorf("%s digest of %d characters: want %d hex digits", algorithm, len(value), size)
	case !isLowerHex(value):
		return "", fmt.Errorf("%s digest %.16q…: want lower-case hex digits only", algorithm, value)
	}
	return Digest(algorithm + ":" + value), nil
}

// AcceptedAlgorithm reports whether a digest of this algorithm may identify an image.
func AcceptedAlgorithm(algorithm string) bool { return digestSize(algorithm) != 0 }

// SHA256 is the sha256 Digest of b.
func SHA256(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// Matches reports whether b is what d addresses. It is false for a Digest that was not parsed.
func (d Digest) Matches(b []byte) bool {
	return digestSize(d.Algorithm()) != 0 && d == sum(d.Algorithm(), b)
}

// sum is the digest of b by an accepted algorithm.
func sum(algorithm string, b []byte) Digest {
	switch algorithm {
	case "sha384":
		h := sha512.Sum384(b)
		return Digest("sha384:" + hex.EncodeToString(h[:]))
	case "sha512":
		h := sha512.Sum512(b)
		return Digest("sha512:" + hex.EncodeToString(h[:]))
	}
	return SHA256(b)
}

// Algorithm is the part before the colon.
func (d Digest) Algorithm() string { a, _, _ := strings.Cut(string(d), ":"); return a }

// Hex is the part after the colon.
func (d Digest) Hex() string { _, h, _ := strings.Cut(string(d), ":"); return h }

// Short is the algorithm and the first twelve digits with an ellipsis, for people; it identifies nothing.
func (d Digest) Short() string {
	if h := d.Hex(); len(h) > 12 {
		return d.Algorithm() + ":" + h[:12] + "…"
	}
	return string(d)
}
