package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"stemma"
)

// inputsPolicy asks of inputs for everything that the language has.
const inputsPolicy = f0Policy + `  inputs:
    unreported: refuse
    images: [docker.io/library/debian, "gcr.io/distroless/**"]
    git: ["github.com/Acme/**"]
    http: ["dl.acme.example/**"]
    actions: ["Actions/**", "quay.io/acme/tasks/**"]
    packages: ["proxy.acme.example/**", "pkg:npm/@acme/**"]
    digests: required
    declared: required
    hermetic: required
    parameters: {allow: [VERSION, "LABEL_*"]}
`

// input makes an input at a place of its own. Its digest is the one that its kind has.
func input(kind stemma.InputKind, canonical string, changes ...func(*stemma.Input)) stemma.Input {
	in := stemma.Input{Kind: kind, Canonical: canonical, By: stemma.SaidByBuilder, Where: "/buildDefinition/resolvedDependencies/" + string(kind)}
	in.URI = "uri:" + canonical
	switch kind {
	case stemma.InputGit, stemma.InputAction:
		in.Digest = map[string]string{"gitCommit": commitOfSource}
	default:
		in.Digest = map[string]string{"sha256": digest(canonical).Hex()}
	}
	for _, c := range changes {
		c(&in)
	}
	return in
}

func unpinned(version string) func(*stemma.Input) {
	return func(in *stemma.Input) { in.Digest, in.Version = nil, version }
}

func from(host string) func(*stemma.Input) { return func(in *stemma.Input) { in.Host = host } }

// built is a provenance that names all of what went in, all of it accepted by inputsPolicy.
func built(e *stemma.Evidence) {
	p := &e.Provenance[0]
	p.Inputs = []stemma.Input{
		input(stemma.InputGit, "github.com/acme/app", func(in *stemma.Input) { in.Role = stemma.RoleSource }),
		input(stemma.InputImage, "docker.io/library/debian"),
		input(stemma.InputImage, "gcr.io/distroless/static"),
		input(stemma.InputGit, "github.com/acme/lib"),
		input(stemma.InputHTTP, "dl.acme.example/x/tool.tgz"),
		input(stemma.InputAction, "actions/checkout"),
		input(stemma.InputAction, "quay.io/acme/tasks/clone", func(in *stemma.Input) { in.Digest = map[string]string{"sha256": digest("task").Hex()} }),
		input(stemma.InputPackage, "pkg:pypi/requests", from("proxy.acme.example")),
		input(stemma.InputPackage, "pkg:npm/%40acme/lib", from("registry.npmjs.org")),
	}
	p.Reported = map[stemma.InputKind]stemma.Reported{}
	for _, k := range stemma.InputKinds() {
		p.Reported[k] = stemma.ReportedAll
	}
	p.External = []byte(`{"build-args":{"VERSION":"1"}}`)
	p.Parameters = []stemma.Parameter{
		{Name: "VERSION", Kind: "build-arg", Value: "1", Where: "/buildDefinition/externalParameters/build-args/VERSION"},
		{Name: "LABEL_A", Kind: "label", Where: "/buildDefinition/externalParameters/labels/LABEL_A"},
		{Name: "CI_JOB_ID", Kind: "variable", Where: "/buildDefinition/externalParameters/variables/CI_JOB_ID"},
	}
	p.Tasks = []stemma.Task{{Name: "compile", Network: "none", Where: "/steps/0"}, {Name: "copy", Where: "/steps/1"}}
	p.Claims[stemma.FieldHermetic] = said("true", stemma.SaidByBuilder, "/hermetic")
}

// also puts further inputs into the first provenance.
func also(inputs ...stemma.Input) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) { e.Provenance[0].Inputs = append(e.Provenance[0].Inputs, inputs...) }
}

func provenanceHas(change func(*stemma.Provenance)) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) { change(&e.Provenance[0]) }
}

func reported(kind stemma.InputKind, how stemma.Reported) func(*stemma.Evidence) {
	return provenanceHas(func(p *stemma.Provenance) { p.Reported[kind] = how })
}

func parameter(kind, name string) func(*stemma.Evidence) {
	return provenanceHas(func(p *stemma.Provenance) {
		p.Parameters = append(p.Parameters, stemma.Parameter{Name: name, Kind: kind, Where: "/externalParameters/" + name})
	})
}

func inputRuleCases() []ruleCase {
	type many = []func(*stemma.Evidence)
	full := func(rule string, outcome stemma.Outcome, reason stemma.Reason, changes ...func(*stemma.Evidence)) ruleCase {
		return ruleCase{rule, outcome, reason, inputsPolicy, append(many{built}, changes...)}
	}
	fail := func(rule string, reason stemma.Reason, changes ...func(*stemma.Evidence)) ruleCase {
		return full(rule, stemma.Fail, reason, changes...)
	}
	empty := provenanceHas(func(p *stemma.Provenance) { p.Inputs = nil })
	hermetic := func(c stemma.Claim) func(*stemma.Evidence) { return claim(stemma.FieldHermetic, c) }
	warn := strings.Replace(inputsPolicy, "unreported: refuse", "unreported: warn", 1)
	cases := []ruleCase{
		fail("inputs.present", stemma.ReasonNoInputs, empty),
		fail("inputs.images", stemma.ReasonNoInputs, empty),
		fail("inputs.images", stemma.ReasonInput, also(input(stemma.InputImage, "docker.io/evil/base"))),
		fail("inputs.images", stemma.ReasonInput, also(input(stemma.InputImage, ""))),
		fail("inputs.images", stemma.ReasonInput, also(input(stemma.InputImage, "docker.io/library/debian/x"))),
		fail("inputs.images", stemma.ReasonInput, also(input(stemma.InputImage, "evil.io/docker.io/library/debian"))),
		fail("inputs.git", stemma.ReasonInput, also(input(stemma.InputGit, "github.com/evil/lib"))),
		fail("inputs.git", stemma.ReasonInput, also(input(stemma.InputGit, "github.com/acme-evil/lib"))),
		fail("inputs.git", stemma.ReasonInput, also(input(stemma.InputGit, "gitlab.com/acme/lib"))),
		fail("inputs.git", stemma.ReasonInput, also(input(stemma.InputGit, ""))),
		fail("inputs.http", stemma.ReasonInput, also(input(stemma.InputHTTP, "dl.evil.example/x/tool.tgz"))),
		fail("inputs.http", stemma.ReasonInput, also(input(stemma.InputHTTP, "dl.acme.example"))),
		fail("inputs.http", stemma.ReasonInput, also(input(stemma.InputHTTP, "dl.acme.example/../evil"))),
		fail("inputs.http", stemma.ReasonInput, also(input(stemma.InputHTTP, ""))),
		fail("inputs.actions", stemma.ReasonInput, also(input(stemma.InputAction, "evil/checkout"))),
		fail("inputs.actions", stemma.ReasonInput, also(input(stemma.InputAction, "actions-evil/checkout"))),
		fail("inputs.actions", stemma.ReasonInput, also(input(stemma.InputAction, "quay.io/evil/tasks/clone"))),
		fail("inputs.actions", stemma.ReasonInput, also(input(stemma.InputAction, ""))),
		fail("inputs.packages", stemma.ReasonInput, also(input(stemma.InputPackage, "pkg:pypi/requests", from("pypi.org")))),
		fail("inputs.packages", stemma.ReasonInput, also(input(stemma.InputPackage, "pkg:pypi/requests"))),
		fail("inputs.packages", stemma.ReasonInput, also(input(stemma.InputPackage, "pkg:npm/acme/lib"))),
		fail("inputs.packages", stemma.ReasonInput, also(input(stemma.InputPackage, "pkg:npm/%40acme%2Flib"))),
		fail("inputs.packages", stemma.ReasonInput, also(input(stemma.InputPackage, "", from("proxy.acme.example")))),
		fail("inputs.packages", stemma.ReasonInput, also(input(stemma.InputPackage, "pkg:pypi/x", from("proxy.acme.example.evil.com")))),
		fail("inputs.complete", stemma.ReasonUnreported, reported(stemma.InputImage, "")),
		fail("inputs.complete", stemma.ReasonUnreported, reported(stemma.InputPackage, stemma.ReportedSome)),
		fail("inputs.complete", stemma.ReasonUnreported, reported(stemma.InputAction, "ALL")),
		fail("inputs.complete", stemma.ReasonUnreported, also(input(stemma.InputOther, ""))),
		fail("inputs.complete", stemma.ReasonUnreported, also(input("artefact", "docker.io/evil/base"))),
		{"inputs.unreported", stemma.Unknown, stemma.ReasonRateLimited, warn, many{unavailable}},
		{"inputs.unreported", stemma.Fail, stemma.ReasonNoProvenance, warn, many{nothing}},
		{"inputs.unreported", stemma.Pass, "", warn, many{built}},
		fail("inputs.digests", stemma.ReasonNoInputs, empty),
		fail("inputs.digests", stemma.ReasonUnpinned, also(input(stemma.InputImage, "docker.io/library/debian", unpinned("12")))),
		fail("inputs.digests", stemma.ReasonUnpinned, also(input(stemma.InputAction, "actions/cache", unpinned("v4")))),
		fail("inputs.digests", stemma.ReasonUnpinned, also(input(stemma.InputImage, "docker.io/library/debian", func(in *stemma.Input) { in.Digest = map[string]string{"sha1": commitOfSource} }))),
		fail("inputs.digests", stemma.ReasonUnpinned, also(input(stemma.InputGit, "github.com/acme/lib", func(in *stemma.Input) { in.Digest = map[string]string{"gitCommit": commitOfSource[:12]} }))),
		fail("inputs.declared", stemma.ReasonUndeclared, also(input(stemma.InputImage, "docker.io/library/debian", func(in *stemma.Input) { in.Undeclared = true }))),
		fail("inputs.declared", stemma.ReasonNotStated, provenanceHas(func(p *stemma.Provenance) { p.Tasks = nil })),
		fail("inputs.parameters", stemma.ReasonParameter, parameter("build-arg", "DEBUG")),
		fail("inputs.parameters", stemma.ReasonParameter, parameter("secret", "NPM_TOKEN")),
		fail("inputs.parameters", stemma.ReasonParameter, parameter("", "VERSION2")),
		fail("inputs.parameters", stemma.ReasonParameter, parameter("unknown", "entitlements")),
		fail("inputs.parameters", stemma.ReasonParameter, parameter("input", "")),
		fail("inputs.parameters", stemma.ReasonNotStated, provenanceHas(func(p *stemma.Provenance) { p.Parameters, p.External = nil, nil })),
		fail("inputs.hermetic", stemma.ReasonNotStated, hermetic(stemma.Claim{})),
		fail("inputs.hermetic", stemma.ReasonNetwork, hermetic(said("false", stemma.SaidByBuilder, "/hermetic"))),
		fail("inputs.hermetic", stemma.ReasonNetwork, hermetic(said("TRUE", stemma.SaidByBuilder, "/hermetic"))),
		fail("inputs.hermetic", stemma.ReasonSaidBy, hermetic(said("true", stemma.SaidByTenant, "/parameters/hermetic"))),
		fail("inputs.hermetic", stemma.ReasonSaidBy, hermetic(said("true", "", "/x"))),
		fail("inputs.hermetic", stemma.ReasonNetwork, provenanceHas(func(p *stemma.Provenance) { p.Tasks[1].Network = "used" })),
	}
	for _, r := range inputRules() {
		if r.ID == "inputs.unreported" {
			continue // in force where inputs.complete is not
		}
		cases = append(cases, full(r.ID, stemma.Pass, ""), full(r.ID, stemma.Unknown, stemma.ReasonRateLimited, unavailable), full(r.ID, stemma.Fail, stemma.ReasonNoProvenance, nothing))
	}
	return cases
}

// TestInputsOnly: each fault is one finding, and nothing else fails for it.
func TestInputsOnly(t *testing.T) {
	allowed(t, evaluate(t, inputsPolicy, built))
	// Who says both is not believed, here as in provenance.consistent.
	if f := finding(t, evaluate(t, inputsPolicy, built, claim(stemma.FieldHermetic, said("true", stemma.SaidByBuilder, "/hermetic", bySelf("false", "/x")))), "inputs.hermetic"); f.Outcome != stemma.Fail {
		t.Errorf("%+v", f)
	}
	for _, c := range inputRuleCases() {
		if c.outcome != stemma.Fail || c.reason == stemma.ReasonNoInputs || c.reason == stemma.ReasonNoProvenance {
			continue
		}
		d := evaluate(t, c.policy, c.changes...)
		only(t, d, c.rule, c.reason)
		if f := finding(t, d, c.rule); c.reason != stemma.ReasonNotStated && c.reason != stemma.ReasonSaidBy && len(f.Items) != 1 {
			t.Errorf("%s %s: %d items: %q", c.rule, c.reason, len(f.Items), f.Items)
		}
	}
}

// TestInputItems: every offending input has a line, in an order of its own, as far as there is room.
func TestInputItems(t *testing.T) {
	where := func(i int) func(*stemma.Input) {
		return func(in *stemma.Input) { in.Where = fmt.Sprintf("/buildDefinition/resolvedDependencies/%d", i) }
	}
	evil := func(n int) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) {
			for i := range n {
				also(input(stemma.InputImage, fmt.Sprintf("docker.io/evil/base%03d", i), where(i)))(e)
			}
		}
	}
	f := finding(t, evaluate(t, inputsPolicy, built, evil(2)), "inputs.images")
	want := []string{
		"docker.io/evil/base000@" + digest("docker.io/evil/base000").Short() + " (/buildDefinition/resolvedDependencies/0)",
		"docker.io/evil/base001@" + digest("docker.io/evil/base001").Short() + " (/buildDefinition/resolvedDependencies/1)",
	}
	if !slices.Equal(f.Items, want) || f.Got != "2 of 4 images, such as "+want[0] || f.Want != "only docker.io/library/debian or gcr.io/distroless/**" {
		t.Errorf("%+v", f)
	}
	backwards := provenanceHas(func(p *stemma.Provenance) { slices.Reverse(p.Inputs) })
	if again := finding(t, evaluate(t, inputsPolicy, built, evil(2), backwards), "inputs.images"); !slices.Equal(again.Items, f.Items) {
		t.Errorf("another order: %q", again.Items)
	}
	for n, lines := range map[int]int{49: 49, 50: 50, 51: 51, 5000: 51} {
		f := finding(t, evaluate(t, inputsPolicy, built, evil(n)), "inputs.images")
		if len(f.Items) != lines || n > 50 && f.Items[50] != fmt.Sprintf("and %d more", n-50) {
			t.Errorf("%d inputs: %d lines, the last %q", n, len(f.Items), f.Items[len(f.Items)-1])
		}
	}
	long := input(stemma.InputHTTP, strings.Repeat("é", 5000), unpinned(strings.Repeat("v", 5000)), func(in *stemma.Input) { in.Where = "/" + strings.Repeat("w", 5000) })
	if f := finding(t, evaluate(t, inputsPolicy, built, also(long)), "inputs.http"); len(f.Items[0]) > 1500 {
		t.Errorf("a line of %d bytes", len(f.Items[0]))
	}
}

// TestInputText: what a line says of an input, by what is known of it.
func TestInputText(t *testing.T) {
	sha := digest("x")
	for want, in := range map[string]stemma.Input{
		"actions/cache@v4 (/w)":                  input(stemma.InputAction, "actions/cache", unpinned("v4")),
		"docker.io/library/debian:12 (/w)":       input(stemma.InputImage, "docker.io/library/debian", unpinned("12")),
		"docker.io/library/debian (/w)":          input(stemma.InputImage, "docker.io/library/debian", unpinned("")),
		"github.com/acme/lib@c0ffee000000… (/w)": input(stemma.InputGit, "github.com/acme/lib"),
		"a.example/f@" + sha.Short() + " (/w)": input(stemma.InputHTTP, "a.example/f", func(in *stemma.Input) {
			in.Digest = map[string]string{"sha512": strings.Repeat("0", 128), "sha256": sha.Hex(), "md5": "x"}
		}),
		"pkg:npm/x@1.0.0 from evil.example (/w)": input(stemma.InputPackage, "pkg:npm/x", unpinned("1.0.0"), from("evil.example")),
		`"x://y" (no single meaning; /w)`:        input(stemma.InputOther, "", unpinned(""), func(in *stemma.Input) { in.URI = "x://y" }),
	} {
		in.Where = "/w"
		if got := inputItem(&in); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestActionNames: an action is the same with and without the host that workflows leave out, and on no other host.
func TestActionNames(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		ok            bool
	}{
		{"actions/**", "actions/checkout", true},
		{"github.com/actions/**", "actions/checkout", true},
		{"actions/**", "github.com/actions/checkout", true},
		{"github.com/**", "actions/checkout", true},
		{"Actions/Checkout", "actions/checkout", true},
		{"actions/checkout/Sub", "actions/checkout/Sub", true},
		{"actions/checkout/Sub", "actions/checkout/sub", false},
		{"actions/checkout", "actions/checkout/sub", false},
		{"actions/**", "acme.ghe.com/actions/checkout", false},
		{"actions/**", "quay.io/actions/checkout", false},
		{"github.com/**", "quay.io/actions/checkout", false},
		{"quay.io/actions/**", "actions/checkout", false},
		{"actions/**", "evil/actions/checkout", false},
		{"actions/**", "actions", false},
		{"github.com/**", "", false},
	} {
		in := input(stemma.InputAction, c.name)
		if got := matchesInput(Pattern(c.pattern), &in, nil); got != c.ok {
			t.Errorf("%s on %q: %v", c.pattern, c.name, got)
		}
	}
}

// TestUnreported: what a builder does not name is said, refused or left, as the policy says; and never called complete.
func TestUnreported(t *testing.T) {
	text := func(choice string) string {
		return change(t, inputsPolicy, "unreported: refuse", "unreported: "+choice)
	}
	gaps := func(e *stemma.Evidence) {
		delete(e.Provenance[0].Reported, stemma.InputImage)
		reported(stemma.InputGit, stemma.ReportedSome)(e)
	}
	d := evaluate(t, text("warn"), built, gaps)
	allowed(t, d)
	f := finding(t, d, "inputs.unreported")
	if want := []string{"git: the builder names some", "images: the builder names none"}; f.Outcome != stemma.Unknown || !f.Advisory || !slices.Equal(f.Items, want) {
		t.Errorf("%+v", f)
	}
	byDefault := evaluate(t, change(t, inputsPolicy, "    unreported: refuse\n", ""), built, gaps)
	if f := finding(t, byDefault, "inputs.unreported"); !f.Advisory || f.Outcome != stemma.Unknown {
		t.Errorf("the default is not to warn: %+v", f)
	}
	only(t, evaluate(t, text("refuse"), built, gaps), "inputs.complete", stemma.ReasonUnreported)
	ignored := evaluate(t, text("ignore"), built, gaps)
	allowed(t, ignored)
	if slices.ContainsFunc(ignored.Findings, func(f stemma.Finding) bool { return f.Rule == "inputs.unreported" || f.Rule == "inputs.complete" }) {
		t.Errorf("%s", render(ignored))
	}
	// Kinds for which no list is written may stay unknown.
	allowed(t, evaluate(t, change(t, inputsPolicy, "    images: [docker.io/library/debian, \"gcr.io/distroless/**\"]\n", ""), built, reported(stemma.InputImage, "")))
	// A list about a kind of which there is no input passes nothing and says so.
	none := provenanceHas(func(p *stemma.Provenance) {
		p.Inputs = slices.DeleteFunc(p.Inputs, func(in stemma.Input) bool { return in.Kind == stemma.InputImage })
	})
	d = evaluate(t, text("refuse"), built, none)
	allowed(t, d)
	if slices.ContainsFunc(d.Findings, func(f stemma.Finding) bool { return f.Rule == "inputs.images" }) {
		t.Errorf("nothing was compared, and it passes:\n%s", render(d))
	}
	only(t, evaluate(t, text("refuse"), built, none, reported(stemma.InputImage, "")), "inputs.complete", stemma.ReasonUnreported)
}

// TestUnreportedWhole: the provenance that names everything must be one that meets the rest.
func TestUnreportedWhole(t *testing.T) {
	gap := reported(stemma.InputImage, "")
	complete := func(change func(*stemma.Provenance)) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) {
			other := f0()
			built(other)
			add(e, "second", githubSigner(trustedSAN), func(_ *stemma.Attestation, p *stemma.Provenance) {
				bundle := p.Bundle
				*p = other.Provenance[0]
				p.Bundle, p.Claims = bundle, maps.Clone(p.Claims)
				change(p)
			})
		}
	}
	allowed(t, evaluate(t, inputsPolicy, built, gap, complete(func(*stemma.Provenance) {})))
	wrong := complete(func(p *stemma.Provenance) {
		p.Claims[stemma.FieldRef] = said("refs/heads/wip", stemma.SaidByCertificate, "certificate .14")
	})
	d := evaluate(t, inputsPolicy, built, gap, wrong)
	if f := finding(t, d, "provenance.whole"); d.Verdict != stemma.Deny || f.Outcome != stemma.Fail {
		t.Errorf("%s", render(d))
	}
	// A warning is none about a provenance that decides nothing, and is no reason to doubt one that does.
	warn := change(t, inputsPolicy, "unreported: refuse", "unreported: warn")
	for _, second := range []func(*stemma.Evidence){complete(func(*stemma.Provenance) {}), wrong} {
		allowed(t, evaluate(t, warn, built, gap, second))
	}
	rogue := func(e *stemma.Evidence) { e.Attestations[1].Signer.Issuer = "https://evil.example" }
	d = evaluate(t, warn, built, gap, complete(func(*stemma.Provenance) {}), rogue)
	if f := finding(t, d, "inputs.unreported"); f.Outcome != stemma.Unknown || !f.Advisory {
		t.Errorf("%s", render(d))
	}
}

// TestParametersUnasked: with a block about inputs, keys that the build type does not define are refused, and no others.
func TestParametersUnasked(t *testing.T) {
	text := f0Policy + "  inputs: {git: [\"github.com/acme/**\"]}\n"
	allowed(t, evaluate(t, text, built, parameter("build-arg", "DEBUG"), parameter("variable", "x"), parameter("secret", "y")))
	d := evaluate(t, text, built, parameter("unknown", "entitlements"))
	only(t, d, "inputs.parameters", stemma.ReasonParameter)
	if f := finding(t, d, "inputs.parameters"); f.Got != "unknown key entitlements (/externalParameters/entitlements)" {
		t.Errorf("%+v", f)
	}
	// D07: unless it is allowed by name.
	allowed(t, evaluate(t, change(t, inputsPolicy, "allow: [", "allow: [entitlements, "), built, parameter("unknown", "entitlements")))
	allowed(t, evaluate(t, f0Policy, built, parameter("unknown", "entitlements")))
}
