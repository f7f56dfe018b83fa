package policy

import "stemma"

func (Buildkite) key() string { return "buildkite" }

func (g Buildkite) controls() controls { return controls{events: g.Events, runner: g.Runner} }

func (g Buildkite) describe() string { return string(g.Pipeline) }

func (g Buildkite) differs(id stemma.Identity) difference {
	return difference{stemma.ReasonSigner, describe(id), g.describe(), "buildkite", 2}
}

func (g Buildkite) check(c *checker, path string) {
	c.fail(path, "write oidc: {issuer: …, subject: …}, as the certificate has them", "buildkite is not judged by this version")
}
