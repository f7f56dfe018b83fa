package predicate

import (
	"strconv"
	"strings"

	"stemma"
)

const cloudBuildYAML = "https://cloudbuild.googleapis.com/CloudBuildYaml@v0.1"

// cloudBuildV01 reads SLSA v0.1 of Google Cloud Build. Its arguments are the whole Build, in which what the service set
// and what a user sent stand side by side. Only where the steps were read from a file of the source did a trigger start
// the build; whoever submits one himself sends COMMIT_SHA and TAG_NAME as he likes.
func (r *reader) cloudBuildV01(b build) {
	args := b.external
	triggered := b.buildType == cloudBuildYAML
	by := r.tenant()
	if triggered {
		by = r.grade
	}
	r.builder(b.builderID)
	r.text(args.At("id"), false)
	for _, j := range []*stemma.JSON{b.invocationID, args.At("id")} {
		r.say(stemma.FieldRun, j.Scalar(), r.grade, j.Pointer())
	}
	r.cloudMaterials(b)
	r.cloudSourceProvenance(args.At("sourceProvenance"))
	if triggered {
		r.say(stemma.FieldEntryPoint, b.entryPoint.Text(), r.grade, b.entryPoint.Pointer())
	} else {
		r.otherwise(stemma.FieldEntryPoint, b.entryPoint.Text(), by, b.entryPoint.Pointer())
		r.note("the steps were sent with the request, not read from the source")
	}
	// "Output only" in the Build: the service sets them.
	r.plain(stemma.FieldNamespace, args.At("projectId"), r.grade)
	r.plain(stemma.FieldTriggerID, args.At("buildTriggerId"), r.grade)
	r.serviceAccount(args.At("serviceAccount"), by)
	substitutions := args.At("substitutions")
	r.substitutions(substitutions, by)
	for _, k := range substitutions.Elems() {
		if substitutions.IsObject() && (!triggered || strings.HasPrefix(k.Name(), "_")) {
			r.parameter("substitution", k.Name(), k)
		}
	}
	r.cloudSteps(args.At("steps"))
	r.report(stemma.InputGit, stemma.InputImage)
}

// cloudMaterials reads the source. A build that was submitted from somebody's machine has an upload for a source, or none.
func (r *reader) cloudMaterials(b build) {
	var found []candidate
	for _, e := range b.dependencies.Elems() {
		uri := e.At("uri")
		address, commit, _ := strings.Cut(uri.Text(), "/commit/")
		repository, revision, err := stemma.ParseRepository(address)
		switch {
		case strings.HasPrefix(address, "gs://"):
			continue
		case err != nil:
			r.note("%s is left out: %v", uri.Pointer(), err)
			continue
		case !stemma.IsCommit(commit) && commit != "":
			r.note("commit %q at %s is left out: not 40 or 64 lower-case hex digits", commit, uri.Pointer())
			commit = ""
		}
		found = append(found, candidate{uri: uri, digest: e.At("digest"), repository: repository, name: commit, revision: revision})
		if in := r.inputOf(e); in != nil {
			in.Kind, in.Role, in.Canonical = stemma.InputGit, stemma.RoleSource, repository
			in.Host, _, _ = strings.Cut(repository, "/")
		}
	}
	switch {
	case len(found) == 0:
		r.note("no repository is named as the source: built from an upload (gcloud builds submit)")
	case len(distinctRepositories(found)) > 1:
		r.ambiguous(found)
	default:
		for _, c := range found {
			where := c.uri.Pointer()
			r.say(stemma.FieldRepository, c.repository, r.grade, where)
			r.commit(c.name, r.grade, where)
			r.revision(c.revision, r.grade, where)
			r.digest(c.digest, r.grade)
		}
	}
}

// cloudSourceProvenance reads what the service resolved the source to.
func (r *reader) cloudSourceProvenance(p *stemma.JSON) {
	r.object(p, false)
	git, mirror := p.At("resolvedGitSource"), p.At("resolvedRepoSource")
	r.object(git, false)
	r.object(mirror, false)
	r.text(git.At("url"), false)
	r.text(git.At("revision"), false)
	r.text(mirror.At("commitSha"), false)
	r.source(git.At("url"), r.grade)
	r.revision(git.At("revision").Text(), r.grade, git.At("revision").Pointer())
	r.commit(mirror.At("commitSha").Text(), r.grade, mirror.At("commitSha").Pointer())
}

// substitutions reads those that Cloud Build defines. The names of a user's own begin with an underscore.
func (r *reader) substitutions(s *stemma.JSON, by stemma.Grade) {
	r.object(s, false)
	for _, k := range s.Elems() {
		r.text(k, true)
	}
	value := func(name string) (string, stemma.Grade, string) {
		j := s.At(name)
		return j.Text(), by, j.Pointer()
	}
	r.commit(value("COMMIT_SHA"))
	r.commit(value("REVISION_ID"))
	for _, kind := range []struct{ name, prefix string }{{"TAG_NAME", "refs/tags/"}, {"BRANCH_NAME", "refs/heads/"}} {
		if short, by, where := value(kind.name); short != "" {
			r.ref(kind.prefix+short, by, where)
		}
	}
	r.ref(value("REF_NAME"))
	r.plain(stemma.FieldTrigger, s.At("TRIGGER_NAME"), by)
	r.plain(stemma.FieldEntryPoint, s.At("TRIGGER_BUILD_CONFIG_PATH"), by)
}

// cloudBuildV1 reads SLSA v1, which only triggers cause to be written. What the trigger says is an external parameter;
// what came of it is among the dependencies.
func (r *reader) cloudBuildV1(b build) {
	r.builder(b.builderID)
	project, id := cutBuild(b.invocationID.Text())
	r.say(stemma.FieldRun, id, r.grade, b.invocationID.Pointer())
	r.say(stemma.FieldNamespace, project, r.grade, b.invocationID.Pointer())

	config, source := b.external.At("buildConfigSource"), b.external.At("sourceToBuild")
	if absent(config) {
		config = b.external.At("configSource")
	}
	for _, j := range []*stemma.JSON{config, source} {
		r.object(j, false)
		for _, name := range []string{"repository", "ref", "path"} {
			r.text(j.At(name), false)
		}
	}
	r.plain(stemma.FieldEntryPoint, config.At("path"), r.tenant())
	r.cloudSources(b, config, source)

	for _, e := range b.dependencies.Elems() {
		r.cloudImage(e)
	}
	system, trigger := b.internal.At("systemSubstitutions"), b.internal.At("triggerUri")
	r.text(trigger, false)
	r.substitutions(system, r.grade)
	r.plain(stemma.FieldRun, system.At("BUILD_ID"), r.grade)
	if account := system.At("SERVICE_ACCOUNT_EMAIL"); !absent(account) {
		r.serviceAccount(account, r.grade)
	} else {
		r.serviceAccount(system.At("SERVICE_ACCOUNT"), r.grade)
	}
	if number := system.At("PROJECT_NUMBER"); number.Text() != "" {
		r.otherwise(stemma.FieldNamespace, number.Text(), r.grade, number.Pointer())
	}
	if _, id, ok := strings.Cut(trigger.Text(), "/triggers/"); ok {
		r.say(stemma.FieldTriggerID, id, r.grade, trigger.Pointer())
	}
	for _, k := range b.external.Elems() {
		switch k.Name() {
		case "buildConfigSource", "configSource", "sourceToBuild":
		case "buildConfig":
			r.object(k, false)
			r.note("the steps stand in the trigger, not in the source")
			r.cloudSteps(k.At("steps"))
		case "substitutions":
			r.object(k, false)
			for _, s := range k.Elems() {
				r.parameter("substitution", s.Name(), s)
			}
		default:
			r.parameter("unknown", k.Name(), k)
		}
	}
	r.report(stemma.InputGit, stemma.InputImage)
}

// cutBuild takes the name of a build apart: https://cloudbuild.googleapis.com/v1/projects/P/locations/L/builds/ID.
func cutBuild(name string) (project, id string) {
	rest, ok := strings.CutPrefix(name, "https://cloudbuild.googleapis.com/v1/projects/")
	project, rest, more := strings.Cut(rest, "/")
	_, id, last := strings.Cut("/"+rest, "/builds/")
	if !ok || !more || !last || strings.Contains(id, "/") {
		return "", name
	}
	return project, id
}

// cloudSources reads what was built, and where the configuration of the build came from if that is another place.
func (r *reader) cloudSources(b build, config, source *stemma.JSON) {
	var definition *stemma.JSON
	if absent(source) {
		source = config
	} else {
		definition = config
	}
	all := gitDependencies(b)
	if source.At("repository").Text() == "" {
		r.guess(b)
	} else if r.source(source.At("repository"), r.tenant()) {
		r.revision(source.At("ref").Text(), r.tenant(), source.At("ref").Pointer())
		if c, ok := resolved(all, source); ok {
			r.candidate(c, r.grade)
			r.mark(c.entry, stemma.InputGit, stemma.RoleSource)
		} else {
			r.note("the source is not among the dependencies, or more than once; no commit is taken")
		}
	}
	if definition == nil {
		return
	}
	if c, ok := resolved(all, definition); ok {
		commit := ""
		for _, k := range c.digest.Elems() {
			if namesCommit(k.Name(), k.Text()) && stemma.IsCommit(k.Text()) {
				commit = "@" + k.Text()
			}
		}
		r.say(stemma.FieldDefinition, c.repository+commit, r.grade, c.uri.Pointer())
		r.mark(c.entry, stemma.InputAction, stemma.RoleDefinition)
	} else if repository, err := stemma.CanonicalRepository(definition.At("repository").Text()); err == nil {
		r.say(stemma.FieldDefinition, repository, r.tenant(), definition.At("repository").Pointer())
	}
}

// resolved finds the one dependency that a parameter with repository and ref was resolved to.
func resolved(all []candidate, parameter *stemma.JSON) (candidate, bool) {
	repository, _, err := stemma.ParseRepository(parameter.At("repository").Text())
	var same, exact []candidate
	for _, c := range all {
		if err != nil || c.repository != repository {
			continue
		}
		same = append(same, c)
		if c.revision == parameter.At("ref").Text() {
			exact = append(exact, c)
		}
	}
	switch {
	case len(same) == 1:
		return same[0], true
	case len(exact) == 1:
		return exact[0], true
	}
	return candidate{}, false
}

// serviceAccount records an account, by its mail address or as projects/P/serviceAccounts/ADDRESS.
func (r *reader) serviceAccount(j *stemma.JSON, by stemma.Grade) {
	r.text(j, false)
	s := j.Text()
	r.say(stemma.FieldServiceAccount, s[strings.LastIndexByte(s, '/')+1:], by, j.Pointer())
}

// cloudImage reads the image that a step ran in. Where a step names it by digest, Cloud Build writes the digest twice.
func (r *reader) cloudImage(e *stemma.JSON) {
	in := r.inputOf(e)
	uri := e.At("uri").Text()
	if in == nil || in.Role != "" || namesGit(e.At("uri"), e.At("digest")) || e.At("digest", "sha256").Text() == "" {
		return
	}
	if name, digests, ok := strings.Cut(uri, "@"); ok && len(digests)%2 == 1 {
		if half := digests[:len(digests)/2]; digests == half+"@"+half {
			uri = name + "@" + half
		}
	}
	image := r.input(stemma.ResourceDescriptor{URI: "oci://" + uri, Digest: in.Digest}, in.Where)
	in.Kind, in.Role, in.Canonical, in.Host, in.Version = image.Kind, stemma.RoleBuilder, image.Canonical, image.Host, image.Version
}

// cloudSteps reads the steps of a Build. Each runs an image, which the materials do not name.
func (r *reader) cloudSteps(steps *stemma.JSON) {
	if absent(steps) {
		return
	}
	if !steps.IsArray() {
		r.malformed(steps, "an array")
		return
	}
	images := r.imageInputs()
	for i, step := range steps.Elems() {
		r.object(step, true)
		for _, name := range []string{"id", "name", "status"} {
			r.text(step.At(name), false)
		}
		t := stemma.Task{Name: step.At("id").Text(), Status: step.At("status").Text(), Where: step.Pointer()}
		if t.Name == "" {
			t.Name = strconv.Itoa(i)
		}
		if image := step.At("name"); image.Text() != "" {
			t.Images = []string{image.Text()}
			r.step(images, image.Text(), image.Pointer())
		}
		r.out.Tasks = append(r.out.Tasks, t)
	}
}

func cloudBuildFamilies() []family {
	const name = "Google Cloud Build"
	return []family{
		{name, formatV01, exactly(cloudBuildYAML, "https://cloudbuild.googleapis.com/CloudBuildSteps@v0.1", "https://cloudbuild.googleapis.com/GoogleHostedWorker@v0.2"), (*reader).cloudBuildV01},
		// The second is the community's, of before Google documented its own.
		{name, formatV1, exactly("https://cloud.google.com/build/gcb-buildtypes/google-worker/v1", "https://slsa-framework.github.io/gcb-buildtypes/triggered-build/v1"), (*reader).cloudBuildV1},
	}
}
