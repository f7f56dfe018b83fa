package predicate

import (
	"slices"
	"strings"

	"stemma"
)

// tekton collects what Tekton Chains says of a run, from the places of either format.
//
// Chains has one key for all tenants of a cluster and signs what the objects of the cluster say. Which image a step ran
// in and which definition was resolved is what the cluster did; parameters, labels, and the results of tasks, from which
// Chains takes both the source and the images that were built, are what the run's author wrote (threat C18).
type tekton struct {
	*reader
	known       map[string]int  // images that the dependencies name
	definitions map[string]bool // repositories at commits, and bundles at digests, that pipeline and tasks came from
	hints       []hint          // sources that parameters and results name
	url         hint            // the parameter git-url
	accounts    []stemma.Said
}

// hint is a source that a parameter or a result names.
type hint struct{ repository, url, commit, where string }

func (r *reader) tekton() *tekton {
	return &tekton{reader: r, known: r.imageInputs(), definitions: map[string]bool{}}
}

// defined is the canonical name of what a definition came from, without and with the path in it, and its version: a
// commit of a repository or the digest of a bundle.
func (t *tekton) defined(uri, digest *stemma.JSON, path string) (name, ref, version string) {
	if uri.Text() == "" {
		return "", "", ""
	}
	bundle := digest.At("sha256").Text()
	if !namesGit(uri, digest) {
		name = t.bundle(uri.Text())
		if d, err := stemma.NewDigest("sha256", bundle); err == nil && name != "" {
			version = string(d)
		}
		return name, name, version
	}
	name, revision, err := stemma.ParseRepository(uri.Text())
	if err != nil {
		t.note("%s is left out: %v", uri.Pointer(), err)
		return "", "", ""
	}
	for _, k := range digest.Elems() {
		if digest.IsObject() && namesCommit(k.Name(), k.Text()) {
			revision = k.Text()
		}
	}
	if stemma.IsCommit(revision) {
		version = revision
	}
	return name, inRepository(name, path), version
}

// bundle is the canonical name of an image that holds definitions, or "" of what is none: a file of a hub, an object of
// the cluster.
func (t *tekton) bundle(written string) string {
	written = strings.TrimPrefix(written, "oci://")
	if written == "" || strings.Contains(written, "://") || strings.HasPrefix(written, "/") {
		return ""
	}
	return t.image(written, "").Canonical
}

// inRepository is a file by its repository and its path. A path that could lead elsewhere names nothing.
func inRepository(repository, path string) string {
	for _, s := range strings.Split(path, "/") {
		if s == "" || s == "." || s == ".." || strings.ContainsAny(s, "%\\?#") {
			return ""
		}
	}
	return repository + "/" + path
}

// definition records where the pipeline, or the task of a run by itself, came from. It is never the source.
func (t *tekton) definition(uri, digest *stemma.JSON, path *stemma.JSON) {
	name, _, version := t.defined(uri, digest, "x")
	if name == "" {
		return
	}
	t.definitions[name+"@"+version] = true
	if version != "" {
		name += "@" + version
	}
	t.say(stemma.FieldDefinition, name, t.grade, uri.Pointer())
	t.otherwise(stemma.FieldEntryPoint, path.Text(), t.grade, path.Pointer())
}

// param reads a parameter of the whole run.
func (t *tekton) param(name string, value *stemma.JSON) {
	t.parameter("param", name, value)
	switch name {
	case "hermetic":
		t.hermetic(value.Text(), value.Pointer())
	case "git-url":
		t.url = t.hinted(value.Text(), "", value.Pointer())
	}
}

// hermetic records what a parameter asks for. Whether the task obeys it is not told.
func (t *tekton) hermetic(value, where string) {
	if value == "true" || value == "false" {
		t.say(stemma.FieldHermetic, value, t.tenant(), where)
	}
}

func (t *tekton) hinted(url, commit, where string) hint {
	repository, err := stemma.CanonicalRepository(url)
	if err != nil {
		if url != "" {
			t.note("%s is left out: %v", where, err)
		}
		return hint{}
	}
	return hint{repository: repository, url: url, commit: commit, where: where}
}

// result is a named value that a task wrote, or that was given to one.
type result struct {
	name  string
	value *stemma.JSON
	where string
}

// named reads a list of {name, value}. The pointers of a document inside another one lead into the other: there, at
// stands for all of it.
func named(list *stemma.JSON, at string) []result {
	var out []result
	for _, e := range list.Elems() {
		where := at
		if where == "" {
			where = e.Pointer()
		}
		if e.At("name").Text() != "" && e.At("value") != nil {
			out = append(out, result{e.At("name").Text(), e.At("value"), where})
		}
	}
	return out
}

// one is the value of the only element of that name, or "".
func one(list []result, name string) string {
	value, found := "", 0
	for _, e := range list {
		if e.name == name {
			value, found = e.value.Text(), found+1
		}
	}
	if found != 1 {
		return ""
	}
	return strings.TrimSpace(value)
}

// typeHints reads the names by which Chains takes a parameter or a result for a source: CHAINS-GIT_URL and
// CHAINS-GIT_COMMIT, and objects with the suffix ARTIFACT_INPUTS.
func (t *tekton) typeHints(list []result) {
	add := func(url, commit, where string) {
		if h := t.hinted(url, commit, where); h.repository != "" {
			t.hints = append(t.hints, h)
		}
	}
	git := ""
	for _, e := range list {
		if strings.HasSuffix(e.name, "ARTIFACT_INPUTS") {
			_, commit, _ := strings.Cut(e.value.At("digest").Text(), ":")
			add(e.value.At("uri").Text(), commit, e.where)
		}
		if e.name == "CHAINS-GIT_URL" {
			git = e.where
		}
	}
	if git != "" {
		add(one(list, "CHAINS-GIT_URL"), one(list, "CHAINS-GIT_COMMIT"), git)
	}
}

// results gives a task what it wrote: values by name, and the digests of images that it says it built, under the names
// from which Chains takes them. Nothing else attributes an image to a task.
func (t *tekton) results(task *stemma.Task, list []result) {
	twice := map[string]bool{}
	t.images(task, list)
	for _, e := range list {
		text := strings.TrimSpace(e.value.Text())
		const most = 512
		if text == "" || len(text) > most || len(e.name) > most || strings.ContainsAny(text[:1], "{[") || stemma.Printable(text, most) != text {
			continue
		}
		if _, found := task.Outputs[e.name]; found || twice[e.name] {
			twice[e.name] = true
			delete(task.Outputs, e.name)
			continue
		}
		if task.Outputs == nil {
			task.Outputs = map[string]string{}
		}
		task.Outputs[e.name] = text
	}
}

// images gives a task the digests of the images among results, each once.
func (t *tekton) images(task *stemma.Task, list []result) {
	seen := make(map[stemma.Digest]bool, len(task.Results))
	for _, d := range task.Results {
		seen[d] = true
	}
	for _, e := range list {
		for _, d := range built(e) {
			if !seen[d] {
				seen[d] = true
				task.Results = append(task.Results, d)
			}
		}
	}
}

// built lists the digests of images in a result.
func built(e result) []stemma.Digest {
	var values []string
	text := strings.TrimSpace(e.value.Text())
	switch {
	case strings.HasSuffix(e.name, "IMAGE_DIGEST"), strings.HasSuffix(e.name, "ARTIFACT_DIGEST"):
		values = []string{text}
	case strings.HasSuffix(e.name, "ARTIFACT_OUTPUTS"):
		values = []string{e.value.At("digest").Text()}
	case e.name == "IMAGES":
		for _, image := range strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == '\n' }) {
			_, digest, _ := strings.Cut(strings.TrimSpace(image), "@")
			values = append(values, digest)
		}
	}
	var out []stemma.Digest
	for _, v := range values {
		if d, err := stemma.ParseDigest(v); err == nil {
			out = append(out, d)
		}
	}
	return out
}

// written reads the reference of a task as its author wrote it: a bundle, or a file of a repository.
// The source is the name of a definition without the path in it.
func (t *tekton) written(ref *stemma.JSON) (source, name, version string) {
	params := named(ref.At("params"), "")
	bundle := ref.At("bundle").Text()
	switch ref.At("resolver").Text() {
	case "bundles":
		bundle = one(params, "bundle")
	case "git":
		repository, err := stemma.CanonicalRepository(one(params, "url"))
		if err != nil {
			return "", "", ""
		}
		if v := one(params, "revision"); stemma.IsCommit(v) {
			version = v
		}
		return repository, inRepository(repository, one(params, "pathInRepo")), version
	case "":
	default: // a file of a hub, an object of the cluster: a bundle that is written beside it is not what ran
		bundle = ""
	}
	if _, digest, ok := strings.Cut(bundle, "@"); ok {
		if d, err := stemma.ParseDigest(digest); err == nil {
			version = string(d)
		}
	}
	name = t.bundle(bundle)
	return name, name, version
}

// reference gives a task the name and the version of its definition: what was resolved, or else what was written, if
// that is pinned. Where the two differ the version is left out, and the task is pinned to nothing.
func (t *tekton) reference(task *stemma.Task, ref, uri, digest, path *stemma.JSON) {
	t.object(ref, false)
	_, name, version := t.written(ref)
	source, resolved, at := t.defined(uri, digest, path.Text())
	if source != "" {
		t.definitions[source+"@"+at] = true
	}
	task.Ref, task.Digest = name, version
	if resolved == "" {
		return
	}
	task.Ref, task.Digest = resolved, at
	if name != "" && name != resolved || version != "" && version != at {
		t.note("task %s asks for %s@%s and was resolved to %s@%s", task.Name, name, version, resolved, at)
		task.Digest = ""
	}
}

// account remembers under which service account something ran.
func (t *tekton) account(j *stemma.JSON, where string) {
	if j.Text() != "" {
		t.accounts = append(t.accounts, stemma.Said{Value: j.Text(), Where: where})
	}
}

// labels reads what Pipelines as Code writes on a run, and anybody may who can create one.
func (t *tekton) labels(internal *stemma.JSON) {
	labels, annotations := internal.At("labels"), internal.At("annotations")
	t.object(labels, false)
	t.object(annotations, false)
	const pac = "pipelinesascode.tekton.dev/"
	project := annotations.At(pac + "source-repo-url")
	if project.Text() == "" {
		project = annotations.At(pac + "repo-url")
	}
	repository, err := stemma.CanonicalRepository(project.Text())
	said := t.said[stemma.FieldRepository]
	same := err == nil && len(said) > 0 && said[0].Value == repository
	for _, on := range []*stemma.JSON{labels, annotations} {
		event, sha, branch, namespace := on.At(pac+"event-type"), on.At(pac+"sha"), on.At(pac+"source-branch"), on.At("tekton.dev/namespace")
		t.plain(stemma.FieldTrigger, event, t.tenant())
		t.plain(stemma.FieldNamespace, namespace, t.tenant())
		// The commit is that of the repository where the event was: only of that can it contradict another.
		if same {
			t.commit(sha.Text(), t.tenant(), sha.Pointer())
			t.ref(branch.Text(), t.tenant(), branch.Pointer())
		}
	}
}

// sources records what was built: the repository among the candidates that the parameter git-url names, or the results
// of a task, or the only one. A result is written by a task, and so is what Chains makes an input of it.
func (t *tekton) sources(found []candidate) {
	of := func(repository string) []candidate {
		return slices.DeleteFunc(slices.Clone(found), func(c candidate) bool { return c.repository != repository })
	}
	wanted := t.url.repository
	if wanted != "" {
		t.say(stemma.FieldRepository, wanted, t.tenant(), t.url.where)
	} else {
		for i, h := range t.hints {
			if i > 0 && h.repository != wanted {
				wanted = ""
				break
			}
			wanted = h.repository
		}
	}
	if same := of(wanted); len(same) > 0 {
		found = same
	}
	t.only(found)
	unambiguous := len(distinctRepositories(found)) == 1
	for _, c := range found {
		if unambiguous {
			t.mark(c.entry, stemma.InputGit, stemma.RoleSource)
		}
	}
	if len(found) == 0 && t.url.repository == "" && wanted != "" {
		t.say(stemma.FieldRepository, wanted, t.tenant(), t.hints[0].where)
	}
	said := t.said[stemma.FieldRepository]
	for _, h := range t.hints {
		// The commits of several versions are told apart by nothing.
		if len(said) > 0 && h.repository == said[0].Value && len(found) <= 1 {
			t.commit(h.commit, t.tenant(), h.where)
		}
	}
}

// end records what all of the run must have in common, and leaves out what would only be long.
func (t *tekton) end() {
	var names []string
	for _, a := range t.accounts {
		if !slices.Contains(names, a.Value) && len(names) < 8 {
			names = append(names, a.Value)
		}
	}
	switch {
	case len(names) > 1:
		t.note("several service accounts: %s", strings.Join(names, ", "))
	case len(names) == 1:
		t.say(stemma.FieldServiceAccount, names[0], t.grade, t.accounts[0].Where)
	}
	const most = 64 << 10
	if n := len(t.out.External); n > most {
		t.note("the external parameters are left out: %d bytes", n)
		t.out.External = nil
	}
	t.report(stemma.InputGit, stemma.InputImage)
}

func tektonFamilies() []family {
	const name = "Tekton Chains"
	return []family{
		{name, formatV02, exactly(
			"tekton.dev/v1/PipelineRun", "tekton.dev/v1/TaskRun", "tekton.dev/v1beta1/PipelineRun", "tekton.dev/v1beta1/TaskRun",
			"https://tekton.dev/attestations/chains/pipelinerun@v2", "https://tekton.dev/attestations/chains@v2"), (*reader).tektonV02},
		{name, formatV1, exactly(
			"https://tekton.dev/chains/v2/slsa", "https://tekton.dev/chains/v2/slsa-tekton"), (*reader).tektonV1},
	}
}
