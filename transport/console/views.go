package console

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orbit/realtime/domain"
)

// List is a page of a list.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"` // the cursor of the page after; "" at the end
}

// Message is a poison message as the API tells it.
type Message struct {
	ID          string             `json:"id"`
	State       domain.PoisonState `json:"state"`
	Version     int64              `json:"version,string"` // also the ETag
	Fingerprint string             `json:"fingerprint"`
	EventID     string             `json:"eventId"`
	Type        domain.EventType   `json:"type"`
	WorkspaceID string             `json:"workspaceId"`
	AggregateID string             `json:"aggregateId"`
	Projector   string             `json:"projector"`
	Error       string             `json:"error"`
	ErrorClass  string             `json:"errorClass"`
	Where       string             `json:"where"`
	Tries       int                `json:"tries"`
	Requeues    int                `json:"requeues"`
	Reason      string             `json:"reason,omitempty"` // why it was discarded
	Build       string             `json:"build"`
	Node        string             `json:"node"`
	PublishedAt domain.Time        `json:"publishedAt"`
	PoisonedAt  domain.Time        `json:"poisonedAt"`
	UpdatedAt   domain.Time        `json:"updatedAt"`
	// Redacted: values are masked, for the caller is a viewer.
	Redacted bool `json:"redacted"`
	*Detail
}

// Detail is what a list leaves out unless it is asked for.
type Detail struct {
	// Payload is JSON as it was published; a string if it isn't JSON.
	Payload    json.RawMessage        `json:"payload"`
	Metadata   map[string]string      `json:"metadata"`
	ErrorChain []string               `json:"errorChain"`
	Stack      string                 `json:"stack"`
	Attempts   []domain.PoisonAttempt `json:"attempts"`
}

func viewMessage(p domain.Poison, who Caller, detail bool) Message {
	m := Message{
		ID: p.ID, State: p.State, Version: p.Version, Fingerprint: p.Fingerprint,
		EventID: p.Event.ID, Type: p.Event.Type, WorkspaceID: p.Event.WorkspaceID, AggregateID: p.Event.AggregateID,
		Projector: p.Projector, Error: valid(p.Error), ErrorClass: p.ErrorClass, Where: valid(p.Where),
		Tries: len(p.Attempts), Requeues: p.Requeues, Reason: p.Reason, Build: p.Build, Node: p.Node,
		PublishedAt: domain.At(p.Event.CreatedAt), PoisonedAt: domain.At(p.PoisonedAt), UpdatedAt: domain.At(p.UpdatedAt),
		Redacted: !who.seesAll(),
	}
	d := Detail{Payload: payload(p.Event.Payload), Metadata: p.Event.Metadata, Stack: valid(p.Stack), ErrorChain: make([]string, 0, len(p.ErrorChain)), Attempts: make([]domain.PoisonAttempt, 0, len(p.Attempts))}
	if d.Metadata == nil {
		d.Metadata = map[string]string{}
	}
	text := valid
	if m.Redacted {
		text = newRedactor(p.Event).text
		m.Error, d.Stack = text(m.Error), text(d.Stack)
		_, m.Where = domain.Fingerprint(m.Projector, m.ErrorClass, p.Stack, m.Error) // it may be the error's text
		d.Payload, d.Metadata = redactJSON(p.Event.Payload), redactMetadata(d.Metadata)
	}
	for _, line := range p.ErrorChain {
		d.ErrorChain = append(d.ErrorChain, text(line))
	}
	for _, a := range p.Attempts {
		a.Error = text(a.Error)
		d.Attempts = append(d.Attempts, a)
	}
	if detail {
		m.Detail = &d
	}
	return m
}

// viewGroup is a group as the caller may see it; newest is its newest message,
// needed for viewers.
func viewGroup(g domain.PoisonGroup, who Caller, newest domain.Poison) domain.PoisonGroup {
	g.Error, g.Where = valid(g.Error), valid(g.Where)
	switch {
	case who.seesAll():
	case newest.ID == "": // retention took it meanwhile
		g.Error, g.Where = maskedText, maskedText
	default:
		m := viewMessage(newest, who, false)
		g.Error, g.Where = m.Error, m.Where
	}
	if g.Builds == nil {
		g.Builds = []string{}
	}
	return g
}

// payload is JSON whatever was published.
func payload(raw []byte) json.RawMessage {
	if json.Valid(raw) && utf8.Valid(raw) {
		return raw
	}
	quoted, err := json.Marshal(valid(string(raw)))
	if err != nil {
		panic(err) // a string
	}
	return quoted
}

// valid makes UTF-8 of what may have come from anywhere.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// PoisonStats is the queue in numbers.
type PoisonStats struct {
	Counts     map[domain.PoisonState]int `json:"counts"` // every state, zeros too
	Groups     int                        `json:"groups"` // with open messages, at most 1,000 counted
	OldestOpen *domain.Time               `json:"oldestOpen"`
	// OldestOpenMS is its age in milliseconds, 0 when none is open.
	OldestOpenMS int64 `json:"oldestOpenMs"`
}

// TailEvent is one line of a tail.
type TailEvent struct {
	Position domain.Position        `json:"position"`
	Channel  domain.Channel         `json:"channel"`
	Type     domain.ServerEventType `json:"type"`
	Cause    string                 `json:"cause"`
	At       domain.Time            `json:"at"`
	Data     json.RawMessage        `json:"data"`
}

func viewTail(p domain.Position, e domain.Entry, who Caller) TailEvent {
	data := payload(e.Data)
	if !who.seesAll() {
		data = redactJSON(e.Data)
	}
	return TailEvent{Position: p, Channel: e.Channel, Type: e.Type, Cause: e.EventID, At: domain.At(e.At), Data: data}
}

// WorkspacePresence sums the sessions of one workspace.
type WorkspacePresence struct {
	WorkspaceID string         `json:"workspaceId"`
	Workspace   string         `json:"workspace"` // slug
	Members     int            `json:"members"`
	Sessions    int            `json:"sessions"`
	Transports  map[string]int `json:"transports"`
	Behind      int64          `json:"behind,string"` // entries the slowest session hasn't taken
}

func age(t *domain.Time, now time.Time) int64 {
	if t == nil {
		return 0
	}
	return max(0, now.Sub(t.Time).Milliseconds())
}
