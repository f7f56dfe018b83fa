package policy

import (
	"encoding/json"
	"fmt"
	"strings"

	"stemma"
)

// Outline is the text of a decision that test cases hold: what changes when a policy, or what it makes of evidence, changes,
// and nothing else. It has no digests of decisions or evidence.
func Outline(d *stemma.Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "verdict %s, effect %s, level %d\n", d.Verdict, d.Effect, d.Level)
	for _, p := range d.Policies {
		fmt.Fprintf(&b, "policy %s, %s, by %s\n", p.Name, p.Mode, p.Why)
	}
	for i := range d.Findings {
		outlineFinding(&b, &d.Findings[i])
	}
	for _, w := range d.Waivers {
		state := "in force, used for " + strings.Join(w.Used, ", ")
		if w.Ignored != "" {
			state = "ignored: " + w.Ignored
		} else if len(w.Used) == 0 {
			state = "in force, not used"
		}
		fmt.Fprintf(&b, "waiver %s, %s\n", w.Name, state)
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
			fmt.Fprintf(&b, "%s: %s\n", list.name, line)
		}
	}
	if d.From != "" {
		fmt.Fprintf(&b, "read from %s\n", d.From)
	}
	return b.String()
}

func outlineFinding(b *strings.Builder, f *stemma.Finding) {
	fmt.Fprintf(b, "%-8s%s", f.Outcome, f.Rule)
	if f.Reason != "" {
		fmt.Fprintf(b, "  %s (%s)", f.Reason, f.Reason.Class())
	}
	if f.Platform != "" || f.Of != "" {
		fmt.Fprintf(b, "  [%s]", strings.TrimSpace(f.Platform+" "+f.Of.Short()))
	}
	if f.Advisory {
		b.WriteString("  advisory")
	}
	if f.Waiver != "" {
		b.WriteString("  by " + f.Waiver)
	}
	b.WriteByte('\n')
	for _, line := range []struct{ name, text string }{
		{"got", f.Got}, {"want", f.Want}, {"detail", f.Detail}, {"where", f.Where}, {"fix", f.Fix},
	} {
		if line.text != "" && (f.Outcome != stemma.Pass || line.name == "got" || line.name == "detail") {
			fmt.Fprintf(b, "        %-7s %s\n", line.name, line.text)
		}
	}
	for _, item := range f.Items {
		fmt.Fprintf(b, "        · %s\n", item)
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
