package domain

// Presence is whether a member is online, as it was last broadcast.
type Presence struct {
	WorkspaceID string
	MemberID    string
	Online      bool
}

// NodePresence is whether a member has sessions on one node. A node's changes
// have ascending versions; of two about the same member the higher counts.
type NodePresence struct {
	Presence
	Node    string
	Version int64
}
