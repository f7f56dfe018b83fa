package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stemma"
	"stemma/internal/store"
)

// underneath holds the flags of every verb that looks at what images stand on.
type underneath struct {
	bases    []string
	original string
	path     string

	store *store.Store
}

func (u *underneath) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&u.bases, "base", nil, "an `IMAGE` that may be underneath, besides those that are named: registry/repo[:tag][@digest], or [repository=]oci:DIR. Repeatable")
	c.Flags().StringVar(&u.original, "rebased-from", "", "the `IMAGE` that this one is, put onto another base: it is recomputed, and a PolicySet may take the evidence about it (derived: [rebased])")
	u.addStore(c)
}

func (u *underneath) addStore(c *cobra.Command) {
	c.Flags().StringVar(&u.path, "store", os.Getenv("STEMMA_STORE"), "`FILE` of known bases, of what layers unpack to and of what images were seen to stand on (default: the environment's STEMMA_STORE, or none)")
}

// open opens the store, if there is one, for a command to find bases in; the function closes it.
func (u *underneath) open(ctx context.Context, f *collecting) (done func(), err error) {
	if u.path == "" {
		return func() {}, nil
	}
	if u.store, err = store.Open(ctx, u.path); err != nil {
		return nil, &usageError{err, "give the path of a file that stemma base add has made, or a new one in a directory that there is"}
	}
	f.library = u.store
	return func() { _ = u.store.Close() }, nil // what was written was committed
}

// recordLineage keeps what an image stands on. What could not be kept changes no decision.
func (a *app) recordLineage(ctx context.Context, u *underneath, e *stemma.Evidence) {
	if u.store == nil || e == nil {
		return
	}
	if err := u.store.RecordLineage(ctx, e); err != nil {
		a.complain(err.Error(), "what it stands on was not recorded")
	}
}

func (a *app) baseCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "base",
		Short: "Keep a list of images that others may stand on, and ask what stands on them",
		Long: `An image that nothing names is found underneath another by its layers, if it is known. A store is a file with the images
that are known, with what layers unpack to, and with what images were seen to stand on: stemma tree and stemma verify read
and write it with --store FILE.`,
		Example: `  stemma base add docker.io/library/debian:13 'ghcr.io/acme/base:*' --store stemma.db
  stemma tree ghcr.io/acme/api:1.8.2 --store stemma.db
  stemma base on ghcr.io/acme/base:7 --store stemma.db`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Errorf("stemma base has no verb %q", clean(args[0])), "stemma base --help lists them"}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.baseAddCommand(), a.baseOnCommand(), a.baseRemoveCommand())
	return c
}

func (a *app) baseAddCommand() *cobra.Command {
	var flags collecting
	var u underneath
	var from []string
	c := &cobra.Command{
		Use:   "add IMAGE...",
		Short: "Add images that others may stand on",
		Long: `Reads each image, and of an index each platform, and adds it to the store by its layers. IMAGE is registry/repo[:tag][@digest],
registry/repo:* for every tag of a repository, or [repository=]oci:DIR for an OCI layout. A file given with --from has an
image a line, or a known base a line as JSON, which is taken as it is and asked of nobody:

  {"image":{"repository":"docker.io/library/debian","digest":"sha256:…"},"index":"sha256:…","chainID":"sha256:…"}`,
		Example: `  stemma base add docker.io/library/debian:13 docker.io/library/alpine:3.22 --store stemma.db
  stemma base add 'ghcr.io/acme/base:*' --store stemma.db
  stemma base add --from bases.txt --store stemma.db`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.baseAdd(c.Context(), args, from, &flags, &u)
		},
	}
	c.Flags().StringArrayVar(&from, "from", nil, "`FILE` with an image or a known base a line; - is standard input. Repeatable")
	c.Flags().DurationVar(&flags.timeout, "timeout", 10*time.Minute, "how long one image or repository may take")
	c.Flags().StringVar(&flags.cacheDir, "cache-dir", defaultCacheDir(), "where content by digest is kept between runs; empty keeps nothing")
	u.addStore(c)
	flags.reach.add(c)
	return c
}

// basesAtOnce is how many known bases are added in one transaction.
const basesAtOnce = 250_000

func (a *app) baseAdd(ctx context.Context, images, from []string, flags *collecting, u *underneath) error {
	if len(images)+len(from) == 0 {
		return &usageError{errors.New("base add needs an image"), "stemma base add docker.io/library/debian:13 --store stemma.db"}
	}
	s, done, err := a.needStore(ctx, u)
	if err != nil {
		return err
	}
	defer done()
	v, err := a.verifier(ctx, flags, nil)
	if err != nil {
		return err
	}
	added, read := 0, 0
	keep := func(bases []stemma.KnownBase) error {
		n, err := s.AddBases(ctx, bases)
		added, read = added+n, read+len(bases)
		return err
	}
	one := func(name string) error {
		limited, cancel := context.WithTimeout(ctx, flags.timeout)
		defer cancel()
		defer a.progress("reading " + clean(name))()
		bases, err := v.Bases(limited, name)
		if err != nil {
			// One that cannot be read keeps nobody from adding the others.
			a.code = worse(a.code, a.report(err))
			return ctx.Err()
		}
		return keep(bases)
	}
	for _, name := range images {
		if err := one(name); err != nil {
			return err
		}
	}
	for _, name := range from {
		if err := a.basesFrom(name, one, keep); err != nil {
			return err
		}
	}
	all, err := s.Bases(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s read, %d of them new; %s known in %s\n", plural(read, "image"), added, plural(all, "image"), clean(u.path))
	return nil
}

// needStore opens the store of a verb that cannot do without.
func (a *app) needStore(ctx context.Context, u *underneath) (*store.Store, func(), error) {
	if u.path == "" {
		return nil, nil, &usageError{errors.New("there is no store"), "add --store FILE, or set STEMMA_STORE"}
	}
	done, err := u.open(ctx, &collecting{})
	return u.store, done, err
}

// basesFrom reads a file of images and known bases.
func (a *app) basesFrom(name string, one func(string) error, keep func([]stemma.KnownBase) error) (err error) {
	in := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return &usageError{fmt.Errorf("reading images: %w", err), "give a file with an image a line"}
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	defer a.progress("reading " + clean(name))()
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), 64<<10)
	var bases []stemma.KnownBase
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		switch {
		case len(line) == 0 || line[0] == '#':
			continue
		case line[0] != '{':
			if err := one(string(line)); err != nil {
				return err
			}
			continue
		}
		b, err := knownBase(line)
		if err != nil {
			return &usageError{fmt.Errorf("%s:%d: %w", clean(name), n, err), `write {"image":{"repository":"…","digest":"sha256:…"},"index":"sha256:…","chainID":"sha256:…"}`}
		}
		if bases = append(bases, b); len(bases) == basesAtOnce {
			if err := keep(bases); err != nil {
				return err
			}
			bases = bases[:0]
		}
	}
	if err := lines.Err(); err != nil {
		return &usageError{fmt.Errorf("reading %s: %w", clean(name), err), "give a file with an image a line"}
	}
	return keep(bases)
}

// knownBase reads one line. What is not a digest is refused when it is added.
func knownBase(line []byte) (stemma.KnownBase, error) {
	var b stemma.KnownBase
	if err := stemma.DecodeJSON(line, &b); err != nil {
		return b, err
	}
	for _, digest := range []stemma.Digest{b.Image.Digest, b.ChainID} {
		if _, err := stemma.ParseDigest(string(digest)); err != nil || !strings.HasPrefix(string(digest), "sha256:") {
			return b, fmt.Errorf("%q is not a sha256 digest", digest)
		}
	}
	if b.Image.Repository == "" {
		return b, errors.New("it names no repository")
	}
	return b, nil
}

func (a *app) baseOnCommand() *cobra.Command {
	var flags collecting
	var u underneath
	limit := 1000
	c := &cobra.Command{
		Use:   "on IMAGE",
		Short: "List the recorded images that stand on an image",
		Long: `Lists the images of which it was recorded (by stemma tree and stemma verify with --store) that they stand on IMAGE, at any
depth: the answer to "a base is bad, what is to be rebuilt?". IMAGE is a digest, or is asked of its registry.`,
		Example: `  stemma base on sha256:… --store stemma.db
  stemma base on docker.io/library/debian:13 --store stemma.db -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Errorf("base on needs one image, got %d", len(args)), "stemma base on ghcr.io/acme/base:7 --store stemma.db"}
			}
			return a.baseOn(c.Context(), args[0], limit, &flags, &u)
		},
	}
	c.Flags().DurationVar(&flags.timeout, "timeout", time.Minute, "how long the registry may take")
	c.Flags().StringVarP(&flags.output, "output", "o", "text", "text or json")
	c.Flags().IntVar(&limit, "limit", limit, "list at most so many")
	u.addStore(c)
	flags.reach.add(c)
	return c
}

func (a *app) baseOn(ctx context.Context, name string, limit int, flags *collecting, u *underneath) error {
	if err := flags.prepare(); err != nil {
		return err
	}
	if limit < 1 {
		return &usageError{fmt.Errorf("a limit of %d", limit), "write --limit 100"}
	}
	s, done, err := a.needStore(ctx, u)
	if err != nil {
		return err
	}
	defer done()
	wanted, err := a.manifests(ctx, name, flags)
	if err != nil {
		return err
	}
	out := []store.Standing{}
	more := false
	for _, d := range wanted {
		on, cut, err := s.On(ctx, d, limit)
		if err != nil {
			return err
		}
		more = more || cut
		for _, st := range on {
			if !containsStanding(out, st) {
				out = append(out, st)
			}
		}
	}
	if flags.output == "json" {
		return writeJSON(a.stdout, out)
	}
	p := colours(a.stdout)
	rows := [][]string{{"image", "platform", "depth", "known by", "seen"}}
	for _, st := range out {
		rows = append(rows, []string{clean(st.Image.Repository) + "@" + st.Image.Digest.Short(), clean(st.Platform), fmt.Sprint(st.Depth), string(st.Grade), st.Seen.Format(time.DateOnly)})
	}
	if len(out) == 0 {
		fmt.Fprintf(a.stdout, "no recorded image stands on %s\n", clean(name))
		return nil
	}
	table(a.stdout, "", rows, func(row, _ int, s string) string {
		if row == 0 {
			return p.dim(s)
		}
		return s
	})
	if more {
		fmt.Fprintf(a.stdout, "and more; --limit %d\n", 10*limit)
	}
	return nil
}

func containsStanding(all []store.Standing, s store.Standing) bool {
	for _, o := range all {
		if o.Manifest == s.Manifest && o.Image == s.Image {
			return true
		}
	}
	return false
}

// manifests are the digests by which an image may be underneath another: of its manifest, of each platform, of the index.
func (a *app) manifests(ctx context.Context, name string, flags *collecting) ([]stemma.Digest, error) {
	if d, err := stemma.ParseDigest(name); err == nil {
		return []stemma.Digest{d}, nil
	}
	v, err := a.verifier(ctx, flags, nil)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, flags.timeout)
	defer cancel()
	bases, err := v.Bases(limited, name)
	if err != nil {
		return nil, err
	}
	var out []stemma.Digest
	for _, b := range bases {
		out = append(out, b.Image.Digest)
		if b.Index != "" {
			out = append(out, b.Index)
		}
	}
	return out, nil
}

func (a *app) baseRemoveCommand() *cobra.Command {
	var u underneath
	c := &cobra.Command{
		Use:     "remove DIGEST...",
		Short:   "Forget images, by the digests of their manifests",
		Example: `  stemma base remove sha256:… --store stemma.db`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New("base remove needs a digest"), "stemma base remove sha256:… --store stemma.db"}
			}
			s, done, err := a.needStore(c.Context(), &u)
			if err != nil {
				return err
			}
			defer done()
			for _, arg := range args {
				d, err := stemma.ParseDigest(arg)
				if err != nil {
					return &usageError{fmt.Errorf("%q is not a digest", clean(arg)), "write sha256: and 64 hex digits"}
				}
				removed, err := s.RemoveBase(c.Context(), d)
				switch {
				case err != nil:
					return err
				case removed:
					fmt.Fprintf(a.stdout, "removed %s\n", d)
				default:
					fmt.Fprintf(a.stdout, "%s was not known\n", d)
				}
			}
			return nil
		},
	}
	u.addStore(c)
	return c
}
