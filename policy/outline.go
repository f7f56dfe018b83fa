package policy

import (
	"encoding/json"
	"fmt"
	"strings"

	"stemma"
)

// Outline is the text of a decision that test cases hold: what changes when a policy, or what it makes of evidence, changes,
// and nothing else. It has no digests of decisions or evidence. A line of it is one line whatever the evidence says: a ref
// with line feeds in it must not end the file want.txt of an archive and begin another.
func Outline(d *stemma.Decision) string {
	var b strings.Builder
	add := func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		b.WriteString(stemma.Printable(line, len(line)))
		b.WriteByte('\n')
	}
	add("verdict %s, effect %s, level %d", d.Verdict, d.Effect, d.Level)
	for _, p := range d.Policies {
		add("policy %s, %s, by %s", p.Name, p.Mode, p.Why)
	}
	for i := range d.Findings {
		outlineFinding(add, &d.Findings[i])
	}
	for _, w := range d.Waivers {
		state := "in force, used for " + strings.Join(w.Used, ", ")
		if w.Ignored != "" {
			state = "ignored: " + w.Ignored
		} else if len(w.Used) == 0 {
			state = "in force, not used"
		}
		add("waiver %s, %s", w.Name, state)
	}
	for _, list := range []struct {
		name  string
		lines []string
	}{
		{"because", d.Because},
		{"upcoming", d.Upcoming},
		{"not required", d.NotRequired},
		{"skipped", d.Skipped},
		{"not fetched", d.NotFetched},
	} {
		for _, line := range list.lines {
			add("%s: %s", list.name, line)
		}
	}
	if d.From != "" {
		add("read from %s", d.From)
	}
	return b.String()
}

func outlineFinding(add func(format string, args ...any), f *stemma.Finding) {
	head := fmt.Sprintf("%-8s%s", f.Outcome, f.Rule)
	if f.Reason != "" {
		head += fmt.Sprintf("  %s (%s)", f.Reason, f.Reason.Class())
	}
	if f.Platform != "" || f.Of != "" {
		head += fmt.Sprintf("  [%s]", strings.TrimSpace(f.Platform+" "+f.Of.Short()))
	}
	if f.Advisory {
		head += "  advisory"
	}
	if f.Waiver != "" {
		head += "  by " + f.Waiver
	}
	add("%s", head)
	for _, line := range []struct{ name, text string }{
		{"got", f.Got}, {"want", f.Want}, {"detail", f.Detail}, {"where", f.Where}, {"fix", f.Fix},
	} {
		if line.text != "" && (f.Outcome != stemma.Pass || line.name == "got" || line.name == "detail") {
			add("        %-7s %s", line.name, line.text)
		}
	}
	for _, item := range f.Items {
		add("        · %s", item)
	}
}

func indent(v any) ([]byte, error) { return json.MarshalIndent(v, "", " ") }

// placeless is an outline without the places in policy files.
func placeless(outline string) string {
	var b strings.Builder
	for line := range strings.Lines(outline) {
		if !strings.HasPrefix(line, "        where   ") {
			b.WriteString(line)
		}
	}
	return b.String()
}
