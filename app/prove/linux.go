//go:build linux

package prove

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// enter takes the calling thread into a network namespace.
func enter(namespace string) error {
	space, err := os.Open("/var/run/netns/" + namespace)
	if err != nil {
		return err
	}
	defer func() { _ = space.Close() }() // it was only read
	return unix.Setns(int(space.Fd()), unix.CLONE_NEWNET)
}

func mountTmpfs(dir, options string) error { return syscall.Mount("tmpfs", dir, "tmpfs", 0, options) }

// unmount lets go of a file system even if somebody has a file open.
func unmount(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }
