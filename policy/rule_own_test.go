package policy

import (
	"fmt"
	"strings"
	"testing"

	"stemma"
)

// ownRule is f0Policy with a rule of its own.
func ownRule(kind, require string) string {
	text := "  rules:\n    - id: acme.own\n      why: because\n      fix: mend it\n"
	if kind != "" {
		text += "      for: " + kind + "\n"
	}
	return f0Policy + text + "      require: |\n        " + strings.ReplaceAll(require, "\n", "\n        ") + "\n"
}

func TestOwnRules(t *testing.T) {
	type many = []func(*stemma.Evidence)
	stranger := func(*stemma.Attestation, *stemma.Provenance) {}
	debug := func(e *stemma.Evidence) {
		e.Provenance[0].Parameters = []stemma.Parameter{{Name: "DEBUG", Value: "1", Kind: "build-arg"}}
	}
	told := func(e *stemma.Evidence) { e.Provenance[0].External = []byte(`{}`) }
	two := second(func(_ *stemma.Attestation, p *stemma.Provenance) {
		p.Parameters = []stemma.Parameter{{Name: "DEBUG", Value: "1", Kind: "build-arg"}}
	})
	for _, c := range []struct {
		name, kind, require string
		outcome             stemma.Outcome
		reason              stemma.Reason
		changes             many
	}{
		{"each", "provenance", `!("DEBUG" in it.parameters)`, stemma.Pass, "", many{told}},
		{"one is not", "provenance", `!("DEBUG" in it.parameters)`, stemma.Fail, stemma.ReasonRule, many{debug}},
		{"one of two is not", "provenance", `!("DEBUG" in it.parameters)`, stemma.Fail, stemma.ReasonRule, many{told, two}},
		{"nobody states it", "provenance", `!("DEBUG" in it.parameters)`, stemma.Fail, stemma.ReasonNotStated, nil},
		{"none", "provenance", `!("DEBUG" in it.parameters)`, stemma.Fail, stemma.ReasonNoProvenance, many{nothing}},
		{"none seen", "provenance", `!("DEBUG" in it.parameters)`, stemma.Unknown, stemma.ReasonRateLimited, many{unavailable}},
		{"a stranger's is not seen", "provenance", `it.signer.subject.startsWith("https://github.com/trusted/")`, stemma.Pass, "", many{func(e *stemma.Evidence) {
			add(e, "stranger", githubSigner("https://github.com/evil/builders/.github/workflows/build.yml@refs/tags/v1.2.3"), stranger)
		}}},
		{"no SBOM", "sboms", `it.format.startsWith("SPDX")`, stemma.Fail, stemma.ReasonNoSBOM, nil},
		{"a stranger's attestation", "", `attestations.exists(a, a.type == "https://acme.example/review/v1")`, stemma.Fail, stemma.ReasonRule, many{func(e *stemma.Evidence) {
			a := attest("review", githubSigner("https://github.com/evil/x/.github/workflows/x.yml@refs/heads/main"))
			a.Statement.PredicateType = "https://acme.example/review/v1"
			e.Attestations = append(e.Attestations, a)
		}}},
		{"an attestation by whom the policy names", "", `attestations.exists(a, a.type == "https://acme.example/review/v1")`, stemma.Pass, "", many{func(e *stemma.Evidence) {
			a := attest("review", githubSigner(trustedSAN))
			a.Statement.PredicateType = "https://acme.example/review/v1"
			e.Attestations = append(e.Attestations, a)
		}}},
		{"about another image", "", `attestations.exists(a, a.type == "https://acme.example/review/v1")`, stemma.Fail, stemma.ReasonRule, many{func(e *stemma.Evidence) {
			a := attest("review", githubSigner(trustedSAN))
			a.Statement.PredicateType, a.Binding.Member = "https://acme.example/review/v1", digest("other")
			e.Attestations = append(e.Attestations, a)
		}}},
		{"the image", "", `image.repository.glob("ghcr.io/acme/*") && provenance.size() == 1`, stemma.Pass, "", nil},
		{"a signer", "signers", `"release" in it.by`, stemma.Pass, "", nil},
		{"platforms", "platforms", `it.os == "linux"`, stemma.Fail, stemma.ReasonNotStated, nil},
		{"age", "provenance", `age(it.signedAt) < days(7)`, stemma.Pass, "", nil},
		{"too old", "provenance", `age(it.signedAt) < days(7)`, stemma.Fail, stemma.ReasonRule, many{signedAt(now().At.AddDate(0, 0, -8))}},
		{"no time", "provenance", `age(it.signedAt) < days(7)`, stemma.Fail, stemma.ReasonNotStated, many{untimed}},
		{"a purl", "provenance", `purl("pkg:npm/%40Acme/lib@1").name == "pkg:npm/%40Acme/lib"`, stemma.Pass, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := evaluate(t, ownRule(c.kind, c.require), c.changes...)
			f := finding(t, d, "acme.own")
			if f.Outcome != c.outcome || f.Reason != c.reason {
				t.Errorf("%s %s: %s %s; want %s %s", f.Outcome, f.Reason, f.Got, f.Detail, c.outcome, c.reason)
			}
			if c.outcome != stemma.Pass && (d.Verdict == stemma.Allow || f.Want == "" && f.Detail == "" || f.Where == "") {
				t.Errorf("%s: %+v", d.Verdict, f)
			}
		})
	}
}

// INV-2: an expression that fails, or that is given up, is no reason to allow.
func TestReg_E07_expression_error(t *testing.T) {
	for name, require := range map[string]string{
		"division":   `1 / (provenance.size() - 1) == 1`,
		"conversion": `int(image.repository) == 1`,
		"version":    `semver(image.repository).major == 1`,
		"index":      `provenance[1].level == 3`,
		"cost":       `sboms.exists(s, s.packages.exists(p, p.version == "x"))`,
	} {
		t.Run(name, func(t *testing.T) {
			text := ownRule("", require) + "  signers:\n    bom: {oidc: {issuer: https://i.example, subject: s}}\n"
			d := evaluate(t, text, func(e *stemma.Evidence) {
				a := attest("bom", stemma.Identity{Trust: PublicGood, Issuer: "https://i.example", Subject: "s"})
				a.Statement.PredicateType = "https://spdx.dev/Document"
				e.Attestations = append(e.Attestations, a)
				packages := make([]stemma.Component, 150_000)
				for i := range packages {
					packages[i].Version = "1"
				}
				e.SBOMs = []stemma.SBOM{{Bundle: a.Bundle, Format: "SPDX 2.3", Packages: packages}}
			})
			f := finding(t, d, "acme.own")
			if f.Outcome != stemma.Unknown || f.Reason != stemma.ReasonExpression || f.Detail == "" || d.Verdict != stemma.Undetermined || d.Effect != stemma.Refuse {
				t.Errorf("%s, %s: %s %s %q", d.Verdict, d.Effect, f.Outcome, f.Reason, f.Detail)
			}
		})
	}
}

// CVE-2022-36085 and the request forgeries of other engines: an expression reaches nothing but the facts.
func TestReg_E16_sandbox(t *testing.T) {
	load(t, ownRule("", `image.repository == "x"`))
	for _, require := range []string{
		`http.send({"url": "http://169.254.169.254/"}) == {}`, `http.Get("http://x") == ""`, `net.lookup("x") == ""`, `os.env("HOME") == ""`,
		`opa.runtime().env == {}`, `file.read("/etc/passwd") == ""`, `resource.get("v1", "secrets", "default", "x") == {}`, `image.repository.matches(".*")`,
		`now.getHours("/etc/passwd") == 1`, `exec("true") == ""`, `import("x") == ""`, `stemma.Facts{}.namespace == ""`,
	} {
		if _, err := Load(files(ownRule("", require))...); err == nil {
			t.Errorf("%s loads", require)
		}
	}
}

func TestAttestedRequire(t *testing.T) {
	text := f0Policy + `  attestations:
    - {type: "https://acme.example/review/v1", by: [release], require: it.predicate.score >= 8 && it.predicate.result == "accepted"}
`
	for _, c := range []struct {
		predicate string
		outcome   stemma.Outcome
		reason    stemma.Reason
	}{
		{`{"score": 9, "result": "accepted"}`, stemma.Pass, ""},
		{`{"score": 7, "result": "accepted"}`, stemma.Fail, stemma.ReasonValue},
		{`{"score": 9}`, stemma.Fail, stemma.ReasonNotStated},
		{`{"score": "9", "result": "accepted"}`, stemma.Unknown, stemma.ReasonExpression},
		{`{"score": 9, "score": 1, "result": "accepted"}`, stemma.Fail, stemma.ReasonMalformed},
		{`[]`, stemma.Unknown, stemma.ReasonExpression},
	} {
		t.Run(c.predicate, func(t *testing.T) {
			d := evaluate(t, text, func(e *stemma.Evidence) {
				a := attest("review", githubSigner(trustedSAN))
				a.Statement.PredicateType, a.Statement.Predicate = "https://acme.example/review/v1", []byte(c.predicate)
				e.Attestations = append(e.Attestations, a)
			})
			f := finding(t, d, "attestations.present")
			if f.Outcome != c.outcome || f.Reason != c.reason {
				t.Errorf("%s %s: %s %s, want %s %s", f.Outcome, f.Reason, f.Got, f.Detail, c.outcome, c.reason)
			}
		})
	}
}

func BenchmarkLoadEverything(b *testing.B) {
	text := everything()
	for b.Loop() {
		load(b, text)
	}
}

// everything is a policy of all the blocks, some forty rules, and of twenty expressions besides.
func everything() string { return bomPolicy + strings.TrimPrefix(inputsPolicy, f0Policy) + twenty() }

// twenty are expressions, of each kind that there is.
func twenty() string {
	var b strings.Builder
	b.WriteString("  rules:\n")
	for i, require := range []string{
		`it.ref.glob("refs/tags/v*")`, `it.level >= 3`, `it.repository.startsWith("github.com/acme/")`, `it.trigger in ["push", "release"]`,
		`age(it.signedAt) < days(90)`, `it.saidBy["ref"] == "certificate"`, `it.format == "slsa/v1"`, `it.commit.size() == 40`, `it.runner == "github-hosted"`,
		`"release" in it.signer.by`, `!("DEBUG" in it.parameters)`, `it.inputs.size() > 0 && it.inputs.all(i, "sha256" in i.digest || "gitCommit" in i.digest)`,
		`!has(it.environment) || it.environment == "production"`, `it.builder.startsWith("https://github.com/trusted/")`,
	} {
		fmt.Fprintf(&b, "    - {id: acme.p%d, for: provenance, why: because, require: '%s'}\n", i, require)
	}
	for i, require := range []string{
		`image.repository.glob("ghcr.io/acme/*")`, `sboms.size() > 0 && sboms.all(s, s.packages.exists(p, p.name == "openssl"))`, `attestations.exists(a, a.type.startsWith("https://acme.example/"))`,
		`scans.exists(s, s.found.size() < 10)`, `signers.size() >= 1`, `provenance.exists(p, p.level == 3)`,
	} {
		fmt.Fprintf(&b, "    - {id: acme.i%d, why: because, require: '%s'}\n", i, require)
	}
	return b.String()
}

// wellMade is evidence that meets all of it.
func wellMade() *stemma.Evidence {
	e := f0()
	equip(e)
	inputs := e.Provenance[0].Inputs
	built(e)
	p := &e.Provenance[0]
	p.External, p.Tasks = []byte(`{"build-args":{"VERSION":"1"}}`), p.Tasks[:1]
	for _, in := range inputs {
		if in.Digest != nil && in.Canonical != "docker.io/library/node" {
			p.Inputs = append(p.Inputs, in)
		}
	}
	for i := range p.Inputs {
		switch in := &p.Inputs[i]; in.Kind {
		case stemma.InputPackage:
			pkg, _ := inputPURL(in)
			e.SBOMs[0].Packages = append(e.SBOMs[0].Packages, stemma.Component{PURL: pkg.String()})
		case stemma.InputImage:
			e.SBOMs[0].Bases = append(e.SBOMs[0].Bases, stemma.Component{Digests: inputDigests(in)})
		}
	}
	return e
}

// BenchmarkEvaluateEverything is a policy of all blocks and twenty expressions, over evidence of every kind.
func BenchmarkEvaluateEverything(b *testing.B) { evaluating(b, everything()) }

// BenchmarkEvaluateOwn is a policy about provenance, and the same expressions: some forty rules in all.
func BenchmarkEvaluateOwn(b *testing.B) {
	evaluating(b, bomPolicy[:strings.Index(bomPolicy, "  sbom:")]+twenty())
}

func evaluating(b *testing.B, text string) {
	set, e, at := load(b, text), wellMade(), now()
	d := Evaluate(set, e, at)
	own := 0
	for _, f := range d.Findings {
		if strings.HasPrefix(f.Rule, "acme.") {
			own++
		}
		if f.Outcome != stemma.Pass {
			b.Logf("%s %s: %s %s %s", f.Rule, f.Outcome, f.Got, f.Detail, f.Items)
		}
	}
	b.ReportMetric(float64(len(d.Findings)-own), "rules")
	b.ReportMetric(float64(own), "expressions")
	b.ReportAllocs()
	for b.Loop() {
		Evaluate(set, e, at)
	}
}
