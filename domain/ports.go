package domain

import "context"

// Reader reads committed aggregates. Everything inside a workspace is asked for
// by workspace and id, so that no query can cross tenants. A missing row is an
// error that matches ErrNotFound; a database that is away is a transient error.
// Each method is one SQL statement and thus sees one moment. Lists are sorted
// by id, and slices inside aggregates are never nil.
type Reader interface {
	Workspace(ctx context.Context, id string) (Workspace, error)
	WorkspaceBySlug(ctx context.Context, slug string) (Workspace, error)
	User(ctx context.Context, id string) (User, error)
	UserByEmail(ctx context.Context, email string) (User, error)
	// SessionByToken finds a session by the SHA-256 of its token, expired or not.
	SessionByToken(ctx context.Context, tokenHash []byte) (Session, error)
	Session(ctx context.Context, id string) (Session, error)

	Member(ctx context.Context, workspaceID, id string) (Member, error)
	MemberByUser(ctx context.Context, workspaceID, userID string) (Member, error)
	Members(ctx context.Context, workspaceID string) ([]Member, error)
	Role(ctx context.Context, workspaceID, id string) (Role, error)
	Roles(ctx context.Context, workspaceID string) ([]Role, error)
	Team(ctx context.Context, workspaceID, id string) (Team, error)
	Teams(ctx context.Context, workspaceID string) ([]Team, error)
	Subscription(ctx context.Context, workspaceID string) (Subscription, error)
	Room(ctx context.Context, workspaceID, id string) (Room, error)
	Rooms(ctx context.Context, workspaceID string) ([]Room, error)
	Message(ctx context.Context, workspaceID, id string) (Message, error)
	// Messages returns the newest messages of a room, oldest first. before is
	// a message id to page back from; "" starts at the newest. limit is 1 to 200.
	Messages(ctx context.Context, workspaceID, roomID, before string, limit int) ([]Message, error)
	Notification(ctx context.Context, workspaceID, id string) (Notification, error)

	// Stale lists what tabs were told is stale and have not been told is healed,
	// of one workspace: the oldest failures first, at most 1,000.
	Stale(ctx context.Context, workspaceID string) ([]Stale, error)

	// LogState tells where a workspace's log stands.
	LogState(ctx context.Context, workspaceID string) (LogState, error)
}

// LogState is the extent of a workspace's log. Entries with
// Floor < offset <= Head can be replayed.
type LogState struct {
	Epoch string
	Head  int64 // offset of the newest entry, 0 when empty
	Floor int64 // a position at or above it can be resumed from
}

// Position is the log's newest position.
func (s LogState) Position() Position { return Position{Epoch: s.Epoch, Offset: s.Head} }

// Tx is a write transaction: a Reader that sees its own writes. Inserts and
// updates take the aggregate as it shall be, version included; a unique value
// that is taken is CodeConflict with Field set, an update or delete of a
// missing row matches ErrNotFound.
//
// Locks keep the order of events of one aggregate equal to the order of its
// changes: take the lock before reading what you are about to change.
// LockWorkspace covers the workspace itself, its members, roles, teams and
// subscription; rooms and messages have locks of their own. Order: workspace,
// then rooms by id, then messages.
type Tx interface {
	Reader

	LockWorkspace(ctx context.Context, id string) (Workspace, error)
	LockRoom(ctx context.Context, workspaceID, id string) (Room, error)
	// HoldRoom keeps a room and who is in it as they are until the transaction
	// ends. Many may hold a room at once, while LockRoom waits for all of them:
	// people who talk in one room don't queue for it.
	HoldRoom(ctx context.Context, workspaceID, id string) (Room, error)
	LockMessage(ctx context.Context, workspaceID, id string) (Message, error)

	InsertUser(ctx context.Context, u User) error
	InsertSession(ctx context.Context, s Session) error
	DeleteSession(ctx context.Context, id string) error
	// InsertWorkspace also starts the workspace's log, with a fresh epoch.
	InsertWorkspace(ctx context.Context, w Workspace) error
	UpdateWorkspace(ctx context.Context, w Workspace) error
	InsertMember(ctx context.Context, m Member) error
	UpdateMember(ctx context.Context, m Member) error
	DeleteMember(ctx context.Context, workspaceID, id string) error
	InsertRole(ctx context.Context, r Role) error
	UpdateRole(ctx context.Context, r Role) error
	DeleteRole(ctx context.Context, workspaceID, id string) error
	// InsertTeam, UpdateTeam, InsertRoom and UpdateRoom also write MemberIDs.
	InsertTeam(ctx context.Context, t Team) error
	UpdateTeam(ctx context.Context, t Team) error
	DeleteTeam(ctx context.Context, workspaceID, id string) error
	InsertSubscription(ctx context.Context, s Subscription) error
	UpdateSubscription(ctx context.Context, s Subscription) error
	InsertRoom(ctx context.Context, r Room) error
	UpdateRoom(ctx context.Context, r Room) error
	// DeleteRoom deletes the room with its messages.
	DeleteRoom(ctx context.Context, workspaceID, id string) error
	InsertMessage(ctx context.Context, m Message) error
	UpdateMessage(ctx context.Context, m Message) error
	DeleteMessage(ctx context.Context, workspaceID, id string) error
	InsertNotification(ctx context.Context, n Notification) error

	// Publish writes domain events to the outbox, in this transaction and in
	// order. An event whose id is in the outbox already is skipped.
	Publish(ctx context.Context, events ...Event) error
}

// UnitOfWork runs functions in transactions.
type UnitOfWork interface {
	// Read runs fn over one database snapshot: all it reads is of one moment.
	Read(ctx context.Context, fn func(Reader) error) error
	// Write runs fn in one transaction, committed when fn returns nil. fn may
	// run again when the database asks for it (serialization failure,
	// deadlock), so it must have no effects beside tx. Subscribers of the
	// outbox are woken after the commit, never before.
	Write(ctx context.Context, fn func(Tx) error) error
}
