package policy

import "stemma"

func (GitLab) key() string { return "gitlab" }

func (g GitLab) controls() controls { return controls{events: g.Events, runner: g.Runner} }

func (g GitLab) describe() string { return string(g.Config) }

func (g GitLab) differs(id stemma.Identity) difference {
	return difference{stemma.ReasonSigner, describe(id), g.describe(), "gitlab", 2}
}

func (g GitLab) check(c *checker, path string) {
	c.fail(path, "write oidc: {issuer: …, subject: …}, as the certificate has them", "gitlab is not judged by this version")
}
