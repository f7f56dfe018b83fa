package stemmatest

import (
	"encoding/base64"
	"strings"

	"stemma"
)

// Build types of Tekton Chains.
const (
	BuildTypeTektonRun  = "tekton.dev/v1/PipelineRun"
	BuildTypeTekton     = "https://tekton.dev/chains/v2/slsa"
	BuildTypeTektonRuns = "https://tekton.dev/chains/v2/slsa-tekton"
)

// Chains is a run of a pipeline of two tasks, which clone a repository and build an image, as Tekton Chains attests it.
type Chains struct {
	Repository     string // "https://github.com/acme/app"
	Branch, Commit string
	Pipelines      string // repository of the definition, "https://github.com/acme/pipelines"
	Tasks          string // repository of the bundles of tasks, "quay.io/acme/tasks"
	Namespace      string
	ServiceAccount string
	Hermetic       bool
}

const chainsID = "https://tekton.dev/chains/v2"

// bundle is a bundle of a task, and its digest.
func (c Chains) bundle(task string) (uri string, d stemma.Digest) {
	return c.Tasks + "/" + task, stemma.SHA256([]byte(task))
}

func (c Chains) hermetic() string {
	if c.Hermetic {
		return "true"
	}
	return "false"
}

// resolver is the reference of a task that the resolver of bundles resolves.
func (c Chains) resolver(task string) object {
	uri, d := c.bundle(task)
	return object{"resolver": "bundles", "kind": "Task", "params": []object{
		{"name": "name", "value": task}, {"name": "bundle", "value": uri + ":0.1@" + string(d)}, {"name": "kind", "value": "task"},
	}}
}

func (c Chains) results(task string, image stemma.ResourceDescriptor) []object {
	if task == "git-clone" {
		return []object{
			{"name": "CHAINS-GIT_URL", "type": "string", "value": c.Repository},
			{"name": "CHAINS-GIT_COMMIT", "type": "string", "value": c.Commit},
			{"name": "url", "type": "string", "value": c.Repository},
			{"name": "commit", "type": "string", "value": c.Commit},
		}
	}
	return []object{{"name": "IMAGE_DIGEST", "type": "string", "value": "sha256:" + image.Digest["sha256"]}, {"name": "IMAGE_URL", "type": "string", "value": image.Name}}
}

func (c Chains) taskV02(name, task string, image stemma.ResourceDescriptor) object {
	uri, d := c.bundle(task)
	step := stemma.SHA256([]byte("step " + task))
	return object{
		"name": name, "ref": c.resolver(task), "startedOn": Now().Add(-minute), "finishedOn": Now(), "status": "Succeeded", "serviceAccountName": c.ServiceAccount,
		"steps": []object{{
			"entryPoint": "", "arguments": []string{"run"}, "annotations": nil,
			"environment": object{"container": task, "image": "oci://" + uri + "@" + string(step)},
		}},
		"invocation": object{
			"configSource": object{"uri": uri, "digest": object{"sha256": d.Hex()}, "entryPoint": task},
			"parameters":   object{"HERMETIC": c.hermetic()},
		},
		"results": c.results(task, image),
	}
}

// V02 is its SLSA v0.2 (format slsa/v1 of Chains). The configuration's source is the definition of the pipeline, not what
// was built.
func (c Chains) V02(subject ...stemma.ResourceDescriptor) *Statement {
	image := subject[0]
	var materials []object
	for _, task := range []string{"git-clone", "buildah"} {
		uri, d := c.bundle(task)
		materials = append(materials, object{"uri": uri, "digest": object{"sha256": d.Hex()}},
			object{"uri": "oci://" + uri, "digest": object{"sha256": stemma.SHA256([]byte("step " + task)).Hex()}})
	}
	materials = append(materials,
		object{"uri": "git+" + c.Pipelines + ".git", "digest": object{"sha1": Commit(c.Pipelines)}},
		object{"uri": "git+" + c.Repository + ".git", "digest": object{"sha1": c.Commit}})
	return &Statement{
		Type: stemma.StatementV01, Subject: subject, PredicateType: stemma.PredicateSLSAv02,
		Predicate: tree(object{
			"builder": object{"id": chainsID}, "buildType": BuildTypeTektonRun,
			"invocation": object{
				"configSource": object{"uri": "git+" + c.Pipelines + ".git", "digest": object{"sha1": Commit(c.Pipelines)}, "entryPoint": "image.yaml"},
				"parameters":   object{"git-url": c.Repository, "revision": c.Commit, "hermetic": c.hermetic()},
				"environment":  object{"labels": object{"tekton.dev/pipelineRun": "app-1"}},
			},
			"buildConfig": object{"tasks": []object{c.taskV02("clone-repository", "git-clone", image), c.taskV02("build-container", "buildah", image)}},
			"metadata": object{
				"buildStartedOn": Now().Add(-minute), "buildFinishedOn": Now(), "reproducible": false,
				"completeness": object{"parameters": false, "environment": false, "materials": false},
			},
			"materials": materials,
		}),
	}
}

// Konflux is what Konflux has of V02: started by Pipelines as Code, which labels the run.
func (c Chains) Konflux(subject ...stemma.ResourceDescriptor) *Statement {
	s := c.V02(subject...)
	s.Set("/invocation/parameters/prefetch-input", `{"type": "gomod"}`)
	s.Set("/invocation/parameters/build-source-image", "true")
	s.Set("/invocation/environment", tree(object{
		"labels": object{
			"appstudio.openshift.io/application": "acme", "pipelinesascode.tekton.dev/event-type": "push", "pipelinesascode.tekton.dev/sha": c.Commit,
			"tekton.dev/pipelineRun": "app-on-push-1",
		},
		"annotations": object{"pipelinesascode.tekton.dev/repo-url": c.Repository, "pipelinesascode.tekton.dev/source-branch": "refs/heads/" + c.Branch},
	}))
	return s
}

// V1 is its SLSA v1 (format slsa/v2alpha3 of Chains, build type slsa).
func (c Chains) V1(subject ...stemma.ResourceDescriptor) *Statement {
	step := stemma.SHA256([]byte("step buildah"))
	uri, task := c.bundle("buildah")
	s := slsaV1(subject, BuildTypeTekton, chainsID, "1aa04ff2-9c2a-47f5-9c75-ed43d259649a", object{
		"buildConfigSource": object{"ref": "sha1:" + Commit(c.Pipelines), "repository": "git+" + c.Pipelines + ".git", "path": "image.yaml"},
		"runSpec": object{
			"pipelineRef":     object{"resolver": "git"},
			"params":          []object{{"name": "git-url", "value": c.Repository}, {"name": "hermetic", "value": c.hermetic()}},
			"taskRunTemplate": object{"serviceAccountName": c.ServiceAccount},
		},
	}, object{"tekton-pipelines-feature-flags": object{"EnableAPIFields": "stable", "ResultExtractionMethod": "termination-message"}}, []object{
		{"name": "pipeline", "uri": "git+" + c.Pipelines + ".git", "digest": object{"sha1": Commit(c.Pipelines)}},
		{"name": "pipelineTask", "uri": uri, "digest": object{"sha256": task.Hex()}},
		{"uri": "oci://" + uri, "digest": object{"sha256": step.Hex()}},
		{"name": "inputs/result", "uri": "git+" + c.Repository + ".git", "digest": object{"sha1": c.Commit}},
	})
	s.Type = stemma.StatementV1
	return s
}

// V1Runs is V1 of the build type slsa-tekton, which carries the run of each task besides.
func (c Chains) V1Runs(subject ...stemma.ResourceDescriptor) *Statement {
	s := c.V1(subject...)
	s.Set("/buildDefinition/buildType", BuildTypeTektonRuns)
	dependencies := s.Predicate["buildDefinition"].(map[string]any)["resolvedDependencies"].([]any)
	kept := dependencies[:1:1]
	for _, t := range [][2]string{{"clone-repository", "git-clone"}, {"build-container", "buildah"}} {
		kept = append(kept, tree(object{"name": "pipelineTask", "content": base64.StdEncoding.EncodeToString(canonical(c.taskRun(t[0], t[1], subject[0])))}))
	}
	s.Set("/buildDefinition/resolvedDependencies", append(kept, dependencies[2:]...))
	return s
}

// taskRun is the object of the cluster that a run of a task is.
func (c Chains) taskRun(name, task string, image stemma.ResourceDescriptor) object {
	uri, d := c.bundle(task)
	return object{
		"metadata": object{"name": "app-1-" + name, "namespace": c.Namespace, "labels": object{"tekton.dev/pipelineTask": name}},
		"spec": object{
			"params": []object{{"name": "HERMETIC", "value": c.hermetic()}}, "serviceAccountName": c.ServiceAccount, "taskRef": c.resolver(task),
		},
		"status": object{
			"conditions": []object{{"type": "Succeeded", "status": "True"}},
			"provenance": object{"refSource": object{"uri": uri, "digest": object{"sha256": d.Hex()}, "entryPoint": strings.TrimSuffix(task, "/")}},
			"steps":      []object{{"name": task, "imageID": uri + "@" + string(stemma.SHA256([]byte("step "+task)))}},
			"results":    c.results(task, image),
		},
	}
}
