package predicate

import (
	"strings"

	"stemma"
)

// jenkinsPlugin begins the build type of Jenkins' SLSA plugin, which is its builder id, too.
const jenkinsPlugin = "https://gitlab.eclipse.org/eclipsefdn/security/slsa-jenkins-plugin@v"

func isJenkinsPlugin(s string) bool {
	return len(s) > len(jenkinsPlugin) && strings.HasPrefix(s, jenkinsPlugin)
}

// jenkins reads what the plugin writes on the controller. It does not sign. Its builder id is the same on every Jenkins
// there is; which one it was stands in the URLs of job and build.
func (r *reader) jenkins(b build) {
	if isJenkinsPlugin(b.builderID.Text()) {
		r.note("builder.id is the plugin, which is the same on every Jenkins")
	}
	r.tool(b.builderID, isJenkinsPlugin, r.grade)
	r.source(b.configSource.At("uri"), r.grade)
	r.digest(b.configSource.At("digest"), r.grade)
	for _, m := range gitDependencies(b) {
		r.candidate(m, r.grade)
		r.mark(m.entry, stemma.InputGit, stemma.RoleSource)
	}
	job := b.entryPoint
	r.otherwise(stemma.FieldEntryPoint, job.Text(), r.grade, job.Pointer()) // the name of a job, which is no path
	for _, name := range []string{"job_url", "build_url", "node_name"} {
		r.text(b.internal.At(name), false)
	}
	url, number := b.internal.At("build_url"), b.invocationID.Scalar()
	if u := strings.TrimSuffix(url.Text(), "/"); u != "" {
		r.run(u, r.grade, url.Pointer())
		if number != "" && !strings.HasSuffix(u, "/"+number) {
			r.note("%s is not the build with the number %s", url.Pointer(), number)
		}
		if job := b.internal.At("job_url").Text(); job != "" && !strings.HasPrefix(url.Text(), job) {
			r.note("%s is not a build of the job beside it", url.Pointer())
		}
	} else {
		r.run(number, r.grade, b.invocationID.Pointer())
	}
	if node := b.internal.At("node_name").Text(); node != "" {
		r.note("node: %s", node)
	}
	r.undefinedParameters(b)
	r.report(stemma.InputGit)
}

// misspelt notes names that differ from those of the specification by their case, as a generator for Jenkins writes
// them. Nothing is taken from them: of two readers, one would read them and the other would not.
func (r *reader) misspelt(b build) {
	for _, of := range []struct {
		in    *stemma.JSON
		names []string
	}{
		{b.configSource, []string{"uri", "digest", "entryPoint"}},
		{b.metadata, []string{"buildInvocationId", "buildInvocationID", "buildStartedOn", "buildFinishedOn", "completeness", "reproducible"}},
	} {
		if !of.in.IsObject() {
			continue
		}
		for _, k := range of.in.Elems() {
			for _, name := range of.names {
				if strings.EqualFold(k.Name(), name) && k.Name() != name && of.in.At(name) == nil {
					r.note("%s is left out: it is not spelt %s", k.Pointer(), name)
					break
				}
			}
		}
	}
}

// witnessJenkins reads what witness finds in the environment of a job. The job can set it.
func (r *reader) witnessJenkins(j *stemma.JSON) {
	for _, name := range []string{"buildid", "buildnumber", "buildtag", "pipelineurl", "jenkinsurl", "jobname", "nodename"} {
		r.text(j.At(name), false)
	}
	r.jobBuilder(j.At("jenkinsurl"))
	run := j.At("pipelineurl")
	r.run(strings.TrimSuffix(run.Text(), "/"), r.tenant(), run.Pointer())
	job := j.At("jobname")
	r.otherwise(stemma.FieldEntryPoint, job.Text(), r.tenant(), job.Pointer())
	if url, base := run.Text(), j.At("jenkinsurl").Text(); url != "" && base != "" && !strings.HasPrefix(url, strings.TrimSuffix(base, "/")+"/") {
		r.note("%s is not a build of the Jenkins beside it", run.Pointer())
	}
	if node := j.At("nodename").Text(); node != "" {
		r.note("node: %s", node)
	}
}

func jenkinsFamilies() []family {
	return []family{{"Jenkins", formatV02, isJenkinsPlugin, (*reader).jenkins}}
}
