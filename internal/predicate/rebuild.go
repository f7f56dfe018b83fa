package predicate

import (
	"strings"

	"stemma"
)

// rebuild reads what OSS Rebuild says of a package that it built again. The source and the images of the build are
// among the dependencies, by name and without a URI.
func (r *reader) rebuild(b build) {
	r.rebuilder(b)
	var found []candidate
	for _, e := range b.dependencies.Elems() {
		if name := e.At("name").Text(); strings.HasPrefix(name, "git+") {
			if repository, revision, err := stemma.ParseRepository(name); err == nil {
				found = append(found, candidate{uri: e.At("name"), digest: e.At("digest"), repository: repository, revision: revision, entry: e})
			}
		}
	}
	for i := range r.out.Inputs {
		if r.out.Inputs[i].Kind == stemma.InputImage {
			r.out.Inputs[i].Role = stemma.RoleBuilder
		}
	}
	switch {
	case len(found) == 1:
		r.candidate(found[0], r.grade)
		r.mark(found[0].entry, stemma.InputGit, stemma.RoleSource)
	case len(found) > 1:
		r.ambiguous(found)
	}
	// How to build it, where that is written in a repository.
	if c := b.external.At("buildConfigSource"); !absent(c) {
		r.object(c, false)
		for _, name := range []string{"repository", "ref", "path"} {
			r.text(c.At(name), false)
		}
		if repository, _, err := stemma.ParseRepository(c.At("repository").Text()); err == nil {
			if ref := c.At("ref").Text(); ref != "" {
				repository += "@" + ref
			}
			r.say(stemma.FieldDefinition, repository, r.grade, c.At("repository").Pointer())
		}
		r.otherwise(stemma.FieldEntryPoint, c.At("path").Text(), r.grade, c.At("path").Pointer())
	}
	for _, name := range []string{"ecosystem", "package", "version", "artifact"} {
		if k := b.external.At(name); !absent(k) {
			r.parameter("param", name, k)
		}
	}
	r.unknownParameters(b.external, "ecosystem", "package", "version", "artifact", "buildConfigSource")
	r.report(stemma.InputGit, stemma.InputImage)
}

// equivalence reads what OSS Rebuild says of the package that it compared with its own build. It names no source: that
// stands in the statement about the rebuild.
func (r *reader) equivalence(b build) {
	r.rebuilder(b)
	r.note("says that two artifacts are equal, and nothing of how this one was built")
	for _, name := range []string{"candidate", "target"} {
		r.text(b.external.At(name), false)
		if k := b.external.At(name); !absent(k) {
			r.parameter("param", name, k)
		}
	}
	r.unknownParameters(b.external, "candidate", "target")
}

func (r *reader) rebuilder(b build) {
	r.builder(b.builderID)
	r.run(b.invocationID.Scalar(), r.grade, b.invocationID.Pointer())
	r.nameByName()
}

// commons reads what Apache Commons' Maven plugin writes on the machine of whoever releases: every parameter is theirs.
func (r *reader) commons(b build) {
	r.builder(b.builderID)
	r.otherwise(stemma.FieldRun, b.invocationID.Scalar(), r.grade, b.invocationID.Pointer())
	r.undefinedParameters(b)
	found := gitDependencies(b)
	r.only(found)
	if len(found) == 1 {
		r.mark(found[0].entry, stemma.InputGit, stemma.RoleSource)
	}
	r.report(stemma.InputGit, stemma.InputPackage)
}

func rebuildFamilies() []family {
	const builds = "https://docs.oss-rebuild.dev/builds/"
	return []family{
		{"OSS Rebuild", formatV1, exactly(builds + "Rebuild@v0.1"), (*reader).rebuild},
		{"OSS Rebuild", formatV1, exactly(builds + "ArtifactEquivalence@v0.1"), (*reader).equivalence},
		{"Apache Commons", formatV1, exactly("https://commons.apache.org/builds/0.1.0"), (*reader).commons},
	}
}
