package predicate

import (
	"encoding/base64"
	"strings"

	"stemma"
)

// tektonV1 reads SLSA v1 of Tekton Chains (formats slsa/v2alpha3 and slsa/v2alpha4). runSpec is the whole specification
// of the run. What was resolved for it is among the dependencies, by name: "pipeline", "task", "pipelineTask" and
// "stepAction" are definitions, "inputs/result" is what parameters and results call a source, and the images of steps
// have no name. The build type slsa-tekton carries each task's run, too.
func (r *reader) tektonV1(b build) {
	t := r.tekton()
	t.builder(b.builderID)
	t.run(b.invocationID.Scalar(), t.grade, b.invocationID.Pointer())
	spec := b.external.At("runSpec")
	t.object(spec, false)
	params := named(spec.At("params"), "")
	t.array(spec.At("params"))
	for _, p := range params {
		t.param(p.name, p.value)
	}
	t.typeHints(params)
	for _, k := range b.external.Elems() {
		if k.Name() != "runSpec" && k.Name() != "buildConfigSource" {
			t.parameter("unknown", k.Name(), k)
		}
	}
	t.accountsV1(spec)
	all := t.dependenciesV1(b)
	t.configSource(b.external.At("buildConfigSource"))
	runs := len(t.out.Tasks)
	t.tasksV1(spec, all)
	t.byproducts(b.byproducts)
	// The run of each task that ran is there, with what it wrote, or none is. Without them the tasks are told by the
	// specification only, which of a pipeline that was resolved elsewhere has none: its remote tasks are among the
	// dependencies, those that stand in it are nowhere.
	switch alone := !absent(spec.At("taskRef")) || !absent(spec.At("taskSpec")); {
	case runs > 0 && !alone && strings.HasSuffix(b.buildType, "/slsa-tekton"):
		t.out.TasksReported, t.out.ResultsReported = stemma.ReportedAll, stemma.ReportedAll
	case alone, !absent(spec.At("pipelineSpec")):
		t.out.TasksReported = stemma.ReportedAll
	case len(t.out.Tasks) > 0:
		t.out.TasksReported = stemma.ReportedSome
	}
	var found []candidate
	for _, c := range gitDependencies(b) {
		if c.name == "inputs/result" {
			found = append(found, c)
		}
	}
	t.sources(found)
	t.labels(b.internal)
	t.end()
	t.report(stemma.InputAction)
}

// accountsV1 collects the service accounts of a specification; a task of a pipeline may have its own.
func (t *tekton) accountsV1(spec *stemma.JSON) {
	t.array(spec.At("taskRunSpecs"))
	all := []*stemma.JSON{spec.At("serviceAccountName"), spec.At("taskRunTemplate", "serviceAccountName")}
	for _, e := range spec.At("taskRunSpecs").Elems() {
		all = append(all, e.At("serviceAccountName"), e.At("taskServiceAccountName"))
	}
	for _, j := range all {
		t.text(j, false)
		t.account(j, j.Pointer())
	}
}

// configSource reads what Chains says of the definition a second time.
func (t *tekton) configSource(c *stemma.JSON) {
	t.object(c, false)
	for _, name := range []string{"ref", "repository", "path"} {
		t.text(c.At(name), false)
	}
	algorithm, hex, _ := strings.Cut(c.At("ref").Text(), ":")
	uri := c.At("repository").Text()
	name := ""
	if d, err := stemma.NewDigest(algorithm, hex); err == nil && !strings.HasPrefix(uri, "git+") {
		if name = t.bundle(uri); name != "" {
			name += "@" + string(d)
		}
	} else if repository, err := stemma.CanonicalRepository(uri); err == nil {
		if name = repository; stemma.IsCommit(hex) {
			name += "@" + hex
		}
	}
	t.say(stemma.FieldDefinition, name, t.grade, c.At("repository").Pointer())
	t.otherwise(stemma.FieldEntryPoint, c.At("path").Text(), t.grade, c.At("path").Pointer())
}

// remote is a task that came from elsewhere, as the dependencies name it: without a name, and without the path.
type remote struct{ source, version, where string }

// place is a repository or a bundle that tasks came from.
type place struct {
	version string
	several bool // versions
	named   bool // by a task that is known
}

// dependenciesV1 reads definitions among the dependencies, and the runs of tasks that are with them.
func (t *tekton) dependenciesV1(b build) []remote {
	var out []remote
	for _, e := range b.dependencies.Elems() {
		switch name := e.At("name").Text(); {
		case definesPipeline(name):
			t.mark(e, stemma.InputAction, stemma.RoleDefinition)
			if name == "pipeline" || name == "task" {
				t.definition(e.At("uri"), e.At("digest"), nil)
			}
			if name != "pipelineTask" && name != "task" || t.content(e) {
				continue
			}
			if source, _, version := t.defined(e.At("uri"), e.At("digest"), "x"); source != "" {
				out = append(out, remote{source: source, version: version, where: e.Pointer()})
			}
		case name == "" && !namesGit(e.At("uri"), e.At("digest")):
			t.mark(e, stemma.InputImage, stemma.RoleBuilder)
		}
	}
	return out
}

// content reads the run of a task that a dependency carries: an object of the cluster, with what became of it.
func (t *tekton) content(e *stemma.JSON) bool {
	content := e.At("content")
	t.text(content, false)
	if content.Text() == "" {
		return false
	}
	data, err := base64.StdEncoding.DecodeString(content.Text())
	if err != nil {
		t.malformed(content, "base64")
		return false
	}
	run, err := stemma.ParseJSON(data)
	if err != nil {
		t.note("%s is left out: %v", content.Pointer(), err)
		return false
	}
	where := content.Pointer()
	task := stemma.Task{Name: run.At("metadata", "labels", "tekton.dev/pipelineTask").Text(), Where: where}
	for _, c := range run.At("status", "conditions").Elems() {
		if c.At("type").Text() == "Succeeded" {
			task.Status = map[string]string{"True": "Succeeded", "False": "Failed"}[c.At("status").Text()]
		}
	}
	from := run.At("status", "provenance", "refSource")
	t.reference(&task, run.At("spec", "taskRef"), from.At("uri"), from.At("digest"), from.At("entryPoint"))
	list := named(run.At("spec", "params"), where)
	t.typeHints(list)
	results := run.At("status", "results")
	if absent(results) {
		results = run.At("status", "taskResults") // v1beta1
	}
	outputs := named(results, where)
	for _, s := range run.At("status", "steps").Elems() {
		if image := s.At("imageID").Text(); image != "" {
			task.Images = append(task.Images, image)
			t.step(t.known, image, where)
		}
		t.images(&task, named(s.At("results"), where))
	}
	t.typeHints(outputs)
	t.results(&task, outputs)
	if len(task.Results) > 0 {
		t.hermetic(one(list, "HERMETIC"), where)
	}
	t.account(run.At("spec", "serviceAccountName"), where)
	t.say(stemma.FieldNamespace, run.At("metadata", "namespace").Text(), t.grade, where)
	t.out.Tasks = append(t.out.Tasks, task)
	return true
}

// tasksV1 reads the tasks of a specification. Those whose run was read are not read again; those that were resolved
// and stand in a pipeline that is not here have no name.
func (t *tekton) tasksV1(spec *stemma.JSON, all []remote) {
	places := map[string]*place{}
	for _, m := range all {
		if p := places[m.source]; p == nil {
			places[m.source] = &place{version: m.version}
		} else if p.version != m.version {
			p.several = true
		}
	}
	ran := map[string]bool{}
	for _, task := range t.out.Tasks {
		ran[task.Name] = true
	}
	pipeline := spec.At("pipelineSpec")
	t.object(pipeline, false)
	for _, list := range []*stemma.JSON{pipeline.At("tasks"), pipeline.At("finally")} {
		t.array(list)
		for _, e := range list.Elems() {
			if !ran[e.At("name").Text()] {
				t.taskV1(e, places)
			}
		}
	}
	if !absent(spec.At("taskRef")) || !absent(spec.At("taskSpec")) {
		t.taskV1(spec, places)
	}
	for _, m := range all {
		if !places[m.source].named {
			t.out.Tasks = append(t.out.Tasks, stemma.Task{Ref: m.source, Digest: m.version, Where: m.where})
		}
	}
}

func (t *tekton) taskV1(e *stemma.JSON, places map[string]*place) {
	t.object(e, true)
	t.text(e.At("name"), false)
	task := stemma.Task{Name: e.At("name").Text(), Where: e.Pointer()}
	steps := e.At("taskSpec", "steps")
	t.array(steps)
	for _, s := range steps.Elems() {
		image := s.At("image")
		t.text(image, false)
		if image.Text() != "" {
			task.Images = append(task.Images, image.Text())
		}
	}
	if absent(e.At("taskSpec")) {
		t.object(e.At("taskRef"), false)
		source, name, version := t.written(e.At("taskRef"))
		task.Ref, task.Digest = name, version
		if p := places[source]; p != nil {
			p.named = true
			t.pin(&task, *p)
		}
	}
	t.out.Tasks = append(t.out.Tasks, task)
}

// pin gives a task the version that its definition was resolved to, if only one was.
func (t *tekton) pin(task *stemma.Task, p place) {
	switch {
	case p.several || task.Digest == p.version || p.version == "":
	case task.Digest == "":
		task.Digest = p.version
	default:
		t.note("task %s asks for %s and was resolved to %s", task.Name, task.Digest, p.version)
		task.Digest = ""
	}
}

// byproducts gives the results of the run of a task by itself to that task; those of images are not among them.
func (t *tekton) byproducts(list *stemma.JSON) {
	t.array(list)
	if len(t.out.Tasks) != 1 {
		return
	}
	var outputs []result
	for _, e := range list.Elems() {
		name, ok := strings.CutPrefix(e.At("name").Text(), "taskRunResults/")
		content := e.At("content").Text()
		const most = 16 << 10
		if !ok || content == "" || len(content) > most {
			continue
		}
		data, err := base64.StdEncoding.DecodeString(content)
		if err != nil {
			continue
		}
		if value, err := stemma.ParseJSON(data); err == nil {
			outputs = append(outputs, result{name[strings.LastIndexByte(name, '/')+1:], value, e.Pointer()})
		}
	}
	t.results(&t.out.Tasks[0], outputs)
}
