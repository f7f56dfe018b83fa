package stemma

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

func (p *jsonReader) into(v reflect.Value, depth int) error {
	if p.peek() == 'n' {
		_, err := p.literal()
		return err
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			if err := p.keep(v.Type().Elem()); err != nil {
				return err
			}
			v.Set(reflect.New(v.Type().Elem()))
		}
		return p.into(v.Elem(), depth)
	}
	start := p.pos
	switch v.Interface().(type) {
	case json.RawMessage:
		if err := p.skip(depth); err != nil {
			return err
		}
		v.SetBytes(p.data[start:p.pos:p.pos])
		return nil
	case []byte:
		s, err := p.stringValue()
		if err != nil {
			return err
		}
		b, err := DecodeBase64(s)
		if err != nil {
			p.pos = start
			return p.fail("%v", err)
		}
		v.SetBytes(b)
		return nil
	case time.Time:
		s, err := p.stringValue()
		if err != nil {
			return err
		}
		t, err := time.Parse(time.RFC3339Nano, s)
		if err == nil {
			_, err = t.MarshalText() // an offset of 24 hours is read, and nothing can write it again
		}
		if err != nil {
			p.pos = start
			return p.fail("expected a time such as 2026-06-01T12:00:00Z, got %.40q", s)
		}
		v.Set(reflect.ValueOf(t))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		s, err := p.stringValue()
		v.SetString(s)
		return err
	case reflect.Bool:
		raw, err := p.literal()
		if err == nil && string(raw) != "true" && string(raw) != "false" {
			p.pos = start
			return p.fail("expected true or false")
		}
		v.SetBool(string(raw) == "true")
		return err
	case reflect.Int, reflect.Int64, reflect.Int32:
		return p.integer(v)
	case reflect.Slice:
		return p.slice(v, depth)
	case reflect.Map:
		return p.mapping(v, depth)
	case reflect.Struct:
		return p.structure(v, depth)
	}
	return fmt.Errorf("decoding JSON: a %s field is not supported", v.Type())
}

func (p *jsonReader) stringValue() (string, error) {
	if p.peek() != '"' {
		return "", p.fail("expected a string")
	}
	raw, err := p.str()
	if err != nil {
		return "", err
	}
	return unquoteJSON(raw)
}

func (p *jsonReader) integer(v reflect.Value) error {
	start := p.pos
	raw, err := p.literal()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(raw), 10, v.Type().Bits())
	if err != nil || string(raw) == "-0" {
		p.pos = start
		return p.fail("expected an integer of %d bits, got %.40s", v.Type().Bits(), raw)
	}
	v.SetInt(n)
	return nil
}

func (p *jsonReader) slice(v reflect.Value, depth int) error {
	if p.peek() != '[' {
		return p.fail("expected an array")
	}
	room := 4
	if p.record {
		room = 0 // which an empty array of attestations would be kilobytes of
	}
	out := reflect.MakeSlice(v.Type(), 0, room)
	err := p.array(depth, func(int) error {
		if out.Len() >= maxJSONElements && !p.record {
			return p.limit("more than %d elements", maxJSONElements)
		}
		if err := p.keep(v.Type().Elem()); err != nil {
			return err
		}
		out = reflect.Append(out, reflect.Zero(v.Type().Elem()))
		return p.into(out.Index(out.Len()-1), depth+1)
	})
	v.Set(out)
	return err
}

func (p *jsonReader) mapping(v reflect.Value, depth int) error {
	if p.peek() != '{' {
		return p.fail("expected an object")
	}
	out := reflect.MakeMap(v.Type())
	err := p.object(depth, func(name string) error {
		if err := p.keep(v.Type().Elem()); err != nil {
			return err
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if err := p.into(e, depth+1); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), e)
		return nil
	})
	v.Set(out)
	return err
}

// keep counts what the elements of a record take: an attestation of three bytes stands for a kilobyte.
func (p *jsonReader) keep(t reflect.Type) error {
	if p.kept += int(t.Size()); p.record && p.kept > maxJSONKept {
		return p.limit("it stands for more than %d bytes", maxJSONKept)
	}
	return nil
}

func (p *jsonReader) structure(v reflect.Value, depth int) error {
	if p.peek() != '{' {
		return p.fail("expected an object")
	}
	return p.object(depth, func(name string) error {
		field, err := p.field(v, name)
		switch {
		case err != nil:
			return err
		case field.IsValid():
			return p.into(field, depth+1)
		case p.record:
			return p.fail("unknown name %.80q", name)
		}
		return p.skip(depth + 1)
	})
}

// field is the field of a name, of the struct itself or of one that is embedded in it; the zero Value when there is none.
func (p *jsonReader) field(v reflect.Value, name string) (reflect.Value, error) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case tag == "" && f.Anonymous && f.Type.Kind() == reflect.Struct:
			if inner, err := p.field(v.Field(i), name); err != nil || inner.IsValid() {
				return inner, err
			}
		case tag == "" || tag == "-":
		case tag == name:
			return v.Field(i), nil
		case strings.EqualFold(tag, name):
			// encoding/json would take it for the field; other readers would not.
			return reflect.Value{}, p.fail("name %.80q differs from %q only in case", name, tag)
		}
	}
	return reflect.Value{}, nil
}

// DecodeBase64 decodes RFC 4648 section 4 base64 with padding, and refuses every other spelling of the same bytes:
// the URL alphabet, missing padding, line breaks and non-zero trailing bits. What is hashed and what is decoded is
// then one thing.
func DecodeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line break in base64")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("decoding base64: %w", err)
	}
	return b, nil
}
