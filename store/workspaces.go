package store

import (
	"context"

	"github.com/orbit/realtime/domain"
)

const workspaceColumns = `SELECT id, version, slug, name FROM workspaces`

func scanWorkspace(scan scanner) (w domain.Workspace, err error) {
	err = scan(&w.ID, &w.Version, &w.Slug, &w.Name)
	return w, err
}

func (r reader) Workspace(ctx context.Context, id string) (domain.Workspace, error) {
	return one(ctx, r.conn, "workspace", scanWorkspace, workspaceColumns+` WHERE id = $1`, id)
}

func (r reader) WorkspaceBySlug(ctx context.Context, slug string) (domain.Workspace, error) {
	return one(ctx, r.conn, "workspace", scanWorkspace, workspaceColumns+` WHERE slug = $1`, slug)
}

func (t *unitOfWork) LockWorkspace(ctx context.Context, id string) (domain.Workspace, error) {
	return one(ctx, t.conn, "workspace", scanWorkspace, workspaceColumns+` WHERE id = $1`+t.d.lockUpdate, id)
}

func (t *unitOfWork) InsertWorkspace(ctx context.Context, w domain.Workspace) error {
	if _, err := t.exec(ctx, `INSERT INTO workspaces (id, version, slug, name) VALUES ($1, $2, $3, $4)`,
		w.ID, w.Version, w.Slug, w.Name); err != nil {
		return err
	}
	_, err := t.exec(ctx, `INSERT INTO logs (workspace_id, epoch, head, floor) VALUES ($1, $2, 0, 0)`, w.ID, domain.NewEpoch())
	return err
}

func (t *unitOfWork) UpdateWorkspace(ctx context.Context, w domain.Workspace) error {
	n, err := t.exec(ctx, `UPDATE workspaces SET version = $1, slug = $3, name = $4 WHERE id = $2 AND version < $1`,
		w.Version, w.ID, w.Slug, w.Name)
	if err != nil || n > 0 {
		return err
	}
	stored, err := t.Workspace(ctx, w.ID)
	if err != nil {
		return err
	}
	return staleVersion("workspace", w.Version, stored.Version)
}

const subscriptionColumns = `SELECT workspace_id, id, version, plan, seats, status, renews_at FROM subscriptions`

func scanSubscription(scan scanner) (s domain.Subscription, err error) {
	var renews int64
	err = scan(&s.WorkspaceID, &s.ID, &s.Version, &s.Plan, &s.Seats, &s.Status, &renews)
	s.RenewsAt = domainTime(renews)
	return s, err
}

func (r reader) Subscription(ctx context.Context, workspaceID string) (domain.Subscription, error) {
	return one(ctx, r.conn, "subscription", scanSubscription, subscriptionColumns+` WHERE workspace_id = $1`, workspaceID)
}

func (t *unitOfWork) InsertSubscription(ctx context.Context, s domain.Subscription) error {
	_, err := t.exec(ctx, `INSERT INTO subscriptions (workspace_id, id, version, plan, seats, status, renews_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, s.WorkspaceID, s.ID, s.Version, s.Plan, s.Seats, s.Status, micros(s.RenewsAt.Time))
	return err
}

func (t *unitOfWork) UpdateSubscription(ctx context.Context, s domain.Subscription) error {
	return t.update(ctx, "subscriptions", "subscription", `UPDATE subscriptions
		SET version = $1, plan = $4, seats = $5, status = $6, renews_at = $7
		WHERE workspace_id = $2 AND id = $3 AND version < $1`,
		s.Version, s.WorkspaceID, s.ID, s.Plan, s.Seats, s.Status, micros(s.RenewsAt.Time))
}

// WorkspacesOfUser lists the workspaces that the user is a member of, by slug.
func (s *Store) WorkspacesOfUser(ctx context.Context, userID string) ([]domain.Workspace, error) {
	return many(ctx, conn{s.read, s.dialect}, scanWorkspace, workspaceColumns+`
		WHERE id IN (SELECT workspace_id FROM members WHERE user_id = $1) ORDER BY slug`, userID)
}
