package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stemma"
)

// bom checks the blocks about bills of materials, scans and further attestations.
func (c *checker) bom(p *loaded) {
	if b := p.spec.SBOM; b != nil {
		const at = "spec.sbom"
		c.named(p, join(at, "by"), b.By, "bill of materials")
		c.words(join(at, "formats"), b.Formats, []string{"spdx", "cyclonedx"}, "format")
		c.words(join(at, "generators"), b.Generators, nil, "")
		c.words(join(at, "consistentWith"), b.ConsistentWith, []string{consistentImage, consistentProvenance, consistentBase}, "thing to be consistent with")
		for i, with := range b.ConsistentWith {
			if (with == consistentBase || with == consistentProvenance) && p.spec.Provenance == nil {
				c.fail(fmt.Sprintf("%s.consistentWith[%d]", at, i), "add provenance: {by: [...]}", "%s compares the SBOM with provenance, and this policy does not say whose provenance counts", with)
			}
		}
		if b.Elements != "" && b.Elements != elementsNTIA {
			c.fail(join(at, "elements"), suggestion(b.Elements, []string{elementsNTIA}), "unknown elements %q", b.Elements)
		}
	}
	if v := p.spec.Vulnerabilities; v != nil {
		const at = "spec.vulnerabilities"
		c.named(p, join(at, "by"), v.By, "scan")
		c.words(join(at, "none"), v.None, severities(), "severity")
		c.named(p, join(at, "vex"), By{Of: v.VEX}, "VEX document")
	}
	for i, a := range p.spec.Attestations {
		at := fmt.Sprintf("spec.attestations[%d]", i)
		c.named(p, join(at, "by"), a.By, "attestation of this type")
		switch {
		case slices.ContainsFunc(p.spec.Attestations[:i], func(o Attested) bool { return o.Type == a.Type }):
			c.fail(join(at, "type"), "write one entry; by: {atLeast: 2, of: [...]} asks for several signers", "type %q stands twice", a.Type)
		case a.Type == stemma.PredicateCosignSign:
			c.fail(join(at, "type"), "write a signature block", "%s is how cosign signs an image, and states nothing about it", a.Type)
		}
		for _, pointer := range slices.Sorted(maps.Keys(a.Values)) {
			c.pointer(join(join(at, "values"), pointer), pointer, a.Values[pointer])
		}
	}
}

// words refuses a word that is not known and one that stands twice, in whatever case. Nil takes all words.
func (c *checker) words(path string, words, known []string, what string) {
	for i, w := range words {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case known != nil && !slices.Contains(known, w):
			c.fail(at, suggestion(w, known), "unknown %s %q", what, w)
		case slices.ContainsFunc(words[:i], func(o string) bool { return strings.EqualFold(o, w) }):
			c.fail(at, "keep one", "%q stands twice", w)
		}
	}
}

func (c *checker) pointer(path, pointer string, values Values) {
	rest := strings.NewReplacer("~0", "", "~1", "").Replace(pointer)
	switch {
	case !strings.HasPrefix(pointer, "/"):
		c.fail(path, fmt.Sprintf("write %q", "/"+strings.ReplaceAll(strings.TrimPrefix(pointer, "$."), ".", "/")), "%q is not a JSON pointer into the predicate", pointer)
		return
	case strings.Contains(rest, "~"):
		c.fail(path, "write ~0 for ~ and ~1 for /", "%q is not a JSON pointer into the predicate", pointer)
		return
	}
	for i, v := range values {
		if slices.Contains(values[:i], v) {
			c.fail(path, "keep one", "%q stands twice", v)
		}
	}
}
