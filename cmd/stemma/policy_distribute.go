package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stemma/policy"
	"stemma/verify"
)

// signing holds the flags of verbs that sign files of policies.
type signing struct {
	collecting
	policies []string
	key      string
	server   string
}

const maxKeyFile = 64 << 10 // bytes

func (s *signing) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&s.key, "key", "", "`FILE` with the private key in PEM: PKCS #8, EC, or of cosign generate-key-pair, whose password is in STEMMA_PASSWORD or COSIGN_PASSWORD")
	flags.StringVar(&s.server, "timestamp-server", "", "`URL` of an RFC 3161 timestamp authority, that proves when it was signed")
	flags.StringArrayVar(&s.roots, "trusted-root", nil, "trusted root of a trust domain, [NAME=]`FILE`; NAME is public-good when left out. Repeatable")
	flags.StringVar(&s.cacheDir, "cache-dir", defaultCacheDir(), "where trusted roots are kept between runs; empty keeps nothing")
	flags.DurationVar(&s.timeout, "timeout", time.Minute, "how long it may take")
	s.reach.add(c)
	s.output = "text"
}

func (a *app) policySignCommand() *cobra.Command {
	var opts signing
	c := &cobra.Command{
		Use:   "sign FILE... --key KEY",
		Short: "Sign files of policies",
		Long: `Signs each file with a key and puts the signature beside it: of set.yaml, set.yaml.sigstore.json, a Sigstore bundle as
cosign sign-blob --key KEY --bundle FILE.sigstore.json FILE writes it. Signatures of others over the same bytes stay.
Nothing is signed that does not load. Without a key, cosign sign-blob --bundle FILE.sigstore.json FILE signs as whoever
you are logged in as, which counts as well.`,
		Example: `  stemma policy sign set.yaml --key release.key
  stemma policy sign waiver.yaml --policy set.yaml --key leads.key --timestamp-server https://timestamp.example/api/v1/timestamp`,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return &usageError{errors.New("policy sign needs a file"), "stemma policy sign set.yaml --key release.key"}
			case opts.key == "":
				return &usageError{errors.New("policy sign needs a key"), "add --key FILE, or sign without one: cosign sign-blob --bundle " + quote(args[0]+signatureSuffix) + " " + quote(args[0])}
			}
			files, err := readPolicies(args)
			if err != nil {
				return err
			}
			all, err := readPolicies(append(args, opts.policies...))
			if err != nil {
				return err
			}
			set, _, err := loaded(all)
			if err != nil {
				return err
			}
			for _, f := range files {
				if _, err := a.sign(c.Context(), set, f, &opts); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringArrayVar(&opts.policies, "policy", nil, "policy `FILE` or directory that the files belong to and that is not signed now. Repeatable")
	opts.add(c)
	return c
}

// sign signs a file of a set, writes the signature and says by whom it is.
func (a *app) sign(ctx context.Context, set *policy.Set, f policyFile, opts *signing) (*verify.Signed, error) {
	key, err := readFile(opts.key, maxKeyFile)
	if err != nil {
		return nil, &usageError{fmt.Errorf("reading the key: %w", err), "give the path of a private key in PEM"}
	}
	password, ok := os.LookupEnv("STEMMA_PASSWORD")
	if !ok {
		password = os.Getenv("COSIGN_PASSWORD")
	}
	config, err := a.config(&opts.collecting, set)
	if err != nil {
		return nil, err
	}
	var before []byte
	if f.signature != nil {
		before = f.signature.Data
	}
	ctx, cancel := context.WithTimeout(ctx, opts.timeout)
	defer cancel()
	signed, err := verify.Sign(ctx, config, verify.Signing{Key: key, Password: []byte(password), TimestampServer: opts.server}, f.File, before)
	if err != nil {
		return nil, err
	}
	if err := written(f.path+signatureSuffix, signed.Content); err != nil {
		return nil, err
	}
	p := colours(a.stdout)
	by := "a key that no trust domain of the set has"
	if signed.Signer.KeyID != "" {
		by = signed.Signer.String() + " under " + signed.Signer.Trust
	}
	if len(signed.Names) > 0 {
		by += ", which is " + strings.Join(signed.Names, " and ")
	}
	fmt.Fprintf(a.stdout, "%s  %s by %s\n        %s\n", p.green("signed"), clean(f.path), clean(by), p.dim("→ "+clean(f.path)+signatureSuffix))
	switch {
	case signed.Signer.KeyID == "":
		a.complain("the signature of "+clean(f.path)+" counts for nothing until the PolicySet lists the key under spec.trust, and a signer that has it", "openssl pkey -in "+quote(opts.key)+" -pubout prints what to list")
	case len(signed.Names) == 0:
		a.complain("the signature of "+clean(f.path)+" counts for nothing until a signer of the PolicySet has the key "+signed.Signer.KeyID, "add it under spec.signers")
	}
	return signed, nil
}

// isThere reports whether there is a file.
func isThere(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
