package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// IdleOptions say how to measure the memory of idle tabs.
type IdleOptions struct {
	Target
	Tabs int // default 1,000; the server's session limits must allow them
	// PID is the server's process, which must not be the one that runs Idle:
	// the tabs' own memory would be counted too.
	PID int
	// Quiesce, if set, is called before each reading, for instance to ask the
	// server for a garbage collection.
	Quiesce  func(ctx context.Context) error
	Progress io.Writer // nil for none
}

// IdleResult is what was measured. Sizes are kB of 1,024 bytes.
type IdleResult struct {
	Transport Transport `json:"transport"`
	Tabs      int       `json:"tabs"`
	BeforeKB  int64     `json:"beforeKb"` // with one tab open, so that fixed costs are in
	AfterKB   int64     `json:"afterKb"`
	KBPerTab  float64   `json:"kbPerTab"`
}

func (r IdleResult) String() string {
	return fmt.Sprintf("idle tabs over %s: %d tabs, resident memory %d kB → %d kB, %.1f kB a tab",
		r.Transport, r.Tabs, r.BeforeKB, r.AfterKB, r.KBPerTab)
}

// Idle opens tabs that say nothing and reads what the server's process grew
// by. It needs Linux: resident memory is read from /proc.
func Idle(ctx context.Context, o IdleOptions) (IdleResult, error) {
	if o.PID == os.Getpid() {
		return IdleResult{}, errors.New("bench: the server must be another process, or the tabs' own memory is counted too")
	}
	return idle(ctx, o, func() (int64, error) { return residentKB(o.PID) })
}

func idle(ctx context.Context, o IdleOptions, resident func() (int64, error)) (IdleResult, error) {
	o.Tabs = orDefault(o.Tabs, 1000)
	var closed atomic.Int64
	var reading sync.WaitGroup
	defer reading.Wait()
	open := func(n int) (*fleet, error) {
		f, err := openFleet(ctx, o.Target, n, o.Progress)
		if err != nil {
			return nil, err
		}
		for _, t := range f.tabs {
			reading.Go(func() { t.discard(); closed.Add(1) })
		}
		return f, nil
	}
	measure := func() (int64, error) {
		if o.Quiesce != nil {
			if err := o.Quiesce(ctx); err != nil {
				return 0, err
			}
		}
		kb, err := resident()
		say(o.Progress, "resident memory: %d kB", kb)
		return kb, err
	}

	first, err := open(1)
	if err != nil {
		return IdleResult{}, err
	}
	defer first.close()
	before, err := measure()
	if err != nil {
		return IdleResult{}, err
	}
	rest, err := open(o.Tabs)
	if err != nil {
		return IdleResult{}, err
	}
	defer rest.close()
	after, err := measure()
	if err != nil {
		return IdleResult{}, err
	}
	if n := closed.Load(); n > 0 {
		return IdleResult{}, fmt.Errorf("bench: the server closed %d of the tabs meanwhile", n)
	}
	return IdleResult{
		Transport: o.transport(), Tabs: o.Tabs, BeforeKB: before, AfterKB: after,
		KBPerTab: float64(after-before) / float64(o.Tabs),
	}, nil
}

// residentKB reads VmRSS, which proc(5) gives in kB.
func residentKB(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("bench: can't read the server's memory: %w", err)
	}
	return parseVmRSS(status)
}

func parseVmRSS(status []byte) (int64, error) {
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			return strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
		}
	}
	return 0, errors.New("bench: no VmRSS in the process's status")
}
