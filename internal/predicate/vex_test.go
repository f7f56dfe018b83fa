package predicate

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

const openVEX020 = `{
  "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex-1", "author": "Acme", "timestamp": "2026-01-02T03:04:05Z", "version": 1,
  "statements": [{
    "vulnerability": {"@id": "https://nvd.nist.gov/vuln/detail/CVE-2026-1", "name": "CVE-2026-1", "aliases": ["GHSA-1"]},
    "products": [{"@id": "pkg:oci/app@sha256%3A` + hexA + `", "identifiers": {"purl": "pkg:oci/app"}, "hashes": {"sha-256": "` + hexB + `", "md5": "x"},
      "subcomponents": [{"@id": "pkg:deb/debian/zlib@1.3"}]}],
    "status": "not_affected", "justification": "vulnerable_code_not_present", "impact_statement": "gone"
  }]
}`

func readVEX020() stemma.VEX {
	return stemma.VEX{
		Bundle: "sha256:00", Format: "OpenVEX v0.2.0", Author: "Acme", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Statements: []stemma.Exploitability{{
			IDs: []string{"CVE-2026-1", "GHSA-1"}, Products: []string{"pkg:oci/app@sha256%3A" + hexA, "pkg:oci/app", "pkg:deb/debian/zlib@1.3"},
			Digests: []stemma.Digest{"sha256:" + hexB}, Status: "not_affected", Justification: "vulnerable_code_not_present",
			Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		}},
	}
}

func TestOpenVEX(t *testing.T) {
	const at = "reading OpenVEX document: reading JSON "
	const products = `[{"@id": "pkg:oci/app@sha256%3A` + hexA + `", "identifiers": {"purl": "pkg:oci/app"}, "hashes": {"sha-256": "` + hexB + `", "md5": "x"},
      "subcomponents": [{"@id": "pkg:deb/debian/zlib@1.3"}]}]`
	named := func(products ...string) func(*stemma.VEX) {
		return func(v *stemma.VEX) { v.Statements[0].Products, v.Statements[0].Digests = products, nil }
	}
	same := func(*stemma.VEX) {}
	saidOn := func(year int) func(*stemma.VEX) {
		return func(v *stemma.VEX) { v.Statements[0].Time = time.Date(year, 2, 2, 3, 4, 5, 0, time.UTC) }
	}
	for _, c := range []struct {
		name, old, new, old2, new2, err string
		want                            func(*stemma.VEX)
	}{
		{name: "as it is", want: same},
		{name: "updated", old: `"version": 1`, new: `"last_updated": "2026-02-02T03:04:05+01:00", "version": 1`, want: func(v *stemma.VEX) { v.Time = time.Date(2026, 2, 2, 2, 4, 5, 0, time.UTC) }},
		{name: "updated before it was issued", old: `"version": 1`, new: `"last_updated": "2025-02-02T03:04:05Z", "version": 1`, want: same},
		{name: "no time", old: `"timestamp": "2026-01-02T03:04:05Z", `, new: ``, want: func(v *stemma.VEX) { v.Time, v.Statements[0].Time = time.Time{}, time.Time{} }},
		{name: "a time of its own, before the document's", old: `"status"`, new: `"timestamp": "2025-02-02T03:04:05Z", "status"`, want: saidOn(2025)},
		{name: "a time of its own, after the document's", old: `"status"`, new: `"timestamp": "2027-02-02T03:04:05Z", "status"`, want: saidOn(2027)},
		{name: "said again", old: `"status"`, new: `"timestamp": "2024-02-02T03:04:05Z", "last_updated": "2025-02-02T03:04:05Z", "status"`, want: saidOn(2025)},
		{name: "said again before it was said", old: `"status"`, new: `"timestamp": "2025-02-02T03:04:05Z", "last_updated": "2024-02-02T03:04:05Z", "status"`, want: saidOn(2025)},
		// What was changed in the document need not be this statement: a word that takes a vulnerability out is no newer for it.
		{name: "updated, and a time of its own", old: `"version": 1`, new: `"last_updated": "2026-02-02T03:04:05Z", "version": 1`, old2: `"status"`, new2: `"timestamp": "2025-02-02T03:04:05Z", "status"`, want: func(v *stemma.VEX) {
			saidOn(2025)(v)
			v.Time = time.Date(2026, 2, 2, 3, 4, 5, 0, time.UTC)
		}},
		{name: "updated, and affected", old: `"version": 1`, new: `"last_updated": "2026-02-02T03:04:05Z", "version": 1`, old2: `"not_affected"`, new2: `"affected"`, want: func(v *stemma.VEX) {
			v.Time = time.Date(2026, 2, 2, 3, 4, 5, 0, time.UTC)
			v.Statements[0].Status, v.Statements[0].Time = "affected", v.Time
		}},
		{name: "a time of its own that is none", old: `"status"`, new: `"timestamp": "yesterday", "status"`, err: at + `(/statements/0/timestamp): expected a time of RFC 3339, got "yesterday"`},
		{name: "no version in the context", old: "/ns/v0.2.0", new: "/ns", want: func(v *stemma.VEX) { v.Format = "OpenVEX" }},
		{name: "a vulnerability by its address", old: `"name": "CVE-2026-1", `, new: ``, want: func(v *stemma.VEX) { v.Statements[0].IDs[0] = "https://nvd.nist.gov/vuln/detail/CVE-2026-1" }},
		{name: "a vulnerability of v0.0.1", old: `{"@id": "https://nvd.nist.gov/vuln/detail/CVE-2026-1", "name": "CVE-2026-1", "aliases": ["GHSA-1"]}`, new: `"CVE-2026-1"`, want: func(v *stemma.VEX) { v.Statements[0].IDs = []string{"CVE-2026-1"} }},
		{name: "products of v0.0.1", old: products, new: `["pkg:oci/app", "pkg:oci/other"]`, want: named("pkg:oci/app", "pkg:oci/other")},
		{name: "no justification", old: `"justification": "vulnerable_code_not_present", `, new: ``, want: func(v *stemma.VEX) { v.Statements[0].Justification = "gone" }},
		{name: "no products", old: `"products": ` + products + `,`, new: ``, want: func(v *stemma.VEX) {
			v.Statements[0].Products, v.Statements[0].Digests = nil, []stemma.Digest{"sha256:" + hexC}
		}},
		{name: "an empty list of products", old: products, new: `[]`, want: func(v *stemma.VEX) {
			v.Statements[0].Products, v.Statements[0].Digests = nil, []stemma.Digest{"sha256:" + hexC}
		}},
		// The component of one product says nothing of another product.
		{name: "two products, one with a component", old: products, new: `[{"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:deb/debian/zlib"}]}, {"@id": "pkg:oci/other"}]`, want: func(v *stemma.VEX) {
			named("pkg:oci/app", "pkg:deb/debian/zlib")(v)
			second := v.Statements[0]
			second.Products = []string{"pkg:oci/other"}
			v.Statements = append(v.Statements, second)
		}},
		{name: "two products without", old: products, new: `[{"@id": "pkg:oci/app"}, {"@id": "pkg:oci/other"}]`, want: named("pkg:oci/app", "pkg:oci/other")},

		{name: "another context", old: "openvex.dev/ns/", new: "openvex.example/ns/", err: "reading OpenVEX document: the document names no context of OpenVEX"},
		{name: "no context", old: `"@context"`, new: `"context"`, err: "reading OpenVEX document: the document names no context of OpenVEX"},
		{name: "a version that is none", old: "v0.2.0", new: "vnext", err: "reading OpenVEX document: the document names no context of OpenVEX"},
		{name: "another version than promised", old: "v0.2.0", new: "v0.1.0", err: "reading OpenVEX document: context https://openvex.dev/ns/v0.1.0 under the predicate type of version 0.2.0"},
		{name: "no author", old: `"author": "Acme", `, new: ``, err: "reading OpenVEX document: a document without author"},
		{name: "no statements", old: `"statements"`, new: `"words"`, err: "reading OpenVEX document: a document without statements"},
		{name: "statements that are null", old: `"statements": [`, new: `"statements": null, "x": [`, err: "reading OpenVEX document: a document without statements"},
		{name: "a statement that is null", old: `"statements": [`, new: `"statements": [null, `, err: at + "(/statements/0): expected an element, got null"},
		{name: "a time that is none", old: "2026-01-02T03:04:05Z", new: "today", err: at + `(/timestamp): expected a time of RFC 3339, got "today"`},
		{name: "another status", old: `"not_affected"`, new: `"Not_Affected"`, err: at + `(/statements/0): status "Not_Affected": want not_affected, affected, fixed or under_investigation`},
		{name: "no status", old: `"status": "not_affected", `, new: ``, err: at + `(/statements/0): status "": want not_affected, affected, fixed or under_investigation`},
		{name: "two states", old: `"status": "not_affected",`, new: `"status": "not_affected", "status": "affected",`, err: at + `(/statements/0): duplicate name "status"`},
		{name: "a status in another case", old: `"status": "not_affected",`, new: `"status": "not_affected", "Status": "affected",`, err: at + `(/statements/0/Status): name "Status" differs from "status" only in case`},
		{name: "no vulnerability", old: `"vulnerability"`, new: `"weakness"`, err: at + "(/statements/0): a statement without vulnerability"},
		{name: "a vulnerability without name", old: `{"@id": "https://nvd.nist.gov/vuln/detail/CVE-2026-1", "name": "CVE-2026-1", "aliases": ["GHSA-1"]}`, new: `{"aliases": ["GHSA-1"]}`, err: at + "(/statements/0): a statement without vulnerability"},
		{name: "a product without name", old: products, new: `[{"supplier": "x"}]`, err: at + "(/statements/0/products/0): a product without identifier"},
		{name: "a product that is empty", old: products, new: `[""]`, err: at + "(/statements/0/products/0): a product without identifier"},
		{name: "products that are text", old: products, new: `"pkg:oci/app"`, err: at + "(/statements/0/products): expected an array"},
		{name: "a component without name", old: `{"@id": "pkg:deb/debian/zlib@1.3"}`, new: `{}`, err: at + "(/statements/0/products/0/subcomponents/0): a product without identifier"},
		{name: "a digest that is none", old: `"sha-256": "` + hexB, new: `"sha-256": "b`, err: at + "(/statements/0/products/0/hashes/sha-256): sha256 digest of 1 characters: want 64 hex digits"},
	} {
		doc := openVEX020
		if c.old != "" {
			doc = change(t, doc, c.old, c.new)
		}
		if c.old2 != "" {
			doc = change(t, doc, c.old2, c.new2)
		}
		kind := "https://openvex.dev/ns"
		if c.name == "another version than promised" || c.name == "as it is" {
			kind += "/v0.2.0"
		}
		d, err := ReadUnsigned("sha256:00", stemma.Statement{
			PredicateType: kind, Predicate: json.RawMessage(doc),
			Subject: []stemma.ResourceDescriptor{{Digest: map[string]string{"sha256": hexC, "sha1": "x"}}, {Digest: map[string]string{"sha256": hexC}}},
		})
		if c.err != "" {
			if err == nil || withoutOffset(err) != c.err || d != (Document{}) {
				t.Errorf("%s: %v\nwant %s", c.name, err, c.err)
			}
			continue
		}
		want := readVEX020()
		c.want(&want)
		if diff := cmp.Diff(&want, d.VEX); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
	// A file is about no subject.
	d, err := ReadFile("sha256:00", "application/vnd.openvex+json", []byte(change(t, openVEX020, `"products": `+products+`,`, ``)))
	if err != nil || len(d.VEX.Statements) != 1 || d.VEX.Statements[0].Digests != nil {
		t.Errorf("a file: %+v, %v", d.VEX, err)
	}
}
