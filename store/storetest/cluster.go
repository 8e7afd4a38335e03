package storetest

import (
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
// on a free port. It ends after this process: see keeper.go.
func startCluster() (*url.URL, error) {
	initdb, err := findTool("initdb")
	if err != nil {
		return nil, err
	}
	postgres, err := findTool("postgres")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "orbit-postgres-")
	if err != nil {
		return nil, err
	}
	as, err := clusterUser(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	data := filepath.Join(dir, "data")
	create := exec.Command(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
	create.SysProcAttr, create.Dir = as, dir
	if out, err := create.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(dir))
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := startServer(dir, as, postgres, "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-k", dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	u := &url.URL{Scheme: "postgres", User: url.User("postgres"), Host: "127.0.0.1:" + port, Path: "/postgres", RawQuery: "sslmode=disable"}
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := answers(u)
		if err == nil || time.Now().After(deadline) {
			return u, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// startServer starts the server, to be stopped when this process has ended.
func startServer(dir string, as *syscall.SysProcAttr, server string, args ...string) error {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(server, args...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr, cmd.Dir = log, log, as, dir
	if err := cmd.Start(); err != nil {
		return err
	}
	return tellKeeper("stop", strconv.Itoa(cmd.Process.Pid), dir)
}

// clusterUser says who runs the server: it refuses to be root.
func clusterUser(dir string) (*syscall.SysProcAttr, error) {
	// A group of its own: Ctrl-C is for the tests, the keeper stops the server.
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() != 0 {
		return attr, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid) // numbers, on systems that have uids
		gid, _ := strconv.Atoi(u.Gid)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attr, os.Chown(dir, uid, gid)
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
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
