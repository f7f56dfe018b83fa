package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"stemma/policy"
)

func (a *app) policyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Check, test, explain, import, sign and publish policies",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return &usageError{fmt.Errorf("policy needs a verb"), "stemma policy --help lists them"}
		},
	}
	c.AddCommand(a.policySignCommand(), a.policyPushCommand(), a.policyPullCommand(), a.policyMatchCommand(), a.policyTestCommand(), a.policyImportCommand(), &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of policy documents, for editors",
		Example: "  stemma policy schema > stemma-policy.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(a.stdout, policy.Schema())
			return err
		},
	}, a.policyCheckCommand(), &cobra.Command{
		Use:     "explain [RULE]",
		Short:   "Say what a rule requires, or what a finding of policy check means",
		Example: "  stemma policy explain\n  stemma policy explain builder.approved\n  stemma policy explain lint.any-ref",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{fmt.Errorf("policy explain says one rule at a time, got %d", len(args)), "stemma policy explain " + args[0]}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				a.listRules()
				return nil
			}
			return a.explainRule(args[0])
		},
	})
	return c
}

func (a *app) listRules() {
	rows := [][]string{}
	for _, r := range append([]policy.Rule{policy.UnmatchedRule()}, policy.Rules()...) {
		rows = append(rows, []string{r.ID, "fails when " + r.Title})
	}
	table(a.stdout, "", rows, nil)
	fmt.Fprint(a.stdout, "\nstemma policy explain RULE says why, and what to do. policy check finds besides:\n\n")
	rows = rows[:0]
	for _, c := range policy.Checks() {
		rows = append(rows, []string{c.ID, string(c.Severity), c.Title})
	}
	table(a.stdout, "", rows, nil)
}

func (a *app) explainRule(id string) error {
	rules := append([]policy.Rule{policy.UnmatchedRule()}, policy.Rules()...)
	var near []string
	for _, r := range rules {
		if r.ID == id {
			p := colours(a.stdout)
			fmt.Fprintf(a.stdout, "%s\n", p.bold(r.ID))
			fmt.Fprintf(a.stdout, "  fails     when %s\n  why       %s\n  fix       %s\n  controls  %s (NIST SP 800-53 Rev. 5)\n  since     %s\n", r.Title, r.Why, r.Fix, strings.Join(r.Controls, ", "), r.Since)
			return nil
		}
		if block, _, _ := strings.Cut(r.ID, "."); strings.HasPrefix(id, block) || strings.Contains(r.ID, id) {
			near = append(near, r.ID)
		}
	}
	for _, c := range policy.Checks() {
		if c.ID == id {
			fmt.Fprintf(a.stdout, "%s\n  %-9s %s\n  why       %s\n", colours(a.stdout).bold(c.ID), c.Severity, c.Title, c.Why)
			return nil
		}
		if strings.Contains(c.ID, strings.TrimPrefix(id, "lint.")) {
			near = append(near, c.ID)
		}
	}
	hint := "stemma policy explain lists them"
	if len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return &usageError{fmt.Errorf("no rule is called %q", id), hint}
}
