package main

import (
	"fmt"
	"strings"

	"stemma"
)

// printDecision renders a decision: the verdict, then what is wrong, what could not be checked, what holds, and what to
// do next. Every requirement says got, want, proof and fix, in that order.
func (a *app) printDecision(d *stemma.Decision, asked string, verbose bool) {
	p := colours(a.stdout)
	failed, unknown := 0, 0
	for _, f := range d.Findings {
		switch f.Outcome {
		case stemma.Fail:
			failed++
		case stemma.Pass:
		default:
			unknown++
		}
	}
	a.printVerdict(p, d, asked, failed, unknown)
	for _, mark := range []stemma.Outcome{stemma.Fail, stemma.Unknown, stemma.Pass} {
		met := 0
		for _, f := range d.Findings {
			if f.Outcome != mark {
				continue
			}
			if mark == stemma.Pass && d.Verdict != stemma.Allow && !verbose {
				met++
				continue
			}
			a.printFinding(p, f, verbose)
		}
		if met > 0 {
			fmt.Fprintf(a.stdout, " %s %s met (-v lists them)\n", p.green("✓"), plural(met, "other requirement"))
		}
	}
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(a.stdout, " %s  %s\n", p.dim(pad(name, 5)), clean(text))
		}
	}
	fmt.Fprintln(a.stdout)
	line("note", strings.Join(prefixed("not required by this policy: ", d.NotRequired), ""))
	for _, s := range d.Skipped {
		line("note", s)
	}
	if d.Verdict != stemma.Allow {
		line("next", "stemma inspect "+asked+"   shows all that was found, and what each place answered")
	}
	line("help", d.Help)
}

func prefixed(prefix string, items []string) []string {
	if len(items) == 0 {
		return nil
	}
	return []string{prefix + strings.Join(items, ", ")}
}

func (a *app) printVerdict(p palette, d *stemma.Decision, asked string, failed, unknown int) {
	word := map[stemma.Verdict]string{
		stemma.Allow: p.green("ALLOW"), stemma.Deny: p.red("DENY "), stemma.Undetermined: p.yellow("UNDETERMINED"),
	}[d.Verdict]
	given := ""
	if asked != d.Image.String() {
		given = "  (you gave " + clean(asked) + ")"
	}
	fmt.Fprintf(a.stdout, "%s  %s%s\n", word, p.bold(clean(d.Image.String())), p.dim(given))
	summary := fmt.Sprintf("all %s met", plural(len(d.Findings), "requirement"))
	switch {
	case failed > 0 && unknown > 0:
		summary = fmt.Sprintf("%d of %s failed, %d could not be checked", failed, plural(len(d.Findings), "requirement"), unknown)
	case failed > 0:
		summary = fmt.Sprintf("%d of %s failed", failed, plural(len(d.Findings), "requirement"))
	case unknown > 0:
		summary = fmt.Sprintf("%d of %s could not be checked; nothing is known to be wrong with the image", unknown, plural(len(d.Findings), "requirement"))
	case len(d.Findings) == 1:
		summary = "its 1 requirement is met"
	}
	fmt.Fprintf(a.stdout, "       %s\n", summary)
	for _, ref := range d.Policies {
		effect := ""
		if d.Verdict != stemma.Allow && ref.Mode != "enforce" {
			effect = "   mode " + ref.Mode + ": admitted all the same"
		}
		fmt.Fprintf(a.stdout, "       %s\n", p.dim(fmt.Sprintf("policy %s@%s   matched %s%s", ref.Name, ref.Digest.Short(), clean(ref.Why), effect)))
	}
	fmt.Fprintf(a.stdout, "       %s\n\n", p.dim(fmt.Sprintf("at %s   decision %s", d.Situation.At.UTC().Format("2006-01-02 15:04:05Z"), d.ID)))
}

func (a *app) printFinding(p palette, f stemma.Finding, verbose bool) {
	if f.Outcome == stemma.Pass {
		fmt.Fprintf(a.stdout, " %s %s  %s\n", p.green("✓"), pad(f.Rule, 22), clean(f.Got))
		if verbose && f.Proof != "" {
			fmt.Fprintf(a.stdout, "   %s  %s\n", strings.Repeat(" ", 22), p.dim(clean(f.Proof)))
		}
		return
	}
	mark := p.red("✗")
	if f.Outcome != stemma.Fail {
		mark = p.yellow("?")
	}
	fmt.Fprintf(a.stdout, " %s %s  %s  %s\n", mark, pad(f.Rule, 22), pad(string(f.Reason.Class()), 15), f.Title)
	line := func(name, text, after string) {
		if text == "" && after == "" {
			return
		}
		if after != "" {
			after = "   " + after
		}
		fmt.Fprintf(a.stdout, "     %s  %s%s\n", p.dim(pad(name, 5)), clean(text), p.dim(after))
	}
	line("got", f.Got, "")
	line("want", f.Want, f.Where)
	line("", f.Detail, "")
	line("proof", f.Proof, "")
	line("fix", f.Fix, "")
	line("code", string(f.Reason), "")
}
