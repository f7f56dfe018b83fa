package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	s.connecting(c)
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
			beside, err := a.findPolicies(c.Context(), &opts.collecting, opts.policies)
			if err != nil {
				return err
			}
			set, _, err := loaded(slices.Concat(files, slices.DeleteFunc(beside, func(f policyFile) bool { return slices.ContainsFunc(files, f.same) })))
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
	c.Flags().StringArrayVar(&opts.policies, "policy", nil, "policy `FILE`, directory or oci://REPOSITORY@DIGEST that the files belong to and that is not signed now. Repeatable")
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

// connecting adds the flags of verbs that talk to a registry and verify signatures over policies.
func (s *signing) connecting(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVar(&s.roots, "trusted-root", nil, "trusted root of a trust domain, [NAME=]`FILE`; NAME is public-good when left out. Repeatable")
	flags.StringVar(&s.cacheDir, "cache-dir", defaultCacheDir(), "where trusted roots and content by digest are kept between runs; empty keeps nothing")
	flags.DurationVar(&s.timeout, "timeout", time.Minute, "how long it may take")
	s.reach.add(c)
	s.output = "text"
}

func (a *app) policyPushCommand() *cobra.Command {
	var opts signing
	c := &cobra.Command{
		Use:   "push FILE... oci://REPOSITORY[:TAG]",
		Short: "Publish a policy set, with the signatures beside its files",
		Long: `Puts the files of a policy set and the signatures that lie beside them into a registry, as one OCI artifact, and prints
its reference by digest. The same files have the same digest. A set that does not load is not pushed, nor one that says
by whom it is signed and is not.`,
		Example: "  stemma policy push policies/ oci://ghcr.io/acme/policy:v42",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return &usageError{errors.New("policy push needs files and where to push them"), "stemma policy push policies/ oci://ghcr.io/acme/policy:v42"}
			}
			to := args[len(args)-1]
			if published, err := verify.IsPolicyReference(to); err != nil || !published {
				return cmp.Or(err, error(&usageError{fmt.Errorf("%s is not the reference of a policy set", clean(to)), "the last argument says where to push to: oci://registry/repository[:tag]"}))
			}
			files, err := readPolicies(args[:len(args)-1])
			if err != nil {
				return err
			}
			set, signatures, err := loaded(files)
			if err != nil {
				return err
			}
			config, err := a.config(&opts.collecting, set)
			if err != nil {
				return err
			}
			config.Signatures = signatures
			var documents, beside []policy.File
			for _, f := range files {
				name := filepath.Base(f.path)
				documents = append(documents, policy.File{Name: name, Data: f.Data})
				if f.signature != nil {
					beside = append(beside, policy.File{Name: name + signatureSuffix, Data: f.signature.Data})
				}
			}
			ctx, cancel := context.WithTimeout(c.Context(), opts.timeout)
			defer cancel()
			reference, tagged, err := verify.PushPolicies(ctx, config, to, documents, beside)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, reference)
			if !tagged {
				a.complain("the set has no tag, and its registry may remove it", "push it again with one: "+to+":v"+strconv.Itoa(max(1, set.Version())))
			}
			if len(set.SignedBy()) == 0 {
				a.complain("the set says nothing of who may sign it", "whoever can push can put another in its place for all who follow a tag; see docs/distribution.md")
			}
			return nil
		},
	}
	opts.connecting(c)
	return c
}

func (a *app) policyPullCommand() *cobra.Command {
	var opts signing
	var into, current string
	c := &cobra.Command{
		Use:   "pull oci://REPOSITORY[:TAG|@DIGEST] --into DIR [--current FILE|DIR]",
		Short: "Get a published policy set, and check that it may take the place of the current one",
		Long: `Gets a policy set and writes it to a directory, all of it or nothing. With --current, one of those whom the current set
names in signedBy must have signed every file of the new one, and its version must be higher: whoever can push, and
signs nothing, can put neither a set of their own nor an older one in its place. Without, the reference must name a
digest, by which alone the set is trusted.

DIR must be empty or not exist, unless it is the current set, whose place the new one takes.`,
		Example: `  stemma policy pull oci://ghcr.io/acme/policy@sha256:… --into policies
  stemma policy pull oci://ghcr.io/acme/policy:stable --current policies --into policies`,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return &usageError{fmt.Errorf("policy pull needs one reference, got %d", len(args)), "stemma policy pull oci://ghcr.io/acme/policy@sha256:… --into policies"}
			case into == "":
				return &usageError{errors.New("policy pull needs a directory"), "add --into DIR"}
			}
			if err := vacant(into, current); err != nil {
				return err
			}
			var set *policy.Set
			var signatures []policy.File
			var before []policyFile
			if current != "" {
				var err error
				if before, err = readPolicies([]string{current}); err != nil {
					return err
				}
				if set, signatures, err = loaded(before); err != nil {
					return err
				}
			}
			config, err := a.config(&opts.collecting, set)
			if err != nil {
				return err
			}
			config.Signatures = signatures
			ctx, cancel := context.WithTimeout(c.Context(), opts.timeout)
			defer cancel()
			p, next, err := verify.PullPolicies(ctx, config, args[0])
			if err != nil {
				return err
			}
			if err := replaced(into, append(p.Files, p.Signatures...)); err != nil {
				return err
			}
			a.printPulled(p, next, set, before, into)
			return nil
		},
	}
	c.Flags().StringVar(&into, "into", "", "`DIR` to write it to")
	c.Flags().StringVar(&current, "current", "", "policy `FILE` or directory in whose place the set comes")
	opts.connecting(c)
	return c
}

// printPulled says what was written, and on whose word.
func (a *app) printPulled(p *verify.Published, next, current *policy.Set, before []policyFile, into string) {
	paint := colours(a.stdout)
	version := ""
	if next.Version() > 0 {
		version = fmt.Sprintf(" version %d", next.Version())
	}
	fmt.Fprintf(a.stdout, "%s  set %s@%s%s\n        %s\n", paint.green("pulled"), next.Name, next.Digest.Short(), version, clean(p.Reference))
	for _, f := range p.Files {
		signed := "not signed"
		if slices.ContainsFunc(p.Signatures, func(s policy.File) bool { return s.Name == f.Name+signatureSuffix }) {
			signed = "with " + f.Name + signatureSuffix
		}
		fmt.Fprintf(a.stdout, "        %s  %s\n", clean(filepath.Join(into, f.Name)), paint.dim(signed))
	}
	for _, f := range before {
		if filepath.Clean(filepath.Dir(f.path)) == filepath.Clean(into) && !slices.ContainsFunc(p.Files, func(n policy.File) bool { return n.Name == filepath.Base(f.path) }) {
			fmt.Fprintf(a.stdout, "        %s  %s\n", clean(f.path), paint.yellow("is not in it any more"))
		}
	}
	switch {
	case current == nil:
		fmt.Fprintln(a.stdout, "        trusted by its digest alone: compare it with what who released the set says it is")
	case len(current.SignedBy()) == 0:
		fmt.Fprintln(a.stdout, "        trusted by its digest alone: the current set says nothing of who may sign its successors")
	case current.Version() == next.Version():
		fmt.Fprintf(a.stdout, "        signed by %s; the same set as the current one\n", strings.Join(current.SignedBy(), " or "))
	default:
		fmt.Fprintf(a.stdout, "        signed by %s, and takes the place of version %d\n", strings.Join(current.SignedBy(), " or "), current.Version())
	}
	if current != nil && len(current.SignedBy()) > 0 && len(next.SignedBy()) == 0 {
		a.complain("the new set says nothing of who may sign its successors", "from now on they are trusted by digest alone")
	}
}

// vacant refuses a directory in which something would be lost: whatever is in it that is not the current set.
func vacant(into, current string) error {
	entries, err := os.ReadDir(into)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &usageError{fmt.Errorf("looking into %s: %w", clean(into), err), "give --into a directory of its own"}
	case len(entries) == 0:
		return nil
	}
	a, errA := os.Stat(into)
	b, errB := os.Stat(current)
	if current == "" || errA != nil || errB != nil || !os.SameFile(a, b) {
		return &usageError{fmt.Errorf("%s is not empty", clean(into)), "give --into a directory of its own, or the current set to --current as well"}
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), signatureSuffix)
		if !e.Type().IsRegular() || !strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".yml") {
			return &usageError{fmt.Errorf("%s holds something besides policies: %s", clean(into), clean(e.Name())), "it would be lost: the set takes the place of the whole directory"}
		}
	}
	return nil
}

// replaced writes files to a directory of their own beside the one that is meant, and then puts it in its place. Whoever
// reads in between finds the old files, all the new ones, or for a moment no directory, and never some of each.
func replaced(into string, files []policy.File) (err error) {
	if real, err := filepath.EvalSymlinks(into); err == nil {
		into = real
	}
	into = filepath.Clean(into)
	wrong := func(err error) error {
		return &usageError{fmt.Errorf("writing %s: %w", clean(into), err), "nothing was changed"}
	}
	temporary, err := os.MkdirTemp(filepath.Dir(into), ".stemma-*")
	if err != nil {
		return wrong(err)
	}
	defer func() { _ = os.RemoveAll(temporary) }() // of what is in place nothing is there any more
	fresh, old := filepath.Join(temporary, "new"), filepath.Join(temporary, "old")
	if err := os.Mkdir(fresh, 0o755); err != nil {
		return wrong(err)
	}
	for _, f := range files {
		if err := written(filepath.Join(fresh, f.Name), f.Data); err != nil {
			return err
		}
	}
	moved := os.Rename(into, old)
	if moved != nil && !errors.Is(moved, fs.ErrNotExist) {
		return wrong(moved)
	}
	if err := os.Rename(fresh, into); err != nil {
		if moved == nil {
			err = errors.Join(err, os.Rename(old, into))
		}
		return wrong(err)
	}
	return nil
}
