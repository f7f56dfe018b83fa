package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stemma"
	"stemma/policy"
)

func (a *app) printClaims(p palette, e *stemma.Evidence, verbose bool) {
	hinted := map[string]bool{}
	for _, n := range nodes(e) {
		shown := map[string]bool{}
		for i := range n.Provenance {
			pr := &n.Provenance[i]
			k := slices.IndexFunc(n.Attestations, func(at stemma.Attestation) bool { return at.Bundle == pr.Bundle })
			at := &n.Attestations[k]
			a.printProvenance(p, pr, fmt.Sprintf("provenance %s of %s, signed by %s", pr.Bundle.Short(), kind(n), signer(at)), levelRows(n, pr, at, verbose), shown, verbose)
		}
		for i := range n.Unsigned {
			if pr := n.Unsigned[i].Provenance; pr != nil {
				a.printProvenance(p, pr, fmt.Sprintf("provenance %s of %s, signed by nobody", pr.Bundle.Short(), kind(n)), levelRows(n, pr, nil, verbose), shown, verbose)
			}
		}
		for i := range n.Hints {
			a.printProvenance(p, &n.Hints[i], fmt.Sprintf("%s, by its own annotations and labels: no provenance, and nobody signs it", kind(n)), nil, hinted, verbose)
		}
	}
}

// printProvenance shows the normal form of one provenance: what it claims and who says so, what went in, what could be set,
// and which level that makes.
func (a *app) printProvenance(p palette, pr *stemma.Provenance, heading string, level [][]string, shown map[string]bool, verbose bool) {
	fmt.Fprintf(a.stdout, "\n  %s\n", p.bold(heading))
	rows := slices.Concat([][]string{{"claim", "value", "said by"}}, claimRows(pr, verbose), inputRows(pr, verbose), parameterRows(pr, verbose), taskRows(pr), level)
	if shown[fmt.Sprint(rows)] && !verbose {
		fmt.Fprintln(a.stdout, "  "+p.dim("says the same as one above"))
		return
	}
	shown[fmt.Sprint(rows)] = true
	rows = folded(rows)
	table(a.stdout, "  ", rows, func(r, c int, s string) string {
		switch {
		case r == 0 || c == 0:
			return p.dim(s)
		case c == 2 && strings.HasPrefix(s, "contradicted"):
			return p.red(s)
		}
		return s
	})
	for _, note := range pr.Notes {
		if !strings.HasPrefix(note, "mode=") || strings.Contains(note, " ") {
			fmt.Fprintf(a.stdout, "    %s %s\n", p.dim("note"), clean(note))
		}
	}
}

// claimRows has a row for what each field says, and by whom that is said.
func claimRows(pr *stemma.Provenance, verbose bool) [][]string {
	family := pr.Known
	if family == "" {
		family = "not known: " + cmp.Or(pr.BuildType, "no build type")
	}
	rows := [][]string{{"built by", clean(family + ", " + strings.Join(append([]string{pr.Format}, modes(pr)...), ", ")), ""}}
	if ofImage(pr) {
		rows = [][]string{{"read from", clean(family), ""}}
	}
	for _, f := range stemma.Fields() {
		c, ok := pr.Claims[f]
		if !ok {
			continue
		}
		rows = append(rows, []string{words(string(f)), short(c.Value, verbose), saidBy(c, verbose)})
		if f == stemma.FieldBuilder && pr.Delegate != "" {
			rows = append(rows, []string{"on behalf of", short(pr.Delegate, verbose), string(stemma.SaidByBuilder)})
		}
	}
	return rows
}

// ofImage reports whether it is what an image says of itself, and no provenance.
func ofImage(pr *stemma.Provenance) bool { return pr.Format == "image" }

// words writes the name of a field as people do: "entryPoint" is "entry point".
func words(field string) string {
	var b strings.Builder
	for i, r := range field {
		upper := r >= 'A' && r <= 'Z'
		if upper && (i == 0 || field[i-1] < 'A' || field[i-1] > 'Z') {
			b.WriteByte(' ')
		}
		if upper && !strings.HasSuffix(field, "ID") {
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func saidBy(c stemma.Claim, verbose bool) string {
	text := string(c.By)
	if other := c.Contradicted(); other != nil {
		return fmt.Sprintf("contradicted: %s (%s) says %s", other.By, clean(other.Where), clean(other.Value))
	}
	if verbose {
		text += " (" + clean(c.Where) + ")"
	}
	var same []string
	for _, o := range c.Others {
		if o.By != c.By && !slices.Contains(same, string(o.By)) {
			same = append(same, string(o.By))
		}
	}
	if len(same) > 0 {
		text += " (" + strings.Join(same, ", ") + ": same)"
	}
	return text
}

// inputRows has a row for each kind of inputs that is named, or of which the builder tells how much it names.
func inputRows(pr *stemma.Provenance, verbose bool) [][]string {
	const most = 3
	var rows [][]string
	var silent []string
	for _, k := range stemma.InputKinds() {
		var names, flaws []string
		n, unpinned, undeclared := 0, 0, 0
		by := stemma.Grade("")
		for _, in := range pr.Inputs {
			if in.Kind != k {
				continue
			}
			if n++; n <= most || verbose {
				names = append(names, inputName(in))
			}
			if !in.Pinned() {
				unpinned++
			}
			if in.Undeclared {
				undeclared++
			}
			by = in.By
		}
		if n == 0 {
			if pr.Reported[k] == stemma.ReportedAll {
				rows = append(rows, []string{"inputs: 0 " + inputPlural(k), "none, and the builder names all", ""})
			} else if k != stemma.InputOther {
				silent = append(silent, string(k))
			}
			continue
		}
		if unpinned > 0 {
			flaws = append(flaws, fmt.Sprintf("%d without digest", unpinned))
		}
		if undeclared > 0 {
			flaws = append(flaws, fmt.Sprintf("%d undeclared", undeclared))
		}
		switch pr.Reported[k] {
		case stemma.ReportedAll:
			flaws = append(flaws, "all are named")
		default:
			flaws = append(flaws, "there may be more")
		}
		if rest := n - len(names); rest > 0 {
			names = append(names, fmt.Sprintf("and %d more (-v lists them)", rest))
		}
		for i, name := range names {
			head, tail := "", ""
			if i == 0 {
				head, tail = inputHead(k, n), string(by)+"; "+strings.Join(flaws, ", ")
			}
			rows = append(rows, []string{head, name, tail})
		}
	}
	if len(silent) > 0 && !ofImage(pr) {
		rows = append(rows, []string{"not told", "which " + strings.Join(plurals(silent), ", ") + " went in", ""})
	}
	return rows
}

func inputHead(k stemma.InputKind, n int) string {
	if n == 1 {
		return "input: " + string(k)
	}
	return fmt.Sprintf("inputs: %d %s", n, inputPlural(k))
}

func inputPlural(k stemma.InputKind) string {
	switch k {
	case stemma.InputGit:
		return "git repositories"
	case stemma.InputHTTP:
		return "http files"
	case stemma.InputOther:
		return "others"
	}
	return string(k) + "s"
}

func plurals(kinds []string) []string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = inputPlural(stemma.InputKind(k))
	}
	return out
}

// inputName is an input by its one name, with what tells which version it was.
func inputName(in stemma.Input) string {
	name := cmp.Or(in.Canonical, in.URI, in.Name)
	if in.Version != "" && len(in.Version) <= 40 {
		name += ":" + in.Version
	}
	if d := digests(in.ResourceDescriptor); d != "" {
		name += "  " + d
	}
	if in.Role != "" {
		name += "  (" + string(in.Role) + ")"
	}
	return clean(name)
}

// digests shortens what identifies an input.
func digests(d stemma.ResourceDescriptor) string {
	var parts []string
	for alg, value := range d.Digest {
		if len(value) > 12 {
			value = value[:12] + "…"
		}
		parts = append(parts, alg+":"+value)
	}
	slices.Sort(parts)
	if len(parts) > 2 {
		parts = append(parts[:2], "…")
	}
	return strings.Join(parts, " ")
}

func parameterRows(pr *stemma.Provenance, verbose bool) [][]string {
	const most = 6
	var parts []string
	unknown := 0
	for _, p := range pr.Parameters {
		text := p.Name
		if p.Value != "" {
			text += "=" + stemma.Printable(p.Value, 40)
		}
		if p.Kind == "unknown" {
			unknown++
			text += " (not of this build type)"
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return nil
	}
	n := len(parts)
	if n > most && !verbose {
		parts = append(parts[:most], fmt.Sprintf("and %d more", n-most))
	}
	by := "the tenant chose them"
	if unknown > 0 {
		by += fmt.Sprintf("; %d unknown", unknown)
	}
	return [][]string{{"parameters", clean(strings.Join(parts, ", ")), by}}
}

// taskRows says how many units the build had, and which of them could reach the network.
func taskRows(pr *stemma.Provenance) [][]string {
	if len(pr.Tasks) == 0 {
		return nil
	}
	var names []string
	online, own := 0, 0
	for _, t := range pr.Tasks {
		if len(names) < 4 {
			name, _, _ := strings.Cut(cmp.Or(t.Name, "(no name)"), " (")
			names = append(names, stemma.Printable(name, 40))
		}
		if t.Network == "used" {
			online++
		}
		if t.Ref == "" {
			own++
		}
	}
	if len(pr.Tasks) > len(names) {
		names = append(names, "…")
	}
	var about []string
	if online > 0 {
		about = append(about, fmt.Sprintf("%d with network", online))
	}
	if pr.Known == "Tekton Chains" && own > 0 {
		about = append(about, fmt.Sprintf("%d defined in the run itself", own))
	}
	return [][]string{{"steps", clean(fmt.Sprintf("%d: %s", len(pr.Tasks), strings.Join(names, ", "))), strings.Join(about, ", ")}}
}

// levelRows is the level that evidence alone supports, why, and what the next one lacks.
func levelRows(n *stemma.Evidence, pr *stemma.Provenance, at *stemma.Attestation, verbose bool) [][]string {
	own := policy.Assess(at, pr)
	rows := [][]string{{"level", fmt.Sprintf("SLSA Build L%d", own.Level), "computed"}}
	if verbose {
		for _, r := range own.Reasons {
			rows = append(rows, []string{"", clean("because " + r), ""})
		}
	}
	for _, m := range own.Missing {
		rows = append(rows, []string{"", clean(m), ""})
	}
	for _, v := range n.Summaries {
		if v.Commit == "" || v.Commit != pr.Value(stemma.FieldCommit) {
			continue
		}
		rows = append(rows, []string{"source level", clean(strings.Join(v.Levels, ", ") + ", " + v.Result), "a verification summary by " + clean(v.Verifier)})
	}
	return rows
}

// folded breaks long values into rows, so that the column of who says it stays where it can be seen.
func folded(rows [][]string) [][]string {
	var out [][]string
	for _, row := range rows {
		for i, line := range strings.Split(wrap(row[1], 100), "\n") {
			if i == 0 {
				out = append(out, []string{row[0], line, row[2]})
			} else {
				out = append(out, []string{"", line, ""})
			}
		}
	}
	return out
}

// short leaves out of a URI what every one of its kind has.
func short(uri string, verbose bool) string {
	if verbose {
		return clean(uri)
	}
	uri = strings.TrimPrefix(strings.TrimPrefix(uri, "git+"), "https://")
	if rest, ok := strings.CutPrefix(uri, "pkg:docker/"); ok {
		uri, _, _ = strings.Cut(rest, "?")
	}
	return clean(strings.Replace(uri, "/.github/workflows/", "/…/", 1))
}
