package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stemma"
	"stemma/policy"
)

func (a *app) policyCheckCommand() *cobra.Command {
	var output string
	var strict bool
	var reach collecting
	c := &cobra.Command{
		Use:   "check FILE...",
		Short: "Read policies strictly, say what is in them, and what is likely to be wrong",
		Long: `Read policies strictly and say what is in them. What loads and is still likely to be wrong is a finding: an error can
never allow, or never do what it is written for; a warning accepts what hardly anybody means, or is of no effect; an
advice could be tighter. Findings refuse nothing, unless --strict is given.

Exit codes: 0 the policies load; 1 with --strict, there is an error or a warning; 2 they do not load.`,
		Example: "  stemma policy check policy.yaml\n  stemma policy check policies/ --strict",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{fmt.Errorf("policy check needs a file"), "stemma policy check policy.yaml"}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return &usageError{fmt.Errorf("unknown output %q", output), "write --output text or --output json"}
			}
			set, _, err := a.loadPolicies(c.Context(), &reach, args)
			if err != nil {
				return err
			}
			now := time.Now
			if a.clock != nil {
				now = a.clock
			}
			r := checked{Set: set.Name, Digest: set.Digest, Findings: set.Lint(now()), Count: map[policy.Severity]int{}}
			for _, f := range r.Findings {
				r.Count[f.Severity]++
			}
			if strict && r.Count[policy.SeverityError]+r.Count[policy.SeverityWarning] > 0 {
				a.code = exitRefuse
			}
			r.Exit = a.code
			if output == "json" {
				return a.writeChecked(set, r)
			}
			a.printSet(set)
			a.printFindings(r)
			return nil
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "exit 1 when there is an error or a warning")
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	reach.reach.add(c)
	return c
}

// checked is the answer of policy check as JSON.
type checked struct {
	Set      string                  `json:"set"`
	Digest   stemma.Digest           `json:"digest"`
	Policies []checkedPolicy         `json:"policies"`
	Findings []*policy.Warning       `json:"findings"`
	Count    map[policy.Severity]int `json:"count"`
	Exit     int                     `json:"exit"`
}

type checkedPolicy struct {
	Name        string               `json:"name"`
	Digest      stemma.Digest        `json:"digest"`
	Mode        string               `json:"mode"`
	Images      []string             `json:"images"`
	Rules       []string             `json:"rules"`
	AnyOf       []checkedAlternative `json:"anyOf,omitempty"`
	NotRequired []string             `json:"notRequired,omitempty"`
	Approved    []string             `json:"approved,omitempty"`
	Trust       []string             `json:"trust"`
}

type checkedAlternative struct {
	Name  string   `json:"name"`
	Rules []string `json:"rules"`
}

func (a *app) writeChecked(set *policy.Set, r checked) error {
	for _, s := range set.Summary() {
		var anyOf []checkedAlternative
		for _, way := range s.Alternatives {
			anyOf = append(anyOf, checkedAlternative(way))
		}
		r.Policies = append(r.Policies, checkedPolicy{s.Name, s.Digest, s.Mode, s.Images, s.Rules, anyOf, s.NotRequired, s.Approved, s.Trust})
	}
	if r.Findings == nil {
		r.Findings = []*policy.Warning{}
	}
	return writeJSON(a.stdout, r)
}

// printSet says what is in a set.
func (a *app) printSet(set *policy.Set) {
	fmt.Fprintf(a.stdout, "ok  set %s@%s\n", set.Name, set.Digest.Short())
	for _, s := range set.Summary() {
		fmt.Fprintf(a.stdout, "\n    %s@%s  %s\n", s.Name, s.Digest.Short(), s.Mode)
		fmt.Fprintf(a.stdout, "    images    %s\n", clean(strings.Join(s.Images, ", ")))
		fmt.Fprintf(a.stdout, "    requires  %s\n", strings.Join(s.Rules, ", "))
		for i, way := range s.Alternatives {
			word := "or"
			if i == 0 {
				word = "either"
			}
			fmt.Fprintf(a.stdout, "    %-8s  %s: %s\n", word, way.Name, strings.Join(way.Rules, ", "))
		}
		if len(s.NotRequired) > 0 {
			fmt.Fprintf(a.stdout, "    does not  %s\n", strings.Join(s.NotRequired, ", "))
		}
		if len(s.Approved) > 0 {
			fmt.Fprintf(a.stdout, "    approves  %s\n", clean(strings.Join(s.Approved, ", ")))
		}
		fmt.Fprintf(a.stdout, "    trusts    %s\n", strings.Join(s.Trust, ", "))
	}
}

// printFindings says what is likely to be wrong. A set of which nothing is says nothing more.
func (a *app) printFindings(r checked) {
	if len(r.Findings) == 0 {
		return
	}
	fmt.Fprintln(a.stdout)
	for _, f := range r.Findings {
		for line := range strings.SplitSeq(f.String(), "\n") {
			fmt.Fprintln(a.stdout, stemma.Printable(line, 1000))
		}
		fmt.Fprintln(a.stdout)
	}
	count := []string{}
	for _, s := range []policy.Severity{policy.SeverityError, policy.SeverityWarning, policy.SeverityAdvice} {
		switch n := r.Count[s]; {
		case n == 0:
		case s == policy.SeverityAdvice:
			count = append(count, fmt.Sprintf("%d pieces of advice", n))
			if n == 1 {
				count[len(count)-1] = "1 piece of advice"
			}
		default:
			count = append(count, plural(n, string(s)))
		}
	}
	fmt.Fprintln(a.stdout, strings.Join(count, ", "))
}
