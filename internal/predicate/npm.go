package predicate

import (
	"strings"

	"stemma"
)

// npm reads what npm publish writes on GitHub Actions, and tejolote, which asks GitHub's API after the run. Their
// builder ids are constants that stand for every runner, so the builder is known from the certificate only.
func (r *reader) npm(b build) {
	r.tool(b.builderID, func(id string) bool { return isMachine(id) || id == "https://github.com/npm/slsa-provenance@0.0.1" }, r.grade)
	r.source(b.configSource.At("uri"), r.grade)
	r.digest(b.configSource.At("digest"), r.grade)
	for _, m := range gitDependencies(b) {
		r.candidate(m, r.grade)
		r.mark(m.entry, stemma.InputGit, stemma.RoleSource)
	}
	if strings.HasPrefix(b.entryPoint.Text(), ".github/workflows/") {
		r.say(stemma.FieldEntryPoint, b.entryPoint.Text(), r.grade, b.entryPoint.Pointer())
	} else {
		r.otherwise(stemma.FieldEntryPoint, b.entryPoint.Text(), r.grade, b.entryPoint.Pointer())
	}
	r.run(b.invocationID.Scalar(), r.grade, b.invocationID.Pointer())
	run := b.internal.At("context", "github", "run_id")
	r.identifier(run)
	r.run(run.Scalar(), r.grade, run.Pointer())
	r.environment(b.internal, variable)
	r.chosen(b.external)
	r.report(stemma.InputGit)
}

func npmFamilies() []family {
	return []family{
		{"npm", formatV02, exactly("https://github.com/npm/cli/gha/v1", "https://github.com/npm/cli/gha/v2", "https://github.com/npm/slsa-provenance/gha@v0"), (*reader).npm},
		{"tejolote", formatV02, exactly("https://github.com/Attestations/GitHubActionsWorkflow@v1"), (*reader).npm},
	}
}
