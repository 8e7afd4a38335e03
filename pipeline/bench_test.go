package pipeline

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// BenchmarkDrain works off a backlog of 50,000 events of 50 workspaces, with
// one re-read of an aggregate each. The clock runs from the start of the
// pipeline to the last entry told.
//
//	go test -run '^$' -bench Drain -benchtime 1x ./pipeline
func BenchmarkDrain(b *testing.B) {
	for _, engine := range storetest.Engines(b) {
		b.Run(string(engine), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				drainBacklog(b, storetest.Open(b, engine), 50_000)
			}
		})
	}
}

func drainBacklog(b *testing.B, s *store.Store, events int) {
	var backlog []domain.Event
	var members []domain.Member
	for range 50 {
		_, owner, _ := storetest.SeedWorkspace(b, s)
		members = append(members, owner)
	}
	for n := range events {
		m := members[n%len(members)]
		backlog = append(backlog, domain.NewEvent(domain.EventMemberUpdated, m.WorkspaceID, m.ID, domain.Changed{Version: 1}))
	}
	for some := range slices.Chunk(backlog, 5000) {
		publish(b, s, some...)
	}
	project := func(ctx context.Context, r domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
		m, err := r.Member(ctx, ev.WorkspaceID, ev.AggregateID)
		if err != nil {
			return nil, err
		}
		return []domain.ServerEvent{{
			Type: domain.ServerMemberUpdated, Channel: domain.WorkspaceChannel(ev.WorkspaceID), Payload: domain.MemberPayload{Member: m},
		}}, nil
	}

	var told atomic.Int64
	done := make(chan struct{})
	p, err := New(s, map[domain.EventType]domain.Projector{domain.EventMemberUpdated: project}, Config{
		Logger: quiet,
		OnAppended: func(all []domain.Appended) {
			for _, a := range all {
				if told.Add(int64(len(a.Entries))) == int64(events) {
					close(done)
				}
			}
		},
	})
	require.NoError(b, err)
	before := b.Elapsed()
	b.StartTimer()
	require.NoError(b, p.Start(context.Background()))
	<-done
	b.StopTimer()
	b.ReportMetric(float64(events)/(b.Elapsed()-before).Seconds(), "events/s")
	var sizes []string
	for _, lane := range p.Status() {
		sizes = append(sizes, fmt.Sprint(lane.BatchSize))
	}
	b.Logf("batch sizes: %v", sizes)
	stop(b, p)
}
