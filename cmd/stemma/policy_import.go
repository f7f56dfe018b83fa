package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"stemma/internal/foreign"
	"stemma/policy"
)

func (a *app) policyImportCommand() *cobra.Command {
	var out string
	var strict bool
	c := &cobra.Command{
		Use:   "import FILE...",
		Short: "Translate policies of policy-controller, Kyverno and containers/image",
		Long: `Translates ClusterImagePolicy (Sigstore policy-controller), verifyImages rules and ImageValidatingPolicy (Kyverno) and
policy.json (Podman, CRI-O, Skopeo) into policies of this program, on standard output. What is different is said on standard
error, with its place.

No image is accepted that the original refuses: what cannot be said is said tighter, and for a condition that cannot be said
at all the policy has a rule that refuses, until somebody replaces it. docs/import.md has the details.

Exit codes: 0 all is carried over, or said tighter; 1 something is not, or, with --strict, not as it is; 2 the files cannot
be read.`,
		Example: "  stemma policy import cluster-image-policy.yaml > policies/imported.yaml\n  stemma policy import /etc/containers/policy.json --out policies/imported.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{fmt.Errorf("policy import needs a file"), "stemma policy import cluster-image-policy.yaml"}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			var files []foreign.File
			for _, arg := range args {
				data, err := readFile(arg, maxPolicyFile)
				if err != nil {
					return &usageError{fmt.Errorf("reading a policy: %w", err), "give the paths of files"}
				}
				files = append(files, foreign.File{Name: clean(arg), Data: data})
			}
			r, err := foreign.Import(files...)
			if err != nil {
				return &usageError{fmt.Errorf("importing: %w", err), "stemma policy import reads ClusterImagePolicy, Kyverno's policies and policy.json"}
			}
			// What is written must be a policy: nobody should find out later.
			if _, err := policy.Load(policy.File{Name: "imported.yaml", Data: []byte(r.Policy)}); err != nil {
				return fmt.Errorf("importing: the policy does not load, which is a defect: %w", err)
			}
			for _, n := range r.Notes {
				fmt.Fprintf(a.stderr, "%s  %s\n", n.Kind, n.String())
			}
			lost, leftOut, tighter := r.Count(foreign.Lost), r.Count(foreign.LeftOut), r.Count(foreign.Tighter)
			if lost > 0 {
				fmt.Fprintf(a.stderr, "%s not carried over: the policies refuse for them, or lack the way that they belonged to\n", plural(lost, "condition"))
			}
			if leftOut > 0 {
				fmt.Fprintf(a.stderr, "%s of what the original accepts left out\n", plural(leftOut, "part"))
			}
			if lost+leftOut > 0 {
				a.code = exitRefuse
			}
			if strict && lost+leftOut+tighter > 0 {
				a.code = exitRefuse
				fmt.Fprintln(a.stderr, "--strict: nothing is written")
				return nil
			}
			if out == "" {
				_, err := fmt.Fprint(a.stdout, r.Policy)
				return err
			}
			if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
				return &usageError{fmt.Errorf("%s is there already", clean(out)), "remove it first, or write another file"}
			}
			return written(out, []byte(r.Policy))
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "write nothing unless all is carried over as it is")
	c.Flags().StringVar(&out, "out", "", "write the policies into a new `FILE`")
	return c
}
