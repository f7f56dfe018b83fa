package predicate

import (
	"slices"
	"strings"

	"stemma"
)

// otherFamilies holds the readers of the builders that few use, and last the one of every build type that has none. Who
// builds Bazel modules has no reader: their release workflow is GitHub Actions and writes what actions/attest writes.
func otherFamilies() []family {
	all := func(string) bool { return true }
	return slices.Concat(
		npmFamilies(), jenkinsFamilies(), witnessFamilies(), buildkiteFamilies(), chainguardFamilies(), rebuildFamilies(), kubernetesFamilies(),
		[]family{
			{format: formatV1, is: all, read: (*reader).unlisted},
			{format: formatV02, is: all, read: (*reader).unlisted},
			{format: formatV01, is: all, read: (*reader).unlisted},
			{format: formatWitness, is: all, read: (*reader).unlisted},
		})
}

// otherProvenance is the reader of a predicate type that is provenance and not SLSA's, or nil. Predicate types that
// state something else of a build are nobody's here: https://apko.dev/image-configuration is what apko was asked for,
// and Docker's scout.docker.com/provenance/v0.1, which has no published schema, repeats the signed SLSA beside it.
func otherProvenance(predicateType string) func(*reader, stemma.Statement, *stemma.JSON) {
	switch predicateType {
	case "https://witness.testifysec.com/attestation-collection/v0.1", "https://witness.dev/attestation-collection/v0.1", "https://aflock.ai/attestation-collection/v0.1":
		return (*reader).collection
	case "https://slsa.dev/provenance/v1.0":
		return (*reader).witnessPredicate
	case "chainloop.dev/attestation/v0.2", "chainloop.dev/attestation/v0.3":
		return (*reader).chainloop
	}
	return nil
}

// unlisted reads a build type that no family lists.
func (r *reader) unlisted(b build) {
	if name := certificateOnly(r.signer); name != "" {
		r.note("%s writes no provenance of its own: its certificate is read, and of the predicate what all builders write", name)
	}
	if b.format == formatV02 && b.buildType == "" {
		if r.azure(b) {
			return
		}
		r.misspelt(b)
	}
	r.unknown(b)
}

// withoutUser is a URL without the user and password that it may hold: a job's checkout often fetches with its token. It
// reports false for one whose host two readers could see in different places.
func withoutUser(uri string) (string, bool) {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
		return uri, true
	}
	authority, path, _ := strings.Cut(rest, "/")
	user, host, found := strings.Cut(authority, "@")
	switch {
	case !found:
		return uri, true
	case user == "", strings.Contains(host, "@"), strings.ContainsAny(authority, "\\?#"):
		return "", false
	}
	return scheme + "://" + host + "/" + path, true
}

// checkout reads the addresses that a working copy fetches from. What is not taken is not quoted: it may hold a password.
func (r *reader) checkout(addresses []*stemma.JSON, by stemma.Grade) {
	type remote struct{ repository, where string }
	var found []remote
	for _, j := range addresses {
		uri, ok := withoutUser(j.Text())
		repository, revision, err := stemma.ParseRepository(uri)
		if !ok || err != nil || revision != "" {
			r.note("%s is left out: it is no address of a repository", j.Pointer())
			continue
		}
		if !slices.ContainsFunc(found, func(f remote) bool { return f.repository == repository }) && len(found) < 8 {
			found = append(found, remote{repository, j.Pointer()})
		}
	}
	switch {
	case len(found) == 1:
		r.say(stemma.FieldRepository, found[0].repository, by, found[0].where)
	case len(found) > 1:
		names := make([]string, len(found))
		for i, f := range found {
			names[i] = f.repository
		}
		r.note("several candidates for the source: %s", strings.Join(names, ", "))
	}
}

// array holds an optional member to a list.
func (r *reader) array(j *stemma.JSON, required bool) {
	if !j.IsArray() && (required || !absent(j)) {
		r.malformed(j, "an array")
	}
}

// texts holds an optional list to strings.
func (r *reader) texts(j *stemma.JSON) []*stemma.JSON {
	r.array(j, false)
	if !j.IsArray() {
		return nil
	}
	for _, k := range j.Elems() {
		r.text(k, true)
	}
	return j.Elems()
}

// tool records a builder id that names the program which wrote the provenance, and no builder. Under a certificate that
// names the builder the two do not contradict each other.
func (r *reader) tool(j *stemma.JSON, is func(id string) bool, by stemma.Grade) {
	id := j.Text()
	if r.certified(stemma.FieldBuilder) != "" && is(id) {
		r.note("builder.id %s is the tool that wrote it; the certificate names the builder", id)
		return
	}
	r.say(stemma.FieldBuilder, id, by, j.Pointer())
}

// nameByName gives inputs that have a name and no URI the normal form of that name.
func (r *reader) nameByName() {
	for i := range r.out.Inputs {
		in := &r.out.Inputs[i]
		if in.URI != "" || in.Name == "" {
			continue
		}
		named := r.input(stemma.ResourceDescriptor{URI: in.Name, Digest: in.Digest}, in.Where)
		named.URI, named.Name, named.MediaType, named.Annotations = "", in.Name, in.MediaType, in.Annotations
		*in = named
	}
}
