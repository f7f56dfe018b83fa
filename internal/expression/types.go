package expression

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"stemma"
)

// ErrNotStated is wrapped by the error of an expression that read a field which nobody states.
var ErrNotStated = errors.New("not stated")

// world is the types that expressions know: the structs of stemma.Facts, by their JSON names. It is a provider and an
// adapter of its own, because with those of the library a field that nobody states reads as empty text: it.runner !=
// "self-hosted" would hold for a builder that does not tell its runner.
type world struct {
	*types.Registry
	structs map[string]*structure
	goes    map[reflect.Type]*structure
}

// structure is one struct.
type structure struct {
	name   string
	typ    *cel.Type
	names  []string
	fields map[string]*types.FieldType
}

func newWorld() (*world, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	w := &world{Registry: registry, structs: map[string]*structure{}, goes: map[reflect.Type]*structure{}}
	w.add(reflect.TypeFor[stemma.Facts]())
	return w, nil
}

// add describes a struct and all that its fields lead to.
func (w *world) add(t reflect.Type) *cel.Type {
	if s, ok := w.goes[t]; ok {
		return s.typ
	}
	s := &structure{name: "stemma." + t.Name(), fields: map[string]*types.FieldType{}}
	s.typ = cel.ObjectType(s.name)
	w.goes[t], w.structs[s.name] = s, s
	for _, f := range reflect.VisibleFields(t) {
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" || name == "-" || !f.IsExported() {
			continue
		}
		optional := option == "omitempty" || option == "omitzero"
		if f.Type.Kind() == reflect.Bool {
			optional = false // false is said by leaving it out
		}
		s.names = append(s.names, name)
		s.fields[name] = w.field(s.name, name, f, optional && option == "omitempty", optional)
	}
	return s.typ
}

// field reads one field of a struct. Where it is optional, reading it is an error while nobody states it.
func (w *world) field(of, name string, f reflect.StructField, byLength, optional bool) *types.FieldType {
	of = strings.TrimSuffix(strings.ToLower(strings.TrimPrefix(of, "stemma.")), "facts")
	get := func(obj any) (reflect.Value, bool) {
		if o, ok := obj.(*object); ok {
			obj = o.value
		}
		v := reflect.ValueOf(obj)
		if v.Kind() != reflect.Pointer || v.IsNil() {
			return reflect.Value{}, false
		}
		v = v.Elem().FieldByIndex(f.Index)
		switch {
		case byLength && (v.Kind() == reflect.Map || v.Kind() == reflect.Slice):
			return v, v.Len() > 0
		case optional:
			return v, !v.IsZero()
		}
		return v, true
	}
	return &types.FieldType{
		Type:  w.typeOf(f.Type),
		IsSet: func(obj any) bool { _, ok := get(obj); return ok },
		GetFrom: func(obj any) (any, error) {
			o, _ := obj.(*object)
			if k := o.known(name); k != nil {
				return k.value, k.err
			}
			v, ok := get(obj)
			if !ok {
				return nil, fmt.Errorf("%s of %s is %w", name, of, ErrNotStated)
			}
			value, err := w.value(v)
			if p, ok := o.provenance(); ok && err == nil && len(p.CutParameters) > 0 && name == "parameters" {
				value = cutMap{value.(traits.Mapper), p.CutParameters}
			}
			if k := v.Kind(); o != nil && (k == reflect.Slice || k == reflect.Map) {
				o.made = append(o.made, made{name, value, err})
			}
			return value, err
		},
	}
}

// typeOf is the type that expressions see.
func (w *world) typeOf(t reflect.Type) *cel.Type {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return cel.TimestampType
	case t == reflect.TypeFor[json.RawMessage]():
		return cel.DynType
	case t.Kind() == reflect.Slice:
		return cel.ListType(w.typeOf(t.Elem()))
	case t.Kind() == reflect.Map:
		return cel.MapType(cel.StringType, w.typeOf(t.Elem()))
	case t.Kind() == reflect.Struct:
		return w.add(t)
	case t.Kind() == reflect.Bool:
		return cel.BoolType
	case t.Kind() == reflect.Int:
		return cel.IntType
	}
	return cel.StringType
}

// value is what an expression gets of a field, without copying lists.
func (w *world) value(v reflect.Value) (any, error) {
	switch v.Kind() {
	case reflect.String:
		return types.String(v.String()), nil
	case reflect.Bool:
		return types.Bool(v.Bool()), nil
	case reflect.Int:
		return types.Int(v.Int()), nil
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return types.Timestamp{Time: v.Interface().(time.Time)}, nil
		}
		return w.object(v.Addr()), nil
	case reflect.Map:
		return w.mapping(v), nil
	case reflect.Slice:
		// A list of the library copies each element when it is asked for. These are pointed at.
		if e := v.Type().Elem(); e.Kind() == reflect.Struct && w.goes[e] != nil {
			all := make([]ref.Val, v.Len())
			for i := range all {
				all[i] = w.object(v.Index(i).Addr())
			}
			return types.NewRefValList(w, all), nil
		}
	}
	if raw, ok := v.Interface().(json.RawMessage); ok {
		root, err := stemma.ParseJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("reading a predicate: %w", err)
		}
		v, err := document(root)
		if err != nil {
			return nil, fmt.Errorf("reading a predicate: %w", err)
		}
		return w.NativeToValue(v), nil
	}
	return types.NewDynamicList(w, v.Interface()), nil
}

// mapping has the keys as plain text, whatever their type.
func (w *world) mapping(v reflect.Value) ref.Val {
	if plain, ok := v.Interface().(map[string]string); ok {
		return types.NewStringStringMap(w, plain) // which nobody changes
	}
	out := make(map[string]string, v.Len())
	key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	for it := v.MapRange(); it.Next(); {
		key.SetIterKey(it)
		value.SetIterValue(it)
		out[key.String()] = value.String()
	}
	return types.NewStringStringMap(w, out)
}

// document is the value of JSON. Whole numbers are whole numbers; the reader took care that a name stands once. What
// cannot be compared makes the whole unreadable: as an element, an error would be equal to anything.
func document(j *stemma.JSON) (value any, err error) {
	switch {
	case j.IsObject():
		out := make(map[string]any, len(j.Elems()))
		for _, m := range j.Elems() {
			if out[m.Name()], err = document(m); err != nil {
				return nil, err
			}
		}
		return out, nil
	case j.IsArray():
		out := make([]any, len(j.Elems()))
		for i, e := range j.Elems() {
			if out[i], err = document(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	switch raw := string(j.Raw()); {
	case raw == "null":
		return types.NullValue, nil
	case raw == "true" || raw == "false":
		return raw == "true", nil
	case strings.HasPrefix(raw, `"`):
		return j.Text(), nil
	default:
		return number(raw)
	}
}

// NativeToValue wraps what the registry does not know.
func (w *world) NativeToValue(v any) ref.Val {
	if v, ok := v.(ref.Val); ok {
		return v
	}
	r := reflect.ValueOf(v)
	if r.Kind() == reflect.Pointer && w.goes[r.Type().Elem()] != nil {
		return w.object(r)
	}
	switch {
	case r.Kind() == reflect.Struct && w.goes[r.Type()] != nil:
		p := reflect.New(r.Type())
		p.Elem().Set(r)
		return w.object(p)
	case r.Kind() == reflect.String:
		return types.String(r.String())
	}
	return w.Registry.NativeToValue(v)
}

// FindStructType finds a struct by its name.
func (w *world) FindStructType(name string) (*types.Type, bool) {
	if s, ok := w.structs[name]; ok {
		return types.NewTypeTypeWithParam(s.typ), true
	}
	return w.Registry.FindStructType(name)
}

// FindStructFieldNames lists the fields of a struct.
func (w *world) FindStructFieldNames(name string) ([]string, bool) {
	if s, ok := w.structs[name]; ok {
		return s.names, true
	}
	return w.Registry.FindStructFieldNames(name)
}

// FindStructFieldType finds a field of a struct.
func (w *world) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if s, ok := w.structs[name]; ok {
		f, ok := s.fields[field]
		return f, ok
	}
	return w.Registry.FindStructFieldType(name, field)
}

// NewValue makes no values: what is judged was found.
func (w *world) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if _, ok := w.structs[name]; ok {
		return types.NewErr("%s cannot be made in an expression", name)
	}
	return w.Registry.NewValue(name, fields)
}

func (w *world) object(p reflect.Value) ref.Val {
	return &object{value: p.Interface(), of: w.goes[p.Type().Elem()]}
}

// object is a struct as a value. It remembers what it took work to make of its fields: a rule may read a predicate of a
// thousand members once for each of them.
type object struct {
	value any // pointer
	of    *structure
	made  []made
}

// made is what reading a field gave.
type made struct {
	name  string
	value any
	err   error
}

func (o *object) known(name string) *made {
	if o == nil {
		return nil
	}
	for i := range o.made {
		if o.made[i].name == name {
			return &o.made[i]
		}
	}
	return nil
}

func (o *object) provenance() (*stemma.ProvenanceFacts, bool) {
	if o == nil {
		return nil, false
	}
	p, ok := o.value.(*stemma.ProvenanceFacts)
	return p, ok
}

// weight is about how many values an object holds: what comparing it costs.
func (o *object) weight() uint64 {
	n := uint64(1)
	v := reflect.ValueOf(o.value).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Slice, reflect.Map:
			n += uint64(f.Len())
		default:
			n++
		}
	}
	return n
}

// cutMap is a map of texts of which some are not told in full. That one does not hold a word would be true of its beginning.
type cutMap struct {
	traits.Mapper
	cut []string
}

// Get reads a text.
func (m cutMap) Get(key ref.Val) ref.Val {
	if err := m.check(key); err != nil {
		return err
	}
	return m.Mapper.Get(key)
}

// Find reads a text, if there is one of the name.
func (m cutMap) Find(key ref.Val) (ref.Val, bool) {
	if err := m.check(key); err != nil {
		return err, true
	}
	return m.Mapper.Find(key)
}

// Equal compares the whole, which is not known.
func (m cutMap) Equal(ref.Val) ref.Val {
	return errorOf("a parameter is not told in full: %.80q", m.cut[0])
}

func (m cutMap) check(key ref.Val) ref.Val {
	if name, ok := key.Value().(string); ok && slices.Contains(m.cut, name) {
		return errorOf("the parameter %.80q is not told in full", name)
	}
	return nil
}

// ConvertToNative gives the pointer to whoever asks for just that.
func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	if reflect.TypeOf(o.value).AssignableTo(t) {
		return o.value, nil
	}
	return nil, fmt.Errorf("%s is no %s", o.of.name, t)
}

// ConvertToType knows no other type than its own.
func (o *object) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case o.of.typ:
		return o
	case types.TypeType:
		return o.of.typ
	}
	return types.NewErr("%s cannot be converted", o.of.name)
}

// Equal compares what the structs hold.
func (o *object) Equal(other ref.Val) ref.Val {
	p, ok := other.(*object)
	return types.Bool(ok && reflect.DeepEqual(o.value, p.value))
}

// Type is the type of the struct.
func (o *object) Type() ref.Type { return o.of.typ }

// Value is the object itself, by which its fields find what it remembers.
func (o *object) Value() any { return o }

// Get reads a field where the type was not known before.
func (o *object) Get(index ref.Val) ref.Val {
	name, _ := index.Value().(string)
	f, ok := o.of.fields[name]
	if !ok {
		return types.NewErr("no such field: %s", name)
	}
	v, err := f.GetFrom(o)
	if err != nil {
		return types.WrapErr(err)
	}
	return v.(ref.Val)
}

// IsSet reports whether somebody states the field.
func (o *object) IsSet(field ref.Val) ref.Val {
	name, _ := field.Value().(string)
	f, ok := o.of.fields[name]
	return types.Bool(ok && f.IsSet(o))
}
