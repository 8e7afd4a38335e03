package prove

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unique"

	"github.com/orbit/realtime/app/prove/check"
	"github.com/orbit/realtime/domain"
)

// thing is as much of an entity as is compared.
type thing struct {
	ID      string `json:"id"`
	Version int64  `json:"version"`
}

// wire is a server event, as far as it is looked at.
type wire struct {
	Type     domain.ServerEventType `json:"type"`
	ID       string                 `json:"id"`
	Channel  string                 `json:"channel"`
	Cause    string                 `json:"cause"`
	Causes   []string               `json:"causes"`
	Session  string                 `json:"session"`
	Resumed  bool                   `json:"resumed"`
	Presence []string               `json:"presence"`
	Rooms    []string               `json:"rooms"`
	Reason   string                 `json:"reason"`
	Code     any                    `json:"code"`
	Ref      *int64                 `json:"ref"`
	MemberID string                 `json:"memberId"`
	Online   bool                   `json:"online"`

	Message      json.RawMessage `json:"message"` // an entity, or a text in system.error
	Notification *thing          `json:"notification"`
	Room         json.RawMessage `json:"room"` // an entity, or an id in system events
	Subscription *thing          `json:"subscription"`
	Team         *thing          `json:"team"`
	Role         *thing          `json:"role"`
	Member       *thing          `json:"member"`
	Workspace    *thing          `json:"workspace"`
}

func decode(line []byte) (w wire, err error) {
	err = json.Unmarshal(line, &w)
	return w, err
}

// object reads a field that is an entity in some events and a text in others.
func object(raw json.RawMessage) *thing {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	var t thing
	_ = json.Unmarshal(raw, &t) // what isn't an entity has no id
	return &t
}

// entity names what the event is about, and its version.
func (w *wire) entity() (string, int64) {
	if strings.HasPrefix(string(w.Type), "system.") || w.Type == domain.ServerPresenceUpdate {
		return "", 0
	}
	for _, of := range []struct {
		kind string
		it   *thing
	}{
		{"message", object(w.Message)}, {"notification", w.Notification}, {"room", object(w.Room)}, {"subscription", w.Subscription},
		{"team", w.Team}, {"role", w.Role}, {"member", w.Member}, {"workspace", w.Workspace},
	} {
		if of.it != nil {
			return intern(of.kind + ":" + of.it.ID), of.it.Version
		}
	}
	return "", 0
}

func (w *wire) room() string {
	var id string
	_ = json.Unmarshal(w.Room, &id) // an entity, or nothing: no id
	return id
}

// intern keeps one copy of texts that come thousands of times.
func intern(s string) string { return unique.Make(s).Value() }

func internAll(list []string) []string {
	for i := range list {
		list[i] = intern(list[i])
	}
	return list
}

// frame is the event as the history keeps it. epoch is the connection's.
func (w *wire) frame(at time.Duration, epoch string) check.Frame {
	f := check.Frame{
		At: at, Type: domain.ServerEventType(intern(string(w.Type))), Offset: -1,
		Channel: domain.Channel(intern(w.Channel)), Cause: intern(w.Cause), Also: internAll(w.Causes),
	}
	f.Entity, f.Version = w.entity()
	more := check.More{
		Resumed: w.Resumed, Presence: w.Presence, Rooms: w.Rooms, Reason: w.Reason,
		Room: w.room(), Member: intern(w.MemberID), Online: w.Online,
	}
	if w.Code != nil {
		more.Code = fmt.Sprint(w.Code)
	}
	if p, err := domain.ParsePosition(w.ID); err == nil {
		f.Offset = p.Offset
		if p.Epoch != epoch {
			more.Epoch = p.Epoch
		}
	}
	system := strings.HasPrefix(string(w.Type), "system.") || w.Type == domain.ServerPresenceUpdate
	if system || more.Epoch != "" {
		f.More = &more
	}
	return f
}

// pollPosition is the position that a poll's answer gives, as if it were an event.
const pollPosition domain.ServerEventType = "poll.position"

func pollFrame(at time.Duration, p domain.Position, epoch string) check.Frame {
	f := check.Frame{At: at, Type: pollPosition, Offset: p.Offset}
	if p.Epoch != epoch {
		f.More = &check.More{Epoch: p.Epoch}
	}
	return f
}

// entry is an entry of the log as the history keeps it.
func entry(e domain.Entry, began time.Time) (check.Entry, error) {
	w, err := decode(e.Data)
	if err != nil {
		return check.Entry{}, fmt.Errorf("log offset %d: %w", e.Offset, err)
	}
	out := check.Entry{
		Offset: e.Offset, Channel: domain.Channel(intern(string(e.Channel))), Type: domain.ServerEventType(intern(string(e.Type))),
		Cause: intern(e.EventID), Also: internAll(w.Causes), Revoke: e.Revoke, At: e.At.Sub(began),
	}
	out.Entity, out.Version = w.entity()
	return out, nil
}
