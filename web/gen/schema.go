package main

import (
	"bytes"
	"encoding/json"
	"slices"
)

// schema is as much of JSON Schema 2020-12 as events need. All of it but
// $schema, $id and $defs is also a schema object of AsyncAPI 3.
type schema struct {
	Dialect     string             `json:"$schema,omitempty"`
	ID          string             `json:"$id,omitempty"`
	Comment     string             `json:"$comment,omitempty"`
	Ref         string             `json:"$ref,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        string             `json:"type,omitempty"`
	Const       string             `json:"const,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Format      string             `json:"format,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	AnyOf       []*schema          `json:"anyOf,omitempty"`
	OneOf       []*schema          `json:"oneOf,omitempty"`
	Defs        map[string]*schema `json:"$defs,omitempty"`
}

// jsonSchema renders one document that accepts the server events and nothing else.
// Unknown fields are allowed: a newer server may send more of them.
func jsonSchema(m *model) ([]byte, error) {
	doc := &schema{
		Dialect:     "https://json-schema.org/draft/2020-12/schema",
		ID:          "https://orbit.dev/schema/server-event.json",
		Comment:     generated,
		Title:       "ServerEvent",
		Description: "Everything a client receives. Catalog " + m.hash + ".",
		Type:        "object",
		Defs:        definitions(m, "#/$defs/"),
	}
	for _, e := range m.events {
		doc.OneOf = append(doc.OneOf, &schema{Ref: "#/$defs/" + e.name})
	}
	return indented(doc)
}

// indented is JSON for reading: two spaces, no escaping of < and >.
func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(v)
	return b.Bytes(), err
}

// definitions describes every event and whatever they refer to; base is where
// the definitions will stand.
func definitions(m *model, base string) map[string]*schema {
	defs := map[string]*schema{
		"Position": {
			Description: "A place in a workspace's log: <epoch>-<offset>.",
			Type:        "string", Pattern: "^[A-Za-z0-9]{1,32}-(0|[1-9][0-9]*)$",
		},
		"Channel": {
			Description: "Decides who learns what.",
			Type:        "string", Pattern: "^(workspace|room|member):[A-Za-z0-9_-]{1,64}$",
		},
		"Time": {
			Description: "RFC 3339, UTC, always with milliseconds.",
			Type:        "string", Format: "date-time", Pattern: `^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$`,
		},
	}
	for _, e := range m.enums {
		values := make([]string, len(e.values))
		for i, v := range e.values {
			values[i] = v.value
		}
		defs[e.name] = &schema{Description: e.doc, Type: "string", Enum: values}
	}
	for _, o := range m.objects {
		if !m.isPayload(o) {
			s := &schema{Description: o.doc, Type: "object", Properties: map[string]*schema{}}
			s.add(o.fields, base)
			defs[o.name] = s
		}
	}
	for _, e := range m.events {
		defs[e.name] = eventSchema(e, base)
	}
	return defs
}

// isPayload reports whether o is only ever seen spread out beside an envelope.
func (m *model) isPayload(o *object) bool {
	return slices.ContainsFunc(m.events, func(e event) bool { return e.payload == o })
}

func eventSchema(e event, base string) *schema {
	s := &schema{
		Description: e.Doc, Type: "object",
		Properties: map[string]*schema{"type": {Type: "string", Const: string(e.Type)}},
		Required:   []string{"type"},
	}
	var around []field
	for _, f := range envelopeFields {
		if c := f.of(e.envelope()); c != never {
			around = append(around, field{name: f.name, doc: f.doc, typ: f.typ, optional: c == sometimes})
		}
	}
	s.add(around, base)
	s.add(e.payload.fields, base)
	return s
}

// add describes fields as properties.
func (s *schema) add(fields []field, base string) {
	for _, f := range fields {
		p := schemaOf(f.typ, base)
		if f.nullable {
			p = &schema{AnyOf: []*schema{p, {Type: "null"}}}
		}
		p.Description = f.doc
		s.Properties[f.name] = p
		if !f.optional {
			s.Required = append(s.Required, f.name)
		}
	}
}

func schemaOf(t typ, base string) *schema {
	switch t.kind {
	case kindBool:
		return &schema{Type: "boolean"}
	case kindInt:
		return &schema{Type: "integer"}
	case kindTime:
		return &schema{Ref: base + "Time"}
	case kindPosition:
		return &schema{Ref: base + "Position"}
	case kindChannel:
		return &schema{Ref: base + "Channel"}
	case kindList:
		return &schema{Type: "array", Items: schemaOf(*t.elem, base)}
	case kindObject, kindEnum:
		return &schema{Ref: base + t.name}
	}
	return &schema{Type: "string"}
}
