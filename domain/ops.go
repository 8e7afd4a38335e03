package domain

// OpsStatus is how one node, and the database behind it, is doing: what the
// dashboard shows and `orbit ops status` prints.
type OpsStatus struct {
	Node      string     `json:"node"`
	Build     string     `json:"build"`
	StartedAt Time       `json:"startedAt"`
	At        Time       `json:"at"`
	Verdict   Verdict    `json:"verdict"`
	Lanes     []LaneInfo `json:"lanes"`
	// Stages are the legs of the way from the commit to the tab over the last
	// minute, in order: claimed, projected, committed, written, and "total".
	Stages   []Stage             `json:"stages"`
	Poison   map[PoisonState]int `json:"poison"`
	Sessions SessionStats        `json:"sessions"`
	Audit    AuditStatus         `json:"audit"`
	Slow     []SessionInfo       `json:"slow"`     // furthest behind first, at most 20
	Channels []ChannelStats      `json:"channels"` // busiest first, at most 20
	Series   []Sample            `json:"series"`   // oldest first, one every 5 s, at most 15 minutes
	Cluster  ClusterStatus       `json:"cluster"`
}

// ClusterStatus is about all nodes over the database, as this one sees them:
// about a second old.
type ClusterStatus struct {
	Nodes    []NodeInfo     `json:"nodes"`    // that are alive, by id, this one included
	Sessions map[string]int `json:"sessions"` // open on all of them, by transport
	Members  int            `json:"members"`  // online, each once however many nodes they are on
}

// NodeInfo is one node.
type NodeInfo struct {
	ID        string         `json:"id"` // of this run of the process
	Name      string         `json:"name"`
	Build     string         `json:"build"`
	StartedAt Time           `json:"startedAt"`
	Self      bool           `json:"self"`     // the one that answers
	Draining  bool           `json:"draining"` // it shuts down, and takes no lanes anymore
	Outdated  bool           `json:"outdated"` // its catalog of events is not this one's
	Sessions  map[string]int `json:"sessions"` // open, by transport
	Lanes     []int          `json:"lanes"`    // that it holds
}

// AuditStatus is what one node's convergence auditor found since it started.
type AuditStatus struct {
	// Divergent is how many aggregates differ, for too long, from what tabs were
	// told of them.
	Divergent int   `json:"divergent"`
	Repaired  int64 `json:"repaired,string"` // told of again
	Checked   int64 `json:"checked,string"`  // looks at an aggregate
	LastPass  *Time `json:"lastPass"`        // when all of this node's workspaces had been looked at; null: not yet
}

// Verdict is the one line.
type Verdict struct {
	State string   `json:"state"` // healthy, lagging, poisoned, stalled
	Why   []string `json:"why"`   // most important first; empty when healthy
}

// LaneInfo is one lane of the outbox.
type LaneInfo struct {
	Lane        int     `json:"lane"`
	Pending     int     `json:"pending"`
	OldestAgeMS float64 `json:"oldestAgeMs"`
	Owned       bool    `json:"owned"`           // by this node
	Owner       string  `json:"owner,omitempty"` // node, where known
	LastError   string  `json:"lastError,omitempty"`
}

// Stage is one leg's latency, in milliseconds.
type Stage struct {
	Name  string  `json:"name"`
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
}

// SessionStats counts sessions of this node; opens, closes and resumes since
// it started.
type SessionStats struct {
	Open    map[string]int `json:"open"`    // by transport
	Opened  map[string]int `json:"opened"`  // by transport
	Closed  map[string]int `json:"closed"`  // by reason
	Resumes map[string]int `json:"resumes"` // by outcome: resumed, fresh, or a resync reason
	Members int            `json:"members"` // online here
}

// SessionInfo is one session, for the drill-down.
type SessionInfo struct {
	ID          string   `json:"id"`
	Node        string   `json:"node,omitempty"` // name of its node, where sessions of several are listed
	Transport   string   `json:"transport"`
	WorkspaceID string   `json:"workspaceId"`
	Workspace   string   `json:"workspace"` // slug
	MemberID    string   `json:"memberId"`
	UserID      string   `json:"userId"`
	Position    Position `json:"position"`
	Behind      int64    `json:"behind,string"` // entries of the log it hasn't taken, whether they concern it or not
	LagMS       float64  `json:"lagMs"`         // since the oldest entry it hasn't taken was appended; 0: none
	Rooms       []string `json:"rooms"`
	OpenedAt    Time     `json:"openedAt"`
}

// ChannelStats is how busy a channel was over the last minute.
type ChannelStats struct {
	WorkspaceID string  `json:"workspaceId"`
	Channel     Channel `json:"channel"`
	Sessions    int     `json:"sessions"`
	Events      int     `json:"events"`
}

// Sample is one point of the dashboard's charts.
type Sample struct {
	At        Time    `json:"at"`
	Published float64 `json:"published"` // events into the outbox, a second (as far as this node handles them)
	Projected float64 `json:"projected"` // events a second
	Written   float64 `json:"written"`   // deliveries to sessions a second
	Pending   int     `json:"pending"`   // outbox depth, all lanes
	Sessions  int     `json:"sessions"`
	Poison    int     `json:"poison"`   // open messages
	TotalP99  float64 `json:"totalP99"` // commit to tab, ms
}
