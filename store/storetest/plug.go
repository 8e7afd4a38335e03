package storetest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Plug stands between a Store and PostgreSQL, so that a test can take the
// database away and bring it back.
type Plug struct {
	listener net.Listener
	backend  string
	running  sync.WaitGroup

	mu     sync.Mutex
	pulled bool
	conns  map[net.Conn]struct{}
}

// NewPlug returns a Plug, in, and the DSN that leads through it.
func NewPlug(t testing.TB, dsn string) (*Plug, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &Plug{listener: listener, backend: u.Host, conns: map[net.Conn]struct{}{}}
	if u.Port() == "" {
		p.backend = net.JoinHostPort(u.Hostname(), "5432")
	}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.Pull()
		p.running.Wait()
	})
	u.Host = listener.Addr().String()
	return p, u.String()
}

// Pull cuts every connection, and all new ones until Push.
func (p *Plug) Pull() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pulled = true
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

// Push lets connections through again.
func (p *Plug) Push() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pulled = false
}

func (p *Plug) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.backend)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.track(client, server)
		for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
			p.running.Go(func() {
				_, _ = io.Copy(way[0], way[1]) // until either end, or Pull, closes
				_, _ = way[0].Close(), way[1].Close()
			})
		}
	}
}

func (p *Plug) track(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.pulled {
			_ = c.Close()
			continue
		}
		p.conns[c] = struct{}{}
	}
}
