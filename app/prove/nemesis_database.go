package prove

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

func crashDatabase(ctx context.Context, r *round, f fault, _ *rand.Rand) error {
	if err := r.env.cluster.Crash(); err != nil {
		return err
	}
	sleep(ctx, f.For)
	return r.env.cluster.Up()
}

func pauseDatabase(ctx context.Context, r *round, f fault, _ *rand.Rand) error {
	if err := r.env.cluster.Pause(); err != nil {
		return err
	}
	sleep(ctx, f.For)
	return r.env.cluster.Resume()
}

// takeConnections opens as many connections as the database gives, and holds
// them. The server keeps those it has; what it needs beyond is refused.
func takeConnections(ctx context.Context, r *round, f fault, _ *rand.Rand) error {
	var greedy []*store.Store
	defer func() {
		for _, s := range greedy {
			_ = s.Close()
		}
	}()
	for range clusterConnections * r.env.opts.Nodes {
		s, err := store.Open(ctx, store.Config{DSN: r.env.dsn, MaxConns: 4})
		if err != nil {
			break // no more to be had
		}
		greedy = append(greedy, s)
	}
	sleep(ctx, f.For)
	return nil
}

var errDone = errors.New("the transaction has been open long enough")

// longWrite keeps a write transaction open that has to do with nothing. SQLite
// has one writer at a time: there it holds up every command, and so for a
// shorter time.
func longWrite(ctx context.Context, r *round, f fault, _ *rand.Rand) error {
	lasts := f.For
	if r.env.opts.Engine == store.SQLite {
		lasts = min(lasts, 4*time.Second)
	}
	ev := domain.NewEvent(domain.EventMemberUpdated, "ws_elsewhere", "mem_elsewhere", domain.Changed{Version: 1})
	err := r.env.store.Write(context.WithoutCancel(ctx), func(tx domain.Tx) error {
		if err := tx.Publish(ctx, ev); err != nil {
			return err
		}
		sleep(ctx, lasts)
		return errDone
	})
	switch {
	case errors.Is(err, errDone):
		r.rolledBack(ev.ID)
		return nil
	case domain.IsTransient(err) || errors.Is(err, context.Canceled):
		return nil // the database was hurt by somebody else meanwhile
	}
	return err
}

// tmpfsSize leaves little room beside the database.
const tmpfsSize = "size=96m"

func (e *environment) mountTmpfs() (string, error) {
	dir := filepath.Join(e.dir, "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if err := mountTmpfs(dir, tmpfsSize); err != nil {
		return "", err
	}
	e.tmpfs = dir
	e.later(func() error { return unmount(dir) })
	return dir, nil
}

// fillDisk writes until no byte is left, and removes it after a while.
func fillDisk(ctx context.Context, r *round, f fault, _ *rand.Rand) error {
	ballast := filepath.Join(r.env.tmpfs, "ballast")
	fill := func() error {
		file, err := os.OpenFile(ballast, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // it is to be full, not well
		for size := 1 << 20; size > 0; {
			if _, err := file.Write(make([]byte, size)); err != nil {
				size /= 16
			}
		}
		return nil
	}
	// What the database gives back meanwhile is taken as well.
	for end := time.Now().Add(f.For); time.Now().Before(end) && ctx.Err() == nil; {
		if err := fill(); err != nil && !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		sleep(ctx, 100*time.Millisecond)
	}
	return os.Remove(ballast)
}

// republish publishes events again that were projected, and tells of old
// versions after new ones, as a producer in trouble would.
func republish(ctx context.Context, r *round, f fault, d *rand.Rand) error {
	for end := time.Now().Add(f.For); time.Now().Before(end) && ctx.Err() == nil; sleep(ctx, 50*time.Millisecond) {
		op, ok := r.anyCommitted(d)
		if !ok {
			continue
		}
		kind, id, _ := strings.Cut(op.Entity, ":")
		again := map[string]domain.EventType{
			"member": domain.EventMemberUpdated, "team": domain.EventTeamUpdated, "room": domain.EventRoomUpdated, "workspace": domain.EventWorkspaceUpdated,
		}[kind]
		if again == "" {
			continue
		}
		twin := domain.NewEvent(again, op.Workspace, id, domain.Changed{Version: max(1, op.Version)})
		twin.ID = op.Event
		late := domain.NewEvent(again, op.Workspace, id, domain.Changed{Version: 1})
		_ = r.env.store.Write(ctx, func(tx domain.Tx) error { // a database that is away is somebody else's doing
			return tx.Publish(ctx, late, twin, late)
		})
	}
	return nil
}
