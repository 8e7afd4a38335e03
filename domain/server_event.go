package domain

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// ServerEventType is the "type" a client switches over.
type ServerEventType string

// ServerEvent is the typed, client-facing message, as a projector returns it.
type ServerEvent struct {
	Type    ServerEventType
	Channel Channel
	// Payload is the struct that the catalog names for Type; its JSON fields
	// stand beside the envelope's (type, id, channel, cause, at).
	Payload any
	// Revoke ends somebody's right to a channel, at this event's position.
	Revoke *Revocation
}

// Revocation travels in the log, so that it has a position: a session that
// loses the right sees nothing above that position. The revoking event itself
// is still delivered.
type Revocation struct {
	// MemberID is who loses the right; empty means everybody (a deleted room).
	MemberID string `json:"memberId,omitempty"`
	// Channel is the channel lost. Empty means the whole workspace: the
	// member's sessions are closed with CloseRevoked.
	Channel Channel `json:"channel,omitempty"`
}

// Entry is one element of a workspace's log.
type Entry struct {
	Offset  int64 // grows by one per entry, gap-free per workspace
	Channel Channel
	Type    ServerEventType
	// Data is the encoded server event without its id (see EncodeServerEvent).
	Data   []byte
	Revoke *Revocation
	// EventID is the domain event that led to it: the wire's "cause". Those that
	// were collapsed into it are in Data alone, as "causes".
	EventID string
	// At is when the domain event was published, inside its transaction: shortly
	// before the commit.
	At time.Time
}

// EncodeServerEvent renders the envelope and the payload as one JSON object,
// without id: the position is only known once the entry is appended, and Frame
// adds it then. cause and at are left out when zero.
func EncodeServerEvent(ev ServerEvent, cause string, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"type":%q`, ev.Type)
	if ev.Channel != "" {
		fmt.Fprintf(&b, `,"channel":%q`, ev.Channel)
	}
	if cause != "" {
		quoted, err := json.Marshal(cause)
		if err != nil {
			return nil, err
		}
		b.WriteString(`,"cause":`)
		b.Write(quoted)
	}
	if !at.IsZero() {
		b.WriteString(`,"at":"` + at.UTC().Format(TimeFormat) + `"`)
	}
	if ev.Payload != nil {
		payload, err := json.Marshal(ev.Payload)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", ev.Type, err)
		}
		if len(payload) < 2 || payload[0] != '{' {
			return nil, fmt.Errorf("encode %s: payload is not a JSON object", ev.Type)
		}
		if len(payload) > 2 {
			b.WriteByte(',')
			b.Write(payload[1 : len(payload)-1])
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// MaxCauses is how many domain events one entry answers for at most, the one
// that led to it included. It bounds what is added to an entry, to about 4 KB.
const MaxCauses = 100

// WithCauses adds to an encoded server event the domain events that were
// collapsed into it, beside its cause. With none it returns data as it is.
func WithCauses(data []byte, causes []string) ([]byte, error) {
	if len(causes) == 0 {
		return data, nil
	}
	list, err := json.Marshal(causes)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(data)+len(list)+16)
	out = append(out, `{"causes":`...)
	out = append(out, list...)
	out = append(out, ',')
	return append(out, data[1:]...), nil
}

// Frame adds the position, as "id", to an encoded server event. The result is
// one line of JSON.
func Frame(data []byte, p Position) []byte {
	out := make([]byte, 0, len(data)+len(p.Epoch)+32)
	out = append(out, `{"id":"`...)
	out = append(out, p.String()...)
	out = append(out, `",`...)
	return append(out, data[1:]...)
}

// Projector turns a domain event into server events by re-reading the
// committed aggregate. It only reads, so that it can be run again, or just for
// a look. Row gone: no events, no error; the deletion has an event of its own.
type Projector func(ctx context.Context, read Reader, ev Event) ([]ServerEvent, error)
