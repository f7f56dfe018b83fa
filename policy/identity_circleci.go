package policy

import "stemma"

func (CircleCI) key() string { return "circleci" }

func (g CircleCI) controls() controls { return controls{} }

func (g CircleCI) describe() string { return g.Project }

func (g CircleCI) differs(id stemma.Identity) difference {
	return difference{stemma.ReasonSigner, describe(id), g.describe(), "circleci", 2}
}

func (g CircleCI) check(c *checker, path string) {
	c.fail(path, "write oidc: {issuer: …, subject: …}, as the certificate has them", "circleci is not judged by this version")
}
