package main

import (
	"context"
	"fmt"

	"github.com/orbit/realtime/store"
)

type logCmd struct {
	ResetEpoch resetEpochCmd `cmd:"" help:"Start a new epoch: clients resync instead of guessing. Run this after restoring a backup, before serving."`
}

type resetEpochCmd struct {
	database
	Workspace string `help:"Id of one workspace; all of them by default."`
}

func (c resetEpochCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, func(s *store.Store) error {
		n, err := s.ResetEpoch(ctx, c.Workspace)
		if err != nil {
			return err
		}
		fmt.Fprintf(con.out, "New epoch for %d log(s).\n", n)
		return nil
	})
}
