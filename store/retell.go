package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/orbit/realtime/domain"
)

// ErrChanged says that a row is no longer as it was.
var ErrChanged = domain.Errorf(domain.CodeConflict, "the row has changed meanwhile")

// Retelling is what shall be told of once more.
type Retelling struct {
	WorkspaceID, Kind, ID string
	Row                   json.RawMessage // as it was seen; nil: gone
	Told                  json.RawMessage // what clients have; nil: nothing
	Metadata              map[string]string
}

// known is what an entity in JSON says that matters here.
type known struct {
	Version   int64    `json:"version"`
	Private   bool     `json:"private"`
	MemberIDs []string `json:"memberIds"`
}

// Retell publishes a fresh event about an aggregate, in one transaction with a
// look whether it is still as it was seen, and returns the row as it is then. Its
// version is raised above the one told, for clients ignore one that they have.
// For one that is gone, it is the event of its deletion.
func (s *Store) Retell(ctx context.Context, r Retelling) (json.RawMessage, error) {
	var row json.RawMessage
	err := s.Write(ctx, func(tx domain.Tx) error {
		row = nil
		if _, err := tx.LockWorkspace(ctx, r.WorkspaceID); err != nil {
			return err
		}
		if r.Kind == "room" {
			if _, err := tx.LockRoom(ctx, r.WorkspaceID, r.ID); err != nil && !errors.Is(err, domain.ErrNotFound) {
				return err
			}
		}
		entity, err := r.find(ctx, tx)
		gone := errors.Is(err, domain.ErrNotFound)
		if err != nil && !gone {
			return err
		}
		if !gone {
			if row, err = json.Marshal(entity); err != nil {
				return err
			}
		}
		if !bytes.Equal(row, r.Row) {
			return ErrChanged
		}
		var told known
		if r.Told != nil {
			if err := json.Unmarshal(r.Told, &told); err != nil {
				return err
			}
		}
		if gone {
			return r.bury(ctx, tx, told)
		}
		row, err = r.raise(ctx, tx, entity, told)
		return err
	})
	return row, err
}

// find reads the aggregate, as a pointer.
func (r Retelling) find(ctx context.Context, read domain.Reader) (any, error) {
	switch r.Kind {
	case "workspace":
		return found(read.Workspace(ctx, r.WorkspaceID))
	case "member":
		return found(read.Member(ctx, r.WorkspaceID, r.ID))
	case "role":
		return found(read.Role(ctx, r.WorkspaceID, r.ID))
	case "team":
		return found(read.Team(ctx, r.WorkspaceID, r.ID))
	case "subscription":
		return found(read.Subscription(ctx, r.WorkspaceID))
	case "room":
		return found(read.Room(ctx, r.WorkspaceID, r.ID))
	}
	return nil, domain.InvalidField("kind", "%q can't be told again", r.Kind)
}

func found[T any](entity T, err error) (any, error) { return &entity, err }

// raise writes the version above the one told, where it isn't, and publishes
// that the aggregate changed.
func (r Retelling) raise(ctx context.Context, tx domain.Tx, entity any, told known) (json.RawMessage, error) {
	update := func(version *int64, write func() error) error {
		if *version > told.Version {
			return nil
		}
		*version = told.Version + 1
		return write()
	}
	var typ domain.EventType
	var version *int64
	var write func() error
	var now []string
	switch e := entity.(type) {
	case *domain.Workspace:
		typ, version, write = domain.EventWorkspaceUpdated, &e.Version, func() error { return tx.UpdateWorkspace(ctx, *e) }
	case *domain.Member:
		typ, version, write = domain.EventMemberUpdated, &e.Version, func() error { return tx.UpdateMember(ctx, *e) }
	case *domain.Role:
		typ, version, write = domain.EventRoleUpdated, &e.Version, func() error { return tx.UpdateRole(ctx, *e) }
	case *domain.Team:
		typ, version, write = domain.EventTeamUpdated, &e.Version, func() error { return tx.UpdateTeam(ctx, *e) }
	case *domain.Subscription:
		typ, version, write = domain.EventSubscriptionUpdated, &e.Version, func() error { return tx.UpdateSubscription(ctx, *e) }
	case *domain.Room:
		typ, version, write = domain.EventRoomUpdated, &e.Version, func() error { return tx.UpdateRoom(ctx, *e) }
		now = e.MemberIDs
	}
	if err := update(version, write); err != nil {
		return nil, err
	}
	var events []domain.Event
	if r.Kind == "room" && told.Private {
		// Who is out of it must hear so, and lose the right to its channel.
		for _, id := range told.MemberIDs {
			if !slices.Contains(now, id) {
				events = append(events, r.event(domain.EventRoomMemberRemoved, domain.GroupChanged{Version: *version, MemberID: id}))
			}
		}
	}
	events = append(events, r.event(typ, domain.Changed{Version: *version}))
	if err := tx.Publish(ctx, events...); err != nil {
		return nil, err
	}
	return json.Marshal(entity)
}

// bury publishes the deletion of a row that is gone.
func (r Retelling) bury(ctx context.Context, tx domain.Tx, told known) error {
	version := told.Version + 1
	switch r.Kind {
	case "member":
		return tx.Publish(ctx, r.event(domain.EventMemberRemoved, domain.Changed{Version: version}))
	case "role":
		return tx.Publish(ctx, r.event(domain.EventRoleDeleted, domain.Changed{Version: version}))
	case "team":
		return tx.Publish(ctx, r.event(domain.EventTeamDeleted, domain.Changed{Version: version}))
	case "room":
		return tx.Publish(ctx, r.event(domain.EventRoomDeleted, domain.RoomDeleted{Version: version, Private: told.Private, MemberIDs: told.MemberIDs}))
	}
	return domain.Errorf(domain.CodeUnprocessable, "a %s that is gone has no event that says so", r.Kind)
}

func (r Retelling) event(typ domain.EventType, payload any) domain.Event {
	ev := domain.NewEvent(typ, r.WorkspaceID, r.ID, payload)
	ev.Metadata = r.Metadata
	return ev
}
