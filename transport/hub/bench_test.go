package hub_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

// BenchmarkFanOut delivers one entry to n sessions and waits until the last has
// read it. ns/delivery should be the same for every n.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := hub.New(newLog(ws), &fakeRights{}, hub.Config{})
			defer h.Stop()
			var pending sync.WaitGroup
			for i := range n {
				var s *hub.Session
				o := member(fmt.Sprint("m", i))
				o.OnReady = func() {
					frames, err := s.Next(context.Background(), 1<<20)
					if err != nil || len(frames) != 1 {
						b.Errorf("%d frames, %v", len(frames), err)
					}
					pending.Done()
				}
				var err error
				s, err = h.Register(context.Background(), o)
				require.NoError(b, err)
				_, err = s.Next(context.Background(), 1<<20)
				require.NoError(b, err)
				defer s.Close(true)
			}
			data := []byte(`{"type":"room.message.posted","channel":"workspace:w1"}`)
			var offset int64
			b.ReportAllocs()
			for b.Loop() {
				offset++
				pending.Add(n)
				h.Deliver(domain.Appended{WorkspaceID: ws, Epoch: "e1", Entries: []domain.Entry{
					{Offset: offset, Channel: domain.WorkspaceChannel(ws), Data: data},
				}})
				pending.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
		})
	}
}

// BenchmarkIdleSession reports what the hub keeps per idle session (B/session),
// its identity's strings and presence not counted.
func BenchmarkIdleSession(b *testing.B) {
	const n = 10_000
	for b.Loop() {
		h := hub.New(newLog(ws), &fakeRights{}, hub.Config{})
		options := make([]hub.Options, n)
		for i := range options {
			options[i] = member(domain.NewID("mem"))
		}
		sessions := make([]*hub.Session, n)
		before := heap()
		for i, o := range options {
			s, err := h.Register(context.Background(), o)
			require.NoError(b, err)
			sessions[i] = s
		}
		for _, s := range sessions {
			for {
				frames, err := s.Next(context.Background(), 1<<20)
				require.NoError(b, err)
				if len(frames) == 0 {
					break
				}
			}
		}
		h.Stop()
		b.ReportMetric(float64(heap()-before)/n, "B/session")
		runtime.KeepAlive(options)
		runtime.KeepAlive(sessions)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
