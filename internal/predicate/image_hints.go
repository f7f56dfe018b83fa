package predicate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stemma"
)

const (
	formatImage = "image"

	// Longest text of an annotation or label that is read, and most entries of a list in one.
	maxLabel   = 1 << 20
	maxEntries = 256
)

// ReadImage reads what builders without provenance leave in the image itself. ko and others write the annotations, or
// labels, of the OCI image specification; buildpacks write labels of their own: the image that the app runs on, the
// buildpacks that made it, the source. Whoever can push an image can write all of it, and nobody signs it: every claim
// is graded [stemma.SaidByNobody]. There is one result for each of the two ways, none for one that is not used, and what
// is malformed is left out with a note. The id is that of the image.
func ReadImage(id stemma.Digest, annotations, labels map[string]string) []stemma.Provenance {
	var out []stemma.Provenance
	for _, read := range []func(*reader, map[string]string, map[string]string) bool{(*reader).imageAnnotations, (*reader).buildpacks} {
		r := &reader{
			out:   &stemma.Provenance{Bundle: id, Format: formatImage},
			grade: grade(nil),
			said:  map[stemma.Field][]stemma.Said{},
		}
		if read(r, annotations, labels) {
			r.finish()
			out = append(out, *r.out)
		}
	}
	return out
}

// imageAnnotations reads org.opencontainers.image annotations, and labels of the same names.
func (r *reader) imageAnnotations(annotations, labels map[string]string) bool {
	r.out.Known = "OCI annotations"
	read := false
	for _, from := range []struct {
		kind   string
		values map[string]string
	}{{"annotation", annotations}, {"label", labels}} {
		get := func(name string) (value, where string) {
			name = "org.opencontainers.image." + name
			where = from.kind + " " + name
			value = from.values[name]
			if len(value) > maxClaim {
				r.note("%s is left out: longer than %d bytes", where, maxClaim)
				value = ""
			}
			read = read || value != ""
			return value, where
		}
		if uri, where := get("source"); uri != "" {
			r.hintSource(uri, where)
		}
		if revision, where := get("revision"); isHex(revision) {
			r.commit(revision, r.grade, where)
		} else {
			r.ref(revision, r.grade, where)
		}
		if v, where := get("vendor"); v != "" {
			r.note("%s: %s", where, v)
		}
		name, where := get("base.name")
		digest, whereDigest := get("base.digest")
		r.hintBase(name, digest, cmp.Or(where, whereDigest))
	}
	return read
}

// hintSource records an address for people or for git, with or without a user.
func (r *reader) hintSource(uri, where string) {
	uri, ok := withoutUser(uri)
	repository, revision, err := stemma.ParseRepository(uri)
	if !ok || err != nil {
		r.note("%s is left out: it is no address of a repository", where)
		return
	}
	r.say(stemma.FieldRepository, repository, r.grade, where)
	r.revision(revision, r.grade, where)
}

// hintBase records the image that the built one stands on.
func (r *reader) hintBase(name, digest, where string) {
	if name == "" && digest == "" {
		return
	}
	d := stemma.ResourceDescriptor{URI: name}
	if digest != "" {
		parsed, err := stemma.ParseDigest(digest)
		if err != nil {
			r.note("the digest of the base at %s is left out: %v", where, err)
		} else {
			d.Digest = map[string]string{parsed.Algorithm(): parsed.Hex()}
		}
	}
	if name == "" && d.Digest == nil {
		return
	}
	in := stemma.Input{ResourceDescriptor: d, Kind: stemma.InputImage, By: r.grade, Where: where}
	if name != "" {
		in = r.input(stemma.ResourceDescriptor{URI: "oci://" + name, Digest: d.Digest}, where)
		in.URI, in.Kind = name, stemma.InputImage
	}
	in.Role = stemma.RoleBase
	r.out.Inputs = append(r.out.Inputs, in)
	r.report(stemma.InputImage)
}

// buildpacks reads the three labels of the Cloud Native Buildpacks platform specification.
func (r *reader) buildpacks(_, labels map[string]string) bool {
	r.out.Known = "Buildpacks"
	read := false
	for _, l := range []struct {
		name string
		read func(*reader, *stemma.JSON)
	}{
		{"io.buildpacks.lifecycle.metadata", (*reader).lifecycle},
		{"io.buildpacks.build.metadata", (*reader).buildpackGroup},
		{"io.buildpacks.project.metadata", (*reader).project},
	} {
		text, found := labels[l.name]
		if !found || text == "" {
			continue
		}
		read = true
		if len(text) > maxLabel {
			r.note("label %s is left out: longer than %d bytes", l.name, maxLabel)
			continue
		}
		if err := r.label(l.name, text, l.read); err != nil {
			r.note("label %s is left out: %v", l.name, err)
		}
	}
	return read
}

// label reads one label whole or not at all.
func (r *reader) label(name, text string, read func(*reader, *stemma.JSON)) error {
	root, err := stemma.ParseJSON([]byte(text))
	if err != nil {
		return err
	}
	scratch := &reader{out: &stemma.Provenance{Notes: r.out.Notes}, grade: r.grade, said: map[stemma.Field][]stemma.Said{}}
	if scratch.object(root, true); scratch.err == nil {
		read(scratch, root)
	}
	if scratch.err != nil {
		return scratch.err
	}
	prefix := "label " + name + " "
	for f, said := range scratch.said {
		for _, s := range said {
			s.Where = prefix + s.Where
			r.said[f] = append(r.said[f], s)
		}
	}
	for _, in := range scratch.out.Inputs {
		in.Where = prefix + in.Where
		// Two labels list the buildpacks.
		if !slices.ContainsFunc(r.out.Inputs, func(o stemma.Input) bool { return o.Name == in.Name && o.URI == in.URI && o.Version == in.Version }) {
			r.out.Inputs = append(r.out.Inputs, in)
		}
	}
	for kind := range scratch.out.Reported {
		r.report(kind)
	}
	r.out.Notes = scratch.out.Notes
	return nil
}

// lifecycle reads the run image, by digest, and its name, which may have moved since.
func (r *reader) lifecycle(root *stemma.JSON) {
	run, stack := root.At("runImage"), root.At("stack")
	for _, j := range []*stemma.JSON{run, stack, stack.At("runImage")} {
		r.object(j, false)
	}
	reference, name := run.At("reference"), run.At("image")
	if name.Text() == "" {
		name = stack.At("runImage", "image")
	}
	for _, j := range []*stemma.JSON{reference, name, run.At("topLayer")} {
		r.text(j, false)
	}
	switch s := reference.Text(); {
	case s == "":
		r.hintBase(name.Text(), "", name.Pointer())
	case strings.Contains(s, "@"):
		r.hintBase(s, "", reference.Pointer())
	default:
		// "An image ID (the digest of the uncompressed config blob)", which is not the digest of the image.
		r.note("the run image is named by the id %s, which no registry knows", s)
		r.hintBase(name.Text(), "", name.Pointer())
	}
	r.packs(root.At("buildpacks"), "key")
}

// buildpackGroup reads the buildpacks of the other label, which says them again.
func (r *reader) buildpackGroup(root *stemma.JSON) { r.packs(root.At("buildpacks"), "id") }

// packs records buildpacks as parts of the builder. They are named, and versioned, and have no digest.
func (r *reader) packs(all *stemma.JSON, key string) {
	r.array(all, false)
	if !all.IsArray() {
		return
	}
	if len(all.Elems()) > maxEntries {
		r.malformed(all, fmt.Sprintf("at most %d buildpacks", maxEntries))
		return
	}
	for _, e := range all.Elems() {
		r.object(e, true)
		r.within(e, e.At(key), key, r.text)
		r.text(e.At("version"), false)
		r.out.Inputs = append(r.out.Inputs, stemma.Input{
			ResourceDescriptor: stemma.ResourceDescriptor{Name: stemma.Printable(e.At(key).Text(), 256)}, Kind: stemma.InputOther,
			Version: stemma.Printable(e.At("version").Text(), 256), Role: stemma.RoleBuilder, By: r.grade, Where: e.Pointer(),
		})
	}
}

// project reads where the platform got the source. Its members are free; these are what pack and kpack write.
func (r *reader) project(root *stemma.JSON) {
	source := root.At("source")
	version, about := source.At("version"), source.At("metadata")
	for _, j := range []*stemma.JSON{source, version, about} {
		r.object(j, false)
	}
	kind := source.At("type")
	if r.text(kind, false); kind.Text() != "git" {
		if kind.Text() != "" {
			r.note("the source is of type %s", kind.Text())
		}
		return
	}
	for _, j := range []*stemma.JSON{version.At("commit"), about.At("repository"), about.At("revision")} {
		r.text(j, false)
	}
	if uri := about.At("repository"); uri.Text() != "" {
		r.hintSource(uri.Text(), uri.Pointer())
	}
	r.commit(version.At("commit").Text(), r.grade, version.At("commit").Pointer())
	r.revision(about.At("revision").Text(), r.grade, about.At("revision").Pointer())
	if refs := r.texts(about.At("refs")); len(refs) == 1 {
		r.ref(refs[0].Text(), r.grade, refs[0].Pointer())
	}
}
