package stemmatest

import "fmt"

// Buildkite is a job of Buildkite. Its certificates name no repository, no ref and no step, although the token does.
type Buildkite struct {
	Organization, Pipeline string
	Build, Job             string
	Commit, Source, Runner string
}

func (b Buildkite) pipeline() string {
	return "https://buildkite.com/" + b.Organization + "/" + b.Pipeline
}

func (b Buildkite) jobURL() string { return b.pipeline() + "/builds/" + b.Build + "#" + b.Job }

// Certificate has the extensions .11, .13, .20, .21 and .24, the only ones that Fulcio's template for Buildkite fills.
func (b Buildkite) Certificate() Certificate {
	return Certificate{
		URIs: []string{b.pipeline()},
		Extensions: claims("https://agent.buildkite.com", map[int]string{
			11: b.Runner, 13: b.Commit, 20: b.Source, 21: b.jobURL(),
			24: "organization:" + b.Organization + ":pipeline:" + b.Pipeline + ":ref:refs/heads/main:commit:" + b.Commit + ":step:",
		}),
	}
}

// CircleCI is a job of CircleCI. Its certificates name neither the commit nor what started the pipeline.
type CircleCI struct {
	Organization, Project, Definition string // ids
	Repository, Ref                   string // "github.com/acme/app", "refs/heads/main"
	Pipeline, Workflow, Job           string // ids
	SSHRerun                          bool   // a person logged in to the machine
}

// Certificate has the extensions of Fulcio's template for CircleCI. The runner environment is the text "" of two
// quotation marks unless a person logged in, the URL of the job has two slashes behind its host, and the repository has
// no scheme, as the template renders them.
func (c CircleCI) Certificate() Certificate {
	const api = "https://circleci.com/api/v2/"
	definition := api + "projects/" + c.Project + "/pipeline-definitions/" + c.Definition
	runner := `""`
	if c.SSHRerun {
		runner = "ssh-rerun"
	}
	return Certificate{
		URIs: []string{definition},
		Extensions: claims("https://oidc.circleci.com/org/"+c.Organization, map[int]string{
			9: definition, 11: runner, 12: c.Repository, 14: c.Ref,
			18: api + "pipeline/" + c.Pipeline + "/config",
			21: "https://app.circleci.com//workflow/" + c.Workflow + "/job/" + c.Job,
			24: "org/" + c.Organization + "/project/" + c.Project + "/user/",
		}),
	}
}

// Codefresh is a build of Codefresh. Its certificates name neither the commit nor what started the build; the repository
// and the ref only where a push, a pull request or a trigger for git did.
type Codefresh struct {
	Account, AccountID   string
	Pipeline, PipelineID string // "project/pipeline", id
	Build                string // id
	Repository, Ref      string // "https://github.com/acme/app", "main": a branch or a tag, which of both is not told
	Runner               string // "hybrid"
}

// Certificate has the extensions of Fulcio's template for Codefresh. Its Build Signer URI is the URL of the build and no
// instructions for it.
func (c Codefresh) Certificate() Certificate {
	const platform = "https://g.codefresh.io/"
	sub := "account:" + c.AccountID + ":pipeline:" + c.PipelineID
	if c.Repository != "" {
		sub += ":scm_repo_url:" + c.Repository + ":scm_user_name:octocat:scm_ref:" + c.Ref
	}
	return Certificate{
		URIs: []string{platform + c.Account + "/" + c.Pipeline + ":" + c.AccountID + "/" + c.PipelineID},
		Extensions: claims("https://oidc.codefresh.io", map[int]string{
			9: platform + "build/" + c.Build, 11: c.Runner, 12: c.Repository, 14: c.Ref,
			18: platform + "api/pipelines/" + c.PipelineID, 21: platform + "build/" + c.Build, 24: sub,
		}),
	}
}

// Buddy is an execution of a pipeline of Buddy. Its certificates name the project at Buddy for a repository, which is not
// where the code is kept.
type Buddy struct {
	Workspace, Project  string
	Pipeline, Execution string // ids
	Revision, Ref       string // empty where none is built
	Trigger, Runner     string
	Region              string // "", "eu-" or "asia-"
}

// Certificate has the extensions .9, .11 to .14, .20, .21 and .24, which Fulcio's template for Buddy fills.
func (b Buddy) Certificate() Certificate {
	project := "https://app.buddy.works/" + b.Workspace + "/" + b.Project
	pipeline := project + "/pipelines/pipeline/" + b.Pipeline
	return Certificate{
		URIs: []string{pipeline},
		Extensions: claims("https://"+b.Region+"oidc.buddyusercontent.com", map[int]string{
			9: pipeline, 11: b.Runner, 12: project, 13: b.Revision, 14: b.Ref,
			20: b.Trigger, 21: pipeline + "/execution/" + b.Execution, 24: b.Workspace + "/" + b.Execution,
		}),
	}
}

// Issuers of identities that are people, or services under an e-mail address. What Sigstore's own login federates, it
// names by the connector.
const (
	GoogleIssuer      = "https://accounts.google.com"
	GitHubLoginIssuer = "https://github.com/login/oauth"
)

// Email is a person who logged in with a provider of e-mail identities.
type Email struct {
	Address string
	Issuer  string // zero: GoogleIssuer
}

// Certificate has the issuer and the token subject only.
func (e Email) Certificate() Certificate {
	if e.Issuer == "" {
		e.Issuer = GoogleIssuer
	}
	return Certificate{Emails: []string{e.Address}, Extensions: claims(e.Issuer, map[int]string{24: e.Address})}
}

// ServiceAccount is a workload of a Kubernetes cluster whose issuer the certificate authority trusts: of EKS, GKE or AKS.
// Its certificates name neither the cluster nor the pod, but for what the issuer tells.
type ServiceAccount struct {
	Issuer, Namespace, Name string
}

// Certificate has the issuer and the token subject only.
func (k ServiceAccount) Certificate() Certificate {
	return Certificate{
		URIs:       []string{"https://kubernetes.io/namespaces/" + k.Namespace + "/serviceaccounts/" + k.Name},
		Extensions: claims(k.Issuer, map[int]string{24: fmt.Sprintf("system:serviceaccount:%s:%s", k.Namespace, k.Name)}),
	}
}

// Chainguard is a service of Chainguard that signs as itself, such as the one that builds images for a customer. Its
// certificates say nothing of the build.
type Chainguard struct {
	UIDP string // path of ids: "720909c9f5279097d847ad02a2f24ba8f59de36a/4a7a1c2a"
}

// Certificate has the issuer and the token subject only.
func (c Chainguard) Certificate() Certificate {
	const issuer = "https://issuer.enforce.dev"
	return Certificate{URIs: []string{issuer + "/" + c.UIDP}, Extensions: claims(issuer, map[int]string{24: c.UIDP})}
}
