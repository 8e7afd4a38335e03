package app

import (
	"context"
	"errors"
	"slices"

	"github.com/orbit/realtime/app/demo"
	"github.com/orbit/realtime/config"
)

// Why a server ends that another one is to follow.
var (
	errRestart = errors.New("restart")
	errCrash   = errors.New("crash") // ends at once, without a word
)

// Serve runs a server until ctx ends. With the demo it starts another one, on
// the same addresses, whenever the page asks for a restart.
func Serve(ctx context.Context, cfg config.Config, options ...Option) error {
	if !cfg.Demo {
		a, err := New(cfg, options...)
		if err != nil {
			return err
		}
		return a.Run(ctx)
	}
	d := demo.New()
	for {
		again, err := serveOnce(ctx, &cfg, d, options)
		if err != nil || !again {
			return err
		}
	}
}

// serveOnce runs one server and tells whether another one is to follow. It
// writes the addresses that were taken to cfg, for that one.
func serveOnce(ctx context.Context, cfg *config.Config, d *demo.Demo, options []Option) (again bool, err error) {
	life, end := context.WithCancelCause(ctx)
	defer end(nil)
	a, err := New(*cfg, append(slices.Clip(options), func(a *App) {
		a.demo = d
		a.restart = func(crash bool) {
			if crash {
				end(errCrash)
			} else {
				end(errRestart)
			}
		}
	})...)
	if err != nil {
		return false, err
	}
	cfg.Addr, cfg.AdminAddr = a.publicListener.Addr().String(), a.adminListener.Addr().String()
	err = a.Run(life)
	cause := context.Cause(life)
	return errors.Is(cause, errRestart) || errors.Is(cause, errCrash), err
}

// crash ends the server as the end of its process would, as far as anybody
// outside can tell: connections are reset without a goodbye, nothing in hand is
// finished, nothing staged is committed. What is left to do is to give back what
// the kernel would take: goroutines, files and locks.
func (a *App) crash(end context.CancelFunc) error {
	a.log.Warn("crashing, as the demo's page asked")
	a.publicListener.Close()
	a.demo.Cut()
	_ = a.public.Close() // its connections are gone
	a.console.Close()
	_ = a.admin.Close()
	a.release()

	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = a.pipeline.Stop(now) // it says that it could not finish: that is the point
	a.sockets.Close()
	a.polls.Close()
	a.relay.Stop()
	a.hub.Stop()
	a.presence.Stop()
	a.recorder.Stop()
	a.cluster.Stop()
	a.stopWatch()
	end()
	return a.closeStore()
}
