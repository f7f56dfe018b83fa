package predicate

import (
	"strings"

	"stemma"
)

// buildkitV1 reads SLSA v1 of BuildKit.
func (r *reader) buildkitV1(b build) {
	max := !absent(b.internal.At("buildConfig")) || b.metadata.At("buildkit_completeness", "request").Bool()
	source := b.external.At("configSource")
	r.object(source, false)
	r.text(source.At("uri"), false)
	r.text(source.At("path"), false)
	r.digests(source.At("digest"))
	r.buildkit(b, source, source.At("path"), b.metadata.At("buildkit_metadata", "vcs"), max)
}

// buildkitV02 reads SLSA v0.2 of BuildKit.
func (r *reader) buildkitV02(b build) {
	max := !absent(b.buildConfig) || b.metadata.At("completeness", "parameters").Bool()
	vcs := b.metadata.At("https://mobyproject.org/buildkit@v1#metadata", "vcs")
	r.buildkit(b, b.configSource, b.configSource.At("entryPoint"), vcs, max)
}

// buildkit reads what both versions have. A remote context is fetched, and its commit found, by BuildKit itself; of a
// local one it knows only what the client tells.
func (r *reader) buildkit(b build, source, file, vcs *stemma.JSON, max bool) {
	if max {
		r.note("mode=max")
	} else {
		r.note("mode=min")
	}
	// The client chooses builder.id; buildx in GitHub Actions sends the URL of the run, which is no builder.
	if id := b.builderID.Text(); strings.Contains(id, "/actions/runs/") {
		r.run(id, r.tenant(), b.builderID.Pointer())
		r.otherwise(stemma.FieldBuilder, id, r.grade, b.builderID.Pointer())
	} else {
		r.builder(b.builderID)
	}
	// BuildKit's own id of the build is no run of the service that called it.
	r.otherwise(stemma.FieldRun, b.invocationID.Scalar(), r.grade, b.invocationID.Pointer())
	r.otherwise(stemma.FieldEntryPoint, file.Text(), r.grade, file.Pointer())

	uri, digest := source.At("uri"), source.At("digest")
	switch {
	case uri.Text() == "":
		r.note("the build context was local: no source is stated by the builder")
	case !namesGit(uri, digest):
		r.note("the build context was the file %s", uri.Text())
	default:
		r.source(uri, r.grade)
		r.digest(digest, r.grade)
	}
	if absent(vcs) {
		return
	}
	// "These values are client-supplied hints" (BuildKit, SLSA definitions): nobody checked them.
	r.object(vcs, false)
	r.text(vcs.At("source"), false)
	r.text(vcs.At("revision"), false)
	r.note("the vcs hint was sent by the client and checked by nobody")
	r.source(vcs.At("source"), r.tenant())
	r.commit(vcs.At("revision").Text(), r.tenant(), vcs.At("revision").Pointer())
}

func buildkitFamilies() []family {
	return []family{
		{"BuildKit", formatV1, exactly("https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"), (*reader).buildkitV1},
		{"BuildKit", formatV02, exactly("https://mobyproject.org/buildkit@v1"), (*reader).buildkitV02},
	}
}
