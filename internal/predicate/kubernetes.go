package predicate

import "stemma"

// krel reads what the release tool of Kubernetes writes of a build that it ran on Google Cloud Build: the build file is
// the tool's own, and the repository that was built is the only material. Its commit stood in quotation marks for years,
// and is none then.
func (r *reader) krel(b build) {
	r.builder(b.builderID)
	r.run(b.invocationID.Scalar(), r.grade, b.invocationID.Pointer())
	r.otherwise(stemma.FieldEntryPoint, b.entryPoint.Text(), r.grade, b.entryPoint.Pointer())
	found := gitDependencies(b)
	switch names := distinctRepositories(found); {
	case len(names) > 1:
		r.ambiguous(found)
	case len(found) == 1:
		r.candidate(found[0], r.grade)
		r.mark(found[0].entry, stemma.InputGit, stemma.RoleSource)
	}
	r.each("substitution", b.external)
	r.report(stemma.InputGit)
}

func kubernetesFamilies() []family {
	return []family{{"Kubernetes release", formatV02, exactly("https://cloudbuild.googleapis.com/CloudBuildYaml@v1"), (*reader).krel}}
}
