package ws_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/transporttest"
	"github.com/orbit/realtime/transport/ws"
)

// logBuffer collects log lines from any goroutine.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// melody drops a message when its queue is full, and Write returns nil: 332 of
// 400 were lost to a slow reader. With one frame in flight the queue can't
// fill, whatever the reader does.
func TestSlowReaderLosesNothing(t *testing.T) {
	const entries = 5000
	for _, protocols := range [][]string{nil, {ws.Subprotocol}} {
		t.Run(fmt.Sprint(protocols), func(t *testing.T) {
			var logged logBuffer
			r := start(t, ws.Config{Logger: logged.logger()}, hub.Config{RingSize: 64}) // most comes from the log
			c := r.live(t, "", protocols...)
			shrinkReceiveBuffer(t, c)
			text := strings.Repeat("x", 2000) // 10 MB in all: more than the kernel holds
			for i := range entries {
				r.Append(domain.WorkspaceChannel("ws_acme"), text+strconv.Itoa(i))
			}
			for i := range entries {
				ev := c.next()
				require.Equal(t, fmt.Sprint("e1-", i+1), ev.ID)
				require.Equal(t, text+strconv.Itoa(i), ev.Workspace.Name)
			}
			require.Empty(t, logged.String())
		})
	}
}

// shrinkReceiveBuffer makes the kernel hold little for a client that doesn't read.
func shrinkReceiveBuffer(t *testing.T, c *client) {
	t.Helper()
	require.NoError(t, c.NetConn().(*net.TCPConn).SetReadBuffer(32<<10))
}

// clog fills a connection with more than the kernel takes.
func (r *rig) clog() {
	text := strings.Repeat("x", 60_000)
	for i := range 300 {
		r.Append(domain.WorkspaceChannel("ws_acme"), text+strconv.Itoa(i))
	}
}

// melody's Close waits in the same full queue as messages do: a revoked,
// backlogged reader got 235 more messages over 98 s. Ours is cut, and what the
// kernel held for it is thrown away.
func TestRevokedSlowReaderIsCut(t *testing.T) {
	r := start(t, ws.Config{WriteWait: time.Hour}, hub.Config{RevokeGrace: 10 * time.Millisecond})
	c := r.live(t, "")
	shrinkReceiveBuffer(t, c)
	r.clog()
	r.Remove()
	r.gone(t)
	for {
		_, data, err := c.ReadMessage()
		if err != nil {
			require.ErrorIs(t, err, syscall.ECONNRESET, "no lingering")
			return
		}
		require.NotEqual(t, domain.ServerMemberRemoved, transporttest.Decode(t, data).Type, "300 frames can't have passed")
	}
}

// A reader that takes nothing for WriteWait is cut.
func TestStalledReaderIsCut(t *testing.T) {
	r := start(t, ws.Config{WriteWait: 50 * time.Millisecond}, hub.Config{})
	c := r.live(t, "")
	shrinkReceiveBuffer(t, c)
	r.clog()
	r.gone(t)
	require.False(t, r.Presence.Left()[0].Clean)
}

// A socket whose other side is gone without a word must be gone within ping
// and pong wait: this client never answers a ping, for it doesn't read.
func TestHalfOpenSocketIsTerminated(t *testing.T) {
	r := start(t, ws.Config{Heartbeat: 30 * time.Millisecond, PongWait: 30 * time.Millisecond}, hub.Config{})
	r.live(t, "")
	r.gone(t)
	require.False(t, r.Presence.Left()[0].Clean)
}

// One that reads without answering pings is told why.
func TestNoPongIsHeartbeatTimeout(t *testing.T) {
	r := start(t, ws.Config{Heartbeat: 30 * time.Millisecond, PongWait: 30 * time.Millisecond}, hub.Config{})
	c := r.live(t, "")
	c.SetPingHandler(func(string) error { return nil })
	code, _ := c.closed()
	require.Equal(t, domain.CloseHeartbeatTimeout.Code, code)
	r.gone(t)
}

// A client that answers pings stays, however quiet it is otherwise.
func TestPongsKeepTheSocket(t *testing.T) {
	r := start(t, ws.Config{Heartbeat: 10 * time.Millisecond, PongWait: 5 * time.Second}, hub.Config{})
	c := r.live(t, "")
	pings := 0
	pong := c.PingHandler()
	c.SetPingHandler(func(data string) error {
		if pings++; pings == 20 {
			r.Append(domain.WorkspaceChannel("ws_acme"), "still here")
		}
		return pong(data)
	})
	require.Equal(t, "still here", c.next().Workspace.Name)
}

func TestBadMessagesAreAnsweredThenClosed(t *testing.T) {
	r := start(t, ws.Config{MaxBadMessages: 3}, hub.Config{})
	c := r.live(t, "")
	c.send(`{"type":"shout","ref":5}`)
	ev := c.next()
	require.Equal(t, domain.ServerSystemError, ev.Type)
	require.JSONEq(t, `"invalid"`, string(ev.Code))
	require.Equal(t, int64(5), *ev.Ref)

	c.send(`not json`)
	require.Equal(t, domain.ServerSystemError, c.next().Type)
	require.NoError(t, c.WriteMessage(websocket.BinaryMessage, []byte(`{"type":"ping"}`)))
	require.Equal(t, domain.ServerSystemError, c.next().Type)
	c.send(`{"type":"ping"}`)
	require.Equal(t, domain.ServerSystemHeartbeat, c.next().Type, "the session lives")

	c.send(`{}`)
	code, _ := c.closed()
	require.Equal(t, domain.CloseBadMessage.Code, code)
	r.gone(t)
	require.True(t, r.Presence.Left()[0].Clean, "it isn't invited back")
}

// gorilla doesn't check that text is UTF-8; 75 of Autobahn's cases do.
func TestInvalidUTF8(t *testing.T) {
	r := start(t, ws.Config{}, hub.Config{})
	c := r.live(t, "")
	c.send("{\"type\":\"ping\",\"x\":\"\xc3\x28\"}")
	code, _ := c.closed()
	require.Equal(t, websocket.CloseInvalidFramePayloadData, code)
	r.gone(t)
}

// gorilla answers an oversized message with 1009 and closes at once; the reset
// that follows could keep the client, still sending, from ever seeing a code.
func TestOversizedMessage(t *testing.T) {
	for _, size := range []int{4097, 64 << 10, 1 << 20} {
		r := start(t, ws.Config{}, hub.Config{})
		c := r.live(t, "")
		c.send(strings.Repeat(" ", size))
		code, _ := c.closed()
		require.Equal(t, domain.CloseMessageTooLarge.Code, code, size)
		r.gone(t)
	}
	// In fragments, none of which is too large by itself.
	r := start(t, ws.Config{}, hub.Config{})
	c := r.live(t, "")
	w, err := c.NextWriter(websocket.TextMessage)
	require.NoError(t, err)
	for range 10 {
		_, err = w.Write(bytes.Repeat([]byte(" "), 4000))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	code, _ := c.closed()
	require.Equal(t, domain.CloseMessageTooLarge.Code, code)

	r = start(t, ws.Config{}, hub.Config{})
	c = r.live(t, "")
	c.send(`{"type":"ping"` + strings.Repeat(" ", 4096-len(`{"type":"ping"}`)) + `}`)
	require.Equal(t, domain.ServerSystemHeartbeat, c.next().Type, "the limit itself is allowed")
}

// Compressed, 64 KB would become 65 MB behind gorilla's read limit.
func TestCompressionIsNotOffered(t *testing.T) {
	r := start(t, ws.Config{}, hub.Config{})
	dialer := websocket.Dialer{EnableCompression: true}
	conn, res, err := dialer.DialContext(t.Context(), strings.Replace(r.url, "http", "ws", 1)+"?workspace=acme", r.header())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.Empty(t, res.Header.Get("Sec-Websocket-Extensions"))
}

func TestFloods(t *testing.T) {
	for name, send := range map[string]func(*client) error{
		"messages": func(c *client) error { return c.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`)) },
		"pings":    func(c *client) error { return c.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)) },
		"pongs":    func(c *client) error { return c.WriteControl(websocket.PongMessage, nil, time.Now().Add(patience)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, ws.Config{MessagesPerSecond: 1, MessageBurst: 10}, hub.Config{})
			c := r.live(t, "")
			for range 20 {
				if send(c) != nil {
					break // the server has had enough
				}
			}
			code, events := c.closed()
			require.Equal(t, domain.CloseRateLimited.Code, code)
			require.NotEmpty(t, events)
			goodbye := events[len(events)-1]
			require.Equal(t, domain.ServerSystemGoodbye, goodbye.Type)
			require.Positive(t, goodbye.DelayMS)
			r.gone(t)
		})
	}
}

// A panic in one of melody's callbacks used to leave a zombie: a session that
// still receives, and a disconnect that never comes. In the writer it would
// have ended the process.
func TestPanicLeavesNoZombie(t *testing.T) {
	var logged logBuffer
	world := transporttest.New(t, hub.Config{})
	world.Reader.AddRoom(domain.Room{ID: "boom", WorkspaceID: "ws_acme"})
	r := startIn(t, world, ws.Config{Logger: logged.logger()})
	c := r.live(t, "")
	world.Reader.PanicOnRoom("boom")
	c.send(`{"type":"subscribe","room":"boom"}`)
	code, _ := c.closed()
	require.Equal(t, websocket.CloseInternalServerErr, code)
	r.gone(t)
	require.Contains(t, logged.String(), "boom")

	// The same while connecting.
	code, events := r.dial(t, "&rooms=boom").closed()
	require.Equal(t, websocket.CloseInternalServerErr, code)
	require.Empty(t, events)
	require.Zero(t, r.Presence.Sessions())
}
