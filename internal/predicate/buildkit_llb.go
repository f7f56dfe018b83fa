package predicate

import (
	"strings"

	"stemma"
)

// maxText is the longest text of a parameter or a step that is kept, in characters.
const maxText = 256

// buildkitSteps reads the low-level definition of the build that mode=max holds: what each step does, whether it had the
// network, and what it fetched.
func (r *reader) buildkitSteps(b buildkit) {
	r.object(b.config, false)
	steps := b.config.At("llbDefinition")
	if absent(steps) {
		return
	}
	if !steps.IsArray() {
		r.malformed(steps, "an array")
		return
	}
	d := r.declared()
	privileged := false
	for _, step := range steps.Elems() {
		r.object(step, true)
		id, op := step.At("id"), step.At("op", "Op")
		r.text(id, false)
		r.object(step.At("op"), false)
		r.object(op, false)
		if len(op.Elems()) == 0 {
			continue // the last, which only points to the result
		}
		t := stemma.Task{Name: id.Text(), Network: "none", Where: step.Pointer()}
		for _, kind := range op.Elems() {
			switch kind.Name() {
			case "exec":
				t.Network = network(kind.At("network"))
				privileged = privileged || !absent(kind.At("security")) && kind.At("security").Scalar() != "0"
				args := kind.At("meta", "args").Elems()
				if len(args) > 0 {
					t.Name += " (" + args[len(args)-1].Text() + ")"
				}
			case "source":
				identifier := kind.At("identifier")
				r.text(identifier, true)
				r.object(kind.At("attrs"), false)
				t.Network = "" // the fetching is BuildKit's own
				t.Name += " (" + identifier.Text() + ")"
				r.fetched(d, kind)
			case "file", "merge", "diff":
			default:
				t.Network = "" // a build in the build, or what is not known
			}
		}
		t.Name = stemma.Printable(strings.TrimSpace(t.Name), maxText)
		r.out.Tasks = append(r.out.Tasks, t)
	}
	if privileged {
		r.note("a step ran with all rights on the machine (security: insecure)")
	}
	r.baseless(d)
	r.buildkitGround(b, steps, d.used)
}

// network reads the mode of a step's network: 0 or none is a network of its own with a way out, 1 the machine's, 2 none.
func network(mode *stemma.JSON) string {
	if string(mode.Raw()) == "2" {
		return "none"
	}
	return "used"
}

// declarations finds dependencies by what identifies them, so that a step's source is looked up once.
type declarations struct {
	exact  map[string]bool // URI, or name with digest
	name   map[string]bool
	used   map[string]bool // names of images that steps use
	listed map[string]bool // what was already added
}

func (r *reader) declared() declarations {
	d := declarations{exact: map[string]bool{}, name: map[string]bool{}, used: map[string]bool{}, listed: map[string]bool{}}
	for _, in := range r.out.Inputs {
		d.exact["uri "+in.URI] = true
		if in.Canonical == "" {
			continue
		}
		d.name[string(in.Kind)+" "+in.Canonical] = true
		for alg, v := range in.Digest {
			d.exact[digestKey(in, alg, v)] = true
		}
	}
	return d
}

// digestKey identifies an input by name and digest. A commit has one key, whatever the builder calls it.
func digestKey(in stemma.Input, algorithm, value string) string {
	if namesCommit(algorithm, value) {
		algorithm = "gitCommit"
	}
	return string(in.Kind) + " " + in.Canonical + " " + algorithm + ":" + value
}

// fetched reads what a source operation fetches, and adds it to the inputs if no dependency is it: of the same name and,
// where the operation is pinned, of the same digest.
func (r *reader) fetched(d declarations, source *stemma.JSON) {
	identifier := source.At("identifier")
	uri := identifier.Text()
	if full := source.At("attrs", "git.fullurl").Text(); full != "" && strings.HasPrefix(uri, "git://") {
		_, fragment, found := strings.Cut(uri, "#")
		if uri = full; found {
			uri += "#" + fragment
		}
	}
	in := r.input(stemma.ResourceDescriptor{URI: uri}, identifier.Pointer())
	if in.Kind == stemma.InputImage {
		d.used[in.Canonical] = true
	}
	// Of a file the query is no part of the name, and may name another.
	if d.exact["uri "+uri] || in.Canonical != "" && in.Kind != stemma.InputHTTP && len(in.Digest) == 0 && d.name[string(in.Kind)+" "+in.Canonical] {
		return
	}
	for alg, v := range in.Digest {
		if in.Canonical != "" && d.exact[digestKey(in, alg, v)] {
			return
		}
	}
	if d.listed[uri] {
		return
	}
	d.listed[uri] = true
	in.URI, in.Undeclared = identifier.Text(), true
	r.out.Inputs = append(r.out.Inputs, in)
}

// baseless takes the role of a tool from images that a step uses: their content may be in the result.
func (r *reader) baseless(d declarations) {
	for i := range r.out.Inputs {
		if in := &r.out.Inputs[i]; in.Role == stemma.RoleBuilder && d.used[in.Canonical] {
			in.Role = ""
		}
	}
}
