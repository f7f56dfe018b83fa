package predicate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"stemma"
)

// bomKinds lists the predicate types that are read here, each with a document.
func bomKinds() []sample {
	return []sample{
		{"https://spdx.dev/Document", spdx23},
		{"https://spdx.dev/Document/v3", spdx301},
		{"https://cyclonedx.org/bom", cyclone16},
		{"https://openvex.dev/ns", openVEX020},
		{vulnsV02, scanList},
		{vulnsV1, scanOf(`{"Results":[{"Vulnerabilities":[{"VulnerabilityID":"CVE-2026-1"}]}]}`)},
		{vulnsV1, scanOf(`{"matches":[{"vulnerability":{"id":"CVE-2026-1"}}]}`)},
		{stemma.PredicateVSAv1, vsa1},
	}
}

// checkBOM holds what was read to what the types promise.
func checkBOM(t *testing.T, d Document) {
	t.Helper()
	text := func(what string, values ...string) {
		for _, s := range values {
			if len(s) > 4*maxClaim || !printable(s) && stemma.Printable(s, maxClaim) != s {
				t.Errorf("%s: %.80q", what, s)
			}
		}
	}
	if b := d.SBOM; b != nil {
		e := b.Elements
		if e.Components < kept(b)-maxRoots || e.Components < len(b.Packages) || max(e.Unnamed, e.Unversioned, e.Unsupplied, e.Unidentified) > e.Components {
			t.Errorf("%+v, %d packages, %d subjects, %d bases", e, len(b.Packages), len(b.Subjects), len(b.Bases))
		}
		if b.Format == "" || len(b.Packages) > stemma.MaxPackages || len(b.Notes) > maxListed || len(b.Tools) > maxListed || len(b.Authors) > maxListed {
			t.Errorf("%q, %d packages, %d notes, %d tools, %d authors", b.Format, len(b.Packages), len(b.Notes), len(b.Tools), len(b.Authors))
		}
		text("name", b.Name)
		text("notes", b.Notes...)
		text("tools", b.Tools...)
		text("authors", b.Authors...)
		for _, list := range [][]stemma.Component{b.Packages, b.Subjects, b.Bases} {
			for _, c := range list {
				text("component", c.Name, c.Version, c.PURL)
				for _, digest := range c.Digests {
					if _, err := stemma.ParseDigest(string(digest)); err != nil {
						t.Error(err)
					}
				}
			}
		}
	}
	if v := d.VEX; v != nil {
		for _, x := range v.Statements {
			if len(x.IDs) == 0 || x.Status == "" {
				t.Errorf("%+v", x)
			}
		}
	}
	if s := d.Scan; s != nil {
		text("notes", s.Notes...)
		for _, v := range s.Found {
			if v.ID == "" || severityWord(v.Severity) != v.Severity {
				t.Errorf("%+v", v)
			}
		}
	}
	if v := d.VSA; v != nil && (v.Result == "" || v.Verifier == "") {
		t.Errorf("%+v", v)
	}
}

func readSample(kind string, doc []byte) (Document, error) {
	return ReadUnsigned("sha256:00", stemma.Statement{PredicateType: kind, Predicate: doc, Subject: []stemma.ResourceDescriptor{{Digest: map[string]string{"sha256": hexA}}}})
}

// Every value set to null, and to each wrong type, one at a time: an error or a reading that says less, never a panic.
// Source: conforma IV-3, panics of rekor, go-tuf and kyverno.
func TestReg_J03_J04_null_and_type_flip_of_bills(t *testing.T) {
	for _, s := range bomKinds() {
		cases, read := 0, 0
		mutate(t, s.predicate, []any{nil, 7, true, []any{}, []any{nil}, []any{"x"}, map[string]any{}, map[string]any{"x": "y"}, "", "x"}, func(pointer string, value any, changed []byte) {
			cases++
			d, err := readSample(s.kind, changed)
			if err != nil {
				if d != (Document{}) {
					t.Errorf("%s %s set to %v: a document and %v", s.kind, pointer, value, err)
				}
				return
			}
			read++
			checkBOM(t, d)
		})
		if read == 0 || read == cases {
			t.Errorf("%s: %d of %d were read", s.kind, read, cases)
		}
		t.Logf("%s: %d changed documents, %d of them read", s.kind, cases, read)
	}
}

// Nothing that grows with the square of a document, and nothing that is kept without a bound.
func TestHostileBills(t *testing.T) {
	const n = 200000
	spdx := func(packages, relationships string) string {
		return `{"spdxVersion":"SPDX-2.3","packages":[` + packages + `],"relationships":[` + relationships + `]}`
	}
	list := func(n int, element string) string { return strings.TrimSuffix(strings.Repeat(element+",", n), ",") }
	vex := func(statements string) string {
		return `{"@context":"https://openvex.dev/ns","author":"x","statements":[` + statements + `]}`
	}
	for _, c := range []struct {
		name, kind, doc string
		limit           bool
		check           func(Document) bool
	}{
		{"more packages than are kept", "https://spdx.dev/Document", spdx(list(stemma.MaxPackages+5, `{"name":"a"}`), ""), false, func(d Document) bool {
			return len(d.SBOM.Packages) == stemma.MaxPackages && d.SBOM.Elements.Components == stemma.MaxPackages+5 && d.SBOM.Notes[0] == "5 components beyond the first 200000 are counted and left out"
		}},
		{"more components than are kept", "https://cyclonedx.org/bom", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[` + list(stemma.MaxPackages+5, `{"name":"a"}`) + `]}`, false, func(d Document) bool {
			return len(d.SBOM.Packages) == stemma.MaxPackages && d.SBOM.Elements.Components == stemma.MaxPackages+5
		}},
		{"one package URL for all", "https://spdx.dev/Document", spdx(list(n, `{"SPDXID":"a","name":"a","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:oci/a"}]}`), list(n, `{"spdxElementId":"a","relationshipType":"DESCENDANT_OF","relatedSpdxElement":"a"}`)), false, func(d Document) bool {
			return len(d.SBOM.Packages) == n && len(d.SBOM.Bases) == 0
		}},
		{"a list of what is described", "https://spdx.dev/Document", spdx(`{"SPDXID":"a"}`, list(n, `{"spdxElementId":"SPDXRef-DOCUMENT","relationshipType":"DESCRIBES","relatedSpdxElement":"a"}`)), true, nil},
		{"notes without end", "https://spdx.dev/Document", spdx(list(n, `{"name":"\u001b"}`), ""), false, func(d Document) bool { return len(d.SBOM.Notes) == maxListed && d.SBOM.Elements.Unnamed == n }},
		{"tools without end", "https://spdx.dev/Document", `{"spdxVersion":"SPDX-2.3","creationInfo":{"creators":[` + list(n, `"Tool: x"`) + `]}}`, false, func(d Document) bool { return len(d.SBOM.Tools) == maxListed }},
		{"digests without end", "https://spdx.dev/Document", spdx(`{"checksums":[`+list(n, `{"algorithm":"SHA256","checksumValue":"`+hexA+`"}`)+`]}`, ""), false, func(d Document) bool {
			return len(d.SBOM.Packages[0].Digests) == stemma.MaxSubjectDigests
		}},
		{"agents without end", "https://spdx.dev/Document", `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[` + list(n, `{"type":"Person"}`) + `]}`, true, nil},
		{"files without end", "https://spdx.dev/Document", `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[` + list(n, `{"type":"software_File","verifiedUsing":[{"algorithm":"sha256","hashValue":"`+hexA+`"}]}`) + `]}`, false, func(d Document) bool {
			return d.SBOM.Elements.Components == 0
		}},
		{"ancestors without end", "https://cyclonedx.org/bom", `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"pedigree":{"ancestors":[` + list(n, `{"type":"container"}`) + `]}}}}`, false, func(d Document) bool {
			return len(d.SBOM.Bases) == maxRoots
		}},
		{"statements without end", "https://openvex.dev/ns", vex(list(n, `{"vulnerability":"x","status":"fixed"}`)), true, nil},
		{"products without end", "https://openvex.dev/ns", vex(`{"vulnerability":"x","status":"fixed","products":[` + list(n, `"a"`) + `]}`), true, nil},
		{"components of products within them", "https://openvex.dev/ns", vex(`{"vulnerability":"x","status":"fixed","products":[{"@id":"a","subcomponents":[` + list(n, `{"@id":"a"}`) + `]}]}`), true, nil},
		{"aliases without end", "https://openvex.dev/ns", vex(`{"vulnerability":{"name":"x","aliases":[` + list(n, `"a"`) + `]},"status":"fixed"}`), false, func(d Document) bool {
			return len(d.VEX.Statements[0].IDs) == maxNames+1
		}},
		{"findings without end", vulnsV02, `{"scanner":{"result":[` + list(n, `{"id":"x"}`) + `]}}`, true, nil},
		{"depth", "https://cyclonedx.org/bom", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":` + strings.Repeat(`[{"components":`, 100000), true, nil},
	} {
		start := time.Now()
		d, err := readSample(c.kind, []byte(c.doc))
		took := time.Since(start)
		var e *stemma.JSONError
		switch {
		case c.limit && (!errors.As(err, &e) || !e.Limit || d != (Document{})):
			t.Errorf("%s: %v, want a limit", c.name, err)
		case !c.limit && (err != nil || !c.check(d)):
			t.Errorf("%s: %v, %+v", c.name, err, d)
		case took > 10*time.Second:
			t.Errorf("%s: took %v", c.name, took)
		}
		checkBOM(t, d)
	}
}

// A vulnerability that is said to affect many things of many names: what is looked up grows with the document.
func TestHostileAnalyses(t *testing.T) {
	var components, affects strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&components, `{"bom-ref":"c%d","type":"library","purl":"pkg:npm/c%d@1"},`, i, i)
		fmt.Fprintf(&affects, `{"ref":"c%d"},`, i)
	}
	one := `{"id":"CVE-2026-1","analysis":{"state":"not_affected"},"affects":[` + strings.TrimSuffix(affects.String(), ",") + `]},`
	doc := `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[` + strings.TrimSuffix(components.String(), ",") + `],"vulnerabilities":[` + strings.TrimSuffix(strings.Repeat(one, 100), ",") + `]}`
	start := time.Now()
	d, err := readSample("https://cyclonedx.org/bom", []byte(doc))
	if took := time.Since(start); err != nil || len(d.VEX.Statements) != 100 || len(d.VEX.Statements[99].Products) != 4000 || took > 10*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

func FuzzBOM(f *testing.F) {
	kinds := bomKinds()
	for i, s := range kinds {
		f.Add(uint8(i), []byte(s.predicate))
	}
	quoted, err := json.Marshal(spdxTags)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), quoted)
	f.Fuzz(func(t *testing.T, kind uint8, predicate []byte) {
		k := kinds[int(kind)%len(kinds)].kind
		d, err := readSample(k, predicate)
		if err != nil {
			if d != (Document{}) {
				t.Fatalf("%v and %v", d, err)
			}
			return
		}
		if stemma.CheckJSON(predicate) != nil {
			t.Fatal("a document that is no strict JSON was read")
		}
		checkBOM(t, d)
		again, err := readSample(k, predicate)
		a, errA := json.Marshal(d)
		b, errB := json.Marshal(again)
		if err := errors.Join(err, errA, errB); err != nil || string(a) != string(b) {
			t.Fatalf("read twice, and differently: %v\n%s\n%s", err, a, b)
		}
	})
}

// A time that no date can write must not reach evidence: what holds it could not be encoded, and one bill of materials with
// it would end every decision about its image.
func TestTimesBeyondDates(t *testing.T) {
	for kind, doc := range map[string]string{
		stemma.PredicateVSAv1: vsa1, vulnsV02: scanList, "https://openvex.dev/ns/v0.2.0": openVEX020, "https://spdx.dev/Document": spdx23,
	} {
		for zone, beyond := range map[string]bool{"-12:00": true, "Z": false} {
			text := strings.ReplaceAll(doc, "2026-01-02T03:04:05Z", "9999-12-31T23:59:59"+zone)
			if text == doc {
				t.Fatal(kind)
			}
			d, err := ReadUnsigned("sha256:00", stemma.Statement{PredicateType: kind, Predicate: json.RawMessage(text)})
			data, encoded := json.Marshal(d)
			if encoded != nil {
				t.Errorf("%s %s: %v", kind, zone, encoded)
			}
			if kept := err == nil && strings.Contains(string(data), `"9999-12-31T23:59:59Z"`); kept == beyond {
				t.Errorf("%s %s: %v, %s", kind, zone, err, data)
			}
		}
	}
}
