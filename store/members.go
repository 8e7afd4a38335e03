package store

import (
	"context"

	"github.com/orbit/realtime/domain"
)

const memberColumns = `SELECT m.workspace_id, m.id, m.version, m.user_id, m.name, u.email, m.role_id, m.joined_at, m.joined_offset
	FROM members m JOIN users u ON u.id = m.user_id`

func scanMember(scan scanner) (m domain.Member, err error) {
	var joined int64
	err = scan(&m.WorkspaceID, &m.ID, &m.Version, &m.UserID, &m.Name, &m.Email, &m.RoleID, &joined, &m.JoinedOffset)
	m.JoinedAt = domainTime(joined)
	return m, err
}

func (r reader) Member(ctx context.Context, workspaceID, id string) (domain.Member, error) {
	return one(ctx, r.conn, "member", scanMember, memberColumns+` WHERE m.workspace_id = $1 AND m.id = $2`, workspaceID, id)
}

func (r reader) MemberByUser(ctx context.Context, workspaceID, userID string) (domain.Member, error) {
	return one(ctx, r.conn, "member", scanMember, memberColumns+` WHERE m.workspace_id = $1 AND m.user_id = $2`, workspaceID, userID)
}

func (r reader) Members(ctx context.Context, workspaceID string) ([]domain.Member, error) {
	return many(ctx, r.conn, scanMember, memberColumns+` WHERE m.workspace_id = $1 ORDER BY m.id`, workspaceID)
}

// InsertMember notes where the log stands, so that a replay never shows a
// member what happened before they came: Member.JoinedOffset is not looked at.
func (t *unitOfWork) InsertMember(ctx context.Context, m domain.Member) error {
	_, err := t.exec(ctx, `INSERT INTO members (workspace_id, id, version, user_id, name, role_id, joined_at, joined_offset)
		VALUES ($1, $2, $3, $4, $5, $6, $7, COALESCE((SELECT head FROM logs WHERE workspace_id = $1), 0))`,
		m.WorkspaceID, m.ID, m.Version, m.UserID, m.Name, m.RoleID, micros(m.JoinedAt.Time))
	return err
}

// UpdateMember writes name and role; a member's user, e-mail and time of
// joining are fixed.
func (t *unitOfWork) UpdateMember(ctx context.Context, m domain.Member) error {
	return t.update(ctx, "members", "member", `UPDATE members SET version = $1, name = $4, role_id = $5
		WHERE workspace_id = $2 AND id = $3 AND version < $1`, m.Version, m.WorkspaceID, m.ID, m.Name, m.RoleID)
}

// DeleteMember also takes the member out of teams and rooms.
func (t *unitOfWork) DeleteMember(ctx context.Context, workspaceID, id string) error {
	return t.remove(ctx, "member", `DELETE FROM members WHERE workspace_id = $1 AND id = $2`, workspaceID, id)
}

const notificationColumns = `SELECT workspace_id, id, member_id, title, body, at FROM notifications`

func scanNotification(scan scanner) (n domain.Notification, err error) {
	var at int64
	err = scan(&n.WorkspaceID, &n.ID, &n.MemberID, &n.Title, &n.Body, &at)
	n.At = domainTime(at)
	return n, err
}

func (r reader) Notification(ctx context.Context, workspaceID, id string) (domain.Notification, error) {
	return one(ctx, r.conn, "notification", scanNotification, notificationColumns+` WHERE workspace_id = $1 AND id = $2`, workspaceID, id)
}

func (t *unitOfWork) InsertNotification(ctx context.Context, n domain.Notification) error {
	_, err := t.exec(ctx, `INSERT INTO notifications (workspace_id, id, member_id, title, body, at) VALUES ($1, $2, $3, $4, $5, $6)`,
		n.WorkspaceID, n.ID, n.MemberID, n.Title, n.Body, micros(n.At.Time))
	return err
}
