package predicate

import (
	"strings"

	"stemma"
)

// gitlab reads SLSA v1 of GitLab: the file that its runner writes beside artifacts, and the attestation that GitLab.com
// signs. Both name the project, the job and the runner; the variables of the job are among the parameters, one by one
// (the runner) or in a member of their own (GitLab.com).
func (r *reader) gitlab(b build) {
	r.runner(b.builderID)
	source, job := b.external.At("source"), b.external.At("entryPoint")
	r.text(source, false)
	r.text(job, false)
	r.source(source, r.grade)
	r.otherwise(stemma.FieldEntryPoint, job.Text(), r.grade, job.Pointer()) // the name of a job, which is no path
	for _, k := range b.external.Elems() {
		switch k.Name() {
		case "source", "entryPoint":
		case "variables":
			r.object(k, false)
			r.variables(k)
			for _, v := range k.Elems() {
				r.parameter("variable", v.Name(), v)
			}
		default:
			r.parameter("variable", k.Name(), k)
		}
	}
	number := b.internal.At("job")
	r.identifier(number)
	r.run(number.Scalar(), r.grade, number.Pointer())
	r.gitlabJob(b)
}

// gitlabV02 reads what runners before 16.7 wrote, and npm for GitLab.
func (r *reader) gitlabV02(b build) {
	r.runner(b.builderID)
	r.source(b.configSource.At("uri"), r.grade)
	r.digest(b.configSource.At("digest"), r.grade)
	r.otherwise(stemma.FieldEntryPoint, b.entryPoint.Text(), r.grade, b.entryPoint.Pointer())
	for _, k := range b.external.Elems() {
		r.parameter("variable", k.Name(), k)
	}
	r.object(b.internal.At("job"), false)
	number := b.internal.At("job", "id")
	r.identifier(number)
	r.run(number.Scalar(), r.grade, number.Pointer())
	r.gitlabJob(b)
}

// gitlabJob reads what all of them have.
func (r *reader) gitlabJob(b build) {
	r.run(b.invocationID.Scalar(), r.grade, b.invocationID.Pointer())
	said := r.said[stemma.FieldRepository]
	for _, c := range gitDependencies(b) {
		if len(said) > 0 && c.repository != said[0].Value {
			r.note("%s is left out: it is not the project", c.uri.Pointer())
			continue
		}
		r.candidate(c, r.grade)
		r.mark(c.entry, stemma.InputGit, stemma.RoleSource)
	}
	var machine []string
	for _, name := range []string{"name", "executor", "architecture"} {
		j := b.internal.At(name)
		r.text(j, false)
		if j.Text() != "" {
			machine = append(machine, name+" "+j.Text())
		}
	}
	if len(machine) > 0 {
		r.note("runner: %s", strings.Join(machine, ", "))
	}
	r.report(stemma.InputGit)
}

// runner records builder.id: the runner, under the project or group that it serves. A certificate names the CI
// configuration instead, so that the two do not contradict each other; the project must be the same.
func (r *reader) runner(j *stemma.JSON) {
	project, number, ok := strings.Cut(j.Text(), "/-/runners/")
	if !ok || !isDigits(number) || !strings.HasPrefix(project, "https://") {
		r.builder(j)
		return
	}
	if r.certified(stemma.FieldBuilder) == "" {
		r.builder(j)
	} else {
		r.note("builder.id %s is the runner; the certificate names the CI configuration", j.Text())
	}
	repository, revision, err := stemma.ParseRepository(project)
	if _, path, _ := strings.Cut(repository, "/"); err == nil && revision == "" && !strings.HasPrefix(path, "groups/") {
		r.say(stemma.FieldRepository, repository, r.grade, j.Pointer())
	}
}

// variables reads the predefined ones. Whoever starts a pipeline may set a variable of the same name, which wins: they
// are the tenant's word.
func (r *reader) variables(v *stemma.JSON) {
	value := func(name string) (string, stemma.Grade, string) {
		j := v.At(name)
		if j.Text() == "[MASKED]" {
			return "", "", ""
		}
		return j.Text(), r.tenant(), j.Pointer()
	}
	r.commit(value("CI_COMMIT_SHA"))
	for _, kind := range []struct{ name, prefix string }{{"CI_COMMIT_TAG", "refs/tags/"}, {"CI_COMMIT_BRANCH", "refs/heads/"}} {
		if short, by, where := value(kind.name); short != "" {
			r.ref(kind.prefix+short, by, where)
		}
	}
	for _, f := range []struct {
		field stemma.Field
		name  string
	}{
		{stemma.FieldTrigger, "CI_PIPELINE_SOURCE"},
		{stemma.FieldRepositoryID, "CI_PROJECT_ID"},
		{stemma.FieldOwnerID, "CI_PROJECT_NAMESPACE_ID"},
	} {
		text, by, where := value(f.name)
		r.say(f.field, text, by, where)
	}
}

func gitlabFamilies() []family {
	const name = "GitLab"
	ofRunner := func(s string) bool {
		version, ok := strings.CutPrefix(s, "https://gitlab.com/gitlab-org/gitlab-runner/-/blob/")
		version, file := strings.CutSuffix(version, "/PROVENANCE.md")
		return ok && file && version != ""
	}
	const page = "https://docs.gitlab.com/ci/pipeline_security/slsa/"
	service := exactly(page+"provenance_v1", page+"level_3/provenance_v1")
	return []family{
		{name, formatV1, func(s string) bool { return ofRunner(s) || service(s) }, (*reader).gitlab},
		{name, formatV02, func(s string) bool { return ofRunner(s) || s == "https://github.com/npm/cli/gitlab/v0alpha1" }, (*reader).gitlabV02},
	}
}
