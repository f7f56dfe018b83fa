package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"stemma"
	"stemma/verify"
)

func (a *app) verifyCommand() *cobra.Command {
	var opts verifying
	c := &cobra.Command{
		Use:   "verify IMAGE... --policy FILE",
		Short: "Judge images by a policy",
		Long: `Collects all evidence about each image, judges it by the policies, and explains the decision: what was found, what
was wanted, by which line of which policy, on what proof, and what to do.`,
		Example: `  stemma verify ghcr.io/acme/api:1.8.2 --policy policy.yaml
  stemma verify oci:./image --name ghcr.io/acme/api --policy policies/ --trusted-root trusted_root.json
  stemma verify ghcr.io/acme/api@sha256:… --policy policy.yaml --evidence provenance.sigstore.json -o json
  stemma verify ghcr.io/acme/api:1.8.2 --policy policy.yaml --expect commit=$GITHUB_SHA
  stemma verify ghcr.io/acme/api@sha256:… ghcr.io/acme/web@sha256:… --policy policies/ --release release.txt`,
		RunE: func(c *cobra.Command, args []string) error {
			err := a.verify(c.Context(), args, &opts)
			if err == nil || opts.output != "json" {
				return err
			}
			// Whoever reads JSON reads what went wrong before the first image there, too.
			a.code = a.report(err)
			return writeJSON(a.stdout, answers{Decisions: []*stemma.Decision{}, Errors: []answerError{newAnswerError("", err, a.code)}, Exit: a.code})
		},
	}
	opts.add(c)
	c.Flags().StringArrayVar(&opts.policies, "policy", nil, "policy `FILE`, directory or oci://REPOSITORY@DIGEST. Repeatable")
	c.Flags().StringVar(&opts.release, "release", "", "`FILE` with the images of a release, repository@digest, one a line: each that is not given is refused")
	c.Flags().StringArrayVar(&opts.expect, "expect", nil, "`FIELD=VALUE` that the provenance of every image must state: commit, repository, ref, run, builder, … Repeatable")
	c.Flags().StringVar(&opts.when, "at", "", "`TIME` to decide for instead of now, 2027-01-31 or 2027-01-31T12:00:00Z: asks what would be, and admits nothing")
	c.Flags().StringArrayVar(&opts.as, "as", nil, "for whom it is decided, `KEY=VALUE`: namespace=payments, requester=alice. Repeatable")
	opts.beneath.add(c)
	c.Flags().BoolVar(&opts.strict, "strict", false, "exit by the verdict, as if every policy were enforced")
	c.Flags().BoolVarP(&opts.verbose, "verbose", "v", false, "list the requirements that are met, too")
	return c
}

// verifying holds the flags of verify.
type verifying struct {
	collecting
	policies        []string
	release         string
	expect          []string
	when            string
	as              []string
	beneath         underneath
	strict, verbose bool
}

func (a *app) verify(ctx context.Context, images []string, opts *verifying) error {
	if len(images) == 0 {
		return &usageError{errors.New("verify needs an image"), "stemma verify ghcr.io/acme/api:1.8.2 --policy policy.yaml"}
	}
	if err := opts.prepare(); err != nil {
		return err
	}
	if len(opts.policies) == 0 {
		return &usageError{errors.New("verify needs a policy"), "add --policy FILE; to see what there is to require: " + opts.again(images[0], nil)}
	}
	set, signed, err := a.loadPolicies(ctx, &opts.collecting, opts.policies)
	if err != nil {
		return err
	}
	opts.signed = signed
	if err := opts.situate(); err != nil {
		return err
	}
	if opts.expected, err = expectations(opts.expect); err != nil {
		return err
	}
	var release verify.Release
	if opts.release != "" {
		data, err := readFile(opts.release, maxReleaseFile)
		if err != nil {
			return &usageError{fmt.Errorf("reading a release: %w", err), "give the path of a file with one image a line"}
		}
		if release, err = verify.ReadRelease(clean(opts.release), data); err != nil {
			return err
		}
	}
	done, err := opts.beneath.open(ctx, &opts.collecting)
	if err != nil {
		return err
	}
	defer done()
	v, err := a.verifier(ctx, &opts.collecting, set)
	if err != nil {
		return err
	}
	var trust []string
	if len(set.Trust()) > 0 {
		trust = opts.policies // keys and roots of its own, without which inspect would not see the same
	}
	return a.verifyImages(ctx, v, images, opts, trust, release)
}

// situate reads --at and --as.
func (f *verifying) situate() error {
	for _, as := range f.as {
		key, value, _ := strings.Cut(as, "=")
		at := map[string]*string{"namespace": &f.scope.Namespace, "requester": &f.scope.Requester}[key]
		switch {
		case at == nil || value == "":
			return &usageError{fmt.Errorf("--as %q says not for whom", clean(as)), "write --as namespace=NAME or --as requester=NAME"}
		case *at != "":
			return &usageError{fmt.Errorf("--as %s is given twice", key), "give it once"}
		}
		*at = value
	}
	if f.when == "" {
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, f.when); err == nil {
			f.at = at.UTC()
			return nil
		}
	}
	return &usageError{fmt.Errorf("--at %q is no time", clean(f.when)), "write a day, 2027-01-31, or a time, 2027-01-31T12:00:00Z"}
}

// expectations reads --expect FIELD=VALUE.
func expectations(given []string) (map[stemma.Field]string, error) {
	out := map[stemma.Field]string{}
	for _, e := range given {
		name, value, ok := strings.Cut(e, "=")
		f := stemma.Field(name)
		switch {
		case !ok || value == "":
			return nil, &usageError{fmt.Errorf("--expect %q says no value", clean(e)), "write FIELD=VALUE: --expect commit=3f1c…, all 40 digits"}
		case !slices.Contains(stemma.Fields(), f):
			var names []string
			for _, f := range stemma.Fields() {
				names = append(names, string(f))
			}
			return nil, &usageError{fmt.Errorf("--expect: no provenance has a field %q", clean(name)), "the fields are " + strings.Join(names, ", ")}
		case out[f] != "" && out[f] != value:
			return nil, &usageError{fmt.Errorf("--expect %s is given twice, with different values", name), "give it once"}
		}
		out[f] = value
	}
	return out, nil
}

const maxReleaseFile = 1 << 20 // bytes

// answers is the JSON output of verify.
type answers struct {
	Decisions []*stemma.Decision `json:"decisions"`
	Errors    []answerError      `json:"errors,omitempty"`
	Exit      int                `json:"exit"`
}

type answerError struct {
	Image string `json:"image,omitempty"` // none: before the first image
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	Exit  int    `json:"exit"`
}

// verifyImages judges each image. trust are the policy files that declare trust domains.
func (a *app) verifyImages(ctx context.Context, v *verify.Verifier, images []string, opts *verifying, trust []string, release verify.Release) error {
	out := answers{Decisions: []*stemma.Decision{}}
	for _, image := range images {
		result, err := a.one(ctx, v, image, &opts.collecting, &opts.beneath)
		if err != nil {
			// One image without an answer does not hide the others (kyverno#16208).
			code := a.report(err)
			out.Errors = append(out.Errors, newAnswerError(image, err, code))
			a.code = worse(a.code, code)
			continue
		}
		a.decided(&out, result.Decision, image, opts, trust)
	}
	for _, d := range v.Omitted(release, out.Decisions, opts.request("").Situation) {
		a.decided(&out, d, d.Image.String(), opts, trust)
	}
	out.Exit = a.code
	if opts.output == "json" {
		return writeJSON(a.stdout, out)
	}
	return nil
}

// decided adds a decision to the answers.
func (a *app) decided(out *answers, d *stemma.Decision, image string, opts *verifying, trust []string) {
	a.code = worse(a.code, exitCode(d, opts.strict))
	if opts.output == "text" {
		if len(out.Decisions) > 0 {
			fmt.Fprintln(a.stdout)
		}
		a.printDecision(d, image, opts.again(image, trust), opts.verbose)
	}
	out.Decisions = append(out.Decisions, d)
}

func (a *app) one(ctx context.Context, v *verify.Verifier, image string, flags *collecting, beneath *underneath) (*verify.Result, error) {
	limited, cancel := context.WithTimeout(ctx, flags.timeout)
	defer cancel()
	defer a.progress("looking for evidence about " + clean(image))()
	request := flags.request(image)
	request.Bases, request.Original = beneath.bases, beneath.original
	result, err := v.Verify(limited, request)
	if err != nil {
		return nil, interrupted(ctx, image, err)
	}
	a.recordLineage(ctx, beneath, result.Evidence)
	return result, nil
}

// interrupted replaces an error that comes of a signal, and accuses no registry of being slow.
func interrupted(ctx context.Context, image string, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return &verify.Error{Kind: verify.Unreachable, Err: fmt.Errorf("looking for evidence about %s: interrupted", clean(image)), Hint: "nothing was decided"}
}

func newAnswerError(image string, err error, code int) answerError {
	e := answerError{Image: image, Error: err.Error(), Exit: code}
	var failure *verify.Error
	var usage *usageError
	switch {
	case errors.As(err, &failure):
		e.Hint = failure.Hint
	case errors.As(err, &usage):
		e.Hint = usage.hint
	}
	return e
}

// exitCode follows the effect; strict, or of a decision about another time, the verdict.
func exitCode(d *stemma.Decision, strict bool) int {
	if !strict && (d.Effect == stemma.Admit || d.Effect == stemma.Warn) {
		return exitAdmit
	}
	switch d.Verdict {
	case stemma.Allow:
		if d.Effect == stemma.Admit || d.Effect == stemma.None {
			return exitAdmit
		}
		return exitInternal // an effect that contradicts its verdict
	case stemma.Deny:
		return exitRefuse
	}
	return exitUndetermined
}

func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escaped(b.Bytes()))
	return err
}

// escaped writes what no terminal should see as \u…: encoding/json leaves C1 controls, which begin escape sequences as
// well as ESC does, and characters that turn the direction of text. Outside of strings, JSON has neither.
func escaped(text []byte) []byte {
	seen := func(r rune) bool { return r == '\n' || unicode.IsGraphic(r) }
	if !bytes.ContainsFunc(text, func(r rune) bool { return !seen(r) }) {
		return text
	}
	var b []byte
	for _, r := range string(text) {
		if seen(r) {
			b = utf8.AppendRune(b, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			b = fmt.Appendf(b, `\u%04x`, unit)
		}
	}
	return b
}
