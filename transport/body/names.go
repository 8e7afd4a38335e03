package body

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/orbit/realtime/domain"
)

// checkNames refuses two things that encoding/json lets pass: the same name
// twice in an object, of which it takes the last, and a name in another case
// than ours. Whatever looked at the body before us, a proxy or an audit, may
// have read it differently, and then what it let through isn't what we do.
// raw is valid JSON for the type t.
func checkNames(raw []byte, t reflect.Type) error {
	return objectNames(json.NewDecoder(bytes.NewReader(raw)), t)
}

// objectNames goes through the next value, which is to be read into a t; nil is
// a value whose names aren't ours, such as a map's.
func objectNames(d *json.Decoder, t reflect.Type) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch token {
	case json.Delim('{'):
		fields := fieldsOf(t)
		seen := map[string]bool{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return err
			}
			name := key.(string) // in an object the decoder sees to that
			field, known := fields[name]
			if seen[name] {
				return domain.InvalidField(name, "the field is there twice")
			}
			if fields != nil && !known {
				return domain.InvalidField(name, "unknown field")
			}
			seen[name] = true
			if err := objectNames(d, field); err != nil {
				return err
			}
		}
	case json.Delim('['):
		for d.More() {
			if err := objectNames(d, elementOf(t)); err != nil {
				return err
			}
		}
	default:
		return nil
	}
	_, err = d.Token() // the end
	return err
}

// fieldsOf lists the names that a struct has in JSON, with their types; nil if
// t is no struct, or reads itself.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if t == nil || t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil
	}
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported() || f.Anonymous && name == "" || name == "-":
			continue
		case name == "":
			name = f.Name
		}
		fields[name] = f.Type
	}
	return fields
}

func elementOf(t reflect.Type) reflect.Type {
	if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		return t.Elem()
	}
	return nil
}
