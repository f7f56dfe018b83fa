package predicate

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

const cyclone16 = `{
  "bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
  "metadata": {
    "timestamp": "2026-01-02T03:04:05Z", "tools": {"components": [{"type": "application", "name": "syft", "version": "1.18.0"}], "services": [{"name": "builder"}]},
    "authors": [{"name": "Jane", "email": "jane@acme.example"}], "manufacturer": {"name": "Acme, Inc"},
    "component": {"bom-ref": "image", "type": "container", "name": "reg.example/app", "version": "sha256:` + hexA + `", "supplier": {"name": "Acme"},
      "pedigree": {"ancestors": [{"type": "container", "name": "debian", "version": "13", "hashes": [{"alg": "SHA-256", "content": "` + hexB + `"}], "components": [{"type": "library", "name": "libc"}]}]}}
  },
  "components": [
    {"bom-ref": "zlib", "type": "library", "name": "zlib", "version": "1.3", "purl": "pkg:deb/debian/zlib@1.3", "publisher": "Debian", "components": [{"bom-ref": "inner", "type": "library", "name": "inner", "cpe": "cpe:2.3:a:x:inner"}]},
    {"bom-ref": "odd", "type": "file", "name": "odd"}
  ],
  "dependencies": [{"ref": "image", "dependsOn": ["zlib", "odd"]}, {"ref": "zlib"}, {"ref": "odd", "provides": ["inner"]}]
}`

func readCyclone16() stemma.SBOM {
	return stemma.SBOM{
		Bundle: "sha256:00", Format: "CycloneDX 1.6", Name: "reg.example/app", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Tools: []string{"syft 1.18.0", "builder"}, Authors: []string{"Jane", "Acme, Inc"},
		Subjects: []stemma.Component{{Name: "reg.example/app", Version: "sha256:" + hexA}},
		Bases:    []stemma.Component{{Name: "debian", Version: "13", Digests: []stemma.Digest{"sha256:" + hexB}}},
		Packages: []stemma.Component{{Name: "zlib", Version: "1.3", PURL: "pkg:deb/debian/zlib@1.3"}, {Name: "inner"}, {Name: "odd"}},
		Elements: stemma.Elements{Components: 4, Unversioned: 2, Unsupplied: 2, Unidentified: 2, Relationships: 3},
	}
}

func TestCycloneDX(t *testing.T) {
	const at = "reading CycloneDX document: reading JSON "
	const odd = `{"bom-ref": "odd", "type": "file", "name": "odd"}`
	with := func(kind, property, value string) string {
		return `{"bom-ref": "odd", "type": "` + kind + `", "name": "odd", "properties": [{"name": "` + property + `", "value": "` + value + `"}]}`
	}
	same := func(*stemma.SBOM) {}
	noBase := func(b *stemma.SBOM) { b.Bases = nil }
	digest := func(d stemma.Digest) func(*stemma.SBOM) {
		return func(b *stemma.SBOM) {
			b.Packages[2].Digests = []stemma.Digest{d}
			b.Elements.Unidentified--
		}
	}
	runBOM(t, "application/vnd.cyclonedx+json; version=1.6", cyclone16, readCyclone16(), []bomCase{
		{name: "tools of before 1.5", old: `{"components": [{"type": "application", "name": "syft", "version": "1.18.0"}], "services": [{"name": "builder"}]}`, new: `[{"vendor": "anchore", "name": "syft", "version": "1.18.0"}, {"name": "builder"}, {"vendor": "nobody"}]`, want: same},
		{name: "no subject", old: `"component": {"bom-ref": "image"`, new: `"unit": {"bom-ref": "image"`, want: func(b *stemma.SBOM) {
			b.Name, b.Subjects, b.Bases = "", nil, nil
			b.Elements.Components, b.Elements.Unidentified = 3, 1
			b.Notes = []string{"the document does not say what it describes"}
		}},
		{name: "a subject that is null", old: `"component": {"bom-ref": "image"`, new: `"component": null, "unit": {"bom-ref": "image"`, want: func(b *stemma.SBOM) {
			b.Name, b.Subjects, b.Bases = "", nil, nil
			b.Elements.Components, b.Elements.Unidentified = 3, 1
			b.Notes = []string{"the document does not say what it describes"}
		}},
		{name: "a subject that is listed, too", old: `"components": [
    {`, new: `"components": [
    {"bom-ref": "image", "type": "container", "name": "reg.example/app", "version": "sha256:` + hexA + `", "supplier": {"name": "Acme"}}, {`, want: same},
		{name: "a subject that is listed as another", old: `"components": [
    {`, new: `"components": [
    {"bom-ref": "image", "type": "container", "name": "reg.example/app", "version": "sha256:` + hexB + `", "supplier": {"name": "Acme"}}, {`, want: func(b *stemma.SBOM) {
			b.Packages = append([]stemma.Component{{Name: "reg.example/app", Version: "sha256:" + hexB}}, b.Packages...)
			b.Elements.Components++
			b.Elements.Unidentified++
		}},
		{name: "a subject by its reference", old: `"bom-ref": "image", "type": "container"`, new: `"bom-ref": "pkg:oci/app@sha256:` + hexA + `", "type": "container"`, want: func(b *stemma.SBOM) {
			b.Subjects[0].PURL = "pkg:oci/app@sha256:" + hexA
			b.Elements.Unidentified--
		}},

		{name: "trivy's image", old: odd, new: with("container", "aquasecurity:trivy:ImageID", "sha256:"+hexC), want: digest("sha256:" + hexC)},
		{name: "trivy's image in a registry", old: odd, new: with("container", "aquasecurity:trivy:RepoDigest", "reg.example/app@sha256:"+hexC), want: digest("sha256:" + hexC)},
		{name: "trivy's layer", old: odd, new: with("container", "aquasecurity:trivy:DiffID", "sha256:"+hexC), want: same},
		{name: "trivy's image without algorithm", old: odd, new: with("container", "aquasecurity:trivy:ImageID", hexC), want: same},
		{name: "somebody else's property", old: odd, new: with("container", "trivy:ImageID", "sha256:"+hexC), want: same},

		{name: "marked by Konflux", old: odd, new: with("container", "konflux:container:is_base_image", "true"), want: func(b *stemma.SBOM) {
			b.Bases, b.Packages = append(b.Bases, b.Packages[2]), b.Packages[:2]
		}},
		{name: "marked, and no image", old: odd, new: with("library", "konflux:container:is_base_image", "true"), want: same},
		{name: "marked as none", old: odd, new: with("container", "konflux:container:is_base_image", "false"), want: same},
		{name: "marked further up", old: odd, new: with("container", "konflux:container:is_ancestor_image", "true"), want: same},
		{name: "a base in the formulation", old: `"dependencies"`, new: `"formulation": [{"components": [` + with("container", "konflux:container:is_base_image", "true") + `]}], "dependencies"`, want: func(b *stemma.SBOM) {
			b.Bases = append(b.Bases, stemma.Component{Name: "odd"})
		}},
		{name: "a stage in the formulation", old: `"dependencies"`, new: `"formulation": [{"components": [` + with("container", "konflux:container:is_builder_image:for_stage", "0") + `]}], "dependencies"`, want: same},
		{name: "an ancestor that is no image", old: `[{"type": "container", "name": "debian"`, new: `[{"type": "library", "name": "debian"`, want: noBase},
		{name: "an ancestor of a package", old: `"purl": "pkg:deb/debian/zlib@1.3"`, new: `"purl": "pkg:deb/debian/zlib@1.3", "pedigree": {"ancestors": [{"type": "container", "name": "x"}]}`, want: same},
		{name: "a variant", old: `"ancestors"`, new: `"variants"`, want: noBase},

		{name: "a time without zone", old: "2026-01-02T03:04:05Z", new: "2026-01-02T03:04:05", want: func(b *stemma.SBOM) {
			b.Created = time.Time{}
			b.Notes = []string{`the time "2026-01-02T03:04:05" is left out: want RFC 3339`}
		}},
		{name: "an author without name", old: `{"name": "Jane", "email"`, new: `{"email"`, want: func(b *stemma.SBOM) { b.Authors[0] = "jane@acme.example" }},
		{name: "a name that is too long", old: `"name": "inner"`, new: `"name": "` + strings.Repeat("n", 2049) + `"`, want: func(b *stemma.SBOM) {
			b.Packages[1].Name = ""
			b.Elements.Unnamed++
			b.Notes = []string{"a component's name is left out: longer than 2048 bytes"}
		}},

		{name: "another format", old: `"CycloneDX"`, new: `"cyclonedx"`, err: "reading CycloneDX document: the document names no version of CycloneDX"},
		{name: "another version", old: `"1.6"`, new: `"2.0"`, err: "reading CycloneDX document: version 2.0 of CycloneDX is not read"},
		{name: "a version that is a number", old: `"1.6"`, new: `1.6`, err: at + "(/specVersion): expected a string"},
		{name: "components that are an object", old: `"components": [
`, new: `"components": {}, "x": [
`, err: at + "(/components): expected an array"},
		{name: "a component that is null", old: `"components": [
`, new: `"components": [null,
`, err: at + "(/components/0): expected an element, got null"},
		{name: "a component within that is text", old: `"components": [{"bom-ref": "inner", "type": "library", "name": "inner", "cpe": "cpe:2.3:a:x:inner"}]`, new: `"components": ["x"]`, err: at + "(/components/0/components/0): expected an object"},
		{name: "a name twice", old: `"name": "inner"`, new: `"name": "inner", "name": "outer"`, err: at + `(/components/0/components/0): duplicate name "name"`},
		{name: "a name in another case", old: `"name": "inner"`, new: `"Name": "inner"`, err: at + `(/components/0/components/0/Name): name "Name" differs from "name" only in case`},
		{name: "a digest that is a number", old: `"content": "` + hexB + `"`, new: `"content": 7`, err: at + "(/metadata/component/pedigree/ancestors/0/hashes/0/content): expected a string"},
		{name: "tools that are text", old: `{"components": [{"type": "application", "name": "syft", "version": "1.18.0"}], "services": [{"name": "builder"}]}`, new: `"syft"`, err: at + "(/metadata/tools): expected an array"},
		{name: "dependencies of one", old: `"dependsOn": ["zlib", "odd"]`, new: `"dependsOn": "zlib"`, err: at + "(/dependencies/0/dependsOn): expected an array"},
		{name: "components within components without end", old: `"components": [{"bom-ref": "inner"`, new: `"components": [` + strings.Repeat(`{"components": [`, 40) + strings.Repeat(`]},`, 40) + `{"bom-ref": "inner"`, err: at + "(/components/0/components/0/components/0/components/0/…): nested deeper than 64"},
		{name: "half of it", old: cyclone16[len(cyclone16)-80:], new: "", err: at + "(/dependencies/0): unterminated string"},
	})
}

func TestOtherFiles(t *testing.T) {
	for _, c := range []struct{ mediaType, data, format, err string }{
		{"application/vnd.syft+json", `{"artifacts":[]}`, "Syft", ""},
		{"application/vnd.syft+json", `{"artifacts":[],"artifacts":[]}`, "", `reading Syft document: reading JSON : duplicate name "artifacts"`},
		{"application/vnd.cyclonedx+xml", `<bom/>`, "", "reading CycloneDX document: XML is not read; attach it as application/vnd.cyclonedx+json"},
		{"application/vnd.cyclonedx", `<bom/>`, "", "reading CycloneDX document: XML is not read; attach it as application/vnd.cyclonedx+json"},
		{"application/json", `{`, "", ""},
		{"application/csaf+json", `{`, "", ""},
		{"", ``, "", ""},
	} {
		d, err := ReadFile("sha256:00", c.mediaType, []byte(c.data))
		switch {
		case c.err != "":
			if err == nil || withoutOffset(err) != c.err || d != (Document{}) {
				t.Errorf("%s: %v, want %s", c.mediaType, err, c.err)
			}
		case err != nil, (c.format == "") != (d == Document{}), c.format != "" && (d.SBOM.Format != c.format || len(d.SBOM.Notes) != 1):
			t.Errorf("%s: %+v, %v", c.mediaType, d.SBOM, err)
		}
	}
}

// A document in which somebody analysed vulnerabilities is VEX, too.
func TestCycloneDXVEX(t *testing.T) {
	const flaw = `"vulnerabilities": [{"id": "CVE-2026-1", "references": [{"id": "GHSA-1", "source": {"name": "x"}}], "analysis": {"state": "not_affected", "justification": "code_not_reachable", "detail": "d"},
		"affects": [{"ref": "zlib"}]}], "dependencies"`
	doc := change(t, cyclone16, `"dependencies"`, flaw)
	good := stemma.Exploitability{IDs: []string{"CVE-2026-1", "GHSA-1"}, Products: []string{"pkg:deb/debian/zlib@1.3"}, Digests: []stemma.Digest{"sha256:" + hexA}, Status: "not_affected", Justification: "code_not_reachable", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	on := func(year int) func(*stemma.Exploitability) {
		return func(x *stemma.Exploitability) { x.Time = time.Date(year, 2, 2, 3, 4, 5, 0, time.UTC) }
	}
	for _, c := range []struct {
		name, old, new, err string
		want                func(*stemma.Exploitability) // nil: no statement
	}{
		{name: "as it is", want: func(*stemma.Exploitability) {}},
		{name: "by BOM-Link", old: `"ref": "zlib"}]}]`, new: `"ref": "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#zlib"}]}]`, want: func(*stemma.Exploitability) {}},
		{name: "the image itself", old: `"ref": "zlib"}]}]`, new: `"ref": "image"}]}]`, want: func(x *stemma.Exploitability) { x.Products = []string{"image"} }},
		{name: "what is elsewhere", old: `"ref": "zlib"}]}]`, new: `"ref": "urn:cdx:other/1#lib"}]}]`, want: func(x *stemma.Exploitability) { x.Products, x.Digests = []string{"urn:cdx:other/1#lib"}, nil }},
		{name: "fixed", old: `"not_affected"`, new: `"resolved"`, want: func(x *stemma.Exploitability) { x.Status = "fixed" }},
		{name: "false positive", old: `"not_affected"`, new: `"false_positive"`, want: func(*stemma.Exploitability) {}},
		{name: "affected", old: `"not_affected"`, new: `"exploitable"`, want: func(x *stemma.Exploitability) { x.Status = "affected" }},
		{name: "in triage", old: `"not_affected"`, new: `"in_triage"`, want: func(x *stemma.Exploitability) { x.Status = "under_investigation" }},
		{name: "of this version", old: `"ref": "zlib"}]}]`, new: `"ref": "zlib", "versions": [{"version": "1.3", "status": "unaffected"}]}]}]`, want: func(*stemma.Exploitability) {}},
		{name: "of another version", old: `"ref": "zlib"}]}]`, new: `"ref": "zlib", "versions": [{"version": "1.4", "status": "unaffected"}]}]}]`},
		{name: "of a range", old: `"ref": "zlib"}]}]`, new: `"ref": "zlib", "versions": [{"range": "vers:deb/<2", "status": "unaffected"}]}]}]`},
		{name: "of this version, and it is affected", old: `"ref": "zlib"}]}]`, new: `"ref": "zlib", "versions": [{"version": "1.3", "status": "affected"}]}]}]`},
		{name: "of this version, by default", old: `"ref": "zlib"}]}]`, new: `"ref": "zlib", "versions": [{"version": "1.3"}]}]}]`},
		{name: "first issued", old: `"state"`, new: `"firstIssued": "2025-02-02T03:04:05Z", "state"`, want: on(2025)},
		{name: "updated", old: `"state"`, new: `"firstIssued": "2024-02-02T03:04:05Z", "lastUpdated": "2025-02-02T03:04:05Z", "state"`, want: on(2025)},
		{name: "updated after the document", old: `"state"`, new: `"lastUpdated": "2027-02-02T03:04:05Z", "state"`, want: on(2027)},
		{name: "a time that is none", old: `"state"`, new: `"lastUpdated": "x", "state"`, err: `reading CycloneDX document: reading JSON (/vulnerabilities/0/analysis/lastUpdated): expected a time of RFC 3339, got "x"`},
		{name: "no analysis", old: `"analysis": {"state": "not_affected", `, new: `"analysis": {`},
		{name: "no analysis at all", old: `"analysis"`, new: `"opinion"`},
		{name: "a state that is none", old: `"not_affected"`, new: `"NOT_AFFECTED"`, err: `reading CycloneDX document: reading JSON (/vulnerabilities/0): state "NOT_AFFECTED" of an analysis: want one of CycloneDX`},
		{name: "no id", old: `"id": "CVE-2026-1", "references"`, new: `"links"`, err: `reading CycloneDX document: reading JSON (/vulnerabilities/0): an analysis of a vulnerability without id`},
		{name: "an id that is a number", old: `"CVE-2026-1"`, new: `1`, err: `reading CycloneDX document: reading JSON (/vulnerabilities/0/id): expected a string`},
		{name: "affects one", old: `[{"ref": "zlib"}]`, new: `{"ref": "zlib"}`, err: `reading CycloneDX document: reading JSON (/vulnerabilities/0/affects): expected an array`},
	} {
		changed := doc
		if c.old != "" {
			changed = change(t, doc, c.old, c.new)
		}
		d, err := ReadUnsigned("sha256:00", stemma.Statement{PredicateType: "https://cyclonedx.org/bom/v1.6", Predicate: json.RawMessage(changed)})
		if c.err != "" {
			if err == nil || withoutOffset(err) != c.err || d != (Document{}) {
				t.Errorf("%s: %v, want %s", c.name, err, c.err)
			}
			continue
		}
		if err != nil || d.SBOM == nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var want *stemma.VEX
		if c.want != nil {
			x := good
			c.want(&x)
			want = &stemma.VEX{Bundle: "sha256:00", Format: "CycloneDX 1.6", Author: "Jane, Acme, Inc", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Statements: []stemma.Exploitability{x}}
		}
		if diff := cmp.Diff(want, d.VEX); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
