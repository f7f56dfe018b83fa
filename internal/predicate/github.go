package predicate

import (
	"slices"
	"strings"

	"stemma"
)

// github reads the provenance that actions/attest writes. Its workflow is the one that was started, which is the
// caller's where a reusable workflow signs; the latter shows in the certificate, and in builder.id since 2024. Of all
// that went into the build it names the source.
func (r *reader) github(b build) {
	workflow := b.external.At("workflow")
	r.object(workflow, false)
	for _, name := range []string{"repository", "ref", "path"} {
		r.text(workflow.At(name), false)
	}
	r.builder(b.builderID)
	r.source(workflow.At("repository"), r.grade)
	r.ref(workflow.At("ref").Text(), r.grade, workflow.At("ref").Pointer())
	r.say(stemma.FieldEntryPoint, workflow.At("path").Text(), r.grade, workflow.At("path").Pointer())
	r.firstDependency(b)
	run := b.internal.At("github")
	r.object(run, false)
	for _, f := range []struct {
		field stemma.Field
		name  string
	}{{stemma.FieldTrigger, "event_name"}, {stemma.FieldRunner, "runner_environment"}} {
		j := run.At(f.name)
		r.text(j, false)
		r.say(f.field, j.Text(), r.grade, j.Pointer())
	}
	r.number(stemma.FieldRepositoryID, run.At("repository_id"))
	r.number(stemma.FieldOwnerID, run.At("repository_owner_id"))
	r.run(b.invocationID.Scalar(), r.grade, b.invocationID.Pointer())
	r.chosen(b.external, "workflow")
	r.report(stemma.InputGit)
}

// firstDependency reads the source, which GitHub's builders write as the first dependency.
func (r *reader) firstDependency(b build) {
	first := b.dependencies.At("0")
	if first == nil {
		return
	}
	if r.source(first.At("uri"), r.grade) {
		r.mark(first, stemma.InputGit, stemma.RoleSource)
	}
	r.digest(first.At("digest"), r.grade)
}

// number records an id that its service never gives twice.
func (r *reader) number(f stemma.Field, j *stemma.JSON) {
	r.identifier(j)
	r.id(f, j.Scalar(), r.grade, j.Pointer())
}

func (r *reader) id(f stemma.Field, value string, by stemma.Grade, where string) {
	if value != "" && !isDigits(value) {
		r.note("%s %q at %s is left out: not a number", f, value, where)
		return
	}
	r.say(f, value, by, where)
}

// chosen reads what whoever started the workflow gave it: inputs, and the variables of repository and organisation. The
// other members that the build type defines are known.
func (r *reader) chosen(external *stemma.JSON, known ...string) {
	for _, of := range []struct{ kind, name string }{{"input", "inputs"}, {"param", "vars"}} {
		r.each(of.kind, external.At(of.name))
	}
	r.unknownParameters(external, append(known, "inputs", "vars")...)
}

// each records the members of an optional object.
func (r *reader) each(kind string, given *stemma.JSON) {
	r.object(given, false)
	if given.IsObject() {
		for _, k := range given.Elems() {
			r.given(kind, k)
		}
	}
}

// given records a member as a parameter, without its value where the payload of an event stands in it.
func (r *reader) given(kind string, k *stemma.JSON) {
	r.parameter(kind, k.Name(), k)
	if isEvent(k.Name()) || holdsEvent(k) {
		last := &r.out.Parameters[len(r.out.Parameters)-1]
		last.Value, last.Cut = "", true
	}
}

func isEvent(name string) bool { return strings.EqualFold(name, "github_event_payload") }

// holdsEvent reports whether the payload of a GitHub event stands somewhere in j.
func holdsEvent(j *stemma.JSON) bool {
	for _, k := range j.Elems() {
		if j.IsObject() && isEvent(k.Name()) || holdsEvent(k) {
			return true
		}
	}
	return false
}

func githubFamilies() []family {
	return []family{{
		name: "GitHub Actions", format: formatV1, read: (*reader).github,
		is: exactly("https://actions.github.io/buildtypes/workflow/v1", "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1"),
	}}
}

// unknownParameters reports the members of the parameters that the build type does not define: "verification MUST fail on
// unrecognized external parameters" (SLSA), and which those are the reader of the build type knows.
func (r *reader) unknownParameters(external *stemma.JSON, known ...string) {
	if !external.IsObject() {
		return
	}
	for _, k := range external.Elems() {
		if !slices.Contains(known, k.Name()) {
			r.given("unknown", k)
		}
	}
}
