package predicate

import (
	"slices"
	"strings"
	"testing"

	"stemma"
)

const (
	gitlabRunnerV1 = `{
  "buildDefinition": {
    "buildType": "https://gitlab.com/gitlab-org/gitlab-runner/-/blob/16.7.0/PROVENANCE.md",
    "externalParameters": {"entryPoint": "build image", "source": "https://gitlab.com/acme/app", "CI": "", "CI_COMMIT_SHA": "", "DEPLOY_ENV": ""},
    "internalParameters": {"name": "blue-2.shared.runners-manager.gitlab.com", "executor": "docker+machine", "architecture": "amd64", "job": 8415754949},
    "resolvedDependencies": [{"uri": "https://gitlab.com/acme/app", "digest": {"sha256": "` + commitA + `"}}]
  },
  "runDetails": {
    "builder": {"id": "https://gitlab.com/acme/app/-/runners/12270831"},
    "metadata": {"invocationId": "8415754949"}
  }
}`
	gitlabServiceV1 = `{
  "buildDefinition": {
    "buildType": "https://docs.gitlab.com/ci/pipeline_security/slsa/provenance_v1",
    "externalParameters": {
      "source": "https://gitlab.com/acme/app", "entryPoint": "build-image",
      "variables": {
        "CI_PIPELINE_SOURCE": "push", "CI_COMMIT_SHA": "` + commitA + `", "CI_COMMIT_BRANCH": "main", "CI_PROJECT_ID": "55235664",
        "CI_PROJECT_NAMESPACE_ID": "12885801", "CI_JOB_TOKEN": "[MASKED]", "IMAGE_DIGEST": "sha256:` + sum + `"
      }
    },
    "internalParameters": {"architecture": "amd64", "executor": "docker+machine", "job": 8415754949, "name": "green-1"},
    "resolvedDependencies": [{"uri": "https://gitlab.com/acme/app", "digest": {"gitCommit": "` + commitA + `"}}]
  },
  "runDetails": {
    "builder": {"id": "https://gitlab.com/groups/acme/-/runners/12270831", "version": {"gitlab-runner": "4d7093e1"}},
    "metadata": {"invocationId": 8415754949, "startedOn": "2026-07-01T10:00:00Z"}
  }
}`
	gitlabRunnerV02 = `{
  "builder": {"id": "https://gitlab.com/acme/app/-/runners/12270831"},
  "buildType": "https://gitlab.com/gitlab-org/gitlab-runner/-/blob/v15.1.0/PROVENANCE.md",
  "invocation": {
    "configSource": {"uri": "https://gitlab.com/acme/app", "digest": {"sha256": "` + commitA + `"}, "entryPoint": "build-job"},
    "environment": {"name": "local", "executor": "shell", "architecture": "amd64", "job": {"id": 8415754949}},
    "parameters": {"CI": "", "CI_COMMIT_SHA": ""}
  },
  "metadata": {"buildStartedOn": "2023-04-07T10:00:00Z"}
}`
)

// gitlabSigner is the identity of a job of acme/app on gitlab.com. Fulcio writes two slashes before the path.
func gitlabSigner() *stemma.Identity {
	const san = "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main"
	return &stemma.Identity{
		Trust: "public-good", Issuer: "https://gitlab.com", Subject: san,
		Claims: map[string]string{
			stemma.ClaimBuildSignerURI: san, stemma.ClaimBuildSignerDigest: commitA, stemma.ClaimRunnerEnvironment: "gitlab-hosted",
			stemma.ClaimSourceRepositoryURI: "https://gitlab.com/acme/app", stemma.ClaimSourceRepositoryHash: commitA,
			stemma.ClaimSourceRepositoryRef: "refs/heads/main", stemma.ClaimSourceRepositoryID: "55235664",
			stemma.ClaimSourceOwnerURI: "https://gitlab.com/acme", stemma.ClaimSourceOwnerID: "12885801",
			stemma.ClaimBuildConfigURI: san, stemma.ClaimBuildConfigDigest: commitA, stemma.ClaimBuildTrigger: "push",
			stemma.ClaimRunInvocationURI: "https://gitlab.com/acme/app/-/jobs/8415754949",
		},
	}
}

func TestGitLab(t *testing.T) {
	for _, c := range []struct {
		name, kind, predicate string
		want                  []string
		parameters            []string
	}{
		{"runner", stemma.PredicateSLSAv1, gitlabRunnerV1, []string{
			"builder https://gitlab.com/acme/app/-/runners/12270831 unsigned", "repository gitlab.com/acme/app unsigned", "commit " + commitA + " unsigned",
			"entryPoint build image unsigned", "run 8415754949 unsigned",
		}, []string{"CI", "CI_COMMIT_SHA", "DEPLOY_ENV"}},
		{"GitLab.com", stemma.PredicateSLSAv1, gitlabServiceV1, []string{
			"builder https://gitlab.com/groups/acme/-/runners/12270831 unsigned", "repository gitlab.com/acme/app unsigned",
			"repositoryID 55235664 unsigned", "ownerID 12885801 unsigned", "commit " + commitA + " unsigned", "ref refs/heads/main unsigned",
			"entryPoint build-image unsigned", "trigger push unsigned", "run 8415754949 unsigned",
		}, []string{"CI_PIPELINE_SOURCE", "CI_COMMIT_SHA", "CI_COMMIT_BRANCH", "CI_PROJECT_ID", "CI_PROJECT_NAMESPACE_ID", "CI_JOB_TOKEN", "IMAGE_DIGEST"}},
		{"old runner", stemma.PredicateSLSAv02, gitlabRunnerV02, []string{
			"builder https://gitlab.com/acme/app/-/runners/12270831 unsigned", "repository gitlab.com/acme/app unsigned", "commit " + commitA + " unsigned",
			"entryPoint build-job unsigned", "run 8415754949 unsigned",
		}, []string{"CI", "CI_COMMIT_SHA"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustRead(t, nil, c.kind, c.predicate)
			equalLines(t, "claims", claims(p), c.want)
			var names []string
			for _, parameter := range p.Parameters {
				if names = append(names, parameter.Name); parameter.Kind != "variable" {
					t.Errorf("%+v", parameter)
				}
			}
			equalLines(t, "parameters", names, c.parameters)
			if p.Known != "GitLab" || len(contradictions(p)) > 0 || p.Reported[stemma.InputGit] != stemma.ReportedSome || p.Reported[stemma.InputImage] != "" {
				t.Errorf("%s, contradictions %q, reported %v", p.Known, contradictions(p), p.Reported)
			}
			if len(p.Inputs) > 0 && p.Inputs[0].Role != stemma.RoleSource {
				t.Errorf("inputs %+v", p.Inputs)
			}
		})
	}
}

// A job that signs its own provenance: the certificate wins, and the genuine payload does not contradict it, though it
// names the runner for the builder and the job for the entry point.
func TestGitLabKeyless(t *testing.T) {
	for name, s := range map[string]sample{
		"runner": {stemma.PredicateSLSAv1, gitlabRunnerV1}, "GitLab.com": {stemma.PredicateSLSAv1, gitlabServiceV1}, "old runner": {stemma.PredicateSLSAv02, gitlabRunnerV02},
	} {
		p := mustRead(t, gitlabSigner(), s.kind, s.predicate)
		if got := contradictions(p); len(got) > 0 {
			t.Errorf("%s: contradictions %q\n%s", name, got, strings.Join(lines(p), "\n"))
		}
		for f, want := range map[stemma.Field]string{
			stemma.FieldEntryPoint: ".gitlab-ci.yml", stemma.FieldRunner: "gitlab-hosted", stemma.FieldRun: "https://gitlab.com/acme/app/-/jobs/8415754949",
			stemma.FieldBuilder: "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main",
		} {
			if c := p.Claims[f]; c.Value != want || c.By != stemma.SaidByCertificate {
				t.Errorf("%s: %s is %+v", name, f, c)
			}
		}
	}
}

// Each lie about what the certificate knows shows.
func TestReg_D06_gitlab(t *testing.T) {
	for _, c := range []struct {
		name, predicate, old, new string
		want                      []string
	}{
		{"project", gitlabRunnerV1, `"source": "https://gitlab.com/acme/app"`, `"source": "https://gitlab.com/acme/evil"`, []string{"repository"}},
		{"runner's project", gitlabRunnerV1, `acme/app/-/runners`, `acme/evil/-/runners`, []string{"repository"}},
		{"builder that is no runner", gitlabRunnerV1, `https://gitlab.com/acme/app/-/runners/12270831`, `https://gitlab.com/acme/app/-/runners/x`, []string{"builder"}},
		{"commit", gitlabRunnerV1, `{"sha256": "` + commitA, `{"sha256": "` + commitB, []string{"commit"}},
		{"job", gitlabRunnerV1, `"job": 8415754949`, `"job": 8415754950`, []string{"run"}},
		{"invocation", gitlabServiceV1, `"invocationId": 8415754949`, `"invocationId": 8415754950`, []string{"run"}},
		{"variable of the trigger", gitlabServiceV1, `"CI_PIPELINE_SOURCE": "push"`, `"CI_PIPELINE_SOURCE": "schedule"`, []string{"trigger"}},
		{"variable of the branch", gitlabServiceV1, `"CI_COMMIT_BRANCH": "main"`, `"CI_COMMIT_BRANCH": "dev"`, []string{"ref"}},
		{"variable of the tag", gitlabServiceV1, `"CI_COMMIT_BRANCH": "main"`, `"CI_COMMIT_TAG": "main"`, []string{"ref"}},
		{"project's number", gitlabServiceV1, `"CI_PROJECT_ID": "55235664"`, `"CI_PROJECT_ID": "1"`, nil},
		{"masked variable", gitlabServiceV1, `"CI_COMMIT_SHA": "` + commitA + `"`, `"CI_COMMIT_SHA": "[MASKED]"`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustRead(t, gitlabSigner(), stemma.PredicateSLSAv1, change(t, c.predicate, c.old, c.new))
			got := slices.DeleteFunc(contradictions(p), func(f string) bool { return f == "repositoryID" })
			if !slices.Equal(got, c.want) && len(got)+len(c.want) > 0 {
				t.Errorf("contradictions %q, want %q\n%s", got, c.want, strings.Join(lines(p), "\n"))
			}
		})
	}
}

// Variables are the word of whoever starts the pipeline, even where the service signs with a key.
func TestGitLabVariables(t *testing.T) {
	p := mustRead(t, keySigner(), stemma.PredicateSLSAv1, gitlabServiceV1)
	for f, want := range map[stemma.Field]stemma.Grade{
		stemma.FieldRepository: stemma.SaidByBuilder, stemma.FieldCommit: stemma.SaidByBuilder, stemma.FieldRun: stemma.SaidByBuilder,
		stemma.FieldTrigger: stemma.SaidByTenant, stemma.FieldRef: stemma.SaidByTenant, stemma.FieldRepositoryID: stemma.SaidByTenant,
	} {
		if c := p.Claims[f]; c.By != want {
			t.Errorf("%s is said by %s, want %s", f, c.By, want)
		}
	}
}

func TestGitLabTypes(t *testing.T) {
	for _, c := range []struct{ name, kind, predicate, old, new, want string }{
		{"source", stemma.PredicateSLSAv1, gitlabRunnerV1, `"source": "https://gitlab.com/acme/app"`, `"source": {"uri": "https://gitlab.com/acme/app"}`, "source: want a string"},
		{"job", stemma.PredicateSLSAv1, gitlabRunnerV1, `"job": 8415754949`, `"job": [1]`, "job: want a string or a whole number"},
		{"fraction", stemma.PredicateSLSAv1, gitlabServiceV1, `"invocationId": 8415754949`, `"invocationId": 8415754949.5`, "want a string or a whole number"},
		{"variables", stemma.PredicateSLSAv1, gitlabServiceV1, `"variables": {`, `"variables": "x", "rest": {`, "variables: want an object"},
		{"old job", stemma.PredicateSLSAv02, gitlabRunnerV02, `{"id": 8415754949}`, `8415754949`, "job: want an object"},
	} {
		if p, err := readAs(keySigner(), c.kind, change(t, c.predicate, c.old, c.new)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", c.name, p, err, c.want)
		}
	}
	for _, other := range []string{
		"https://gitlab.com/gitlab-org/gitlab-runner/-/blob/PROVENANCE.md", "https://gitlab.com/acme/gitlab-runner/-/blob/v1/PROVENANCE.md",
		"https://docs.gitlab.com/ci/pipeline_security/slsa/provenance_v2", "http://docs.gitlab.com/ci/pipeline_security/slsa/provenance_v1",
	} {
		p := mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, gitlabServiceV1, "https://docs.gitlab.com/ci/pipeline_security/slsa/provenance_v1", other))
		if p.Known != "" {
			t.Errorf("%s is read as of %s", other, p.Known)
		}
	}
}
