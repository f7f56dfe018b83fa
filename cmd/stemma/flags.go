package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stemma"
	"stemma/policy"
	"stemma/verify"
)

// Bounds of files given on the command line.
const (
	maxEvidenceFile = 32 << 20
	maxRootFile     = 4 << 20
	maxPolicyFile   = 1 << 20
	maxPolicyFiles  = 256
)

// collecting holds the flags of every verb that looks at images.
type collecting struct {
	roots     []string
	evidence  []string
	reach     reaching
	also      []string
	sources   []string
	index     string
	platforms []string
	name      string
	cacheDir  string
	timeout   time.Duration
	output    string

	files    []policy.File           // of evidence, read once for all images
	further  string                  // an output besides text and json, or ""
	signed   []policy.File           // signatures of policy files
	at       time.Time               // another time than the present; verify alone asks
	scope    stemma.Situation        // for whom the question is asked; verify alone says
	library  verify.Library          // of known bases, or nil
	expected map[stemma.Field]string // what this deployment expects of provenance; verify alone asks
}

func (f *collecting) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVar(&f.roots, "trusted-root", nil, "trusted root of a trust domain, [NAME=]`FILE`; NAME is public-good when left out. With it nothing is fetched over the network but the image. Repeatable")
	flags.StringArrayVar(&f.evidence, "evidence", nil, "further evidence: a Sigstore bundle, a DSSE envelope, or a `FILE` with one of them a line. Repeatable")
	flags.StringArrayVar(&f.also, "also", nil, "further `REPOSITORY` where evidence about the same digests may lie. Repeatable")
	flags.StringArrayVar(&f.sources, "source", nil, "further `SOURCE` of attestations: github=OWNER[/REPO], gitlab=HOST/PROJECT, artifact-analysis=PROJECT or archivista=URL. Repeatable")
	flags.StringVar(&f.index, "index", "", "`DIGEST` of an index that lists the image, when IMAGE is the digest of one platform")
	flags.StringArrayVar(&f.platforms, "platform", nil, "`OS/ARCH` that the image is to run on; an index must list it. Repeatable")
	flags.StringVar(&f.name, "name", "", "for oci:DIR: the `REPOSITORY` that it is an image of, which policies match")
	flags.StringVar(&f.cacheDir, "cache-dir", defaultCacheDir(), "where trusted roots and content by digest are kept between runs; empty keeps nothing")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long one image may take, and the trusted roots before the first")
	flags.StringVarP(&f.output, "output", "o", "text", "text or json")
	f.reach.add(c)
}

func defaultCacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "" // no home: nothing is kept
	}
	return filepath.Join(dir, "stemma")
}

// prepare checks the flags and reads the files of evidence.
func (f *collecting) prepare() error {
	if f.output != "text" && f.output != "json" && (f.output != f.further || f.further == "") {
		hint := "write --output text or --output json"
		if f.further != "" {
			hint = "write --output text, --output json or --output " + f.further
		}
		return &usageError{fmt.Errorf("unknown output %q", f.output), hint}
	}
	if f.timeout <= 0 {
		return &usageError{fmt.Errorf("a timeout of %s", f.timeout), "write a duration such as --timeout 30s"}
	}
	for _, p := range f.platforms {
		// Nothing is of a platform that makes no sense; a typing error is said to be one, and refuses no image.
		if _, ok := policy.ParsePlatform(p); !ok {
			return &usageError{fmt.Errorf("--platform %q is not a platform", clean(p)), "write OS/architecture, as in an index: --platform linux/amd64"}
		}
	}
	for _, file := range f.evidence {
		data, err := readFile(file, maxEvidenceFile)
		if err != nil {
			return &usageError{fmt.Errorf("reading evidence: %w", err), "give a Sigstore bundle, a DSSE envelope, or a file with one of either a line"}
		}
		f.files = append(f.files, policy.File{Name: clean(file), Data: data})
	}
	return nil
}

// again is the command line that looks at an image as these flags do.
func (f *collecting) again(image string, policies []string) string {
	return f.line("stemma inspect", image, policies)
}

// line is a command line with the flags of these that say what is looked at and how; it can be typed as it is.
func (f *collecting) line(verb, image string, policies []string) string {
	words := []string{verb, quote(image)}
	for _, flag := range []struct {
		name   string
		values []string
	}{
		{"--trusted-root", f.roots},
		{"--policy", policies},
		{"--evidence", f.evidence},
		{"--also", f.also},
		{"--source", f.sources},
		{"--registries", single(f.reach.registries)},
		{"--plain-http", f.reach.plainHTTP},
		{"--allow-private", f.reach.allowPrivate},
		{"--pull-secret", f.reach.pullSecrets},
		{"--image-credential-provider-config", single(f.reach.providers)},
		{"--image-credential-provider-bin-dir", single(f.reach.providerBin)},
		{"--index", single(f.index)},
		{"--platform", f.platforms},
	} {
		for _, v := range flag.values {
			words = append(words, flag.name, quote(v))
		}
	}
	return strings.Join(words, " ")
}

// quote writes a word for a shell.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@=,+", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// config is what the flags say of trust and network.
func (a *app) config(f *collecting, set *policy.Set) (config verify.Config, err error) {
	reach, err := f.reach.network()
	if err != nil {
		return config, err
	}
	reach.Transport, reach.Sleep = a.transport, a.sleep
	config = verify.Config{Policies: set, Signatures: f.signed, CacheDir: f.cacheDir, Roots: map[string][]byte{}, Network: reach, Clock: a.clock, Library: f.library}
	for _, arg := range f.roots {
		name, file, ok := strings.Cut(arg, "=")
		if !ok {
			name, file = policy.PublicGood, arg
		}
		if name == "" || file == "" {
			return config, &usageError{fmt.Errorf("--trusted-root %q lacks a name or a file", arg), "write --trusted-root FILE or --trusted-root NAME=FILE"}
		}
		if _, twice := config.Roots[name]; twice {
			return config, &usageError{fmt.Errorf("two trusted roots for %s", name), "give one, or name the other: --trusted-root NAME=FILE"}
		}
		data, err := readFile(file, maxRootFile)
		if err != nil {
			return config, &usageError{fmt.Errorf("reading the trusted root of %s: %w", name, err), "give the path of a Sigstore trusted_root.json"}
		}
		if bytes.HasPrefix(data, []byte("-----BEGIN ")) {
			return config, &usageError{fmt.Errorf("%s is a key or certificate in PEM, not a trusted root", file), "keys are trusted by a policy: list it in a PolicySet under spec.trust, with the days on which it signs"}
		}
		config.Roots[name] = data
	}
	if len(f.roots) == 0 && f.cacheDir == defaultCacheDir() && os.MkdirAll(f.cacheDir, 0o700) != nil {
		config.CacheDir = "" // a home that cannot be written: nothing is kept
	}
	return config, nil
}

// verifier builds a Verifier from the flags.
func (a *app) verifier(ctx context.Context, f *collecting, set *policy.Set) (*verify.Verifier, error) {
	config, err := a.config(f, set)
	if err != nil {
		return nil, err
	}
	// Trusted roots may have to be fetched.
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	defer a.progress("loading trusted roots")()
	v, err := verify.New(ctx, config)
	if err != nil {
		return nil, err
	}
	for _, r := range v.Unendorsed() {
		a.complain("a signature that signs nothing: "+clean(r.Place)+": "+r.Detail, "")
	}
	return v, nil
}

// consulting builds a Verifier that may know policies, and judges nothing by them.
func (a *app) consulting(ctx context.Context, f *collecting, policies []string) (files []policyFile, set *policy.Set, v *verify.Verifier, err error) {
	if len(policies) > 0 {
		if files, err = a.findPolicies(ctx, f, policies); err == nil {
			set, f.signed, err = loaded(files)
		}
		if err != nil {
			return nil, nil, nil, err
		}
	}
	v, err = a.verifier(ctx, f, set)
	return files, set, v, err
}

func (f *collecting) request(image string) verify.Request {
	r := verify.Request{Image: image, Name: f.name, Evidence: f.files, Index: f.index, Also: f.also, Sources: f.sources}
	r.Situation = f.scope
	r.Situation.Platforms, r.Situation.Expect, r.Situation.At, r.Situation.WhatIf = f.platforms, f.expected, f.at, !f.at.IsZero()
	return r
}

// single is a list of one, or of none.
func single(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// signatureSuffix is what the name of a file with the Sigstore bundle over another ends in.
const signatureSuffix = ".sigstore.json"

// readFile reads a regular file, pipe or device up to a limit.
func readFile(name string, limit int64) ([]byte, error) {
	of := func(err error) error {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, of(err)
	}
	defer f.Close()
	var data bytes.Buffer
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		data.Grow(int(min(info.Size(), limit)) + bytes.MinRead)
	}
	switch n, err := data.ReadFrom(io.LimitReader(f, limit+1)); {
	case err != nil:
		return nil, of(err)
	case n > limit:
		return nil, fmt.Errorf("%s: larger than %d bytes", name, limit)
	}
	return data.Bytes(), nil
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
