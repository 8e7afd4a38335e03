package relay_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/relay"
)

// network is a carrier under test: nodes join it, and what connects them can be
// cut.
type network struct {
	join func(t *testing.T, node string) relay.Carrier
	// cut and mend are nil where nothing can be cut.
	cut, mend func()
}

// networks is every carrier there is. One that needs what isn't here is skipped.
var networks = map[string]func(t *testing.T) network{
	"memory":      memoryNetwork,
	"postgres":    postgresNetwork,
	"nats":        embeddedNATS,
	"nats server": runningNATS,
}

type node struct {
	*relay.Relay
	ear *ear
}

func (n network) node(t *testing.T, name string, follows ...string) node {
	t.Helper()
	e := newEar()
	r := relay.New(name, n.join(t, name), e, slog.New(slog.DiscardHandler))
	for _, workspaceID := range follows {
		r.Follow(workspaceID)
	}
	before := e.missed()
	r.Start(t.Context())
	t.Cleanup(r.Stop)
	// It tells when it hears: that it may have missed what came before.
	eventually(t, "the node hears", func() bool { return e.missed() > before && r.Stats().Connected })
	if len(follows) > 0 {
		n.wake(t, e, follows)
	}
	return node{r, e}
}

// wake waits until messages about the workspaces arrive, which on some carriers
// is a moment after the first Missed.
func (n network) wake(t *testing.T, e *ear, workspaces []string) {
	t.Helper()
	other := relay.New("waker", n.join(t, "waker"), newEar(), slog.New(slog.DiscardHandler))
	other.Start(t.Context())
	defer other.Stop()
	for _, id := range workspaces {
		eventually(t, "a first message arrives", func() bool {
			other.Appended([]domain.Appended{grown(id, 0, 1, 8)})
			time.Sleep(time.Millisecond)
			_, heard := e.heads()[id]
			return heard
		})
	}
}

// grown is what one commit appended after an offset: n entries of about size bytes.
func grown(workspaceID string, after int64, n, size int) domain.Appended {
	a := domain.Appended{WorkspaceID: workspaceID, Epoch: "e1"}
	for i := range n {
		offset := after + int64(i) + 1
		a.Entries = append(a.Entries, domain.Entry{
			Offset: offset, Channel: domain.WorkspaceChannel(workspaceID), Type: domain.ServerMemberUpdated,
			Data:    fmt.Appendf(nil, `{"type":"workspace.member.updated","n":%d,"text":"<é & ü>%s"}`, offset, strings.Repeat("x", size)),
			EventID: fmt.Sprint("ev-", offset), At: time.Unix(1, offset*1000).UTC(),
		})
	}
	return a
}

func TestConformance(t *testing.T) {
	for name, connect := range networks {
		t.Run(name, func(t *testing.T) {
			for what, test := range conformance {
				t.Run(what, func(t *testing.T) { test(t, connect(t)) })
			}
		})
	}
}

var conformance = map[string]func(t *testing.T, n network){
	"entries arrive as they are, where they are followed": func(t *testing.T, n network) {
		a, b, c := n.node(t, "a", "ws_1"), n.node(t, "b", "ws_1"), n.node(t, "c", "ws_2")
		sent := grown("ws_1", 1, 3, 10)
		sent.Entries[2].Revoke = &domain.Revocation{MemberID: "mem_1"}
		a.Appended([]domain.Appended{sent})
		eventually(t, "b hears", func() bool { return len(b.ear.entries("ws_1")) >= 3 })
		require.Equal(t, sent.Entries, b.ear.entries("ws_1"))

		// What is sent afterwards arrives, so what didn't arrive was never sent.
		a.Appended([]domain.Appended{grown("ws_2", 1, 1, 10)})
		eventually(t, "c hears of its own", func() bool { return len(c.ear.entries("ws_2")) == 1 })
		require.Empty(t, c.ear.entries("ws_1"), "it doesn't follow that")
		require.LessOrEqual(t, a.ear.heads()["ws_1"], int64(1), "one's own is no news")
	},
	"what is too big goes by its position": func(t *testing.T, n network) {
		a, b := n.node(t, "a"), n.node(t, "b", "ws_1")
		a.Appended([]domain.Appended{grown("ws_1", 1, 2, 2<<20)})
		eventually(t, "b hears", func() bool { return b.ear.heads()["ws_1"] == 3 })
		require.Empty(t, b.ear.entries("ws_1"))
		require.Equal(t, domain.Position{Epoch: "e1", Offset: 3}, b.ear.advanced["ws_1"])
	},
	"many commits lose no position": func(t *testing.T, n network) {
		a, b := n.node(t, "a"), n.node(t, "b", "ws_1", "ws_2")
		const commits = 2000
		for i := range int64(commits) {
			a.Appended([]domain.Appended{grown("ws_1", 1+i, 1, 100), grown("ws_2", 1+i, 1, 100)})
		}
		eventually(t, "b knows how far both have come", func() bool {
			return b.ear.heads()["ws_1"] == 1+commits && b.ear.heads()["ws_2"] == 1+commits
		})
		for _, id := range []string{"ws_1", "ws_2"} {
			before := int64(0)
			for _, e := range b.ear.entries(id) {
				require.Greater(t, e.Offset, before, "in order")
				before = e.Offset
			}
		}
	},
	"a workspace followed later": func(t *testing.T, n network) {
		a, b := n.node(t, "a"), n.node(t, "b")
		before := b.ear.missed()
		b.Follow("ws_9")
		// Either it hears of everything from now on, or it is told when it does.
		a.Appended([]domain.Appended{grown("ws_9", 1, 1, 8)})
		eventually(t, "b hears, or hears that it didn't", func() bool { return b.ear.missed() > before || b.ear.heads()["ws_9"] > 0 })
		eventually(t, "b hears", func() bool {
			a.Appended([]domain.Appended{grown("ws_9", 1, 1, 8)})
			return b.ear.heads()["ws_9"] > 0
		})
		b.Unfollow("ws_9")
		b.Follow("ws_10")
		eventually(t, "b hears of the other", func() bool {
			a.Appended([]domain.Appended{grown("ws_9", 99, 1, 8), grown("ws_10", 1, 1, 8)})
			return b.ear.heads()["ws_10"] > 0
		})
		require.Less(t, b.ear.heads()["ws_9"], int64(100), "and no more of the first")
	},
	"a workspace of a strange name": func(t *testing.T, n network) {
		const strange = "a b.*>\n" + "é"
		a, b := n.node(t, "a"), n.node(t, "b", strange)
		a.Appended([]domain.Appended{grown(strange, 1, 1, 8)})
		eventually(t, "b hears", func() bool { return len(b.ear.entries(strange)) == 1 })
	},
	"presence, the last state of each": func(t *testing.T, n network) {
		a, b := n.node(t, "a"), n.node(t, "b", "ws_1")
		const members = 300
		for version := range 3 {
			var changes []domain.NodePresence
			for m := range members {
				changes = append(changes, domain.NodePresence{
					Presence: domain.Presence{WorkspaceID: "ws_1", MemberID: fmt.Sprint("mem_", m), Online: version != 1},
					Version:  int64(version*members + m + 1),
				})
			}
			a.Presence(changes)
		}
		last := map[string]domain.NodePresence{}
		eventually(t, "b hears of all", func() bool {
			for _, c := range b.ear.heardOf() {
				if c.Version > last[c.MemberID].Version {
					last[c.MemberID] = c
				}
			}
			for _, c := range last {
				if c.Version <= 2*members { // more than one message may bring them
					return false
				}
			}
			return len(last) == members
		})
		require.Equal(t, domain.NodePresence{
			Presence: domain.Presence{WorkspaceID: "ws_1", MemberID: "mem_7", Online: true},
			Node:     "a", Version: 2*members + 8,
		}, last["mem_7"])
	},
	"a command reaches every node": func(t *testing.T, n network) {
		a, b, c := n.node(t, "a"), n.node(t, "b"), n.node(t, "c", "ws_1")
		eventually(t, "both hear", func() bool {
			a.Command()
			return b.ear.commanded() > 0 && c.ear.commanded() > 0
		})
		require.Zero(t, a.ear.commanded())
	},
	"what can't be read is skipped": func(t *testing.T, n network) {
		b := n.node(t, "b", "ws_1")
		raw := n.join(t, "raw")
		stop := run(t, raw)
		defer stop()
		eventually(t, "b counts the garbage, and lives", func() bool {
			for _, data := range []string{`{`, `{"from":"x"}`, `{"ws":"ws_1","log":{}}`, `[]`, `7`} {
				_ = raw.Send(t.Context(), []relay.Parcel{{Data: []byte(data)}, {WorkspaceID: "ws_1", Data: []byte(data)}})
			}
			return b.Stats().Failed >= 5
		})
		a := n.node(t, "a")
		a.Appended([]domain.Appended{grown("ws_1", 1, 1, 8)})
		eventually(t, "b hears", func() bool { return len(b.ear.entries("ws_1")) == 1 })
	},
	"a connection that breaks": func(t *testing.T, n network) {
		if n.cut == nil {
			t.Skip("there is nothing to cut")
		}
		a, b := n.node(t, "a"), n.node(t, "b", "ws_1")
		for round := range int64(2) {
			before := b.ear.missed()
			n.cut()
			eventually(t, "both notice", func() bool { return !a.Stats().Connected && !b.Stats().Connected })
			a.Appended([]domain.Appended{grown("ws_1", 10*round+1, 1, 8)}) // doesn't block, and may be lost
			n.mend()
			eventually(t, "b is told that it missed something", func() bool { return b.ear.missed() > before })
			eventually(t, "b hears again", func() bool {
				a.Appended([]domain.Appended{grown("ws_1", 10*round+5, 1, 8)})
				return b.ear.heads()["ws_1"] == 10*round+6
			})
		}
	},
	"stopping": func(t *testing.T, n network) {
		a := n.node(t, "a", "ws_1")
		a.Stop()
		a.Stop()
		a.Appended([]domain.Appended{grown("ws_1", 1, 1, 8)}) // nobody is there, and nothing happens
		a.Command()
		relay.New("never started", n.join(t, "x"), newEar(), slog.Default()).Stop()
	},
}
