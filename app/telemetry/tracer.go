package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/transport/hub"
)

const (
	flushInterval = time.Second
	flushTimeout  = 5 * time.Second
	tabsListed    = 20 // sessions of one member that a trace looks at
)

// Stories are what the database remembers of events. Package store implements it.
type Stories interface {
	Trace(ctx context.Context, eventID string) (domain.Trace, error)
	SaveWrites(ctx context.Context, node string, at time.Time, all []store.LogWrites) error
}

// Tabs are this node's sessions, and what was written to them. Package hub
// implements it.
type Tabs interface {
	TakeWrites() []hub.WorkspaceWrites
	Session(id string) (domain.SessionInfo, error)
	Sessions(workspaceID, memberID string, limit int) []domain.SessionInfo
}

// Rooms tells who may read a room. domain.Reader does.
type Rooms interface {
	Room(ctx context.Context, workspaceID, id string) (domain.Room, error)
}

// TracerConfig configures a [Tracer].
type TracerConfig struct {
	Node string
	// Off keeps nothing of what is written; Trace tells what it finds.
	Off    bool
	Spans  *Spans       // gets a span per entry written; nil for none
	Logger *slog.Logger // default slog.Default
}

// Tracer tells the way of an event. While it runs it keeps, about once a second,
// what this node has written to its sessions: best effort, beside delivery and
// never in its way.
type Tracer struct {
	stories Stories
	tabs    Tabs
	rooms   Rooms
	monitor *Monitor
	meters  *Meters
	cfg     TracerConfig

	stop    context.CancelFunc // nil before Start
	running sync.WaitGroup
	failing bool // the last flush failed; the loop's own
}

// NewTracer makes a tracer.
func NewTracer(stories Stories, tabs Tabs, rooms Rooms, monitor *Monitor, cfg TracerConfig) *Tracer {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Tracer{stories: stories, tabs: tabs, rooms: rooms, monitor: monitor, meters: monitor.meters, cfg: cfg}
}

// Start begins to keep what is written, and returns at once.
func (t *Tracer) Start(ctx context.Context) {
	ctx, t.stop = context.WithCancel(context.WithoutCancel(ctx))
	t.running.Go(func() {
		tick := time.NewTicker(flushInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				t.flush(ctx)
			case <-ctx.Done():
				t.flush(context.WithoutCancel(ctx)) // the last second
				return
			}
		}
	})
}

// Stop keeps what is left, ends, and waits for it. Idempotent.
func (t *Tracer) Stop() {
	if t.stop != nil {
		t.stop()
		t.running.Wait()
	}
}

// flush keeps what was written since the last time. What can't be kept is
// counted, and gone: to pile it up through an outage would help nobody.
func (t *Tracer) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	var logs []store.LogWrites
	var kept, untold int
	for _, w := range t.tabs.TakeWrites() {
		untold += w.Untold
		t.cfg.Spans.written(w)
		log := store.LogWrites{WorkspaceID: w.WorkspaceID, Epoch: w.Epoch, Writes: make([]store.EntryWrite, len(w.Entries))}
		for i, e := range w.Entries {
			log.Writes[i] = store.EntryWrite{
				Offset: e.Offset, Transport: string(e.Transport), Live: e.Live, Replayed: e.Replayed, First: e.First, Last: e.Last,
			}
			kept += e.Live + e.Replayed
		}
		logs = append(logs, log)
	}
	if !t.cfg.Off {
		err := t.stories.SaveWrites(ctx, t.cfg.Node, time.Now(), logs)
		if err != nil {
			untold += kept
		}
		if err != nil && !t.failing {
			t.cfg.Logger.Warn("traces can't be kept; events are delivered all the same", "error", err)
		}
		t.failing = err != nil
	}
	t.meters.untold.Add(float64(untold))
}

// Trace tells the way of one event. CodeNotFound for an id nobody knows.
func (t *Tracer) Trace(ctx context.Context, eventID string) (domain.Trace, error) {
	trace, err := t.stories.Trace(ctx, eventID)
	if err != nil || trace.Waiting == nil {
		return trace, err
	}
	if lane, ok := t.monitor.lane(ctx, trace.Lane); ok {
		trace.Waiting.Held = lane.held
		if lane.status.Owned {
			trace.Waiting.Holder = t.cfg.Node
		}
	}
	return trace, nil
}

// TraceTab tells the way of an event to one session (s_…) or to the sessions of
// one member, on this node: were they connected, on its channel, entitled, and
// have they got it?
func (t *Tracer) TraceTab(ctx context.Context, eventID, who string) (domain.Trace, error) {
	trace, err := t.Trace(ctx, eventID)
	if err != nil {
		return trace, err
	}
	tab := &domain.TraceSession{Asked: who, Connected: []domain.SessionInfo{}, Verdicts: []string{}}
	trace.Session = tab
	if session, err := t.tabs.Session(who); err == nil {
		tab.Connected = append(tab.Connected, session)
	} else {
		tab.Connected = append(tab.Connected, t.tabs.Sessions("", who, tabsListed)...)
	}
	if len(tab.Connected) == 0 {
		tab.Verdicts = append(tab.Verdicts, fmt.Sprintf("%s is not connected to %s: it gets the event when it comes back with its position, or in its next snapshot", who, t.cfg.Node))
	}
	for _, session := range tab.Connected {
		tab.Verdicts = append(tab.Verdicts, t.judge(ctx, trace, session))
	}
	return trace, nil
}

// judge says what became of the event at one session.
func (t *Tracer) judge(ctx context.Context, trace domain.Trace, s domain.SessionInfo) string {
	switch {
	case s.WorkspaceID != trace.WorkspaceID:
		return fmt.Sprintf("the session is of workspace %s, the event of %s", s.WorkspaceID, trace.WorkspaceID)
	case trace.State == domain.TraceSilent:
		return "the event led to no server event: there was nothing to tell"
	case trace.State == domain.TraceExpired:
		return "the event's entries are gone from the log: who got them is not known anymore"
	case len(trace.Entries) == 0:
		return fmt.Sprintf("the event is %s: nobody could get it so far", trace.State)
	}
	var foreign domain.TraceEntry
	for _, e := range trace.Entries {
		if !on(s, e.Channel) {
			foreign = e
			continue
		}
		return position(s, e)
	}
	if foreign.Channel.Kind() != domain.KindRoom {
		return fmt.Sprintf("the event went to %s, which is not this session's", foreign.Channel)
	}
	room, err := t.rooms.Room(ctx, trace.WorkspaceID, foreign.Channel.ID())
	switch {
	case err != nil:
		return fmt.Sprintf("the session is not on %s, where the event went; the room is gone, or can't be read", foreign.Channel)
	case room.Private && !slices.Contains(room.MemberIDs, s.MemberID):
		return fmt.Sprintf("the event went to %s, a private room that member %s is not in", foreign.Channel, s.MemberID)
	}
	return fmt.Sprintf("the session is not on %s, where the event went; its member may subscribe, and has not", foreign.Channel)
}

// on tells whether the session is on a channel.
func on(s domain.SessionInfo, channel domain.Channel) bool {
	switch channel.Kind() {
	case domain.KindWorkspace:
		return channel.ID() == s.WorkspaceID
	case domain.KindMember:
		return channel.ID() == s.MemberID
	}
	return slices.Contains(s.Rooms, channel.ID())
}

// position compares where the session is with where the entry is.
func position(s domain.SessionInfo, e domain.TraceEntry) string {
	switch {
	case s.Position.Epoch != e.Position.Epoch:
		return fmt.Sprintf("the session is at %s, in another lifetime of the log: it was told to fetch a snapshot", s.Position)
	case s.Position.Offset >= e.Position.Offset:
		return fmt.Sprintf("the session has it, by delivery or in the snapshot it came with: it is at %s, the entry at %s", s.Position, e.Position)
	case s.Behind > 0:
		return fmt.Sprintf("the session has not taken it yet: it is at %s, the entry at %s, and what is oldest waits for %s",
			s.Position, e.Position, round(time.Duration(s.LagMS*float64(time.Millisecond))))
	}
	return fmt.Sprintf("the session was not on %s when the entry came: it is at %s, the entry at %s", e.Channel, s.Position, e.Position)
}
