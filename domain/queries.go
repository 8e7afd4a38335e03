package domain

import (
	"context"
	"slices"
)

// Snapshot is the state for first hydration, and the position it is true at: a
// client that connects with that position misses nothing.
type Snapshot struct {
	Position     string       `json:"position"`
	Workspace    Workspace    `json:"workspace"`
	Me           SnapshotMe   `json:"me"`
	Members      []Member     `json:"members"`
	Roles        []Role       `json:"roles"`
	Teams        []Team       `json:"teams"`
	Subscription Subscription `json:"subscription"`
	Rooms        []Room       `json:"rooms"`    // those the member may read
	Presence     []string     `json:"presence"` // ids of members online, sorted
	// Stale is what system.stale was sent for, and system.healed not yet. What
	// the snapshot says of these is up to date; changes to come may not arrive.
	Stale []Stale `json:"stale"`
}

// Stale is an aggregate that is stale, because of one change that could not be
// projected. It may be listed more than once, with a cause each.
type Stale struct {
	Kind      string `json:"kind"`      // workspace, member, role, team, subscription, room, message or notification
	Aggregate string `json:"aggregate"` // its id
	Cause     string `json:"cause"`     // the domain event that could not be projected
	// Channels are those that were told.
	Channels []Channel `json:"-"`
}

// SnapshotMe says which of the members asks.
type SnapshotMe struct {
	MemberID string `json:"memberId"`
}

// Snapshot reads a workspace as one member sees it, all of one moment. Only
// presence, which has no place in the log, comes from online, and after the
// rest: what flips later than that is told by the connection.
func (c Commands) Snapshot(ctx context.Context, by Actor, online func(workspaceID string) []string) (Snapshot, error) {
	var snap Snapshot
	err := c.UoW.Read(ctx, func(r Reader) error {
		st, err := standingOf(ctx, r, by)
		if err != nil {
			return err
		}
		id := st.workspace.ID
		log, err := r.LogState(ctx, id)
		if err != nil {
			return err
		}
		snap = Snapshot{
			Position:  log.Position().String(),
			Workspace: st.workspace,
			Me:        SnapshotMe{st.member.ID},
		}
		if snap.Members, err = r.Members(ctx, id); err != nil {
			return err
		}
		if snap.Roles, err = r.Roles(ctx, id); err != nil {
			return err
		}
		if snap.Teams, err = r.Teams(ctx, id); err != nil {
			return err
		}
		if snap.Subscription, err = r.Subscription(ctx, id); err != nil {
			return err
		}
		rooms, err := r.Rooms(ctx, id)
		if err != nil {
			return err
		}
		snap.Rooms = slices.DeleteFunc(rooms, func(room Room) bool { return !room.Admits(st.member.ID) })
		stale, err := r.Stale(ctx, id)
		snap.Stale = slices.DeleteFunc(stale, func(s Stale) bool { return !snap.told(s) })
		return err
	})
	if err != nil {
		return Snapshot{}, err
	}
	snap.Presence = append([]string{}, online(snap.Workspace.ID)...)
	return snap, nil
}

// told reports whether the member whose snapshot this is may get one of the
// channels that were told.
func (snap Snapshot) told(s Stale) bool {
	return slices.ContainsFunc(s.Channels, func(c Channel) bool {
		switch c.Kind() {
		case KindWorkspace:
			return true
		case KindMember:
			return c.ID() == snap.Me.MemberID
		case KindRoom:
			return slices.ContainsFunc(snap.Rooms, func(room Room) bool { return room.ID == c.ID() })
		}
		return false
	})
}

// Messages returns a page of the newest messages of a room that the actor may
// read, oldest first. before is a message id to page back from ("" starts at
// the newest), limit goes from 1 to 200.
func (c Commands) Messages(ctx context.Context, by Actor, roomID, before string, limit int) ([]Message, error) {
	if limit < 1 || limit > MaxPage {
		return nil, InvalidField("limit", "limit goes from 1 to %d", MaxPage)
	}
	if before != "" && !ValidID(before) {
		return nil, InvalidField("before", "that is not a message id")
	}
	var messages []Message
	err := c.UoW.Read(ctx, func(r Reader) error {
		st, err := standingOf(ctx, r, by)
		if err != nil {
			return err
		}
		room, err := st.visibleRoom(ctx, roomID, r.Room)
		if err != nil {
			return err
		}
		messages, err = r.Messages(ctx, room.WorkspaceID, room.ID, before, limit)
		return err
	})
	return messages, err
}
