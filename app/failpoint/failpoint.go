// Package failpoint makes a server fail where and when it is told to, so that
// somebody can watch what its clients see. Only a binary built with the tag
// "failpoint" links it: the one that is deployed has no such code in it, and no
// setting brings it in.
//
// Orders stand in a file, one a line, and are read again whenever it changes:
//
//	<point> <action> [every=N]
//
//	projected kill   after a projector has run, before the commit of its effects
//	committed kill   after the commit, before the hub is told
//	relayed kill     after the hub was told, before it has written
//	replay kill      while a session's replay reads the log
//	projector flake  an attempt at projecting fails, and the next may not
//	projector fail   projectors fail for good
//	projector panic
//	projector hang   … until their time is over
//	bug <name>       see bugs.go
//
// every=N acts on each Nth pass (default 1, the next); a projector that fails,
// panics or hangs does so for about one of N events, at every attempt. "kill" is
// SIGKILL to the process itself. Lines with "#" in front are ignored.
package failpoint

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/presence"
)

// EnvFile names the file with the orders. It isn't called ORBIT_…, for those
// are settings, and this is none.
const EnvFile = "FAILPOINT_ORDERS"

// reread is how often the file is looked at, at most.
const reread = 20 * time.Millisecond

// order is one line of the file.
type order struct {
	action string
	every  int
	passed int
}

// Set is a server's failpoints. It is safe for concurrent use.
type Set struct {
	path string

	mu     sync.Mutex
	looked time.Time
	read   []byte
	orders map[string]*order // by point, or "bug " + name
	bugs   bugs
}

// New makes a set that takes its orders from a file, which need not be there.
func New(path string) *Set {
	return &Set{path: path, orders: map[string]*order{}}
}

// Order replaces the orders, by the text of a file.
func (s *Set) Order(text string) error {
	orders, err := parse([]byte(text))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders = orders
	return nil
}

func parse(text []byte) (map[string]*order, error) {
	orders := map[string]*order{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) < 2 {
			return nil, fmt.Errorf("failpoints: %q: want <point> <action> [every=N]", lines.Text())
		}
		o := &order{action: words[1], every: 1}
		for _, option := range words[2:] {
			n, isEvery := strings.CutPrefix(option, "every=")
			var err error
			if o.every, err = strconv.Atoi(n); !isEvery || err != nil || o.every < 1 {
				return nil, fmt.Errorf("failpoints: %q: want every=N, 1 or more", option)
			}
		}
		point := words[0]
		if point == "bug" {
			point += " " + words[1]
		}
		orders[point] = o
	}
	return orders, nil
}

// pass is called whenever a point is passed; it returns the action due, or "".
func (s *Set) pass(point string) string {
	return s.passed(point, func(o *order) bool {
		o.passed++
		return o.passed%o.every == 0
	})
}

// passedBy decides by the event that passes: each time the same.
func (s *Set) passedBy(point, eventID string) string {
	return s.passed(point, func(o *order) bool {
		if o.action == "flake" {
			o.passed++
			return o.passed%o.every == 0
		}
		h := fnv.New32a()
		_, _ = h.Write([]byte(eventID)) // a hash never fails
		return h.Sum32()%uint32(o.every) == 0
	})
}

func (s *Set) passed(point string, due func(*order) bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path != "" && time.Since(s.looked) > reread {
		s.looked = time.Now()
		// Without the file nothing is ordered. Half a file is read again.
		if text, err := os.ReadFile(s.path); !bytes.Equal(text, s.read) || err != nil && s.read != nil {
			if orders, err := parse(text); err == nil {
				s.orders, s.read = orders, text
			}
		}
	}
	o := s.orders[point]
	if o == nil || !due(o) {
		return ""
	}
	return o.action
}

// die is kill -9 from within: no defer runs, nothing is flushed.
func (s *Set) die(point string) {
	if s.pass(point) == "kill" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal comes on its way; nothing more may happen
	}
}

// Middle is what goes between the server's parts.
func (s *Set) Middle() app.Middle {
	return app.Middle{
		Projectors: s.projectors,
		Relay: func(inner func([]domain.Appended)) func([]domain.Appended) {
			inner = s.buggyRelay(inner)
			return func(appended []domain.Appended) {
				s.die("committed")
				inner(appended)
				s.die("relayed")
			}
		},
		Log:      func(inner hub.Log) hub.Log { return &failingLog{inner, s} },
		Presence: func(inner presence.Broadcaster) presence.Broadcaster { return forgetful{inner, s} },
	}
}

var errOrdered = domain.Errorf(domain.CodeInvalid, "the projector was told to fail")

func (s *Set) projectors(table map[domain.EventType]domain.Projector) map[domain.EventType]domain.Projector {
	table = maps.Clone(table)
	for t, inner := range table {
		inner = s.buggyProjector(inner)
		table[t] = func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			switch s.passedBy("projector", ev.ID) {
			case "fail", "flake":
				return nil, errOrdered
			case "panic":
				panic(errors.New("the projector was told to panic"))
			case "hang":
				<-ctx.Done()
				return nil, ctx.Err()
			}
			events, err := inner(ctx, read, ev)
			s.die("projected")
			return events, err
		}
	}
	return table
}

// failingLog is the log as the hub sees it.
type failingLog struct {
	hub.Log
	set *Set
}

func (l *failingLog) LogAfter(ctx context.Context, workspaceID string, after, upTo int64, channels []domain.Channel, limit int) ([]domain.Entry, domain.LogState, error) {
	entries, state, err := l.Log.LogAfter(ctx, workspaceID, after, upTo, channels, limit)
	if len(entries) > 0 {
		l.set.die("replay")
	}
	entries, state = l.set.buggyRead(workspaceID, channels != nil, entries, state)
	return entries, state, err
}

func (l *failingLog) LogStates(ctx context.Context, workspaceIDs []string) (map[string]domain.LogState, error) {
	states, err := l.Log.LogStates(ctx, workspaceIDs)
	for id, state := range states {
		states[id] = l.set.expire(state)
	}
	return states, err
}
