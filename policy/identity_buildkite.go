package policy

import (
	"strings"

	"stemma"
)

const (
	buildkiteIssuer = "https://agent.buildkite.com"
	buildkiteHost   = "https://buildkite.com/"
)

func (Buildkite) key() string { return "buildkite" }

func (g Buildkite) controls() controls { return controls{events: g.Events, runner: g.Runner} }

func (g Buildkite) describe() string {
	return strings.TrimPrefix(buildkiteHost, "https://") + string(g.Pipeline)
}

func (g Buildkite) differs(id stemma.Identity) difference {
	if id.Issuer != buildkiteIssuer {
		return difference{stemma.ReasonIssuer, describe(id) + ", issuer " + quoteEmpty(id.Issuer), g.describe() + ", issuer " + buildkiteIssuer, "buildkite.pipeline", 2}
	}
	pipeline, ok := strings.CutPrefix(id.Subject, buildkiteHost)
	if !ok || strings.Count(pipeline, "/") != 1 || strings.ContainsFunc(pipeline, notSlug) {
		return difference{stemma.ReasonBuilder, describe(id), g.describe(), "buildkite.pipeline", 3}
	}
	if _, ok := g.Pipeline.match(pipeline, nil); !ok {
		return difference{stemma.ReasonBuilder, strings.TrimPrefix(id.Subject, "https://"), g.describe(), "buildkite.pipeline", 3 + common(pipeline, string(g.Pipeline))}
	}
	return difference{}
}

// notSlug reports what neither stands in a slug nor between two. A wildcard must not stand for "%2f", "@" or "#".
func notSlug(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./", r)
}

// check refuses what would accept pipelines that nobody meant.
func (g Buildkite) check(c *checker, path string) {
	at := join(path, "pipeline")
	organization, pipeline, _ := strings.Cut(string(g.Pipeline), "/")
	if pipeline == "" || strings.Contains(pipeline, "/") {
		c.fail(at, "write organisation/pipeline, as in the URL of the pipeline", "%q is not a pipeline", g.Pipeline)
	} else if strings.ContainsAny(organization, "*{") {
		// "*/images" would accept any organisation's pipeline of that name.
		c.fail(at, "name the organisation", "%q accepts pipelines of any organisation", g.Pipeline)
	}
	c.noCaptures(at, g.Pipeline)
	c.machine(path, g.Runner, "buildkite-hosted", "self-hosted")
}
