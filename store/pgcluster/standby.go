package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standby makes a streaming replica of the cluster and starts it: what the
// cluster acknowledges from now on, the replica has on its disk as well
// (synchronous replication), so that Promote loses nothing that anybody was told
// of. While a standby is down its primary acknowledges nothing.
func (c *Cluster) Standby() (*Cluster, error) {
	backup, err := Tool("pg_basebackup")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "orbit-postgres-")
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 { // see asServer
		uid, gid, err := serverUser()
		if err == nil {
			err = os.Chown(dir, uid, gid)
		}
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	s := &Cluster{pgCtl: c.pgCtl, dir: dir, port: port, settings: c.settings}
	err = asServer(dir, backup, "-h", "127.0.0.1", "-p", c.port, "-U", "postgres", "-D", s.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.Up(); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	// On the primary alone, and after the copy: promoted, the copy waits for nobody.
	err = c.configure("synchronous_standby_names = '*'")
	if err == nil {
		err = c.awaitStandby()
	}
	if err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

// awaitStandby returns when the replica has caught up and is waited for: to
// accept connections, it needn't have either.
func (c *Cluster) awaitStandby() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL().String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	target := "0/0" // where the primary was at the look before
	for synchronous := false; ; {
		err := conn.QueryRow(ctx, `SELECT coalesce(bool_or(sync_state = 'sync' AND flush_lsn >= $1::text::pg_lsn), false) AND $1 <> '0/0',
			pg_current_wal_lsn()::text FROM pg_stat_replication`, target).Scan(&synchronous, &target)
		if err != nil {
			return fmt.Errorf("wait for the replica: %w", err)
		}
		if synchronous {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("the replica doesn't catch up")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Promote makes a standby a primary, for good.
func (c *Cluster) Promote() error {
	return asServer(c.dir, c.pgCtl, "-D", c.data(), "-w", "promote")
}

// configure adds a line to the settings, and has the server read them.
func (c *Cluster) configure(line string) error {
	file, err := os.OpenFile(filepath.Join(c.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, line)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return asServer(c.dir, c.pgCtl, "-D", c.data(), "reload")
}
