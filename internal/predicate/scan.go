package predicate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stemma"
)

// isScan recognises the predicate types of vulnerability scans: in-toto's, and cosign's before it.
func isScan(predicateType string) bool {
	switch predicateType {
	case "https://in-toto.io/attestation/vulns/v0.1", "https://in-toto.io/attestation/vulns/v0.2",
		"https://cosign.sigstore.dev/attestation/vuln/v1", "cosign.sigstore.dev/attestation/vuln/v1":
		return true
	}
	return false
}

// notUnderstood begins the note of a scan whose findings could not be read: that none is listed says nothing then.
const notUnderstood = "result not understood: "

// scan reads a vulnerability scan. The predicate types leave open in which format its result is: in-toto's own list, the
// reports of trivy and grype, and SARIF are read.
func scan(id stemma.Digest, data []byte) (*stemma.Scan, error) {
	x := &scanReader{out: &stemma.Scan{Bundle: id}}
	err := stemma.ReadJSON(bytes.NewReader(data), func(s *stemma.JSONStream) error {
		x.json = s
		return x.predicate()
	})
	if err != nil {
		return nil, fmt.Errorf("reading vulnerability scan: %w", err)
	}
	return x.out, nil
}

type scanReader struct {
	out     *stemma.Scan
	json    *stemma.JSONStream
	scanner bool
	name    string // scanner as its report calls itself
	version string
	built   time.Time         // database, as the report says
	at      time.Time         // of the report
	shapes  []string          // formats that the result has the marks of
	targets int               // what trivy looked at
	failed  bool              // a run of SARIF that says nothing
	left    int               // findings that the scanner was told to leave out
	odd     int               // severities that are not understood
	oddity  string            // the first of them
	rules   map[string]string // SARIF: severity by rule
	ruled   []string          // SARIF: rule of each finding
}

func (x *scanReader) note(format string, args ...any) {
	if len(x.out.Notes) < maxListed {
		x.out.Notes = append(x.out.Notes, stemma.Printable(fmt.Sprintf(format, args...), 400))
	}
}

func (x *scanReader) predicate() error {
	s := x.json
	result := false
	var uri, version string
	err := s.Object([]string{"scanner", "metadata"}, func(name string) error {
		if name == "metadata" {
			return s.Object([]string{"scanStartedOn", "scanFinishedOn"}, func(name string) error {
				t, err := timeOf(s)
				if name == "scanFinishedOn" {
					x.out.Finished = t
				}
				return err
			})
		}
		x.scanner = s.Kind() == '{'
		return s.Object([]string{"uri", "version", "db", "result"}, func(name string) (err error) {
			switch name {
			case "uri":
				uri, err = s.Text()
			case "version":
				version, err = s.Text()
			case "db":
				err = s.Object([]string{"lastUpdate"}, func(string) error {
					x.out.Database, err = timeOf(s)
					return err
				})
			default:
				result = s.Kind() != 'n'
				err = x.result()
			}
			return err
		})
	})
	switch {
	case err != nil:
		return err
	case !x.scanner:
		return fmt.Errorf("no scanner")
	}
	x.finish(result)
	x.called(uri, version)
	return nil
}

// called names the scanner by its URI and version, or by what its report says.
func (x *scanReader) called(uri, version string) {
	if uri == "" {
		uri = x.name
	}
	if version == "" {
		version = x.version
	}
	if !strings.Contains(uri, version) {
		uri += " " + version
	}
	x.out.Scanner = bounded(strings.TrimSpace(uri))
}

// finish says what could not be understood. A result without any mark of a format is none, and so is one with the marks
// of two: readers would differ on which findings count.
func (x *scanReader) finish(result bool) {
	slices.Sort(x.shapes)
	x.shapes = slices.Compact(x.shapes)
	switch {
	case !result:
		x.note(notUnderstood + "there is none")
	case len(x.shapes) == 0:
		x.note(notUnderstood + "it is neither a list of in-toto, nor a report of trivy or grype, nor SARIF")
	case len(x.shapes) > 1:
		x.note(notUnderstood+"it is both %s", strings.Join(x.shapes, " and "))
	case x.shapes[0] == "trivy" && x.targets == 0:
		// Trivy leaves its targets out where it knows nothing of what it found.
		x.note(notUnderstood + "trivy's report names nothing that it looked at")
	case x.shapes[0] == "SARIF" && x.targets == 0:
		x.note(notUnderstood + "SARIF without a run")
	case x.failed:
		x.note(notUnderstood + "a run of SARIF without results")
	}
	if x.left > 0 {
		x.note("%d findings are left out by the scanner's own rules", x.left)
	}
	if x.odd > 0 {
		x.note("%d severities are not understood, the first is %q", x.odd, x.oddity)
	}
	for i, rule := range x.ruled {
		if severity := x.rules[rule]; severity != "" {
			x.out.Found[i].Severity = severity
		}
	}
	if x.out.Database.IsZero() {
		x.out.Database = x.built
	}
	if x.out.Finished.IsZero() {
		x.out.Finished = x.at
	}
}

func (x *scanReader) result() error {
	s := x.json
	switch s.Kind() {
	case '[':
		x.shapes = append(x.shapes, "in-toto")
		return each(s, x.listed)
	case '{':
	default:
		return nil // a text, or nothing: not understood
	}
	return s.Object([]string{"SchemaVersion", "CreatedAt", "Results", "matches", "ignoredMatches", "descriptor", "runs"}, func(name string) (err error) {
		switch name {
		case "Results":
			x.shapes = append(x.shapes, "trivy")
			err = each(s, x.trivyTarget)
		case "SchemaVersion":
			x.shapes = append(x.shapes, "trivy")
		case "CreatedAt":
			x.at, err = timeOf(s)
		case "matches":
			if s.Kind() == '[' {
				x.shapes = append(x.shapes, "grype")
			}
			err = each(s, x.grypeMatch)
		case "ignoredMatches":
			err = each(s, func() error { x.left++; return nil })
		case "descriptor":
			err = x.grypeDescriptor()
		case "runs":
			if s.Kind() == '[' {
				x.shapes = append(x.shapes, "SARIF")
			}
			err = each(s, x.sarifRun)
		}
		return err
	})
}

// found adds a finding. One without id could be none that anybody knows, and is a breach of every format.
func (x *scanReader) found(v stemma.Vulnerability) error {
	switch {
	case v.ID == "":
		return x.json.Fail("a vulnerability without id")
	case len(x.out.Found) >= maxAnalyses:
		return x.json.Limit("more than %d vulnerabilities", maxAnalyses)
	}
	v.ID, v.Package, v.Fixed = bounded(v.ID), bounded(v.Package), bounded(v.Fixed)
	if v.Severity == "" {
		v.Severity = "unknown"
	}
	x.out.Found = append(x.out.Found, v)
	return nil
}

// listed reads an entry of in-toto's list. In v0.1 the text of the specification has it within "vulnerability", and its
// example has not.
func (x *scanReader) listed() error {
	s := x.json
	var v stemma.Vulnerability
	var outer, inner severities
	err := s.Object([]string{"id", "severity", "vulnerability"}, func(name string) error {
		if name != "vulnerability" {
			return x.listedMember(&v, &outer, name)
		}
		return s.Object([]string{"id", "severity"}, func(name string) error { return x.listedMember(&v, &inner, name) })
	})
	if err != nil {
		return err
	}
	outer.add(inner)
	v.Severity = outer.String()
	return x.found(v)
}

func (x *scanReader) listedMember(v *stemma.Vulnerability, to *severities, name string) error {
	s := x.json
	if name == "severity" {
		return each(s, func() error {
			// Whatever the method is called, a word is a word, and a number or a vector is CVSS.
			return s.Object([]string{"score"}, func(string) error {
				score, err := x.scalar()
				x.rate(to, score)
				return err
			})
		})
	}
	id, err := s.Text()
	if err == nil && v.ID != "" && v.ID != id {
		return s.Fail("a vulnerability with two ids")
	}
	v.ID = id
	return err
}

// rate adds what a report says of how severe a finding is. What is not understood is told: it may have been the worst word.
func (x *scanReader) rate(to *severities, text string) {
	if to.say(text) {
		return
	}
	if x.odd++; x.odd == 1 {
		x.oddity = bounded(text)
	}
}

// scalar reads a string or a number as text.
func (x *scanReader) scalar() (string, error) {
	if k := x.json.Kind(); k != '-' && (k < '0' || k > '9') {
		return x.json.Text()
	}
	return x.json.Number()
}

func (x *scanReader) trivyTarget() error {
	s := x.json
	x.targets++
	return s.Object([]string{"Vulnerabilities", "ExperimentalModifiedFindings"}, func(name string) error {
		if name != "Vulnerabilities" {
			return each(s, func() error { x.left++; return nil })
		}
		return each(s, x.trivyFinding)
	})
}

func (x *scanReader) trivyFinding() error {
	s := x.json
	var v stemma.Vulnerability
	var purl, pkg, version, severity string
	var rated severities
	err := s.Object([]string{"VulnerabilityID", "PkgName", "PkgIdentifier", "InstalledVersion", "FixedVersion", "Severity", "VendorSeverity", "CVSS"}, func(name string) (err error) {
		switch name {
		case "VulnerabilityID":
			v.ID, err = s.Text()
		case "PkgName":
			pkg, err = s.Text()
		case "InstalledVersion":
			version, err = s.Text()
		case "FixedVersion":
			v.Fixed, err = s.Text()
		case "Severity":
			severity, err = s.Text()
			x.rate(&rated, severity)
		case "VendorSeverity", "CVSS":
			err = x.trivyRatings(name, &rated)
		default:
			err = s.Object([]string{"PURL"}, func(string) error {
				purl, err = s.Text()
				return err
			})
		}
		return err
	})
	if err != nil {
		return err
	}
	v.Package, v.Severity = scannedPackage(purl, pkg, version), rated.String()
	return x.found(v)
}

// trivyRatings reads what each of trivy's sources says: a number of its own from 0 (unknown) to 4 (critical), or scores of
// CVSS.
func (x *scanReader) trivyRatings(name string, to *severities) error {
	if name == "VendorSeverity" {
		var vendors map[string]json.RawMessage
		err := x.json.Decode(&vendors)
		for _, vendor := range slices.Sorted(maps.Keys(vendors)) {
			word := name + " " + string(vendors[vendor])
			if i := slices.Index([]string{"0", "1", "2", "3", "4"}, string(vendors[vendor])); i >= 0 {
				word = []string{"unknown", "low", "medium", "high", "critical"}[i]
			}
			x.rate(to, word)
		}
		return err
	}
	var sources map[string]struct {
		Old   json.RawMessage `json:"V2Score"`
		Score json.RawMessage `json:"V3Score"`
		New   json.RawMessage `json:"V40Score"`
	}
	err := x.json.Decode(&sources)
	for _, source := range slices.Sorted(maps.Keys(sources)) {
		said := sources[source]
		x.rate(to, string(said.Score))
		x.rate(to, string(said.New))
		to.sayOld(string(said.Old))
	}
	return err
}

func scannedPackage(purl, name, version string) string {
	if purl != "" {
		return purl
	}
	return strings.TrimSpace(name + " " + version)
}

func (x *scanReader) grypeMatch() error {
	s := x.json
	var v stemma.Vulnerability
	var purl, pkg, version string
	var fixed []string
	var rated severities
	err := s.Object([]string{"vulnerability", "artifact"}, func(name string) error {
		if name == "artifact" {
			return s.Object([]string{"name", "version", "purl"}, func(name string) (err error) {
				switch name {
				case "name":
					pkg, err = s.Text()
				case "version":
					version, err = s.Text()
				default:
					purl, err = s.Text()
				}
				return err
			})
		}
		return s.Object([]string{"id", "severity", "cvss", "fix"}, func(name string) (err error) {
			switch name {
			case "id":
				v.ID, err = s.Text()
			case "severity":
				var severity string
				severity, err = s.Text()
				x.rate(&rated, severity)
			case "cvss":
				err = each(s, func() error { return x.grypeCVSS(&rated) })
			default:
				err = s.Object([]string{"versions"}, func(string) error {
					return each(s, func() error {
						version, err := s.Text()
						if len(fixed) < maxListed {
							fixed = append(fixed, version)
						}
						return err
					})
				})
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	v.Package, v.Fixed, v.Severity = scannedPackage(purl, pkg, version), strings.Join(fixed, ", "), rated.String()
	return x.found(v)
}

// grypeCVSS reads a score, or the vector where no score stands beside it.
func (x *scanReader) grypeCVSS(to *severities) error {
	s := x.json
	var version, vector, score string
	err := s.Object([]string{"version", "vector", "metrics"}, func(name string) (err error) {
		switch name {
		case "version":
			version, err = s.Text()
		case "vector":
			vector, err = s.Text()
		default:
			err = s.Object([]string{"baseScore"}, func(string) error {
				score, err = x.scalar()
				return err
			})
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case score == "":
		score = vector
	case strings.HasPrefix(version, "2"):
		to.sayOld(score)
		return nil
	}
	x.rate(to, score)
	return nil
}

// grypeDescriptor reads how grype names itself and its database, whose age stands in one of two places by its version.
func (x *scanReader) grypeDescriptor() error {
	s := x.json
	built := func(string) (err error) {
		x.built, err = timeOf(s)
		return err
	}
	return s.Object([]string{"name", "version", "timestamp", "db"}, func(name string) (err error) {
		switch name {
		case "name":
			x.name, err = s.Text()
		case "version":
			x.version, err = s.Text()
		case "timestamp":
			x.at, err = timeOf(s)
		default:
			err = s.Object([]string{"built", "status"}, func(name string) error {
				if name == "status" {
					return s.Object([]string{"built"}, built)
				}
				return built(name)
			})
		}
		return err
	})
}

// sarifRun reads a run of SARIF 2.1.0. Its findings refer to rules, of which scanners for vulnerabilities have one each,
// with the CVSS score as the property security-severity.
func (x *scanReader) sarifRun() error {
	s := x.json
	looked := false
	defer func() {
		// A run without results is one that failed (SARIF 2.1.0, section 3.14.23).
		if x.targets++; !looked {
			x.failed = true
		}
	}()
	return s.Object([]string{"tool", "results"}, func(name string) error {
		if name == "results" {
			looked = s.Kind() == '['
			return each(s, func() error {
				rule, suppressed := "", false
				err := s.Object([]string{"ruleId", "suppressions"}, func(name string) (err error) {
					if name == "ruleId" {
						rule, err = s.Text()
						return err
					}
					return each(s, func() error { suppressed = true; return nil })
				})
				if err != nil {
					return err
				}
				if suppressed {
					x.note("%s is said to be suppressed, and counted", rule)
				}
				x.ruled = append(x.ruled, rule)
				return x.found(stemma.Vulnerability{ID: rule})
			})
		}
		return s.Object([]string{"driver"}, func(string) error {
			return s.Object([]string{"name", "version", "rules"}, func(name string) (err error) {
				switch name {
				case "name":
					x.name, err = s.Text()
				case "version":
					x.version, err = s.Text()
				default:
					err = each(s, x.sarifRule)
				}
				return err
			})
		})
	})
}

func (x *scanReader) sarifRule() error {
	s := x.json
	id := ""
	var worst severities
	err := s.Object([]string{"id", "properties"}, func(name string) (err error) {
		if name == "id" {
			id, err = s.Text()
			return err
		}
		return s.Object([]string{"security-severity", "tags"}, func(name string) error {
			if name == "tags" {
				return each(s, func() error {
					tag, err := s.Text()
					worst.say(tag) // most of them are about something else
					return err
				})
			}
			score, err := x.scalar()
			x.rate(&worst, score)
			return err
		})
	})
	if err != nil || id == "" {
		return err
	}
	worst.say(x.rules[id])
	put(&x.rules, id, worst.String())
	return nil
}
