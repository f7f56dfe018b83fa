package predicate

import (
	"maps"
	"slices"

	"stemma"
)

// layoutV01 finds the parts of SLSA v0.1. Its recipe is "defined in" one of the materials, which it names by number.
func (r *reader) layoutV01(root *stemma.JSON) build {
	recipe := root.At("recipe")
	r.within(root, root.At("builder"), "builder", r.object)
	r.within(root.At("builder"), root.At("builder", "id"), "id", r.text)
	r.object(recipe, false)
	kind := recipe.At("type")
	if absent(kind) {
		kind = root.At("buildType")
	}
	if r.text(kind, false); absent(kind) {
		r.note("recipe.type is missing")
	}
	r.text(recipe.At("entryPoint"), false)
	b := build{
		format: formatV01, buildType: kind.Text(), builderID: root.At("builder", "id"),
		external: recipe.At("arguments"), internal: recipe.At("environment"), entryPoint: recipe.At("entryPoint"),
		metadata: root.At("metadata"), dependencies: root.At("materials"), invocationID: root.At("metadata", "buildInvocationId"),
	}
	r.object(b.external, false)
	r.object(b.internal, false)
	if number := recipe.At("definedInMaterial"); !absent(number) {
		if isDigits(string(number.Raw())) {
			b.configSource = b.dependencies.At(number.Scalar())
		}
		if !b.dependencies.IsArray() || b.configSource == nil {
			r.malformed(number, "the number of a material")
		}
	}
	return b
}

// provenanceV01 reads SLSA v0.1, and holds the copy that Google Cloud Build signs beside the predicate to it: what reads
// the one and what reads the other must see the same build.
func provenanceV01(id stemma.Digest, s stemma.Statement, signer *stemma.Identity) (*stemma.Provenance, error) {
	p, err := provenance(id, s, signer)
	if err != nil || len(s.SLSAProvenance) == 0 {
		return p, err
	}
	second := s
	second.Predicate = s.SLSAProvenance
	c, err := provenance(id, second, signer)
	if err != nil {
		return nil, err
	}
	const where = "slsaProvenance of the statement, "
	for _, f := range slices.Sorted(maps.Keys(c.Claims)) {
		mine, found := p.Claims[f]
		for _, said := range append([]stemma.Said{c.Claims[f].Said}, c.Claims[f].Others...) {
			said.Where = where + said.Where
			switch {
			case !found:
				p.Notes = append(p.Notes, stemma.Printable(string(f)+" stands only in the "+said.Where, 400))
			case said.Value != mine.Value:
				mine.Others = others(mine.Value, append(mine.Others, said))
				p.Claims[f] = mine
			}
		}
	}
	for f, mine := range p.Claims {
		if _, found := c.Claims[f]; !found {
			// An empty value differs from every other: what one reader learns and the other does not.
			mine.Others = others(mine.Value, append(mine.Others, stemma.Said{By: mine.By, Where: where + "nothing"}))
			p.Claims[f] = mine
		}
	}
	if !slices.EqualFunc(p.Inputs, c.Inputs, sameInput) {
		p.Notes = append(p.Notes, "the materials of the predicate and of the slsaProvenance beside it differ")
	}
	return p, nil
}

func sameInput(a, b stemma.Input) bool {
	return a.URI == b.URI && maps.Equal(a.Digest, b.Digest)
}
