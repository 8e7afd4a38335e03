package domain

import "time"

// The aggregates. JSON names are the wire format (docs/protocol.md, "Shapes"):
// commands answer with these shapes and server events carry them. Fields tagged
// "-" never leave the server. Version starts at 1 and grows by one with each change.

// User is a person who may be a member of several workspaces.
type User struct {
	ID    string
	Email string // unique, lower case
	Name  string
}

// Session is one sign-in of a user. The cookie's token is stored as its SHA-256.
type Session struct {
	ID        string
	UserID    string
	TokenHash []byte
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Workspace is a tenant. The slug is unique and appears in URLs.
type Workspace struct {
	ID      string `json:"id"`
	Version int64  `json:"version"`
	Slug    string `json:"slug"` // in URLs; unique
	Name    string `json:"name"` // as people see it
}

// Member is a user's place in one workspace.
type Member struct {
	ID          string `json:"id"`
	Version     int64  `json:"version"`
	WorkspaceID string `json:"-"`
	UserID      string `json:"userId"`   // the person; the same in all their workspaces
	Name        string `json:"name"`     // what this workspace calls them
	Email       string `json:"email"`    // the user's
	RoleID      string `json:"roleId"`   // the one role they hold
	JoinedAt    Time   `json:"joinedAt"` // when the membership began
	// JoinedOffset is the head of the workspace's log when the member joined:
	// a replay never reaches behind it.
	JoinedOffset int64 `json:"-"`
}

// Permission allows one family of commands.
type Permission string

const (
	PermWorkspaceManage Permission = "workspace.manage" // rename the workspace, change its slug
	PermMembersManage   Permission = "members.manage"   // add and remove members, give roles
	PermMembersNotify   Permission = "members.notify"   // send a notification to a member
	PermRolesManage     Permission = "roles.manage"     // make, change and delete roles
	PermTeamsManage     Permission = "teams.manage"     // make, change and delete teams
	PermBillingManage   Permission = "billing.manage"   // change the subscription
	PermRoomsManage     Permission = "rooms.manage"     // edit and delete any room or message; any member may open a room
)

// Permissions lists every permission there is.
var Permissions = []Permission{
	PermWorkspaceManage, PermMembersManage, PermMembersNotify, PermRolesManage,
	PermTeamsManage, PermBillingManage, PermRoomsManage,
}

// RoleKind tells the built-in roles from those a workspace made itself.
type RoleKind string

const (
	RoleOwner  RoleKind = "owner"  // all permissions; at least one member holds it
	RoleAdmin  RoleKind = "admin"  // all but billing
	RoleGuest  RoleKind = "guest"  // none
	RoleCustom RoleKind = "custom" // made by the workspace
)

// Role is a named set of permissions. Names are unique in a workspace.
type Role struct {
	ID          string       `json:"id"`
	Version     int64        `json:"version"`
	WorkspaceID string       `json:"-"`
	Kind        RoleKind     `json:"-"`
	Name        string       `json:"name"`        // unique in the workspace, letter case ignored
	Permissions []Permission `json:"permissions"` // what its holders may do
	System      bool         `json:"system"`      // built in: can be given, but not changed or deleted
}

// Team groups members. MemberIDs is sorted.
type Team struct {
	ID          string   `json:"id"`
	Version     int64    `json:"version"`
	WorkspaceID string   `json:"-"`
	Name        string   `json:"name"`      // unique in the workspace, letter case ignored
	MemberIDs   []string `json:"memberIds"` // who is in it, sorted
}

// SubscriptionStatus is the state of a workspace's plan.
type SubscriptionStatus string

const (
	SubscriptionActive   SubscriptionStatus = "active"   // paid
	SubscriptionPastDue  SubscriptionStatus = "past_due" // a payment is late
	SubscriptionCanceled SubscriptionStatus = "canceled" // given up
)

// Subscription is what a workspace pays for: one per workspace.
type Subscription struct {
	ID          string             `json:"id"`
	Version     int64              `json:"version"`
	WorkspaceID string             `json:"-"`
	Plan        string             `json:"plan"`     // the plan's name
	Seats       int                `json:"seats"`    // members allowed, at least 1
	Status      SubscriptionStatus `json:"status"`   // whether it is paid for
	RenewsAt    Time               `json:"renewsAt"` // when the next period begins
}

// Room is a place for messages. An open room is for every member; a private
// one is for those in MemberIDs (sorted). Private is fixed when the room is made.
type Room struct {
	ID          string   `json:"id"`
	Version     int64    `json:"version"`
	WorkspaceID string   `json:"-"`
	Name        string   `json:"name"`      // unique among open rooms, letter case ignored
	Private     bool     `json:"private"`   // for those in memberIds alone; fixed when the room is made
	MemberIDs   []string `json:"memberIds"` // empty for an open room: everybody may come in
}

// Message is something a member said in a room.
type Message struct {
	ID          string `json:"id"`
	Version     int64  `json:"version"`
	WorkspaceID string `json:"-"`
	RoomID      string `json:"roomId"`   // where it was said
	AuthorID    string `json:"authorId"` // member id
	Body        string `json:"body"`     // plain text
	PostedAt    Time   `json:"postedAt"` // when it was said
	EditedAt    *Time  `json:"editedAt"` // null until edited
}

// Notification is a signal to one member.
type Notification struct {
	ID          string `json:"id"`
	WorkspaceID string `json:"-"`
	MemberID    string `json:"-"`
	Title       string `json:"title"` // one line, plain text
	Body        string `json:"body"`  // plain text
	At          Time   `json:"at"`    // when it was sent
}

// Can reports whether the role grants p.
func (r Role) Can(p Permission) bool {
	for _, have := range r.Permissions {
		if have == p {
			return true
		}
	}
	return false
}

// Admits reports whether a member may read the room.
func (r Room) Admits(memberID string) bool {
	if !r.Private {
		return true
	}
	for _, id := range r.MemberIDs {
		if id == memberID {
			return true
		}
	}
	return false
}
