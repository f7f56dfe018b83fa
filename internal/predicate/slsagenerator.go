package predicate

import (
	"strings"

	"stemma"
)

const (
	generatorRepository = "github.com/slsa-framework/slsa-github-generator"
	buildTypeDelegator  = "https://" + generatorRepository + "/delegator-generic@v0"
)

// isGenerator reports whether a workflow is one of slsa-github-generator's that sign. They are builders for their own
// repository as for any other: it is their ref that policy pins.
func isGenerator(w stemma.Workflow) bool {
	if w.Repository != generatorRepository {
		return false
	}
	switch w.File {
	case "generator_generic_slsa3.yml", "generator_container_slsa3.yml", "builder_go_slsa3.yml", "builder_container-based_slsa3.yml":
		return true
	}
	return isDelegator(w)
}

// isDelegator reports whether a workflow signs in the name of the workflow that called it.
func isDelegator(w stemma.Workflow) bool {
	return w.Repository == generatorRepository &&
		(w.File == "delegator_generic_slsa3.yml" || w.File == "delegator_lowperms-generic_slsa3.yml")
}

// delegated reports whether the signer is a delegator.
func (r *reader) delegated() bool {
	if r.signer == nil || !isGitHub(r.signer.Issuer) {
		return false
	}
	w, ok := stemma.ParseWorkflow(r.signer.Subject)
	return ok && isDelegator(w)
}

// generator reads SLSA v0.2 of the generic, go and container workflows, and of the first delegator. Materials repeat the
// source; what else is among them is the image of the runner.
func (r *reader) generator(b build) {
	r.builder(b.builderID)
	r.source(b.configSource.At("uri"), r.grade)
	r.digest(b.configSource.At("digest"), r.grade)
	for _, m := range gitDependencies(b) {
		r.candidate(m, r.grade)
		r.mark(m.entry, stemma.InputGit, stemma.RoleSource)
	}
	entry := b.entryPoint
	if strings.HasPrefix(entry.Text(), ".github/") {
		r.say(stemma.FieldEntryPoint, entry.Text(), r.grade, entry.Pointer())
	} else {
		// Before v1.0 it was the name of the workflow, which is no path.
		r.otherwise(stemma.FieldEntryPoint, entry.Text(), r.grade, entry.Pointer())
	}
	r.run(b.invocationID.Scalar(), r.grade, b.invocationID.Pointer())
	key := func(name string) string { return "github_" + strings.ToLower(name) }
	if b.buildType == buildTypeDelegator {
		key = variable
	}
	r.environment(b.internal, key)
	// "version" is that of the format of the parameters.
	r.each("input", b.external.At("event_inputs"))
	r.chosen(b.external, "event_inputs", "version")
	r.report(stemma.InputGit)
}

// containerBased reads SLSA v1 of the container-based builder. The second dependency is the builder itself. The image in
// which it ran the command stands among the parameters only.
func (r *reader) containerBased(b build) {
	r.builder(b.builderID)
	source, image := b.external.At("source"), b.external.At("builderImage")
	for _, j := range []*stemma.JSON{source, image} {
		r.object(j, false)
		r.text(j.At("uri"), false)
		r.digests(j.At("digest"))
	}
	r.source(source.At("uri"), r.grade)
	r.digest(source.At("digest"), r.grade)
	r.workflowRun(b)
	for _, e := range b.dependencies.Elems() {
		if repository, _, err := stemma.ParseRepository(e.At("uri").Text()); err == nil && repository == generatorRepository && e.Name() != "0" {
			r.mark(e, stemma.InputGit, stemma.RoleBuilder)
		}
	}
	if uri := image.At("uri").Text(); uri != "" {
		d := stemma.ResourceDescriptor{URI: "oci://" + uri, Digest: map[string]string{}}
		for _, k := range image.At("digest").Elems() {
			d.Digest[k.Name()] = k.Text()
		}
		in := r.input(d, image.Pointer())
		in.URI = uri
		in.Role, in.Undeclared = stemma.RoleBuilder, true
		r.out.Inputs = append(r.out.Inputs, in)
	}
	for _, name := range []string{"configPath", "buildConfig"} {
		if k := b.external.At(name); !absent(k) {
			r.parameter("param", name, k)
		}
	}
	r.chosen(b.external, "source", "builderImage", "configPath", "buildConfig")
	r.report(stemma.InputImage)
}

// delegator reads SLSA v1 of the workflows that build with slsa-github-generator's delegators (BYOB).
func (r *reader) delegator(b build) {
	r.builder(b.builderID)
	r.workflowRun(b)
	r.chosen(b.external)
}

// workflowRun reads what both kinds of v1 have: the source as first dependency, and the environment of the run.
func (r *reader) workflowRun(b build) {
	r.firstDependency(b)
	r.run(b.invocationID.Scalar(), r.grade, b.invocationID.Pointer())
	r.environment(b.internal, variable)
	r.report(stemma.InputGit)
}

func variable(name string) string { return "GITHUB_" + name }

// environment reads variables of the run, spelled by key.
func (r *reader) environment(env *stemma.JSON, key func(string) string) {
	r.object(env, false)
	value := func(name string) (string, string) {
		j := env.At(key(name))
		if strings.HasPrefix(name, "RUN_") || strings.HasSuffix(name, "_ID") {
			r.identifier(j) // a number in v1, a string in v0.2
		} else {
			r.text(j, false)
		}
		return j.Scalar(), j.Pointer()
	}
	host := "https://github.com/"
	if r.signer != nil && gitHubHost(r.signer.Issuer) != "" {
		host = gitHubHost(r.signer.Issuer)
	}
	if name, where := value("REPOSITORY"); name != "" {
		if repository, err := stemma.CanonicalRepository(host + name); err != nil {
			r.note("%s is left out: %v", where, err)
		} else {
			r.say(stemma.FieldRepository, repository, r.grade, where)
		}
	}
	r.number(stemma.FieldRepositoryID, env.At(key("REPOSITORY_ID")))
	r.number(stemma.FieldOwnerID, env.At(key("REPOSITORY_OWNER_ID")))
	ref, where := value("REF")
	r.ref(ref, r.grade, where)
	for _, name := range []string{"SHA", "SHA1"} {
		sha, where := value(name)
		r.commit(sha, r.grade, where)
	}
	event, where := value("EVENT_NAME")
	r.say(stemma.FieldTrigger, event, r.grade, where)
	run, where := value("RUN_ID")
	if attempt, _ := value("RUN_ATTEMPT"); run != "" && attempt != "" {
		r.run(run+"-"+attempt, r.grade, where)
	}
	// "owner/repository/.github/workflows/file.yml@ref"
	if full, where := value("WORKFLOW_REF"); full != "" {
		if w, ok := stemma.ParseWorkflow(host + full); ok {
			r.say(stemma.FieldRepository, w.Repository, r.grade, where)
			r.say(stemma.FieldEntryPoint, ".github/workflows/"+w.File, r.grade, where)
		}
	}
}

func generatorFamilies() []family {
	const name, base = "slsa-github-generator", "https://" + generatorRepository
	return []family{
		{name, formatV1, exactly("https://slsa.dev/container-based-build/v0.1?draft"), (*reader).containerBased},
		{name, formatV1, exactly(buildTypeDelegator), (*reader).delegator},
		// The last three: generic before v1.2.1, go before v1.0, and the delegator of Node.js packages.
		{name, formatV02, exactly(base+"/container@v1", base+"/generic@v1", base+"/go@v1", base+"@v1", base+"-go@v1", buildTypeDelegator), (*reader).generator},
	}
}
