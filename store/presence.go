package store

import (
	"context"

	"github.com/orbit/realtime/domain"
)

// SavePresence records who came online and who went offline. Workspaces that
// don't exist anymore are left out.
func (s *Store) SavePresence(ctx context.Context, flips []domain.Presence) error {
	var on, off [][]string
	for _, f := range flips {
		row := []string{f.WorkspaceID, f.MemberID}
		if f.Online {
			on = append(on, row)
		} else {
			off = append(off, row)
		}
	}
	return s.inTx(ctx, func(c conn) error {
		if len(on) > 0 {
			if _, err := c.exec(ctx, `INSERT INTO presence (workspace_id, member_id)
				SELECT w.id, r.member_id FROM (SELECT value->>0 AS workspace_id, value->>1 AS member_id FROM `+c.d.rows+`) r
				JOIN workspaces w ON w.id = r.workspace_id WHERE true
				ON CONFLICT DO NOTHING`, toJSON(on)); err != nil {
				return err
			}
		}
		if len(off) > 0 {
			if _, err := c.exec(ctx, `DELETE FROM presence WHERE (workspace_id, member_id) IN
				(SELECT value->>0, value->>1 FROM `+c.d.rows+`)`, toJSON(off)); err != nil {
				return err
			}
		}
		return nil
	})
}

// OnlineMembers returns the members recorded as online, those who are members
// no more left out.
func (s *Store) OnlineMembers(ctx context.Context) ([]domain.Presence, error) {
	return many(ctx, conn{s.read, s.dialect}, func(scan scanner) (p domain.Presence, err error) {
		p.Online = true
		err = scan(&p.WorkspaceID, &p.MemberID)
		return p, err
	}, `SELECT p.workspace_id, p.member_id FROM presence p
		JOIN members m ON m.workspace_id = p.workspace_id AND m.id = p.member_id
		ORDER BY p.workspace_id, p.member_id`)
}
