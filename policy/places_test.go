package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

// setOf is a PolicySet with the given content.
func setOf(spec string) string {
	return "apiVersion: policy.stemma.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: acme}\nspec:\n" + spec + "\n---\n"
}

const mirrors = `  mirrors:
    - {from: "registry.corp.example/hub/**", is: "docker.io/**"}
    - {from: "registry.corp.example:5000/{owner}/ghcr/{app}", is: "ghcr.io/{owner}/{app}"}
    - {from: "registry.corp.example/special/app", is: ghcr.io/acme/app}
    - {from: "registry.corp.example/**", is: "quay.io/mirrored/**"}
`

func TestCanonical(t *testing.T) {
	set := load(t, setOf(mirrors)+f0Policy)
	for name, want := range map[string]string{
		"registry.corp.example/hub/library/alpine":                     "docker.io/library/alpine",
		"registry.corp.example/hub/a/b/c":                              "docker.io/a/b/c",
		"registry.corp.example:5000/acme/ghcr/app":                     "ghcr.io/acme/app",
		"registry.corp.example/special/app":                            "ghcr.io/acme/app",
		"registry.corp.example/special/app2":                           "quay.io/mirrored/special/app2",
		"registry.corp.example/hub":                                    "quay.io/mirrored/hub",
		"registry.corp.example/hub/alpine":                             "quay.io/mirrored/hub/alpine", // docker.io/alpine is no canonical name, so that mirror does not apply
		"registry.corp.example:5000/acme/ghcr/a/b":                     "",
		"registry.corp.example:5000/acme/hub/app":                      "",
		"registry.corp.example.evil.com/hub/a/b":                       "",
		"registry2corp.example/hub/a/b":                                "",
		"evil.com/registry.corp.example/hub/a/b":                       "",
		"registry.corp.example":                                        "",
		"registry.corp.example/hub/../../evil/x":                       "",
		"registry.corp.example/hub//x":                                 "",
		"registry.corp.example/hub/A/b":                                "",
		"registry.corp.example/hub/a/b:latest":                         "",
		"registry.corp.example/hub/a/b@sha256:00":                      "",
		"registry.corp.example/hub/" + strings.Repeat("a/", 130) + "a": "",
		"docker.io/library/alpine":                                     "",
		"":                                                             "",
	} {
		got, mirrored := set.Canonical(name)
		if mirrored != (want != "") || mirrored && got != want || !mirrored && got != name {
			t.Errorf("%s: %s, %v; want %q", name, got, mirrored, want)
		}
	}
	if got, mirrored := (&Set{}).Canonical("ghcr.io/acme/app"); mirrored || got != "ghcr.io/acme/app" {
		t.Errorf("%s, %v", got, mirrored)
	}
	// What a mirror says is said once: a mirror of a mirror is none of the origin.
	chain := load(t, setOf("  mirrors: [{from: \"a.example/**\", is: \"b.example/**\"}, {from: \"b.example/**\", is: \"ghcr.io/**\"}]")+f0Policy)
	if got, _ := chain.Canonical("a.example/acme/app"); got != "b.example/acme/app" {
		t.Errorf("%s", got)
	}
}

func TestPlaces(t *testing.T) {
	set := load(t, setOf(`  evidence:
    - for: "ghcr.io/acme/{app}"
      also: [registry.corp.example/evidence, "registry.corp.example/evidence/{app}"]
      github: acme/{app}
      gitlab: gitlab.com/acme/{app}
      artifactAnalysis: acme-images
      archivista: https://archivista.example
    - {for: "ghcr.io/**", also: [registry.corp.example/evidence, registry.corp.example/all], github: acme}
    - {for: "docker.io/{path**}", also: ["registry.corp.example:5000/hub/{path}"]}
`)+f0Policy)
	for name, want := range map[string][]EvidencePlace{
		"ghcr.io/acme/app": {
			{InRepository, "registry.corp.example/evidence"},
			{InRepository, "registry.corp.example/evidence/app"},
			{InGitHub, "acme/app"},
			{InGitLab, "gitlab.com/acme/app"},
			{InArtifactAnalysis, "acme-images"},
			{InArchivista, "https://archivista.example"},
			{InRepository, "registry.corp.example/all"},
			{InGitHub, "acme"},
		},
		"ghcr.io/other/app":        {{InRepository, "registry.corp.example/evidence"}, {InRepository, "registry.corp.example/all"}, {InGitHub, "acme"}},
		"docker.io/library/alpine": {{InRepository, "registry.corp.example:5000/hub/library/alpine"}},
		"docker.io/A/b":            nil, // no name of a repository comes of it
		"quay.io/acme/app":         nil,
		"ghcr.io":                  nil,
		"":                         nil,
	} {
		if diff := cmp.Diff(want, set.Places(name)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
	if got := (&Set{}).Places("ghcr.io/acme/app"); got != nil {
		t.Errorf("%v", got)
	}
}

// TestSetErrors: what is refused in mirrors, evidence and platforms, and where. Texts with their lines are in
// testdata/errors.
func TestSetErrors(t *testing.T) {
	load(t, setOf(mirrors)+f0Policy)
	load(t, setOf(`  platforms: [linux/amd64, linux/arm64/v8, linux/arm, linux/arm/v6, "windows/amd64:10.0.20348.2227"]`)+f0Policy)
	mirror := func(from, is string) string { return `  mirrors: [{from: "` + from + `", is: "` + is + `"}]` }
	source := func(rest string) string { return `  evidence: [{for: "ghcr.io/{owner}/{path**}", ` + rest + `}]` }
	many := "  evidence:\n"
	for _, c := range "abcdefghijklmnopq" {
		many += "    - {for: \"ghcr.io/acme/" + string(c) + "\", github: acme}\n"
	}
	load(t, setOf(many[:strings.LastIndex(many, "    - ")])+f0Policy)
	for _, c := range []struct{ spec, want string }{
		{mirror("ghcr.io/**", "ghcr.io/**"), "is mapped onto itself"},
		{mirror("a.example/{x}", "b.example/{x}/{y}"), "{y} is not bound"},
		{mirror("a.example/{x}/{y}", "b.example/{x}"), "{y} of"},
		{mirror("a.example/**", "b.example/x"), "do not both end with '**'"},
		{mirror("a.example/x", "b.example/**"), "do not both end with '**'"},
		{mirror("a.example/**/x", "b.example/**/x"), "an open part before its end"},
		{mirror("a.example/{x**}", "b.example/{x**}"), "an open part before its end"},
		{mirror("a.example/**/**", "b.example/**/**"), "an open part before its end"},
		{mirror("a.example/x-*", "b.example/x-*"), "has a '*'"},
		{mirror("*.example/**", "b.example/**"), "the name of one registry"},
		{mirror("**", "b.example/**"), "the name of one registry"},
		{mirror("{host}/**", "b.example/**"), "the name of one registry"},
		{mirror("hub/**", "b.example/**"), "the name of one registry"},
		{mirror("a.example/**", "{x}/**"), "the name of one registry"},
		{mirror("A.example/**", "b.example/**"), "the name of one registry"},
		{mirror("a.example:443/**", "b.example/**"), "the name of one registry"},
		{mirror("a.example/**", "index.docker.io/**"), "is not how a repository of Docker Hub is called"},
		{mirror("a.example/alpine", "docker.io/alpine"), "is not how a repository of Docker Hub is called"},
		{mirror("a.example/{x}", "docker.io/{x}"), "is not how a repository of Docker Hub is called"},
		{mirror("a.example/X", "b.example/x"), "is not the name of a repository"},
		{mirror("a.example/x:1", "b.example/x"), "is not the name of a repository"},
		{mirror("a.example/x", "b.example/x@sha256:00"), "is not the name of a repository"},
		{mirror("a.example", "b.example/x"), "is not the name of a repository"},
		{mirror("a.example/x__y/z--1.2_3", "b.example/x___y"), "is not the name of a repository"},
		{`  mirrors: [{from: "a.example/**", is: "b.example/**"}, {from: "a.example/**", is: "c.example/**"}]`, "stands twice"},
		{`  mirrors: [{from: "a.example/**"}]`, `needs "is"`},
		{`  mirrors: []`, "mirrors is empty"},

		{`  evidence: [{for: "ghcr.io/**"}]`, "names no place"},
		{`  evidence: [{also: [a.example/x]}]`, `needs "for"`},
		{`  evidence: [{for: "acme/**", github: acme}]`, "does not begin with the name of a registry"},
		{many, "17 places of evidence, limit 16"},
		{source(`also: ["a.example/{app}"]`), "{app} is not bound"},
		{source(`also: ["a.example/**"]`), "is not the name of a repository"},
		{source(`also: ["a.example/x-{owner}"]`), "is not the name of a repository"},
		{source(`also: ["{owner}/x"]`), "is not the name of a repository"},
		{source(`also: [evidence]`), "is not the name of a repository"},
		{source(`also: [a.example/x@sha256:00]`), "is not the name of a repository"},
		{source(`also: [docker.io/alpine]`), "is not the name of a repository"},
		{source(`also: [https://a.example/x]`), "is not the name of a repository"},
		{source(`github: github.com/acme/app`), "neither an owner nor a repository"},
		{source(`github: "acme/.."`), "neither an owner nor a repository"},
		{source(`github: "acme/{app}"`), "{app} is not bound"},
		{source(`github: "acme/a?b"`), "neither an owner nor a repository"},
		{source(`gitlab: acme/app`), "is not a project of GitLab"},
		{source(`gitlab: "{owner}/acme/app"`), "is not a project of GitLab"},
		{source(`gitlab: https://gitlab.com/acme/app`), "is not a project of GitLab"},
		{source(`artifactAnalysis: projects/acme`), "is not the id of a project"},
		{source(`archivista: archivista.example`), "is not the URL of a server"},
		{source(`archivista: http://archivista.example`), "is not the URL of a server"},
		{source(`archivista: https://user@archivista.example`), "is not the URL of a server"},
		{source(`archivista: "https://archivista.example/?q=1"`), "is not the URL of a server"},
		{source(`archivista: https://archivista`), "is not the URL of a server"},
		{source(`rekor: x`), `unknown key "rekor"`},

		{`  platforms: everything`, `platforms cannot be "everything"`},
		{`  platforms: linux/amd64`, "write a list: [linux/amd64]"},
		{`  platforms: []`, "platforms is empty"},
		{`  platforms: ""`, "platforms is empty"},
		{`  platforms: {all: true}`, "must be a list"},
		{`  platforms: [all]`, `"all" is not a platform`},
		{`  platforms: [index]`, `"index" is not a platform`},
		{`  platforms: [linux]`, `"linux" is not a platform`},
		{`  platforms: [unknown/unknown]`, `is not a platform`},
		{`  platforms: [linux/x86_64]`, `"linux/x86_64" is another name of linux/amd64`},
		{`  platforms: [Linux/amd64]`, `another name of linux/amd64`},
		{`  platforms: [linux/arm/7]`, `another name of linux/arm/v7`},
		{`  platforms: ["linux/*"]`, `is not a platform`},
		{`  platforms: [linux/amd64, linux/amd64]`, `stands twice`},
		{`  platforms: [` + strings.Repeat("linux/amd64, ", 64) + `linux/arm]`, `lists 65 platforms`},
		{`  configSubjects: accepted`, `configSubjects cannot be "accepted"`},
		{`  configSubjects: true`, `configSubjects cannot be "true"`},
	} {
		if set, err := Load(files(setOf(c.spec) + f0Policy)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v beside %v, want %q", c.spec, err, set != nil, c.want)
		}
	}
	for _, agreement := range []string{"none", `""`, "true", "[complete]"} {
		if _, err := Load(files(change(t, f0Policy, "maxAge: 90d", "maxAge: 90d, agreement: "+agreement))...); err == nil || !strings.Contains(err.Error(), "agreement") {
			t.Errorf("agreement: %s: %v", agreement, err)
		}
	}
}

// Every key that can change a verdict changes the digest of the set; what is written out and is the default does not.
func TestSetDigest(t *testing.T) {
	plain := load(t, setOf("  version: 1")+f0Policy).Digest
	seen := map[stemma.Digest]string{plain: "none"}
	for _, spec := range []string{
		"  platforms: all", "  platforms: nodes", "  platforms: [linux/amd64]", "  platforms: [linux/arm64]", "  platforms: [linux/arm64/v8]", "  configSubjects: accept",
		`  mirrors: [{from: "a.example/**", is: "b.example/**"}]`, `  evidence: [{for: "ghcr.io/**", github: acme}]`, `  evidence: [{for: "ghcr.io/**", gitlab: gitlab.com/a/b}]`,
	} {
		d := load(t, setOf("  version: 1\n"+spec)+f0Policy).Digest
		if other, ok := seen[d]; ok {
			t.Errorf("%s has the digest of %s", spec, other)
		}
		seen[d] = spec
	}
	for _, spec := range []string{"  platforms: index", "  configSubjects: refuse"} {
		if load(t, setOf("  version: 1\n"+spec)+f0Policy).Digest != plain {
			t.Errorf("%s is the default, and has another digest", spec)
		}
	}
	if load(t, setOf("  version: 1")+change(t, f0Policy, "maxAge: 90d", "maxAge: 90d, agreement: reported")).Digest != plain {
		t.Error("agreement: reported is the default, and has another digest")
	}
	if load(t, setOf("  version: 1")+change(t, f0Policy, "maxAge: 90d", "maxAge: 90d, agreement: complete")).Digest == plain {
		t.Error("agreement: complete has the digest of the default")
	}
}

// A mirror has the image and not its evidence: that is no forgery, and is said as what it is.
func TestMirrored(t *testing.T) {
	from := func(e *stemma.Evidence) { e.From = "registry.corp.example/ghcr/app" }
	d := evaluate(t, f0Policy, from)
	allowed(t, d)
	if d.From != "registry.corp.example/ghcr/app" {
		t.Errorf("from %q", d.From)
	}
	d = evaluate(t, f0Policy, from, nothing)
	for _, rule := range []string{"image.authentic", "provenance.present", "builder.approved", "source.ref"} {
		if f := finding(t, d, rule); f.Outcome != stemma.Fail || f.Reason != stemma.ReasonNotMirrored || f.Reason.Class() != stemma.Absent {
			t.Errorf("%s: %s", rule, render(d))
		}
	}
	if f := finding(t, d, "image.authentic"); !strings.Contains(f.Fix, "stemma mirror") || f.Detail != "read from registry.corp.example/ghcr/app, a mirror of ghcr.io/acme/app" {
		t.Errorf("%+v", f)
	}
	// A platform of a mirrored index.
	d = Evaluate(load(t, platformsSet("all")+f0Policy), made(index("linux/amd64"), from, of("linux/amd64", nothing)), now())
	if f := finding(t, d, "image.authentic"); f.Reason != stemma.ReasonNotMirrored {
		t.Errorf("%s", render(d))
	}
	for name, c := range map[string]struct {
		changes []func(*stemma.Evidence)
		want    stemma.Reason
	}{
		"no mirror":      {[]func(*stemma.Evidence){nothing}, stemma.ReasonNoEvidence},
		"a silent place": {[]func(*stemma.Evidence){from, unavailable}, stemma.ReasonRateLimited},
		"something was rejected": {[]func(*stemma.Evidence){from, nothing, func(e *stemma.Evidence) {
			e.Rejected = []stemma.Rejection{rejected("r", stemma.ReasonSignatureInvalid)}
		}}, stemma.ReasonSignatureInvalid},
		"of the index": {[]func(*stemma.Evidence){from, func(e *stemma.Evidence) {
			e.Attestations[0].Binding.Kind, e.Config = stemma.BindingViaConfig, imageDigest()
		}}, stemma.ReasonBinding},
	} {
		if f := finding(t, evaluate(t, f0Policy, c.changes...), "image.authentic"); f.Outcome == stemma.Pass || f.Reason != c.want {
			t.Errorf("%s: %+v", name, f)
		}
	}
	signed := func(e *stemma.Evidence) {
		nothing(e)
		e.Attestations = []stemma.Attestation{signature("s", keySigner("acme-kms", "review"))}
	}
	if f := finding(t, evaluate(t, f0Policy, from, signed), "provenance.present"); f.Reason != stemma.ReasonNoProvenance {
		t.Errorf("its signature was mirrored: %+v", f)
	}
}

// What was found only in a declared alternate passes, and says so.
func TestAlternate(t *testing.T) {
	place := func(p string) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) { e.Attestations[0].Place = p }
	}
	for _, p := range []string{
		"referrers in registry.corp.example/evidence", ".att tag in registry.corp.example/evidence, referrers in registry.corp.example/evidence",
		"GitHub attestations of acme/app", "GitLab attestations of gitlab.com/acme/app, referrers in a.example/x",
	} {
		d := evaluate(t, f0Policy, place(p))
		allowed(t, d)
		if f := finding(t, d, "image.authentic"); f.Outcome != stemma.Pass || f.Reason != stemma.ReasonFoundInAlternate || !strings.HasSuffix(f.Detail, p) {
			t.Errorf("%s: %+v", p, f)
		}
	}
	for _, p := range []string{"referrers", "referrers, referrers in registry.corp.example/evidence", "referrers in a.example/x, .sig tag", "fallback tag", "index children", "file a in b.json", "file x.json", ""} {
		d := evaluate(t, f0Policy, place(p))
		allowed(t, d)
		if f := finding(t, d, "image.authentic"); f.Reason != "" || f.Detail != "" {
			t.Errorf("%s: %+v", p, f)
		}
	}
	// Something authentic lies beside the image: it is not only in the alternate.
	beside := func(e *stemma.Evidence) {
		e.Attestations = append(e.Attestations, signature("s", keySigner("acme-kms", "review")))
	}
	elsewhere := func(e *stemma.Evidence) { e.Attestations[1].Place = "referrers in a.example/x" }
	if f := finding(t, evaluate(t, f0Policy, place("GitHub attestations of acme/app"), beside), "image.authentic"); f.Reason != "" {
		t.Errorf("%+v", f)
	}
	if f := finding(t, evaluate(t, f0Policy, beside, elsewhere), "image.authentic"); f.Reason != "" {
		t.Errorf("%+v", f)
	}
	if f := finding(t, evaluate(t, f0Policy, place("referrers in a.example/x"), beside, elsewhere), "image.authentic"); f.Reason != stemma.ReasonFoundInAlternate {
		t.Errorf("%+v", f)
	}
}

// SLSA threat G: the same digest, with its evidence, in a repository that nobody approved.
func TestReg_B15_copy(t *testing.T) {
	allowed(t, evaluate(t, f0Policy))
	in := func(repository string) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) { e.Image.Repository = repository }
	}
	for _, repository := range []string{"ghcr.io/evil/app", "docker.io/acme/app", "registry.corp.example/hub/acme/app", "ghcr.io/acme/app/copy"} {
		only(t, evaluate(t, f0Policy, in(repository)), "image.policy", stemma.ReasonNoPolicy)
		// A mirror is one because the set says so, not because what was read says it.
		only(t, evaluate(t, f0Policy, in(repository), func(e *stemma.Evidence) { e.From = "ghcr.io/acme/app" }), "image.policy", stemma.ReasonNoPolicy)
	}
	// And in a repository of another policy it is judged by that one.
	other := f0Policy + "---\n" + change(t, f0Policy, "name: app", "name: other", "ghcr.io/acme/{service}", "ghcr.io/other/{service}", "github.com/acme/{service}", "github.com/other/{service}")
	only(t, evaluate(t, other, in("ghcr.io/other/app")), "source.repository", stemma.ReasonRepository)
}

// cosign's payload names the repository that the signer released the image to.
func TestReg_B17_docker_reference(t *testing.T) {
	named := func(name string) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) {
			nothing(e)
			a := signature("s", keySigner("acme-kms", "review"))
			a.Format, a.Binding.Subject.Name = "cosign-simple-signing", name
			e.Attestations = []stemma.Attestation{a}
		}
	}
	at := func(repository, from string) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) { e.Image.Repository, e.From = repository, from }
	}
	everywhere := change(t, signedPolicy, `"ghcr.io/acme/*"`, `"**"`)
	for _, c := range []struct{ name, repository, from string }{
		{"ghcr.io/acme/app", "ghcr.io/acme/app", ""},
		{"", "ghcr.io/acme/app", ""},
		{"ghcr.io/acme/app:1.0", "ghcr.io/acme/app", ""},
		{"ghcr.io/acme/app@sha256:00", "ghcr.io/acme/app", ""},
		{"ghcr.io/acme/app:1.0@sha256:00", "ghcr.io/acme/app", ""},
		{"GHCR.io:443/acme/app", "ghcr.io/acme/app", ""},
		{"index.docker.io/acme/app", "docker.io/acme/app", ""},
		{"registry-1.docker.io/acme/app:1", "docker.io/acme/app", ""},
		{"acme/app", "docker.io/acme/app", ""},
		{"index.docker.io/library/alpine", "docker.io/library/alpine", ""},
		{"alpine:3", "docker.io/library/alpine", ""},
		{"localhost:5000/app:1", "localhost:5000/app", ""},
		{"registry.corp.example/hub/acme/app", "docker.io/acme/app", "registry.corp.example/hub/acme/app"},
		{"index.docker.io/acme/app", "docker.io/acme/app", "registry.corp.example/hub/acme/app"},
	} {
		allowed(t, evaluate(t, everywhere, named(c.name), at(c.repository, c.from)))
	}
	for _, name := range []string{
		"ghcr.io/evil/app", "ghcr.io/acme/app2", "ghcr.io/acme", "ghcr.io/acme/app/x", "evil.com/ghcr.io/acme/app", "docker.io/acme/app", "acme/app",
		"ghcr.io.evil.com/acme/app", "ghcr.io:5000/acme/app", "ghcr.io/acme/app/", "ghcr.io/Acme/app", " ghcr.io/acme/app", "@sha256:00", ":", "https://ghcr.io/acme/app",
	} {
		d := evaluate(t, signedPolicy, named(name))
		want := "a signature of " + repositoryOf(name)
		for _, rule := range []string{"image.authentic", "signature.by"} {
			if f := finding(t, d, rule); d.Verdict != stemma.Deny || f.Outcome != stemma.Fail || f.Reason != stemma.ReasonSubjectMismatch || f.Got != want || f.Want != "a signature of ghcr.io/acme/app" {
				t.Errorf("%q: %s", name, render(d))
			}
		}
		checkKeys(t, finding(t, d, "signature.by").Fix)
	}
	// It does not disturb one that is in order, and other forms of signatures name nothing that counts.
	both := func(e *stemma.Evidence) {
		named("ghcr.io/evil/app")(e)
		e.Attestations = append(e.Attestations, signature("good", keySigner("acme-kms", "review")))
	}
	allowed(t, evaluate(t, signedPolicy, both))
	bundle := func(e *stemma.Evidence) { e.Attestations[0].Format = "sigstore-bundle v0.3" }
	allowed(t, evaluate(t, signedPolicy, named("whatever"), bundle))
	// While a place is silent it is not known that there is none.
	d := evaluate(t, signedPolicy, named("ghcr.io/evil/app"), func(e *stemma.Evidence) { e.Unavailable = []stemma.Unavailable{away()} })
	if f := finding(t, d, "image.authentic"); d.Verdict != stemma.Undetermined || f.Got != "a signature of ghcr.io/evil/app" || strings.Contains(f.Fix, "nothing is known to be wrong") {
		t.Errorf("%s", render(d))
	}
}

// Evidence covers all that was seen, wherever in the family it is.
func TestDigestOf(t *testing.T) {
	base := DigestOf(f0())
	seen := map[stemma.Digest]string{base: "nothing"}
	for name, change := range map[string]func(*stemma.Evidence){
		"from":          func(e *stemma.Evidence) { e.From = "a.example/x" },
		"index":         func(e *stemma.Evidence) { e.Indexes = []stemma.Digest{digest("index")} },
		"another index": func(e *stemma.Evidence) { e.Indexes = []stemma.Digest{digest("x")} },
		"config":        func(e *stemma.Evidence) { e.Config = digest("x") },
		"attached":      func(e *stemma.Evidence) { e.Attached = []*stemma.Evidence{none()} },
		"child":         func(e *stemma.Evidence) { e.Platforms = []*stemma.Evidence{none()} },
		"attached more": func(e *stemma.Evidence) { e.Attached = []*stemma.Evidence{none(), nil, f0()} },
		"platform":      platform("linux/amd64"),
		"attestation":   func(e *stemma.Evidence) { e.Attestation = true },
		"binding":       func(e *stemma.Evidence) { e.Attestations[0].Binding.Kind = stemma.BindingViaIndex },
		"sbom":          func(e *stemma.Evidence) { e.SBOMs = []stemma.SBOM{{Bundle: digest("x")}} },
	} {
		e := f0()
		change(e)
		d := DigestOf(e)
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[d] = name
	}
	e := f0()
	e.CollectedAt, e.Places, e.NotFetched = e.CollectedAt.AddDate(1, 0, 0), []stemma.Place{{Name: "referrers"}}, []string{"x"}
	if DigestOf(e) != base {
		t.Error("the time and the answers of places are no evidence")
	}
}

func TestNotFetched(t *testing.T) {
	e := made(index("linux/amd64"), func(e *stemma.Evidence) { e.NotFetched = []string{"b", "a"} }, of("linux/amd64", func(e *stemma.Evidence) { e.NotFetched = []string{"c", "a"} }))
	if d := Evaluate(load(t, f0Policy), e, now()); !slices.Equal(d.NotFetched, []string{"a", "b", "c"}) {
		t.Errorf("%q", d.NotFetched)
	}
	if d := evaluate(t, f0Policy); d.NotFetched != nil {
		t.Errorf("%q", d.NotFetched)
	}
}

// Each way of not answering asks for something else of whoever reads it, and none passes for another.
func TestRemedies(t *testing.T) {
	set := load(t, strings.Replace(f0Policy, "maxAge: 90d", "maxAge: 90d, agreement: complete", 1))
	seen := map[string]stemma.Reason{}
	for _, reason := range []stemma.Reason{
		stemma.ReasonUnauthorized, stemma.ReasonRateLimited, stemma.ReasonForbidden, stemma.ReasonTruncated, stemma.ReasonBadAnswer,
		stemma.ReasonTimeout, stemma.ReasonUnreachable, stemma.ReasonTrustRoot,
	} {
		dark := func(e *stemma.Evidence) {
			e.Unavailable = []stemma.Unavailable{{Place: "referrers", Reason: reason, Detail: "x"}}
		}
		d := Evaluate(set, made(nothing, dark), now())
		f := finding(t, d, "image.authentic")
		rest, innocent := strings.CutPrefix(f.Fix, "nothing is known to be wrong with the image; ")
		if d.Verdict != stemma.Undetermined || f.Reason != reason || !innocent || (reason == stemma.ReasonTrustRoot) == strings.HasSuffix(rest, ", or add --evidence FILE") {
			t.Errorf("%s: %s %s: %q", reason, d.Verdict, f.Reason, f.Fix)
		}
		if other, twice := seen[rest]; twice {
			t.Errorf("%s is not told from %s: %q", reason, other, rest)
		}
		seen[rest] = reason
		// More evidence does not show that nothing else was there.
		if f := finding(t, Evaluate(set, made(dark), now()), "provenance.agreement"); f.Outcome != stemma.Unknown || f.Fix == "" || strings.Contains(f.Fix, "--evidence") {
			t.Errorf("%s: agreement: %s %q", reason, f.Outcome, f.Fix)
		}
	}
}
