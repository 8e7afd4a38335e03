package domain

// Appended is what one commit added to one workspace's log: entries with
// consecutive offsets. Relays carry it as a hint; the log itself is the truth.
type Appended struct {
	WorkspaceID string
	Epoch       string
	Entries     []Entry
}
