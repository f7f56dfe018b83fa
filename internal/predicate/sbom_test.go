package predicate

import (
	"encoding/json"
	"testing"

	"stemma"
)

func TestSBOM(t *testing.T) {
	const spdxType, cycloneType = "https://spdx.dev/Document", "https://cyclonedx.org/bom"
	for _, c := range []struct{ kind, predicate, format, name, err string }{
		{spdxType, `{"spdxVersion":"SPDX-2.3","name":"app"}`, "SPDX 2.3", "app", ""},
		{spdxType + "/v2.3", `{"spdxVersion":"SPDX-2.3"}`, "SPDX 2.3", "", ""},
		{spdxType + "/v2", `{"spdxVersion":"SPDX-2.3"}`, "SPDX 2.3", "", ""},
		{spdxType, `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}`, "SPDX 3.0.1", "", ""},
		{spdxType, `"SPDXVersion: SPDX-2.2\nDataLicense: CC0-1.0\n"`, "SPDX 2.2", "", ""},
		{cycloneType, `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"name":"app"}}}`, "CycloneDX 1.6", "app", ""},
		{cycloneType + "/v1.4", `{"bomFormat":"CycloneDX","specVersion":"1.4"}`, "CycloneDX 1.4", "", ""},

		{spdxType + "/v2.2", `{"spdxVersion":"SPDX-2.3"}`, "", "", "reading SPDX document: version 2.3 under the predicate type of version 2.2"},
		{spdxType + "/v2", `{"spdxVersion":"SPDX-20.3"}`, "", "", "reading SPDX document: version 20.3 under the predicate type of version 2"},
		{spdxType, `{"bomFormat":"CycloneDX","specVersion":"1.6"}`, "", "", "reading SPDX document: the document names no version of SPDX"},
		{spdxType, `{"spdxVersion":"SPDX-2.3\u001b[1m"}`, "", "", "reading SPDX document: the document names no version of SPDX"},
		{spdxType, `{"@context":"https://spdx.org/rdf/3.0.1/other"}`, "", "", "reading SPDX document: the document names no version of SPDX"},
		{spdxType, `"something else"`, "", "", "reading SPDX document: a string that does not begin with SPDXVersion: SPDX-"},
		{spdxType, `{}`, "", "", "reading SPDX document: the document names no version of SPDX"},
		{spdxType, `null`, "", "", "reading SPDX document: the document names no version of SPDX"},
		{spdxType, `[]`, "", "", "reading SPDX document: reading JSON at byte 0: expected an object"},
		{spdxType, `{"spdxVersion":"SPDX-2.3","spdxVersion":"SPDX-2.2"}`, "", "", `reading SPDX document: reading JSON at byte 39: duplicate name "spdxVersion"`},
		{cycloneType, `{"specVersion":"1.6"}`, "", "", "reading CycloneDX document: the document names no version of CycloneDX"},
		{cycloneType, `{"bomFormat":"CycloneDX","specVersion":1.6}`, "", "", "reading CycloneDX document: reading JSON at byte 39 (/specVersion): expected a string"},
		{cycloneType, ``, "", "", "reading CycloneDX document: reading JSON at byte 0: empty document"},
	} {
		d, err := Read(stemma.Attestation{Bundle: "sha256:00", Statement: stemma.Statement{PredicateType: c.kind, Predicate: json.RawMessage(c.predicate)}})
		b := d.SBOM
		if d.Provenance != nil {
			t.Errorf("%s: a provenance", c.predicate)
		}
		if c.err != "" {
			if err == nil || err.Error() != c.err || b != nil {
				t.Errorf("%s %s:\ngot  %v, %v\nwant %s", c.kind, c.predicate, b, err, c.err)
			}
			continue
		}
		if err != nil || b == nil || b.Bundle != "sha256:00" || b.Format != c.format || b.Name != c.name {
			t.Errorf("%s %s: %v, %v", c.kind, c.predicate, b, err)
		}
	}
}
