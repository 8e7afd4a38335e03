package ws

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/problem"
)

const (
	// closeWait is how long an ending connection may take to write what it
	// has in flight and the close frame. A reader that is slower is cut. A
	// quarter of a second was too short for readers who do read, on a machine
	// with more to do than it can.
	closeWait = time.Second
	// echoWait is how long the client may take to answer our close frame.
	echoWait = time.Second
	// maxDrain bounds what is read, and thrown away, of an oversized message.
	maxDrain = 4 << 20
)

// closeInvalidUTF8 is RFC 6455's own code (section 7.4.1).
var closeInvalidUTF8 = domain.CloseCode{Code: websocket.CloseInvalidFramePayloadData, Name: "invalid_utf8"}

// cleanCloses are the codes of a client that meant to leave: it said so, or
// went to another page (1001), or closed without a code (1005).
var cleanCloses = []int{websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived}

// farewell is how a connection ends. There is one at most.
type farewell struct {
	code    domain.CloseCode
	goodbye []byte        // system.goodbye, when there is a delay that the close frame can't tell
	written chan struct{} // closed by the pump when nothing is left to be written
}

// retryDelay spreads clients that are told to come back later.
func retryDelay() time.Duration { return time.Second + rand.N(4*time.Second) }

// end closes the connection for a reason. The first reason counts. It returns
// at once: melody's callbacks must not wait for a slow reader.
func (c *conn) end(code domain.CloseCode, delay time.Duration) {
	bye := &farewell{code: code, written: make(chan struct{})}
	if delay > 0 && code.Reconnect {
		bye.goodbye = problem.Goodbye(code, delay)
	}
	if c.farewell.CompareAndSwap(nil, bye) {
		go c.finish(bye)
	}
}

// finish ends the connection: what the session has handed out, the goodbye and
// the close frame, if the reader takes them in time, then the cut. melody's
// own Close would wait behind a full queue, or be dropped.
func (c *conn) finish(bye *farewell) {
	defer c.recover("close")
	deadline := time.Now().Add(closeWait)
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	c.wake()
	select {
	case <-bye.written:
	case <-timer.C:
	}
	err := c.writeClose(bye.code, deadline)
	c.leave(!bye.code.Reconnect)
	if err != nil {
		c.cut()
		return
	}
	timer.Reset(echoWait)
	select {
	case <-c.ctx.Done(): // the read pump has ended
	case <-timer.C:
		_ = c.socket.WebsocketConnection().Close()
	}
}

// writeClose writes the close frame. That the client has sent one first, and
// been answered by gorilla, is as good.
func (c *conn) writeClose(code domain.CloseCode, deadline time.Time) error {
	err := c.socket.WebsocketConnection().WriteControl(
		websocket.CloseMessage, websocket.FormatCloseMessage(code.Code, code.Name), deadline)
	if errors.Is(err, websocket.ErrCloseSent) {
		return nil
	}
	return err
}

// cut closes the connection now, and throws away what the kernel still has for
// a reader who doesn't read: otherwise it would go on sending for minutes.
func (c *conn) cut() {
	conn := c.socket.WebsocketConnection()
	if tcp, ok := c.wire.NetConn().(interface{ SetLinger(seconds int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// failed is told why a pump ends, melody's or ours, which then closes the
// connection.
func (c *conn) failed(err error) {
	defer c.recover("error")
	var closed *websocket.CloseError
	var network net.Error
	switch {
	case errors.As(err, &closed):
		c.left = slices.Contains(cleanCloses, closed.Code)
	case errors.Is(err, websocket.ErrReadLimit):
		if c.failWith(domain.CloseMessageTooLarge) == nil {
			c.drain()
		}
	case errors.As(err, &network) && network.Timeout():
		// No pong, or a frame that could not be written.
		_ = c.failWith(domain.CloseHeartbeatTimeout)
	}
}

// failWith ends a connection from within a pump that is about to stop, which
// therefore can't be waited for.
func (c *conn) failWith(code domain.CloseCode) error {
	if !c.farewell.CompareAndSwap(nil, &farewell{code: code, written: make(chan struct{})}) {
		return nil
	}
	err := c.writeClose(code, time.Now().Add(closeWait))
	c.leave(!code.Reconnect)
	if err != nil {
		c.cut()
	}
	return err
}

// drain reads on for a moment after an oversized message. Closing a connection
// with unread bytes makes TCP reset it, and a client that is still sending
// would never see why.
func (c *conn) drain() {
	raw := c.socket.WebsocketConnection().NetConn()
	_ = raw.SetReadDeadline(time.Now().Add(echoWait))
	_, _ = io.Copy(io.Discard, io.LimitReader(raw, maxDrain))
}
