package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"stemma"
)

// step is one step down: an image, and what it stands on.
type step struct {
	depth      int // from 1
	lineage    *stemma.Lineage
	foundation *Foundation // that names the base, in force or not
	at         string      // where that stands in the policy
	summary    *stemma.VSA // that stands for the base
}

// stopped reports whether nothing is asked of the base by itself.
func (s step) stopped(at time.Time) bool { return s.summary != nil || s.foundation.inForce(at) }

func (f *Foundation) inForce(at time.Time) bool {
	return f != nil && at.Before(f.Until.AddDate(0, 0, 1))
}

// chain is what one manifest stands on, step by step.
type chain struct {
	of    *stemma.Evidence
	steps []step
	// end is where it ends: a foundation, scratch or none; "" where that is not known, which open says.
	end  BaseEnd
	last *stemma.Lineage // that has no base, or whose base was not looked at
	open result
}

// descent is what is known on the way down from a target.
type descent struct {
	chains []chain
	nested int             // images above, of one that is judged as a base
	roles  map[role]result // of images underneath, shared with those
}

// maxSteps bounds a chain that is judged. No look goes as deep.
const maxSteps = 64

// chains are what the target stands on: one of a manifest, of an index one of each platform that runs.
func (j *judgement) chains() []chain {
	if j.descent == nil {
		j.descent = &descent{}
	}
	d := j.descent
	if d.chains != nil {
		return d.chains
	}
	d.chains = []chain{}
	if !isIndex(j.evidence) {
		d.chains = append(d.chains, j.chain(j.evidence))
		return d.chains
	}
	var f family
	f.add(j.evidence, nil)
	slices.SortFunc(f.unread, compareUnavailable)
	slices.SortFunc(f.leaves, func(a, b leaf) int {
		return cmp.Or(cmp.Compare(a.platform.String(), b.platform.String()), cmp.Compare(a.evidence.Image.Digest, b.evidence.Image.Digest))
	})
	for _, l := range f.leaves {
		d.chains = append(d.chains, j.chain(l.evidence))
	}
	if len(f.unread) > 0 {
		d.chains = append(d.chains, chain{of: j.evidence, last: &stemma.Lineage{}, open: unknownBecause(f.unread, "every platform")})
	}
	return d.chains
}

// base is the block, or one that asks for nothing: an expression may look at what the policy does not ask about.
func (j *judgement) base() *Base {
	if j.spec.Base == nil {
		return &Base{}
	}
	return j.spec.Base
}

// chain goes down from one manifest.
func (j *judgement) chain(e *stemma.Evidence) chain {
	c := chain{of: e}
	for depth := 1; ; depth++ {
		l := e.Base
		c.last = l
		switch {
		case l == nil:
			c.last = &stemma.Lineage{Grade: stemma.BaseUnknown}
			c.open = result{outcome: stemma.Unknown, reason: stemma.ReasonUnreachable, detail: "what " + e.Image.Digest.Short() + " stands on was not looked for"}
			return c
		case depth > maxSteps:
			c.open = result{outcome: stemma.Unknown, reason: stemma.ReasonTruncated, detail: fmt.Sprintf("more than %d images stand on one another", maxSteps)}
			return c
		case l.Grade == stemma.BaseScratch || l.Grade == stemma.BaseNoneClaimed:
			c.end = EndScratch
			return c
		case l.Grade == stemma.BaseContradicted:
			c.open = result{outcome: stemma.Fail, reason: stemma.ReasonBaseMismatch, got: "contradicted: " + l.Why}
			return c
		case !l.Grade.Based() && (l.Grade != stemma.BaseClaimed || j.byStranger(l)):
			c.end, c.open = bottom(e, l)
			return c
		}
		s := step{depth: depth, lineage: l}
		s.foundation, s.at = j.foundation(l)
		s.summary = j.summarised(l)
		c.steps = append(c.steps, s)
		switch {
		case s.foundation.inForce(j.at.At):
			c.end = EndFoundation
			return c
		case s.summary != nil:
			return c
		case l.Evidence == nil:
			c.open = unlooked(l.Base, l.Reason, cmp.Or(l.Stopped, l.Why))
			if l.Reason == "" && l.Grade == stemma.BaseClaimed {
				c.open = result{outcome: stemma.Fail, reason: stemma.ReasonBaseProof, got: "claimed " + brief(l.Base) + ": " + l.Why}
			}
			return c
		}
		e = l.Evidence
	}
}

// fault completes a result by why something is not known: a place that could not be looked at is no guilt.
func fault(reason stemma.Reason, r result) result {
	r.outcome, r.reason = stemma.Fail, reason
	if reason.Class() == stemma.CouldNotCheck {
		r.outcome, r.fix = stemma.Unknown, "nothing is known to be wrong with the image; "+remedy(reason)
	}
	return r
}

// unlooked is the result for an image about which nothing was found.
func unlooked(image stemma.Image, reason stemma.Reason, why string) result {
	return fault(cmp.Or(reason, stemma.ReasonUnreachable), result{got: brief(image), detail: cmp.Or(why, "it was not looked at")})
}

// byStranger reports whether a base is claimed by somebody who says so beside the image: neither by the image itself nor by
// whom it was signed. Whoever may add statements to a repository must not decide what an image is refused for.
func (j *judgement) byStranger(l *stemma.Lineage) bool {
	return j.base().Proof != ProofClaimed && !slices.ContainsFunc(l.Signals, func(s stemma.Signal) bool { return s.Image == l.Base && ofItself(s) })
}

// ofItself reports whether a signal is the word of the image itself, or of somebody who is trusted.
func ofItself(s stemma.Signal) bool {
	return s.Binding == stemma.BindingSigned || s.Binding == stemma.BindingSealed || s.Kind == stemma.SignalAnnotation ||
		s.Kind == stemma.SignalLabel || s.Kind == stemma.SignalBuildpacks
}

// bottom tells an image under which nothing known lies from one of which it is not known.
func bottom(e *stemma.Evidence, l *stemma.Lineage) (BaseEnd, result) {
	if l.Reason != "" {
		return "", fault(l.Reason, result{detail: l.Why})
	}
	if len(e.Unavailable) > 0 {
		u := slices.SortedFunc(slices.Values(e.Unavailable), compareUnavailable)
		return "", result{outcome: stemma.Unknown, reason: u[0].Reason, detail: u[0].Place + ": " + u[0].Detail}
	}
	for _, s := range l.Signals {
		switch {
		case s.Kind == stemma.SignalLayers && s.Outcome == stemma.SignalUnresolved:
			return "", result{outcome: stemma.Unknown, reason: cmp.Or(s.Reason, stemma.ReasonUnreachable), detail: "known images: " + s.Detail}
		case !ofItself(s):
		case s.Outcome == stemma.SignalUnresolved || s.Outcome == stemma.SignalUnproven:
			return "", fault(cmp.Or(s.Reason, stemma.ReasonBaseProof), result{got: fmt.Sprintf("%s is named, and %s", brief(s.Image), s.Detail)})
		case s.Outcome == stemma.SignalNameless && s.Kind != stemma.SignalHistory:
			return "", result{outcome: stemma.Fail, reason: stemma.ReasonUnpinned, got: cmp.Or(brief(s.Image), "an image") + " is named, without a digest"}
		}
	}
	return EndNone, result{}
}

// foundation finds the foundation that names a base: one in force before one that ended.
func (j *judgement) foundation(l *stemma.Lineage) (*Foundation, string) {
	var ended *Foundation
	var where string
	for i := range j.base().Foundations {
		f, at := &j.base().Foundations[i], fmt.Sprintf("base.foundations[%d]", i)
		if _, ok := f.Image.match(j.set.called(l.Base.Repository), nil); !ok {
			continue
		}
		if len(f.Digests) > 0 && !slices.Contains(f.Digests, string(l.Base.Digest)) && (l.Index == "" || !slices.Contains(f.Digests, string(l.Index))) {
			continue
		}
		if len(f.By) > 0 && !j.vouched(l.Evidence, f.By) {
			continue
		}
		if f.inForce(j.at.At) {
			return f, at
		}
		if ended == nil || f.Until.After(ended.Until.Time) {
			ended, where = f, at
		}
	}
	return ended, where
}

// vouched reports whether one of a list of names signed something about an image: itself, or an index that lists it.
func (j *judgement) vouched(e *stemma.Evidence, names []string) bool {
	if e == nil {
		return false
	}
	of := j.beneath(e)
	return slices.ContainsFunc(e.Attestations, func(a stemma.Attestation) bool {
		return of.bound(&a) && of.signedBy(&a, By{Of: names})
	})
}

// beneath is the judgement of the same policy with another image before it.
func (j *judgement) beneath(e *stemma.Evidence) *judgement {
	return &judgement{of: j.of, set: j.set, policy: j.policy, spec: j.spec, top: e, target: target{evidence: e}, evidence: e, at: j.at, vars: j.vars}
}

// summarised finds a verification summary that stands for a base: about this very manifest, never about an index that lists
// it, by an accepted signer who is the accepted verifier, passed, of the repository that the base is of, and young enough.
func (j *judgement) summarised(l *stemma.Lineage) *stemma.VSA {
	e := l.Evidence
	if e == nil {
		return nil
	}
	of := j.beneath(e)
	var found []*stemma.VSA
	for i := range e.Summaries {
		v := &e.Summaries[i]
		for k := range e.Attestations {
			a := &e.Attestations[k]
			if a.Bundle != v.Bundle || a.Signature || a.Binding.Kind != stemma.BindingExact || a.Binding.Member != e.Image.Digest {
				continue
			}
			if slices.ContainsFunc(j.base().VSA, func(s Summarised) bool { return of.signedBy(a, By{Of: s.By}) && s.takes(v, e.Image, j.at.At) }) {
				found = append(found, v)
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	return slices.MinFunc(found, func(a, b *stemma.VSA) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Bundle, b.Bundle)) })
}

// takes compares what a summary says with what is wanted (SLSA 1.2, "Verification Summary Attestation").
func (s Summarised) takes(v *stemma.VSA, image stemma.Image, at time.Time) bool {
	level := 0
	for _, l := range v.Levels {
		if n, ok := strings.CutPrefix(l, "SLSA_BUILD_LEVEL_"); ok && len(n) == 1 && n[0] >= '0' && n[0] <= '9' {
			level = max(level, int(n[0]-'0'))
		}
	}
	return v.Commit == "" && v.Result == "PASSED" && v.Verifier == s.Verifier && (s.Policy == "" || v.Policy == s.Policy) && level >= s.Level &&
		repositoryOf(strings.TrimPrefix(v.Resource, "oci://")) == image.Repository && image.Repository != "" &&
		!v.Time.IsZero() && !v.Time.After(at) && at.Sub(v.Time) <= time.Duration(s.MaxAge)
}

// strength is how a base is known, or that there is none, as a threshold of Proof compares it.
func strength(l *stemma.Lineage) int {
	switch l.Grade {
	case stemma.BaseProven, stemma.BaseScratch:
		return ProofProven.strength()
	case stemma.BaseSealed:
		return ProofSealed.strength()
	case stemma.BaseLayers:
		return ProofLayers.strength()
	case stemma.BaseNoneClaimed:
		if slices.ContainsFunc(l.Signals, func(s stemma.Signal) bool { return s.Scratch && s.Binding == stemma.BindingSealed }) {
			return ProofSealed.strength()
		}
		return ProofClaimed.strength()
	case stemma.BaseClaimed:
		return ProofClaimed.strength()
	}
	return 0
}

// brief names an image in texts that name several. The whole digests are what the findings cite, and in the evidence.
func brief(i stemma.Image) string {
	if i.Digest == "" {
		return i.String()
	}
	return strings.TrimPrefix(i.Repository+"@"+i.Digest.Short(), "@")
}
