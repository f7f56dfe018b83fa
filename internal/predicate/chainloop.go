package predicate

import (
	"strings"

	"stemma"
)

// chainloop reads the attestation of a run of a workflow in Chainloop. Its materials are the pieces of evidence that were
// handed in, the built image among them, and no inputs of a build. The commit stands among the subjects, with the
// addresses that the working copy fetches from. Of the environment, in which anything may stand that the contract asks
// for, only the names of CI services are read. All but the builder is what the program found in the job.
func (r *reader) chainloop(s stemma.Statement, root *stemma.JSON) {
	r.object(root, true)
	builder, metadata, env := root.At("builder"), root.At("metadata"), root.At("env")
	r.within(root, builder, "builder", r.object)
	r.within(builder, builder.At("id"), "id", r.text)
	r.text(root.At("buildType"), false)
	r.object(metadata, false)
	r.object(env, false)
	r.out.Format, r.out.Known, r.out.BuildType = "chainloop", "Chainloop", root.At("buildType").Text()
	r.out.Inputs = r.inputs(root.At("materials"))
	if r.err != nil {
		return
	}
	r.tool(builder.At("id"), func(id string) bool { return strings.HasPrefix(id, "chainloop.dev/cli/") }, r.grade)
	by := r.tenant()
	name := metadata.At("name")
	r.text(name, false)
	r.otherwise(stemma.FieldEntryPoint, name.Text(), by, name.Pointer())

	value := func(j *stemma.JSON) (string, stemma.Grade, string) {
		r.text(j, false)
		return j.Text(), by, j.Pointer()
	}
	if v, by, where := value(env.At("GITHUB_REPOSITORY")); v != "" {
		r.repository("https://github.com/"+v, by, where)
	}
	if v, by, where := value(env.At("CI_PROJECT_URL")); v != "" {
		r.repository(v, by, where)
	}
	r.ref(value(env.At("GITHUB_REF")))
	r.commit(value(env.At("GITHUB_SHA")))
	url, id := root.At("runnerURL"), metadata.At("workflowRunID")
	if v, by, where := value(url); v != "" {
		r.run(v, by, where)
	}
	if v, by, where := value(id); v != "" {
		r.otherwise(stemma.FieldRun, v, by, where)
	}
	for _, subject := range s.Subject {
		if subject.Name == "git.head" {
			r.head(subject)
		}
	}
}

// head reads the subject that is the commit.
func (r *reader) head(subject stemma.ResourceDescriptor) {
	by := r.tenant()
	const where = "subject git.head"
	for _, name := range []string{"gitCommit", "sha1"} {
		r.commit(subject.Digest[name], by, where)
	}
	if len(subject.Annotations) == 0 {
		return
	}
	about, err := stemma.ParseJSON(subject.Annotations)
	if err != nil {
		r.note("the annotations of %s are left out: %v", where, err)
		return
	}
	var addresses []*stemma.JSON
	remotes := about.At("remotes")
	r.array(remotes, false)
	if remotes.IsArray() {
		for _, e := range remotes.Elems() {
			r.object(e, true)
			r.text(e.At("url"), true)
			addresses = append(addresses, e.At("url"))
		}
	}
	r.checkout(addresses, by)
}
