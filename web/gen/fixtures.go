package main

import (
	"bytes"
	"fmt"
)

// fixtureLines renders the examples as a connection with subprotocol orbit.v1
// would carry them: one event a line, byte for byte what Go marshals.
func fixtureLines(m *model) ([]byte, error) {
	var b bytes.Buffer
	for _, e := range m.events {
		b.Write(e.sample)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// fixtureTypes puts the same bytes into TypeScript, where the compiler holds
// each against its type. JSON modules can't do it: their strings are no literals.
func fixtureTypes(m *model) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "// %s\n\n", generated)
	b.WriteString("import type { ServerEventMap } from \"../../src/generated/events.js\";\n\n")
	b.WriteString("/** An example of every server event, byte for byte what the server sends. */\n")
	b.WriteString("// prettier-ignore\n")
	b.WriteString("export const fixtures = {\n")
	for _, e := range m.events {
		fmt.Fprintf(&b, "  %q: %s,\n", e.Type, e.sample)
	}
	b.WriteString("} as const satisfies { readonly [T in keyof ServerEventMap]: ServerEventMap[T] };\n")
	return b.Bytes(), nil
}
