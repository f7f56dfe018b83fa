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
	var record string
	c := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Show everything that is known about an image, and by whom it is said",
		Long: `Collects all evidence about an image and its platforms and shows it, without judging: who signed what, when, and how it
is bound to the image; what it claims and by whom that is said; what was rejected and why; where was looked and what
each place answered.`,
		Example: `  stemma inspect ghcr.io/acme/api:1.8.2
  stemma inspect oci:./image --trusted-root trusted_root.json
  stemma inspect ghcr.io/acme/api:1.8.2 --policy policies/     # also what is signed with the keys that they trust
  stemma inspect ghcr.io/acme/api@sha256:… -o json
  stemma inspect ghcr.io/acme/api:1.8.2 --policy policies/ --record cases/api.txtar   # a case for stemma policy test`,
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
			if record != "" {
				if err := recordable(record, c.Flags().Changed("output")); err != nil {
					return err
				}
			}
			files, set, v, err := a.consulting(c.Context(), &flags, policies)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), flags.timeout)
			defer cancel()
			done := a.progress("looking for evidence about " + clean(args[0]))
			request := flags.request(args[0])
			request.Situation = v.Situation(request)
			evidence, err := v.Collect(ctx, request)
			done()
			if err != nil {
				return interrupted(c.Context(), args[0], err)
			}
			if record != "" {
				return a.record(record, args[0], files, evidence, request.Situation)
			}
			switch flags.output {
			case "json":
				return writeJSON(a.stdout, evidence)
			case "facts":
				return writeJSON(a.stdout, facts(set, evidence, stemma.Situation{At: evidence.CollectedAt}))
			}
			a.printEvidence(evidence, args[0], verbose)
			return nil
		},
	}
	flags.add(c)
	flags.further = "facts"
	c.Flags().Lookup("output").Usage = "text, json (the evidence) or facts (its normal form, for policy engines of your own)"
	c.Flags().StringArrayVar(&policies, "policy", nil, "policy `FILE`, directory or oci://REPOSITORY@DIGEST under whose trust domains (keys, roots) evidence is verified; nothing is judged. Repeatable")
	c.Flags().StringVar(&record, "record", "", "write the evidence as a test case `FILE.txtar`, with what --policy makes of it (stemma policy test)")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show dependencies, all sayings of a claim and full digests")
	return c
}

// told is the JSON of --output facts.
type told struct {
	*stemma.Facts
	Children []told `json:"children,omitempty"` // of an index: what is about its platforms themselves
}

func facts(set *policy.Set, e *stemma.Evidence, at stemma.Situation) told {
	out := told{Facts: set.FactsOf(e, at)}
	for _, c := range e.Platforms {
		if c != nil && !c.Attestation {
			out.Children = append(out.Children, facts(set, c, at))
		}
	}
	return out
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
	a.printDocuments(p, e)
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
	table(a.stdout, "  ", rows, p.heading)
}

func modes(pr *stemma.Provenance) []string {
	return slices.DeleteFunc(slices.Clone(pr.Notes), func(n string) bool { return !strings.HasPrefix(n, "mode=") || strings.Contains(n, " ") })
}

// what names a piece by its content.
func what(n *stemma.Evidence, bundle stemma.Digest, s stemma.Statement, signature bool) string {
	if signature {
		return "signature"
	}
	named := map[stemma.Digest]string{}
	for _, d := range documents(n) {
		named[d.bundle] = d.what
	}
	if name, ok := named[bundle]; ok {
		return name
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
