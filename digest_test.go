package stemma_test

import (
	"crypto/sha512"
	"encoding/hex"
	"strings"
	"testing"

	"stemma"
)

// Source: in-toto digest_set, OCI descriptor.
func TestReg_B07_digest_forms(t *testing.T) {
	hex64 := strings.Repeat("ab", 32)
	for s, want := range map[string]string{
		"sha256:" + hex64:                         "",
		"sha384:" + strings.Repeat("0", 96):       "",
		"sha512:" + strings.Repeat("f", 128):      "",
		"sha256:" + strings.ToUpper(hex64):        `sha256 digest "ABABABABABABABAB"…: want lower-case hex digits only`,
		"sha256:sha256:" + hex64[7:]:              `sha256 digest "sha256:babababab"…: want lower-case hex digits only`,
		"sha256:" + hex64[1:]:                     "sha256 digest of 63 characters: want 64 hex digits",
		"sha256:" + hex64 + "0":                   "sha256 digest of 65 characters: want 64 hex digits",
		"sha256: " + hex64[1:]:                    `sha256 digest " bababababababab"…: want lower-case hex digits only`,
		"sha256:" + hex64[1:] + "\n":              `sha256 digest "babababababababa"…: want lower-case hex digits only`,
		"sha256:" + hex64[:31] + "g" + hex64[32:]: `sha256 digest "abababababababab"…: want lower-case hex digits only`,
		"sha256":             `digest "sha256": want algorithm:hex, such as sha256:…`,
		"":                   `digest "": want algorithm:hex, such as sha256:…`,
		":" + hex64:          `digest algorithm "": want sha256, sha384 or sha512`,
		"SHA256:" + hex64:    `digest algorithm "SHA256": want sha256, sha384 or sha512`,
		"sha1:" + hex64[:40]: `digest algorithm "sha1": want sha256, sha384 or sha512`,
		"md5:" + hex64[:32]:  `digest algorithm "md5": want sha256, sha384 or sha512`,
		"sha512:" + hex64:    "sha512 digest of 64 characters: want 128 hex digits",
	} {
		got, err := stemma.ParseDigest(s)
		if want == "" && (err != nil || string(got) != s) || want != "" && (err == nil || err.Error() != want || got != "") {
			t.Errorf("%q: %q, %v; want %q", s, got, err, want)
		}
	}
}

func TestDigestMatches(t *testing.T) {
	content := []byte("content")
	s384, s512 := sha512.Sum384(content), sha512.Sum512(content)
	good := []stemma.Digest{stemma.SHA256(content), stemma.Digest("sha384:" + hex.EncodeToString(s384[:])), stemma.Digest("sha512:" + hex.EncodeToString(s512[:]))}
	for _, d := range good {
		if !d.Matches(content) || d.Matches([]byte("Content")) || d.Matches(nil) {
			t.Errorf("%s", d)
		}
		upper := stemma.Digest(d.Algorithm() + ":" + strings.ToUpper(d.Hex()))
		for _, bad := range []stemma.Digest{upper, stemma.Digest("md5:" + d.Hex()), stemma.Digest(d.Hex()), d + " ", "", ":"} {
			if bad.Matches(content) {
				t.Errorf("%q matches", bad)
			}
		}
	}
	if good[0].Short() != "sha256:ed7002b439e9…" || stemma.Digest("sha256:ab").Short() != "sha256:ab" || stemma.AcceptedAlgorithm("sha1") {
		t.Errorf("short %q", good[0].Short())
	}
}
