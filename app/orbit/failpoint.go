//go:build failpoint

package main

import (
	"fmt"
	"os"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/app/failpoint"
)

// hasFailpoints: this binary can be told to fail, and is not for production.
const hasFailpoints = true

// faults are the failpoints, if the environment names a file with orders.
func faults(con console) []app.Option {
	path := os.Getenv(failpoint.EnvFile)
	if path == "" {
		return nil
	}
	fmt.Fprintf(con.err, "orbit: %s is set: this server fails when %s says so\n", failpoint.EnvFile, path)
	return []app.Option{app.Between(failpoint.New(path).Middle())}
}
