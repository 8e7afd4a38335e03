package hardening

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/config"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
)

// A membership ends at a place in the log. However far behind a tab was at that
// moment, and however much was under way to it, it may be told of what lies
// before that place, and of nothing that lies behind.

// offset is where in the log an event lies; 0 if it is none of the log's.
func offset(t *testing.T, e event) int64 {
	t.Helper()
	if e.Channel == "" || e.ID == "" {
		return 0
	}
	_, digits, _ := strings.Cut(e.ID, "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	require.NoError(t, err)
	return n
}

// removal follows the log as the owner and returns where a member was removed.
func (w *world) removal(t *testing.T, owner *http.Cookie, from, member string) int64 {
	t.Helper()
	c := dial(t, w.addr())
	c.write(upgrade(owner, "/v1/ws"+query("position", from)))
	require.Equal(t, http.StatusSwitchingProtocols, c.answer().status)
	for {
		if e := c.event(); e.Type == "workspace.member.removed" && e.Member.ID == member {
			return offset(t, e)
		}
	}
}

// reader is the guest's tab, which reads when it is told to. next returns false
// at the end, however it came.
type reader struct {
	next func() (event, bool)
	last func() string // the close code, if one came
}

// tab opens one that hasn't read anything yet, with a kernel that holds little for it.
func (w *world) tab(t *testing.T, as *http.Cookie, transport, position, room string) reader {
	t.Helper()
	c := dial(t, w.addr())
	require.NoError(t, c.Conn.(*net.TCPConn).SetReadBuffer(32<<10))
	at := query("position", position, "rooms", room)
	if transport == "ws" {
		c.write(upgrade(as, "/v1/ws"+at))
		require.Equal(t, http.StatusSwitchingProtocols, c.answer().status)
		code := ""
		return reader{func() (e event, ok bool) {
			f, err := c.next()
			if err != nil || f.op == closing {
				if f.op == closing && len(f.payload) > 1 {
					code = strconv.Itoa(int(f.payload[0])<<8 | int(f.payload[1]))
				}
				return e, false
			}
			switch f.op {
			case text:
				require.NoError(t, json.Unmarshal([]byte(f.payload), &e))
			case ping:
				c.write(frame(fin|pong, f.payload))
			}
			return e, true
		}, func() string { return code }}
	}
	c.write(head("GET /v1/sse"+at, "Cookie: "+as.String()))
	resp, err := http.ReadResponse(c.in, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	lines := bufio.NewReader(resp.Body)
	code := ""
	return reader{func() (e event, ok bool) {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return e, false
			}
			if data, found := strings.CutPrefix(line, "data: "); found {
				require.NoError(t, json.Unmarshal([]byte(data), &e))
				if e.Type == "system.goodbye" {
					code = fmt.Sprint(e.Code)
				}
				return e, true
			}
		}
	}, func() string { return code }}
}

// TestRevocation removes a member whose tab is far behind, and goes on talking.
func TestRevocation(t *testing.T) {
	for _, transport := range []string{"ws", "sse"} {
		for name, readFirst := range map[string]int{"with a full buffer": 0, "mid-replay": 40} {
			t.Run(transport+" "+name, func(t *testing.T) {
				w := start(t, func(c *config.Config) { c.RingSize = 16; c.LogLevel = "error" })
				owner, guest := w.signIn(t, "owner"), w.signIn(t, "guest")
				room, from, member := w.room(t, owner, "general"), w.position(t, owner), w.member(t, guest)
				big := strings.Repeat("x", 3900)
				say := func(n int) {
					for i := range n {
						w.post(t, owner, room, fmt.Sprint(i, " ", big))
					}
				}
				say(300) // more than a kernel holds for somebody who doesn't read
				tab := w.tab(t, guest, transport, from, room)
				seen := int64(0)
				follow := func() bool {
					e, ok := tab.next()
					if at := offset(t, e); at > 0 {
						require.Greater(t, at, seen, "in order")
						seen = at
					}
					return ok
				}
				for range readFirst {
					require.True(t, follow())
				}
				w.call(t, owner, http.StatusNoContent, "DELETE", "/v1/workspaces/acme/members/"+member, "")
				say(20)
				removed := w.removal(t, owner, from, member)
				for follow() { // to the end: there must be one
				}
				require.LessOrEqual(t, seen, removed, "nothing of what came later")
				if tab.last() != "" { // one that is too slow to be told is cut
					require.Equal(t, "4403", tab.last())
				}
				require.Equal(t, http.StatusNotFound, w.status(t, guest, "/v1/workspaces/acme/snapshot"))
				require.Equal(t, http.StatusUnauthorized, w.status(t, guest, "/v1/probe"+query()))
				require.Equal(t, http.StatusUnauthorized, w.status(t, guest, "/v1/poll"+query("position", from)))
			})
		}
	}
}

func (w *world) status(t *testing.T, as *http.Cookie, path string) int {
	t.Helper()
	c := dial(t, w.addr())
	c.write(head("GET "+path, "Cookie: "+as.String()))
	return c.answer().status
}

// TestRevocationWhileTheOutboxIsStalled: the removal is committed and can't be
// projected. Nothing that was committed later is told either, for a workspace
// has one order; newcomers are refused at once, for admission asks the database;
// and the tab that is open is closed by the heartbeat's look at its rights.
func TestRevocationWhileTheOutboxIsStalled(t *testing.T) {
	stalled := make(chan struct{})
	table := maps.Clone(handlers.Table())
	project := table[domain.EventMemberRemoved]
	table[domain.EventMemberRemoved] = func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
		select {
		case <-stalled:
			return project(ctx, read, ev)
		case <-ctx.Done():
			return nil, domain.Transient(ctx.Err(), "stalled")
		}
	}
	w := start(t, func(c *config.Config) {
		c.HandlerTimeout = patience * 10
		c.Heartbeat, c.PongWait = patience/20, patience/20
	}, app.Projectors(table))
	release := sync.OnceFunc(func() { close(stalled) })
	t.Cleanup(release) // or the server would wait for its projector
	owner, guest := w.signIn(t, "owner"), w.signIn(t, "guest")
	room, from, member := w.room(t, owner, "general"), w.position(t, owner), w.member(t, guest)
	tabs := map[string]reader{}
	for _, transport := range []string{"ws", "sse"} {
		tabs[transport] = w.tab(t, guest, transport, from, room)
	}
	w.call(t, owner, http.StatusNoContent, "DELETE", "/v1/workspaces/acme/members/"+member, "")
	w.post(t, owner, room, "without you")
	require.Equal(t, http.StatusUnauthorized, w.status(t, guest, "/v1/probe"+query()))
	for transport, tab := range tabs {
		for {
			e, ok := tab.next()
			require.NotContains(t, string(e.Message), "without you")
			require.NotEqual(t, "workspace.member.removed", e.Type, "it can't have been projected")
			if !ok {
				break
			}
		}
		require.Equal(t, "4403", tab.last(), transport)
	}
	release()
	w.removal(t, owner, from, member)
}
