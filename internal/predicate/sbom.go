package predicate

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"

	"stemma"
)

// Families of SBOM formats.
const (
	spdx      = "SPDX"
	cyclonedx = "CycloneDX"
)

// Bounds of what is kept of an SBOM besides its packages.
const (
	maxRoots    = 1 << 12 // elements that it says it describes, and ancestors of them
	maxListed   = 64      // tools, authors and notes, each
	maxAnalyses = 1 << 17 // statements of a VEX document, and vulnerabilities of a scan
)

// sbomType recognises a predicate type: "https://spdx.dev/Document" and "https://cyclonedx.org/bom", alone or with
// "/v" and a version behind.
func sbomType(predicateType string) (family, version string, ok bool) {
	for prefix, family := range map[string]string{"https://spdx.dev/Document": spdx, "https://cyclonedx.org/bom": cyclonedx} {
		rest, found := strings.CutPrefix(predicateType, prefix)
		switch {
		case !found:
		case rest == "":
			return family, "", true
		case strings.HasPrefix(rest, "/v") && isVersion(rest[2:]):
			return family, rest[2:], true
		}
	}
	return "", "", false
}

// ReadFile reads a document that lies in a registry as a file, by the media type of its layer. The Document is empty for
// media types of anything else; an error says that the file is not what its media type says.
func ReadFile(id stemma.Digest, mediaType string, data []byte) (Document, error) {
	return ReadSBOM(id, mediaType, bytes.NewReader(data))
}

// ReadSBOM is ReadFile for a document that need not be held whole: memory grows with what is kept of it, not with its
// size.
func ReadSBOM(id stemma.Digest, mediaType string, r io.Reader) (Document, error) {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	switch strings.TrimSpace(mediaType) {
	case "application/spdx+json", "text/spdx+json":
		return sbom(id, spdx, "", r)
	case "text/spdx":
		return spdxText(id, "", r)
	case "application/vnd.cyclonedx+json":
		return sbom(id, cyclonedx, "", r)
	case "application/vnd.cyclonedx", "application/vnd.cyclonedx+xml":
		return Document{}, fmt.Errorf("reading CycloneDX document: XML is not read; attach it as application/vnd.cyclonedx+json")
	case "application/vnd.syft+json":
		if err := stemma.ReadJSON(r, func(*stemma.JSONStream) error { return nil }); err != nil {
			return Document{}, fmt.Errorf("reading Syft document: %w", err)
		}
		return Document{SBOM: &stemma.SBOM{Bundle: id, Format: "Syft", Notes: []string{"Syft's own format is recognised and not read; attach SPDX or CycloneDX"}}}, nil
	case "application/vnd.openvex+json", "text/vex+json":
		v, err := openVEX(id, "", nil, r)
		return Document{VEX: v}, err
	}
	return Document{}, nil
}

// sbom reads an SBOM. wanted is the version that the predicate type promises, or "".
func sbom(id stemma.Digest, family, wanted string, r io.Reader) (d Document, err error) {
	b := &bill{out: &stemma.SBOM{Bundle: id}}
	var version string
	var vex *stemma.VEX
	err = stemma.ReadJSON(r, func(s *stemma.JSONStream) error {
		b.json = s
		if family == cyclonedx {
			version, vex, err = b.cycloneDX()
			return err
		}
		if s.Kind() == '"' {
			// cosign attests SPDX tag-value documents as one string.
			text, err := s.Text()
			if err == nil {
				version, err = b.tagValue(strings.NewReader(text))
			}
			return err
		}
		version, err = b.spdx()
		return err
	})
	if err == nil {
		err = b.finish(family, version, wanted)
	}
	if err != nil {
		return Document{}, fmt.Errorf("reading %s document: %w", family, err)
	}
	if vex != nil {
		vex.Bundle, vex.Format, vex.Time = id, b.out.Format, b.out.Created
		vex.Author = strings.Join(b.out.Authors, ", ")
		for i := range vex.Statements {
			date(&vex.Statements[i], b.out.Created, b.out.Created)
		}
	}
	return Document{SBOM: b.out, VEX: vex}, nil
}

// baseImage is the image that a component names: by its package URL or, without one that tells a registry, by its name.
func baseImage(c stemma.Component) stemma.Image {
	var n inputName
	if rest, ok := strings.CutPrefix(c.PURL, "pkg:"); ok {
		n = packageName(rest, true)
	}
	if n.canonical == "" {
		reference := c.Name
		if ref, ok := parseImage(reference); ok && ref.tag == "" && ref.digest == "" && c.Version != "" {
			if strings.HasPrefix(c.Version, "sha256:") {
				reference += "@" + c.Version
			} else {
				reference += ":" + c.Version
			}
		}
		if n = imageName(reference, true); n.canonical == "" {
			n = imageName(c.Name, true)
		}
	}
	out := stemma.Image{Repository: n.canonical, Tag: n.version}
	if n.kind != stemma.InputImage || len(n.canonical) > maxInputName {
		out = stemma.Image{}
	}
	if d, err := stemma.NewDigest(n.algorithm, n.value); err == nil {
		out.Digest = d
	} else if len(c.Digests) > 0 {
		out.Digest = c.Digests[0]
	}
	return out
}

// spdxText reads a file in SPDX's tag-value format.
func spdxText(id stemma.Digest, wanted string, r io.Reader) (Document, error) {
	b := &bill{out: &stemma.SBOM{Bundle: id}}
	version, err := b.tagValue(r)
	if err == nil {
		err = b.finish(spdx, version, wanted)
	}
	if err != nil {
		return Document{}, fmt.Errorf("reading SPDX document: %w", err)
	}
	return Document{SBOM: b.out}, nil
}

// bill collects what an SBOM says while it is read, in whatever order it says it.
type bill struct {
	out       *stemma.SBOM
	json      *stemma.JSONStream
	beyond    int             // components that are counted and not kept
	ids       []ref           // by which the document refers to each of out.Packages
	described []string        // ids of what the document describes
	ancestors [][2]string     // pairs of ids: a descendant, and its ancestor
	named     map[string]bool // ids of packages that are marked as base images
	only      string          // the id of the only package, where there is but one
}

// ref is an id by which a document refers to one of its components, as a digest: ids are as long as all else that is kept.
type ref [16]byte

func refOf(id string) (r ref) {
	if id != "" {
		sum := sha256.Sum256([]byte(id))
		copy(r[:], sum[:])
	}
	return r
}

// element is a component as it is read.
type element struct {
	stemma.Component
	id         string
	kind       string // of CycloneDX
	supplied   bool   // somebody is named as its supplier, author or originator
	identified bool   // by something else than a package URL and accepted digests
	base       bool   // marked as a base image
}

func (b *bill) note(format string, args ...any) {
	if len(b.out.Notes) < maxListed {
		b.out.Notes = append(b.out.Notes, stemma.Printable(fmt.Sprintf(format, args...), 400))
	}
}

// text is a value that can be shown, or "" with a note.
func (b *bill) text(what, value string) string {
	switch {
	case len(value) > maxClaim:
		b.note("%s is left out: longer than %d bytes", what, maxClaim)
	case !printable(value):
		b.note("%s is left out: it has characters that are not printable", what)
	default:
		return value
	}
	return ""
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return stemma.Printable(s, maxClaim) == s && !strings.ContainsRune(s, '\uFFFD')
		}
	}
	return true
}

// reserve keeps the place of a component in the order of the document, for those that are named within it. It is -1 when
// there are more components than are kept.
func (b *bill) reserve() int {
	b.out.Elements.Components++
	if len(b.out.Packages) >= stemma.MaxPackages {
		b.beyond++
		return -1
	}
	b.out.Packages, b.ids = append(b.out.Packages, stemma.Component{}), append(b.ids, ref{})
	return len(b.out.Packages) - 1
}

// add puts a component in its place.
func (b *bill) add(i int, e element) {
	b.count(&e)
	if i < 0 {
		return
	}
	b.out.Packages[i], b.ids[i] = e.Component, refOf(e.id)
	if e.base && e.id != "" && len(b.named) < maxRoots {
		if b.named == nil {
			b.named = map[string]bool{}
		}
		b.named[e.id] = true
	}
}

// count cleans a component and counts what it lacks.
func (b *bill) count(e *element) {
	b.clean(e)
	n := &b.out.Elements
	for _, lacks := range []struct {
		it    bool
		count *int
	}{
		{e.Name == "", &n.Unnamed},
		{e.Version == "", &n.Unversioned},
		{!e.supplied, &n.Unsupplied},
		{!e.identified && e.PURL == "" && len(e.Digests) == 0, &n.Unidentified},
	} {
		if lacks.it {
			*lacks.count++
		}
	}
}

func (b *bill) clean(e *element) {
	what := "a component's "
	e.Name, e.Version, e.PURL = b.text(what+"name", e.Name), b.text(what+"version", e.Version), b.text(what+"package URL", e.PURL)
}

// hash adds a digest of a component. SPDX and CycloneDX spell algorithms SHA256, sha256 and SHA-256, and leave open the
// case of the digits. A digest of another algorithm identifies a component, and no image.
func (b *bill) hash(e *element, algorithm, value string) {
	if value == "" {
		return
	}
	algorithm = strings.ToLower(strings.Replace(algorithm, "-", "", 1))
	if !stemma.AcceptedAlgorithm(algorithm) {
		e.identified = true
		return
	}
	d, err := stemma.NewDigest(algorithm, strings.ToLower(value))
	if err != nil {
		b.note("a digest of component %s is left out: %v", e.Name, err)
		return
	}
	if len(e.Digests) < stemma.MaxSubjectDigests {
		e.Digests = append(e.Digests, d)
	}
}

// imageName adds the digests by which trivy names an image, the one in a registry and that of its configuration:
// "RepoDigest" and "ImageID", as properties (CycloneDX) or lines of text (SPDX).
func (e *element) imageName(name, value string) {
	switch name {
	case "RepoDigest":
		_, value, _ = strings.Cut(value, "@")
	case "ImageID":
	default:
		return
	}
	if d, err := stemma.ParseDigest(value); err == nil && len(e.Digests) < stemma.MaxSubjectDigests {
		e.Digests = append(e.Digests, d)
	}
}

// list adds to a short list.
func (b *bill) list(to *[]string, what, value string) {
	value = b.text(what, strings.TrimSpace(value))
	switch {
	case value == "":
	case len(*to) >= maxListed:
		b.note("%s %s is left out: more than %d", what, value, maxListed)
	default:
		*to = append(*to, value)
	}
}

// created records when the document was made. What is no time is as good as none.
func (b *bill) created(value string) {
	if value == "" {
		return
	}
	t, err := instant(value)
	if err != nil {
		b.note("the time %q is left out: want RFC 3339", value)
		return
	}
	b.out.Created = t
}

// describes records that the document describes an element. Every one counts, so a list that is cut short would be none.
func (b *bill) describes(id string) error {
	if len(b.described) >= maxRoots {
		return &stemma.JSONError{Problem: fmt.Sprintf("more than %d elements are described", maxRoots), Limit: true}
	}
	b.described = append(b.described, id)
	return nil
}

func (b *bill) descends(child, ancestor string) {
	switch {
	case len(b.ancestors) < maxRoots:
		b.ancestors = append(b.ancestors, [2]string{child, ancestor})
	default:
		b.note("ancestors beyond the first %d are left out", maxRoots)
	}
}

// finish sorts out which components are subjects and bases, and holds the version to what was promised.
func (b *bill) finish(family, version, wanted string) error {
	switch {
	case !isVersion(version):
		return fmt.Errorf("the document names no version of %s", family)
	case wanted != "" && version != wanted && !strings.HasPrefix(version, wanted+"."):
		return fmt.Errorf("version %s under the predicate type of version %s", version, wanted)
	case !readable(family, version):
		return fmt.Errorf("version %s of %s is not read", version, family)
	}
	b.out.Format = family + " " + version
	b.out.Name = b.text("the document's name", b.out.Name)
	subject, base, found := map[ref]bool{}, map[ref]bool{}, map[ref]bool{}
	for _, id := range b.described {
		subject[refOf(id)] = true
	}
	for _, pair := range b.ancestors {
		// The ancestors of an ancestor are somebody else's base, not this image's.
		if subject[refOf(pair[0])] {
			base[refOf(pair[1])] = true
		}
	}
	for id := range b.named {
		base[refOf(id)] = true
	}
	packages := b.out.Packages[:0]
	for i, c := range b.out.Packages {
		switch id := b.ids[i]; {
		case id != (ref{}) && subject[id]:
			if found[id] {
				return fmt.Errorf("two components have the id of what the document describes, %s", stemma.Printable(c.Name, 100))
			}
			found[id] = true
			b.out.Subjects = append(b.out.Subjects, c)
		case id != (ref{}) && base[id]:
			b.out.Bases = append(b.out.Bases, c)
		default:
			packages = append(packages, c)
		}
	}
	clear(b.out.Packages[len(packages):])
	b.out.Packages = packages
	if b.beyond > 0 {
		b.note("%d components beyond the first %d are counted and left out", b.beyond, stemma.MaxPackages)
	}
	for _, id := range b.described {
		if !found[refOf(id)] {
			b.note("the document describes %s, which is not among its components", stemma.Printable(id, 100))
		}
	}
	if len(b.out.Subjects) == 0 && len(b.described) == 0 {
		b.note("the document does not say what it describes")
	}
	for _, c := range b.out.Bases {
		b.out.BaseImages = append(b.out.BaseImages, baseImage(c))
	}
	return nil
}

// readable reports whether the rules of a version are known.
func readable(family, version string) bool {
	major, _, _ := strings.Cut(version, ".")
	if family == cyclonedx {
		return major == "1"
	}
	return major == "2" || major == "3"
}

// isVersion reports whether s is numbers with dots between, such as 2.3 or 3.0.1.
func isVersion(s string) bool {
	if len(s) > 16 {
		return false
	}
	for _, part := range strings.Split(s, ".") {
		if !isDigits(part) {
			return false
		}
	}
	return true
}

// each reads the array at hand. Null is no element of any list in these formats: it would be counted and say nothing.
func each(s *stemma.JSONStream, read func() error) error {
	return s.Array(func() error {
		if s.Kind() == 'n' {
			return s.Fail("expected an element, got null")
		}
		return read()
	})
}
