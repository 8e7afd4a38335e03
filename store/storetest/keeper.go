package storetest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orbit/realtime/store/pgcluster"
)

// The keeper cleans up after a test process: it is the same binary, started
// once more, and waits for its standard input to end, which happens when the
// test process does, in whatever way. A package of tests has no other moment
// that surely comes, and what is made once per process (databases, a cluster)
// can't be undone by any single test.
const keeperEnv = "ORBIT_STORETEST_KEEPER"

func init() {
	if os.Getenv(keeperEnv) != "" {
		keep()
		os.Exit(0)
	}
}

var keeper struct {
	sync.Mutex
	pipe *os.File
}

// tellKeeper gives the keeper a task for the end: "drop <server URL> <database>"
// or "stop <pg_ctl> <folder of a cluster>".
func tellKeeper(task ...string) error {
	keeper.Lock()
	defer keeper.Unlock()
	if keeper.pipe == nil {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		cmd := exec.Command(self)
		cmd.Stdin = r
		cmd.Env = append(os.Environ(), keeperEnv+"=1")
		// A group of its own, or Ctrl-C would end the keeper, too.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		_ = r.Close() // the keeper has its own copy
		keeper.pipe = w
	}
	_, err := fmt.Fprintln(keeper.pipe, strings.Join(task, " "))
	return err
}

// keep collects the tasks and does them, newest first, when the input ends.
// There is nobody left to tell about an error.
func keep() {
	var tasks [][]string
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		tasks = append([][]string{strings.Fields(in.Text())}, tasks...)
	}
	for _, task := range tasks {
		switch task[0] {
		case "drop":
			dropDatabase(task[1], task[2])
		case "stop":
			_ = pgcluster.Remove(task[1], task[2])
		}
	}
}

func dropDatabase(server, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		return
	}
	defer func() { _ = c.Close(ctx) }()
	_, _ = c.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}
