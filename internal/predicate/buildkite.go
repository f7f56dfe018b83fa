package predicate

import (
	"strings"

	"stemma"
)

// buildkite reads the provenance of a job of Buildkite. Its plugin runs on the agent, in the job, takes everything from
// variables and signs with a key that is the same for all: nothing in it is said by more than the tenant.
func (r *reader) buildkite(b build) {
	by := r.tenant()
	r.note("written on the agent that ran the job: all of it is the agent's word")
	const service = "https://agent.buildkite.com"
	r.tool(b.builderID, func(id string) bool {
		return id == service || strings.HasPrefix(id, "https://github.com/buildkite-plugins/")
	}, by)
	pipeline, repository, of, step := b.external.At("pipeline"), b.external.At("repository"), b.external.At("build"), b.external.At("step")
	r.text(pipeline, false)
	r.text(repository, false)
	for _, j := range []*stemma.JSON{of, step, b.external.At("job")} {
		r.object(j, false)
	}
	if r.certified(stemma.FieldBuilder) != "" && r.signer.Issuer == service {
		// The certificate names the pipeline.
		r.say(stemma.FieldBuilder, pipeline.Text(), by, pipeline.Pointer())
	}
	r.otherwise(stemma.FieldEntryPoint, pipeline.Text(), by, pipeline.Pointer())

	r.source(repository, by)
	branch, tag, commit := of.At("branch"), of.At("tag"), of.At("commit")
	for _, j := range []*stemma.JSON{branch, tag, commit} {
		r.text(j, false)
	}
	// "The build commit as supplied when the build was created": HEAD, where nobody supplied one.
	if commit.Text() != "HEAD" {
		r.commit(commit.Text(), by, commit.Pointer())
	}
	switch {
	case tag.Text() != "":
		r.ref("refs/tags/"+tag.Text(), by, tag.Pointer())
	case branch.Text() != "":
		r.ref("refs/heads/"+branch.Text(), by, branch.Pointer())
	}
	for _, c := range gitDependencies(b) {
		if said := r.said[stemma.FieldRepository]; c.name != "" || len(said) > 0 && c.repository != said[0].Value && c.entry.Name() != "0" {
			continue // another repository that the build used
		}
		// The plugin writes @refs/heads/NAME for the build of a tag of that name, too.
		if c.revision == "refs/heads/"+tag.Text() {
			r.say(stemma.FieldRepository, c.repository, by, c.uri.Pointer())
			r.digest(c.digest, by)
		} else {
			r.candidate(c, by)
		}
		r.mark(c.entry, stemma.InputGit, stemma.RoleSource)
	}
	r.run(b.invocationID.Scalar(), by, b.invocationID.Pointer())
	for _, name := range []string{"key", "command"} {
		r.text(step.At(name), false)
		if k := step.At(name); k.Text() != "" {
			r.parameter("param", "step."+name, k)
		}
	}
	r.unknownParameters(b.external, "pipeline", "repository", "build", "step", "job")
	r.report(stemma.InputGit)
}

func buildkiteFamilies() []family {
	return []family{{"Buildkite", formatV1, exactly("https://buildkite.github.io/slsa-buildtypes/job/v1"), (*reader).buildkite}}
}
