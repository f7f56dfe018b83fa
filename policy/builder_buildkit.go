package policy

import "stemma"

func (BuildKit) key() string { return "buildkit" }

func (BuildKit) view(_ *stemma.Attestation, p *stemma.Provenance) (*stemma.Provenance, difference) {
	return ofFamily("BuildKit", "buildkit", p)
}

func (BuildKit) check(c *checker, path string, _ Builder) {
	// A control that is written and not judged would be believed.
	c.fail(path, "remove it", "buildkit is not judged by this version")
}
