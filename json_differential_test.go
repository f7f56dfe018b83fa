package stemma_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"stemma"
)

// standard decodes exactly one document with encoding/json, numbers kept.
func standard(doc []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	return v, nil
}

// plain is a tree as encoding/json would decode it.
func plain(j *stemma.JSON) any {
	switch {
	case j.IsObject():
		m := map[string]any{}
		for _, k := range j.Elems() {
			m[k.Name()] = plain(k)
		}
		return m
	case j.IsArray():
		a := []any{}
		for _, k := range j.Elems() {
			a = append(a, plain(k))
		}
		return a
	}
	switch raw := string(j.Raw()); raw {
	case "null":
		return nil
	case "true", "false":
		return j.Bool()
	default:
		if raw[0] == '"' {
			return j.Text()
		}
		return json.Number(j.Scalar())
	}
}

// agree checks that what a strict reader takes, encoding/json takes too, and for the same value.
func agree(t interface {
	Helper()
	Fatalf(string, ...any)
}, doc []byte,
) (accepted bool) {
	t.Helper()
	j, err := stemma.ParseJSON(doc)
	check := stemma.CheckJSON(doc)
	if (err == nil) != (check == nil) {
		var e *stemma.JSONError
		if !errors.As(err, &e) || !e.Limit {
			t.Fatalf("%q: ParseJSON %v, CheckJSON %v", doc, err, check)
		}
	}
	if err != nil {
		if j != nil {
			t.Fatalf("%q: an error and a tree", doc)
		}
		return false
	}
	want, err := standard(doc)
	if err != nil {
		t.Fatalf("%q was taken, and encoding/json says %v", doc, err)
	}
	if diff := cmp.Diff(want, plain(j)); diff != "" {
		t.Fatalf("%q (-encoding/json +tree):\n%s", doc, diff)
	}
	// Into a struct, names are matched exactly and null changes nothing, as in encoding/json but for case.
	var mine, theirs open
	if err := stemma.DecodeJSON(doc, &mine); err != nil {
		return true
	}
	if err := json.Unmarshal(doc, &theirs); err != nil {
		t.Fatalf("%q was decoded, and encoding/json says %v", doc, err)
	}
	if diff := cmp.Diff(normal(theirs), normal(mine), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%q (-encoding/json +stemma):\n%s", doc, diff)
	}
	return true
}

// normal takes away the one difference that is meant: encoding/json writes null into a RawMessage, which is left as it
// is here.
func normal(o open) open {
	if string(o.Raw) == "null" {
		o.Raw = nil
	}
	for i := range o.List {
		o.List[i] = normal(o.List[i])
	}
	if o.Ptr != nil {
		p := normal(*o.Ptr)
		o.Ptr = &p
	}
	return o
}

// document draws the text of a JSON value, sometimes with a flaw.
func document(t *rapid.T, depth int) string {
	space := rapid.SampledFrom([]string{"", "", "", " ", "\n", "\t\r"})
	text := rapid.OneOf(
		rapid.SampledFrom([]string{`"text"`, `"int"`, `"Text"`, `"list"`, `"map"`, `"ptr"`, `"raw"`, `"bytes"`, `"small"`, `"bool"`, `"YWI="`, `""`, `"\u0074ext"`, `"\ud83d\ude00"`, `"\ud83d"`, `"é"`, `"a\tb"`}),
		rapid.Map(rapid.String(), func(s string) string { b, _ := json.Marshal(s); return string(b) }),
	)
	kinds := 5
	if depth > 0 {
		kinds = 9
	}
	body := ""
	switch n := rapid.IntRange(0, kinds).Draw(t, "kind"); n {
	case 0, 1:
		body = text.Draw(t, "text")
	case 2:
		body = rapid.SampledFrom([]string{"0", "-0", "1", "-7", "1.5", "1e3", "1E+3", "9007199254740993", "9223372036854775808", "1e400", "01", "1.", "+1", "-"}).Draw(t, "number")
	case 3, 4, 5:
		body = rapid.SampledFrom([]string{"true", "false", "null", "null", "nul", "True"}).Draw(t, "word")
	case 6, 7:
		parts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return document(t, depth-1) }), 0, 4).Draw(t, "elements")
		body = "[" + strings.Join(parts, ",") + "]"
	default:
		parts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return text.Draw(t, "name") + space.Draw(t, "space") + ":" + document(t, depth-1)
		}), 0, 5).Draw(t, "members")
		body = "{" + strings.Join(parts, ",") + "}"
	}
	return space.Draw(t, "before") + body + space.Draw(t, "after")
}

// TestDifferential: of random documents, those that the strict readers take mean the same to encoding/json.
func TestDifferential(t *testing.T) {
	taken, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			doc := []byte(document(t, 4))
			if rapid.IntRange(0, 9).Draw(t, "flaw") == 0 && len(doc) > 0 {
				doc[rapid.IntRange(0, len(doc)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			}
			if agree(t, doc) {
				taken++
			} else {
				refused++
			}
		}
	})
	t.Logf("%d taken, %d refused", taken, refused)
	if taken == 0 || refused == 0 {
		t.Error("one of the two was not tried")
	}
}

func jsonSeeds(f *testing.F) {
	for _, s := range []string{
		`{"text":"a","int":1,"list":[{"bool":true}],"map":{"a":"b"},"bytes":"YWI=","raw":{"x":[1]},"ptr":{"small":2}}`,
		`{"text":"a","text":"b"}`, `[1e400,-0,"\ud83d\ude00"]`, "\xef\xbb\xbf{}", `{"a":1}{}`, `{"Text":1}`, `"\ud800"`, `[[[[]]]]`,
	} {
		f.Add([]byte(s))
	}
}

func FuzzParseJSON(f *testing.F) {
	jsonSeeds(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		if agree(t, doc) && !utf8.Valid(doc) {
			t.Fatalf("%q was taken", doc)
		}
	})
}

func FuzzDecodeJSON(f *testing.F) {
	jsonSeeds(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		var o open
		if err := stemma.DecodeJSON(doc, &o); err != nil {
			return
		}
		if err := stemma.CheckJSON(doc); err != nil {
			t.Fatalf("%q was decoded, and is refused: %v", doc, err)
		}
		// What was understood, written and read again is the same.
		again, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var p open
		if err := stemma.DecodeJSON(again, &p); err != nil {
			t.Fatalf("%q, written as %q: %v", doc, again, err)
		}
	})
}
