package ws

import (
	"errors"
	"sync"
	"syscall"

	"github.com/orbit/realtime/transport/hub"
)

// attempt is what one round of the pump needs: events, the frames made of them,
// and how writing them went. Attempts are pooled, so that ten thousand sessions
// woken at once share a few.
type attempt struct {
	events  []hub.Frame
	frames  []byte
	written int
	err     error
	once    func(fd uintptr) bool // made once: a closure would be made for each write
}

// maxPooled is the most that a buffer may hold to be kept, in bytes.
const maxPooled = 4 * batchBytes

var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.once = a.writeOnce
	return a
}}

func (a *attempt) release() {
	clear(a.events)
	a.events = a.events[:0]
	if cap(a.frames) <= maxPooled {
		attempts.Put(a)
	}
}

// writeOnce writes what the socket takes, and never asks the runtime to wait.
func (a *attempt) writeOnce(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), a.frames)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err == nil:
			a.written = n
		case !errors.Is(err, syscall.EAGAIN):
			a.err = err
		}
		return true
	}
}

// encode makes one message of all events, a line each, for a client that takes
// batches; else a message of each. Either way it is one write.
func (a *attempt) encode(batches bool) {
	a.frames = a.frames[:0]
	if !batches {
		for _, event := range a.events {
			a.frames = append(appendTextHeader(a.frames, len(event.Data)), event.Data...)
		}
		return
	}
	size := len(a.events) - 1
	for _, event := range a.events {
		size += len(event.Data)
	}
	a.frames = appendTextHeader(a.frames, size)
	for i, event := range a.events {
		if i > 0 {
			a.frames = append(a.frames, '\n')
		}
		a.frames = append(a.frames, event.Data...)
	}
}
