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
	return app.Serve(ctx, c.Config, append(faults(con), app.LogTo(con.err))...)
}
