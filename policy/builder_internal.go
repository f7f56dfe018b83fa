package policy

import (
	"fmt"
	"slices"
	"strings"

	"stemma"
)

func (Internal) key() string { return "internal" }

// mapped is a field and where in the predicate it stands.
type mapped struct {
	key     string // under which the pointer is written
	field   stemma.Field
	pointer string // "" when it is not written
}

func (i Internal) mapped() []mapped {
	return []mapped{
		{"id", stemma.FieldBuilder, i.ID},
		{"repository", stemma.FieldRepository, i.Repository},
		{"commit", stemma.FieldCommit, i.Commit},
		{"ref", stemma.FieldRef, i.Ref},
		{"run", stemma.FieldRun, i.Run},
		{"trigger", stemma.FieldTrigger, i.Trigger},
	}
}

// maps reports whether a pointer for the field is written.
func (i Internal) maps(f stemma.Field) bool {
	return slices.ContainsFunc(i.mapped(), func(m mapped) bool { return m.field == f && m.pointer != "" })
}

// view is the provenance with the fields from where such a builder writes them. A predicate says many things, and the
// policy says which of them counts: what stands elsewhere is no substitute for it, neither when it is absent nor when it
// is no value of its field. What the certificate says stays first, and is compared with it.
func (i Internal) view(a *stemma.Attestation, p *stemma.Provenance) (*stemma.Provenance, difference) {
	if away := i.differs(a, p); away.reason != "" {
		return p, away
	}
	var notes []string
	note := func(format string, args ...any) {
		notes = append(notes, stemma.Printable(fmt.Sprintf(format, args...), 400))
	}
	var root *stemma.JSON
	if slices.ContainsFunc(i.mapped(), func(m mapped) bool { return m.pointer != "" }) {
		var err error
		if root, err = stemma.ParseJSON(a.Statement.Predicate); err != nil {
			note("nothing is taken from the predicate: %v", err)
		}
	}
	fields := map[stemma.Field]stemma.Said{}
	for _, m := range i.mapped() {
		if m.pointer == "" {
			continue
		}
		value, problem := m.read(root)
		if problem != "" {
			note("%s at %s is left out: %s", m.field, m.pointer, problem)
			fields[m.field] = stemma.Said{}
			continue
		}
		if c := p.Claims[m.field]; c.By == stemma.SaidByCertificate {
			value = spelt(m.field, value, c.Value)
		}
		fields[m.field] = stemma.Said{Value: value, By: i.author(p, m.pointer), Where: m.pointer}
	}
	if i.Repository != "" && fields[stemma.FieldRepository].Value != p.Value(stemma.FieldRepository) {
		// The reader of predicates took them for those of another source.
		for _, f := range []stemma.Field{stemma.FieldCommit, stemma.FieldRef, stemma.FieldEntryPoint} {
			if !i.maps(f) {
				fields[f] = stemma.Said{}
			}
		}
	}
	out := saying(p, fields)
	out.Notes = slices.Concat(p.Notes, notes)
	if i.Type != "" {
		out.Format = i.Type
	}
	return out, difference{}
}

// differs says in what provenance is none of such a builder.
func (i Internal) differs(a *stemma.Attestation, p *stemma.Provenance) difference {
	away := func(got, want, path string) difference { return difference{stemma.ReasonBuilder, got, want, path, 25} }
	got := a.Statement.PredicateType
	switch {
	case i.Type != "" && got != i.Type:
		return away("a statement "+quoteEmpty(got), "a statement "+i.Type, "internal.type")
	case i.Type == "" && !strings.HasPrefix(p.Format, "slsa/"):
		return away("a statement "+quoteEmpty(got), "SLSA provenance", "internal.type")
	case i.BuildType != "" && p.BuildType != i.BuildType:
		return away("buildType "+quoteEmpty(p.BuildType), "buildType "+i.BuildType, "internal.buildType")
	case p.Delegate != "":
		// A delegator signs for whoever calls it, and here nothing asks who that is (threats C19).
		return away("signed for "+p.Delegate, "the signer's own build", "internal")
	}
	return difference{}
}

// author is by whom what stands at a pointer is said. "externalParameters: The parameters that are under external
// control": of SLSA provenance the tenant wrote them, whoever signed it.
func (i Internal) author(p *stemma.Provenance, pointer string) stemma.Grade {
	for _, external := range []string{"/buildDefinition/externalParameters", "/invocation/parameters", "/recipe/arguments"} {
		if i.Type == "" && (pointer == external || strings.HasPrefix(pointer, external+"/")) && p.Author.Rank() > stemma.SaidByTenant.Rank() {
			return stemma.SaidByTenant
		}
	}
	return p.Author
}

// read is the value of the field in its canonical form, or why there is none. The forms are those that are taken of
// every provenance.
func (m mapped) read(root *stemma.JSON) (value, problem string) {
	const most = 2048 // bytes of a value; what is longer is no name of anything
	j := lookUp(root, m.pointer)
	raw := j.Raw()
	switch {
	case j == nil:
		return "", "nothing stands there"
	case len(raw) > 6*most: // each byte may be escaped
		return "", fmt.Sprintf("longer than %d bytes", most)
	case m.field == stemma.FieldRun && onlyOf(string(raw), digits):
		value = string(raw)
	default:
		value = j.Text()
	}
	switch {
	case value == "":
		return "", "want text"
	case len(value) > most:
		return "", fmt.Sprintf("longer than %d bytes", most)
	case stemma.Printable(value, most) != value || strings.ContainsRune(value, '\uFFFD'):
		return "", "it has characters that are not printable"
	}
	switch m.field {
	case stemma.FieldRepository:
		repository, err := stemma.CanonicalRepository(value)
		if err != nil {
			return "", err.Error()
		}
		return repository, ""
	case stemma.FieldCommit:
		if !stemma.IsCommit(value) {
			return "", "not 40 or 64 lower-case hex digits"
		}
	case stemma.FieldRef:
		if !stemma.IsRef(value) {
			return "", "git does not allow such a ref"
		}
	}
	return value, ""
}

// spelt is a value as the certificate spells it, where it is another name of the same: a branch or a tag with or without
// refs/heads or refs/tags, a run by its number, or without the attempt.
func spelt(f stemma.Field, value, certified string) string {
	run, _, _ := strings.Cut(certified, "/attempts/")
	switch {
	case f == stemma.FieldRef && (certified == "refs/heads/"+value || certified == "refs/tags/"+value || value == "refs/heads/"+certified || value == "refs/tags/"+certified),
		f == stemma.FieldRun && (strings.EqualFold(value, certified) || strings.EqualFold(value, run)),
		f == stemma.FieldRun && onlyOf(value, digits) && strings.HasSuffix(run, "/"+value):
		return certified
	}
	return value
}

// check refuses what no provenance could meet, and what would be believed to ask for more than it does.
func (i Internal) check(c *checker, path string, b Builder) {
	for _, m := range i.mapped() {
		if m.pointer != "" {
			c.pointer(join(path, m.key), m.pointer, nil)
		}
	}
	builder := strings.TrimSuffix(path, ".internal")
	forms := b.forms()
	named := len(forms) == 1 && !slices.Contains([]string{"keys", "oidc"}, forms[0].key())
	switch {
	case named && i.ID != "":
		c.fail(join(path, "id"), "remove it", "the certificate of %s names the builder, and no predicate can name another", forms[0].key())
	case named && b.ID != "":
		c.fail(join(builder, "id"), "remove it", "the certificate of %s names the builder, and no predicate can name another", forms[0].key())
	case i.ID != "" && b.ID == "":
		c.fail(join(path, "id"), "write id beside internal: the id that must stand there", "%s does not say which id is accepted", last(builder))
	case i.ID == "" && b.ID != "" && i.Type != "":
		c.fail(path, "write id: the pointer to it, such as /builder/id", "%s does not say where its id stands in %s", last(builder), i.Type)
	}
	if i.Type == "" {
		return
	}
	if i.BuildType != "" {
		c.fail(join(path, "buildType"), "remove it", "only SLSA provenance has a buildType, and type asks for another")
	}
	scheme, rest, ok := strings.Cut(i.Type, ":")
	switch {
	case strings.HasPrefix(i.Type, "https://slsa.dev/provenance/"):
		c.fail(join(path, "type"), "remove it: without type it is SLSA provenance of any version", "%s is SLSA provenance", i.Type)
	case strings.ContainsAny(i.Type, "*{}"):
		c.fail(join(path, "type"), "write each type as a builder of its own", "%q is a pattern, and there are none here", i.Type)
	case !ok || rest == "" || strings.Trim(rest, "/") == "" || !onlyOf(scheme, lower+digits+"+.-") ||
		strings.ContainsFunc(i.Type, func(r rune) bool { return r <= ' ' || r > '~' }):
		c.fail(join(path, "type"), "write it in full, as in the statement: https://ci.acme.example/attestation/v1", "%q is no predicate type", i.Type)
	case slices.ContainsFunc(readTypes(), func(t string) bool { return i.Type == t || strings.HasPrefix(i.Type, t+"/") }):
		c.fail(join(path, "type"), "write sbom, vulnerabilities, attestations or signature to ask for it", "%s states something else of an image than how it was built", i.Type)
	}
}

// readTypes are predicate types, with all their versions, that have a meaning of their own and are no provenance.
func readTypes() []string {
	return []string{
		"https://slsa.dev/verification_summary", "https://spdx.dev/Document", "https://cyclonedx.org/bom", "https://openvex.dev/ns",
		"https://in-toto.io/attestation/vulns", "https://cosign.sigstore.dev/attestation/vuln", "https://sigstore.dev/cosign/sign",
	}
}
