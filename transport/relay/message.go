package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/orbit/realtime/domain"
)

// message is what travels, as JSON. One of Log, Presence and Command is set.
type message struct {
	From        string     `json:"from"` // node id
	WorkspaceID string     `json:"ws,omitempty"`
	Log         *log       `json:"log,omitempty"`
	Presence    []presence `json:"presence,omitempty"`
	Command     bool       `json:"command,omitempty"`
}

type log struct {
	Epoch   string  `json:"epoch"`
	Head    int64   `json:"head"`
	Entries []entry `json:"entries,omitempty"` // the last of them at Head
}

type entry struct {
	Channel domain.Channel         `json:"channel"`
	Type    domain.ServerEventType `json:"type"`
	Data    json.RawMessage        `json:"data"`
	Revoke  *domain.Revocation     `json:"revoke,omitempty"`
	EventID string                 `json:"event"`
	At      int64                  `json:"at"` // Unix microseconds
}

type presence struct {
	MemberID string `json:"member"`
	Online   bool   `json:"online"`
	Version  int64  `json:"version"`
}

func encode(m message) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // an entry's data shall arrive byte for byte
	if err := encoder.Encode(m); err != nil {
		panic(err) // an entry's data is what EncodeServerEvent made
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func decode(data []byte) (m message, err error) {
	if err := json.Unmarshal(data, &m); err != nil {
		return m, err
	}
	if m.From == "" || !m.Command && m.WorkspaceID == "" {
		return m, fmt.Errorf("a message of %d bytes says neither from whom nor about what", len(data))
	}
	return m, nil
}

func wireEntries(entries []domain.Entry) []entry {
	list := make([]entry, len(entries))
	for i, e := range entries {
		list[i] = entry{e.Channel, e.Type, e.Data, e.Revoke, e.EventID, e.At.UnixMicro()}
	}
	return list
}

func (m message) appended() domain.Appended {
	a := domain.Appended{WorkspaceID: m.WorkspaceID, Epoch: m.Log.Epoch, Entries: make([]domain.Entry, len(m.Log.Entries))}
	first := m.Log.Head - int64(len(m.Log.Entries)) + 1
	for i, e := range m.Log.Entries {
		a.Entries[i] = domain.Entry{
			Offset: first + int64(i), Channel: e.Channel, Type: e.Type, Data: e.Data,
			Revoke: e.Revoke, EventID: e.EventID, At: time.UnixMicro(e.At).UTC(),
		}
	}
	return a
}

func wirePresence(changes []domain.NodePresence) []presence {
	list := make([]presence, len(changes))
	for i, c := range changes {
		list[i] = presence{c.MemberID, c.Online, c.Version}
	}
	return list
}

func (m message) changes() []domain.NodePresence {
	list := make([]domain.NodePresence, len(m.Presence))
	for i, p := range m.Presence {
		list[i] = domain.NodePresence{
			Node:     m.From,
			Presence: domain.Presence{WorkspaceID: m.WorkspaceID, MemberID: p.MemberID, Online: p.Online},
			Version:  p.Version,
		}
	}
	return list
}
