package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	openAtOnce = 64 // dials in flight
	sources    = 8  // loopback addresses to come from: each has about 28,000 ports
)

// fleet is many open tabs.
type fleet struct {
	mu   sync.Mutex
	tabs []*tab
}

func (f *fleet) add(t *tab) {
	f.mu.Lock()
	f.tabs = append(f.tabs, t)
	f.mu.Unlock()
}

func (f *fleet) close() {
	for _, t := range f.tabs {
		t.close()
	}
}

// openFleet opens n tabs; on an error those that did open are closed again.
func openFleet(ctx context.Context, target Target, n int, progress io.Writer) (*fleet, error) {
	f := &fleet{}
	start := time.Now()
	g, opening := errgroup.WithContext(ctx)
	g.SetLimit(openAtOnce)
	for i := range n {
		if opening.Err() != nil {
			break
		}
		g.Go(func() error {
			if opening.Err() != nil {
				return opening.Err()
			}
			// Not the group's context: it ends when the last tab is open.
			at := target
			if len(target.Nodes) > 0 {
				at.BaseURL = target.Nodes[i%len(target.Nodes)]
			}
			t, err := openTab(ctx, at, at.source(i))
			if err != nil {
				return fmt.Errorf("tab %d: %w", i, err)
			}
			t.node = i % max(1, len(target.Nodes))
			f.add(t)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		f.close()
		return nil, err
	}
	say(progress, "%d tabs open (%s) in %s", n, target.transport(), time.Since(start).Round(time.Millisecond))
	return f, nil
}

// source spreads tabs over 127.0.0.1 to 127.0.0.8 when the server is on
// 127.0.0.0/8, and leaves the choice to the system otherwise.
func (t Target) source(i int) net.IP {
	u, err := url.Parse(t.BaseURL)
	if err != nil {
		return nil
	}
	if ip := net.ParseIP(u.Hostname()).To4(); ip == nil || !ip.IsLoopback() {
		return nil
	}
	return net.IPv4(127, 0, 0, byte(1+i%sources))
}

func (t Target) transport() Transport {
	if t.Transport == "" {
		return WebSocket
	}
	return t.Transport
}
