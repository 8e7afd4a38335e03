package main

import (
	"context"
	"net/http"
	"syscall"

	"github.com/orbit/realtime/app/bench"
)

type benchResumeCmd struct {
	scratch
	Tabs      int    `default:"1000" help:"Tabs that lose their connections at once, and come back."`
	Missed    int    `default:"20" help:"Events published meanwhile, which each tab is owed."`
	Transport string `default:"ws" enum:"ws,sse" help:"ws or sse."`
	Restart   string `default:"no" enum:"no,term,kill" help:"Restart the server in between: term, in order; kill, as a crash; no, the tabs drop."`
}

func (c benchResumeCmd) Validate() error {
	return atLeastOne(map[string]int{"tabs": c.Tabs, "missed": c.Missed})
}

func (c benchResumeCmd) Run(ctx context.Context, con console) error {
	return c.with(ctx, con, func(dsn string) error {
		s, err := startServer(ctx, con, dsn)
		if err != nil {
			return err
		}
		defer func() { s.stop() }()
		target, room, err := s.target(ctx)
		if err != nil {
			return err
		}
		target.Transport = bench.Transport(c.Transport)
		o := bench.ResumeOptions{
			Target: target, Tabs: c.Tabs, Missed: c.Missed, Progress: con.err,
			Publish: func(ctx context.Context, body string) error {
				_, err := s.post(ctx, target.Cookie, "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]string{"body": body})
				return err
			},
		}
		if signal := map[string]syscall.Signal{"term": syscall.SIGTERM, "kill": syscall.SIGKILL}[c.Restart]; signal != 0 {
			o.Break = func(ctx context.Context) error { return s.restart(ctx, con, signal) }
		}
		result, err := bench.Resume(ctx, o)
		if err != nil {
			return err
		}
		return c.print(con, result)
	})
}

// restart ends the server by a signal, and starts it again where it was.
func (s *benchServer) restart(ctx context.Context, con console, signal syscall.Signal) error {
	if err := s.cmd.Process.Signal(signal); err != nil {
		return err
	}
	_ = s.cmd.Wait()
	s.http.CloseIdleConnections()
	return s.start(ctx, con, func() error {
		resp, err := s.do(ctx, http.MethodPost, "/v1/demo/login", "", map[string]string{"user": "owner"})
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}
