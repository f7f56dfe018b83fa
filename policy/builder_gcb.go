package policy

import (
	"fmt"
	"strings"

	"stemma"
)

func (CloudBuild) key() string { return "gcb" }

func (CloudBuild) view(_ *stemma.Attestation, p *stemma.Provenance) (*stemma.Provenance, difference) {
	return ofFamily("Google Cloud Build", "gcb", p)
}

// check refuses what no provenance of Google's names.
func (b CloudBuild) check(c *checker, path string, builder Builder) {
	c.signedBy(path, "Google Cloud Build", builder, "keys")
	for _, list := range []struct {
		name   string
		values []string
	}{{"projects", b.Projects}, {"triggers", b.Triggers}} {
		for i, v := range list.values {
			if strings.ContainsAny(v, "*/{} ") {
				c.fail(fmt.Sprintf("%s[%d]", join(path, list.name), i), "write its id or name in full", "%q is none of Google's names, and there are no patterns here", v)
			}
		}
	}
}
