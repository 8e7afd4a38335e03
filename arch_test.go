// Package realtime_test checks the shape of the whole module.
package realtime_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/orbit/realtime"

// layer is a row of the import table: a folder, what of ours it may import, and
// why not more. A package belongs to the row with the longest matching folder.
type layer struct {
	folder string
	may    []string // folders of ours, their subfolders included
	reason string
}

// layers is "who may import whom". Tests may import what they like: they wire
// packages together to try them.
var layers = []layer{
	{"domain", nil, "the rules must run, and be tested, without any of the machinery around them"},
	{"config", nil, "settings are plain values; app hands them out, so that no part depends on the whole"},
	{"migrations", nil, "SQL files and their embedding, nothing else"},
	{"handlers", []string{"domain"}, "projectors only read: an operator can preview one without a bus, a hub or a server"},
	{"store", []string{"domain", "migrations"}, "all SQL lives here, and knows nothing of who calls it"},
	{"pipeline", []string{"domain", "store"}, "the bus carries events from the outbox to the log; projectors and hub are given to it"},
	{"transport/problem", []string{"domain"}, "problem documents are a table over coded errors"},
	{"transport/body", []string{"domain", "transport/problem"}, "a body is read the same way by every adapter"},
	{"transport/hub", []string{"domain"}, "sessions, channels and rings know no wire format, so that every transport shares them"},
	{"transport/relay", []string{"domain"}, "hints pass between nodes whatever they lead to; hub and presence are given to it"},
	{"transport/presence", []string{"domain"}, "presence counts sessions; the hub comes in through a port"},
	{"transport/auth", []string{"domain", "transport/hub", "transport/problem"}, "it answers the hub's question about entitlement, whatever the transport"},
	{"transport/ws", []string{"domain", "transport/hub", "transport/presence", "transport/auth", "transport/problem"}, "adapters never import each other"},
	{"transport/sse", []string{"domain", "transport/hub", "transport/presence", "transport/auth", "transport/problem"}, "adapters never import each other"},
	{"transport/poll", []string{"domain", "transport/hub", "transport/presence", "transport/auth", "transport/problem"}, "adapters never import each other"},
	{"transport/api", []string{"domain", "transport/auth", "transport/body", "transport/problem"}, "commands change the database; that tabs hear of it is the outbox's business"},
	{"transport/console", []string{"domain", "transport/body", "transport/problem"}, "operators come in through the admin listener; what the console may do is given to it"},
	{"transport", []string{"domain", "transport/hub", "transport/presence", "transport/auth", "transport/problem"}, "transports reach the database through ports only"},
	{"web", nil, "embedded assets, nothing else"},
	{"web/gen", []string{"domain", "transport/problem"}, "it renders the tables that clients depend on, and needs no server for it"},
	{"app", []string{""}, ""},
}

// owner says which folder alone may import a library, and why.
type owner struct {
	library string // and every package below it
	folders []string
	reason  string
}

var owners = []owner{
	{"github.com/ThreeDotsLabs", []string{"pipeline"}, "the bus can be replaced only if one folder knows it"},
	{"github.com/olahol/melody", []string{"transport/ws"}, "melody drops silently and panics leave zombies: one folder guards against it"},
	{"github.com/gorilla/websocket", []string{"transport/ws", "app/bench", "app/prove"}, "there is one WebSocket server, one client that measures it, and one that distrusts it"},
	{"database/sql/driver", []string{"store"}, "all SQL lives in store"},
	{"github.com/jackc/pgx", []string{"store"}, "all SQL lives in store"},
	{"modernc.org/sqlite", []string{"store"}, "all SQL lives in store"},
	{"github.com/pressly/goose", []string{"store", "migrations"}, "the schema is store's"},
	{"github.com/gin-gonic/gin", []string{"transport", "app"}, "HTTP stops at the transports"},
	{"github.com/nats-io", []string{"transport/relay"}, "NATS carries hints and nothing else: one folder knows it"},
	{"github.com/alecthomas/kong", []string{"config", "app"}, "the command line stops at the binary"},
}

// bans are standard packages a folder does without.
var bans = []owner{
	{"net/http", []string{"domain", "handlers", "store", "pipeline", "transport/hub", "transport/presence"}, "none of them may depend on how clients connect"},
	{"database/sql", []string{"domain", "handlers", "config", "transport", "web"}, "all SQL lives in store"},
}

// pure folders use the standard library and what the table allows, no third
// party's module. (config has its exception in owners.)
var pure = map[string][]string{
	"domain":     nil,
	"handlers":   nil,
	"config":     {"github.com/alecthomas/kong"},
	"migrations": nil,
}

// goPackage is what `go list -json` says of a package.
type goPackage struct {
	ImportPath string
	Imports    []string // of the package itself, without its tests
}

func (p goPackage) folder() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

func TestImportsFollowTheTable(t *testing.T) {
	for _, p := range list(t) {
		for _, complaint := range violations(p) {
			t.Error(complaint)
		}
	}
}

// violations tells every import of p that the tables forbid, each with the reason.
func violations(p goPackage) []string {
	var complaints []string
	complain := func(imported, format string, args ...any) {
		complaints = append(complaints, fmt.Sprintf("%s imports %s: %s", p.folder(), imported, fmt.Sprintf(format, args...)))
	}
	row, known := rowOf(p.folder())
	if !known {
		return []string{fmt.Sprintf("%s is in no row of the import table: give it one, with its reason", p.folder())}
	}
	for _, imported := range p.Imports {
		ours, isOurs := strings.CutPrefix(imported, module+"/")
		if isOurs && !within(ours, row.folder) && !slices.ContainsFunc(row.may, func(f string) bool { return within(ours, f) }) {
			complain(ours, "%s may import %s of ours, for %s", row.folder, orNothing(row.may), row.reason)
		}
		if allowed, isPure := pure[row.folder]; isPure && isThirdParty(imported) && !slices.ContainsFunc(allowed, func(l string) bool { return within(imported, l) }) {
			complain(imported, "%s uses no third party's modules, for %s", row.folder, row.reason)
		}
		for _, o := range owners {
			if within(imported, o.library) && !slices.ContainsFunc(o.folders, func(f string) bool { return within(p.folder(), f) }) {
				complain(imported, "only %s may, for %s", strings.Join(o.folders, " and "), o.reason)
			}
		}
		for _, b := range bans {
			if imported == b.library && slices.ContainsFunc(b.folders, func(f string) bool { return within(p.folder(), f) }) {
				complain(imported, "it may not, for %s", b.reason)
			}
		}
	}
	return complaints
}

func rowOf(folder string) (row layer, known bool) {
	for _, l := range layers {
		if within(folder, l.folder) && len(l.folder) > len(row.folder) {
			row, known = l, true
		}
	}
	return row, known
}

// within reports whether path is folder or below it; every path is below "".
func within(path, folder string) bool {
	return folder == "" || path == folder || strings.HasPrefix(path, folder+"/")
}

func isThirdParty(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".") && !within(imported, module)
}

func orNothing(folders []string) string {
	if len(folders) == 0 {
		return "nothing"
	}
	return strings.Join(folders, ", ")
}

func list(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath != module { // this test's own folder has no code
			packages = append(packages, p)
		}
	}
	require.NotEmpty(t, packages)
	return packages
}

// A table that forbids nothing would pass as well: each rule is seen to bite.
func TestTheTableBites(t *testing.T) {
	for _, tc := range []struct{ folder, imported, reason string }{
		{"domain", module + "/store", "domain may import nothing"},
		{"domain", "github.com/google/uuid", "no third party"},
		{"handlers", module + "/pipeline", "may import domain of ours"},
		{"handlers", "net/http", "how clients connect"},
		{"config", "github.com/caarlos0/env/v11", "no third party"},
		{"store", module + "/pipeline", "may import domain, migrations"},
		{"store/storetest", module + "/app", "may import domain, migrations"},
		{"store", "github.com/ThreeDotsLabs/watermill/message", "only pipeline may"},
		{"pipeline", module + "/transport/hub", "may import domain, store"},
		{"pipeline", "github.com/jackc/pgx/v5", "only store may"},
		{"transport/hub", "net/http", "it may not"},
		{"transport/hub", module + "/transport/ws", "may import domain"},
		{"transport/ws", module + "/transport/sse", "adapters never import each other"},
		{"transport/ws", module + "/store", "may import domain"},
		{"transport/sse", "github.com/olahol/melody", "only transport/ws may"},
		{"transport/api", module + "/transport/hub", "outbox's business"},
		{"transport/newcomer", module + "/store", "through ports"},
		{"web", module + "/domain", "may import nothing"},
		{"web/gen", module + "/transport/hub", "needs no server"},
		{"kitchen", "fmt", "in no row"},
	} {
		got := violations(goPackage{ImportPath: module + "/" + tc.folder, Imports: []string{tc.imported}})
		require.Len(t, got, 1, "%s imports %s", tc.folder, tc.imported)
		require.Contains(t, got[0], tc.reason)
	}
	for folder, imported := range map[string]string{
		"handlers": module + "/domain", "pipeline": "github.com/ThreeDotsLabs/watermill", "app/orbit": module + "/store",
		"config": "github.com/alecthomas/kong", "store/storetest": module + "/store", "transport/ws": "net/http",
		"app": module + "/transport/ws",
	} {
		require.Empty(t, violations(goPackage{ImportPath: module + "/" + folder, Imports: []string{imported}}))
	}
}
