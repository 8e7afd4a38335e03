package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/orbit/realtime/domain"
)

// Outcomes of an act, as the audit names them.
const (
	auditDone    = "done"
	auditRefused = "refused"
)

// act carries out what an operator asks for, in one transaction with its audit
// entry. When it is refused, the refusal is audited, in a transaction of its own.
//
// request names all that was asked for. Under an idempotency key the same
// request is carried out once: the second time do is not run, and the answer is
// the first one's. do returns the answer, and what the audit shall say of it.
func (s *Store) act(ctx context.Context, by domain.Act, action, target string, request any, do func(conn) (answer, detail string, err error)) (answer string, err error) {
	if err := checkAct(by); err != nil {
		return "", err
	}
	now := time.Now()
	err = s.inTx(ctx, func(c conn) error {
		known, again, err := remember(ctx, c, by, hash(action, target, request), now)
		if err != nil || again {
			answer = known
			return err
		}
		var detail string
		if answer, detail, err = do(c); err != nil {
			return err
		}
		if by.IdempotencyKey != "" {
			if _, err := c.exec(ctx, `UPDATE idempotency_keys SET answer = $3 WHERE operator = $1 AND key = $2`,
				by.Operator, by.IdempotencyKey, answer); err != nil {
				return err
			}
		}
		return record(ctx, c, entryOf(by, action, cmp.Or(target, answer), auditDone, detail), now)
	})
	if err == nil {
		return answer, nil
	}
	if refusal(err) {
		err = errors.Join(err, record(ctx, s.autocommit(), entryOf(by, action, target, auditRefused, err.Error()), now))
	}
	return "", err
}

// refusal tells an act that may not be from one that could not be now.
func refusal(err error) bool {
	switch domain.CodeOf(err) {
	case domain.CodeNotFound, domain.CodeConflict, domain.CodeInvalid:
		return !domain.IsTransient(err)
	}
	return false
}

func checkAct(by domain.Act) error {
	if by.Operator == "" {
		return domain.InvalidField("operator", "an act needs somebody who does it")
	}
	if len(by.Reason) > maxReason {
		return domain.InvalidField("reason", "a reason has at most %d bytes", maxReason)
	}
	if len(by.IdempotencyKey) > 128 {
		return domain.InvalidField("idempotencyKey", "an idempotency key has 1 to 128 characters")
	}
	for _, r := range by.IdempotencyKey {
		if r < '!' || r > '~' {
			return domain.InvalidField("idempotencyKey", "an idempotency key is of printable ASCII characters")
		}
	}
	return nil
}

// maxReason bounds Act.Reason, in bytes: a thousand characters of any script.
const maxReason = 4000

// remember claims an idempotency key for a request. again: it was carried out
// before, with that answer. Somebody who is carrying it out now is waited for.
func remember(ctx context.Context, c conn, by domain.Act, request string, now time.Time) (answer string, again bool, err error) {
	if by.IdempotencyKey == "" {
		return "", false, nil
	}
	claimed, err := c.exec(ctx, `INSERT INTO idempotency_keys (operator, key, request, answer, at) VALUES ($1, $2, $3, '', $4)
		ON CONFLICT (operator, key) DO NOTHING`, by.Operator, by.IdempotencyKey, request, micros(now))
	if err != nil || claimed > 0 {
		return "", false, err
	}
	type earlier struct{ request, answer string }
	was, err := one(ctx, c, "idempotency key", func(scan scanner) (e earlier, err error) {
		err = scan(&e.request, &e.answer)
		return e, err
	}, `SELECT request, answer FROM idempotency_keys WHERE operator = $1 AND key = $2`, by.Operator, by.IdempotencyKey)
	if err != nil {
		return "", false, err
	}
	if was.request != request {
		e := domain.Errorf(domain.CodeConflict, "the idempotency key was used for another request")
		e.Field = "idempotencyKey"
		return "", false, e
	}
	return was.answer, true, nil
}

func hash(parts ...any) string {
	sum := sha256.Sum256([]byte(toJSON(parts)))
	return hex.EncodeToString(sum[:])
}

func entryOf(by domain.Act, action, target, outcome, detail string) domain.AuditEntry {
	return domain.AuditEntry{
		Operator: by.Operator, Role: by.Role, Via: by.Via, Action: action, Target: target,
		Outcome: outcome, Reason: by.Reason, Detail: detail,
	}
}

// record writes an audit entry. One without a time is of now.
func record(ctx context.Context, c conn, e domain.AuditEntry, now time.Time) error {
	if !e.At.IsZero() {
		now = e.At.Time
	}
	_, err := c.exec(ctx, `INSERT INTO audit (at, operator, role, via, action, target, outcome, reason, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		micros(now), e.Operator, e.Role, e.Via, e.Action, e.Target, e.Outcome, e.Reason, e.Detail)
	return err
}

// RecordAct writes an audit entry by itself: sign-ins, denials, and acts on what
// isn't in the database. ID is given by the database; At is now if it is zero.
func (s *Store) RecordAct(ctx context.Context, e domain.AuditEntry) error {
	return record(ctx, s.autocommit(), e, time.Now())
}

// Audit lists acts, newest first, and returns the cursor of the next page, "" at
// the end.
func (s *Store) Audit(ctx context.Context, f domain.AuditFilter, p domain.Page) ([]domain.AuditEntry, string, error) {
	limit, err := limitOf(p)
	if err != nil {
		return nil, "", err
	}
	w := &conditions{}
	for _, equal := range []struct{ column, value string }{
		{"operator", f.Operator}, {"action", f.Action}, {"target", f.Target}, {"outcome", f.Outcome},
	} {
		if equal.value != "" {
			w.add(equal.column+" = ?", equal.value)
		}
	}
	if f.Since != nil {
		w.add("at >= ?", micros(*f.Since))
	}
	if f.Until != nil {
		w.add("at < ?", micros(*f.Until))
	}
	if p.After != "" {
		var id int64
		if err := readCursor(p.After, &id); err != nil {
			return nil, "", err
		}
		w.add("id < ?", id)
	}
	all, err := many(ctx, conn{s.read, s.dialect}, func(scan scanner) (e domain.AuditEntry, err error) {
		var at int64
		err = scan(&e.ID, &at, &e.Operator, &e.Role, &e.Via, &e.Action, &e.Target, &e.Outcome, &e.Reason, &e.Detail)
		e.At = domainTime(at)
		return e, err
	}, `SELECT id, at, operator, role, via, action, target, outcome, reason, detail FROM audit`+w.String()+`
		ORDER BY id DESC LIMIT `+w.arg(limit+1), w.args...)
	if err != nil {
		return nil, "", err
	}
	all, next := paged(all, limit, func(last domain.AuditEntry) string { return cursor(last.ID) })
	return all, next, nil
}
