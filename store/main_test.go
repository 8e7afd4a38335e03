package store_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Watchers of lane locks and listeners must end with their Store.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
