package verify

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"stemma"
	"stemma/internal/oci"
	"stemma/internal/predicate"
	"stemma/internal/sigstore"
)

// collector turns what was found into evidence.
type collector struct {
	auth  *sigstore.Authenticator
	at    time.Time
	image name
}

// node is the evidence about one manifest; for an index, about each child; and about what is attached to it.
func (c *collector) node(ctx context.Context, f *oci.Found) *stemma.Evidence {
	image := f.Image
	if c.image.repository != "" {
		image.Repository = c.image.repository
	}
	e := &stemma.Evidence{
		Image: image, From: c.image.from, MediaType: f.MediaType, ArtifactType: f.ArtifactType, Platform: f.Platform,
		Attestation: f.AttestationManifest, Config: f.Config, Places: f.Places, Unavailable: f.Unavailable,
		Rejected: f.Rejected, NotFetched: f.NotFetched, CollectedAt: c.at,
	}
	e.Hints = hints(f)
	c.read(ctx, f, e, f.Raw)
	for _, index := range f.Indexes {
		c.inherit(ctx, index, e)
	}
	for _, attached := range f.Attached {
		c.attach(ctx, f, attached, e)
	}
	for _, child := range f.Children {
		e.Platforms = append(e.Platforms, c.node(ctx, child))
	}
	return e
}

// hints reads what the image says of itself. One that cannot be read says nothing.
func hints(f *oci.Found) (said []stemma.Provenance) {
	defer func() {
		if recover() != nil {
			said = nil
		}
	}()
	if f.AttestationManifest {
		return nil
	}
	return predicate.ReadImage(f.Image.Digest, f.Annotations, f.Labels)
}

// inherit adds the evidence about an index that lists the manifest. Its bytes were read and compared: that it lists the
// manifest is proven, and what is said about it is said about one of its children, too, if a policy thinks so.
func (c *collector) inherit(ctx context.Context, index *oci.Found, e *stemma.Evidence) {
	about := c.node(ctx, index)
	e.Indexes = append(e.Indexes, index.Image.Digest)
	for _, a := range about.Attestations {
		if a.Binding.Kind == stemma.BindingExact {
			a.Binding.Kind = stemma.BindingViaIndex
			e.Attestations = append(e.Attestations, a)
		}
	}
	// One bundle may be about both: then it says what it says once, with two bindings.
	e.Provenance = unite(e.Provenance, about.Provenance, func(p stemma.Provenance) stemma.Digest { return p.Bundle })
	e.SBOMs = unite(e.SBOMs, about.SBOMs, func(s stemma.SBOM) stemma.Digest { return s.Bundle })
	e.Scans = unite(e.Scans, about.Scans, func(s stemma.Scan) stemma.Digest { return s.Bundle })
	e.VEX = unite(e.VEX, about.VEX, func(v stemma.VEX) stemma.Digest { return v.Bundle })
	e.Summaries = unite(e.Summaries, about.Summaries, func(v stemma.VSA) stemma.Digest { return v.Bundle })
	e.Other = unite(e.Other, about.Other, func(p stemma.Provenance) stemma.Digest { return p.Bundle })
	e.Rejected = append(e.Rejected, about.Rejected...)
	e.Unavailable = append(e.Unavailable, about.Unavailable...)
	e.Places = append(e.Places, about.Places...)
	e.NotFetched = append(e.NotFetched, about.NotFetched...)
}

// unite adds those that are not there yet.
func unite[T any](all, more []T, id func(T) stemma.Digest) []T {
	for _, m := range more {
		if !slices.ContainsFunc(all, func(o T) bool { return id(o) == id(m) }) {
			all = append(all, m)
		}
	}
	return all
}

// attach reads a manifest that is attached to another one. Who signs it as a whole signs the statements in it: that is
// how BuildKit's provenance, which nobody signs by itself, comes to be said by somebody.
func (c *collector) attach(ctx context.Context, f, attached *oci.Found, e *stemma.Evidence) {
	x := c.node(ctx, attached)
	for _, raw := range attached.Statements {
		for _, a := range x.Attestations {
			// Only a signature of the manifest itself: a statement about it says something, and not what lies in it.
			if a.Signature && a.Binding.Kind == stemma.BindingExact && c.speaks(f, a, raw, e) {
				// What is signed is no longer a statement that nobody signed.
				e.Unsigned = slices.DeleteFunc(e.Unsigned, func(u stemma.Unsigned) bool { return u.Bundle == raw.ID() })
			}
		}
	}
	for _, file := range attached.Files {
		if file.Data == nil {
			continue
		}
		said, err := predicate.ReadFile(file.Digest, file.MediaType, file.Data)
		if err != nil {
			x.Rejected = append(x.Rejected, stemma.Rejection{
				Bundle: file.Digest, Format: stemma.Printable(file.MediaType, 100), Place: "attached " + attached.Image.Digest.Short(),
				Reason: stemma.ReasonMalformed, Detail: err.Error(),
			})
		}
		add(x, said)
	}
	if len(attached.Statements) > 0 {
		// Where its signature may lie and could not be looked for, provenance may be missing.
		e.Unavailable = append(e.Unavailable, x.Unavailable...)
		e.Rejected = append(e.Rejected, x.Rejected...)
	}
	e.Attached = append(e.Attached, x)
}

// speaks adds a statement as the word of whoever signed the manifest that it lies in, if it is about this very digest.
func (c *collector) speaks(f *oci.Found, by stemma.Attestation, raw stemma.Raw, e *stemma.Evidence) bool {
	s, err := stemma.ParseStatement(raw.Data)
	if err != nil {
		return false // it is among the rejected already, as a statement that nobody signed
	}
	subject, reason, _ := s.Bind(f.Image.Digest, f.Manifest)
	if reason != "" {
		return false
	}
	a := by
	a.Signature, a.Statement = false, s
	a.Format += " of the attestation manifest"
	a.Binding = stemma.Binding{Kind: stemma.BindingViaManifest, Member: f.Image.Digest, Via: by.Binding.Member, Subject: subject}
	// The same statement signed twice, and two statements under one signature, are different pieces.
	a.Bundle = stemma.Raw{Data: raw.Data, Annotations: map[string]string{"signature": string(by.Bundle)}}.ID()
	said, err := predicate.Read(a)
	if err != nil {
		e.Rejected = append(e.Rejected, stemma.Rejection{
			Bundle: a.Bundle, Format: a.Format, Place: raw.Place, Reason: stemma.ReasonMalformed,
			Detail: fmt.Sprintf("signed by %s, but its predicate is not a %s: %v", a.Signer, s.PredicateType, err),
		})
		return true
	}
	e.Attestations = append(e.Attestations, a)
	add(e, said)
	return true
}

// add files what the predicate of an attestation says. A CycloneDX document may be a bill of materials and VEX at once.
func add(e *stemma.Evidence, d predicate.Document) {
	if d.Provenance != nil {
		e.Provenance = append(e.Provenance, *d.Provenance)
	}
	if d.SBOM != nil {
		e.SBOMs = append(e.SBOMs, *d.SBOM)
	}
	if d.Scan != nil {
		e.Scans = append(e.Scans, *d.Scan)
	}
	if d.VEX != nil {
		e.VEX = append(e.VEX, *d.VEX)
	}
	if d.VSA != nil {
		e.Summaries = append(e.Summaries, *d.VSA)
	}
	if d.Other != nil {
		e.Other = append(e.Other, *d.Other)
	}
}

// file places evidence that was given as a file under every manifest that it is about: the image asked for, or some of
// its platforms. What is about none of them is filed, and refused, under the image.
func (c *collector) file(ctx context.Context, f *oci.Found, e *stemma.Evidence, raws []stemma.Raw) {
	for _, raw := range raws {
		image, children := c.about(ctx, raw, f)
		if image || len(children) == 0 {
			c.once(ctx, f, e, raw)
		}
		for _, i := range children {
			c.once(ctx, f.Children[i], e.Platforms[i], raw)
		}
	}
}

// sources looks again at what is about none of the image's digests: a verification summary may be about the commit that
// its provenance names. It is filed as that, and nothing that is said of the image rests on it.
func (c *collector) sources(f *oci.Found, e *stemma.Evidence) {
	for i, child := range f.Children {
		c.sources(child, e.Platforms[i])
	}
	art := c.artifact(f)
	for _, p := range e.Provenance {
		if commit := p.Value(stemma.FieldCommit); commit != "" {
			art.Commits = append(art.Commits, commit)
		}
	}
	if c.auth == nil || len(art.Commits) == 0 {
		return
	}
	for _, raw := range f.Raw {
		id := raw.ID()
		i := slices.IndexFunc(e.Rejected, func(r stemma.Rejection) bool { return r.Bundle == id && r.Reason == stemma.ReasonSubjectMismatch })
		if i < 0 {
			continue
		}
		a, rejection := c.auth.Authenticate(raw, art)
		if rejection != nil {
			continue
		}
		if said, err := predicate.Read(*a); err == nil && said.VSA != nil {
			e.Rejected = slices.Delete(e.Rejected, i, i+1)
			e.Attestations = append(e.Attestations, *a)
			add(e, said)
		}
	}
}

// about says of which manifests a piece verifies as evidence. It is verified again only as long as it turns out to be
// about something else: what does not verify for one does not for another, and what does names all that it is about.
func (c *collector) about(ctx context.Context, raw stemma.Raw, f *oci.Found) (image bool, children []int) {
	statement, settled := c.names(raw, f)
	image = statement != nil
	for i, child := range f.Children {
		if ctx.Err() != nil || settled && statement == nil {
			return image, children
		}
		if statement == nil {
			if statement, settled = c.names(raw, child); statement == nil {
				continue
			}
		} else if _, reason, _ := statement.Bind(child.Image.Digest, child.Manifest); reason != "" {
			continue
		}
		children = append(children, i)
	}
	return image, children
}

// once reads a piece unless it was found already: it is one piece of evidence, wherever it lies.
func (c *collector) once(ctx context.Context, f *oci.Found, e *stemma.Evidence, raw stemma.Raw) {
	id := raw.ID()
	if slices.ContainsFunc(f.Raw, func(r stemma.Raw) bool { return r.Format == raw.Format && r.ID() == id }) {
		return
	}
	raw.Of = f.Image.Digest
	f.Raw = append(f.Raw, raw)
	c.read(ctx, f, e, []stemma.Raw{raw})
}

// names returns the statement of a piece that verifies as evidence about a manifest (an empty one, which binds nothing
// else, if it is a signature). Settled means that no other manifest would give another answer.
func (c *collector) names(raw stemma.Raw, f *oci.Found) (statement *stemma.Statement, settled bool) {
	if raw.Format == stemma.FormatStatement {
		s, err := stemma.ParseStatement(raw.Data)
		if err != nil {
			return nil, true
		}
		if _, reason, _ := s.Bind(f.Image.Digest, f.Manifest); reason != "" {
			return nil, false
		}
		return &s, true
	}
	if c.auth == nil {
		return nil, true
	}
	a, rejection := c.auth.Authenticate(raw, c.artifact(f))
	if a == nil {
		return nil, rejection.Reason.Class() != stemma.Mismatch && rejection.Reason != stemma.ReasonSignatureInvalid
	}
	return &a.Statement, true
}

func (c *collector) artifact(f *oci.Found) sigstore.Artifact {
	return sigstore.Artifact{Digest: f.Image.Digest, Content: f.Manifest, Config: f.Config, Now: c.at}
}

// piece is what became of one Raw.
type piece struct {
	attestation *stemma.Attestation
	said        predicate.Document
	unsigned    *stemma.Unsigned
	rejection   *stemma.Rejection
}

// read authenticates and reads pieces, as many at a time as there are processors. When ctx ends it stops, and whoever
// called must not use the evidence.
func (c *collector) read(ctx context.Context, f *oci.Found, e *stemma.Evidence, raws []stemma.Raw) {
	pieces := make([]piece, len(raws))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(len(raws), runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := range next {
				if ctx.Err() == nil {
					pieces[i] = c.one(f, raws[i])
				}
			}
		})
	}
	for i := range raws {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, p := range pieces {
		switch {
		case p.rejection != nil:
			e.Rejected = append(e.Rejected, *p.rejection)
		case p.unsigned != nil:
			e.Unsigned = append(e.Unsigned, *p.unsigned)
		case p.attestation != nil:
			e.Attestations = append(e.Attestations, *p.attestation)
			add(e, p.said)
		}
	}
}

func (c *collector) one(f *oci.Found, raw stemma.Raw) (p piece) {
	reject := func(reason stemma.Reason, format string, args ...any) piece {
		return piece{rejection: &stemma.Rejection{
			Bundle: raw.ID(), Format: string(raw.Format), Place: raw.Place, Reason: reason, Detail: fmt.Sprintf(format, args...),
		}}
	}
	// A reader that panics on hostile input has refused it (INV-2).
	defer func() {
		if r := recover(); r != nil {
			p = reject(stemma.ReasonMalformed, "reading it panicked: %v", r)
		}
	}()
	if raw.Format == stemma.FormatStatement {
		return c.statement(f, raw, reject)
	}
	if c.auth == nil {
		return reject(stemma.ReasonSignerUnknown, "no trust domain is available to verify it")
	}
	a, rejection := c.auth.Authenticate(raw, c.artifact(f))
	if rejection != nil {
		return piece{rejection: rejection}
	}
	p.attestation = a
	var err error
	if p.said, err = predicate.Read(*a); err != nil {
		// A statement that is not what its type prescribes is not evidence, however well it is signed (CVE-2026-39395).
		return reject(stemma.ReasonMalformed, "signed by %s, but its predicate is not a %s: %v", a.Signer, a.Statement.PredicateType, err)
	}
	return p
}

// statement reads one that nobody signed.
func (c *collector) statement(f *oci.Found, raw stemma.Raw, reject func(stemma.Reason, string, ...any) piece) piece {
	s, err := stemma.ParseStatement(raw.Data)
	if err != nil {
		return reject(stemma.ReasonMalformed, "%v", err)
	}
	u := &stemma.Unsigned{Bundle: raw.ID(), Place: raw.Place, Sealed: raw.Sealed, Statement: s}
	_, reason, _ := s.Bind(f.Image.Digest, f.Manifest)
	u.Bound = reason == ""
	said, err := predicate.ReadUnsigned(u.Bundle, s)
	if err != nil {
		return reject(stemma.ReasonMalformed, "unsigned, and its predicate is not a %s: %v", s.PredicateType, err)
	}
	u.Provenance, u.SBOM, u.Scan, u.VEX = said.Provenance, said.SBOM, said.Scan, said.VEX
	return piece{unsigned: u}
}

// order makes the evidence independent of the order in which it was found.
func (c *collector) order(e *stemma.Evidence) {
	slices.SortFunc(e.Attestations, func(a, b stemma.Attestation) int {
		return cmp.Or(cmp.Compare(a.Bundle, b.Bundle), cmp.Compare(a.Binding.Kind, b.Binding.Kind), cmp.Compare(a.Binding.Member, b.Binding.Member))
	})
	slices.SortFunc(e.Provenance, func(a, b stemma.Provenance) int { return cmp.Compare(a.Bundle, b.Bundle) })
	slices.SortFunc(e.SBOMs, func(a, b stemma.SBOM) int { return cmp.Compare(a.Bundle, b.Bundle) })
	slices.SortFunc(e.Scans, func(a, b stemma.Scan) int { return cmp.Compare(a.Bundle, b.Bundle) })
	slices.SortFunc(e.VEX, func(a, b stemma.VEX) int { return cmp.Compare(a.Bundle, b.Bundle) })
	slices.SortFunc(e.Summaries, func(a, b stemma.VSA) int { return cmp.Compare(a.Bundle, b.Bundle) })
	slices.SortFunc(e.Other, func(a, b stemma.Provenance) int { return cmp.Compare(a.Bundle, b.Bundle) })
	slices.SortFunc(e.Unsigned, func(a, b stemma.Unsigned) int { return cmp.Compare(a.Bundle, b.Bundle) })
	slices.SortFunc(e.Rejected, func(a, b stemma.Rejection) int {
		return cmp.Or(cmp.Compare(a.Bundle, b.Bundle), cmp.Compare(a.Place, b.Place), cmp.Compare(a.Reason, b.Reason))
	})
	slices.SortFunc(e.Unavailable, func(a, b stemma.Unavailable) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), strings.Compare(a.Detail, b.Detail))
	})
	slices.Sort(e.Indexes)
	slices.SortFunc(e.Attached, func(a, b *stemma.Evidence) int { return cmp.Compare(a.Image.Digest, b.Image.Digest) })
	for _, part := range slices.Concat(e.Platforms, e.Attached) {
		part.Trust = e.Trust
		c.order(part)
	}
}
