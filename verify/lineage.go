package verify

import (
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
	w := &walk{v: v, at: r.Situation, left: maxImages, seen: map[stemma.Digest]*stemma.Evidence{}, aside: map[stemma.Digest]*stemma.Evidence{}, asked: r}
	if err := w.learn(ctx, r.Bases); err != nil {
		return nil, err
	}
	ref, err := oci.ParseReference(r.Image)
	if err != nil {
		return nil, translate(err)
	}
	w.down(ctx, evidence, oci.Reference{Host: ref.Host, Repository: ref.Repository, Layout: ref.Layout}, nil, nil)
	return evidence, nil
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
}

// shelved is an image that was given as a known base.
type shelved struct {
	ref   oci.Reference
	stack *stemma.Stack
}

// learn reads the images that are given as known bases, each platform.
func (w *walk) learn(ctx context.Context, bases []string) error {
	for _, name := range bases {
		ref, err := oci.ParseReference(name)
		if err != nil {
			return translate(err)
		}
		images, err := w.v.client.Images(ref)
		if err != nil {
			return translate(err)
		}
		for _, image := range images {
			if err := w.shelve(ctx, image); err != nil {
				return translate(err)
			}
		}
	}
	return nil
}

// shelve reads the layers of one image that is given as a base, of each platform.
func (w *walk) shelve(ctx context.Context, ref oci.Reference) error {
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
		stack.Image.Repository = stemma.Printable(strings.TrimSuffix(nameless(ref), "@"+string(ref.Digest)), 300)
		w.known = append(w.known, shelved{at, stack})
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
	stop := func(grade stemma.BaseGrade, format string, args ...any) {
		e.Base = &stemma.Lineage{Grade: grade, Why: fmt.Sprintf(format, args...)}
	}
	ref.Digest = e.Image.Digest
	stack, err := w.v.client.Stack(ctx, ref, e.Platform)
	if err != nil {
		stop(stemma.BaseUnknown, "its layers could not be read: %v", err)
		return
	}
	stack.Image = e.Image
	e.Stack = stack
	subject := lineage.Subject{Stack: stack, Evidence: e, Above: above}
	if w.v.config.Policies != nil {
		subject.Trusted = w.v.config.Policies.Trusts(e, w.at)
	}
	e.Base = lineage.Finder{Source: shelf{w, ref}, Facts: &w.v.contents}.Find(ctx, subject)
	if e.Base.Grade.Based() && w.asked.Files {
		lineage.Finder{Source: shelf{w, ref}}.Files(ctx, stack, e.Base)
	}
	w.stages(ctx, e)
	w.further(ctx, e.Base, append(slices.Clone(path), e.Image.Digest))
}

// maxStages is how many images of stages of one build are looked at.
const maxStages = 32

// stages looks at the images of which the build used something, as its provenance names them.
func (w *walk) stages(ctx context.Context, e *stemma.Evidence) {
	named := func(p *stemma.Provenance, by string) {
		for i := range p.Inputs {
			in := &p.Inputs[i]
			if in.Kind != stemma.InputImage || in.Role != stemma.RoleStage || len(e.Base.Stages) >= maxStages {
				continue
			}
			stage := stemma.Stage{Image: lineage.Named(in), By: by}
			if slices.ContainsFunc(e.Base.Stages, func(o stemma.Stage) bool { return o.Image == stage.Image }) {
				continue
			}
			stage.Evidence, stage.Why = w.beside(ctx, stage.Image)
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
func (w *walk) beside(ctx context.Context, image stemma.Image) (*stemma.Evidence, string) {
	if known, ok := w.aside[image.Digest]; ok {
		return known, ""
	}
	ref, err := oci.ParseReference(image.Repository)
	switch {
	case err != nil || image.Digest == "" || ref.Digest != "":
		return nil, "it is not named by repository and digest"
	case w.left <= 0:
		return nil, fmt.Sprintf("%d images were looked at, and no more are", maxImages)
	}
	w.left--
	ref.Tag, ref.Digest = "", image.Digest
	e, err := w.v.collect(ctx, Request{Image: ref.String(), Situation: w.at, Also: w.asked.Also}, false)
	if err != nil {
		var failed *Error
		if errors.As(err, &failed) {
			err = brief(failed.Err)
		}
		return nil, stemma.Printable(err.Error(), 300)
	}
	w.aside[image.Digest] = e
	return e, ""
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
		l.Stopped = fmt.Sprintf("%d images stand on one another, and no more are looked at", maxDepth)
		return
	}
	if known, ok := w.seen[l.Base.Digest]; ok {
		l.Evidence = known
		return
	}
	if w.left--; w.left < 0 {
		l.Stopped = fmt.Sprintf("%d images were looked at, and no more are", maxImages)
		return
	}
	ref, index := w.where(l)
	if ref.Layout == "" && ref.Host == "" {
		l.Stopped = "its repository is not known"
		return
	}
	r := Request{Image: ref.String(), Situation: w.at, Also: w.asked.Also}
	if index != "" && ref.Layout == "" {
		r.Index = string(index)
	}
	e, err := w.v.collect(ctx, r, false)
	if err != nil {
		l.Stopped = "it could not be looked at: " + stemma.Printable(err.Error(), 300)
		return
	}
	w.seen[l.Base.Digest] = e
	l.Evidence = e
	w.down(ctx, e, oci.Reference{Host: ref.Host, Repository: ref.Repository, Layout: ref.Layout}, nil, path)
}

// where a base lies: where it was given, or in the repository by which it is named.
func (w *walk) where(l *stemma.Lineage) (ref oci.Reference, index stemma.Digest) {
	for _, k := range w.known {
		if k.stack.Image.Digest == l.Base.Digest {
			return k.ref, l.Index
		}
	}
	ref, err := oci.ParseReference(l.Base.Repository)
	if err != nil || ref.Digest != "" {
		return oci.Reference{}, ""
	}
	ref.Tag, ref.Digest = "", l.Base.Digest
	return ref, l.Index
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
	if ref.Layout != "" || ref.Digest != "" {
		return nil, errors.New("it is not named by its repository")
	}
	ref.Tag, ref.Digest = "", image.Digest
	stack, err := s.w.v.client.Stack(ctx, ref, platform)
	return stack, brief(err)
}

// brief is an error of the registry client without what is said beside it anyway: which image was to be read, and by which
// request.
func brief(err error) error {
	var e *oci.Error
	if !errors.As(err, &e) {
		return err
	}
	text := e.Err.Error()
	if strings.HasPrefix(text, "GET ") {
		if _, cause, ok := strings.Cut(text, ": "); ok {
			text = cause
		}
	}
	return errors.New(text)
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
	return s.w.v.client.Blob(ctx, ref, layer.Digest, layer.Size)
}

// Known implements lineage.Source.
func (s shelf) Known(_ context.Context, chainIDs []stemma.Digest) ([]stemma.Image, error) {
	var out []stemma.Image
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
