package prove

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/orbit/realtime/app/prove/check"
)

// measure notes how heavy each node is, at rest. There is nothing to measure of
// one that isn't ours.
func (r *round) measure() error {
	if r.env.opts.Server != nil {
		r.vitals = append(r.vitals, check.Vitals{At: r.now()})
		return nil
	}
	clients := 0 // of all nodes: any of them may have come to this one
	for _, tb := range r.allTabs() {
		if tb.connected() {
			clients++
		}
	}
	for _, p := range r.env.nodes() {
		v := check.Vitals{At: r.now(), PID: p.pid(), Clients: clients}
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", v.PID))
		if err != nil && !os.IsNotExist(err) { // no /proc here
			return err
		}
		v.Files = len(files)
		v.MemoryKB = residentKB(v.PID)
		v.Goroutines = goroutines("http://" + p.admin)
		r.vitals = append(r.vitals, v)
	}
	return nil
}

// residentKB reads VmRSS, which proc(5) gives in kB; 0 where it can't.
func residentKB(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	return field(status, "VmRSS:")
}

// goroutines asks the server's metrics; 0 where it has none.
func goroutines(admin string) int {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, admin+"/metrics", nil)
	if err != nil {
		return 0
	}
	res, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		return 0
	}
	return int(field(body, "go_goroutines"))
}

// field finds "<name> <number> …" at the beginning of a line.
func field(text []byte, name string) int64 {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok {
			if words := strings.Fields(rest); len(words) > 0 {
				n, _ := strconv.ParseInt(words[0], 10, 64) // 0: not a number
				return n
			}
		}
	}
	return 0
}
