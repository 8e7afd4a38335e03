package prove

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"syscall"
	"time"
)

// startHelper runs a server that isn't ours, and returns when it listens.
func startHelper(ctx context.Context, addr string, log io.Writer, path string, args ...string) (*process, error) {
	p := &process{binary: path, addr: addr, log: log}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.begin(cmd); err != nil {
		return nil, err
	}
	for end := time.Now().Add(startPatience); time.Now().Before(end); {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return p, conn.Close()
		}
		select {
		case <-p.dead():
			return nil, fmt.Errorf("%s ended at once; it said:\n%s", path, log)
		case <-ctx.Done():
			_ = p.kill()
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	_ = p.kill()
	return nil, fmt.Errorf("%s does not listen on %s", path, addr)
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr) // it was a listener's
	return port
}
