package stemma

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of the strict reader. They bound memory and time whatever the input is; none can be raised.
const (
	MaxJSONBytes    = 64 << 20  // size of one document
	MaxJSONDepth    = 64        // nesting of arrays and objects
	maxJSONNodes    = 1 << 19   // values that ParseJSON keeps
	maxJSONElements = 1 << 14   // elements of one array that DecodeJSON keeps: a small text can stand for a large value
	maxJSONMembers  = 1 << 17   // names in one object
	maxJSONNames    = 1 << 18   // names that are remembered at once, of all objects that are open
	maxJSONValues   = 1 << 23   // values in one document, kept or not
	maxJSONKept     = 256 << 20 // bytes that the elements of a record take
	maxJSONQuoted   = 80        // bytes of a name that an error quotes
)

// JSONError says where and why the strict reader refused a document.
type JSONError struct {
	Offset  int    // byte offset of the offending text
	Pointer string // RFC 6901 pointer of the enclosing value, as far as it was read
	Problem string
	Limit   bool // a bound was reached, rather than a rule of the format broken
}

func (e *JSONError) Error() string {
	if e.Pointer == "" {
		return fmt.Sprintf("reading JSON at byte %d: %s", e.Offset, e.Problem)
	}
	return fmt.Sprintf("reading JSON at byte %d (%s): %s", e.Offset, e.Pointer, e.Problem)
}

// DecodeJSON decodes exactly one JSON document (RFC 8259) into v, a non-nil pointer, and refuses what two readers
// could understand differently: duplicate names at any depth, invalid UTF-8, a byte-order mark, lone surrogates,
// bytes after the document, and a name that differs from a field of v only in case.
//
// Names match `json` tags exactly. Unknown names are ignored, because the formats read here are open, but their
// values are held to the same rules. Null leaves a field as it is. Numbers are exact: an integer field takes only an
// integer literal that fits. A json.RawMessage receives the bytes as they stand, already checked; a []byte takes
// base64 (RFC 4648 section 4, with padding, canonical) and nothing else.
func DecodeJSON(data []byte, v any) error {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		return errors.New("decoding JSON: the target must be a non-nil pointer")
	}
	p := &jsonReader{data: data}
	return p.document(func() error { return p.into(rv.Elem(), 0) })
}

// DecodeRecord decodes what this program wrote, an Evidence or a Situation, into v, a non-nil pointer. It is as strict as
// DecodeJSON, and besides refuses names that are no field of v; times are RFC 3339. What is large in evidence, such as the
// packages of an SBOM, it takes as long as encoding/json does; the document is bounded by MaxJSONBytes, and what it stands
// for in memory.
func DecodeRecord(data []byte, v any) error {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		return errors.New("decoding JSON: the target must be a non-nil pointer")
	}
	p := &jsonReader{data: data, record: true}
	return p.document(func() error { return p.into(rv.Elem(), 0) })
}

// CheckJSON reports whether data is exactly one document that DecodeJSON would accept, whatever its shape.
func CheckJSON(data []byte) error {
	p := &jsonReader{data: data}
	return p.document(func() error { return p.skip(0) })
}

// JSON is one value of a document read by ParseJSON, with its place in it. A nil *JSON is a value that is not
// there: every method is defined on it and answers "absent", so a path can be followed without a check per step.
type JSON struct {
	raw    []byte
	parent *JSON
	name   string // member name, or decimal index in an array
	kids   []*JSON
}

// ParseJSON reads exactly one document under the rules of DecodeJSON and keeps its whole tree.
func ParseJSON(data []byte) (*JSON, error) {
	p := &jsonReader{data: data, nodes: maxJSONNodes}
	var root *JSON
	err := p.document(func() (err error) {
		root, err = p.tree(nil, "", 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return root, nil
}

// At follows member names and decimal array indexes; a step that does not exist yields nil.
func (j *JSON) At(path ...string) *JSON {
	for _, step := range path {
		if j == nil {
			return nil
		}
		var next *JSON
		for _, k := range j.kids {
			if k.name == step {
				next = k
				break
			}
		}
		j = next
	}
	return j
}

// Name is the member name or array index under which the value stands in its parent.
func (j *JSON) Name() string {
	if j == nil {
		return ""
	}
	return j.name
}

// Elems returns the members or elements in document order.
func (j *JSON) Elems() []*JSON {
	if j == nil {
		return nil
	}
	return j.kids
}

// Raw is the value's text as it stands in the document.
func (j *JSON) Raw() json.RawMessage {
	if j == nil {
		return nil
	}
	return j.raw
}

// Text is the value of a JSON string, or "" for anything else.
func (j *JSON) Text() string {
	if j == nil || len(j.raw) == 0 || j.raw[0] != '"' {
		return ""
	}
	s, err := unquoteJSON(j.raw)
	if err != nil {
		return "" // unreachable: the reader checked every string
	}
	return s
}

// Scalar is the text of a string, or the literal of a number or boolean: identifiers are written both ways in the
// wild, and a number is never rounded.
func (j *JSON) Scalar() string {
	if j == nil || len(j.raw) == 0 {
		return ""
	}
	switch j.raw[0] {
	case '"':
		return j.Text()
	case '{', '[', 'n':
		return ""
	}
	return string(j.raw)
}

// Bool is true only for the JSON literal true.
func (j *JSON) Bool() bool { return j != nil && string(j.raw) == "true" }

// IsObject reports whether the value is a JSON object.
func (j *JSON) IsObject() bool { return j != nil && len(j.raw) > 0 && j.raw[0] == '{' }

// IsArray reports whether the value is a JSON array.
func (j *JSON) IsArray() bool { return j != nil && len(j.raw) > 0 && j.raw[0] == '[' }

// Pointer is the RFC 6901 pointer of the value in its document: "" for the document itself.
func (j *JSON) Pointer() string {
	if j == nil || j.parent == nil {
		return ""
	}
	return j.parent.Pointer() + "/" + escapePointer(j.name)
}

func escapePointer(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// jsonReader is a recursive-descent reader. It never allocates in proportion to anything but what it keeps.
type jsonReader struct {
	data   []byte
	pos    int
	path   []jsonStep
	nodes  int
	names  int // remembered now, to find duplicates
	values int
	record bool // what is read is of a closed format, and all its names are known
	kept   int  // bytes that elements decoded so far take
	stream      // where the document comes piece by piece
}

// jsonStep is one step of a pointer: a name, or an index in an array.
type jsonStep struct {
	name  string
	index int // -1 for a name
}

func (p *jsonReader) document(read func() error) error {
	if len(p.data) > MaxJSONBytes {
		return &JSONError{Problem: fmt.Sprintf("document of %d bytes is over the limit of %d", len(p.data), MaxJSONBytes), Limit: true}
	}
	if !utf8.Valid(p.data) {
		return p.fail("invalid UTF-8")
	}
	if p.more() && bytes.HasPrefix(p.data, []byte("\xef\xbb\xbf")) {
		return p.fail("byte-order mark")
	}
	p.space()
	if !p.more() {
		return p.fail("empty document")
	}
	if err := read(); err != nil {
		return err
	}
	p.space()
	if p.more() {
		return p.fail("bytes after the document")
	}
	return p.broken
}

func (p *jsonReader) fail(format string, args ...any) error {
	if p.broken != nil {
		return p.broken // what is missing could not be read
	}
	ptr := ""
	for i, s := range p.path {
		if i == 8 {
			ptr += "/…"
			break
		}
		if s.index >= 0 {
			ptr += "/" + strconv.Itoa(s.index)
			continue
		}
		// A name may be as long as the document.
		ptr += "/" + escapePointer(s.name[:min(len(s.name), maxJSONQuoted)])
	}
	return &JSONError{Offset: p.before + p.pos, Pointer: ptr, Problem: fmt.Sprintf(format, args...)}
}

func (p *jsonReader) limit(format string, args ...any) error {
	err := p.fail(format, args...)
	if e, ok := err.(*JSONError); ok && p.broken == nil {
		e.Limit = true
	}
	return err
}

func (p *jsonReader) space() {
	for p.more() {
		switch p.data[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *jsonReader) peek() byte {
	if p.more() {
		return p.data[p.pos]
	}
	return 0
}

// object calls member for every name, after refusing a name that stands twice.
func (p *jsonReader) object(depth int, member func(name string) error) error {
	if depth >= MaxJSONDepth {
		return p.limit("nested deeper than %d", MaxJSONDepth)
	}
	p.pos++ // {
	var few []string
	var many map[string]bool
	p.space()
	if p.peek() == '}' {
		p.pos++
		return nil
	}
	for n := 0; ; n++ {
		p.space()
		if p.peek() != '"' {
			return p.fail("expected a member name")
		}
		raw, err := p.str()
		if err != nil {
			return err
		}
		name, err := unquoteJSON(raw)
		if err != nil {
			return p.fail("%v", err)
		}
		// One byte string, one meaning: readers differ on which of two equal names wins.
		switch {
		case many != nil:
			if many[name] {
				return p.fail("duplicate name %.80q", name)
			}
			many[name] = true
		default:
			for _, f := range few {
				if f == name {
					return p.fail("duplicate name %.80q", name)
				}
			}
			if few = append(few, name); len(few) > 16 {
				many = make(map[string]bool, 64)
				for _, f := range few {
					many[f] = true
				}
			}
		}
		if n >= maxJSONMembers {
			return p.limit("more than %d names in one object", maxJSONMembers)
		}
		// Objects within objects, each with as many names as one may have, would need ten times the document's size.
		if p.names++; p.names > maxJSONNames {
			return p.limit("more than %d names in the objects around one value", maxJSONNames)
		}
		p.space()
		if p.peek() != ':' {
			return p.fail("expected ':'")
		}
		p.pos++
		p.space()
		p.path = append(p.path, jsonStep{name, -1})
		if err := p.count(); err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
		p.path = p.path[:len(p.path)-1]
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
		case '}':
			p.pos++
			p.names -= n + 1
			return nil
		default:
			return p.fail("expected ',' or '}'")
		}
	}
}

func (p *jsonReader) array(depth int, elem func(i int) error) error {
	if depth >= MaxJSONDepth {
		return p.limit("nested deeper than %d", MaxJSONDepth)
	}
	p.pos++ // [
	p.space()
	if p.peek() == ']' {
		p.pos++
		return nil
	}
	for i := 0; ; i++ {
		p.space()
		p.path = append(p.path, jsonStep{index: i})
		if err := p.count(); err != nil {
			return err
		}
		if err := elem(i); err != nil {
			return err
		}
		p.path = p.path[:len(p.path)-1]
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
		case ']':
			p.pos++
			return nil
		default:
			return p.fail("expected ',' or ']'")
		}
	}
}

// count bounds the time that a document can take: values of a few bytes each cost more than their size.
func (p *jsonReader) count() error {
	if p.values++; p.values > maxJSONValues {
		return p.limit("more than %d values", maxJSONValues)
	}
	return nil
}

// skip checks one value without keeping it.
func (p *jsonReader) skip(depth int) error {
	switch c := p.peek(); {
	case c == '{':
		return p.object(depth, func(string) error { return p.skip(depth + 1) })
	case c == '[':
		return p.array(depth, func(int) error { return p.skip(depth + 1) })
	case c == '"':
		_, err := p.str()
		return err
	default:
		_, err := p.literal()
		return err
	}
}

func (p *jsonReader) tree(parent *JSON, name string, depth int) (*JSON, error) {
	if p.nodes--; p.nodes < 0 {
		return nil, p.limit("more than %d values", maxJSONNodes)
	}
	j := &JSON{parent: parent, name: name}
	start := p.pos
	add := func(name string) error {
		k, err := p.tree(j, name, depth+1)
		j.kids = append(j.kids, k)
		return err
	}
	var err error
	switch p.peek() {
	case '{':
		err = p.object(depth, add)
	case '[':
		err = p.array(depth, func(i int) error { return add(strconv.Itoa(i)) })
	default:
		err = p.skip(depth)
	}
	if err != nil {
		return nil, err
	}
	j.raw = p.data[start:p.pos:p.pos]
	return j, nil
}

// str returns the raw text of a string, quotes included, with its escapes checked.
func (p *jsonReader) str() ([]byte, error) {
	start := p.pos
	p.pos++
	for p.more() {
		switch c := p.data[p.pos]; {
		case c == '"':
			p.pos++
			raw := p.data[start:p.pos]
			if bytes.IndexByte(raw, '\\') >= 0 {
				if _, err := unquoteJSON(raw); err != nil {
					return nil, p.fail("%v", err)
				}
			}
			return raw, nil
		case c == '\\':
			p.pos += 2
		case c < 0x20:
			return nil, p.fail("control character in a string")
		default:
			p.pos++
		}
	}
	p.pos = len(p.data)
	return nil, p.fail("unterminated string")
}

func (p *jsonReader) literal() ([]byte, error) {
	start := p.pos
	for p.more() && strings.IndexByte("+-.0123456789aeEflnrstu", p.data[p.pos]) >= 0 {
		p.pos++
	}
	raw := p.data[start:p.pos]
	switch s := string(raw); {
	case s == "true" || s == "false" || s == "null":
		return raw, nil
	case validNumber(s):
		return raw, nil
	}
	p.pos = start
	return nil, p.fail("expected a value")
}

// validNumber follows the grammar of RFC 8259 section 6.
func validNumber(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	s = strings.TrimPrefix(s, "-")
	if strings.HasPrefix(s, "0") {
		s = s[1:]
	} else if !digits() {
		return false
	}
	if strings.HasPrefix(s, ".") {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}

func unquoteJSON(raw []byte) (string, error) {
	body := raw[1 : len(raw)-1]
	if bytes.IndexByte(body, '\\') < 0 {
		return string(body), nil
	}
	out := make([]byte, 0, len(body))
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			out = append(out, body[i])
			continue
		}
		if i++; i >= len(body) {
			return "", errors.New("unterminated escape")
		}
		switch c := body[i]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := hex4(body, i+1)
			if !ok {
				return "", errors.New("invalid \\u escape")
			}
			i += 4
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), false
				if i+2 < len(body) && body[i+1] == '\\' && body[i+2] == 'u' {
					low, ok = hex4(body, i+3)
				}
				// A lone surrogate is not a character; encoding/json turns it into U+FFFD, others keep it.
				if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
					return "", errors.New("lone surrogate in a string")
				}
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			return "", fmt.Errorf("invalid escape \\%c", c)
		}
	}
	return string(out), nil
}

func hex4(b []byte, at int) (rune, bool) {
	if at+4 > len(b) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[at:at+4]), 16, 16)
	return rune(n), err == nil && b[at] != '+' && b[at] != '-' && b[at] != '_'
}
