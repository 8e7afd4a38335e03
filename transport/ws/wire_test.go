package ws

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/transport/hub"
)

// pair is a wire over TCP with a small buffer, and the client at its other end.
func pair(t *testing.T) (*wire, *net.TCPConn) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	server, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { client.Close(); server.Close() })
	require.NoError(t, server.(*net.TCPConn).SetWriteBuffer(4096))
	raw, err := server.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	return &wire{Conn: server, raw: raw}, client.(*net.TCPConn)
}

func text(payloads ...string) *attempt {
	a := attempts.Get().(*attempt)
	a.events = a.events[:0]
	for _, p := range payloads {
		a.events = append(a.events, hub.Frame{Data: []byte(p)})
	}
	a.encode(false)
	return a
}

// readAll is what a client makes of everything on the wire, until it ends.
func readAll(t *testing.T, conn net.Conn) (texts []string, pings int, end error) {
	t.Helper()
	// gorilla's own client, over a connection whose handshake is made up.
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
	shaking := &handshaken{Conn: conn, answer: answer}
	ws, _, err := (&websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return shaking, nil }}).DialContext(t.Context(), "ws://test/", nil)
	require.NoError(t, err)
	ws.SetPingHandler(func(string) error { pings++; return nil })
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			return texts, pings, err
		}
		texts = append(texts, string(data))
	}
}

// handshaken answers the handshake in the server's place.
type handshaken struct {
	net.Conn
	answer string
	ready  *strings.Reader
}

func (h *handshaken) Write(p []byte) (int, error) {
	if h.ready != nil {
		return h.Conn.Write(p)
	}
	_, key, _ := bytes.Cut(p, []byte("Sec-WebSocket-Key: "))
	key, _, _ = bytes.Cut(key, []byte("\r\n"))
	h.ready = strings.NewReader(fmt.Sprintf(h.answer, acceptKey(string(key))))
	return len(p), nil
}

func (h *handshaken) Read(p []byte) (int, error) {
	if n, err := h.ready.Read(p); err == nil {
		return n, nil
	}
	return h.Conn.Read(p)
}

// A socket that takes only a part of a frame must not have a ping written into
// its middle, nor lose or repeat a byte, whoever writes next.
func TestFramesNeverMix(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			w, client := pair(t)
			var texts []string
			var pings int
			reading := make(chan error, 1)
			go func() {
				var err error
				texts, pings, err = readAll(t, client)
				reading <- err
			}()

			var control sync.WaitGroup
			control.Go(func() { // gorilla, from melody's goroutines
				for range 50 {
					_ = w.SetWriteDeadline(time.Now().Add(10 * time.Second))
					if _, err := w.Write([]byte{final | websocket.PingMessage, 0}); err != nil {
						t.Error(err)
					}
				}
			})
			var sent []string
			partial := 0
			for i := range 200 {
				payload := fmt.Sprint(i, strings.Repeat("x", random.IntN(40_000)))
				sent = append(sent, payload)
				a := text(payload)
				how, err := w.tryWrite(a)
				require.NoError(t, err)
				switch how {
				case blocked:
					partial++
					require.NoError(t, w.WriteFrames(nil, 10*time.Second))
				case occupied:
					require.NoError(t, w.WriteFrames(bytes.Clone(a.frames), 10*time.Second))
				}
				a.release()
			}
			control.Wait()
			require.Positive(t, partial, "the socket took everything at once: nothing was tried")
			_, err := w.Write(closeFrame(websocket.CloseNormalClosure, ""))
			require.NoError(t, err)
			require.True(t, websocket.IsCloseError(<-reading, websocket.CloseNormalClosure))
			require.Equal(t, sent, texts)
			require.Equal(t, 50, pings)
		})
	}
}

// After the close frame a client may take anything for an error (RFC 6455,
// section 5.5.1).
func TestNothingFollowsTheCloseFrame(t *testing.T) {
	w, client := pair(t)
	_, err := w.Write(closeTooBig)
	require.NoError(t, err)
	_, err = w.tryWrite(text("late"))
	require.ErrorIs(t, err, errCloseSent)
	require.ErrorIs(t, w.WriteFrames(text("late").frames, time.Second), errCloseSent)
	require.NoError(t, w.Close())
	all, err := io.ReadAll(client)
	require.NoError(t, err)
	require.Equal(t, closeTooLarge, all, "and 1009 is told as ours")
}

// A reader that takes nothing must not hold up the close frame: who ends a
// session can't wait for the write in flight.
func TestTheCloseFrameInterruptsABlockedWrite(t *testing.T) {
	w, _ := pair(t)
	a := text(strings.Repeat("x", 8<<20))
	how, err := w.tryWrite(a)
	require.NoError(t, err)
	require.Equal(t, blocked, how)
	writing := make(chan error, 1)
	go func() { writing <- w.WriteFrames(nil, time.Hour) }()
	require.NoError(t, w.SetWriteDeadline(time.Now().Add(10*time.Millisecond)))
	_, err = w.Write(closeFrame(4403, "revoked"))
	require.Error(t, err, "half a frame is on the wire: nothing can follow it")
	require.ErrorContains(t, <-writing, "i/o timeout")
}

// The runtime refuses every write after a deadline that has passed, and control
// frames have deadlines of a second.
func TestADeadlineIsForItsOwnWriteAlone(t *testing.T) {
	w, _ := pair(t)
	require.NoError(t, w.SetWriteDeadline(time.Now().Add(time.Second)))
	_, err := w.Write([]byte{final | websocket.PongMessage, 0})
	require.NoError(t, err)
	require.NoError(t, w.WriteFrames(text("a").frames, time.Nanosecond+time.Second))
	require.NoError(t, w.SetWriteDeadline(time.Now().Add(-time.Second))) // of a Write that never comes
	how, err := w.tryWrite(text("b"))
	require.NoError(t, err)
	require.Equal(t, wrote, how)
}

func TestEncode(t *testing.T) {
	frames := []string{"a", strings.Repeat("b", 200), strings.Repeat("c", 70_000)}
	a := text(frames...)
	defer a.release()
	single := bytes.Clone(a.frames)
	a.encode(true)
	batch := bytes.Clone(a.frames)

	for _, test := range []struct {
		wire []byte
		want []string
	}{{single, frames}, {batch, []string{strings.Join(frames, "\n")}}} {
		w, client := pair(t)
		go func() {
			_ = w.WriteFrames(test.wire, 10*time.Second)
			_, _ = w.Write(closeFrame(websocket.CloseNormalClosure, ""))
		}()
		texts, _, err := readAll(t, client)
		require.True(t, websocket.IsCloseError(err, websocket.CloseNormalClosure), err)
		require.Equal(t, test.want, texts)
	}
}

// acceptKey is a server's answer to a client's key (RFC 6455, section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// A listener that keeps track of its connections wraps them. Behind the wrapper
// writes were no longer tried, and a delivery cost twice as much.
func TestAWrappedSocketIsWrittenToDirectly(t *testing.T) {
	w, _ := pair(t)
	conn, _, err := hijacker{hijackable{ResponseWriter: httptest.NewRecorder(), conn: struct{ *net.TCPConn }{w.Conn.(*net.TCPConn)}}}.Hijack()
	require.NoError(t, err)
	how, err := conn.(*wire).tryWrite(text("a"))
	require.NoError(t, err)
	require.Equal(t, wrote, how)
}

type hijackable struct {
	http.ResponseWriter
	conn net.Conn
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.conn, nil, nil }
