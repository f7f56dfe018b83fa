package predicate

import "stemma"

// tektonV02 reads SLSA v0.2 of Tekton Chains (formats slsa/v1 and in-toto), of a PipelineRun with its tasks or of a
// TaskRun with its steps. configSource is where the definition came from.
func (r *reader) tektonV02(b build) {
	t := r.tekton()
	t.builder(b.builderID)
	t.run(b.invocationID.Scalar(), t.grade, b.invocationID.Pointer())
	t.definition(b.configSource.At("uri"), b.configSource.At("digest"), b.entryPoint)
	var params []result
	for _, k := range b.external.Elems() {
		t.param(k.Name(), k)
		params = append(params, result{k.Name(), k, k.Pointer()})
	}
	t.typeHints(params)
	t.object(b.buildConfig, false)
	if tasks := b.buildConfig.At("tasks"); !absent(tasks) {
		t.array(tasks)
		for _, e := range tasks.Elems() {
			t.taskV02(e, e.At("invocation", "configSource"))
		}
		t.out.TasksReported, t.out.ResultsReported = stemma.ReportedAll, stemma.ReportedAll
	} else if !absent(b.buildConfig.At("steps")) {
		// The one task of a TaskRun is the one that built the image, whether its results are told or not.
		t.taskV02(b.buildConfig, b.configSource)
		t.out.TasksReported = stemma.ReportedAll
	}

	var found []candidate
	for _, c := range gitDependencies(b) {
		if name, _, version := t.defined(c.uri, c.digest, "x"); !t.definitions[name+"@"+version] {
			found = append(found, c)
		}
	}
	t.sources(found)
	for _, e := range b.dependencies.Elems() {
		if name, _, version := t.defined(e.At("uri"), e.At("digest"), "x"); t.definitions[name+"@"+version] {
			t.mark(e, stemma.InputAction, stemma.RoleDefinition)
		}
	}
	t.labels(b.internal)
	t.end()
}

func (t *tekton) array(j *stemma.JSON) {
	if !absent(j) && !j.IsArray() {
		t.malformed(j, "an array")
	}
}

// taskV02 reads one task of a pipeline, or the run of a task by itself.
func (t *tekton) taskV02(e, source *stemma.JSON) {
	t.object(e, true)
	t.object(source, false)
	t.text(source.At("uri"), false)
	t.text(source.At("entryPoint"), false)
	t.digests(source.At("digest"))
	for _, name := range []string{"name", "status", "serviceAccountName"} {
		t.text(e.At(name), false)
	}
	for _, name := range []string{"steps", "results"} {
		t.array(e.At(name))
	}
	task := stemma.Task{Name: e.At("name").Text(), Status: e.At("status").Text(), Where: e.Pointer()}
	t.reference(&task, e.At("ref"), source.At("uri"), source.At("digest"), source.At("entryPoint"))
	for _, s := range e.At("steps").Elems() {
		image := s.At("environment", "image")
		t.text(image, false)
		if image.Text() != "" {
			task.Images = append(task.Images, image.Text())
			t.step(t.known, image.Text(), image.Pointer())
		}
	}
	list := named(e.At("results"), "")
	t.typeHints(list)
	t.results(&task, list)
	if j := e.At("invocation", "parameters", "HERMETIC"); len(task.Results) > 0 {
		t.hermetic(j.Text(), j.Pointer())
	}
	t.account(e.At("serviceAccountName"), e.At("serviceAccountName").Pointer())
	t.out.Tasks = append(t.out.Tasks, task)
}
