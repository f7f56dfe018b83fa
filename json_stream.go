package stemma

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// streamChunk is how many bytes are read at once.
const streamChunk = 64 << 10

// stream is the part of a jsonReader that reads on when its window of the document is used up. What is in the window is
// valid UTF-8, and it moves only where nobody remembers a position: see release.
type stream struct {
	src    io.Reader
	before int    // bytes of the document before the window
	rest   []byte // begun UTF-8 sequence behind the window
	broken error  // why it could not be read to its end
}

// more reports whether there is a byte at hand.
func (p *jsonReader) more() bool { return p.pos < len(p.data) || p.src != nil && p.fill() }

// fill makes the window longer.
func (p *jsonReader) fill() bool {
	for p.pos >= len(p.data) && p.src != nil {
		p.data = slices.Grow(p.data, streamChunk)
		b := p.data[len(p.data) : len(p.data)+streamChunk]
		held := copy(b, p.rest)
		n, err := io.ReadFull(p.src, b[held:])
		b = b[:held+n]
		if err != nil {
			p.src = nil
			if err != io.EOF && err != io.ErrUnexpectedEOF {
				p.broken = fmt.Errorf("reading JSON: %w", err)
				return false
			}
		}
		whole := len(b)
		if p.src != nil {
			whole -= begunRune(b)
		}
		if !utf8.Valid(b[:whole]) {
			p.src, p.broken = nil, p.fail("invalid UTF-8")
			return false
		}
		p.rest = append(p.rest[:0], b[whole:]...)
		p.data = p.data[:len(p.data)+whole]
		if p.before+len(p.data) > MaxJSONBytes {
			p.src, p.broken = nil, p.limit("document over the limit of %d bytes", MaxJSONBytes)
			p.data = p.data[:min(p.pos, len(p.data))]
			return false
		}
	}
	return p.pos < len(p.data)
}

// begunRune is how many bytes at the end of b may be the beginning of a UTF-8 sequence.
func begunRune(b []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if utf8.RuneStart(b[len(b)-i]) {
			if utf8.FullRune(b[len(b)-i:]) {
				return 0
			}
			return i
		}
	}
	return 0
}

// release forgets what was read. It is called between values that nobody keeps, and moves what is left of the window
// only once half a chunk was read, so that the bytes moved are never many more than those read.
func (p *jsonReader) release() {
	if p.src == nil || p.pos < streamChunk/2 {
		return
	}
	n := copy(p.data, p.data[min(p.pos, len(p.data)):])
	p.before, p.pos, p.data = p.before+p.pos, 0, p.data[:n]
}

// JSONStream reads one document piece by piece, under all rules and limits of [DecodeJSON], and holds no more of it than
// the value that is decoded at the moment. A problem may be found after values before it were handed out: what was read
// counts only when [ReadJSON] returns no error.
type JSONStream struct {
	p     *jsonReader
	depth int
	taken bool // the value at hand was read
}

// ReadJSON reads exactly one document from r. read is called with the document as the value at hand.
func ReadJSON(r io.Reader, read func(*JSONStream) error) error {
	s := &JSONStream{p: &jsonReader{stream: stream{src: r}}}
	return s.p.document(func() error { return s.value(0, func() error { return read(s) }) })
}

// value has one value read, by read or, when that leaves it alone, by nobody.
func (s *JSONStream) value(depth int, read func() error) error {
	outer := s.depth
	s.depth, s.taken = depth, false
	if err := read(); err != nil {
		return err
	}
	if !s.taken {
		if err := s.skip(depth); err != nil {
			return err
		}
	}
	s.p.release()
	s.depth = outer
	return nil
}

func (s *JSONStream) skip(depth int) error {
	next := func() error {
		err := s.skip(depth + 1)
		s.p.release()
		return err
	}
	switch s.p.peek() {
	case '{':
		return s.p.object(depth, func(string) error { return next() })
	case '[':
		return s.p.array(depth, func(int) error { return next() })
	}
	return s.p.skip(depth)
}

// begin reports whether the value at hand is of the kind that begins with open. Null is none, and no error.
func (s *JSONStream) begin(open byte, want string) (bool, error) {
	if s.taken {
		return false, errors.New("reading JSON: a value is read twice")
	}
	switch s.p.peek() {
	case open:
		return true, nil
	case 'n':
		_, err := s.p.literal()
		s.taken = true
		return false, err
	}
	return false, s.p.fail("expected %s", want)
}

// Kind is the first byte of the value at hand: '{', '[', '"', 't', 'f', 'n', '-' or a digit.
func (s *JSONStream) Kind() byte { return s.p.peek() }

// Object reads the object at hand: member is called for each member that names lists, with its value at hand. A value
// that it does not read is skipped, like those of all other members. A name that differs from a listed one only in case is
// refused. Null is an object without members.
func (s *JSONStream) Object(names []string, member func(name string) error) error {
	ok, err := s.begin('{', "an object")
	if !ok {
		return err
	}
	depth := s.depth
	err = s.p.object(depth, func(name string) error {
		for _, n := range names {
			if n == name {
				return s.value(depth+1, func() error { return member(n) })
			}
			if strings.EqualFold(n, name) {
				return s.p.fail("name %.80q differs from %q only in case", name, n)
			}
		}
		err := s.skip(depth + 1)
		s.p.release()
		return err
	})
	s.taken = true
	return err
}

// Array reads the array at hand: elem is called for each element, with the element at hand. Null is an empty array.
func (s *JSONStream) Array(elem func() error) error {
	ok, err := s.begin('[', "an array")
	if !ok {
		return err
	}
	depth := s.depth
	err = s.p.array(depth, func(int) error { return s.value(depth+1, elem) })
	s.taken = true
	return err
}

// Text reads the string at hand. Null is "".
func (s *JSONStream) Text() (string, error) {
	ok, err := s.begin('"', "a string")
	if !ok {
		return "", err
	}
	s.taken = true
	return s.p.stringValue()
}

// Number reads the number at hand as it is written. Null is "".
func (s *JSONStream) Number() (string, error) {
	if s.taken {
		return "", errors.New("reading JSON: a value is read twice")
	}
	s.taken = true
	start := s.p.pos
	raw, err := s.p.literal()
	switch {
	case err != nil:
		return "", err
	case raw[0] == 'n':
		return "", nil
	case !validNumber(string(raw)):
		s.p.pos = start
		return "", s.p.fail("expected a number")
	}
	return string(raw), nil
}

// Decode reads the value at hand as [DecodeJSON] does. A json.RawMessage is valid until the next value is read.
func (s *JSONStream) Decode(v any) error {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() || s.taken {
		return errors.New("decoding JSON: the target must be a non-nil pointer, and the value not read yet")
	}
	s.taken = true
	return s.p.into(rv.Elem(), s.depth)
}

// Fail is an error about the value at hand, or the one just read.
func (s *JSONStream) Fail(format string, args ...any) error { return s.p.fail(format, args...) }

// Limit is Fail for a bound that was reached.
func (s *JSONStream) Limit(format string, args ...any) error { return s.p.limit(format, args...) }
