package demo

import (
	"context"
	"net"
	"sync"
)

// conns are the open connections of a listener, so that they can be cut.
type conns struct {
	mu   sync.Mutex
	open map[*conn]bool
}

// conn cuts like a pulled plug does: the other end gets a reset, and no word.
type conn struct {
	*net.TCPConn
	of *conns
}

func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.TCPConn.Close()
}

func (c *conn) cut() {
	_ = c.SetLinger(0) // closed already: nothing left to reset
	_ = c.Close()
}

type listener struct {
	net.Listener
	of *conns
}

// Listener remembers the connections that come in through l, which is TCP.
func (d *Demo) Listener(l net.Listener) net.Listener { return listener{l, &d.conns} }

func (l listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{accepted.(*net.TCPConn), l.of}
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if l.of.open == nil {
		l.of.open = map[*conn]bool{}
	}
	l.of.open[c] = true
	return c, nil
}

// Cut resets every connection, as the kernel does for a process that dies.
func (d *Demo) Cut() {
	d.conns.mu.Lock()
	var all []*conn
	for c := range d.conns.open {
		all = append(all, c)
	}
	d.conns.mu.Unlock()
	for _, c := range all {
		c.cut()
	}
}

type connKey struct{}

// ConnContext is for http.Server: it lets a request find its connection.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// cut resets the connection that a request came in on.
func cut(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.cut()
	}
}
