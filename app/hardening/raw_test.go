package hardening

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func afterPatience(f func()) *time.Timer { return time.AfterFunc(patience, f) }

// raw is a connection on which a test writes what it likes.
type raw struct {
	net.Conn
	in *bufio.Reader
	t  *testing.T
}

func dial(t *testing.T, addr string) *raw {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return &raw{conn, bufio.NewReader(conn), t}
}

// write sends bytes. That the server has closed already is for the reading side
// to find out.
func (c *raw) write(parts ...string) {
	c.t.Helper()
	_, err := io.WriteString(c, strings.Join(parts, ""))
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return
	}
	require.NoError(c.t, err)
}

// reply is an HTTP answer: its status, and the code of its problem document, or
// "" if it is none.
type reply struct {
	status int
	code   string
	body   string
	header http.Header
}

func (c *raw) answer() reply {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	r := reply{status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.Header.Get("Content-Type") == "text/event-stream" {
		return r
	}
	body, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	r.body = string(body)
	if resp.Header.Get("Content-Type") == "application/problem+json" {
		var doc struct {
			Code   string
			Status int
		}
		require.NoError(c.t, json.Unmarshal(body, &doc))
		require.Equal(c.t, resp.StatusCode, doc.Status)
		r.code = doc.Code
	}
	return r
}

// frame is one WebSocket frame as it is on the wire, masked as a client's must be.
func frame(head byte, payload string) string {
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d} // RFC 6455, section 5.7
	b := []byte{head}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return string(b)
}

const (
	fin                     = 0x80
	cont, text, binaryFrame = 0, 1, 2
	closing, ping, pong     = 8, 9, 10
)

func whole(payload string) string { return frame(fin|text, payload) }

// closeFrame says goodbye with a code and a reason.
func closeFrame(code int, reason string) string {
	return frame(fin|closing, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

// received is a frame of the server.
type received struct {
	op      byte
	payload string
}

// next reads a frame; io.EOF, or a reset, is the connection's end.
func (c *raw) next() (received, error) {
	c.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return received{}, err
	}
	require.NotZero(c.t, head[0]&fin, "the server never fragments")
	require.Zero(c.t, head[0]&0x70, "nor uses an extension")
	require.Zero(c.t, head[1]&0x80, "nor masks")
	n := uint64(head[1])
	switch n {
	case 126:
		var b [2]byte
		if _, err := io.ReadFull(c.in, b[:]); err != nil {
			return received{}, err
		}
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		if _, err := io.ReadFull(c.in, b[:]); err != nil {
			return received{}, err
		}
		n = binary.BigEndian.Uint64(b[:])
	}
	payload := make([]byte, n)
	_, err := io.ReadFull(c.in, payload)
	return received{head[0] & 0x0f, string(payload)}, err
}

// upgrade is a proper handshake.
func upgrade(cookie *http.Cookie, target string, more ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: orbit\r\nCookie: " + cookie.String() + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + strings.Join(more, "") + "\r\n"
}

// open upgrades and reads up to system.live.
func (w *world) open(t *testing.T, cookie *http.Cookie, pairs ...string) *raw {
	t.Helper()
	c := dial(t, w.addr())
	c.write(upgrade(cookie, "/v1/ws"+query(pairs...)))
	require.Equal(t, http.StatusSwitchingProtocols, c.answer().status)
	for c.event().Type != "system.live" {
	}
	return c
}

// event reads on to the next server event.
func (c *raw) event() event {
	c.t.Helper()
	f, err := c.next()
	require.NoError(c.t, err)
	require.Equal(c.t, byte(text), f.op, "%q", f.payload)
	var e event
	require.NoError(c.t, json.Unmarshal([]byte(f.payload), &e))
	return e
}

// outcome reads what the server has to say, to the end of the connection or
// until done. Each frame is a word: an event its type (system.error with its
// code), a pong with its payload, a close its code.
func (c *raw) outcome(done func(words []string) bool) (words []string) {
	c.t.Helper()
	for !done(words) {
		f, err := c.next()
		if err != nil {
			// A reset is an end as well: a server that closes on somebody who is
			// still sending can't help it.
			require.True(c.t, errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET), "%v after %v", err, words)
			return append(words, "end")
		}
		switch f.op {
		case text:
			var e event
			require.NoError(c.t, json.Unmarshal([]byte(f.payload), &e))
			switch {
			case !strings.HasPrefix(e.Type, "system."):
				continue // what others do
			case e.Type == "system.error":
				words = append(words, fmt.Sprint("error:", e.Code))
			default:
				words = append(words, e.Type)
			}
		case pong:
			words = append(words, "pong:"+f.payload)
		case closing:
			if len(f.payload) < 2 {
				words = append(words, "close")
			} else {
				words = append(words, fmt.Sprint("close:", binary.BigEndian.Uint16([]byte(f.payload))))
			}
			c.write(frame(fin|closing, f.payload)) // as a client that behaves would, by now
		default:
			words = append(words, fmt.Sprint("opcode:", f.op))
		}
	}
	return words
}
