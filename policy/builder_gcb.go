package policy

import (
	"fmt"
	"slices"
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
			if strings.ContainsAny(v, "*/{} ") && !(list.name == "projects" && v == string(anyNamespace) && len(list.values) == 1) {
				c.fail(fmt.Sprintf("%s[%d]", join(path, list.name), i), "write its id or name in full", "%q is none of Google's names, and there are no patterns here", v)
			}
		}
	}
	switch named := slices.IndexFunc(b.Triggers, notUUID); {
	case len(b.Projects) > 0:
	case len(b.Triggers) == 0:
		c.fail(path, `write projects, or the ids of triggers; projects: ["*"] accepts everybody's`, "%s does not say whose builds are accepted: Google's keys sign for every project", last(path))
	case named >= 0:
		c.fail(fmt.Sprintf("%s[%d]", join(path, "triggers"), named), `write projects, too, or the trigger's id; projects: ["*"] accepts everybody's trigger of the name`, "%q is a name, and a trigger of any project may have it", b.Triggers[named])
	}
}

// byID reports whether every trigger is named by its id, which no other has.
func (b CloudBuild) byID() bool { return !slices.ContainsFunc(b.Triggers, notUUID) }

func notUUID(s string) bool { return !isUUID(s) }
