package predicate

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"stemma"
	"stemma/stemmatest"
)

const (
	sumB = "7230c21e155f187a4cd8b10f2b38d3879e63febf94e5cb27ec4fb2095ff17f1a"
	sumC = "73ae2f8be446b13b690346775d58890e1a576204f33196c84f8ae71e542769c0"
)

// konfluxV02 is what Chains writes of a pipeline that comes from a repository of pipelines.
const konfluxV02 = `{
  "builder": {"id": "https://tekton.dev/chains/v2"},
  "buildType": "tekton.dev/v1/PipelineRun",
  "invocation": {
    "configSource": {"uri": "git+https://github.com/acme/pipelines.git", "digest": {"sha1": "` + commitB + `"}, "entryPoint": "build/image.yaml"},
    "parameters": {"git-url": "https://github.com/acme/app", "revision": "` + commitA + `", "hermetic": "true", "prefetch-input": {"type": "gomod"}},
    "environment": {
      "labels": {"pipelinesascode.tekton.dev/event-type": "push", "pipelinesascode.tekton.dev/sha": "` + commitA + `"},
      "annotations": {"pipelinesascode.tekton.dev/repo-url": "https://github.com/acme/app", "pipelinesascode.tekton.dev/source-branch": "refs/heads/main"}
    }
  },
  "buildConfig": {"tasks": [
    {
      "name": "clone-repository", "status": "Succeeded", "serviceAccountName": "pipeline",
      "ref": {"resolver": "bundles", "params": [{"name": "name", "value": "git-clone"}, {"name": "bundle", "value": "quay.io/acme/tasks/git-clone:0.1@sha256:` + sum + `"}, {"name": "kind", "value": "task"}]},
      "invocation": {"configSource": {}},
      "steps": [{"entryPoint": "git clone", "environment": {"container": "clone", "image": "oci://quay.io/acme/git@sha256:` + sumB + `"}}],
      "results": [
        {"name": "CHAINS-GIT_URL", "type": "string", "value": "https://github.com/acme/app"}, {"name": "CHAINS-GIT_COMMIT", "type": "string", "value": "` + commitA + `\n"},
        {"name": "url", "type": "string", "value": "https://github.com/acme/app"}, {"name": "commit", "type": "string", "value": "` + commitA + `"}
      ]
    },
    {
      "name": "build", "status": "Succeeded", "serviceAccountName": "pipeline",
      "ref": {"resolver": "git", "params": [{"name": "url", "value": "https://github.com/acme/tasks.git"}, {"name": "revision", "value": "v1"}, {"name": "pathInRepo", "value": "build/buildah.yaml"}]},
      "invocation": {"configSource": {"uri": "git+https://github.com/acme/tasks.git", "digest": {"sha1": "` + commitB + `"}, "entryPoint": "build/buildah.yaml"}, "parameters": {"HERMETIC": "true"}},
      "steps": [{"environment": {"container": "build", "image": "docker-pullable://quay.io/acme/buildah@sha256:` + sumC + `"}}],
      "results": [{"name": "IMAGE_DIGEST", "type": "string", "value": "sha256:` + sum + `"}, {"name": "IMAGE_URL", "type": "string", "value": "quay.io/acme/app:v2"}]
    }
  ]},
  "materials": [
    {"uri": "oci://quay.io/acme/git", "digest": {"sha256": "` + sumB + `"}},
    {"uri": "git+https://github.com/acme/tasks.git", "digest": {"sha1": "` + commitB + `"}},
    {"uri": "git+https://github.com/acme/pipelines.git", "digest": {"sha1": "` + commitB + `"}},
    {"uri": "git+https://github.com/acme/app.git", "digest": {"sha1": "` + commitA + `"}}
  ]
}`

// chainsV1 is what Chains writes of the same run in SLSA v1, without the runs of tasks.
const chainsV1 = `{
  "buildDefinition": {
    "buildType": "https://tekton.dev/chains/v2/slsa",
    "externalParameters": {
      "buildConfigSource": {"ref": "sha1:` + commitB + `", "repository": "git+https://github.com/acme/pipelines.git", "path": "build/image.yaml"},
      "runSpec": {
        "pipelineRef": {"resolver": "git"},
        "params": [{"name": "git-url", "value": "https://github.com/acme/app"}, {"name": "hermetic", "value": "false"}, {"name": "args", "value": ["a", "b"]}],
        "taskRunTemplate": {"serviceAccountName": "pipeline"}
      }
    },
    "internalParameters": {"tekton-pipelines-feature-flags": {"EnableAPIFields": "stable"}},
    "resolvedDependencies": [
      {"name": "pipeline", "uri": "git+https://github.com/acme/pipelines.git", "digest": {"sha1": "` + commitB + `"}},
      {"name": "pipelineTask", "uri": "git+https://github.com/acme/tasks.git", "digest": {"sha1": "` + commitB + `"}},
      {"uri": "oci://quay.io/acme/buildah", "digest": {"sha256": "` + sumC + `"}},
      {"name": "inputs/result", "uri": "git+https://github.com/acme/app.git", "digest": {"sha1": "` + commitA + `"}}
    ]
  },
  "runDetails": {"builder": {"id": "https://tekton.dev/chains/v2"}, "metadata": {"invocationId": "1aa04ff2-9c2a-47f5-9c75-ed43d259649a"}}
}`

func TestTektonV02(t *testing.T) {
	p := mustRead(t, keySigner(), stemma.PredicateSLSAv02, konfluxV02)
	equalLines(t, "claims", claims(p), []string{
		"builder https://tekton.dev/chains/v2 builder", "repository github.com/acme/app tenant", "commit " + commitA + " tenant", "ref refs/heads/main tenant",
		"entryPoint build/image.yaml builder", "definition github.com/acme/pipelines@" + commitB + " builder", "trigger push tenant",
		"serviceAccount pipeline builder", "hermetic true tenant",
	})
	if got := contradictions(p); len(got) > 0 || p.Known != "Tekton Chains" {
		t.Errorf("%s: contradictions %q", p.Known, got)
	}
	var roles []string
	for _, in := range p.Inputs {
		roles = append(roles, fmt.Sprintf("%s %s %s %t", in.URI, in.Kind, in.Role, in.Undeclared))
	}
	equalLines(t, "inputs", roles, []string{
		"oci://quay.io/acme/git image builder false", "git+https://github.com/acme/tasks.git action definition false",
		"git+https://github.com/acme/pipelines.git action definition false", "git+https://github.com/acme/app.git git source false",
		"docker-pullable://quay.io/acme/buildah@sha256:" + sumC + " image builder true",
	})
	var parameters []string
	for _, a := range p.Parameters {
		parameters = append(parameters, a.Kind+" "+a.Name+" "+a.Value)
	}
	equalLines(t, "parameters", parameters, []string{
		"param git-url https://github.com/acme/app", "param revision " + commitA, "param hermetic true", `param prefetch-input {"type": "gomod"}`,
	})
	if len(p.Tasks) != 2 {
		t.Fatalf("tasks %+v", p.Tasks)
	}
	clone, build := p.Tasks[0], p.Tasks[1]
	if clone.Name != "clone-repository" || clone.Ref != "quay.io/acme/tasks/git-clone" || clone.Digest != "sha256:"+sum || len(clone.Results) != 0 ||
		clone.Outputs["commit"] != commitA || clone.Outputs["url"] != "https://github.com/acme/app" || clone.Outputs["CHAINS-GIT_COMMIT"] != commitA {
		t.Errorf("%+v", clone)
	}
	if build.Ref != "github.com/acme/tasks/build/buildah.yaml" || build.Digest != commitB || !slices.Equal(build.Results, []stemma.Digest{"sha256:" + sum}) ||
		build.Status != "Succeeded" || len(build.Images) != 1 || build.Where != "/buildConfig/tasks/1" {
		t.Errorf("%+v", build)
	}
}

func TestTektonV1(t *testing.T) {
	p := mustRead(t, keySigner(), stemma.PredicateSLSAv1, chainsV1)
	equalLines(t, "claims", claims(p), []string{
		"builder https://tekton.dev/chains/v2 builder", "repository github.com/acme/app tenant", "commit " + commitA + " tenant",
		"entryPoint build/image.yaml builder", "definition github.com/acme/pipelines@" + commitB + " builder",
		"serviceAccount pipeline builder", "run 1aa04ff2-9c2a-47f5-9c75-ed43d259649a builder", "hermetic false tenant",
	})
	if len(p.Tasks) != 1 || p.Tasks[0].Ref != "github.com/acme/tasks" || p.Tasks[0].Digest != commitB || p.Tasks[0].Name != "" || len(contradictions(p)) > 0 {
		t.Errorf("tasks %+v, contradictions %q", p.Tasks, contradictions(p))
	}
	if p.Inputs[0].Role != stemma.RoleDefinition || p.Inputs[1].Kind != stemma.InputAction || p.Inputs[2].Role != stemma.RoleBuilder || p.Inputs[3].Role != stemma.RoleSource {
		t.Errorf("inputs %+v", p.Inputs)
	}
	if len(p.Parameters) != 3 || p.Parameters[2].Value != `["a", "b"]` {
		t.Errorf("parameters %+v", p.Parameters)
	}
	if p.Reported[stemma.InputAction] != stemma.ReportedSome || p.Reported[stemma.InputPackage] != "" {
		t.Errorf("reported %v", p.Reported)
	}
}

// taskRun is the run of a task as the build type slsa-tekton carries it.
const taskRun = `{
  "metadata": {"name": "app-build", "namespace": "team-a", "labels": {"tekton.dev/pipelineTask": "build"}},
  "spec": {"params": [{"name": "HERMETIC", "value": "true"}], "serviceAccountName": "pipeline", "taskRef": {"resolver": "bundles", "params": [{"name": "bundle", "value": "quay.io/acme/tasks/buildah:0.2"}]}},
  "status": {
    "conditions": [{"type": "Succeeded", "status": "True"}],
    "provenance": {"refSource": {"uri": "quay.io/acme/tasks/buildah", "digest": {"sha256": "` + sumB + `"}, "entryPoint": "buildah"}},
    "steps": [{"name": "build", "imageID": "quay.io/acme/buildah@sha256:` + sumC + `", "results": [{"name": "second-ARTIFACT_OUTPUTS", "value": {"uri": "quay.io/acme/x", "digest": "sha256:` + sumC + `"}}]}],
    "results": [{"name": "IMAGE_DIGEST", "value": "sha256:` + sum + `"}, {"name": "IMAGES", "value": "quay.io/acme/app@sha256:` + sum + `, quay.io/acme/app@sha256:` + sumB + `"}]
  }
}`

// withRun puts the run of a task among the dependencies.
func withRun(t *testing.T, run string) string {
	return change(t, chainsV1, "chains/v2/slsa", "chains/v2/slsa-tekton", `{"name": "pipelineTask", "uri": "git+https://github.com/acme/tasks.git", "digest": {"sha1": "`+commitB+`"}}`,
		`{"name": "pipelineTask", "uri": "quay.io/acme/tasks/buildah", "digest": {"sha256": "`+sumB+`"}, "content": "`+base64.StdEncoding.EncodeToString([]byte(run))+`"}`,
		`"hermetic", "value": "false"`, `"hermetic", "value": "true"`)
}

func TestTektonRuns(t *testing.T) {
	p := mustRead(t, keySigner(), stemma.PredicateSLSAv1, withRun(t, taskRun))
	if len(p.Tasks) != 1 {
		t.Fatalf("tasks %+v", p.Tasks)
	}
	task := p.Tasks[0]
	if task.Name != "build" || task.Ref != "quay.io/acme/tasks/buildah" || task.Digest != "sha256:"+sumB || task.Status != "Succeeded" ||
		task.Where != "/buildDefinition/resolvedDependencies/1/content" || task.Outputs["IMAGE_DIGEST"] != "sha256:"+sum ||
		!slices.Equal(task.Results, []stemma.Digest{"sha256:" + sumC, "sha256:" + sum, "sha256:" + sumB}) {
		t.Errorf("%+v", task)
	}
	if c := p.Claims[stemma.FieldNamespace]; c.Value != "team-a" || c.By != stemma.SaidByBuilder || len(contradictions(p)) > 0 || len(p.Inputs) != 4 {
		t.Errorf("namespace %+v, contradictions %q, inputs %+v", c, contradictions(p), p.Inputs)
	}
	// What the pipeline is asked for and what its task is told differ.
	if got := contradictions(mustRead(t, keySigner(), stemma.PredicateSLSAv1, withRun(t, change(t, taskRun, `"HERMETIC", "value": "true"`, `"HERMETIC", "value": "false"`)))); !slices.Equal(got, []string{"hermetic"}) {
		t.Errorf("contradictions %q", got)
	}
	// A run that is not one is left out, and its definition still stands.
	for _, bad := range []string{`[`, `{"a": 1, "a": 2}`} {
		p := mustRead(t, keySigner(), stemma.PredicateSLSAv1, withRun(t, bad))
		if len(p.Tasks) != 1 || p.Tasks[0].Name != "" || p.Tasks[0].Ref != "quay.io/acme/tasks/buildah" || len(p.Tasks[0].Results) > 0 {
			t.Errorf("%s: tasks %+v", bad, p.Tasks)
		}
	}
	if p, err := readAs(keySigner(), stemma.PredicateSLSAv1, strings.Replace(withRun(t, taskRun), `"content": "`, `"content": "*`, 1)); err == nil || !strings.Contains(err.Error(), "content: want base64") {
		t.Errorf("%+v, %v", p, err)
	}
}

// Chains takes the images that were built from the results of any task, so that whoever can add a task to a pipeline can
// have any digest signed (threat C18, chains#1346). Each digest is given to the task that wrote it, and to no other; what
// only looks like one is given to none.
func TestReg_C18_results_by_task(t *testing.T) {
	const evil = `{"name": "evil", "status": "Succeeded", "steps": [], "results": [%s]}, {
      "name": "build"`
	for _, c := range []struct {
		name, result string
		want         []stemma.Digest
	}{
		{"IMAGE_DIGEST", `{"name": "IMAGE_DIGEST", "value": "sha256:` + sumC + `"}`, []stemma.Digest{"sha256:" + sumC}},
		{"prefix", `{"name": "my-IMAGE_DIGEST", "value": " sha256:` + sumC + `\n"}`, []stemma.Digest{"sha256:" + sumC}},
		{"IMAGES", `{"name": "IMAGES", "value": "a.example/x@sha256:` + sumC + `\nb.example/y:1@sha256:` + sumB + `,"}`, []stemma.Digest{"sha256:" + sumC, "sha256:" + sumB}},
		{"ARTIFACT_OUTPUTS", `{"name": "x-ARTIFACT_OUTPUTS", "value": {"uri": "a.example/x", "digest": "sha256:` + sumC + `"}}`, []stemma.Digest{"sha256:" + sumC}},
		{"ARTIFACT_DIGEST", `{"name": "x_ARTIFACT_DIGEST", "value": "sha256:` + sumC + `"}`, []stemma.Digest{"sha256:" + sumC}},
		{"twice", `{"name": "a_IMAGE_DIGEST", "value": "sha256:` + sumC + `"}, {"name": "b_IMAGE_DIGEST", "value": "sha256:` + sumC + `"}`, []stemma.Digest{"sha256:" + sumC}},
		{"another name", `{"name": "IMAGES_PROCESSED", "value": "sha256:` + sumC + `"}`, nil},
		{"a parameter's name", `{"name": "IMAGE_DIGESTS", "value": "sha256:` + sumC + `"}`, nil},
		{"no digest", `{"name": "IMAGE_DIGEST", "value": "sha256:` + sumC[1:] + `"}`, nil},
		{"weak digest", `{"name": "IMAGE_DIGEST", "value": "sha1:` + commitA + `"}`, nil},
		{"upper case", `{"name": "IMAGE_DIGEST", "value": "SHA256:` + sumC + `"}`, nil},
		{"a list", `{"name": "IMAGE_DIGEST", "value": ["sha256:` + sumC + `"]}`, nil},
		{"without @", `{"name": "IMAGES", "value": "sha256:` + sumC + `"}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			predicate := strings.Replace(konfluxV02, "{\n      \"name\": \"build\"", fmt.Sprintf(evil, c.result), 1)
			p := mustRead(t, keySigner(), stemma.PredicateSLSAv02, predicate)
			if len(p.Tasks) != 3 || p.Tasks[1].Name != "evil" || !slices.Equal(p.Tasks[1].Results, c.want) {
				t.Fatalf("tasks %+v, want results %q", p.Tasks, c.want)
			}
			if p.Tasks[1].Ref != "" || p.Tasks[1].Digest != "" || !slices.Equal(p.Tasks[2].Results, []stemma.Digest{"sha256:" + sum}) || len(p.Tasks[0].Results) != 0 {
				t.Errorf("tasks %+v", p.Tasks)
			}
		})
	}
}

// Where a task came from is named only where it has one meaning, and its version only where it is one.
func TestTektonReferences(t *testing.T) {
	const bundle = `"ref": {"resolver": "bundles", "params": [{"name": "name", "value": "git-clone"}, {"name": "bundle", "value": "quay.io/acme/tasks/git-clone:0.1@sha256:` + sum + `"}, {"name": "kind", "value": "task"}]},
      "invocation": {"configSource": {}},`
	read := func(ref, source string) stemma.Task {
		t.Helper()
		p := mustRead(t, keySigner(), stemma.PredicateSLSAv02, change(t, konfluxV02, bundle, `"ref": `+ref+`, "invocation": {"configSource": `+source+`},`))
		return p.Tasks[0]
	}
	git := func(url, revision, path string) string {
		return fmt.Sprintf(`{"resolver": "git", "params": [{"name": "url", "value": %q}, {"name": "revision", "value": %q}, {"name": "pathInRepo", "value": %q}]}`, url, revision, path)
	}
	const tasks = "https://github.com/acme/tasks"
	for _, c := range []struct{ name, ref, source, want, digest string }{
		{"old bundle", `{"name": "init", "kind": "Task", "bundle": "quay.io/acme/tasks:1@sha256:` + sum + `"}`, `{}`, "quay.io/acme/tasks", "sha256:" + sum},
		{"bundle by tag", `{"name": "init", "bundle": "quay.io/acme/tasks:1"}`, `{}`, "quay.io/acme/tasks", ""},
		{"bundle by tag, resolved", `{"name": "init", "bundle": "quay.io/acme/tasks:1"}`, `{"uri": "quay.io/acme/tasks", "digest": {"sha256": "` + sumB + `"}, "entryPoint": "init"}`, "quay.io/acme/tasks", "sha256:" + sumB},
		{"bundle resolved to another", `{"name": "init", "bundle": "quay.io/acme/tasks:1@sha256:` + sum + `"}`, `{"uri": "quay.io/acme/tasks", "digest": {"sha256": "` + sumB + `"}}`, "quay.io/acme/tasks", ""},
		{"bundle resolved elsewhere", `{"name": "init", "bundle": "quay.io/acme/tasks:1"}`, `{"uri": "quay.io/evil/tasks", "digest": {"sha256": "` + sumB + `"}}`, "quay.io/evil/tasks", ""},
		{"git", git(tasks, commitA, "a/b.yaml"), `{}`, "github.com/acme/tasks/a/b.yaml", commitA},
		{"git by branch", git(tasks, "main", "a/b.yaml"), `{}`, "github.com/acme/tasks/a/b.yaml", ""},
		{"git, no path", git(tasks, commitA, ""), `{}`, "", commitA},
		{"git, path out of it", git(tasks, commitA, "../evil/b.yaml"), `{}`, "", commitA},
		{"git, encoded path", git(tasks, commitA, "a%2Fb.yaml"), `{}`, "", commitA},
		{"git, other host", git("https://github.com@evil.example/acme/tasks", commitA, "b.yaml"), `{}`, "", ""},
		{"git, twice", `{"resolver": "git", "params": [{"name": "url", "value": "` + tasks + `"}, {"name": "url", "value": "https://github.com/evil/tasks"}, {"name": "pathInRepo", "value": "b.yaml"}]}`, `{}`, "", ""},
		{"in the cluster", `{"name": "git-clone", "kind": "Task"}`, `{}`, "", ""},
		{"cluster resolver", `{"resolver": "cluster", "params": [{"name": "name", "value": "x"}]}`, `{"uri": "/apis/tekton.dev/v1/namespaces/ns/task/x@uid", "digest": {"sha256": "` + sumB + `"}}`, "", ""},
		{"hub", `{"resolver": "hub", "params": [{"name": "name", "value": "x"}]}`, `{"uri": "https://api.hub.tekton.dev/v1/resource/x", "digest": {"sha256": "` + sumB + `"}}`, "", ""},
		{"none", `{}`, `{}`, "", ""},
	} {
		if task := read(c.ref, c.source); task.Ref != c.want || task.Digest != c.digest {
			t.Errorf("%s: %q at %q, want %q at %q", c.name, task.Ref, task.Digest, c.want, c.digest)
		}
	}
}

// The source is never where a definition came from, and no word about it is better than the tenant's.
func TestTektonSource(t *testing.T) {
	const (
		app      = `{"uri": "git+https://github.com/acme/app.git", "digest": {"sha1": "` + commitA + `"}}`
		url      = `"git-url": "https://github.com/acme/app", `
		hint     = `"value": "https://github.com/acme/app"}, {"name": "CHAINS-GIT_COMMIT"`
		evilHint = `"value": "https://github.com/evil/app"}, {"name": "CHAINS-GIT_COMMIT"`
	)
	second := strings.ReplaceAll(strings.ReplaceAll(app, "acme/app", "acme/lib"), commitA, commitB)
	for _, c := range []struct {
		name               string
		change             []string
		repository, commit string
		contradictions     []string
	}{
		{"without git-url", []string{url, ""}, "github.com/acme/app", commitA, nil},
		{"a library, too", []string{app, app + ", " + second}, "github.com/acme/app", commitA, nil},
		{"a library, too, without git-url", []string{app, second + ", " + app, url, ""}, "github.com/acme/app", commitA, nil},
		{"several, and nothing tells", []string{app, second + ", " + app, url, "", "CHAINS-GIT_URL", "GIT_URL"}, "", "", nil},
		{"git-url of another", []string{url, `"git-url": "https://github.com/evil/app", `}, "github.com/evil/app", commitA, []string{"repository"}},
		{"no material", []string{", \n", "", app, second, url, ""}, "github.com/acme/lib", commitB, nil},
		{"only what results say", []string{",\n    " + app, "", url, ""}, "github.com/acme/app", commitA, nil},
		{"nothing", []string{",\n    " + app, "", url, "", "CHAINS-GIT_URL", "GIT_URL"}, "", "", nil},
		{"a result of another repository", []string{url, "", hint, evilHint}, "github.com/acme/app", commitA, nil},
		{"a result of another commit", []string{`"value": "` + commitA + `\n"`, `"value": "` + commitB + `"`}, "github.com/acme/app", commitA, []string{"commit"}},
		{"the event was of another commit", []string{`"pipelinesascode.tekton.dev/sha": "` + commitA, `"pipelinesascode.tekton.dev/sha": "` + commitB}, "github.com/acme/app", commitA, []string{"commit"}},
		{"the event was elsewhere", []string{`repo-url": "https://github.com/acme/app`, `repo-url": "https://github.com/acme/ci`, `"pipelinesascode.tekton.dev/sha": "` + commitA, `"pipelinesascode.tekton.dev/sha": "` + commitB}, "github.com/acme/app", commitA, nil},
		{"two events", []string{`"pipelinesascode.tekton.dev/repo-url"`, `"pipelinesascode.tekton.dev/event-type": "pull_request", "pipelinesascode.tekton.dev/repo-url"`}, "github.com/acme/app", commitA, []string{"trigger"}},
		{"HERMETIC of the task", []string{`"HERMETIC": "true"`, `"HERMETIC": "false"`}, "github.com/acme/app", commitA, []string{"hermetic"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			predicate := konfluxV02
			for i := 0; i < len(c.change); i += 2 {
				predicate = strings.Replace(predicate, c.change[i], c.change[i+1], 1)
			}
			p := mustRead(t, keySigner(), stemma.PredicateSLSAv02, predicate)
			if p.Value(stemma.FieldRepository) != c.repository || p.Value(stemma.FieldCommit) != c.commit {
				t.Errorf("%q at %q, want %q at %q; notes %q", p.Value(stemma.FieldRepository), p.Value(stemma.FieldCommit), c.repository, c.commit, p.Notes)
			}
			if got := contradictions(p); strings.Join(got, " ") != strings.Join(c.contradictions, " ") {
				t.Errorf("contradictions %q, want %q", got, c.contradictions)
			}
			for _, f := range []stemma.Field{stemma.FieldRepository, stemma.FieldCommit, stemma.FieldTrigger, stemma.FieldHermetic} {
				if said, ok := p.Claims[f]; ok && said.By != stemma.SaidByTenant {
					t.Errorf("%s is said by %s", f, said.By)
				}
			}
			if p.Value(stemma.FieldDefinition) != "github.com/acme/pipelines@"+commitB {
				t.Errorf("definition %q", p.Value(stemma.FieldDefinition))
			}
		})
	}
}

func TestTektonV1Source(t *testing.T) {
	for _, c := range []struct{ name, old, new, repository, commit string }{
		{"a task from the source", `{"name": "inputs/result", "uri"`, `{"name": "pipelineTask", "uri"`, "github.com/acme/app", ""},
		{"no name", `{"name": "inputs/result", "uri"`, `{"uri"`, "github.com/acme/app", ""},
		{"another name", `{"name": "inputs/result", "uri"`, `{"name": "inputs/results", "uri"`, "github.com/acme/app", ""},
	} {
		p := mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, chainsV1, c.old, c.new))
		if p.Value(stemma.FieldRepository) != c.repository || p.Value(stemma.FieldCommit) != c.commit {
			t.Errorf("%s: %q", c.name, lines(p))
		}
	}
	// Chains says the definition twice.
	p := mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, chainsV1, "sha1:"+commitB, "sha1:"+commitA))
	if got := contradictions(p); !slices.Equal(got, []string{"definition"}) {
		t.Errorf("contradictions %q", got)
	}
	// One of several service accounts is none.
	p = mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, chainsV1, `"taskRunTemplate"`, `"taskRunSpecs": [{"pipelineTaskName": "build", "serviceAccountName": "admin"}], "taskRunTemplate"`))
	if c, ok := p.Claims[stemma.FieldServiceAccount]; ok || !slices.Contains(p.Notes, "several service accounts: pipeline, admin") {
		t.Errorf("%+v, notes %q", c, p.Notes)
	}
	p = mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, chainsV1, `"runSpec"`, `"surprise": {}, "runSpec"`))
	if len(p.Parameters) != 4 || !slices.ContainsFunc(p.Parameters, func(a stemma.Parameter) bool { return a.Kind == "unknown" && a.Name == "surprise" }) {
		t.Errorf("parameters %+v", p.Parameters)
	}
	// The specification of a run may be large; what is read of it is not.
	p = mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, chainsV1, `"pipelineRef"`, `"x": "`+strings.Repeat("x", 70<<10)+`", "pipelineRef"`))
	if p.External != nil || len(p.Parameters) != 3 {
		t.Errorf("%d bytes of parameters", len(p.External))
	}
}

// The tasks of a pipeline that stands in the run itself have names; what they were resolved to has not.
func TestTektonV1Tasks(t *testing.T) {
	inline := func(tasks string) []stemma.Task {
		t.Helper()
		return mustRead(t, keySigner(), stemma.PredicateSLSAv1, change(t, chainsV1, `"pipelineRef": {"resolver": "git"}`, `"pipelineSpec": {"tasks": [`+tasks+`], "finally": [{"name": "notify", "taskSpec": {"steps": [{"image": "busybox"}]}}]}`)).Tasks
	}
	ref := func(repository, revision string) string {
		return `{"name": "build", "taskRef": {"resolver": "git", "params": [{"name": "url", "value": "https://github.com/acme/` + repository + `"}, {"name": "revision", "value": "` + revision + `"}, {"name": "pathInRepo", "value": "b.yaml"}]}}`
	}
	all := inline(ref("tasks", "main"))
	if len(all) != 2 || all[0].Ref != "github.com/acme/tasks/b.yaml" || all[0].Digest != commitB || all[1].Name != "notify" || all[1].Ref != "" || !slices.Equal(all[1].Images, []string{"busybox"}) {
		t.Errorf("%+v", all)
	}
	if all := inline(ref("tasks", commitA)); all[0].Digest != "" {
		t.Errorf("a task that was resolved to another commit: %+v", all[0])
	}
	all = inline(ref("other", commitA))
	if len(all) != 3 || all[0].Digest != commitA || all[2].Ref != "github.com/acme/tasks" || all[2].Name != "" {
		t.Errorf("%+v", all)
	}
	// The result of a task that runs by itself is its own.
	single := change(t, chainsV1, `"pipelineRef": {"resolver": "git"}`, `"taskSpec": {"steps": [{"image": "busybox"}]}`, `{"name": "pipeline", "uri"`, `{"uri"`,
		`{"name": "pipelineTask", "uri": "git+https://github.com/acme/tasks.git", "digest": {"sha1": "`+commitB+`"}},`, ``,
		`"metadata": {"invocationId"`, `"byproducts": [{"name": "taskRunResults/commit", "mediaType": "application/json", "content": "`+base64.StdEncoding.EncodeToString([]byte(`"`+commitA+`"`))+`"},
		 {"name": "taskRunResults/bad", "content": "*"}, {"name": "pipelineRunResults/url", "content": "IngiCg=="}], "metadata": {"invocationId"`)
	tasks := mustRead(t, keySigner(), stemma.PredicateSLSAv1, single).Tasks
	if len(tasks) != 1 || len(tasks[0].Outputs) != 1 || tasks[0].Outputs["commit"] != commitA {
		t.Errorf("%+v", tasks)
	}
}

// Results are kept that are names of something, and each once.
func TestTektonOutputs(t *testing.T) {
	for _, c := range []struct{ name, results, want string }{
		{"one", `{"name": "url", "value": "x"}`, "x"},
		{"with the end of the line", `{"name": "url", "value": "x\n"}`, "x"},
		{"twice", `{"name": "url", "value": "x"}, {"name": "url", "value": "y"}`, ""},
		{"thrice", `{"name": "url", "value": "x"}, {"name": "url", "value": "y"}, {"name": "url", "value": "z"}`, ""},
		{"long", `{"name": "url", "value": "` + strings.Repeat("x", 600) + `"}`, ""},
		{"two lines", `{"name": "url", "value": "x\ny"}`, ""},
		{"a list", `{"name": "url", "value": ["x"]}`, ""},
		{"JSON", `{"name": "url", "value": "{\"x\": 1}"}`, ""},
		{"no value", `{"name": "url"}`, ""},
	} {
		p := mustRead(t, keySigner(), stemma.PredicateSLSAv02, change(t, konfluxV02, `{"name": "IMAGE_URL", "type": "string", "value": "quay.io/acme/app:v2"}`, c.results))
		if got := p.Tasks[1].Outputs["url"]; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTektonTypes(t *testing.T) {
	for _, c := range []struct{ name, kind, predicate, old, new, want string }{
		{"tasks", stemma.PredicateSLSAv02, konfluxV02, `"tasks": [`, `"tasks": {}, "rest": [`, "tasks: want an array"},
		{"a task", stemma.PredicateSLSAv02, konfluxV02, `"tasks": [`, `"tasks": ["x", `, "/buildConfig/tasks/0: want an object"},
		{"results", stemma.PredicateSLSAv02, konfluxV02, `"results": [`, `"results": {}, "rest": [`, "results: want an array"},
		{"labels", stemma.PredicateSLSAv02, konfluxV02, `"labels": {`, `"labels": [], "rest": {`, "labels: want an object"},
		{"event", stemma.PredicateSLSAv02, konfluxV02, `event-type": "push"`, `event-type": ["push"]`, "event-type: want a string"},
		{"image", stemma.PredicateSLSAv02, konfluxV02, `"image": "oci`, `"image": 7, "rest": "oci`, "image: want a string"},
		{"reference", stemma.PredicateSLSAv02, konfluxV02, `"ref": {`, `"ref": "x", "rest": {`, "ref: want an object"},
		{"specification", stemma.PredicateSLSAv1, chainsV1, `"runSpec": {`, `"runSpec": [], "rest": {`, "runSpec: want an object"},
		{"params", stemma.PredicateSLSAv1, chainsV1, `"params": [`, `"params": {}, "rest": [`, "params: want an array"},
		{"configuration", stemma.PredicateSLSAv1, chainsV1, `"ref": "sha1`, `"ref": 7, "rest": "sha1`, "ref: want a string"},
		{"account", stemma.PredicateSLSAv1, chainsV1, `"serviceAccountName": "pipeline"`, `"serviceAccountName": ["pipeline"]`, "serviceAccountName: want a string"},
	} {
		if p, err := readAs(keySigner(), c.kind, change(t, c.predicate, c.old, c.new)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", c.name, p, err, c.want)
		}
	}
}

func TestCorpusTekton(t *testing.T) {
	dir := corpusDir(t)
	// The source of each, which no record names: the parameter git-url, and the results of the task that cloned it.
	sources := map[string][2]string{
		"konflux-fa8bd96397": {"github.com/jduimovich/single-nodejs-app", "2857d4447f37b7151a2a7225200c809efdf984c4"},
		"konflux-26244354d1": {"github.com/conforma/golden-container", "d11c0ada39f18f631ff4f54beafa72a9b62dcd7c"},
	}
	read := 0
	for id, r := range factsOf(t, dir, "tekton.dev") {
		for _, s := range statements(t, dir, r.Path) {
			if s.PredicateType != stemma.PredicateSLSAv02 {
				continue
			}
			read++
			p := checkFacts(t, id, s, r.want)
			if p == nil {
				continue
			}
			if p.Known != "Tekton Chains" || p.Value(stemma.FieldRepository) != sources[id][0] || p.Value(stemma.FieldCommit) != sources[id][1] || len(contradictions(p)) > 0 {
				t.Errorf("%s: %s", id, strings.Join(lines(p), "\n"))
			}
			if id != "konflux-26244354d1" {
				continue
			}
			// Each of the four images was built by one task, and every task is a bundle by digest.
			by := map[string]string{}
			for _, task := range p.Tasks {
				for _, d := range task.Results {
					by[d.Hex()] += task.Name + " "
				}
				if !strings.HasPrefix(task.Ref, "quay.io/konflux-ci/tekton-catalog/task-") || !strings.HasPrefix(task.Digest, "sha256:") {
					t.Errorf("%+v", task)
				}
			}
			// The index lists the images of both platforms.
			for subject, want := range map[string]string{
				"1e84b14580bc66c5c78b0f292bf987b2c314fc5ae3a580cf41b66f94651cf92b": "build-container-amd64 build-container ",
				"2f9a00da367d58b021622b5510f8bfc8472f42f91c174d25ff001b84c4adcd32": "build-container-arm64 build-container ",
				sumB: "build-container ", sumC: "build-source-image ",
			} {
				if by[subject] != want {
					t.Errorf("%s: %s was built by %q, want %q", id, subject, by[subject], want)
				}
			}
			for f, want := range map[stemma.Field]string{
				stemma.FieldTrigger: "push", stemma.FieldRef: "refs/heads/main", stemma.FieldServiceAccount: "appstudio-pipeline", stemma.FieldHermetic: "true",
			} {
				if p.Value(f) != want {
					t.Errorf("%s: %s is %q, want %q", id, f, p.Value(f), want)
				}
			}
		}
	}
	if read < 6 {
		t.Errorf("%d statements read", read)
	}
}

// How much of the tasks is told depends on the form, and never on what a task writes.
func TestTektonReported(t *testing.T) {
	inline := change(t, chainsV1, `"pipelineRef": {"resolver": "git"}`, `"pipelineSpec": {"tasks": [{"name": "build", "taskSpec": {"steps": []}}]}`)
	alone := change(t, chainsV1, `"pipelineRef": {"resolver": "git"}`, `"taskRef": {"resolver": "bundles"}`)
	for _, c := range []struct {
		name, kind, predicate string
		tasks, results        stemma.Reported
	}{
		{"v0.2 with tasks", stemma.PredicateSLSAv02, konfluxV02, stemma.ReportedAll, stemma.ReportedAll},
		{"v0.2 without", stemma.PredicateSLSAv02, change(t, konfluxV02, `"tasks": [`, `"rest": [`), "", ""},
		{"v1, a pipeline from elsewhere", stemma.PredicateSLSAv1, chainsV1, stemma.ReportedSome, ""},
		{"v1, a pipeline in the run", stemma.PredicateSLSAv1, inline, stemma.ReportedAll, ""},
		{"v1, one task", stemma.PredicateSLSAv1, alone, stemma.ReportedAll, ""},
		{"v1, one task with a result that is no image", stemma.PredicateSLSAv1, change(t, alone, `"metadata": {`, `"byproducts": [{"name": "taskRunResults/BASE_IMAGES", "content": "ImdvbGFuZzoxLjI0Ig=="}], "metadata": {`), stemma.ReportedAll, ""},
	} {
		p := mustRead(t, keySigner(), c.kind, c.predicate)
		if p.TasksReported != c.tasks || p.ResultsReported != c.results {
			t.Errorf("%s: tasks %q, results %q, want %q, %q", c.name, p.TasksReported, p.ResultsReported, c.tasks, c.results)
		}
	}
	for mode, want := range map[string]stemma.Reported{"slsa": stemma.ReportedSome, "slsa-tekton": stemma.ReportedAll} {
		r := stemmatest.Chains{Repository: "https://github.com/acme/app", Commit: stemmatest.Commit("x"), Pipelines: "https://github.com/acme/pipelines", Tasks: "quay.io/acme"}
		s := r.V1(stemma.ResourceDescriptor{Name: "x", Digest: map[string]string{"sha256": sum}})
		if mode == "slsa-tekton" {
			s = r.V1Runs(stemma.ResourceDescriptor{Name: "x", Digest: map[string]string{"sha256": sum}})
		}
		data, err := json.Marshal(s.Predicate)
		if err != nil {
			t.Fatal(err)
		}
		p := mustRead(t, keySigner(), stemma.PredicateSLSAv1, string(data))
		if p.TasksReported != want || (p.ResultsReported == stemma.ReportedAll) != (want == stemma.ReportedAll) {
			t.Errorf("%s: tasks %q, results %q", mode, p.TasksReported, p.ResultsReported)
		}
	}
}
