//go:build !linux

package prove

import "errors"

// Network namespaces and tmpfs are Linux's: the nemeses that need them are not
// to be had elsewhere.

func enter(string) error              { return errors.ErrUnsupported }
func mountTmpfs(string, string) error { return errors.ErrUnsupported }
func unmount(string) error            { return errors.ErrUnsupported }
