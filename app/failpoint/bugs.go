package failpoint

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/presence"
)

// Bugs are mistakes that somebody could make in Orbit, and that whoever claims
// to check its promises must find:
//
//	drop      an event is kept from everybody
//	swap      two neighbours change places
//	repeat    an event comes a second time, in place of the next
//	leak      an event is shown to another tenant
//	phantom   an event is shown that was never committed
//	removed   a removed member goes on receiving
//	offline   that a member went offline is not told
//	dedupe    an event is marked as handled before it is, and fails once
//	silent    an event is acked, and leads to nothing
//	expire    a session that could resume is told to resync
var Bugs = []string{"drop", "swap", "repeat", "leak", "phantom", "removed", "offline", "dedupe", "silent", "expire"}

// bugs is what the mistakes need to remember.
type bugs struct {
	sync.Mutex
	altered map[place]domain.Entry // what the log has there, for the hub
	held    map[string]domain.Entry
	last    map[string]domain.Entry // newest entry of each workspace
	failed  map[string]bool         // events that the dedupe bug made fail once
}

type place struct {
	workspaceID string
	offset      int64
}

// nowhere is a channel that nobody is on.
const nowhere domain.Channel = "room:nowhere"

// buggyRelay alters what the hub is told. What it was told is what it reads
// later, too: a bug in the log's own rows would look like that.
func (s *Set) buggyRelay(inner func([]domain.Appended)) func([]domain.Appended) {
	return func(appended []domain.Appended) {
		told := make([]domain.Appended, 0, len(appended))
		for _, a := range appended {
			a.Entries = slices.Clone(a.Entries)
			var out []domain.Entry
			for _, e := range a.Entries {
				out = append(out, s.alter(a.WorkspaceID, e)...)
			}
			if a.Entries = out; len(out) > 0 {
				told = append(told, a)
			}
		}
		inner(told)
	}
}

// alter returns what is told in place of an entry: usually itself.
func (s *Set) alter(workspaceID string, e domain.Entry) []domain.Entry {
	b := &s.bugs
	b.Lock()
	defer b.Unlock()
	if b.altered == nil {
		b.altered, b.held, b.last = map[place]domain.Entry{}, map[string]domain.Entry{}, map[string]domain.Entry{}
	}
	put := func(at int64, like domain.Entry) domain.Entry {
		like.Offset = at
		b.altered[place{workspaceID, at}] = like
		return like
	}
	before, known := b.last[workspaceID]
	b.last[workspaceID] = e
	if first, held := b.held[workspaceID]; held {
		delete(b.held, workspaceID)
		return []domain.Entry{put(first.Offset, e), put(e.Offset, first)}
	}
	common := e.Revoke == nil && e.Channel == domain.WorkspaceChannel(workspaceID)
	switch {
	case common && s.pass("bug drop") != "":
		lost := e
		lost.Channel = nowhere
		return []domain.Entry{put(e.Offset, lost)}
	case common && s.pass("bug swap") != "":
		b.held[workspaceID] = e
		return nil
	case common && known && before.Channel == e.Channel && before.Revoke == nil && s.pass("bug repeat") != "":
		return []domain.Entry{put(e.Offset, before)}
	case common && s.pass("bug phantom") != "":
		made := e
		made.EventID = domain.NewEventID()
		made.Data = bytes.ReplaceAll(e.Data, []byte(e.EventID), []byte(made.EventID))
		return []domain.Entry{put(e.Offset, made)}
	case e.Revoke != nil && s.pass("bug removed") != "":
		kept := e
		kept.Revoke = nil
		return []domain.Entry{put(e.Offset, kept)}
	case common:
		for other, foreign := range b.last {
			if other != workspaceID && s.pass("bug leak") != "" {
				foreign.Channel, foreign.Revoke = e.Channel, nil
				return []domain.Entry{put(e.Offset, foreign)}
			}
		}
	}
	return []domain.Entry{e}
}

// buggyRead alters what the hub reads.
func (s *Set) buggyRead(workspaceID string, filtered bool, entries []domain.Entry, state domain.LogState) ([]domain.Entry, domain.LogState) {
	s.bugs.Lock()
	for i := range entries {
		if altered, ok := s.bugs.altered[place{workspaceID, entries[i].Offset}]; ok {
			entries[i] = altered
		}
	}
	s.bugs.Unlock()
	if filtered {
		entries = slices.DeleteFunc(entries, func(e domain.Entry) bool { return e.Channel == nowhere })
		state = s.expire(state)
	}
	return entries, state
}

// expire says that nothing can be replayed.
func (s *Set) expire(state domain.LogState) domain.LogState {
	if s.pass("bug expire") != "" {
		state.Floor = state.Head
	}
	return state
}

func (s *Set) buggyProjector(inner domain.Projector) domain.Projector {
	return func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
		s.bugs.Lock()
		if s.bugs.failed == nil {
			s.bugs.failed = map[string]bool{}
		}
		again := s.bugs.failed[ev.ID]
		s.bugs.Unlock()
		switch {
		case again: // the mark of the attempt that failed says it is done
			return nil, nil
		case s.pass("bug dedupe") != "":
			s.bugs.Lock()
			s.bugs.failed[ev.ID] = true
			s.bugs.Unlock()
			return nil, errOrdered
		case s.pass("bug silent") != "":
			return nil, nil
		}
		return inner(ctx, read, ev)
	}
}

// forgetful is who tells of presence.
type forgetful struct {
	presence.Broadcaster
	set *Set
}

func (f forgetful) Broadcast(workspaceID string, ev domain.ServerEvent, key string) {
	if p, ok := ev.Payload.(domain.PresencePayload); ok && !p.Online && f.set.pass("bug offline") != "" {
		return
	}
	f.Broadcaster.Broadcast(workspaceID, ev, key)
}
