// Command gen writes what clients read from the tables and types of package
// domain: TypeScript, JSON Schema, AsyncAPI, fixtures and the event reference.
// Nothing of it is written by hand, so nothing of it can disagree with the
// server. Names, comments and types come from the source (go/types), values
// from the running program.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

//go:generate go run .

// outputs is everything the generator writes: path below the module's root, and how.
var outputs = []struct {
	path   string
	render func(*model) ([]byte, error)
}{
	{"web/client/src/generated/events.ts", typescript},
	{"web/client/schema/server-event.schema.json", jsonSchema},
	{"web/client/test/fixtures/events.ndjson", fixtureLines},
	{"web/client/test/fixtures/events.ts", fixtureTypes},
	{"docs/asyncapi.json", asyncAPI},
	{"docs/events.md", reference},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	m, err := loadModel(root)
	if err != nil {
		return err
	}
	// All or nothing: no file is touched before every one could be made.
	files := make([][]byte, len(outputs))
	for i, out := range outputs {
		if files[i], err = out.render(m); err != nil {
			return fmt.Errorf("%s: %w", out.path, err)
		}
	}
	for i, out := range outputs {
		path := filepath.Join(root, out.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[i], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// moduleRoot is the nearest folder upwards that holds go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod here or above")
		}
		dir = parent
	}
}
