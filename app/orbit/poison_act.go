package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/orbit/realtime/domain"
	ops "github.com/orbit/realtime/transport/console"
)

// bulk is what acts on many have: which, how sure, how fast.
type bulk struct {
	adminAPI
	poisonFilter
	All       bool     `group:"Filter" help:"Every message in that state."`
	IDs       []string `arg:"" optional:"" name:"id" help:"Ids of poison messages; or use filters."`
	Reason    string   `help:"Why; kept in the audit."`
	DryRun    bool     `help:"Tell how many it would be about, and do nothing."`
	Yes       bool     `short:"y" help:"Don't ask."`
	Expect    int      `default:"-1" placeholder:"N" help:"How many you mean: anything else, and nothing is done (exit 6). Required with filters where no terminal can ask."`
	PerSecond int      `default:"50" placeholder:"N" help:"At most this many a second, 1 to 1000."`
	Wait      bool     `help:"Wait for the outcome of every message."`
}

// Validate wants ids or filters, and not both.
func (b bulk) Validate() error {
	switch filters := b.any() || b.All; {
	case len(b.IDs) > 0 && filters:
		return errors.New("name ids, or use filters; not both")
	case len(b.IDs) == 0 && !filters:
		return errors.New("which ones? name ids, or use filters such as --group, or --all")
	case b.PerSecond < 1 || b.PerSecond > 1000:
		return errors.New("--per-second is 1 to 1000")
	}
	return nil
}

type poisonRequeueCmd struct {
	bulk
	NoCanary bool `help:"With filters: all at once, instead of 1, then 10, then the rest while none fails in the same way again."`
}

func (c poisonRequeueCmd) Run(ctx context.Context, con console) error {
	return c.run(ctx, con, domain.OperationRequeue, c.NoCanary)
}

type poisonDiscardCmd struct {
	bulk
}

// Validate also wants to know why.
func (c poisonDiscardCmd) Validate() error {
	if strings.TrimSpace(c.Reason) == "" {
		return errors.New("--reason says why the events are dropped")
	}
	return c.bulk.Validate()
}

func (c poisonDiscardCmd) Run(ctx context.Context, con console) error {
	return c.run(ctx, con, domain.OperationDiscard, false)
}

type poisonRestoreCmd struct {
	bulk
}

func (c poisonRestoreCmd) Run(ctx context.Context, con console) error {
	return c.run(ctx, con, domain.OperationRestore, false)
}

func (b bulk) run(ctx context.Context, con console, kind domain.OperationKind, noCanary bool) error {
	return b.with(ctx, func(api *adminClient) error {
		if len(b.IDs) > 0 {
			return b.each(ctx, con, api, kind)
		}
		return b.operate(ctx, con, api, kind, noCanary)
	})
}

// outcome is one line of what an act did.
type outcome struct {
	ID    string             `json:"id"`
	State domain.PoisonState `json:"state,omitempty"`
	Error string             `json:"error,omitempty"`
}

// each acts on the messages named, one after the other. What fails doesn't keep
// the others from their turn.
func (b bulk) each(ctx context.Context, con console, api *adminClient, kind domain.OperationKind) error {
	if b.Expect >= 0 && b.Expect != len(b.IDs) {
		return domain.Errorf(domain.CodeConflict, "%d ids are named, not %d", len(b.IDs), b.Expect)
	}
	var failed []error
	for _, id := range b.IDs {
		o := outcome{ID: id}
		var m ops.Message
		var err error
		if path := "/poison/messages/" + url.PathEscape(id); b.DryRun {
			err = api.get(ctx, path, nil, &m)
		} else {
			err = api.post(ctx, path+"/"+string(kind), ops.ActBody{Reason: b.Reason}, &m)
		}
		if o.State = m.State; err != nil {
			o.Error = describeError(err)
			failed = append(failed, err)
		}
		if err := o.print(con, b.JSON); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	switch len(failed) {
	case 0:
		return nil
	case len(b.IDs):
		return silent{failed[0]}
	}
	return partial("%d of %d failed", len(failed), len(b.IDs))
}

func (o outcome) print(con console, asJSON bool) error {
	switch {
	case asJSON:
		return con.printJSON(o)
	case o.Error != "":
		fmt.Fprintf(con.err, "%s: %s\n", printable(o.ID, 80), printable(o.Error, 400))
	default:
		fmt.Fprintf(con.out, "%s is %s.\n", o.ID, o.State)
	}
	return nil
}

// operate acts on all that the filters select, as an operation of the server.
func (b bulk) operate(ctx context.Context, con console, api *adminClient, kind domain.OperationKind, noCanary bool) error {
	filter, err := b.body()
	if err != nil {
		return err
	}
	request := ops.OperationBody{Kind: kind, Filter: filter, PerSecond: b.PerSecond, NoCanary: noCanary, Reason: b.Reason, DryRun: true}
	var dry struct {
		Matching int `json:"matching"`
	}
	if err := api.post(ctx, "/operations", request, &dry); err != nil {
		return err
	}
	if b.DryRun {
		if b.JSON {
			return con.printJSON(dry)
		}
		fmt.Fprintf(con.out, "It would be %d message(s).\n", dry.Matching)
		return nil
	}
	if b.Expect >= 0 && b.Expect != dry.Matching {
		return domain.Errorf(domain.CodeConflict, "%d messages match, not %d: nothing was done", dry.Matching, b.Expect)
	}
	if dry.Matching == 0 {
		fmt.Fprintln(con.err, "No message matches: nothing to do.")
		return nil
	}
	if err := b.confirm(con, kind, dry.Matching); err != nil {
		return err
	}
	request.DryRun, request.Expect = false, &dry.Matching
	var op domain.Operation
	if err := api.post(ctx, "/operations", request, &op); err != nil {
		return err
	}
	if b.Wait {
		return await(ctx, con, api, op, b.JSON)
	}
	if b.JSON {
		return con.printJSON(op)
	}
	fmt.Fprintf(con.out, "%s: %s of %d message(s) has begun. Follow it with: orbit operations show %s --wait\n", op.ID, op.Kind, op.Total, op.ID)
	return nil
}

// body is the filter as the API's bodies have it.
func (f poisonFilter) body() (domain.PoisonFilter, error) {
	out := domain.PoisonFilter{
		Fingerprint: f.Group, WorkspaceID: f.Workspace, AggregateID: f.Aggregate,
		Type: domain.EventType(f.Type), Projector: f.Projector, Text: f.Search,
	}
	for _, state := range f.State {
		if state != "all" {
			out.States = append(out.States, domain.PoisonState(state))
		}
	}
	var err error
	if out.Since, err = moment("since", f.Since); err != nil {
		return out, err
	}
	out.Until, err = moment("until", f.Until)
	return out, err
}

// confirm asks where somebody can answer; where nobody can, the command line
// must have said it all.
func (b bulk) confirm(con console, kind domain.OperationKind, n int) error {
	switch {
	case b.Yes && (b.Expect >= 0 || con.asks()):
		return nil
	case !con.asks():
		return domain.InvalidField("yes", "%d message(s) match. Without a terminal to ask, say --yes --expect %d", n, n)
	}
	fmt.Fprintf(con.err, "%s %d message(s)? [y/N] ", strings.ToUpper(string(kind[:1]))+string(kind[1:]), n)
	answer := ""
	if _, err := fmt.Fscanln(con.in, &answer); err != nil && answer == "" {
		return errors.New("nothing was done")
	}
	if !strings.EqualFold(answer, "y") && !strings.EqualFold(answer, "yes") {
		return errors.New("nothing was done")
	}
	return nil
}
