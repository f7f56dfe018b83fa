package stemmatest_test

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"stemma/stemmatest"
)

// fulcio reads the extensions 1.3.6.1.4.1.57264.1.N of a certificate: text below 7, DER UTF8String above.
func fulcio(t *testing.T, cert *x509.Certificate) map[int]string {
	t.Helper()
	out := map[int]string{}
	arc := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1}
	for _, e := range cert.Extensions {
		if len(e.Id) != len(arc)+1 || !e.Id[:len(arc)].Equal(arc) {
			continue
		}
		n := e.Id[len(arc)]
		if n < 7 {
			out[n] = string(e.Value)
			continue
		}
		var text asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &text); err != nil || len(rest) > 0 || text.Tag != asn1.TagUTF8String {
			t.Errorf("extension .%d is not one UTF8String: %x", n, e.Value)
		}
		out[n] = string(text.Bytes)
	}
	return out
}

func TestIdentities(t *testing.T) {
	s := newSigstore(t)
	const sha, builderSHA = "0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef"
	cases := []struct {
		name string
		id   stemmatest.Identity
		san  string
		want map[int]string
	}{
		{
			name: "GitHub reusable workflow with environment",
			id: stemmatest.GitHub{
				Repository: "acme/app", RepositoryID: "11", OwnerID: "22", Ref: "refs/tags/v2.0.0", SHA: sha, Event: "release",
				Workflow: ".github/workflows/release.yml", Name: "Release",
				Builder: "trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.3", BuilderSHA: builderSHA,
				Runner: "self-hosted", Run: "33/attempts/4", Visibility: "private", Environment: "production",
			},
			san: "https://github.com/trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.3",
			want: map[int]string{
				1: "https://token.actions.githubusercontent.com", 2: "release", 3: sha, 4: "Release", 5: "acme/app", 6: "refs/tags/v2.0.0",
				8: "https://token.actions.githubusercontent.com",
				9: "https://github.com/trusted/builders/.github/workflows/build.yml@refs/tags/v1.2.3", 10: builderSHA, 11: "self-hosted",
				12: "https://github.com/acme/app", 13: sha, 14: "refs/tags/v2.0.0", 15: "11", 16: "https://github.com/acme", 17: "22",
				18: "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v2.0.0", 19: sha, 20: "release",
				21: "https://github.com/acme/app/actions/runs/33/attempts/4", 22: "private", 23: "production",
				24: "repo:acme/app:environment:production",
			},
		},
		{
			name: "GitLab",
			id:   stemmatest.GitLab{Project: "acme/team/app", SHA: sha, Ref: "refs/tags/v1", Environment: "prod"},
			san:  "https://gitlab.com/acme/team/app//.gitlab-ci.yml@refs/tags/v1",
			want: map[int]string{
				1: "https://gitlab.com", 8: "https://gitlab.com", 9: "https://gitlab.com/acme/team/app//.gitlab-ci.yml@refs/tags/v1",
				10: sha, 11: "gitlab-hosted", 12: "https://gitlab.com/acme/team/app", 13: sha, 14: "refs/tags/v1", 15: "55235664",
				16: "https://gitlab.com/acme/team", 17: "12885801", 18: "https://gitlab.com/acme/team/app//.gitlab-ci.yml@refs/tags/v1",
				19: sha, 20: "push", 21: "https://gitlab.com/acme/team/app/-/jobs/8415754949", 22: "public", 23: "prod",
				24: "project_path:acme/team/app:ref_type:tag:ref:v1",
			},
		},
		{
			name: "Buildkite",
			id:   stemmatest.Buildkite{Organization: "acme", Pipeline: "app", Build: "7", Job: "0189", Commit: sha, Source: "webhook", Runner: "self-hosted"},
			san:  "https://buildkite.com/acme/app",
			want: map[int]string{
				1: "https://agent.buildkite.com", 8: "https://agent.buildkite.com", 11: "self-hosted", 13: sha, 20: "webhook",
				21: "https://buildkite.com/acme/app/builds/7#0189",
				24: "organization:acme:pipeline:app:ref:refs/heads/main:commit:" + sha + ":step:",
			},
		},
		{
			name: "CircleCI",
			id:   stemmatest.CircleCI{Organization: "o1", Project: "p1", Definition: "d1", Repository: "github.com/acme/app", Ref: "refs/heads/main", Pipeline: "i1", Workflow: "w1", Job: "j1"},
			san:  "https://circleci.com/api/v2/projects/p1/pipeline-definitions/d1",
			want: map[int]string{
				1: "https://oidc.circleci.com/org/o1", 8: "https://oidc.circleci.com/org/o1",
				9: "https://circleci.com/api/v2/projects/p1/pipeline-definitions/d1", 11: `""`, 12: "github.com/acme/app",
				14: "refs/heads/main", 18: "https://circleci.com/api/v2/pipeline/i1/config",
				21: "https://app.circleci.com//workflow/w1/job/j1", 24: "org/o1/project/p1/user/",
			},
		},
		{
			name: "CircleCI, somebody logged in", id: stemmatest.CircleCI{Organization: "o1", SSHRerun: true}, san: "https://circleci.com/api/v2/projects//pipeline-definitions/",
			want: map[int]string{
				1: "https://oidc.circleci.com/org/o1", 8: "https://oidc.circleci.com/org/o1", 9: "https://circleci.com/api/v2/projects//pipeline-definitions/", 11: "ssh-rerun",
				18: "https://circleci.com/api/v2/pipeline//config", 21: "https://app.circleci.com//workflow//job/", 24: "org/o1/project//user/",
			},
		},
		{
			name: "Codefresh",
			id:   stemmatest.Codefresh{Account: "acme", AccountID: "a1", Pipeline: "app/image", PipelineID: "p1", Build: "b1", Repository: "https://github.com/acme/app", Ref: "main", Runner: "hybrid"},
			san:  "https://g.codefresh.io/acme/app/image:a1/p1",
			want: map[int]string{
				1: "https://oidc.codefresh.io", 8: "https://oidc.codefresh.io", 9: "https://g.codefresh.io/build/b1", 11: "hybrid", 12: "https://github.com/acme/app", 14: "main",
				18: "https://g.codefresh.io/api/pipelines/p1", 21: "https://g.codefresh.io/build/b1", 24: "account:a1:pipeline:p1:scm_repo_url:https://github.com/acme/app:scm_user_name:octocat:scm_ref:main",
			},
		},
		{
			name: "Codefresh, started by hand", id: stemmatest.Codefresh{Account: "acme", AccountID: "a1", Pipeline: "app/image", PipelineID: "p1", Build: "b1"}, san: "https://g.codefresh.io/acme/app/image:a1/p1",
			want: map[int]string{
				1: "https://oidc.codefresh.io", 8: "https://oidc.codefresh.io", 9: "https://g.codefresh.io/build/b1",
				18: "https://g.codefresh.io/api/pipelines/p1", 21: "https://g.codefresh.io/build/b1", 24: "account:a1:pipeline:p1",
			},
		},
		{
			name: "Buddy",
			id:   stemmatest.Buddy{Workspace: "acme", Project: "app", Pipeline: "1", Execution: "e2", Revision: sha, Ref: "refs/heads/main", Trigger: "PUSH", Runner: "buddy-hosted", Region: "eu-"},
			san:  "https://app.buddy.works/acme/app/pipelines/pipeline/1",
			want: map[int]string{
				1: "https://eu-oidc.buddyusercontent.com", 8: "https://eu-oidc.buddyusercontent.com", 9: "https://app.buddy.works/acme/app/pipelines/pipeline/1", 11: "buddy-hosted",
				12: "https://app.buddy.works/acme/app", 13: sha, 14: "refs/heads/main", 20: "PUSH", 21: "https://app.buddy.works/acme/app/pipelines/pipeline/1/execution/e2", 24: "acme/e2",
			},
		},
		{
			name: "Chainguard", id: stemmatest.Chainguard{UIDP: "720909c9/4a7a1c2a"}, san: "https://issuer.enforce.dev/720909c9/4a7a1c2a",
			want: map[int]string{1: "https://issuer.enforce.dev", 8: "https://issuer.enforce.dev", 24: "720909c9/4a7a1c2a"},
		},
		{
			name: "GitHub, login", id: stemmatest.Email{Address: "dev@acme.example", Issuer: stemmatest.GitHubLoginIssuer}, san: "dev@acme.example",
			want: map[int]string{1: "https://github.com/login/oauth", 8: "https://github.com/login/oauth", 24: "dev@acme.example"},
		},
		{
			name: "e-mail", id: stemmatest.Email{Address: "dev@acme.example"}, san: "dev@acme.example",
			want: map[int]string{1: "https://accounts.google.com", 8: "https://accounts.google.com", 24: "dev@acme.example"},
		},
		{
			name: "Kubernetes service account",
			id:   stemmatest.ServiceAccount{Issuer: "https://oidc.eks.example/id/1", Namespace: "ci", Name: "builder"},
			san:  "https://kubernetes.io/namespaces/ci/serviceaccounts/builder",
			want: map[int]string{1: "https://oidc.eks.example/id/1", 8: "https://oidc.eks.example/id/1", 24: "system:serviceaccount:ci:builder"},
		},
		{
			name: "user name", id: stemmatest.Certificate{OtherName: "build!acme.example", Extensions: map[int]string{8: "https://issuer.acme.example"}},
			san: "build!acme.example", want: map[int]string{8: "https://issuer.acme.example"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cert := must[*stemmatest.Signer](t)(s.Certify(c.id, s.Now)).Certificate
			if diff := cmp.Diff(c.want, fulcio(t, cert)); diff != "" {
				t.Errorf("extensions (-want +got):\n%s", diff)
			}
			sum := must[certificate.Summary](t)(certificate.SummarizeCertificate(cert))
			if sum.SubjectAlternativeName != c.san {
				t.Errorf("got SAN %q, want %q", sum.SubjectAlternativeName, c.san)
			}
			if sum.Issuer != c.want[8] || sum.BuildSignerURI != c.want[9] || sum.SourceRepositoryURI != c.want[12] || sum.RunInvocationURI != c.want[21] || sum.SourceRepositoryVisibilityAtSigning != c.want[22] {
				t.Errorf("sigstore-go reads %+v", sum)
			}
		})
	}
}

// The defaults make one consistent job out of a repository name.
func TestGitHubDefaults(t *testing.T) {
	c := stemmatest.GitHub{Repository: "acme/app"}.Certificate()
	x := c.Extensions
	if x[9] != x[18] || x[9] != c.URIs[0] || x[3] != x[13] || x[13] != x[19] || x[13] != x[10] || x[6] != x[14] || x[2] != x[20] {
		t.Errorf("inconsistent: %v", x)
	}
	if len(x[13]) != 40 {
		t.Errorf("commit %q", x[13])
	}
	if _, ok := x[23]; ok {
		t.Error("has a deployment environment without being given one")
	}
}

// An enterprise has an issuer of its own, and with a host of its own all URLs are there.
func TestGitHubEnterprise(t *testing.T) {
	c := stemmatest.GitHub{Repository: "acme/app", Issuer: stemmatest.GitHubIssuer + "/acme"}.Certificate()
	if c.Extensions[8] != "https://token.actions.githubusercontent.com/acme" || c.Extensions[12] != "https://github.com/acme/app" {
		t.Errorf("%v", c.Extensions)
	}
	g := stemmatest.GitHub{Repository: "acme/app", Issuer: "https://token.actions.acme.ghe.com"}
	c = g.Certificate()
	for n, v := range c.Extensions {
		if strings.Contains(v, "github.com") {
			t.Errorf(".%d is %s", n, v)
		}
	}
	if c.Extensions[12] != "https://acme.ghe.com/acme/app" || c.URIs[0] != c.Extensions[9] || !strings.HasPrefix(c.URIs[0], "https://acme.ghe.com/acme/app/.github/workflows/") {
		t.Errorf("%v %v", c.URIs, c.Extensions)
	}
	if body := string(stemmatest.ActionsAttest(g).JSON()); strings.Contains(body, "https://github.com") {
		t.Error(body)
	}
}

func TestContradictoryCertificates(t *testing.T) {
	s := newSigstore(t)
	c := job().Certificate()
	c.URIs = append(c.URIs, "https://github.com/evil/app/.github/workflows/x.yml@refs/heads/main")
	c.Emails = []string{"dev@acme.example"}
	c.Extensions[1] = "https://issuer.evil.example"
	cert := must[*stemmatest.Signer](t)(s.Certify(c, s.Now)).Certificate
	if len(cert.URIs) != 2 || len(cert.EmailAddresses) != 1 {
		t.Errorf("got %d URIs and %d addresses, want 2 and 1", len(cert.URIs), len(cert.EmailAddresses))
	}
	got := fulcio(t, cert)
	if got[1] == got[8] || got[8] != stemmatest.GitHubIssuer {
		t.Errorf("issuers are %q and %q, want two different ones", got[1], got[8])
	}
	if len(cert.UnhandledCriticalExtensions) != 0 {
		t.Errorf("critical extensions left over: %v", cert.UnhandledCriticalExtensions)
	}
	if job().Certificate().Extensions[1] == "https://issuer.evil.example" {
		t.Error("editing a certificate changed the identity it came from")
	}
	if name, err := cryptoutils.UnmarshalOtherNameSAN(cert.Extensions); err == nil {
		t.Errorf("has user name %q", name)
	}
}
