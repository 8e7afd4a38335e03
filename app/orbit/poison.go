package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/orbit/realtime/domain"
	ops "github.com/orbit/realtime/transport/console"
)

type poisonCmd struct {
	List    poisonListCmd    `cmd:"" help:"List poison messages, newest first."`
	Groups  poisonGroupsCmd  `cmd:"" help:"List groups of messages that failed in the same way."`
	Show    poisonShowCmd    `cmd:"" help:"Show one with its payload, error chain, stack and attempts."`
	Preview poisonPreviewCmd `cmd:"" help:"Run the projector for a look: what a requeue would send, to whom; or the error."`
	Requeue poisonRequeueCmd `cmd:"" help:"Send open messages back to the projector that failed."`
	Discard poisonDiscardCmd `cmd:"" help:"Drop open messages, with a reason."`
	Restore poisonRestoreCmd `cmd:"" help:"Open discarded messages again."`
	Stats   poisonStatsCmd   `cmd:"" help:"Count messages by state; with thresholds, for monitoring."`
	Export  poisonExportCmd  `cmd:"" help:"Print a redacted fixture of one, to take home."`
	Replay  poisonReplayCmd  `cmd:"" help:"Run this build's projector on a fixture; print a Go test to keep."`
	Watch   poisonWatchCmd   `cmd:"" help:"Print what changes in the queue, until interrupted."`
}

// poisonFilter selects messages.
type poisonFilter struct {
	State     []string `group:"Filter" placeholder:"STATE" enum:"open,requeued,healed,superseded,discarded,all" help:"open, requeued, healed, superseded, discarded or all; several with commas."`
	Group     string   `group:"Filter" placeholder:"FINGERPRINT" help:"Only this group."`
	Workspace string   `group:"Filter" help:"Only this workspace, by slug or id."`
	Aggregate string   `group:"Filter" help:"Only what is about this aggregate (id)."`
	Type      string   `group:"Filter" help:"Only this domain event type."`
	Projector string   `group:"Filter" help:"Only what this projector failed on."`
	Search    string   `group:"Filter" help:"Only with this text in the error or an id."`
	Since     string   `group:"Filter" placeholder:"WHEN" help:"Poisoned since: a time such as 2026-01-02T15:04:05Z, or how long ago, such as 24h."`
	Until     string   `group:"Filter" placeholder:"WHEN" help:"Poisoned before."`
}

// query is the filter as the API's parameters; state without one of its own.
func (f poisonFilter) query(state string) url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"fingerprint": f.Group, "workspace": f.Workspace, "aggregate": f.Aggregate, "type": f.Type,
		"projector": f.Projector, "q": f.Search, "since": f.Since, "until": f.Until,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if q["state"] = f.State; len(f.State) == 0 {
		q.Set("state", state)
	}
	return q
}

// any reports whether it selects less than everything.
func (f poisonFilter) any() bool {
	return len(f.State) > 0 || f.Group+f.Workspace+f.Aggregate+f.Type+f.Projector+f.Search+f.Since+f.Until != ""
}

// paging is what lists have.
type paging struct {
	Limit int    `default:"100" help:"At most this many, 1 to 1000."`
	After string `placeholder:"CURSOR" help:"Continue after the page before, whose end told this cursor."`
	All   bool   `help:"Every page."`
}

func (p paging) Validate() error {
	if p.Limit < 1 || p.Limit > 1000 {
		return fmt.Errorf("--limit is 1 to 1000")
	}
	return nil
}

// pages calls fn for each page of a list.
func pages[T any](ctx context.Context, c *adminClient, p paging, path string, q url.Values, fn func([]T) error) (next string, err error) {
	q.Set("limit", strconv.Itoa(p.Limit))
	for after := p.After; ; {
		if after != "" {
			q.Set("after", after)
		}
		var list ops.List[T]
		if err := c.get(ctx, path, q, &list); err != nil {
			return "", err
		}
		if err := fn(list.Items); err != nil {
			return "", err
		}
		if list.Next == "" || !p.All {
			return list.Next, nil
		}
		after = list.Next
	}
}

// printList prints every item of a list: as JSON lines, or as a table.
func printList[T any](ctx context.Context, con console, a adminAPI, p paging, path string, q url.Values, head []string, none string, row func(T) []string) error {
	return a.with(ctx, func(c *adminClient) error {
		rows := [][]string{head}
		next, err := pages(ctx, c, p, path, q, func(items []T) error {
			for _, item := range items {
				if a.JSON {
					if err := con.printJSON(item); err != nil {
						return err
					}
				} else {
					rows = append(rows, row(item))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if !a.JSON && len(rows) == 1 {
			fmt.Fprintln(con.out, none)
			return nil
		}
		if !a.JSON {
			if err := con.table(rows); err != nil {
				return err
			}
		}
		if next != "" {
			fmt.Fprintf(con.err, "There is more: --after %s, or --all\n", next)
		}
		return nil
	})
}

type poisonListCmd struct {
	adminAPI
	poisonFilter
	paging
}

func (c poisonListCmd) Run(ctx context.Context, con console) error {
	q := c.query("open")
	if c.JSON {
		q.Set("detail", "true")
	}
	return printList(ctx, con, c.adminAPI, c.paging, "/poison/messages", q,
		[]string{"ID", "STATE", "PROJECTOR", "WORKSPACE", "TRIES", "AGE", "ERROR"}, "No poison messages.", func(m ops.Message) []string {
			return []string{m.ID, string(m.State), printable(m.Projector, 40), printable(m.WorkspaceID, 40), strconv.Itoa(m.Tries), aged(m.PoisonedAt.Time), printable(m.Error, 60)}
		})
}

type poisonGroupsCmd struct {
	adminAPI
	poisonFilter
	paging
}

func (c poisonGroupsCmd) Run(ctx context.Context, con console) error {
	return printList(ctx, con, c.adminAPI, c.paging, "/poison/groups", c.query("all"),
		[]string{"GROUP", "OPEN", "OTHER", "WORKSPACES", "OLDEST OPEN", "LAST", "PROJECTOR", "CLASS", "ERROR"}, "No groups.", func(g domain.PoisonGroup) []string {
			open, all, oldest := g.Counts[domain.PoisonOpen], 0, "-"
			for _, n := range g.Counts {
				all += n
			}
			if g.OldestOpen != nil {
				oldest = aged(g.OldestOpen.Time)
			}
			return []string{g.Fingerprint, strconv.Itoa(open), strconv.Itoa(all - open), strconv.Itoa(g.Workspaces), oldest, aged(g.LastSeen.Time), printable(g.Projector, 40), printable(g.ErrorClass, 30), printable(g.Error, 60)}
		})
}

type poisonShowCmd struct {
	adminAPI
	ID string `arg:"" help:"Id of the poison message."`
}

func (c poisonShowCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(api *adminClient) error {
		var m ops.Message
		if err := api.get(ctx, "/poison/messages/"+url.PathEscape(c.ID), nil, &m); err != nil {
			return err
		}
		if c.JSON {
			return con.printJSON(m)
		}
		return con.printMessage(m)
	})
}

func (con console) printMessage(m ops.Message) error {
	err := con.facts([][2]string{
		{"id", m.ID}, {"state", string(m.State)}, {"group", m.Fingerprint}, {"event", printable(m.EventID, 80)}, {"type", printable(string(m.Type), 80)},
		{"workspace", printable(m.WorkspaceID, 80)}, {"aggregate", printable(m.AggregateID, 80)},
		{"published", m.PublishedAt.Format(domain.TimeFormat)}, {"poisoned", m.PoisonedAt.Format(domain.TimeFormat)},
		{"projector", printable(m.Projector, 80)}, {"class", printable(m.ErrorClass, 80)}, {"where", printable(m.Where, 200)},
		{"build", printable(m.Build, 80)}, {"node", printable(m.Node, 80)}, {"version", strconv.FormatInt(m.Version, 10)},
		{"requeues", strconv.Itoa(m.Requeues)}, {"reason", printable(m.Reason, 400)},
	})
	if err != nil {
		return err
	}
	con.block("payload", indented(m.Payload))
	metadata, err := json.MarshalIndent(m.Metadata, "", "  ")
	if err != nil {
		return err
	}
	con.block("metadata", string(metadata))
	fmt.Fprintln(con.out, "\nerror")
	for _, line := range m.ErrorChain {
		fmt.Fprintf(con.out, "  %s\n", printable(line, 2000))
	}
	fmt.Fprintln(con.out, "\nattempts")
	for i, a := range m.Attempts {
		fmt.Fprintf(con.out, "  %d  %s  %.1f ms  %s\n", i+1, a.At.UTC().Format(domain.TimeFormat), a.DurationMS, printable(a.Error, 200))
	}
	if m.Stack != "" {
		con.block("stack", m.Stack)
	}
	if m.Redacted {
		fmt.Fprintln(con.err, "Values are masked: the token is a viewer's.")
	}
	return nil
}

type poisonPreviewCmd struct {
	adminAPI
	ID string `arg:"" help:"Id of the poison message."`
}

func (c poisonPreviewCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(api *adminClient) error {
		var p domain.PoisonSample
		if err := api.get(ctx, "/poison/messages/"+url.PathEscape(c.ID)+"/preview", nil, &p); err != nil {
			return err
		}
		if c.JSON {
			return con.printJSON(p)
		}
		if p.Superseded {
			fmt.Fprintln(con.out, "A later event of this aggregate was projected: tabs have this or newer.")
		}
		switch {
		case p.Error != "":
			fmt.Fprintf(con.out, "It would fail again (%s): %s\n", printable(p.ErrorClass, 60), printable(p.Error, 2000))
		case len(p.Events) == 0:
			fmt.Fprintln(con.out, "It would work, and send nothing.")
		}
		for _, ev := range p.Events {
			fmt.Fprintf(con.out, "%s to %s: %s\n", printable(string(ev.Type), 60), printable(string(ev.Channel), 100), audience(ev.Sessions))
			con.block("data", indented(ev.Data))
		}
		return nil
	})
}

func audience(sessions map[string]int) string {
	if len(sessions) == 0 {
		return "no session on it, as far as this node knows"
	}
	text := ""
	for _, transport := range sortedKeys(sessions) {
		text += fmt.Sprintf("%d %s ", sessions[transport], transport)
	}
	return text + "session(s) of this node"
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

type poisonStatsCmd struct {
	adminAPI
	poisonFilter
	MaxOpen int           `default:"-1" placeholder:"N" help:"Exit with 4 if more than this many are open."`
	MaxAge  time.Duration `placeholder:"AGE" help:"Exit with 4 if one is open longer than this, such as 10m."`
}

func (c poisonStatsCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(api *adminClient) error {
		var st ops.PoisonStats
		if err := api.get(ctx, "/poison/stats", c.query("all"), &st); err != nil {
			return err
		}
		if c.JSON {
			if err := con.printJSON(st); err != nil {
				return err
			}
		} else {
			rows := [][2]string{}
			for _, state := range domain.PoisonStates {
				rows = append(rows, [2]string{string(state), strconv.Itoa(st.Counts[state])})
			}
			rows = append(rows, [2]string{"open groups", strconv.Itoa(st.Groups)})
			if st.OldestOpen != nil {
				rows = append(rows, [2]string{"oldest open", aged(st.OldestOpen.Time)})
			}
			if err := con.facts(rows); err != nil {
				return err
			}
		}
		open, age := st.Counts[domain.PoisonOpen], time.Duration(st.OldestOpenMS)*time.Millisecond
		switch {
		case c.MaxOpen >= 0 && open > c.MaxOpen:
			return breached("%d messages are open, more than %d", open, c.MaxOpen)
		case c.MaxAge > 0 && age > c.MaxAge:
			return breached("the oldest open message has waited for %s, longer than %s", age.Round(time.Second), c.MaxAge)
		}
		return nil
	})
}

type poisonWatchCmd struct {
	adminAPI
	Every time.Duration `default:"2s" help:"How often to look."`
}

// change is one line of what is watched.
type change struct {
	At     domain.Time                `json:"at"`
	Counts map[domain.PoisonState]int `json:"counts"`
	New    []domain.PoisonGroup       `json:"newGroups"` // not seen open before
}

func (c poisonWatchCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(api *adminClient) error {
		known := map[string]bool{}
		before := ""
		for {
			var st ops.PoisonStats
			var groups ops.List[domain.PoisonGroup]
			if err := api.get(ctx, "/poison/stats", nil, &st); err != nil {
				return untilInterrupted(ctx, err)
			}
			if err := api.get(ctx, "/poison/groups", url.Values{"state": {"open"}}, &groups); err != nil {
				return untilInterrupted(ctx, err)
			}
			ch := change{At: domain.At(time.Now()), Counts: st.Counts, New: []domain.PoisonGroup{}}
			open := map[string]bool{}
			for _, g := range groups.Items {
				open[g.Fingerprint] = true
				if !known[g.Fingerprint] {
					ch.New = append(ch.New, g)
				}
			}
			known = open
			if now := fmt.Sprint(st.Counts); now != before || len(ch.New) > 0 {
				before = now
				if err := c.print(con, ch); err != nil {
					return err
				}
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(c.Every):
			}
		}
	})
}

func (c poisonWatchCmd) print(con console, ch change) error {
	if c.JSON {
		return con.printJSON(ch)
	}
	at := ch.At.Format("15:04:05")
	fmt.Fprintf(con.out, "%s  open %d  requeued %d  healed %d  superseded %d  discarded %d\n", at, ch.Counts[domain.PoisonOpen],
		ch.Counts[domain.PoisonRequeued], ch.Counts[domain.PoisonHealed], ch.Counts[domain.PoisonSuperseded], ch.Counts[domain.PoisonDiscarded])
	for _, g := range ch.New {
		fmt.Fprintf(con.out, "%s  group %s  %d open  %s: %s\n", at, g.Fingerprint, g.Counts[domain.PoisonOpen], printable(g.Projector, 60), printable(g.Error, 100))
	}
	return nil
}

// untilInterrupted is no error when it was the user who ended it.
func untilInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
