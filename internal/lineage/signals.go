package lineage

import (
	"slices"
	"strings"

	"stemma"
)

// collect gathers the signals that evidence holds, in an order that is not the one in which it was found.
func (c *choice) collect() {
	e := c.subject.Evidence
	for i := range e.Provenance {
		p := &e.Provenance[i]
		for k := range e.Attestations {
			if a := &e.Attestations[k]; a.Bundle == p.Bundle && !a.Signature && a.Binding.Kind != stemma.BindingSource {
				c.provenance(p, c.signed(a), a.Signer.String())
				break
			}
		}
	}
	for i := range e.Unsigned {
		u := &e.Unsigned[i]
		if u.Provenance != nil && u.Bound {
			binding := stemma.BindingLoose
			if u.Sealed && c.covered() {
				binding = stemma.BindingSealed
			}
			c.provenance(u.Provenance, binding, "")
		}
	}
	for i := range e.SBOMs {
		b := &e.SBOMs[i]
		for k := range e.Attestations {
			if a := &e.Attestations[k]; a.Bundle == b.Bundle {
				c.components(b, c.signed(a), a.Signer.String())
				break
			}
		}
	}
	for i := range e.Hints {
		c.hint(&e.Hints[i])
	}
	for _, name := range c.subject.Stack.From {
		c.add(stemma.Signal{Kind: stemma.SignalHistory, Image: stemma.Image{Repository: name}, Binding: stemma.BindingLoose})
	}
	slices.SortStableFunc(c.out.Signals, func(a, b stemma.Signal) int {
		return strings.Compare(string(a.Bundle)+a.Where+a.Image.String(), string(b.Bundle)+b.Where+b.Image.String())
	})
}

// signed is the binding of a statement that somebody signed.
func (c *choice) signed(a *stemma.Attestation) stemma.SignalBinding {
	if c.subject.Trusted != nil && c.subject.Trusted(a) {
		return stemma.BindingSigned
	}
	return stemma.BindingLoose
}

// covered reports whether a trusted signer answers for the image's digest, or for that of an index that lists it.
func (c *choice) covered() bool {
	for _, e := range append([]*stemma.Evidence{c.subject.Evidence}, c.subject.Above...) {
		for i := range e.Attestations {
			a := &e.Attestations[i]
			if (a.Binding.Kind == stemma.BindingExact || a.Binding.Kind == stemma.BindingViaIndex) && c.signed(a) == stemma.BindingSigned {
				return true
			}
		}
	}
	return false
}

// provenance reads what a build stood on from its steps or, without them, as a set of candidates. What the builder is made
// of, and what stages were built from, are none.
func (c *choice) provenance(p *stemma.Provenance, binding stemma.SignalBinding, by string) {
	signal := stemma.Signal{Kind: stemma.SignalMaterials, Binding: binding, By: by, Bundle: p.Bundle}
	if g := p.Ground; g != nil && g.Kind != stemma.GroundUnknown {
		signal.Kind, signal.Where = stemma.SignalSteps, g.Where
		if signal.Scratch = g.Kind == stemma.GroundScratch; signal.Scratch {
			c.add(signal)
			return
		}
	}
	for i := range p.Inputs {
		in := &p.Inputs[i]
		if in.Kind != stemma.InputImage || in.Role != stemma.RoleBase && (in.Role != "" || signal.Kind == stemma.SignalSteps) {
			continue
		}
		s := signal
		s.Image = Named(in)
		if s.Where == "" {
			s.Where = in.Where
		}
		c.add(s)
	}
}

// Named is the image that an input names.
func Named(in *stemma.Input) stemma.Image {
	out := stemma.Image{Repository: in.Canonical, Tag: in.Version}
	for _, algorithm := range []string{"sha256", "sha512", "sha384"} {
		if d, err := stemma.NewDigest(algorithm, in.Digest[algorithm]); err == nil {
			out.Digest = d
			break
		}
	}
	return out
}

// recorded is how many of the lowest layers of the image provenance records as those of the base, or 0.
func (c *choice) recorded(s *stemma.Signal) int {
	list := slices.Clone(c.subject.Evidence.Provenance)
	for _, u := range c.subject.Evidence.Unsigned {
		if u.Provenance != nil {
			list = append(list, *u.Provenance)
		}
	}
	for _, p := range list {
		if p.Bundle != s.Bundle || p.Ground == nil {
			continue
		}
		for _, layers := range p.Ground.Layers {
			if n := len(layers); n <= len(c.subject.Stack.Layers) && slices.EqualFunc(layers, c.subject.Stack.Layers[:n], func(d stemma.Digest, l stemma.Layer) bool { return d == l.Digest }) {
				return n
			}
		}
	}
	return 0
}

// components reads the bases that a bill of materials names.
func (c *choice) components(b *stemma.SBOM, binding stemma.SignalBinding, by string) {
	for _, base := range b.BaseImages {
		c.add(stemma.Signal{Kind: stemma.SignalSBOM, Binding: binding, By: by, Bundle: b.Bundle, Image: base})
	}
}

// hint reads what the image says of itself.
func (c *choice) hint(p *stemma.Provenance) {
	for i := range p.Inputs {
		in := &p.Inputs[i]
		if in.Kind != stemma.InputImage || in.Role != stemma.RoleBase {
			continue
		}
		kind, _, _ := strings.Cut(in.Where, " ")
		s := stemma.Signal{Kind: stemma.SignalKind(kind), Binding: stemma.BindingLoose, Image: Named(in), Where: in.Where}
		if p.Known == "Buildpacks" {
			s.Kind = stemma.SignalBuildpacks
		}
		// "scratch" is what the tools of Docker's official images write where nothing is underneath.
		if s.Scratch = in.URI == "scratch" && s.Image.Digest == ""; s.Scratch {
			s.Image = stemma.Image{}
		}
		c.add(s)
	}
}
