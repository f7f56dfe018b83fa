package stemma_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stemma"
)

// open is a target with every kind of field that the reader fills.
type open struct {
	Text  string            `json:"text"`
	Int   int64             `json:"int"`
	Small int32             `json:"small"`
	Bool  bool              `json:"bool"`
	Bytes []byte            `json:"bytes"`
	Raw   json.RawMessage   `json:"raw"`
	List  []open            `json:"list"`
	Map   map[string]string `json:"map"`
	Ptr   *open             `json:"ptr"`
}

// refusedBy checks that every reader refuses a document, for one problem.
func refusedBy(t *testing.T, doc, problem string, limit bool) {
	t.Helper()
	var o open
	var raw json.RawMessage
	_, tree := stemma.ParseJSON([]byte(doc))
	for name, err := range map[string]error{
		"DecodeJSON": stemma.DecodeJSON([]byte(doc), &o), "DecodeJSON into raw": stemma.DecodeJSON([]byte(doc), &raw),
		"CheckJSON": stemma.CheckJSON([]byte(doc)), "ParseJSON": tree,
		"ReadJSON": streamed(doc, nil), "ReadJSON into raw": streamed(doc, &raw), "ReadJSON of parts": inParts(doc),
	} {
		var e *stemma.JSONError
		if !errors.As(err, &e) {
			t.Errorf("%s of %.60q: %v", name, doc, err)
			continue
		}
		if e.Problem != problem || e.Limit != limit {
			t.Errorf("%s of %.60q: %q (limit %v), want %q", name, doc, e.Problem, e.Limit, problem)
		}
		if len(err.Error()) > 2000 {
			t.Errorf("%s of %.60q: an error of %d bytes", name, doc, len(err.Error()))
		}
	}
}

func taken(t *testing.T, doc string) {
	t.Helper()
	var o open
	if err := stemma.DecodeJSON([]byte(doc), &o); err != nil {
		t.Errorf("DecodeJSON of %.60q: %v", doc, err)
	}
	if _, err := stemma.ParseJSON([]byte(doc)); err != nil {
		t.Errorf("ParseJSON of %.60q: %v", doc, err)
	}
	if err := streamed(doc, &o); err != nil {
		t.Errorf("ReadJSON of %.60q: %v", doc, err)
	}
	if err := inParts(doc); err != nil {
		t.Errorf("ReadJSON of %.60q, in parts: %v", doc, err)
	}
}

// Two readers take different ones of two equal names. Source: CVE-2026-44309 (gitsign).
func TestReg_J01_duplicate_names(t *testing.T) {
	taken(t, `{"raw":{"a":1,"b":{"a":1}},"list":[{"text":"x"},{"text":"x"}]}`)
	for doc, name := range map[string]string{
		`{"text":"a","text":"a"}`:                     "text",
		`{"text":"a","\u0074ext":"b"}`:                "text",
		`{"unknown":1,"unknown":1}`:                   "unknown",
		`{"":1,"":1}`:                                 "",
		`{"unknown":{"deep":[{"a":1,"a":2}]}}`:        "a",
		`{"raw":{"a":[[{"b":{},"b":{}}]]}}`:           "b",
		`{"list":[{"list":[{"text":"","text":""}]}]}`: "text",
		`{"map":{"x":"1","x":"1"}}`:                   "x",
		`{"ptr":{"ptr":{"int":1,"int":1}}}`:           "int",
	} {
		refusedBy(t, doc, fmt.Sprintf("duplicate name %q", name), false)
	}
	// The way of remembering names changes with their number.
	for _, n := range []int{15, 16, 17, 18, 300} {
		var doc strings.Builder
		for i := range n {
			fmt.Fprintf(&doc, `"n%d":%d,`, i, i)
		}
		taken(t, "{"+doc.String()+`"last":0}`)
		for _, again := range []int{0, n / 2, n - 1} {
			refusedBy(t, "{"+doc.String()+fmt.Sprintf(`"n%d":0}`, again), fmt.Sprintf("duplicate name %q", "n"+strconv.Itoa(again)), false)
		}
	}
	// A name of 1 MiB is quoted in part.
	long := strings.Repeat("x", 1<<20)
	refusedBy(t, `{"`+long+`":{"`+long+`":1,"`+long+`":2}}`, fmt.Sprintf("duplicate name %.80q", long), false)
}

// A name in another case is a field to one reader and nothing to the next. Source: Trail of Bits, parsers.
func TestReg_J02_case_of_names(t *testing.T) {
	for doc, problem := range map[string]string{
		`{"Text":"x"}`:                     `name "Text" differs from "text" only in case`,
		`{"TEXT":"x","text":"y"}`:          `name "TEXT" differs from "text" only in case`,
		`{"text":"y","teXt":"x"}`:          `name "teXt" differs from "text" only in case`,
		`{"liſt":[]}`:                      `name "liſt" differs from "list" only in case`,
		`{"ptr":{"Int":1}}`:                `name "Int" differs from "int" only in case`,
		`{"list":[{},{"\u0042ool":true}]}`: `name "Bool" differs from "bool" only in case`,
	} {
		var o open
		var e *stemma.JSONError
		if err := stemma.DecodeJSON([]byte(doc), &o); !errors.As(err, &e) || e.Problem != problem {
			t.Errorf("%s: %v, want %s", doc, err, problem)
		}
		j, err := stemma.ParseJSON([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if got := j.At("text").Text(); got == "x" {
			t.Errorf("%s: another name was taken for text", doc)
		}
	}
	var o open
	if err := stemma.DecodeJSON([]byte(`{"text ":"x","texts":"x","raw":{"Text":1,"text":2}}`), &o); err != nil || o.Text != "" {
		t.Errorf("%q, %v", o.Text, err)
	}
}

// Null leaves a field as it is, wherever it stands, and never panics. Source: panics of rekor, go-tuf and kyverno.
func TestReg_J03_null(t *testing.T) {
	want := open{Text: "a", Int: 1, Small: 2, Bool: true, Bytes: []byte("b"), Raw: json.RawMessage("3"), Map: map[string]string{"a": "b"}}
	got := want
	if err := stemma.DecodeJSON([]byte(`{"text":null,"int":null,"small":null,"bool":null,"bytes":null,"raw":null,"list":null,"map":null,"ptr":null}`), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := stemma.DecodeJSON([]byte(`{"list":[null,{"text":"x"}],"map":{"k":null}}`), &got); err != nil || len(got.List) != 2 || got.List[0].Text != "" || got.Map["k"] != "" {
		t.Errorf("%v, %v", got, err)
	}
	if err := stemma.DecodeJSON([]byte(`null`), &got); err != nil || got.Text != "a" {
		t.Errorf("%v, %v", got, err)
	}
	for _, doc := range []string{"nul", "nulll", "n", "{\"text\":nul}", "NULL"} {
		if err := stemma.CheckJSON([]byte(doc)); err == nil {
			t.Errorf("%q was taken", doc)
		}
	}
	for _, v := range []any{nil, open{}, (*open)(nil)} {
		if err := stemma.DecodeJSON([]byte(`{}`), v); err == nil || err.Error() != "decoding JSON: the target must be a non-nil pointer" {
			t.Errorf("into %T: %v", v, err)
		}
	}
	var none *stemma.JSON
	if none.At("a", "0").Text() != "" || none.Scalar() != "" || none.Pointer() != "" || none.Bool() || none.IsObject() || none.IsArray() || none.Elems() != nil || none.Raw() != nil || none.Name() != "" {
		t.Error("a value that is not there is something")
	}
}

// Every value of another type than the field's is an error. Source: conforma IV-3.
func TestReg_J04_types(t *testing.T) {
	values := map[string]string{
		"string": `"x"`, "number": `7`, "fraction": `1.5`, "bool": `true`, "array": `[7]`, "object": `{"a":7}`,
	}
	accepts := map[string]string{
		"text": "string", "int": "number", "small": "number", "bool": "bool", "raw": "string number fraction bool array object",
	}
	for _, field := range []string{"text", "int", "small", "bool", "bytes", "raw", "list", "map", "ptr"} {
		for kind, value := range values {
			want := strings.Contains(accepts[field], kind) || field == "ptr" && kind == "object"
			var o open
			err := stemma.DecodeJSON([]byte(`{"`+field+`":`+value+`}`), &o)
			if (err == nil) != want {
				t.Errorf("%s of %s: %v", field, kind, err)
			}
		}
	}
}

// Depth is bounded before the stack is. Source: GHSA-74fp (apimachinery).
func TestReg_J05_depth(t *testing.T) {
	nest := func(open, inner, end string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	taken(t, `{"raw":`+nest("[", "", "]", stemma.MaxJSONDepth-1)+`}`)
	taken(t, `{"raw":`+nest(`{"a":`, "1", "}", stemma.MaxJSONDepth-1)+`}`)
	for _, doc := range []string{
		`{"raw":` + nest("[", "", "]", stemma.MaxJSONDepth) + `}`,
		`{"raw":` + nest(`{"a":`, "1", "}", stemma.MaxJSONDepth) + `}`,
		`{"raw":` + nest("[", "", "]", 100000) + `}`,
		`{"unknown":` + nest(`{"a":[`, "", "]}", 100000) + `}`,
		`{"raw":` + strings.Repeat("[", 100000),
		nest(`{"ptr":`, "null", "}", 100000),
		nest(`{"list":[`, "", "]}", 100000),
	} {
		refusedBy(t, doc, "nested deeper than 64", true)
	}
}

// Numbers are exact or refused. Source: protobuf Struct, float64.
func TestReg_J06_numbers(t *testing.T) {
	for literal, want := range map[string]string{
		"0": "", "9007199254740993": "", "-9223372036854775808": "", "9223372036854775807": "",
		"9223372036854775808": "expected an integer of 64 bits, got 9223372036854775808",
		"1e400":               "expected an integer of 64 bits, got 1e400",
		"1e2":                 "expected an integer of 64 bits, got 1e2",
		"1.0":                 "expected an integer of 64 bits, got 1.0",
		"-0":                  "expected an integer of 64 bits, got -0",
		"01":                  "expected a value", "-": "expected a value", "+1": "expected a value", ".5": "expected a value",
		"1.": "expected a value", "1e": "expected a value", "1e+": "expected a value", "--1": "expected a value",
		"0x10": "expected a value", "1_000": "expected ',' or '}'", "NaN": "expected a value", "Infinity": "expected a value",
	} {
		var o open
		err := stemma.DecodeJSON([]byte(`{"int":`+literal+`}`), &o)
		var e *stemma.JSONError
		switch {
		case want == "" && (err != nil || strconv.FormatInt(o.Int, 10) != literal):
			t.Errorf("%s: %d, %v", literal, o.Int, err)
		case want != "" && (!errors.As(err, &e) || e.Problem != want && !(want == "expected a value" && strings.HasPrefix(e.Problem, "expected "))):
			t.Errorf("%s: %v, want %s", literal, err, want)
		}
	}
	var o open
	if err := stemma.DecodeJSON([]byte(`{"small":2147483648}`), &o); err == nil {
		t.Errorf("2^31 in 32 bits: %d", o.Small)
	}
	// A tree keeps the literal.
	for _, literal := range []string{"1e400", "9223372036854775808", "-0", "9007199254740993", "0.1000000000000000055511151231257827"} {
		j, err := stemma.ParseJSON([]byte(`{"id":` + literal + `}`))
		if err != nil || j.At("id").Scalar() != literal || j.At("id").Text() != "" {
			t.Errorf("%s: %q, %v", literal, j.At("id").Scalar(), err)
		}
	}
}

func TestReg_J07_encoding(t *testing.T) {
	for doc, problem := range map[string]string{
		"\xef\xbb\xbf{}":            "byte-order mark",
		"{\"text\":\"\x00\"}":       "control character in a string",
		"{\"text\":\"a\nb\"}":       "control character in a string",
		"{\"text\":\"\\\n\"}":       `invalid escape \` + "\n",
		"{\"a\":1}\x00":             "bytes after the document",
		"{\x00\"a\":1}":             "expected a member name",
		"{\"text\":\"\xff\"}":       "invalid UTF-8",
		"{\"text\":\"\xc0\xaf\"}":   "invalid UTF-8",
		"{\"\xed\xa0\x80\":1}":      "invalid UTF-8",
		`{"text":"\ud800"}`:         "lone surrogate in a string",
		`{"text":"\udc00"}`:         "lone surrogate in a string",
		`{"text":"\ud800\u0041"}`:   "lone surrogate in a string",
		`{"text":"\ud800\ud800"}`:   "lone surrogate in a string",
		`{"text":"\udc00\ud800"}`:   "lone surrogate in a string",
		`{"text":"\ud800\n\udc00"}`: "lone surrogate in a string",
		`{"\ud800":1}`:              "lone surrogate in a string",
		`{"unknown":["\ud800"]}`:    "lone surrogate in a string",
		`{"text":"\u12"}`:           `invalid \u escape`,
		`{"text":"\u+123"}`:         `invalid \u escape`,
		`{"text":"\u12_3"}`:         `invalid \u escape`,
		`{"text":"\x41"}`:           `invalid escape \x`,
		`{"text":"\`:                "unterminated string",
		`{"text":"\"`:               "unterminated string",
		`{"text":"abc`:              "unterminated string",
		"\ufeff":                    "byte-order mark",
		"{\u00a0}":                  "expected a member name",
		"[1\v]":                     "expected ',' or ']'",
	} {
		if strings.HasPrefix(doc, "[") {
			if err := stemma.CheckJSON([]byte(doc)); err == nil {
				t.Errorf("%q was taken", doc)
			}
			continue
		}
		refusedBy(t, doc, problem, false)
	}
	for doc, want := range map[string]string{
		`{"text":"\ud83d\ude00"}`: "😀", `{"text":"\u0000"}`: "\x00", `{"text":"\/\b\f\n\r\t\"\\"}`: "/\b\f\n\r\t\"\\",
		`{"text":"\uFFFD"}`: "\ufffd", `{"text":"\uABCD\uabcd"}`: "\uabcd\uabcd", "{\"text\":\"e\u0301\"}": "e\u0301", "{\"text\":\"\u00e9\"}": "\u00e9",
	} {
		var o open
		if err := stemma.DecodeJSON([]byte(doc), &o); err != nil || o.Text != want {
			t.Errorf("%s: %q, %v", doc, o.Text, err)
		}
	}
}

func TestReg_J08_trailing(t *testing.T) {
	taken(t, " \t\r\n{} \t\r\n")
	for doc, problem := range map[string]string{
		`{}{}`: "bytes after the document", `{} x`: "bytes after the document", "{}\n{}": "bytes after the document", `{}]`: "bytes after the document",
		`{},`: "bytes after the document", `{}//`: "bytes after the document", ``: "empty document", ` `: "empty document",
		`{"a":1,}`: "expected a member name", `{"a" 1}`: "expected ':'", `{"a":1 "b":2}`: "expected ',' or '}'", `{a:1}`: "expected a member name",
		`{'a':1}`: "expected a member name", `{"a":}`: "expected a value", `{`: "expected a member name", `{"a":[1,]}`: "expected a value",
		`{"a":[1 2]}`: "expected ',' or ']'", `{"a":[,]}`: "expected a value", `{"a":tru}`: "expected a value", `{"a":True}`: "expected a value",
	} {
		refusedBy(t, doc, problem, false)
	}
}

// One spelling for one sequence of bytes. Source: securesystemslib, b64Decode of DSSE.
func TestReg_J09_base64(t *testing.T) {
	for s, want := range map[string]string{"": "", "AA==": "\x00", "+/+/": "\xfb\xff\xbf", "YWI=": "ab", "YWJj": "abc"} {
		var o open
		if err := stemma.DecodeJSON([]byte(`{"bytes":"`+s+`"}`), &o); err != nil || string(o.Bytes) != want {
			t.Errorf("%q: %q, %v", s, o.Bytes, err)
		}
	}
	for _, s := range []string{"AA", "AA=", "AB==", "-_-_", `YW\nJj`, `YW\r\nJj`, "YW Jj", "YWJj=", "YWI=YWI=", "=", "YWJ", "YWK=x", `YWI\u003d\u003d`, "ÿ"} {
		var o open
		if err := stemma.DecodeJSON([]byte(`{"bytes":"`+s+`"}`), &o); err == nil {
			t.Errorf("%q was taken for %q", s, o.Bytes)
		}
	}
	for s, want := range map[string]string{"YW\nJj": "line break in base64", "AA": "decoding base64: illegal base64 data at input byte 0"} {
		if _, err := stemma.DecodeBase64(s); err == nil || err.Error() != want {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// TestPointers: an error names its place, and so does every value of a tree.
func TestPointers(t *testing.T) {
	for doc, want := range map[string]string{
		`{"list":[{},{"text":7}]}`:            "reading JSON at byte 20 (/list/1/text): expected a string",
		`{"raw":{"a/b":{"~":[1,{"x":tru}]}}}`: "reading JSON at byte 27 (/raw/a~1b/~0/1/x): expected a value",
		`[`:                                   "reading JSON at byte 0: expected an object",
	} {
		var o open
		if err := stemma.DecodeJSON([]byte(doc), &o); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", doc, err, want)
		}
	}
	j, err := stemma.ParseJSON([]byte(`{"a/b":{"~":[1,{"":"x"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	x := j.At("a/b", "~", "1", "")
	if x.Text() != "x" || x.Pointer() != "/a~1b/~0/1/" || x.Name() != "" || string(j.At("a/b", "~").Raw()) != `[1,{"":"x"}]` {
		t.Errorf("%q at %s", x.Text(), x.Pointer())
	}
	if j.At("a/b", "~", "2") != nil || j.At("a/b", "~", "01") != nil || j.At("a", "b") != nil {
		t.Error("a step that does not exist leads somewhere")
	}
}

// allocated returns the bytes that f allocates, those included that are free again.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestHostileDocuments: whatever stands in a document of the greatest size, memory stays within a few times that size,
// and a limit says so.
func TestHostileDocuments(t *testing.T) {
	if testing.Short() {
		t.Skip("documents of 64 MiB")
	}
	fill := func(begin, unit, end string) []byte {
		n := (stemma.MaxJSONBytes - len(begin) - len(end)) / len(unit)
		return []byte(begin + strings.Repeat(unit, n) + end)
	}
	names := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"%x":0,`, i)
		}
		return b.String()
	}
	wide := names(1 << 16)
	for _, c := range []struct {
		name, problem string
		doc           []byte
	}{
		{"empty arrays", "more than 8388608 values", fill("[", "[],", "[]]")},
		{"zeros", "more than 8388608 values", fill("[", "0,", "0]")},
		{"objects", "more than 8388608 values", fill("[", "{},", "{}]")},
		{"one array in another", "nested deeper than 64", fill("", "[", "")},
		{"names", "more than 131072 names in one object", []byte("{" + names(1<<20) + `"x":0}`)},
		{"names of objects around one value", "more than 262144 names in the objects around one value", []byte(strings.Repeat("{"+wide+`"in":`, 60) + "0" + strings.Repeat("}", 60))},
		{"over the size", "document of 67108865 bytes is over the limit of 67108864", bytes.Repeat([]byte(" "), stemma.MaxJSONBytes+1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			for reader, read := range map[string]func() error{
				"CheckJSON":  func() error { return stemma.CheckJSON(c.doc) },
				"DecodeJSON": func() error { var raw json.RawMessage; return stemma.DecodeJSON(c.doc, &raw) },
				"ParseJSON":  func() error { _, err := stemma.ParseJSON(c.doc); return err },
			} {
				var err error
				total := allocated(func() { err = read() })
				var e *stemma.JSONError
				if !errors.As(err, &e) || !e.Limit || e.Problem != c.problem && !(reader == "ParseJSON" && e.Problem == "more than 524288 values") {
					t.Errorf("%s: %v, want %s", reader, err, c.problem)
				}
				t.Logf("%s allocates %d MiB in all", reader, total>>20)
				if total > 512<<20 {
					t.Errorf("%s allocates %d MiB", reader, total>>20)
				}
			}
		})
	}
}
