package expression

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"stemma"
)

func environment(t testing.TB) *Environment {
	t.Helper()
	e, err := New(Functions{
		Glob: func(pattern, name string) (bool, string) { ok, _ := path.Match(pattern, name); return ok, "" },
		Pattern: func(p string) (string, string) {
			if strings.Contains(p, "://") {
				return "a pattern has no scheme", "remove it"
			}
			return "", ""
		},
		Nearest: func(name string, known []string) string {
			for _, k := range known {
				if len(name) > 4 && strings.HasPrefix(k, name[:4]) && k != "" {
					return "did you mean " + k
				}
			}
			return "known here"
		},
		PURL: func(s string) (string, string, string, bool) {
			name, version, _ := strings.Cut(s, "@")
			return "npm", name, version, strings.HasPrefix(s, "pkg:npm/")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func facts() *stemma.Facts {
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	signer := stemma.SignerFacts{By: []string{"release"}, Trust: "public-good", Issuer: "https://issuer.example", Subject: "https://github.com/acme/app", Claims: map[string]string{"buildTrigger": "push"}}
	return &stemma.Facts{
		Now: at, Situation: stemma.SituationFacts{Namespace: "payments"},
		Image:     stemma.ImageFacts{Repository: "ghcr.io/acme/app", Digest: "sha256:aa", Tag: "v2.0.1"},
		Platforms: []stemma.ImageFacts{{Digest: "sha256:aa", OS: "linux", Architecture: "amd64"}},
		Signers:   []stemma.SignerFacts{signer},
		Attestations: []stemma.AttestedFacts{{
			Type: "https://acme.example/review/v1", Signer: signer, SignedAt: at.AddDate(0, 0, -10), Binding: stemma.BindingExact,
			Predicate: []byte(`{"result":"accepted","score":9,"ratio":0.5,"by":["a","b"],"none":null,"open":false}`),
		}},
		Provenance: []stemma.ProvenanceFacts{{
			Repository: "github.com/acme/app", Ref: "refs/tags/v2.0.1", Trigger: "push", Level: 3, SaidBy: map[stemma.Field]stemma.Grade{"ref": "certificate"},
			Parameters: map[string]string{"VERSION": "2.0.1"}, Format: "slsa/v1", Signer: signer, SignedAt: at.AddDate(0, 0, -10),
			Inputs: []stemma.Input{{Kind: "image", Canonical: "docker.io/library/debian", ResourceDescriptor: stemma.ResourceDescriptor{Digest: map[string]string{"sha256": "ab"}}}},
		}},
		SBOMs: []stemma.SBOMFacts{{Format: "SPDX 2.3", Tools: []string{"syft 1.18.0"}, Packages: []stemma.Component{{Name: "lib", Version: "1.2.3", PURL: "pkg:npm/lib@1.2.3"}, {PURL: "pkg:npm/other@2"}}, Signer: signer}},
	}
}

func TestHolds(t *testing.T) {
	env, f := environment(t), facts()
	first := map[string]any{
		"": nil, "provenance": &f.Provenance[0], "attestations": &f.Attestations[0], "sboms": &f.SBOMs[0], "signers": &f.Signers[0], "platforms": &f.Platforms[0],
	}
	for _, c := range []struct {
		kind, text string
		want       string // true, false, absent, or a part of the error
	}{
		{"", `image.repository == "ghcr.io/acme/app"`, "true"},
		{"", `image.repository == "ghcr.io/acme/web"`, "false"},
		{"", `image.mediaType != "x"`, "absent"},
		{"", `has(image.mediaType)`, "false"},
		{"", `image.tag.glob("v2.*")`, "true"},
		{"", `image.tag.glob("v3.*")`, "false"},
		{"", `situation.namespace == "payments"`, "true"},
		{"", `situation.requester == "alice"`, "absent"},
		{"", `situation.requester != "alice"`, "absent"},
		{"", `now < timestamp("2026-06-02T00:00:00Z")`, "true"},
		{"", `now.getDayOfWeek() == 1`, "true"},
		{"", `sboms.size() == 1 && scans.size() == 0`, "true"},
		{"", `sboms.size() > 0 && sboms.all(s, s.format.startsWith("SPDX"))`, "true"},
		{"", `sboms.exists(s, s.packages.exists(p, p.name == "lib"))`, "true"},
		{"", `sboms.exists(s, s.packages.exists(p, p.name == "none"))`, "absent"},
		{"", `sboms.exists(s, s.packages.exists(p, has(p.name) && p.name == "none"))`, "false"},
		{"", `scans.size() > 0 && scans.all(s, s.found.size() == 0)`, "false"},
		{"", `semver(image.tag).compare(semver("2.0.0")) > 0`, "true"},
		{"", `semver(image.tag).major == 2`, "true"},
		{"provenance", `semver("2.0.1-rc.1").compare(semver("2.0.1")) < 0`, "true"},
		{"provenance", `semver("2.0.1-rc.2").compare(semver("2.0.1-rc.10")) < 0`, "true"},
		{"provenance", `semver("latest").major == 2`, "is no semantic version"},
		{"provenance", `isSemver("1.0")`, "false"},
		{"provenance", `semver(it.ref.replace("refs/tags/", "")).major == 2`, "true"},
		{"provenance", `image.tag.replace("", "x") == "x"`, "replace: of nothing"},
		{"provenance", `isSemver("01.0.0")`, "false"},
		{"", `1 / (image.tag == "x" ? 1 : 0) == 1`, "division by zero"},
		{"provenance", `it.ref.glob("refs/tags/v*")`, "true"},
		{"provenance", `it.runner != "self-hosted"`, "absent"},
		{"provenance", `it.runner == "self-hosted" || it.level >= 3`, "true"},
		{"provenance", `!("DEBUG" in it.parameters)`, "true"},
		{"provenance", `it.parameters["VERSION"] == "2.0.1"`, "true"},
		{"provenance", `it.parameters["DEBUG"] == "1"`, "absent"},
		{"provenance", `it.parameters["DEBUG"] != "1"`, "absent"},
		{"provenance", `it.saidBy["ref"] == "certificate"`, "true"},
		{"provenance", `it.saidBy["runner"] != "tenant"`, "absent"},
		{"provenance", `it.inputs.size() > 0 && it.inputs.all(i, i.kind != "image" || i.name.glob("docker.io/*"))`, "absent"},
		{"provenance", `it.inputs.size() > 0 && it.inputs.all(i, i.kind != "image" || i.canonical == "docker.io/library/debian")`, "true"},
		{"provenance", `it.inputs.size() > 0 && it.inputs.all(i, "sha256" in i.digest)`, "true"},
		{"provenance", `age(it.signedAt) < days(30)`, "true"},
		{"provenance", `age(it.signedAt) < days(5)`, "false"},
		{"provenance", `days(-1) < days(5)`, "is not from 0 to 36500"},
		{"provenance", `"release" in it.signer.by`, "true"},
		{"provenance", `it.signer.claims["buildTrigger"] == "push"`, "true"},
		{"attestations", `it.predicate.result == "accepted"`, "true"},
		{"attestations", `it.predicate.result == "rejected"`, "false"},
		{"attestations", `it.predicate.verdict != "rejected"`, "absent"},
		{"attestations", `it.predicate.score >= 9 && it.predicate.ratio < 1`, "true"},
		{"attestations", `it.predicate.by == ["a", "b"] && it.predicate.none == null && !it.predicate.open`, "true"},
		{"sboms", `it.packages.size() > 0 && it.packages.all(p, purl(p.purl).type == "npm")`, "true"},
		{"sboms", `purl("x").type == "npm"`, "is no package URL"},
		{"sboms", `it.created < now`, "absent"},
		{"signers", `it.keyID == "k"`, "absent"},
		{"platforms", `it.os == "linux" && it.architecture in ["amd64", "arm64"]`, "true"},
	} {
		t.Run(c.kind+" "+c.text, func(t *testing.T) {
			p, issue := env.Compile(c.text, c.kind)
			if issue != nil {
				t.Fatalf("%d:%d: %s; %s", issue.Line, issue.Column, issue.Problem, issue.Hint)
			}
			scope := env.Scope(f)
			for range 2 { // what is remembered of the first evaluation changes nothing
				ok, err := p.Holds(scope, first[c.kind])
				got := fmt.Sprint(ok)
				switch {
				case errors.Is(err, ErrNotStated):
					got = "absent"
				case err != nil:
					got = err.Error()
				}
				if got != c.want && (c.want == "true" || c.want == "false" || c.want == "absent" || !strings.Contains(got, c.want)) {
					t.Errorf("%s, want %s (%v)", got, c.want, err)
				}
				if err != nil && ok {
					t.Error("it fails and holds")
				}
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	env := environment(t)
	for _, c := range []struct {
		kind, text, want string
	}{
		{"", `image.`, `1:7: nothing can be made of "."`},
		{"", `image.repo == "x"`, `1:6: there is no field "repo"; docs/expressions.md`},
		{"", `imag.repository == "x"`, `1:1: nothing is called "imag"; an expression knows image`},
		{"", `it.ref == "x"`, `1:1: there is no it; say what the rule goes through`},
		{"", `image.repository`, `1:1: the expression is a string and must be true or false`},
		{"", `image.repository == 3`, `1:18: == does not take (string, int)`},
		{"", `image.repository.matches(".*")`, `there are no regular expressions; write glob`},
		{"", `now.getHours("Europe/Berlin") < 12`, `getHours does not take timestamp`},
		{"", `image.tag.glob("https://x")`, `1:16: a pattern has no scheme; remove it`},
		{"", `stemma.Facts{}.now < now`, `an expression cannot make evidence`},
		{"", strings.Repeat("(", 60) + "true" + strings.Repeat(")", 60), `nested more than 24 deep; write several rules`},
		{"", strings.Repeat(`image.tag == "x" || `, 400) + "true", ``},
		{"", `sboms.all(a, sboms.all(b, sboms.all(c, sboms.all(d, true))))`, ``},
		{"sboms", `it.packages.size() > 0 && it.packages.exists(p, it.packages.exists(q, it.packages.exists(r, p.name == q.name)))`, `1:1: the expression could take too long for large evidence`},
		{"", `http.get("http://169.254.169.254") == ""`, `nothing is called`},
		{"", `os.getenv("HOME") == ""`, `nothing is called`},
		{"", `file("/etc/passwd") == ""`, `nothing is called`},
		{"", `env.HOME == ""`, `nothing is called`},
		{"", `now() < now`, `nothing is called`},
		{"", `1 == 1`, `1:1: the expression says nothing about the image`},
		{"", `image.repositorie == "x"`, `there is no field "repositorie"; did you mean repository`},
		{"", `image.` + "`x`" + ` == "x"`, ``},
		{"debug", `true`, `there is no kind of evidence "debug"`},
	} {
		t.Run(c.text[:min(60, len(c.text))], func(t *testing.T) {
			_, issue := env.Compile(c.text, c.kind)
			if issue == nil {
				t.Fatal("it compiles")
			}
			if got := fmt.Sprintf("%d:%d: %s; %s", issue.Line, issue.Column, issue.Problem, issue.Hint); !strings.Contains(got, c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestGuards: an expression that holds for nothing does not compile; with what it lacks it does, and fails for nothing.
func TestGuards(t *testing.T) {
	env := environment(t)
	empty := env.Scope(&stemma.Facts{})
	for _, c := range []struct {
		text  string
		wrong string // the list that may be empty, or ""
	}{
		{`sboms.all(s, s.format == "x")`, "sboms"},
		{`sboms.size() > 0 && sboms.all(s, s.format == "x")`, ""},
		{`size(sboms) >= 1 && sboms.all(s, s.format == "x")`, ""},
		{`sboms != [] && sboms.all(s, s.format == "x")`, ""},
		{`0 < size(sboms) && (situation.namespace == "x" || sboms.all(s, s.format == "x"))`, ""},
		{`sboms.all(s, s.format == "x") && sboms.size() == 2`, ""},
		{`sboms.exists(s, s.name == "x") && sboms.all(s, s.format == "x")`, ""},
		{`!(sboms.size() == 0) && sboms.all(s, s.format == "x")`, ""},
		{`sboms.size() >= 0 && sboms.all(s, s.format == "x")`, "sboms"},
		{`scans.size() > 0 && sboms.all(s, s.format == "x")`, "sboms"},
		{`sboms.size() > 0 || sboms.all(s, s.format == "x")`, "sboms"},
		{`situation.namespace == "x" || sboms.all(s, s.format == "x")`, "sboms"},
		{`!sboms.exists(s, s.format == "x")`, "sboms"},
		{`sboms.size() > 0 && !sboms.exists(s, s.format == "x")`, ""},
		{`!sboms.all(s, s.format == "x")`, ""},
		{`sboms.exists(s, s.format == "x")`, ""},
		{`sboms.exists(s, s.packages.all(p, p.name == "x"))`, "s.packages"},
		{`sboms.exists(s, s.packages.size() > 0 && s.packages.all(p, p.name == "x"))`, ""},
		{`!sboms.exists_one(s, s.format == "x")`, "sboms"},
		{`sboms.filter(s, s.format == "x").size() == 0`, "sboms"},
		{`sboms.filter(s, s.format == "x").size() > 0`, ""},
		{`sboms.filter(s, s.packages.all(p, p.name == "x")).size() > 0`, "s.packages"},
		{`sboms.map(s, s.format) == []`, "sboms"},
		{`(sboms.all(s, s.format == "x") ? 1 : 2) == 1`, "sboms"},
		{`sboms.exists(s, s.format == "x") ? false : true`, "sboms"},
		{`sboms.size() > 0 ? sboms.all(s, s.format == "x") : false`, ""},
		{`sboms.all(s, s.format == "x") == true`, "sboms"},
		{`[1, 2].all(x, x > 0) && image.digest == "x"`, ""},
	} {
		t.Run(c.text, func(t *testing.T) {
			p, issue := env.Compile(c.text, "")
			switch {
			case c.wrong == "" && issue != nil:
				t.Errorf("%s; %s", issue.Problem, issue.Hint)
			case c.wrong != "" && (issue == nil || issue.Problem != "it holds when "+c.wrong+" has no elements"):
				t.Errorf("got %+v", issue)
			case c.wrong != "" && c.wrong == "sboms":
				corrected := strings.TrimPrefix(issue.Hint, "write ")
				if _, again := env.Compile(corrected, ""); again != nil {
					t.Errorf("what the hint shows does not compile: %s: %s", corrected, again.Problem)
				}
			case issue == nil && !strings.HasPrefix(c.text, "!sboms.all"):
				if ok, _ := p.Holds(empty, nil); ok {
					t.Error("it holds for nothing")
				}
			}
		})
	}
	// A test that needs an author who wrote down what is to be with none.
	if p, issue := env.Compile(`sboms.size() == 0 || sboms.all(s, s.format == "x")`, ""); issue != nil {
		t.Error(issue.Problem)
	} else if ok, err := p.Holds(empty, nil); !ok {
		t.Error(err)
	}
}

// TestCost: what is too large for an expression is given up, and is an error.
func TestCost(t *testing.T) {
	env, f := environment(t), facts()
	f.SBOMs[0].Packages = make([]stemma.Component, 200_000)
	for i := range f.SBOMs[0].Packages {
		f.SBOMs[0].Packages[i].Name = "lib"
	}
	one, issue := env.Compile(`it.packages.exists(p, p.name == "x")`, "sboms")
	if issue != nil {
		t.Fatal(issue)
	}
	ok, err := one.Holds(env.Scope(f), &f.SBOMs[0])
	if ok || err == nil || err.Error() != "the evidence is so large that the expression was given up" {
		t.Errorf("%v, %v", ok, err)
	}
	f.SBOMs[0].Packages = f.SBOMs[0].Packages[:20_000]
	if ok, err := one.Holds(env.Scope(f), &f.SBOMs[0]); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}
