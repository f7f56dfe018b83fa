package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"stemma"
)

// Severity says how sure a check is that something is wrong.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"   // it can never allow, or never do what it is written for
	SeverityWarning Severity = "warning" // it accepts what hardly anybody means, or is of no effect
	SeverityAdvice  Severity = "advice"  // it could be tighter
)

// Warning is something of a set that loads, and is still likely to be wrong.
type Warning struct {
	ID       string   `json:"id"` // of the check: lint.any-ref
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"` // from 1; 0 when it is about the whole file or set
	Column   int      `json:"column,omitempty"`
	Problem  string   `json:"problem"`        // what is likely wrong
	Why      string   `json:"why"`            // what could happen
	Hint     string   `json:"hint,omitempty"` // what to write instead

	source string
	width  int
}

// String renders it like an error of a policy: file:line:column, the problem, the line with a caret under it, why, and the
// hint.
func (w *Warning) String() string {
	hint := "why  " + w.Why
	if w.Hint != "" {
		hint += "\n  fix  " + w.Hint
	}
	e := Error{
		File: w.File, Line: w.Line, Column: w.Column, Problem: fmt.Sprintf("%s: %s [%s]", w.Severity, w.Problem, w.ID), Hint: hint,
		source: w.source, width: w.width,
	}
	return e.Error()
}

// Check is one thing that Lint looks for.
type Check struct {
	ID       string // lint.any-ref
	Severity Severity
	Title    string // what it finds
	Why      string // what could happen

	look func(*linter)
}

// Bounds of what Lint says and compares.
const (
	maxWarnings    = 20        // of one check
	maxComparisons = 1_000_000 // of one policy, alternative or component of a pattern with another, by one check
)

// Lint looks for what Load accepts and hardly anybody means: identities that anybody can have, patterns that cross a
// boundary, rules that cannot be met or are never enforced, exceptions that ended. It judges no image, and changes no
// verdict. What it says is in the order of the files; at is the day on which exceptions have ended or not.
func (s *Set) Lint(at time.Time) []*Warning {
	l := &linter{set: s, at: at.UTC(), seen: map[string]bool{}}
	for _, c := range Checks() {
		l.check, l.compared, l.said = c, 0, 0
		c.look(l)
		if more := l.said - maxWarnings; more > 0 {
			l.out[len(l.out)-1].Problem += fmt.Sprintf(", and %d more like it", more)
		}
	}
	slices.SortStableFunc(l.out, func(a, b *Warning) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return l.out
}

// linter runs the checks over a set.
type linter struct {
	set      *Set
	at       time.Time
	check    Check
	compared int             // by the check, in steps
	said     int             // by the check
	seen     map[string]bool // what was said: alternatives share what stands in their policy
	out      []*Warning
}

// page is a document, by where its parts stand.
type page struct {
	places map[string]position
	file   string
}

func (s *Set) page() page {
	p := page{places: s.places}
	for _, at := range s.places {
		p.file = at.file // all are in one file
		break
	}
	return p
}

func (p *loaded) page() page     { return page{p.places, p.file} }
func (w *waiver) page() page     { return page{w.places, w.file} }
func (d *distrusted) page() page { return page{d.places, d.file} }

// warn says something about a path below spec of a document, or about the nearest thing above it that is written.
func (l *linter) warn(p page, path, hint, format string, args ...any) {
	w := &Warning{ID: l.check.ID, Severity: l.check.Severity, File: p.file, Problem: fmt.Sprintf(format, args...), Why: l.check.Why, Hint: hint}
	for path = "spec." + path; path != ""; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
		if at, ok := p.places[path]; ok {
			w.Line, w.Column = at.line, at.column
			l.show(w, at)
			break
		}
	}
	if key := fmt.Sprintf("%s %s %d %d %s", w.ID, w.File, w.Line, w.Column, w.Problem); !l.seen[key] {
		l.seen[key] = true
		if l.said++; l.said <= maxWarnings {
			l.out = append(l.out, w)
		}
	}
}

// show adds the line and what of it is meant.
func (l *linter) show(w *Warning, at position) {
	lines := l.set.lines[at.file]
	if at.line < 1 || at.line > len(lines) || at.column > maxShown {
		return
	}
	w.source = stemma.Printable(strings.ReplaceAll(lines[at.line-1], "\t", " "), maxShown)
	w.width = min(at.width, utf8.RuneCountInString(w.source)-at.column+1)
}

// in is warn about a policy, or one of its alternatives.
func (l *linter) in(p *loaded, path, hint, format string, args ...any) {
	l.warn(p.page(), p.place(path), hint, format, args...)
}

// enough reports whether a check compared as much as it may: it then stays silent about the rest.
func (l *linter) enough() bool {
	l.compared++
	return l.compared > maxComparisons
}

// covers is the comparison of that name, as long as a check may compare; then it is false.
func (l *linter) covers(general, special Pattern) bool {
	steps := 0
	ok := !l.enough() && coversAll(general.components(), special.components(), &steps)
	l.compared += steps
	return ok
}

// overlap is the comparison of that name, as long as a check may compare; then it is true.
func (l *linter) overlap(a, b Pattern) bool {
	steps := 0
	ok := l.enough() || overlapAll(a.components(), b.components(), &steps)
	l.compared += steps
	return ok
}

// ended reports whether a last day is over; a day that is not written is not.
func (l *linter) ended(until Date) bool {
	return !until.IsZero() && !l.at.Before(until.AddDate(0, 0, 1))
}

// ends reports whether a last day that is not over yet is at most so many days ahead.
func (l *linter) ends(until Date, days int) bool {
	return !until.IsZero() && !l.ended(until) && !until.After(l.at.AddDate(0, 0, days))
}

func onDay(d Date) string { return d.Format(time.DateOnly) }

// ways are the ways to meet a policy: its alternatives, or the policy itself.
func (p *loaded) ways() []*loaded {
	if len(p.alternatives) > 0 {
		return p.alternatives
	}
	return []*loaded{p}
}

// ways are those of all policies in force.
func (l *linter) ways() []*loaded {
	var out []*loaded
	for _, p := range l.set.policies {
		out = append(out, p.ways()...)
	}
	return out
}

// written is a builder or signer, and where it stands.
type written struct {
	Signer
	name    string
	builder *Builder // nil of a signer
	of      *loaded  // the policy that has it to itself; nil when it is in the set
	page    page
	path    string
}

// identities lists all builders and signers that are written.
func (l *linter) identities() []written {
	var out []written
	add := func(of *loaded, p page, builders map[string]Builder, signers map[string]Signer) {
		for _, name := range slices.Sorted(maps.Keys(builders)) {
			b := builders[name]
			out = append(out, written{b.Signer, name, &b, of, p, "builders." + name})
		}
		for _, name := range slices.Sorted(maps.Keys(signers)) {
			out = append(out, written{signers[name], name, nil, of, p, "signers." + name})
		}
	}
	add(nil, l.set.page(), l.set.spec.Builders, l.set.spec.Signers)
	for _, p := range l.set.policies {
		add(p, p.page(), p.spec.Builders, p.spec.Signers)
	}
	return out
}

// builders lists those of them whose provenance counts.
func (l *linter) builders() []written {
	return slices.DeleteFunc(l.identities(), func(p written) bool { return p.builder == nil })
}

// warnNamed is warn about a part of a builder or signer.
func (l *linter) warnNamed(p written, path, hint, format string, args ...any) {
	l.warn(p.page, p.path+"."+path, hint, format, args...)
}
