// Package pgcluster runs throwaway PostgreSQL clusters: for tests where no
// server answers, and for whoever wants to stop, crash and pause a database
// without hurting anybody else's. Nothing in a cluster is meant to be kept.
package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Config says what kind of cluster. The zero value is PostgreSQL's defaults.
type Config struct {
	MaxConnections int // default PostgreSQL's, 100
	// Made is called with pg_ctl's path and the cluster's folder before anything
	// runs, so that whoever cleans up knows of it (see Remove). May be nil.
	Made func(pgCtl, dir string) error
}

// Cluster is a PostgreSQL server of its own, on a free port of 127.0.0.1.
type Cluster struct {
	pgCtl, dir, port string
	settings         string // options of the server, its port apart
}

// Start makes a cluster in a temporary folder and starts it. Errors: PostgreSQL
// is not installed, or doesn't start.
func Start(cfg Config) (*Cluster, error) {
	initdb, err := Tool("initdb")
	if err != nil {
		return nil, err
	}
	pgCtl, err := Tool("pg_ctl")
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
	if cfg.Made != nil {
		if err := cfg.Made(pgCtl, dir); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	if os.Geteuid() == 0 { // see asServer
		uid, gid, err := serverUser()
		if err != nil {
			return nil, err
		}
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
	}
	c := &Cluster{pgCtl: pgCtl, dir: dir, port: port}
	// Nothing in it outlives its user: it needn't be safe from a power cut. A
	// crash of the server alone loses nothing even so.
	if err := asServer(dir, initdb, "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"); err != nil {
		return nil, err
	}
	c.settings = "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
	if cfg.MaxConnections > 0 {
		c.settings += fmt.Sprintf(" -c max_connections=%d", cfg.MaxConnections)
	}
	return c, c.Up()
}

// URL is the database "postgres" as a superuser.
func (c *Cluster) URL() *url.URL {
	return &url.URL{Scheme: "postgres", User: url.User("postgres"), Host: "127.0.0.1:" + c.port, Path: "/postgres", RawQuery: "sslmode=disable"}
}

// Up starts the server and waits until it accepts connections.
func (c *Cluster) Up() error {
	return asServer(c.dir, c.pgCtl, "-D", c.data(), "-l", filepath.Join(c.dir, "log"), "-o", "-p "+c.port+" "+c.settings, "-w", "start")
}

// Crash ends the server at once: no goodbye to anybody, and recovery from the
// WAL when it is up again.
func (c *Cluster) Crash() error {
	return asServer(c.dir, c.pgCtl, "-D", c.data(), "-m", "immediate", "-w", "stop")
}

// Pause stops every process of the server where it is; connections stay open,
// and nothing answers.
func (c *Cluster) Pause() error { return c.signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (c *Cluster) Resume() error { return c.signal(syscall.SIGCONT) }

func (c *Cluster) signal(s syscall.Signal) error {
	raw, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	postmaster, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return fmt.Errorf("postmaster.pid: %w", err)
	}
	// The postmaster first, so that it starts no more children.
	errs := []error{syscall.Kill(postmaster, s)}
	for _, child := range children(postmaster) {
		if err := syscall.Kill(child, s); !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// children lists the processes whose parent is pid, from /proc (proc_pid_stat(5)).
func children(pid int) (all []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// The name, in parentheses, may hold anything; after it come state and parent.
		fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			all = append(all, child)
		}
	}
	return all
}

// Remove stops the server, if it runs, and deletes the cluster.
func (c *Cluster) Remove() error {
	_ = c.Resume() // a paused server doesn't stop; one that is down has no processes
	return Remove(c.pgCtl, c.dir)
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// Remove undoes Start, however far that came.
func Remove(pgCtl, dir string) error {
	err := asServer(dir, pgCtl, "-D", filepath.Join(dir, "data"), "-m", "fast", "-w", "stop")
	return errors.Join(err, os.RemoveAll(dir))
}

// asServer runs one of PostgreSQL's tools: they refuse to be root.
func asServer(dir, tool string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, args...)
	// A group of its own: Ctrl-C is for the caller, who stops the server then.
	cmd.SysProcAttr, cmd.Dir = &syscall.SysProcAttr{Setpgid: true}, dir
	if os.Geteuid() == 0 {
		uid, gid, err := serverUser()
		if err != nil {
			return err
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(tool), err, out)
	}
	return nil
}

func serverUser() (uid, gid int, err error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ = strconv.Atoi(u.Uid) // numbers, on systems where this package builds
		gid, _ = strconv.Atoi(u.Gid)
		return uid, gid, nil
	}
	return 0, 0, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
}

// Tool finds one of PostgreSQL's programs, on PATH or where Debian keeps each
// version's own, newest first.
func Tool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // the pattern is well-formed
	if len(all) == 0 {
		return "", fmt.Errorf("PostgreSQL's %s is not installed", name)
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return slices.MaxFunc(all, func(a, b string) int { return version(a) - version(b) }), nil
}

func freePort() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}
