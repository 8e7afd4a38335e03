//go:build !failpoint

package main

import "github.com/orbit/realtime/app"

// hasFailpoints: nothing in this binary fails on purpose. Build with
// -tags failpoint for one that can be told to.
const hasFailpoints = false

func faults(console) []app.Option { return nil }
