package policy

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"stemma"
	"stemma/internal/predicate"
)

// OIDC identity of a delegator: any inner builder.
func TestZZDelegatorOIDC(t *testing.T) {
	const san = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/delegator_generic_slsa3.yml@refs/tags/v2.1.0"
	pol := builtBy(`oidc: {issuer: "` + GitHubIssuer + `", subject: "` + san + `"}
      level: 3`)
	pol = strings.Replace(pol, "maxAge: 90d}", "maxAge: 90d, level: 3}", 1)
	for _, inner := range []string{"https://github.com/evil/trw/.github/workflows/x.yml@refs/heads/main"} {
		e := none()
		id := githubSigner(san)
		add(e, "b", id, func(a *stemma.Attestation, p *stemma.Provenance) {
			a.Statement.Predicate = json.RawMessage(`{"buildDefinition":{"buildType":"https://github.com/slsa-framework/slsa-github-generator/delegator-generic@v0","externalParameters":{"inputs":{}},"resolvedDependencies":[{"uri":"git+https://github.com/acme/app@refs/tags/v2","digest":{"gitCommit":"` + commitOfSource + `"}}]},"runDetails":{"builder":{"id":"` + inner + `"}}}`)
			doc, err := predicate.Read(*a)
			t.Log(err)
			if doc.Provenance != nil {
				*p = *doc.Provenance
			}
		})
		t.Logf("delegate %q", e.Provenance[0].Delegate)
		t.Log(render(Evaluate(load(t, pol), e, now())))
	}
}

func TestZZHiddenInlineTask(t *testing.T) {
	pol := strings.Replace(strings.Replace(tektonPolicy(), `sourceFrom: {task: clone, url: url, commit: commit}`, "", 1), `namespaces: [acme-tenant, "team-*"]`, "", 1)
	pol = strings.Replace(pol, "saidBy: builder", "saidBy: tenant", 1)
	e := none()
	b := strings.Repeat("b", 40)
	run := `{"buildDefinition":{"buildType":"https://tekton.dev/chains/v2/slsa","externalParameters":{
  "buildConfigSource":{"ref":"sha1:` + b + `","repository":"git+https://github.com/evil/pipelines.git","path":"evil.yaml"},
  "runSpec":{"pipelineRef":{"resolver":"git"},"params":[{"name":"git-url","value":"https://github.com/acme/app"}],"taskRunTemplate":{"serviceAccountName":"build-pipeline"}}},
  "resolvedDependencies":[{"name":"pipeline","uri":"git+https://github.com/evil/pipelines.git","digest":{"sha1":"` + b + `"}},
   {"name":"pipelineTask","uri":"quay.io/acme/tasks/git-clone","digest":{"sha256":"` + strings.Repeat("c", 64) + `"}},
   {"name":"inputs/result","uri":"git+https://github.com/acme/app.git","digest":{"sha1":"` + commitOfSource + `"}}]},
  "runDetails":{"builder":{"id":"https://tekton.dev/chains/v2"},"metadata":{"invocationId":"1aa04ff2-9c2a-47f5-9c75-ed43d259649a"}}}`
	add(e, "b", keySigner("chains", "chains-2026"), func(a *stemma.Attestation, p *stemma.Provenance) {
		a.SignedAt, a.Log = nil, nil
		a.Statement.Predicate = json.RawMessage(run)
		doc, err := predicate.Read(*a)
		t.Log(err)
		*p = *doc.Provenance
	})
	t.Logf("%+v", e.Provenance[0].Tasks)
	t.Log(render(Evaluate(load(t, pol), e, now())))
}

// genuine TaskRun of slsa/v2alpha3/4 with a byproduct that is no build artifact
func TestZZTaskRunByproduct(t *testing.T) {
	pol := strings.Replace(strings.Replace(tektonPolicy(), `sourceFrom: {task: clone, url: url, commit: commit}`, "", 1), `namespaces: [acme-tenant, "team-*"]`, "", 1)
	pol = strings.Replace(pol, "saidBy: builder", "saidBy: tenant", 1)
	for _, by := range []string{"", `,"byproducts":[{"name":"taskRunResults/BASE_IMAGES","content":"` + base64.StdEncoding.EncodeToString([]byte(`"golang:1.24"`)) + `","mediaType":"application/json"}]`} {
		e := none()
		run := `{"buildDefinition":{"buildType":"https://tekton.dev/chains/v2/slsa","externalParameters":{
  "runSpec":{"taskRef":{"resolver":"bundles","params":[{"name":"bundle","value":"quay.io/acme/tasks/buildah@sha256:` + strings.Repeat("c", 64) + `"},{"name":"name","value":"buildah"},{"name":"kind","value":"task"}]},"params":[{"name":"git-url","value":"https://github.com/acme/app"}],"serviceAccountName":"build-pipeline"}},
  "resolvedDependencies":[{"name":"task","uri":"quay.io/acme/tasks/buildah","digest":{"sha256":"` + strings.Repeat("c", 64) + `"}},
   {"name":"inputs/result","uri":"git+https://github.com/acme/app.git","digest":{"sha1":"` + commitOfSource + `"}}]},
  "runDetails":{"builder":{"id":"https://tekton.dev/chains/v2"},"metadata":{"invocationId":"1aa04ff2-9c2a-47f5-9c75-ed43d259649a"}` + by + `}}`
		add(e, "b", keySigner("chains", "chains-2026"), func(a *stemma.Attestation, p *stemma.Provenance) {
			a.SignedAt, a.Log = nil, nil
			a.Statement.Predicate = json.RawMessage(run)
			doc, err := predicate.Read(*a)
			if err != nil {
				t.Fatal(err)
			}
			*p = *doc.Provenance
		})
		t.Logf("%+v", e.Provenance[0].Tasks)
		t.Log(render(Evaluate(load(t, pol), e, now())))
	}
}

func TestZZDistrustCosigner(t *testing.T) {
	const dis = `
---
apiVersion: policy.stemma.dev/v1alpha1
kind: Distrust
metadata: {name: stolen}
spec:
  reason: stolen
  keys: ["KEY"]
  from: 2026-05-15
`
	pol := keyedPolicy("https://ci.example/b", "internal: {buildType: x}", "")
	thief, stolen := keySigner("acme-kms", "review"), keySigner("chains", "chains-2026")
	for _, first := range []bool{false, true} {
		e := none()
		add(e, "b", thief, func(a *stemma.Attestation, p *stemma.Provenance) {
			a.Cosigners = []stemma.Identity{stolen}
			if first {
				a.Signer, a.Cosigners = stolen, nil
				a.SignedAt = nil
			} else {
				a.SignedAt = []stemma.SignedTime{{Time: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}}
			}
			p.BuildType = "x"
			p.Claims = map[stemma.Field]stemma.Claim{stemma.FieldBuilder: said("https://ci.example/b", stemma.SaidByBuilder, "/builder/id")}
		})
		d := Evaluate(load(t, pol, strings.Replace(dis, "KEY", string(stolen.Key), 1)), e, now())
		t.Log(first, render(d))
	}
}
