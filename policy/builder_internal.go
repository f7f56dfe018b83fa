package policy

import "stemma"

func (Internal) key() string { return "internal" }

func (Internal) view(_ *stemma.Attestation, p *stemma.Provenance) (*stemma.Provenance, difference) {
	return p, difference{}
}

func (Internal) check(c *checker, path string, _ Builder) {
	// A control that is written and not judged would be believed.
	c.fail(path, "remove it", "internal is not judged by this version")
}
