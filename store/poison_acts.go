package store

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/orbit/realtime/domain"
)

// RequeuePoison sends an open message back to the projector that failed, in
// one transaction, and once: if it isn't open, or has another version than
// asked for, the error is CodeConflict. The event keeps its id, payload and
// time; its metadata gains MetaPoisonID.
func (s *Store) RequeuePoison(ctx context.Context, by domain.Act, id string) error {
	var lanes map[int]bool
	_, err := s.act(ctx, by, "poison.requeue", id, by.IfVersion, func(c conn) (_, detail string, err error) {
		p, err := hold(ctx, c, by, id, domain.PoisonOpen)
		if err != nil {
			return "", "", err
		}
		var sent map[string]bool
		if sent, lanes, err = sendBack(ctx, c, []domain.Poison{p}, time.Now()); err != nil {
			return "", "", err
		}
		if !sent[p.ID] {
			return "", "", domain.Errorf(domain.CodeConflict, "the event is waiting in the outbox already")
		}
		return "", about(p), nil
	})
	if err == nil {
		s.wakeLanes(ctx, lanes)
	}
	return err
}

// DiscardPoison drops an open message, for the reason that by gives;
// CodeConflict if it isn't open or has another version. Tabs stay stale, and say
// so, until a later event of the aggregate is projected.
func (s *Store) DiscardPoison(ctx context.Context, by domain.Act, id string) error {
	return s.move(ctx, by, "poison.discard", id, domain.PoisonOpen, domain.PoisonDiscarded)
}

// RestorePoison opens a discarded message again; CodeConflict if it isn't
// discarded or has another version.
func (s *Store) RestorePoison(ctx context.Context, by domain.Act, id string) error {
	return s.move(ctx, by, "poison.restore", id, domain.PoisonDiscarded, domain.PoisonOpen)
}

func (s *Store) move(ctx context.Context, by domain.Act, action, id string, from, to domain.PoisonState) error {
	_, err := s.act(ctx, by, action, id, []any{by.IfVersion, by.Reason}, func(c conn) (_, detail string, err error) {
		if to == domain.PoisonDiscarded && strings.TrimSpace(by.Reason) == "" {
			return "", "", domain.InvalidField("reason", "a message is discarded for a reason")
		}
		p, err := hold(ctx, c, by, id, from)
		if err != nil {
			return "", "", err
		}
		return "", about(p), moveTo(ctx, c, []string{p.ID}, to, by.Reason, time.Now())
	})
	return err
}

// about is what the audit says of a message, once that is gone. The error's own
// words may be a tenant's: viewers read the audit, and it is kept for long.
func about(p domain.Poison) string {
	return string(p.Event.Type) + " of " + p.Event.AggregateID + " in " + p.Event.WorkspaceID + ": " + p.ErrorClass + ", group " + p.Fingerprint
}

// hold locks a message that must be in a state, and have the version asked for.
func hold(ctx context.Context, c conn, by domain.Act, id string, state domain.PoisonState) (domain.Poison, error) {
	p, err := one(ctx, c, "poison message", scanPoison, `SELECT `+poisonColumns+` FROM poison WHERE id = $1`+c.d.lockUpdate, id)
	switch {
	case err != nil:
		return p, err
	case p.State != state:
		return p, domain.Errorf(domain.CodeConflict, "the poison message is %s, not %s", p.State, state)
	case by.IfVersion != 0 && p.Version != by.IfVersion:
		return p, domain.Errorf(domain.CodeConflict, "the poison message was changed meanwhile: it is at version %d, not %d", p.Version, by.IfVersion)
	}
	return p, nil
}

// moveTo discards or restores messages that the caller holds.
func moveTo(ctx context.Context, c conn, ids []string, to domain.PoisonState, reason string, now time.Time) error {
	if to != domain.PoisonDiscarded {
		reason = ""
	}
	_, err := c.exec(ctx, `UPDATE poison SET state = $2, reason = $3, version = version + 1, updated_at = $4 WHERE `+c.d.in("id", 1),
		c.d.list(ids), string(to), reason, micros(now))
	return err
}

// sendBack puts the events of open messages, which the caller holds, into the
// outbox again. It returns those sent, by id, and the lanes to wake: an event
// that waits there already is left alone, for a requeue would vanish in it.
func sendBack(ctx context.Context, c conn, list []domain.Poison, now time.Time) (sent map[string]bool, lanes map[int]bool, err error) {
	sent, lanes = map[string]bool{}, map[int]bool{}
	byEvent := make(map[string]string, len(list))
	for len(list) > 0 {
		n := min(len(list), MaxInsert)
		events := make([]domain.Event, n)
		for i, p := range list[:n] {
			ev := p.Event
			ev.Metadata = maps.Clone(ev.Metadata)
			ev.Metadata[MetaPoisonID] = p.ID
			events[i], byEvent[ev.ID] = ev, p.ID
		}
		list = list[n:]
		query, args, err := outboxInsert(Topic, events, "lane, event_id")
		if err != nil {
			return nil, nil, err
		}
		type inserted struct {
			lane    int
			eventID string
		}
		rows, err := many(ctx, c, func(scan scanner) (i inserted, err error) {
			err = scan(&i.lane, &i.eventID)
			return i, err
		}, query, args...)
		if err != nil {
			return nil, nil, err
		}
		ids := make([]string, len(rows))
		for i, row := range rows {
			ids[i] = byEvent[row.eventID]
			sent[ids[i]], lanes[row.lane] = true, true
		}
		if _, err := c.exec(ctx, `UPDATE poison SET state = 'requeued', requeues = requeues + 1, version = version + 1, updated_at = $2
			WHERE `+c.d.in("id", 1), c.d.list(ids), micros(now)); err != nil {
			return nil, nil, err
		}
	}
	return sent, lanes, nil
}

// wakeLanes tells who serves the lanes. The operator's process seldom does. A
// lost wake costs the holder's safety poll, nothing else.
func (s *Store) wakeLanes(ctx context.Context, lanes map[int]bool) {
	if len(lanes) > 0 {
		s.announce(lanes)
		_ = s.Notify(ctx, sortedKeys(lanes))
	}
}
