package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// Kinds of alerts.
const (
	AlertNewGroup   = "new_group"  // events fail in a way nobody has seen before
	AlertRegression = "regression" // in one that had been mended, or dropped
	AlertAge        = "age"        // the oldest open poison message is too old
	AlertLagging    = "lagging"    // the verdict, for too long
	AlertStalled    = "stalled"    // likewise
	AlertDatabase   = "database"   // the database is away, as this node sees it
	AlertRecovered  = store.AlertRecovered
)

const (
	alertInterval = 5 * time.Second
	// alertLease is how long a node has to tell what it claimed.
	alertLease = time.Minute
	// alertBurst bounds what is told in one round, and the new groups that are
	// told one by one: a bad deploy can make hundreds at once.
	alertBurst = 10
	// alertAttempts bounds the tries to tell of one alert: about an hour.
	alertAttempts = 12
)

// AlertBook is where alerts are raised and claimed. Package store implements it.
type AlertBook interface {
	PoisonGroups(ctx context.Context, f domain.PoisonFilter, p domain.Page) ([]domain.PoisonGroup, string, error)
	RaiseAlert(ctx context.Context, name, first, again string, body any, silent bool) (bool, error)
	CloseAlert(ctx context.Context, name string, tell bool) error
	RaisedAlerts(ctx context.Context) ([]string, error)
	ClaimAlerts(ctx context.Context, lease time.Duration, limit int) ([]store.Alert, error)
	AlertTold(ctx context.Context, a store.Alert) error
	RetryAlert(ctx context.Context, a store.Alert, after time.Duration) error
}

// AlertsConfig configures [Alerts]. Zero durations mean the defaults.
type AlertsConfig struct {
	Webhook     string // "" turns alerts off
	Secret      string // key of the signature; "" for none
	Node, Build string
	After       time.Duration // how long lagging or stalled must last (default 1 min; negative: at once)
	Age         time.Duration // of the oldest open poison message (default 1 h)
	Logger      *slog.Logger  // default slog.Default
}

// Alerts watches for what an operator should be woken for, and posts it to a
// webhook: per group of failures and per condition, never per message. Of many
// nodes one tells, and each alert is told again until somebody takes it or an
// hour is over.
type Alerts struct {
	book    AlertBook
	monitor *Monitor
	hook    webhook
	cfg     AlertsConfig

	stop    context.CancelFunc // nil before Start
	running sync.WaitGroup

	// The loop's own.
	since map[string]time.Time // since when a verdict's state has been the case
	away  *store.Alert         // the database is away, told by this node alone
}

// AlertBody is what an alert says beside its envelope.
type AlertBody struct {
	Title string              `json:"title"`
	Why   []string            `json:"why,omitempty"`
	Group *domain.PoisonGroup `json:"group,omitempty"`
}

// NewAlerts makes the service; without a webhook it does nothing.
func NewAlerts(book AlertBook, monitor *Monitor, cfg AlertsConfig) *Alerts {
	cfg.After = cmp.Or(cfg.After, time.Minute)
	cfg.Age = cmp.Or(cfg.Age, time.Hour)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	return &Alerts{
		book: book, monitor: monitor, cfg: cfg, since: map[string]time.Time{},
		hook: newWebhook(cfg.Webhook, cfg.Secret, cfg.Node, cfg.Build),
	}
}

// Start begins to watch and returns at once.
func (a *Alerts) Start(ctx context.Context) {
	if a.cfg.Webhook == "" {
		return
	}
	ctx, a.stop = context.WithCancel(context.WithoutCancel(ctx))
	a.running.Go(func() {
		tick := time.NewTicker(alertInterval)
		defer tick.Stop()
		for {
			a.round(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// Stop ends the round under way and waits for it. What is not told yet is told
// by another node, or after the start. Idempotent.
func (a *Alerts) Stop() {
	if a.stop != nil {
		a.stop()
		a.running.Wait()
	}
}

// round looks what is the case, and tells what there is to tell.
func (a *Alerts) round(ctx context.Context) {
	l := a.monitor.refresh(ctx, freshFor)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	verdict := l.verdict(a.monitor.cfg, now)
	if l.err != nil {
		a.databaseAway(ctx, now, verdict)
		return // there is nowhere to raise anything
	}
	if err := a.databaseBack(ctx, now); err != nil {
		a.cfg.Logger.Warn("an alert could not be told", "alert", AlertDatabase, "error", err)
	}
	if err := a.detect(ctx, now, l, verdict); err != nil && ctx.Err() == nil {
		a.cfg.Logger.Warn("alerts can't be looked for; the next round tries again", "error", err)
	}
	if err := a.tell(ctx); err != nil && ctx.Err() == nil {
		a.cfg.Logger.Warn("alerts can't be claimed; the next round tries again", "error", err)
	}
}

// detect raises what is the case, and closes what is not anymore.
func (a *Alerts) detect(ctx context.Context, now time.Time, l look, v domain.Verdict) error {
	raised, err := a.book.RaisedAlerts(ctx)
	if err != nil {
		return err
	}
	open := map[string]bool{}
	for _, name := range raised {
		open[name] = true
	}
	stalled, lagging := v.State == stateStalled, v.State == stateLagging
	if err := a.condition(ctx, open, AlertStalled, a.lasts(AlertStalled, stalled, now), !stalled, "Orbit stalls", v.Why); err != nil {
		return err
	}
	// Lagging is over when all is well, not when it gets worse.
	if err := a.condition(ctx, open, AlertLagging, a.lasts(AlertLagging, lagging, now), !stalled && !lagging, "Orbit lags behind", v.Why); err != nil {
		return err
	}
	oldest := l.health.Poison.OldestOpen
	old := !oldest.IsZero() && now.Sub(oldest) > a.cfg.Age
	if err := a.condition(ctx, open, AlertAge, old, !old,
		fmt.Sprintf("A poison message has been open for more than %s", round(a.cfg.Age)), v.Why); err != nil {
		return err
	}
	return a.groups(ctx, open)
}

// lasts reports whether something has been the case for long enough.
func (a *Alerts) lasts(what string, is bool, now time.Time) bool {
	if !is {
		delete(a.since, what)
		return false
	}
	if _, known := a.since[what]; !known {
		a.since[what] = now
	}
	return now.Sub(a.since[what]) >= a.cfg.After
}

func (a *Alerts) condition(ctx context.Context, open map[string]bool, kind string, raise, over bool, title string, why []string) error {
	name := "condition/" + kind
	switch {
	case raise && !open[name]:
		_, err := a.book.RaiseAlert(ctx, name, kind, kind, AlertBody{Title: title, Why: why}, false)
		return err
	case over && open[name]:
		return a.book.CloseAlert(ctx, name, true)
	}
	return nil
}

const groupPrefix = "group/"

// groups raises an alert for each group of failures that somebody must look at,
// and closes those that nobody must anymore: what comes then is a regression.
func (a *Alerts) groups(ctx context.Context, open map[string]bool) error {
	current, err := a.openGroups(ctx)
	if err != nil {
		return err
	}
	told, more := 0, 0
	for i := range current {
		g := &current[i]
		name := groupPrefix + g.Fingerprint
		if open[name] {
			delete(open, name)
			continue
		}
		if g.Counts[domain.PoisonOpen] == 0 {
			continue // requeued, and not raised: wait how it ends
		}
		silent := told >= alertBurst
		raised, err := a.book.RaiseAlert(ctx, name, AlertNewGroup, AlertRegression, groupBody(g), silent)
		switch {
		case err != nil:
			return err
		case raised && silent:
			more++
		case raised:
			told++
		}
	}
	for name := range open {
		if strings.HasPrefix(name, groupPrefix) {
			if err := a.book.CloseAlert(ctx, name, false); err != nil {
				return err
			}
		}
	}
	if more == 0 {
		return nil
	}
	// Its name has the time in it: it is no condition that lasts.
	name := "groups/" + time.Now().UTC().Format(time.RFC3339Nano)
	body := AlertBody{Title: fmt.Sprintf("And %s of failures beside the %d told one by one", plural(int64(more), "more new group"), alertBurst)}
	if _, err := a.book.RaiseAlert(ctx, name, AlertNewGroup, AlertNewGroup, body, false); err != nil {
		return err
	}
	return nil
}

func (a *Alerts) openGroups(ctx context.Context) ([]domain.PoisonGroup, error) {
	if n := a.monitor.openPoison(); n == 0 {
		return nil, nil
	}
	var all []domain.PoisonGroup
	filter := domain.PoisonFilter{States: []domain.PoisonState{domain.PoisonOpen, domain.PoisonRequeued}}
	for page := (domain.Page{Limit: 1000}); ; {
		groups, next, err := a.book.PoisonGroups(ctx, filter, page)
		if err != nil {
			return nil, err
		}
		all = append(all, groups...)
		if next == "" {
			return all, nil
		}
		page.After = next
	}
}

// groupBody tells of a group. Who reads the webhook's channel may not be who may
// read errors: their words are masked, as for the fingerprint.
func groupBody(of *domain.PoisonGroup) AlertBody {
	masked := *of
	masked.Error = domain.Mask(of.Error)
	for _, text := range []*string{&masked.Error, &masked.Where, &masked.ErrorClass, &masked.Projector} {
		*text = printable(*text)
	}
	g := &masked
	build := ""
	if len(g.Builds) > 0 {
		build = ", build " + g.Builds[0]
	}
	return AlertBody{
		Title: fmt.Sprintf("%s fails: %s", g.Projector, g.Error), Group: g,
		Why: []string{fmt.Sprintf("%s in %s%s; at %s", plural(int64(g.Counts[domain.PoisonOpen]), "open message"),
			plural(int64(g.Workspaces), "workspace"), build, g.Where)},
	}
}

// printable leaves out what steers a terminal, or turns the direction of a text:
// what failed may have come from anywhere.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}

// tell posts what is pending.
func (a *Alerts) tell(ctx context.Context) error {
	claimed, err := a.book.ClaimAlerts(ctx, alertLease, alertBurst)
	if err != nil {
		return err
	}
	for _, alert := range claimed {
		switch err := a.hook.post(ctx, alert); {
		case ctx.Err() != nil:
			return nil // the lease ends, and somebody else tells it
		case err == nil:
			a.count(alert, "sent")
		case permanent(err) || alert.Attempts >= alertAttempts:
			a.count(alert, "failed")
			a.cfg.Logger.Error("an alert is given up", "alert", alert.Name, "attempts", alert.Attempts, "error", err)
		default:
			a.count(alert, "retried")
			a.cfg.Logger.Warn("an alert could not be told; it is tried again", "alert", alert.Name, "attempt", alert.Attempts, "error", err)
			if err := a.book.RetryAlert(ctx, alert, alertBackoff(alert.Attempts)); err != nil {
				return err
			}
			continue
		}
		if err := a.book.AlertTold(ctx, alert); err != nil {
			return err
		}
		if strings.HasPrefix(alert.Name, "groups/") {
			if err := a.book.CloseAlert(ctx, alert.Name, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// alertBackoff is 5 s, doubled with each attempt, 10 min at most.
func alertBackoff(attempts int) time.Duration {
	return min(5*time.Second<<min(attempts-1, 10), 10*time.Minute)
}

func (a *Alerts) count(alert store.Alert, outcome string) {
	a.monitor.meters.alerts.WithLabelValues(alert.Pending, outcome).Inc()
}

// databaseAway tells of an outage. Nobody can be asked whether somebody else
// has: each node tells its own, once.
func (a *Alerts) databaseAway(ctx context.Context, now time.Time, v domain.Verdict) {
	if !a.lasts(AlertDatabase, true, now) || a.away != nil {
		return
	}
	alert := newLocalAlert(AlertDatabase, now, AlertBody{Title: "The database is away, as " + a.cfg.Node + " sees it", Why: v.Why})
	if err := a.hook.post(ctx, alert); err != nil {
		a.cfg.Logger.Warn("an alert could not be told; the next round tries again", "alert", alert.Name, "error", err)
		a.count(alert, "retried")
		return
	}
	a.count(alert, "sent")
	a.away = &alert
}

func (a *Alerts) databaseBack(ctx context.Context, now time.Time) error {
	a.lasts(AlertDatabase, false, now)
	if a.away == nil {
		return nil
	}
	alert := *a.away
	alert.Pending = AlertRecovered
	if err := a.hook.post(ctx, alert); err != nil {
		return err // the next round tries again
	}
	a.count(alert, "sent")
	a.away = nil
	return nil
}
