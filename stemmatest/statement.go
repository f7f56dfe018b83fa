package stemmatest

import (
	"fmt"
	"strconv"
	"strings"

	"stemma"
)

// Statement is an in-toto statement that may be edited before it is signed.
type Statement struct {
	Type          string                      `json:"_type"`
	Subject       []stemma.ResourceDescriptor `json:"subject"`
	PredicateType string                      `json:"predicateType"`
	Predicate     map[string]any              `json:"predicate"`
}

// JSON encodes the statement.
func (s *Statement) JSON() []byte { return canonical(s) }

// Set puts a value into the predicate at an RFC 6901 pointer, and makes the objects on the way there. A nil value
// removes what stands there. It panics where the pointer leads through something that has no members, because the
// statement that a test wants could then not be made.
func (s *Statement) Set(pointer string, value any) {
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i := range steps {
		steps[i] = strings.ReplaceAll(strings.ReplaceAll(steps[i], "~1", "/"), "~0", "~")
	}
	var at any = s.Predicate
	for i, step := range steps {
		last := i == len(steps)-1
		switch node := at.(type) {
		case map[string]any:
			switch {
			case last && value == nil:
				delete(node, step)
			case last:
				node[step] = value
			case node[step] == nil:
				node[step] = map[string]any{}
			}
			at = node[step]
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n < 0 || n >= len(node) {
				panic(fmt.Sprintf("stemmatest: %s: no element %q", pointer, step))
			}
			if last {
				node[n] = value
			}
			at = node[n]
		default:
			panic(fmt.Sprintf("stemmatest: %s: %q is below a value without members", pointer, step))
		}
	}
}

// Subject names an artifact by its digests.
func Subject(name string, digests ...stemma.Digest) stemma.ResourceDescriptor {
	d := stemma.ResourceDescriptor{Name: name, Digest: map[string]string{}}
	for _, v := range digests {
		d.Digest[v.Algorithm()] = v.Hex()
	}
	return d
}

// tree turns a predicate into maps and slices of any, so that Set reaches every part of it. Nothing is shared.
func tree(v object) map[string]any {
	out := make(map[string]any, len(v))
	for k, e := range v {
		out[k] = generic(e)
	}
	return out
}

func generic(v any) any {
	switch v := v.(type) {
	case object:
		return tree(v)
	case []object:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = tree(e)
		}
		return out
	case []string:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = e
		}
		return out
	}
	return v
}
