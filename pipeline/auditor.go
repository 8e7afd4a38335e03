package pipeline

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// MetaAudit marks, in an event's metadata, that the auditor published it.
const MetaAudit = "orbit_audit"

const (
	auditEntries = 5000 // of a log, folded at a time
	auditPage    = 500  // workspaces listed at a time
	auditRest    = 2 * time.Second
	// maxRepairs is how often the same difference is repaired. After that it is
	// only told of: a projector that tells something else won't be changed by
	// asking once more.
	maxRepairs = 3
)

// AuditConfig configures an [Auditor]. Zero values mean the defaults.
type AuditConfig struct {
	// Rate is how many aggregates are looked at per second, on average (default
	// 20). A workspace is looked at as a whole, with a rest to match after it.
	Rate float64
	// Patience is how long an aggregate may differ from what was told of it
	// (default 30 s), not counting the time that its event waits.
	Patience time.Duration
	Logger   *slog.Logger // default slog.Default
}

func (c *AuditConfig) setDefaults() {
	c.Rate = cmp.Or(c.Rate, 20)
	c.Patience = cmp.Or(c.Patience, 30*time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
}

// Auditor is the service that compares what is committed with what tabs were
// told: every field of each workspace, member, role, team, subscription and
// room, with the newest entry about it in the log. It finds what no event tells
// of: a row edited or deleted by hand, whether or not its version was touched, an
// event nobody published, a projector that was silent or told something old.
//
// What differs for longer than its patience is told again: the row's version is
// raised if it has to be, for clients ignore one they have, and a fresh event
// goes through the outbox, marked with [MetaAudit]; for a row that is gone, the
// event of its deletion. What waits in the outbox or in the poison queue is known
// to be old, and is left alone.
//
// Messages and notifications, of which there is no end, are not audited. What
// the log no longer reaches is taken, when a workspace is first looked at, as
// having been told.
type Auditor struct {
	store *store.Store
	owns  func(workspaceID string) bool
	cfg   AuditConfig

	stop    context.CancelFunc // nil before Start
	running sync.WaitGroup
	tales   map[string]*tale // by workspace; the loop's alone

	mu     sync.Mutex
	status domain.AuditStatus
}

// NewAuditor makes one for the workspaces that owns names: those of the lanes
// that this process serves, so that of several nodes one looks at each.
func NewAuditor(s *store.Store, owns func(workspaceID string) bool, cfg AuditConfig) *Auditor {
	cfg.setDefaults()
	return &Auditor{store: s, owns: owns, cfg: cfg, tales: map[string]*tale{}}
}

// Start begins to audit and returns at once.
func (a *Auditor) Start(ctx context.Context) {
	ctx, a.stop = context.WithCancel(context.WithoutCancel(ctx))
	a.running.Go(func() {
		for ctx.Err() == nil {
			if err := a.pass(ctx); err != nil && ctx.Err() == nil {
				a.cfg.Logger.Warn("the audit was interrupted; it begins anew", "error", err)
			}
			rest(ctx, auditRest)
		}
	})
}

// Stop ends the look under way and waits for it. Idempotent.
func (a *Auditor) Stop() {
	if a.stop != nil {
		a.stop()
		a.running.Wait()
	}
}

// Status tells what was found.
func (a *Auditor) Status() domain.AuditStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}

// pass looks at every workspace once.
func (a *Auditor) pass(ctx context.Context) error {
	seen := map[string]bool{}
	for after := ""; ; {
		ids, err := a.store.WorkspaceIDs(ctx, after, auditPage)
		if err != nil {
			return err
		}
		for _, id := range ids {
			after = id
			if !a.owns(id) {
				continue
			}
			seen[id] = true
			n, err := a.look(ctx, id)
			switch {
			case err != nil && (domain.IsTransient(err) || ctx.Err() != nil):
				return err
			case err != nil: // the others are no worse for it
				a.cfg.Logger.Error("a workspace can't be audited", "workspace", id, "error", err)
			}
			rest(ctx, time.Duration(float64(n)/a.cfg.Rate*float64(time.Second)))
		}
		if len(ids) < auditPage {
			break
		}
	}
	for id := range a.tales {
		if !seen[id] { // gone, or another node's now
			delete(a.tales, id)
		}
	}
	a.note(func(s *domain.AuditStatus) { at := domain.At(time.Now()); s.LastPass = &at })
	return nil
}

// look audits one workspace, and returns how many aggregates it has.
func (a *Auditor) look(ctx context.Context, workspaceID string) (int, error) {
	t := a.tales[workspaceID]
	after := int64(0)
	if t != nil {
		after = t.offset
	}
	v, err := a.store.AuditView(ctx, workspaceID, after, auditEntries)
	if errors.Is(err, domain.ErrNotFound) {
		delete(a.tales, workspaceID)
		return 1, nil // it has no log so far, or is gone
	}
	if err != nil {
		return 0, err
	}
	if t == nil || !t.continues(v.Log) {
		t = newTale(v.Log)
		a.tales[workspaceID] = t
		if after != 0 { // what was read follows on something else
			return len(v.Rows), nil
		}
	}
	t.fold(v.Entries)
	if t.offset < v.Log.Head {
		return len(v.Rows), nil // there is more to fold; judged next time
	}
	for _, key := range t.judge(v, time.Now(), a.cfg.Patience) {
		if err := a.repair(ctx, workspaceID, key, t); err != nil {
			return 0, err
		}
	}
	a.note(func(s *domain.AuditStatus) { s.Checked += int64(len(v.Rows)); s.Divergent = a.divergent() })
	return len(v.Rows), nil
}

// divergent counts what differs for too long.
func (a *Auditor) divergent() (n int) {
	for _, t := range a.tales {
		for _, s := range t.suspects {
			if s.repairs > 0 || time.Since(s.since) >= a.cfg.Patience {
				n++
			}
		}
	}
	return n
}

func (a *Auditor) note(change func(*domain.AuditStatus)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.status)
}

// repair tells of an aggregate again.
func (a *Auditor) repair(ctx context.Context, workspaceID, key string, t *tale) error {
	s := t.suspects[key]
	kind, id, _ := strings.Cut(key, ":")
	logger := a.cfg.Logger.With("workspace", workspaceID, "kind", kind, "aggregate", id, "since", s.since)
	if s.repairs >= maxRepairs {
		return nil // it was told of
	}
	row, err := a.store.Retell(ctx, store.Retelling{
		WorkspaceID: workspaceID, Kind: kind, ID: id, Row: s.row, Told: t.told[key],
		Metadata: map[string]string{MetaAudit: "1"},
	})
	switch {
	case errors.Is(err, store.ErrChanged):
		return nil // by somebody else, since we looked: looked at again
	case domain.IsTransient(err) || ctx.Err() != nil:
		return err
	case err != nil:
		s.repairs = maxRepairs
		logger.Error("what is committed differs from what was told, and can't be told", "error", err)
		return nil
	}
	s.row, s.since = row, time.Now()
	s.repairs++
	a.note(func(st *domain.AuditStatus) { st.Repaired++ })
	if s.repairs == maxRepairs {
		logger.Error("what is committed differs from what was told, again and again: its projector tells something else")
	} else {
		logger.Warn("what is committed differed from what was told, and is told again")
	}
	return nil
}

// rest waits about d, give or take a fifth, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	d += time.Duration((rand.Float64() - 0.5) * 0.4 * float64(d))
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
