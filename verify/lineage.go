package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"stemma"
	"stemma/internal/lineage"
	"stemma/internal/oci"
)

// Bounds of a walk down the images that an image stands on. What reaches one stays unknown.
const (
	maxDepth  = 16
	maxImages = 256
)

// Tree is Collect that also finds what the image, or each of its platforms, stands on, what that stands on, and so down to
// where nothing is known, with the evidence about each. Without policies nobody is trusted to name a base: it is then known
// by its layers at best.
func (v *Verifier) Tree(ctx context.Context, r Request) (evidence *stemma.Evidence, err error) {
	defer caught(&err)
	r.Situation = v.Situation(r)
	evidence, err = v.collect(ctx, r, false)
	if err != nil {
		return nil, err
	}
	if v.config.Policies != nil {
		needs := v.config.Policies.Needs(evidence.Image.Repository, r.Situation)
		r.Files, r.tags = r.Files || needs.Files, needs.Tags
	}
	if err := v.walk(ctx, r, evidence); err != nil {
		return nil, err
	}
	return evidence, nil
}

// walk finds what the image of a request stands on.
func (v *Verifier) walk(ctx context.Context, r Request, evidence *stemma.Evidence) error {
	w := &walk{v: v, at: r.Situation, left: maxImages, seen: map[stemma.Digest]*stemma.Evidence{}, aside: map[stemma.Digest]*stemma.Evidence{}, asked: r}
	if err := w.learn(ctx, r.Bases); err != nil {
		return err
	}
	ref, err := oci.ParseReference(r.Image)
	if err != nil {
		return translate(err)
	}
	w.down(ctx, evidence, oci.Reference{Host: ref.Host, Repository: ref.Repository, Layout: ref.Layout}, nil, nil)
	if r.Original != "" {
		return w.rebased(ctx, evidence)
	}
	return nil
}

// walk goes down from one image.
type walk struct {
	v     *Verifier
	at    stemma.Situation
	asked Request
	left  int                                // images that may still be looked at
	seen  map[stemma.Digest]*stemma.Evidence // bases, with what they stand on
	aside map[stemma.Digest]*stemma.Evidence // images of stages, without
	known []shelved
	kept  map[stemma.Digest]stemma.KnownBase // images that the library proposed
}

// shelved is an image that was given as a known base.
type shelved struct {
	ref   oci.Reference
	name  string // that was given to it, of a layout
	stack *stemma.Stack
}

// Library keeps what was learned of images between requests.
type Library interface {
	// Known lists images of which the last chain ID is one of these.
	Known(ctx context.Context, chainIDs []stemma.Digest) ([]stemma.KnownBase, error)
	// Content is what a blob unpacks to, if that was computed; Keep remembers it.
	Content(blob stemma.Digest) (diffID stemma.Digest, ok bool)
	Keep(blob, diffID stemma.Digest)
}

// maxTags is how many tags of one repository are read to learn its images.
const maxTags = 10_000

// Bases reads images that may be underneath others, each platform of each: registry/repo[:tag][@digest], every tag of
// registry/repo:*, or [repository=]oci:DIR[@digest]. An image without content is none.
func (v *Verifier) Bases(ctx context.Context, name string) (known []stemma.KnownBase, err error) {
	defer caught(&err)
	names := []string{name}
	if repository, all := strings.CutSuffix(name, ":*"); all {
		ref, err := oci.ParseReference(repository)
		if err != nil {
			return nil, translate(err)
		}
		tags, err := v.client.Tags(ctx, ref, maxTags)
		if err != nil {
			return nil, translate(err)
		}
		names = nil
		for _, tag := range tags {
			names = append(names, repository+":"+tag)
		}
	}
	w := &walk{v: v}
	if err := w.learn(ctx, names); err != nil {
		return nil, err
	}
	for _, k := range w.known {
		if base, ok := k.stack.Known(); ok && !slices.Contains(known, base) {
			known = append(known, base)
		}
	}
	return known, nil
}

// learn reads the images that are given as known bases, each platform.
func (w *walk) learn(ctx context.Context, bases []string) error {
	for _, text := range bases {
		name, layout, named := strings.Cut(text, "=oci:")
		if named {
			text = "oci:" + layout
			if called, err := oci.ParseReference(name); err != nil || called.Layout != "" || called.Digest != "" || called.Tag != "" {
				return &Error{Kind: Invalid, Err: fmt.Errorf("%q is not the name of a repository", name), Hint: "write it as in the registry: ghcr.io/acme/base=oci:DIR"}
			}
		} else {
			name = ""
		}
		ref, err := oci.ParseReference(text)
		if err != nil {
			return translate(err)
		}
		images, err := w.v.client.Images(ref)
		if err != nil {
			return translate(err)
		}
		for _, image := range images {
			if err := w.shelve(ctx, image, name); err != nil {
				return translate(err)
			}
		}
	}
	return nil
}

// shelve reads the layers of one image that is given as a base, of each platform.
func (w *walk) shelve(ctx context.Context, ref oci.Reference, name string) error {
	found, err := w.v.client.Open(ctx, oci.Look{Ref: ref, Want: &oci.Want{Children: true}})
	if err != nil {
		return err
	}
	for _, f := range append([]*oci.Found{found}, found.Children...) {
		if f.Config == "" || f.AttestationManifest {
			continue
		}
		at := oci.Reference{Host: ref.Host, Repository: ref.Repository, Layout: ref.Layout, Digest: f.Image.Digest}
		stack, err := w.v.client.Stack(ctx, at, f.Platform)
		if err != nil {
			return err
		}
		if f != found {
			stack.Index = found.Image.Digest
		}
		stack.Image.Repository = cmp.Or(name, stemma.Printable(strings.TrimSuffix(nameless(ref), "@"+string(ref.Digest)), 300))
		w.known = append(w.known, shelved{at, name, stack})
	}
	return nil
}

// nameless is what an image is called that may have no name.
func nameless(ref oci.Reference) string {
	if ref.Repository != "" {
		return ref.Repository
	}
	return ref.String()
}

// down finds what one manifest stands on, or each that an index lists. path are the manifests above it.
func (w *walk) down(ctx context.Context, e *stemma.Evidence, ref oci.Reference, above []*stemma.Evidence, path []stemma.Digest) {
	if len(e.Platforms) > 0 {
		for _, child := range e.Platforms {
			if !child.Attestation {
				w.down(ctx, child, ref, []*stemma.Evidence{e}, path)
			}
		}
		return
	}
	if e.Attestation || e.Config == "" {
		return
	}
	ref.Digest = e.Image.Digest
	stack, err := w.stack(ctx, ref, e.Platform)
	if err != nil {
		e.Base = &stemma.Lineage{Grade: stemma.BaseUnknown, Why: "its layers could not be read: " + stemma.Printable(err.Error(), 300), Reason: cmp.Or(oci.ReasonOf(err), stemma.ReasonBadAnswer)}
		return
	}
	stack.Image = e.Image
	e.Stack = stack
	subject := lineage.Subject{Stack: stack, Evidence: e, Above: above}
	if w.v.config.Policies != nil {
		subject.Trusted = w.v.config.Policies.Trusts(e, w.at)
	}
	e.Base = lineage.Finder{Source: shelf{w, ref}, Facts: w.facts()}.Find(ctx, subject)
	if e.Base.Grade.Based() && w.asked.Files {
		lineage.Finder{Source: shelf{w, ref}}.Files(ctx, stack, e.Base)
	}
	if w.asked.tags {
		w.tagged(ctx, e.Base)
	}
	w.stages(ctx, e)
	w.further(ctx, e.Base, append(slices.Clone(path), e.Image.Digest))
}

// maxStages is how many images of stages of one build are looked at.
const maxStages = 32

// stages looks at the images of which the build used something, as its provenance names them.
func (w *walk) stages(ctx context.Context, e *stemma.Evidence) {
	named := func(p *stemma.Provenance, by string) {
		binding := stemma.BindingLoose
		for _, s := range e.Base.Signals {
			if s.Kind == stemma.SignalSteps && s.Bundle == p.Bundle {
				binding = s.Binding
			}
		}
		for i := range p.Inputs {
			in := &p.Inputs[i]
			if in.Kind != stemma.InputImage || in.Role != stemma.RoleStage {
				continue
			}
			stage := stemma.Stage{Image: lineage.Named(in), By: by, Binding: binding}
			if k := slices.IndexFunc(e.Base.Stages, func(o stemma.Stage) bool { return o.Image == stage.Image }); k >= 0 {
				if e.Base.Stages[k].Binding == stemma.BindingLoose {
					e.Base.Stages[k].Binding, e.Base.Stages[k].By = binding, by
				}
				continue
			}
			if len(e.Base.Stages) >= maxStages {
				e.Base.MoreStages = true
				continue
			}
			stage.Evidence, stage.Why, stage.Reason = w.beside(ctx, stage.Image)
			e.Base.Stages = append(e.Base.Stages, stage)
		}
	}
	for i := range e.Provenance {
		p, by := &e.Provenance[i], ""
		for k := range e.Attestations {
			if e.Attestations[k].Bundle == p.Bundle {
				by = e.Attestations[k].Signer.String()
			}
		}
		named(p, by)
	}
	for _, u := range e.Unsigned {
		if u.Provenance != nil && u.Bound {
			named(u.Provenance, "")
		}
	}
}

// beside is the evidence about an image that is no base, or why there is none.
func (w *walk) beside(ctx context.Context, image stemma.Image) (e *stemma.Evidence, why string, reason stemma.Reason) {
	if known, ok := w.aside[image.Digest]; ok {
		return known, "", ""
	}
	ref, err := oci.ParseReference(image.Repository)
	switch {
	case err != nil || image.Digest == "" || ref.Digest != "":
		return nil, "it is not named by repository and digest", stemma.ReasonUnpinned
	case w.left <= 0:
		return nil, fmt.Sprintf("%d images were looked at, and no more are", maxImages), stemma.ReasonTruncated
	}
	w.left--
	ref.Tag, ref.Digest = "", image.Digest
	e, err = w.v.collect(ctx, Request{Image: ref.String(), Situation: w.at, Also: w.asked.Also}, false)
	if err != nil {
		var failed *Error
		if errors.As(err, &failed) {
			err = brief(failed.Err)
		}
		return nil, stemma.Printable(err.Error(), 300), cmp.Or(oci.ReasonOf(err), stemma.ReasonBadAnswer)
	}
	w.aside[image.Digest] = e
	return e, "", ""
}

// tagged looks at what the tag leads to by which the base was named.
func (w *walk) tagged(ctx context.Context, l *stemma.Lineage) {
	for _, s := range l.Signals {
		if s.Image.Tag == "" || s.Image.Digest == "" || s.Image.Digest != l.Base.Digest && s.Image.Digest != l.Index {
			continue
		}
		ref, err := oci.ParseReference(s.Image.Repository)
		if err != nil || ref.Layout != "" || ref.Digest != "" {
			continue
		}
		ref.Tag = s.Image.Tag
		t := &stemma.Tagged{Tag: s.Image.Tag}
		if t.Digest, err = w.v.client.Resolve(ctx, ref); err != nil {
			t.Why, t.Reason = stemma.Printable(brief(err).Error(), 300), cmp.Or(oci.ReasonOf(err), stemma.ReasonBadAnswer)
		}
		l.Tagged = t
		return
	}
}

// further looks at the base that was found.
func (w *walk) further(ctx context.Context, l *stemma.Lineage, path []stemma.Digest) {
	switch {
	case !l.Grade.Based():
		return
	case slices.Contains(path, l.Base.Digest):
		// Two images of the same layers can each name the other; digests of content cannot.
		l.Grade, l.Why = stemma.BaseContradicted, "an image above names it as what it stands on: they go round in a circle"
		return
	case len(path) >= maxDepth:
		l.Stopped, l.Reason = fmt.Sprintf("%d images stand on one another, and no more are looked at", maxDepth), stemma.ReasonTruncated
		return
	}
	if known, ok := w.seen[l.Base.Digest]; ok {
		l.Evidence = known
		return
	}
	ref, index, name := w.where(l)
	if ref.Layout == "" && ref.Host == "" {
		l.Stopped, l.Reason = "its repository is not known", stemma.ReasonNotStated
		return
	}
	k := w.ground(ref, index, name)
	if len(path) == 1 {
		defer w.v.beneath.alone(ctx, k)()
	}
	if e := w.v.beneath.recall(k, w.at.At, path); e != nil && !w.at.WhatIf {
		l.Evidence = e
		return
	}
	if w.left--; w.left < 0 {
		l.Stopped, l.Reason = fmt.Sprintf("%d images were looked at, and no more are", maxImages), stemma.ReasonTruncated
		return
	}
	r := Request{Image: ref.String(), Name: name, Situation: w.at, Also: w.asked.Also}
	if index != "" && ref.Layout == "" {
		r.Index = string(index)
	}
	e, err := w.v.collect(ctx, r, false)
	if err != nil {
		l.Stopped, l.Reason = "it could not be looked at: "+stemma.Printable(err.Error(), 300), cmp.Or(oci.ReasonOf(err), stemma.ReasonBadAnswer)
		return
	}
	w.seen[l.Base.Digest] = e
	l.Evidence = e
	w.down(ctx, e, oci.Reference{Host: ref.Host, Repository: ref.Repository, Layout: ref.Layout}, nil, path)
	if !w.at.WhatIf && ctx.Err() == nil {
		w.v.beneath.remember(k, w.at.At, e)
	}
}

// where a base lies: where it was given, or in the repository by which it is named.
func (w *walk) where(l *stemma.Lineage) (ref oci.Reference, index stemma.Digest, name string) {
	for _, k := range w.known {
		if k.stack.Image.Digest == l.Base.Digest {
			return k.ref, l.Index, k.name
		}
	}
	ref, err := oci.ParseReference(l.Base.Repository)
	// What is named in evidence is no directory of this machine, and what was put into the library may be.
	if _, kept := w.kept[l.Base.Digest]; err != nil || ref.Digest != "" || ref.Layout != "" && !kept {
		return oci.Reference{}, "", ""
	}
	ref.Tag, ref.Digest = "", l.Base.Digest
	return ref, l.Index, ""
}

// shelf reads images for the search of bases.
type shelf struct {
	w   *walk
	own oci.Reference // of the image whose base is looked for
}

// Stack implements lineage.Source.
func (s shelf) Stack(ctx context.Context, image stemma.Image, platform stemma.Platform) (*stemma.Stack, error) {
	for _, k := range s.w.known {
		if k.stack.Image.Digest == image.Digest || k.stack.Index == image.Digest && k.stack.Platform.Normal() == platform.Normal() {
			return k.stack, nil
		}
	}
	ref, err := oci.ParseReference(image.Repository)
	if err != nil {
		return nil, err
	}
	kept, known := s.w.kept[image.Digest]
	known = known && kept.Image == image
	if ref.Layout != "" && !known || ref.Digest != "" {
		return nil, errors.New("it is not named by its repository")
	}
	ref.Tag, ref.Digest = "", image.Digest
	stack, err := s.w.stack(ctx, ref, platform)
	if err != nil {
		return nil, brief(err)
	}
	if known && stack.Index == "" {
		stack.Index = kept.Index
	}
	if ref.Layout != "" {
		stack.Image.Repository = image.Repository
	}
	return stack, nil
}

// told is an error of the registry client with why something could not be looked at.
type told struct {
	text   string
	reason stemma.Reason
}

func (t *told) Error() string         { return t.text }
func (t *told) Reason() stemma.Reason { return t.reason }

// brief is an error of the registry client without what is said beside it anyway: which image was to be read, and by which
// request.
func brief(err error) error {
	if err == nil {
		return nil
	}
	var e *oci.Error
	if !errors.As(err, &e) {
		return &told{err.Error(), oci.ReasonOf(err)}
	}
	text := e.Err.Error()
	if strings.HasPrefix(text, "GET ") {
		if _, cause, ok := strings.Cut(text, ": "); ok {
			text = cause
		}
	}
	return &told{text, oci.ReasonOf(err)}
}

// Blob implements lineage.Source.
func (s shelf) Blob(ctx context.Context, image stemma.Image, layer stemma.Layer) (io.ReadCloser, error) {
	ref := s.own
	for _, k := range s.w.known {
		if k.stack.Image == image {
			ref = k.ref
		}
	}
	if image.Digest != s.own.Digest && ref == s.own {
		var err error
		if ref, err = oci.ParseReference(image.Repository); err != nil {
			return nil, err
		}
	}
	blob, err := s.w.v.client.Blob(ctx, ref, layer.Digest, layer.Size)
	if err != nil {
		return nil, brief(err)
	}
	return reading{blob}, nil
}

// reading is a blob whose errors say why it could not be read.
type reading struct{ io.ReadCloser }

func (r reading) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = brief(err)
	}
	return n, err
}

// Known implements lineage.Source.
func (s shelf) Known(ctx context.Context, chainIDs []stemma.Digest) ([]stemma.Image, error) {
	var out []stemma.Image
	if s.w.v.config.Library != nil {
		kept, err := s.w.v.config.Library.Known(ctx, chainIDs)
		if err != nil {
			return nil, &told{err.Error(), stemma.ReasonUnreachable}
		}
		for _, k := range kept {
			if s.w.kept == nil {
				s.w.kept = map[stemma.Digest]stemma.KnownBase{}
			}
			if other, twice := s.w.kept[k.Image.Digest]; !twice || other == k {
				s.w.kept[k.Image.Digest] = k
				out = append(out, k.Image)
			}
		}
	}
	for _, k := range s.w.known {
		if ids := k.stack.ChainIDs(); len(ids) > 0 && slices.Contains(chainIDs, ids[len(ids)-1]) {
			out = append(out, k.stack.Image)
		}
	}
	return out, nil
}

// contents remembers what blobs unpack to.
type contents struct {
	mu   sync.Mutex
	kept map[stemma.Digest]stemma.Digest
}

// maxContents is how many blobs are remembered; then all are forgotten.
const maxContents = 1 << 16

// Content implements lineage.Facts.
func (c *contents) Content(blob stemma.Digest) (stemma.Digest, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.kept[blob]
	return d, ok
}

// Keep implements lineage.Facts.
func (c *contents) Keep(blob, diffID stemma.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil || len(c.kept) >= maxContents {
		c.kept = map[stemma.Digest]stemma.Digest{}
	}
	c.kept[blob] = diffID
}
