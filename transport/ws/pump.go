package ws

import (
	"bytes"
	"errors"
)

// batchBytes is about how much one round writes: the most that waits in memory
// for a slow reader.
const batchBytes = 64 << 10

// wake is the session's OnReady: it writes what is due, as far as that needs no
// waiting. Most of the time it needs none, and then a delivery is one system
// call, without a goroutine of its own.
func (c *conn) wake() {
	if c.turn.ask() {
		c.glide()
	}
}

// glide has the turn. It writes as long as neither the log nor the socket has
// to be waited for; then a goroutine goes on.
func (c *conn) glide() {
	defer c.recover("glide")
	session := c.session.Load()
	if session == nil || c.farewell.Load() != nil {
		go c.pump(nil)
		return
	}
	a := attempts.Get().(*attempt)
	defer a.release()
	for {
		c.turn.look()
		var ready bool
		var err error
		a.events, ready, err = session.TryNext(a.events[:0], batchBytes)
		switch {
		case err != nil:
			return // the session is closed, and with it the connection: the turn is kept
		case !ready:
			go c.pump(nil)
			return
		case len(a.events) == 0:
			if c.turn.giveBack() {
				return
			}
			continue
		}
		a.encode(c.batches)
		switch how, err := c.wire.tryWrite(a); {
		case err != nil:
			go c.broken(err)
			return
		case how == blocked:
			go c.pump(nil)
			return
		case how == occupied:
			go c.pump(bytes.Clone(a.frames))
			return
		}
	}
}

// pump has the turn, and may wait. It writes what glide has left, then what is
// due, and gives the turn back when there is nothing. Once the connection is
// about to end, it writes a goodbye if there is one, and keeps the turn for good.
func (c *conn) pump(frames []byte) {
	defer c.recover("pump")
	if err := c.wire.WriteFrames(frames, c.server.cfg.WriteWait); err != nil {
		c.broken(err)
		return
	}
	a := attempts.Get().(*attempt)
	defer a.release()
	for {
		if bye := c.farewell.Load(); bye != nil {
			if goodbye := bye.goodbye; goodbye != nil {
				message := append(appendTextHeader(nil, len(goodbye)), goodbye...)
				if err := c.wire.WriteFrames(message, c.server.cfg.WriteWait); err != nil {
					c.broken(err)
				}
			}
			close(bye.written)
			return
		}
		c.turn.look()
		var err error
		a.events, err = c.session.Load().Next(c.ctx, batchBytes)
		switch {
		case err != nil:
			return // the session is closed, and with it the connection: the turn is kept
		case len(a.events) == 0:
			if c.turn.giveBack() {
				return
			}
			continue
		}
		a.encode(c.batches)
		if err := c.wire.WriteFrames(a.frames, c.server.cfg.WriteWait); err != nil {
			c.broken(err)
			return
		}
	}
}

// broken ends a connection that can't be written to. The turn is kept.
func (c *conn) broken(err error) {
	if errors.Is(err, errCloseSent) {
		return // its end is under way
	}
	c.failed(err)
	c.cut()
}
