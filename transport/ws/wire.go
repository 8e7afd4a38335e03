package ws

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orbit/realtime/domain"
)

// wire is the network side of a connection. Control frames come through Write,
// from gorilla; data frames come from the pump, which makes them itself: one
// buffer and one system call for all that is due, and without another goroutine
// when the socket takes it at once. Passing a frame through melody's queue to
// melody's writer, and being told when it is written, costs more than twice as
// much, most of it for waking goroutines.
//
// Frames never mix: whatever the socket took only a part of is finished first,
// by whoever writes next.
type wire struct {
	net.Conn
	raw      syscall.RawConn           // nil: writing can't be tried, as with TLS
	deadline atomic.Pointer[time.Time] // of the next Write
	ending   atomic.Pointer[time.Time] // set by the close frame: nothing may take longer

	mu     sync.Mutex // held while writing
	rest   []byte     // of a frame that the socket took only a part of
	closed bool       // the close frame is written: nothing may follow it
}

var errCloseSent = errors.New("ws: the close frame is written")

// gorilla refuses an oversized message from its frame header, before a byte of
// it is in memory, and writes close code 1009 by itself. Our close codes tell
// a client more, so the frame is exchanged on its way to the network.
var (
	closeTooBig   = closeFrame(websocket.CloseMessageTooBig, "")
	closeTooLarge = closeFrame(domain.CloseMessageTooLarge.Code, domain.CloseMessageTooLarge.Name)
)

const final = 0x80 // the bit of a message's last frame

// closeFrame is a server's close frame (RFC 6455, section 5.2).
func closeFrame(code int, text string) []byte {
	payload := websocket.FormatCloseMessage(code, text)
	return append([]byte{final | websocket.CloseMessage, byte(len(payload))}, payload...)
}

// appendTextHeader begins an unfragmented text message of n bytes, as a server
// sends it (RFC 6455, section 5.2).
func appendTextHeader(frame []byte, n int) []byte {
	frame = append(frame, final|websocket.TextMessage)
	switch {
	case n < 126:
		return append(frame, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(frame, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(frame, 127), uint64(n))
}

// hijacker gives the upgrade a wire for its connection.
type hijacker struct{ http.ResponseWriter }

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w := &wire{Conn: conn}
	if socket, ok := conn.(syscall.Conn); ok { // not TLS, which has bytes of its own to add
		if w.raw, err = socket.SyscallConn(); err != nil {
			return nil, nil, errors.Join(err, conn.Close())
		}
	}
	return w, buffered, nil
}

// NetConn is the connection below, also below TLS.
func (w *wire) NetConn() net.Conn {
	if encrypted, ok := w.Conn.(interface{ NetConn() net.Conn }); ok {
		return encrypted.NetConn()
	}
	return w.Conn
}

// SetWriteDeadline is for the next Write alone: gorilla's deadlines for control
// frames are none of the data frames' business.
func (w *wire) SetWriteDeadline(t time.Time) error {
	w.deadline.Store(&t)
	return nil
}

// Write writes what gorilla has: the handshake's answer, then control frames.
func (w *wire) Write(p []byte) (int, error) {
	var deadline time.Time
	if set := w.deadline.Load(); set != nil {
		deadline = *set
	}
	closing := len(p) > 0 && p[0] == final|websocket.CloseMessage
	if closing {
		// Whoever is writing to a reader that doesn't read has no longer than this.
		w.ending.Store(&deadline)
		_ = w.Conn.SetWriteDeadline(deadline)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	out := p
	if closing && bytes.Equal(p, closeTooBig) {
		out = closeTooLarge
	}
	if err := w.write(out, deadline); err != nil {
		return 0, err
	}
	w.closed = closing
	return len(p), nil
}

// WriteFrames writes what is left of the frames before, and then these.
func (w *wire) WriteFrames(frames []byte, wait time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.write(frames, time.Now().Add(wait))
}

// write, with w.mu held. An error leaves a part of a frame behind, and the
// connection is good for nothing anymore.
func (w *wire) write(p []byte, deadline time.Time) error {
	if w.closed {
		return errCloseSent
	}
	if err := w.Conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	// Looked at last: a close frame that comes from here on sets it by itself.
	if ending := w.ending.Load(); ending != nil && ending.Before(deadline) {
		if err := w.Conn.SetWriteDeadline(*ending); err != nil {
			return err
		}
	}
	if len(w.rest) > 0 {
		n, err := w.Conn.Write(w.rest)
		if w.rest = w.rest[n:]; err != nil {
			return err
		}
		w.rest = nil
	}
	if len(p) > 0 {
		if n, err := w.Conn.Write(p); err != nil {
			w.rest = bytes.Clone(p[n:])
			return err
		}
	}
	if w.raw == nil {
		return nil
	}
	// The runtime refuses to try a write after the deadline of the one before.
	return w.Conn.SetWriteDeadline(time.Time{})
}

// tried is how an attempt to write went.
type tried int

const (
	wrote    tried = iota // all of it
	blocked               // the socket took a part, or nothing: WriteFrames(nil) finishes it
	occupied              // somebody else is writing, and nothing was taken
)

// tryWrite writes frames as far as the socket takes them without waiting.
func (w *wire) tryWrite(a *attempt) (tried, error) {
	if w.raw == nil || !w.mu.TryLock() {
		return occupied, nil
	}
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return wrote, errCloseSent
	case len(w.rest) > 0:
		return occupied, nil
	}
	a.written, a.err = 0, nil
	if err := w.raw.Write(a.once); err != nil {
		return wrote, err
	}
	if a.err != nil {
		return wrote, a.err
	}
	if a.written < len(a.frames) {
		w.rest = bytes.Clone(a.frames[a.written:])
		return blocked, nil
	}
	return wrote, nil
}
