package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of the times in /proc/<pid>/stat: USER_HZ, which is 100
// on every Linux that Go runs on (proc(5), sysconf(3)).
const clockTick = 10 * time.Millisecond

// cpuTime is the processor time that a process has used, in user mode and in
// the kernel on its behalf. It needs Linux.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("bench: can't read the server's processor time: %w", err)
	}
	return parseCPUTime(stat)
}

// parseCPUTime reads fields 14 and 15 of proc(5)'s stat. The second field is
// the program's name in parentheses, which may hold anything; the rest begins
// behind the last one.
func parseCPUTime(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("bench: the process's stat is too short")
	}
	user, err := strconv.ParseInt(string(fields[11]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("bench: utime: %w", err)
	}
	system, err := strconv.ParseInt(string(fields[12]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("bench: stime: %w", err)
	}
	return time.Duration(user+system) * clockTick, nil
}
