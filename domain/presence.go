package domain

// Presence is whether a member is online, as it was last broadcast.
type Presence struct {
	WorkspaceID string
	MemberID    string
	Online      bool
}
