// Package oci finds container images and everything near them that may be evidence: in OCI image layouts, in
// registries and in files. It resolves a tag once, compares all bytes with the digest and size that led to them, and
// reports what each place answered. It verifies no signature: what it returns are bytes that nobody has vouched for.
//
// Whatever it reads may be made to harm: manifests that are two things at once, sizes that lie, pages that never end,
// redirects that ask for credentials. Every read is bounded, and what cannot be looked at is said, never passed over.
package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"stemma"
)

// Config is what a Client works with. The zero value is the strictest.
type Config struct {
	// Transport carries requests: it decides what may be connected to, and how often an answer is asked for again.
	// Redirects, credentials and the size of answers are handled above it and are the same for every transport. Nil: no
	// registry and no service can be looked at.
	Transport http.RoundTripper

	// Credentials returns what a host ("registry-1.docker.io", "127.0.0.1:5000") is spoken to with about a repository
	// ("library/alpine"; "" for a service). Nil: nobody.
	Credentials func(ctx context.Context, host, repository string) (Credential, error)

	// PlainHTTP lists the exact host:port of registries that are spoken to without TLS.
	PlainHTTP []string

	// Concurrency is the number of requests under way at a time. 0: 128.
	Concurrency int

	// CacheBytes bounds what is kept in memory of content addressed by digest. 0: 16 MiB; negative: nothing is kept.
	CacheBytes int64
	// CacheDir keeps content addressed by digest between runs. "": nothing is kept on disk.
	CacheDir string

	// Clock tells the time, so that one place that does not answer takes only a part of what is left until the deadline,
	// and the others are still looked at. Nil: every place may take all of it.
	Clock func() time.Time

	// Trace is told of every request on the wire. It may be called from several goroutines. Nil: nobody is.
	Trace func(Exchange)
}

// Client opens images. It is safe for concurrent use.
type Client struct {
	config    Config
	transport http.RoundTripper
	cache     *cache

	mu     sync.Mutex
	tokens map[string]*token // by host and repository
}

// Found is a manifest or an index, with everything found about it. What hangs below it is a tree: every Found is
// complete in itself, and no piece is to be taken for evidence about another one than that it lies under.
type Found struct {
	Image               stemma.Image
	MediaType           string
	ArtifactType        string
	Manifest            []byte        // exact bytes; Image.Digest is their digest
	Config              stemma.Digest // the config that the manifest names, of a container image; "" for anything else
	Platform            stemma.Platform
	Annotations         map[string]string // of the manifest, as its producer wrote them
	Labels              map[string]string // of the config, alike; nil when it was not read
	AttestationManifest bool              // a BuildKit attestation manifest (unknown/unknown), not something that runs

	Raw         []stemma.Raw         // possible evidence about this manifest, by ID; Of is its digest
	Places      []stemma.Place       // where was looked, in a fixed order; Of may be Config, which services are asked about, too
	Unavailable []stemma.Unavailable // what could not be looked at
	Rejected    []stemma.Rejection   // what was found and cannot be evidence about this manifest
	NotFetched  []string             // what exists, or may, and was left alone because it was not wanted

	// Children of an index, in its order: each was compared with what the index says of it. Only the wanted ones.
	Children []*Found
	// Indexes list this manifest with its digest and size; their bytes were read. They have no Children here. Only the
	// manifest that was asked for has any: a child's index is what it stands under.
	Indexes []*Found
	// Attached are manifests about this one that hold statements nobody signed by themselves, or files: BuildKit's
	// attestation manifests, in-toto statements and SBOMs as artifacts. Raw of each is what signs it, or speaks of it,
	// as a whole. An attestation manifest that is a child of the index is in Children of the index besides.
	Attached []*Found

	// Statements, of an attached manifest, are those in it that nobody signed by themselves. They are in Raw of the
	// manifest that this one is attached to, too, and Of is that. Nil when they were not wanted and nothing signs the
	// manifest; when it could not be seen whether something does, they are here.
	Statements []stemma.Raw
	// Files, of an attached manifest, are layers that are SBOMs as they stand.
	Files []File
}

// File is a layer of an attached manifest that is no statement: a software bill of materials as it stands.
type File struct {
	MediaType string
	Digest    stemma.Digest
	Data      []byte // nil when it was not wanted, or could not be fetched
}

// source is one repository, or one layout. What it returns was compared with the digest and size asked for; an error
// is a *fault, or is taken for a failure to reach it.
type source interface {
	manifest(ctx context.Context, d descriptor) (*document, error)
	named(ctx context.Context, tag string, want stemma.Digest) (*document, error) // either of the two
	tagged(ctx context.Context, tag string) (docs []*document, answer string, err error)
	referrers(ctx context.Context, subject stemma.Digest) (list []descriptor, answer string, err error)
	blob(ctx context.Context, d descriptor, limit int64) ([]byte, error)
}

// New checks the configuration. It opens nothing.
func New(c Config) (*Client, error) {
	if c.Concurrency < 0 {
		return nil, fmt.Errorf("configuring registries: concurrency %d", c.Concurrency)
	}
	if c.Concurrency == 0 {
		c.Concurrency = 128
	}
	if slices.Contains(c.PlainHTTP, "") {
		return nil, errors.New("configuring registries: an empty host for plain HTTP")
	}
	kept, err := newCache(c.CacheBytes, c.CacheDir)
	if err != nil {
		return nil, fmt.Errorf("configuring registries: %w", err)
	}
	client := &Client{config: c, transport: c.Transport, cache: kept, tokens: map[string]*token{}}
	if client.transport == nil {
		client.transport = noTransport{}
	}
	return client, nil
}

// Open resolves the reference to one digest and finds everything about it and, for an index, about its children. A
// tag is asked for exactly once: from then on only digests are used, so that what is judged and what is named cannot
// be two different images (CVE-2022-47633). An error is an *Error; a failure after the image itself was read is none,
// and stands in Found.
func (c *Client) Open(ctx context.Context, look Look) (*Found, error) {
	ref := look.Ref
	d := &discovery{client: c, look: look, want: look.Want, limit: c.config.Concurrency, room: newRoom(), held: &atomic.Int64{}, evidence: maxEvidenceTotal, manifests: maxManifestsTotal}
	if err := d.alternates(); err != nil {
		return nil, err
	}
	if ref.Layout != "" {
		return d.openLayout(ctx)
	}
	if ref.Repository == "" || ref.Host == "" {
		return nil, &Error{Kind: Invalid, Ref: ref.String(), Err: errors.New("an empty reference")}
	}
	r := newRegistry(d, ref)
	d.repositories[0].source = r
	top := d.add(&node{desc: descriptor{Digest: ref.Digest}})
	if ref.Digest == "" {
		doc, err := r.named(ctx, ref.Tag, "")
		if err != nil {
			return nil, c.opening(ctx, ref, err)
		}
		top.desc, top.doc = doc.descriptor(), doc
	}
	// A digest wins over a tag. What else can be asked about it does not wait for the manifest.
	d.seekIndexes(top)
	found, err := d.run(ctx, top)
	if err != nil {
		return nil, c.opening(ctx, ref, err)
	}
	return found, nil
}

func (d *discovery) openLayout(ctx context.Context) (*Found, error) {
	ref := d.look.Ref
	dir, err := os.OpenRoot(ref.Layout)
	if err != nil {
		return nil, noDirectory(ref, err)
	}
	defer func() { _ = dir.Close() }() // it was only read
	l, err := openLayout(dir)
	if err != nil {
		return nil, opening(ref, err)
	}
	root, err := l.resolve(ref)
	if err != nil {
		return nil, opening(ref, err)
	}
	d.repositories[0].source = l
	top := d.add(&node{desc: root.descriptor(), doc: root})
	d.seekIndexes(top)
	return d.run(ctx, top)
}

// alternates prepares the repositories besides the image's own.
func (d *discovery) alternates() error {
	d.repositories = []repository{{}}
	if len(d.look.Also) > maxAlternates || len(d.look.Sources) > maxAlternates {
		return &Error{Kind: Invalid, Ref: d.look.Ref.String(), Err: fmt.Errorf("%d further repositories and %d services, limit %d", len(d.look.Also), len(d.look.Sources), maxAlternates), Hint: "Declare fewer places of evidence."}
	}
	for _, name := range d.look.Also {
		ref, err := ParseReference(name)
		if err != nil {
			return err
		}
		if ref.Layout != "" || ref.Digest != "" {
			return wrong(name, "not a repository", "Write the repository without tag and digest: registry.example/evidence")
		}
		if ref.Repository != d.look.Ref.Repository && !slices.ContainsFunc(d.repositories, func(r repository) bool { return r.name == ref.Repository }) {
			d.repositories = append(d.repositories, repository{name: ref.Repository, source: newRegistry(d, ref)})
		}
	}
	return nil
}
