package policy

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"stemma"
)

// What is sealed has one canonical form: values that mean the same have the same sum, and nothing moves between fields,
// elements or kinds without another.
func TestCanonicalForm(t *testing.T) {
	type inner struct {
		A, B string
		N    int
	}
	type outer struct {
		Text    string
		List    []string
		Map     map[string]string
		At      time.Time
		Raw     json.RawMessage
		Bytes   []byte
		Inner   inner
		Pointer *inner
		Inners  []inner
		Any     any
		Yes     bool
		Hidden  string `json:"-"`
		own     string
	}
	sum := func(o outer) string {
		c := new(sealer).canon()
		c.all(&o)
		s := c.sum()
		return string(s[:])
	}
	at := time.Date(2026, 5, 1, 12, 0, 0, 7, time.UTC)
	long := strings.Repeat("x", 5000)
	for _, same := range [][2]outer{
		{{}, {List: []string{}, Map: map[string]string{}, Raw: json.RawMessage{}, Bytes: []byte{}, Inners: []inner{}}},
		{{}, {Hidden: "x", own: "x"}},
		{{At: at}, {At: at.In(time.FixedZone("", 3600))}},
		{{Raw: json.RawMessage(`{"a": [1, 2]}`)}, {Raw: json.RawMessage("{\n\"a\":[1,2]}")}},
		{{Map: map[string]string{"a": "1", "b": "2"}}, {Map: map[string]string{"b": "2", "a": "1"}}},
	} {
		if sum(same[0]) != sum(same[1]) {
			t.Errorf("%+v and %+v have two sums", same[0], same[1])
		}
	}
	seen := map[string]outer{}
	for _, o := range []outer{
		{},
		{Text: "a"},
		{Text: "b"},
		{Text: "ab"},
		{Text: long},
		{Text: long + "x"},
		{Text: long[:1024]},
		{Text: long[:1025]},
		{List: []string{"ab"}},
		{List: []string{"a", "b"}},
		{List: []string{"b", "a"}},
		{List: []string{""}},
		{List: []string{"", ""}},
		{Map: map[string]string{"a": "b"}},
		{Map: map[string]string{"b": "a"}},
		{Map: map[string]string{"ab": ""}},
		{Map: map[string]string{"a": "b", "b": ""}},
		{At: at},
		{At: at.Add(1)},
		{At: at.Add(time.Second)},
		{Raw: json.RawMessage(`"a"`)},
		{Raw: json.RawMessage(`{`)},
		{Bytes: []byte("a")},
		{Bytes: []byte(`"a"`)},
		{Any: "a"},
		{Any: 1},
		{Any: 1.5},
		{Any: true},
		{Any: []any{"a"}},
		{Any: map[string]any{"a": nil}},
		{Any: map[string]any{}},
		{Yes: true},
		{Inner: inner{A: "a"}},
		{Inner: inner{B: "a"}},
		{Inner: inner{A: "a", B: "b"}},
		{Inner: inner{A: "b", B: "a"}},
		{Inner: inner{N: 1}},
		{Inner: inner{N: -1}},
		{Inner: inner{N: 200}},
		{Pointer: &inner{}},
		{Pointer: &inner{A: "a"}},
		{Inners: []inner{{A: "a"}}},
		{Inners: []inner{{A: "a"}, {}}},
		{Inners: []inner{{}, {A: "a"}}},
	} {
		s := sum(o)
		if other, ok := seen[s]; ok {
			t.Errorf("%.200v and %.200v have one sum", other, o)
		}
		seen[s] = o
	}
}

// Every field of a finding is sealed.
func TestSealedFinding(t *testing.T) {
	sum := func(f stemma.Finding) string {
		c := new(sealer).canon()
		c.all(&f)
		s := c.sum()
		return string(s[:])
	}
	seen := map[string]string{sum(stemma.Finding{}): "none"}
	f := reflect.TypeFor[stemma.Finding]()
	for i := range f.NumField() {
		var one stemma.Finding
		switch v := reflect.ValueOf(&one).Elem().Field(i); v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		default:
			t.Fatalf("%s is a %s", f.Field(i).Name, v.Kind())
		}
		if other, ok := seen[sum(one)]; ok {
			t.Errorf("%s is sealed no other than %s", f.Field(i).Name, other)
		}
		seen[sum(one)] = f.Field(i).Name
	}
}
