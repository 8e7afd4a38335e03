package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

type poisonCmd struct {
	List    poisonListCmd    `cmd:"" help:"List poison messages, newest first."`
	Show    poisonShowCmd    `cmd:"" help:"Show one with its payload, error chain, stack and attempts."`
	Requeue poisonRequeueCmd `cmd:"" help:"Send open messages back to the projector that failed."`
	Discard poisonDiscardCmd `cmd:"" help:"Drop an open message, with a reason."`
}

// poisonView is the JSON form of a poison message; --json prints one a line.
type poisonView struct {
	ID          string                 `json:"id"`
	State       domain.PoisonState     `json:"state"`
	EventID     string                 `json:"eventId"`
	Type        domain.EventType       `json:"type"`
	WorkspaceID string                 `json:"workspaceId"`
	AggregateID string                 `json:"aggregateId"`
	Payload     any                    `json:"payload"` // JSON as it is; a string if it isn't JSON
	Metadata    map[string]string      `json:"metadata"`
	PublishedAt domain.Time            `json:"publishedAt"`
	Projector   string                 `json:"projector"`
	Error       string                 `json:"error"`
	ErrorClass  string                 `json:"errorClass"`
	ErrorChain  []string               `json:"errorChain"`
	Stack       string                 `json:"stack"`
	Attempts    []domain.PoisonAttempt `json:"attempts"`
	Requeues    int                    `json:"requeues"`
	Reason      string                 `json:"reason,omitempty"`
	Build       string                 `json:"build"`
	Node        string                 `json:"node"`
	PoisonedAt  domain.Time            `json:"poisonedAt"`
	UpdatedAt   domain.Time            `json:"updatedAt"`
}

func viewPoison(p domain.Poison) poisonView {
	payload := any(string(p.Event.Payload))
	if json.Valid(p.Event.Payload) {
		payload = p.Event.Payload
	}
	return poisonView{
		ID: p.ID, State: p.State,
		EventID: p.Event.ID, Type: p.Event.Type, WorkspaceID: p.Event.WorkspaceID, AggregateID: p.Event.AggregateID,
		Payload: payload, Metadata: p.Event.Metadata, PublishedAt: domain.At(p.Event.CreatedAt),
		Projector: p.Projector, Error: p.Error, ErrorClass: p.ErrorClass, ErrorChain: p.ErrorChain,
		Stack: p.Stack, Attempts: p.Attempts, Requeues: p.Requeues, Reason: p.Reason,
		Build: p.Build, Node: p.Node, PoisonedAt: domain.At(p.PoisonedAt), UpdatedAt: domain.At(p.UpdatedAt),
	}
}

type poisonListCmd struct {
	database
	State     string `enum:"open,requeued,healed,superseded,discarded,all" default:"open" help:"open, requeued, healed, superseded, discarded or all."`
	Workspace string `help:"Only this workspace (id)."`
	Type      string `help:"Only this domain event type."`
	Limit     int    `default:"100" help:"At most this many, 1 to 1000."`
	After     string `help:"Continue after this id (the last one of the page before)."`
	JSON      bool   `name:"json" help:"One JSON object a line."`
}

func (c poisonListCmd) Run(ctx context.Context, con console) error {
	if c.Limit < 1 || c.Limit > 1000 {
		return domain.InvalidField("limit", "--limit is 1 to 1000")
	}
	return c.with(ctx, func(s *store.Store) error {
		filter := domain.PoisonFilter{WorkspaceID: c.Workspace, Type: domain.EventType(c.Type)}
		if c.State != "all" {
			filter.States = []domain.PoisonState{domain.PoisonState(c.State)}
		}
		list, _, err := s.ListPoison(ctx, filter, domain.Page{Limit: c.Limit, After: c.After})
		if err != nil {
			return err
		}
		if c.JSON {
			lines := json.NewEncoder(con.out)
			for _, p := range list {
				if err := lines.Encode(viewPoison(p)); err != nil {
					return err
				}
			}
			return nil
		}
		if len(list) == 0 {
			fmt.Fprintf(con.out, "No poison messages (%s).\n", c.State)
			return nil
		}
		table := tabwriter.NewWriter(con.out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tSTATE\tPROJECTOR\tWORKSPACE\tTRIES\tAGE\tERROR")
		for _, p := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", p.ID, p.State, p.Projector, p.Event.WorkspaceID,
				len(p.Attempts), time.Since(p.PoisonedAt).Round(time.Second), printable(p.Error, 60))
		}
		return table.Flush()
	})
}

type poisonShowCmd struct {
	database
	ID   string `arg:"" help:"Id of the poison message."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (c poisonShowCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(s *store.Store) error {
		p, err := s.PoisonByID(ctx, c.ID)
		if err != nil {
			return err
		}
		v := viewPoison(p)
		if c.JSON {
			return json.NewEncoder(con.out).Encode(v)
		}
		table := tabwriter.NewWriter(con.out, 0, 4, 2, ' ', 0)
		for _, row := range [][2]string{
			{"id", v.ID}, {"state", string(v.State)}, {"event", v.EventID}, {"type", string(v.Type)},
			{"workspace", v.WorkspaceID}, {"aggregate", v.AggregateID},
			{"published", v.PublishedAt.Format(domain.TimeFormat)}, {"poisoned", v.PoisonedAt.Format(domain.TimeFormat)},
			{"projector", v.Projector}, {"class", v.ErrorClass}, {"build", v.Build}, {"node", v.Node},
			{"requeues", fmt.Sprint(v.Requeues)}, {"reason", printable(v.Reason, 400)},
		} {
			if row[1] != "" {
				fmt.Fprintf(table, "%s\t%s\n", row[0], row[1])
			}
		}
		if err := table.Flush(); err != nil {
			return err
		}
		payload, _ := json.MarshalIndent(v.Payload, "  ", "  ")
		metadata, _ := json.MarshalIndent(v.Metadata, "  ", "  ")
		fmt.Fprintf(con.out, "\npayload\n  %s\nmetadata\n  %s\n\nerror\n", payload, metadata)
		for _, line := range v.ErrorChain {
			fmt.Fprintf(con.out, "  %s\n", printable(line, 2000))
		}
		fmt.Fprintln(con.out, "\nattempts")
		for i, a := range v.Attempts {
			fmt.Fprintf(con.out, "  %d  %s  %.1f ms  %s\n", i+1, a.At.UTC().Format(domain.TimeFormat), a.DurationMS, printable(a.Error, 200))
		}
		if v.Stack != "" {
			fmt.Fprintf(con.out, "\nstack\n  %s\n", strings.ReplaceAll(strings.TrimSpace(v.Stack), "\n", "\n  "))
		}
		return nil
	})
}

// outcome is one line of what an act did.
type outcome struct {
	ID    string             `json:"id"`
	State domain.PoisonState `json:"state"`
}

func (o outcome) print(con console, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(con.out).Encode(o)
	}
	fmt.Fprintf(con.out, "%s is %s.\n", o.ID, o.State)
	return nil
}

type poisonRequeueCmd struct {
	database
	IDs  []string `arg:"" name:"id" help:"Ids of open poison messages."`
	JSON bool     `name:"json" help:"One JSON object a line."`
}

func (c poisonRequeueCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(s *store.Store) error {
		for _, id := range c.IDs {
			if err := s.RequeuePoison(ctx, direct(""), id); err != nil {
				return err
			}
			if err := (outcome{id, domain.PoisonRequeued}).print(con, c.JSON); err != nil {
				return err
			}
		}
		return nil
	})
}

type poisonDiscardCmd struct {
	database
	ID     string `arg:"" help:"Id of an open poison message."`
	Reason string `required:"" help:"Why it is dropped; kept with the message."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (c poisonDiscardCmd) Run(ctx context.Context, con console) error {
	if strings.TrimSpace(c.Reason) == "" {
		return domain.InvalidField("reason", "--reason says why the event is dropped")
	}
	return c.with(ctx, func(s *store.Store) error {
		if err := s.DiscardPoison(ctx, direct(c.Reason), c.ID); err != nil {
			return err
		}
		return (outcome{c.ID, domain.PoisonDiscarded}).print(con, c.JSON)
	})
}

// printable cuts s to one line of at most limit characters. What failed may
// have come from anywhere, so control characters never reach the terminal.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return s
}

// direct is an act of whoever runs this command, straight on the database.
func direct(reason string) domain.Act {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return domain.Act{Operator: name, Role: "direct", Via: "direct", Reason: reason}
}
