package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stemma"
	"stemma/policy"
)

func (a *app) inspectCommand() *cobra.Command {
	var flags collecting
	var policies []string
	var verbose bool
	c := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Show everything that is known about an image, and by whom it is said",
		Long: `Collects all evidence about an image and its platforms and shows it, without judging: who signed what, when, and how it
is bound to the image; what it claims and by whom that is said; what was rejected and why; where was looked and what
each place answered.`,
		Example: `  stemma inspect ghcr.io/acme/api:1.8.2
  stemma inspect oci:./image --trusted-root trusted_root.json
  stemma inspect ghcr.io/acme/api:1.8.2 --policy policies/     # also what is signed with the keys that they trust
  stemma inspect ghcr.io/acme/api@sha256:… -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Errorf("inspect needs one image, got %d", len(args)), "stemma inspect ghcr.io/acme/api:1.8.2"}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := flags.prepare(); err != nil {
				return err
			}
			var set *policy.Set
			if len(policies) > 0 {
				var err error
				if set, err = loadPolicies(policies); err != nil {
					return err
				}
			}
			v, err := a.verifier(c.Context(), &flags, set)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), flags.timeout)
			defer cancel()
			done := a.progress("looking for evidence about " + clean(args[0]))
			evidence, err := v.Collect(ctx, flags.request(args[0]))
			done()
			if err != nil {
				return interrupted(c.Context(), args[0], err)
			}
			if flags.output == "json" {
				return writeJSON(a.stdout, evidence)
			}
			a.printEvidence(evidence, args[0], verbose)
			return nil
		},
	}
	flags.add(c)
	c.Flags().StringArrayVar(&policies, "policy", nil, "policy `FILE` or directory under whose trust domains (keys, roots) evidence is verified; nothing is judged. Repeatable")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show dependencies, all sayings of a claim and full digests")
	return c
}

func (a *app) printEvidence(e *stemma.Evidence, asked string, verbose bool) {
	p := colours(a.stdout)
	head := []string{kind(e)}
	attestations := 0
	for _, c := range e.Platforms {
		if c.Attestation {
			attestations++
			continue
		}
		head = append(head, member(e, c))
	}
	if attestations > 0 {
		head = append(head, plural(attestations, "attestation manifest"))
	}
	fmt.Fprintf(a.stdout, "%s → %s\n  %s\n", p.bold(clean(asked)), e.Image.Digest, strings.Join(head, " · "))
	if e.From != "" {
		fmt.Fprintf(a.stdout, "  %s\n", clean("a mirror of "+e.Image.Repository))
	}
	for _, index := range e.Indexes {
		fmt.Fprintf(a.stdout, "  listed by the index %s\n", index.Short())
	}
	fmt.Fprintln(a.stdout)
	a.printMatrix(p, e)
	a.printPieces(p, e)
	a.printAttached(p, e)
	a.printClaims(p, e, verbose)
	a.printRejected(p, e)
	a.printPlaces(p, e)
}

func kind(e *stemma.Evidence) string {
	if len(e.Platforms) > 0 {
		return "index"
	}
	if s := clean(e.Platform.String()); s != "" {
		return s
	}
	return "manifest"
}

// nodes is the image and its platforms.
func nodes(e *stemma.Evidence) []*stemma.Evidence {
	return append([]*stemma.Evidence{e}, e.Platforms...)
}

func (a *app) printPieces(p palette, e *stemma.Evidence) {
	rows := [][]string{{"evidence", "on", "signer", "time", "binding", "found in"}}
	for _, n := range nodes(e) {
		on := kind(n)
		if n != e && n.Attestation {
			on = "attestation " + n.Image.Digest.Short()
		}
		first := len(rows)
		for i := range n.Attestations {
			at := &n.Attestations[i]
			rows = append(rows, []string{what(n, at.Bundle, at.Statement, at.Signature), on, signer(at), when(at), string(at.Binding.Kind), clean(at.Place)})
		}
		for i := range n.Unsigned {
			u := &n.Unsigned[i]
			binding := "unsigned"
			if u.Sealed {
				binding = "unsigned, sealed in the index"
			}
			if !u.Bound {
				binding += ", about another artifact"
			}
			by := "nobody"
			if u.Provenance != nil && u.Provenance.Known != "" {
				by = "nobody (" + strings.Join(append([]string{u.Provenance.Known}, modes(u.Provenance)...), ", ") + ")"
			}
			rows = append(rows, []string{what(n, u.Bundle, u.Statement, false), on, by, "–", binding, clean(u.Place)})
		}
		slices.SortStableFunc(rows[first:], slices.Compare[[]string])
	}
	if len(rows) == 1 {
		fmt.Fprintln(a.stdout, "  "+p.yellow("no evidence that verifies")+": nothing that says how this image was made")
		return
	}
	table(a.stdout, "  ", rows, func(r, _ int, s string) string {
		if r == 0 {
			return p.dim(s)
		}
		return s
	})
}

func modes(pr *stemma.Provenance) []string {
	return slices.DeleteFunc(slices.Clone(pr.Notes), func(n string) bool { return !strings.HasPrefix(n, "mode=") || strings.Contains(n, " ") })
}

// what names a piece by its content.
func what(n *stemma.Evidence, bundle stemma.Digest, s stemma.Statement, signature bool) string {
	if signature {
		return "signature"
	}
	all := slices.Clone(n.Provenance)
	sboms := slices.Clone(n.SBOMs)
	for _, u := range n.Unsigned {
		if u.Provenance != nil {
			all = append(all, *u.Provenance)
		}
		if u.SBOM != nil {
			sboms = append(sboms, *u.SBOM)
		}
	}
	for _, pr := range all {
		if pr.Bundle == bundle {
			return "provenance " + strings.TrimPrefix(pr.Format, "slsa/")
		}
	}
	for _, b := range sboms {
		if b.Bundle == bundle {
			return "SBOM " + clean(b.Format)
		}
	}
	return clean(s.PredicateType)
}

func signer(at *stemma.Attestation) string {
	s := at.Signer.String()
	if rest, ok := strings.CutPrefix(s, "https://github.com/"); ok {
		s = strings.Replace(rest, "/.github/workflows/", "/…/", 1) + " (GitHub)"
	}
	if at.Signer.Trust != policy.PublicGood {
		s += " under " + at.Signer.Trust
	}
	return clean(s)
}

func when(at *stemma.Attestation) string {
	t := at.Time()
	if t.IsZero() {
		return "not proven"
	}
	by := at.SignedAt[0].By
	for _, s := range at.SignedAt {
		if s.Time.Equal(t) {
			by = s.By
		}
	}
	return t.UTC().Format("2006-01-02 15:04") + " " + by
}

func (a *app) printClaims(p palette, e *stemma.Evidence, verbose bool) {
	for _, n := range nodes(e) {
		shown := map[string]bool{}
		for i := range n.Provenance {
			pr := &n.Provenance[i]
			k := slices.IndexFunc(n.Attestations, func(at stemma.Attestation) bool { return at.Bundle == pr.Bundle })
			a.printProvenance(p, n, pr, &n.Attestations[k], shown, verbose)
		}
		for i := range n.Unsigned {
			if pr := n.Unsigned[i].Provenance; pr != nil {
				a.printProvenance(p, n, pr, nil, shown, verbose)
			}
		}
	}
}

func (a *app) printProvenance(p palette, n *stemma.Evidence, pr *stemma.Provenance, at *stemma.Attestation, shown map[string]bool, verbose bool) {
	by := "signed by nobody"
	if at != nil {
		by = "signed by " + signer(at)
	}
	fmt.Fprintf(a.stdout, "\n  %s\n", p.bold(fmt.Sprintf("provenance %s of %s, %s", pr.Bundle.Short(), kind(n), by)))
	rows := claims(pr, at, verbose)
	if shown[fmt.Sprint(rows)] && !verbose {
		fmt.Fprintln(a.stdout, "  "+p.dim("claims the same as one above"))
		return
	}
	shown[fmt.Sprint(rows)] = true
	table(a.stdout, "  ", rows, func(r, _ int, s string) string {
		if r == 0 {
			return p.dim(s)
		}
		return s
	})
	if verbose {
		for _, d := range pr.Inputs {
			fmt.Fprintf(a.stdout, "    %s %s\n", p.dim("input"), clean(d.URI+" "+digests(d.ResourceDescriptor)))
		}
	}
	for _, note := range pr.Notes {
		if !strings.HasPrefix(note, "mode=") || strings.Contains(note, " ") {
			fmt.Fprintf(a.stdout, "    %s %s\n", p.dim("note"), clean(note))
		}
	}
}

// claims is what a provenance says, a row for each field, with by whom it is said.
func claims(pr *stemma.Provenance, at *stemma.Attestation, verbose bool) [][]string {
	rows := [][]string{{"claim", "value", "said by"}}
	for _, f := range []stemma.Field{
		stemma.FieldBuilder, stemma.FieldRepository, stemma.FieldCommit, stemma.FieldRef, stemma.FieldEntryPoint,
		stemma.FieldTrigger, stemma.FieldRunner, stemma.FieldRun,
	} {
		c, ok := pr.Claims[f]
		if !ok {
			continue
		}
		rows = append(rows, []string{string(f), short(c.Value, verbose), saidBy(c, verbose)})
	}
	rows = append(rows, []string{"inputs", inputs(pr), inputsBy(pr, at)})
	level, next := policy.Level(at, pr)
	if at == nil {
		level, next = 1, "L2 needs a provenance signed by a hosted builder"
	}
	rows = append(rows, []string{"level", fmt.Sprintf("SLSA Build L%d; %s", level, clean(next)), "computed"})
	return append(rows, []string{"base", bases(pr), "not proven"})
}

func saidBy(c stemma.Claim, verbose bool) string {
	text := string(c.By)
	if other := c.Contradicted(); other != nil {
		return fmt.Sprintf("%s; %s says %s", text, other.By, clean(other.Value))
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

func digests(d stemma.ResourceDescriptor) string {
	var parts []string
	for alg, value := range d.Digest {
		parts = append(parts, alg+":"+value)
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func inputs(pr *stemma.Provenance) string {
	switch n := len(pr.Inputs); {
	case n == 0:
		return "none reported"
	case n == 1:
		return "1: " + short(pr.Inputs[0].URI, false)
	default:
		return fmt.Sprintf("%d: %s, … (-v lists them)", n, short(pr.Inputs[0].URI, false))
	}
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

func inputsBy(pr *stemma.Provenance, at *stemma.Attestation) string {
	if len(pr.Inputs) == 0 {
		return "–"
	}
	if at == nil {
		return string(stemma.SaidByNobody)
	}
	return "the signed predicate"
}

// bases names images among the inputs: candidates, since nothing here tells a base from a build stage.
func bases(pr *stemma.Provenance) string {
	var names []string
	for _, d := range pr.Inputs {
		if strings.HasPrefix(d.URI, "pkg:docker/") {
			names = append(names, short(d.URI, false))
		}
	}
	if len(names) == 0 {
		return "unknown: nothing here names one"
	}
	return fmt.Sprintf("unknown: %s among the inputs: %s", plural(len(names), "image"), strings.Join(names, ", "))
}

func (a *app) printRejected(p palette, e *stemma.Evidence) {
	const most = 10
	n := 0
	for _, node := range nodes(e) {
		for _, r := range node.Rejected {
			if n++; n > most {
				continue
			}
			if n == 1 {
				fmt.Fprintf(a.stdout, "\n  %s\n", p.bold("rejected"))
			}
			by := ""
			if r.Signer != "" {
				by = ", names " + clean(r.Signer) + " as its signer"
			}
			piece := strings.TrimSpace(clean(r.Format) + " " + r.Bundle.Short())
			fmt.Fprintf(a.stdout, "  %s %s  %s (%s%s)\n", p.red("✗"), pad(string(r.Reason), 20), piece, clean(r.Place), by)
			fmt.Fprintf(a.stdout, "      %s\n", clean(r.Detail))
		}
	}
	if n > most {
		fmt.Fprintf(a.stdout, "    and %d more; --output json lists all\n", n-most)
	}
}
