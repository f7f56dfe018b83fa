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
	hexA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hexB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	hexC = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
)

const spdx23 = `{
  "spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "acme/app", "dataLicense": "CC0-1.0",
  "creationInfo": {"created": "2026-01-02T03:04:05Z", "creators": ["Tool: syft-1.18.0", "Organization: Acme, Inc", "Person: Jane (jane@acme.example)"]},
  "packages": [
    {"SPDXID": "SPDXRef-image", "name": "app", "versionInfo": "v1", "supplier": "Organization: Acme",
     "checksums": [{"algorithm": "SHA256", "checksumValue": "` + hexA + `"}],
     "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:oci/app@sha256:` + hexA + `"}]},
    {"SPDXID": "SPDXRef-base", "name": "debian", "versionInfo": "13", "originator": "Organization: Debian",
     "checksums": [{"algorithm": "SHA256", "checksumValue": "` + hexB + `"}]},
    {"SPDXID": "SPDXRef-zlib", "name": "zlib", "versionInfo": "1.3", "supplier": "NOASSERTION",
     "externalRefs": [{"referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:zlib:zlib:1.3"}, {"referenceType": "purl", "referenceLocator": "pkg:deb/debian/zlib@1.3"}]},
    {"SPDXID": "SPDXRef-odd", "name": "odd", "versionInfo": "NOASSERTION"}
  ],
  "relationships": [
    {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-image"},
    {"spdxElementId": "SPDXRef-image", "relationshipType": "DESCENDANT_OF", "relatedSpdxElement": "SPDXRef-base"},
    {"spdxElementId": "SPDXRef-image", "relationshipType": "CONTAINS", "relatedSpdxElement": "SPDXRef-zlib"},
    {"spdxElementId": "SPDXRef-odd", "relationshipType": "DEPENDS_ON", "relatedSpdxElement": "NONE"}
  ]
}`

func readSPDX23() stemma.SBOM {
	return stemma.SBOM{
		Bundle: "sha256:00", Format: "SPDX 2.3", Name: "acme/app", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Tools: []string{"syft-1.18.0"}, Authors: []string{"Acme, Inc", "Jane (jane@acme.example)"},
		Subjects: []stemma.Component{{Name: "app", Version: "v1", PURL: "pkg:oci/app@sha256:" + hexA, Digests: []stemma.Digest{"sha256:" + hexA}}},
		Bases:    []stemma.Component{{Name: "debian", Version: "13", Digests: []stemma.Digest{"sha256:" + hexB}}},
		Packages: []stemma.Component{{Name: "zlib", Version: "1.3", PURL: "pkg:deb/debian/zlib@1.3"}, {Name: "odd"}},
		Elements: stemma.Elements{Components: 4, Unversioned: 1, Unsupplied: 2, Unidentified: 1, Relationships: 2},
	}
}

// bomCase is a change of a document, and what becomes of it: an error, or another reading.
type bomCase struct {
	name, old, new string
	err            string
	want           func(*stemma.SBOM)
}

func runBOM(t *testing.T, mediaType, doc string, good stemma.SBOM, cases []bomCase) {
	t.Helper()
	for _, c := range append([]bomCase{{name: "as it is", want: func(*stemma.SBOM) {}}}, cases...) {
		changed := doc
		if c.old != "" {
			changed = change(t, doc, c.old, c.new)
		}
		d, err := ReadFile("sha256:00", mediaType, []byte(changed))
		if c.err != "" {
			if err == nil || withoutOffset(err) != c.err || d != (Document{}) {
				t.Errorf("%s:\ngot  %v, %v\nwant %s", c.name, d.SBOM, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var want stemma.SBOM
		b, err := json.Marshal(good)
		if err == nil {
			err = json.Unmarshal(b, &want) // a deep copy
		}
		if err != nil {
			t.Fatal(err)
		}
		c.want(&want)
		if diff := cmp.Diff(&want, d.SBOM, baseNames()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// withoutOffset is the text of an error without the byte that it is about; where it is, its pointer says.
func withoutOffset(err error) string {
	before, after, ok := strings.Cut(err.Error(), "at byte ")
	if !ok {
		return before
	}
	return before + strings.TrimLeft(strings.TrimLeft(after, "0123456789"), " ")
}

func noSubject(b *stemma.SBOM) {
	b.Packages = append([]stemma.Component{b.Subjects[0], b.Bases[0]}, b.Packages...)
	b.Subjects, b.Bases = nil, nil
}

func TestSPDX(t *testing.T) {
	const describes = `{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-image"},`
	const descends = `{"spdxElementId": "SPDXRef-image", "relationshipType": "DESCENDANT_OF", "relatedSpdxElement": "SPDXRef-base"},`
	const at = "reading SPDX document: reading JSON "
	noBase := func(b *stemma.SBOM) {
		b.Packages = append([]stemma.Component{b.Bases[0]}, b.Packages...)
		b.Bases = nil
	}
	runBOM(t, "application/spdx+json", spdx23, readSPDX23(), []bomCase{
		{name: "described by the other end", old: describes, new: `{"spdxElementId": "SPDXRef-image", "relationshipType": "DESCRIBED_BY", "relatedSpdxElement": "SPDXRef-DOCUMENT"},`, want: func(*stemma.SBOM) {}},
		{name: "documentDescribes", old: `"relationships": [` + "\n    " + describes, new: `"documentDescribes": ["SPDXRef-image"], "relationships": [`, want: func(*stemma.SBOM) {}},
		{name: "described by a package, not by the document", old: describes, new: `{"spdxElementId": "SPDXRef-zlib", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-image"},`, want: func(b *stemma.SBOM) {
			noSubject(b)
			b.Elements.Relationships++
			b.Notes = []string{"the document does not say what it describes"}
		}},
		{name: "described in lower case", old: `"DESCRIBES"`, new: `"describes"`, want: func(b *stemma.SBOM) {
			noSubject(b)
			b.Notes = []string{"the document does not say what it describes"}
		}},
		{name: "describes what is not there", old: `"DESCRIBES", "relatedSpdxElement": "SPDXRef-image"`, new: `"DESCRIBES", "relatedSpdxElement": "SPDXRef-other"`, want: func(b *stemma.SBOM) {
			noSubject(b)
			b.Notes = []string{"the document describes SPDXRef-other, which is not among its components"}
		}},
		{name: "describes two", old: describes, new: describes + strings.Replace(describes, "SPDXRef-image", "SPDXRef-zlib", 1), want: func(b *stemma.SBOM) {
			b.Subjects = append(b.Subjects, b.Packages[0])
			b.Packages = b.Packages[1:]
		}},

		{name: "ancestor by the other end", old: descends, new: `{"spdxElementId": "SPDXRef-base", "relationshipType": "ANCESTOR_OF", "relatedSpdxElement": "SPDXRef-image"},`, want: func(*stemma.SBOM) {}},
		{name: "ancestor the wrong way round", old: `"SPDXRef-image", "relationshipType": "DESCENDANT_OF", "relatedSpdxElement": "SPDXRef-base"`, new: `"SPDXRef-base", "relationshipType": "DESCENDANT_OF", "relatedSpdxElement": "SPDXRef-image"`, want: noBase},
		{name: "ancestor of something else", old: `"SPDXRef-image", "relationshipType": "DESCENDANT_OF"`, new: `"SPDXRef-zlib", "relationshipType": "DESCENDANT_OF"`, want: noBase},
		{name: "tool of the build", old: `"SPDXRef-image", "relationshipType": "DESCENDANT_OF"`, new: `"SPDXRef-image", "relationshipType": "BUILD_TOOL_OF"`, want: noBase},
		{name: "ancestor of an ancestor", old: descends, new: descends + `{"spdxElementId": "SPDXRef-base", "relationshipType": "DESCENDANT_OF", "relatedSpdxElement": "SPDXRef-odd"},`, want: func(b *stemma.SBOM) { b.Elements.Relationships++ }},
		{name: "marked by Konflux", old: `"name": "odd",`, new: `"name": "odd", "annotations": [{"annotator": "Tool: konflux:jsonencoded", "comment": "{\"name\":\"konflux:container:is_base_image\",\"value\":\"true\"}"}],`, want: func(b *stemma.SBOM) {
			b.Bases = append(b.Bases, b.Packages[1])
			b.Packages = b.Packages[:1]
		}},
		{name: "marked by somebody else", old: `"name": "odd",`, new: `"name": "odd", "annotations": [{"annotator": "Tool: other", "comment": "{\"name\":\"konflux:container:is_base_image\",\"value\":\"true\"}"}],`, want: func(*stemma.SBOM) {}},
		{name: "marked as a builder image", old: `"name": "odd",`, new: `"name": "odd", "annotations": [{"annotator": "Tool: konflux:jsonencoded", "comment": "{\"name\":\"konflux:container:is_builder_image:for_stage\",\"value\":\"1\"}"}],`, want: func(*stemma.SBOM) {}},
		{name: "marked twice", old: `"name": "odd",`, new: `"name": "odd", "annotations": [{"annotator": "Tool: konflux:jsonencoded", "comment": "{\"name\":\"konflux:container:is_base_image\",\"name\":\"x\",\"value\":\"true\"}"}],`, want: func(*stemma.SBOM) {}},
		{name: "marked as none", old: `"name": "odd",`, new: `"name": "odd", "annotations": [{"annotator": "Tool: konflux:jsonencoded", "comment": "{\"name\":\"konflux:container:is_base_image\",\"value\":\"false\"}"}],`, want: func(*stemma.SBOM) {}},

		{name: "trivy's image", old: `"name": "odd",`, new: `"name": "odd", "attributionTexts": ["ImageID: sha256:` + hexC + `", "DiffID: sha256:` + hexB + `", "RepoDigest: reg.example/app@sha256:` + hexA + `"],`, want: func(b *stemma.SBOM) {
			b.Packages[1].Digests = []stemma.Digest{"sha256:" + hexC, "sha256:" + hexA}
			b.Elements.Unidentified = 0
		}},
		{name: "trivy's image, of no digest", old: `"name": "odd",`, new: `"name": "odd", "attributionTexts": ["ImageID: ` + hexC + `", "RepoDigest: reg.example/app", "imageid: sha256:` + hexC + `"],`, want: func(*stemma.SBOM) {}},
		{name: "a digest in upper case", old: `"checksumValue": "` + hexB, new: `"checksumValue": "` + strings.ToUpper(hexB), want: func(*stemma.SBOM) {}},
		{name: "a digest that is none", old: `"checksumValue": "` + hexB, new: `"checksumValue": "bbbb`, want: func(b *stemma.SBOM) {
			b.Bases[0].Digests = nil
			b.Elements.Unidentified++
			b.Notes = []string{"a digest of component debian is left out: sha256 digest of 4 characters: want 64 hex digits"}
		}},
		{name: "a weak digest", old: `"algorithm": "SHA256", "checksumValue": "` + hexB, new: `"algorithm": "SHA1", "checksumValue": "` + hexB, want: func(b *stemma.SBOM) { b.Bases[0].Digests = nil }},

		{name: "a time that is none", old: "2026-01-02T03:04:05Z", new: "yesterday", want: func(b *stemma.SBOM) {
			b.Created = time.Time{}
			b.Notes = []string{`the time "yesterday" is left out: want RFC 3339`}
		}},
		{name: "a name that is none", old: `"name": "zlib"`, new: `"name": "zl\u202eib"`, want: func(b *stemma.SBOM) {
			b.Packages[0].Name = ""
			b.Elements.Unnamed++
			b.Notes = []string{"a component's name is left out: it has characters that are not printable"}
		}},
		{name: "a creator of no kind", old: "Tool: syft-1.18.0", new: "syft-1.18.0", want: func(b *stemma.SBOM) { b.Tools = nil }},
		{name: "what is not known", old: `"dataLicense": "CC0-1.0",`, new: `"dataLicense": 7, "files": [{"x": [null]}], "snippets": null,`, want: func(*stemma.SBOM) {}},

		{name: "two by the id that is described", old: `"SPDXRef-odd", "name"`, new: `"SPDXRef-image", "name"`, err: "reading SPDX document: two components have the id of what the document describes, odd"},
		{name: "another version", old: "SPDX-2.3", new: "SPDX-1.2", err: "reading SPDX document: version 1.2 of SPDX is not read"},
		{name: "no version", old: `"spdxVersion": "SPDX-2.3",`, new: ``, err: "reading SPDX document: the document names no version of SPDX"},
		{name: "version 3 written as 2", old: "SPDX-2.3", new: "SPDX-3.0", err: "reading SPDX document: the document names no version of SPDX"},
		{name: "both", old: `"dataLicense"`, new: `"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "dataLicense"`, err: "reading SPDX document: the document is both SPDX 2 and SPDX 3"},
		{name: "a graph, too", old: `"dataLicense"`, new: `"@graph": [], "dataLicense"`, err: "reading SPDX document: the document is both SPDX 2 and SPDX 3"},
		{name: "packages that are an object", old: `"packages": [`, new: `"packages": {}, "x": [`, err: at + "(/packages): expected an array"},
		{name: "packages twice", old: `"packages": [`, new: `"packages": [], "packages": [`, err: at + `: duplicate name "packages"`},
		{name: "packages in another case", old: `"packages": [`, new: `"Packages": [], "packages": [`, err: at + `(/Packages): name "Packages" differs from "packages" only in case`},
		{name: "a package that is null", old: `"packages": [`, new: `"packages": [null,`, err: at + "(/packages/0): expected an element, got null"},
		{name: "a name that is a number", old: `"name": "app",`, new: `"name": 7,`, err: at + "(/packages/0/name): expected a string"},
		{name: "a version in another case", old: `"versionInfo": "v1"`, new: `"VersionInfo": "v1"`, err: at + `(/packages/0/VersionInfo): name "VersionInfo" differs from "versionInfo" only in case`},
		{name: "checksums that are text", old: `"checksums": [{"algorithm": "SHA256", "checksumValue": "` + hexA + `"}]`, new: `"checksums": "x"`, err: at + "(/packages/0/checksums): expected an array"},
		{name: "a relationship without an end", old: `, "relatedSpdxElement": "NONE"`, new: ``, err: at + "(/relationships/3): a relationship without spdxElementId, relationshipType or relatedSpdxElement"},
		{name: "creators that are objects", old: `"Tool: syft-1.18.0"`, new: `{"Tool": "syft-1.18.0"}`, err: at + "(/creationInfo/creators/0): expected a string"},
		{name: "bytes after it", old: `"NONE"}
  ]
}`, new: `"NONE"}
  ]
}{}`, err: at + ": bytes after the document"},
	})
}

// The only package of a document is what it describes, said or not (SPDX 2.3, clause 11.1); of two, neither is.
func TestSPDXAlone(t *testing.T) {
	const one = `{"spdxVersion":"SPDX-2.3","packages":[{"SPDXID":"SPDXRef-a","name":"a","versionInfo":"1"}]}`
	d, err := ReadFile("", "text/spdx+json", []byte(one))
	if err != nil || len(d.SBOM.Subjects) != 1 || d.SBOM.Subjects[0].Name != "a" || len(d.SBOM.Packages) != 0 || d.SBOM.Notes != nil {
		t.Errorf("%+v, %v", d.SBOM, err)
	}
	for _, doc := range []string{
		change(t, one, `"packages":[`, `"packages":[{"SPDXID":"SPDXRef-b"},`),
		change(t, one, `"SPDXID":"SPDXRef-a",`, ``),
		change(t, one, `"packages":[`, `"documentDescribes":["SPDXRef-b"],"packages":[`),
		change(t, one, `"packages":[`, `"documentDescribes":["SPDXRef-DOCUMENT"],"packages":[`),
	} {
		d, err := ReadFile("", "text/spdx+json", []byte(doc))
		if err != nil || len(d.SBOM.Subjects) != 0 || len(d.SBOM.Notes) != 1 {
			t.Errorf("%s: %+v, %v", doc, d.SBOM, err)
		}
	}
}

const spdxTags = `SPDXVersion: SPDX-2.3
DataLicense: CC0-1.0
SPDXID: SPDXRef-DOCUMENT
DocumentName: acme/app
# a comment
Creator: Tool: syft-1.18.0
Creator: Organization: Acme, Inc
Creator: Person: Jane (jane@acme.example)
Created: 2026-01-02T03:04:05Z
FileName: ./x
SPDXID: SPDXRef-file
PackageName: app
SPDXID: SPDXRef-image
PackageVersion: v1
PackageSupplier: Organization: Acme
PackageChecksum: SHA256: ` + hexA + `
PackageLicenseComments: <text>the next line is no tag
PackageName: hidden
</text>
ExternalRef: PACKAGE-MANAGER purl pkg:oci/app@sha256:` + hexA + `
PackageName: debian
SPDXID: SPDXRef-base
PackageVersion: <text>13</text>
PackageOriginator: Organization: Debian
PackageChecksum: SHA256: ` + hexB + `
PackageName: zlib
SPDXID: SPDXRef-zlib
PackageVersion: 1.3
PackageSupplier: NOASSERTION
ExternalRef: SECURITY cpe23Type cpe:2.3:a:zlib:zlib:1.3
ExternalRef: PACKAGE-MANAGER purl pkg:deb/debian/zlib@1.3
PackageName: odd
SPDXID: SPDXRef-odd
PackageVersion: NOASSERTION
Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-image
Relationship: SPDXRef-image DESCENDANT_OF SPDXRef-base
Relationship: SPDXRef-image CONTAINS SPDXRef-zlib
Relationship: SPDXRef-odd DEPENDS_ON NONE
`

func TestSPDXTagValue(t *testing.T) {
	runBOM(t, "text/spdx", spdxTags, readSPDX23(), []bomCase{
		{name: "lines of Windows", old: "DocumentName: acme/app\n", new: "DocumentName: acme/app\r\n", want: func(*stemma.SBOM) {}},
		{name: "described by a package", old: "SPDXRef-DOCUMENT DESCRIBES", new: "SPDXRef-zlib DESCRIBES", want: func(b *stemma.SBOM) {
			noSubject(b)
			b.Elements.Relationships++
			b.Notes = []string{"the document does not say what it describes"}
		}},
		{name: "another relationship", old: "SPDXRef-image DESCENDANT_OF", new: "SPDXRef-image VARIANT_OF", want: func(b *stemma.SBOM) {
			b.Packages = append(b.Bases, b.Packages...)
			b.Bases = nil
		}},
		{name: "a reference of two words", old: "PACKAGE-MANAGER purl pkg:deb", new: "purl pkg:deb", want: func(b *stemma.SBOM) { b.Packages[0].PURL = "" }},
		{name: "the hidden package comes out", old: "<text>the next line is no tag", new: "the next line is one", want: nil, err: "reading SPDX document: line 19: want a tag and a value"},
		{name: "text without end", old: "13</text>", new: "13", err: "reading SPDX document: <text> without </text>"},
		{name: "another first line", old: "SPDXVersion: SPDX-2.3", new: "SPDXVersion: 2.3", err: "reading SPDX document: a string that does not begin with SPDXVersion: SPDX-"},
		{name: "a second version", old: "DataLicense: CC0-1.0", new: "SPDXVersion: SPDX-2.2", err: "reading SPDX document: line 2: a second SPDXVersion"},
		{name: "a second name", old: "# a comment", new: "DocumentName: other", err: "reading SPDX document: line 5: a second DocumentName"},
		{name: "a second time", old: "FileName: ./x", new: "Created: 2025-01-02T03:04:05Z", err: "reading SPDX document: line 10: a second Created"},
		{name: "no tag", old: "# a comment", new: "a comment", err: "reading SPDX document: line 5: want a tag and a value"},
		{name: "a relationship of two", old: "DEPENDS_ON NONE", new: "DEPENDS_ON", err: "reading SPDX document: line 38: a relationship of 2 words"},
		{name: "bytes that are no text", old: "acme/app", new: "acme\xff/app", err: "reading SPDX document: line 4: invalid UTF-8"},
		{name: "a line that is too long", old: "# a comment", new: "# " + strings.Repeat("a", 1<<20), err: "reading SPDX document: reading JSON : line 5 is over the limit of 1048576 bytes"},
		{name: "version 3", old: "SPDXVersion: SPDX-2.3", new: "SPDXVersion: SPDX-3.0", err: "reading SPDX document: version 3.0 of SPDX has no tag-value format"},
	})
	if _, err := ReadFile("", "text/spdx", nil); err == nil || err.Error() != "reading SPDX document: empty document" {
		t.Errorf("nothing: %v", err)
	}
	// As cosign attests it: the same text as one JSON string.
	quoted, err := json.Marshal(spdxTags)
	if err != nil {
		t.Fatal(err)
	}
	d, err := ReadUnsigned("sha256:00", stemma.Statement{PredicateType: "https://spdx.dev/Document", Predicate: quoted})
	want := readSPDX23()
	if diff := cmp.Diff(&want, d.SBOM, baseNames()); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

const spdx301 = `{
  "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
  "@graph": [
    {"type": "CreationInfo", "@id": "_:made", "specVersion": "3.0.1", "created": "2026-01-02T03:04:05Z", "createdBy": ["urn:acme"], "createdUsing": ["urn:tool"]},
    {"type": "Organization", "spdxId": "urn:acme", "name": "Acme, Inc", "creationInfo": "_:made"},
    {"type": "Tool", "spdxId": "urn:tool", "name": "syft 1.18.0", "creationInfo": "_:made"},
    {"type": "SpdxDocument", "spdxId": "urn:doc", "name": "acme/app", "creationInfo": "_:made", "rootElement": ["urn:sbom"]},
    {"type": "software_Sbom", "spdxId": "urn:sbom", "creationInfo": "_:made", "rootElement": ["urn:image"]},
    {"type": "software_Package", "spdxId": "urn:image", "name": "app", "software_packageVersion": "v1", "suppliedBy": "urn:acme", "software_packageUrl": "pkg:oci/app@sha256:` + hexA + `",
     "verifiedUsing": [{"type": "Hash", "algorithm": "sha256", "hashValue": "` + hexA + `"}]},
    {"type": "software_Package", "spdxId": "urn:base", "name": "debian", "software_packageVersion": "13", "originatedBy": ["urn:debian"], "verifiedUsing": [{"type": "Hash", "algorithm": "sha256", "hashValue": "` + hexB + `"}]},
    {"type": "software_Package", "spdxId": "urn:zlib", "name": "zlib", "software_packageVersion": "1.3",
     "externalIdentifier": [{"externalIdentifierType": "cpe23", "identifier": "cpe:2.3:a:zlib:zlib:1.3"}, {"externalIdentifierType": "packageUrl", "identifier": "pkg:deb/debian/zlib@1.3"}]},
    {"type": "software_Package", "spdxId": "urn:odd", "name": "odd"},
    {"type": "software_File", "spdxId": "urn:file", "name": "app.tar", "verifiedUsing": [{"algorithm": "sha256", "hashValue": "` + hexC + `"}]},
    {"type": "Relationship", "spdxId": "urn:r1", "from": "urn:image", "relationshipType": "descendantOf", "to": ["urn:base"]},
    {"type": "Relationship", "spdxId": "urn:r2", "from": "urn:image", "relationshipType": "contains", "to": ["urn:zlib"]}
  ]
}`

func TestSPDX3(t *testing.T) {
	good := readSPDX23()
	good.Format, good.Tools, good.Authors = "SPDX 3.0.1", []string{"syft 1.18.0"}, []string{"Acme, Inc"}
	unsaid := func(b *stemma.SBOM) {
		noSubject(b)
		b.Notes = []string{"the document does not say what it describes"}
	}
	const at = "reading SPDX document: reading JSON "
	runBOM(t, "application/spdx+json", spdx301, good, []bomCase{
		{name: "the root is the image", old: `"rootElement": ["urn:sbom"]`, new: `"rootElement": ["urn:image"]`, want: func(*stemma.SBOM) {}},
		{name: "described by the document", old: `"rootElement": ["urn:sbom"]}`, new: `"rootElement": []}, {"type": "Relationship", "from": "urn:doc", "relationshipType": "describes", "to": ["urn:image"]}`, want: func(*stemma.SBOM) {}},
		{name: "described by an SBOM that is no root", old: `"rootElement": ["urn:sbom"]}`, new: `"rootElement": []}, {"type": "Relationship", "from": "urn:sbom", "relationshipType": "describes", "to": ["urn:image"]}`, want: unsaid},
		{name: "no root", old: `"rootElement": ["urn:image"]`, new: `"rootElement": []`, want: unsaid},
		{name: "a document in the document", old: `"type": "software_Sbom"`, new: `"type": "software_Other"`, want: func(b *stemma.SBOM) {
			noSubject(b)
			b.Notes = []string{"the document describes urn:sbom, which is not among its components"}
		}},
		{name: "aliases", old: `"spdxId": "urn:image"`, new: `"@id": "urn:image", "spdxId": "urn:image"`, want: func(*stemma.SBOM) {}},
		{name: "the creation in place", old: `"name": "acme/app", "creationInfo": "_:made"`, new: `"name": "acme/app", "creationInfo": {"created": "2026-01-02T03:04:05Z", "createdBy": ["urn:acme"], "createdUsing": ["urn:tool"]}`, want: func(*stemma.SBOM) {}},
		{name: "another creation", old: `"name": "acme/app", "creationInfo": "_:made"`, new: `"name": "acme/app", "creationInfo": "_:other"`, want: func(b *stemma.SBOM) { b.Created, b.Tools, b.Authors = time.Time{}, nil, nil }},
		{name: "distributed as a file", old: `{"type": "Relationship", "spdxId": "urn:r2"`, new: `{"type": "Relationship", "from": "urn:image", "relationshipType": "hasDistributionArtifact", "to": ["urn:file"]}, {"type": "Relationship", "spdxId": "urn:r2"`, want: func(b *stemma.SBOM) {
			b.Subjects[0].Digests = append(b.Subjects[0].Digests, "sha256:"+hexC)
			b.Elements.Relationships++
		}},
		{name: "something else is distributed as it", old: `{"type": "Relationship", "spdxId": "urn:r2"`, new: `{"type": "Relationship", "from": "urn:zlib", "relationshipType": "hasDistributionArtifact", "to": ["urn:file"]}, {"type": "Relationship", "spdxId": "urn:r2"`, want: func(b *stemma.SBOM) { b.Elements.Relationships++ }},
		{name: "ancestor the wrong way round", old: `"descendantOf"`, new: `"ancestorOf"`, want: func(b *stemma.SBOM) {
			b.Packages = append(b.Bases, b.Packages...)
			b.Bases = nil
		}},

		{name: "two ids", old: `"spdxId": "urn:image"`, new: `"@id": "urn:other", "spdxId": "urn:image"`, err: at + "(/@graph/5/spdxId): spdxId is said twice and differently"},
		{name: "two documents", old: `{"type": "Tool",`, new: `{"type": "SpdxDocument"}, {"type": "Tool",`, err: at + "(/@graph/4): a second SpdxDocument"},
		{name: "no graph", old: `"@graph"`, new: `"graph"`, err: "reading SPDX document: SPDX 3 without @graph"},
		{name: "a graph that is an object", old: `"@graph": [`, new: `"@graph": {}, "x": [`, err: at + "(/@graph): expected an array"},
		{name: "another context", old: "https://spdx.org/rdf/3.0.1/", new: "https://spdx.example/rdf/3.0.1/", err: "reading SPDX document: the document names no version of SPDX"},
		{name: "version 2 in a context", old: "rdf/3.0.1/", new: "rdf/2.3/", err: "reading SPDX document: the document names no version of SPDX"},
		{name: "a list of contexts", old: `"https://spdx.org/rdf/3.0.1/spdx-context.jsonld"`, new: `["https://spdx.org/rdf/3.0.1/spdx-context.jsonld"]`, err: "reading SPDX document: the document names no version of SPDX"},
		{name: "a relationship without type", old: `"relationshipType": "contains", `, new: ``, err: at + "(/@graph/11): a relationship without from or relationshipType"},
		{name: "a relationship to one", old: `"to": ["urn:zlib"]`, new: `"to": "urn:zlib"`, err: at + "(/@graph/11/to): expected an array"},
	})
	d, err := ReadUnsigned("sha256:00", stemma.Statement{PredicateType: "https://spdx.dev/Document/v3", Predicate: json.RawMessage(spdx301)})
	if err != nil || d.SBOM.Format != "SPDX 3.0.1" {
		t.Errorf("%v, %v", d.SBOM, err)
	}
	if _, err := ReadUnsigned("", stemma.Statement{PredicateType: "https://spdx.dev/Document/v2.3", Predicate: json.RawMessage(spdx301)}); err == nil || err.Error() != "reading SPDX document: version 3.0.1 under the predicate type of version 2.3" {
		t.Error(err)
	}
}

// baseNames leaves the canonical names of bases to TestBaseImage.
func baseNames() cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".BaseImages" }, cmp.Ignore())
}

// TestBaseImage: an image that a bill of materials names as a base has the name by which it would be asked for, or none.
func TestBaseImage(t *testing.T) {
	const d = "sha256:" + hexB
	for _, c := range []struct {
		component stemma.Component
		want      stemma.Image
	}{
		{stemma.Component{Name: "debian", Version: "13"}, stemma.Image{Repository: "docker.io/library/debian", Tag: "13"}},
		{stemma.Component{Name: "debian", Version: "13", Digests: []stemma.Digest{d}}, stemma.Image{Repository: "docker.io/library/debian", Tag: "13", Digest: d}},
		{stemma.Component{Name: "quay.io/acme/base", Version: d}, stemma.Image{Repository: "quay.io/acme/base", Digest: d}},
		{stemma.Component{Name: "quay.io/acme/base:7@" + d}, stemma.Image{Repository: "quay.io/acme/base", Tag: "7", Digest: d}},
		{stemma.Component{Name: "ubi9", PURL: "pkg:oci/ubi9@sha256:" + hexB + "?repository_url=registry.access.redhat.com/ubi9"}, stemma.Image{Repository: "registry.access.redhat.com/ubi9", Digest: d}},
		{stemma.Component{Name: "x", PURL: "pkg:docker/debian@13"}, stemma.Image{Repository: "docker.io/library/debian", Tag: "13"}},
		{stemma.Component{Name: "zlib", PURL: "pkg:deb/debian/zlib@1.3"}, stemma.Image{}},
		{stemma.Component{Name: "Not An Image"}, stemma.Image{}},
		{stemma.Component{Name: "../evil", Digests: []stemma.Digest{d}}, stemma.Image{Digest: d}},
	} {
		if got := baseImage(c.component); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.component, got, c.want)
		}
	}
}
