package store

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/orbit/realtime/domain"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// limitOf is a page's length, within its bounds.
func limitOf(p domain.Page) (int, error) {
	switch {
	case p.Limit == 0:
		return defaultPage, nil
	case p.Limit < 1 || p.Limit > maxPage:
		return 0, domain.InvalidField("limit", "a page has 1 to %d rows, not %d", maxPage, p.Limit)
	}
	return p.Limit, nil
}

// A cursor names the last row of a page by what the list is sorted by. It says
// nothing of the row itself, which may be gone by the time of the next page.

func cursor(keys ...any) string {
	return base64.RawURLEncoding.EncodeToString([]byte(toJSON(keys)))
}

// readCursor reads what cursor made into keys: pointers to strings and integers.
func readCursor(s string, keys ...any) error {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	var parts []json.RawMessage
	if err == nil {
		err = json.Unmarshal(raw, &parts)
	}
	if err == nil && len(parts) != len(keys) {
		err = fmt.Errorf("%d keys instead of %d", len(parts), len(keys))
	}
	for i := 0; err == nil && i < len(keys); i++ {
		err = json.Unmarshal(parts[i], keys[i])
	}
	if err != nil {
		return domain.InvalidField("after", "that is not the cursor of a page before")
	}
	return nil
}

// paged cuts what a query for limit+1 rows found to a page, and names the next.
func paged[T any](all []T, limit int, next func(last T) string) ([]T, string) {
	if len(all) <= limit {
		return all, ""
	}
	return all[:limit], next(all[limit-1])
}

// conditions is a WHERE clause in the making. Each "?" becomes a parameter.
type conditions struct {
	terms []string
	args  []any
}

func (w *conditions) add(term string, args ...any) {
	var b strings.Builder
	for i, part := range strings.Split(term, "?") {
		if i > 0 {
			w.args = append(w.args, args[i-1])
			fmt.Fprintf(&b, "$%d", len(w.args))
		}
		b.WriteString(part)
	}
	w.terms = append(w.terms, b.String())
}

// among adds that column is one of values.
func (w *conditions) among(d dialect, column string, values any) {
	w.args = append(w.args, d.list(values))
	w.terms = append(w.terms, d.in(column, len(w.args)))
}

// arg adds a parameter that stands outside of the clause, and returns its place.
func (w *conditions) arg(v any) string {
	w.args = append(w.args, v)
	return fmt.Sprintf("$%d", len(w.args))
}

func (w *conditions) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

// contains makes the pattern of LIKE … ESCAPE '\' that finds text anywhere.
func contains(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(text)) + "%"
}
