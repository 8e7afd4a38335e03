package domain

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Commands are the use cases. Each runs in one transaction: it checks its
// input, finds the actor's membership, asks the actor's role for permission,
// keeps the rules, writes the aggregate with its version raised by one, and
// publishes the domain event. It answers with the aggregate as it is now and
// the id of that event, which is "" when nothing had to change.
//
// Errors, beside those that a command names: CodeInvalid (input, with Field),
// CodeNotFound (no such thing, or none the actor may see; also for everybody
// who is not a member of the workspace), CodeForbidden (the role doesn't allow
// it), CodeConflict (a unique value is taken) and transient ones.
type Commands struct {
	UoW UnitOfWork
	Now func() time.Time // nil means time.Now
}

// Actor is who acts, and where.
type Actor struct {
	UserID    string
	Workspace string // the workspace's slug, as the caller gave it
}

// standing is an actor's place in a workspace, as the database has it.
type standing struct {
	workspace Workspace
	member    Member
	role      Role
}

// scope is one command at work in its transaction.
type scope struct {
	Tx
	standing
}

// errNoWorkspace answers outsiders. It is one answer for an unknown workspace
// and for a foreign one, so that nobody can find out which slugs are taken.
func errNoWorkspace() error { return Errorf(CodeNotFound, "no such workspace") }

// write runs fn for a member of the workspace. It is for rooms and messages,
// which have locks of their own.
func (c Commands) write(ctx context.Context, by Actor, fn func(scope) error) error {
	return c.UoW.Write(ctx, func(tx Tx) error {
		st, err := standingOf(ctx, tx, by)
		if err != nil {
			return err
		}
		return fn(scope{tx, st})
	})
}

// writeLocked runs fn like write, with the workspace locked: for changes to the
// workspace, its members, roles, teams and subscription, and wherever it
// matters that nobody's membership ends meanwhile.
func (c Commands) writeLocked(ctx context.Context, by Actor, fn func(scope) error) error {
	return c.UoW.Write(ctx, func(tx Tx) error {
		// Membership first, so that no outsider can hold up a workspace.
		st, err := standingOf(ctx, tx, by)
		if err != nil {
			return err
		}
		workspace, err := tx.LockWorkspace(ctx, st.workspace.ID)
		if err != nil {
			return err
		}
		// And again: the actor may have lost role or membership while waiting.
		if st, err = standingIn(ctx, tx, workspace, by.UserID); err != nil {
			return err
		}
		return fn(scope{tx, st})
	})
}

func standingOf(ctx context.Context, r Reader, by Actor) (standing, error) {
	if !ValidSlug(by.Workspace) {
		return standing{}, errNoWorkspace()
	}
	workspace, err := r.WorkspaceBySlug(ctx, by.Workspace)
	if errors.Is(err, ErrNotFound) {
		return standing{}, errNoWorkspace()
	}
	if err != nil {
		return standing{}, err
	}
	return standingIn(ctx, r, workspace, by.UserID)
}

func standingIn(ctx context.Context, r Reader, w Workspace, userID string) (standing, error) {
	member, err := r.MemberByUser(ctx, w.ID, userID)
	if errors.Is(err, ErrNotFound) {
		return standing{}, errNoWorkspace()
	}
	if err != nil {
		return standing{}, err
	}
	role, err := r.Role(ctx, w.ID, member.RoleID)
	if err != nil {
		return standing{}, err
	}
	return standing{w, member, role}, nil
}

// need checks that the actor's role grants p.
func (s standing) need(p Permission) error {
	if !s.role.Can(p) {
		return Errorf(CodeForbidden, "your role doesn't allow this: it needs %s", p)
	}
	return nil
}

// needAll checks that the actor has every permission they are about to hand
// on, for otherwise a role could be a ladder.
func (s standing) needAll(permissions []Permission) error {
	for _, p := range permissions {
		if !s.role.Can(p) {
			return Errorf(CodeForbidden, "you can't grant %s: your own role lacks it", p)
		}
	}
	return nil
}

// publish writes the event of a change to the outbox and returns its id.
func (s scope) publish(ctx context.Context, t EventType, aggregateID string, payload any) (string, error) {
	ev := NewEvent(t, s.workspace.ID, aggregateID, payload)
	ev.Metadata = origin(ctx)
	return ev.ID, s.Publish(ctx, ev)
}

// change is what a command did to a group: to the team or room itself, or to
// one member's place in it. The zero value is nothing.
type change struct {
	event    EventType
	memberID string
}

func (ch change) nothing() bool { return ch.event == "" }

func (ch change) payload(version int64) any {
	if ch.memberID == "" {
		return Changed{version}
	}
	return GroupChanged{version, ch.memberID}
}

func (c Commands) now() Time {
	if c.Now != nil {
		return At(c.Now())
	}
	return At(time.Now())
}

type (
	correlationKey struct{}
	traceparentKey struct{}
)

// WithCorrelation makes every event that a command publishes under ctx carry
// id as MetaCorrelationID: the request it came from.
func WithCorrelation(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, correlationKey{}, id)
}

// WithTraceparent makes every event that a command publishes under ctx carry
// the span it came from as MetaTraceparent, in the form of W3C Trace Context.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	return context.WithValue(ctx, traceparentKey{}, traceparent)
}

// origin is where an event comes from, as far as ctx tells; nil if it doesn't.
func origin(ctx context.Context) map[string]string {
	var metadata map[string]string
	set := func(name string, key any) {
		if value, _ := ctx.Value(key).(string); value != "" {
			if metadata == nil {
				metadata = map[string]string{}
			}
			metadata[name] = value
		}
	}
	set(MetaCorrelationID, correlationKey{})
	set(MetaTraceparent, traceparentKey{})
	return metadata
}

// TraceID is the trace that a traceparent names, 32 hex digits, for log lines;
// "" if it is none.
func TraceID(traceparent string) string {
	parts := strings.Split(traceparent, "-")
	if len(parts) != 4 || len(parts[1]) != 32 {
		return ""
	}
	return parts[1]
}

// find looks up something inside the workspace by an id that came from
// outside. A malformed id is simply nobody's: the answer is "no such <what>".
func find[T any](ctx context.Context, what, workspaceID, id string,
	lookup func(ctx context.Context, workspaceID, id string) (T, error)) (T, error) {
	var none T
	if !ValidID(id) {
		return none, Errorf(CodeNotFound, "no such %s", what)
	}
	found, err := lookup(ctx, workspaceID, id)
	if errors.Is(err, ErrNotFound) {
		return none, Errorf(CodeNotFound, "no such %s", what)
	}
	return found, err
}

// blame names the input field that an error is about, if it has none yet.
func blame(err error, field string) error {
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeNotFound || e.Field != "" {
		return err
	}
	named := *e
	named.Field = field
	return &named
}
