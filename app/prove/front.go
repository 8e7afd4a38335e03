package prove

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// front is what the clients take for the server: a TCP proxy, behind which
// servers come and go, and which can be a bad network.
type front struct {
	listener net.Listener
	running  sync.WaitGroup

	mu       sync.Mutex
	backends []string
	turn     int           // which of them is the next
	changed  chan struct{} // closed when what follows changes
	net      network
	conns    map[net.Conn]struct{}
}

// network is how bytes fare.
type network struct {
	refuse bool          // new connections are dropped
	delay  time.Duration // each piece is late by up to this
	hold   bool          // what the server sends is kept back, and comes when this ends
}

func newFront(ctx context.Context, backends ...string) (*front, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &front{listener: l, backends: backends, changed: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	f.running.Go(f.accept)
	return f, nil
}

func (f *front) url() string { return "http://" + f.listener.Addr().String() }

func (f *front) close() {
	_ = f.listener.Close()
	f.set(network{})
	f.cut(1, nil)
	f.running.Wait()
}

// to leads new connections to other servers.
func (f *front) to(backends ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backends = backends
}

func (f *front) set(n network) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.net = n
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *front) now() (network, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.net, f.changed
}

// cut breaks a share of the connections.
func (f *front) cut(share float64, dice *rand.Rand) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		if share >= 1 || dice.Float64() < share {
			_ = c.Close()
			delete(f.conns, c)
		}
	}
}

func (f *front) accept() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.turn++
		turn := f.turn % len(f.backends)
		order := slices.Concat(f.backends[turn:], f.backends[:turn])
		refuse := f.net.refuse
		f.mu.Unlock()
		if refuse {
			_ = client.Close()
			continue
		}
		f.running.Go(func() { f.carry(client, order) })
	}
}

// carry takes a connection to the first backend that accepts it.
func (f *front) carry(client net.Conn, backends []string) {
	var server net.Conn
	for _, backend := range backends {
		var err error
		if server, err = (&net.Dialer{Timeout: 2 * time.Second}).DialContext(context.Background(), "tcp", backend); err == nil {
			break
		}
	}
	if server == nil {
		_ = client.Close()
		return
	}
	f.mu.Lock()
	f.conns[client] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.conns, client)
		f.mu.Unlock()
	}()
	var ways sync.WaitGroup
	ways.Go(func() { f.copy(server, client, false) })
	ways.Go(func() { f.copy(client, server, true) })
	ways.Wait()
}

// copy carries one way, until either end closes.
func (f *front) copy(to, from net.Conn, fromServer bool) {
	defer to.Close()
	defer from.Close()
	piece := make([]byte, 16<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			f.wait(fromServer)
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return // io.EOF, or broken: the other end learns of it by the close
		}
	}
}

// wait is how long a piece takes.
func (f *front) wait(fromServer bool) {
	for {
		n, changed := f.now()
		switch {
		case n.hold && fromServer:
			<-changed
			continue
		case n.delay > 0:
			time.Sleep(rand.N(n.delay))
		}
		return
	}
}
