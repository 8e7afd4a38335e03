package ws

import (
	"bytes"

	"github.com/orbit/realtime/transport/hub"
)

// batchBytes is about how much one call of Next hands out: the most that
// waits in memory for a slow reader.
const batchBytes = 64 << 10

// Who has the turn writes; the turn is handed from the pump to melody's writer
// with a frame, and back when the frame is written.
const (
	idle     int32 = iota // nobody has the turn, and nothing was due when last asked
	busy                  // somebody has it: the pump, or a frame in flight
	busyMore              // the same, and more has become due meanwhile
)

// wake is the session's OnReady: it starts the pump unless it runs.
func (c *conn) wake() {
	for {
		switch c.turn.Load() {
		case idle:
			if c.turn.CompareAndSwap(idle, busy) {
				go c.pump()
				return
			}
		case busy:
			if c.turn.CompareAndSwap(busy, busyMore) {
				return
			}
		default:
			return
		}
	}
}

// sent is told by melody's writer that the frame in flight is written. Next
// may have to read the log, and the writer has pings to send: so the pump gets
// a goroutine of its own.
func (c *conn) sent() {
	defer c.recover("sent")
	if len(c.pending) > 0 {
		c.writePending()
		return
	}
	go c.pump()
}

// pump has the turn. It hands one frame to melody's writer, and the turn with
// it; or gives the turn back when nothing is due. Once the connection is about
// to end, it writes what the session has handed out already, then a goodbye if
// there is one, and keeps the turn for good.
func (c *conn) pump() {
	defer c.recover("pump")
	for {
		if len(c.pending) > 0 {
			c.writePending()
			return
		}
		if bye := c.farewell.Load(); bye != nil {
			if goodbye := bye.goodbye; goodbye != nil {
				bye.goodbye = nil
				c.write(goodbye)
				return
			}
			close(bye.written)
			return
		}
		c.turn.Store(busy)
		frames, err := c.session.Load().Next(c.socket.Request.Context(), batchBytes)
		switch {
		case err != nil:
			return // the session is closed, and with it the connection: the turn is kept
		case len(frames) > 0:
			c.pending = frames
		case c.turn.CompareAndSwap(busy, idle):
			return
		}
	}
}

// writePending writes the next message: all that is pending for a client that
// accepts batches, one event for others.
func (c *conn) writePending() {
	if !c.batches || len(c.pending) == 1 {
		frame := c.pending[0]
		c.pending = c.pending[1:]
		c.write(frame.Data)
		return
	}
	batch := join(c.pending)
	c.pending = nil
	c.write(batch)
}

func join(frames []hub.Frame) []byte {
	lines := make([][]byte, len(frames))
	for i, frame := range frames {
		lines[i] = frame.Data
	}
	return bytes.Join(lines, []byte{'\n'})
}

// write gives one frame to melody's writer. An error means that the connection
// is closed; disconnected will follow, and nobody gets the turn anymore.
func (c *conn) write(data []byte) { _ = c.socket.Write(data) }
