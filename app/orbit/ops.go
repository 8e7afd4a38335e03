package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orbit/realtime/domain"
	ops "github.com/orbit/realtime/transport/console"
)

type opsCmd struct {
	Status     opsStatusCmd     `cmd:"" help:"How a server is doing, in one verdict and why; exits with 4 unless healthy."`
	Sessions   opsSessionsCmd   `cmd:"" help:"List a server's sessions, newest first."`
	Disconnect opsDisconnectCmd `cmd:"" help:"End a session; its client may come back."`
}

type opsStatusCmd struct {
	adminAPI
}

func (c opsStatusCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(api *adminClient) error {
		var st domain.OpsStatus
		if err := api.get(ctx, "/status", nil, &st); err != nil {
			return err
		}
		print := con.printStatus
		if c.JSON {
			print = func(st domain.OpsStatus) error { return con.printJSON(st) }
		}
		if err := print(st); err != nil {
			return err
		}
		if st.Verdict.State != "healthy" {
			return breached("%s", st.Verdict.State)
		}
		return nil
	})
}

func (con console) printStatus(st domain.OpsStatus) error {
	fmt.Fprintf(con.out, "%s  %s, build %s, up %s\n", strings.ToUpper(st.Verdict.State), printable(st.Node, 80), printable(st.Build, 60), aged(st.StartedAt.Time))
	for _, why := range st.Verdict.Why {
		fmt.Fprintf(con.out, "  - %s\n", printable(why, 1000))
	}
	fmt.Fprintln(con.out)
	rows := [][]string{{"LEG", "P50", "P95", "P99", "EVENTS"}}
	for _, s := range st.Stages {
		rows = append(rows, []string{s.Name, ms(s.P50), ms(s.P95), ms(s.P99), strconv.Itoa(s.Count)})
	}
	if err := con.table(rows); err != nil {
		return err
	}
	fmt.Fprintln(con.out)
	rows = [][]string{{"LANE", "WAITING", "OLDEST", "HELD BY", "ERROR"}}
	for _, l := range st.Lanes {
		owner := printable(l.Owner, 60)
		if l.Owned {
			owner = "this node"
		}
		rows = append(rows, []string{strconv.Itoa(l.Lane), strconv.Itoa(l.Pending), ms(l.OldestAgeMS), owner, printable(l.LastError, 80)})
	}
	if err := con.table(rows); err != nil {
		return err
	}
	if nodes := st.Cluster.Nodes; len(nodes) > 1 {
		fmt.Fprintln(con.out)
		rows = [][]string{{"NODE", "BUILD", "LANES", "SESSIONS", ""}}
		for _, n := range nodes {
			var remarks []string
			for remark, is := range map[string]bool{"this node": n.Self, "draining": n.Draining, "another catalog": n.Outdated} {
				if is {
					remarks = append(remarks, remark)
				}
			}
			slices.Sort(remarks)
			rows = append(rows, []string{printable(n.Name, 60), printable(n.Build, 40), fmt.Sprint(n.Lanes), counted(n.Sessions), strings.Join(remarks, ", ")})
		}
		if err := con.table(rows); err != nil {
			return err
		}
		fmt.Fprintf(con.out, "\nall nodes %s, %d members\n", counted(st.Cluster.Sessions), st.Cluster.Members)
	}
	fmt.Fprintf(con.out, "\nsessions  %s, %d members\npoison    %d open\naudit     %s\n",
		counted(st.Sessions.Open), st.Sessions.Members, st.Poison[domain.PoisonOpen], audited(st.Audit))
	return nil
}

// audited says what the node's auditor found.
func audited(a domain.AuditStatus) string {
	last := "no pass so far"
	if a.LastPass != nil {
		last = "last pass " + aged(a.LastPass.Time) + " ago"
	}
	return fmt.Sprintf("%d divergent now, %d told again, %s", a.Divergent, a.Repaired, last)
}

func ms(n float64) string { return strconv.FormatFloat(n, 'f', 1, 64) + "ms" }

func counted(counts map[string]int) string {
	if len(counts) == 0 {
		return "none"
	}
	var parts []string
	for _, name := range sortedKeys(counts) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
	}
	return strings.Join(parts, ", ")
}

type opsSessionsCmd struct {
	adminAPI
	Workspace string `help:"Only of this workspace, by slug or id."`
	Member    string `help:"Only of this member (id)."`
	Limit     int    `default:"100" help:"At most this many, 1 to 20000."`
}

func (c opsSessionsCmd) Run(ctx context.Context, con console) error {
	q := url.Values{}
	for name, value := range map[string]string{"workspace": c.Workspace, "member": c.Member} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return printList(ctx, con, c.adminAPI, paging{Limit: c.Limit}, "/sessions", q,
		[]string{"SESSION", "TRANSPORT", "WORKSPACE", "MEMBER", "BEHIND", "LAG", "OPEN FOR"}, "No sessions.", func(s domain.SessionInfo) []string {
			return []string{s.ID, s.Transport, printable(s.Workspace, 40), printable(s.MemberID, 60), strconv.FormatInt(s.Behind, 10), ms(s.LagMS), aged(s.OpenedAt.Time)}
		})
}

type opsDisconnectCmd struct {
	adminAPI
	ID     string `arg:"" help:"Id of the session."`
	Reason string `help:"Why; kept in the audit."`
}

func (c opsDisconnectCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(api *adminClient) error {
		q := url.Values{}
		if c.Reason != "" {
			q.Set("reason", c.Reason)
		}
		if err := api.call(ctx, http.MethodDelete, "/sessions/"+url.PathEscape(c.ID), q, nil, nil); err != nil {
			return err
		}
		if c.JSON {
			return con.printJSON(map[string]string{"id": c.ID, "state": "closed"})
		}
		fmt.Fprintf(con.out, "%s is disconnected.\n", c.ID)
		return nil
	})
}

type auditCmd struct {
	List auditListCmd `cmd:"" help:"List who did what, when and why, newest first; refusals too."`
}

type auditListCmd struct {
	adminAPI
	paging
	Operator string `group:"Filter" help:"Only by this operator."`
	Action   string `group:"Filter" help:"Only this action, such as poison.requeue."`
	Target   string `group:"Filter" help:"Only on this (an id)."`
	Outcome  string `group:"Filter" placeholder:"done|denied|refused" help:"Only with this outcome."`
	Since    string `group:"Filter" placeholder:"WHEN" help:"Since a time, or how long ago, such as 24h."`
	Until    string `group:"Filter" placeholder:"WHEN" help:"Before a time."`
}

func (c auditListCmd) Run(ctx context.Context, con console) error {
	q := url.Values{}
	for name, value := range map[string]string{"operator": c.Operator, "action": c.Action, "target": c.Target, "outcome": c.Outcome, "since": c.Since, "until": c.Until} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return printList(ctx, con, c.adminAPI, c.paging, "/audit", q,
		[]string{"AT", "WHO", "VIA", "WHAT", "ON", "OUTCOME", "WHY"}, "No entries.", func(e domain.AuditEntry) []string {
			return []string{e.At.Format("2006-01-02T15:04:05Z"), printable(e.Operator, 40), e.Via, printable(e.Action, 40), printable(e.Target, 60), e.Outcome, printable(e.Reason+" "+e.Detail, 80)}
		})
}

type traceCmd struct {
	adminAPI
	EventID string `arg:"" name:"event-id" help:"Id of the domain event: a command's Orbit-Event-Id, the cause of what tabs receive."`
	Tab     string `placeholder:"ID" help:"Also what became of it at this session, or at this member's sessions."`
}

func (c traceCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(api *adminClient) error {
		var t domain.Trace
		q := url.Values{}
		if c.Tab != "" {
			q.Set("tab", c.Tab)
		}
		if err := api.get(ctx, "/trace/"+url.PathEscape(c.EventID), q, &t); err != nil {
			return err
		}
		if c.JSON {
			return con.printJSON(t)
		}
		return con.printTrace(t)
	})
}

func (con console) printTrace(t domain.Trace) error {
	clock := func(at *domain.Time) string {
		if at == nil || at.IsZero() {
			return ""
		}
		text := at.Format("15:04:05.000")
		if t.PublishedAt != nil && !t.PublishedAt.IsZero() {
			text += fmt.Sprintf("  +%dms", at.Sub(t.PublishedAt.Time).Milliseconds())
		}
		return text
	}
	projected := ""
	if t.ProjectedMS > 0 {
		projected = ms(t.ProjectedMS)
	}
	err := con.facts([][2]string{
		{"event", printable(t.EventID, 80)}, {"type", printable(string(t.Type), 80)}, {"state", t.State},
		{"workspace", printable(t.WorkspaceID, 80)}, {"aggregate", printable(t.AggregateID, 80)}, {"lane", strconv.Itoa(t.Lane)},
		{"node", printable(t.Node, 80)}, {"collapsed into", printable(t.CollapsedInto, 80)}, {"poison", t.PoisonID}, {"traceparent", printable(t.Traceparent, 80)},
		{"published", clock(t.PublishedAt)}, {"claimed", clock(t.ClaimedAt)}, {"projector", projected}, {"in the log", clock(t.CommittedAt)},
	})
	if err != nil {
		return err
	}
	if w := t.Waiting; w != nil {
		served := "nobody serves its lane"
		if w.Held {
			served = "its lane is served"
		}
		fmt.Fprintf(con.out, "\nIt waits in the outbox behind %d others; %s. %s\n", w.Ahead, served, printable(w.Holder, 80))
	}
	if t.Session != nil {
		fmt.Fprintln(con.out)
		for i, verdict := range t.Session.Verdicts {
			if i < len(t.Session.Connected) {
				s := t.Session.Connected[i]
				fmt.Fprintf(con.out, "%s (%s): ", s.ID, s.Transport)
			}
			fmt.Fprintln(con.out, printable(verdict, 1000))
		}
	}
	for i, a := range t.Attempts {
		fmt.Fprintf(con.out, "attempt %d  %s  %.1f ms  %s\n", i+1, a.At.UTC().Format("15:04:05.000"), a.DurationMS, printable(a.Error, 200))
	}
	for _, e := range t.Entries {
		fmt.Fprintf(con.out, "\n%s  %s  %s\n", e.Position, printable(string(e.Type), 60), printable(string(e.Channel), 100))
		for _, w := range e.Writes {
			fmt.Fprintf(con.out, "  %-5s %d live, %d replayed  first %s  last %s  %s\n", w.Transport, w.Live, w.Replayed, clock(&w.FirstAt), clock(&w.LastAt), printable(w.Node, 60))
		}
		if len(e.Writes) == 0 {
			fmt.Fprintln(con.out, "  written to no session")
		}
	}
	if t.Trimmed > 0 {
		fmt.Fprintf(con.out, "\n%d of its entries are gone from the log by retention, and with them who got them.\n", t.Trimmed)
	}
	return nil
}

type tailCmd struct {
	adminAPI
	Workspace string `arg:"" help:"Slug or id of the workspace."`
	After     string `placeholder:"POSITION" help:"Begin behind this position, instead of now."`
}

func (c tailCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(api *adminClient) error {
		q := url.Values{"workspace": {c.Workspace}}
		if c.After != "" {
			q.Set("after", c.After)
		}
		resp, err := api.do(ctx, http.MethodGet, "/tail", q, nil)
		if err != nil {
			return untilInterrupted(ctx, err)
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for {
			line, err := lines.ReadBytes('\n')
			if text := strings.TrimSpace(string(line)); text != "" {
				if err := c.print(con, text); err != nil {
					return err
				}
			}
			if err != nil {
				return untilInterrupted(ctx, fmt.Errorf("the stream broke off: %w", err))
			}
		}
	})
}

func (c tailCmd) print(con console, line string) error {
	var ev struct {
		ops.TailEvent
		Problem string `json:"problem"`
	}
	if err := json.Unmarshal([]byte(line), &ev); err != nil {
		return fmt.Errorf("a line of the stream is not JSON: %w", err)
	}
	switch {
	case ev.Problem != "":
		return errors.New(ev.Problem)
	case c.JSON:
		fmt.Fprintln(con.out, line)
	default:
		fmt.Fprintf(con.out, "%s  %s  %s  %s  %s\n", time.Now().UTC().Format("15:04:05.000"), ev.Position, printable(string(ev.Type), 60), printable(string(ev.Channel), 100), printable(string(ev.Data), 200))
	}
	return nil
}
