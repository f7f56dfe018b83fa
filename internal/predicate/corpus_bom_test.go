package predicate

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stemma"
)

// bomFacts is what independent scripts found in SBOMs, VEX documents and summaries. A nil pointer is a fact that is not
// about the record.
type bomFacts struct {
	Name       json.RawMessage `json:"name"`
	Packages   *int            `json:"n_packages"`
	Component  string          `json:"component"`
	Version    string          `json:"version"`
	PURL       string          `json:"purl"`
	Components *int            `json:"n_components"`
	Statements *int            `json:"n_statements"`
	VSA        *struct {
		Result   string   `json:"result"`
		Verifier string   `json:"verifier"`
		Resource string   `json:"resourceUri"`
		Levels   []string `json:"levels"`
	} `json:"vsa"`
}

// TestCorpusBOMs reads every SBOM, VEX document and verification summary of the corpus.
func TestCorpusBOMs(t *testing.T) {
	dir := corpusDir(t)
	data, err := os.ReadFile(filepath.Join(dir, "index.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	// Records whose facts are not what is read, each with the reason.
	refused := map[string]string{
		"guac-aa8fbddca1": "reading SPDX document: reading JSON at byte 19 (/spdxVersion): expected a string", // the number 2, in a file called invalid
		// Creators are objects there, {"Tool": …}; SPDX 2.2 wants strings such as "Tool: …".
		"guac-9265bcd843": "reading SPDX document: reading JSON at byte 174 (/creationInfo/creators/0): expected a string",
	}
	count := map[string]int{}
	for line := range bytes.Lines(data) {
		var r record
		var want bomFacts
		if json.Unmarshal(line, &r) != nil || json.Unmarshal(r.Facts, &want) != nil {
			continue // other kinds of facts
		}
		kind := ""
		var d Document
		switch {
		case want.VSA != nil:
			kind = "VSA"
			s, _ := r.open(t, dir)
			d, err = ReadUnsigned("sha256:00", s)
		case want.Packages != nil, want.Components != nil, want.Statements != nil:
			file, errRead := os.ReadFile(filepath.Join(dir, r.Path))
			if errRead != nil {
				t.Fatal(errRead)
			}
			mediaType := "application/spdx+json"
			if kind = "SPDX"; want.Components != nil {
				kind, mediaType = "CycloneDX", "application/vnd.cyclonedx+json"
			} else if want.Statements != nil {
				kind, mediaType = "OpenVEX", "application/vnd.openvex+json"
			}
			d, err = ReadFile("sha256:00", mediaType, file)
		default:
			continue
		}
		count[r.Family+" "+kind]++
		if why := refused[r.ID]; why != "" || err != nil {
			if err == nil || err.Error() != why {
				t.Errorf("%s (%s): %v, want %q", r.ID, r.Path, err, why)
			}
			continue
		}
		compareFacts(t, r, want, d)
	}
	report(t, count)
}

func compareFacts(t *testing.T, r record, want bomFacts, d Document) {
	t.Helper()
	switch {
	case want.VSA != nil:
		if v := d.VSA; v == nil || v.Result != want.VSA.Result || v.Verifier != want.VSA.Verifier || v.Resource != want.VSA.Resource || !slices.Equal(v.Levels, want.VSA.Levels) {
			t.Errorf("%s: %+v, want %+v", r.ID, v, want.VSA)
		}
	case want.Statements != nil:
		if d.VEX == nil || len(d.VEX.Statements) != *want.Statements {
			t.Errorf("%s: %+v, want %d statements", r.ID, d.VEX, *want.Statements)
		}
	case d.SBOM == nil:
		t.Errorf("%s (%s): no SBOM", r.ID, r.Path)
	case want.Packages != nil:
		var name string
		if err := json.Unmarshal(want.Name, &name); err != nil {
			t.Fatal(err)
		}
		if b := d.SBOM; b.Name != name || b.Elements.Components != *want.Packages || kept(b) != *want.Packages {
			t.Errorf("%s: %q with %d packages (%d kept), want %q with %d", r.ID, b.Name, b.Elements.Components, kept(b), name, *want.Packages)
		}
	default:
		b := d.SBOM
		n := *want.Components
		if want.Component != "" && !listsSubject(b, n) {
			n++ // the facts do not count what the document is about
		}
		if b.Name != want.Component || b.Elements.Components != n {
			t.Errorf("%s: %q with %d components, want %q with %d", r.ID, b.Name, b.Elements.Components, want.Component, n)
		}
		if want.Component == "" {
			return
		}
		if len(b.Subjects) != 1 || b.Subjects[0].Version != want.Version || b.Subjects[0].PURL != want.PURL {
			t.Errorf("%s: subjects %+v, want version %q and package URL %q", r.ID, b.Subjects, want.Version, want.PURL)
		}
	}
}

// kept is how many components are in one of the lists.
func kept(b *stemma.SBOM) int { return len(b.Packages) + len(b.Subjects) + len(b.Bases) }

// listsSubject reports whether the subject of a document is one of its n components.
func listsSubject(b *stemma.SBOM, n int) bool {
	return b.Elements.Components == n && len(b.Subjects) == 1 && strings.HasPrefix(b.Subjects[0].PURL, "pkg:oci/")
}
