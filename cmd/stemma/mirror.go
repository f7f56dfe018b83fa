package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stemma"
	"stemma/verify"
)

// mirroring holds the flags of mirror.
type mirroring struct {
	collecting
	policies []string
	strict   bool
	verbose  bool
}

func (a *app) mirrorCommand() *cobra.Command {
	var opts mirroring
	c := &cobra.Command{
		Use:   "mirror SRC DST",
		Short: "Copy an image with all evidence about it, and check the copy",
		Long: `Copies an image and everything that is about it to another repository: platforms, attestation manifests, referrers and
what is attached to those, and cosign's tags. Then it looks at the copy as anybody would, and says what the destination
could not hold. With policies it also verifies both, each under its own name; a PolicySet says under spec.mirrors which
repositories stand for others.

DST without a tag takes the tag of SRC. The tag is set last: nobody finds half an image under it. Every byte is hashed on
its way. What the destination has already is not sent again, so that an interrupted copy can be run again.

Exit codes: 0 the copy has all that the source has, and is admitted by the policies, if there are any; 1 it has not, or
is refused; otherwise as for verify.`,
		Example: `  stemma mirror ghcr.io/acme/api:1.8.2 registry.corp.example/hub/acme/api
  stemma mirror ghcr.io/acme/api@sha256:… registry.corp.example/hub/acme/api:1.8.2 --policy policies/
  stemma mirror oci:./image localhost:5000/acme/api:dev --plain-http localhost:5000`,
		RunE: func(c *cobra.Command, args []string) error {
			report, err := a.mirror(c.Context(), args, &opts)
			return a.mirrored(report, err, &opts)
		},
	}
	flags := c.Flags()
	flags.StringArrayVar(&opts.policies, "policy", nil, "policy `FILE`, directory or oci://REPOSITORY@DIGEST by which source and copy are judged. Repeatable")
	flags.StringArrayVar(&opts.roots, "trusted-root", nil, "trusted root of a trust domain, [NAME=]`FILE`; NAME is public-good when left out. Repeatable")
	flags.StringVar(&opts.cacheDir, "cache-dir", defaultCacheDir(), "where trusted roots and content by digest are kept between runs; empty keeps nothing")
	flags.DurationVar(&opts.timeout, "timeout", time.Hour, "how long all of it may take")
	flags.StringVarP(&opts.output, "output", "o", "text", "text or json")
	flags.BoolVar(&opts.strict, "strict", false, "exit by the verdict on the copy, as if every policy were enforced")
	flags.BoolVarP(&opts.verbose, "verbose", "v", false, "list every manifest, blob and tag")
	opts.reach.add(c)
	return c
}

func (a *app) mirror(ctx context.Context, args []string, opts *mirroring) (*verify.MirrorReport, error) {
	if len(args) != 2 {
		return nil, &usageError{fmt.Errorf("mirror needs an image and where to copy it, got %s", plural(len(args), "argument")), "stemma mirror ghcr.io/acme/api:1.8.2 registry.corp.example/hub/acme/api"}
	}
	if err := opts.prepare(); err != nil {
		return nil, err
	}
	if len(opts.policies) == 0 && len(opts.roots) > 0 {
		return nil, &usageError{errors.New("a trusted root and no policy"), "add --policy FILE, or leave --trusted-root out: nothing is verified without a policy"}
	}
	v, err := a.mirrorVerifier(ctx, opts)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, opts.timeout)
	defer cancel()
	report, err := v.Mirror(limited, args[0], args[1], a.counting("copied"))
	if err != nil && ctx.Err() != nil {
		err = &verify.Error{Kind: verify.Unreachable, Err: fmt.Errorf("copying %s: interrupted", clean(args[0])), Hint: "run it again: what is there already is not sent again"}
	}
	return report, err
}

// mirrorVerifier judges by the policies, if there are any; otherwise it needs no trusted roots.
func (a *app) mirrorVerifier(ctx context.Context, opts *mirroring) (*verify.Verifier, error) {
	if len(opts.policies) > 0 {
		set, signed, err := a.loadPolicies(ctx, &opts.collecting, opts.policies)
		if err != nil {
			return nil, err
		}
		opts.signed = signed
		return a.verifier(ctx, &opts.collecting, set)
	}
	reach, err := opts.reach.network()
	if err != nil {
		return nil, err
	}
	reach.Transport, reach.Sleep = a.transport, a.sleep
	return verify.NewMirror(verify.Config{CacheDir: opts.cacheDir, Network: reach, Clock: a.clock})
}

// counting says on standard error how far something has come, every few seconds.
func (a *app) counting(done string) func(n, total int) {
	last := time.Now()
	return func(n, total int) {
		if now := time.Now(); now.Sub(last) > 2*time.Second {
			last = now
			fmt.Fprintf(a.stderr, "stemma: %s %d of %d …\n", done, n, total)
		}
	}
}

// mirrorAnswer is the JSON output of mirror.
type mirrorAnswer struct {
	*verify.MirrorReport
	Errors []answerError `json:"errors,omitempty"`
	Exit   int           `json:"exit"`
}

// mirrored renders what there is to say, and exits by it.
func (a *app) mirrored(report *verify.MirrorReport, err error, opts *mirroring) error {
	answer := mirrorAnswer{MirrorReport: report}
	switch {
	case err != nil:
		a.code = a.report(err)
		answer.Errors = []answerError{newAnswerError("", err, a.code)}
	default:
		if !report.Equal() {
			a.code = exitRefuse
		}
		if report.After != nil {
			a.code = worse(a.code, exitCode(report.After, opts.strict))
		}
	}
	answer.Exit = a.code
	if opts.output == "json" {
		return writeJSON(a.stdout, answer)
	}
	if report != nil && (err == nil || len(report.Items) > 0) {
		a.printMirror(report, err == nil, opts)
	}
	return nil
}

func (a *app) printMirror(r *verify.MirrorReport, finished bool, opts *mirroring) {
	p := colours(a.stdout)
	copied := r.Copy.Repository
	if r.Copy.Tag != "" {
		copied += ":" + r.Copy.Tag
	}
	word := p.green("MIRRORED")
	switch {
	case !finished:
		word = p.red("NOT MIRRORED")
	case !r.Equal():
		word = p.red("MIRRORED, WITH LOSSES")
		if len(r.Missing) == 0 && len(r.Unavailable) == 0 {
			word = p.yellow("MIRRORED, AND JUDGED OTHERWISE")
		}
	}
	fmt.Fprintf(a.stdout, "%s  %s → %s\n", word, clean(r.Source.String()), p.bold(clean(copied)))
	fmt.Fprintf(a.stdout, "       %s\n", mirrorTally(r))
	if finished {
		has := r.Evidence - len(r.Missing)
		text := fmt.Sprintf("%d of %s of evidence", has, plural(r.Evidence, "piece"))
		switch {
		case r.Evidence == 0:
			text = "no evidence"
		case has == r.Evidence:
			text = "all " + plural(r.Evidence, "piece") + " of evidence"
		}
		fmt.Fprintf(a.stdout, "       the copy has %s that the source has\n", text)
	}
	if r.FallbackTags {
		fmt.Fprintln(a.stdout, p.dim("       the destination lists no referrers; fallback tags list them"))
	}
	if finished && r.Copy.Tag == "" {
		fmt.Fprintln(a.stdout, p.yellow("       the copy has no tag, and its registry may remove it: give DST one"))
	}
	if r.Before != nil && r.After != nil {
		fmt.Fprintf(a.stdout, "       the source is judged %s, the copy %s\n", strings.ToUpper(string(r.Before.Verdict)), strings.ToUpper(string(r.After.Verdict)))
	}
	var rows [][]string
	for _, i := range r.Items {
		bad := i.Result == verify.ItemRefused || i.Result == verify.ItemNotRead
		if !bad && !opts.verbose && i.Result != verify.ItemLeftOut {
			continue
		}
		name := i.Digest.Short()
		if i.Tag != "" {
			name = strings.TrimSpace(i.Tag + " " + name)
		}
		rows = append(rows, []string{string(i.Result), i.Kind, clean(name), clean(i.Why)})
	}
	if len(rows) > 0 {
		fmt.Fprintln(a.stdout)
		table(a.stdout, "  ", rows, func(row, col int, s string) string {
			if col == 0 && rows[row][3] != "" {
				return p.red(s)
			}
			return s
		})
	}
	for i, m := range r.Missing {
		if i == 0 {
			fmt.Fprintln(a.stdout)
		}
		fmt.Fprintf(a.stdout, " %s missing  %s %s about %s, from %s\n             %s\n", p.red("✗"), m.Format, m.Bundle.Short(), m.Of.Short(), clean(m.Place), p.dim(clean(m.Why)))
	}
	for _, u := range r.Unavailable {
		fmt.Fprintf(a.stdout, " %s %s  %s\n", p.yellow("?"), clean(u.Place), p.dim(clean(u.Detail)))
	}
	if len(r.Differences) > 0 {
		fmt.Fprintln(a.stdout)
	}
	for _, d := range r.Differences {
		fmt.Fprintf(a.stdout, " %s %s\n", p.red("✗"), clean(d))
	}
	if r.After != nil && r.After.Verdict != stemma.Allow {
		fmt.Fprintf(a.stdout, " %s  %s   says why\n", p.dim("next "), opts.line("stemma verify", r.Copy.Repository+"@"+string(r.Copy.Digest), opts.policies))
	}
}

// mirrorTally counts items by what became of them.
func mirrorTally(r *verify.MirrorReport) string {
	count := map[string]int{}
	order := []string{string(verify.ItemCopied), string(verify.ItemMounted), string(verify.ItemThere), string(verify.ItemLeftOut), string(verify.ItemRefused), string(verify.ItemNotRead)}
	for _, i := range r.Items {
		count[string(i.Result)]++
	}
	parts := make([]string, 0, len(order))
	for _, result := range order {
		if n := count[result]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, result))
		}
	}
	return fmt.Sprintf("%s: %s; %s sent", plural(len(r.Items), "item"), strings.Join(parts, ", "), bytesText(r.Bytes))
}

func bytesText(n int64) string {
	switch {
	case n < 1<<10:
		return plural(int(n), "byte")
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
