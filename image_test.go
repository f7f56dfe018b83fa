package stemma_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"stemma"
)

// What comes from evidence cannot move the cursor, turn the line round or add one. Source: CVE-2026-45803, CVE-2026-42507.
func TestReg_I13_printable(t *testing.T) {
	for s, want := range map[string]string{
		"":                       "",
		"ghcr.io/acme/app":       "ghcr.io/acme/app",
		"größe 😀 日本":             "größe 😀 日本",
		"\x1b[31mALLOW\x1b[0m":   "\ufffd[31mALLOW\ufffd[0m",
		"a\nALLOW b":             "a\ufffdALLOW b",
		"a\r\x08\x7f\x00\tb":     "a\ufffd\ufffd\ufffd\ufffd\ufffdb",
		"a\u202eb\u2066c\u200fd": "a\ufffdb\ufffdc\ufffdd",
		"a\u2028b\u2029c\u0085d": "a\ufffdb\ufffdc\ufffdd",
		"a\u200bb\ufeffc\u00add": "a\ufffdb\ufffdc\ufffdd",
		"a\U000e0041b\ue000c":    "a\ufffdb\ufffdc",
		"a\xffb\xc3":             "a\ufffdb\ufffd",
		"\u009b31m":              "\ufffd31m",
	} {
		if got := stemma.Printable(s, 100); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
	for max, want := range map[int]string{0: "…", 1: "ä…", 3: "äbc", 4: "äbc"} {
		if got := stemma.Printable("äbc", max); got != want {
			t.Errorf("%d runes: %q, want %q", max, got, want)
		}
	}
	if got := stemma.Printable(strings.Repeat("x\x1b", 1<<20), 80); utf8.RuneCountInString(got) != 81 {
		t.Errorf("%d runes", utf8.RuneCountInString(got))
	}
}

func TestNames(t *testing.T) {
	i := stemma.Image{Repository: "ghcr.io/acme/app", Digest: "sha256:00", Tag: "v1"}
	if i.String() != "ghcr.io/acme/app@sha256:00" || (stemma.Image{Digest: "sha256:00"}).String() != "sha256:00" {
		t.Error(i)
	}
	for p, want := range map[stemma.Platform]string{
		{}: "", {OS: "linux", Architecture: "amd64"}: "linux/amd64", {OS: "linux", Architecture: "arm", Variant: "v7"}: "linux/arm/v7",
		{OS: "windows", Architecture: "amd64", OSVersion: "10.0"}: "windows/amd64:10.0",
	} {
		if p.String() != want {
			t.Errorf("%q, want %q", p.String(), want)
		}
	}
}
