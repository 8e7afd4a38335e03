package store

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/orbit/realtime/domain"
)

// reader implements domain.Reader. Its methods stand in the files of their
// aggregates, each next to what writes the same columns.
type reader struct{ conn }

var (
	_ domain.Reader     = reader{}
	_ domain.Tx         = (*unitOfWork)(nil)
	_ domain.UnitOfWork = (*Store)(nil)
)

// nameKey is a name as uniqueness sees it: case doesn't count. Both engines'
// lower() fall short (SQLite's is ASCII, PostgreSQL's depends on the locale).
func nameKey(name string) string { return strings.ToLower(name) }

// fromJSON reads a JSON column. An empty one leaves v as it is.
func fromJSON(column string, v any) error {
	if column == "" {
		return nil
	}
	return json.Unmarshal([]byte(column), v)
}

func sortedKeys[V any](m map[int]V) []int { return slices.Sorted(maps.Keys(m)) }
