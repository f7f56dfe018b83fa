package policy

import "stemma"

// block is what provenance of one kind of builder must say besides, whoever signs it: at most one is written.
type block interface {
	key() string // under which it is written: "tekton"
	// view is the provenance as such a builder means it, and in what it is none of such a builder; the zero difference when
	// it is one. It never changes p, and never returns nil.
	view(a *stemma.Attestation, p *stemma.Provenance) (*stemma.Provenance, difference)
	check(c *checker, path string, b Builder) // when it is loaded
}

// blocks lists what is written.
func (b Builder) blocks() []block {
	var out []block
	if b.Tekton != nil {
		out = append(out, *b.Tekton)
	}
	if b.CloudBuild != nil {
		out = append(out, *b.CloudBuild)
	}
	if b.BuildKit != nil {
		out = append(out, *b.BuildKit)
	}
	if b.Internal != nil {
		out = append(out, *b.Internal)
	}
	return out
}

// view is what an attestation says of the build, read as the work of this builder.
func (b Builder) view(a *stemma.Attestation, p *stemma.Provenance) (*stemma.Provenance, difference) {
	if blocks := b.blocks(); len(blocks) == 1 {
		return blocks[0].view(a, p)
	}
	return p, difference{}
}

// ofFamily is a view of provenance that the reader of one kind of builder read, as it stands.
func ofFamily(known, key string, p *stemma.Provenance) (*stemma.Provenance, difference) {
	if p.Known == known {
		return p, difference{}
	}
	got := p.Known
	if got == "" {
		got = "an unknown builder, buildType " + quoteEmpty(p.BuildType)
	}
	return p, difference{stemma.ReasonBuilder, "provenance of " + got, "provenance of " + known, key, 25}
}

// blockRules are the rules about what blocks ask for.
func blockRules() []Rule { return nil }
