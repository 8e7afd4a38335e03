package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/sync/errgroup"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// Pipeline runs the lanes: it carries domain events from the outbox through
// their projectors to the log. Several processes may run one on the same
// database; each lane is served by one of them.
type Pipeline struct {
	store      *store.Store
	projectors map[domain.EventType]domain.Projector
	cfg        Config
	bus        *Bus
	retention  *Retention
	operations *Operations
	auditor    *Auditor // nil: none
	runner     *runner

	lifecycle sync.Mutex // held by Start and Stop
	state     state
	router    *message.Router
	ended     chan struct{} // closed when the router's Run returned
	stopErr   error

	mu    sync.Mutex
	lanes []*Subscriber // none before Start
}

type state int

const (
	created state = iota
	started
	stopped
)

// LaneStatus tells how a lane is doing in this process.
type LaneStatus struct {
	Lane      int
	Owned     bool   // this process serves it
	LastError string // what it is waiting for, or ""
	BatchSize int    // rows read at once, 1 to 10,000
}

// New makes a pipeline with one projector per event type. An event of a type
// that has none is poisoned.
func New(s *store.Store, projectors map[domain.EventType]domain.Projector, cfg Config) (*Pipeline, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	retention, err := NewRetention(s, cfg.Retention)
	if err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	return &Pipeline{
		store: s, projectors: maps.Clone(projectors), cfg: cfg,
		bus:       NewBus(s, BusConfig{LaneQuota: cfg.LaneQuota, OnAppended: cfg.OnAppended, SafetyPoll: cfg.SafetyPoll, Observer: cfg.Observer, Logger: cfg.Logger}),
		retention: retention, operations: NewOperations(s, cfg.Logger),
		runner: &runner{read: s.Reader(), logger: cfg.Logger},
	}, nil
}

// Start lays the outbox out for Config.Lanes, begins to serve the lanes, and
// returns at once. The end of ctx doesn't stop the pipeline: Stop does. It may
// be started once.
func (p *Pipeline) Start(ctx context.Context) error {
	p.lifecycle.Lock()
	defer p.lifecycle.Unlock()
	if p.state != created {
		return errors.New("a pipeline starts once")
	}
	if n := p.cfg.Lanes; n != 0 && n != p.store.Lanes() {
		if err := p.store.SetLanes(ctx, n); err != nil {
			return fmt.Errorf("lay out %d lanes: %w", n, err)
		}
	}
	lanes := p.subscribers()
	poison := poisoner{ping: p.store.Ping, concerns: p.concerns(), build: p.cfg.Build, node: p.cfg.Node, logger: p.cfg.Logger}
	dispatch := dispatcher{projectors: p.projectors, runner: p.runner, observer: p.cfg.Observer, node: p.cfg.Node, stories: p.cfg.Retention.Traces > 0, each: p.cfg.Each}
	router, err := newRouter(p.cfg, lanes, poison, dispatch, p.bus.logger)
	if err != nil {
		return err
	}
	p.router, p.ended, p.state = router, make(chan struct{}), started

	ctx = context.WithoutCancel(ctx)
	p.bus.Start(ctx)
	p.retention.Start(ctx)
	p.operations.Start(ctx)
	if p.cfg.Audit.Rate > 0 {
		p.audit(ctx)
	}
	failed := make(chan error, 1)
	go func() {
		defer close(p.ended)
		failed <- router.Run(ctx)
	}()
	select {
	case <-router.Running():
		return nil
	case err := <-failed:
		return fmt.Errorf("run the router: %w", err)
	}
}

// concerns is Config.Concerns over the database.
func (p *Pipeline) concerns() func(context.Context, domain.Event) ([]domain.Channel, error) {
	if p.cfg.Concerns == nil {
		return nil
	}
	read := p.store.Reader()
	return func(ctx context.Context, ev domain.Event) ([]domain.Channel, error) {
		return p.cfg.Concerns(ctx, read, ev)
	}
}

// subscribers makes one subscriber per lane.
func (p *Pipeline) subscribers() []*Subscriber {
	p.mu.Lock()
	defer p.mu.Unlock()
	for lane := range p.store.Lanes() {
		p.lanes = append(p.lanes, p.bus.NewSubscriber(lane))
	}
	return p.lanes
}

// Stop ends each lane after the message in hand, commits what was handled and
// gives the lanes up. When ctx ends before a message is done, that one is
// cancelled and stays in the outbox, and the error says so. Idempotent: later
// calls return what the first did.
func (p *Pipeline) Stop(ctx context.Context) error {
	p.lifecycle.Lock()
	defer p.lifecycle.Unlock()
	if p.state == started {
		p.stopErr = p.shutDown(ctx)
	}
	p.state = stopped
	return p.stopErr
}

// shutDown drains the lanes before it closes the router, because Router.Close
// cancels the messages in hand before it waits for them (watermill#568).
func (p *Pipeline) shutDown(ctx context.Context) error {
	if p.auditor != nil {
		p.auditor.Stop()
	}
	p.operations.Stop()
	p.retention.Stop()

	var draining errgroup.Group
	for _, lane := range p.lanes {
		draining.Go(func() error { return lane.Drain(ctx) })
	}
	errs := []error{draining.Wait(), p.router.Close()}
	<-p.ended
	for _, lane := range p.lanes {
		errs = append(errs, lane.Close())
	}
	p.bus.Stop()
	return errors.Join(errs...)
}

// Status tells how each lane is doing; nothing before Start.
func (p *Pipeline) Status() []LaneStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	statuses := make([]LaneStatus, len(p.lanes))
	for i, lane := range p.lanes {
		statuses[i] = lane.status()
	}
	return statuses
}

// audit starts the auditor of the workspaces whose lanes this process serves.
func (p *Pipeline) audit(ctx context.Context) {
	owns := func(workspaceID string) bool {
		lanes := p.Status()
		return lanes[store.LaneOf(workspaceID, len(lanes))].Owned
	}
	auditor := NewAuditor(p.store, owns, p.cfg.Audit)
	auditor.Start(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.auditor = auditor
}

// Audit tells what the auditor found since Start; nothing without one.
func (p *Pipeline) Audit() domain.AuditStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.auditor == nil {
		return domain.AuditStatus{}
	}
	return p.auditor.Status()
}

// Abandoned is the number of projector runs that ignored the end of their time
// and still go on in the background. Anything above zero is a projector's bug.
func (p *Pipeline) Abandoned() int64 { return p.runner.abandoned.Load() }
