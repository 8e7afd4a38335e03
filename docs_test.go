package realtime_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/api"
	"github.com/orbit/realtime/transport/problem"
)

//go:generate go test . -run TestProtocolReferenceIsCurrent -update

var update = flag.Bool("update", false, "write the generated tables of docs/protocol.md instead of comparing them")

// The tables of the wire reference are generated from the tables of the code,
// so that they can't grow old.
func TestProtocolReferenceIsCurrent(t *testing.T) {
	const path = "docs/protocol.md"
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	after := string(before)
	for name, table := range map[string]string{
		"events":      eventTable(),
		"shapes":      shapeTable(),
		"close codes": closeCodeTable(),
		"routes":      routeTable(),
		"problems":    problemTable(),
	} {
		block := regexp.MustCompile(`(?s)(<!-- generated: ` + name + ` -->\n).*?(<!-- end -->)`)
		require.Len(t, block.FindAllString(after, -1), 1, "%s has one block for %s", path, name)
		after = block.ReplaceAllString(after, "${1}"+strings.ReplaceAll(table, "$", "$$")+"${2}")
	}
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(after), 0o644))
		return
	}
	if after != string(before) {
		t.Errorf("%s is old: run \"make generate\", or \"go test . -update\"\n%s", path, firstDifference(string(before), after))
	}
}

// firstDifference shows where two texts part; the whole of both helps nobody.
func firstDifference(is, want string) string {
	a, b := strings.Split(is, "\n"), strings.Split(want, "\n")
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	line := func(lines []string) string {
		if i < len(lines) {
			return lines[i]
		}
		return "(the end)"
	}
	return fmt.Sprintf("line %d is:   %s\nand must be: %s", i+1, line(a), line(b))
}

func eventTable() string {
	var b strings.Builder
	b.WriteString("| type | channel | fields | when |\n|---|---|---|---|\n")
	for _, spec := range domain.Catalog {
		channel := string(spec.Channel)
		if channel == "" {
			channel = "the session"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", spec.Type, channel, fields(spec.Payload), spec.Doc)
	}
	return b.String()
}

// fields lists a payload's JSON names; an entity that is gone shows as a tombstone.
func fields(payload any) string {
	var names []string
	for t, i := reflect.TypeOf(payload), 0; i < t.NumField(); i++ {
		name := "`" + jsonName(t.Field(i)) + "`"
		if t.Field(i).Type == reflect.TypeFor[domain.Tombstone]() {
			name += " (tombstone)"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// shapeTable lists the fields of each entity that a log event carries in full.
func shapeTable() string {
	var b strings.Builder
	b.WriteString("| key | fields |\n|---|---|\n")
	seen := map[string]bool{}
	for _, spec := range domain.Catalog {
		for t, i := reflect.TypeOf(spec.Payload), 0; i < t.NumField(); i++ {
			key, entity := jsonName(t.Field(i)), t.Field(i).Type
			if spec.Channel == "" || entity.Kind() != reflect.Struct || entity == reflect.TypeFor[domain.Tombstone]() || seen[key] {
				continue
			}
			seen[key] = true
			fmt.Fprintf(&b, "| `%s` | `%s` |\n", key, shape(entity))
		}
	}
	return b.String()
}

// shape lists the JSON names of an entity's fields, those of lists with "[]".
func shape(entity reflect.Type) string {
	var names []string
	for i := range entity.NumField() {
		name := jsonName(entity.Field(i))
		if name == "-" {
			continue
		}
		if entity.Field(i).Type.Kind() == reflect.Slice {
			name += "[]"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func closeCodeTable() string {
	var b strings.Builder
	b.WriteString("| code | name | come back? | meaning |\n|---|---|---|---|\n")
	for _, c := range domain.CloseCodes {
		comeBack := "no"
		if c.Reconnect {
			comeBack = "yes"
		}
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", c.Code, c.Name, comeBack, c.Doc)
	}
	return b.String()
}

func routeTable() string {
	var b strings.Builder
	b.WriteString("| method | path | needs | |\n|---|---|---|---|\n")
	for _, r := range api.Routes {
		path := regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.Path, "{$1}")
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", r.Method, path, r.Needs, r.Doc)
	}
	return b.String()
}

func problemTable() string {
	var b strings.Builder
	b.WriteString("| status | code | type | title |\n|---|---|---|---|\n")
	for _, k := range problem.Kinds {
		fmt.Fprintf(&b, "| %d | `%s` | `%s` | %s |\n", k.Status, k.Code, k.Type(), k.Title)
	}
	return b.String()
}

// A link to a file that was moved helps nobody.
func TestLinksInTheDocsLeadSomewhere(t *testing.T) {
	docs, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	records, err := filepath.Glob("docs/adr/*.md")
	require.NoError(t, err)
	for _, path := range append(append(docs, records...), "README.md") {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		prose := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(string(text), "")
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(prose, -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			_, err := os.Stat(filepath.Join(filepath.Dir(path), link[1]))
			require.NoError(t, err, "%s links to %s", path, link[1])
		}
	}
}
