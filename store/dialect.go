package store

import (
	"encoding/json"
	"fmt"
)

// dialect is all that differs between the engines' SQL.
type dialect struct {
	name Dialect
	// rows is the table function that spreads a JSON array of arrays; each row
	// is read as value->>0, value->>1, … (cast where it isn't text).
	rows string
	// lockUpdate and lockShare end a SELECT that locks its rows. SQLite has
	// one writer at a time and needs neither.
	lockUpdate, lockShare string
	// lockOperations lets one transaction at a time, until it commits, make an
	// operation. SQLite needs none, for the same reason.
	lockOperations string
	// now is the server's clock, in Unix microseconds.
	now    string
	arrays bool // lists are passed as arrays; as JSON otherwise
}

var (
	postgresDialect = dialect{
		name: Postgres,
		rows: "json_array_elements($1::json)",
		// NO KEY: rows that refer to this one can still be inserted.
		lockUpdate: " FOR NO KEY UPDATE",
		lockShare:  " FOR SHARE",
		// A table's lock, in the mode that conflicts with itself and with changes
		// of rows, but not with reading or locking them.
		lockOperations: "LOCK TABLE operations IN SHARE ROW EXCLUSIVE MODE",
		now:            "(extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT",
		arrays:         true,
	}
	sqliteDialect = dialect{
		name: SQLite,
		rows: "json_each($1)",
		now:  "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
	}
)

// boolean reads a JSON value's text as a truth value. SQLite gives 0 or 1.
func (d dialect) boolean(text string) string {
	if d.name == Postgres {
		return "(" + text + ")::BOOLEAN"
	}
	return text
}

// in returns the condition that column is one of the values of parameter n,
// which list made. The text doesn't depend on how many values there are, so
// the statement is prepared once.
func (d dialect) in(column string, n int) string {
	if d.arrays {
		return fmt.Sprintf("%s = ANY($%d)", column, n)
	}
	return fmt.Sprintf("%s IN (SELECT value FROM json_each($%d))", column, n)
}

// list makes the argument for in.
func (d dialect) list(values any) any {
	if d.arrays {
		return values
	}
	return toJSON(values)
}

// toJSON renders arguments for the dialect's table functions, and JSON columns.
// Its inputs are strings, numbers and slices of these: they always marshal.
func toJSON(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}
