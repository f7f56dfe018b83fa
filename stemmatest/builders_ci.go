package stemmatest

import (
	"strconv"
	"strings"

	"stemma"
)

// Build types of GitLab and Buildkite.
const (
	BuildTypeGitLabRunner  = "https://gitlab.com/gitlab-org/gitlab-runner/-/blob/16.7.0/PROVENANCE.md"
	BuildTypeGitLabService = "https://docs.gitlab.com/ci/pipeline_security/slsa/provenance_v1"
	BuildTypeBuildkite     = "https://buildkite.github.io/slsa-buildtypes/job/v1"
)

// GitLabRunner is what the runner of a job writes beside its artifacts (RUNNER_GENERATE_ARTIFACTS_METADATA). It writes
// the names of variables without values, and the commit as a SHA-256.
func GitLabRunner(g GitLab, subject ...stemma.ResourceDescriptor) *Statement {
	g = g.defaults()
	source := g.Server + "/" + g.Project
	return slsaV1(subject, BuildTypeGitLabRunner, source+"/-/runners/12270831", g.Job,
		object{"entryPoint": "build image", "source": source, "CI": "", "CI_COMMIT_SHA": "", "DEPLOY_ENV": ""}, g.machine(),
		[]object{{"uri": source, "digest": object{"sha256": g.SHA}}})
}

// GitLabService is what GitLab.com attests of a job (SLSA level 3, GitLab 18.3): with all variables of the job, secret ones
// masked.
func GitLabService(g GitLab, subject ...stemma.ResourceDescriptor) *Statement {
	g = g.defaults()
	source := g.Server + "/" + g.Project
	group, _, _ := strings.Cut(g.Project, "/")
	variables := object{
		"CI": "true", "CI_PIPELINE_SOURCE": g.Source, "CI_COMMIT_SHA": g.SHA, "CI_PROJECT_ID": g.ProjectID, "CI_PROJECT_NAMESPACE_ID": g.NamespaceID,
		"CI_JOB_TOKEN": "[MASKED]", "DEPLOY_ENV": "staging",
	}
	if tag, ok := strings.CutPrefix(g.Ref, "refs/tags/"); ok {
		variables["CI_COMMIT_TAG"] = tag
	} else {
		variables["CI_COMMIT_BRANCH"] = strings.TrimPrefix(g.Ref, "refs/heads/")
	}
	s := slsaV1(subject, BuildTypeGitLabService, g.Server+"/groups/"+group+"/-/runners/12270831", g.Job,
		object{"entryPoint": "build-image", "source": source, "variables": variables}, g.machine(),
		[]object{{"uri": source, "digest": object{"gitCommit": g.SHA}}})
	s.Type = stemma.StatementV1
	s.Set("/runDetails/builder/version", tree(object{"gitlab-runner": "4d7093e1"}))
	return s
}

// machine is what GitLab says of the runner, with the number of the job.
func (g GitLab) machine() object {
	out := object{"name": "green-1.saas-linux-small", "executor": "docker+machine", "architecture": "amd64", "job": g.Job}
	if n, err := strconv.ParseInt(g.Job, 10, 64); err == nil {
		out["job"] = n
	}
	return out
}

// BuildkiteJob is what the plugin for provenance writes in a job of Buildkite that builds a repository at a branch.
func BuildkiteJob(b Buildkite, repository, branch string, subject ...stemma.ResourceDescriptor) *Statement {
	source := object{"uri": "git+" + repository + "@refs/heads/" + branch, "digest": object{"gitCommit": b.Commit}}
	return slsaV1(subject, BuildTypeBuildkite, "https://github.com/buildkite-plugins/generate-provenance-buildkite-plugin", b.jobURL(), object{
		"pipeline": b.pipeline(), "repository": repository,
		"build": object{"branch": branch, "commit": b.Commit, "tag": ""},
		"step":  object{"command": "make image", "key": "image"}, "job": object{"id": b.Job},
	}, object{"agent": object{"id": "0190-agent"}}, []object{source})
}

// AzurePipelines is the SLSA v0.2 that jobs of Azure Pipelines are made to write: without a build type, with the name of a
// service account for a builder, the organisation as user of the URL, and commits as SHA-256.
func AzurePipelines(organisation, project, name, commit, build string, subject ...stemma.ResourceDescriptor) *Statement {
	uri := "https://" + organisation + "@dev.azure.com/" + organisation + "/" + project + "/_git/" + name
	return &Statement{
		Type: stemma.StatementV01, Subject: subject, PredicateType: stemma.PredicateSLSAv02,
		Predicate: tree(object{
			"builder": object{"id": "Project Collection Build Service (" + organisation + ")"},
			"invocation": object{
				"configSource": object{"uri": uri, "digest": object{"sha256": commit}, "entryPoint": "azure-pipelines.yml"},
				"parameters":   object{"checkout.branch": "main"},
			},
			"metadata":  object{"buildInvocationID": build},
			"materials": []object{{"uri": "https://dev.azure.com/" + organisation + "/" + project + "/_git/" + name, "digest": object{"sha256": commit}}},
		}),
	}
}
