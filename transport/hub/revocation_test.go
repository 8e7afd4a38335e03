package hub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

func revoking(e domain.Entry, member string, channel domain.Channel) domain.Entry {
	e.Revoke = &domain.Revocation{MemberID: member, Channel: channel}
	return e
}

var (
	removesM    = revoking(toAll, "m", "")
	roomDeleted = revoking(toAll, "", domain.RoomChannel("r"))
	mLeavesRoom = revoking(domain.Entry{Channel: domain.MemberChannel("m")}, "m", domain.RoomChannel("r"))
)

func TestRemovedMember(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m, n := w.connect(member("m")), w.connect(member("n"))
		m.read()
		w.append(toAll, removesM, toAll)
		m.SendError(domain.CodeInvalid, "", nil)
		m.Heartbeat()
		w.hub.Broadcast(ws, presence(ws, "x", true), "presence:x")
		require.Equal(w.t, list("1 2"), m.read(), "their last event is their own removal")
		synctest.Wait()
		require.Equal(w.t, list("revoked"), m.codes())
		require.Equal(w.t, []string{"m clean"}, w.presence.goodbyes())
		require.Equal(w.t, list("1 2 3 +x -m"), n.read())
	})
}

// The close comes when the revoking entry has been written, not while it is.
func TestRemovalIsWrittenBeforeTheClose(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.append(removesM)
		require.Equal(w.t, list("1"), m.next(1000))
		time.Sleep(time.Millisecond)
		require.Empty(w.t, m.codes())
		require.Empty(w.t, m.next(1000))
		synctest.Wait()
		require.Equal(w.t, list("revoked"), m.codes())
	})
}

// melody queued a backlogged, revoked reader's close behind its backlog: 235
// more messages over 98 s. Here the reader is cut, however slow.
func TestSlowRevokedReaderIsCut(t *testing.T) {
	bubble(t, hub.Config{RingSize: 4}, func(w *world) {
		m := w.connect(member("m"))
		w.append(times(50, toAll)...)
		require.Equal(w.t, list("1"), m.next(0))
		w.append(removesM)
		w.append(times(50, toAll)...)
		time.Sleep(999 * time.Millisecond)
		require.Equal(w.t, list("2"), m.next(0), "up to the removal it may still read")
		require.Empty(w.t, m.codes())
		time.Sleep(2 * time.Millisecond)
		require.Equal(w.t, list("revoked"), m.codes())
		require.Empty(w.t, m.read())
	})
}

func TestFastRevokedReaderGetsAllUpToTheRemoval(t *testing.T) {
	bubble(t, hub.Config{RingSize: 4}, func(w *world) {
		m := w.connect(member("m"))
		w.append(times(50, toAll)...)
		w.append(removesM)
		w.append(times(50, toAll)...)
		require.Equal(w.t, offsets(1, 51), m.read())
		synctest.Wait()
		require.Equal(w.t, list("revoked"), m.codes())
	})
}

// The revoking entry needn't be on a channel of the session's.
func TestRemovalOnAnotherChannel(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.append(revoking(toN, "m", ""), toAll)
		require.Empty(w.t, m.read())
		synctest.Wait()
		require.Equal(w.t, list("revoked"), m.codes())
	})
}

func TestRemovalDuringTheReplay(t *testing.T) {
	bubble(t, hub.Config{RingSize: 4}, func(w *world) {
		w.log.add(ws, times(30, toAll)...)
		m, _ := w.register(from(member("m"), "e1-0"))
		require.Equal(w.t, list("hello@0+resumed"), m.next(0))
		w.append(removesM, toAll)
		require.Equal(w.t, append(append(offsets(1, 30), "live"), "31"), m.read())
		synctest.Wait()
		require.Equal(w.t, list("revoked"), m.codes())
	})
}

// Removed between the registration and the first read: no hello, for it would
// tell who is online.
func TestRemovalBeforeHello(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m, _ := w.register(member("m"))
		w.append(removesM)
		require.Empty(w.t, m.read())
		synctest.Wait()
		require.Equal(w.t, list("revoked"), m.codes())
	})
}

// The check says yes, the removal commits, and then the session is told it is
// in: the place it took before the check makes it meet the removal.
func TestRemovalRightAfterTheCheck(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		w.rights.during = func() { w.append(removesM, toAll) }
		m, err := w.register(member("m"))
		require.NoError(w.t, err)
		require.Empty(w.t, m.read())
		synctest.Wait()
		require.Equal(w.t, list("revoked"), m.codes())
	})
}

func TestRoomRevoked(t *testing.T) {
	tests := map[string]struct {
		entry domain.Entry
		want  string
	}{
		"deleted":                            {roomDeleted, "1 2 3 unsubscribed:r:room_deleted 5"},
		"left":                               {mLeavesRoom, "1 2 3 unsubscribed:r:revoked 5"},
		"another member left":                {revoking(toAll, "n", domain.RoomChannel("r")), "1 2 3 4 5"},
		"another room":                       {revoking(toAll, "", domain.RoomChannel("r2")), "1 2 3 4 5"},
		"said on a channel the member isn't": {revoking(toN, "", domain.RoomChannel("r")), "1 2 unsubscribed:r:room_deleted 5"},
		"said in the room itself":            {revoking(toRoom, "m", domain.RoomChannel("r")), "1 2 3 unsubscribed:r:revoked 5"},
	}
	for name, test := range tests {
		for _, ring := range []int{1, 100} {
			t.Run(name, func(t *testing.T) {
				bubble(t, hub.Config{RingSize: ring}, func(w *world) {
					m := w.connect(from(member("m"), "", "r"))
					w.append(toAll, toRoom, test.entry, toRoom, toAll)
					require.Equal(w.t, list(test.want), m.read())
					if ring == 1 {
						w.append(toRoom, toN, toAll)
						require.Contains(w.t, m.read(), "8")
					}
				})
			})
		}
	}
}

// An idle session learns at once that a subscription ended.
func TestRoomRevokedWakes(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(from(member("m"), "", "r"))
		w.append(revoking(toN, "", domain.RoomChannel("r")))
		synctest.Wait()
		require.Equal(w.t, 1, m.wakes())
		require.Equal(w.t, list("unsubscribed:r:room_deleted"), m.read())
	})
}

// Removed from a room and invited again, and only then connected: the removal
// in the replay is history.
func TestOldRevocationInTheReplayIsMoot(t *testing.T) {
	for _, ring := range []int{1, 100} {
		bubble(t, hub.Config{RingSize: ring}, func(w *world) {
			w.log.add(ws, toRoom, mLeavesRoom, toRoom, toAll)
			m, _ := w.register(from(member("m"), "e1-0", "r"))
			require.Equal(w.t, list("hello@0+resumed+r 1 2 3 4 live"), m.read())
		})
	}
}

// The room's right ends while the subscription is being verified.
func TestRevocationDuringASubscription(t *testing.T) {
	for _, roomAtRegistration := range []bool{true, false} {
		bubble(t, hub.Config{}, func(w *world) {
			revokeOnce := func() {
				w.rights.set(func(r *fakeRights) { r.during = nil })
				w.append(mLeavesRoom, toRoom)
			}
			if roomAtRegistration {
				calls := 0
				w.rights.during = func() {
					if calls++; calls == 2 { // Room, after Member
						revokeOnce()
					}
				}
				m, _ := w.register(from(member("m"), "", "r"))
				require.Equal(w.t, list("hello@0 live error:not_found 1"), m.read())
				return
			}
			m := w.connect(member("m"))
			w.rights.set(func(r *fakeRights) { r.during = revokeOnce })
			m.subscribe("r", "e1-0", nil)
			require.Equal(w.t, list("error:not_found 1"), m.read())
		})
	}
}

// Verified, but the answer is still in line when the right ends.
func TestRevocationBeforeTheAnswer(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.append(toRoom)
		m.subscribe("r", "e1-0", nil)
		w.append(mLeavesRoom, toRoom)
		require.Equal(w.t, list("subscribed:r 1 2 unsubscribed:r:revoked"), m.read())
	})
}

// Removed from the room and invited again while the client looks elsewhere: the
// old subscription ends, the new one stands.
func TestSubscribeAgainBeforeTheEndOfTheOld(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(from(member("m"), "", "r"))
		w.append(toRoom, mLeavesRoom, toRoom)
		m.subscribe("r", "", nil)
		w.append(toRoom)
		got := m.read()
		require.Contains(w.t, got, "unsubscribed:r:revoked")
		require.Contains(w.t, got, "subscribed:r")
		w.append(toRoom)
		require.Equal(w.t, list("5"), m.read())
	})
}

// What was revoked in the lost part of a log nobody can say: every right is
// asked for again before anything of the new log is handed out.
func TestRightsAreVerifiedAfterAReset(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m, n := w.connect(from(member("m"), "", "r")), w.connect(from(member("n"), "", "r"))
		m.read()
		w.rights.set(func(r *fakeRights) { r.gone, r.closed = map[string]bool{"m": true}, map[string]bool{"r": true} })
		w.log.replace(ws, domain.LogState{Epoch: "e2"})
		w.append(toAll, toRoom)
		synctest.Wait()
		require.Empty(w.t, m.read())
		synctest.Wait()
		require.Equal(w.t, list("revoked"), m.codes())
		require.Equal(w.t, list("resync:epoch_changed@2 unsubscribed:r:revoked -m"), n.read())
		w.append(toAll, toRoom)
		require.Equal(w.t, list("3"), n.read())
	})
}

func TestSigningOutIsNoticedAfterAReset(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.rights.set(func(r *fakeRights) { r.ended = map[string]bool{"a_m": true} })
		w.log.replace(ws, domain.LogState{Epoch: "e2"})
		w.append(toAll)
		synctest.Wait()
		require.Empty(w.t, m.read())
		synctest.Wait()
		require.Equal(w.t, list("unauthenticated"), m.codes())
	})
}

func TestVerifyingWaitsForTheDatabase(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.rights.set(func(r *fakeRights) { r.down = true })
		w.log.replace(ws, domain.LogState{Epoch: "e2"})
		w.append(toAll)
		synctest.Wait()
		require.Empty(w.t, m.read())
		m.wakes()
		time.Sleep(5 * time.Second)
		require.NotZero(w.t, m.wakes())
		w.rights.set(func(r *fakeRights) { r.down = false })
		time.Sleep(5 * time.Second)
		require.Equal(w.t, list("resync:epoch_changed@1"), m.read())
	})
}

// A removal and a reset at once: the session can't go on.
func TestResetAfterARemoval(t *testing.T) {
	bubble(t, hub.Config{}, func(w *world) {
		m := w.connect(member("m"))
		w.append(removesM)
		w.log.replace(ws, domain.LogState{Epoch: "e2"})
		w.append(toAll)
		synctest.Wait()
		require.Empty(w.t, m.read())
		synctest.Wait()
		require.Equal(w.t, list("revoked"), m.codes())
	})
}
