package app

import (
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/presence"
)

// Middle is put between the parts when they are wired: each function gets what
// the part would be given, and returns what it is given instead. Nil leaves it.
// It is how faults get in, for a server whose failing is to be watched; the
// parts themselves know nothing of it.
type Middle struct {
	// Projectors is between the bus and the projectors.
	Projectors func(map[domain.EventType]domain.Projector) map[domain.EventType]domain.Projector
	// Relay is between a commit and the hub that is told of it.
	Relay func(func([]domain.Appended)) func([]domain.Appended)
	// Log is between the hub and the log that it reads.
	Log func(hub.Log) hub.Log
	// Presence is between who counts members online and who tells of it.
	Presence func(presence.Broadcaster) presence.Broadcaster
}

// Between puts m in the middle. Of several, the last one given is outermost.
func Between(m Middle) Option {
	return func(a *App) { a.middles = append(a.middles, m) }
}

// through passes a part through one function of every Middle.
func through[T any](a *App, part T, pick func(Middle) func(T) T) T {
	for _, m := range a.middles {
		if wrap := pick(m); wrap != nil {
			part = wrap(part)
		}
	}
	return part
}
