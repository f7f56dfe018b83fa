package main

import (
	"fmt"
	"slices"
	"strings"

	"stemma"
)

// printMatrix shows what kind of evidence there is about which member of an image's family: the index, each platform,
// each attestation manifest. An image without platforms needs no matrix.
func (a *app) printMatrix(p palette, e *stemma.Evidence) {
	if len(e.Platforms) == 0 {
		return
	}
	rows := [][]string{{"", "digest", "signature", "provenance", "SBOM", "other"}}
	for _, n := range nodes(e) {
		row := []string{member(e, n), n.Image.Digest.Short()}
		for _, column := range []string{"signature", "provenance", "SBOM", "other"} {
			row = append(row, cell(e, n, column))
		}
		rows = append(rows, row)
	}
	table(a.stdout, "  ", rows, func(r, _ int, s string) string {
		switch {
		case r == 0:
			return p.dim(s)
		case strings.HasPrefix(s, "not looked at"), strings.HasPrefix(s, "?"):
			return p.yellow(s)
		}
		return s
	})
	fmt.Fprintln(a.stdout)
}

// member names one manifest of the family of an image.
func member(e, n *stemma.Evidence) string {
	switch {
	case n.Attestation:
		for _, other := range e.Platforms {
			if slices.ContainsFunc(other.Attached, func(x *stemma.Evidence) bool { return x.Image.Digest == n.Image.Digest }) {
				return "attestations of " + member(e, other)
			}
		}
		return "attestations"
	case n == e:
		return kind(n)
	}
	name := clean(n.Platform.String())
	if name == "" || n.Platform.OS == "unknown" {
		return "unknown platform"
	}
	return name
}

// cell says how well one kind of evidence is tied to one manifest: by the strongest binding there is.
func cell(e, n *stemma.Evidence, column string) string {
	best, count := "", 0
	for i := range n.Attestations {
		at := &n.Attestations[i]
		if columnOf(what(n, at.Bundle, at.Statement, at.Signature)) != column {
			continue
		}
		count++
		if rank(string(at.Binding.Kind)) > rank(best) {
			best = string(at.Binding.Kind)
		}
	}
	for i := range n.Unsigned {
		u := &n.Unsigned[i]
		if columnOf(what(n, u.Bundle, u.Statement, false)) != column {
			continue
		}
		count++
		if best == "" {
			best = "unsigned"
		}
	}
	if column == "SBOM" {
		for _, x := range n.Attached {
			if len(x.SBOMs) == 0 {
				continue
			}
			count += len(x.SBOMs)
			switch {
			case len(x.Attestations) > 0 && rank("signed file") > rank(best):
				best = "signed file"
			case best == "":
				best = "unsigned"
			}
		}
	}
	switch {
	case count > 1:
		return fmt.Sprintf("%s (%d)", best, count)
	case count == 1:
		return best
	case len(n.Unavailable) > 0:
		return "?"
	case n != e && slices.ContainsFunc(e.Attestations, func(at stemma.Attestation) bool {
		return at.Binding.Kind == stemma.BindingExact && columnOf(what(e, at.Bundle, at.Statement, at.Signature)) == column
	}) && !n.Attestation:
		return "– (the index has)"
	}
	return "–"
}

func columnOf(what string) string {
	for _, column := range []string{"signature", "provenance", "SBOM"} {
		if what == column || strings.HasPrefix(what, column+" ") {
			return column
		}
	}
	return "other"
}

func rank(binding string) int {
	return 1 + slices.Index([]string{
		"", "unsigned", "signed file", string(stemma.BindingViaConfig), string(stemma.BindingViaIndex),
		string(stemma.BindingViaManifest), string(stemma.BindingExact),
	}, binding)
}

// printAttached shows what is attached to an image besides evidence: SBOMs as files, and who signed them.
func (a *app) printAttached(p palette, e *stemma.Evidence) {
	rows := [][]string{{"attached", "on", "signer", "time", "contents"}}
	for _, n := range nodes(e) {
		for _, x := range n.Attached {
			if x.Attestation {
				continue // its statements are evidence, and in the table above
			}
			var contents []string
			for _, b := range x.SBOMs {
				contents = append(contents, clean("SBOM "+b.Format))
			}
			if len(contents) == 0 {
				contents = []string{clean(x.ArtifactType)}
			}
			by, at := "nobody", "–"
			for i := range x.Attestations {
				if i == 0 {
					by, at = signer(&x.Attestations[i]), when(&x.Attestations[i])
				} else {
					by += fmt.Sprintf(", and %d more", len(x.Attestations)-1)
					break
				}
			}
			rows = append(rows, []string{x.Image.Digest.Short(), kind(n), by, at, strings.Join(contents, ", ")})
		}
	}
	if len(rows) == 1 {
		return
	}
	fmt.Fprintln(a.stdout)
	table(a.stdout, "  ", rows, p.heading)
}

// printPlaces says where was looked and what each place answered, one line for each manifest and repository.
func (a *app) printPlaces(p palette, e *stemma.Evidence) {
	fmt.Fprintln(a.stdout)
	for _, n := range nodes(e) {
		if n.Attestation {
			continue
		}
		a.printLooked(p, kind(n), n)
		for _, x := range n.Attached {
			a.printLooked(p, "attached "+x.Image.Digest.Short(), x)
		}
	}
	a.printUnavailable(p, e)
	for _, t := range e.Trust {
		fmt.Fprintf(a.stdout, "  %s\n", p.dim(fmt.Sprintf("verified under %s %s", t.Name, t.Digest.Short())))
	}
}

// printUnavailable says once what could not be looked at, however many manifests it was asked about.
func (a *app) printUnavailable(p palette, e *stemma.Evidence) {
	type failure struct {
		place  string
		reason stemma.Reason
	}
	var order []failure
	details := map[failure][]string{}
	for _, n := range nodes(e) {
		for _, u := range n.Unavailable {
			f := failure{u.Place, u.Reason}
			if _, ok := details[f]; !ok {
				order = append(order, f)
			}
			details[f] = append(details[f], u.Detail)
		}
	}
	for _, f := range order {
		all := details[f]
		more := ""
		if len(slices.Compact(slices.Sorted(slices.Values(all)))) > 1 {
			more = fmt.Sprintf("; and %d more", len(all)-1)
		}
		fmt.Fprintf(a.stdout, "  %s %s: %s (%s%s)\n", p.yellow("could not look at"), clean(f.place), clean(all[0]), f.reason, more)
	}
}

func (a *app) printLooked(p palette, about string, n *stemma.Evidence) {
	type group struct{ of, in string }
	var order []group
	lines := map[group][]string{}
	for _, place := range n.Places {
		text := clean(place.Name) + " " + clean(place.Answer)
		if place.Found > 0 {
			text += fmt.Sprintf(" (%d)", place.Found)
		}
		g := group{"", clean(place.In)}
		if place.Of != n.Image.Digest && place.Of != "" {
			g.of = place.Of.Short()
		}
		if _, ok := lines[g]; !ok {
			order = append(order, g)
		}
		lines[g] = append(lines[g], text)
	}
	for _, g := range order {
		head := "looked for " + about
		switch {
		case g.of != "" && slices.ContainsFunc(n.Indexes, func(d stemma.Digest) bool { return d.Short() == g.of }):
			head += "'s index " + g.of
		case g.of != "":
			head += " as " + g.of
		}
		if g.in != "" {
			head += " in " + g.in
		}
		fmt.Fprintf(a.stdout, "  %s %s\n", p.dim(head+":"), strings.Join(lines[g], " · "))
	}
}
