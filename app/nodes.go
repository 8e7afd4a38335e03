package app

import (
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/transport/hub"
	"github.com/orbit/realtime/transport/relay"
)

var (
	_ relay.Notifier = (*store.Store)(nil)
	_ relay.Receiver = hearing{}
	_ hub.Relay      = (*relay.Relay)(nil)
)

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

// appended takes what a lane of this node committed, to the tabs here and on
// other nodes.
func (a *App) appended(all []domain.Appended) {
	for _, entries := range all {
		a.hub.Deliver(entries)
	}
	a.relay.Appended(all)
}

// hearing takes what other nodes say to the parts it concerns.
type hearing struct{ *App }

func (h hearing) Appended(a domain.Appended)                     { h.hub.Deliver(a) }
func (h hearing) Advanced(workspaceID string, p domain.Position) { h.hub.Advanced(workspaceID, p) }
func (h hearing) Presence([]domain.NodePresence)                 {}
func (h hearing) Commanded()                                     {}
func (h hearing) Missed()                                        { h.hub.Missed() }
