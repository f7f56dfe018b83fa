package verify

import (
	"context"
	"slices"
	"sync"
	"time"

	"stemma"
	"stemma/internal/lineage"
	"stemma/internal/oci"
)

// beneath remembers, for a short time, what was found about images that others stand on, and about what is under those: a
// hundred images on one base look at it once. What could not all be looked at is not remembered.
type beneath struct {
	mu   sync.Mutex
	kept map[ground]*footing
	wait map[ground]chan struct{} // looks that are under way

	stacks map[stacked]*layers
}

// stacked is a manifest whose layers were read, and for which platform.
type stacked struct {
	image    string
	platform stemma.Platform
}

// layers are those of a manifest. Its bytes do not change; that it lies where it was found may.
type layers struct {
	at    time.Time
	stack *stemma.Stack
}

// stack reads the layers of an image underneath, or recalls them.
func (w *walk) stack(ctx context.Context, ref oci.Reference, platform stemma.Platform) (*stemma.Stack, error) {
	b, k := &w.v.beneath, stacked{ref.String(), platform}
	b.mu.Lock()
	known := b.stacks[k]
	b.mu.Unlock()
	if known != nil && w.at.At.Sub(known.at).Abs() <= groundTime && !w.at.WhatIf {
		own := *known.stack
		return &own, nil
	}
	stack, err := w.v.client.Stack(ctx, ref, platform)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stacks == nil || len(b.stacks) >= maxGrounds {
		b.stacks = map[stacked]*layers{}
	}
	b.stacks[k] = &layers{w.at.At, stack}
	own := *stack
	return &own, nil
}

// Bounds of what is remembered of bases. Evidence can be added to a registry at any time, so that none is kept for long.
const (
	maxGrounds = 1024
	groundTime = time.Minute
)

// ground is what was looked at, and how.
type ground struct {
	image       string // reference
	index, name string
	also        string
	namespace   string // whose policies may say who is trusted to name a base
	files, tags bool
}

// footing is what was found.
type footing struct {
	at       time.Time
	evidence *stemma.Evidence
	height   int // images from it down
}

// recall returns what is remembered and still holds at a time, for an image on a path of others: none of which may be
// underneath it, and not more than are looked at in all.
func (b *beneath) recall(k ground, at time.Time, path []stemma.Digest) *stemma.Evidence {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.kept[k]
	if f == nil || at.Sub(f.at).Abs() > groundTime || f.height > maxDepth-len(path) {
		return nil
	}
	for e := f.evidence; e != nil; e = e.Base.Evidence {
		if slices.Contains(path, e.Image.Digest) || slices.Contains(path, e.Base.Base.Digest) {
			return nil
		}
	}
	return f.evidence
}

// alone waits until nobody else looks at the same, and returns what to call when the look has ended. Who waits holds no
// look of his own, so that no two wait for one another.
func (b *beneath) alone(ctx context.Context, k ground) (done func()) {
	for {
		b.mu.Lock()
		busy := b.wait[k]
		if busy == nil {
			if b.wait == nil {
				b.wait = map[ground]chan struct{}{}
			}
			mine := make(chan struct{})
			b.wait[k] = mine
			b.mu.Unlock()
			return func() {
				b.mu.Lock()
				delete(b.wait, k)
				b.mu.Unlock()
				close(mine)
			}
		}
		b.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return func() {}
		}
	}
}

// remember keeps what was found, if all of it could be looked at.
func (b *beneath) remember(k ground, at time.Time, e *stemma.Evidence) {
	height, whole := standing(e)
	if !whole {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kept == nil || len(b.kept) >= maxGrounds {
		b.kept = map[ground]*footing{}
	}
	b.kept[k] = &footing{at, e, height}
}

// standing is how many images stand on one another from here down, and whether all of them could be looked at.
func standing(e *stemma.Evidence) (height int, whole bool) {
	for ; e != nil; height++ {
		l := e.Base
		if len(e.Unavailable) > 0 || l == nil || l.Reason != "" || l.FilesReason != "" || l.Stopped != "" || l.Grade == stemma.BaseContradicted || l.MoreStages {
			return height, false
		}
		for _, s := range l.Signals {
			if s.Reason != "" {
				return height, false
			}
		}
		for _, s := range l.Stages {
			if s.Evidence == nil || len(s.Evidence.Unavailable) > 0 {
				return height, false
			}
		}
		if l.Tagged != nil && l.Tagged.Reason != "" {
			return height, false
		}
		e = l.Evidence
	}
	return height, true
}

// ground is what a look at a base asks for.
func (w *walk) ground(ref oci.Reference, index stemma.Digest, name string) ground {
	k := ground{image: ref.String(), index: string(index), name: name, namespace: w.at.Namespace, files: w.asked.Files, tags: w.asked.tags}
	for _, also := range w.asked.Also {
		k.also += also + "\n"
	}
	for _, base := range w.asked.Bases {
		k.also += "base " + base + "\n"
	}
	return k
}

// rebased compares an image, or each platform of it, with the one that it is said to be on another base.
func (w *walk) rebased(ctx context.Context, e *stemma.Evidence) error {
	ref, err := oci.ParseReference(w.asked.Original)
	if err != nil {
		return translate(err)
	}
	original, err := w.v.collect(ctx, Request{Image: w.asked.Original, Situation: w.at, Also: w.asked.Also}, false)
	if err != nil {
		return err
	}
	at := oci.Reference{Host: ref.Host, Repository: ref.Repository, Layout: ref.Layout}
	w.down(ctx, original, at, nil, nil)
	f := lineage.Finder{Source: shelf{w, at}, Facts: w.facts()}
	for _, own := range leavesOf(e) {
		if own.Stack == nil || own.Base == nil {
			continue
		}
		for _, o := range leavesOf(original) {
			if o.Stack == nil || o.Base == nil || own.Platform.Normal() != o.Platform.Normal() {
				continue
			}
			own.Base.Rebased = f.Rebase(ctx, own.Stack, own.Base, o.Stack, o.Base)
			own.Base.Rebased.Evidence = o
		}
	}
	return nil
}

// leavesOf are the manifests that something runs from.
func leavesOf(e *stemma.Evidence) []*stemma.Evidence {
	if len(e.Platforms) == 0 {
		return []*stemma.Evidence{e}
	}
	var out []*stemma.Evidence
	for _, c := range e.Platforms {
		if !c.Attestation {
			out = append(out, leavesOf(c)...)
		}
	}
	return out
}

// facts are what is known of the contents of layers.
func (w *walk) facts() lineage.Facts {
	if w.v.config.Library != nil {
		return w.v.config.Library
	}
	return &w.v.contents
}
