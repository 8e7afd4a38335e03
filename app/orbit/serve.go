package main

import (
	"context"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/config"
)

type serveCmd struct {
	config.Config `embed:""`
}

func (c serveCmd) Run(ctx context.Context, con console) error {
	a, err := app.New(c.Config, app.LogTo(con.err))
	if err != nil {
		return err
	}
	return a.Run(ctx)
}
