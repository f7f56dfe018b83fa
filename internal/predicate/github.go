package predicate

import (
	"strings"

	"stemma"
)

// github reads the provenance that actions/attest writes. Its workflow is the one that was started, which is the
// caller's where a reusable workflow signs; the latter shows in the certificate, and in builder.id since 2024.
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
	if first := b.dependencies.At("0"); first != nil {
		r.source(first.At("uri"), r.grade)
		r.digest(first.At("digest"), r.grade)
	}
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
	r.run(b.invocationID.Scalar(), r.grade, b.invocationID.Pointer())
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
