package store

import (
	"context"
	"slices"
	"time"

	"github.com/orbit/realtime/domain"
)

// mending is what a commit does about aggregates that could not be projected:
// it records new failures, and closes poison that its projections healed or made
// moot. Tabs are told of both by entries in the log, behind those of the
// projections.
type mending struct {
	conn
	now  time.Time
	news []notice
}

// notice tells one channel that an aggregate is stale, or that it no longer is.
type notice struct {
	typ     domain.ServerEventType
	poison  domain.Poison
	channel domain.Channel
}

// mend runs after the projections were appended, and returns what is to be
// appended behind them. stale names the workspaces, of those appended to, in
// which something is stale. Where nothing failed and nothing is stale, it runs
// no statement.
func mend(ctx context.Context, c conn, fresh []Projection, failed []domain.Poison, stale map[string]bool, now time.Time) ([]Projection, error) {
	m := &mending{conn: c, now: now}
	if err := m.heal(ctx, fresh); err != nil {
		return nil, err
	}
	if err := m.supersede(ctx, fresh, stale); err != nil {
		return nil, err
	}
	if len(failed) > 0 {
		broken := map[string]bool{}
		for _, p := range failed {
			if err := m.fail(ctx, p); err != nil {
				return nil, err
			}
			broken[p.Event.WorkspaceID] = true
		}
		// What follows a failure in this very batch has made up for it already.
		if err := m.supersede(ctx, fresh, broken); err != nil {
			return nil, err
		}
	}
	return m.entries()
}

// heal closes the poison messages whose requeued events were handled.
func (m *mending) heal(ctx context.Context, fresh []Projection) error {
	var ids []string
	for _, p := range fresh {
		if p.PoisonID != "" {
			ids = append(ids, p.PoisonID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	handled, err := many(ctx, m.conn, scanPoison, `SELECT `+poisonColumns+` FROM poison
		WHERE `+m.d.in("id", 1)+` AND state = 'requeued' ORDER BY id`+m.d.lockUpdate, m.d.list(ids))
	if err != nil {
		return err
	}
	for _, p := range handled {
		if err := m.close(ctx, p, domain.PoisonHealed, p.Stale); err != nil {
			return err
		}
	}
	return nil
}

// supersede makes up for older failures of the aggregates that were projected.
// A projector reads again, so each channel that it sent an entry to has what the
// failed event would have shown there, or newer. A message is moot when that is
// true of all its channels. For one that was discarded tabs are told as well,
// but discarded it stays.
//
// Silence makes up for nothing, for it says that a later event will tell.
func (m *mending) supersede(ctx context.Context, fresh []Projection, workspaces map[string]bool) error {
	var keys [][]any
	for _, p := range fresh {
		if workspaces[p.WorkspaceID] && len(p.Entries) > 0 && p.Kind != "" {
			keys = append(keys, []any{p.WorkspaceID, p.Kind, p.AggregateID})
		}
	}
	if len(keys) == 0 {
		return nil
	}
	older, err := many(ctx, m.conn, scanPoison, `SELECT `+poisonColumns+` FROM poison
		WHERE stale <> '[]' AND (workspace_id, kind, aggregate_id) IN (SELECT value->>0, value->>1, value->>2 FROM `+m.d.rows+`)
		ORDER BY id`+m.d.lockUpdate, toJSON(keys))
	if err != nil {
		return err
	}
	for _, p := range older {
		mended := madeUp(p, fresh)
		if len(mended) == 0 {
			continue
		}
		state := p.State
		if len(mended) == len(p.Stale) && (state == domain.PoisonOpen || state == domain.PoisonRequeued) {
			state = domain.PoisonSuperseded
		}
		if err := m.close(ctx, p, state, mended); err != nil {
			return err
		}
	}
	return nil
}

// madeUp returns the stale channels of p that got something newer of its aggregate.
func madeUp(p domain.Poison, fresh []Projection) []domain.Channel {
	got := map[domain.Channel]bool{}
	for _, later := range fresh {
		if later.Seq > p.Seq && later.Kind == p.Kind && later.AggregateID == p.Event.AggregateID && later.WorkspaceID == p.Event.WorkspaceID {
			for _, e := range later.Entries {
				got[e.Channel] = true
			}
		}
	}
	return only(p.Stale, func(c domain.Channel) bool { return got[c] })
}

// close moves p to a state, and tells channels that it is mended there.
func (m *mending) close(ctx context.Context, p domain.Poison, state domain.PoisonState, mended []domain.Channel) error {
	left := without(p.Stale, mended)
	_, err := m.exec(ctx, `UPDATE poison SET state = $2, stale = $3, version = version + 1, updated_at = $4 WHERE id = $1`,
		p.ID, string(state), toJSON(nonNil(left)), micros(m.now))
	m.tell(domain.ServerSystemHealed, p, mended)
	return err
}

// fail records a failure and tells the channels in Told. One that is stale
// because of this event already is not told again: a requeue that fails once
// more must not flicker.
func (m *mending) fail(ctx context.Context, p domain.Poison) error {
	p.Fingerprint, p.Where = domain.Fingerprint(p.Projector, p.ErrorClass, p.Stack, p.Error)
	p.Kind = domain.AggregateOf(p.Event.Type)
	p.State, p.Stale, p.Requeues = domain.PoisonOpen, p.Told, 0
	before, err := many(ctx, m.conn, scanPoison, `SELECT `+poisonColumns+` FROM poison WHERE event_id = $1`+m.d.lockUpdate, p.Event.ID)
	if err != nil {
		return err
	}
	if len(before) == 0 {
		m.tell(domain.ServerSystemStale, p, p.Told)
		return insertPoison(ctx, m.conn, p, m.now)
	}
	was := before[0]
	if was.State == domain.PoisonSuperseded && was.ID == p.ID {
		// A requeue that fails after a later event made it moot stays moot, for
		// the tabs have something newer. (Under an id of its own it was published
		// again, and is news.)
		p.State, p.Told = domain.PoisonSuperseded, nil
	}
	m.tell(domain.ServerSystemStale, p, without(p.Told, was.Stale))
	p.Stale = append(slices.Clone(was.Stale), without(p.Told, was.Stale)...)
	p.Told = append(slices.Clone(was.Told), without(p.Told, was.Told)...)
	p.Attempts = slices.Concat(was.Attempts, p.Attempts)
	return insertPoison(ctx, m.conn, p, m.now)
}

// tell notes what channels shall hear. One that would hear of a failure and its
// mend in one breath hears of the mend alone.
func (m *mending) tell(typ domain.ServerEventType, p domain.Poison, channels []domain.Channel) {
	for _, channel := range channels {
		if typ == domain.ServerSystemHealed {
			m.news = slices.DeleteFunc(m.news, func(n notice) bool {
				return n.typ == domain.ServerSystemStale && n.poison.Event.ID == p.Event.ID && n.channel == channel
			})
		}
		m.news = append(m.news, notice{typ, p, channel})
	}
}

// entries renders the notices for the log.
func (m *mending) entries() ([]Projection, error) {
	var all []Projection
	for _, n := range m.news {
		ev := n.poison.Event
		data, err := domain.EncodeServerEvent(domain.ServerEvent{
			Type: n.typ, Channel: n.channel, Payload: domain.StalePayload{Kind: n.poison.Kind, Aggregate: ev.AggregateID},
		}, ev.ID, ev.CreatedAt)
		if err != nil {
			return nil, err
		}
		all = append(all, Projection{WorkspaceID: ev.WorkspaceID, Entries: []domain.Entry{{
			Channel: n.channel, Type: n.typ, Data: data, EventID: ev.ID, At: ev.CreatedAt,
		}}})
	}
	return all, nil
}

func only(list []domain.Channel, keep func(domain.Channel) bool) []domain.Channel {
	return slices.DeleteFunc(slices.Clone(list), func(c domain.Channel) bool { return !keep(c) })
}

func without(list, some []domain.Channel) []domain.Channel {
	return only(list, func(c domain.Channel) bool { return !slices.Contains(some, c) })
}
