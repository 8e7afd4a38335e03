package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/orbit/realtime/domain"
	ops "github.com/orbit/realtime/transport/console"
)

type operationsCmd struct {
	List   operationsListCmd   `cmd:"" help:"List bulk operations, newest first."`
	Show   operationsShowCmd   `cmd:"" help:"Show one, with the outcome of each message."`
	Cancel operationsCancelCmd `cmd:"" help:"End one; what it has not begun stays as it is."`
}

type operationsListCmd struct {
	adminAPI
	paging
}

func (c operationsListCmd) Run(ctx context.Context, con console) error {
	return printList(ctx, con, c.adminAPI, c.paging, "/operations", url.Values{},
		[]string{"ID", "KIND", "STATE", "DONE", "FAILED", "TOTAL", "BY", "AGE"}, "No operations.", func(op domain.Operation) []string {
			return []string{op.ID, string(op.Kind), string(op.State), strconv.Itoa(op.Succeeded), strconv.Itoa(op.Failed), strconv.Itoa(op.Total), printable(op.Operator, 40), aged(op.CreatedAt.Time)}
		})
}

type operationsShowCmd struct {
	adminAPI
	ID    string `arg:"" help:"Id of the operation."`
	Items bool   `help:"Also each message's outcome."`
	Wait  bool   `help:"Wait until it has ended."`
}

func (c operationsShowCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(api *adminClient) error {
		path := "/operations/" + url.PathEscape(c.ID)
		var op domain.Operation
		if err := api.get(ctx, path, nil, &op); err != nil {
			return err
		}
		if c.Wait {
			return await(ctx, con, api, op, c.JSON)
		}
		if err := con.printOperation(op, c.JSON); err != nil || !c.Items {
			return err
		}
		rows := [][]string{{"MESSAGE", "OUTCOME", "DETAIL"}}
		_, err := pages(ctx, api, paging{Limit: 1000, All: true}, path+"/items", url.Values{}, func(items []domain.OperationItem) error {
			for _, item := range items {
				if c.JSON {
					if err := con.printJSON(item); err != nil {
						return err
					}
				}
				rows = append(rows, []string{item.PoisonID, string(item.State), printable(item.Detail, 100)})
			}
			return nil
		})
		if err != nil || c.JSON {
			return err
		}
		fmt.Fprintln(con.out)
		return con.table(rows)
	})
}

func (con console) printOperation(op domain.Operation, asJSON bool) error {
	if asJSON {
		return con.printJSON(op)
	}
	return con.facts([][2]string{
		{"operation", op.ID}, {"kind", string(op.Kind)}, {"state", string(op.State)}, {"why", printable(op.Why, 400)},
		{"by", printable(op.Operator, 80)}, {"reason", printable(op.Reason, 400)}, {"begun", op.CreatedAt.Format(domain.TimeFormat)},
		{"total", strconv.Itoa(op.Total)}, {"succeeded", strconv.Itoa(op.Succeeded)}, {"failed", strconv.Itoa(op.Failed)},
		{"skipped", strconv.Itoa(op.Skipped)}, {"in flight", strconv.Itoa(op.InFlight)}, {"pending", strconv.Itoa(op.Pending)},
	})
}

// glance is how often a running operation is looked at.
const glance = 250 * time.Millisecond

// await follows an operation until every message has its outcome. Interrupted,
// it leaves the operation running, and says so.
func await(ctx context.Context, con console, api *adminClient, op domain.Operation, asJSON bool) error {
	bar := &progress{w: con.screen()}
	for {
		bar.draw(op.Succeeded+op.Failed+op.Skipped, op.Failed, op.Total, string(op.State))
		if op.State != domain.OperationRunning && op.InFlight == 0 {
			break
		}
		select {
		case <-ctx.Done():
			bar.end()
			return fmt.Errorf("interrupted; the operation goes on: orbit operations show %s", op.ID)
		case <-time.After(glance):
		}
		if api.step != nil {
			if _, err := api.step(ctx, op.ID); err != nil && ctx.Err() == nil {
				return err
			}
		}
		if err := api.get(ctx, "/operations/"+op.ID, nil, &op); err != nil && ctx.Err() == nil {
			bar.end()
			return err
		}
	}
	bar.end()
	if err := con.printOperation(op, asJSON); err != nil {
		return err
	}
	if op.State != domain.OperationDone || op.Failed+op.Skipped > 0 {
		return partial("the operation is %s: %d of %d succeeded, %d failed, %d were skipped", op.State, op.Succeeded, op.Total, op.Failed, op.Skipped)
	}
	return nil
}

// screen is where progress may be drawn: nil where nobody looks.
func (con console) screen() io.Writer {
	if con.terminal {
		return con.err
	}
	return nil
}

type operationsCancelCmd struct {
	adminAPI
	ID     string `arg:"" help:"Id of the operation."`
	Reason string `help:"Why; kept in the audit."`
}

func (c operationsCancelCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(api *adminClient) error {
		var op domain.Operation
		if err := api.post(ctx, "/operations/"+url.PathEscape(c.ID)+"/cancel", ops.ActBody{Reason: c.Reason}, &op); err != nil {
			return err
		}
		return con.printOperation(op, c.JSON)
	})
}

// moment reads a time, or how long ago.
func moment(flag, s string) (*time.Time, error) {
	if s == "" {
		return nil, nil
	}
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		at := time.Now().Add(-ago)
		return &at, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return nil, domain.InvalidField(flag, "--%s is a time such as 2026-01-02T15:04:05Z, or how long ago, such as 24h", flag)
	}
	return &at, nil
}
