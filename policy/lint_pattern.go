package policy

import "strings"

// covers reports that general matches every name that special matches. It is false in doubt.
func covers(general, special Pattern) bool {
	steps := 0
	return coversAll(general.components(), special.components(), &steps)
}

func (p Pattern) components() []string { return strings.Split(string(p), "/") }

// many reports a component that stands for one or more.
func many(component string) bool {
	_, more, ok := capture(component)
	return component == "**" || ok && more
}

// part is a component as matchPart takes it: a capture stands for anything.
func part(component string) string {
	if _, _, ok := capture(component); ok {
		return "*"
	}
	return component
}

func coversAll(g, s []string, steps *int) bool {
	if *steps++; *steps > maxMatchSteps {
		return false
	}
	switch {
	case len(g) == 0 || len(s) == 0:
		return len(g) == len(s)
	case many(g[0]):
		return coversAll(g[1:], s[1:], steps) || coversAll(g, s[1:], steps)
	case many(s[0]):
		return false
	}
	// What is a wildcard in the special pattern is a character like any other to the general one, and only its own
	// wildcards take it.
	return matchPart(part(g[0]), part(s[0])) && coversAll(g[1:], s[1:], steps)
}

// overlap reports that some name may match both. It is true in doubt.
func overlap(a, b Pattern) bool {
	steps := 0
	return overlapAll(a.components(), b.components(), &steps)
}

func overlapAll(a, b []string, steps *int) bool {
	if *steps++; *steps > maxMatchSteps {
		return true
	}
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	if !many(a[0]) && !many(b[0]) && !overlapPart(part(a[0]), part(b[0])) {
		return false
	}
	return overlapAll(a[1:], b[1:], steps) ||
		many(a[0]) && overlapAll(a, b[1:], steps) ||
		many(b[0]) && overlapAll(a[1:], b, steps)
}

// overlapPart: two wildcards leave room for what stands between their ends, so that only the ends can differ.
func overlapPart(a, b string) bool {
	switch {
	case !strings.Contains(a, "*"):
		return matchPart(b, a)
	case !strings.Contains(b, "*"):
		return matchPart(a, b)
	}
	fits := func(x, y string, has func(string, string) bool) bool { return has(x, y) || has(y, x) }
	head := func(s string) string { return s[:strings.IndexByte(s, '*')] }
	tail := func(s string) string { return s[strings.LastIndexByte(s, '*')+1:] }
	return fits(head(a), head(b), strings.HasPrefix) && fits(tail(a), tail(b), strings.HasSuffix)
}

// open reports a pattern with wildcards or captures.
func (p Pattern) open() bool { return strings.ContainsAny(string(p), "*{") }

// owner is the second component: whose repositories they are.
func (p Pattern) owner() string {
	_, rest, _ := strings.Cut(string(p), "/")
	owner, _, _ := strings.Cut(rest, "/")
	return owner
}

// accepts reports whether one of the patterns matches the name.
func accepts(patterns []Pattern, name string) bool {
	for _, p := range patterns {
		if _, ok := p.match(name, nil); ok {
			return true
		}
	}
	return false
}
