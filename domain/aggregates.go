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
	Slug    string `json:"slug"`
	Name    string `json:"name"`
}

// Member is a user's place in one workspace.
type Member struct {
	ID          string `json:"id"`
	Version     int64  `json:"version"`
	WorkspaceID string `json:"-"`
	UserID      string `json:"userId"`
	Name        string `json:"name"`
	Email       string `json:"email"` // the user's
	RoleID      string `json:"roleId"`
	JoinedAt    Time   `json:"joinedAt"`
	// JoinedOffset is the head of the workspace's log when the member joined:
	// a replay never reaches behind it.
	JoinedOffset int64 `json:"-"`
}

// Permission allows one family of commands.
type Permission string

const (
	PermWorkspaceManage Permission = "workspace.manage"
	PermMembersManage   Permission = "members.manage"
	PermMembersNotify   Permission = "members.notify"
	PermRolesManage     Permission = "roles.manage"
	PermTeamsManage     Permission = "teams.manage"
	PermBillingManage   Permission = "billing.manage"
	PermRoomsManage     Permission = "rooms.manage" // edit and delete any room or message; any member may open a room
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
	Name        string       `json:"name"`
	Permissions []Permission `json:"permissions"`
	System      bool         `json:"system"` // built in: can be given, but not changed or deleted
}

// Team groups members. MemberIDs is sorted.
type Team struct {
	ID          string   `json:"id"`
	Version     int64    `json:"version"`
	WorkspaceID string   `json:"-"`
	Name        string   `json:"name"`
	MemberIDs   []string `json:"memberIds"`
}

// SubscriptionStatus is the state of a workspace's plan.
type SubscriptionStatus string

const (
	SubscriptionActive   SubscriptionStatus = "active"
	SubscriptionPastDue  SubscriptionStatus = "past_due"
	SubscriptionCanceled SubscriptionStatus = "canceled"
)

// Subscription is what a workspace pays for: one per workspace.
type Subscription struct {
	ID          string             `json:"id"`
	Version     int64              `json:"version"`
	WorkspaceID string             `json:"-"`
	Plan        string             `json:"plan"`
	Seats       int                `json:"seats"` // members allowed, at least 1
	Status      SubscriptionStatus `json:"status"`
	RenewsAt    Time               `json:"renewsAt"`
}

// Room is a place for messages. An open room is for every member; a private
// one is for those in MemberIDs (sorted). Private is fixed when the room is made.
type Room struct {
	ID          string   `json:"id"`
	Version     int64    `json:"version"`
	WorkspaceID string   `json:"-"`
	Name        string   `json:"name"`
	Private     bool     `json:"private"`
	MemberIDs   []string `json:"memberIds"` // empty for an open room: everybody may come in
}

// Message is something a member said in a room.
type Message struct {
	ID          string `json:"id"`
	Version     int64  `json:"version"`
	WorkspaceID string `json:"-"`
	RoomID      string `json:"roomId"`
	AuthorID    string `json:"authorId"` // member id
	Body        string `json:"body"`
	PostedAt    Time   `json:"postedAt"`
	EditedAt    *Time  `json:"editedAt"` // null until edited
}

// Notification is a signal to one member.
type Notification struct {
	ID          string `json:"id"`
	WorkspaceID string `json:"-"`
	MemberID    string `json:"-"`
	Title       string `json:"title"`
	Body        string `json:"body"`
	At          Time   `json:"at"`
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
