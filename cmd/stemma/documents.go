package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"stemma"
)

// shown is a document as inspect shows it: what it is, and, of all but provenance, what it says in a line or two.
type shown struct {
	bundle stemma.Digest
	what   string
	says   []string
}

// documents lists what the statements about a manifest are, signed ones first.
func documents(n *stemma.Evidence) []shown {
	var out []shown
	for i := range n.Provenance {
		out = append(out, shown{n.Provenance[i].Bundle, "provenance " + strings.TrimPrefix(n.Provenance[i].Format, "slsa/"), nil})
	}
	for i := range n.SBOMs {
		out = append(out, bom(&n.SBOMs[i]))
	}
	for i := range n.Scans {
		out = append(out, scan(&n.Scans[i]))
	}
	for i := range n.VEX {
		out = append(out, vex(&n.VEX[i]))
	}
	for i := range n.Summaries {
		out = append(out, summary(&n.Summaries[i]))
	}
	for i := range n.Unsigned {
		u := &n.Unsigned[i]
		switch {
		case u.Provenance != nil:
			out = append(out, shown{u.Bundle, "provenance " + strings.TrimPrefix(u.Provenance.Format, "slsa/"), nil})
		case u.SBOM != nil:
			out = append(out, bom(u.SBOM))
		case u.Scan != nil:
			out = append(out, scan(u.Scan))
		case u.VEX != nil:
			out = append(out, vex(u.VEX))
		}
	}
	return out
}

func bom(b *stemma.SBOM) shown {
	says := []string{fmt.Sprintf("%s, %s", plural(b.Elements.Components, "component"), plural(b.Elements.Relationships, "relationship"))}
	add := func(name string, items []string) {
		if len(items) > 0 {
			says = append(says, name+" "+strings.Join(items, ", "))
		}
	}
	add("of", components(b.Subjects))
	add("based on", components(b.Bases))
	add("made by", b.Tools)
	if !b.Created.IsZero() {
		says = append(says, "on "+b.Created.UTC().Format(time.DateOnly))
	}
	return shown{b.Bundle, "SBOM " + clean(b.Format), append([]string{strings.Join(says, "; ")}, b.Notes...)}
}

// components names at most three, and says how many more there are.
func components(all []stemma.Component) []string {
	var out []string
	for i, c := range all {
		if i == 3 {
			return append(out, fmt.Sprintf("%d more", len(all)-i))
		}
		name := cmp.Or(c.PURL, strings.TrimSuffix(c.Name+" "+c.Version, " "), "(no name)")
		if len(c.Digests) > 0 && !strings.Contains(name, c.Digests[0].Hex()) {
			name += " " + c.Digests[0].Short()
		}
		out = append(out, name)
	}
	return out
}

func scan(s *stemma.Scan) shown {
	count := map[string]int{}
	for _, v := range s.Found {
		count[v.Severity]++
	}
	var parts []string
	for _, severity := range []string{"critical", "high", "medium", "low", "negligible", "unknown", ""} {
		if n := count[severity]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, cmp.Or(severity, "without severity")))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing found"}
	}
	says := strings.Join(parts, ", ")
	if s.Scanner != "" {
		says += "; by " + s.Scanner
	}
	if !s.Finished.IsZero() {
		says += " on " + s.Finished.UTC().Format(time.DateOnly)
	}
	return shown{s.Bundle, "vulnerability scan", append([]string{says}, s.Notes...)}
}

func vex(v *stemma.VEX) shown {
	count := map[string]int{}
	for _, s := range v.Statements {
		count[s.Status]++
	}
	var parts []string
	for status, n := range count {
		parts = append(parts, fmt.Sprintf("%d %s", n, strings.ReplaceAll(status, "_", " ")))
	}
	slices.Sort(parts)
	says := cmp.Or(strings.Join(parts, ", "), "no statements")
	if v.Author != "" {
		says += "; by " + v.Author
	}
	return shown{v.Bundle, clean(cmp.Or(v.Format, "VEX")), []string{says}}
}

func summary(v *stemma.VSA) shown {
	says := v.Result + ", " + cmp.Or(strings.Join(v.Levels, ", "), "no levels") + "; by " + v.Verifier
	if v.Policy != "" {
		says += " under " + v.Policy
	}
	what := "verification summary"
	if v.Commit != "" {
		what, says = "source summary", says+"; of commit "+v.Commit
	}
	return shown{v.Bundle, what, []string{says}}
}

// printDocuments shows what there is besides provenance.
func (a *app) printDocuments(p palette, e *stemma.Evidence) {
	for _, n := range nodes(e) {
		for _, d := range documents(n) {
			if len(d.says) == 0 {
				continue
			}
			fmt.Fprintf(a.stdout, "\n  %s\n", p.bold(fmt.Sprintf("%s %s of %s", d.what, d.bundle.Short(), kind(n))))
			for _, line := range d.says {
				fmt.Fprintf(a.stdout, "    %s\n", clean(line))
			}
		}
	}
}
