package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
	"github.com/orbit/realtime/handlers/fixture"
	ops "github.com/orbit/realtime/transport/console"
)

type poisonExportCmd struct {
	adminAPI
	ID string `arg:"" help:"Id of the poison message."`
}

func (c poisonExportCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(api *adminClient) error {
		var raw json.RawMessage
		if err := api.get(ctx, "/poison/messages/"+url.PathEscape(c.ID)+"/fixture", nil, &raw); err != nil {
			return err
		}
		f, err := fixture.Parse(raw)
		if err != nil {
			return err
		}
		file, err := f.JSON()
		if err != nil {
			return err
		}
		fmt.Fprintf(con.out, "%s", file)
		return nil
	})
}

type poisonReplayCmd struct {
	File string `arg:"" type:"existingfile" help:"A fixture, as export printed it."`
	Test bool   `help:"Print the Go test alone."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// replayed is what a replay led to.
type replayed struct {
	Events []replayedEvent `json:"events"`
	Error  string          `json:"error,omitempty"`
}

type replayedEvent struct {
	Type    domain.ServerEventType `json:"type"`
	Channel domain.Channel         `json:"channel"`
	Payload any                    `json:"payload"`
}

var errStillFails = errors.New("the projector of this build fails on it")

func (c poisonReplayCmd) Run(ctx context.Context, con console) error {
	raw, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	f, err := fixture.Parse(raw)
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(filepath.Base(c.File), ".json")
	test := ops.Visible(fixture.GoTest(f, name)) // it quotes the error
	if c.Test {
		fmt.Fprint(con.out, test)
		return nil
	}
	events, failure := f.Replay(ctx, handlers.Table())
	r := replayed{Events: []replayedEvent{}}
	for _, ev := range events {
		r.Events = append(r.Events, replayedEvent{ev.Type, ev.Channel, ev.Payload})
	}
	if failure != nil {
		r.Error = failure.Error()
	}
	if c.JSON {
		err = con.printJSON(r)
	} else {
		err = r.print(con, name, test)
	}
	if err == nil && failure != nil {
		err = errStillFails
	}
	return err
}

func (r replayed) print(con console, name, test string) error {
	switch {
	case r.Error != "":
		con.block("It fails:", r.Error)
	case len(r.Events) == 0:
		fmt.Fprintln(con.out, "It works, and sends nothing.")
	}
	for _, ev := range r.Events {
		payload, err := json.MarshalIndent(ev.Payload, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(con.out, "%s to %s\n", printable(string(ev.Type), 60), printable(string(ev.Channel), 100))
		con.block("payload", string(payload))
	}
	fmt.Fprintf(con.out, "\nA test to keep, with the fixture as handlers/testdata/%s.json:\n\n%s", name, test)
	return nil
}
