package predicate

import (
	"fmt"
	"strings"

	"stemma"
)

// spdxDocument is what SPDX 2 calls itself in its relationships.
const spdxDocument = "SPDXRef-DOCUMENT"

// spdx reads an SPDX document in JSON: 2.1 to 2.3, or 3 (JSON-LD). Which of the two it is may stand at its end.
func (b *bill) spdx() (version string, err error) {
	s := b.json
	var v2, context string
	var graph bool
	g := &graph3{bill: b}
	err = s.Object([]string{"spdxVersion", "name", "creationInfo", "documentDescribes", "packages", "relationships", "@context", "@graph"}, func(name string) (err error) {
		switch name {
		case "spdxVersion":
			v2, err = s.Text()
		case "name":
			b.out.Name, err = s.Text()
		case "creationInfo":
			err = b.spdxCreation()
		case "documentDescribes":
			err = each(s, func() error {
				id, err := s.Text()
				if err != nil {
					return err
				}
				return b.describes(id)
			})
		case "packages":
			err = each(s, b.spdxPackage)
		case "relationships":
			err = each(s, b.spdxRelationship)
		case "@context":
			// Other contexts are extensions beside SPDX's own; only a document that has no other is read.
			if s.Kind() == '"' {
				context, err = s.Text()
			}
		case "@graph":
			graph = true
			err = each(s, g.element)
		}
		return err
	})
	switch v3, is3 := spdx3Version(context); {
	case err != nil:
		return "", err
	case v2 != "" && (is3 || graph):
		// One reader would see the packages of the one, and another those of the other.
		return "", fmt.Errorf("the document is both SPDX 2 and SPDX 3")
	case is3 && !graph:
		return "", fmt.Errorf("SPDX 3 without @graph")
	case is3:
		return v3, g.finish()
	}
	version, ok := strings.CutPrefix(v2, "SPDX-")
	if !ok || strings.HasPrefix(version, "3") {
		return "", nil // it names none that is written so
	}
	return version, b.spdxAlone()
}

// spdxAlone is the only package, which a document need not say that it describes (SPDX 2.3, clause 11.1).
func (b *bill) spdxAlone() error {
	if len(b.described) > 0 || b.out.Elements.Components != 1 || b.only == "" {
		return nil
	}
	return b.describes(b.only)
}

func (b *bill) spdxCreation() error {
	s := b.json
	return s.Object([]string{"created", "creators"}, func(name string) error {
		if name == "creators" {
			return each(s, func() error {
				creator, err := s.Text()
				b.spdxCreator(creator)
				return err
			})
		}
		created, err := s.Text()
		b.created(created)
		return err
	})
}

// spdxCreator records "Tool: syft-1.18.0", "Organization: Acme" or "Person: Jane (jane@acme.example)".
func (b *bill) spdxCreator(creator string) {
	kind, name, ok := strings.Cut(creator, ":")
	switch {
	case ok && kind == "Tool":
		b.list(&b.out.Tools, "tool", name)
	case ok && (kind == "Person" || kind == "Organization"):
		b.list(&b.out.Authors, "author", name)
	}
}

// asserted is a value of SPDX, or "" for the words that stand for none.
func asserted(value string) string {
	if value == "NOASSERTION" || value == "NONE" {
		return ""
	}
	return value
}

func (b *bill) spdxPackage() error {
	s, e := b.json, element{}
	i := b.reserve()
	err := s.Object([]string{"SPDXID", "name", "versionInfo", "supplier", "originator", "checksums", "externalRefs", "attributionTexts", "annotations"}, func(name string) error {
		switch name {
		case "checksums":
			return each(s, func() error {
				return b.pair("algorithm", "checksumValue", func(algorithm, value string) { b.hash(&e, algorithm, value) })
			})
		case "externalRefs":
			return each(s, func() error {
				return b.pair("referenceType", "referenceLocator", func(kind, locator string) { e.spdxReference(kind, locator) })
			})
		case "attributionTexts":
			return each(s, func() error {
				text, err := s.Text()
				e.spdxRemark("", text)
				return err
			})
		case "annotations":
			return each(s, func() error { return b.pair("annotator", "comment", e.spdxRemark) })
		}
		value, err := s.Text()
		switch name {
		case "SPDXID":
			e.id = value
		case "name":
			e.Name = asserted(value)
		case "versionInfo":
			e.Version = asserted(value)
		default:
			e.supplied = e.supplied || asserted(value) != ""
		}
		return err
	})
	if err != nil {
		return err
	}
	b.only = e.id
	b.add(i, e)
	return nil
}

// pair reads an object of which two strings count.
func (b *bill) pair(first, second string, use func(first, second string)) error {
	var values [2]string
	err := b.json.Object([]string{first, second}, func(name string) (err error) {
		i := 0
		if name == second {
			i = 1
		}
		values[i], err = b.json.Text()
		return err
	})
	if err == nil {
		use(values[0], values[1])
	}
	return err
}

// spdxReference records an external reference: a package URL, or what else identifies a package.
func (e *element) spdxReference(kind, locator string) {
	switch kind {
	case "purl":
		if e.PURL == "" {
			e.PURL = locator
		}
	case "cpe22Type", "cpe23Type", "swid", "swh", "gitoid":
		e.identified = e.identified || locator != ""
	}
}

// spdxRemark looks for two conventions in free text: trivy writes the digests of the image into lines of their own, and
// Konflux marks the image that its last stage stands on.
func (e *element) spdxRemark(annotator, text string) {
	if name, value, ok := strings.Cut(text, ": "); ok {
		e.imageName(name, value)
	}
	if annotator != "Tool: konflux:jsonencoded" || len(text) > maxClaim {
		return
	}
	var mark struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	if stemma.DecodeJSON([]byte(text), &mark) == nil {
		e.base = e.base || isBaseMark(mark.Name, mark.Value)
	}
}

// isBaseMark recognises Konflux's mark of a base image. The one of an ancestor further up is another.
func isBaseMark(name, value string) bool {
	return name == "konflux:container:is_base_image" && value == "true"
}

func (b *bill) spdxRelationship() error {
	s := b.json
	var from, kind, to string
	err := s.Object([]string{"spdxElementId", "relationshipType", "relatedSpdxElement"}, func(name string) (err error) {
		switch name {
		case "spdxElementId":
			from, err = s.Text()
		case "relationshipType":
			kind, err = s.Text()
		default:
			to, err = s.Text()
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case from == "" || kind == "" || to == "":
		return s.Fail("a relationship without spdxElementId, relationshipType or relatedSpdxElement")
	}
	return b.spdxRelated(from, kind, to)
}

// spdxRelated records a relationship of SPDX 2.
func (b *bill) spdxRelated(from, kind, to string) error {
	switch {
	case kind == "DESCRIBES" && from == spdxDocument:
		return b.describes(to)
	case kind == "DESCRIBED_BY" && to == spdxDocument:
		return b.describes(from)
	case kind == "DESCENDANT_OF":
		b.descends(from, to)
	case kind == "ANCESTOR_OF":
		b.descends(to, from)
	}
	if from != spdxDocument && to != spdxDocument && asserted(to) != "" {
		b.out.Elements.Relationships++
	}
	return nil
}
