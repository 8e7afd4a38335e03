// Package migrations embeds the schema, one folder per engine. Both folders
// hold the same tables under the same names; what differs is written where it
// differs. Store.Migrate applies them with goose (github.com/pressly/goose).
package migrations

import "embed"

// FS holds postgres/*.sql and sqlite/*.sql, named <version>_<what>.sql.
//
//go:embed postgres/*.sql sqlite/*.sql
var FS embed.FS
