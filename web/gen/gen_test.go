package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func load() (*model, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	return loadModel(root)
}

// loaded is read once for all tests: checking the source takes a second.
var loaded = sync.OnceValues(load)

// What clients are built from must be what the server speaks: whoever changes
// the catalog and forgets to generate is told here. The second rendering, of a
// second reading, shows that the output doesn't depend on the order of maps.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	root, err := moduleRoot()
	require.NoError(t, err)
	m, err := loaded()
	require.NoError(t, err)
	again, err := load()
	require.NoError(t, err)
	for _, out := range outputs {
		want, err := out.render(m)
		require.NoError(t, err, out.path)
		repeated, err := out.render(again)
		require.NoError(t, err, out.path)
		require.Equal(t, string(want), string(repeated), "%s comes out differently each time", out.path)
		have, err := os.ReadFile(filepath.Join(root, out.path))
		require.NoError(t, err)
		require.True(t, string(want) == string(have), "%s is old: run go generate ./web/gen", out.path)
	}
}

func TestEveryEventIsInEveryOutput(t *testing.T) {
	m, err := loaded()
	require.NoError(t, err)
	for _, out := range outputs {
		text, err := out.render(m)
		require.NoError(t, err, out.path)
		for _, spec := range domain.Catalog {
			require.Contains(t, string(text), string(spec.Type), out.path)
		}
	}
	types, err := typescript(m)
	require.NoError(t, err)
	require.Contains(t, string(types), `CATALOG_HASH = "`+domain.CatalogHash()+`";`)
}

// One importer for all small sources: it remembers the standard library.
var (
	smallFiles   = token.NewFileSet()
	smallImports = importer.ForCompiler(smallFiles, "source", nil)
)

// sourceOf makes a package of one file.
func sourceOf(t *testing.T, text string) *source {
	t.Helper()
	file, err := parser.ParseFile(smallFiles, "payload.go", "package domain\n"+text, parser.ParseComments)
	require.NoError(t, err)
	src, err := check(smallFiles, smallImports, []*ast.File{file})
	require.NoError(t, err)
	return src
}

// A type that is guessed wrong lies to every client, so the generator stops at
// what it doesn't know, and says where.
func TestUnknownTypesAreRefused(t *testing.T) {
	for name, tc := range map[string]struct{ field, complaint string }{
		"map":                {"X map[string]int `json:\"x\"`", "doesn't know what map[string]int is"},
		"any":                {"X any `json:\"x\"`", "doesn't know what any is"},
		"float":              {"X float64 `json:\"x\"`", "doesn't know what float64 is"},
		"array":              {"X [2]int `json:\"x\"`", "doesn't know what [2]int is"},
		"function":           {"X func() `json:\"x\"`", "doesn't know what func() is"},
		"bytes":              {"X []byte `json:\"x\"`", "doesn't know what []byte is"},
		"another's type":     {"X time.Time `json:\"x\"`", "doesn't know what time.Time is"},
		"list of pointers":   {"X []*int `json:\"x\"`", "doesn't know what *int is"},
		"pointer to pointer": {"X **int `json:\"x\"`", "doesn't know what *int is"},
		"named number":       {"X Number `json:\"x\"`", "doesn't know what domain.Number is"},
		"string, no enum":    {"X Text `json:\"x\"`", "Text has no constants"},
		"deeper":             {"X []Inner `json:\"x\"`", "Inner.Y"},
		"no tag":             {"X int", "no JSON name"},
		"no name":            {"X int `json:\",omitempty\"`", "no JSON name"},
		"number as string":   {"X int `json:\"x,string\"`", `option "string" is not supported`},
		"omitted struct":     {"X Time `json:\"x,omitempty\"`", "omitempty has no effect"},
		"embedded":           {"Inner", "embedded structs are not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			src := sourceOf(t, `
				import "time"
				type Time struct{ time.Time }
				type Number int
				type Text string
				type Inner struct { Y chan int `+"`json:\"y\"`"+` }
				type Payload struct { `+tc.field+` }
			`)
			_, err := src.object("Payload")
			require.ErrorContains(t, err, tc.complaint)
			require.ErrorContains(t, err, "payload.go:")
		})
	}
	_, err := sourceOf(t, "type Payload int").object("Payload")
	require.ErrorContains(t, err, "not a struct")
	_, err = sourceOf(t, "").object("Payload")
	require.ErrorContains(t, err, `no struct "Payload"`)
}

// Absent and null are different things to a client, as they are to encoding/json.
func TestFieldsAreAsEncodingJSONWritesThem(t *testing.T) {
	src := sourceOf(t, `
		type Time struct{}
		// Color is what it looks like. More about it.
		type Color string
		const (
			Red  Color = "red" // like blood
			Blue Color = "blue"
			None       = "none"
		)
		// Payload is one of these: Count counts.
		type Payload struct {
			Count  int      `+"`json:\"n\"`"+` // at least 1
			Maybe  *int     `+"`json:\"maybe,omitempty\"`"+`
			Null   *Time    `+"`json:\"null\"`"+`
			Empty  string   `+"`json:\"empty,omitempty\"`"+`
			List   []Color  `+"`json:\"list\"`"+`
			Self   *Payload `+"`json:\"self\"`"+`
			Hidden chan int `+"`json:\"-\"`"+`
			secret chan int
		}
	`)
	o, err := src.object("Payload")
	require.NoError(t, err)
	require.Equal(t, "One of these: `n` counts.", o.doc)
	require.Equal(t, []field{
		{name: "n", typ: typ{kind: kindInt}, doc: "at least 1"},
		{name: "maybe", typ: typ{kind: kindInt}, optional: true},
		{name: "null", typ: typ{kind: kindTime}, nullable: true},
		{name: "empty", typ: typ{kind: kindString}, optional: true},
		{name: "list", typ: typ{kind: kindList, elem: &typ{kind: kindEnum, name: "Color"}}},
		{name: "self", typ: typ{kind: kindObject, name: "Payload"}, nullable: true},
	}, o.fields)
	_, enums := src.found()
	require.Equal(t, []*enum{{
		name: "Color", doc: "What it looks like.", values: []enumValue{{"red", "like blood"}, {"blue", ""}},
	}}, enums)
}

func TestAPayloadWithoutAnExampleIsAnError(t *testing.T) {
	type unheard struct{}
	_, err := sample(event{ServerEventSpec: domain.ServerEventSpec{Type: "new.event", Payload: unheard{}}})
	require.ErrorContains(t, err, "new.event: give main.unheard an example")
}

func TestExamplesAreOfTheCatalog(t *testing.T) {
	payloads := map[reflect.Type]bool{}
	events := map[domain.ServerEventType]reflect.Type{}
	for _, spec := range domain.Catalog {
		payloads[reflect.TypeOf(spec.Payload)] = true
		events[spec.Type] = reflect.TypeOf(spec.Payload)
	}
	for payload := range samples {
		require.True(t, payloads[payload], "no event has payload %s", payload)
	}
	for name, payload := range variants {
		require.Equal(t, events[name], reflect.TypeOf(payload), name)
	}
}

// The catalog names one channel; that a private room's life goes to its
// members instead stands in its prose, which this list must follow.
func TestPrivateRoomsAreThoseOfTheCatalog(t *testing.T) {
	for _, spec := range domain.Catalog {
		private := regexp.MustCompile(`(?i)private room`).MatchString(spec.Doc)
		require.Equal(t, private, slices.Contains(privateRooms, spec.Type), spec.Type)
	}
}

func TestLinksWithinTheReferenceLeadSomewhere(t *testing.T) {
	m, err := loaded()
	require.NoError(t, err)
	page, err := reference(m)
	require.NoError(t, err)
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^##+ (.+)$`).FindAllStringSubmatch(string(page), -1) {
		name := anchor(strings.TrimSpace(heading[1]))
		require.False(t, anchors[name], "two headings share #%s", name)
		anchors[name] = true
	}
	links := regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, links)
	for _, link := range links {
		require.True(t, anchors[link[1]], "#%s leads nowhere", link[1])
	}
}

// A field without a comment is one that every frontend developer has to guess.
func TestEveryFieldAndValueHasAMeaning(t *testing.T) {
	m, err := loaded()
	require.NoError(t, err)
	page, err := reference(m)
	require.NoError(t, err)
	for _, row := range regexp.MustCompile("(?m)^\\| `[^`]+` \\|.*\\|  \\|.*$|(?m)^\\| `[^`]+` \\|  \\|$").FindAllString(string(page), -1) {
		t.Errorf("%s: comment the field or the constant in domain/ to give it a meaning", row)
	}
}

// Package ws keeps to itself what a client may send, so the AsyncAPI document
// has a copy: the two must name the same fields.
func TestClientMessagesAreThoseOfTheServer(t *testing.T) {
	root, err := moduleRoot()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "transport/ws/message.go"))
	require.NoError(t, err)
	known := func(pattern string) (names []string) {
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			names = append(names, match[1])
		}
		return names
	}
	var commands []string
	fields := map[string]bool{}
	for _, c := range clientCommands {
		commands = append(commands, c.name)
		for name := range clientMessages()[c.name].(node)["payload"].(*schema).Properties {
			fields[name] = true
		}
	}
	require.ElementsMatch(t, known(`\bmessage\w+ += "(\w+)"`), commands)
	require.ElementsMatch(t, known("`json:\"(\\w+)\"`"), slices.Collect(maps.Keys(fields)))
}
