package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orbit/realtime/domain"
)

// maxFlood is how many changes one flood makes at most.
const maxFlood = 10_000

// floodPace is the time between two changes: as fast as a very busy workspace,
// rather than as the machine can. The page shows how long a change takes, not how
// long the queue before it is.
const floodPace = 2 * time.Millisecond

// floodWait is how long the page may take to read a line of the answer.
const floodWait = 10 * time.Second

// floodInput is the body of POST /demo/flood.
type floodInput struct {
	Count int `json:"count"`
}

func (in floodInput) check() error {
	if in.Count < 1 || in.Count > maxFlood {
		return domain.InvalidField("count", "count is 1 to %d", maxFlood)
	}
	return nil
}

// flood commits changes, one transaction each, and answers with their event ids
// as they are committed: NDJSON, a {"cause":…} for each, and {"done":true} at
// the end. An answer that breaks off before it says that the flood did as well.
func (r *run) flood(w http.ResponseWriter, req *http.Request, in floodInput) error {
	if !r.flooding.TryLock() {
		return domain.Errorf(domain.CodeConflict, "a flood is under way")
	}
	defer r.flooding.Unlock()
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()

	changes, err := r.waves(ctx, in.Count)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	control, lines := http.NewResponseController(w), json.NewEncoder(w)
	line := func(v any) error {
		_ = control.SetWriteDeadline(time.Now().Add(floodWait)) // no connection, no deadline
		return errors.Join(lines.Encode(v), control.Flush())
	}
	pace := time.NewTicker(floodPace)
	defer pace.Stop()
	for i := range in.Count {
		<-pace.C
		cause, err := changes[i%len(changes)](ctx, i+1)
		if err == nil && cause != "" {
			err = line(map[string]string{"cause": cause})
		}
		if err != nil {
			_ = line(map[string]any{"done": false, "error": message(err)}) // half an answer can't become a problem document
			return nil
		}
	}
	_ = line(map[string]any{"done": true})
	return nil
}

func message(err error) string {
	var coded *domain.Error
	if errors.As(err, &coded) {
		return coded.Message
	}
	return "the flood broke off"
}

// wave makes the nth change of a flood and returns its event's id.
type wave func(ctx context.Context, n int) (cause string, err error)

// waves are the changes to take in turn: a team's name and a message, both seen
// by everybody. What a broken projector would hold up is left out; the demo shows
// that it stops nobody else, and has no hour to wait for its retries.
func (r *run) waves(ctx context.Context, count int) ([]wave, error) {
	by, err := r.owner(ctx)
	if err != nil {
		return nil, err
	}
	broken := r.switches.all()
	text := func(n int) string { return fmt.Sprintf("Flood: %d of %d", n, count) }
	var waves []wave
	if broken[domain.EventTeamUpdated] == "" {
		team, err := r.floodTeam(ctx, by)
		if err != nil {
			return nil, err
		}
		waves = append(waves, func(ctx context.Context, n int) (string, error) {
			name := text(n)
			_, cause, err := r.Commands.UpdateTeam(ctx, by, team.ID, domain.TeamPatch{Name: &name})
			return cause, err
		})
	}
	if broken[domain.EventMessageEdited] == "" && broken[domain.EventMessagePosted] == "" {
		message, err := r.floodMessage(ctx, by)
		if err != nil {
			return nil, err
		}
		waves = append(waves, func(ctx context.Context, n int) (string, error) {
			_, cause, err := r.Commands.EditMessage(ctx, by, message.RoomID, message.ID, domain.MessageText{Body: text(n)})
			return cause, err
		})
	}
	if len(waves) == 0 {
		return nil, domain.Errorf(domain.CodeConflict, "mend a projector first: all that a flood changes are broken")
	}
	return waves, nil
}

// owner is somebody who may do all this: acme always has one.
func (r *run) owner(ctx context.Context) (domain.Actor, error) {
	acme, err := r.Reader.WorkspaceBySlug(ctx, "acme")
	if err != nil {
		return domain.Actor{}, err
	}
	roles, err := r.Reader.Roles(ctx, acme.ID)
	if err != nil {
		return domain.Actor{}, err
	}
	members, err := r.Reader.Members(ctx, acme.ID)
	if err != nil {
		return domain.Actor{}, err
	}
	i := slices.IndexFunc(members, func(m domain.Member) bool {
		return slices.ContainsFunc(roles, func(role domain.Role) bool { return role.ID == m.RoleID && role.Kind == domain.RoleOwner })
	})
	if i < 0 {
		return domain.Actor{}, domain.Errorf(domain.CodeConflict, "acme has no owner")
	}
	return domain.Actor{UserID: members[i].UserID, Workspace: acme.Slug}, nil
}

func (r *run) floodTeam(ctx context.Context, by domain.Actor) (domain.Team, error) {
	acme, err := r.Reader.WorkspaceBySlug(ctx, by.Workspace)
	if err != nil {
		return domain.Team{}, err
	}
	teams, err := r.Reader.Teams(ctx, acme.ID)
	if err != nil {
		return domain.Team{}, err
	}
	if i := slices.IndexFunc(teams, func(t domain.Team) bool { return strings.HasPrefix(t.Name, "Flood") }); i >= 0 {
		return teams[i], nil
	}
	team, _, err := r.Commands.CreateTeam(ctx, by, domain.NewTeam{Name: "Flood"})
	return team, err
}

func (r *run) floodMessage(ctx context.Context, by domain.Actor) (domain.Message, error) {
	acme, err := r.Reader.WorkspaceBySlug(ctx, by.Workspace)
	if err != nil {
		return domain.Message{}, err
	}
	rooms, err := r.Reader.Rooms(ctx, acme.ID)
	if err != nil {
		return domain.Message{}, err
	}
	var room domain.Room
	if i := slices.IndexFunc(rooms, func(room domain.Room) bool { return !room.Private }); i >= 0 {
		room = rooms[i]
	} else if room, _, err = r.Commands.CreateRoom(ctx, by, domain.NewRoom{Name: "flood"}); err != nil {
		return domain.Message{}, err
	}
	message, _, err := r.Commands.PostMessage(ctx, by, room.ID, domain.MessageText{Body: "Flood"})
	return message, err
}
