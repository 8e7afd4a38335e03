package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/orbit/realtime/app/cluster"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/presence"
	"github.com/orbit/realtime/transport/relay"
)

var (
	_ relay.Notifier   = (*store.Store)(nil)
	_ relay.Receiver   = hearing{}
	_ hub.Relay        = (*relay.Relay)(nil)
	_ cluster.Database = (*store.Store)(nil)
	_ cluster.Presence = (*presence.Tracker)(nil)
)

// Commands to every node.
const (
	commandSignedOut  = "signed-out" // of a sign-in session
	commandDisconnect = "disconnect" // a session
)

// commandPatience bounds the writing of one.
const commandPatience = 3 * time.Second

// beatInterval is between two heartbeats of a node.
const beatInterval = time.Second

// wireRelay chooses what carries hints to other nodes: NATS where there is one,
// else the database that they share. A SQLite file has one node.
func (a *App) wireRelay() error {
	var carrier relay.Carrier
	switch {
	case a.cfg.NatsURL != "":
		nats, err := relay.NewNATS(relay.NATSConfig{
			URL: a.cfg.NatsURL, Credentials: a.cfg.NatsCredentials,
			CA: a.cfg.NatsCA, Cert: a.cfg.NatsCert, Key: a.cfg.NatsKey,
			Prefix: a.cfg.NatsPrefix, Name: a.node(), Logger: a.log,
		})
		if err != nil {
			return err
		}
		carrier = nats
	case a.store.Dialect() == store.Postgres:
		carrier = relay.NewPostgres(a.store)
	default:
		carrier = relay.NewBus().Carrier()
	}
	a.relay = relay.New(a.nodeID, carrier, hearing{a}, a.log)
	return nil
}

// wireCluster makes this node's view of the others, when hub and presence are
// there.
func (a *App) wireCluster() {
	a.recorder = presence.NewRecorder(a.presence, a.store, a.nodeID, a.present, a.log)
	a.cluster = cluster.New(a.store, a.presence, cluster.Config{
		Self: store.Node{
			ID: a.nodeID, Name: a.node(), Build: Build(), Catalog: domain.CatalogHash(), StartedAt: time.Now(),
		},
		Lease: a.cfg.NodeLease, Interval: beatInterval,
		// Who comes back on another node at the end of the grace is on record,
		// and read by everybody, within three heartbeats.
		PresenceLease: a.cfg.PresenceGrace + 3*beatInterval,
		Stats:         a.nodeStats, OnCommand: a.obey, OnAsk: a.answer, OnRejoined: a.recorder.Rewrite, Logger: a.log,
	})
}

// laneQuota is this node's share of the lanes: of a SQLite file, all.
func (a *App) laneQuota() func() int {
	if a.store.Dialect() != store.Postgres {
		return nil
	}
	return func() int { return a.cluster.LaneQuota(a.store.Lanes()) }
}

// nodeStats is what a node tells operators on others.
type nodeStats struct {
	Sessions map[string]int `json:"sessions"`
	Lanes    []int          `json:"lanes"`
}

// clusterStatus sums what the nodes tell of themselves; of this one it asks.
func (a *App) clusterStatus() domain.ClusterStatus {
	status := domain.ClusterStatus{Nodes: []domain.NodeInfo{}, Sessions: map[string]int{}, Members: a.presence.Members()}
	for _, n := range a.cluster.Nodes() {
		raw := n.Stats
		if n.ID == a.nodeID {
			raw = a.nodeStats()
		}
		stats := nodeStats{}
		_ = json.Unmarshal([]byte(raw), &stats) // a newer version's may be anything
		info := domain.NodeInfo{
			ID: n.ID, Name: n.Name, Build: n.Build, StartedAt: domain.At(n.StartedAt), Self: n.ID == a.nodeID,
			Draining: !n.Lanes, Outdated: n.Catalog != domain.CatalogHash(), Sessions: map[string]int{}, Lanes: []int{},
		}
		if stats.Sessions != nil {
			info.Sessions = stats.Sessions
		}
		info.Lanes = append(info.Lanes, stats.Lanes...)
		for transport, open := range info.Sessions {
			status.Sessions[transport] += open
		}
		status.Nodes = append(status.Nodes, info)
	}
	return status
}

func (a *App) nodeStats() string {
	stats := nodeStats{Sessions: map[string]int{}, Lanes: []int{}}
	for transport, open := range a.hub.Stats().Sessions {
		stats.Sessions[string(transport)] = open
	}
	for _, lane := range a.pipeline.Status() {
		if lane.Owned {
			stats.Lanes = append(stats.Lanes, lane.Lane)
		}
	}
	data, err := json.Marshal(stats)
	if err != nil {
		panic(err) // numbers
	}
	return string(data)
}

// appended takes what a lane of this node committed, to the tabs here and on
// other nodes.
func (a *App) appended(all []domain.Appended) {
	for _, entries := range all {
		a.hub.Deliver(entries)
	}
	// Alone, there is nobody to tell, and a notification is a commit. A node that
	// has just come reads what it needs until it is noticed.
	if !a.cluster.Alone() {
		a.relay.Appended(all)
	}
}

// present tells others what changed in this node's set.
func (a *App) present(changes []domain.NodePresence) {
	if !a.cluster.Alone() {
		a.relay.Presence(changes)
	}
}

// signedOut ends the sessions of a sign-in here at once, and on the other nodes
// by a command. If that can't be written, their re-checks find out.
func (a *App) signedOut(authSessionID string) {
	a.hub.CloseAuthSession(authSessionID, domain.CloseUnauthenticated)
	if err := a.command(commandSignedOut, authSessionID); err != nil {
		a.log.Warn("other nodes can't be told of a sign-out; their next re-check finds it", "error", err)
	}
}

func (a *App) command(kind, arg string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	if err := a.cluster.Command(ctx, kind, arg); err != nil {
		return err
	}
	a.relay.Command()
	return nil
}

// obey carries out a command. Most concern sessions of other nodes.
func (a *App) obey(c store.Command) {
	switch c.Kind {
	case commandSignedOut:
		a.hub.CloseAuthSession(c.Arg, domain.CloseUnauthenticated)
	case commandDisconnect:
		_ = a.hub.Disconnect(c.Arg) // not here, or gone
	default:
		a.log.Debug("a command of a newer version", "kind", c.Kind)
	}
}

// sessions are this node's for operators, who may end any node's.
type sessions struct {
	*hub.Hub
	app *App
}

// askSessions is the question for a node's sessions.
const askSessions = "sessions"

// sessionFilter selects sessions; see hub.Hub.Sessions.
type sessionFilter struct {
	WorkspaceID, MemberID string
	Limit                 int
}

// Sessions implements console.Sessions: those of all nodes. A node that doesn't
// answer is left out, and logged.
func (s sessions) Sessions(workspaceID, memberID string, limit int) []domain.SessionInfo {
	filter := sessionFilter{workspaceID, memberID, limit}
	list := s.app.ownSessions(filter)
	arg, err := json.Marshal(filter)
	if err != nil {
		panic(err) // strings and a number
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	answers, err := s.app.cluster.Ask(ctx, askSessions, string(arg), s.app.relay.Command)
	if err != nil {
		s.app.log.Warn("other nodes can't be asked for their sessions", "error", err)
	}
	for id, answer := range answers {
		var more []domain.SessionInfo
		if err := json.Unmarshal([]byte(answer), &more); err != nil {
			s.app.log.Warn("a node's sessions can't be read", "node", id, "error", err)
		}
		list = append(list, more...)
	}
	slices.SortFunc(list, func(a, b domain.SessionInfo) int {
		return cmp.Or(b.OpenedAt.Compare(a.OpenedAt.Time), cmp.Compare(a.ID, b.ID))
	})
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list
}

func (a *App) ownSessions(f sessionFilter) []domain.SessionInfo {
	list := a.hub.Sessions(f.WorkspaceID, f.MemberID, f.Limit)
	for i := range list {
		list[i].Node = a.node()
	}
	return list
}

// answer answers another node.
func (a *App) answer(kind, arg string) string {
	var filter sessionFilter
	if kind != askSessions || json.Unmarshal([]byte(arg), &filter) != nil {
		return "[]" // a newer version's question
	}
	data, err := json.Marshal(a.ownSessions(filter))
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(data)
}

// Disconnect implements console.Sessions.
func (s sessions) Disconnect(id string) error {
	err := s.Hub.Disconnect(id)
	if domain.CodeOf(err) != domain.CodeNotFound {
		return err
	}
	for _, n := range s.app.cluster.Nodes() {
		if n.ID != s.app.nodeID && hub.OfNode(id, n.ID) {
			return s.app.command(commandDisconnect, id)
		}
	}
	return fmt.Errorf("on no node: %w", err)
}

// hearing takes what other nodes say to the parts it concerns.
type hearing struct{ *App }

func (h hearing) Appended(a domain.Appended)                     { h.hub.Deliver(a) }
func (h hearing) Advanced(workspaceID string, p domain.Position) { h.hub.Advanced(workspaceID, p) }
func (h hearing) Presence(changes []domain.NodePresence)         { h.cluster.Heard(changes) }
func (h hearing) Commanded()                                     { h.cluster.Hint() }

func (h hearing) Missed(workspaceIDs []string) {
	h.hub.Missed(workspaceIDs)
	h.cluster.Hint()
}
