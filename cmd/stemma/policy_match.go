package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stemma/policy"
	"stemma/verify"
)

func (a *app) policyMatchCommand() *cobra.Command {
	var opts verifying
	c := &cobra.Command{
		Use:   "match IMAGE... --policy FILE",
		Short: "Say which policies are about an image, and why the others are not",
		Long:  "Compares the names of images with match of every policy, mirrors taken back to what they are copies of. Nothing is fetched.",
		Example: `  stemma policy match ghcr.io/acme/api:1.8.2 --policy policies/
  stemma policy match alpine --policy policies/ --as namespace=payments`,
		RunE: func(c *cobra.Command, images []string) error {
			switch {
			case len(images) == 0:
				return &usageError{errors.New("policy match needs an image"), "stemma policy match ghcr.io/acme/api:1.8.2 --policy policies/"}
			case len(opts.policies) == 0:
				return &usageError{errors.New("policy match needs a policy"), "add --policy FILE"}
			}
			if err := opts.situate(); err != nil {
				return err
			}
			set, _, err := a.loadPolicies(c.Context(), &opts.collecting, opts.policies)
			if err != nil {
				return err
			}
			for _, image := range images {
				if err := a.printMatch(set, image, &opts); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringArrayVar(&opts.policies, "policy", nil, "policy `FILE`, directory or oci://REPOSITORY@DIGEST. Repeatable")
	opts.reach.add(c)
	c.Flags().StringArrayVar(&opts.as, "as", nil, "for whom, `KEY=VALUE`: namespace=payments. Repeatable")
	return c
}

func (a *app) printMatch(set *policy.Set, image string, opts *verifying) error {
	p := colours(a.stdout)
	repository, mirror, err := verify.RepositoryOf(image, set)
	if err != nil {
		return err
	}
	if repository == "" {
		return &usageError{fmt.Errorf("%s has no name", clean(image)), "give the name that it has in a registry: ghcr.io/acme/api"}
	}
	fmt.Fprintf(a.stdout, "%s", p.bold(clean(repository)))
	if mirror != "" {
		fmt.Fprintf(a.stdout, "  of which %s is a mirror", clean(mirror))
	}
	fmt.Fprintln(a.stdout)
	matched := false
	for _, m := range set.Match(repository, opts.scope) {
		mark := p.dim("·")
		if m.Matches {
			mark = p.green("✓")
			matched = matched || !strings.Contains(m.Policy, "/")
		}
		var captures []string
		for _, name := range slices.Sorted(maps.Keys(m.Captures)) {
			captures = append(captures, "{"+name+"} = "+m.Captures[name])
		}
		text := m.Why
		if len(captures) > 0 {
			text += ": " + strings.Join(captures, ", ")
		}
		if m.Matches && m.Mode != "enforce" {
			text += "   mode " + m.Mode
		}
		fmt.Fprintf(a.stdout, " %s %s  %s\n", mark, pad(m.Policy, 22), clean(text))
	}
	if !matched {
		fmt.Fprintf(a.stdout, " no policy of the set is about it: unmatched: %s\n", set.UnmatchedEffect())
	}
	return nil
}
