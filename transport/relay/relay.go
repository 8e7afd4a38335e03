// Package relay carries hints between the nodes of one product, so that a tab
// on one node hears at once of what another node did.
//
// Invariants:
//
//   - The database is the truth, and a message is a hint about it. One that is
//     lost, doubled, late or out of order costs latency, never an event: what a
//     receiver can't fit to what it knows, it reads.
//   - Publishing never blocks and never fails. What can't be sent in time is
//     merged: of a workspace's log the position remains, of a member's presence
//     the last state.
//   - A node hears of the workspaces it follows, and of what concerns every node.
//
// Three carriers do the transport: Memory within one process, Postgres over
// LISTEN and NOTIFY, and NATS. One conformance suite runs over all of them.
package relay

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orbit/realtime/domain"
)

// Receiver takes what other nodes sent. Calls come from one goroutine at a
// time, in the order of arrival, and must not block.
type Receiver interface {
	// Appended brings entries of a workspace's log, each following the other.
	Appended(domain.Appended)
	// Advanced says that a workspace's log has grown to p; the entries are to
	// be read.
	Advanced(workspaceID string, p domain.Position)
	// Presence brings changes of another node's set.
	Presence(changes []domain.NodePresence)
	// Commanded says that the nodes' commands are to be read.
	Commanded()
	// Missed says that hints about these workspaces may have been lost; nil: look
	// at everything.
	Missed(workspaceIDs []string)
}

// Carrier moves messages between nodes. Package relay has three.
type Carrier interface {
	// Limit is how many bytes a message may have at most.
	Limit() int
	// Pace is the least time between two calls of Send.
	Pace() time.Duration
	// Send hands messages over. It may take its time, within ctx.
	Send(ctx context.Context, messages []Parcel) error
	// Run receives until ctx ends, and reconnects by itself. It calls missed(nil)
	// once it hears, and whenever messages may have been lost. One that doesn't
	// hear of a workspace from the moment on that it is followed says so, when it
	// does.
	Run(ctx context.Context, follow *Interest, receive func([]byte), missed func(workspaceIDs []string))
	// Connected tells whether messages can pass now.
	Connected() bool
}

// Parcel is one message on its way.
type Parcel struct {
	WorkspaceID string // who follows it gets it; "": every node
	Data        []byte
}

// sendTimeout bounds one call of Carrier.Send.
const sendTimeout = 5 * time.Second

// Relay is one node's end. It is safe for concurrent use.
type Relay struct {
	node     string
	carrier  Carrier
	receiver Receiver
	logger   *slog.Logger
	interest *Interest
	out      *outgoing

	sent, received, failed atomic.Int64

	stop               sync.Once
	started            bool
	mute, deafen       context.CancelFunc
	sending, receiving sync.WaitGroup
}

// New makes the relay of a node; messages that name it as their sender are its
// own, and are not received.
func New(node string, carrier Carrier, receiver Receiver, logger *slog.Logger) *Relay {
	return &Relay{
		node: node, carrier: carrier, receiver: receiver, logger: logger,
		interest: newInterest(), out: newOutgoing(carrier.Limit()),
	}
}

// Start begins to send and to receive, and returns at once. Call it once.
func (r *Relay) Start(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	hearing, deafen := context.WithCancel(ctx)
	talking, mute := context.WithCancel(ctx)
	r.started, r.mute, r.deafen = true, mute, deafen
	r.receiving.Go(func() { r.carrier.Run(hearing, r.interest, r.receive, r.receiver.Missed) })
	r.sending.Go(func() { r.send(talking) })
}

// Stop sends what is left, and ends. Idempotent.
func (r *Relay) Stop() {
	if !r.started {
		return
	}
	r.stop.Do(func() {
		r.mute()
		r.sending.Wait()
		r.deafen()
		r.receiving.Wait()
	})
}

// Follow begins to hear of a workspace.
func (r *Relay) Follow(workspaceID string) { r.interest.set(workspaceID, true) }

// Unfollow hears of it no more.
func (r *Relay) Unfollow(workspaceID string) { r.interest.set(workspaceID, false) }

// Appended tells who follows the workspaces what was appended to their logs,
// after the commit.
func (r *Relay) Appended(all []domain.Appended) { r.out.appended(all) }

// Presence tells who follows the workspaces what changed in this node's set.
func (r *Relay) Presence(changes []domain.NodePresence) { r.out.presence(changes) }

// Command tells every node to read its commands.
func (r *Relay) Command() { r.out.command() }

// Interest is what the node follows.
func (r *Relay) Interest() *Interest { return r.interest }

// Stats is how the relay is doing.
type Stats struct {
	Connected bool  `json:"connected"`
	Sent      int64 `json:"sent"`     // messages handed over
	Received  int64 `json:"received"` // messages of other nodes
	Failed    int64 `json:"failed"`   // messages that couldn't be handed over, or read
}

// Stats counts since the start.
func (r *Relay) Stats() Stats {
	return Stats{
		Connected: r.carrier.Connected(),
		Sent:      r.sent.Load(), Received: r.received.Load(), Failed: r.failed.Load(),
	}
}

// send hands over what there is, at the carrier's pace. What fails is not
// repeated: by the time it could be, whoever needed it has read the truth.
func (r *Relay) send(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			r.flush(context.WithoutCancel(ctx))
			return
		case <-r.out.some:
		}
		r.flush(ctx)
		if pace := r.carrier.Pace(); pace > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(pace):
			}
		}
	}
}

func (r *Relay) flush(ctx context.Context) {
	parcels := r.out.take(r.node)
	if len(parcels) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := r.carrier.Send(ctx, parcels); err != nil {
		r.failed.Add(int64(len(parcels)))
		r.logger.Debug("hints to other nodes are lost", "messages", len(parcels), "error", err)
		return
	}
	r.sent.Add(int64(len(parcels)))
}

// receive reads a message and hands it on. What isn't understood (a newer
// version's, or nobody's) is as good as lost.
func (r *Relay) receive(data []byte) {
	m, err := decode(data)
	if err != nil {
		r.failed.Add(1)
		r.logger.Debug("a message from another node can't be read", "error", err)
		return
	}
	if m.From == r.node || m.WorkspaceID != "" && !r.interest.has(m.WorkspaceID) {
		return
	}
	r.received.Add(1)
	switch {
	case m.Command:
		r.receiver.Commanded()
	case len(m.Presence) > 0:
		r.receiver.Presence(m.changes())
	case m.Log != nil && len(m.Log.Entries) > 0:
		r.receiver.Appended(m.appended())
	case m.Log != nil:
		r.receiver.Advanced(m.WorkspaceID, domain.Position{Epoch: m.Log.Epoch, Offset: m.Log.Head})
	}
}
