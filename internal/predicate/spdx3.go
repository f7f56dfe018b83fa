package predicate

import (
	"slices"
	"strings"

	"stemma"
)

// maxGraph is how many elements of an SPDX 3 document are remembered beside its packages: agents, tools, files and the
// collections that name what they are about.
const maxGraph = 1 << 14

// spdx3Version reads the version of an SPDX 3 document from its JSON-LD context,
// "https://spdx.org/rdf/3.0.1/spdx-context.jsonld".
func spdx3Version(context string) (string, bool) {
	rest, ok := strings.CutPrefix(context, "https://spdx.org/rdf/")
	version, file, _ := strings.Cut(rest, "/")
	return version, ok && file == "spdx-context.jsonld" && strings.HasPrefix(version, "3.")
}

// graph3 collects the elements of an SPDX 3 document, which refer to one another in any order.
type graph3 struct {
	*bill
	documents []node3
	sboms     map[string][]string        // root elements of each SBOM
	creations map[string]creation3       // by their blank nodes
	names     map[string]string          // of agents and tools
	files     map[string][]stemma.Digest // of files
	describes [][2]string                // who describes what
	artifacts [][2]string                // packages, and the files that they are distributed as
	kept      int
}

// node3 is one element of the graph, of whatever type: the type may stand at its end.
type node3 struct {
	element
	kind       string
	creation   string // reference
	packageURL string // as a property, which goes before one among the external identifiers
	made       creation3
	roots, to  []string
	from       string
	related    string // type of a relationship
}

// creation3 is a CreationInfo.
type creation3 struct {
	created   string
	by, using []string
}

func (g *graph3) element() error {
	s := g.json
	var n node3
	err := s.Object([]string{
		"type", "@type", "spdxId", "@id", "name", "creationInfo", "created", "createdBy", "createdUsing", "rootElement", "from", "to", "relationshipType",
		"software_packageVersion", "software_packageUrl", "suppliedBy", "originatedBy", "verifiedUsing", "externalIdentifier",
	}, func(name string) error {
		switch name {
		case "createdBy":
			return g.references(&n.made.by)
		case "createdUsing":
			return g.references(&n.made.using)
		case "rootElement":
			return g.references(&n.roots)
		case "to":
			return g.references(&n.to)
		case "originatedBy":
			return each(s, func() error {
				n.supplied = n.supplied || s.Kind() == '"' || s.Kind() == '{'
				return nil
			})
		case "suppliedBy":
			n.supplied = n.supplied || s.Kind() == '"' || s.Kind() == '{'
			return nil
		case "verifiedUsing":
			return each(s, func() error { return g.pair("algorithm", "hashValue", func(a, v string) { g.hash(&n.element, a, v) }) })
		case "externalIdentifier":
			return each(s, func() error {
				return g.pair("externalIdentifierType", "identifier", func(kind, value string) { n.identifier(kind, value) })
			})
		case "creationInfo":
			if s.Kind() == '{' {
				return g.creation(&n.made)
			}
		}
		return n.text(s, name)
	})
	if err != nil {
		return err
	}
	return g.place(&n)
}

// text reads a member that is a string.
func (n *node3) text(s *stemma.JSONStream, name string) error {
	var to *string
	switch name {
	case "type", "@type":
		to = &n.kind
	case "spdxId", "@id":
		to = &n.id
	case "name":
		to = &n.Name
	case "creationInfo":
		to = &n.creation
	case "created":
		to = &n.made.created
	case "from":
		to = &n.from
	case "relationshipType":
		to = &n.related
	case "software_packageVersion":
		to = &n.Version
	default:
		to = &n.packageURL
	}
	value, err := s.Text()
	switch {
	case err != nil:
		return err
	case *to != "" && *to != value:
		// An alias of JSON-LD must not say something else than the name.
		return s.Fail("%s is said twice and differently", name)
	}
	*to = value
	return nil
}

func (n *node3) identifier(kind, value string) {
	switch kind {
	case "packageUrl":
		if n.PURL == "" {
			n.PURL = value
		}
	case "cpe22", "cpe23", "swid", "swhid", "gitoid":
		n.identified = n.identified || value != ""
	}
}

// creation reads a CreationInfo that stands where others refer to one.
func (g *graph3) creation(to *creation3) error {
	return g.json.Object([]string{"created", "createdBy", "createdUsing"}, func(name string) (err error) {
		switch name {
		case "created":
			to.created, err = g.json.Text()
		case "createdBy":
			err = g.references(&to.by)
		default:
			err = g.references(&to.using)
		}
		return err
	})
}

// references reads a list of ids.
func (g *graph3) references(to *[]string) error {
	return each(g.json, func() error {
		id, err := g.json.Text()
		if err != nil {
			return err
		}
		*to = append(*to, id)
		return nil
	})
}

// room reports whether one more thing can be remembered beside the packages.
func (g *graph3) room() error {
	if g.kept++; g.kept > maxGraph {
		return g.json.Limit("more than %d elements that are no packages", maxGraph)
	}
	return nil
}

// place files an element by its type.
func (g *graph3) place(n *node3) error {
	switch n.kind {
	case "software_Package", "ai_AIPackage", "dataset_DatasetPackage":
		g.only = n.id
		n.Name, n.Version = asserted(n.Name), asserted(n.Version)
		if n.packageURL != "" {
			n.PURL = n.packageURL
		}
		g.add(g.reserve(), n.element)
	case "SpdxDocument":
		if len(g.documents) > 0 {
			return g.json.Fail("a second SpdxDocument")
		}
		g.documents = append(g.documents, *n)
	case "software_Sbom", "Bom", "Bundle":
		if err := g.room(); err != nil {
			return err
		}
		put(&g.sboms, n.id, n.roots)
	case "CreationInfo":
		if err := g.room(); err != nil {
			return err
		}
		put(&g.creations, n.id, n.made)
	case "Person", "Organization", "Agent", "SoftwareAgent", "Tool":
		if err := g.room(); err != nil {
			return err
		}
		put(&g.names, n.id, n.Name)
	case "software_File":
		// Most files are of no interest, and there may be very many.
		if len(n.Digests) > 0 && len(g.files) < maxGraph {
			put(&g.files, n.id, n.Digests)
		}
	case "Relationship", "LifecycleScopedRelationship", "software_DependencyRelationship":
		return g.relationship(n)
	}
	return nil
}

func put[V any](m *map[string]V, id string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[id] = v
}

func (g *graph3) relationship(n *node3) error {
	if n.from == "" || n.related == "" {
		return g.json.Fail("a relationship without from or relationshipType")
	}
	for _, to := range n.to {
		switch n.related {
		case "describes":
			if len(g.describes) >= maxGraph {
				return g.json.Limit("more than %d elements are described", maxGraph)
			}
			g.describes = append(g.describes, [2]string{n.from, to})
			continue
		case "descendantOf":
			g.descends(n.from, to)
		case "ancestorOf":
			g.descends(to, n.from)
		case "hasDistributionArtifact":
			if len(g.artifacts) < maxGraph {
				g.artifacts = append(g.artifacts, [2]string{n.from, to})
			}
		}
		g.out.Elements.Relationships++
	}
	return nil
}

// finish follows the document to what it is about: its root elements, or those of the SBOMs that are its roots, and what
// either of them describes.
func (g *graph3) finish() error {
	if len(g.documents) == 0 {
		g.note("the graph has no SpdxDocument")
		return nil
	}
	d := g.documents[0]
	g.out.Name = d.Name
	made := d.made
	if d.creation != "" {
		made = g.creations[d.creation]
	}
	g.created(made.created)
	for _, id := range made.using {
		g.list(&g.out.Tools, "tool", g.called(id))
	}
	for _, id := range made.by {
		g.list(&g.out.Authors, "author", g.called(id))
	}
	collections := map[string]bool{d.id: true}
	roots := slices.Clone(d.roots)
	for _, id := range d.roots {
		if inner, ok := g.sboms[id]; ok {
			collections[id] = true
			roots = append(roots, inner...)
		}
	}
	for _, pair := range g.describes {
		if collections[pair[0]] {
			roots = append(roots, pair[1])
		}
	}
	for _, id := range roots {
		if _, ok := g.sboms[id]; ok {
			continue
		}
		if err := g.bill.describes(id); err != nil {
			return err
		}
	}
	g.distribute()
	return nil
}

// called is the name of an agent or tool, or its id.
func (g *graph3) called(id string) string {
	if name := g.names[id]; name != "" {
		return name
	}
	return id
}

// distribute gives the packages that are described the digests of the files that they are distributed as.
func (g *graph3) distribute() {
	if len(g.artifacts) == 0 {
		return
	}
	files, subject := map[ref][]stemma.Digest{}, map[ref]bool{}
	for _, id := range g.bill.described {
		subject[refOf(id)] = true
	}
	for _, pair := range g.artifacts {
		if id := refOf(pair[0]); subject[id] && len(files[id]) < stemma.MaxSubjectDigests {
			files[id] = append(files[id], g.files[pair[1]]...)
		}
	}
	for i, id := range g.ids {
		if more := files[id]; len(more) > 0 {
			c := &g.out.Packages[i]
			c.Digests = append(c.Digests, more...)
			c.Digests = c.Digests[:min(len(c.Digests), stemma.MaxSubjectDigests)]
		}
	}
}
