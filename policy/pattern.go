package policy

import (
	"fmt"
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Pattern matches a canonical name component by component. '*' stands for any part of one component, '**' for one
// or more whole components, {x} for one component and {x**} for one or more, which the same policy may use again.
// There are no regular expressions, so nothing is unanchored and no dot means "any character".
type Pattern string

func (p *Pattern) decodeYAML(d *decoder, n *yaml.Node, path string) {
	s := d.text(n, path)
	if s == "" {
		return
	}
	if problem, hint := checkPattern(s); problem != "" {
		d.fail(n, hint, "%s: %s", last(path), problem)
		return
	}
	*p = Pattern(s)
}

func checkPattern(s string) (problem, hint string) {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		return "a pattern has no scheme", fmt.Sprintf("write %q", rest)
	}
	if strings.ContainsAny(s, " \t\n\\?%#") {
		return fmt.Sprintf("%q contains a character that no canonical name has", s), ""
	}
	if len(s) > maxPattern || strings.Count(s, "**") > maxSeveral {
		return fmt.Sprintf("longer than %d characters or with more than %d '**'", maxPattern, maxSeveral), ""
	}
	captures := map[string]bool{}
	for c := range strings.SplitSeq(s, "/") {
		switch {
		case c == "":
			return fmt.Sprintf("%q has an empty component", s), ""
		case c == "." || c == "..":
			return fmt.Sprintf("%q has a relative component", s), ""
		case c == "**":
		case strings.HasPrefix(c, "{"):
			name, _, ok := capture(c)
			if !ok {
				return fmt.Sprintf("%q is not a capture", c), "write {name} for one component or {name**} for several"
			}
			if captures[name] {
				return fmt.Sprintf("{%s} stands twice in one pattern", name), "use another name"
			}
			captures[name] = true
		case strings.ContainsAny(c, "{}"):
			return fmt.Sprintf("%q: a capture is a whole component", c), "write {name} between slashes"
		case strings.Contains(c, "**"):
			return fmt.Sprintf("%q: '**' is a whole component", c), "write '*' for a part of one component"
		}
	}
	return "", ""
}

// capture reads "{x}" or "{x**}".
func capture(component string) (name string, several, ok bool) {
	inner, ok := strings.CutPrefix(component, "{")
	if !ok {
		return "", false, false
	}
	if inner, ok = strings.CutSuffix(inner, "}"); !ok {
		return "", false, false
	}
	inner, several = strings.CutSuffix(inner, "**")
	return inner, several, validName(inner)
}

// captures lists the names that the pattern binds.
func (p Pattern) captures() []string {
	var names []string
	for c := range strings.SplitSeq(string(p), "/") {
		if name, _, ok := capture(c); ok {
			names = append(names, name)
		}
	}
	return names
}

// match reports whether the whole of name matches. Captures that vars already binds must repeat their value; the
// others are bound in the returned map. vars itself is not changed.
func (p Pattern) match(name string, vars map[string]string) (map[string]string, bool) {
	if !matchable(name) {
		return nil, false
	}
	steps := 0
	return matchComponents(string(p), name, vars, &steps)
}

// matchable reports whether a text could be a canonical name at all.
func matchable(name string) bool {
	if len(name) > maxName || !utf8.ValidString(name) {
		return false
	}
	for component := range strings.SplitSeq(name, "/") {
		if notCanonical(component) {
			return false
		}
	}
	return true
}

// notCanonical reports a component that no canonical name has. A wildcard must not stand for it: an empty or relative
// one would make the name mean another place, and a line break one that looks alike.
func notCanonical(component string) bool {
	if component == "" || component == "." || component == ".." {
		return true
	}
	for i := range len(component) {
		switch c := component[i]; {
		case c >= utf8.RuneSelf:
			return strings.ContainsFunc(component[i:], func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) })
		case c <= ' ' || c == 0x7f:
			return true
		}
	}
	return false
}

// Bounds of a pattern.
const (
	maxPattern = 512
	maxName    = 4096
	maxSeveral = 4 // components that stand for several
)

// maxMatchSteps bounds the backtracking of several '**' in one pattern.
const maxMatchSteps = 10_000

// matchComponents matches names without an empty component, so that "" is the end.
func matchComponents(pattern, name string, vars map[string]string, steps *int) (map[string]string, bool) {
	if *steps++; *steps > maxMatchSteps {
		return nil, false
	}
	if pattern == "" || name == "" {
		return vars, pattern == name
	}
	head, pattern, _ := strings.Cut(pattern, "/")
	variable, several, isCapture := capture(head)
	if head == "**" || isCapture && several {
		for end := 0; end < len(name) && *steps <= maxMatchSteps; {
			taken, rest := name, ""
			if i := strings.IndexByte(name[end:], '/'); i >= 0 {
				taken, rest = name[:end+i], name[end+i+1:]
			}
			end = len(taken) + 1
			bound, ok := vars, true
			if isCapture {
				bound, ok = bind(vars, variable, taken)
			}
			if !ok {
				continue
			}
			if result, ok := matchComponents(pattern, rest, bound, steps); ok {
				return result, true
			}
		}
		return nil, false
	}
	first, rest, _ := strings.Cut(name, "/")
	bound, ok := vars, true
	if isCapture {
		bound, ok = bind(vars, variable, first)
	} else {
		ok = matchPart(head, first)
	}
	if !ok {
		return nil, false
	}
	return matchComponents(pattern, rest, bound, steps)
}

func bind(vars map[string]string, name, value string) (map[string]string, bool) {
	if have, ok := vars[name]; ok {
		return vars, have == value
	}
	bound := maps.Clone(vars)
	if bound == nil {
		bound = map[string]string{}
	}
	bound[name] = value
	return bound, true
}

// matchPart matches one component, '*' standing for any run of characters, none included.
func matchPart(pattern, s string) bool {
	head, pattern, wild := strings.Cut(pattern, "*")
	if !wild {
		return head == s
	}
	s, ok := strings.CutPrefix(s, head)
	for ok {
		mid, rest, more := strings.Cut(pattern, "*")
		if !more {
			return strings.HasSuffix(s, mid)
		}
		_, s, ok = strings.Cut(s, mid)
		pattern = rest
	}
	return false
}

// expand writes the bound captures into the pattern, for messages.
func (p Pattern) expand(vars map[string]string) string {
	parts := strings.Split(string(p), "/")
	for i, c := range parts {
		if name, _, ok := capture(c); ok {
			if value, bound := vars[name]; bound {
				parts[i] = value
			}
		}
	}
	return strings.Join(parts, "/")
}
