package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"stemma"
	"stemma/verify"
)

func (a *app) verifyCommand() *cobra.Command {
	var flags collecting
	var policies []string
	var strict, verbose bool
	c := &cobra.Command{
		Use:   "verify IMAGE... --policy FILE",
		Short: "Judge images by a policy",
		Long: `Collects all evidence about each image, judges it by the policies, and explains the decision: what was found, what
was wanted, by which line of which policy, on what proof, and what to do.`,
		Example: `  stemma verify ghcr.io/acme/api:1.8.2 --policy policy.yaml
  stemma verify oci:./image --name ghcr.io/acme/api --policy policies/ --trusted-root trusted_root.json
  stemma verify ghcr.io/acme/api@sha256:… --policy policy.yaml --evidence provenance.sigstore.json -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{fmt.Errorf("verify needs an image"), "stemma verify ghcr.io/acme/api:1.8.2 --policy policy.yaml"}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := flags.check(); err != nil {
				return err
			}
			if len(policies) == 0 {
				return &usageError{fmt.Errorf("verify needs a policy"), "add --policy FILE; to see what there is to require: stemma inspect " + args[0]}
			}
			set, err := loadPolicies(policies)
			if err != nil {
				return err
			}
			v, err := a.verifier(c.Context(), &flags, set)
			if err != nil {
				return err
			}
			return a.verifyImages(c.Context(), v, args, &flags, strict, verbose)
		},
	}
	flags.add(c)
	c.Flags().StringArrayVar(&policies, "policy", nil, "policy `FILE` or directory. Repeatable")
	c.Flags().BoolVar(&strict, "strict", false, "exit by the verdict, as if every policy were enforced")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "list the requirements that are met, too")
	return c
}

// answers is the JSON output of verify.
type answers struct {
	Decisions []*stemma.Decision `json:"decisions"`
	Errors    []answerError      `json:"errors,omitempty"`
	Exit      int                `json:"exit"`
}

type answerError struct {
	Image string `json:"image"`
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	Exit  int    `json:"exit"`
}

func (a *app) verifyImages(ctx context.Context, v *verify.Verifier, images []string, flags *collecting, strict, verbose bool) error {
	out := answers{Decisions: []*stemma.Decision{}}
	for i, image := range images {
		result, err := a.one(ctx, v, image, flags)
		if err != nil {
			// One image without an answer does not hide the others (kyverno#16208).
			code := a.report(err)
			out.Errors = append(out.Errors, newAnswerError(image, err, code))
			a.code = worse(a.code, code)
			continue
		}
		a.code = worse(a.code, exitCode(result.Decision, strict))
		out.Decisions = append(out.Decisions, result.Decision)
		if flags.output == "text" {
			if i > 0 {
				fmt.Fprintln(a.stdout)
			}
			a.printDecision(result.Decision, image, verbose)
		}
	}
	out.Exit = a.code
	if flags.output == "json" {
		return writeJSON(a.stdout, out)
	}
	return nil
}

func (a *app) one(ctx context.Context, v *verify.Verifier, image string, flags *collecting) (*verify.Result, error) {
	r, err := flags.request(image)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, flags.timeout)
	defer cancel()
	defer a.progress("looking for evidence about " + stemma.Printable(image, 200))()
	return v.Verify(ctx, r)
}

func newAnswerError(image string, err error, code int) answerError {
	e := answerError{Image: image, Error: err.Error(), Exit: code}
	switch err := err.(type) {
	case *verify.Error:
		e.Hint = err.Hint
	case *usageError:
		e.Hint = err.hint
	}
	return e
}

// exitCode follows the effect; strict, the verdict.
func exitCode(d *stemma.Decision, strict bool) int {
	if !strict && (d.Effect == stemma.Admit || d.Effect == stemma.Warn) {
		return exitAdmit
	}
	switch d.Verdict {
	case stemma.Allow:
		if d.Effect == stemma.Admit {
			return exitAdmit
		}
		return exitInternal // an effect that contradicts its verdict
	case stemma.Deny:
		return exitRefuse
	}
	return exitUndetermined
}

func writeJSON(w interface{ Write([]byte) (int, error) }, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
