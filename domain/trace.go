package domain

// Trace is the way of one domain event, from the commit to the tabs: the answer
// to "why didn't this tab see it?". Zero times mean: not so far, or not known.
type Trace struct {
	EventID     string    `json:"eventId"`
	Type        EventType `json:"type"`
	WorkspaceID string    `json:"workspaceId"`
	AggregateID string    `json:"aggregateId"`
	// State is waiting (in the outbox), projected, silent (projected to no
	// event), poisoned, requeued, superseded, discarded, or expired (older than
	// retention: only what is left is told).
	State       string          `json:"state"`
	PublishedAt *Time           `json:"publishedAt"`    // inside the business transaction
	ClaimedAt   *Time           `json:"claimedAt"`      // read from the outbox by a lane
	Node        string          `json:"node,omitempty"` // that handled it
	Lane        int             `json:"lane"`
	Attempts    []PoisonAttempt `json:"attempts"`    // failed ones, if it was poisoned
	ProjectedMS float64         `json:"projectedMs"` // the projector's time
	CommittedAt *Time           `json:"committedAt"` // its entries, in the log
	PoisonID    string          `json:"poisonId,omitempty"`
	Traceparent string          `json:"traceparent,omitempty"`
	Entries     []TraceEntry    `json:"entries"`
}

// TraceEntry is one entry of the log that an event led to.
type TraceEntry struct {
	Position Position        `json:"position"`
	Channel  Channel         `json:"channel"`
	Type     ServerEventType `json:"type"`
	Trimmed  bool            `json:"trimmed"` // gone from the log by retention
	Writes   []TraceWrite    `json:"writes"`
}

// TraceWrite sums the sessions of one node and transport that an entry was
// written to.
type TraceWrite struct {
	Node      string `json:"node"`
	Transport string `json:"transport"`
	Live      int    `json:"live"`     // sessions that got it live
	Replayed  int    `json:"replayed"` // and after a reconnect
	FirstAt   Time   `json:"firstAt"`
	LastAt    Time   `json:"lastAt"`
}
