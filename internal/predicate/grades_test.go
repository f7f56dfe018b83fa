package predicate

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"stemma"
)

const (
	gitLabSAN = "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main"
	circleSAN = "https://circleci.com/api/v2/projects/0b2f/pipeline-definitions/7c1e"
)

// gitLabSigner is the identity of a job of acme/app whose CI configuration is san.
func gitLabSigner(san string) *stemma.Identity {
	return &stemma.Identity{
		Trust: "public-good", Issuer: "https://gitlab.com", Subject: san,
		Claims: map[string]string{
			stemma.ClaimBuildSignerURI: san, stemma.ClaimBuildSignerDigest: commitA, stemma.ClaimRunnerEnvironment: "gitlab-hosted",
			stemma.ClaimSourceRepositoryURI: "https://gitlab.com/acme/app", stemma.ClaimSourceRepositoryHash: commitA, stemma.ClaimSourceRepositoryRef: "refs/heads/main",
			stemma.ClaimSourceRepositoryID: "55235664", stemma.ClaimSourceOwnerID: "12885801", stemma.ClaimBuildConfigURI: san, stemma.ClaimBuildConfigDigest: commitA,
			stemma.ClaimBuildTrigger: "push", stemma.ClaimRunInvocationURI: "https://gitlab.com/acme/app/-/jobs/8415754949",
		},
	}
}

// changed is an identity with claims set, or taken away where the value is empty. "issuer" and "subject" are its own.
func changed(id *stemma.Identity, pairs ...string) *stemma.Identity {
	c := *id
	c.Claims = maps.Clone(id.Claims)
	if c.Claims == nil {
		c.Claims = map[string]string{}
	}
	for i := 0; i < len(pairs); i += 2 {
		switch {
		case pairs[i] == "issuer":
			c.Issuer = pairs[i+1]
		case pairs[i] == "subject":
			c.Subject = pairs[i+1]
		case pairs[i+1] == "":
			delete(c.Claims, pairs[i])
		default:
			c.Claims[pairs[i]] = pairs[i+1]
		}
	}
	return &c
}

// TestGradesByIssuer: whose word a predicate is, by what each issuer's certificate says of who wrote the instructions.
func TestGradesByIssuer(t *testing.T) {
	const far = "https://gitlab.com/acme/pipelines//build.yml@refs/tags/v1"
	other := gitLabSigner(far)
	account := &stemma.Identity{Issuer: "https://oidc.eks.eu-west-1.amazonaws.com/id/0A", Subject: "https://kubernetes.io/namespaces/tekton-chains/serviceaccounts/tekton-chains-controller"}
	chainguard := &stemma.Identity{Issuer: "https://issuer.enforce.dev", Subject: "https://issuer.enforce.dev/720909c9f5279097d847ad02a2f24ba8f59de36a/a033a6fabe0bfa0d"}
	release := changed(githubSigner("https://github.com/chainguard-images/images/.github/workflows/release.yaml@refs/heads/main"), stemma.ClaimSourceRepositoryURI, "https://github.com/chainguard-images/images")
	self := changed(gitLabSigner(strings.ReplaceAll(gitLabSAN, "gitlab.com", "git.acme.example")), "issuer", "https://git.acme.example", stemma.ClaimSourceRepositoryURI, "https://git.acme.example/acme/app")
	for _, c := range []struct {
		name   string
		signer *stemma.Identity
		want   stemma.Grade
	}{
		{"GitLab, configuration of another project", other, stemma.SaidByBuilder},
		{"GitLab, the project's own configuration", gitLabSigner(gitLabSAN), stemma.SaidByTenant},
		{"GitLab, the project's own, in another spelling", gitLabSigner("https://gitlab.com/acme/app.git//.gitlab-ci.yml@refs/heads/main"), stemma.SaidByTenant},
		{"GitLab, merge request of a fork", changed(other, stemma.ClaimBuildTrigger, "merge_request_event"), stemma.SaidByTenant},
		{"GitLab, event that begins alike", changed(other, stemma.ClaimBuildTrigger, "merge_request_event2"), stemma.SaidByBuilder},
		{"GitLab, source not stated", changed(other, stemma.ClaimSourceRepositoryURI, ""), stemma.SaidByTenant},
		{"GitLab, signer not stated", changed(other, stemma.ClaimBuildSignerURI, ""), stemma.SaidByTenant},
		{"GitLab, another top-level configuration", changed(other, stemma.ClaimBuildConfigURI, gitLabSAN), stemma.SaidByTenant},
		{"GitLab, configuration on another host", gitLabSigner("https://evil.example/acme/pipelines//build.yml@refs/tags/v1"), stemma.SaidByTenant},
		{"GitLab, host that begins alike", gitLabSigner("https://gitlab.com.evil.example/acme/pipelines//build.yml@refs/tags/v1"), stemma.SaidByTenant},
		{"GitLab, relative path", gitLabSigner("https://gitlab.com/acme/app/../pipelines//build.yml@refs/tags/v1"), stemma.SaidByTenant},
		{"GitLab of one's own, configuration of another project", changed(self, "subject", "https://git.acme.example/acme/pipelines//b.yml@main", stemma.ClaimBuildSignerURI, "https://git.acme.example/acme/pipelines//b.yml@main", stemma.ClaimBuildConfigURI, ""), stemma.SaidByBuilder},
		{"GitLab of one's own", self, stemma.SaidByTenant},
		{"service account of a cluster", account, stemma.SaidByBuilder},
		{"service account, name that is none", changed(account, "subject", account.Subject+"/x"), stemma.SaidByTenant},
		{"service account, host that begins alike", changed(account, "subject", strings.Replace(account.Subject, "kubernetes.io", "kubernetes.io.evil.example", 1)), stemma.SaidByTenant},
		{"service account without namespace", changed(account, "subject", "https://kubernetes.io/namespaces//serviceaccounts/x"), stemma.SaidByTenant},
		{"service account that is a job of GitHub", changed(account, stemma.ClaimBuildSignerURI, ownSAN), stemma.SaidByTenant},
		{"Chainguard", chainguard, stemma.SaidByBuilder},
		{"Chainguard's issuer, another subject", changed(chainguard, "subject", "https://evil.example/720909"), stemma.SaidByTenant},
		{"subject of Chainguard, another issuer", changed(chainguard, "issuer", "https://issuer.enforce.dev.evil.example"), stemma.SaidByTenant},
		{"Chainguard's public images", release, stemma.SaidByBuilder},
		{"Chainguard's public images, a branch", changed(release, "subject", strings.Replace(release.Subject, "/main", "/dev", 1)), stemma.SaidByTenant},
		{"Chainguard's public images, another workflow", changed(release, "subject", strings.Replace(release.Subject, "release.yaml", "presubmit.yaml", 1)), stemma.SaidByTenant},
		{"Chainguard's public images, a fork", changed(release, "subject", strings.Replace(release.Subject, "chainguard-images", "evil", 1), stemma.ClaimSourceRepositoryURI, "https://github.com/evil/images"), stemma.SaidByTenant},
		{"Buildkite", &stemma.Identity{Issuer: "https://agent.buildkite.com", Subject: "https://buildkite.com/acme/app"}, stemma.SaidByTenant},
		{"CircleCI", &stemma.Identity{Issuer: "https://oidc.circleci.com/org/0b2f", Subject: circleSAN}, stemma.SaidByTenant},
		{"Codefresh", &stemma.Identity{Issuer: "https://oidc.codefresh.io", Subject: "https://g.codefresh.io/acme/app/build:1/2"}, stemma.SaidByTenant},
		{"Buddy", &stemma.Identity{Issuer: "https://oidc.buddyusercontent.com", Subject: "https://app.buddy.works/acme/app/pipelines/pipeline/1"}, stemma.SaidByTenant},
		{"a service account of Google", &stemma.Identity{Issuer: "https://accounts.google.com", Subject: "release@acme.iam.gserviceaccount.com"}, stemma.SaidByTenant},
		{"SPIFFE", &stemma.Identity{Issuer: "https://spire.acme.example", Subject: "spiffe://acme.example/ns/tekton-chains/sa/controller"}, stemma.SaidByTenant},
		{"GitHub server of one's own", changed(githubSigner(farSAN), "issuer", "https://github.acme.example/_services/token"), stemma.SaidByTenant},
	} {
		if got := grade(c.signer); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestCertificates: what is recorded of the certificates of each issuer, by the template with which the authority issues
// them.
func TestCertificates(t *testing.T) {
	const run = "https://gitlab.com/acme/app/-/jobs/8415754949"
	github := changed(githubSigner(farSAN), stemma.ClaimBuildSignerDigest, commitB, stemma.ClaimSourceRepositoryID, "7", stemma.ClaimSourceOwnerID, "8", stemma.ClaimDeploymentEnvironment, "production")
	own := func(s string) string { return strings.ReplaceAll(s, "github.com", "acme.ghe.com") }
	enterprise := changed(githubSigner(own(farSAN)), "issuer", "https://token.actions.acme.ghe.com", stemma.ClaimSourceRepositoryURI, "https://acme.ghe.com/acme/app",
		stemma.ClaimBuildConfigURI, own(ownSAN), stemma.ClaimRunInvocationURI, own(runURL))
	for _, c := range []struct {
		name   string
		signer *stemma.Identity
		want   []string
		notes  []string
	}{
		{"GitHub", github, []string{
			"builder " + farSAN + " certificate SAN", "builder " + farSAN + " certificate .9", "commit " + commitA + " certificate .13", "entryPoint .github/workflows/release.yml certificate .18",
			"environment production certificate .23", "ownerID 8 certificate .17", "ref refs/tags/v2.0.0 certificate .14", "repository github.com/acme/app certificate .12",
			"repositoryID 7 certificate .15", "run " + runURL + " certificate .21", "runner github-hosted certificate .11", "trigger push certificate .20", "workflowCommit " + commitB + " certificate .10",
		}, nil},
		{"GitHub, an enterprise on its own host", enterprise, []string{
			"builder " + own(farSAN) + " certificate SAN", "builder " + own(farSAN) + " certificate .9", "commit " + commitA + " certificate .13", "entryPoint .github/workflows/release.yml certificate .18",
			"ref refs/tags/v2.0.0 certificate .14", "repository acme.ghe.com/acme/app certificate .12", "run " + own(runURL) + " certificate .21", "runner github-hosted certificate .11", "trigger push certificate .20",
		}, nil},
		{"GitLab", gitLabSigner(gitLabSAN), []string{
			"builder " + gitLabSAN + " certificate SAN", "builder " + gitLabSAN + " certificate .9", "commit " + commitA + " certificate .13", "entryPoint .gitlab-ci.yml certificate .18", "ownerID 12885801 certificate .17",
			"ref refs/heads/main certificate .14", "repository gitlab.com/acme/app certificate .12", "repositoryID 55235664 certificate .15", "run " + run + " certificate .21",
			"runner gitlab-hosted certificate .11", "trigger push certificate .20", "workflowCommit " + commitA + " certificate .10",
		}, nil},
		{"Buildkite", changed(&stemma.Identity{Issuer: "https://agent.buildkite.com", Subject: "https://buildkite.com/acme/app"}, stemma.ClaimRunnerEnvironment, "self-hosted",
			stemma.ClaimSourceRepositoryHash, commitA, stemma.ClaimBuildTrigger, "webhook", stemma.ClaimRunInvocationURI, "https://buildkite.com/acme/app/builds/7#0190"), []string{
			"builder https://buildkite.com/acme/app certificate SAN", "commit " + commitA + " certificate .13", "run https://buildkite.com/acme/app/builds/7#0190 certificate .21",
			"runner self-hosted certificate .11", "trigger webhook certificate .20",
		}, nil},
		{"CircleCI", changed(&stemma.Identity{Issuer: "https://oidc.circleci.com", Subject: circleSAN}, stemma.ClaimBuildSignerURI, circleSAN, stemma.ClaimRunnerEnvironment, `""`,
			stemma.ClaimSourceRepositoryURI, "github.com/acme/app", stemma.ClaimSourceRepositoryRef, "refs/heads/main", stemma.ClaimBuildConfigURI, "https://circleci.com/api/v2/pipeline/9/config",
			stemma.ClaimRunInvocationURI, "https://app.circleci.com//workflow/1/job/2"), []string{
			"builder " + circleSAN + " certificate SAN", "builder " + circleSAN + " certificate .9", "ref refs/heads/main certificate .14", "repository github.com/acme/app certificate .12",
			"run https://app.circleci.com//workflow/1/job/2 certificate .21",
		}, nil},
		{"CircleCI, run again with SSH", changed(&stemma.Identity{Issuer: "https://oidc.circleci.com", Subject: circleSAN}, stemma.ClaimBuildSignerURI, circleSAN, stemma.ClaimRunnerEnvironment, "ssh-rerun"), []string{
			"builder " + circleSAN + " certificate SAN", "builder " + circleSAN + " certificate .9", "runner ssh-rerun certificate .11",
		}, []string{"the job was run again with SSH: somebody could log in while it ran"}},
		{"Codefresh", changed(&stemma.Identity{Issuer: "https://oidc.codefresh.io", Subject: "https://g.codefresh.io/acme/app/build:1/2"}, stemma.ClaimBuildSignerURI, "https://g.codefresh.io/build/3",
			stemma.ClaimRunnerEnvironment, "cloud", stemma.ClaimSourceRepositoryURI, "https://github.com/acme/app", stemma.ClaimSourceRepositoryRef, "main",
			stemma.ClaimBuildConfigURI, "https://g.codefresh.io/api/pipelines/2", stemma.ClaimRunInvocationURI, "https://g.codefresh.io/build/3"), []string{
			"builder https://g.codefresh.io/acme/app/build:1/2 certificate SAN", "ref main certificate .14", "repository github.com/acme/app certificate .12",
			"run https://g.codefresh.io/build/3 certificate .21", "runner cloud certificate .11",
		}, []string{"ref main does not say whether it is a branch or a tag"}},
		{"Buddy", changed(&stemma.Identity{Issuer: "https://oidc.buddyusercontent.com", Subject: "https://app.buddy.works/acme/app/pipelines/pipeline/1"}, stemma.ClaimBuildSignerURI, "https://app.buddy.works/acme/app/pipelines/pipeline/1",
			stemma.ClaimSourceRepositoryURI, "https://app.buddy.works/acme/app", stemma.ClaimSourceRepositoryHash, commitA, stemma.ClaimSourceRepositoryRef, "refs/heads/main", stemma.ClaimBuildTrigger, "PUSH"), []string{
			"builder https://app.buddy.works/acme/app/pipelines/pipeline/1 certificate SAN", "builder https://app.buddy.works/acme/app/pipelines/pipeline/1 certificate .9", "commit " + commitA + " certificate .13",
			"ref refs/heads/main certificate .14", "repository app.buddy.works/acme/app certificate .12", "trigger PUSH certificate .20",
		}, nil},
		{"Kubernetes", &stemma.Identity{Issuer: "https://container.googleapis.com/v1/projects/x", Subject: "https://kubernetes.io/namespaces/ci/serviceaccounts/builder"}, []string{
			"namespace ci certificate SAN", "serviceAccount builder certificate SAN",
		}, nil},
		{"a person", &stemma.Identity{Issuer: "https://accounts.google.com", Subject: "someone@acme.example"}, []string{}, nil},
		{"ids that are none", changed(github, stemma.ClaimSourceRepositoryID, "seven", stemma.ClaimSourceOwnerID, "8 ", stemma.ClaimBuildSignerDigest, commitB[:12], stemma.ClaimDeploymentEnvironment, ""), []string{
			"builder " + farSAN + " certificate SAN", "builder " + farSAN + " certificate .9", "commit " + commitA + " certificate .13", "entryPoint .github/workflows/release.yml certificate .18",
			"ref refs/tags/v2.0.0 certificate .14", "repository github.com/acme/app certificate .12", "run " + runURL + " certificate .21", "runner github-hosted certificate .11", "trigger push certificate .20",
		}, []string{`repositoryID "seven" at certificate .15 is left out: not a number`, `ownerID "8 " at certificate .17 is left out: not a number`, "certificate .10 is left out: no whole commit"}},
	} {
		r := &reader{out: &stemma.Provenance{}, signer: c.signer, said: map[stemma.Field][]stemma.Said{}}
		r.certificate()
		r.finish()
		got := []string{}
		for _, l := range lines(r.out) {
			got = append(got, strings.Replace(l, " certificate certificate ", " certificate ", 1))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, c.want)
		}
		if !slices.Equal(r.out.Notes, c.notes) {
			t.Errorf("%s: notes %q, want %q", c.name, r.out.Notes, c.notes)
		}
		if got := contradictions(r.out); len(got) > 0 {
			t.Errorf("%s contradicts itself: %q", c.name, got)
		}
	}
}

// A service account signs for builds of all namespaces: where it is, the build need not have been.
func TestServiceAccountOfTheSigner(t *testing.T) {
	const predicate = `{"builder":{"id":"https://tekton.dev/chains/v2"},"buildType":"tekton.dev/v1/TaskRun","invocation":{"configSource":{},"parameters":{},"environment":{"labels":{"tekton.dev/namespace":"team-a"}}}}`
	signer := &stemma.Identity{Issuer: "https://container.googleapis.com/v1/projects/x", Subject: "https://kubernetes.io/namespaces/tekton-chains/serviceaccounts/controller"}
	p := mustRead(t, signer, stemma.PredicateSLSAv02, predicate)
	if c := p.Claims[stemma.FieldNamespace]; c.Value != "team-a" || c.By != stemma.SaidByTenant || c.Contradicted() != nil {
		t.Errorf("namespace %+v", c)
	}
	p = mustRead(t, signer, stemma.PredicateSLSAv02, change(t, predicate, `"tekton.dev/namespace"`, `"x"`))
	if c := p.Claims[stemma.FieldNamespace]; c.Value != "tekton-chains" || c.By != stemma.SaidByCertificate {
		t.Errorf("namespace %+v", c)
	}
}

// A tenant who names a repository among the parameters, and lets the build use it, has said both: that the build resolved
// it does not make it the source. Only where the builder or a certificate says what the source is, its commit is that of
// the builder.
func TestReg_D12_commit_of_what_the_tenant_names(t *testing.T) {
	v02 := `{"builder":{"id":"https://ci.acme.example/builder"},"buildType":"https://ci.acme.example/v2","invocation":{"configSource":{"uri":"git+https://git.acme.example/acme/app","digest":{"sha1":"` + commitA + `"}}},` +
		`"materials":[{"uri":"git+https://git.acme.example/acme/app","digest":{"sha1":"` + commitA + `"}}]}`
	withRepository := changed(githubSigner(farSAN), stemma.ClaimSourceRepositoryURI, "https://git.acme.example/acme/app")
	for _, c := range []struct {
		name, kind, predicate string
		signer                *stemma.Identity
		want                  stemma.Grade
	}{
		{"configSource of a key", stemma.PredicateSLSAv02, v02, keySigner(), stemma.SaidByBuilder},
		{"parameter of a key", stemma.PredicateSLSAv1, genericV1, keySigner(), stemma.SaidByTenant},
		{"parameter that is a string", stemma.PredicateSLSAv1, change(t, genericV1, `{"repository": "https://git.acme.example/acme/app", "ref": "refs/tags/v2"}`, `"git+https://git.acme.example/acme/app"`), keySigner(), stemma.SaidByTenant},
		{"only dependency", stemma.PredicateSLSAv02, change(t, v02, `{"uri":"git+https://git.acme.example/acme/app","digest":{"sha1":"`+commitA+`"}}}`, `{}}`), keySigner(), stemma.SaidByTenant},
		{"parameter, nobody signed", stemma.PredicateSLSAv1, genericV1, nil, stemma.SaidByNobody},
		{"certificate names the repository", stemma.PredicateSLSAv1, genericV1, changed(withRepository, stemma.ClaimSourceRepositoryHash, ""), stemma.SaidByBuilder},
	} {
		p := mustRead(t, c.signer, c.kind, c.predicate)
		said := append([]stemma.Said{p.Claims[stemma.FieldCommit].Said}, p.Claims[stemma.FieldCommit].Others...)
		i := slices.IndexFunc(said, func(s stemma.Said) bool { return strings.HasPrefix(s.Where, "/") && strings.Contains(s.Where, "/0/") })
		if i < 0 {
			t.Errorf("%s: no commit of the dependency: %q", c.name, lines(p))
			continue
		}
		if said[i].By != c.want {
			t.Errorf("%s: said by %s, want %s", c.name, said[i].By, c.want)
		}
	}
}
