package predicate

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"stemma"
)

// openVEXNamespace is OpenVEX's JSON-LD context and predicate type, alone or with "/v" and a version behind. VEX in the
// Common Security Advisory Framework (CSAF) is not read.
const openVEXNamespace = "https://openvex.dev/ns"

// openVEXType recognises a predicate type, and a context.
func openVEXType(uri string) (version string, ok bool) {
	rest, ok := strings.CutPrefix(uri, openVEXNamespace)
	if !ok || rest == "" {
		return "", ok
	}
	version, ok = strings.CutPrefix(rest, "/v")
	return version, ok && isVersion(version)
}

// openVEX reads an OpenVEX document. wanted is the version that the predicate type promises, or "". A statement that
// names no product is about the subjects of the attestation, which are those of the in-toto statement around it.
func openVEX(id stemma.Digest, wanted string, subjects []stemma.ResourceDescriptor, r io.Reader) (*stemma.VEX, error) {
	v := &vexReader{out: &stemma.VEX{Bundle: id}, subjects: subjectDigests(subjects)}
	err := stemma.ReadJSON(r, func(s *stemma.JSONStream) error {
		v.json = s
		return v.document(wanted)
	})
	if err != nil {
		return nil, fmt.Errorf("reading OpenVEX document: %w", err)
	}
	return v.out, nil
}

func subjectDigests(subjects []stemma.ResourceDescriptor) []stemma.Digest {
	var out []stemma.Digest
	for _, s := range subjects {
		for algorithm, value := range s.Digest {
			if d, err := stemma.NewDigest(algorithm, value); err == nil {
				out = append(out, d)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

type vexReader struct {
	out      *stemma.VEX
	json     *stemma.JSONStream
	subjects []stemma.Digest
}

func (v *vexReader) document(wanted string) error {
	s := v.json
	var issued, updated time.Time
	context, listed := "", false
	err := s.Object([]string{"@context", "author", "timestamp", "last_updated", "statements"}, func(name string) (err error) {
		switch name {
		case "@context":
			context, err = s.Text()
		case "author":
			v.out.Author, err = s.Text()
		case "timestamp":
			issued, err = timeOf(s)
		case "last_updated":
			updated, err = timeOf(s)
		default:
			listed = s.Kind() == '['
			err = each(s, v.statement)
		}
		return err
	})
	version, ok := openVEXType(context)
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("the document names no context of OpenVEX")
	case wanted != "" && version != wanted:
		return fmt.Errorf("context %s under the predicate type of version %s", context, wanted)
	case v.out.Author == "":
		return fmt.Errorf("a document without author")
	case !listed:
		return fmt.Errorf("a document without statements")
	}
	v.out.Author = bounded(v.out.Author)
	v.out.Format = "OpenVEX"
	if version != "" {
		v.out.Format += " v" + version
	}
	v.out.Time = later(issued, updated)
	for i := range v.out.Statements {
		date(&v.out.Statements[i], issued, v.out.Time)
	}
	return nil
}

// later is the later of two times, of which the zero time is none.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// date gives a statement without a time of its own that of its document: of its first issue where it takes a vulnerability
// out, and of its last change otherwise. What was changed may be another statement, and an old word must not become the
// last one by that.
func date(x *stemma.Exploitability, issued, changed time.Time) {
	switch {
	case !x.Time.IsZero():
	case excuses(x.Status):
		x.Time = issued
	default:
		x.Time = changed
	}
}

// excuses reports whether a status takes a vulnerability out.
func excuses(status string) bool { return status == "not_affected" || status == "fixed" }

// instant is a time of RFC 3339 in UTC. In another zone the year 9999 can be the year 10000, which RFC 3339 cannot write, and
// neither can a decision about it.
func instant(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, err
	}
	if t = t.UTC(); t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}, errors.New("a year that no date has")
	}
	return t, nil
}

// timeOf reads a time. One that is none is a breach of the format: what is later counts, and that must not be left open.
func timeOf(s *stemma.JSONStream) (time.Time, error) {
	text, err := s.Text()
	if err != nil || text == "" {
		return time.Time{}, err
	}
	t, err := instant(text)
	if err != nil {
		return time.Time{}, s.Fail("expected a time of RFC 3339, got %.40q", text)
	}
	return t, nil
}

// latest reads a time, and is the later of it and another.
func latest(s *stemma.JSONStream, other time.Time) (time.Time, error) {
	t, err := timeOf(s)
	return later(other, t), err
}

// product is one product of a statement.
type product struct {
	names   []string // its identifiers
	digests []stemma.Digest
	parts   []string // identifiers of components in it
}

// maxNames bounds the identifiers that one statement adds, and the names of one vulnerability.
const maxNames = 1 << 12

func (v *vexReader) statement() error {
	s := v.json
	x := stemma.Exploitability{}
	var products []product
	impact := ""
	err := s.Object([]string{"vulnerability", "timestamp", "last_updated", "products", "status", "justification", "impact_statement"}, func(name string) (err error) {
		switch name {
		case "vulnerability":
			x.IDs, err = v.vulnerability()
		case "timestamp", "last_updated":
			x.Time, err = latest(s, x.Time)
		case "products":
			err = each(s, func() error {
				p, err := v.product()
				products = append(products, p)
				if len(products) > maxNames {
					return s.Limit("more than %d products", maxNames)
				}
				return err
			})
		case "status":
			x.Status, err = s.Text()
		case "justification":
			x.Justification, err = s.Text()
		default:
			impact, err = s.Text()
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case len(x.IDs) == 0:
		return s.Fail("a statement without vulnerability")
	case !slices.Contains([]string{"not_affected", "affected", "fixed", "under_investigation"}, x.Status):
		return s.Fail("status %.40q: want not_affected, affected, fixed or under_investigation", x.Status)
	}
	if x.Justification == "" {
		x.Justification = impact
	}
	x.Justification = bounded(x.Justification)
	return v.place(x, products)
}

// place adds a statement. A component is named within its product: where there are several products, the components of one
// say nothing of another, so each becomes a statement of its own.
func (v *vexReader) place(x stemma.Exploitability, products []product) error {
	together := !slices.ContainsFunc(products, func(p product) bool { return len(p.parts) > 0 })
	if len(products) == 0 {
		x.Digests = v.subjects
	}
	for i, p := range products {
		x.Products = append(append(x.Products, p.names...), p.parts...)
		x.Digests = append(x.Digests, p.digests...)
		if !together && i < len(products)-1 {
			if err := v.keep(x); err != nil {
				return err
			}
			x.Products, x.Digests = nil, nil
		}
	}
	return v.keep(x)
}

func (v *vexReader) keep(x stemma.Exploitability) error {
	if len(v.out.Statements) >= maxAnalyses {
		return v.json.Limit("more than %d statements", maxAnalyses)
	}
	v.out.Statements = append(v.out.Statements, x)
	return nil
}

// vulnerability reads the names of one: a string before v0.2.0, and an object since.
func (v *vexReader) vulnerability() (ids []string, err error) {
	s := v.json
	if s.Kind() == '"' {
		name, err := s.Text()
		return v.name(nil, name), err
	}
	var name, iri string
	var aliases []string
	err = s.Object([]string{"name", "@id", "aliases"}, func(member string) (err error) {
		switch member {
		case "name":
			name, err = s.Text()
		case "@id":
			iri, err = s.Text()
		default:
			err = each(s, func() error {
				alias, err := s.Text()
				aliases = v.name(aliases, alias)
				return err
			})
		}
		return err
	})
	if name == "" {
		name = iri // some write the name there
	}
	if name == "" {
		return nil, err
	}
	return append(v.name(nil, name), aliases...), err
}

// name adds a name, unless it is none that could be compared with anything.
func (v *vexReader) name(to []string, name string) []string {
	if name == "" || len(name) > maxClaim || len(to) >= maxNames {
		return to
	}
	return append(to, name)
}

// product reads a product, an identifier before v0.2.0.
func (v *vexReader) product() (p product, err error) {
	s := v.json
	if s.Kind() == '"' {
		name, err := s.Text()
		p.names = v.name(nil, name)
		return p, v.told(err, p)
	}
	err = s.Object([]string{"@id", "identifiers", "hashes", "subcomponents"}, func(name string) (err error) {
		switch name {
		case "hashes":
			p.digests, err = v.hashes()
		case "subcomponents":
			err = each(s, func() error {
				var part product
				part, err := v.product()
				p.parts = append(append(p.parts, part.names...), part.parts...)
				if len(p.parts) > maxNames {
					return s.Limit("more than %d components of a product", maxNames)
				}
				return err
			})
		default:
			err = v.identifiers(&p, name)
		}
		return err
	})
	return p, v.told(err, p)
}

// told is an error where a product has no name at all: left out, it would make the statement one about less, or about the
// subjects of the attestation.
func (v *vexReader) told(err error, p product) error {
	if err == nil && len(p.names)+len(p.digests) == 0 {
		return v.json.Fail("a product without identifier")
	}
	return err
}

func (v *vexReader) identifiers(p *product, name string) error {
	s := v.json
	if name == "@id" {
		id, err := s.Text()
		p.names = v.name(p.names, id)
		return err
	}
	return s.Object([]string{"purl", "cpe22", "cpe23", "@cpe22", "@cpe23"}, func(string) error {
		id, err := s.Text()
		if !slices.Contains(p.names, id) {
			p.names = v.name(p.names, id)
		}
		return err
	})
}

// hashes reads digests by the names of RFC 6920, sha-256. Those that identify no image are left alone.
func (v *vexReader) hashes() (out []stemma.Digest, err error) {
	s := v.json
	err = s.Object([]string{"sha-256", "sha-384", "sha-512"}, func(name string) error {
		value, err := s.Text()
		if err != nil {
			return err
		}
		d, err := stemma.NewDigest(strings.Replace(name, "-", "", 1), strings.ToLower(value))
		if err != nil {
			return s.Fail("%v", err)
		}
		out = append(out, d)
		return nil
	})
	return out, err
}

// bounded is free text, cut short.
func bounded(s string) string { return stemma.Printable(s, maxClaim) }

// analysis is what a CycloneDX document says of a vulnerability.
type analysis struct {
	stemma.Exploitability
	affects []affected
}

// affected is one thing that a vulnerability is said to affect, or not to.
type affected struct {
	ref      string
	versions []string // those that the word is about, if it is about some only
	partly   bool
}

// cycloneState is the state of an analysis in the words of VEX, or "" for none of CycloneDX's.
func cycloneState(state string) string {
	switch state {
	case "resolved", "resolved_with_pedigree":
		return "fixed"
	case "exploitable":
		return "affected"
	case "in_triage":
		return "under_investigation"
	case "false_positive", "not_affected":
		return "not_affected"
	}
	return ""
}

func (b *bill) cycloneVulnerability(x *boxes) error {
	s := b.json
	var a analysis
	id, state, detail := "", "", ""
	v := &vexReader{json: s}
	err := s.Object([]string{"id", "references", "analysis", "affects"}, func(name string) (err error) {
		switch name {
		case "id":
			id, err = s.Text()
		case "references":
			err = each(s, func() error {
				return s.Object([]string{"id"}, func(string) error {
					alias, err := s.Text()
					a.IDs = v.name(a.IDs, alias)
					return err
				})
			})
		case "analysis":
			err = s.Object([]string{"state", "justification", "detail", "firstIssued", "lastUpdated"}, func(name string) (err error) {
				switch name {
				case "state":
					state, err = s.Text()
				case "justification":
					a.Justification, err = s.Text()
				case "firstIssued", "lastUpdated":
					a.Time, err = latest(s, a.Time)
				default:
					detail, err = s.Text()
				}
				return err
			})
		default:
			err = each(s, func() error { return b.cycloneAffects(&a) })
		}
		return err
	})
	switch {
	case err != nil || state == "":
		return err // a vulnerability that nobody analysed is a finding, and no word about it
	case cycloneState(state) == "":
		return s.Fail("state %.40q of an analysis: want one of CycloneDX", state)
	case len(x.flaws) >= maxAnalyses:
		return s.Limit("more than %d vulnerabilities", maxAnalyses)
	}
	a.Status = cycloneState(state)
	if a.IDs = append(v.name(nil, id), a.IDs...); len(a.IDs) == 0 {
		return s.Fail("an analysis of a vulnerability without id")
	}
	if a.Justification == "" {
		a.Justification = detail
	}
	a.Justification = bounded(a.Justification)
	x.flaws = append(x.flaws, a)
	return nil
}

func (b *bill) cycloneAffects(a *analysis) error {
	s := b.json
	if len(a.affects) >= maxNames {
		return s.Limit("more than %d things that a vulnerability affects", maxNames)
	}
	var one affected
	err := s.Object([]string{"ref", "versions"}, func(name string) (err error) {
		if name == "ref" {
			one.ref, err = s.Text()
			return err
		}
		return each(s, func() error {
			one.partly = true
			return b.pair("version", "status", func(version, status string) {
				if version != "" && status == "unaffected" && len(one.versions) < maxNames {
					one.versions = append(one.versions, version)
				}
			})
		})
	})
	a.affects = append(a.affects, one)
	return err
}

// cycloneVEX names the components that each analysis is about: it refers to them by bom-ref, alone or behind the
// document's serial number. What it says of a component in this document, it says of this document's image.
func (b *bill) cycloneVEX(x *boxes) *stemma.VEX {
	if len(x.flaws) == 0 {
		return nil
	}
	wanted := map[ref]*stemma.Component{}
	for _, a := range x.flaws {
		for _, one := range a.affects {
			wanted[refOf(local(one.ref))] = nil
		}
	}
	for i, id := range b.ids {
		if c, ok := wanted[id]; ok && c == nil && id != (ref{}) {
			wanted[id] = &b.out.Packages[i]
		}
	}
	var image []stemma.Digest
	if x.subject != nil {
		if id := refOf(x.subject.id); id != (ref{}) {
			wanted[id] = &x.subject.Component
		}
		image = x.subject.Digests
		if d, err := stemma.ParseDigest(x.subject.Version); err == nil {
			image = append(slices.Clip(image), d)
		}
	}
	out := &stemma.VEX{}
	for _, a := range x.flaws {
		for _, one := range a.affects {
			b.cycloneAffected(&a, one, wanted, image)
		}
		if len(a.Products) > 0 || len(a.affects) == 0 {
			out.Statements = append(out.Statements, a.Exploitability)
		}
	}
	if len(out.Statements) == 0 {
		return nil
	}
	return out
}

// local is the bom-ref of a BOM-Link, "urn:cdx:serial/1#ref", or of a plain reference.
func local(ref string) string {
	if strings.HasPrefix(ref, "urn:") {
		if _, inner, ok := strings.Cut(ref, "#"); ok {
			return inner
		}
	}
	return ref
}

// cycloneAffected adds one thing that an analysis is about. A word that takes a vulnerability out counts for the versions
// that it names: of ranges, which are not compared, it says nothing.
func (b *bill) cycloneAffected(a *analysis, one affected, known map[ref]*stemma.Component, image []stemma.Digest) {
	c := known[refOf(local(one.ref))]
	if excuses(a.Status) && one.partly && (c == nil || !slices.Contains(one.versions, c.Version)) {
		b.note("an analysis of %s as %s is left out for %s: it is about some versions only", a.IDs[0], a.Status, one.ref)
		return
	}
	name := one.ref
	if c != nil && c.PURL != "" {
		name = c.PURL
	}
	if name != "" && len(name) <= maxClaim {
		a.Products = append(a.Products, name)
	}
	if c == nil {
		return
	}
	for _, d := range image {
		if !slices.Contains(a.Digests, d) {
			a.Digests = append(a.Digests, d)
		}
	}
}
