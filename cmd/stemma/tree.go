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

func (a *app) treeCommand() *cobra.Command {
	var flags collecting
	var beneath underneath
	var policies []string
	var verbose, files bool
	c := &cobra.Command{
		Use:   "tree IMAGE",
		Short: "Show what an image stands on: which layers are whose, and how that is known",
		Long: `Finds the image that each image stands on, down to where nothing is known: from the steps of its build, from images that
provenance and bills of materials name, from annotations and labels, and from images given with --base. What is named is a
hint until its layers are shown to be the lowest of the image, blob by blob or by unpacking them.

  proven           named by provenance of a signer that the policies trust, and its layers are there
  sealed           named by provenance that nobody signed and the signed image covers, and its layers are there
  layers           its layers are there; nobody who is trusted names it
  claimed          named by digest; its layers were not compared
  contradicted     what is named does not match the layers
  scratch-proven   nothing is underneath, by the steps of provenance that is trusted; scratch-claimed: by anybody else's word
  unknown          nothing tells`,
		Example: `  stemma tree ghcr.io/acme/api:1.8.2
  stemma tree ghcr.io/acme/api:1.8.2 --policy policies/          # whose builders may name a base
  stemma tree oci:./image --base oci:./base --base docker.io/library/debian:13
  stemma tree ghcr.io/acme/api:1.8.2 --files                      # and which files of its base it replaces
  stemma tree ghcr.io/acme/api:1.8.2 -o svg > api.svg             # a picture
  stemma tree ghcr.io/acme/api:1.8.2 -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Errorf("tree needs one image, got %d", len(args)), "stemma tree ghcr.io/acme/api:1.8.2"}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := flags.prepare(); err != nil {
				return err
			}
			done, err := beneath.open(c.Context(), &flags)
			if err != nil {
				return err
			}
			defer done()
			_, set, v, err := a.consulting(c.Context(), &flags, policies)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), flags.timeout)
			defer cancel()
			finished := a.progress("looking for what " + clean(args[0]) + " stands on")
			request := flags.request(args[0])
			request.Bases, request.Original, request.Files = beneath.bases, beneath.original, files
			evidence, err := v.Tree(ctx, request)
			finished()
			if err != nil {
				return interrupted(c.Context(), args[0], err)
			}
			a.recordLineage(c.Context(), &beneath, evidence)
			switch flags.output {
			case "json":
				return writeJSON(a.stdout, evidence)
			case "svg":
				return picture(a.stdout, evidence, args[0], judging(set, v.Situation(request)))
			}
			a.printTree(evidence, args[0], verbose, judging(set, v.Situation(request)))
			return nil
		},
	}
	flags.add(c)
	flags.further = "svg"
	c.Flags().Lookup("output").Usage = "text, json (the evidence about the image and all that it stands on) or svg (a picture)"
	c.Flags().StringArrayVar(&policies, "policy", nil, "policy `FILE`, directory or oci://REPOSITORY@DIGEST that says whose provenance may name a base, and what each image must meet. Repeatable")
	beneath.add(c)
	c.Flags().BoolVar(&files, "files", false, "read all layers, and show which files of a base are replaced or deleted above it")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show every layer, and full digests")
	return c
}

// judging says of an image what the policies that are about it make of it; nil without policies.
func judging(set *policy.Set, at stemma.Situation) func(*stemma.Evidence) string {
	if set == nil {
		return nil
	}
	return func(e *stemma.Evidence) string {
		at.ByTag = false
		d := policy.Evaluate(set, e, at)
		var names, lacks []string
		for _, p := range d.Policies {
			names = append(names, clean(p.Name))
		}
		if len(names) == 0 {
			return "no policy is about it"
		}
		for _, f := range d.Findings {
			if f.Outcome != stemma.Pass && !f.Advisory && f.Needs == "" && !slices.Contains(lacks, f.Rule) {
				lacks = append(lacks, f.Rule)
			}
		}
		if more := len(lacks) - 4; more > 0 {
			lacks = append(lacks[:4], fmt.Sprintf("%d more", more))
		}
		by := strings.Join(names, ", ")
		switch d.Verdict {
		case stemma.Allow:
			return "allow  meets policy " + by
		case stemma.Deny:
			return "deny  does not meet policy " + by + ": " + strings.Join(lacks, ", ")
		}
		return "undetermined  whether it meets policy " + by + ": " + strings.Join(lacks, ", ")
	}
}

func (a *app) printTree(e *stemma.Evidence, asked string, verbose bool, judge func(*stemma.Evidence) string) {
	p := colours(a.stdout)
	fmt.Fprintf(a.stdout, "%s → %s\n", p.bold(clean(asked)), e.Image.Digest)
	if judge != nil {
		fmt.Fprintf(a.stdout, "  %s\n", graded(p, judge(e)))
	}
	for _, n := range leaves(e) {
		fmt.Fprintln(a.stdout)
		a.printStack(p, n, verbose, judge)
	}
	if judge == nil && grades(e)[stemma.BaseLayers] {
		fmt.Fprintf(a.stdout, "\n  %s\n", p.dim("without --policy nobody is trusted to name a base, so that none is better than layers"))
	}
}

// leaves are the manifests that something runs from.
func leaves(e *stemma.Evidence) []*stemma.Evidence {
	if len(e.Platforms) == 0 {
		return []*stemma.Evidence{e}
	}
	var out []*stemma.Evidence
	for _, c := range e.Platforms {
		if !c.Attestation {
			out = append(out, leaves(c)...)
		}
	}
	return out
}

func grades(e *stemma.Evidence) map[stemma.BaseGrade]bool {
	out := map[stemma.BaseGrade]bool{}
	for _, n := range leaves(e) {
		for n != nil && n.Base != nil {
			out[n.Base.Grade] = true
			n = n.Base.Evidence
		}
	}
	return out
}

// section is a run of layers with one owner.
type section struct {
	name        string
	digest      stemma.Digest
	from, until int // layers, from 1 at the bottom
	size        int64
	notes       []string
	layers      []stemma.Layer
}

// sections are the owners of the layers of an image, from the top, and what is known of what is under the lowest.
func sections(top *stemma.Evidence, judge func(*stemma.Evidence) string) (out []section, below *stemma.Lineage) {
	name, digest := "this build", top.Image.Digest
	var notes []string
	all := top.Stack.Layers
	until := len(all)
	for e := top; ; e = e.Base.Evidence {
		b := e.Base
		known := b.Grade.Based() || b.Grade == stemma.BaseClaimed && b.Layers > 0
		from := 1
		if known {
			from = b.Layers + 1
		}
		s := section{name: name, digest: digest, from: from, until: until, notes: notes, layers: all[from-1 : until]}
		for _, l := range s.layers {
			s.size += l.Size
		}
		out = append(out, s)
		if !known {
			return out, b
		}
		name, digest, until = clean(b.Base.Repository), b.Base.Digest, b.Layers
		notes = []string{string(b.Grade) + "  " + how(e)}
		if b.Evidence == nil || b.Evidence.Stack == nil || b.Evidence.Base == nil {
			notes = append(notes, "what it stands on was not looked for: "+clean(stopped(b)))
			s := section{name: name, digest: digest, from: 1, until: until, notes: notes, layers: all[:until]}
			for _, l := range s.layers {
				s.size += l.Size
			}
			return append(out, s), nil
		}
		notes = append(notes, signedBy(b.Evidence))
		if judge != nil {
			notes = append(notes, judge(b.Evidence))
		}
		notes = append(append(notes, changed(b)...), overwritten(b)...)
	}
}

func stopped(b *stemma.Lineage) string {
	switch {
	case b.Stopped != "":
		return b.Stopped
	case b.Grade == stemma.BaseClaimed:
		return "nothing shows that it is this one"
	}
	return "its layers could not be read"
}

// how says by what a base is known.
func how(e *stemma.Evidence) string {
	b, text := e.Base, ""
	switch b.Grade {
	case stemma.BaseProven:
		text = "named by provenance that " + signatory(e, b.Bundle, b.By) + " signed"
	case stemma.BaseSealed:
		text = "named by provenance in the image, which nobody signed"
	case stemma.BaseClaimed:
		return clean(b.Why)
	default:
		text = clean(b.Why)
	}
	compared := "the blobs are the same"
	if b.How != "blob-identical" {
		compared = "compressed anew, with the same content"
	}
	return text + "; " + compared
}

// changed says what is changed of the config of a base.
func changed(b *stemma.Lineage) []string {
	var out []string
	for _, c := range b.Changes {
		switch {
		case c.Was == "":
			out = append(out, clean(c.Setting+" is set above to "+c.Is))
		case c.Is == "":
			out = append(out, clean(c.Setting+" is unset above; it was "+c.Was))
		default:
			out = append(out, clean(c.Setting+" is "+c.Is+" above; it was "+c.Was))
		}
	}
	return out
}

// maxFiles is how many files of a base are shown that are not as they were.
const maxFiles = 8

// overwritten says which files of a base layers above replace or delete.
func overwritten(b *stemma.Lineage) []string {
	if b.FilesWhy != "" {
		return []string{"which of its files are replaced could not be seen: " + clean(b.FilesWhy)}
	}
	var out []string
	for _, o := range b.Overwrites[:min(len(b.Overwrites), maxFiles)] {
		what := "replaced"
		if o.Deleted {
			what = "deleted"
		}
		text := fmt.Sprintf("/%s is %s in layer %d", clean(o.Path), what, o.Layer)
		if o.Class != "" {
			text += " (" + o.Class + ")"
		}
		out = append(out, text)
	}
	if more := b.Files - len(out); more > 0 {
		out = append(out, fmt.Sprintf("and %d more of its files are replaced or deleted", more))
	}
	return out
}

// made says of what an image was made without building it.
func made(b *stemma.Lineage) []string {
	var out []string
	if b.Equivalent {
		out = append(out, "it is "+clean(b.Base.String())+", compressed anew: the same config, and the same content of every layer")
	}
	if r := b.Rebased; r != nil && r.Why == "" {
		out = append(out, "it is "+clean(r.Original.String())+" on another base: the same layers above it, and the same settings")
	} else if r != nil {
		out = append(out, "it is not "+clean(r.Original.String())+" on another base: "+clean(r.Why))
	}
	return out
}

// signatory is the short name of who signed a piece of evidence about an image.
func signatory(e *stemma.Evidence, bundle stemma.Digest, otherwise string) string {
	for i := range e.Attestations {
		if e.Attestations[i].Bundle == bundle {
			return signer(&e.Attestations[i])
		}
	}
	return clean(otherwise)
}

// signedBy says who signed something about a base.
func signedBy(e *stemma.Evidence) string {
	var who []string
	for i := range e.Attestations {
		if s := signer(&e.Attestations[i]); len(who) < 3 && !strings.Contains(strings.Join(who, "\n"), s) {
			who = append(who, s)
		}
	}
	if len(who) == 0 {
		return "no evidence about it verifies"
	}
	return "evidence about it by " + strings.Join(who, ", ")
}

// barWidth is how wide a bar is that stands for all of an image.
const barWidth = 24

func (a *app) printStack(p palette, e *stemma.Evidence, verbose bool, judge func(*stemma.Evidence) string) {
	if e.Stack == nil || e.Base == nil {
		why := "it is no image that has layers"
		if e.Base != nil {
			why = clean(e.Base.Why)
		}
		fmt.Fprintf(a.stdout, "  %s   %s\n", kind(e), p.yellow(why))
		return
	}
	all, below := sections(e, judge)
	total := int64(0)
	for _, s := range all {
		total += s.size
	}
	fmt.Fprintf(a.stdout, "  %s   %s, %s\n", p.bold(kind(e)), plural(len(e.Stack.Layers), "layer"), sized(total))
	wide := 0
	for _, s := range all {
		wide = max(wide, len([]rune(s.name)))
	}
	for i, s := range all {
		edge := "├"
		if i == 0 {
			edge = "┌"
		}
		digest := s.digest.Short()
		if verbose {
			digest = string(s.digest)
		}
		fmt.Fprintf(a.stdout, "  %s %s  %s  %-13s %9s  %s\n", edge, p.bold(pad(s.name, wide)), p.dim(digest), ranged(s), sized(s.size), p.dim(bar(s.size, total)))
		for _, n := range s.notes {
			fmt.Fprintf(a.stdout, "  │   %s\n", graded(p, n))
		}
		if verbose {
			for k := len(s.layers) - 1; k >= 0; k-- {
				l := s.layers[k]
				note := ""
				if l.Empty() {
					note = "  empty"
				}
				fmt.Fprintf(a.stdout, "  │   %s\n", p.dim(fmt.Sprintf("%3d  %9s  %s%s", s.from+k, sized(l.Size), l.Digest, note)))
			}
		}
	}
	a.printBelow(p, below)
	for _, line := range made(e.Base) {
		fmt.Fprintf(a.stdout, "\n    %s\n", line)
	}
	a.printSignals(p, e, verbose)
	a.printStages(p, e)
}

func ranged(s section) string {
	switch n := s.until - s.from + 1; {
	case n <= 0:
		return "config alone"
	case n == 1:
		return fmt.Sprintf("layer %d", s.from)
	}
	return fmt.Sprintf("layers %d–%d", s.from, s.until)
}

// bar is a share of the whole; what is there has at least a mark.
func bar(part, whole int64) string {
	if part <= 0 || whole <= 0 {
		return ""
	}
	return strings.Repeat("█", max(1, int(part*barWidth/whole)))
}

// graded colours the word with which a note begins.
func graded(p palette, note string) string {
	word, rest, ok := strings.Cut(note, "  ")
	if !ok {
		return p.dim(note)
	}
	switch stemma.BaseGrade(word) {
	case stemma.BaseProven, stemma.BaseScratch:
		word = p.green(word)
	case stemma.BaseContradicted:
		word = p.red(word)
	default:
		switch stemma.Verdict(word) {
		case stemma.Allow:
			word = p.green(word)
		case stemma.Deny:
			word = p.red(word)
		default:
			word = p.yellow(word)
		}
	}
	return word + "  " + rest
}

// printBelow says what is known of what is under the lowest layers.
func (a *app) printBelow(p palette, b *stemma.Lineage) {
	if b == nil {
		fmt.Fprintln(a.stdout, "  └ …")
		return
	}
	text := ""
	switch b.Grade {
	case stemma.BaseScratch, stemma.BaseNoneClaimed:
		text = "nothing underneath"
		if b.Why != "" {
			text += "; " + b.Why
		}
	case stemma.BaseClaimed, stemma.BaseContradicted:
		text = b.Base.Repository + " " + b.Base.Digest.Short() + ": " + b.Why
	default:
		text = b.Why
	}
	fmt.Fprintf(a.stdout, "  └ %s\n", graded(p, string(b.Grade)+"  "+clean(text)))
}

// printSignals shows all that was said of what the image stands on, image by image.
func (a *app) printSignals(p palette, e *stemma.Evidence, verbose bool) {
	rows := [][]string{{"of", "told by", "binding", "names", "outcome", "signed by"}}
	for of := "this build"; e != nil && e.Base != nil; e = e.Base.Evidence {
		for _, s := range e.Base.Signals {
			name := clean(s.Image.String())
			switch {
			case s.Scratch:
				name = "nothing"
			case !verbose && s.Image.Digest != "":
				name = clean(strings.TrimSuffix(s.Image.Repository+":"+s.Image.Tag, ":")) + " " + s.Image.Digest.Short()
			case s.Image.Digest == "":
				name = clean(strings.TrimSuffix(s.Image.Repository+":"+s.Image.Tag, ":"))
			}
			by := ""
			if s.By != "" {
				by = signatory(e, s.Bundle, s.By)
			}
			rows = append(rows, []string{of, string(s.Kind), string(s.Binding), name, string(s.Outcome), by})
		}
		of = clean(e.Base.Base.Repository)
	}
	if len(rows) == 1 {
		return
	}
	fmt.Fprintln(a.stdout)
	table(a.stdout, "    ", rows, p.heading)
}

// printStages shows the images of which the builds used something.
func (a *app) printStages(p palette, e *stemma.Evidence) {
	rows := [][]string{{"of", "built with", "named by", "evidence about it"}}
	for of := "this build"; e != nil && e.Base != nil; e = e.Base.Evidence {
		for _, s := range e.Base.Stages {
			by, evidence := "nobody who signed it", ""
			if s.By != "" {
				by = clean(s.By)
				for i := range e.Attestations {
					if e.Attestations[i].Signer.String() == s.By {
						by = signer(&e.Attestations[i])
					}
				}
			}
			switch {
			case s.Evidence == nil:
				evidence = "could not be looked for: " + clean(s.Why)
			default:
				evidence = strings.TrimPrefix(strings.TrimPrefix(signedBy(s.Evidence), "evidence about it "), "no evidence about it ")
				if evidence == "verifies" {
					evidence = "none that verifies"
				}
			}
			rows = append(rows, []string{of, clean(strings.TrimSuffix(s.Image.Repository+":"+s.Image.Tag, ":")) + " " + s.Image.Digest.Short(), by, evidence})
		}
		of = clean(e.Base.Base.Repository)
	}
	if len(rows) == 1 {
		return
	}
	fmt.Fprintln(a.stdout)
	table(a.stdout, "    ", rows, p.heading)
}

// sized is a size for people.
func sized(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}
