package policy

import "stemma"

func (CloudBuild) key() string { return "gcb" }

func (CloudBuild) view(_ *stemma.Attestation, p *stemma.Provenance) (*stemma.Provenance, difference) {
	return ofFamily("Google Cloud Build", "gcb", p)
}

func (CloudBuild) check(c *checker, path string, _ Builder) {
	// A control that is written and not judged would be believed.
	c.fail(path, "remove it", "gcb is not judged by this version")
}
