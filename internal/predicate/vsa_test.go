package predicate

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

const vsa1 = `{"verifier": {"id": "https://gate.example", "version": {"gate": "1"}}, "timeVerified": "2026-01-02T03:04:05Z", "resourceUri": "git+https://github.com/acme/app",
  "policy": {"uri": "https://gate.example/policy", "digest": {"sha256": "x"}}, "inputAttestations": [], "verificationResult": "PASSED",
  "verifiedLevels": ["SLSA_SOURCE_LEVEL_3", "SLSA_BUILD_LEVEL_2"], "dependencyLevels": {"SLSA_BUILD_LEVEL_1": 3}, "slsaVersion": "1.1"}`

func TestVSA(t *testing.T) {
	good := stemma.VSA{
		Bundle: "sha256:00", Verifier: "https://gate.example", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Resource: "git+https://github.com/acme/app",
		Policy: "https://gate.example/policy", Result: "PASSED", Levels: []string{"SLSA_SOURCE_LEVEL_3", "SLSA_BUILD_LEVEL_2"},
	}
	const at = "reading verification summary: "
	for _, c := range []struct {
		name, old, new, err string
		want                func(*stemma.VSA)
	}{
		{name: "as it is", want: func(*stemma.VSA) {}},
		{name: "failed", old: `"PASSED"`, new: `"FAILED"`, want: func(v *stemma.VSA) { v.Result = "FAILED" }},
		{name: "in lower case", old: `"PASSED"`, new: `"passed"`, want: func(v *stemma.VSA) { v.Result = "passed" }},
		{name: "with a space", old: `"PASSED"`, new: `"PASSED "`, want: func(v *stemma.VSA) { v.Result = "PASSED " }},
		{name: "no time", old: `"timeVerified": "2026-01-02T03:04:05Z",`, new: ``, want: func(v *stemma.VSA) { v.Time = time.Time{} }},
		{name: "no policy", old: `"uri": "https://gate.example/policy", `, new: ``, want: func(v *stemma.VSA) { v.Policy = "" }},
		{name: "no levels", old: `"verifiedLevels": ["SLSA_SOURCE_LEVEL_3", "SLSA_BUILD_LEVEL_2"], `, new: ``, want: func(v *stemma.VSA) { v.Levels = nil }},
		{name: "names of v0.2", old: `"timeVerified"`, new: `"time_verified"`, want: func(v *stemma.VSA) { v.Time = time.Time{} }},

		{name: "no result", old: `"verificationResult": "PASSED",`, new: ``, err: at + "no result"},
		{name: "the result of v0.2", old: `"verificationResult"`, new: `"verification_result"`, err: at + "no result"},
		{name: "a result that is true", old: `"PASSED"`, new: `true`, err: at + "reading JSON (/verificationResult): expected a string"},
		{name: "two results", old: `"verificationResult"`, new: `"verificationResult": "FAILED", "verificationResult"`, err: at + `reading JSON : duplicate name "verificationResult"`},
		{name: "the result in another case", old: `"verificationResult"`, new: `"VerificationResult"`, err: at + `reading JSON (/VerificationResult): name "VerificationResult" differs from "verificationResult" only in case`},
		{name: "no verifier", old: `"id": "https://gate.example", `, new: ``, err: at + "no verifier.id"},
		{name: "a verifier that is text", old: `{"id": "https://gate.example", "version": {"gate": "1"}}`, new: `"https://gate.example"`, err: at + "reading JSON (/verifier): expected an object"},
		{name: "a verifier that is no name", old: `"https://gate.example", "version"`, new: `"https://gate.example\u202e", "version"`, err: at + "a value that is no name: https://gate.example\uFFFD"},
		{name: "a level that is too long", old: `"SLSA_BUILD_LEVEL_2"`, new: `"` + strings.Repeat("S", 3000) + `"`, err: at + "a value that is no name: " + strings.Repeat("S", 80) + "…"},
		{name: "levels that are text", old: `["SLSA_SOURCE_LEVEL_3", "SLSA_BUILD_LEVEL_2"]`, new: `"SLSA_BUILD_LEVEL_2"`, err: at + "reading JSON (/verifiedLevels): expected an array"},
		{name: "too many levels", old: `["SLSA_SOURCE_LEVEL_3"`, new: `[` + strings.Repeat(`"x",`, 63) + `"SLSA_SOURCE_LEVEL_3"`, err: at + "65 levels, limit 64"},
		{name: "a time that is none", old: "2026-01-02T03:04:05Z", new: "now", err: at + `the time "now": want RFC 3339`},
	} {
		doc := vsa1
		if c.old != "" {
			doc = change(t, doc, c.old, c.new)
		}
		d, err := ReadUnsigned("sha256:00", stemma.Statement{PredicateType: stemma.PredicateVSAv1, Predicate: json.RawMessage(doc)})
		if c.err != "" {
			if err == nil || withoutOffset(err) != c.err || d != (Document{}) {
				t.Errorf("%s: %v\nwant %s", c.name, err, c.err)
			}
			continue
		}
		want := good
		c.want(&want)
		if diff := cmp.Diff(&want, d.VSA); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
	const old = `{"verifier": {"id": "https://gate.example"}, "time_verified": "2026-01-02T03:04:05Z", "resource_uri": "git+https://github.com/acme/app", "policy": {"uri": "https://gate.example/policy"},
		"verification_result": "PASSED", "policy_level": "SLSA_LEVEL_3", "dependency_levels": {}}`
	d, err := ReadUnsigned("sha256:00", stemma.Statement{PredicateType: "https://slsa.dev/verification_summary/v0.2", Predicate: json.RawMessage(old)})
	want := good
	want.Levels = []string{"SLSA_LEVEL_3"}
	if diff := cmp.Diff(&want, d.VSA); err != nil || diff != "" {
		t.Errorf("v0.2: %v (-want +got):\n%s", err, diff)
	}
}

// A summary is about a commit when its subjects say so, and name one only.
func TestVSACommit(t *testing.T) {
	type sets []map[string]string
	other := strings.Repeat("b", 40)
	for i, c := range []struct {
		subjects sets
		want     string
	}{
		{sets{{"gitCommit": commitA}}, commitA},
		{sets{{"sha1": commitA}}, commitA},
		{sets{{"gitCommit": commitA}, {"gitCommit": commitA}}, commitA},
		{sets{{"gitCommit": commitA, "sha256": hexA}}, commitA},
		{sets{{"gitCommit": commitA}, {"sha256": hexA}}, commitA},
		{sets{{"gitCommit": commitA}, {"gitCommit": other}}, ""},
		{sets{{"sha1": commitA}, {"gitCommit": other}}, ""},
		{sets{{"sha1": commitA, "sha256": hexA}}, ""},
		{sets{{"sha256": commitA}}, ""},
		{sets{{"sha256": hexA}}, ""},
		{sets{{"gitCommit": commitA[:39]}}, ""},
		{sets{{"gitCommit": strings.ToUpper(commitA)}}, ""},
		{sets{{"gitCommit": hexA}}, ""},
		{sets{{"gitTree": commitA}}, ""},
		{sets{{"GitCommit": commitA}}, ""},
		{nil, ""},
	} {
		s := stemma.Statement{PredicateType: stemma.PredicateVSAv1, Predicate: json.RawMessage(vsa1)}
		for _, set := range c.subjects {
			s.Subject = append(s.Subject, stemma.ResourceDescriptor{Digest: set})
		}
		if d, err := ReadUnsigned("", s); err != nil || d.VSA.Commit != c.want {
			t.Errorf("%d: %q, %v; want %q", i, d.VSA.Commit, err, c.want)
		}
	}
}
