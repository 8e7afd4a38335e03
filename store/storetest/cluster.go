package storetest

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

// startCluster makes a PostgreSQL cluster in a temporary folder and starts it
// on a free port. The keeper stops and removes it after this process.
func startCluster() (*url.URL, error) {
	initdb, err := findTool("initdb")
	if err != nil {
		return nil, err
	}
	pgCtl, err := findTool("pg_ctl")
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
	if err := tellKeeper("stop", pgCtl, dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
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
	data := filepath.Join(dir, "data")
	// Nothing in it outlives the tests: it needn't be safe from a power cut.
	if err := asServer(dir, initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"); err != nil {
		return nil, err
	}
	options := fmt.Sprintf("-p %s -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off", port)
	if err := asServer(dir, pgCtl, "-D", data, "-l", filepath.Join(dir, "log"), "-o", options, "-w", "start"); err != nil {
		return nil, err
	}
	return &url.URL{Scheme: "postgres", User: url.User("postgres"), Host: "127.0.0.1:" + port, Path: "/postgres", RawQuery: "sslmode=disable"}, nil
}

// stopCluster undoes startCluster, however far that came.
func stopCluster(pgCtl, dir string) error {
	err := asServer(dir, pgCtl, "-D", filepath.Join(dir, "data"), "-m", "fast", "-w", "stop")
	return errors.Join(err, os.RemoveAll(dir))
}

// asServer runs one of PostgreSQL's tools: they refuse to be root.
func asServer(dir, tool string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, args...)
	// A group of its own: Ctrl-C is for the tests, the keeper stops the server.
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

// findTool looks on PATH and where Debian keeps each version's own tools,
// newest first.
func findTool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // the pattern is well-formed
	if len(all) == 0 {
		return "", fmt.Errorf("nothing answers on 127.0.0.1:5432, and %s is not installed", name)
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return slices.MaxFunc(all, func(a, b string) int { return version(a) - version(b) }), nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}
