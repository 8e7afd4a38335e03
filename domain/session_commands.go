package domain

import (
	"context"
	"errors"
	"time"
)

// SessionLifetime is how long a sign-in lasts.
const SessionLifetime = 30 * 24 * time.Hour

// SignIn starts a session for the user with that e-mail. It trusts its caller
// to have verified who is there. tokenHash is the SHA-256 of the cookie's
// token. Errors: CodeUnauthenticated (no such user).
func (c Commands) SignIn(ctx context.Context, email string, tokenHash []byte) (Session, error) {
	email, err := cleanEmail(email)
	if err != nil {
		return Session{}, err
	}
	var session Session
	err = c.UoW.Write(ctx, func(tx Tx) error {
		user, err := tx.UserByEmail(ctx, email)
		if errors.Is(err, ErrNotFound) {
			return Errorf(CodeUnauthenticated, "no such user")
		}
		if err != nil {
			return err
		}
		now := c.now()
		session = Session{
			ID: NewID("ses"), UserID: user.ID, TokenHash: tokenHash,
			CreatedAt: now.Time, ExpiresAt: now.Add(SessionLifetime),
		}
		return tx.InsertSession(ctx, session)
	})
	return session, err
}

// SignOut ends a session; one that has ended already stays so.
func (c Commands) SignOut(ctx context.Context, sessionID string) error {
	err := c.UoW.Write(ctx, func(tx Tx) error { return tx.DeleteSession(ctx, sessionID) })
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
