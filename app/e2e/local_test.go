package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store/pgcluster"
)

// local is what deploy/local.sh started.
type local struct {
	t          *testing.T
	base       string
	state, dsn string
	admins     []string
	cmd        *exec.Cmd
}

// startLocal runs the script, and returns when it says that all is up.
func startLocal(t *testing.T) *local {
	for _, tool := range []string{"nginx", "nats-server"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool, " is not installed")
		}
	}
	if _, err := pgcluster.Tool("initdb"); err != nil {
		t.Skip(err)
	}
	orbit, err := binary()
	require.NoError(t, err)
	port := func() string { _, port, _ := net.SplitHostPort(freeAddr(t)); return port }
	state, err := os.MkdirTemp("", "orbit-local-test-") //nolint:usetesting // PostgreSQL's own user has to get there
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(state)) })
	http, postgres, admins := port(), port(), []string{port(), port()}
	l := &local{t: t, base: "http://127.0.0.1:" + http, state: state, admins: admins,
		dsn: "postgres://orbit@127.0.0.1:" + postgres + "/postgres?sslmode=disable"}
	l.cmd = exec.Command("../../deploy/local.sh")
	l.cmd.Env = append(os.Environ(), "ORBIT="+orbit, "STATE="+state, "DATABASE_URL=", "NATS_URL=",
		"HTTP_PORT="+http, "POSTGRES_PORT="+postgres, "NATS_PORT="+port(), "PROMETHEUS_PORT="+port(),
		"NODE_PORTS="+port()+" "+port(), "ADMIN_PORTS="+strings.Join(admins, " "),
		"ORBIT_DRAIN=200ms", "ORBIT_MAX_USER_SESSIONS=1000")
	l.cmd.Stderr = os.Stderr
	out, err := l.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, l.cmd.Start())
	t.Cleanup(l.stop)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "ready") {
			return l
		}
	}
	t.Fatal("the script ended before it was ready")
	return nil
}

// stop is what Ctrl-C does. Idempotent.
func (l *local) stop() {
	if l.cmd.ProcessState == nil {
		_ = l.cmd.Process.Signal(syscall.SIGTERM)
		_ = l.cmd.Wait() // 143
	}
}

// pids are those of what was started, by name.
func (l *local) pids() map[string]int {
	all := map[string]int{}
	files, err := filepath.Glob(filepath.Join(l.state, "*.pid"))
	require.NoError(l.t, err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(l.t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
		require.NoError(l.t, err)
		all[strings.TrimSuffix(filepath.Base(file), ".pid")] = pid
	}
	return all
}

// TestThroughNginxOverTwoNodes runs the whole topology with the proxy's settings
// that docker-compose.yml has: streams come through each transport, and a node
// that is killed costs a reconnect and nothing else. When the script ends,
// nothing of it is left.
func TestThroughNginxOverTwoNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts seven processes")
	}
	l := startLocal(t)
	pids := l.pids()
	for _, name := range []string{"nats", "nginx", "orbit-1", "orbit-2"} {
		require.Contains(t, pids, name)
	}
	owner := login(t, l.base, "owner")
	settle(t, l.dsn)
	snap := owner.snapshot(t, "acme")
	room := snap.room(t, "general")
	var tabs []*tab
	for i := range 12 {
		tabs = append(tabs, openTab(t, owner, "acme", snap.Position, []string{room}, always(transports[i%4])))
	}
	for _, tb := range tabs {
		tb.waitLive()
	}
	post := func(body string) (event string) {
		eventually(t, "a node takes a message", func() bool {
			a, err := owner.try("POST", "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]any{"body": body})
			event = a.eventID
			return err == nil && a.status == http.StatusCreated
		})
		return event
	}
	arrives := func(event string) {
		for _, tb := range tabs {
			tb.waitCause(event)
		}
	}
	for i := range 20 {
		arrives(post(fmt.Sprint("both nodes ", i)))
	}
	require.Positive(t, l.sessions(0), "nginx spreads them")
	require.Positive(t, l.sessions(1), "nginx spreads them")

	require.NoError(t, syscall.Kill(pids["orbit-1"], syscall.SIGKILL))
	for i := range 20 {
		post(fmt.Sprint("one node ", i))
	}
	arrives(post("the end"))

	from, err := domain.ParsePosition(snap.Position)
	require.NoError(t, err)
	entries, epoch := committedLog(t, l.dsn, "acme", domain.RoomChannel(room))
	var want []string
	for _, e := range entries {
		if e.Offset > from.Offset {
			want = append(want, domain.Position{Epoch: epoch, Offset: e.Offset}.String())
		}
	}
	require.GreaterOrEqual(t, len(want), 41)
	for i, tb := range tabs {
		var got []string
		for _, e := range tb.logged() {
			if e.Channel == string(domain.RoomChannel(room)) {
				got = append(got, e.ID)
			}
		}
		require.True(t, slices.Equal(want, got), "tab %d: %d of %d entries", i, len(got), len(want))
	}

	for _, tb := range tabs {
		tb.close()
	}
	l.stop()
	for name, pid := range pids {
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "%s is still there", name)
	}
	_, err = net.DialTimeout("tcp", strings.TrimPrefix(l.base, "http://"), time.Second)
	require.Error(t, err)
	require.NoDirExists(t, filepath.Join(l.state, "postgres"))
}

// sessions is how many a node has, by its own metrics.
func (l *local) sessions(node int) (total int) {
	resp, err := http.Get("http://127.0.0.1:" + l.admins[node] + "/metrics")
	require.NoError(l.t, err)
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "orbit_sessions{") {
			_, n, _ := strings.Cut(lines.Text(), "} ")
			value, err := strconv.Atoi(n)
			require.NoError(l.t, err)
			total += value
		}
	}
	return total
}
