package predicate

import (
	"slices"
	"strings"

	"stemma"
)

const buildkitNamespace = "https://mobyproject.org/buildkit@v1"

// buildkit is where the formats of BuildKit keep the same things.
type buildkit struct {
	build
	source, file *stemma.JSON // the remote context, and the file of the frontend in it
	request      *stemma.JSON // frontend, args, secrets, ssh and locals
	config       *stemma.JSON // mode=max: the steps
	extra        *stemma.JSON // BuildKit's own metadata: vcs
	hermetic     *stemma.JSON
	complete     *stemma.JSON // whether the dependencies are complete
	told         *stemma.JSON // whether the parameters are
}

// buildkitV1 reads SLSA v1 of BuildKit, which before 0.22 had the names of v0.2 in it.
func (r *reader) buildkitV1(b build) {
	k := buildkit{build: b, source: b.external.At("configSource"), request: b.external.At("request"), config: b.internal.At("buildConfig"), extra: b.metadata.At("buildkit_metadata")}
	r.object(k.source, false)
	r.text(k.source.At("uri"), false)
	r.text(k.source.At("path"), false)
	r.digests(k.source.At("digest"))
	completeness := b.metadata.At("buildkit_completeness")
	k.hermetic, k.complete, k.told = b.metadata.At("buildkit_hermetic"), completeness.At("resolvedDependencies"), completeness.At("request")
	known := []string{"configSource", "request"}
	if b.buildType == buildkitNamespace {
		k.request, k.config, k.extra = b.external.At("parameters"), b.external.At("buildConfig"), b.metadata.At(buildkitNamespace+"#metadata")
		completeness = b.metadata.At(buildkitNamespace + "#completeness")
		k.hermetic, k.complete, k.told = b.metadata.At(buildkitNamespace+"#hermetic"), completeness.At("materials"), completeness.At("parameters")
		known = []string{"configSource", "parameters", "buildConfig"}
	}
	k.file = k.source.At("path")
	// The specification writes invocationId, BuildKit invocationID.
	if absent(k.invocationID) {
		k.invocationID = b.metadata.At("invocationID")
		r.identifier(k.invocationID)
	}
	r.object(completeness, false)
	r.unknownParameters(b.external, known...)
	r.buildkit(k)
}

// buildkitV02 reads SLSA v0.2 of BuildKit.
func (r *reader) buildkitV02(b build) {
	completeness := b.metadata.At("completeness")
	k := buildkit{
		build: b, source: b.configSource, file: b.entryPoint, request: b.external, config: b.buildConfig,
		extra: b.metadata.At(buildkitNamespace + "#metadata"), hermetic: b.metadata.At(buildkitNamespace + "#hermetic"),
		complete: completeness.At("materials"), told: completeness.At("parameters"),
	}
	if absent(k.hermetic) {
		k.hermetic = completeness.At(buildkitNamespace + "#hermetic") // before 0.12
	}
	r.object(completeness, false)
	r.buildkit(k)
}

// buildkit reads what all formats have. A remote context is fetched, and its commit found, by BuildKit itself; of a
// local one it knows only what the client tells.
func (r *reader) buildkit(b buildkit) {
	max := !absent(b.config) || b.told.Bool()
	r.out.Mode = map[bool]string{true: "max", false: "min"}[max]
	r.note("mode=%s", r.out.Mode)
	// The client chooses builder.id; buildx in GitHub Actions sends the URL of the run, which is no builder.
	if id := b.builderID.Text(); strings.Contains(id, "/actions/runs/") {
		r.run(id, r.tenant(), b.builderID.Pointer())
		r.otherwise(stemma.FieldBuilder, id, r.tenant(), b.builderID.Pointer())
	} else {
		r.say(stemma.FieldBuilder, id, r.tenant(), b.builderID.Pointer())
	}
	// BuildKit's own id of the build is no run of the service that called it.
	r.otherwise(stemma.FieldRun, b.invocationID.Scalar(), r.grade, b.invocationID.Pointer())
	// The client chooses the file, too.
	r.otherwise(stemma.FieldEntryPoint, b.file.Text(), r.tenant(), b.file.Pointer())
	for _, j := range []*stemma.JSON{b.hermetic, b.complete, b.told} {
		r.boolean(j)
	}
	if !absent(b.hermetic) {
		r.say(stemma.FieldHermetic, b.hermetic.Scalar(), r.grade, b.hermetic.Pointer())
	}
	r.buildkitSource(b)
	r.buildkitRequest(b.request)
	r.buildkitSteps(b)
	r.buildkitReported(b)
}

// boolean holds an optional member to its type.
func (r *reader) boolean(j *stemma.JSON) {
	if raw := string(j.Raw()); !absent(j) && raw != "true" && raw != "false" {
		r.malformed(j, "true or false")
	}
}

func (r *reader) buildkitSource(b buildkit) {
	uri, digest := b.source.At("uri"), b.source.At("digest")
	switch {
	case uri.Text() == "":
		r.note("the build context was local: no source is stated by the builder")
	case !namesGit(uri, digest):
		r.note("the build context was the file %s", uri.Text())
	case hasNoDigest(digest):
		// What BuildKit fetched it names with its digest; a URI without one is what the client asked for.
		r.source(uri, r.tenant())
	default:
		r.source(uri, r.grade)
		r.digest(digest, r.grade)
	}
	for i := range r.out.Inputs {
		if in := &r.out.Inputs[i]; uri.Text() != "" && in.URI == uri.Text() {
			in.Role = stemma.RoleSource
		}
	}
	vcs := b.extra.At("vcs")
	r.object(b.extra, false)
	if absent(vcs) {
		return
	}
	// "These values are client-supplied hints" (BuildKit, SLSA definitions): nobody checked them.
	r.object(vcs, false)
	r.text(vcs.At("source"), false)
	r.text(vcs.At("revision"), false)
	r.note("the vcs hint was sent by the client and checked by nobody")
	r.source(vcs.At("source"), r.tenant())
	r.commit(vcs.At("revision").Text(), r.tenant(), vcs.At("revision").Pointer())
}

func hasNoDigest(digest *stemma.JSON) bool { return len(digest.Elems()) == 0 }

// buildkitRequest reads what the client asked for. With mode=min most arguments are left out.
func (r *reader) buildkitRequest(request *stemma.JSON) {
	r.object(request, false)
	r.unknownParameters(request, "frontend", "args", "secrets", "ssh", "locals")
	frontend, args := request.At("frontend"), request.At("args")
	r.text(frontend, false)
	if f := frontend.Text(); f != "" && f != "dockerfile.v0" && f != "gateway.v0" {
		r.parameter("param", "frontend", frontend)
	}
	r.object(args, false)
	for _, a := range args.Elems() {
		r.text(a, true)
		kind, name, ok := strings.Cut(a.Name(), ":")
		if !ok || kind != "build-arg" && kind != "label" {
			kind, name = "param", a.Name()
		}
		r.parameter(kind, name, a)
	}
	for _, of := range []string{"secrets", "ssh"} {
		for _, id := range r.names(request.At(of), "id") {
			r.out.Parameters = append(r.out.Parameters, stemma.Parameter{Name: stemma.Printable(id.Text(), maxText), Kind: "secret", Where: id.Pointer()})
		}
	}
	var locals []string
	for _, name := range r.names(request.At("locals"), "name") {
		if len(locals) < 8 {
			locals = append(locals, name.Text())
		}
	}
	if len(locals) > 0 {
		r.note("read from directories of the client: %s", strings.Join(locals, ", "))
	}
	r.buildkitTools(args.At("source").Text())
}

// names lists a member of each element of an optional array of objects.
func (r *reader) names(list *stemma.JSON, member string) []*stemma.JSON {
	if !absent(list) && !list.IsArray() {
		r.malformed(list, "an array")
		return nil
	}
	var out []*stemma.JSON
	for _, e := range list.Elems() {
		r.object(e, true)
		if j := e.At(member); j != nil {
			r.text(j, true)
			out = append(out, j)
		}
	}
	return out
}

// buildkitTools tells which dependencies are parts of the builder: the image of the frontend, which the request names,
// and the scanner that writes the bill of materials. Of the others mode=min does not tell what they were.
func (r *reader) buildkitTools(frontend string) {
	tools := []string{"docker.io/docker/buildkit-syft-scanner"}
	if ref, ok := parseImage(frontend); ok {
		tools = append(tools, ref.repository)
	}
	for i := range r.out.Inputs {
		if in := &r.out.Inputs[i]; in.Kind == stemma.InputImage && slices.Contains(tools, in.Canonical) {
			in.Role = stemma.RoleBuilder
		}
	}
}

// buildkitReported says what is named. BuildKit names what it fetches itself; a step with network may fetch files and
// repositories besides, and nobody sees packages.
func (r *reader) buildkitReported(b buildkit) {
	r.report(stemma.InputImage, stemma.InputGit, stemma.InputHTTP)
	switch {
	case !b.complete.Bool():
		r.note("by its own word the dependencies are not complete")
		return
	case len(b.request.At("locals").Elems()) > 0:
		// BuildKit itself never says both: a directory of the client is no dependency that can be named.
		r.note("the dependencies are said to be complete, and directories of the client are not among them")
		return
	}
	r.out.Reported[stemma.InputImage] = stemma.ReportedAll
	if b.hermetic.Bool() {
		r.out.Reported[stemma.InputGit], r.out.Reported[stemma.InputHTTP] = stemma.ReportedAll, stemma.ReportedAll
	}
}

func buildkitFamilies() []family {
	return []family{
		{"BuildKit", formatV1, exactly("https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md", buildkitNamespace), (*reader).buildkitV1},
		{"BuildKit", formatV02, exactly(buildkitNamespace), (*reader).buildkitV02},
	}
}
