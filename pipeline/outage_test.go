package pipeline

import (
	"context"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// proxy stands between a store and PostgreSQL, so that a test can pull the plug.
type proxy struct {
	listener net.Listener
	backend  string
	running  sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

// newProxy returns a proxy and the DSN through it.
func newProxy(t *testing.T, dsn string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, backend: u.Host, conns: make(map[net.Conn]struct{})}
	if u.Port() == "" {
		p.backend = net.JoinHostPort(u.Hostname(), "5432")
	}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		p.pull()
		p.running.Wait()
	})
	u.Host = listener.Addr().String()
	return p, u.String()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.backend)
		if err != nil || !p.track(client, server) {
			client.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
			p.running.Go(func() {
				_, _ = io.Copy(way[0], way[1]) // until either end, or pull, closes
				way[0].Close()
				way[1].Close()
			})
		}
	}
}

func (p *proxy) track(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		server.Close()
		return false
	}
	p.conns[client], p.conns[server] = struct{}{}, struct{}{}
	return true
}

// pull cuts every connection, and all new ones until plug.
func (p *proxy) pull() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

func (p *proxy) plug() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

// A real outage, while a backlog is being worked off, three times: connections
// break in the middle of reads, commits and lane locks. Nothing is poisoned,
// lost, doubled or out of order, and nobody has to do anything.
func TestPostgresAway(t *testing.T) {
	const events = 3000
	dsn := storetest.DSN(t, store.Postgres)
	direct := storetest.OpenDSN(t, dsn)
	plug, through := newProxy(t, dsn)
	s := storetest.OpenDSN(t, through)

	// The projector reads, so that the outage reaches it as well.
	p := start(t, s, projectors("test.reads", func(ctx context.Context, r domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
		if _, err := r.Members(ctx, ev.WorkspaceID); err != nil {
			return nil, err
		}
		return ok(ctx, r, ev)
	}), Config{})
	var backlog []domain.Event
	for n := range events {
		backlog = append(backlog, newEvent("test.reads", "ws", n))
	}
	publish(t, direct, backlog...)
	for i := range 3 {
		before := events * i / 4
		require.Eventually(t, func() bool { return len(logged(t, direct, "ws")) > before }, patiently, time.Millisecond)
		plug.pull()
		lane := store.LaneOf("ws", s.Lanes())
		require.Eventually(t, func() bool { return p.Status()[lane].LastError != "" }, patiently, tick)
		plug.plug()
	}
	drained(t, direct)
	require.Equal(t, upTo(events), logged(t, direct, "ws"))
	require.Empty(t, poisoned(t, direct))
	require.Eventually(t, func() bool {
		return !slices.ContainsFunc(p.Status(), func(l LaneStatus) bool { return !l.Owned || l.LastError != "" })
	}, patiently, tick)
}
