package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stemma/policy"
	"stemma/verify"
)

// Bounds of files given on the command line.
const (
	maxEvidenceFile = 64 << 20
	maxRootFile     = 4 << 20
	maxPolicyFile   = 1 << 20
	maxPolicyFiles  = 256
)

// collecting holds the flags of every verb that looks at images.
type collecting struct {
	roots     []string
	evidence  []string
	plainHTTP []string
	name      string
	cacheDir  string
	timeout   time.Duration
	output    string
}

func (f *collecting) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVar(&f.roots, "trusted-root", nil, "trusted root of a trust domain, [NAME=]`FILE`; NAME is public-good when left out. With it nothing is fetched over the network but the image. Repeatable")
	flags.StringArrayVar(&f.evidence, "evidence", nil, "further evidence: a Sigstore bundle, a DSSE envelope, or a `FILE` with one of them a line. Repeatable")
	flags.StringArrayVar(&f.plainHTTP, "plain-http", nil, "registry `HOST:PORT` that is spoken to without TLS. Repeatable")
	flags.StringVar(&f.name, "name", "", "for oci:DIR: the `REPOSITORY` that it is an image of, which policies match")
	flags.StringVar(&f.cacheDir, "cache-dir", defaultCacheDir(), "where trusted roots are kept between runs")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long one image may take")
	flags.StringVarP(&f.output, "output", "o", "text", "text or json")
}

func defaultCacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "" // no home: nothing is kept
	}
	return filepath.Join(dir, "stemma")
}

func (f *collecting) check() error {
	if f.output != "text" && f.output != "json" {
		return &usageError{fmt.Errorf("unknown output %q", f.output), "write --output text or --output json"}
	}
	if f.timeout <= 0 {
		return &usageError{fmt.Errorf("a timeout of %s", f.timeout), "write a duration such as --timeout 30s"}
	}
	return nil
}

// verifier builds a Verifier from the flags.
func (a *app) verifier(ctx context.Context, f *collecting, set *policy.Set) (*verify.Verifier, error) {
	config := verify.Config{
		Policies: set, CacheDir: f.cacheDir, PlainHTTP: f.plainHTTP, Roots: map[string][]byte{},
		Transport: a.transport, Clock: a.clock,
	}
	for _, arg := range f.roots {
		name, file, ok := strings.Cut(arg, "=")
		if !ok {
			name, file = policy.PublicGood, arg
		}
		if _, twice := config.Roots[name]; twice {
			return nil, &usageError{fmt.Errorf("two trusted roots for %s", name), "give one, or name the other: --trusted-root NAME=FILE"}
		}
		data, err := readFile(file, maxRootFile)
		if err != nil {
			return nil, &usageError{fmt.Errorf("reading the trusted root of %s: %w", name, err), "give the path of a Sigstore trusted_root.json"}
		}
		config.Roots[name] = data
	}
	return verify.New(ctx, config)
}

func (f *collecting) request(image string) (verify.Request, error) {
	r := verify.Request{Image: image, Name: f.name}
	for _, file := range f.evidence {
		data, err := readFile(file, maxEvidenceFile)
		if err != nil {
			return r, &usageError{fmt.Errorf("reading evidence: %w", err), ""}
		}
		r.Evidence = append(r.Evidence, policy.File{Name: file, Data: data})
	}
	return r, nil
}

// loadPolicies reads policy files, and all .yaml and .yml files of directories.
func loadPolicies(args []string) (*policy.Set, error) {
	var files []policy.File
	add := func(name string) error {
		if len(files) == maxPolicyFiles {
			return &usageError{fmt.Errorf("more than %d policy files", maxPolicyFiles), "give the directory of one policy set"}
		}
		data, err := readFile(name, maxPolicyFile)
		if err != nil {
			return &usageError{fmt.Errorf("reading a policy: %w", err), "give the path of a policy file or of a directory of them"}
		}
		files = append(files, policy.File{Name: name, Data: data})
		return nil
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil || !info.IsDir() {
			if err := add(arg); err != nil {
				return nil, err
			}
			continue
		}
		entries, err := os.ReadDir(arg)
		if err != nil {
			return nil, &usageError{fmt.Errorf("reading policies: %w", err), ""}
		}
		before := len(files)
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
				if err := add(filepath.Join(arg, e.Name())); err != nil {
					return nil, err
				}
			}
		}
		if len(files) == before {
			return nil, &usageError{fmt.Errorf("no policy in %s", arg), "policy files end in .yaml or .yml"}
		}
	}
	slices.SortStableFunc(files, func(a, b policy.File) int { return strings.Compare(a.Name, b.Name) })
	return policy.Load(files...)
}

// readFile reads a regular file, pipe or device up to a limit.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			return nil, fmt.Errorf("%s: %w", name, pe.Err)
		}
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, limit)
	}
	return data, nil
}

// progress says on standard error what takes longer than a second. The returned function ends it.
func (a *app) progress(what string) func() {
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		timer := time.NewTimer(time.Second)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
			fmt.Fprintf(a.stderr, "stemma: %s …\n", what)
		}
	}()
	return func() { close(done); <-ended }
}
