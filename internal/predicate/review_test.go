package predicate

import (
	"fmt"
	"strings"
	"testing"

	"stemma"
)

func readV1(t *testing.T, signer *stemma.Identity, predicate string) *stemma.Provenance {
	t.Helper()
	a := stemma.Attestation{Statement: stemma.Statement{PredicateType: stemma.PredicateSLSAv1, Predicate: []byte(predicate)}, Signer: *signer}
	d, err := Read(a)
	if err != nil {
		t.Fatal(err)
	}
	return d.Provenance
}

// A predicate that names its source as often as the strict reader lets it keeps a few sayings, and the one that contradicts.
func TestManySayings(t *testing.T) {
	const source = `{"uri":"git+https://github.com/acme/app@refs/heads/main","digest":{"sha1":"3f1c2b3a4d5e6f708192a3b4c5d6e7f801234567"}}`
	predicate := func(last string) []byte {
		return []byte(`{"builder":{"id":"https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/v1.9.0"},` +
			`"buildType":"https://github.com/slsa-framework/slsa-github-generator/container@v1","materials":[` + strings.Repeat(source+",", 131_000-2) + last + `]}`)
	}
	for _, c := range []struct{ last, other string }{
		{source, ""},
		{strings.Replace(source, "acme/app", "evil/app", 1), "github.com/evil/app"},
	} {
		d, err := ReadUnsigned("sha256:00", stemma.Statement{PredicateType: stemma.PredicateSLSAv02, Predicate: predicate(c.last)})
		if err != nil {
			t.Fatal(err)
		}
		claim := d.Provenance.Claims[stemma.FieldRepository]
		got := ""
		if other := claim.Contradicted(); other != nil {
			got = other.Value
		}
		if claim.Value != "github.com/acme/app" || got != c.other || len(claim.Others) == 0 || len(claim.Others) > maxOthers {
			t.Errorf("%s, contradicted by %q, %d others", claim.Value, got, len(claim.Others))
		}
	}
}

// Where a pipeline was defined is not what was built with it, and a guess is not the builder's word (evidence of Tekton).
func TestGuesses(t *testing.T) {
	key := &stemma.Identity{KeyID: "chains"}
	predicate := func(name string) string {
		return fmt.Sprintf(`{"buildDefinition":{"buildType":"https://tekton.dev/chains/v2/slsa","externalParameters":{"runSpec":{}},"resolvedDependencies":[`+
			`{"name":%q,"uri":"git+https://github.com/acme/app","digest":{"sha1":"3f1c2b3a4d5e6f708192a3b4c5d6e7f801234567"}}]},`+
			`"runDetails":{"builder":{"id":"https://tekton.dev/chains/v2"}}}`, name)
	}
	if c := readV1(t, key, predicate("inputs/result")).Claims[stemma.FieldRepository]; c.Value != "github.com/acme/app" || c.By != stemma.SaidByTenant {
		t.Errorf("%+v", c)
	}
	for _, name := range []string{"pipeline", "task", "pipelineTask", "stepAction/build"} {
		if c, ok := readV1(t, key, predicate(name)).Claims[stemma.FieldRepository]; ok {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// Parameters are the words of whoever started the build, whoever signed them.
func TestParametersAreTheTenants(t *testing.T) {
	p := readV1(t, &stemma.Identity{KeyID: "ci"}, `{"buildDefinition":{"buildType":"https://ci.acme.example/x","externalParameters":{"repository":"https://github.com/acme/app","ref":"refs/heads/main"}},`+
		`"runDetails":{"builder":{"id":"https://ci.acme.example/builder"}}}`)
	for _, f := range []stemma.Field{stemma.FieldRepository, stemma.FieldRef} {
		if c := p.Claims[f]; c.Value == "" || c.By != stemma.SaidByTenant {
			t.Errorf("%s: %+v", f, c)
		}
	}
}

// A short ref is written in full on the word of an equal or better only.
func TestRefsOnWeakerWords(t *testing.T) {
	for _, c := range []struct {
		by   stemma.Grade
		want string
	}{{stemma.SaidByBuilder, "refs/tags/v1"}, {stemma.SaidByCertificate, "refs/tags/v1"}, {stemma.SaidByTenant, "v1"}, {stemma.SaidByNobody, "v1"}} {
		r := &reader{out: &stemma.Provenance{}, said: map[stemma.Field][]stemma.Said{}}
		r.say(stemma.FieldRef, "v1", stemma.SaidByBuilder, "/a")
		r.say(stemma.FieldRef, "refs/tags/v1", c.by, "/b")
		r.finish()
		for _, s := range append(r.out.Claims[stemma.FieldRef].Others, r.out.Claims[stemma.FieldRef].Said) {
			if s.By == stemma.SaidByBuilder && s.Where == "/a" && s.Value != c.want {
				t.Errorf("said by %s: %q, want %q", c.by, s.Value, c.want)
			}
		}
	}
}

// Extension .5 names a repository without its host, which is that of the issuer.
func TestHostOfTheIssuer(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://token.actions.githubusercontent.com":      "github.com/acme/app",
		"https://token.actions.githubusercontent.com/acme": "github.com/acme/app",
		"https://token.actions.acme.ghe.com":               "acme.ghe.com/acme/app",
		"https://accounts.example":                         "",
		"https://token.actions.evil.example":               "",
	} {
		r := &reader{
			out: &stemma.Provenance{}, said: map[stemma.Field][]stemma.Said{},
			signer: &stemma.Identity{Issuer: issuer, Subject: "x@example.com", Claims: map[string]string{stemma.ClaimGitHubRepository: "acme/app"}},
		}
		r.certificate()
		r.finish()
		if got := r.out.Claims[stemma.FieldRepository].Value; got != want {
			t.Errorf("%s: %q, want %q", issuer, got, want)
		}
		if noted := len(r.out.Notes) == 1; noted != (want == "") {
			t.Errorf("%s: notes %q", issuer, r.out.Notes)
		}
	}
}

// A name in extension .5 that brings a host is no repository of that host, whoever issued the token.
func TestHostInTheName(t *testing.T) {
	for _, issuer := range []string{"https://token.actions.githubusercontent.com", "https://ghes.acme.example/_services/token", "https://accounts.example"} {
		for _, name := range []string{"https://github.com/acme/app", "github.com/acme/app", "git@github.com:acme/app"} {
			p := readV1(t, &stemma.Identity{Issuer: issuer, Subject: "x@example.com", Claims: map[string]string{stemma.ClaimGitHubRepository: name}},
				`{"buildDefinition":{"buildType":"https://ci.acme.example/x","externalParameters":{}},"runDetails":{"builder":{"id":"https://ci.acme.example/builder"}}}`)
			if c, ok := p.Claims[stemma.FieldRepository]; ok {
				t.Errorf("%s, %s: %+v", issuer, name, c)
			}
		}
	}
}

// The version of a pipeline's definition is not that of the source, even in the repository that the parameters name.
func TestDefinitionInTheSource(t *testing.T) {
	const commit = "3f1c2b3a4d5e6f708192a3b4c5d6e7f801234567"
	predicate := func(name string) string {
		return fmt.Sprintf(`{"buildDefinition":{"buildType":"https://ci.acme.example/x","externalParameters":{"repository":"https://github.com/acme/app"},"resolvedDependencies":[`+
			`{"name":%q,"uri":"git+https://github.com/acme/app","digest":{"sha1":%q}}]},"runDetails":{"builder":{"id":"https://ci.acme.example/builder"}}}`, name, commit)
	}
	key := &stemma.Identity{KeyID: "ci"}
	p := readV1(t, key, predicate("source"))
	if r, c := p.Claims[stemma.FieldRepository], p.Claims[stemma.FieldCommit]; r.By != stemma.SaidByTenant || c.Value != commit || c.By != stemma.SaidByTenant {
		t.Errorf("repository %+v, commit %+v", r, c)
	}
	for _, name := range []string{"pipeline", "task", "pipelineTask", "stepAction/build"} {
		p := readV1(t, key, predicate(name))
		if r, c := p.Claims[stemma.FieldRepository], p.Claims[stemma.FieldCommit]; r.By != stemma.SaidByTenant || c.Value != "" {
			t.Errorf("%s: repository %+v, commit %+v", name, r, c)
		}
	}
}
