package policy

import (
	"strings"
	"testing"
	"time"

	"stemma"
)

// says adds a review by the builder with a predicate.
func says(predicate string) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		a := attest("says", githubSigner(trustedSAN))
		a.Statement.PredicateType, a.Statement.Predicate = "https://acme.example/review/v1", []byte(predicate)
		e.Attestations = append(e.Attestations, a)
	}
}

// bills adds bills of materials by the builder.
func bills(list ...stemma.SBOM) func(*stemma.Evidence) {
	return func(e *stemma.Evidence) {
		for i, b := range list {
			a := attest("bill"+string(rune('a'+i)), githubSigner(trustedSAN))
			a.Statement.PredicateType = "https://spdx.dev/Document"
			b.Bundle = a.Bundle
			e.Attestations, e.SBOMs = append(e.Attestations, a), append(e.SBOMs, b)
		}
	}
}

// What attackers of the language of expressions found that compiled and held, or took long, and what is nearest to it and
// right.
func TestReg_expressions(t *testing.T) {
	empty, one := stemma.SBOM{Format: "SPDX 2.3"}, stemma.SBOM{Format: "CycloneDX", Packages: []stemma.Component{{Name: "lib", Version: "1"}}}
	many := func(n int, c stemma.Component) stemma.SBOM {
		b := stemma.SBOM{Format: "SPDX 2.3", Packages: make([]stemma.Component, n)}
		for i := range b.Packages {
			b.Packages[i] = c
		}
		return b
	}
	deep := strings.Repeat("a/", 2000) + "x"
	items := `{"ok":"1","items":[` + strings.Repeat(`{"v":"1"},`, 9999) + `{"v":"1"}]}`
	flags := func(value string, cut bool) func(*stemma.Evidence) {
		return func(e *stemma.Evidence) {
			e.Provenance[0].Parameters = []stemma.Parameter{{Name: "flags", Kind: "input", Value: value, Cut: cut}, {Name: "token", Kind: "secret"}}
		}
	}
	seen := func(changes ...func(*stemma.Evidence)) []func(*stemma.Evidence) { return changes }
	for _, c := range []struct {
		name, kind, require string
		evidence            []func(*stemma.Evidence)
		refused             string         // in the error of loading
		want                stemma.Outcome // or the outcome
		detail              string
	}{
		{"a list of a predicate that is a map", "", `attestations.exists(a, has(a.predicate) && a.predicate.tests != [] && a.predicate.tests.all(t, t.ok))`, nil, "it holds when a.predicate.tests has no elements", "", ""},
		{"a map of a predicate that is a list", "", `attestations.exists(a, has(a.predicate) && a.predicate.tests != {} && a.predicate.tests.all(t, t.ok))`, nil, "it holds when a.predicate.tests has no elements", "", ""},
		{"with a guard", "", `attestations.exists(a, has(a.predicate) && a.predicate.tests.size() > 0 && a.predicate.tests.all(t, t.ok))`, seen(says(`{"tests":[{"ok":true}]}`)), "", stemma.Pass, ""},
		{"with a guard, of an empty one", "", `attestations.exists(a, has(a.predicate) && a.predicate.tests.size() > 0 && a.predicate.tests.all(t, t.ok))`, seen(says(`{"tests":{}}`)), "", stemma.Fail, ""},
		{"a list of evidence that is not empty", "", `sboms != [] && sboms.all(s, s.format == "CycloneDX")`, seen(bills(one)), "", stemma.Pass, ""},
		{"what a map makes", "", `sboms.size() > 0 && sboms.map(s, true, s.packages.all(p, p.name == "lib")) == [true]`, nil, "it holds when s.packages has no elements", "", ""},
		{"what a map makes of each", "", `sboms.size() > 0 && sboms.map(s, s.packages.size() > 0, s.format) == ["CycloneDX"]`, seen(bills(one)), "", stemma.Pass, ""},
		{"a variable of an outer one's name", "", `sboms.exists(s, s.packages.size() > 0 && sboms.exists(s, s.packages.all(p, p.name == "lib")))`, nil, "s is the name of something else here", "", ""},
		{"another name", "", `sboms.exists(s, s.packages.size() > 0 && s.packages.all(p, p.name == "lib"))`, seen(bills(one, empty)), "", stemma.Pass, ""},
		{"a variable of evidence's name", "", `provenance.size() > 0 && [sboms].all(provenance, provenance.size() == 1)`, nil, "provenance is the name of something else here", "", ""},
		{"a variable called now", "provenance", `[timestamp("2000-01-01T00:00:00Z")].exists(now, age(it.signedAt) < days(1))`, nil, "now is the name of something else here", "", ""},
		{"a variable called it", "sboms", `sboms.exists(it, it.packages.size() > 0)`, nil, "it is the name of something else here", "", ""},
		{"one name after another", "", `sboms.filter(s, s.format == "CycloneDX").map(s, s.format) == ["CycloneDX"]`, nil, "it holds when", "", ""},
		{"a guard that is denied", "", `!(scans.size() > 0 && scans.exists(s, s.found.size() > 0))`, nil, "it holds when scans has no elements", "", ""},
		{"none, or all good", "", `scans.size() == 0 || scans.all(s, s.found.size() == 0)`, nil, "", stemma.Pass, ""},
		{"a type that is not known", "provenance", `dyn(it)["runner"] != "self-hosted"`, nil, `nothing is called "dyn"`, "", ""},

		{"a number that does not fit", "", `attestations.exists(a, has(a.predicate) && a.predicate == {"score": 9})`, seen(says(`{"score":1e999}`)), "", stemma.Unknown, `"1e999" is no number`},
		{"in a list", "", `attestations.exists(a, has(a.predicate) && a.predicate.l == [7])`, seen(says(`{"l":[1e400]}`)), "", stemma.Unknown, `"1e400" is no number`},
		{"one that fits", "", `attestations.exists(a, has(a.predicate) && a.predicate == {"score": 9})`, seen(says(`{"score":9}`)), "", stemma.Pass, ""},
		{"a time in the future", "sboms", `age(it.created) < days(14)`, seen(bills(stemma.SBOM{Format: "SPDX", Created: now().At.AddDate(50, 0, 0)})), "", stemma.Unknown, "lies in the future"},
		{"a time a minute ahead", "sboms", `age(it.created) < days(14)`, seen(bills(stemma.SBOM{Format: "SPDX", Created: now().At.Add(time.Minute)})), "", stemma.Pass, ""},
		{"a text that no pattern matches", "sboms", `!it.name.glob("**/evil.example/**")`, seen(bills(stemma.SBOM{Name: "https://evil.example/a/b"})), "", stemma.Unknown, "is no name that a pattern could match"},
		{"one that a pattern matches", "sboms", `!it.name.glob("**/evil.example/**")`, seen(bills(stemma.SBOM{Name: "x/evil.example/a/b"})), "", stemma.Fail, ""},
		{"an @ in a name", "sboms", `purl(it.name).name != "pkg:npm/evil"`, seen(bills(stemma.SBOM{Name: "pkg:npm/evil@1.0/x"})), "", stemma.Unknown, "is no package URL"},
		{"a long parameter", "provenance", `!it.parameters["flags"].contains("--debug")`, seen(flags("-v…", true)), "", stemma.Unknown, `the parameter "flags" is not told in full`},
		{"by its other spelling", "provenance", `it.parameters.flags != "--debug"`, seen(flags("-v…", true)), "", stemma.Unknown, `the parameter "flags" is not told in full`},
		{"a secret parameter", "provenance", `it.parameters["token"] != "x"`, seen(flags("-v", false)), "", stemma.Unknown, `the parameter "token" is not told in full`},
		{"that there is one", "provenance", `"flags" in it.parameters && !("debug" in it.parameters)`, seen(flags("-v…", true)), "", stemma.Pass, ""},
		{"a short parameter", "provenance", `!it.parameters["flags"].contains("--debug")`, seen(flags("-v", false)), "", stemma.Pass, ""},

		{"a predicate read for each of its items", "attestations", `!has(it.predicate) || !has(it.predicate.items) || it.predicate.items.size() > 0 && it.predicate.items.all(i, i.v == it.predicate.ok)`, seen(says(items)), "", stemma.Pass, ""},
		{"patterns on long names", "sboms", `it.packages.size() > 0 && it.packages.all(p, !p.name.glob("**/a/a/a/a/b/**"))`, seen(bills(many(8000, stemma.Component{Name: deep}))), "", stemma.Unknown, "so large that the expression was given up"},
		{"replacing much, often", "sboms", `it.packages.size() > 0 && it.packages.all(p, "` + strings.Repeat("a", 60) + `".replace("a", "` + strings.Repeat("b", 1000) + `") != p.name)`, seen(bills(many(100_000, stemma.Component{Name: "lib"}))), "", stemma.Unknown, "so large that the expression was given up"},
		{"comparing whole documents, often", "", `sboms.size() == 2 && sboms[0].packages.size() > 0 && sboms[0].packages.exists(p, sboms[0] == sboms[1])`, seen(bills(many(4000, stemma.Component{Name: "lib"}), many(4000, stemma.Component{Name: "lib"}))), "", stemma.Unknown, "so large that the expression was given up"},
		{"a hundred thousand packages", "sboms", `it.packages.size() > 0 && it.packages.all(p, p.name == "lib")`, seen(bills(many(100_000, stemma.Component{Name: "lib"}))), "", stemma.Pass, ""},

		{"a negative fact, something unseen", "scans", `it.found.size() == 0`, seen(counted, silent), "", stemma.Unknown, ""},
		{"all seen", "scans", `it.found.size() == 0`, seen(counted), "", stemma.Pass, ""},
		{"just one, something unseen", "", `scans.exists_one(s, s.found.size() == 0)`, seen(counted, silent), "", stemma.Unknown, ""},
		{"few, something unseen", "", `scans.size() < 3`, seen(counted, silent), "", stemma.Unknown, ""},
		{"size is one, something unseen", "", `scans.size() == 1`, seen(counted, silent), "", stemma.Unknown, ""},
		{"some, something unseen", "", `scans.exists(s, s.found.size() == 0) && scans.size() > 0 && image.repository.startsWith("ghcr.io/")`, seen(counted, silent), "", stemma.Pass, ""},
		{"not all bad, something unseen", "", `!(scans.size() == 0) && scans.filter(s, s.found.size() == 0).size() > 0`, seen(counted, silent), "", stemma.Pass, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := Load(files(ownRule(c.kind, c.require))...)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("loaded with %v: want %q", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			e := f0()
			for _, change := range c.evidence {
				change(e)
			}
			f := finding(t, Evaluate(set, e, now()), "acme.own")
			if f.Outcome != c.want || !strings.Contains(f.Detail+f.Got, c.detail) {
				t.Errorf("%s: %s %s; want %s %s", f.Outcome, f.Got, f.Detail, c.want, c.detail)
			}
		})
	}
}

// counted adds a scan that found nothing.
func counted(e *stemma.Evidence) {
	a := attest("counted", githubSigner(trustedSAN))
	a.Statement.PredicateType = "https://in-toto.io/attestation/vulns/v0.2"
	e.Attestations = append(e.Attestations, a)
	e.Scans = append(e.Scans, stemma.Scan{Bundle: a.Bundle, Scanner: "grype", Finished: now().At})
}

// A platform that could not be read may be the one of which a rule does not hold, in whatever rule it is asked.
func TestReg_unread_platform(t *testing.T) {
	linux := func() *stemma.Evidence {
		c := f0()
		c.Image.Digest, c.Platform = digest("linux"), stemma.Platform{OS: "linux", Architecture: "amd64"}
		return c
	}
	index := func(children ...*stemma.Evidence) *stemma.Evidence {
		e := f0()
		e.MediaType, e.Platforms = "application/vnd.oci.image.index.v1+json", children
		return e
	}
	unread := index(linux())
	unread.Unavailable = append(unread.Unavailable, stemma.Unavailable{Place: unreadChildren, Reason: away().Reason, Detail: "503"})
	for _, rule := range []string{
		ownRule("platforms", `it.os == "linux"`), ownRule("", `platforms.size() > 0 && platforms.all(p, p.os == "linux")`), ownRule("", `platforms.exists(p, p.os == "linux")`),
	} {
		set := load(t, rule)
		if !set.Needs("ghcr.io/acme/app", now()).Children {
			t.Errorf("%s: nobody looks at the platforms", rule)
		}
		for name, c := range map[string]struct {
			e    *stemma.Evidence
			want stemma.Outcome
		}{
			"all read": {index(linux()), stemma.Pass}, "one unread": {unread, stemma.Unknown}, "none read": {index(), stemma.Unknown}, "one unknown": {index(linux(), nil), stemma.Unknown},
		} {
			if f := finding(t, Evaluate(set, c.e, now()), "acme.own"); f.Outcome != c.want {
				t.Errorf("%s: %s %s %s, want %s", name, f.Outcome, f.Got, f.Detail, c.want)
			}
		}
	}
	text := strings.Replace(f0Policy, "  source:", "  attestations: [{type: \"https://acme.example/review/v1\", by: [release], require: 'platforms.size() > 0'}]\n  source:", 1)
	if set, err := Load(files(text)...); err != nil || !set.Needs("ghcr.io/acme/app", now()).Children {
		t.Errorf("what is required of an attestation may look at platforms: %v", err)
	}
}
