package domain

// Trace is the way of one domain event, from the commit to the tabs: the answer
// to "why didn't this tab see it?". Zero times mean: not so far, or not known.
type Trace struct {
	EventID     string    `json:"eventId"`
	Type        EventType `json:"type"`
	WorkspaceID string    `json:"workspaceId"`
	AggregateID string    `json:"aggregateId"`
	// State is one of the Trace… constants.
	State       string          `json:"state"`
	PublishedAt *Time           `json:"publishedAt"`    // inside the business transaction
	ClaimedAt   *Time           `json:"claimedAt"`      // read from the outbox by a lane
	Node        string          `json:"node,omitempty"` // that handled it
	Lane        int             `json:"lane"`
	Attempts    []PoisonAttempt `json:"attempts"`    // failed ones, if it was poisoned
	ProjectedMS float64         `json:"projectedMs"` // the projector's time
	CommittedAt *Time           `json:"committedAt"` // its entries, in the log
	PoisonID    string          `json:"poisonId,omitempty"`
	// CollapsedInto is the earlier event of the same type and aggregate, waiting
	// at the same time, whose entries told of this one as well ("causes").
	CollapsedInto string       `json:"collapsedInto,omitempty"`
	Traceparent   string       `json:"traceparent,omitempty"`
	Entries       []TraceEntry `json:"entries"`
	Trimmed       int          `json:"trimmed"` // entries gone from the log by retention, and with them who got them
	// Waiting says where in the outbox it is, while it is there.
	Waiting *TraceWaiting `json:"waiting,omitempty"`
	// Session answers for one tab, if one was asked about.
	Session *TraceSession `json:"session,omitempty"`
}

// The states of a trace.
const (
	TraceWaits      = "waiting"   // in the outbox
	TraceProjected  = "projected" // its entries are in the log
	TraceSilent     = "silent"    // projected to no event: there was nothing to tell
	TracePoisoned   = "poisoned"
	TraceRequeued   = "requeued"
	TraceSuperseded = "superseded"
	TraceDiscarded  = "discarded"
	TraceExpired    = "expired" // older than retention: only what is left is told
)

// TraceWaiting is an event's place in the outbox.
type TraceWaiting struct {
	Ahead  int    `json:"ahead"`  // events before it in its lane
	Held   bool   `json:"held"`   // somebody serves the lane
	Holder string `json:"holder"` // the node that does, or did last; "" if none ever did
}

// TraceEntry is one entry of the log that an event led to.
type TraceEntry struct {
	Position Position        `json:"position"`
	Channel  Channel         `json:"channel"`
	Type     ServerEventType `json:"type"`
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

// TraceSession is an event as one session, or the sessions of one member, stand
// to it.
type TraceSession struct {
	Asked     string        `json:"asked"` // the session's or the member's id
	Connected []SessionInfo `json:"connected"`
	// Verdicts say, for each connected session in that order, what became of the
	// event there: one sentence. Without a session there is one that says so.
	Verdicts []string `json:"verdicts"`
}
