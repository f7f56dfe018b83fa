package policy

import "stemma"

func (Tekton) key() string { return "tekton" }

func (Tekton) view(_ *stemma.Attestation, p *stemma.Provenance) (*stemma.Provenance, difference) {
	return ofFamily("Tekton Chains", "tekton", p)
}

func (Tekton) check(c *checker, path string, _ Builder) {
	// A control that is written and not judged would be believed.
	c.fail(path, "remove it", "tekton is not judged by this version")
}
