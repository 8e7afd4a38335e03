package prove

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The server's settings in a run: intervals short enough to see several of each.
const (
	heartbeat = 2 * time.Second
	pongWait  = time.Second
	grace     = 2 * time.Second
	pollLease = 3 * time.Second
	nodeLease = 3 * time.Second
)

// process is the real binary, serving.
type process struct {
	binary, addr, admin string
	env                 []string
	log                 io.Writer
	orders              string // file with its failpoints' orders
	ordered             map[target]string

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has; nil before the first start
}

// newProcess prepares a server on free ports. host: where it listens.
func newProcess(binary, host string, env []string, log io.Writer) (*process, error) {
	addr, err := freeAddr(host)
	if err != nil {
		return nil, err
	}
	admin, err := freeAddr("127.0.0.1")
	if err != nil {
		return nil, err
	}
	return &process{binary: binary, addr: addr, admin: admin, log: log, env: append(env, "ORBIT_ADDR="+addr, "ORBIT_ADMIN_ADDR="+admin)}, nil
}

func freeAddr(host string) (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// local is the address to reach it at from this machine.
func (p *process) local() string {
	_, port, _ := net.SplitHostPort(p.addr) // it was a listener's
	return "127.0.0.1:" + port
}

func (p *process) start() error {
	// Not bound to a context: how it ends is what this is about.
	cmd := exec.CommandContext(context.Background(), p.binary, "serve")
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stderr, cmd.Stdout = p.log, p.log
	// A group of its own: Ctrl-C is for the run, which ends it then.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return p.begin(cmd)
}

// begin runs what the process is from now on.
func (p *process) begin(cmd *exec.Cmd) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // ProcessState has it
		close(ended)
	}()
	p.cmd, p.ended = cmd, ended
	return nil
}

func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

func (p *process) signal(s os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// dead is closed when the process that runs now has ended.
func (p *process) dead() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// kill is kill -9: nothing is flushed, nobody is told.
func (p *process) kill() error {
	if p.dead() == nil {
		return nil
	}
	err := p.signal(syscall.SIGKILL)
	<-p.dead()
	return err
}

// terminate is what a deploy does: it must end by itself, and well.
func (p *process) terminate(ctx context.Context) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.dead():
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("SIGTERM did not end the server within 30 s"), p.kill())
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("after SIGTERM the server exited with %d", code)
	}
	return nil
}

// waitReady returns when /readyz says yes, or the process has ended.
func (p *process) waitReady(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	go func(ended <-chan struct{}) {
		select {
		case <-ended:
			cancel()
		case <-ctx.Done():
		}
	}(p.dead())
	return waitReady(ctx, "http://"+p.admin)
}

func waitReady(ctx context.Context, adminURL string) error {
	client := &http.Client{Timeout: 3 * time.Second}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(adminURL, "/")+"/readyz", nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		if !sleep(ctx, 25*time.Millisecond) {
			return errors.New("the server is not ready")
		}
	}
}
