package policy

import (
	"maps"
	"strings"
	"testing"

	"stemma"
)

// The threat rows C01 to C11 for the builders whose identity is that of a CI service other than GitHub's: what stands
// in their certificates decides, and only as a whole.

const (
	gitlabSAN    = "https://gitlab.com/acme/ci//image.yml@refs/heads/main"
	buildkiteSAN = "https://buildkite.com/acme/images"

	circleciOrganization = "a64b0a19-f221-4291-b000-8d24bd842b72"
	circleciProject      = "5a301f56-eaa7-4cce-9441-37810f7c8452"
	circleciDefinition   = "17c50866-1802-5aeb-874e-7f4dfce1b6b5"
	circleciSAN          = "https://circleci.com/api/v2/projects/" + circleciProject + "/pipeline-definitions/" + circleciDefinition
)

// builtBy is a policy that wants one builder, and nothing of the source.
func builtBy(identity string) string {
	return `apiVersion: policy.stemma.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: app}
spec:
  match: {images: ["ghcr.io/acme/{service}"]}
  builders:
    release:
      ` + identity + `
  provenance: {by: [release], maxAge: 90d}
`
}

func gitlabPolicy() string {
	return builtBy(`gitlab: {config: acme/ci//image.yml, configRefs: [refs/heads/main, "refs/tags/v*"], groupIDs: [12885801]}`)
}

func buildkitePolicy() string { return builtBy("buildkite: {pipeline: acme/images}") }

func circleciPolicy() string {
	return builtBy("circleci: {organization: " + circleciOrganization + ", project: " + circleciProject + ", definitions: [" + circleciDefinition + "]}")
}

// gitlabSigner is a job of acme/app that runs the configuration of acme/ci.
func gitlabSigner() stemma.Identity {
	return stemma.Identity{
		Trust: PublicGood, Issuer: "https://gitlab.com", Subject: gitlabSAN, Key: digest("key of GitLab"),
		Claims: map[string]string{
			stemma.ClaimBuildSignerURI: gitlabSAN, stemma.ClaimBuildConfigURI: gitlabSAN, stemma.ClaimRunnerEnvironment: "gitlab-hosted",
			stemma.ClaimSourceRepositoryURI: "https://gitlab.com/acme/app", stemma.ClaimSourceRepositoryID: "55235664",
			stemma.ClaimSourceOwnerID: "12885801", stemma.ClaimBuildTrigger: "push",
		},
	}
}

func buildkiteSigner() stemma.Identity {
	return stemma.Identity{
		Trust: PublicGood, Issuer: "https://agent.buildkite.com", Subject: buildkiteSAN, Key: digest("key of Buildkite"),
		Claims: map[string]string{stemma.ClaimRunnerEnvironment: "buildkite-hosted", stemma.ClaimBuildTrigger: "webhook"},
	}
}

func circleciSigner() stemma.Identity {
	return stemma.Identity{
		Trust: PublicGood, Issuer: "https://oidc.circleci.com/org/" + circleciOrganization, Subject: circleciSAN, Key: digest("key of CircleCI"),
		Claims: map[string]string{
			stemma.ClaimBuildSignerURI: circleciSAN, stemma.ClaimRunnerEnvironment: `""`, stemma.ClaimSourceRepositoryURI: "github.com/acme/app",
		},
	}
}

// builtAs makes evidence of one provenance by an identity, which says of trigger and runner what its certificate does.
func builtAs(id stemma.Identity, change ...func(*stemma.Identity)) *stemma.Evidence {
	id.Claims = maps.Clone(id.Claims)
	for _, c := range change {
		c(&id)
	}
	e := none()
	add(e, "bundle", id, func(_ *stemma.Attestation, p *stemma.Provenance) {
		p.Known, p.Author, p.Claims = "", stemma.SaidByTenant, map[stemma.Field]stemma.Claim{
			stemma.FieldBuilder:    said(id.Subject, stemma.SaidByCertificate, "certificate SAN"),
			stemma.FieldRepository: said("gitlab.com/acme/app", stemma.SaidByTenant, "/buildDefinition"),
			stemma.FieldCommit:     said(commitOfSource, stemma.SaidByTenant, "/buildDefinition"),
		}
		for field, name := range map[stemma.Field]string{stemma.FieldTrigger: stemma.ClaimBuildTrigger, stemma.FieldRunner: stemma.ClaimRunnerEnvironment} {
			if value := id.Claims[name]; value != "" && value != `""` {
				p.Claims[field] = said(value, stemma.SaidByCertificate, "certificate")
			}
		}
	})
	return e
}

func issuedBy(issuer string) func(*stemma.Identity) {
	return func(id *stemma.Identity) { id.Issuer = issuer }
}

// subjectIs changes the subject, and the claims that repeat it.
func subjectIs(subject string) func(*stemma.Identity) {
	return func(id *stemma.Identity) {
		for _, name := range []string{stemma.ClaimBuildSignerURI, stemma.ClaimBuildConfigURI} {
			if id.Claims[name] == id.Subject {
				id.Claims[name] = subject
			}
		}
		id.Subject = subject
	}
}

// claims changes a claim of the certificate; what is empty is not there.
func claims(name, value string) func(*stemma.Identity) {
	return func(id *stemma.Identity) {
		id.Claims[name] = value
		if value == "" {
			delete(id.Claims, name)
		}
	}
}

// builtCase is what a change of the identity makes of a decision: refused by one cell.
type builtCase struct {
	name   string
	change func(*stemma.Identity)
	reason stemma.Reason
}

func refusedBuilds(t *testing.T, policy string, id stemma.Identity, rule string, cases ...builtCase) {
	t.Helper()
	set := load(t, policy)
	allowed(t, Evaluate(set, builtAs(id), now()))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { only(t, Evaluate(set, builtAs(id, c.change), now()), rule, c.reason) })
	}
}

// subjects are cases that differ in the subject.
func subjects(reason stemma.Reason, all ...string) []builtCase {
	var out []builtCase
	for _, s := range all {
		out = append(out, builtCase{s, subjectIs(s), reason})
	}
	return out
}

func issuers(all ...string) []builtCase {
	var out []builtCase
	for _, s := range all {
		out = append(out, builtCase{"issuer " + s, issuedBy(s), stemma.ReasonIssuer})
	}
	return out
}

// CVE-2026-22772, CVE-2026-25542; and what two readers split differently.
func TestReg_C01_gitlab_unanchored(t *testing.T) {
	refusedBuilds(t, gitlabPolicy(), gitlabSigner(), "builder.approved", subjects(stemma.ReasonBuilder,
		"https://evil.com/?"+gitlabSAN, "https://evil.com/"+gitlabSAN, "x"+gitlabSAN, " "+gitlabSAN, gitlabSAN+"\n", gitlabSAN+"/", "",
		strings.Replace(gitlabSAN, "https://", "http://", 1),
		strings.Replace(gitlabSAN, "gitlab.com", "gitlab.com.evil.com", 1),
		strings.Replace(gitlabSAN, "gitlab.com", "gitlab.com@evil.com", 1),
		strings.Replace(gitlabSAN, "gitlab.com", "GitLab.com", 1),
		strings.Replace(gitlabSAN, "gitlab.com", "gitlab.com:443", 1),
		gitlabSAN+"@refs/tags/v1", // a tag of the configuration, or a branch with a name like that
		"https://gitlab.com/acme/ci//image.yml@refs/heads/x@refs/heads/main",
		"https://gitlab.com/acme/ci//image.yml", "https://gitlab.com/acme/ci//image.yml@", "https://gitlab.com/acme/ci//image.yml@main",
		"https://gitlab.com/acme/ci//image.yml@refs/", "https://gitlab.com/acme/ci//image.yml@refs/heads//main",
		"https://gitlab.com/acme/ci//image.yml@refs/heads/../main",
	)...)
}

// slsa-verifier, cases "append A", "prepend A", "middle A"; D03: case and encoding.
func TestReg_C02_gitlab_project(t *testing.T) {
	var other []string
	for _, path := range []string{
		"acme-evil/ci//image.yml", "acmeX/ci//image.yml", "Xacme/ci//image.yml", "evil/ci//image.yml", "acme/ciX//image.yml",
		"acme/evil/ci//image.yml", "evil/acme/ci//image.yml", "acme/ci/evil//image.yml", "acme/app//image.yml", "acme/app//ci//image.yml",
		"acme/ci///image.yml", "acme//ci//image.yml", "acme/ci/image.yml", "acme/ci//", "acme/ci//x/image.yml", "acme/ci//image.yml/x",
		"acme/ci//image.yaml", "acme/ci//imageXyml", "acme/ci//Image.yml", "ACME/ci//image.yml", "acme/CI//image.yml",
		"acme%2fci//image.yml", "acme/ci/%2fimage.yml", "acme/ci%2f/image.yml", "acme/ci//image.yml%00", "acme/ci//image.yml?", "acme/ci.git//image.yml",
		"acme/./ci//image.yml", "acme/x/../ci//image.yml", "acme/ci//./image.yml", "acme/ci//image.yml@acme/evil", `acme\ci//image.yml`,
	} {
		other = append(other, "https://gitlab.com/"+path+"@refs/heads/main")
	}
	refusedBuilds(t, gitlabPolicy(), gitlabSigner(), "builder.approved", subjects(stemma.ReasonBuilder, other...)...)
	wide := builtBy(`gitlab: {config: "acme/**//ci/*.yml", configRefs: ["refs/**"]}`)
	id := gitlabSigner()
	subjectIs("https://gitlab.com/acme/team/app//ci/release.yml@refs/heads/main")(&id)
	refusedBuilds(t, wide, id, "builder.approved", subjects(stemma.ReasonBuilder,
		"https://gitlab.com/evil/team/app//ci/release.yml@refs/heads/main",
		"https://gitlab.com/acme/team/app//ci/sub/release.yml@refs/heads/main",
		"https://gitlab.com/acme/team/app//evil/ci/release.yml@refs/heads/main",
		"https://gitlab.com/acme/team//app//ci/release.yml@refs/heads/main",
		"https://gitlab.com/acme/team/app//ci/a.yml@refs/heads/x@refs/heads/b.yml@refs/heads/main",
		"https://gitlab.com/acme/%2e%2e/app//ci/release.yml@refs/heads/main",
		"https://gitlab.com/acme/team/app//ci/a%2fb.yml@refs/heads/main",
	)...)
}

// Sigstore client specification: an issuer is compared as a whole. Another that imitates all claims is another; and its
// configuration is on its own host.
func TestReg_C06_gitlab_issuer(t *testing.T) {
	refusedBuilds(t, gitlabPolicy(), gitlabSigner(), "builder.approved", append(issuers(
		"https://gitlab.com/", "http://gitlab.com", "https://gitlab.com.evil.com", "https://GitLab.com", "https://gitlab.acme.example", GitHubIssuer, "",
	), builtCase{"another host's configuration", subjectIs("https://gitlab.acme.example/acme/ci//image.yml@refs/heads/main"), stemma.ReasonBuilder},
		builtCase{"another trust domain", func(id *stemma.Identity) { id.Trust = GitHubTrust }, stemma.ReasonTrustDomain},
		builtCase{"a key", func(id *stemma.Identity) { id.Issuer, id.KeyID = "", "gitlab" }, stemma.ReasonIssuer})...)
	own := builtBy(`gitlab: {issuer: "https://gitlab.acme.example", config: acme/ci//image.yml, configRefs: [refs/heads/main]}`)
	id := gitlabSigner()
	issuedBy("https://gitlab.acme.example")(&id)
	subjectIs("https://gitlab.acme.example/acme/ci//image.yml@refs/heads/main")(&id)
	refusedBuilds(t, own, id, "builder.approved",
		builtCase{"gitlab.com", issuedBy("https://gitlab.com"), stemma.ReasonIssuer},
		builtCase{"configuration of gitlab.com", subjectIs(gitlabSAN), stemma.ReasonBuilder},
		builtCase{"host in the path", subjectIs("https://gitlab.com/gitlab.acme.example/acme/ci//image.yml@refs/heads/main"), stemma.ReasonBuilder})
}

// cli/cli#9045: a configuration that everybody may run builds for whoever does. Ids do not change when names do.
func TestReg_C07_gitlab_caller(t *testing.T) {
	group := func(v string) func(*stemma.Identity) { return claims(stemma.ClaimSourceOwnerID, v) }
	project := func(v string) func(*stemma.Identity) { return claims(stemma.ClaimSourceRepositoryID, v) }
	refusedBuilds(t, gitlabPolicy(), gitlabSigner(), "builder.approved",
		builtCase{"another group", group("666"), stemma.ReasonCaller},
		builtCase{"a group whose id begins like it", group("128858010"), stemma.ReasonCaller},
		builtCase{"written otherwise", group("012885801"), stemma.ReasonCaller},
		builtCase{"no group", group(""), stemma.ReasonNotStated},
		builtCase{"a project with the id of the group", func(id *stemma.Identity) { group("")(id); project("12885801")(id) }, stemma.ReasonNotStated})
	either := change(t, gitlabPolicy(), "groupIDs: [12885801]", "groupIDs: [7], projectIDs: [55235664, 8]")
	refusedBuilds(t, either, gitlabSigner(), "builder.approved",
		builtCase{"another project", project("666"), stemma.ReasonCaller},
		builtCase{"no project, another group", project(""), stemma.ReasonCaller},
		builtCase{"neither", func(id *stemma.Identity) { group("")(id); project("")(id) }, stemma.ReasonNotStated})
	allowed(t, Evaluate(load(t, either), builtAs(gitlabSigner(), group("7"), project("")), now()))
	anybody := change(t, gitlabPolicy(), ", groupIDs: [12885801]", "")
	allowed(t, Evaluate(load(t, anybody), builtAs(gitlabSigner(), group("666")), now()))
}

// A configuration that somebody added to the source's own project, and a certificate that contradicts itself.
func TestReg_C08_gitlab_local_config(t *testing.T) {
	refusedBuilds(t, gitlabPolicy(), gitlabSigner(), "builder.approved",
		builtCase{"the project's own", subjectIs("https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main"), stemma.ReasonBuilder},
		builtCase{"of the same name", subjectIs("https://gitlab.com/acme/app//image.yml@refs/heads/main"), stemma.ReasonBuilder},
		builtCase{"other build signer URI", claims(stemma.ClaimBuildSignerURI, "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main"), stemma.ReasonBuilder},
		builtCase{"no build signer URI", claims(stemma.ClaimBuildSignerURI, ""), stemma.ReasonNotStated},
		builtCase{"other build config URI", claims(stemma.ClaimBuildConfigURI, "https://gitlab.com/acme/ci//image.yml@refs/heads/dev"), stemma.ReasonBuilder})
	allowed(t, Evaluate(load(t, gitlabPolicy()), builtAs(gitlabSigner(), claims(stemma.ClaimBuildConfigURI, "")), now()))
}

// slsa-verifier verifyTrustedBuilderRef: the right configuration at a ref that anybody can make.
func TestReg_C09_gitlab_ref(t *testing.T) {
	var other []string
	for _, ref := range []string{
		"refs/heads/dev", "refs/heads/mainX", "refs/heads/Main", "refs/heads/main/x", "refs/tags/main", "refs/heads/v1", "refs/tags/xv1",
		"refs/tags/v1/x", "refs/merge-requests/1/head", "refs/heads/refs/heads/main", "refs/heads/refs/tags/v1",
	} {
		other = append(other, "https://gitlab.com/acme/ci//image.yml@"+ref)
	}
	refusedBuilds(t, gitlabPolicy(), gitlabSigner(), "builder.approved", subjects(stemma.ReasonBuilderRef, other...)...)
	allowed(t, Evaluate(load(t, gitlabPolicy()), builtAs(gitlabSigner(), subjectIs("https://gitlab.com/acme/ci//image.yml@refs/tags/v1.2.3")), now()))

	// A merge request's pipeline bears the name of the fork's branch.
	proposed := claims(stemma.ClaimBuildTrigger, "merge_request_event")
	refusedBuilds(t, gitlabPolicy(), gitlabSigner(), "builder.approved", builtCase{"merge request", proposed, stemma.ReasonTrigger})
	listed := change(t, gitlabPolicy(), "groupIDs: [12885801]", "events: [push, merge_request_event]")
	allowed(t, Evaluate(load(t, listed), builtAs(gitlabSigner(), proposed), now()))
	// Nor is it another's for being written as a subject.
	plain := builtBy(`oidc: {issuer: "https://gitlab.com", subject: "` + gitlabSAN + `"}`)
	allowed(t, Evaluate(load(t, plain), builtAs(gitlabSigner()), now()))
	refusedBuilds(t, plain, gitlabSigner(), "builder.approved", builtCase{"merge request", proposed, stemma.ReasonTrigger})
}

// Fulcio extensions .20 and .11: absent fails.
func TestReg_C11_gitlab_trigger_runner(t *testing.T) {
	events := change(t, gitlabPolicy(), "groupIDs: [12885801]", "events: [push, web]")
	refusedBuilds(t, events, gitlabSigner(), "builder.trigger",
		builtCase{"merge request", claims(stemma.ClaimBuildTrigger, "merge_request_event"), stemma.ReasonTrigger},
		builtCase{"trigger token", claims(stemma.ClaimBuildTrigger, "trigger"), stemma.ReasonTrigger},
		builtCase{"other case", claims(stemma.ClaimBuildTrigger, "Push"), stemma.ReasonTrigger},
		builtCase{"absent", claims(stemma.ClaimBuildTrigger, ""), stemma.ReasonNotStated})
	runner := change(t, gitlabPolicy(), "groupIDs: [12885801]", "runner: gitlab-hosted")
	refusedBuilds(t, runner, gitlabSigner(), "builder.runner",
		builtCase{"own", claims(stemma.ClaimRunnerEnvironment, "self-hosted"), stemma.ReasonRunner},
		builtCase{"GitHub's", claims(stemma.ClaimRunnerEnvironment, "github-hosted"), stemma.ReasonRunner},
		builtCase{"absent", claims(stemma.ClaimRunnerEnvironment, ""), stemma.ReasonNotStated})
}

// CVE-2026-22772, slsa-verifier "append A": the organisation and the pipeline as a whole.
func TestReg_C02_buildkite_pipeline(t *testing.T) {
	other := []string{
		"https://evil.com/?" + buildkiteSAN, buildkiteSAN + "/", buildkiteSAN + "/builds/1", buildkiteSAN + "\n", buildkiteSAN + "#x", buildkiteSAN + "?x", buildkiteSAN + "%20", "",
		"http://buildkite.com/acme/images", "https://buildkite.com.evil.com/acme/images", "https://evil.com/buildkite.com/acme/images",
		"https://buildkite.com/acme-evil/images", "https://buildkite.com/Xacme/images", "https://buildkite.com/evil/images", "https://buildkite.com/acme/imagesX",
		"https://buildkite.com/acme/Images", "https://buildkite.com/acme//images", "https://buildkite.com/acme/../images", "https://buildkite.com/acme",
		"https://buildkite.com/acme%2fimages", "https://buildkite.com//acme/images", "https://buildkite.com/acme/x/images",
	}
	refusedBuilds(t, buildkitePolicy(), buildkiteSigner(), "builder.approved", subjects(stemma.ReasonBuilder, other...)...)
	wide := change(t, buildkitePolicy(), "acme/images", `"acme/*"`)
	refusedBuilds(t, wide, buildkiteSigner(), "builder.approved", subjects(stemma.ReasonBuilder,
		"https://buildkite.com/evil/images", "https://buildkite.com/acme/", "https://buildkite.com/acme/a%2fb", "https://buildkite.com/acme/a/b",
		"https://buildkite.com/acme/images@evil", "https://buildkite.com/acme/..", "https://buildkite.com/acme/images#1")...)
}

// Sigstore client specification: an issuer is compared as a whole.
func TestReg_C06_buildkite_issuer(t *testing.T) {
	refusedBuilds(t, buildkitePolicy(), buildkiteSigner(), "builder.approved", issuers(
		"https://agent.buildkite.com/", "https://buildkite.com", "http://agent.buildkite.com", "https://agent.buildkite.com.evil.com", "https://gitlab.com", "")...)
}

// Fulcio extensions .20 and .11: absent fails.
func TestReg_C11_buildkite_trigger_runner(t *testing.T) {
	controlled := builtBy("buildkite: {pipeline: acme/images, events: [webhook]}")
	refusedBuilds(t, controlled, buildkiteSigner(), "builder.trigger",
		builtCase{"by hand", claims(stemma.ClaimBuildTrigger, "ui"), stemma.ReasonTrigger},
		builtCase{"by the API", claims(stemma.ClaimBuildTrigger, "api"), stemma.ReasonTrigger},
		builtCase{"absent", claims(stemma.ClaimBuildTrigger, ""), stemma.ReasonNotStated})
	controlled = builtBy("buildkite: {pipeline: acme/images, runner: buildkite-hosted}")
	refusedBuilds(t, controlled, buildkiteSigner(), "builder.runner",
		builtCase{"own", claims(stemma.ClaimRunnerEnvironment, "self-hosted"), stemma.ReasonRunner},
		builtCase{"absent", claims(stemma.ClaimRunnerEnvironment, ""), stemma.ReasonNotStated})
}

// slsa-verifier "append A"; a certificate that contradicts itself.
func TestReg_C02_circleci_definition(t *testing.T) {
	const other = "e5d1b1c4-8f2e-4d5b-9c43-0a1b2c3d4e5f"
	refusedBuilds(t, circleciPolicy(), circleciSigner(), "builder.approved", append(subjects(stemma.ReasonBuilder,
		"https://evil.com/?"+circleciSAN, circleciSAN+"/", circleciSAN+"x", circleciSAN[:len(circleciSAN)-1], circleciSAN+"\n", strings.ToUpper(circleciSAN), "",
		strings.Replace(circleciSAN, circleciDefinition, strings.ToUpper(circleciDefinition), 1),
		strings.Replace(circleciSAN, circleciDefinition, other, 1), strings.Replace(circleciSAN, circleciProject, other, 1),
		strings.Replace(circleciSAN, "/pipeline-definitions/", "/pipeline-definitions//", 1),
		strings.Replace(circleciSAN, "/pipeline-definitions/", "/pipeline-definitions/x/../", 1),
		strings.Replace(circleciSAN, "/pipeline-definitions/", "%2fpipeline-definitions/", 1),
		strings.Replace(circleciSAN, "https://", "http://", 1), strings.Replace(circleciSAN, "circleci.com", "circleci.com.evil.com", 1),
	), builtCase{"other build signer URI", claims(stemma.ClaimBuildSignerURI, strings.Replace(circleciSAN, circleciDefinition, other, 1)), stemma.ReasonBuilder},
		builtCase{"no build signer URI", claims(stemma.ClaimBuildSignerURI, ""), stemma.ReasonNotStated})...)
}

// Sigstore client specification: an issuer is compared as a whole. CircleCI has one for all and one for each organisation.
func TestReg_C06_circleci_issuer(t *testing.T) {
	const other = "https://oidc.circleci.com/org/e5d1b1c4-8f2e-4d5b-9c43-0a1b2c3d4e5f"
	own := "https://oidc.circleci.com/org/" + circleciOrganization
	refusedBuilds(t, circleciPolicy(), circleciSigner(), "builder.approved", issuers(
		other, "https://oidc.circleci.com", own+"/", own+"/x", "http"+own[5:], "https://oidc.circleci.com.evil.com/org/"+circleciOrganization, "")...)
	common := change(t, circleciPolicy(), "organization: "+circleciOrganization+", ", "")
	id := circleciSigner()
	issuedBy("https://oidc.circleci.com")(&id)
	refusedBuilds(t, common, id, "builder.approved", issuers(own, "https://oidc.circleci.com/", "https://oidc.circleci.com/org/")...)
}

// Fulcio extension .11 of CircleCI (sigstore/fulcio#2192): somebody who re-ran the job with SSH could type into it.
func TestReg_C11_circleci_ssh(t *testing.T) {
	refusedBuilds(t, circleciPolicy(), circleciSigner(), "builder.approved",
		builtCase{"ssh", claims(stemma.ClaimRunnerEnvironment, "ssh-rerun"), stemma.ReasonRunner},
		builtCase{"what is not known", claims(stemma.ClaimRunnerEnvironment, "SSH-rerun"), stemma.ReasonRunner},
		builtCase{"a space", claims(stemma.ClaimRunnerEnvironment, " "), stemma.ReasonRunner})
	allowed(t, Evaluate(load(t, circleciPolicy()), builtAs(circleciSigner(), claims(stemma.ClaimRunnerEnvironment, "")), now()))
	plain := builtBy(`oidc: {issuer: "https://oidc.circleci.com/org/` + circleciOrganization + `", subject: "` + circleciSAN + `"}`)
	allowed(t, Evaluate(load(t, plain), builtAs(circleciSigner()), now()))
	refusedBuilds(t, plain, circleciSigner(), "builder.approved", builtCase{"ssh", claims(stemma.ClaimRunnerEnvironment, "ssh-rerun"), stemma.ReasonRunner})
}

// A form matches the identities of its own service only, whatever they have in common.
func TestFormsApart(t *testing.T) {
	policies := map[string]string{"gitlab": gitlabPolicy(), "buildkite": buildkitePolicy(), "circleci": circleciPolicy(), "github": withoutLevel(t)}
	ids := map[string]stemma.Identity{
		"gitlab": gitlabSigner(), "buildkite": buildkiteSigner(), "circleci": circleciSigner(),
		"github": githubSigner(trustedSAN),
	}
	for key, text := range policies {
		builder := load(t, text).policies[0].builders["release"]
		for of, id := range ids {
			want := stemma.ReasonIssuer
			if of == key {
				want = ""
			}
			if d := builder.differs(id); d.reason != want || want != "" && (d.rank != 2 || !strings.HasPrefix(d.path, key+".")) {
				t.Errorf("%s as %s: %+v", of, key, d)
			}
		}
	}
}

// The nearest builder explains.
func TestNearestConfig(t *testing.T) {
	text := builtBy(`gitlab: {config: acme/ci//image.yml, configRefs: [refs/heads/main]}
    project:
      gitlab: {config: acme/other//image.yml, configRefs: ["refs/**"]}
    pipeline:
      buildkite: {pipeline: acme/images}`)
	set := load(t, change(t, text, "by: [release]", "by: [pipeline, project, release]"))
	const ci, other = "gitlab.com/acme/ci//image.yml@refs/heads/main (or ", "gitlab.com/acme/other//image.yml@refs/** (or "
	for subject, want := range map[string]string{
		"https://gitlab.com/acme/ci//image.yml@refs/heads/dev": ci,
		"https://gitlab.com/acme/ci//x.yml@refs/heads/main":    ci,
		"https://gitlab.com/acme/other//x.yml@refs/heads/main": other,
		"https://buildkite.com/acme/images":                    other, // whose issuer it has
	} {
		f := finding(t, Evaluate(set, builtAs(gitlabSigner(), subjectIs(subject)), now()), "builder.approved")
		if f.Outcome != stemma.Fail || !strings.HasPrefix(f.Want, want) {
			t.Errorf("%s: %s, want %q, not %q", subject, f.Outcome, want, f.Want)
		}
	}
	allowed(t, Evaluate(set, builtAs(gitlabSigner()), now()))
}

// GHSA-3633, GHSA-c346: one signer under two names counts once.
func TestDistinctCI(t *testing.T) {
	gitlab := func(subject string) stemma.Identity {
		id := gitlabSigner()
		id.Subject = subject
		return id
	}
	circle := func(issuer, subject string) stemma.Identity {
		id := circleciSigner()
		id.Issuer, id.Subject = issuer, subject
		return id
	}
	own := circleciSigner()
	moved := gitlab("https://gitlab.acme.example/acme/ci//image.yml@refs/heads/main")
	moved.Issuer = "https://gitlab.acme.example"
	for name, c := range map[string]struct {
		a, b stemma.Identity
		same bool
	}{
		"two refs":               {gitlabSigner(), gitlab("https://gitlab.com/acme/ci//image.yml@refs/tags/v1"), true},
		"renamed to other case":  {gitlabSigner(), gitlab("https://gitlab.com/Acme/CI//image.yml@refs/tags/v1"), true},
		"case of the file":       {gitlabSigner(), gitlab("https://gitlab.com/acme/ci//Image.yml@refs/heads/main"), false},
		"another file":           {gitlabSigner(), gitlab("https://gitlab.com/acme/ci//other.yml@refs/heads/main"), false},
		"another project":        {gitlabSigner(), gitlab("https://gitlab.com/acme/ci2//image.yml@refs/heads/main"), false},
		"another GitLab":         {gitlabSigner(), moved, false},
		"two issuers":            {own, circle("https://oidc.circleci.com", circleciSAN), true},
		"another definition":     {own, circle(own.Issuer, circleciSAN[:len(circleciSAN)-1]+"0"), false},
		"an issuer like it":      {own, circle("https://oidc.circleci.com.evil.com", circleciSAN), false},
		"pipelines of Buildkite": {buildkiteSigner(), gitlab(buildkiteSAN), false},
	} {
		if got := distinctID(c.a) == distinctID(c.b); got != c.same {
			t.Errorf("%s: %v", name, got)
		}
	}
}
