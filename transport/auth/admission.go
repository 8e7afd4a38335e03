package auth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/hub"
)

// maxQueryLength bounds a connection's query string, in bytes.
const maxQueryLength = 4096

// AdmissionConfig adjusts Admission.
type AdmissionConfig struct {
	Origins Origins
	// MaxRooms bounds the rooms of one request (default 50, as the hub's).
	MaxRooms int
}

// Admission decides, before any stream exists, whether a request may open a
// session and as whom.
type Admission struct {
	sessions Sessions
	read     domain.Reader
	cfg      AdmissionConfig
}

// NewAdmission makes an Admission over the database.
func NewAdmission(sessions Sessions, read domain.Reader, cfg AdmissionConfig) *Admission {
	if cfg.MaxRooms <= 0 {
		cfg.MaxRooms = 50
	}
	return &Admission{sessions: sessions, read: read, cfg: cfg}
}

// Admit reads the query parameters workspace, position, rooms and catalog, and
// returns the options to register with; Transport and the callbacks are the
// caller's to set. It decides in this order:
//
//   - a request with a body is CodeInvalid: it may be one that never comes, and
//     net/http wants it read before a stream begins;
//   - a query over 4096 bytes is CodeTooLarge, a malformed one CodeInvalid;
//   - a foreign Origin is CodeForbidden;
//   - no sign-in session, an ended one, an unknown workspace and somebody
//     else's are one and the same CodeUnauthenticated, so that an outsider
//     can't find out which workspaces exist;
//   - rooms that aren't ids are CodeInvalid, too many CodeTooLarge.
//
// The position is handed on as it came: the hub answers a bad one with
// system.resync. Other errors come from below; a transient one means that
// admission can't be decided now.
func (a *Admission) Admit(r *http.Request) (hub.Options, error) {
	if r.ContentLength != 0 {
		return hub.Options{}, domain.Errorf(domain.CodeInvalid, "a request for a connection has no body")
	}
	if len(r.URL.RawQuery) > maxQueryLength {
		return hub.Options{}, domain.Errorf(domain.CodeTooLarge, "the query is longer than %d bytes", maxQueryLength)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return hub.Options{}, domain.Wrap(err, domain.CodeInvalid, "the query string is malformed")
	}
	if err := a.cfg.Origins.Check(r); err != nil {
		return hub.Options{}, err
	}
	identity, err := a.identify(r, query.Get("workspace"))
	if err != nil {
		return hub.Options{}, err
	}
	rooms, err := a.rooms(query.Get("rooms"))
	if err != nil {
		return hub.Options{}, err
	}
	return hub.Options{
		Identity: identity,
		Position: query.Get("position"),
		Rooms:    rooms,
		Catalog:  query.Get("catalog"),
	}, nil
}

// SignedIn tells who sent the request, whatever they are a member of. Errors:
// those of Sessions.Authenticate.
func (a *Admission) SignedIn(r *http.Request) (Identity, error) {
	return a.sessions.Authenticate(r.Context(), r)
}

// identify goes from the request to a membership. Every way to fail that an
// outsider can bring about looks the same.
func (a *Admission) identify(r *http.Request, slug string) (hub.Identity, error) {
	ctx := r.Context()
	user, err := a.sessions.Authenticate(ctx, r)
	if err != nil {
		return hub.Identity{}, Outsider(err)
	}
	if !domain.ValidSlug(slug) {
		return hub.Identity{}, Outsider(domain.ErrNotFound)
	}
	workspace, err := a.read.WorkspaceBySlug(ctx, slug)
	if err != nil {
		return hub.Identity{}, Outsider(err)
	}
	member, err := a.read.MemberByUser(ctx, workspace.ID, user.UserID)
	if err != nil {
		return hub.Identity{}, Outsider(err)
	}
	return hub.Identity{
		WorkspaceID:   workspace.ID,
		WorkspaceSlug: workspace.Slug,
		MemberID:      member.ID,
		UserID:        user.UserID,
		AuthSessionID: user.SessionID,
		JoinedOffset:  member.JoinedOffset,
	}, nil
}

// Outsider hides from the client what is missing: the session, the workspace
// or the membership. A membership that ended after admission, as hub.Register
// tells with CodeForbidden, looks as if it had ended before. Other errors are
// returned as they are.
func Outsider(err error) error {
	switch domain.CodeOf(err) {
	case domain.CodeUnauthenticated, domain.CodeNotFound, domain.CodeForbidden:
		return domain.Errorf(domain.CodeUnauthenticated, "sign in, and name a workspace that you are a member of")
	}
	return err
}

// rooms reads a comma-separated list of room ids, and drops repetitions.
func (a *Admission) rooms(list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	var rooms []string
	for room := range strings.SplitSeq(list, ",") {
		if !domain.ValidID(room) {
			return nil, domain.InvalidField("rooms", "rooms is a comma-separated list of room ids")
		}
		if !slices.Contains(rooms, room) {
			rooms = append(rooms, room)
		}
	}
	if len(rooms) > a.cfg.MaxRooms {
		err := domain.Errorf(domain.CodeTooLarge, "at most %d rooms on one connection", a.cfg.MaxRooms)
		err.Field = "rooms"
		return nil, err
	}
	return rooms, nil
}
