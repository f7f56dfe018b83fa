package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stemma"
	"stemma/policy"
)

// waiving holds the flags of waive.
type waiving struct {
	signing
	rules      []string
	unmet      bool
	of         string
	name       string
	reason     string
	owner      string
	ticket     string
	approvedBy string
	namespaces []string
	from       string
	until      string
	out        string
}

func (a *app) waiveCommand() *cobra.Command {
	var opts waiving
	c := &cobra.Command{
		Use:   "waive IMAGE --policy FILE --rule ID --reason TEXT --owner NAME --until DATE",
		Short: "Write a waiver: rules that one image may fail for some time",
		Long: `Writes a Waiver document for one image by its digest, and reads it with the policies: what they do not let anybody
grant is refused. A waiver counts only with the signature of whom its approvedBy names, from its first day to its last,
and what it waives is not met: every decision says so.`,
		Example: `  stemma waive ghcr.io/acme/ledger:1.4.0 --policy policies/ --rule sbom.present --reason "rebuilt in Q1" \
    --owner payments --ticket TICKET-812 --until 2027-01-31 -o ledger-sbom.yaml
  stemma waive ghcr.io/acme/ledger@sha256:… --policy policies/ --unmet --reason "…" --owner payments --until 2027-01-31`,
		RunE: func(c *cobra.Command, args []string) error { return a.waive(c.Context(), args, &opts) },
	}
	flags := c.Flags()
	flags.StringArrayVar(&opts.policies, "policy", nil, "policy `FILE`, directory or oci://REPOSITORY@DIGEST that the waiver belongs to. Repeatable")
	flags.StringArrayVar(&opts.rules, "rule", nil, "`ID` of a rule that may be unmet. Repeatable")
	flags.BoolVar(&opts.unmet, "unmet", false, "the rules that the image fails now: it is verified")
	flags.StringVar(&opts.of, "for", "", "`NAME` of the policy whose rules are waived, when several are about the image")
	flags.StringVar(&opts.name, "name", "", "`NAME` of the waiver; made of image and rule when left out")
	flags.StringVar(&opts.reason, "reason", "", "`TEXT` that says why; it is in every decision")
	flags.StringVar(&opts.owner, "owner", "", "`NAME` of who mends it")
	flags.StringVar(&opts.ticket, "ticket", "", "`TEXT` that says where it is followed up")
	flags.StringVar(&opts.approvedBy, "approved-by", "", "`NAME` of the signer who accepts the risk; may be left out when only one may")
	flags.StringArrayVar(&opts.namespaces, "namespace", nil, "`NAME` of a namespace in which it counts; in all when left out. Repeatable")
	flags.StringVar(&opts.from, "from", "", "first `DAY`; today when left out")
	flags.StringVar(&opts.until, "until", "", "last `DAY`, such as 2027-01-31")
	flags.StringVarP(&opts.out, "output", "o", "", "`FILE` to write; standard output when left out")
	flags.StringArrayVar(&opts.evidence, "evidence", nil, "for --unmet: further evidence, as in verify. Repeatable")
	flags.StringVar(&opts.collecting.name, "image-name", "", "for oci:DIR: the `REPOSITORY` that it is an image of")
	opts.add(c)
	return c
}

func (a *app) waive(ctx context.Context, images []string, opts *waiving) error {
	const example = `stemma waive ghcr.io/acme/app:1.4.0 --policy policies/ --rule sbom.present --reason "…" --owner payments --until 2027-01-31`
	for _, missing := range []struct {
		is   bool
		what string
		hint string
	}{
		{len(images) != 1, fmt.Sprintf("waive needs one image, got %d", len(images)), example},
		{len(opts.policies) == 0, "waive needs the policies", "add --policy FILE"},
		{len(opts.rules) == 0 && !opts.unmet, "waive needs a rule", "add --rule ID; --unmet takes those that the image fails now; stemma policy explain lists them"},
		{len(opts.rules) > 0 && opts.unmet, "both --rule and --unmet", "name the rules, or have them found"},
		{opts.reason == "", "a waiver without a reason", "add --reason TEXT: why the risk is accepted"},
		{opts.owner == "", "a waiver that nobody owns", "add --owner NAME: who mends it"},
		{opts.until == "", "a waiver without an end", "add --until DATE: its last day"},
		{opts.key != "" && opts.out == "", "a signature needs a file to lie beside", "add --output FILE"},
		{opts.out != "" && isThere(opts.out), clean(opts.out) + " is there already", "give --output another name; a waiver that was signed is not to be changed"},
		{opts.out != "" && !strings.HasSuffix(opts.out, ".yaml") && !strings.HasSuffix(opts.out, ".yml"), clean(opts.out) + " is no name of a policy file", "policy files end in .yaml or .yml"},
	} {
		if missing.is {
			return &usageError{errors.New(missing.what), missing.hint}
		}
	}
	if err := opts.prepare(); err != nil {
		return err
	}
	files, err := a.findPolicies(ctx, &opts.collecting, opts.policies)
	if err != nil {
		return err
	}
	set, signatures, err := loaded(files)
	if err != nil {
		return err
	}
	opts.signed = signatures
	doc, err := a.draft(ctx, set, images[0], opts)
	if err != nil {
		return err
	}
	f := policyFile{File: policy.File{Name: cmp.Or(clean(opts.out), "waiver"), Data: doc.text()}, path: opts.out}
	if set, _, err = loaded(append(files, f)); err != nil {
		return err
	}
	if opts.out == "" {
		if _, err := a.stdout.Write(f.Data); err != nil {
			return fmt.Errorf("writing the waiver: %w", err)
		}
		return nil
	}
	if err := written(opts.out, f.Data); err != nil {
		return err
	}
	p := colours(a.stdout)
	fmt.Fprintf(a.stdout, "%s  %s: %s of policy %s for %s, until %s\n", p.green("written"), clean(opts.out), clean(strings.Join(doc.rules, ", ")), doc.of, clean(doc.image), doc.until)
	return a.consent(ctx, set, doc, f, opts)
}

// consent signs the waiver, if there is a key, and says what is missing until it counts.
func (a *app) consent(ctx context.Context, set *policy.Set, doc *waiverDraft, f policyFile, opts *waiving) error {
	who, keyless := set.Approver(doc.approvedBy)
	p := colours(a.stdout)
	next := func(command, why string) {
		fmt.Fprintf(a.stdout, "%s     %s\n         %s\n", p.dim("next"), command, p.dim(clean(why)))
	}
	if opts.key != "" {
		signed, err := a.sign(ctx, set, f, &opts.signing)
		if err != nil {
			return err
		}
		if slices.Contains(signed.Names, doc.approvedBy) {
			next(opts.line("stemma verify", doc.image, append(slices.Clone(opts.policies), opts.out)), "the waiver counts; publish it with its signature, beside the policies")
			return nil
		}
	}
	command := "stemma policy sign " + quote(opts.out)
	for _, name := range opts.policies {
		command += " --policy " + quote(name)
	}
	command += " --key KEY"
	if keyless {
		command = "cosign sign-blob --bundle " + quote(opts.out+signatureSuffix) + " " + quote(opts.out)
	}
	next(command, "it counts for nothing until it is signed by "+who)
	return nil
}

// waiverDraft is what a Waiver document will say.
type waiverDraft struct {
	name, of, image, approvedBy, from, until string
	rules                                    []string
	opts                                     *waiving
}

// draft finds out what the flags leave open: digest, policy, rules, approver, name.
func (a *app) draft(ctx context.Context, set *policy.Set, image string, opts *waiving) (*waiverDraft, error) {
	now := time.Now
	if a.clock != nil {
		now = a.clock
	}
	d := &waiverDraft{opts: opts, of: opts.of, from: cmp.Or(opts.from, now().UTC().Format(time.DateOnly)), until: opts.until, rules: opts.rules, approvedBy: opts.approvedBy}
	approvers := set.Approvers()
	switch {
	case len(approvers) == 0:
		return nil, &usageError{errors.New("nobody may approve waivers"), "add waivers: {approvedBy: [NAME]} to the PolicySet, and the signer of that name"}
	case d.approvedBy == "" && len(approvers) > 1:
		return nil, &usageError{errors.New("it is open who approves the waiver"), "add --approved-by with one of " + strings.Join(approvers, ", ")}
	case d.approvedBy == "":
		d.approvedBy = approvers[0]
	}
	if len(opts.namespaces) == 1 {
		opts.scope.Namespace = opts.namespaces[0]
	}
	v, err := a.verifier(ctx, &opts.collecting, set)
	if err != nil {
		return nil, err
	}
	var found stemma.Image
	var decision *stemma.Decision
	if opts.unmet {
		result, err := a.one(ctx, v, image, &opts.collecting, &underneath{})
		if err != nil {
			return nil, err
		}
		decision, found = result.Decision, result.Decision.Image
	} else {
		limited, cancel := context.WithTimeout(ctx, opts.timeout)
		defer cancel()
		if found, err = v.Resolve(limited, opts.request(image)); err != nil {
			return nil, err
		}
	}
	d.image = found.Repository + "@" + string(found.Digest)
	if err := d.choose(set, found, decision); err != nil {
		return nil, err
	}
	d.name = opts.name
	if d.name == "" {
		_, last, _ := strings.Cut(found.Repository, "/")
		d.name = nameFrom(last[strings.LastIndex(last, "/")+1:] + "-" + d.rules[0])
	}
	return d, nil
}

// choose finds the policy and, of a decision, the rules that the image fails.
func (d *waiverDraft) choose(set *policy.Set, image stemma.Image, decision *stemma.Decision) error {
	unmet := map[string][]string{}
	if decision != nil {
		for _, f := range decision.Findings {
			switch {
			case f.Outcome != stemma.Fail && (f.Outcome != stemma.Unknown || f.Advisory):
			case f.Outcome == stemma.Unknown && f.Reason.Class() == stemma.CouldNotCheck:
				return &usageError{fmt.Errorf("%s of %s could not be looked at", f.Rule, clean(d.image)), "try again: what nobody has seen is not to be waived unseen; if it must be, name it with --rule"}
			case !slices.Contains(unmet[f.Policy], f.Rule):
				unmet[f.Policy] = append(unmet[f.Policy], f.Rule)
			}
		}
		if len(unmet) == 0 {
			return &usageError{fmt.Errorf("%s fails nothing", clean(d.image)), "no waiver is needed"}
		}
	}
	var about []string
	for _, m := range set.Match(image.Repository, d.opts.scope) {
		if m.Matches && (decision == nil || unmet[m.Policy] != nil) {
			about = append(about, m.Policy)
		}
	}
	switch {
	case len(about) == 0:
		return &usageError{fmt.Errorf("no policy is about %s", clean(image.Repository)), "stemma policy match says why; an image that no policy is about cannot be waived through"}
	case d.of == "" && len(about) > 1:
		return &usageError{fmt.Errorf("several policies are about %s", clean(image.Repository)), "a waiver is of one policy: add --for with one of " + strings.Join(about, ", ")}
	case d.of == "":
		d.of = about[0]
	case !slices.Contains(about, d.of):
		return &usageError{fmt.Errorf("policy %s has nothing to waive for %s", clean(d.of), clean(image.Repository)), "--for can be " + strings.Join(about, ", ")}
	}
	if decision != nil {
		d.rules = unmet[d.of]
	}
	return nil
}

// nameFrom makes a name of a document out of a text.
func nameFrom(text string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	name = strings.Trim(name[:min(len(name), 60)], "-")
	if name == "" || name[0] < 'a' {
		name = "waiver-" + name
	}
	return strings.Trim(name[:min(len(name), 63)], "-")
}

// text is the document. Every value that comes from outside is quoted as in JSON, which YAML reads alike.
func (d *waiverDraft) text() []byte {
	var b bytes.Buffer
	value := func(v any) string {
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(v) // text and lists of it
		return strings.ReplaceAll(strings.TrimSpace(text.String()), `","`, `", "`)
	}
	fmt.Fprintf(&b, "# A waiver. It counts with the signature of approvedBy beside it (FILE%s), from its first day\n", signatureSuffix)
	fmt.Fprintf(&b, "# to its last, for these rules of this policy and these images alone. What it waives is not met: every decision says so.\n")
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata: {name: %s}\nspec:\n", policy.APIVersion, policy.KindWaiver, value(d.name))
	line := func(key, text string) { fmt.Fprintf(&b, "  %s: %s\n", key, text) }
	line("policy", value(d.of))
	line("rules", value(d.rules))
	line("images", value([]string{d.image}))
	if len(d.opts.namespaces) > 0 {
		line("namespaces", value(d.opts.namespaces))
	}
	line("reason", value(d.opts.reason))
	if d.opts.ticket != "" {
		line("ticket", value(d.opts.ticket))
	}
	line("owner", value(d.opts.owner))
	line("approvedBy", value(d.approvedBy))
	line("from", clean(d.from))
	line("until", clean(d.until))
	return b.Bytes()
}
