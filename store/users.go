package store

import (
	"context"
	"strings"
	"time"

	"github.com/orbit/realtime/domain"
)

const userColumns = `SELECT id, email, name FROM users`

func scanUser(scan scanner) (u domain.User, err error) {
	err = scan(&u.ID, &u.Email, &u.Name)
	return u, err
}

func (r reader) User(ctx context.Context, id string) (domain.User, error) {
	return one(ctx, r.conn, "user", scanUser, userColumns+` WHERE id = $1`, id)
}

func (r reader) UserByEmail(ctx context.Context, email string) (domain.User, error) {
	return one(ctx, r.conn, "user", scanUser, userColumns+` WHERE email = $1`, strings.ToLower(email))
}

func (t *unitOfWork) InsertUser(ctx context.Context, u domain.User) error {
	_, err := t.exec(ctx, `INSERT INTO users (id, email, name) VALUES ($1, $2, $3)`, u.ID, strings.ToLower(u.Email), u.Name)
	return err
}

const sessionColumns = `SELECT id, user_id, token_hash, created_at, expires_at FROM sessions`

func scanSession(scan scanner) (s domain.Session, err error) {
	var created, expires int64
	err = scan(&s.ID, &s.UserID, &s.TokenHash, &created, &expires)
	s.CreatedAt, s.ExpiresAt = fromMicros(created), fromMicros(expires)
	return s, err
}

func (r reader) SessionByToken(ctx context.Context, tokenHash []byte) (domain.Session, error) {
	return one(ctx, r.conn, "session", scanSession, sessionColumns+` WHERE token_hash = $1`, tokenHash)
}

func (r reader) Session(ctx context.Context, id string) (domain.Session, error) {
	return one(ctx, r.conn, "session", scanSession, sessionColumns+` WHERE id = $1`, id)
}

func (t *unitOfWork) InsertSession(ctx context.Context, s domain.Session) error {
	_, err := t.exec(ctx, `INSERT INTO sessions (id, user_id, token_hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		s.ID, s.UserID, s.TokenHash, micros(s.CreatedAt), micros(s.ExpiresAt))
	return err
}

func (t *unitOfWork) DeleteSession(ctx context.Context, id string) error {
	return t.remove(ctx, "session", `DELETE FROM sessions WHERE id = $1`, id)
}

// PruneSessions deletes sign-in sessions that expired.
func (s *Store) PruneSessions(ctx context.Context) (int64, error) {
	return s.autocommit().exec(ctx, `DELETE FROM sessions WHERE expires_at <= $1`, micros(time.Now()))
}
