package prove

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orbit/realtime/app/prove/check"
	"github.com/orbit/realtime/domain"
)

// habit is how a tab behaves.
type habit struct {
	name       string
	transports []string      // one after the other, at each reconnect
	stays      time.Duration // about how long it keeps a connection; 0: as long as it can
	away       time.Duration // about how long it stays away then
	slow       time.Duration // about how long it takes over each read
	private    bool          // also wants the private room
}

// habits are dealt to the tabs of a tenant in turn.
var habits = []habit{
	{name: "ws", transports: []string{"ws"}, private: true},
	{name: "sse", transports: []string{"sse"}},
	{name: "poll", transports: []string{"poll"}, private: true},
	{name: "ws-batch", transports: []string{"ws+batch"}, private: true},
	{name: "switcher", transports: []string{"ws", "sse", "poll", "ws+batch"}, stays: 4 * time.Second, away: 300 * time.Millisecond},
	{name: "flapper", transports: []string{"ws+batch"}, stays: 2 * time.Second, away: 200 * time.Millisecond},
	{name: "sse-private", transports: []string{"sse"}, private: true},
	{name: "slow", transports: []string{"ws"}, slow: 150 * time.Millisecond},
	{name: "absent", transports: []string{"sse", "ws"}, stays: 5 * time.Second, away: 9 * time.Second},
}

// errGone ends a tab for good: signed out, or no member anymore.
var errGone = errors.New("the server ended the session for good")

// tab is one client that keeps its position, and reconnects until closed.
type tab struct {
	run    *round
	tenant *tenant
	who    *person
	habit  habit
	dice   *rand.Rand
	dial   func(ctx context.Context, network, addr string) (net.Conn, error) // nil: the usual one
	base   func() string                                                     // where the server is
	start  *domain.Snapshot                                                  // what it begins with; nil: it fetches one
	forged string                                                            // a position to try first, which isn't its own
	cancel context.CancelFunc
	done   chan struct{}

	// What follows is the run goroutine's alone, but for mu.
	epoch string
	pos   int64
	rooms []string
	model *model

	mu     sync.Mutex
	record check.Client
	drop   context.CancelCauseFunc // breaks the connection at hand; nil without
	causes map[string]bool         // markers waited for
	marked map[string]bool
	gone   bool
	live   int // connections that reached system.live, over all
}

// open starts a tab.
func (r *round) open(ctx context.Context, t *tenant, who *person, h habit, name string, n int, set ...func(*tab)) *tab {
	ctx, cancel := context.WithCancel(ctx)
	tb := &tab{
		run: r, tenant: t, who: who, habit: h, dice: dice(r.env.opts.Seed, "tab "+name, n), base: r.env.front.url,
		cancel: cancel, done: make(chan struct{}), causes: map[string]bool{}, marked: map[string]bool{},
		record: check.Client{Name: name, Workspace: t.id, Member: who.memberID},
	}
	for _, f := range set {
		f(tb)
	}
	r.mu.Lock()
	r.tabs = append(r.tabs, tb)
	r.mu.Unlock()
	go tb.keep(ctx)
	return tb
}

// close ends the tab without a goodbye, and waits for it.
func (tb *tab) close() {
	tb.cancel()
	<-tb.done
}

func (tb *tab) keep(ctx context.Context) {
	defer close(tb.done)
	if !tb.hydrate(ctx) {
		return
	}
	for attempt := 0; ctx.Err() == nil; attempt++ {
		err := tb.connect(ctx, tb.habit.transports[attempt%len(tb.habit.transports)])
		if errors.Is(err, errGone) {
			tb.mu.Lock()
			tb.gone = true
			tb.mu.Unlock()
			return
		}
		pause := time.Duration(30+tb.dice.IntN(300)) * time.Millisecond
		if errors.Is(err, errStayed) && tb.habit.away > 0 {
			pause = around(tb.dice, tb.habit.away)
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// hydrate fetches the first snapshot, however long that takes.
func (tb *tab) hydrate(ctx context.Context) bool {
	if tb.start != nil {
		return tb.shown(*tb.start, true) == nil
	}
	for {
		gone, err := tb.snapshot(ctx, true)
		if err == nil {
			return true
		}
		if gone || !sleep(ctx, 200*time.Millisecond) {
			tb.mu.Lock()
			tb.gone = gone
			tb.mu.Unlock()
			return false
		}
	}
}

// snapshot fetches one. first: and goes on from its position; otherwise it fills
// a gap, and the connection at hand has a position already.
func (tb *tab) snapshot(ctx context.Context, first bool) (gone bool, err error) {
	s, gone, err := tb.run.env.calls.snapshotOf(ctx, tb.who, tb.tenant.slug)
	if err != nil {
		return gone, err
	}
	return false, tb.shown(s, first)
}

func (tb *tab) shown(s domain.Snapshot, first bool) error {
	p, err := domain.ParsePosition(s.Position)
	if err != nil {
		return err
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.record.Snapshots = append(tb.record.Snapshots, check.Snapshot{At: tb.run.now(), Epoch: p.Epoch, Offset: p.Offset})
	tb.model = newModel(s)
	if first {
		tb.epoch, tb.pos = p.Epoch, p.Offset
		tb.rooms = []string{tb.tenant.general}
		if tb.habit.private && slices.ContainsFunc(s.Rooms, func(r domain.Room) bool { return r.ID == tb.tenant.den }) {
			tb.rooms = append(tb.rooms, tb.tenant.den)
		}
	}
	return nil
}

// connected tells whether it has a session now.
func (tb *tab) connected() bool {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	n := len(tb.record.Connections)
	return n > 0 && tb.record.Connections[n-1].End == 0
}

// kick breaks the connection at hand, without a word.
func (tb *tab) kick() {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if tb.drop != nil {
		tb.drop(nil)
	}
}

// lived is how often it was live.
func (tb *tab) lived() int {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return tb.live
}

// query is what it connects with, and the position in it.
func (tb *tab) query() (q url.Values, position string) {
	position = domain.Position{Epoch: tb.epoch, Offset: tb.pos}.String()
	if tb.forged != "" {
		position, tb.forged = tb.forged, ""
	}
	q = url.Values{"workspace": {tb.tenant.slug}, "position": {position}}
	if len(tb.rooms) > 0 {
		q.Set("rooms", strings.Join(tb.rooms, ","))
	}
	return q, position
}

// link is one connection being recorded.
type link struct {
	*tab
	index  int  // in record.Connections
	gap    bool // not resumed: what it missed isn't covered yet
	forged bool
	asked  domain.Position
	rooms  []string
	refs   map[int64]int64 // ref of a subscribe → the position it named
	write  func(any) error // to the server; nil where the transport can't
	reopen bool            // the rooms have changed: connect anew
}

func (tb *tab) newLink(position string) *link {
	asked, _ := domain.ParsePosition(position) // it is ours, or forged well
	return &link{
		tab: tb, index: -1, asked: asked, rooms: slices.Clone(tb.rooms), refs: map[int64]int64{},
		forged: asked.Offset != tb.pos || asked.Epoch != tb.epoch,
	}
}

// received takes one event. An error ends the connection.
func (l *link) received(ctx context.Context, transport string, line []byte) error {
	w, err := decode(line)
	if err != nil {
		l.run.broken("%s received what is no server event: %v: %.200s", l.record.Name, err, line)
		return err
	}
	at := l.run.now()
	l.mu.Lock()
	if w.Type == domain.ServerSystemHello {
		l.begin(at, transport)
	}
	if l.index < 0 && w.Type == domain.ServerSystemGoodbye { // sent away before it was greeted
		l.mu.Unlock()
		return farewell(&w)
	}
	if l.index < 0 {
		l.mu.Unlock()
		l.run.broken("%s: a connection began with %s", l.record.Name, w.Type)
		return errors.New("no hello")
	}
	conn := &l.record.Connections[l.index]
	f := w.frame(at, l.epoch)
	if w.Ref != nil && f.More != nil {
		f.More.After = l.refs[*w.Ref]
	}
	conn.Frames = append(conn.Frames, f)
	l.run.delivered(&w, at)
	for _, cause := range f.Causes() {
		if l.causes[cause] {
			l.marked[cause] = true
		}
	}
	if w.Type == domain.ServerSystemLive {
		l.live++
	}
	resync := w.Type == domain.ServerSystemResync
	if w.Type == domain.ServerSystemHello {
		l.gap = !w.Resumed // a resync follows; until then its position is not ours
	}
	if !resync && !l.gap && !l.forged {
		l.pos = max(l.pos, f.Offset)
	}
	l.model.apply(&w)
	l.mu.Unlock()
	l.follow(&w)
	switch {
	case resync && l.forged:
		return errForged // it has learned nothing, as it should be
	case resync:
		if gone, err := l.snapshot(ctx, false); gone {
			return errGone
		} else if err != nil {
			return err
		}
		l.mu.Lock()
		l.gap = false
		l.pos = max(l.pos, f.Offset)
		l.mu.Unlock()
	case w.Type == domain.ServerSystemGoodbye:
		return farewell(&w)
	case l.reopen:
		return errReopen
	}
	return nil
}

// farewell is what a goodbye means.
func farewell(w *wire) error {
	switch fmt.Sprint(w.Code) {
	case "4401", "4403":
		return errGone
	}
	return errLeft
}

var (
	errLeft   = errors.New("the server said goodbye")
	errForged = errors.New("the forged position was refused")
	errReopen = errors.New("the rooms have changed")
	errStayed = errors.New("it stayed as long as it wanted")
)

// begin records a connection. With mu held.
func (l *link) begin(at time.Duration, transport string) {
	l.end(at, false)
	l.record.Connections = append(l.record.Connections, check.Connection{
		Transport: transport, Start: at, Asked: l.asked.Offset, Epoch: l.asked.Epoch, Forged: l.forged, Rooms: l.rooms,
	})
	l.index = len(l.record.Connections) - 1
}

// ended records the end of the connection.
func (l *link) ended(clean bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(l.run.now(), clean)
}

func (l *link) end(at time.Duration, clean bool) {
	if l.index >= 0 {
		l.record.Connections[l.index].End, l.record.Connections[l.index].Clean = at, clean
		l.index = -1
	}
}

// follow keeps the rooms that the tab asks for in line with what it is told.
func (l *link) follow(w *wire) {
	den := l.tenant.den
	has := slices.Contains(l.tab.rooms, den)
	lose := func() { l.tab.rooms = slices.DeleteFunc(l.tab.rooms, func(id string) bool { return id == den }) }
	entity, _ := w.entity()
	switch {
	case !l.habit.private:
	case w.Type == domain.ServerSystemUnsubscribed && w.room() == den, w.Type == domain.ServerRoomDeleted && entity == "room:"+den:
		lose()
	case w.Type == domain.ServerSystemHello && has && !slices.Contains(w.Rooms, den) && slices.Contains(l.rooms, den):
		lose()
	case w.Type == domain.ServerRoomCreated && entity == "room:"+den && !has:
		l.tab.rooms = append(l.tab.rooms, den)
		if l.write == nil {
			l.reopen = true
			return
		}
		ref := int64(len(l.refs) + 1)
		l.refs[ref] = l.pos
		position := domain.Position{Epoch: l.epoch, Offset: l.pos}.String()
		_ = l.write(map[string]any{"type": "subscribe", "room": den, "ref": ref, "position": position}) // reading tells of a broken one
	}
}

// expect has the tab look out for an event, which may have come already.
func (tb *tab) expect(cause string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.causes[cause] = true
	for _, c := range tb.record.Connections {
		if slices.ContainsFunc(c.Frames, func(f check.Frame) bool { return slices.Contains(f.Causes(), cause) }) {
			tb.marked[cause] = true
		}
	}
}

func (tb *tab) isGone() bool {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return tb.gone
}

// history returns what was recorded so far.
func (tb *tab) history() check.Client {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	c := tb.record
	c.Connections = slices.Clone(c.Connections)
	c.Snapshots = slices.Clone(c.Snapshots)
	return c
}

// around is d, give or take half of it.
func around(d *rand.Rand, about time.Duration) time.Duration {
	return about/2 + time.Duration(d.Int64N(int64(about)))
}

// sleep waits, and reports false if ctx ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
