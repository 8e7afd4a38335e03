package console

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/admin-api.md instead of comparing with it")

const reference = "../../docs/admin-api.md"

func TestReferenceIsCurrent(t *testing.T) {
	want := markdown()
	if *update {
		require.NoError(t, os.WriteFile(reference, []byte(want), 0o644))
		return
	}
	is, err := os.ReadFile(reference)
	require.NoError(t, err)
	require.True(t, want == string(is), "%s is old: run \"make generate\"", reference)
}

// markdown renders the table of routes.
func markdown() string {
	var b strings.Builder
	b.WriteString(intro)
	b.WriteString("\n## Routes\n\nAll below `" + Prefix + "`; `GET " + Prefix + "` is this list as JSON.\n\n| method | path | role | parameters | |\n|---|---|---|---|---|\n")
	for _, r := range Routes {
		var names []string
		for _, name := range r.Query {
			names = append(names, "`"+name+"`")
		}
		doc := r.Doc
		if r.Body != nil {
			doc += " Body: " + fields(r.Body) + "."
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", r.Method, r.Path, r.Role, strings.Join(names, " "), doc)
	}
	b.WriteString(outro)
	return b.String()
}

func fields(body any) string {
	var names []string
	for t, i := reflect.TypeOf(body), 0; i < t.NumField(); i++ {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, "`"+name+"`")
	}
	return strings.Join(names, ", ")
}

const intro = `<!-- Generated from the table of routes in transport/console by "make generate"; edits here are lost. -->

# The admin API

It is on the admin listener (` + "`ORBIT_ADMIN_ADDR`" + `, by default 127.0.0.1:8081), never on the public one.
The console at ` + "`/ops`" + ` and the commands ` + "`orbit poison`, `operations`, `ops`, `trace`, `audit` and `tail`" + ` do what they do through it.

    curl -H "Authorization: Bearer $ORBIT_ADMIN_TOKEN" http://127.0.0.1:8081/admin/v1/poison/stats

- **Who.** ` + "`Authorization: Bearer`" + ` with a token of ` + "`ORBIT_ADMIN_TOKENS`" + `. A *viewer* reads, with the values of
  payloads, metadata and error texts masked; an *operator* reads all of it, and acts. What a viewer tries to do is 403, and in
  the audit. Ten wrong tokens from an address, and it has to wait.
- **Errors** are problem documents (RFC 9457) with a stable ` + "`type` and `code`" + `; a parameter or field to blame is in ` + "`field`" + `.
  Unknown parameters and fields are errors: a filter that is misspelt must not select everything.
- **Pages.** Lists take ` + "`limit`" + ` (1 to 1,000, 100 by default) and ` + "`after`" + `, which is the ` + "`next`" + ` of the page before. It is
  "" on the last one.
- **Once.** A second requeue of a message is 409. ` + "`If-Match`" + ` with the ` + "`ETag`" + ` of a message (its ` + "`version`" + `) makes an act fail with
  412 when somebody changed it meanwhile. ` + "`Idempotency-Key`" + ` (128 characters at most, remembered for a day) makes the same
  request sent twice one act.
- **Numbers** that can exceed 2⁵³ are strings: versions, offsets, ids of the audit.
- **Times** are RFC 3339 in UTC. ` + "`since` and `until`" + ` also take how long ago: ` + "`24h`" + `.
`

const outro = `
## Filters

` + "`state`" + ` is open, requeued, healed, superseded, discarded, several of them with commas, or all (the default). ` + "`workspace`" + ` is a
slug or an id, ` + "`q`" + ` is found in the error or an id (for a viewer, in an id), ` + "`id`" + ` may be given up to 1,000 times. The others match exactly. In the body of
an operation the same are called ` + "`states`, `fingerprint`, `workspaceId`, `aggregateId`, `type`, `projector`, `text`, `since`, `until` and `ids`" + `,
and times are in full.

## Bulk operations

An operation is pinned when it is made: what fails later isn't in it. Count first (` + "`\"dryRun\": true`" + `), and say what you expect:

    {"kind": "requeue", "filter": {"fingerprint": "9f86d081884c7d65"}, "expect": 412, "reason": "fixed in v2.3"}

A requeue begins with one message, then ten, then the rest, each stage after the one before has healed; it stops by itself when
a message fails in the same way again (` + "`\"noCanary\": true`" + ` lets all go at ` + "`perSecond`" + `, 1 to 1,000, by default 50). It goes on over a
restart, and can be cancelled; each message has an outcome.
`
