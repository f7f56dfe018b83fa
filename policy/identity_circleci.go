package policy

import (
	"fmt"
	"strings"

	"stemma"
)

const (
	circleCIIssuer   = "https://oidc.circleci.com"
	circleCIProjects = "https://circleci.com/api/v2/projects/"
	circleCIPipeline = "/pipeline-definitions/"
)

func (CircleCI) key() string { return "circleci" }

func (CircleCI) controls() controls { return controls{} }

func (g CircleCI) describe() string {
	return "CircleCI project " + g.Project + ", pipeline definition " + strings.Join(g.Definitions, " or ")
}

// issuer is that of the organisation, or the one that all have in common, of whose tokens a job asks for either.
func (g CircleCI) issuer() string {
	if g.Organization != "" {
		return circleCIIssuer + "/org/" + g.Organization
	}
	return circleCIIssuer
}

// isCircleCI reports whether an issuer is the common one of CircleCI or that of an organisation there.
func isCircleCI(issuer string) bool {
	return issuer == circleCIIssuer || strings.HasPrefix(issuer, circleCIIssuer+"/org/")
}

func (g CircleCI) differs(id stemma.Identity) difference {
	if id.Issuer != g.issuer() {
		return difference{stemma.ReasonIssuer, describe(id) + ", issuer " + quoteEmpty(id.Issuer), g.describe() + ", issuer " + g.issuer(), "circleci.organization", 2}
	}
	project := circleCIProjects + g.Project + circleCIPipeline
	d := difference{stemma.ReasonBuilder, describe(id), g.describe(), "circleci.project", 3}
	if strings.HasPrefix(id.Subject, project) {
		d.path, d.rank = "circleci.definitions", 4
	}
	signed := id.Claims[stemma.ClaimBuildSignerURI]
	for _, definition := range g.Definitions {
		if id.Subject != project+definition {
			continue
		}
		// CircleCI's certificates name the definition twice; one that names two is not CircleCI's.
		switch signed {
		case id.Subject:
			return byMachine(id)
		case "":
			d.reason, d.got = stemma.ReasonNotStated, "no build signer URI"
		default:
			d.got += ", build signer URI " + signed
		}
	}
	return d
}

// byMachine refuses a job that somebody ran again with SSH, whatever else it is: whoever did could type into it, and what
// it signs is that person's. Other jobs have nothing there, which Fulcio's template writes as two quotation marks; what
// another value would mean is not known.
func byMachine(id stemma.Identity) difference {
	const want = "a job that nobody can log in to"
	switch runner := id.Claims[stemma.ClaimRunnerEnvironment]; runner {
	case "", `""`:
		return difference{}
	case "ssh-rerun":
		return difference{stemma.ReasonRunner, "ssh-rerun: somebody ran the job again with SSH and could type into it", want, "circleci", 20}
	default:
		return difference{stemma.ReasonRunner, "runner environment " + runner, want, "circleci", 20}
	}
}

// check refuses ids that no certificate has.
func (g CircleCI) check(c *checker, path string) {
	id := func(at, value, what string) {
		if !isUUID(value) {
			c.fail(at, "write all 36 lower-case characters, as CircleCI shows them: 5a301f56-eaa7-4cce-9441-37810f7c8452", "%q is not the id of %s", value, what)
		}
	}
	if g.Organization != "" {
		id(join(path, "organization"), g.Organization, "an organisation")
	}
	id(join(path, "project"), g.Project, "a project")
	for i, definition := range g.Definitions {
		id(fmt.Sprintf("%s[%d]", join(path, "definitions"), i), definition, "a pipeline definition")
	}
}

// isUUID reports whether s is a UUID in its canonical form (RFC 9562 section 4).
func isUUID(s string) bool {
	parts := strings.Split(s, "-")
	if len(s) != 36 || len(parts) != 5 {
		return false
	}
	for i, length := range []int{8, 4, 4, 4, 12} {
		if len(parts[i]) != length || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return false
		}
	}
	return true
}
