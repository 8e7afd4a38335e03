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
	require.Equal(t, after, string(before), "%s is old: run make generate", path)
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
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		name = "`" + name + "`"
		if t.Field(i).Type == reflect.TypeFor[domain.Tombstone]() {
			name += " (tombstone)"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
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
