package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func sqliteDSN(t *testing.T) string { return storetest.DSN(t, store.SQLite) }

// orbit runs the command line tool on a database.
func orbit(t *testing.T, dsn string, args ...string) string {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(path, append(args, "--database-url", dsn)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return string(out)
}

// TestPoisonAndRequeue breaks a projector, finds the event in the poison queue
// with its whole story, mends the projector, requeues, and sees the tab heal.
func TestPoisonAndRequeue(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		var broken atomic.Bool
		broken.Store(true)
		table := maps.Clone(handlers.Table())
		healthy := table[domain.EventMemberUpdated]
		table[domain.EventMemberUpdated] = func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			if broken.Load() {
				panic(errors.New("the projector is broken"))
			}
			return healthy(ctx, read, ev)
		}
		a := start(t, testConfig(dsn), app.Projectors(table))
		owner := login(t, a.BaseURL(), "owner")
		snap := owner.snapshot(t, "acme")
		tb := openTab(t, owner, "acme", snap.Position, nil, always("ws"))
		tb.waitLive()

		bad := owner.do(t, http.StatusOK, "PATCH", "/v1/workspaces/acme/members/"+snap.Me.MemberID, map[string]any{"name": "Olive"}).eventID
		good := owner.do(t, http.StatusOK, "PATCH", "/v1/workspaces/acme", map[string]any{"name": "Goes on"}).eventID
		tb.waitCause(good) // one bad event doesn't stop its lane

		var poison struct {
			ID, EventID, Stack, ErrorClass, Projector string
			Attempts                                  []struct{ Error string }
		}
		require.NoError(t, json.Unmarshal([]byte(orbit(t, dsn, "poison", "list", "--json")), &poison))
		require.Equal(t, bad, poison.EventID)
		require.Equal(t, "panic", poison.ErrorClass)
		require.Contains(t, poison.Stack, "TestPoisonAndRequeue")
		require.Greater(t, len(poison.Attempts), 1)
		require.Contains(t, poison.Attempts[0].Error, "the projector is broken")

		broken.Store(false)
		orbit(t, dsn, "poison", "requeue", poison.ID)
		tb.waitCause(bad)
		require.Eventually(t, func() bool {
			return strings.Contains(orbit(t, dsn, "poison", "show", poison.ID, "--json"), `"state":"healed"`)
		}, 20*time.Second, 100*time.Millisecond)
		require.Empty(t, strings.TrimSpace(orbit(t, dsn, "poison", "list", "--json")))
	})
}

// TestHonestTabs breaks the projector of rooms: the tabs that show a private
// room say that it is old, whatever their transport, also those that come back
// later, and new ones by their snapshot. Nobody else, in the workspace or
// outside of it, hears that there is such a room.
func TestHonestTabs(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		var broken atomic.Bool
		table := maps.Clone(handlers.Table())
		healthy := table[domain.EventRoomUpdated]
		table[domain.EventRoomUpdated] = func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			if broken.Load() {
				return nil, domain.Errorf(domain.CodeInternal, "the projector is broken")
			}
			return healthy(ctx, read, ev)
		}
		a := start(t, testConfig(dsn), app.Projectors(table))
		owner, guest := login(t, a.BaseURL(), "owner"), login(t, a.BaseURL(), "guest")
		den := owner.do(t, http.StatusCreated, "POST", "/v1/workspaces/acme/rooms", map[string]any{"name": "Den", "private": true})
		room := den.id("room")
		snap := owner.snapshot(t, "acme")
		var tabs []*tab
		for _, transport := range transports {
			tb := openTab(t, owner, "acme", snap.Position, nil, always(transport))
			tb.waitLive()
			tabs = append(tabs, tb)
		}
		outsiders := []*tab{
			openTab(t, guest, "acme", snap.Position, nil, always("ws")),
			openTab(t, owner, "globex", "", nil, always("ws")),
		}
		for _, tb := range outsiders {
			tb.waitLive()
		}

		broken.Store(true)
		bad := owner.do(t, http.StatusOK, "PATCH", "/v1/workspaces/acme/rooms/"+room, map[string]any{"name": "Lair"}).eventID
		told := func(typ domain.ServerEventType) func(tb *tab) bool {
			return func(tb *tab) bool {
				for _, e := range tb.events {
					if e.Type == string(typ) && e.Cause == bad && e.ID != "" {
						require.JSONEq(t, `{"kind":"room","aggregate":"`+room+`"}`, only(t, e.raw, "kind", "aggregate"))
						require.Equal(t, "member:"+snap.Me.MemberID, e.Channel)
						return true
					}
				}
				return false
			}
		}
		for _, tb := range tabs {
			tb.waitFor("system.stale", told(domain.ServerSystemStale))
		}
		late := openTab(t, owner, "acme", snap.Position, nil, always("sse"))
		late.waitFor("system.stale, replayed", told(domain.ServerSystemStale))
		require.Equal(t, []domain.Stale{{Kind: "room", Aggregate: room, Cause: bad}}, owner.snapshot(t, "acme").Stale)
		require.Empty(t, guest.snapshot(t, "acme").Stale)

		// A later change of the room makes up for it, by itself.
		broken.Store(false)
		good := owner.do(t, http.StatusOK, "PATCH", "/v1/workspaces/acme/rooms/"+room, map[string]any{"name": "Burrow"}).eventID
		for _, tb := range append(tabs, late) {
			tb.waitCause(good)
			tb.waitFor("system.healed", told(domain.ServerSystemHealed))
			tb.logged() // in order, each once
		}
		require.Empty(t, owner.snapshot(t, "acme").Stale)

		last := owner.do(t, http.StatusOK, "PATCH", "/v1/workspaces/acme", map[string]any{"name": "Goes on"}).eventID
		outsiders[0].waitCause(last)
		for _, tb := range outsiders {
			for _, e := range tb.all() {
				require.NotContains(t, string(e.raw), room, "a private room is nobody else's to know of")
			}
		}
	})
}

// only cuts a JSON object down to some of its fields.
func only(t *testing.T, raw []byte, names ...string) string {
	t.Helper()
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &fields))
	some := map[string]json.RawMessage{}
	for _, name := range names {
		some[name] = fields[name]
	}
	out, err := json.Marshal(some)
	require.NoError(t, err)
	return string(out)
}

// TestForeignWriteTransactionDelaysNobody holds a write transaction with its
// snapshot open in Postgres, and one command after the other still reaches the
// tab. (watermill-sql's stock schema delivers nothing until such a transaction
// ends.)
func TestForeignWriteTransactionDelaysNobody(t *testing.T) {
	dsn := storetest.DSN(t, store.Postgres)
	a := start(t, testConfig(dsn))
	owner := login(t, a.BaseURL(), "owner")
	snap := owner.snapshot(t, "acme")
	tb := openTab(t, owner, "acme", snap.Position, nil, always("ws"))
	tb.waitLive()

	db, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec("CREATE TABLE foreign_work (n int)")
	require.NoError(t, err)
	tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO foreign_work VALUES (1)") // takes an xid and keeps a snapshot
	require.NoError(t, err)

	for _, name := range []string{"One", "Two", "Three"} {
		tb.waitCause(owner.do(t, http.StatusOK, "PATCH", "/v1/workspaces/acme", map[string]any{"name": name}).eventID)
	}
	// All of it arrived while the transaction was still open.
	require.NoError(t, tx.Rollback())
}

// TestPublishFromPlainSQL writes a change and its event from psql, in one
// transaction, as a product in another language would.
func TestPublishFromPlainSQL(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("psql is not installed")
	}
	dsn := storetest.DSN(t, store.Postgres)
	a := start(t, testConfig(dsn))
	owner := login(t, a.BaseURL(), "owner")
	snap := owner.snapshot(t, "acme")
	tb := openTab(t, owner, "acme", snap.Position, nil, always("sse"))
	tb.waitLive()

	script := `BEGIN;
UPDATE workspaces SET name = 'From SQL', version = version + 1 WHERE slug = 'acme';
SELECT orbit_publish('workspaces.updated', id, id, '{}', 'my-own-event-id') FROM workspaces WHERE slug = 'acme';
COMMIT;`
	out, err := exec.Command(psql, dsn, "-v", "ON_ERROR_STOP=1", "-c", script).CombinedOutput()
	require.NoError(t, err, string(out))
	tb.waitCause("my-own-event-id")
	events := tb.logged()
	require.Contains(t, string(events[len(events)-1].raw), `"name":"From SQL"`)
}

// TestShutdownTellsTabsToComeBack ends the server while tabs are open: they are
// told that the node drains, and /readyz and upgrades refuse first.
func TestShutdownTellsTabsToComeBack(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		p := newProcess(t, dsn)
		p.start()
		owner := login(t, p.base(), "owner")
		snap := owner.snapshot(t, "acme")
		room := snap.room(t, "general")
		witness := openTab(t, login(t, p.base(), "admin"), "acme", snap.Position, []string{room}, always("ws"))
		witness.waitLive()
		var tabs []*tab
		for _, transport := range transports {
			tb := openTab(t, owner, "acme", snap.Position, []string{room}, always(transport))
			tb.waitLive()
			tabs = append(tabs, tb)
		}
		p.terminate()
		p.start()
		after := ""
		require.Eventually(t, func() bool {
			a, err := owner.try("POST", "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]any{"body": "back"})
			after = a.eventID
			return err == nil && a.status == http.StatusCreated
		}, 20*time.Second, 20*time.Millisecond)
		for i, tb := range tabs {
			tb.waitCause(after)
			said := false
			for _, e := range tb.all() {
				said = said || e.Type == "system.goodbye"
			}
			if transports[i] == "sse" {
				require.True(t, said, "SSE says goodbye before the stream ends")
			}
			tb.logged()
		}
	})
}

// TestOneLockedWorkspaceStallsNobodyElse holds one workspace's row and lets
// more commands queue for it than there are connections. Other workspaces, and
// readiness, go on while it lasts; those who wait are told to try later.
// (With one pool for everything, all tenants once waited for that lock.)
func TestOneLockedWorkspaceStallsNobodyElse(t *testing.T) {
	dsn := storetest.DSN(t, store.Postgres)
	a := start(t, testConfig(dsn))
	owner := login(t, a.BaseURL(), "owner")
	acme := owner.snapshot(t, "acme")
	room := acme.room(t, "general")
	tb := openTab(t, owner, "acme", acme.Position, []string{room}, always("ws"))
	tb.waitLive()

	db, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.Exec("UPDATE workspaces SET name = name WHERE slug = 'acme'")
	require.NoError(t, err)

	var waiting sync.WaitGroup
	refused := make(chan int, 40)
	for range cap(refused) {
		waiting.Go(func() {
			if answer, err := owner.try("PATCH", "/v1/workspaces/acme", map[string]any{"name": "Blocked"}); err == nil {
				refused <- answer.status
			}
		})
	}
	require.Equal(t, http.StatusServiceUnavailable, <-refused, "the first has waited long enough")
	owner.snapshot(t, "globex")
	other := openTab(t, owner, "globex", "", nil, always("ws"))
	other.waitLive()
	resp, err := http.Get(a.AdminURL() + "/readyz")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)

	require.NoError(t, tx.Rollback()) // the lock was held until here
	waiting.Wait()
	tb.waitCause(owner.do(t, http.StatusOK, "PATCH", "/v1/workspaces/acme", map[string]any{"name": "Free again"}).eventID)
}
