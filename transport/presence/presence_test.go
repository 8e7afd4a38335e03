package presence_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const grace = 5 * time.Second

// recorder keeps what was broadcast, and checks that each member's updates
// alternate: a flip is broadcast once.
type recorder struct {
	mu      sync.Mutex
	updates []string
	online  map[string]bool
	twice   int
}

func (r *recorder) Broadcast(workspaceID string, ev domain.ServerEvent, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := ev.Payload.(domain.PresencePayload)
	if r.online == nil {
		r.online = map[string]bool{}
	}
	if r.online[workspaceID+p.MemberID] == p.Online {
		r.twice++
	}
	r.online[workspaceID+p.MemberID] = p.Online
	sign := "-"
	if p.Online {
		sign = "+"
	}
	if ev.Channel == domain.WorkspaceChannel(workspaceID) && key == "presence:"+p.MemberID {
		r.updates = append(r.updates, sign+p.MemberID)
	}
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	updates := r.updates
	r.updates = nil
	return updates
}

// step is what happens to one member's sessions, and what is broadcast by then.
type step struct {
	after time.Duration
	do    string // "join a", "clean a", "drop a", or ""
	want  []string
}

func TestFlips(t *testing.T) {
	const s = time.Second
	tests := map[string][]step{
		"first joins, last leaves, nothing in between": {
			{0, "join a", []string{"+m"}}, {0, "join b", nil}, {0, "clean a", nil}, {0, "clean b", []string{"-m"}},
		},
		"joining and leaving twice counts once": {
			{0, "join a", []string{"+m"}}, {0, "join a", nil}, {0, "clean a", []string{"-m"}}, {0, "clean a", nil}, {0, "drop a", nil}, {2 * grace, "", nil},
		},
		"a drop waits for the grace": {
			{0, "join a", []string{"+m"}}, {0, "drop a", nil}, {grace - s, "", nil}, {2 * s, "", []string{"-m"}},
		},
		"a blip flickers nobody": {
			{0, "join a", []string{"+m"}}, {0, "drop a", nil}, {grace - s, "join a2", nil}, {3 * grace, "", nil}, {0, "clean a2", []string{"-m"}},
		},
		"who came back and then left on purpose is gone at once": {
			{0, "join a", []string{"+m"}}, {0, "drop a", nil}, {s, "join a2", nil}, {0, "clean a2", []string{"-m"}}, {2 * grace, "", nil},
		},
		"a clean leave during another session's grace waits for it": {
			{0, "join a", []string{"+m"}}, {0, "join b", nil}, {0, "drop a", nil}, {s, "clean b", nil}, {grace - 2*s, "", nil}, {2 * s, "", []string{"-m"}},
		},
		"two tabs drop, one comes back: the other's grace runs on": {
			{0, "join a", []string{"+m"}}, {0, "join b", nil}, {0, "drop a", nil}, {s, "drop b", nil}, {s, "join a2", nil},
			{s, "clean a2", nil}, {grace - 3*s, "", nil}, {2 * s, "", []string{"-m"}},
		},
		"a second drop starts a grace of its own": {
			{0, "join a", []string{"+m"}}, {0, "drop a", nil}, {4 * s, "join a2", nil}, {0, "drop a2", nil}, {4 * s, "", nil}, {2 * s, "", []string{"-m"}},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{}
				tracker := presence.New(r, grace)
				for i, step := range steps {
					time.Sleep(step.after)
					synctest.Wait()
					var session string
					switch _, err := fmt.Sscanf(step.do, "join %s", &session); {
					case step.do == "":
					case err == nil:
						tracker.Join("ws", "m", session)
					default:
						var how string
						_, err := fmt.Sscanf(step.do, "%s %s", &how, &session)
						require.NoError(t, err)
						tracker.Leave("ws", "m", session, how == "clean")
					}
					require.Equal(t, step.want, r.take(), "step %d: %s", i, step.do)
				}
			})
		})
	}
}

func TestNoGrace(t *testing.T) {
	r := &recorder{}
	tracker := presence.New(r, 0)
	tracker.Join("ws", "m", "a")
	tracker.Leave("ws", "m", "a", false)
	require.Equal(t, []string{"+m", "-m"}, r.take())
}

func TestOnlineIsSortedAndPerWorkspace(t *testing.T) {
	tracker := presence.New(&recorder{}, grace)
	for _, m := range []string{"c", "a", "b"} {
		tracker.Join("ws", m, "s_"+m)
	}
	tracker.Join("other", "z", "s_z")
	require.Equal(t, []string{"a", "b", "c"}, tracker.Online("ws"))
	require.Equal(t, []string{"z"}, tracker.Online("other"))
	tracker.Leave("ws", "b", "s_b", true)
	require.Equal(t, []string{"a", "c"}, tracker.Online("ws"))
	require.Empty(t, tracker.Online("unknown"))
	require.NotNil(t, tracker.Online("unknown"), "it is sent as a JSON list")
}

// View's slice is kept by its caller to be encoded later, outside of the lock:
// a flip must not change it underneath.
func TestViewedSetMayBeKept(t *testing.T) {
	tracker := presence.New(&recorder{}, grace)
	tracker.Join("ws", "a", "1")
	tracker.Join("ws", "b", "2")
	var kept []string
	tracker.View("ws", func(online []string) { kept = online })
	tracker.Leave("ws", "a", "1", true)
	tracker.Join("ws", "c", "3")
	require.Equal(t, []string{"a", "b"}, kept)
}

// While View's function runs, no flip can be broadcast: that is what lets
// system.hello's set and the place in the stream of updates be of one moment.
func TestNoFlipDuringView(t *testing.T) {
	r := &recorder{}
	tracker := presence.New(r, grace)
	joined := make(chan struct{})
	tracker.View("ws", func(online []string) {
		go func() { tracker.Join("ws", "m", "a"); close(joined) }()
		for range 1000 {
			runtime.Gosched() // every chance to slip in
		}
		require.Empty(t, r.take())
	})
	<-joined
	require.Equal(t, []string{"+m"}, r.take())
}

// A node that shuts down must not announce as offline those who are about to
// come back on another one.
func TestStopFlipsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		tracker := presence.New(r, grace)
		tracker.Join("ws", "m", "a")
		tracker.Join("ws", "n", "b")
		tracker.Leave("ws", "m", "a", false)
		r.take()
		tracker.Stop()
		tracker.Stop()
		tracker.Leave("ws", "n", "b", false)
		time.Sleep(3 * grace)
		synctest.Wait()
		require.Empty(t, r.take())
		require.Equal(t, []string{"m", "n"}, tracker.Online("ws"))
	})
}

// Whatever the order of joins, leaves and waiting: a member is online exactly
// while they have a session or somebody may come back, and every flip is
// broadcast once.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bubble(t, func() {
			r := &recorder{}
			tracker := presence.New(r, grace)
			defer tracker.Stop()
			type key struct{ member, session string }
			open := map[key]bool{}
			graces := map[string][]time.Time{} // ends, oldest first
			member := rapid.SampledFrom([]string{"m", "n"})
			session := rapid.SampledFrom([]string{"a", "b", "c"})
			rt.Repeat(map[string]func(*rapid.T){
				"join": func(rt *rapid.T) {
					k := key{member.Draw(rt, "member"), session.Draw(rt, "session")}
					tracker.Join("ws", k.member, k.session)
					if g := graces[k.member]; !open[k] && len(g) > 0 {
						graces[k.member] = g[1:]
					}
					open[k] = true
				},
				"leave": func(rt *rapid.T) {
					k := key{member.Draw(rt, "member"), session.Draw(rt, "session")}
					clean := rapid.Bool().Draw(rt, "clean")
					tracker.Leave("ws", k.member, k.session, clean)
					if open[k] && !clean {
						graces[k.member] = append(graces[k.member], time.Now().Add(grace))
					}
					delete(open, k)
				},
				"wait": func(rt *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 4000).Draw(rt, "ms")) * time.Millisecond)
					synctest.Wait()
					for m, g := range graces {
						for len(g) > 0 && !g[0].After(time.Now()) {
							g = g[1:]
						}
						graces[m] = g
					}
				},
				"": func(rt *rapid.T) {
					var want []string
					for _, m := range []string{"m", "n"} {
						online := len(graces[m]) > 0
						for k := range open {
							online = online || k.member == m
						}
						if online {
							want = append(want, m)
						}
						if r.online["ws"+m] != online {
							rt.Fatalf("%s: broadcast %v, is %v", m, r.online["ws"+m], online)
						}
					}
					if got := tracker.Online("ws"); fmt.Sprint(got) != fmt.Sprint(want) {
						rt.Fatalf("online: %v, want %v", got, want)
					}
					if r.twice > 0 {
						rt.Fatalf("a flip was broadcast twice")
					}
				},
			})
		})
	})
}

// bubble runs fn in a synctest bubble and carries its panic out, which is how
// rapid stops a check.
func bubble(t *testing.T, fn func()) {
	var panicked any
	synctest.Test(t, func(*testing.T) {
		defer func() { panicked = recover() }()
		fn()
	})
	if fmt.Sprintf("%T", panicked) == "rapid.invalidData" {
		panic(panicked) // on a line of its own: rapid tells failures apart by their traceback
	}
	if panicked != nil {
		panic(panicked)
	}
}

func TestConcurrentUse(t *testing.T) {
	r := &recorder{}
	tracker := presence.New(r, time.Millisecond)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				m := fmt.Sprint("m", j%3)
				s := fmt.Sprint(i, "-", j)
				tracker.Join("ws", m, s)
				tracker.View("ws", func(online []string) {
					if len(online) == 0 {
						t.Error("somebody is online: me")
					}
				})
				tracker.Leave("ws", m, s, j%2 == 0)
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool { return len(tracker.Online("ws")) == 0 }, 10*time.Second, time.Millisecond)
	tracker.Stop()
	require.Zero(t, r.twice)
}
