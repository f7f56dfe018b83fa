package lineage

import (
	"context"
	"fmt"
	"slices"

	"stemma"
)

// Rebase recomputes whether an image is another one put onto another base: new = layers of the new base + layers of the
// original above its own base. Both bases must be shown by layers. Nobody needs to be trusted for it: what was on the old
// base is on the new one, byte for byte, and the config says what it said, but for what comes from the bases.
func (f Finder) Rebase(ctx context.Context, own *stemma.Stack, l *stemma.Lineage, original *stemma.Stack, of *stemma.Lineage) *stemma.Rebase {
	out := &stemma.Rebase{Original: original.Image}
	stop := func(format string, args ...any) *stemma.Rebase {
		out.Why = stemma.Printable(fmt.Sprintf(format, args...), 300)
		return out
	}
	switch {
	case original.Image.Digest == own.Image.Digest:
		return stop("it is the image itself")
	case own.Platform.Normal() != original.Platform.Normal():
		return stop("the original is for %s, and the image for %s", original.Platform, own.Platform)
	case !of.Grade.Based():
		out.Reason = of.Reason
		return stop("what the original stands on is not shown by its layers: %s %s", of.Grade, of.Why)
	case !l.Grade.Based():
		out.Reason = l.Reason
		return stop("what the image stands on is not shown by its layers: %s %s", l.Grade, l.Why)
	}
	ours, theirs := own.Layers[l.Layers:], original.Layers[of.Layers:]
	if len(ours) == 0 {
		return stop("all layers of the image are its base's")
	}
	if len(ours) != len(theirs) {
		return stop("%d layers are above the base, and %d above that of the original", len(ours), len(theirs))
	}
	for i, o := range ours {
		t := theirs[i]
		if o.DiffID != t.DiffID || o.Foreign || t.Foreign {
			return stop("layer %d is not that of the original: %s, and its is %s", l.Layers+i+1, o.DiffID.Short(), t.DiffID.Short())
		}
		if o.Digest == t.Digest {
			continue
		}
		for _, x := range []struct {
			of    stemma.Image
			layer stemma.Layer
		}{{own.Image, o}, {original.Image, t}} {
			got, err := f.content(ctx, x.of, x.layer)
			if err != nil {
				out.Reason = reason(err)
				return stop("the content of layer %d could not be computed: %v", l.Layers+i+1, err)
			}
			if got != x.layer.DiffID {
				return stop("the content of layer %d is %s, and a config says %s", l.Layers+i+1, got.Short(), x.layer.DiffID.Short())
			}
		}
	}
	out.Changes = beyondBases(own.Settings, original.Settings, l, of)
	if len(out.Changes) > 0 {
		return stop("its config differs from the original's in more than the bases do")
	}
	return out
}

// beyondBases are the settings in which an image differs from the original and that it does not have from its base in place
// of what the original had from its own.
func beyondBases(own, original stemma.Settings, l, of *stemma.Lineage) []stemma.Change {
	differs, _ := changes(original, own)
	// What each changes over its base is what its build said; the rest comes from the bases.
	said := func(l *stemma.Lineage, setting string) (is string, changed bool) {
		i := slices.IndexFunc(l.Changes, func(c stemma.Change) bool { return c.Setting == setting })
		if i < 0 {
			return "", false
		}
		return l.Changes[i].Is, true
	}
	return slices.DeleteFunc(differs, func(c stemma.Change) bool {
		ours, changed := said(l, c.Setting)
		theirs, was := said(of, c.Setting)
		return !changed && !was || changed && was && ours == theirs
	})
}
