package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patiently is how long a test waits for what has to happen; it takes
// milliseconds, but the machine may be busy.
const patiently = 30 * time.Second

const tick = 5 * time.Millisecond

// operator is who acts on the poison queue.
var operator = domain.Act{Operator: "ada", Role: "operator", Via: "api"}

// quiet swallows logs.
var quiet = slog.New(slog.DiscardHandler)

// newEvent makes an event of a workspace; n tells it from others.
func newEvent(typ domain.EventType, workspaceID string, n int) domain.Event {
	return domain.NewEvent(typ, workspaceID, "agg_1", map[string]int{"n": n})
}

func number(ev domain.Event) int {
	var payload struct{ N int }
	if err := json.Unmarshal(ev.Payload, &payload); err != nil {
		panic(err)
	}
	return payload.N
}

func publish(t testing.TB, s *store.Store, events ...domain.Event) {
	t.Helper()
	require.NoError(t, s.Write(context.Background(), func(tx domain.Tx) error {
		return tx.Publish(context.Background(), events...)
	}))
}

// ok projects an event to one server event that carries its number.
func ok(_ context.Context, _ domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
	return []domain.ServerEvent{{
		Type: "test.event", Channel: domain.WorkspaceChannel(ev.WorkspaceID), Payload: map[string]int{"n": number(ev)},
	}}, nil
}

// projectors is a table of one.
func projectors(typ domain.EventType, p domain.Projector) map[domain.EventType]domain.Projector {
	return map[domain.EventType]domain.Projector{"test.ok": ok, typ: p}
}

// start runs a pipeline until the end of the test.
func start(t testing.TB, s *store.Store, table map[domain.EventType]domain.Projector, cfg Config) *Pipeline {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	p, err := New(s, table, cfg)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patiently)
		defer cancel()
		_ = p.Stop(ctx) // tests that care have looked at its error
	})
	return p
}

func stop(t testing.TB, p *Pipeline) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patiently)
	defer cancel()
	require.NoError(t, p.Stop(ctx))
}

// logged returns the numbers in a workspace's log, and checks that it has no gaps.
func logged(t testing.TB, s *store.Store, workspaceID string) []int {
	t.Helper()
	entries, _, err := s.LogAfter(context.Background(), workspaceID, 0, 1<<40, nil, 100_000)
	if errors.Is(err, domain.ErrNotFound) {
		return nil // nothing was ever appended
	}
	require.NoError(t, err)
	numbers := make([]int, len(entries))
	for i, e := range entries {
		require.EqualValues(t, i+1, e.Offset)
		var data struct{ N int }
		require.NoError(t, json.Unmarshal(e.Data, &data))
		numbers[i] = data.N
	}
	return numbers
}

func poisoned(t testing.TB, s *store.Store) []domain.Poison {
	t.Helper()
	list, _, err := s.ListPoison(context.Background(), domain.PoisonFilter{}, domain.Page{})
	require.NoError(t, err)
	return list
}

func pending(t testing.TB, s *store.Store) (n int64) {
	t.Helper()
	stats, err := s.OutboxStats(context.Background())
	require.NoError(t, err)
	for _, lane := range stats {
		n += lane.Pending
	}
	return n
}

// drained waits until the outbox is empty.
func drained(t testing.TB, s *store.Store) {
	t.Helper()
	require.Eventually(t, func() bool { return pending(t, s) == 0 }, patiently, tick)
}

// upTo returns 0, 1, … n-1.
func upTo(n int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	return numbers
}

// otherLane returns a workspace whose lane differs from that of the one given.
func otherLane(s *store.Store, workspaceID string) string {
	for i := 0; ; i++ {
		other := fmt.Sprintf("ws_other_%d", i)
		if store.LaneOf(other, s.Lanes()) != store.LaneOf(workspaceID, s.Lanes()) {
			return other
		}
	}
}

// hand holds messages as a lane delivers them, without router or middleware.
type hand struct {
	t        *testing.T
	store    *store.Store
	bus      *Bus
	sub      *Subscriber
	messages <-chan *message.Message
}

// newHand publishes events of one workspace on SQLite, in one batch.
func newHand(t *testing.T, events ...domain.Event) *hand {
	t.Helper()
	s := storetest.Open(t, store.SQLite)
	publish(t, s, events...)
	bus := NewBus(s, BusConfig{Logger: quiet})
	sub := bus.NewSubscriber(store.LaneOf(events[0].WorkspaceID, s.Lanes()))
	messages, err := sub.Subscribe(context.Background(), store.Topic)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sub.Close()) })
	return &hand{t, s, bus, sub, messages}
}

// next takes the next message; the one before must have been acked or nacked.
func (h *hand) next() *message.Message {
	h.t.Helper()
	select {
	case msg, open := <-h.messages:
		require.True(h.t, open)
		return msg
	case <-time.After(patiently):
		require.FailNow(h.t, "no message")
		return nil
	}
}

func batchOf(t *testing.T, msg *message.Message) *batch {
	t.Helper()
	b, err := batchFrom(msg.Context())
	require.NoError(t, err)
	return b
}

// syncBuffer is a log that tests read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
