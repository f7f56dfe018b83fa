package stemma_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"stemma"
)

// What is recorded comes back as it was: times to the nanosecond and with their offset, what is raw as it stands, and what
// is longer than foreign documents may be.
func TestDecodeRecord(t *testing.T) {
	e := stemma.Evidence{CollectedAt: time.Date(2026, 6, 1, 12, 0, 0, 123456789, time.FixedZone("", -3*3600))}
	e.SBOMs = []stemma.SBOM{{Packages: make([]stemma.Component, 20000)}}
	e.Attestations = []stemma.Attestation{{Statement: stemma.Statement{Predicate: json.RawMessage(`{"a":"<&>","n":1e400,"b":[1.50]}`)}}}
	e.Platforms = []*stemma.Evidence{nil, {Indexes: []stemma.Digest{"sha256:x"}}}
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var again stemma.Evidence
	if err := stemma.DecodeRecord(data, &again); err != nil {
		t.Fatal(err)
	}
	if back, err := json.Marshal(again); err != nil || !bytes.Equal(back, data) || !again.CollectedAt.Equal(e.CollectedAt) || again.Platforms[0] != nil {
		t.Errorf("%v\n%.300s\n%.300s", err, data, back)
	}
}

// What is no record is refused. What decodes can be encoded again: nothing that judges it comes upon a time that cannot.
func TestDecodeRecordRefuses(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{`{"collectedAt":"2026-06-01T00:00:00+23:59"}`, ""},
		{`{"collectedAt":"2026-06-01T00:00:00+24:00"}`, "expected a time"},
		{`{"collectedAt":"10000-06-01T00:00:00Z"}`, "expected a time"},
		{`{"image":{"digest":"x"}}`, ""},
		{`{"image":{"digset":"x"}}`, `unknown name "digset"`},
		{`{"image":{"Digest":"x"}}`, "differs from \"digest\" only in case"},
		{`{"image":{"digest":"x","digest":"x"}}`, `duplicate name "digest"`},
		{`{"image":{"digest":1}}`, "expected a string"},
		{`{"attestations":{}}`, "expected an array"},
		{`{} {}`, "bytes after the document"},
		{`{"attestations":[` + strings.Repeat("{},", 1000) + `{}]}`, ""},
		{`{"attestations":[` + strings.Repeat("{},", 1<<20) + `{}]}`, "it stands for more than"},
		{`{"platforms":[` + strings.Repeat("{},", 1<<20) + `{}]}`, "it stands for more than"},
		{`{"platforms":[` + strings.Repeat(`{"attestations":[]},`, 1000) + `{}]}`, ""},
	} {
		var e stemma.Evidence
		err := stemma.DecodeRecord([]byte(c.data), &e)
		if c.want == "" {
			if _, marshal := json.Marshal(e); err != nil || marshal != nil {
				t.Errorf("%.60s: %v, %v", c.data, err, marshal)
			}
			continue
		}
		var wrong *stemma.JSONError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %v, want %q", c.data, err, c.want)
		}
		if limit := strings.HasPrefix(c.want, "it stands for"); wrong != nil && wrong.Limit != limit {
			t.Errorf("%.60s: limit %v", c.data, wrong.Limit)
		}
	}
}

// Every field of an Evidence and of a Situation has a name in JSON, so that nothing that decides is left out of a record.
func TestRecordIsWhole(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(typ reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(typ.Elem())
		case reflect.Interface, reflect.Func, reflect.Chan, reflect.Float64:
			t.Errorf("%s cannot be recorded", typ)
		case reflect.Struct:
			if seen[typ] || typ == reflect.TypeFor[time.Time]() {
				return
			}
			seen[typ] = true
			for i := range typ.NumField() {
				f := typ.Field(i)
				if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); !f.IsExported() || (name == "" || name == "-") && !f.Anonymous {
					t.Errorf("%s.%s has no name in JSON", typ, f.Name)
				}
				walk(f.Type)
			}
		}
	}
	walk(reflect.TypeFor[stemma.Evidence]())
	walk(reflect.TypeFor[stemma.Situation]())
	if len(seen) < 25 {
		t.Errorf("only %d types were seen", len(seen))
	}
}
