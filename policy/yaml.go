package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"stemma"
)

// Bounds of a policy file.
const (
	maxFileBytes = 1 << 20
	maxDocuments = 256
	maxErrors    = 20
	maxDepth     = 32
)

// File is a policy file: its name for messages, and its bytes.
type File struct {
	Name string
	Data []byte
}

// Error is one thing wrong with a policy file, with its place.
type Error struct {
	File         string
	Line, Column int    // from 1; 0 when the error concerns the whole file or set
	Problem      string // what is wrong
	Hint         string // what to write instead, or ""
	source       string // the line itself
	width        int    // how much of it is meant
}

// Error renders file:line:column, the problem, the line with a caret under it, and the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	fmt.Fprintf(&b, ": %s", e.Problem)
	if e.source != "" {
		number := strconv.Itoa(e.Line)
		fmt.Fprintf(&b, "\n  %s | %s\n  %s | %s%s", number, e.source, strings.Repeat(" ", len(number)),
			strings.Repeat(" ", e.Column-1), strings.Repeat("^", max(1, e.width)))
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "\n  %s", e.Hint)
	}
	return b.String()
}

// Errors are all that is wrong with a set, in the order of the files.
type Errors []*Error

func (e Errors) Error() string {
	parts := make([]string, len(e))
	for i := range e {
		parts[i] = e[i].Error()
	}
	return strings.Join(parts, "\n")
}

// position is where a value stands.
type position struct {
	file         string
	line, column int
	width        int
}

func (p position) String() string { return p.file + ":" + strconv.Itoa(p.line) }

// decoder turns YAML nodes into structs. It accepts the part of YAML that means one thing: mappings with unique
// string keys, sequences and scalars; no anchors, aliases, merge keys or tags.
type decoder struct {
	file   string
	lines  []string
	errs   Errors
	places map[string]position // dotted path → position of the value, or of the key of a block
}

// custom is a value that decodes itself from a scalar or from a shape of its own.
type custom interface {
	decodeYAML(d *decoder, n *yaml.Node, path string)
}

// chosen is a word of several.
type chosen interface{ choices() []string }

// documents splits a file into its documents. A syntax error ends it.
func documents(f File) ([]*yaml.Node, *decoder) {
	d := &decoder{file: f.Name}
	switch {
	case len(f.Data) > maxFileBytes:
		d.whole(fmt.Sprintf("policy file of %d bytes is over the limit of %d", len(f.Data), maxFileBytes), "")
		return nil, d
	case !utf8.Valid(f.Data):
		d.whole("not valid UTF-8", "")
		return nil, d
	}
	d.lines = strings.Split(yamlBreaks().Replace(string(f.Data)), "\n")
	dec := yaml.NewDecoder(bytes.NewReader(f.Data))
	var docs []*yaml.Node
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return docs, d
		}
		if err != nil {
			d.syntax(err)
			return nil, d
		}
		if len(n.Content) == 1 && n.Content[0].Tag == "!!null" {
			continue // nothing between two separators
		}
		if docs = append(docs, n.Content[0]); len(docs) > maxDocuments {
			d.whole(fmt.Sprintf("more than %d documents", maxDocuments), "")
			return nil, d
		}
	}
}

// syntax turns an error of the YAML parser, which carries its line in its text, into one of ours.
func (d *decoder) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, after, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				line, text = n, after
				if strings.HasPrefix(text, "did not find expected") || strings.HasPrefix(text, "found a tab character") {
					line++ // errors of the parser, unlike those of its scanner, count lines from 0
				}
			}
		}
	}
	hint := ""
	switch {
	case strings.Contains(text, "end of stream"):
		hint = "close the quote that begins there or above"
	case strings.HasPrefix(text, "mapping values are not allowed"):
		hint = "put text with a colon and a blank in quotes, or see whether the line above is indented alike"
	case strings.HasPrefix(text, "did not find expected ',' or"):
		hint = "close the bracket, put a comma between the entries, and text with a colon in quotes"
	case strings.HasPrefix(text, "found a tab character"):
		hint = "indent with blanks"
	case strings.Contains(text, "cannot start any token"):
		hint = "indent with blanks, not with tabs; put text that begins with @, %, * or a backquote in quotes"
	}
	if line < 1 || line > len(d.lines) {
		d.whole("not valid YAML: "+text, hint)
		return
	}
	d.errs = append(d.errs, &Error{
		File: d.file, Line: line, Column: 1, Problem: "not valid YAML: " + text, Hint: hint, source: d.line(line), width: len(d.line(line)),
	})
}

func (d *decoder) whole(problem, hint string) {
	d.errs = append(d.errs, &Error{File: d.file, Problem: problem, Hint: hint})
}

// yamlBreaks turns everything that YAML 1.1 counts as the end of a line into one.
func yamlBreaks() *strings.Replacer {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n", "\ufeff", "")
}

const maxShown = 240 // characters of a line

func (d *decoder) line(n int) string {
	if n < 1 || n > len(d.lines) {
		return ""
	}
	return stemma.Printable(strings.ReplaceAll(d.lines[n-1], "\t", " "), maxShown)
}

// fail records an error at a node.
func (d *decoder) fail(n *yaml.Node, hint, format string, args ...any) {
	if len(d.errs) >= maxErrors {
		return
	}
	source, width := d.line(n.Line), width(n)
	if n.Column > maxShown {
		source = "" // a caret outside of what is shown would point at nothing
	}
	if rest := utf8.RuneCountInString(source) - n.Column + 1; width > rest {
		width = rest
	}
	d.errs = append(d.errs, &Error{
		File: d.file, Line: n.Line, Column: n.Column, Problem: fmt.Sprintf(format, args...), Hint: hint, source: source, width: width,
	})
}

// failAt records an error at a path, or at n when the path was not given.
func (d *decoder) failAt(path string, n *yaml.Node, hint, format string, args ...any) {
	if at, ok := d.places[path]; ok {
		n = &yaml.Node{Kind: yaml.ScalarNode, Line: at.line, Column: at.column, Value: strings.Repeat(" ", at.width)}
	}
	d.fail(n, hint, format, args...)
}

func (d *decoder) at(n *yaml.Node, path string) {
	d.places[path] = position{d.file, n.Line, n.Column, width(n)}
}

// width is how many characters of its line a node takes, as far as it is a scalar.
func width(n *yaml.Node) int {
	switch {
	case n.Kind != yaml.ScalarNode:
		return 1
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		return utf8.RuneCountInString(n.Value) + 2
	}
	return utf8.RuneCountInString(n.Value)
}

// plain refuses the parts of YAML that let one text mean two things or grow beyond its size.
func (d *decoder) plain(n *yaml.Node, depth int) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.fail(n, "write the value out", "anchors and aliases are not allowed")
		return false
	case n.Style&yaml.TaggedStyle != 0:
		d.fail(n, "remove the tag", "tag %s is not allowed", n.Tag)
		return false
	case depth > maxDepth:
		d.fail(n, "", "nested deeper than %d", maxDepth)
		return false
	}
	for _, c := range n.Content {
		if !d.plain(c, depth+1) {
			return false
		}
	}
	return true
}

// decode fills v, a pointer to a struct, from a mapping.
func (d *decoder) decode(n *yaml.Node, v any, path string) {
	if d.places == nil {
		d.places = map[string]position{}
	}
	d.value(n, reflect.ValueOf(v).Elem(), path)
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	if c, ok := v.Addr().Interface().(custom); ok {
		c.decodeYAML(d, n, path)
		return
	}
	if c, ok := v.Interface().(chosen); ok {
		s := d.text(n, path)
		if s != "" && !slices.Contains(c.choices(), s) {
			d.fail(n, suggestion(s, c.choices()), "%s cannot be %q", last(path), s)
		}
		v.SetString(s)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path)
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			d.fail(n, "write a list: [a, b]", "%s must be a list", last(path))
			return
		}
		if len(n.Content) == 0 {
			d.fail(n, "an empty list matches nothing; remove the key or fill the list", "%s is empty", last(path))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, c := range n.Content {
			p := fmt.Sprintf("%s[%d]", path, i)
			d.at(c, p)
			d.value(c, v.Index(i), p)
		}
	case reflect.String:
		v.SetString(d.text(n, path))
	case reflect.Int:
		// Zero is what an absent value looks like, so a zero that is written could be read as "not required".
		s := d.text(n, path)
		i, err := strconv.Atoi(s)
		if (err != nil || i < 1) && s != "" {
			d.fail(n, "", "%s must be a whole number from 1, got %q", last(path), s)
			return
		}
		v.SetInt(int64(i))
	default:
		panic("policy: a field of kind " + v.Kind().String() + " has no YAML form")
	}
}

// text is a scalar as written. Numbers and booleans are taken as their text: a commit of digits stays what it is.
func (d *decoder) text(n *yaml.Node, path string) string {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.fail(n, "", "%s must be a single value", last(path))
		return ""
	case n.Tag == "!!null" || n.Value == "":
		d.fail(n, "an empty value requires nothing; remove the key or give it a value", "%s is empty", last(path))
		return ""
	case strings.ContainsFunc(n.Value, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }):
		d.fail(n, "", "%s contains a control character", last(path))
		return ""
	}
	return n.Value
}

// members walks a mapping with unique string keys.
func (d *decoder) members(n *yaml.Node, path string, visit func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "", "%s must be a block of keys", last(path))
		return
	}
	if len(n.Content) == 0 {
		d.fail(n, "an empty block requires nothing; remove it or say what is required", "%s is empty", last(path))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		switch {
		case k.Kind != yaml.ScalarNode:
			d.fail(k, "", "a key must be text")
		case k.Value == "<<":
			d.fail(k, "write the keys out", "merge keys are not allowed")
		case seen[k.Value]:
			d.fail(k, "keep one of them", "%q stands twice in %s", k.Value, last(path))
		default:
			seen[k.Value] = true
			visit(k, n.Content[i+1])
		}
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	names, fields, required := keysOf(v.Type())
	given := map[string]bool{}
	d.members(n, path, func(k, value *yaml.Node) {
		index, ok := fields[k.Value]
		if !ok {
			hint := suggestion(k.Value, names)
			d.fail(k, hint, "unknown key %q in %s", k.Value, last(path))
			for _, name := range names {
				// What was meant is said; that it is missing, too, need not be.
				given[name] = given[name] || hint == fmt.Sprintf("did you mean %q?", name)
			}
			return
		}
		given[k.Value] = true
		p := join(path, k.Value)
		d.at(k, p)
		if value.Kind == yaml.ScalarNode && value.Value != "" {
			d.at(value, p)
		}
		d.value(value, v.FieldByIndex(index), p)
	})
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return
	}
	for _, name := range required {
		if !given[name] {
			d.fail(n, "", "%s needs %q", last(path), name)
		}
	}
}

// keysOf lists the keys that a struct takes, in order. An ",inline" field contributes its own.
func keysOf(t reflect.Type) (names []string, fields map[string][]int, required []string) {
	fields = map[string][]int{}
	for i := range t.NumField() {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if option == "inline" {
			inner, at, must := keysOf(t.Field(i).Type)
			for _, n := range inner {
				names = append(names, n)
				fields[n] = append([]int{i}, at[n]...)
			}
			required = append(required, must...)
			continue
		}
		names = append(names, name)
		fields[name] = []int{i}
		if option == "required" {
			required = append(required, name)
		}
	}
	return names, fields, required
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	d.members(n, path, func(k, value *yaml.Node) {
		if !validName(k.Value) {
			d.fail(k, "use lower-case letters, digits and '-', beginning with a letter", "%q is not a name", k.Value)
			return
		}
		e := reflect.New(v.Type().Elem()).Elem()
		p := join(path, k.Value)
		d.at(k, p)
		d.value(value, e, p)
		v.SetMapIndex(reflect.ValueOf(k.Value), e)
	})
}

// validName is the form of every name that policies give to things: RFC 1123 labels, as in Kubernetes.
func validName(s string) bool {
	if s == "" || len(s) > 63 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return false
	}
	return s[0] != '-' && s[len(s)-1] != '-' && (s[0] < '0' || s[0] > '9')
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// last is the end of a path, for messages.
func last(path string) string {
	if path == "" {
		return "the document"
	}
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[i+1:]
	}
	return path
}

// suggestion names the nearest key, or lists the keys there are.
func suggestion(got string, names []string) string {
	best, at := "", 3
	for _, n := range names {
		if strings.EqualFold(n, got) {
			return fmt.Sprintf("did you mean %q?", n)
		}
		if dist := editDistance(strings.ToLower(got), strings.ToLower(n)); dist < at {
			best, at = n, dist
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "known here: " + strings.Join(names, ", ")
}

func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal, row[j] = row[j], min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// Duration is a length of time written as 90d, 12h, 30m or 45s.
type Duration time.Duration

func (v *Duration) decodeYAML(d *decoder, n *yaml.Node, path string) {
	s := d.text(n, path)
	if s == "" {
		return
	}
	var unit time.Duration
	switch s[len(s)-1] {
	case 'd':
		unit = 24 * time.Hour
	case 'h':
		unit = time.Hour
	case 'm':
		unit = time.Minute
	case 's':
		unit = time.Second
	}
	count, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if unit == 0 || err != nil || count == 0 || count > 36500*24*3600/uint64(unit/time.Second) {
		d.fail(n, "write a number and a unit: 90d, 12h, 30m", "%s must be a duration, got %q", last(path), s)
		return
	}
	*v = Duration(time.Duration(count) * unit)
}

// String is the form that the policy uses.
func (v Duration) String() string {
	t := time.Duration(v)
	switch {
	case t%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", t/(24*time.Hour))
	case t%time.Hour == 0:
		return fmt.Sprintf("%dh", t/time.Hour)
	case t%time.Minute == 0:
		return fmt.Sprintf("%dm", t/time.Minute)
	}
	return fmt.Sprintf("%ds", t/time.Second)
}

// MarshalText makes the canonical JSON of a policy carry the duration as it is written.
func (v Duration) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Date is a whole day in UTC, inclusive, written as 2027-01-31.
type Date struct{ time.Time }

func (v *Date) decodeYAML(d *decoder, n *yaml.Node, path string) {
	s := d.text(n, path)
	t, err := time.Parse(time.DateOnly, s)
	if err != nil && s != "" {
		d.fail(n, "write a day: 2027-01-31", "%s must be a date, got %q", last(path), s)
		return
	}
	v.Time = t
}

// MarshalText makes the canonical JSON of a policy carry the day.
func (v Date) MarshalText() ([]byte, error) {
	if v.IsZero() {
		return nil, nil
	}
	return []byte(v.Format(time.DateOnly)), nil
}
