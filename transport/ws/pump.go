package ws

import (
	"bytes"

	"github.com/orbit/realtime/transport/hub"
)

// batchBytes is about how much one call of Next hands out: the most that
// waits in memory for a slow reader.
const batchBytes = 64 << 10

// wake is the session's OnReady: it starts the pump unless it runs.
func (c *conn) wake() {
	if c.turn.ask() {
		go c.pump()
	}
}

// sent is told by melody's writer that the frame in flight is written. Next
// may have to read the log, and the writer has pings to send: so the pump gets
// a goroutine of its own.
func (c *conn) sent() { go c.pump() }

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
		c.turn.look()
		frames, err := c.session.Load().Next(c.ctx, batchBytes)
		switch {
		case err != nil:
			return // the session is closed, and with it the connection: the turn is kept
		case len(frames) > 0:
			c.pending = frames
		case c.turn.giveBack():
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
