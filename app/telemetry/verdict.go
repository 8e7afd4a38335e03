package telemetry

import (
	"fmt"
	"time"

	"github.com/orbit/realtime/domain"
)

// The states of a verdict, worst first.
const (
	stateStalled  = "stalled"
	stateLagging  = "lagging"
	statePoisoned = "poisoned"
	stateHealthy  = "healthy"
)

// verdict is the one line: the worst that is the case, and everything that is.
func (l look) verdict(cfg MonitorConfig, now time.Time) domain.Verdict {
	v := domain.Verdict{State: stateHealthy, Why: []string{}}
	say := func(state, format string, args ...any) {
		if v.State == stateHealthy {
			v.State = state
		}
		v.Why = append(v.Why, fmt.Sprintf(format, args...))
	}
	if l.err != nil {
		say(stateStalled, "the database doesn't answer%s: %s", lastSeen(l.at, now), l.err)
	}
	lanes := l.lanes
	if l.err != nil {
		lanes = nil // what they looked like before tells nothing more
	}
	stuck := false
	for _, lane := range lanes {
		if why := lane.stalled(cfg, now); why != "" {
			say(stateStalled, "lane %d: %s", lane.Lane, why)
			stuck = true
		}
	}
	for _, lane := range lanes {
		if age := lane.age(now); age > cfg.LagLimit && lane.stalled(cfg, now) == "" {
			say(stateLagging, "lane %d is behind: %s %s, the oldest for %s",
				lane.Lane, plural(lane.Pending, "event"), wait(lane.Pending), round(age))
			stuck = true
		}
	}
	if stuck {
		for _, b := range l.blocked {
			say(stateLagging, "%s", b.describe(now))
		}
	}
	if n := l.health.Poison.Counts[domain.PoisonOpen]; n > 0 {
		say(statePoisoned, "%s in the poison queue, the oldest for %s",
			plural(int64(n), "open message"), round(now.Sub(l.health.Poison.OldestOpen)))
	}
	return v
}

// stalled tells why the lane moves nothing, or "".
func (l laneLook) stalled(cfg MonitorConfig, now time.Time) string {
	events := ""
	if l.Pending > 0 {
		events = fmt.Sprintf("; %s %s", plural(l.Pending, "event"), wait(l.Pending))
	}
	if idle := now.Sub(l.heldAt); !l.held && idle > cfg.StallLimit {
		return fmt.Sprintf("no node has held it for %s%s", round(idle), events)
	}
	if still := now.Sub(l.oldestFor); l.Pending > 0 && still > cfg.StallLimit {
		why := fmt.Sprintf("nothing has moved for %s%s", round(still), events)
		if l.status.LastError != "" {
			why += "; it waits because of: " + l.status.LastError
		}
		return why
	}
	return ""
}

// describe names the backend, for somebody who may have to end it.
func (b blocker) describe(now time.Time) string {
	name := b.Application
	if name == "" {
		name = "unnamed"
	}
	return fmt.Sprintf("database backend %d (%s, user %s) blocks %s of ours: %s for %s, in a transaction %s old; its statement: %s",
		b.PID, name, b.User, plural(int64(b.Waiting), "connection"), b.State, round(now.Sub(b.StateSince)), round(now.Sub(b.Since)), b.Query)
}

func lastSeen(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	return " (last answer " + round(now.Sub(at)) + " ago)"
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func wait(n int64) string {
	if n == 1 {
		return "waits"
	}
	return "wait"
}

// round writes a duration as people say it.
func round(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Minute).String()
}
