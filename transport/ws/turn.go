package ws

import "sync/atomic"

// turn is the right to write. It goes from the pump to melody's writer with a
// frame, and back when the frame is written; so there is one frame in flight.
type turn struct{ state atomic.Int32 }

const (
	idle  int32 = iota // nobody has the turn, and nothing was due when last looked
	taken              // the pump has it, or a frame in flight
	asked              // the same, and more has become due since the last look
)

// take gives the caller a turn that nobody else knows of yet.
func (t *turn) take() { t.state.Store(taken) }

// ask reports whether the caller has got the turn. If somebody else has it,
// they will find out, in giveBack at the latest.
func (t *turn) ask() bool {
	for {
		switch t.state.Load() {
		case idle:
			if t.state.CompareAndSwap(idle, taken) {
				return true
			}
		case taken:
			if t.state.CompareAndSwap(taken, asked) {
				return false
			}
		default:
			return false
		}
	}
}

// look forgets who has asked: the caller is about to see what is due.
func (t *turn) look() { t.state.Store(taken) }

// giveBack gives the turn back, unless somebody has asked since the last look:
// then it reports false, and the caller has to look again.
func (t *turn) giveBack() bool { return t.state.CompareAndSwap(taken, idle) }
