package predicate

import (
	"strings"

	"stemma"
)

// witnessCodeBuild reads what witness finds in the environment of a build of AWS CodeBuild, which signs nothing itself.
// The build can set it. The answer of the API, which is kept beside it, holds the variables of the project and their
// secrets, and is not looked at.
func (r *reader) witnessCodeBuild(j *stemma.JSON) {
	info := j.At("build_info")
	r.within(j, info, "build_info", r.object)
	for _, name := range []string{"build_id", "build_arn", "project_name", "source_version", "source_repo", "webhook_event", "webhook_head_ref"} {
		r.text(info.At(name), false)
	}
	by := r.tenant()
	arn := info.At("build_arn")
	if project, ok := codeBuildProject(arn.Text()); ok {
		r.builderOfJob(project, arn.Pointer())
	} else if arn.Text() != "" {
		r.note("%s is left out: it is not the name of a build", arn.Pointer())
	}
	r.run(arn.Text(), by, arn.Pointer())
	if repo := info.At("source_repo"); repo.Text() != "" {
		r.checkout([]*stemma.JSON{repo}, by)
	}
	// The version of a source that is no repository is not a commit.
	if v := info.At("source_version"); stemma.IsCommit(v.Text()) {
		r.say(stemma.FieldCommit, v.Text(), by, v.Pointer())
	}
	r.ref(info.At("webhook_head_ref").Text(), by, info.At("webhook_head_ref").Pointer())
	r.plain(stemma.FieldTrigger, info.At("webhook_event"), by)
	r.otherwise(stemma.FieldEntryPoint, info.At("project_name").Text(), by, info.At("project_name").Pointer())
}

// codeBuildProject is the project of a build: "arn:aws:codebuild:REGION:ACCOUNT:project/NAME" of
// "arn:aws:codebuild:REGION:ACCOUNT:build/NAME:ID".
func codeBuildProject(arn string) (string, bool) {
	p := strings.Split(arn, ":")
	if len(p) != 7 || p[0] != "arn" || !strings.HasPrefix(p[1], "aws") || p[2] != "codebuild" || p[3] == "" || len(p[4]) != 12 || !isDigits(p[4]) || p[6] == "" {
		return "", false
	}
	name, ok := strings.CutPrefix(p[5], "build/")
	return strings.Join(p[:5], ":") + ":project/" + name, ok && name != "" && !strings.Contains(name, "/")
}
