package stemmatest

import (
	"stemma"
)

// Builder is something that people build images with: who signs for it, what it states, and what may be known of it. The
// project that is built is always acme/app, at a tag v2.0.0 or the branch main.
type Builder struct {
	Name string

	// Who signs: somebody with a certificate, else a managed key that speaks for a builder id, else nobody.
	As  Identity
	Key bool
	ID  string // builder id for which the key, or a delegator, signs

	// What is stated, of the image that is the subject. InImage is a statement in an attestation manifest of the image;
	// then it is that manifest which is signed. Labels are what a builder that states nothing leaves in the image.
	Statement func(subject ...stemma.ResourceDescriptor) *Statement
	InImage   bool
	Labels    map[string]string

	// What may be known. Reader is the family that reads it, empty for one that has no reader of its own; Certified is what
	// the certificate says, and Body what of that the statement says again. Differs is what is said again of another kind of
	// thing, as the builder documents it, with the reason.
	Reader    string
	Certified []stemma.Field
	Body      []stemma.Field
	Differs   map[stemma.Field]string
}

// project is the repository of all builders, and its tag and branch.
const (
	projectURL    = "https://github.com/acme/app"
	projectTag    = "refs/tags/v2.0.0"
	projectBranch = "refs/heads/main"
)

// Builders are all builders that Stemma knows, and some that it does not. Where a service exists whose certificates are
// not public, they are made from the claims that its issuer's template has.
func Builders() []Builder {
	var out []Builder
	out = append(out, githubBuilders()...)
	out = append(out, slsaBuilders()...)
	out = append(out, buildkitBuilders()...)
	out = append(out, serviceBuilders()...)
	out = append(out, clusterBuilders()...)
	out = append(out, keyBuilders()...)
	return append(out, otherBuilders()...)
}

// jobOf makes a statement of a job of GitHub Actions.
func jobOf(write func(GitHub, ...stemma.ResourceDescriptor) *Statement, g GitHub) func(...stemma.ResourceDescriptor) *Statement {
	return func(subject ...stemma.ResourceDescriptor) *Statement { return write(g, subject...) }
}

// githubFields are what certificates of GitHub Actions say.
func githubFields() []stemma.Field {
	return []stemma.Field{
		stemma.FieldBuilder, stemma.FieldWorkflowCommit, stemma.FieldRepository, stemma.FieldRepositoryID, stemma.FieldOwnerID, stemma.FieldCommit,
		stemma.FieldRef, stemma.FieldEntryPoint, stemma.FieldTrigger, stemma.FieldRunner, stemma.FieldRun,
	}
}

// without is fields but for some.
func without(fields []stemma.Field, drop ...stemma.Field) []stemma.Field {
	var out []stemma.Field
	for _, f := range fields {
		keep := true
		for _, d := range drop {
			keep = keep && f != d
		}
		if keep {
			out = append(out, f)
		}
	}
	return out
}

// sameForAll is why builder.id is no contradiction where it is a constant.
const sameForAll = "builder.id is the same for all jobs"

func githubBuilders() []Builder {
	own := GitHub{Repository: "acme/app", Ref: projectTag}.defaults()
	called := own
	called.Builder, called.BuilderSHA = "acme/build/.github/workflows/image.yml@refs/tags/v1.2.3", Commit("acme/build")
	enterprise, host, hostOwn := called, called, own
	enterprise.Issuer = GitHubIssuer + "/acme"
	host.Issuer, hostOwn.Issuer = "https://token.actions.acme.ghe.com", "https://token.actions.acme.ghe.com"
	bazel := own
	bazel.Builder, bazel.BuilderSHA = "bazel-contrib/.github/.github/workflows/release_ruleset.yaml@refs/tags/v7.2.3", Commit("bazel-contrib/.github")
	all := githubFields()
	twice := without(all, stemma.FieldWorkflowCommit)
	one := func(name string, g GitHub) Builder {
		return Builder{Name: name, As: g, Statement: jobOf(ActionsAttest, g), Reader: "GitHub Actions", Certified: all, Body: twice}
	}
	old := one("GitHub Actions, before 2025", called)
	old.Statement, old.Body = jobOf(ActionsAttestOld, called), without(twice, stemma.FieldRunner)
	old.Differs = map[stemma.Field]string{stemma.FieldBuilder: sameForAll}
	return []Builder{
		one("GitHub Actions, own workflow", own), one("GitHub Actions, reusable workflow", called), old,
		one("GitHub Actions, issuer of an enterprise", enterprise), one("GitHub Actions, ghe.com, own workflow", hostOwn),
		one("GitHub Actions, ghe.com, reusable workflow", host), one("Bazel (GitHub Actions)", bazel),
		{
			Name: "npm", As: called, Statement: jobOf(NPM, called), Reader: "npm", Certified: all,
			Body: without(twice, stemma.FieldRunner), Differs: map[stemma.Field]string{stemma.FieldBuilder: sameForAll},
		},
	}
}

func slsaBuilders() []Builder {
	job := GitHub{Repository: "acme/app", Ref: projectTag}.defaults()
	const delegate = "https://github.com/acme/build/.github/workflows/maven.yml@refs/tags/v1.0.0"
	body := without(githubFields(), stemma.FieldWorkflowCommit, stemma.FieldRunner)
	one := func(name, file string, write func(GitHub, ...stemma.ResourceDescriptor) *Statement) Builder {
		g := SLSAWorkflow(job, file, "v2.1.0")
		return Builder{Name: "slsa-github-generator, " + name, As: g, Statement: jobOf(write, g), Reader: "slsa-github-generator", Certified: githubFields(), Body: body}
	}
	delegated := one("delegated", "delegator_generic_slsa3.yml", func(g GitHub, subject ...stemma.ResourceDescriptor) *Statement {
		return SLSADelegated(g, delegate, subject...)
	})
	delegated.ID = delegate
	delegated.Differs = map[stemma.Field]string{stemma.FieldBuilder: "the delegator signs for the workflow that it names"}
	return []Builder{
		one("container", "generator_container_slsa3.yml", SLSAGeneratorContainer), one("generic", "generator_generic_slsa3.yml", SLSAGeneratorGeneric),
		one("go", "builder_go_slsa3.yml", SLSAGeneratorGo), one("container-based", "builder_container-based_slsa3.yml", SLSAContainerBased), delegated,
	}
}

func buildkitBuilders() []Builder {
	g := DockerBuilder(GitHub{Repository: "acme/app", Ref: projectTag}, "v1.0.0")
	kit := BuildKit{
		Repository: "ghcr.io/" + Repository, Tag: "v2.0.0", Platform: stemma.Platform{OS: "linux", Architecture: "amd64"},
		Source: projectURL + ".git", Commit: g.SHA, Base: "pkg:docker/debian@12", BaseDigest: stemma.SHA256([]byte("debian")), BuilderID: g.runURL(),
	}
	write := func(max bool, v02 bool) func(...stemma.ResourceDescriptor) *Statement {
		return func(subject ...stemma.ResourceDescriptor) *Statement {
			k := kit
			k.Max = max
			d := stemma.Digest("sha256:" + subject[0].Digest["sha256"])
			if v02 {
				return k.V02(d)
			}
			return k.V1(d)
		}
	}
	signed := func(name string, max bool) Builder {
		return Builder{
			Name: name, As: g, Statement: write(max, false), InImage: true, Reader: "BuildKit", Certified: githubFields(),
			Body:    []stemma.Field{stemma.FieldBuilder, stemma.FieldRepository, stemma.FieldCommit, stemma.FieldEntryPoint, stemma.FieldRun},
			Differs: map[stemma.Field]string{stemma.FieldBuilder: "builder.id is the run", stemma.FieldEntryPoint: "the certificate names the workflow, the body the Dockerfile"},
		}
	}
	return []Builder{
		signed("docker/github-builder, mode=max", true), signed("docker/github-builder, mode=min", false),
		{Name: "BuildKit, mode=min", Statement: write(false, false), InImage: true, Reader: "BuildKit"},
		{Name: "BuildKit, mode=max", Statement: write(true, false), InImage: true, Reader: "BuildKit"},
		{Name: "BuildKit, mode=max, v0.2", Statement: write(true, true), InImage: true, Reader: "BuildKit"},
	}
}

// serviceBuilders are CI services whose jobs get certificates.
func serviceBuilders() []Builder {
	own := GitLab{Project: "acme/app", Ref: projectBranch}.defaults()
	shared := own
	shared.Config, shared.ConfigSHA = "gitlab.com/acme/ci//image.yml@refs/heads/main", Commit("acme/ci")
	kite := Buildkite{Organization: "acme", Pipeline: "app", Build: "7", Job: "0190-job", Commit: Commit("app"), Source: "webhook", Runner: "self-hosted"}
	circle := CircleCI{
		Organization: "c9035eb6-6eb2-4c85-8a81-d9ee6a1fa8c2", Project: "ecc458d2-fbdc-4d9a-93c4-ac065ed3c3ca", Definition: "961ae4b1-070b-4134-ae64-1328a3ae3862",
		Repository: "github.com/acme/app", Ref: projectBranch, Pipeline: "5034460f-c7c4-4c43-9457-de07e2029e7b", Workflow: "w1", Job: "j1",
	}
	fresh := Codefresh{
		Account: "acme", AccountID: "628a80b693a15c0f9c13ab75", Pipeline: "app/image", PipelineID: "65e5a53e52853dc51a5b0cc1", Build: "65e6bcf7c2af1f228fa97f80",
		Repository: projectURL, Ref: "main", Runner: "hybrid",
	}
	buddy := Buddy{Workspace: "acme", Project: "app", Pipeline: "1", Execution: "67aa", Revision: Commit("app"), Ref: projectBranch, Trigger: "PUSH", Runner: "buddy-hosted"}
	gitlab := func(name string, g GitLab, write func(GitLab, ...stemma.ResourceDescriptor) *Statement, body ...stemma.Field) Builder {
		return Builder{
			Name: name, As: g, Statement: func(subject ...stemma.ResourceDescriptor) *Statement { return write(g, subject...) }, Reader: "GitLab", Certified: githubFields(),
			Body: append(body, stemma.FieldBuilder, stemma.FieldRepository, stemma.FieldCommit, stemma.FieldEntryPoint, stemma.FieldRun),
			Differs: map[stemma.Field]string{
				stemma.FieldBuilder: "the certificate names the CI configuration, builder.id the runner", stemma.FieldEntryPoint: "the certificate names the file, the body the job",
			},
		}
	}
	service := func(name string, g GitLab) Builder {
		return gitlab(name, g, GitLabService, stemma.FieldRepositoryID, stemma.FieldOwnerID, stemma.FieldRef, stemma.FieldTrigger)
	}
	outer := gitlab("GitLab, configuration of another project", shared, GitLabRunner)
	outer.Differs = map[stemma.Field]string{stemma.FieldBuilder: outer.Differs[stemma.FieldBuilder]}
	outer.Certified = without(outer.Certified, stemma.FieldEntryPoint)
	outer.Body = without(outer.Body, stemma.FieldEntryPoint)
	byJob := func(name string, as Identity, repository, ref, commit string, certified, body []stemma.Field) Builder {
		c := as.Certificate()
		g := Generic{BuilderID: c.URIs[0], Repository: repository, Ref: ref, Commit: commit, Run: c.Extensions[21]}
		return Builder{Name: name, As: as, Statement: g.Statement, Certified: certified, Body: body}
	}
	return []Builder{
		gitlab("GitLab, runner metadata", own, GitLabRunner), service("GitLab, attestation of GitLab.com", own), outer,
		{
			Name: "Buildkite", As: kite, Statement: func(subject ...stemma.ResourceDescriptor) *Statement {
				return BuildkiteJob(kite, projectURL, "main", subject...)
			},
			Reader: "Buildkite", Certified: []stemma.Field{stemma.FieldBuilder, stemma.FieldCommit, stemma.FieldTrigger, stemma.FieldRunner, stemma.FieldRun},
			Body: []stemma.Field{stemma.FieldBuilder, stemma.FieldCommit, stemma.FieldRun},
		},
		byJob("CircleCI", circle, projectURL, projectBranch, Commit("app"),
			[]stemma.Field{stemma.FieldBuilder, stemma.FieldRepository, stemma.FieldRef, stemma.FieldRun},
			[]stemma.Field{stemma.FieldBuilder, stemma.FieldRepository, stemma.FieldRef, stemma.FieldRun}),
		byJob("Codefresh", fresh, projectURL, "refs/heads/main", Commit("app"),
			[]stemma.Field{stemma.FieldBuilder, stemma.FieldRepository, stemma.FieldRef, stemma.FieldRunner, stemma.FieldRun},
			[]stemma.Field{stemma.FieldBuilder, stemma.FieldRepository, stemma.FieldRef, stemma.FieldRun}),
		byJob("Buddy", buddy, "https://app.buddy.works/acme/app", projectBranch, Commit("app"),
			[]stemma.Field{stemma.FieldBuilder, stemma.FieldRepository, stemma.FieldCommit, stemma.FieldRef, stemma.FieldTrigger, stemma.FieldRunner, stemma.FieldRun},
			[]stemma.Field{stemma.FieldBuilder, stemma.FieldRepository, stemma.FieldCommit, stemma.FieldRef, stemma.FieldRun}),
	}
}

// clusterBuilders run in a cluster and sign with its key, or as its controller.
func clusterBuilders() []Builder {
	chains := Chains{
		Repository: projectURL, Branch: "main", Commit: Commit("app"), Pipelines: "https://github.com/acme/pipelines", Tasks: "quay.io/acme/tasks",
		Namespace: "acme-tenant", ServiceAccount: "build-pipeline", Hermetic: true,
	}
	controller := ServiceAccount{Issuer: "https://container.googleapis.com/v1/projects/acme/locations/eu/clusters/ci", Namespace: "tekton-chains", Name: "tekton-chains-controller"}
	one := func(name string, write func(...stemma.ResourceDescriptor) *Statement) Builder {
		return Builder{Name: name, Key: true, ID: chainsID, Statement: write, Reader: "Tekton Chains"}
	}
	keyless := one("Tekton Chains, service account", chains.V1Runs)
	keyless.As, keyless.Key, keyless.ID = controller, false, ""
	return []Builder{
		one("Tekton Chains, v0.2", chains.V02), one("Tekton Chains, v1", chains.V1), one("Tekton Chains, v1 with runs of tasks", chains.V1Runs), keyless,
		one("Konflux", chains.Konflux),
	}
}

// keyBuilders sign with managed keys.
func keyBuilders() []Builder {
	cloud := CloudBuild{Project: "acme-build", Repository: projectURL, Tag: "v2.0.0", Commit: Commit("app"), Trigger: "release", ID: "5dadd1d8-62ab-4788-b1bb-e9182819649a"}
	job := Job{Repository: projectURL, Ref: projectBranch, Commit: Commit("app"), Name: "app", URL: "https://jenkins.acme.example", Number: "7"}
	one := func(name, id, reader string, write func(...stemma.ResourceDescriptor) *Statement) Builder {
		return Builder{Name: name, Key: true, ID: id, Statement: write, Reader: reader}
	}
	return []Builder{
		one("Google Cloud Build, v0.1", "https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.3", "Google Cloud Build", cloud.V01),
		one("Google Cloud Build, v1", "https://cloudbuild.googleapis.com/GoogleHostedWorker", "Google Cloud Build", cloud.V1),
		one("Jenkins, plugin", "https://gitlab.eclipse.org/eclipsefdn/security/slsa-jenkins-plugin@v1.1", "Jenkins", job.JenkinsPlugin),
		one("Jenkins, witness", "https://jenkins.acme.example/", "witness", job.WitnessJenkins),
		one("AWS CodeBuild, witness", "arn:aws:codebuild:eu-west-1:123456789012:project/app", "witness", job.WitnessCodeBuild),
		one("Azure Pipelines", "Project Collection Build Service (acme)", "Azure Pipelines", func(subject ...stemma.ResourceDescriptor) *Statement {
			return AzurePipelines("acme", "services", "app", Commit("app"), "119656", subject...)
		}),
	}
}

// otherBuilders are those of one vendor, those that leave no provenance, and those that nobody knows.
func otherBuilders() []Builder {
	release := GitHub{Repository: "chainguard-images/images", Workflow: ".github/workflows/release.yaml", Name: "release"}.defaults()
	called := GitHub{Repository: "acme/app", Ref: projectTag, Builder: "acme/build/.github/workflows/image.yml@refs/tags/v1.2.3"}.defaults()
	generic := Generic{BuilderID: "https://ci.acme.example/builder", Repository: "https://git.acme.example/acme/app", Ref: projectTag, Commit: Commit("app"), Run: "https://ci.acme.example/run/1"}
	unknown := Generic{BuilderID: called.Certificate().URIs[0], Repository: projectURL, Ref: projectTag, Commit: called.SHA, Run: called.runURL()}
	apko := func(subject ...stemma.ResourceDescriptor) *Statement {
		return Apko("cgr.dev/chainguard/app:latest", subject...)
	}
	base := stemma.SHA256([]byte("base"))
	return []Builder{
		{
			Name: "Chainguard, public images", As: release, Statement: apko, Reader: "apko", Certified: githubFields(), Body: []stemma.Field{stemma.FieldBuilder},
			Differs: map[stemma.Field]string{stemma.FieldBuilder: "builder.id is the program"},
		},
		{Name: "Chainguard, its service", As: Chainguard{UIDP: "720909c9f5279097d847ad02a2f24ba8f59de36a/4a7a1c2a1b3c4d5e"}, Statement: apko, Reader: "apko"},
		{
			Name: "unknown build type, GitHub Actions", As: called, Statement: unknown.Statement, Certified: githubFields(),
			Body: []stemma.Field{stemma.FieldBuilder, stemma.FieldRepository, stemma.FieldCommit, stemma.FieldRef, stemma.FieldRun},
		},
		{Name: "unknown build type, a person", As: Email{Address: "dev@acme.example"}, Statement: generic.Statement},
		{Name: "internal builder, SLSA", Key: true, ID: generic.BuilderID, Statement: generic.Statement},
		{Name: "internal builder, own predicate", Key: true, ID: generic.BuilderID, Statement: generic.Internal},
		{Name: "ko", Labels: KoAnnotations(projectURL, Commit("app"), base), Reader: "OCI annotations"},
		{Name: "Buildpacks", Labels: BuildpackLabels(projectURL, Commit("app"), base), Reader: "Buildpacks"},
	}
}
