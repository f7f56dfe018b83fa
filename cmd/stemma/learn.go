package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"stemma"
	"stemma/policy"
	"stemma/verify"
)

func (a *app) learnCommand() *cobra.Command {
	var opts learning
	c := &cobra.Command{
		Use:   "learn IMAGE...",
		Short: "Write the tightest policy that images satisfy",
		Long: `Collects all evidence about each image, as inspect does, and writes the tightest policy that all of them satisfy: exact
issuers, workflows, refs, immutable ids, events, sources and inputs. It generalises only in what the images vary in: give
two releases to let the version vary, and two services to let their names vary. Comments say what each line rests on.

Nobody has verified that the images are what they should be: whoever built them, the policy accepts him. Review it line by
line. Every image must have evidence that verifies; one that has none fails the whole command, and nothing is written.`,
		Example: `  stemma learn ghcr.io/acme/api:1.8.1 ghcr.io/acme/api:1.8.2 > policy.yaml
  stemma learn ghcr.io/acme/api:1.8.2 ghcr.io/acme/web:3.0.0 --name-policy services --explain > policy.yaml
  stemma learn quay.io/acme/app:v1 --policy set.yaml > policy.yaml     # signed with a key that the PolicySet in set.yaml trusts
  stemma learn oci:./image --name ghcr.io/acme/api --trusted-root trusted_root.json > policy.yaml`,
		RunE: func(c *cobra.Command, images []string) error { return a.learn(c.Context(), images, &opts) },
	}
	opts.add(c)
	// A policy has one form.
	c.Flags().Lookup("output").Hidden = true
	c.Flags().StringArrayVar(&opts.policies, "policy", nil, "`FILE` whose trust domains, mirrors and places of evidence are used; its policies are not. Repeatable")
	c.Flags().StringVar(&opts.named, "name-policy", "", "`NAME` of the policy; by default the last part of the name of its images")
	c.Flags().BoolVar(&opts.explain, "explain", false, "say on standard error what looser patterns would also accept")
	return c
}

// learning holds the flags of learn.
type learning struct {
	collecting
	policies []string
	named    string
	explain  bool
}

func (a *app) learn(ctx context.Context, images []string, opts *learning) error {
	if len(images) == 0 {
		return &usageError{errors.New("learn needs an image"), "stemma learn ghcr.io/acme/api:1.8.1 ghcr.io/acme/api:1.8.2 > policy.yaml"}
	}
	if opts.output != "text" {
		return &usageError{fmt.Errorf("unknown output %q", clean(opts.output)), "learn writes a policy, which is YAML, to standard output: stemma learn … > policy.yaml"}
	}
	if err := opts.prepare(); err != nil {
		return err
	}
	var trust *policy.Set
	if len(opts.policies) > 0 {
		files, err := a.findPolicies(ctx, &opts.collecting, opts.policies)
		if err != nil {
			return err
		}
		if set, signed, err := loaded(files); err == nil && len(set.SignedBy()) > 0 {
			signedSet := opts.collecting
			signedSet.signed = signed
			if _, err := a.verifier(ctx, &signedSet, set); err != nil {
				return err
			}
		}
		documents, _ := parted(files)
		if trust, err = policy.LoadTrust(documents...); err != nil {
			return err
		}
	}
	v, err := a.verifier(ctx, &opts.collecting, trust)
	if err != nil {
		return err
	}
	var evidence []*stemma.Evidence
	for _, image := range images {
		e, err := a.evidenceOf(ctx, v, image, &opts.collecting)
		if err != nil {
			return err
		}
		evidence = append(evidence, e)
	}
	learned, err := policy.Learn(evidence, policy.LearnOptions{Trust: trust, Name: opts.named, Explain: opts.explain})
	var none *policy.Unlearnable
	if errors.As(err, &none) {
		return unlearnable(none, evidence)
	}
	if err != nil {
		return err
	}
	for _, line := range learned.Wider {
		fmt.Fprintln(a.stderr, "stemma: "+clean(line))
	}
	_, err = io.WriteString(a.stdout, learned.Policy)
	return err
}

// unlearnable is the error about an image from which nothing can be learned. Where no place gave an answer, that is why.
func unlearnable(u *policy.Unlearnable, evidence []*stemma.Evidence) error {
	kind := verify.Invalid
	for _, e := range evidence {
		if e.Image == u.Image && len(e.Attestations) == 0 && len(e.Unavailable) > 0 {
			kind = verify.Unreachable
			u.Problem += "; could not look at " + e.Unavailable[0].Place + ": " + e.Unavailable[0].Detail
		}
	}
	return &verify.Error{Kind: kind, Hint: u.Hint, Err: u}
}

// evidenceOf collects all evidence about an image.
func (a *app) evidenceOf(ctx context.Context, v *verify.Verifier, image string, flags *collecting) (*stemma.Evidence, error) {
	limited, cancel := context.WithTimeout(ctx, flags.timeout)
	defer cancel()
	defer a.progress("looking for evidence about " + clean(image))()
	e, err := v.Collect(limited, flags.request(image))
	if err != nil {
		return nil, interrupted(ctx, image, err)
	}
	return e, nil
}
