// Package transporttest gives tests of the transports a small world to run
// in: the real hub and presence over an in-memory log and database.
package transporttest

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
)

// Reader is as much of a database as admission and entitlement ask for. It
// knows two workspaces, acme and globex (ids ws_acme and ws_globex); owner and
// admin are members of acme (mem_owner, mem_admin), owner of globex as well
// (mem_globex), and stranger of none.
type Reader struct {
	domain.Reader // the methods below are all that is asked for

	mu       sync.Mutex
	sessions map[string]domain.Session // by token hash
	members  map[string]domain.Member
	rooms    map[string]domain.Room
	err      error
	boom     string // the room that panics
}

// NewReader makes the database.
func NewReader() *Reader {
	r := &Reader{
		sessions: map[string]domain.Session{},
		members:  map[string]domain.Member{},
		rooms:    map[string]domain.Room{},
	}
	r.AddMember(domain.Member{ID: "mem_owner", WorkspaceID: "ws_acme", UserID: "owner"})
	r.AddMember(domain.Member{ID: "mem_admin", WorkspaceID: "ws_acme", UserID: "admin"})
	r.AddMember(domain.Member{ID: "mem_globex", WorkspaceID: "ws_globex", UserID: "owner"})
	return r
}

// SignIn opens a sign-in session, named "login_" and the user, and returns its cookie.
func (r *Reader) SignIn(user string, expires time.Time) *http.Cookie {
	token, hash := auth.NewToken()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[string(hash)] = domain.Session{ID: "login_" + user, UserID: user, TokenHash: hash, ExpiresAt: expires}
	return &http.Cookie{Name: auth.CookieName, Value: token}
}

// SignOut ends a user's sign-in sessions.
func (r *Reader) SignOut(user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for hash, session := range r.sessions {
		if session.UserID == user {
			delete(r.sessions, hash)
		}
	}
}

// AddMember adds a member.
func (r *Reader) AddMember(m domain.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[m.ID] = m
}

// RemoveMember removes a member.
func (r *Reader) RemoveMember(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, id)
}

// AddRoom adds a room.
func (r *Reader) AddRoom(room domain.Room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rooms[room.ID] = room
}

// Fail makes every read fail with err; nil mends it.
func (r *Reader) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// PanicOnRoom makes every look at a room panic.
func (r *Reader) PanicOnRoom(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.boom = id
}

// find returns the first element that matches, as a database would.
func find[T any](r *Reader, all map[string]T, match func(T) bool) (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var none T
	if r.err != nil {
		return none, r.err
	}
	for _, element := range all {
		if match(element) {
			return element, nil
		}
	}
	return none, domain.Errorf(domain.CodeNotFound, "not found")
}

// SessionByToken implements domain.Reader.
func (r *Reader) SessionByToken(_ context.Context, hash []byte) (domain.Session, error) {
	return find(r, r.sessions, func(s domain.Session) bool { return string(s.TokenHash) == string(hash) })
}

// Session implements domain.Reader.
func (r *Reader) Session(_ context.Context, id string) (domain.Session, error) {
	return find(r, r.sessions, func(s domain.Session) bool { return s.ID == id })
}

// WorkspaceBySlug implements domain.Reader.
func (r *Reader) WorkspaceBySlug(_ context.Context, slug string) (domain.Workspace, error) {
	workspaces := map[string]domain.Workspace{
		"acme":   {ID: "ws_acme", Slug: "acme"},
		"globex": {ID: "ws_globex", Slug: "globex"},
	}
	return find(r, workspaces, func(w domain.Workspace) bool { return w.Slug == slug })
}

// Member implements domain.Reader.
func (r *Reader) Member(_ context.Context, workspaceID, id string) (domain.Member, error) {
	return find(r, r.members, func(m domain.Member) bool { return m.WorkspaceID == workspaceID && m.ID == id })
}

// MemberByUser implements domain.Reader.
func (r *Reader) MemberByUser(_ context.Context, workspaceID, userID string) (domain.Member, error) {
	return find(r, r.members, func(m domain.Member) bool { return m.WorkspaceID == workspaceID && m.UserID == userID })
}

// Room implements domain.Reader.
func (r *Reader) Room(_ context.Context, workspaceID, id string) (domain.Room, error) {
	return find(r, r.rooms, func(room domain.Room) bool {
		if room.ID == r.boom {
			panic("a bug about room " + id)
		}
		return room.WorkspaceID == workspaceID && room.ID == id
	})
}

// LeavingReader is a database in which a member leaves right after they were
// found.
type LeavingReader struct{ *Reader }

// MemberByUser implements domain.Reader.
func (r LeavingReader) MemberByUser(ctx context.Context, workspaceID, userID string) (domain.Member, error) {
	m, err := r.Reader.MemberByUser(ctx, workspaceID, userID)
	r.RemoveMember(m.ID)
	return m, err
}
