package store

import (
	"context"
	"database/sql"

	"github.com/orbit/realtime/domain"
)

var roomColumns = `SELECT r.workspace_id, r.id, r.version, r.name, r.private, ` + rooms.memberIDs("r") + ` FROM rooms r`

func scanRoom(scan scanner) (r domain.Room, err error) {
	var members string
	err = scan(&r.WorkspaceID, &r.ID, &r.Version, &r.Name, &r.Private, &members)
	r.MemberIDs = splitIDs(members)
	return r, err
}

func (r reader) Room(ctx context.Context, workspaceID, id string) (domain.Room, error) {
	return one(ctx, r.conn, "room", scanRoom, roomColumns+` WHERE r.workspace_id = $1 AND r.id = $2`, workspaceID, id)
}

func (r reader) Rooms(ctx context.Context, workspaceID string) ([]domain.Room, error) {
	return many(ctx, r.conn, scanRoom, roomColumns+` WHERE r.workspace_id = $1 ORDER BY r.id`, workspaceID)
}

func (t *unitOfWork) LockRoom(ctx context.Context, workspaceID, id string) (domain.Room, error) {
	return t.roomUnder(ctx, t.d.lockUpdate, workspaceID, id)
}

func (t *unitOfWork) HoldRoom(ctx context.Context, workspaceID, id string) (domain.Room, error) {
	return t.roomUnder(ctx, t.d.lockShare, workspaceID, id)
}

// roomUnder locks first and reads then: a statement that waits for a row sees
// the row's newest version, but every other table as it was before the wait,
// and the room's members are such another table.
func (t *unitOfWork) roomUnder(ctx context.Context, lock, workspaceID, id string) (domain.Room, error) {
	if lock != "" {
		if _, err := one(ctx, t.conn, "room", scanValue[string],
			`SELECT id FROM rooms WHERE workspace_id = $1 AND id = $2`+lock, workspaceID, id); err != nil {
			return domain.Room{}, err
		}
	}
	return t.Room(ctx, workspaceID, id)
}

func (t *unitOfWork) InsertRoom(ctx context.Context, r domain.Room) error {
	if _, err := t.exec(ctx, `INSERT INTO rooms (workspace_id, id, version, name, name_key, private) VALUES ($1, $2, $3, $4, $5, $6)`,
		r.WorkspaceID, r.ID, r.Version, r.Name, nameKey(r.Name), r.Private); err != nil {
		return err
	}
	return t.writeMembers(ctx, rooms, r.WorkspaceID, r.ID, r.MemberIDs)
}

// UpdateRoom writes name and members; whether a room is private is fixed.
func (t *unitOfWork) UpdateRoom(ctx context.Context, r domain.Room) error {
	return t.updateGroup(ctx, rooms, r.WorkspaceID, r.ID, r.Version, r.Name, r.MemberIDs)
}

func (t *unitOfWork) DeleteRoom(ctx context.Context, workspaceID, id string) error {
	return t.deleteGroup(ctx, rooms, workspaceID, id)
}

const messageColumns = `SELECT workspace_id, id, version, room_id, author_id, body, posted_at, edited_at FROM messages`

func scanMessage(scan scanner) (m domain.Message, err error) {
	var posted int64
	var edited sql.NullInt64
	err = scan(&m.WorkspaceID, &m.ID, &m.Version, &m.RoomID, &m.AuthorID, &m.Body, &posted, &edited)
	m.PostedAt = domainTime(posted)
	if edited.Valid {
		at := domainTime(edited.Int64)
		m.EditedAt = &at
	}
	return m, err
}

func editedColumn(m domain.Message) sql.NullInt64 {
	if m.EditedAt == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: micros(m.EditedAt.Time), Valid: true}
}

func (r reader) Message(ctx context.Context, workspaceID, id string) (domain.Message, error) {
	return one(ctx, r.conn, "message", scanMessage, messageColumns+` WHERE workspace_id = $1 AND id = $2`, workspaceID, id)
}

// Messages are ordered by time, those of one millisecond by id. Nothing is
// before an unknown message.
func (r reader) Messages(ctx context.Context, workspaceID, roomID, before string, limit int) ([]domain.Message, error) {
	limit = min(max(limit, 1), 200)
	query, args := messageColumns+` WHERE workspace_id = $1 AND room_id = $2`, []any{workspaceID, roomID, limit}
	if before != "" {
		query += ` AND (posted_at, id) < (SELECT b.posted_at, b.id FROM messages b WHERE b.workspace_id = $1 AND b.room_id = $2 AND b.id = $4)`
		args = append(args, before)
	}
	query = `SELECT * FROM (` + query + ` ORDER BY posted_at DESC, id DESC LIMIT $3) newest ORDER BY posted_at, id`
	return many(ctx, r.conn, scanMessage, query, args...)
}

func (t *unitOfWork) LockMessage(ctx context.Context, workspaceID, id string) (domain.Message, error) {
	return one(ctx, t.conn, "message", scanMessage, messageColumns+` WHERE workspace_id = $1 AND id = $2`+t.d.lockUpdate, workspaceID, id)
}

func (t *unitOfWork) InsertMessage(ctx context.Context, m domain.Message) error {
	_, err := t.exec(ctx, `INSERT INTO messages (workspace_id, id, version, room_id, author_id, body, posted_at, edited_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		m.WorkspaceID, m.ID, m.Version, m.RoomID, m.AuthorID, m.Body, micros(m.PostedAt.Time), editedColumn(m))
	return err
}

// UpdateMessage writes body and time of edit; room, author and time of posting
// are fixed.
func (t *unitOfWork) UpdateMessage(ctx context.Context, m domain.Message) error {
	return t.update(ctx, "messages", "message", `UPDATE messages SET version = $1, body = $4, edited_at = $5
		WHERE workspace_id = $2 AND id = $3 AND version < $1`, m.Version, m.WorkspaceID, m.ID, m.Body, editedColumn(m))
}

func (t *unitOfWork) DeleteMessage(ctx context.Context, workspaceID, id string) error {
	return t.remove(ctx, "message", `DELETE FROM messages WHERE workspace_id = $1 AND id = $2`, workspaceID, id)
}
