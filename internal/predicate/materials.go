package predicate

import (
	"strconv"
	"strings"

	"stemma"
)

// plain records a text as it stands.
func (r *reader) plain(f stemma.Field, j *stemma.JSON, by stemma.Grade) {
	r.text(j, false)
	r.say(f, j.Text(), by, j.Pointer())
}

// parameter records one setting that the tenant chose.
func (r *reader) parameter(kind, name string, value *stemma.JSON) {
	text := value.Text()
	if !isText(value) {
		text = string(value.Raw())
	}
	const most = 256
	shown := stemma.Printable(text, most)
	r.out.Parameters = append(r.out.Parameters, stemma.Parameter{Name: name, Kind: kind, Value: shown, Cut: shown != text, Where: value.Pointer()})
}

// report says of kinds of inputs that some are named, as builders do that see a step and not what it fetches.
func (r *reader) report(kinds ...stemma.InputKind) {
	if r.out.Reported == nil {
		r.out.Reported = map[stemma.InputKind]stemma.Reported{}
	}
	for _, k := range kinds {
		r.out.Reported[k] = stemma.ReportedSome
	}
}

// mark says what a dependency was to the build, where its builder tells it.
func (r *reader) mark(dependency *stemma.JSON, kind stemma.InputKind, role stemma.InputRole) {
	if in := r.inputOf(dependency); in != nil {
		in.Kind, in.Role = kind, role
	}
}

// inputOf is what was read of a dependency, or nil.
func (r *reader) inputOf(dependency *stemma.JSON) *stemma.Input {
	i, err := strconv.Atoi(dependency.Name())
	if err != nil || i >= len(r.out.Inputs) || r.out.Inputs[i].Where != dependency.Pointer() {
		return nil
	}
	return &r.out.Inputs[i]
}

// imageInputs finds the inputs by their digests and by their names.
func (r *reader) imageInputs() map[string]int {
	found := make(map[string]int, 2*len(r.out.Inputs))
	for i, in := range r.out.Inputs {
		if in.Canonical != "" && in.Kind == stemma.InputImage {
			found[in.Canonical] = i
		}
		if hex := in.Digest["sha256"]; len(hex) == 64 {
			found["sha256:"+hex] = i
		}
	}
	return found
}

// step records the image that a step ran in as an input, unless the dependencies name it. Only the digest tells: another
// version of the same repository is another image.
func (r *reader) step(known map[string]int, image, where string) {
	in := r.image(image, where)
	key := in.Canonical
	if hex := in.Digest["sha256"]; hex != "" {
		key = "sha256:" + hex
	}
	if key == "" {
		key = image
	}
	if i, ok := known[key]; ok {
		if r.out.Inputs[i].Role == "" {
			r.out.Inputs[i].Role = stemma.RoleBuilder
		}
		return
	}
	known[key] = len(r.out.Inputs)
	in.Role, in.Undeclared = stemma.RoleBuilder, true
	r.out.Inputs = append(r.out.Inputs, in)
}

// image is the normal form of an image that a step names: "gcr.io/acme/tool:1@sha256:…", as Kubernetes writes it with
// docker-pullable:// before it, and Tekton Chains with oci://.
func (r *reader) image(written, where string) stemma.Input {
	name := written
	for _, scheme := range []string{"docker-pullable://", "docker://", "oci://"} {
		name = strings.TrimPrefix(name, scheme)
	}
	in := r.input(stemma.ResourceDescriptor{URI: "oci://" + name}, where)
	in.URI, in.Kind = written, stemma.InputImage
	return in
}
