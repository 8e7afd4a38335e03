package pipeline

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/handlers"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

// auditing makes an auditor of everything, without rest or patience.
func auditing(s *store.Store) *Auditor {
	return NewAuditor(s, func(string) bool { return true }, AuditConfig{Rate: 1e9, Patience: time.Nanosecond, Logger: quiet})
}

// firm is a workspace made by commands, and all of it told.
type firm struct {
	t     *testing.T
	store *store.Store
	cmd   domain.Commands
	by    domain.Actor
	owner domain.Member
	guest domain.Member
	role  domain.Role
	team  domain.Team
	room  domain.Room // private, of the two
	table map[domain.EventType]domain.Projector
	audit *Auditor

	silent atomic.Bool // nothing is told of teams
}

func found(t *testing.T, engine storetest.Engine) *firm {
	s := storetest.Open(t, engine)
	f := &firm{t: t, store: s, cmd: domain.Commands{UoW: s}, table: handlers.Table(), audit: auditing(s)}
	project := f.table[domain.EventTeamUpdated]
	f.table[domain.EventTeamUpdated] = func(ctx context.Context, read domain.Reader, ev domain.Event) ([]domain.ServerEvent, error) {
		if f.silent.Load() {
			return nil, nil
		}
		return project(ctx, read, ev)
	}
	ctx := t.Context()
	var err error
	_, f.owner, err = f.cmd.CreateWorkspace(ctx, domain.NewWorkspace{Slug: "firm", Name: "Firm", Plan: "team", Seats: 10, OwnerEmail: "o@example.com", OwnerName: "O"})
	require.NoError(t, err)
	f.by = domain.Actor{UserID: f.owner.UserID, Workspace: "firm"}
	f.guest, _, err = f.cmd.AddMember(ctx, f.by, domain.NewMember{Email: "g@example.com"})
	require.NoError(t, err)
	f.team, _, err = f.cmd.CreateTeam(ctx, f.by, domain.NewTeam{Name: "Team"})
	require.NoError(t, err)
	f.role, _, err = f.cmd.CreateRole(ctx, f.by, domain.NewRole{Name: "Role"})
	require.NoError(t, err)
	f.room, _, err = f.cmd.CreateRoom(ctx, f.by, domain.NewRoom{Name: "Den", Private: true, MemberIDs: []string{f.owner.ID, f.guest.ID}})
	require.NoError(t, err)
	return f
}

// unheard changes a team while its projector says nothing.
func (f *firm) unheard() {
	f.silent.Store(true)
	name := "Unheard"
	_, _, err := f.cmd.UpdateTeam(f.t.Context(), f.by, f.team.ID, domain.TeamPatch{Name: &name})
	require.NoError(f.t, err)
	f.settle()
}

func (f *firm) settle() { drained(f.t, f.store) }

// exec does something behind everybody's back.
func (f *firm) exec(query string, args ...any) {
	f.t.Helper()
	_, err := f.store.WriteDB().ExecContext(f.t.Context(), query, args...)
	require.NoError(f.t, err)
}

// requireTold compares what clients show with the database.
func (f *firm) requireTold() {
	f.t.Helper()
	v, err := f.store.AuditView(f.t.Context(), f.owner.WorkspaceID, 0, 1<<30)
	require.NoError(f.t, err)
	require.Empty(f.t, v.Untold)
	client := map[string]json.RawMessage{} // ignores versions it has
	versions := map[string]int64{}
	for _, e := range v.Entries {
		var fields map[string]json.RawMessage
		require.NoError(f.t, json.Unmarshal(e.Data, &fields))
		kind := auditedKind(e.Type)
		if kind == "" || e.Revoke != nil && e.Revoke.MemberID != "" && kind == "room" {
			continue
		}
		h := headOf(fields[kind])
		key := kind + ":" + h.ID
		if h.Version <= versions[key] {
			continue
		}
		versions[key] = h.Version
		if client[key] = fields[kind]; tombstones[e.Type] {
			delete(client, key)
		}
	}
	require.NotContains(f.t, client, "", "an entity without a key")
	for key, shown := range client {
		require.JSONEq(f.t, string(v.Rows[key]), string(shown), key)
	}
}

// pass audits; what is found needs a second look.
func (f *firm) pass(times int) domain.AuditStatus {
	f.t.Helper()
	for range times {
		require.NoError(f.t, f.audit.pass(f.t.Context()))
		f.settle()
	}
	return f.audit.Status()
}

func TestTheAuditorTellsWhatNoEventTold(t *testing.T) {
	for name, tc := range map[string]struct {
		meddle func(f *firm)
		heals  func(f *firm) // looks at what was told
	}{
		"a row edited, its version as it was": {meddle: func(f *firm) { f.exec(`UPDATE teams SET name = 'By hand' WHERE id = $1`, f.team.ID) }},
		"a row and its version edited": {meddle: func(f *firm) {
			f.exec(`UPDATE roles SET name = 'By hand', version = version + 5 WHERE id = $1`, f.role.ID)
		}},
		"a workspace edited": {meddle: func(f *firm) { f.exec(`UPDATE workspaces SET name = 'By hand' WHERE id = $1`, f.owner.WorkspaceID) }},
		"a user edited":      {meddle: func(f *firm) { f.exec(`UPDATE users SET email = 'new@example.com' WHERE id = $1`, f.guest.UserID) }},
		"a subscription edited, of which no event ever told": {meddle: func(f *firm) { f.exec(`UPDATE subscriptions SET seats = 99`) }},
		"a version set back": {meddle: func(f *firm) {
			name := "Later"
			_, _, err := f.cmd.UpdateTeam(f.t.Context(), f.by, f.team.ID, domain.TeamPatch{Name: &name})
			require.NoError(f.t, err)
			f.settle()
			f.exec(`UPDATE teams SET name = 'Restored', version = 1 WHERE id = $1`, f.team.ID)
		}},
		"a row deleted": {meddle: func(f *firm) { f.exec(`DELETE FROM teams WHERE id = $1`, f.team.ID) }},
		"a member deleted": {
			meddle: func(f *firm) {
				f.exec(`DELETE FROM room_members WHERE member_id = $1`, f.guest.ID)
				f.exec(`DELETE FROM members WHERE id = $1`, f.guest.ID)
			},
			heals: func(f *firm) { f.requireRevoked(domain.Revocation{MemberID: f.guest.ID}) },
		},
		"a private room deleted": {
			meddle: func(f *firm) { f.exec(`DELETE FROM rooms WHERE id = $1`, f.room.ID) },
			heals:  func(f *firm) { f.requireRevoked(domain.Revocation{Channel: domain.RoomChannel(f.room.ID)}) },
		},
		"somebody taken out of a private room": {
			meddle: func(f *firm) { f.exec(`DELETE FROM room_members WHERE member_id = $1`, f.guest.ID) },
			heals: func(f *firm) {
				f.requireRevoked(domain.Revocation{MemberID: f.guest.ID, Channel: domain.RoomChannel(f.room.ID)})
			},
		},
		"an event that nobody published": {meddle: func(f *firm) {
			f.team.Name, f.team.Version = "Silently", f.team.Version+1
			require.NoError(f.t, f.store.Write(f.t.Context(), func(tx domain.Tx) error { return tx.UpdateTeam(f.t.Context(), f.team) }))
		}},
		"a row inserted": {meddle: func(f *firm) {
			require.NoError(f.t, f.store.Write(f.t.Context(), func(tx domain.Tx) error {
				return tx.InsertTeam(f.t.Context(), domain.Team{ID: "team_by_hand", Version: 1, WorkspaceID: f.owner.WorkspaceID, Name: "New", MemberIDs: []string{}})
			}))
		}},
		"a projector that said nothing": {meddle: func(f *firm) { f.unheard(); f.silent.Store(false) }},
	} {
		for _, engine := range storetest.Engines(t) {
			t.Run(name+" "+string(engine), func(t *testing.T) {
				f := found(t, engine)
				start(t, f.store, f.table, Config{Concerns: handlers.Concerns})
				f.settle()
				require.Zero(t, f.pass(2).Repaired, "nothing is wrong so far")
				tc.meddle(f)
				f.settle()
				status := f.pass(4)
				require.NotZero(t, status.Repaired)
				require.Zero(t, status.Divergent)
				f.requireTold()
				if tc.heals != nil {
					tc.heals(f)
				}
				require.Equal(t, status.Repaired, f.pass(2).Repaired, "and that was it")
			})
		}
	}
}

// A projector that goes on saying nothing isn't asked for ever; that it is wrong
// stays on show, and what becomes of it is noticed.
func TestTheAuditorGivesUpAskingButNotTelling(t *testing.T) {
	f := found(t, store.SQLite)
	start(t, f.store, f.table, Config{Concerns: handlers.Concerns})
	f.settle()
	f.pass(1)
	f.unheard()
	require.Equal(t, domain.AuditStatus{Divergent: 1, Repaired: maxRepairs}, findings(f.pass(10)))
	f.silent.Store(false)
	name := "Heard"
	_, _, err := f.cmd.UpdateTeam(t.Context(), f.by, f.team.ID, domain.TeamPatch{Name: &name})
	require.NoError(t, err)
	f.settle()
	require.Zero(t, f.pass(1).Divergent)
	f.requireTold()
}

// The auditor has time, and so have others: what is being told is no difference.
func TestTheAuditorIsPatient(t *testing.T) {
	f := found(t, store.SQLite)
	f.audit.cfg.Patience = time.Hour
	start(t, f.store, f.table, Config{})
	f.settle()
	f.pass(1)
	f.exec(`UPDATE teams SET name = 'By hand' WHERE id = $1`, f.team.ID)
	require.Equal(t, domain.AuditStatus{}, findings(f.pass(5)))
}

// What waits in the outbox is known not to be told.
func TestTheAuditorLeavesWhatWaits(t *testing.T) {
	f := found(t, store.SQLite) // nothing serves the lanes
	for range 3 {
		require.NoError(t, f.audit.pass(t.Context()))
	}
	f.exec(`UPDATE teams SET name = 'By hand' WHERE id = $1`, f.team.ID)
	for range 3 {
		require.NoError(t, f.audit.pass(t.Context()))
	}
	require.Zero(t, f.audit.Status().Repaired)
}

// findings leaves out of a status what differs from run to run.
func findings(s domain.AuditStatus) domain.AuditStatus {
	s.Checked, s.LastPass = 0, nil
	return s
}

func (f *firm) requireRevoked(want domain.Revocation) {
	f.t.Helper()
	entries, _, err := f.store.LogAfter(f.t.Context(), f.owner.WorkspaceID, 0, 1<<40, nil, 1000)
	require.NoError(f.t, err)
	for _, e := range entries {
		if e.Revoke != nil && *e.Revoke == want {
			return
		}
	}
	f.t.Fatalf("nobody was told to revoke %+v", want)
}

// Whatever commands do, whichever projectors fail, whatever operators press: the
// auditor has nothing to mend, for each difference is explained by poison.
func TestTheAuditorDoesNotMeddle(t *testing.T) {
	s := storetest.Open(t, store.SQLite)
	m := &moods{}
	start(t, s, m.table(), Config{Concerns: handlers.Concerns, Retry: RetryConfig{MaxRetries: -1}})
	rapid.Check(t, func(rt *rapid.T) {
		m.failing.Store(nil)
		o := openOffice(rt, s)
		a := auditing(s)
		a.owns = func(id string) bool { return id == o.id }
		look := func() {
			o.settle()
			require.NoError(rt, a.pass(context.Background()))
			require.NoError(rt, a.pass(context.Background()))
			require.Zero(rt, a.Status().Repaired)
			require.Zero(rt, a.Status().Divergent)
		}
		look()
		rt.Repeat(map[string]func(*rapid.T){
			"look":   func(*rapid.T) { look() },
			"rename": func(rt *rapid.T) { o.t = rt; o.rename() },
			"rooms":  func(rt *rapid.T) { o.t = rt; o.changeRooms() },
			"break": func(rt *rapid.T) {
				kind := rapid.SampledFrom([]string{"", "", "room", "member"}).Draw(rt, "kind")
				m.failing.Store(&kind)
			},
		})
		look()
	})
}
