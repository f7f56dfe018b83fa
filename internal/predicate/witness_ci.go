package predicate

import (
	"strings"

	"stemma"
)

// token returns the claims of the token that a service gave to the job, and by whom they are said. Where the keys that it
// was verified with came from, the job can choose: only keys of the issuer itself make the token's words more than the
// job's.
func (r *reader) token(j *stemma.JSON) (claims *stemma.JSON, issuer string, by stemma.Grade) {
	token := j.At("jwt")
	claims = token.At("claims")
	for _, o := range []*stemma.JSON{token, claims, token.At("verifiedBy")} {
		r.object(o, false)
	}
	r.text(claims.At("iss"), false)
	r.text(token.At("verifiedBy", "jwksUrl"), false)
	if !claims.IsObject() {
		return nil, "", r.tenant()
	}
	issuer = claims.At("iss").Text()
	by = r.grade
	if issuer == "" || !strings.HasPrefix(token.At("verifiedBy", "jwksUrl").Text(), issuer+"/") {
		r.note("%s was not verified with keys of its issuer", token.Pointer())
		by = r.tenant()
	}
	return claims, issuer, by
}

// claim returns a member of the claims that is a string.
func (r *reader) claim(claims *stemma.JSON, name string) (value, where string) {
	j := claims.At(name)
	r.text(j, false)
	return j.Text(), j.Pointer()
}

// jobBuilder records the service as it stands in the environment of a job.
func (r *reader) jobBuilder(j *stemma.JSON) { r.builderOfJob(j.Text(), j.Pointer()) }

func (r *reader) builderOfJob(id, where string) {
	if r.certified(stemma.FieldBuilder) != "" {
		if id != "" {
			r.note("%s names the builder %s; the certificate names another kind of thing", where, id)
		}
		return
	}
	r.say(stemma.FieldBuilder, id, r.tenant(), where)
}

// witnessGitHub reads a job of GitHub Actions: its token, and variables of its environment.
func (r *reader) witnessGitHub(j *stemma.JSON) {
	claims, issuer, by := r.token(j)
	if host := gitHubHost(issuer); host == "" {
		if claims != nil {
			r.note("the token is none of GitHub Actions: issuer %s", issuer)
		}
	} else {
		say := func(f stemma.Field, name string) {
			value, where := r.claim(claims, name)
			r.say(f, value, by, where)
		}
		if w, where := r.claim(claims, "job_workflow_ref"); w != "" {
			r.say(stemma.FieldBuilder, host+w, by, where)
		}
		if v, where := r.claim(claims, "repository"); v != "" {
			r.repository(host+v, by, where)
		}
		for _, f := range []struct {
			record func(string, stemma.Grade, string)
			name   string
		}{{r.commit, "sha"}, {r.ref, "ref"}} {
			v, where := r.claim(claims, f.name)
			f.record(v, by, where)
		}
		if v, where := r.claim(claims, "job_workflow_sha"); stemma.IsCommit(v) {
			r.say(stemma.FieldWorkflowCommit, v, by, where)
		}
		if v, where := r.claim(claims, "workflow_ref"); v != "" {
			if w, ok := stemma.ParseWorkflow(host + v); ok {
				r.say(stemma.FieldEntryPoint, ".github/workflows/"+w.File, by, where)
			}
		}
		say(stemma.FieldTrigger, "event_name")
		say(stemma.FieldRunner, "runner_environment")
		for _, f := range []struct {
			field stemma.Field
			name  string
		}{{stemma.FieldRepositoryID, "repository_id"}, {stemma.FieldOwnerID, "repository_owner_id"}} {
			v, where := r.claim(claims, f.name)
			r.id(f.field, v, by, where)
		}
		run, where := r.claim(claims, "run_id")
		if attempt, _ := r.claim(claims, "run_attempt"); run != "" && attempt != "" {
			r.run(run+"-"+attempt, by, where)
		}
	}
	r.jobVariables(j, "pipelineurl")
}

// witnessGitLab reads a job of GitLab the same way. The certificate of such a job names the CI configuration as builder.
func (r *reader) witnessGitLab(j *stemma.JSON) {
	claims, issuer, by := r.token(j)
	if claims != nil {
		value := func(name string) (string, stemma.Grade, string) {
			v, where := r.claim(claims, name)
			return v, by, where
		}
		if v, where := r.claim(claims, "ci_config_ref_uri"); v != "" {
			r.say(stemma.FieldBuilder, "https://"+v, by, where)
			if _, path, ok := strings.Cut(v, "//"); ok {
				path, _ = cutRef(path)
				r.say(stemma.FieldEntryPoint, path, by, where)
			}
		}
		if v, where := r.claim(claims, "project_path"); v != "" && issuer != "" {
			r.repository(issuer+"/"+v, by, where)
		}
		r.commit(value("sha"))
		if v, _ := r.claim(claims, "ref_path"); v != "" {
			r.ref(value("ref_path"))
		} else {
			r.ref(value("ref"))
		}
		for _, f := range []struct {
			field stemma.Field
			name  string
		}{{stemma.FieldTrigger, "pipeline_source"}, {stemma.FieldRunner, "runner_environment"}} {
			v, by, where := value(f.name)
			r.say(f.field, v, by, where)
		}
		for _, f := range []struct {
			field stemma.Field
			name  string
		}{{stemma.FieldRepositoryID, "project_id"}, {stemma.FieldOwnerID, "namespace_id"}} {
			v, by, where := value(f.name)
			r.id(f.field, v, by, where)
		}
	}
	file := j.At("ciconfigpath")
	r.text(file, false)
	r.otherwise(stemma.FieldEntryPoint, file.Text(), r.tenant(), file.Pointer())
	r.jobVariables(j, "joburl")
}

// jobVariables reads what the attestors of both take from the environment of the job, which the job can set.
func (r *reader) jobVariables(j *stemma.JSON, run string) {
	project := j.At("projecturl")
	r.text(project, false)
	if project.Text() != "" {
		r.repository(project.Text(), r.tenant(), project.Pointer())
	}
	url := j.At(run)
	r.text(url, false)
	r.run(url.Text(), r.tenant(), url.Pointer())
}

// repository records the address of a repository that has no revision behind it.
func (r *reader) repository(uri string, by stemma.Grade, where string) {
	repository, revision, err := stemma.ParseRepository(uri)
	if err != nil || revision != "" {
		r.note("%s is left out: it is no address of a repository", where)
		return
	}
	r.say(stemma.FieldRepository, repository, by, where)
}
