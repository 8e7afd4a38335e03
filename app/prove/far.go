package prove

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// farNetwork is a network namespace joined to ours by a pair of virtual cables.
// When one is pulled, packets vanish: neither end is told, as when a phone
// leaves its network. The machine's own network isn't touched.
type farNetwork struct {
	name, near, end string // the namespace, and each side's interface
	here, there     string // addresses
}

func newFarNetwork() (*farNetwork, error) {
	n := os.Getpid() % 10000
	f := &farNetwork{
		name: fmt.Sprintf("prove-%d", n), near: fmt.Sprintf("prv%dn", n), end: fmt.Sprintf("prv%df", n),
		// RFC 6890's 198.18.0.0/15 is for tests, and nobody's.
		here: fmt.Sprintf("198.18.%d.1", n%250), there: fmt.Sprintf("198.18.%d.2", n%250),
	}
	for _, args := range [][]string{
		{"netns", "add", f.name},
		{"link", "add", f.near, "type", "veth", "peer", "name", f.end},
		{"link", "set", f.end, "netns", f.name},
		{"addr", "add", f.here + "/30", "dev", f.near},
		{"link", "set", f.near, "up"},
		{"-n", f.name, "addr", "add", f.there + "/30", "dev", f.end},
		{"-n", f.name, "link", "set", "lo", "up"},
		{"-n", f.name, "link", "set", f.end, "up"},
	} {
		if err := ip(args...); err != nil {
			return nil, errors.Join(err, f.remove())
		}
	}
	return f, nil
}

func ip(args ...string) error {
	if out, err := exec.CommandContext(context.Background(), "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (f *farNetwork) down() error { return ip("-n", f.name, "link", "set", f.end, "down") }
func (f *farNetwork) up() error   { return ip("-n", f.name, "link", "set", f.end, "up") }

func (f *farNetwork) remove() error { return ip("netns", "del", f.name) } // its cables go with it

// dial connects from the namespace. A socket belongs to the namespace that its
// thread was in when it was made.
func (f *farNetwork) dial(ctx context.Context, proto, addr string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := enter(f.name); err != nil {
			done <- result{nil, err}
			return
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, proto, addr)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}
