package predicate

import (
	"slices"
	"strings"

	"stemma"
)

const (
	formatV1  = "slsa/v1"
	formatV02 = "slsa/v0.2"
	formatV01 = "slsa/v0.1"
)

// build is where the versions of SLSA provenance keep the same things.
type build struct {
	format       string
	buildType    string
	builderID    *stemma.JSON // v1 /runDetails/builder/id, else /builder/id
	invocationID *stemma.JSON
	external     *stemma.JSON // v1 externalParameters, v0.2 invocation.parameters, v0.1 recipe.arguments
	internal     *stemma.JSON // v1 internalParameters, v0.2 invocation.environment, v0.1 recipe.environment
	configSource *stemma.JSON // v0.2 invocation.configSource, v0.1 the material that the recipe is defined in
	entryPoint   *stemma.JSON // v0.2 and v0.1
	metadata     *stemma.JSON
	dependencies *stemma.JSON // v1 resolvedDependencies, else materials
	buildConfig  *stemma.JSON // v0.2 only
	byproducts   *stemma.JSON // v1 only
}

// layout finds the parts of a predicate and holds them to the types that the specification gives them.
func (r *reader) layout(predicateType string, root *stemma.JSON) build {
	var b build
	r.object(root, true)
	switch predicateType {
	case stemma.PredicateSLSAv01:
		b = r.layoutV01(root)
	case stemma.PredicateSLSAv1:
		definition, run := root.At("buildDefinition"), root.At("runDetails")
		r.within(root, definition, "buildDefinition", r.object)
		r.within(root, run, "runDetails", r.object)
		r.within(definition, definition.At("buildType"), "buildType", r.text)
		r.within(run, run.At("builder"), "builder", r.object)
		r.within(run.At("builder"), run.At("builder", "id"), "id", r.text)
		b = build{
			format: formatV1, buildType: definition.At("buildType").Text(), builderID: run.At("builder", "id"),
			external: definition.At("externalParameters"), internal: definition.At("internalParameters"),
			metadata: run.At("metadata"), dependencies: definition.At("resolvedDependencies"),
			invocationID: run.At("metadata", "invocationId"), byproducts: run.At("byproducts"),
		}
		r.object(b.external, false)
		r.object(b.internal, false)
	default:
		invocation := root.At("invocation")
		r.within(root, root.At("builder"), "builder", r.object)
		r.within(root.At("builder"), root.At("builder", "id"), "id", r.text)
		// "buildType, required". Azure Pipelines and others leave it out; such a predicate is read as one of an unknown type.
		if root.At("buildType") == nil {
			r.note("buildType is missing")
		} else {
			r.text(root.At("buildType"), true)
		}
		r.object(invocation, false)
		b = build{
			format: formatV02, buildType: root.At("buildType").Text(), builderID: root.At("builder", "id"),
			external: invocation.At("parameters"), internal: invocation.At("environment"),
			configSource: invocation.At("configSource"), metadata: root.At("metadata"),
			dependencies: root.At("materials"), buildConfig: root.At("buildConfig"), entryPoint: invocation.At("configSource", "entryPoint"),
		}
		r.object(b.configSource, false)
		r.text(b.configSource.At("uri"), false)
		r.text(b.configSource.At("entryPoint"), false)
		r.digests(b.configSource.At("digest"))
		// The specification writes buildInvocationId; slsa-github-generator and BuildKit write buildInvocationID.
		if b.invocationID = b.metadata.At("buildInvocationId"); b.invocationID == nil {
			b.invocationID = b.metadata.At("buildInvocationID")
		}
	}
	r.object(b.metadata, false)
	r.identifier(b.invocationID)
	return b
}

// within holds a required member of parent to its type.
func (r *reader) within(parent, j *stemma.JSON, name string, check func(*stemma.JSON, bool)) {
	if j == nil && r.err == nil {
		r.malformed(parent, "a member "+name)
		return
	}
	check(j, true)
}

// absent reports whether an optional member is not there. Null is how many encoders write that.
func absent(j *stemma.JSON) bool { return j == nil || string(j.Raw()) == "null" }

func (r *reader) object(j *stemma.JSON, required bool) {
	if !j.IsObject() && (required || !absent(j)) {
		r.malformed(j, "an object")
	}
}

func (r *reader) text(j *stemma.JSON, required bool) {
	if !isText(j) && (required || !absent(j)) {
		r.malformed(j, "a string")
	}
}

func isText(j *stemma.JSON) bool { return len(j.Raw()) > 0 && j.Raw()[0] == '"' }

// identifier holds an optional member to a string or a number: GitLab documents numbers, GitHub's are strings here and
// numbers there.
func (r *reader) identifier(j *stemma.JSON) {
	if !absent(j) && !isText(j) && !isDigits(j.Scalar()) {
		r.malformed(j, "a string or a whole number")
	}
}

// digests holds an optional digest set to its type: a map of strings.
func (r *reader) digests(j *stemma.JSON) {
	r.object(j, false)
	for _, k := range j.Elems() {
		r.text(k, true)
	}
}

// unknown reads a predicate of a build type that has no reader of its own, by the fields that all have in common.
func (r *reader) unknown(b build) {
	r.note("buildType %q is not known; read by the common fields", b.buildType)
	r.builder(b.builderID)
	r.run(b.invocationID.Scalar(), r.grade, b.invocationID.Pointer())
	r.undefinedParameters(b)

	candidates := r.explicitSources(b)
	if r.certified(stemma.FieldRepository) == "" && len(distinctRepositories(candidates)) > 1 {
		r.ambiguous(candidates)
		return
	}
	for _, c := range candidates {
		r.candidate(c, c.by)
	}
	if len(r.said[stemma.FieldRepository]) == 0 {
		if r.guess(b); len(r.said[stemma.FieldRepository]) == 0 {
			r.note("no source is taken from it")
		}
	} else {
		r.matchDependency(b)
	}
	if e := b.entryPoint; strings.HasPrefix(e.Text(), ".github/workflows/") {
		r.say(stemma.FieldEntryPoint, e.Text(), r.grade, e.Pointer())
	} else {
		r.otherwise(stemma.FieldEntryPoint, e.Text(), r.grade, e.Pointer())
	}
}

// undefinedParameters lists all external parameters by the name of their member: which of them the build type defines is
// not known, nor what they do.
func (r *reader) undefinedParameters(b build) {
	if !absent(b.external) && !b.external.IsObject() {
		r.given("param", b.external)
		return
	}
	r.each("param", b.external)
}

// candidate is something that may be the source: a URI, with what stands beside it.
type candidate struct {
	uri, ref, digest *stemma.JSON
	repository       string       // canonical, "" when the URI is none
	by               stemma.Grade // of those that explicitSources finds
	name, revision   string       // of those that are dependencies
	entry            *stemma.JSON // the dependency itself
}

// explicitSources finds the members that name the source by their own name. Tekton's configSource is where the
// definition of the pipeline came from, not what was built.
func (r *reader) explicitSources(b build) []candidate {
	var found []candidate
	by := r.grade
	add := func(uri, ref, digest *stemma.JSON) {
		if uri.Text() == "" {
			return
		}
		repository, _, err := stemma.ParseRepository(uri.Text())
		if err != nil {
			r.note("%s is left out: %v", uri.Pointer(), err)
			return
		}
		found = append(found, candidate{uri: uri, ref: ref, digest: digest, repository: repository, by: by})
	}
	if c := b.configSource; !strings.HasPrefix(b.buildType, "tekton.dev/") && !strings.HasPrefix(b.buildType, "https://tekton.dev/") && namesGit(c.At("uri"), c.At("digest")) {
		add(c.At("uri"), nil, c.At("digest"))
	}
	if b.format == formatV1 {
		// "externalParameters: The parameters that are under external control": the user of the builder wrote them.
		by = r.tenant()
		for _, name := range []string{"source", "configSource", "workflow"} {
			e := b.external.At(name)
			add(e, nil, nil) // the member itself, where it is a string
			add(e.At("repository"), e.At("ref"), e.At("digest"))
			add(e.At("uri"), e.At("ref"), e.At("digest"))
		}
		add(b.external.At("repository"), b.external.At("ref"), nil)
	}
	return found
}

func (r *reader) candidate(c candidate, by stemma.Grade) {
	r.source(c.uri, by)
	if isText(c.ref) {
		r.revision(c.ref.Text(), by, c.ref.Pointer())
	}
	r.digest(c.digest, by)
}

func distinctRepositories(all []candidate) []string {
	var names []string
	for _, c := range all {
		if !slices.Contains(names, c.repository) && len(names) < 8 {
			names = append(names, c.repository)
		}
	}
	return names
}

func (r *reader) ambiguous(all []candidate) {
	r.note("several candidates for the source: %s", strings.Join(distinctRepositories(all), ", "))
}

// gitDependencies lists the dependencies that are repositories at a commit.
func gitDependencies(b build) []candidate {
	var out []candidate
	for _, e := range b.dependencies.Elems() {
		uri, digest := e.At("uri"), e.At("digest")
		if !namesGit(uri, digest) {
			continue
		}
		if repository, revision, err := stemma.ParseRepository(uri.Text()); err == nil {
			out = append(out, candidate{uri: uri, digest: digest, repository: repository, name: e.At("name").Text(), revision: revision, entry: e})
		}
	}
	return out
}

// namesGit reports whether a URI with a digest set is a repository and not a file to be fetched.
func namesGit(uri, digest *stemma.JSON) bool {
	for _, k := range digest.Elems() {
		if digest.IsObject() && namesCommit(k.Name(), k.Text()) {
			return true
		}
	}
	s := uri.Text()
	path, _, _ := strings.Cut(s, "#")
	return strings.HasPrefix(s, "git+") || strings.HasPrefix(s, "git://") || strings.HasPrefix(s, "git@") ||
		strings.HasPrefix(s, "ssh://") || strings.HasPrefix(s, "pkg:github/") || strings.HasSuffix(path, ".git")
}

// guess takes the only repository among the dependencies for the source, where nothing names one.
//
// A guess is no better than the word of a tenant, and where a pipeline or a task was defined is never the source: whoever
// runs a definition of one repository may build any other with it.
func (r *reader) guess(b build) {
	r.only(slices.DeleteFunc(gitDependencies(b), func(c candidate) bool { return definesPipeline(c.name) }))
}

// only takes the one repository among candidates for the source.
func (r *reader) only(found []candidate) {
	switch names := distinctRepositories(found); {
	case len(names) > 1:
		r.ambiguous(found)
	case len(found) == 1:
		r.note("the source is the only repository among the dependencies")
		r.candidate(found[0], r.tenant())
	case len(names) == 1:
		r.note("several versions of %s among the dependencies; no commit is taken", names[0])
		r.say(stemma.FieldRepository, names[0], r.tenant(), found[0].uri.Pointer())
	}
}

// definesPipeline recognises the names that Tekton Chains gives to definitions among the resolved dependencies.
func definesPipeline(name string) bool {
	return name == "pipeline" || name == "task" || name == "pipelineTask" || strings.HasPrefix(name, "stepAction")
}

// matchDependency takes the commit from the one dependency that is the source. A definition that lies in the same
// repository is another version of it than what was built. What makes it the source is another's word, and the commit is
// no better said than that: a tenant may name a repository that the build only uses.
func (r *reader) matchDependency(b build) {
	repository := r.said[stemma.FieldRepository][0].Value
	found := slices.DeleteFunc(gitDependencies(b), func(c candidate) bool { return c.repository != repository || definesPipeline(c.name) })
	if len(found) != 1 {
		return
	}
	by := r.grade
	if basis := r.said[stemma.FieldRepository][0].By; basis.Rank() < by.Rank() {
		by = basis
	}
	r.candidate(found[0], by)
	r.mark(found[0].entry, stemma.InputGit, stemma.RoleSource)
}
