package predicate

import (
	"slices"
	"strconv"
	"strings"

	"stemma"
)

// Bounds of what is kept of the layers that BuildKit records of a step.
const (
	maxWays   = 8 // the same layers under several compressions
	maxLayers = 1024
)

// edge is one output of a step: "step7:0".
type edge struct {
	step   string
	output int
}

func (e edge) String() string { return e.step + ":" + strconv.Itoa(e.output) }

func parseEdge(s string) (edge, bool) {
	step, output, ok := strings.Cut(s, ":")
	n, err := strconv.Atoi(output)
	return edge{step, n}, ok && err == nil && n >= 0 && output == strconv.Itoa(n)
}

// llb is the definition of a build: steps by their ids, each with the edges that it takes.
type llb struct {
	steps map[string]*stemma.JSON
	last  edge // the result
	found bool
}

// definition indexes the steps. Of two with one id nobody can tell which is meant, so that there is no definition.
func (r *reader) definition(steps *stemma.JSON) llb {
	d := llb{steps: map[string]*stemma.JSON{}}
	ends := 0
	for _, step := range steps.Elems() {
		id := step.At("id").Text()
		if d.steps[id] != nil {
			return llb{}
		}
		d.steps[id] = step
		inputs := step.At("inputs").Elems()
		if len(step.At("op", "Op").Elems()) > 0 {
			continue
		}
		// The step without an operation points to the result.
		ends++
		if len(inputs) == 1 {
			d.last, d.found = parseEdge(inputs[0].Text())
		}
	}
	d.found = d.found && ends == 1
	return d
}

// ground follows what the file system of the result began as, from step to step: the root mount of a command, the input of
// a file operation, the lowest of what is merged. The order of the dependencies says nothing, and what a stage was built
// from is no part of what the image stands on.
func (d llb) ground() (source *stemma.JSON, at edge, why string) {
	at = d.last
	if !d.found {
		return nil, at, "the steps name no single result"
	}
	for range len(d.steps) + 1 {
		step := d.steps[at.step]
		kinds := step.At("op", "Op").Elems()
		if step == nil || len(kinds) != 1 {
			return nil, at, "step " + at.step + " is not among the steps"
		}
		input := -2
		switch op := kinds[0]; op.Name() {
		case "source":
			return op, at, ""
		case "exec":
			input = rootOf(op.At("mounts").Elems(), at.output)
		case "file":
			input = fileInput(op.At("actions").Elems(), at.output, len(step.At("inputs").Elems()))
		case "merge":
			if lowest := op.At("inputs").Elems(); len(lowest) > 0 {
				input = number(lowest[0].At("input"), 0)
			}
		default:
			return nil, at, "step " + at.step + " is of kind " + op.Name() + ", from which no base follows"
		}
		if input == -1 {
			return nil, at, ""
		}
		inputs := step.At("inputs").Elems()
		if input < 0 || input >= len(inputs) {
			return nil, at, "step " + at.step + " does not say what it works on"
		}
		next, ok := parseEdge(inputs[input].Text())
		if !ok {
			return nil, at, "step " + at.step + " takes " + strconv.Quote(stemma.Printable(inputs[input].Text(), 64))
		}
		at = next
	}
	return nil, at, "the steps go round in a circle"
}

// number reads an integer of protobuf's JSON, which leaves out a zero; -2 is none.
func number(j *stemma.JSON, missing int) int {
	if absent(j) {
		return missing
	}
	n, err := strconv.Atoi(j.Scalar())
	if err != nil || n < -1 {
		return -2
	}
	return n
}

// rootOf is the input of the mount whose content is the output of a command; of an output that no mount has, that of the
// root.
func rootOf(mounts []*stemma.JSON, output int) int {
	root := -2
	for _, m := range mounts {
		input := number(m.At("input"), 0)
		if number(m.At("output"), 0) == output {
			return input
		}
		if m.At("dest").Text() == "/" {
			root = input
		}
	}
	return root
}

// fileInput follows the actions of a file operation from the one that makes an output to the input of the operation that the
// first of them changes. An action takes inputs of the operation or, with higher numbers, what actions before it made.
func fileInput(actions []*stemma.JSON, output, inputs int) int {
	i := slices.IndexFunc(actions, func(a *stemma.JSON) bool { return number(a.At("output"), 0) == output })
	for i >= 0 && i < len(actions) {
		input := number(actions[i].At("input"), 0)
		if input < inputs {
			return input
		}
		if input-inputs >= i {
			return -2 // of an action that comes later
		}
		i = input - inputs
	}
	return -2
}

// buildkitGround finds what the image stands on, and says of the images that steps use what they were for.
func (r *reader) buildkitGround(b buildkit, steps *stemma.JSON, used map[string]bool) {
	d := r.definition(steps)
	source, at, why := d.ground()
	g := &stemma.Ground{Why: why, Where: steps.Pointer()}
	base := -1
	switch {
	case why != "":
		g.Kind = stemma.GroundUnknown
	case source == nil:
		g.Kind = stemma.GroundScratch
	default:
		identifier := source.At("identifier")
		g.Where = identifier.Pointer()
		in := r.input(stemma.ResourceDescriptor{URI: identifier.Text()}, g.Where)
		if base = r.listed(in, identifier.Text()); base < 0 || in.Kind != stemma.InputImage {
			g.Kind, g.Why = stemma.GroundUnknown, "it begins with "+stemma.Printable(identifier.Text(), maxText)+", which is no image that the dependencies name"
			base = -1
		} else {
			g.Kind = stemma.GroundImage
			g.Layers = r.layers(b.extra.At("layers", at.String()))
		}
	}
	g.Result = r.layers(b.extra.At("layers", d.last.String()))
	r.out.Ground = g
	for i := range r.out.Inputs {
		in := &r.out.Inputs[i]
		switch {
		case in.Kind != stemma.InputImage || in.Role != "" || g.Kind == stemma.GroundUnknown:
		case i == base:
			in.Role = stemma.RoleBase
		case used[in.Canonical]:
			in.Role = stemma.RoleStage
		}
	}
}

// listed finds the one input that a step means: by digest, or by the very text.
func (r *reader) listed(in stemma.Input, uri string) int {
	return slices.IndexFunc(r.out.Inputs, func(o stemma.Input) bool {
		if o.Kind != in.Kind {
			return false
		}
		if o.URI == uri {
			return true
		}
		for alg, v := range in.Digest {
			if in.Canonical != "" && o.Canonical == in.Canonical && o.Digest[alg] == v {
				return true
			}
		}
		return false
	})
}

// layers reads what BuildKit records of the result of a step: the same layers once for each compression that it knows.
func (r *reader) layers(ways *stemma.JSON) [][]stemma.Digest {
	if absent(ways) || !ways.IsArray() {
		return nil
	}
	var out [][]stemma.Digest
	for _, way := range ways.Elems() {
		var layers []stemma.Digest
		for _, layer := range way.Elems() {
			d, err := stemma.ParseDigest(layer.At("digest").Text())
			if err != nil || len(layers) == maxLayers {
				layers = nil
				break
			}
			layers = append(layers, d)
		}
		if len(layers) > 0 && len(out) < maxWays {
			out = append(out, layers)
		}
	}
	return out
}
