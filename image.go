package stemma

import "strings"

// Image names one image. Digest is its identity and all that a verdict rests on; Tag is what the user typed, kept
// for display. Repository is canonical: host and path, without scheme, tag or digest ("ghcr.io/acme/api",
// "docker.io/library/alpine"). An image from a layout that names no repository has none.
type Image struct {
	Repository string `json:"repository,omitempty"`
	Digest     Digest `json:"digest"`
	Tag        string `json:"tag,omitempty"`
}

// String is repository@digest, or the digest alone.
func (i Image) String() string {
	if i.Repository == "" {
		return string(i.Digest)
	}
	return i.Repository + "@" + string(i.Digest)
}

// Printable returns s with every control character, bidirectional override and other non-graphic rune replaced by
// U+FFFD, and cut to max runes. Whatever comes from evidence passes through it before a terminal or a log sees it.
func Printable(s string, max int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > max {
			b.WriteRune('…')
			break
		}
		if !graphic(r) {
			r = '\uFFFD'
		}
		b.WriteRune(r)
	}
	return b.String()
}
