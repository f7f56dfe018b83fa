// Package verify is the pipeline: it resolves a reference once, collects all evidence about the image and each of its
// platforms, authenticates it, and has the policy set judge it. Every edge (command line, gate, admission, monitor)
// makes the same Request and renders the same Decision.
//
// A denial is not an error: Verify returns an error only when there is no decision, and then nothing may be admitted.
package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stemma"
	"stemma/internal/network"
	"stemma/internal/oci"
	"stemma/internal/sigstore"
	"stemma/policy"
)

// Config is what a Verifier works with. The zero value verifies under the built-in public-good trust domain, fetched
// over TUF, and judges nothing.
type Config struct {
	// Policies judge the evidence. Without them there is Collect, and no Verify.
	Policies *policy.Set
	// Signatures are Sigstore bundles over files of the policies. A set with signedBy, and every waiver, counts only when its
	// file is signed.
	Signatures []policy.File

	// Roots are trusted roots (Sigstore trusted_root.json) by the name of their trust domain. When one is given nothing
	// is fetched over TUF: what has no root here is not available.
	Roots map[string][]byte
	// CacheDir keeps what TUF fetched. Empty: nothing is kept on disk.
	CacheDir string

	// Library proposes images that may be underneath others, and keeps what blobs unpack to. Nil: nothing is known, and what
	// is computed is kept in memory.
	Library Library

	// Network says how registries and services are reached: hosts, certificates, credentials, limits. The zero value
	// reaches public addresses over TLS, as nobody.
	Network Network

	// Clock tells the time of a Request that does not. Nil: time.Now.
	Clock func() time.Time
}

// Request asks about one image. It is all that differs between edges.
type Request struct {
	Image     string           // registry/repo[:tag][@digest] or oci:DIR[@digest]
	Name      string           // for a layout, which has no name: the repository that it is an image of
	Index     string           // digest of an index that lists the image, for an image that is the digest of one platform
	Evidence  []policy.File    // further evidence: bundles, envelopes, or lines of either
	Also      []string         // further repositories where evidence may lie, besides those of the policy set
	Sources   []string         // further sources of attestations: "github=acme/app", "archivista=https://archivista.example"
	Bases     []string         // images that may be underneath, besides what is named: registry/repo[:tag][@digest], or [repository=]oci:DIR[@digest]
	Original  string           // the image that this one is, put onto another base
	Files     bool             // Tree also reads all layers, to find files of a base that layers above replace or delete
	Situation stemma.Situation // At is filled from Config.Clock when it is zero; another time makes a decision without effect

	tags bool // look at what the tags of bases lead to
}

// Result is a decision and the evidence that it rests on.
type Result struct {
	Decision *stemma.Decision
	Evidence *stemma.Evidence
}

// Verifier verifies images. It is safe for concurrent use, and keeps what it authenticated.
type Verifier struct {
	config  Config
	way     *network.Network
	client  *oci.Client
	auth    *sigstore.Authenticator // nil when no trust domain could be loaded
	missing []stemma.Unavailable    // trust domains that could not be loaded

	contents contents // of layers
	beneath  beneath  // of images that others stand on

	endorsed   []stemma.Endorsement // files of the policies that are signed
	unendorsed []stemma.Rejection   // and signatures that are over none of them
}

// Failure is the kind of an Error.
type Failure string

// Kinds of failures to answer at all.
const (
	Invalid     Failure = "invalid"     // the request or the configuration makes no sense
	NotFound    Failure = "not-found"   // there is no such image
	Unreachable Failure = "unreachable" // the registry does not answer, refuses, or asks to wait
	Internal    Failure = "internal"    // a defect of this program
)

// Error says why there is no decision, and what to do.
type Error struct {
	Kind Failure
	Hint string // one sentence, or ""
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// cacheEntries is how many envelopes a Verifier remembers as authenticated, or as refused. What it remembers is bound to
// an image anew each time.
const cacheEntries = 1024

// New loads the trust domains that the policies refer to (the built-in ones when there is no policy). A domain that
// cannot be loaded is not an error here: whatever needs it will be Unknown. ctx bounds the loading only.
func New(ctx context.Context, c Config) (*Verifier, error) {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	way, client, err := connect(c, nil)
	if err != nil {
		return nil, err
	}
	v := &Verifier{config: c, way: way, client: client}
	domains, err := v.domains(ctx)
	var specific *Error
	if errors.As(err, &specific) {
		return nil, specific
	}
	if err != nil {
		return nil, &Error{Kind: Invalid, Err: err, Hint: "a trusted root is a Sigstore trusted_root.json; a key is a public key in PEM"}
	}
	if len(domains) > 0 {
		if v.auth, err = sigstore.New(sigstore.Config{Domains: domains, CacheEntries: cacheEntries}); err != nil {
			return nil, &Error{Kind: Invalid, Err: fmt.Errorf("combining trust domains: %w", err)}
		}
	}
	if err := v.endorse(); err != nil {
		return nil, err
	}
	return v, nil
}

// whatIf is how far the time of a request may be from the present before the decision is one about another time.
const whatIf = 5 * time.Minute

// now is the time of a request that does not tell it.
func (v *Verifier) now() time.Time { return v.config.Clock().UTC().Truncate(time.Second) }

// Verify collects and judges.
func (v *Verifier) Verify(ctx context.Context, r Request) (result *Result, err error) {
	defer caught(&err)
	if v.config.Policies == nil {
		return nil, &Error{Kind: Invalid, Err: errors.New("verifying without a policy"), Hint: "give --policy FILE; an image without a policy is never allowed"}
	}
	r.Situation = v.Situation(r)
	evidence, err := v.collect(ctx, r, true)
	if err != nil {
		return nil, err
	}
	if needs := v.config.Policies.Needs(evidence.Image.Repository, r.Situation); needs.Base {
		r.Files, r.tags = r.Files || needs.Files, needs.Tags
		if err := v.walk(ctx, r, evidence); err != nil {
			return nil, err
		}
	}
	return &Result{Decision: policy.Evaluate(v.config.Policies, evidence, r.Situation), Evidence: evidence}, nil
}

// Situation is what Verify judges a request under: that of the request, at the present unless it tells a time, with the
// signatures over the policies that were verified, and with how the image is asked for.
func (v *Verifier) Situation(r Request) stemma.Situation {
	at, now := r.Situation, v.now()
	if at.At.IsZero() {
		at.At = now
	}
	// Whoever sets the time can make what is too old young again (conforma EC-1993).
	at.WhatIf = at.WhatIf || at.At.Sub(now).Abs() > whatIf
	at.Endorsed = v.endorsed
	ref, err := oci.ParseReference(r.Image)
	at.ByTag = err == nil && ref.Layout == "" && ref.Digest == ""
	return at
}

// Collect resolves the image once and returns everything that was found about that digest, whether a policy can need it
// or not.
func (v *Verifier) Collect(ctx context.Context, r Request) (evidence *stemma.Evidence, err error) {
	defer caught(&err)
	return v.collect(ctx, r, false)
}

// collect looks at the image, and lazily at no more of it than the policies that match can need.
func (v *Verifier) collect(ctx context.Context, r Request, lazy bool) (*stemma.Evidence, error) {
	if r.Situation.At.IsZero() {
		r.Situation.At = v.now()
	}
	look, called, err := v.look(ctx, r, lazy)
	if err != nil {
		return nil, err
	}
	var extra []stemma.Raw
	var refused []stemma.Rejection
	for _, f := range r.Evidence {
		raws, rejected := oci.ReadEvidenceFile(f.Name, f.Data)
		extra, refused = append(extra, raws...), append(refused, rejected...)
	}
	found, err := v.client.Open(ctx, look)
	if err != nil {
		return nil, translate(err)
	}
	c := &collector{auth: v.auth, at: r.Situation.At, image: called}
	evidence := c.node(ctx, found)
	c.file(ctx, found, evidence, extra)
	c.sources(found, evidence)
	if err := ctx.Err(); err != nil {
		// What was not verified in time is missing, and nobody may take it for absent (INV-2).
		return nil, &Error{Kind: Unreachable, Err: fmt.Errorf("verifying evidence of %s: %w", evidence.Image, err), Hint: "nothing is known to be wrong with the image; allow more time with --timeout, or try again"}
	}
	evidence.Rejected = append(evidence.Rejected, refused...)
	if v.config.Policies != nil || unknownSigner(evidence) {
		// Without a policy nothing says that a domain is needed, until some evidence is by a signer of none.
		for _, e := range append([]*stemma.Evidence{evidence}, evidence.Platforms...) {
			e.Unavailable = append(e.Unavailable, v.missing...)
		}
	}
	if v.auth != nil {
		evidence.Trust = v.auth.Trust()
	}
	c.order(evidence)
	return evidence, nil
}

// caught turns a panic into an error, so that whoever called has no decision and admits nothing (INV-2).
func caught(err *error) {
	if p := recover(); p != nil {
		*err = &Error{Kind: Internal, Err: fmt.Errorf("internal error: %v", p), Hint: "nothing was decided; please report this"}
	}
}

func unknownSigner(e *stemma.Evidence) bool {
	return slices.ContainsFunc(e.Rejected, func(r stemma.Rejection) bool { return r.Reason == stemma.ReasonSignerUnknown }) ||
		slices.ContainsFunc(e.Platforms, unknownSigner)
}

// translate makes an error of the registry client one of this package.
func translate(err error) error {
	var e *oci.Error
	if !errors.As(err, &e) {
		return &Error{Kind: Unreachable, Err: err}
	}
	kind := Unreachable
	switch e.Kind {
	case oci.NotFound:
		kind = NotFound
	case oci.Invalid:
		kind = Invalid
	}
	return &Error{Kind: kind, Hint: e.Hint, Err: err}
}
