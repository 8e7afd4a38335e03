package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/orbit/realtime/domain"
)

// reference renders docs/events.md for people.
func reference(m *model) ([]byte, error) {
	r := &page{m: m}
	r.line("<!-- %s -->", generated)
	r.line("# Realtime event catalog\n")
	r.line("Every server event: where it goes, when it comes, what it holds. How events travel, and how a client")
	r.line("comes back after a gap, is in [protocol.md](protocol.md). The same catalog for programs:")
	r.line("[TypeScript](../web/client/src/generated/events.ts),")
	r.line("[JSON Schema](../web/client/schema/server-event.schema.json), [AsyncAPI](asyncapi.json).\n")
	r.line("This page is of catalog `%s`; `system.hello` carries the server's.\n", m.hash)
	r.contents()
	r.envelope()
	r.line("## Events\n")
	for _, e := range m.events {
		if err := r.event(e); err != nil {
			return nil, err
		}
	}
	r.line("## Shapes\n")
	for _, o := range m.shapes() {
		r.line("### %s\n", o.name)
		r.line("%s\n", o.doc)
		r.fields(o.fields)
	}
	r.line("## Values\n")
	for _, e := range m.enums {
		r.line("### %s\n", e.name)
		r.line("%s\n", e.doc)
		r.line("| value | meaning |\n|---|---|")
		for _, v := range e.values {
			r.line("| `%s` | %s |", v.value, v.doc)
		}
		r.line("")
	}
	return append(bytes.TrimRight(r.Bytes(), "\n"), '\n'), nil
}

// page is a Markdown document in the making.
type page struct {
	bytes.Buffer
	m *model
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// contents lists the events by the first word of their type, then the rest.
func (p *page) contents() {
	group := ""
	p.line("- [Envelope](#envelope)\n- [Events](#events)")
	for _, e := range p.m.events {
		if first, _, _ := strings.Cut(string(e.Type), "."); first != group {
			group = first
			p.line("  - %s", group)
		}
		p.line("    - [`%s`](#%s)", e.Type, anchor(string(e.Type)))
	}
	p.line("- [Shapes](#shapes)")
	for _, o := range p.m.shapes() {
		p.line("  - [%s](#%s)", o.name, anchor(o.name))
	}
	p.line("- [Values](#values)")
	for _, e := range p.m.enums {
		p.line("  - [%s](#%s)", e.name, anchor(e.name))
	}
	p.line("")
}

// anchor is the name that GitHub and others give a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(strings.ToLower(heading), ".", "")
}

func (p *page) envelope() {
	p.line("## Envelope\n")
	p.line("Beside `type` and the payload, an event has:\n")
	p.line("| field | type | meaning | log events | broadcasts | with position | other |\n|---|---|---|---|---|---|---|")
	for _, f := range envelopeFields {
		cells := make([]string, len(envelopes))
		for i, e := range envelopes {
			cells[i] = string(f.of(e))
		}
		p.line("| `%s` | %s | %s | %s |", f.name, mdType(f.typ), f.doc, strings.Join(cells, " | "))
	}
	p.line("")
	p.line("*Log events* are replayed after a gap. *Broadcasts* are ephemeral events on a channel. The others are")
	p.line("addressed to one session: `system.hello`, `system.heartbeat` and `system.resync` *with* its current position.\n")
}

func (p *page) event(e event) error {
	p.line("### %s\n", e.Type)
	p.line("%s\n", e.Doc)
	p.line("| | |\n|---|---|")
	p.line("| channel | %s |", mdChannels(e))
	p.line("| kind | %s |", map[string]string{
		logEnvelope.name: "log event", broadcastEnvelope.name: "broadcast",
		positionEnvelope.name: "to one session, with position", sessionEnvelope.name: "to one session",
	}[e.envelope().name])
	p.line("| domain events | %s |\n", mdCauses(e.Causes))
	if e.payload.doc != "" && len(e.payload.fields) > 0 {
		p.line("%s\n", e.payload.doc)
	}
	if len(e.payload.fields) == 0 {
		p.line("No payload.\n")
	} else {
		p.fields(e.payload.fields)
	}
	var example bytes.Buffer
	if err := json.Indent(&example, e.sample, "", "  "); err != nil {
		return fmt.Errorf("%s: %w", e.Type, err)
	}
	p.line("```json\n%s\n```\n", example.String())
	return nil
}

func mdChannels(e event) string {
	var names []string
	for _, kind := range e.channels() {
		names = append(names, fmt.Sprintf("`%s:{id}`", kind))
	}
	if len(names) == 0 {
		return "none: addressed to one session"
	}
	return strings.Join(names, ", or for a private room ")
}

// mdCauses says what each domain event means, in the words of its own table.
func mdCauses(causes []domain.EventType) string {
	var items []string
	for _, cause := range causes {
		for _, spec := range domain.EventTypes {
			if spec.Type == cause {
				items = append(items, fmt.Sprintf("`%s` (%s)", cause, spec.Doc))
			}
		}
	}
	if len(items) == 0 {
		return "none"
	}
	return strings.Join(items, "<br>")
}

// fields is the table of a payload or shape.
func (p *page) fields(fields []field) {
	p.line("| field | type | meaning |\n|---|---|---|")
	for _, f := range fields {
		kind := mdType(f.typ)
		if f.optional {
			kind += ", may be absent"
		}
		if f.nullable {
			kind += " or null"
		}
		p.line("| `%s` | %s | %s |", f.name, kind, p.meaning(f))
	}
	p.line("")
}

// meaning is a field's comment, else that of its type.
func (p *page) meaning(f field) string {
	if f.doc != "" {
		return f.doc
	}
	for _, o := range p.m.objects {
		if f.typ.kind == kindObject && o.name == f.typ.name {
			return o.doc
		}
	}
	for _, e := range p.m.enums {
		if f.typ.kind == kindEnum && e.name == f.typ.name {
			return e.doc
		}
	}
	return ""
}

func mdType(t typ) string {
	switch t.kind {
	case kindBool:
		return "boolean"
	case kindInt:
		return "integer"
	case kindTime:
		return "time"
	case kindPosition:
		return "position"
	case kindChannel:
		return "channel"
	case kindList:
		return "list of " + mdType(*t.elem)
	case kindObject, kindEnum:
		return fmt.Sprintf("[%s](#%s)", t.name, anchor(t.name))
	}
	return "string"
}

// shapes are the objects that events hold, by name.
func (m *model) shapes() []*object {
	held := map[string]bool{}
	var visit func(fields []field)
	visit = func(fields []field) {
		for _, f := range fields {
			t := f.typ
			for t.kind == kindList {
				t = *t.elem
			}
			if t.kind != kindObject || held[t.name] {
				continue
			}
			held[t.name] = true
			for _, o := range m.objects {
				if o.name == t.name {
					visit(o.fields)
				}
			}
		}
	}
	for _, e := range m.events {
		visit(e.payload.fields)
	}
	return slices.DeleteFunc(slices.Clone(m.objects), func(o *object) bool { return !held[o.name] })
}
