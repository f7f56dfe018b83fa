package stemma_test

import (
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"stemma"
)

// streamed reads a document that comes a byte at a time, into v or, if v is nil, past it.
func streamed(doc string, v any) error {
	return stemma.ReadJSON(iotest.OneByteReader(strings.NewReader(doc)), func(s *stemma.JSONStream) error {
		if v == nil {
			return nil
		}
		return s.Decode(v)
	})
}

// inParts reads every value of a document by itself.
func inParts(doc string) error {
	return stemma.ReadJSON(iotest.HalfReader(strings.NewReader(doc)), everything)
}

func everything(s *stemma.JSONStream) (err error) {
	switch k := s.Kind(); {
	case k == '{':
		// No name is listed: the members are skipped, and the ones of the elements are not.
		return s.Object(nil, nil)
	case k == '[':
		return s.Array(func() error { return everything(s) })
	case k == '"':
		_, err = s.Text()
	case k == '-' || k >= '0' && k <= '9':
		_, err = s.Number()
	}
	return err
}

func TestReadJSON(t *testing.T) {
	const doc = ` {"skipped":{"a":[1,{"b":"\u00e9"}]},"name":"x","list":[{"n":1.50},null,{"n":"two","m":[]}],"raw":{"k" : [ 1 ]},"none":null} `
	var got []string
	err := stemma.ReadJSON(iotest.OneByteReader(strings.NewReader(doc)), func(s *stemma.JSONStream) error {
		return s.Object([]string{"name", "list", "raw", "none", "absent"}, func(name string) error {
			switch name {
			case "name":
				text, err := s.Text()
				got = append(got, "name="+text)
				return err
			case "list":
				return s.Array(func() error {
					return s.Object([]string{"n"}, func(string) error {
						if s.Kind() == '"' {
							return nil // left alone: skipped
						}
						n, err := s.Number()
						got = append(got, "n="+n)
						return err
					})
				})
			case "raw":
				var raw json.RawMessage
				err := s.Decode(&raw)
				got = append(got, "raw="+string(raw))
				return err
			}
			text, err := s.Text()
			got = append(got, name+"="+text)
			return err
		})
	})
	if want := `name=x n=1.50 raw={"k" : [ 1 ]} none=`; err != nil || strings.Join(got, " ") != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}

	text := func(s *stemma.JSONStream) error { _, err := s.Text(); return err }
	number := func(s *stemma.JSONStream) error { _, err := s.Number(); return err }
	named := func(s *stemma.JSONStream) error {
		return s.Object([]string{"name"}, func(string) error { return text(s) })
	}
	for _, c := range []struct {
		doc, err string
		read     func(*stemma.JSONStream) error
	}{
		{`{"name":"x"}`, "", named},
		{`null`, "", named},
		{`{"Name":"x"}`, `reading JSON at byte 8 (/Name): name "Name" differs from "name" only in case`, named},
		{`{"name":1}`, `reading JSON at byte 8 (/name): expected a string`, named},
		{`{"name":"x","name":"x"}`, `reading JSON at byte 18: duplicate name "name"`, named},
		{`{"name":"x"}{}`, `reading JSON at byte 12: bytes after the document`, named},
		{`["x"]`, `reading JSON at byte 0: expected an object`, named},
		{`{"a":{"name":"x","name":"x"}}`, `reading JSON at byte 23 (/a): duplicate name "name"`, named},
		{`{}`, `reading JSON at byte 0: expected an array`, func(s *stemma.JSONStream) error { return s.Array(nil) }},
		{`true`, `reading JSON at byte 0: expected a number`, number},
		{`01`, `reading JSON at byte 0: expected a value`, number},
		{`"x"`, `reading JSON: a value is read twice`, func(s *stemma.JSONStream) error { return errors.Join(text(s), text(s)) }},
		{`1`, `reading JSON: a value is read twice`, func(s *stemma.JSONStream) error { return errors.Join(number(s), number(s)) }},
		{`{} {}`, `reading JSON: a value is read twice`, func(s *stemma.JSONStream) error { return errors.Join(named(s), named(s)) }},
		{`"x"`, `reading JSON at byte 3: no`, func(s *stemma.JSONStream) error { return errors.Join(text(s), s.Fail("no")) }},
	} {
		if err := stemma.ReadJSON(strings.NewReader(c.doc), c.read); (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: %v, want %q", c.doc, err, c.err)
		}
	}
}

// A document that cannot be read to its end is none, however much of it was there.
func TestReadJSONBroken(t *testing.T) {
	broken := errors.New("connection reset")
	for _, doc := range []string{``, `{"a":`, `{"a":1}`, `[1,2`, `"x`, `12`, `12 `} {
		r := io.MultiReader(strings.NewReader(doc), iotest.ErrReader(broken))
		if err := stemma.ReadJSON(r, func(*stemma.JSONStream) error { return nil }); !errors.Is(err, broken) {
			t.Errorf("%q: %v", doc, err)
		}
	}
	long := strings.NewReader(`"` + strings.Repeat("a", stemma.MaxJSONBytes) + `"`)
	var e *stemma.JSONError
	if err := stemma.ReadJSON(long, func(*stemma.JSONStream) error { return nil }); !errors.As(err, &e) || !e.Limit {
		t.Errorf("a document over the limit: %v", err)
	}
	if err := stemma.ReadJSON(strings.NewReader(`"`+strings.Repeat("a", stemma.MaxJSONBytes-2)+`"`), everything); err != nil {
		t.Errorf("a document at the limit: %v", err)
	}
}

// Whatever the pieces in which it comes, a document is read as the whole is: characters at the borders of pieces, too.
func TestReadJSONPieces(t *testing.T) {
	filler := strings.Repeat("a", 64<<10-8)
	for shift := range 16 {
		doc := `["` + filler[shift:] + `é€😀\ud83d\ude00","x",{"n":12345678}]`
		var want, got []any
		var texts []string
		if err := json.Unmarshal([]byte(doc), &want); err != nil {
			t.Fatal(err)
		}
		err := stemma.ReadJSON(strings.NewReader(doc), func(s *stemma.JSONStream) error {
			return s.Array(func() error {
				if s.Kind() != '"' {
					return s.Object([]string{"n"}, func(string) error {
						n, err := s.Number()
						texts = append(texts, n)
						return err
					})
				}
				text, err := s.Text()
				got = append(got, text)
				return err
			})
		})
		if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] || len(texts) != 1 || texts[0] != "12345678" {
			t.Errorf("shift %d: %d values, %q, %v", shift, len(got), texts, err)
		}
		for _, bad := range []string{"\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xed\xa0\x80", "\x80\x80\x80\x80"} {
			doc := `["` + filler[shift:] + bad + `"]`
			if err := stemma.ReadJSON(strings.NewReader(doc), everything); err == nil || !strings.HasSuffix(err.Error(), "invalid UTF-8") {
				t.Errorf("shift %d, %q: %v", shift, bad, err)
			}
		}
	}
}

// A document of 48 MiB is read within 1 MiB, where nothing of it is kept.
func TestReadJSONMemory(t *testing.T) {
	element := `{"name":"` + strings.Repeat("n", 480) + `","v":[1,2,3]},`
	n := 48 << 20 / len(element)
	doc := io.MultiReader(strings.NewReader(`{"list":[`), &repeated{text: element, n: n}, strings.NewReader(`null],"end":true}`))
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most, read := uint64(0), 0
	err := stemma.ReadJSON(doc, func(s *stemma.JSONStream) error {
		return s.Object([]string{"list"}, func(string) error {
			return s.Array(func() error {
				if read++; read%20000 == 0 {
					runtime.GC()
					runtime.ReadMemStats(&now)
					most = max(most, now.HeapAlloc-min(now.HeapAlloc, before.HeapAlloc))
				}
				return s.Object([]string{"name"}, func(string) error { _, err := s.Text(); return err })
			})
		})
	})
	if err != nil || read != n+1 || most > 1<<20 {
		t.Errorf("%d elements within %d bytes, %v", read, most, err)
	}
}

type repeated struct {
	text string
	n    int
	rest string
}

func (r *repeated) Read(b []byte) (int, error) {
	if r.rest == "" {
		if r.n == 0 {
			return 0, io.EOF
		}
		r.rest, r.n = r.text, r.n-1
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// FuzzReadJSON: a stream is accepted exactly when the whole is, whatever the pieces.
func FuzzReadJSON(f *testing.F) {
	jsonSeeds(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		want := stemma.CheckJSON(doc)
		for name, err := range map[string]error{"past": streamed(string(doc), nil), "in parts": inParts(string(doc)), "raw": streamed(string(doc), new(json.RawMessage))} {
			if (err == nil) != (want == nil) {
				t.Errorf("%s: %v; the whole: %v", name, err, want)
			}
		}
	})
}
