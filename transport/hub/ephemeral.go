package hub

import "github.com/orbit/realtime/domain"

// maxEphemerals bounds the states kept for sessions that lag, per feed. A
// session that has more of them before it is closed as a slow consumer.
const maxEphemerals = 1 << 15

// ephemerals are the last states of keys (who is online), level-triggered like
// the log: each has a sequence number, and a session that lags remembers the
// one it has seen. No session has a queue. When nobody lags, nothing is kept.
type ephemerals struct {
	last   int64 // the newest sequence number
	states []ephemeral
	latest map[string]int64 // key -> sequence number of its state in states
	lost   int64            // sequence number of the newest state dropped unseen by somebody
	behind int              // sessions that lag
}

// ephemeral is one state; the zero value is one that a newer one superseded.
type ephemeral struct {
	key     string
	channel domain.Channel
	frame   Frame
}

// first is the sequence number of states[0].
func (e *ephemerals) first() int64 { return e.last - int64(len(e.states)) + 1 }

func (e *ephemerals) put(state ephemeral) {
	if old, ok := e.latest[state.key]; ok {
		e.states[old-e.first()] = ephemeral{}
	}
	if e.latest == nil {
		e.latest = map[string]int64{}
	}
	e.last++
	e.states = append(e.states, state)
	e.latest[state.key] = e.last
	if len(e.states) > maxEphemerals {
		if oldest := e.states[0]; oldest.frame.Data != nil {
			e.lost = e.first()
			delete(e.latest, oldest.key)
		}
		e.states = e.states[1:]
	}
}

// broadcast keeps a state for the sessions on the channel, and wakes them.
func (f *feed) broadcast(channel domain.Channel, key string, frame Frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := &f.states
	for _, sub := range f.on(channel) {
		if s := sub.session; sub.active {
			if !s.lags {
				s.lags, s.seen = true, e.last
				e.behind++
			}
			f.wake(s)
		}
	}
	if e.behind > 0 {
		e.put(ephemeral{key: key, channel: channel, frame: frame})
	}
}

// caughtUp notes that the session has all ephemeral states. With f.mu held.
func (s *Session) caughtUp() {
	e := &s.feed.states
	if !s.lags {
		return
	}
	s.lags = false
	if e.behind--; e.behind == 0 {
		e.states, e.latest = nil, nil
	}
}

// ephemeral hands out the states the session hasn't seen. With f.mu held.
func (s *Session) ephemeral(b *batch) {
	e := &s.feed.states
	if !s.lags {
		return
	}
	if s.seen < e.lost {
		s.end(domain.CloseSlowConsumer, CloseInfo{})
		return
	}
	for seq := max(s.seen+1, e.first()); seq <= e.last; seq++ {
		state := &e.states[seq-e.first()]
		if state.frame.Data != nil && s.on(state.channel) {
			if !b.fits(state.frame) {
				return
			}
			b.add(state.frame)
		}
		s.seen = seq
	}
	s.caughtUp()
}
