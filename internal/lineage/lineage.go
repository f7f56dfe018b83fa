// Package lineage finds what an image stands on. It collects everything that tells a base, reads the images that are named,
// and compares their layers with those of the image: what is named is a hint until the layers are shown to be the same.
//
// It decides nothing: which grade is enough, and whose word, is for a policy to say.
package lineage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"stemma"
)

// Source reads images. What it returns was compared with the digests asked for.
type Source interface {
	// Stack reads the manifest of an image, by digest. Of an index it is the one manifest that the index lists for the
	// platform: none, or two, is an error.
	Stack(ctx context.Context, image stemma.Image, platform stemma.Platform) (*stemma.Stack, error)
	// Blob opens a layer of an image.
	Blob(ctx context.Context, image stemma.Image, layer stemma.Layer) (io.ReadCloser, error)
	// Known lists images the last of whose chain IDs is one of these, which are all of the same platform. A source without
	// an index of images lists none.
	Known(ctx context.Context, chainIDs []stemma.Digest) ([]stemma.Image, error)
}

// Facts remembers the contents of layers, by the digests of their blobs. What it returns was computed, never claimed.
type Facts interface {
	Content(blob stemma.Digest) (diffID stemma.Digest, ok bool)
	Keep(blob, diffID stemma.Digest)
}

// Subject is an image whose base is asked for.
type Subject struct {
	Stack    *stemma.Stack
	Evidence *stemma.Evidence
	Above    []*stemma.Evidence // of the indexes that list it
	// Trusted reports whether whoever signed an attestation may name the base. Nil: nobody may.
	Trusted func(*stemma.Attestation) bool
}

// fault is an error that says why something could not be looked at. So may those of a Source, by a method Reason.
type fault struct {
	text   string
	reason stemma.Reason
}

func (f *fault) Error() string         { return f.text }
func (f *fault) Reason() stemma.Reason { return f.reason }

// reason is why something could not be looked at, or "" of an error that is an answer.
func reason(err error) stemma.Reason {
	var r interface{ Reason() stemma.Reason }
	if errors.As(err, &r) {
		return r.Reason()
	}
	return ""
}

// Bounds of one look for one base.
const (
	maxNamed  = 32       // images that are named and read
	maxLayers = 1024     // layers of an image
	maxBlob   = 16 << 30 // bytes of the content of one layer
)

// Finder finds bases.
type Finder struct {
	Source Source
	Facts  Facts
}

// Find never fails: what could not be looked at is said in the signals, and its grade is no better for it.
func (f Finder) Find(ctx context.Context, s Subject) *stemma.Lineage {
	c := &choice{finder: f, ctx: ctx, subject: s, out: &stemma.Lineage{}, stacks: map[stemma.Image]*named{}}
	if len(s.Stack.Layers) > maxLayers {
		c.out.Reason = stemma.ReasonTruncated
		c.out.Grade, c.out.Why = stemma.BaseUnknown, fmt.Sprintf("the image has %d layers, and no more than %d are compared", len(s.Stack.Layers), maxLayers)
		return c.out
	}
	c.collect()
	c.known()
	c.resolve()
	c.choose()
	c.out.Steps = len(c.said(stemma.SignalSteps, stemma.BindingSigned))+len(c.said(stemma.SignalSteps, stemma.BindingSealed)) > 0
	for i := range c.out.Signals {
		if s := &c.out.Signals[i]; s.Outcome == "" {
			s.Outcome = stemma.SignalBeneath
		}
	}
	return c.out
}

// choice is one look for one base.
type choice struct {
	finder  Finder
	ctx     context.Context
	subject Subject
	out     *stemma.Lineage
	stacks  map[stemma.Image]*named
	order   []*named // in the order in which they were named
}

// named is an image that some signal names.
type named struct {
	image stemma.Image
	stack *stemma.Stack
	err   error
	match match
}

// add records a signal. What it names is read later.
func (c *choice) add(s stemma.Signal) {
	switch {
	case s.Scratch:
		s.Outcome = stemma.SignalScratch
	case s.Image.Digest == "":
		s.Outcome = stemma.SignalNameless
	case c.stacks[s.Image] == nil:
		n := &named{image: s.Image}
		c.stacks[s.Image] = n
		c.order = append(c.order, n)
	}
	c.out.Signals = append(c.out.Signals, s)
}

// known adds the images of the index whose layers are the lowest of this one.
func (c *choice) known() {
	images, err := c.finder.Source.Known(c.ctx, c.subject.Stack.ChainIDs())
	if err != nil {
		c.out.Signals = append(c.out.Signals, stemma.Signal{Kind: stemma.SignalLayers, Binding: stemma.BindingBytes, Outcome: stemma.SignalUnresolved, Reason: reason(err), Detail: err.Error()})
		return
	}
	for _, image := range images {
		if image.Digest != c.subject.Stack.Image.Digest {
			c.add(stemma.Signal{Kind: stemma.SignalLayers, Image: image, Binding: stemma.BindingBytes})
		}
	}
}

// resolve reads what is named, and compares it.
func (c *choice) resolve() {
	own := c.subject.Stack
	for i, n := range c.order {
		switch {
		case i >= maxNamed:
			n.err = &fault{fmt.Sprintf("more than %d images are named: this one was not read", maxNamed), stemma.ReasonTruncated}
		case n.image.Digest == own.Image.Digest || n.image.Digest == own.Index:
			n.err = fmt.Errorf("it is the image itself")
		case n.image.Repository == "":
			n.err = fmt.Errorf("its repository is not named")
		default:
			n.stack, n.err = c.finder.Source.Stack(c.ctx, n.image, own.Platform)
		}
		if n.err == nil && n.stack.Image.Digest == own.Image.Digest {
			n.err = fmt.Errorf("it is the image itself")
		}
		if n.err == nil {
			n.match = c.finder.prove(c.ctx, own, n.stack)
		}
	}
	for i := range c.out.Signals {
		s := &c.out.Signals[i]
		n := c.stacks[s.Image]
		if s.Outcome != "" || n == nil {
			continue
		}
		switch {
		case n.err != nil:
			s.Outcome, s.Detail, s.Reason = stemma.SignalUnresolved, stemma.Printable(n.err.Error(), 300), reason(n.err)
		case n.match.how == "" && n.match.open:
			s.Outcome, s.Detail, s.Reason = stemma.SignalUnproven, n.match.why, n.match.reason
		case n.match.how == "":
			s.Outcome, s.Detail = stemma.SignalDisagrees, n.match.why
		}
	}
}

// choose takes the base by the rules of the strongest signal: the steps of signed provenance, then of what the image's
// digest covers, then the longest proven layers. What only whoever pushed the image says never chooses against them.
func (c *choice) choose() {
	for _, binding := range []stemma.SignalBinding{stemma.BindingSigned, stemma.BindingSealed} {
		if said := c.said(stemma.SignalSteps, binding); len(said) > 0 {
			c.told(said, binding)
			return
		}
	}
	if best := c.longest(); best != nil {
		c.proven(best)
		return
	}
	c.unproven()
}

// said lists the signals of a kind with a binding.
func (c *choice) said(kind stemma.SignalKind, binding stemma.SignalBinding) []*stemma.Signal {
	var out []*stemma.Signal
	for i := range c.out.Signals {
		if s := &c.out.Signals[i]; s.Kind == kind && s.Binding == binding {
			out = append(out, s)
		}
	}
	return out
}

// told takes what the steps of a build say. Several must say the same.
func (c *choice) told(said []*stemma.Signal, binding stemma.SignalBinding) {
	first := said[0]
	c.out.By, c.out.Bundle = first.By, first.Bundle
	for _, s := range said[1:] {
		if s.Scratch != first.Scratch || !c.same(s.Image, first.Image) {
			c.out.Grade, c.out.Why = stemma.BaseContradicted, fmt.Sprintf("%s says %s, and %s says %s", who(first), what(first), who(s), what(s))
			return
		}
	}
	if first.Scratch {
		c.scratch(binding)
		return
	}
	n := c.stacks[first.Image]
	switch {
	case n.err != nil || n.match.open:
		c.out.Grade, c.out.Base = stemma.BaseClaimed, first.Image
		c.claimed(first)
	case n.match.how == "":
		c.out.Grade, c.out.Base, c.out.Why = stemma.BaseContradicted, first.Image, n.match.why
	default:
		grade := stemma.BaseProven
		if binding == stemma.BindingSealed {
			grade = stemma.BaseSealed
		}
		c.take(n, grade)
	}
}

// scratch says that nothing is underneath. That the layers of a known image are there all the same is kept: somebody
// imported its files.
func (c *choice) scratch(binding stemma.SignalBinding) {
	c.out.Grade = stemma.BaseNoneClaimed
	if binding == stemma.BindingSigned {
		c.out.Grade = stemma.BaseScratch
	}
	if best := c.longest(); best != nil {
		c.out.Why = fmt.Sprintf("the lowest %d layers are those of %s nevertheless", len(best.stack.Layers), best.image)
	}
}

// proven takes a base by its layers.
func (c *choice) proven(n *named) {
	grade := stemma.BaseLayers
	for i := range c.out.Signals {
		s := &c.out.Signals[i]
		if s.Kind != stemma.SignalMaterials || c.stacks[s.Image] != n && !c.same(s.Image, n.image) {
			continue
		}
		switch {
		case s.Binding == stemma.BindingSigned:
			grade, c.out.By, c.out.Bundle = stemma.BaseProven, s.By, s.Bundle
		case s.Binding == stemma.BindingSealed && grade != stemma.BaseProven:
			grade, c.out.Bundle = stemma.BaseSealed, s.Bundle
		}
	}
	c.take(n, grade)
	if grade == stemma.BaseLayers {
		c.out.Why = "nobody who is trusted names it"
	}
}

// take sets the base, and says of the other signals how they stand to it.
func (c *choice) take(n *named, grade stemma.BaseGrade) {
	c.out.Grade, c.out.Base, c.out.Index = grade, n.stack.Image, n.stack.Index
	c.out.Layers, c.out.How = len(n.stack.Layers), n.match.how
	own := c.subject.Stack
	c.out.Equivalent = own.Config != "" && own.Config == n.stack.Config && len(own.Layers) == len(n.stack.Layers)
	c.out.Changes, c.out.Inherited = changes(n.stack.Settings, c.subject.Stack.Settings)
	for i := range c.out.Signals {
		s := &c.out.Signals[i]
		other := c.stacks[s.Image]
		switch {
		case s.Outcome != "" || other == nil:
		case other == n:
			s.Outcome = stemma.SignalChosen
		case other.stack.Image.Digest == n.stack.Image.Digest:
			s.Outcome = stemma.SignalAgrees
		case len(other.stack.Layers) == len(n.stack.Layers):
			s.Outcome = stemma.SignalSameLayers
		case len(other.stack.Layers) < len(n.stack.Layers):
			s.Outcome = stemma.SignalNotImmediate
		default:
			s.Outcome, s.Detail = stemma.SignalDisagrees, "more of the layers are its, and the build did not begin there"
		}
	}
}

// longest is the image with the most layers that are proven to be the lowest of this one. Among those with the same layers
// it is the one that more trusted signals name.
func (c *choice) longest() *named {
	var best *named
	weight := func(n *named) int {
		w := len(signalKinds()) + 1
		for _, s := range c.out.Signals {
			if c.stacks[s.Image] == n {
				w = min(w, slices.Index(signalKinds(), s.Kind))
			}
		}
		return w
	}
	for _, n := range c.order {
		if n.err != nil || n.match.how == "" {
			continue
		}
		if best == nil || cmp.Or(
			cmp.Compare(len(best.stack.Layers), len(n.stack.Layers)), cmp.Compare(weight(n), weight(best)), cmp.Compare(n.image.String(), best.image.String()),
		) < 0 {
			best = n
		}
	}
	return best
}

// signalKinds are the kinds that can choose among images with the same layers, the weightiest first. Then its own
// provenance names the image, then the index of images does, then whoever pushed the image.
func signalKinds() []stemma.SignalKind {
	return []stemma.SignalKind{
		stemma.SignalSteps, stemma.SignalMaterials, stemma.SignalSBOM, stemma.SignalBuildpacks, stemma.SignalAnnotation, stemma.SignalLabel, stemma.SignalLayers,
	}
}

// unproven is what is left when no layers are proven.
func (c *choice) unproven() {
	out := c.out
	out.Grade, out.Why = stemma.BaseUnknown, "nothing names what it stands on"
	var claims []*stemma.Signal
	var sets []string
	for i := range out.Signals {
		s := &out.Signals[i]
		switch {
		case s.Kind == stemma.SignalMaterials && s.Outcome != "":
			if !slices.Contains(sets, s.Image.String()) {
				sets = append(sets, s.Image.String())
			}
		case s.Kind == stemma.SignalHistory || s.Kind == stemma.SignalLayers:
		default:
			claims = append(claims, s)
		}
	}
	if len(sets) > 0 {
		out.Why = "the layers of no image that provenance names were found, and it does not tell which is the base: " + strings.Join(sets, ", ")
	}
	slices.SortStableFunc(claims, func(a, b *stemma.Signal) int {
		return cmp.Compare(slices.Index(signalKinds(), a.Kind), slices.Index(signalKinds(), b.Kind))
	})
	for _, s := range claims {
		switch {
		case s.Outcome == stemma.SignalDisagrees && c.own(s):
			out.Grade, out.Base, out.By, out.Bundle = stemma.BaseContradicted, s.Image, s.By, s.Bundle
			out.Why = fmt.Sprintf("%s names it, and %s", who(s), s.Detail)
			return
		case s.Outcome == stemma.SignalDisagrees || out.Grade != stemma.BaseUnknown:
		case s.Outcome == stemma.SignalScratch:
			out.Grade, out.Why = stemma.BaseNoneClaimed, who(s)+" says so"
		case s.Image.Digest != "":
			out.Grade, out.Base, out.By, out.Bundle = stemma.BaseClaimed, s.Image, s.By, s.Bundle
			c.claimed(s)
		case s.Outcome == stemma.SignalNameless:
			out.Why = fmt.Sprintf("%s names %s, without a digest", who(s), cmp.Or(s.Image.Repository, "an image"))
		}
	}
}

// claimed says why what a signal names is no more than claimed, and which layers are said to be its.
func (c *choice) claimed(s *stemma.Signal) {
	c.out.Why, c.out.Reason = who(s)+" names it", s.Reason
	if layers := c.recorded(s); layers > 0 {
		c.out.Layers = layers
		c.out.Why += fmt.Sprintf(" and records %d layers of it", layers)
	}
	c.out.Why += ", which could not be compared: " + s.Detail
}

// own reports whether a signal is the word of the image itself, or of somebody who is trusted. A stranger who can add a
// statement beside an image must not be able to contradict it, and a label may be one that was inherited.
func (c *choice) own(s *stemma.Signal) bool {
	return s.Binding == stemma.BindingSigned || s.Kind == stemma.SignalAnnotation || s.Kind == stemma.SignalBuildpacks
}

// same reports whether two names mean the same manifest.
func (c *choice) same(a, b stemma.Image) bool {
	if a.Digest == b.Digest {
		return true
	}
	x, y := c.stacks[a], c.stacks[b]
	return x != nil && y != nil && x.stack != nil && y.stack != nil && x.stack.Image.Digest == y.stack.Image.Digest
}

func who(s *stemma.Signal) string {
	switch s.Binding {
	case stemma.BindingSigned:
		return "provenance signed by " + s.By
	case stemma.BindingSealed:
		return "provenance that nobody signed"
	}
	switch s.Kind {
	case stemma.SignalSteps, stemma.SignalMaterials:
		return "provenance that is not trusted"
	case stemma.SignalSBOM:
		return "a bill of materials"
	}
	if strings.HasPrefix(s.Where, string(s.Kind)+" ") || s.Kind == stemma.SignalBuildpacks {
		return "the " + s.Where
	}
	return strings.TrimSpace("the " + string(s.Kind) + " " + s.Where)
}

func what(s *stemma.Signal) string {
	if s.Scratch {
		return "nothing"
	}
	return s.Image.String()
}
