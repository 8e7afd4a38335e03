package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// countingReader counts the re-reads of teams.
type countingReader struct {
	domain.Reader
	reads *atomic.Int64
}

func (r countingReader) Team(ctx context.Context, workspaceID, id string) (domain.Team, error) {
	r.reads.Add(1)
	return r.Reader.Team(ctx, workspaceID, id)
}

// counting is the table of projectors over a counting reader.
func counting(reads *atomic.Int64) map[domain.EventType]domain.Projector {
	table := handlers.Table()
	for typ, project := range table {
		table[typ] = func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
			return project(ctx, countingReader{read, reads}, ev)
		}
	}
	return table
}

// teams makes some in one workspace, and publishes nothing.
func teams(t testing.TB, s *store.Store, n int) []domain.Team {
	t.Helper()
	w, _, _ := storetest.SeedWorkspace(t, s)
	all := make([]domain.Team, n)
	require.NoError(t, s.Write(context.Background(), func(tx domain.Tx) error {
		for i := range all {
			all[i] = domain.Team{ID: domain.NewID("team"), Version: 1, WorkspaceID: w.ID, Name: fmt.Sprintf("Team %d", i), MemberIDs: []string{}}
			if err := tx.InsertTeam(context.Background(), all[i]); err != nil {
				return err
			}
		}
		return nil
	}))
	return all
}

// longAgo is when the events of a backlog were published: its batches are large,
// however slow the machine is.
var longAgo = time.Now().Add(-time.Hour)

func updated(team domain.Team) domain.Event {
	ev := domain.NewEvent(domain.EventTeamUpdated, team.WorkspaceID, team.ID, domain.Changed{Version: 1})
	ev.CreatedAt = longAgo
	return ev
}

// told is an entry as a client sees it.
type told struct {
	Type    domain.ServerEventType
	Channel domain.Channel
	Cause   string
	Causes  []string
	Team    struct {
		ID      string
		Version int64
	}
}

func (e told) all() []string { return append([]string{e.Cause}, e.Causes...) }

func logOf(t testing.TB, s *store.Store, workspaceID string) []told {
	t.Helper()
	entries, _, err := s.LogAfter(context.Background(), workspaceID, 0, 1<<40, nil, 1_000_000)
	require.NoError(t, err)
	all := make([]told, len(entries))
	for i, e := range entries {
		require.NoError(t, json.Unmarshal(e.Data, &all[i]))
	}
	return all
}

// causesOf counts how often each event is named.
func causesOf(log []told) map[string]int {
	times := map[string]int{}
	for _, e := range log {
		for _, cause := range e.all() {
			times[cause]++
		}
	}
	return times
}

func requireEachOnce(t testing.TB, log []told, events []domain.Event) {
	t.Helper()
	times := causesOf(log)
	require.Len(t, times, len(events))
	for _, ev := range events {
		require.Equal(t, 1, times[ev.ID], "%s is told of once", ev.ID)
	}
}

// After an outage, an aggregate that changed a thousand times is read a few
// times; and each change is accounted for.
func TestABacklogCollapses(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			s := storetest.Open(t, engine)
			var events []domain.Event
			all := teams(t, s, 5)
			for range 1000 {
				for _, team := range all {
					events = append(events, updated(team))
				}
			}
			publish(t, s, events...)
			var reads atomic.Int64
			start(t, s, counting(&reads), Config{})
			drained(t, s)
			log := logOf(t, s, all[0].WorkspaceID)
			requireEachOnce(t, log, events)
			require.EqualValues(t, len(log), reads.Load(), "one read, one entry")
			// 5,000 events, of which an entry answers for 100 at most: 50, and some
			// more for the small batches at first.
			require.Less(t, len(log), 250)
			for _, e := range log {
				require.LessOrEqual(t, len(e.all()), domain.MaxCauses)
			}
		})
	}
}

// inOneBatch lets a pipeline work off a backlog that fits into its first batch.
func inOneBatch(t testing.TB, s *store.Store, table map[domain.EventType]domain.Projector, cfg Config, events ...domain.Event) {
	t.Helper()
	require.LessOrEqual(t, len(events), firstBatch)
	for i := range events {
		events[i].CreatedAt = longAgo
	}
	publish(t, s, events...)
	p := start(t, s, table, cfg)
	drained(t, s)
	stop(t, p)
}

func TestWhatCollapsesAndWhatDoesNot(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	two := teams(t, s, 2)
	a, b := two[0], two[1]
	of := func(typ domain.EventType, team domain.Team, payload any) domain.Event {
		return domain.NewEvent(typ, team.WorkspaceID, team.ID, payload)
	}
	created := of(domain.EventTeamCreated, a, domain.Changed{Version: 1})
	a1, a2, a3, a4, a5 := updated(a), updated(a), updated(a), updated(a), updated(a)
	b1, b2 := updated(b), updated(b)
	posted := domain.NewEvent(domain.EventMessagePosted, a.WorkspaceID, "msg_1", domain.MessageChanged{Version: 1, RoomID: "room_1"})
	removed := domain.NewEvent(domain.EventMemberRemoved, a.WorkspaceID, "mem_x", domain.Changed{Version: 2})
	requeued := updated(a)
	requeued.Metadata = map[string]string{store.MetaPoisonID: "psn_1"}
	inOneBatch(t, s, handlers.Table(), Config{},
		a1, b1, created, a2, posted, a3, // another type, another aggregate and a fact between them are no hindrance
		removed,              // whose rights end here sees nothing of a4
		a4, b2, requeued, a5) // what an operator asked for comes by itself, and speaks for nobody

	var got [][]string
	for _, e := range logOf(t, s, a.WorkspaceID) {
		got = append(got, e.all())
	}
	require.Equal(t, [][]string{
		{a1.ID, a2.ID, a3.ID}, {b1.ID}, {created.ID}, {removed.ID}, {a4.ID, a5.ID}, {b2.ID}, {requeued.ID},
	}, got)
}

// Each event of a private room's members, of a team's, and each fact is told by
// itself: their payloads say who.
func TestOnlyStateToldByTheAggregateAloneCollapses(t *testing.T) {
	var collapsing []domain.EventType
	for _, spec := range domain.EventTypes {
		if domain.Collapses(spec.Type) {
			collapsing = append(collapsing, spec.Type)
			require.False(t, domain.Parts(spec.Type))
			require.IsType(t, domain.Changed{}, spec.Payload, "%s: the payload says more than the version", spec.Type)
		}
	}
	require.Equal(t, []domain.EventType{
		domain.EventWorkspaceUpdated, domain.EventMemberUpdated, domain.EventMemberRoleChanged, domain.EventRoleCreated,
		domain.EventRoleUpdated, domain.EventTeamCreated, domain.EventTeamUpdated, domain.EventSubscriptionUpdated,
		domain.EventRoomCreated, domain.EventRoomUpdated,
	}, collapsing)
	require.True(t, domain.Parts("acme.unheard_of"))
	require.False(t, domain.Parts(domain.EventMessagePosted))
}

func TestEachProjectsEach(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	team := teams(t, s, 1)[0]
	inOneBatch(t, s, handlers.Table(), Config{Each: true}, updated(team), updated(team))
	require.Len(t, logOf(t, s, team.WorkspaceID), 2)
}

// A team that can't be projected is tried event by event, and each of its events
// is in the poison queue; the others' collapse as ever.
func TestARunThatFailsIsPoisonedOneByOne(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	two := teams(t, s, 2)
	table := handlers.Table()
	project := table[domain.EventTeamUpdated]
	table[domain.EventTeamUpdated] = func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
		if ev.AggregateID == two[0].ID {
			return nil, errBroken
		}
		return project(ctx, read, ev)
	}
	good := []domain.Event{updated(two[1]), updated(two[1]), updated(two[1])}
	bad := []domain.Event{updated(two[0]), updated(two[0])}
	inOneBatch(t, s, table, Config{Retry: RetryConfig{MaxRetries: -1}}, good[0], good[1], bad[0], good[2], bad[1])
	var got []string
	for _, p := range poisoned(t, s) {
		got = append(got, p.Event.ID)
	}
	require.ElementsMatch(t, []string{bad[0].ID, bad[1].ID}, got)
	requireEachOnce(t, logOf(t, s, two[0].WorkspaceID), good)
}

// What fails between two events of a run is made up for by the second one, as if
// nothing collapsed: that one is read again, after the failure.
func TestAFailureWithinARunIsSuperseded(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	team := teams(t, s, 1)[0]
	table := handlers.Table()
	table[domain.EventTeamCreated] = func(context.Context, domain.Reader, domain.Event) ([]domain.ServerEvent, error) {
		return nil, errBroken
	}
	bad := domain.NewEvent(domain.EventTeamCreated, team.WorkspaceID, team.ID, domain.Changed{Version: 1})
	first, second, third := updated(team), updated(team), updated(team)
	inOneBatch(t, s, table, Config{Concerns: handlers.Concerns, Retry: RetryConfig{MaxRetries: -1}}, first, bad, second, third)
	list := poisoned(t, s)
	require.Len(t, list, 1)
	require.Equal(t, domain.PoisonSuperseded, list[0].State)
	log := slices.DeleteFunc(logOf(t, s, team.WorkspaceID), func(e told) bool { return e.Type != domain.ServerTeamUpdated })
	require.Equal(t, [][]string{{first.ID}, {second.ID, third.ID}}, [][]string{log[0].all(), log[1].all()})
}

// An older failure is made up for by an entry that also speaks for an event
// after it.
func TestARunSupersedesUpToItsLastEvent(t *testing.T) {
	for _, engine := range storetest.Engines(t) {
		t.Run(string(engine), func(t *testing.T) {
			s := storetest.Open(t, engine)
			w := "ws_1"
			bad := domain.NewEvent(domain.EventTeamCreated, w, "team_1", domain.Changed{Version: 1})
			entry := domain.Entry{Channel: domain.WorkspaceChannel(w), Type: domain.ServerTeamUpdated, Data: []byte(`{"type":"x"}`), EventID: "e1", At: longAgo}
			_, err := s.CommitEffects(t.Context(), store.Effects{
				Projected: []store.Projection{
					{EventID: "e1", WorkspaceID: w, Kind: "team", AggregateID: "team_1", Seq: 3, Entries: []domain.Entry{entry}},
					{EventID: "e3", WorkspaceID: w, Into: "e1", Seq: 3},
				},
				Poisoned: []domain.Poison{{ID: "psn_1", Event: bad, Seq: 2, Told: []domain.Channel{domain.WorkspaceChannel(w)}, Projector: string(bad.Type)}},
			})
			require.NoError(t, err)
			require.Equal(t, domain.PoisonSuperseded, poisoned(t, s)[0].State)
		})
	}
}

// Entries that speak for an event are appended with its mark, or not at all.
func TestARunIsCommittedWholeOrNotAtAll(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	w := "ws_1"
	entry := domain.Entry{Channel: domain.WorkspaceChannel(w), Type: domain.ServerTeamUpdated, Data: []byte(`{"type":"x"}`), At: longAgo}
	run := func(first, second string) store.Effects {
		return store.Effects{Projected: []store.Projection{
			{EventID: first, WorkspaceID: w, Entries: []domain.Entry{entry}}, {EventID: second, WorkspaceID: w, Into: first},
		}}
	}
	_, err := s.CommitEffects(t.Context(), run("e1", "e2"))
	require.NoError(t, err)
	for _, torn := range []store.Effects{run("e1", "e3"), run("e3", "e1")} {
		_, err = s.CommitEffects(t.Context(), torn)
		require.True(t, domain.IsTransient(err), "%v", err)
	}
	again, err := s.CommitEffects(t.Context(), run("e1", "e2"))
	require.NoError(t, err)
	require.Empty(t, again)
	require.Len(t, logOf(t, s, w), 1)
}

func TestATraceTellsWhatAnEventWasCollapsedInto(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	team := teams(t, s, 1)[0]
	first, second := updated(team), updated(team)
	inOneBatch(t, s, handlers.Table(), Config{Retention: RetentionConfig{Traces: 10}}, first, second)
	for _, ev := range []domain.Event{first, second} {
		trace, err := s.Trace(t.Context(), ev.ID)
		require.NoError(t, err)
		require.Equal(t, domain.TraceProjected, trace.State)
		require.Len(t, trace.Entries, 1)
		if ev.ID == second.ID {
			require.Equal(t, first.ID, trace.CollapsedInto)
		} else {
			require.Empty(t, trace.CollapsedInto)
		}
	}
}

// The observer is told of each event, and of entries once.
func TestCollapsedIsAnOutcome(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	team := teams(t, s, 1)[0]
	o := &outcomes{counts: map[Outcome]int{}}
	inOneBatch(t, s, handlers.Table(), Config{Observer: o}, updated(team), updated(team), updated(team))
	require.Equal(t, map[Outcome]int{Projected: 1, Collapsed: 2}, o.counts)
	require.Equal(t, 1, o.entries)
}

// outcomes counts what it is told, by one lane.
type outcomes struct {
	deaf
	counts  map[Outcome]int
	entries int
}

func (o *outcomes) Handled(_ int, _ time.Time, events []Handled) {
	for _, h := range events {
		o.counts[h.Outcome]++
		o.entries += len(h.Entries)
	}
}
