package predicate

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

const (
	vulnsV02 = "https://in-toto.io/attestation/vulns/v0.2"
	vulnsV01 = "https://in-toto.io/attestation/vulns/v0.1"
	vulnsV1  = "https://cosign.sigstore.dev/attestation/vuln/v1"
)

const scanList = `{
  "scanner": {"uri": "pkg:github/acme/scanner", "version": "1.2", "db": {"uri": "x", "lastUpdate": "2026-01-01T00:00:00Z"},
    "result": [{"id": "CVE-2026-1", "severity": [{"method": "nvd", "score": "medium"}, {"method": "cvss_score", "score": "9.8"}], "annotations": [{"k": "v"}]}]},
  "metadata": {"scanStartedOn": "2026-01-02T03:00:00Z", "scanFinishedOn": "2026-01-02T03:04:05Z"}
}`

func readScan() stemma.Scan {
	return stemma.Scan{
		Bundle: "sha256:00", Scanner: "pkg:github/acme/scanner 1.2", Database: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Finished: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Found: []stemma.Vulnerability{{ID: "CVE-2026-1", Severity: "critical"}},
	}
}

type scanCase struct {
	name, old, new, err string
	want                func(*stemma.Scan)
}

func runScan(t *testing.T, kind, doc string, good stemma.Scan, cases []scanCase) {
	t.Helper()
	for _, c := range append([]scanCase{{name: "as it is", want: func(*stemma.Scan) {}}}, cases...) {
		changed := doc
		if c.old != "" {
			changed = change(t, doc, c.old, c.new)
		}
		d, err := ReadUnsigned("sha256:00", stemma.Statement{PredicateType: kind, Predicate: json.RawMessage(changed)})
		if c.err != "" {
			if err == nil || withoutOffset(err) != "reading vulnerability scan: "+c.err || d != (Document{}) {
				t.Errorf("%s: %v\nwant %s", c.name, err, c.err)
			}
			continue
		}
		want := good
		want.Found = append([]stemma.Vulnerability(nil), good.Found...)
		c.want(&want)
		if diff := cmp.Diff(&want, d.Scan); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
}

// unread is a scan whose result is not understood.
func unread(why string) func(*stemma.Scan) {
	return func(s *stemma.Scan) { s.Found, s.Notes = nil, []string{"result not understood: " + why} }
}

func TestScan(t *testing.T) {
	const result = `[{"id": "CVE-2026-1", "severity": [{"method": "nvd", "score": "medium"}, {"method": "cvss_score", "score": "9.8"}], "annotations": [{"k": "v"}]}]`
	const scores = `[{"method": "nvd", "score": "medium"}, {"method": "cvss_score", "score": "9.8"}]`
	severity := func(s string) func(*stemma.Scan) { return func(x *stemma.Scan) { x.Found[0].Severity = s } }
	same := func(*stemma.Scan) {}
	odd := func(severity, note string) func(*stemma.Scan) {
		return func(x *stemma.Scan) { x.Found[0].Severity, x.Notes = severity, []string{note} }
	}
	none := func(x *stemma.Scan) { x.Found = nil }
	strange := unread("it is neither a list of in-toto, nor a report of trivy or grype, nor SARIF")
	cases := []scanCase{
		{name: "nothing found", old: result, new: `[]`, want: none},
		{name: "of v0.1", old: result, new: `[{"vulnerability": {"id": "CVE-2026-1", "severity": [{"score": "medium"}]}}]`, want: severity("medium")},
		{name: "a lower word, and a score", old: `"medium"`, new: `"low"`, want: same},
		{name: "a word, and a lower score", old: `"medium"`, new: `"critical"`, want: same},
		{name: "a word in capitals with blanks", old: scores, new: `[{"score": " HIGH\n"}]`, want: severity("high")},
		{name: "a score with a blank", old: scores, new: `[{"score": "9.8 "}]`, want: same},
		{name: "a score", old: scores, new: `[{"method": "cvss_score", "score": "9.8"}]`, want: severity("critical")},
		{name: "a score that is a number", old: scores, new: `[{"method": "cvss_score", "score": 5.2}]`, want: severity("medium")},
		{name: "a score over all", old: scores, new: `[{"score": "11"}]`, want: odd("unknown", `1 severities are not understood, the first is "11"`)},
		{name: "a score below all", old: scores, new: `[{"score": "-1"}]`, want: odd("unknown", `1 severities are not understood, the first is "-1"`)},
		{name: "a score of ten", old: scores, new: `[{"score": "9.8/10"}]`, want: odd("unknown", `1 severities are not understood, the first is "9.8/10"`)},
		{name: "a vector", old: scores, new: `[{"score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}]`, want: same},
		{name: "a vector, and a lower word", old: scores, new: `[{"score": "low"}, {"score": "CVSS:3.0/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H "}]`, want: severity("high")},
		{name: "half a vector", old: scores, new: `[{"score": "CVSS:3.1/AV:N/AC:L"}]`, want: odd("unknown", `1 severities are not understood, the first is "CVSS:3.1/AV:N/AC:L"`)},
		{name: "a vector of CVSS v4", old: scores, new: `[{"score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}]`, want: odd("unknown", `1 severities are not understood, the first is "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"`)},
		{name: "words of somebody else", old: scores, new: `[{"score": "Severe"}, {"score": "low"}, {"score": "bad"}]`, want: odd("low", `2 severities are not understood, the first is "Severe"`)},
		{name: "two words", old: scores, new: `[{"score": "low"}, {"score": "HIGH"}]`, want: severity("high")},
		{name: "a word that is not known, and a score", old: scores, new: `[{"score": "unknown"}, {"score": "0.1"}]`, want: severity("low")},
		{name: "no severity", old: scores, new: `null`, want: severity("unknown")},
		{name: "a version in the URI", old: "pkg:github/acme/scanner", new: "pkg:github/acme/scanner@1.2", want: func(x *stemma.Scan) { x.Scanner = "pkg:github/acme/scanner@1.2" }},
		{name: "no times", old: `"metadata"`, new: `"meta"`, want: func(x *stemma.Scan) { x.Finished = time.Time{} }},
		{name: "no database", old: `"db"`, new: `"database"`, want: func(x *stemma.Scan) { x.Database = time.Time{} }},

		{name: "no result", old: `"result"`, new: `"results"`, want: unread("there is none")},
		{name: "a result that is null", old: result, new: `null`, want: unread("there is none")},
		{name: "a result that is text", old: result, new: `"clean"`, want: strange},
		{name: "a result that is true", old: result, new: `true`, want: strange},
		{name: "a result of a format of its own", old: result, new: `{"findings": []}`, want: strange},
		{name: "an empty result", old: result, new: `{}`, want: strange},

		{name: "no scanner", old: `"scanner"`, new: `"tool"`, err: "no scanner"},
		{name: "a scanner that is null", old: `"scanner": {`, new: `"scanner": null, "x": {`, err: "no scanner"},
		{name: "a scanner that is text", old: `"scanner": {`, new: `"scanner": "x", "x": {`, err: "reading JSON (/scanner): expected an object"},
		{name: "a result in another case", old: `"result"`, new: `"Result"`, err: `reading JSON (/scanner/Result): name "Result" differs from "result" only in case`},
		{name: "two results", old: `"result"`, new: `"result": [], "result"`, err: `reading JSON (/scanner): duplicate name "result"`},
		{name: "no id", old: `"id": "CVE-2026-1", `, new: ``, err: "reading JSON (/scanner/result/0): a vulnerability without id"},
		{name: "an id that is a number", old: `"id": "CVE-2026-1"`, new: `"id": 1`, err: "reading JSON (/scanner/result/0/id): expected a string"},
		{name: "two ids", old: `"annotations"`, new: `"vulnerability": {"id": "CVE-2026-2"}, "annotations"`, err: "reading JSON (/scanner/result/0/vulnerability/id): a vulnerability with two ids"},
		{name: "a finding that is null", old: result, new: `[null]`, err: "reading JSON (/scanner/result/0): expected an element, got null"},
		{name: "a finding that is text", old: result, new: `["CVE-2026-1"]`, err: "reading JSON (/scanner/result/0): expected an object"},
		{name: "a severity that is text", old: scores, new: `"high"`, err: "reading JSON (/scanner/result/0/severity): expected an array"},
		{name: "a time that is none", old: "2026-01-02T03:04:05Z", new: "x", err: `reading JSON (/metadata/scanFinishedOn): expected a time of RFC 3339, got "x"`},
		{name: "a database's time that is none", old: "2026-01-01T00:00:00Z", new: "2026", err: `reading JSON (/scanner/db/lastUpdate): expected a time of RFC 3339, got "2026"`},
	}
	for _, kind := range []string{vulnsV01, vulnsV02, vulnsV1, "cosign.sigstore.dev/attestation/vuln/v1"} {
		runScan(t, kind, scanList, readScan(), cases)
	}
}

func scanOf(result string) string {
	return `{"scanner": {"uri": "", "version": "", "db": {"uri": "", "version": ""}, "result": ` + result + `}, "metadata": {"scanStartedOn": "2026-01-02T03:00:00Z"}}`
}

func TestScanTrivy(t *testing.T) {
	doc := scanOf(`{"SchemaVersion": 2, "CreatedAt": "2026-01-02T03:04:05Z", "ArtifactName": "app", "Results": [
		{"Target": "app (debian 13)", "Class": "os-pkgs", "Vulnerabilities": [
			{"VulnerabilityID": "CVE-2026-1", "PkgName": "zlib", "InstalledVersion": "1.3", "FixedVersion": "1.4", "Severity": "CRITICAL", "PkgIdentifier": {"PURL": "pkg:deb/debian/zlib@1.3"}},
			{"VulnerabilityID": "CVE-2026-2", "PkgName": "odd", "InstalledVersion": "1", "Severity": "UNKNOWN"}]},
		{"Target": "go.mod", "Class": "lang-pkgs"}]}`)
	good := stemma.Scan{
		Bundle: "sha256:00", Finished: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Found: []stemma.Vulnerability{
			{ID: "CVE-2026-1", Severity: "critical", Package: "pkg:deb/debian/zlib@1.3", Fixed: "1.4"},
			{ID: "CVE-2026-2", Severity: "unknown", Package: "odd 1"},
		},
	}
	runScan(t, vulnsV1, doc, good, []scanCase{
		{name: "a word of somebody else", old: `"CRITICAL"`, new: `"worst"`, want: func(s *stemma.Scan) {
			s.Found[0].Severity, s.Notes = "unknown", []string{`1 severities are not understood, the first is "worst"`}
		}},
		{name: "the distributor's low, and 9.8", old: `"Severity": "UNKNOWN"`, new: `"Severity": "LOW", "CVSS": {"nvd": {"V2Score": 10, "V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "V3Score": 9.8}, "redhat": {"V3Score": 5.6}}`, want: func(s *stemma.Scan) { s.Found[1].Severity = "critical" }},
		{name: "CVSS v4", old: `"Severity": "UNKNOWN"`, new: `"Severity": "LOW", "CVSS": {"ghsa": {"V40Score": 8.2}}`, want: func(s *stemma.Scan) { s.Found[1].Severity = "high" }},
		{name: "CVSS v2 alone, which has nothing worse than high", old: `"Severity": "UNKNOWN"`, new: `"Severity": "LOW", "CVSS": {"nvd": {"V2Score": 10}}`, want: func(s *stemma.Scan) { s.Found[1].Severity = "high" }},
		{name: "CVSS v2 beside v3", old: `"Severity": "UNKNOWN"`, new: `"Severity": "LOW", "CVSS": {"nvd": {"V2Score": 7.2}, "ghsa": {"V3Score": 5.0}}`, want: func(s *stemma.Scan) { s.Found[1].Severity = "medium" }},
		{name: "what another vendor says", old: `"Severity": "UNKNOWN"`, new: `"Severity": "LOW", "VendorSeverity": {"debian": 1, "nvd": 4}`, want: func(s *stemma.Scan) { s.Found[1].Severity = "critical" }},
		{name: "what no vendor can say", old: `"Severity": "UNKNOWN"`, new: `"Severity": "LOW", "VendorSeverity": {"nvd": 5}`, want: func(s *stemma.Scan) {
			s.Found[1].Severity, s.Notes = "low", []string{`1 severities are not understood, the first is "VendorSeverity 5"`}
		}},
		{name: "the time of the scan", old: `"scanStartedOn": "2026-01-02T03:00:00Z"`, new: `"scanFinishedOn": "2026-01-03T00:00:00Z"`, want: func(s *stemma.Scan) { s.Finished = time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC) }},
		{name: "left out by rules", old: `"Class": "lang-pkgs"`, new: `"ExperimentalModifiedFindings": [{}, {}]`, want: func(s *stemma.Scan) {
			s.Notes = []string{"2 findings are left out by the scanner's own rules"}
		}},
		{name: "no targets", old: `"Results": [`, new: `"Results": [], "Others": [`, want: unread("trivy's report names nothing that it looked at")},
		{name: "no results", old: `"Results"`, new: `"Others"`, want: unread("trivy's report names nothing that it looked at")},
		{name: "grype's, too", old: `"Results"`, new: `"matches": [], "Results"`, want: func(s *stemma.Scan) { s.Notes = []string{"result not understood: it is both grype and trivy"} }},
		{name: "no id", old: `"VulnerabilityID": "CVE-2026-2", `, new: ``, err: "reading JSON (/scanner/result/Results/0/Vulnerabilities/1): a vulnerability without id"},
		{name: "findings that are an object", old: `"Class": "lang-pkgs"`, new: `"Vulnerabilities": {}`, err: "reading JSON (/scanner/result/Results/1/Vulnerabilities): expected an array"},
		{name: "findings in another case", old: `"Vulnerabilities"`, new: `"vulnerabilities"`, err: `reading JSON (/scanner/result/Results/0/vulnerabilities): name "vulnerabilities" differs from "Vulnerabilities" only in case`},
		{name: "results in another case", old: `"Results"`, new: `"results"`, err: `reading JSON (/scanner/result/results): name "results" differs from "Results" only in case`},
	})
}

func TestScanGrype(t *testing.T) {
	doc := scanOf(`{"matches": [
		{"vulnerability": {"id": "GHSA-1", "severity": "Negligible", "fix": {"versions": ["1.4", "1.5"], "state": "fixed"}, "cvss": [{"metrics": {"baseScore": 9.8}}]}, "artifact": {"name": "zlib", "version": "1.3", "purl": "pkg:deb/debian/zlib@1.3"}},
		{"vulnerability": {"id": "CVE-2026-2", "severity": "Unknown", "cvss": [{"metrics": {"baseScore": 4.0}}, {"metrics": {"baseScore": 7.5}}]}, "artifact": {"name": "odd", "version": "1"}}],
		"descriptor": {"name": "grype", "version": "0.90.0", "timestamp": "2026-01-02T03:04:05Z", "db": {"status": {"built": "2026-01-01T00:00:00Z"}}}}`)
	good := stemma.Scan{
		Bundle: "sha256:00", Scanner: "grype 0.90.0", Database: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Finished: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Found: []stemma.Vulnerability{
			{ID: "GHSA-1", Severity: "critical", Package: "pkg:deb/debian/zlib@1.3", Fixed: "1.4, 1.5"},
			{ID: "CVE-2026-2", Severity: "high", Package: "odd 1"},
		},
	}
	runScan(t, vulnsV02, doc, good, []scanCase{
		{name: "the database of before", old: `{"status": {"built": "2026-01-01T00:00:00Z"}}`, new: `{"built": "2026-01-01T00:00:00Z", "schemaVersion": 5}`, want: func(*stemma.Scan) {}},
		{name: "the database of the predicate", old: `"db": {"uri": ""`, new: `"db": {"lastUpdate": "2025-01-01T00:00:00Z"`, want: func(s *stemma.Scan) { s.Database = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{name: "a word, and a lower score", old: `"baseScore": 9.8`, new: `"baseScore": 0.0`, want: func(s *stemma.Scan) { s.Found[0].Severity = "negligible" }},
		{name: "a vector", old: `{"metrics": {"baseScore": 9.8}}`, new: `{"version": "3.1", "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}`, want: func(s *stemma.Scan) { s.Found[0].Severity = "high" }},
		{name: "CVSS v2", old: `{"metrics": {"baseScore": 9.8}}`, new: `{"version": "2.0", "vector": "AV:N/AC:L/Au:N/C:C/I:C/A:C", "metrics": {"baseScore": 9.8}}`, want: func(s *stemma.Scan) { s.Found[0].Severity = "high" }},
		{name: "a word of somebody else", old: `"Unknown"`, new: `"Severe"`, want: func(s *stemma.Scan) { s.Notes = []string{`1 severities are not understood, the first is "Severe"`} }},
		{name: "ignored", old: `"descriptor"`, new: `"ignoredMatches": [{}], "descriptor"`, want: func(s *stemma.Scan) {
			s.Notes = []string{"1 findings are left out by the scanner's own rules"}
		}},
		{name: "no matches", old: `"matches"`, new: `"pairs"`, want: unread("it is neither a list of in-toto, nor a report of trivy or grype, nor SARIF")},
		{name: "matches that are null", old: `"matches": [`, new: `"matches": null, "x": [`, want: unread("it is neither a list of in-toto, nor a report of trivy or grype, nor SARIF")},
		{name: "no id", old: `"id": "CVE-2026-2", `, new: ``, err: "reading JSON (/scanner/result/matches/1): a vulnerability without id"},
		{name: "no vulnerability", old: `"vulnerability": {"id": "CVE-2026-2"`, new: `"weakness": {"id": "CVE-2026-2"`, err: "reading JSON (/scanner/result/matches/1): a vulnerability without id"},
		{name: "a score that is an object", old: `"baseScore": 9.8`, new: `"baseScore": {}`, err: "reading JSON (/scanner/result/matches/0/vulnerability/cvss/0/metrics/…): expected a string"},
		{name: "a time that is none", old: "2026-01-01T00:00:00Z", new: "old", err: `reading JSON (/scanner/result/descriptor/db/status/built): expected a time of RFC 3339, got "old"`},
	})
}

func TestScanSARIF(t *testing.T) {
	doc := scanOf(`{"version": "2.1.0", "runs": [{"results": [{"ruleId": "CVE-2026-1", "level": "error"}, {"ruleId": "CVE-2026-2"}, {"ruleId": "CVE-2026-3"}],
		"tool": {"driver": {"name": "Trivy", "version": "0.60.0", "rules": [{"id": "CVE-2026-1", "properties": {"security-severity": "9.8"}}, {"id": "CVE-2026-2", "properties": {"security-severity": 3.9}}]}}}]}`)
	good := stemma.Scan{Bundle: "sha256:00", Scanner: "Trivy 0.60.0", Found: []stemma.Vulnerability{
		{ID: "CVE-2026-1", Severity: "critical"}, {ID: "CVE-2026-2", Severity: "low"}, {ID: "CVE-2026-3", Severity: "unknown"},
	}}
	runScan(t, vulnsV1, doc, good, []scanCase{
		{name: "suppressed", old: `"level": "error"`, new: `"suppressions": [{"kind": "external"}]`, want: func(s *stemma.Scan) {
			s.Notes = []string{"CVE-2026-1 is said to be suppressed, and counted"}
		}},
		{name: "a rule twice", old: `"rules": [`, new: `"rules": [{"id": "CVE-2026-2", "properties": {"security-severity": "7.0"}}, `, want: func(s *stemma.Scan) { s.Found[1].Severity = "high" }},
		{name: "a score that is none", old: `"9.8"`, new: `"1e1"`, want: func(s *stemma.Scan) {
			s.Found[0].Severity, s.Notes = "unknown", []string{`1 severities are not understood, the first is "1e1"`}
		}},
		{name: "a word among the tags", old: `"security-severity": 3.9`, new: `"security-severity": 3.9, "tags": ["vulnerability", "HIGH"]`, want: func(s *stemma.Scan) { s.Found[1].Severity = "high" }},
		{name: "no runs", old: `"runs"`, new: `"walks"`, want: func(s *stemma.Scan) {
			unread("it is neither a list of in-toto, nor a report of trivy or grype, nor SARIF")(s)
			s.Scanner = ""
		}},
		{name: "no run", old: `"runs": [`, new: `"runs": [], "x": [`, want: func(s *stemma.Scan) {
			unread("SARIF without a run")(s)
			s.Scanner = ""
		}},
		{name: "a run that failed", old: `"runs": [`, new: `"runs": [{"results": null}, `, want: func(s *stemma.Scan) { s.Notes = []string{"result not understood: a run of SARIF without results"} }},
		{name: "a result without rule", old: `{"ruleId": "CVE-2026-3"}`, new: `{}`, err: "reading JSON (/scanner/result/runs/0/results/2): a vulnerability without id"},
		{name: "results that are an object", old: `"results": [`, new: `"results": {}, "x": [`, err: "reading JSON (/scanner/result/runs/0/results): expected an array"},
	})
}

func TestSeverities(t *testing.T) {
	for text, want := range map[string]string{
		"0.0": "negligible", "0": "negligible", "0.1": "low", "3.9": "low", "4.0": "medium", "6.9": "medium", "7.0": "high", "8.9": "high", "9.0": "critical", "10.0": "critical", "10": "critical",
		"10.1": "", "-0.1": "", "NaN": "", "Inf": "", "0x1p2": "", "1e1": "", "": "", "7,5": "", "7.5.1": "", ".": "", strings.Repeat("0", 9): "",
	} {
		if got := scored(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"CRITICAL": "critical", "High": "high", "important": "high", "Moderate": "medium", "medium": "medium", "low": "low", "Negligible": "negligible", "none": "negligible", "unknown": "unknown",
		"severe": "", "": "", "hIgh ": "high", "9.8": "",
	} {
		if got := severityWord(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
