package predicate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"stemma"
)

// maxTagLine is the longest line of a tag-value document, in bytes.
const maxTagLine = 1 << 20

// tagValue reads SPDX 2 in its text format, line by line: "Tag: value", where a value in <text> and </text> may have
// several lines. Those are skipped as a whole, because a licence can have lines that look like tags.
func (b *bill) tagValue(r io.Reader) (version string, err error) {
	limited := &io.LimitedReader{R: r, N: stemma.MaxJSONBytes + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 0, 64<<10), maxTagLine)
	t := &tags{bill: b, place: -1}
	n := 0
	for lines.Scan() {
		line := lines.Text()
		if n++; !utf8.ValidString(line) {
			return "", fmt.Errorf("line %d: invalid UTF-8", n)
		}
		if n == 1 {
			var ok bool
			if version, ok = strings.CutPrefix(strings.TrimSpace(line), "SPDXVersion: SPDX-"); !ok || !isVersion(version) {
				return "", fmt.Errorf("a string that does not begin with SPDXVersion: SPDX-")
			}
			continue
		}
		if t.inText {
			t.inText = !strings.Contains(line, "</text>")
			continue
		}
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		tag, value, ok := strings.Cut(line, ":")
		if !ok {
			return "", fmt.Errorf("line %d: want a tag and a value", n)
		}
		if err := t.tag(tag, t.plain(strings.TrimSpace(value))); err != nil {
			return "", fmt.Errorf("line %d: %w", n, err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return "", &stemma.JSONError{Problem: fmt.Sprintf("line %d is over the limit of %d bytes", n+1, maxTagLine), Limit: true}
	case err != nil:
		return "", fmt.Errorf("line %d: %w", n+1, err)
	case limited.N <= 0:
		return "", &stemma.JSONError{Problem: fmt.Sprintf("document over the limit of %d bytes", stemma.MaxJSONBytes), Limit: true}
	case n == 0:
		return "", fmt.Errorf("empty document")
	case t.inText:
		return "", fmt.Errorf("<text> without </text>")
	}
	t.end()
	if !strings.HasPrefix(version, "2.") {
		return "", fmt.Errorf("version %s of SPDX has no tag-value format", version)
	}
	return version, b.spdxAlone()
}

// tags is where a reader of a tag-value document stands.
type tags struct {
	*bill
	inText  bool // within <text>
	place   int  // of the package that is read, -1 for none that is kept
	current *element
	other   bool // within a file or a snippet
	named   bool // DocumentName was read
	dated   bool // Created was read
}

// plain is a value without the marks of a text that begins and ends on its line.
func (t *tags) plain(value string) string {
	rest, ok := strings.CutPrefix(value, "<text>")
	if !ok {
		return value
	}
	text, _, closed := strings.Cut(rest, "</text>")
	t.inText = !closed
	return strings.TrimSpace(text)
}

// end adds the package that was read.
func (t *tags) end() {
	if t.current != nil {
		t.only = t.current.id
		t.add(t.place, *t.current)
	}
	t.current = nil
}

func (t *tags) tag(tag, value string) error {
	switch tag {
	case "PackageName":
		t.end()
		t.place, t.current, t.other = t.reserve(), &element{}, false
		t.current.Name = asserted(value)
		return nil
	case "FileName", "SnippetSPDXID", "LicenseID":
		t.end()
		t.other = true
		return nil
	case "Relationship":
		parts := strings.Fields(value)
		if len(parts) != 3 {
			return fmt.Errorf("a relationship of %d words", len(parts))
		}
		return t.spdxRelated(parts[0], parts[1], parts[2])
	}
	if t.current != nil {
		t.ofPackage(tag, value)
		return nil
	}
	switch {
	case t.other:
	case tag == "SPDXVersion", tag == "DocumentName" && t.named, tag == "Created" && t.dated:
		// Readers differ on which of two counts.
		return fmt.Errorf("a second %s", tag)
	case tag == "DocumentName":
		t.named, t.out.Name = true, value
	case tag == "Creator":
		t.spdxCreator(value)
	case tag == "Created":
		t.dated = true
		t.created(value)
	}
	return nil
}

func (t *tags) ofPackage(tag, value string) {
	e := t.current
	switch tag {
	case "SPDXID":
		e.id = value
	case "PackageVersion":
		e.Version = asserted(value)
	case "PackageSupplier", "PackageOriginator":
		e.supplied = e.supplied || asserted(value) != ""
	case "PackageChecksum":
		algorithm, sum, _ := strings.Cut(value, ":")
		t.hash(e, algorithm, strings.TrimSpace(sum))
	case "PackageAttributionText":
		e.spdxRemark("", value)
	case "ExternalRef":
		if parts := strings.Fields(value); len(parts) == 3 {
			e.spdxReference(parts[1], parts[2])
		}
	}
}
