package policy

import (
	"strings"
	"testing"

	"stemma"
)

func TestAssess(t *testing.T) {
	const san = "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main"
	person := stemma.Identity{Trust: PublicGood, Issuer: "https://accounts.google.com", Subject: "dev@acme.example"}
	signed := func(id stemma.Identity, change ...func(*stemma.Provenance)) (*stemma.Attestation, *stemma.Provenance) {
		a, p := attest("x", id), provenance("x", id)
		for _, c := range change {
			c(&p)
		}
		return &a, &p
	}
	bodyOnly := func(p *stemma.Provenance) {
		p.Claims = map[stemma.Field]stemma.Claim{stemma.FieldBuilder: said("https://builder.example", p.Author, "/builder/id")}
	}
	tenant := func(p *stemma.Provenance) { p.Author = stemma.SaidByTenant }
	builder := func(p *stemma.Provenance) { p.Author = stemma.SaidByBuilder }
	cases := []struct {
		name           string
		id             stemma.Identity
		change         []func(*stemma.Provenance)
		level, ceiling stemma.Level
		missing        string
	}{
		{"reusable workflow", githubSigner(trustedSAN), nil, 2, 3, "L3 if a policy credits github.com/trusted/builders with it"},
		{"the source's own workflow", githubSigner("https://github.com/acme/app/.github/workflows/x.yml@refs/heads/main"), nil, 2, 2, "L3 needs a reusable workflow in a repository of its own"},
		{"key", keySigner("chains", "chains-2026"), changed(bodyOnly, builder), 2, 3, "L3 if a policy credits key chains-2026 with it"},
		{"key, mode=min", keySigner("chains", "chains-2026"), changed(bodyOnly, builder, func(p *stemma.Provenance) { p.Mode = "min" }), 2, 2, "L3 needs all external parameters"},
		{"key, mode=max", keySigner("chains", "chains-2026"), changed(bodyOnly, builder, func(p *stemma.Provenance) { p.Mode = "max" }), 2, 3, "L3 if a policy credits"},
		{"service account of a cluster", stemma.Identity{Trust: PublicGood, Issuer: "https://cluster.example", Subject: "https://kubernetes.io/namespaces/tekton-chains/serviceaccounts/controller"}, changed(bodyOnly, builder), 2, 3, "L3 if a policy credits"},
		{"GitLab, the project's own configuration", stemma.Identity{Trust: PublicGood, Issuer: "https://gitlab.com", Subject: san}, changed(tenant), 2, 2, "L3 needs a CI configuration in a project of its own"},
		{"GitLab, a configuration of another project", stemma.Identity{Trust: PublicGood, Issuer: "https://gitlab.com", Subject: "https://gitlab.com/acme/ci//image.yml@refs/heads/main"}, changed(builder), 2, 3, "L3 if a policy credits"},
		{"Buildkite", stemma.Identity{Trust: PublicGood, Issuer: "https://agent.buildkite.com", Subject: "https://buildkite.com/acme/images"}, changed(tenant), 2, 2, "L3 needs a builder whose instructions its tenants cannot change"},
		{"person", person, changed(bodyOnly, tenant), 1, 1, "L2 needs a provenance signed by a hosted builder; dev@acme.example"},
		{"builder id that the certificate contradicts", githubSigner(trustedSAN), changed(func(p *stemma.Provenance) {
			p.Claims[stemma.FieldBuilder] = said(trustedSAN, stemma.SaidByCertificate, "certificate SAN", bySelf("https://other.example", "/builder/id"))
		}), 1, 1, "L2 needs a signer who is the builder: certificate SAN says"},
		{"no builder", keySigner("chains", "chains-2026"), changed(func(p *stemma.Provenance) { p.Claims = nil }), 0, 0, "L1 needs a provenance that names its builder"},
	}
	for _, c := range cases {
		a, p := signed(c.id, c.change...)
		got := Assess(a, p)
		if got.Level != c.level || got.Ceiling != c.ceiling || !strings.HasPrefix(strings.Join(got.Missing, "; "), c.missing) {
			t.Errorf("%s: %+v, want level %d, ceiling %d, %q", c.name, got, c.level, c.ceiling, c.missing)
		}
		// Whatever it says of itself, what nobody signed has no level.
		if got := Assess(nil, p); got.Level != 0 || got.Ceiling != 0 || !strings.Contains(got.Missing[0], "nobody signed") {
			t.Errorf("%s, unsigned: %+v", c.name, got)
		}
	}
	if got := Assess(nil, nil); got.Level != 0 || got.Missing[0] != "L1 needs a provenance" {
		t.Errorf("nothing: %+v", got)
	}
}

func changed(changes ...func(*stemma.Provenance)) []func(*stemma.Provenance) { return changes }

// The level of a decision is what the policy credits, never above the ceiling of the evidence.
func TestCredit(t *testing.T) {
	own := "https://github.com/acme/app/.github/workflows/build.yml"
	ownPolicy := change(t, f0Policy, "trusted/builders/.github/workflows/build.yml", "acme/app/.github/workflows/build.yml")
	asOwn := func(e *stemma.Evidence) {
		id := githubSigner(own + "@refs/tags/v1.2.3")
		e.Attestations[0].Signer, e.Provenance[0] = id, provenance("bundle", id)
	}
	allowed(t, evaluate(t, f0Policy))
	// Nearest: the same workflow in the source's own repository, which its tenant can change.
	only(t, evaluate(t, ownPolicy, asOwn), "provenance.level", stemma.ReasonLevel)
	// A level that evidence supports is capped by what the policy credits.
	only(t, evaluate(t, change(t, f0Policy, "      level: 3\n", "      level: 2\n")), "provenance.level", stemma.ReasonLevel)
	// A tenant's word cannot make itself a builder's: the grade is the reader's, by the signer.
	only(t, evaluate(t, f0Policy, func(e *stemma.Evidence) { e.Provenance[0].Author = stemma.SaidByTenant }), "provenance.level", stemma.ReasonLevel)
	only(t, evaluate(t, f0Policy, func(e *stemma.Evidence) { e.Provenance[0].Author = "" }), "provenance.level", stemma.ReasonLevel)
	for credit, want := range map[string]stemma.Level{"1": 1, "2": 2, "3": 3} {
		d := evaluate(t, change(t, f0Policy, "      level: 3\n", "      level: "+credit+"\n", "level: 3, maxAge", "level: 1, maxAge"))
		allowed(t, d)
		if d.Level != want {
			t.Errorf("credit %s: level %d", credit, d.Level)
		}
	}
	// A person whom a policy credits with level 3 is still a person.
	person := change(t, f0Policy, "      github:\n        workflow: trusted/builders/.github/workflows/build.yml\n        workflowRefs: [\"refs/tags/v1.*\"]\n        caller: {ownerID: 48120341}\n        events: [push, release]\n        runner: github-hosted\n", "      oidc: {issuer: \"https://accounts.google.com\", subject: dev@acme.example}\n")
	only(t, evaluate(t, person, func(e *stemma.Evidence) {
		e.Attestations[0].Signer = stemma.Identity{Trust: PublicGood, Issuer: "https://accounts.google.com", Subject: "dev@acme.example"}
		p := &e.Provenance[0]
		p.Author = stemma.SaidByTenant
		for f, c := range p.Claims {
			p.Claims[f] = said(c.Value, stemma.SaidByTenant, "/x")
		}
	}, func(e *stemma.Evidence) {
		for _, f := range []stemma.Field{stemma.FieldRepository, stemma.FieldRef} {
			c := e.Provenance[0].Claims[f]
			c.By = stemma.SaidByCertificate
			e.Provenance[0].Claims[f] = c
		}
	}), "provenance.level", stemma.ReasonLevel)
}
