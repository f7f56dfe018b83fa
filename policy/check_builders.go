package policy

import (
	"cmp"
	"fmt"
	"slices"
)

func (c *checker) builder(s *Set, path string, b Builder) {
	c.signer(s, path, b.Signer)
	if b.Level < 0 || b.Level > 3 {
		c.fail(join(path, "level"), "write 1, 2 or 3", "SLSA Build has no level %d", b.Level)
	}
	if b.ID == "" && len(b.Keys) > 0 {
		// A key that signs for several builders would otherwise speak for all of them alike.
		c.fail(path, "write id: the builder.id that its provenance names", "%s does not say for which builder.id its key speaks", last(path))
	}
	if b.ID != "" && len(b.Keys) == 0 && b.GitHub == nil && b.Internal == nil {
		c.fail(join(path, "id"), "remove it: the certificate names the builder", "id is for builders that sign with keys, and for workflows that sign for others")
	}
	blocks := b.blocks()
	for _, x := range blocks {
		x.check(c, join(path, x.key()), b)
	}
	if len(blocks) > 1 {
		c.fail(join(path, blocks[1].key()), "keep one", "%s cannot be provenance of %s and %s at once", last(path), blocks[0].key(), blocks[1].key())
	}
}

func (c *checker) signer(s *Set, path string, g Signer) {
	forms := g.forms()
	if len(forms) != 1 {
		// Without an identity anybody could be the signer (INV-9).
		c.fail(path, "write one of github, gitlab, buildkite, circleci, oidc or keys", "%s needs exactly one identity, got %d", last(path), len(forms))
		return
	}
	trust := cmp.Or(g.Trust, PublicGood)
	i := slices.IndexFunc(s.spec.Trust, func(t Trust) bool { return t.Name == trust })
	if i < 0 && trust != PublicGood && trust != GitHubTrust {
		names := []string{PublicGood, GitHubTrust}
		for _, t := range s.spec.Trust {
			names = append(names, t.Name)
		}
		c.fail(join(path, "trust"), suggestion(trust, names), "no trust domain named %q", trust)
		return
	}
	for j, name := range g.Keys {
		if i < 0 || !slices.ContainsFunc(s.spec.Trust[i].Keys, func(k Key) bool { return k.Name == name }) {
			c.fail(fmt.Sprintf("%s[%d]", join(path, "keys"), j), "list it under spec.trust of the PolicySet and name that domain in trust", "trust domain %q has no key named %q", trust, name)
		}
	}
	forms[0].check(c, join(path, forms[0].key()))
}
