package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
	"github.com/orbit/realtime/transport/console"
)

const (
	operatorToken = "token-of-alice-01"
	viewerToken   = "token-of-bob-0002"
)

// admin asks the admin API with a token ("" for none).
func admin(t *testing.T, method, url, token string) (int, string) {
	t.Helper()
	return adminBody(t, method, url, token, "")
}

func adminBody(t *testing.T, method, url, token, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(answer)
}

// TestNothingOfTheAdminSideIsPublic: on the listener that clients reach there
// is no such address, whoever asks.
func TestNothingOfTheAdminSideIsPublic(t *testing.T) {
	cfg := testConfig(sqliteDSN(t))
	cfg.AdminTokens = []string{"alice:operator:" + operatorToken}
	a := start(t, cfg)
	paths := []string{"/ops", "/ops/poison", "/ops/sign-in", "/ops/static/ops.css", "/metrics", "/healthz", "/readyz", "/debug/pprof/", "/debug/pprof/heap", console.Prefix}
	for _, route := range console.Routes {
		paths = append(paths, console.Prefix+route.Path)
	}
	for _, path := range paths {
		status, _ := admin(t, http.MethodGet, a.BaseURL()+path, operatorToken)
		require.Equal(t, http.StatusNotFound, status, path)
	}
	status, _ := admin(t, http.MethodGet, a.AdminURL()+console.Prefix+"/status", operatorToken)
	require.Equal(t, http.StatusOK, status)
	status, _ = admin(t, http.MethodGet, a.AdminURL()+console.Prefix+"/status", "")
	require.Equal(t, http.StatusUnauthorized, status, "operators that are configured end the demo's")
	status, _ = admin(t, http.MethodGet, a.AdminURL()+"/readyz", "")
	require.Equal(t, http.StatusOK, status, "health needs no token")
}

// breakable is a server whose projector of posted messages can be broken, with
// an operator and a viewer; nothing is retried for long.
func breakable(t *testing.T, dsn string) (a *app.App, broken *atomic.Bool) {
	t.Helper()
	broken = new(atomic.Bool)
	table := maps.Clone(handlers.Table())
	healthy := table[domain.EventMessagePosted]
	table[domain.EventMessagePosted] = func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
		events, err := healthy(ctx, read, ev)
		if broken.Load() {
			return nil, errors.New("no such column: messages.mood\x1b[31m <script>")
		}
		return events, err
	}
	cfg := testConfig(dsn)
	cfg.RetryBudget = 0
	cfg.AdminTokens = []string{"alice:operator:" + operatorToken, "bob:viewer:" + viewerToken}
	return start(t, cfg, app.Projectors(table)), broken
}

// poisonSome posts n messages that the broken projector fails on, and returns
// the events' ids.
func poisonSome(t *testing.T, owner *user, n int) (causes []string) {
	t.Helper()
	room := owner.snapshot(t, "acme").room(t, "general")
	for i := range n {
		a := owner.do(t, http.StatusCreated, "POST", "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]any{"body": fmt.Sprintf("message %d", i)})
		causes = append(causes, a.eventID)
	}
	return causes
}

// cli runs the binary with arguments and says how it ended. where are the flags
// that tell it where to work.
func cli(t *testing.T, where []string, args ...string) (code int, out, stderr string) {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(path, append(args, where...)...)
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

func lines(s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// TestTheWayBackByCommandLine breaks a projector under load, finds the group,
// reads the cause, previews, mends, requeues with a canary, and sees the tab
// heal; with the command line alone, as a script would: over the API, and
// straight on the database.
func TestTheWayBackByCommandLine(t *testing.T) {
	for _, mode := range []string{"server", "dsn"} {
		t.Run(mode, func(t *testing.T) {
			each(t, func(t *testing.T, dsn string) {
				a, broken := breakable(t, dsn)
				where := []string{"--server", a.AdminURL(), "--token", operatorToken}
				if mode == "dsn" {
					where = []string{"--dsn", dsn}
				}
				run := func(wantCode int, args ...string) string {
					t.Helper()
					code, out, stderr := cli(t, where, args...)
					require.Equal(t, wantCode, code, "%v: %s%s", args, out, stderr)
					require.NotContains(t, out+stderr, "\x1b", "what failed never steers the terminal")
					return out
				}
				owner := login(t, a.BaseURL(), "owner")
				snap := owner.snapshot(t, "acme")
				tb := openTab(t, owner, "acme", snap.Position, []string{snap.room(t, "general")}, always("ws"))
				tb.waitLive()

				broken.Store(true)
				causes := poisonSome(t, owner, 15)
				require.Eventually(t, func() bool { // in a goroutine of its own, which must not fail the test
					code, out, _ := cli(t, where, "poison", "list", "--json")
					return code == 0 && len(lines(out)) == 15
				}, 30*time.Second, 100*time.Millisecond)

				// What broke?
				var group domain.PoisonGroup
				require.NoError(t, json.Unmarshal([]byte(run(0, "poison", "groups", "--json")), &group), "one group, one line")
				require.Equal(t, 15, group.Counts[domain.PoisonOpen])
				require.Contains(t, run(0, "poison", "groups"), group.Fingerprint)
				run(4, "poison", "stats", "--max-open", "3")
				run(4, "poison", "stats", "--max-age", "1ns")
				run(0, "poison", "stats", "--max-open", "15", "--max-age", "1h")

				var one console.Message
				require.NoError(t, json.Unmarshal([]byte(lines(run(0, "poison", "list", "--json", "--limit", "1"))[0]), &one))
				require.Equal(t, 1, one.Tries, "without a budget nothing is tried again")
				require.Contains(t, run(0, "poison", "show", one.ID), "no such column: messages.mood")
				run(3, "poison", "show", "psn_nothing")

				// Take it home: the fixture runs on this build's projector.
				file := t.TempDir() + "/mood.json"
				require.NoError(t, os.WriteFile(file, []byte(run(0, "poison", "export", one.ID)), 0o600))
				code, out, stderr := cli(t, nil, "poison", "replay", file)
				require.Zero(t, code, out+stderr)
				require.Contains(t, out, "message.posted to room:")
				require.Contains(t, out, "func TestRoomsMessagePostedMood(t *testing.T)")
				require.NotContains(t, out, "message 14", "what people wrote stays here")
				require.NotContains(t, out, "\x1b")

				// Is it mended? Straight on the database it is this build's own
				// projector that runs, and that one was never broken.
				if mode == "server" {
					require.Contains(t, run(0, "poison", "preview", one.ID), "It would fail again")
				}
				broken.Store(false)
				require.Contains(t, run(0, "poison", "preview", one.ID), "message.posted to room:")
				if mode == "server" {
					require.Contains(t, run(0, "poison", "preview", one.ID), "1 ws session(s)")
				}

				// A script says what it means, or nothing happens.
				run(2, "poison", "requeue")
				run(2, "poison", "requeue", "--group", group.Fingerprint)
				run(2, "poison", "requeue", "--group", group.Fingerprint, "--yes")
				run(6, "poison", "requeue", "--group", group.Fingerprint, "--yes", "--expect", "14")
				require.Contains(t, run(0, "poison", "requeue", "--group", group.Fingerprint, "--dry-run"), "15")
				require.Len(t, lines(run(0, "poison", "list", "--json")), 15)

				// One by hand, and not twice; one that isn't there doesn't keep it.
				run(5, "poison", "requeue", one.ID, "psn_nothing")
				tb.waitCause(one.EventID)
				run(6, "poison", "requeue", one.ID)

				// The rest, canary first.
				var op domain.Operation
				out = run(0, "poison", "requeue", "--group", group.Fingerprint, "--yes", "--expect", "14", "--reason", "mended", "--wait", "--json")
				require.NoError(t, json.Unmarshal([]byte(out), &op))
				require.Equal(t, domain.OperationDone, op.State)
				require.Equal(t, 14, op.Succeeded)
				for _, cause := range causes {
					tb.waitCause(cause)
				}
				for cause, n := range delivered(tb) {
					require.Equal(t, 1, n, "%s reached the tab once", cause)
				}
				require.Contains(t, run(0, "operations", "show", op.ID, "--items"), "succeeded")
				require.Contains(t, run(0, "trace", one.EventID), "in the log")
				require.Empty(t, lines(run(0, "poison", "list", "--json")))
				require.Len(t, lines(run(0, "poison", "list", "--json", "--state", "healed", "--limit", "4", "--all")), 15)

				via := console.ViaCLI
				if mode == "dsn" {
					via = console.ViaDirect
				}
				require.Contains(t, run(0, "audit", "list", "--json", "--action", "operation.create"), `"via":"`+via+`"`)
				if mode == "server" {
					// What it says of the queue is some seconds old.
					require.Eventually(t, func() bool {
						code, _, _ := cli(t, where, "ops", "status")
						return code == 0
					}, 30*time.Second, 100*time.Millisecond)
					code, _, stderr := cli(t, []string{"--server", a.AdminURL(), "--token", viewerToken}, "poison", "restore", one.ID)
					require.Equal(t, 7, code, stderr)
					code, _, _ = cli(t, []string{"--server", a.AdminURL()}, "poison", "list")
					require.Equal(t, 7, code)
					require.Contains(t, run(0, "audit", "list", "--outcome", "denied"), "bob")
				} else {
					code, _, stderr := cli(t, where, "ops", "status")
					require.Equal(t, 1, code)
					require.Contains(t, stderr, "needs a running server")
				}
			})
		})
	}
}

// delivered counts how often a tab got each cause's message.
func delivered(tb *tab) map[string]int {
	counts := map[string]int{}
	for _, ev := range tb.all() {
		if ev.Type == string(domain.ServerMessagePosted) {
			counts[ev.Cause]++
		}
	}
	return counts
}

// TestTailFollows prints a workspace's events as they are appended.
func TestTailFollows(t *testing.T) {
	for _, mode := range []string{"server", "dsn"} {
		t.Run(mode, func(t *testing.T) {
			dsn := sqliteDSN(t)
			a, _ := breakable(t, dsn)
			where := []string{"--server", a.AdminURL(), "--token", operatorToken}
			if mode == "dsn" {
				where = []string{"--dsn", dsn}
			}
			owner := login(t, a.BaseURL(), "owner")
			path, err := binary()
			require.NoError(t, err)
			cmd := exec.Command(path, append([]string{"tail", "acme", "--json", "--after", owner.snapshot(t, "acme").Position}, where...)...)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			cause := poisonSome(t, owner, 1)[0]
			var ev console.TailEvent
			require.NoError(t, json.NewDecoder(out).Decode(&ev))
			require.Equal(t, cause, ev.Cause)
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			require.NoError(t, cmd.Wait(), "interrupting it is how it ends")
		})
	}
}

// TestTwoOperatorsPressTheSameButton at the same moment, many times over: one
// of them did it, the other is told so, and the tab hears of it once.
func TestTwoOperatorsPressTheSameButton(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		a, broken := breakable(t, dsn)
		owner := login(t, a.BaseURL(), "owner")
		snap := owner.snapshot(t, "acme")
		tb := openTab(t, owner, "acme", snap.Position, []string{snap.room(t, "general")}, always("sse"))
		tb.waitLive()
		broken.Store(true)
		causes := poisonSome(t, owner, 8)
		var list console.List[console.Message]
		require.Eventually(t, func() bool {
			_, body := admin(t, "GET", a.AdminURL()+console.Prefix+"/poison/messages?state=open", operatorToken)
			require.NoError(t, json.Unmarshal([]byte(body), &list))
			return len(list.Items) == 8
		}, 30*time.Second, 50*time.Millisecond)
		broken.Store(false)

		for _, m := range list.Items {
			var wins, conflicts atomic.Int32
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() {
					req, err := http.NewRequestWithContext(t.Context(), "POST", a.AdminURL()+console.Prefix+"/poison/messages/"+m.ID+"/requeue", nil)
					if err != nil {
						return
					}
					req.Header.Set("Authorization", "Bearer "+operatorToken)
					resp, err := http.DefaultClient.Do(req)
					if err != nil {
						return
					}
					resp.Body.Close()
					switch resp.StatusCode {
					case http.StatusOK:
						wins.Add(1)
					case http.StatusConflict:
						conflicts.Add(1)
					}
				})
			}
			both.Wait()
			require.EqualValues(t, 1, wins.Load())
			require.EqualValues(t, 1, conflicts.Load())
		}
		for _, cause := range causes {
			tb.waitCause(cause)
		}
		for cause, n := range delivered(tb) {
			require.Equal(t, 1, n, cause)
		}
	})
}

// TestOperationSurvivesAKill: a bulk requeue is under way when its server is
// killed. The next process goes on with it; every message is handled once.
func TestOperationSurvivesAKill(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		const n = 40
		p := newProcess(t, dsn)
		p.env = append(p.env, "ORBIT_RETRY_BUDGET=0s")
		p.start()
		owner := login(t, p.base(), "owner")
		settle(t, dsn) // the demo's own messages are not to be among the broken
		broken, err := http.Post(p.base()+"/demo/break", "application/json", strings.NewReader(`{"type":"rooms.message.posted","how":"error"}`))
		require.NoError(t, err)
		broken.Body.Close()
		require.Equal(t, http.StatusOK, broken.StatusCode)
		causes := poisonSome(t, owner, n)
		api := "http://" + p.admin + console.Prefix
		require.Eventually(t, func() bool {
			_, body := admin(t, "GET", api+"/poison/stats", "")
			return strings.Contains(body, `"open":`+strconv.Itoa(n))
		}, 60*time.Second, 50*time.Millisecond)
		p.kill() // what was broken at run time is mended by this
		p.start()
		login(t, p.base(), "owner")

		status, body := adminBody(t, "POST", api+"/operations", "", `{"kind":"requeue","expect":`+strconv.Itoa(n)+`,"perSecond":20}`)
		require.Equal(t, http.StatusCreated, status, body)
		var op domain.Operation
		require.NoError(t, json.Unmarshal([]byte(body), &op))
		look := func() domain.Operation {
			_, body := admin(t, "GET", api+"/operations/"+op.ID, "")
			require.NoError(t, json.Unmarshal([]byte(body), &op), body)
			return op
		}
		require.Eventually(t, func() bool { return look().Succeeded >= 5 }, 30*time.Second, 10*time.Millisecond)
		require.Equal(t, domain.OperationRunning, op.State, "it is under way")
		p.kill()
		p.start()
		login(t, p.base(), "owner")
		require.Eventually(t, func() bool { return look().State == domain.OperationDone }, 60*time.Second, 50*time.Millisecond)
		require.Equal(t, n, op.Succeeded)

		entries, _ := committedLog(t, dsn, "acme")
		times := map[string]int{}
		for _, e := range entries {
			if e.Type == domain.ServerMessagePosted {
				times[e.EventID]++
			}
		}
		for _, cause := range causes {
			require.Equal(t, 1, times[cause], cause)
		}
	})
}
