package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/orbit/realtime/domain"
)

// AuditView is what the database says of a workspace in one moment: its
// aggregates as clients know them, what the log has told since a position, and
// what is known not to be told yet.
type AuditView struct {
	Log     domain.LogState
	Entries []domain.Entry // after the offset asked for, without a gap
	// Rows are the committed aggregates, in the JSON of server events, by
	// "kind:id": the workspace, members, roles, teams, subscription and rooms.
	Rows map[string]json.RawMessage
	// Untold are those that have an event in the outbox, or in the poison queue
	// with somebody waiting for it: that they differ from the log is no news.
	Untold map[string]bool
}

// AuditView reads a workspace. after is an offset of its log, and at most limit
// entries follow it. A workspace without a log is CodeNotFound.
func (s *Store) AuditView(ctx context.Context, workspaceID string, after int64, limit int) (AuditView, error) {
	v := AuditView{Rows: map[string]json.RawMessage{}, Untold: map[string]bool{}}
	err := transact(ctx, s.read, readOptions, func(tx *sql.Tx) error {
		c := conn{tx, s.dialect}
		r := reader{c}
		var err error
		if v.Log, err = r.LogState(ctx, workspaceID); err != nil {
			return err
		}
		if v.Entries, err = many(ctx, c, func(scan scanner) (e domain.Entry, err error) {
			var data, revoke sql.NullString
			if err = scan(&e.Offset, &e.Channel, &e.Type, &data, &revoke); err != nil {
				return e, err
			}
			e.Data = []byte(data.String)
			return e, fromJSON(revoke.String, &e.Revoke)
		}, `SELECT "offset", channel, type, data, revoke FROM log_entries
			WHERE workspace_id = $1 AND "offset" > $2 ORDER BY "offset" LIMIT $3`, workspaceID, after, limit); err != nil {
			return err
		}
		if err = v.readUntold(ctx, c, workspaceID); err != nil {
			return err
		}
		return v.readRows(ctx, r, workspaceID)
	})
	return v, err
}

func (v *AuditView) readUntold(ctx context.Context, c conn, workspaceID string) error {
	keys, err := many(ctx, c, func(scan scanner) (key string, err error) {
		var typ, id string
		err = scan(&typ, &id)
		return domain.AggregateOf(domain.EventType(typ)) + ":" + id, err
	}, `SELECT type, aggregate_id FROM outbox WHERE topic = $2 AND workspace_id = $1
		UNION SELECT type, aggregate_id FROM poison WHERE workspace_id = $1 AND (state IN ('open', 'requeued') OR stale <> '[]')`,
		workspaceID, Topic)
	for _, key := range keys {
		v.Untold[key] = true
	}
	return err
}

func (v *AuditView) readRows(ctx context.Context, r reader, workspaceID string) error {
	w, err := r.Workspace(ctx, workspaceID)
	if err != nil {
		return err
	}
	members, err1 := r.Members(ctx, workspaceID)
	roles, err2 := r.Roles(ctx, workspaceID)
	teams, err3 := r.Teams(ctx, workspaceID)
	rooms, err4 := r.Rooms(ctx, workspaceID)
	sub, err5 := r.Subscription(ctx, workspaceID)
	hasSub := err5 == nil
	if errors.Is(err5, domain.ErrNotFound) {
		err5 = nil
	}
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	v.add("workspace", w.ID, w)
	for _, m := range members {
		v.add("member", m.ID, m)
	}
	for _, role := range roles {
		v.add("role", role.ID, role)
	}
	for _, team := range teams {
		v.add("team", team.ID, team)
	}
	for _, room := range rooms {
		if !room.Private || len(room.MemberIDs) > 0 { // of an empty private room nobody is told
			v.add("room", room.ID, room)
		}
	}
	if hasSub {
		v.add("subscription", sub.ID, sub)
	}
	return nil
}

func (v *AuditView) add(kind, id string, entity any) {
	data, err := json.Marshal(entity)
	if err != nil {
		panic(fmt.Sprintf("%s %s: %v", kind, id, err)) // structs of package domain marshal
	}
	v.Rows[kind+":"+id] = data
}

// WorkspaceIDs lists up to limit workspaces after an id, in order.
func (s *Store) WorkspaceIDs(ctx context.Context, after string, limit int) ([]string, error) {
	return many(ctx, conn{s.read, s.dialect}, scanValue[string], `SELECT id FROM workspaces WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
}
