package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"stemma"
	"stemma/policy"
)

// printDecision renders a decision: the verdict, then what is wrong, what could not be checked, what holds, and what to
// do next. Every requirement says got, want, proof and fix, in that order.
// next is the command line that shows more.
func (a *app) printDecision(d *stemma.Decision, asked, next string, verbose bool) {
	p := colours(a.stdout)
	a.printVerdict(p, d, asked)
	var idle []string
	for _, mark := range []stemma.Outcome{stemma.Fail, stemma.Unknown, stemma.Waived, stemma.Pass} {
		met := 0
		for _, f := range d.Findings {
			if f.Outcome != mark {
				continue
			}
			if f.Needs != "" && !verbose {
				idle = append(idle, f.Rule)
				continue
			}
			if mark == stemma.Pass && d.Verdict != stemma.Allow && !verbose {
				met++
				continue
			}
			a.printFinding(p, f, verbose)
		}
		if mark == stemma.Unknown && len(idle) > 0 {
			fmt.Fprintf(a.stdout, "   %s\n", p.dim(wrapped(plural(len(idle), "other requirement")+" with nothing to judge: "+strings.Join(idle, ", "), 3)))
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
	for _, w := range d.Waivers {
		line("waive", waiverLine(w))
	}
	for _, u := range d.Upcoming {
		line("note", u)
	}
	line("note", strings.Join(prefixed("not required by this policy: ", d.NotRequired), ""))
	for _, s := range d.Skipped {
		line("note", s)
	}
	if verbose {
		line("note", strings.Join(prefixed("not fetched, since no rule in force can need it: ", d.NotFetched), ""))
	}
	if d.Verdict != stemma.Allow {
		line("next", next+"   shows all that was found, and what each place answered")
		if rule := explained(d); rule != "" {
			line("", "stemma policy explain "+rule+"   says what that is for")
		}
	}
	line("help", d.Help)
}

// explained is the first requirement that is not met and that policy explain knows.
func explained(d *stemma.Decision) string {
	known := append(policy.Rules(), policy.UnmatchedRule())
	for _, outcome := range []stemma.Outcome{stemma.Fail, stemma.Unknown} {
		for _, f := range d.Findings {
			if f.Outcome == outcome && f.Needs == "" && slices.ContainsFunc(known, func(r policy.Rule) bool { return r.ID == f.Rule }) {
				return f.Rule
			}
		}
	}
	return ""
}

// waiverLine says what a waiver grants, until when and who answers for it, or why it does not count.
func waiverLine(w stemma.WaiverRef) string {
	text := w.Name + " for " + strings.Join(w.Rules, ", ")
	if w.Ignored != "" {
		return text + " does not count: " + w.Ignored
	}
	if len(w.Used) == 0 {
		text += " is not needed"
	}
	return text + " until " + w.Until.Format(time.DateOnly) + ", " + w.Owner + " mends it" + strings.Join(prefixed(", ", list(w.Ticket)), "") + ", approved by " + w.Approved + ": " + w.Reason
}

func list(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func prefixed(prefix string, items []string) []string {
	if len(items) == 0 {
		return nil
	}
	return []string{prefix + strings.Join(items, ", ")}
}

// wrapped breaks a long line and indents what follows.
func wrapped(text string, indent int) string {
	return strings.ReplaceAll(wrap(text, 110), "\n", "\n"+strings.Repeat(" ", indent))
}

// tally says how many requirements there are and what became of them.
func tally(d *stemma.Decision) string {
	failed, unknown, idle, advisory, waived := 0, 0, 0, 0, 0
	for _, f := range d.Findings {
		switch {
		case f.Advisory && f.Outcome != stemma.Fail:
			advisory++
		case f.Outcome == stemma.Waived:
			waived++
		case f.Needs != "":
			idle++
		case f.Outcome == stemma.Fail:
			failed++
		case f.Outcome != stemma.Pass:
			unknown++
		}
	}
	if d.Verdict == stemma.Allow && waived > 0 {
		return fmt.Sprintf("%d of %s met, %d waived", len(d.Findings)-advisory-waived, plural(len(d.Findings)-advisory, "requirement"), waived)
	}
	if d.Verdict == stemma.Allow {
		text := fmt.Sprintf("all %d requirements met", len(d.Findings)-advisory)
		if len(d.Findings)-advisory == 1 {
			text = "its 1 requirement is met"
		}
		if advisory > 0 {
			text += fmt.Sprintf(", %d not known and not counted", advisory)
		}
		return text
	}
	var parts []string
	if failed > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s failed", failed, plural(len(d.Findings), "requirement")))
	}
	if unknown > 0 {
		of := ""
		if failed == 0 {
			of = " of " + plural(len(d.Findings), "requirement")
		}
		parts = append(parts, fmt.Sprintf("%d%s could not be checked", unknown, of))
	}
	if idle > 0 {
		parts = append(parts, fmt.Sprintf("%d had nothing to judge", idle))
	}
	if waived > 0 {
		parts = append(parts, fmt.Sprintf("%d waived", waived))
	}
	return strings.Join(parts, ", ")
}

// admittedAllTheSame says it when the effect is milder than the verdict.
func admittedAllTheSame(d *stemma.Decision) string {
	because := clean(strings.Join(d.Because, "; "))
	switch {
	case d.Effect == stemma.None:
		return "   → " + because
	case d.Verdict == stemma.Allow || d.Effect == stemma.Refuse:
		return ""
	case d.Effect == stemma.Warn:
		return "   → admitted with a warning: " + because
	}
	return "   → admitted all the same: " + because
}

func (a *app) printVerdict(p palette, d *stemma.Decision, asked string) {
	word := map[stemma.Verdict]string{
		stemma.Allow: p.green("ALLOW"), stemma.Deny: p.red("DENY "), stemma.Undetermined: p.yellow("UNDETERMINED"),
	}[d.Verdict]
	given := ""
	if asked != d.Image.String() {
		given = "  (you gave " + clean(asked) + ")"
	}
	if d.From != "" {
		given += clean("  read from its mirror " + d.From)
	}
	fmt.Fprintf(a.stdout, "%s  %s%s\n", word, p.bold(clean(d.Image.String())), p.dim(given))
	fmt.Fprintf(a.stdout, "       %s%s\n", tally(d), p.yellow(admittedAllTheSame(d)))
	for _, ref := range d.Policies {
		effect := ""
		if d.Verdict != stemma.Allow && ref.Mode != "enforce" {
			effect = "   mode " + ref.Mode
		}
		fmt.Fprintf(a.stdout, "       %s\n", p.dim(fmt.Sprintf("policy %s@%s   matched %s%s", ref.Name, ref.Digest.Short(), clean(ref.Why), effect)))
	}
	if d.SetVersion > 0 {
		fmt.Fprintf(a.stdout, "       %s\n", p.dim(fmt.Sprintf("set version %d, %s", d.SetVersion, d.Set.Short())))
	}
	fmt.Fprintf(a.stdout, "       %s\n\n", p.dim(fmt.Sprintf("at %s   decision %s", d.Situation.At.UTC().Format("2006-01-02 15:04:05Z"), d.ID)))
}

func (a *app) printFinding(p palette, f stemma.Finding, verbose bool) {
	if f.Outcome == stemma.Pass {
		got := f.Got
		if f.Platform != "" {
			got = f.Platform + ": " + got
		}
		fmt.Fprintf(a.stdout, " %s %s  %s\n", p.green("✓"), pad(f.Rule, 22), clean(got))
		if f.Detail != "" {
			fmt.Fprintf(a.stdout, "   %s  %s\n", strings.Repeat(" ", 22), p.dim(clean(f.Detail)))
		}
		if verbose && f.Proof != "" {
			fmt.Fprintf(a.stdout, "   %s  %s\n", strings.Repeat(" ", 22), p.dim(clean(f.Proof)))
		}
		return
	}
	mark, title := p.red("✗"), f.Title
	if f.Outcome == stemma.Waived {
		mark, title = p.yellow("~"), f.Title+" (waived by "+clean(f.Waiver)+")"
	} else if f.Outcome != stemma.Fail {
		mark = p.yellow("?")
		if f.Reason.Class() == stemma.CouldNotCheck {
			title = "could not be looked at" // its title would accuse
		}
	}
	if f.Advisory {
		title += " (does not count)"
	}
	fmt.Fprintf(a.stdout, " %s %s  %s  %s\n", mark, pad(f.Rule, 22), pad(why(f.Reason), 28), title)
	line := func(name, text, after string) {
		if text == "" && after == "" {
			return
		}
		if after != "" {
			after = "   " + after
		}
		fmt.Fprintf(a.stdout, "     %s  %s%s\n", p.dim(pad(name, 5)), clean(text), p.dim(clean(after)))
	}
	if f.Platform != "" {
		line("on", strings.TrimSpace(f.Platform+" "+f.Of.Short()), "")
	}
	line("got", f.Got, "")
	line("want", f.Want, f.Where)
	line("", f.Detail, "")
	if len(f.Items) > 1 || len(f.Items) == 1 && f.Items[0] != f.Got {
		for _, item := range f.Items {
			line("", "· "+item, "")
		}
	}
	line("proof", f.Proof, "")
	line("fix", f.Fix, "")
}

// why is the class of a reason, and its code where that says more.
func why(r stemma.Reason) string {
	class := string(r.Class())
	if string(r) == class {
		return class
	}
	return class + ": " + string(r)
}
