package api

import (
	"net/http"

	"github.com/orbit/realtime/domain"
)

// What a route needs of its caller, where it isn't a domain.Permission.
const (
	NeedsDemo    = "demo"    // nothing, but the route only exists with --demo
	NeedsSession = "session" // to be signed in
	NeedsMember  = "member"  // to be a member of the workspace; Doc may ask for more
)

// Route is one row of the API's index.
type Route struct {
	Method string
	Path   string
	Needs  string // one of the constants above, or a domain.Permission
	Doc    string
	handle handler
}

// Routes is the index. Documentation is generated from it, and tests go
// through all of it.
var Routes = []Route{
	{http.MethodPost, "/v1/demo/login", NeedsDemo,
		`Signs in as a demo user: {"user":"owner"}, admin or guest.`, demoLogin},
	{http.MethodPost, "/v1/logout", NeedsSession,
		"Signs out; the session's sockets close with 4401.", logout},
	{http.MethodGet, "/v1/me", NeedsSession,
		"Who is signed in, and the workspaces they belong to.", me},

	{http.MethodGet, "/v1/workspaces/:slug/snapshot", NeedsMember,
		"The state for first hydration, and the position it is true at.", snapshot},
	{http.MethodPatch, "/v1/workspaces/:slug", string(domain.PermWorkspaceManage),
		"Changes name or slug.", changed("workspace", on(domain.Commands.UpdateWorkspace))},
	{http.MethodPatch, "/v1/workspaces/:slug/subscription", string(domain.PermBillingManage),
		"Changes plan, seats or status.", changed("subscription", on(domain.Commands.UpdateSubscription))},

	{http.MethodPost, "/v1/workspaces/:slug/members", string(domain.PermMembersManage),
		"Adds a member by e-mail, as a guest unless roleId says otherwise.", created("member", on(domain.Commands.AddMember))},
	{http.MethodPatch, "/v1/workspaces/:slug/members/:id", string(domain.PermMembersManage),
		"Changes name or roleId. One's own name needs no permission.", changed("member", on1(domain.Commands.UpdateMember))},
	{http.MethodDelete, "/v1/workspaces/:slug/members/:id", string(domain.PermMembersManage),
		"Removes a member; their sockets close with 4403. Leaving needs no permission.", removed(domain.Commands.RemoveMember)},
	{http.MethodPost, "/v1/workspaces/:slug/members/:id/notifications", string(domain.PermMembersNotify),
		"Sends title and body to one member's tabs.", created("notification", on1(domain.Commands.Notify))},

	{http.MethodPost, "/v1/workspaces/:slug/roles", string(domain.PermRolesManage),
		"Makes a role of permissions that the caller has.", created("role", on(domain.Commands.CreateRole))},
	{http.MethodPatch, "/v1/workspaces/:slug/roles/:id", string(domain.PermRolesManage),
		"Changes a custom role's name or permissions.", changed("role", on1(domain.Commands.UpdateRole))},
	{http.MethodDelete, "/v1/workspaces/:slug/roles/:id", string(domain.PermRolesManage),
		"Deletes a custom role that nobody holds.", removed(domain.Commands.DeleteRole)},

	{http.MethodPost, "/v1/workspaces/:slug/teams", string(domain.PermTeamsManage),
		"Makes a team of name and memberIds.", created("team", on(domain.Commands.CreateTeam))},
	{http.MethodPatch, "/v1/workspaces/:slug/teams/:id", string(domain.PermTeamsManage),
		"Renames a team.", changed("team", on1(domain.Commands.UpdateTeam))},
	{http.MethodDelete, "/v1/workspaces/:slug/teams/:id", string(domain.PermTeamsManage),
		"Deletes a team.", removed(domain.Commands.DeleteTeam)},
	{http.MethodPut, "/v1/workspaces/:slug/teams/:id/members/:memberId", string(domain.PermTeamsManage),
		"Puts a member into a team.", put("team", domain.Commands.AddTeamMember)},
	{http.MethodDelete, "/v1/workspaces/:slug/teams/:id/members/:memberId", string(domain.PermTeamsManage),
		"Takes a member out of a team.", removed2(domain.Commands.RemoveTeamMember)},

	{http.MethodPost, "/v1/workspaces/:slug/rooms", NeedsMember,
		"Opens a room; a private one is for its maker and memberIds.", created("room", on(domain.Commands.CreateRoom))},
	{http.MethodPatch, "/v1/workspaces/:slug/rooms/:id", string(domain.PermRoomsManage),
		"Renames a room. In a private room it takes to be one of its members instead.", changed("room", on1(domain.Commands.UpdateRoom))},
	{http.MethodDelete, "/v1/workspaces/:slug/rooms/:id", string(domain.PermRoomsManage),
		"Deletes a room with its messages. In a private room it takes to be one of its members instead.", removed(domain.Commands.DeleteRoom)},
	{http.MethodPut, "/v1/workspaces/:slug/rooms/:id/members/:memberId", NeedsMember,
		"Invites a member into a private room. It takes to be one of the room's members.", put("room", domain.Commands.AddRoomMember)},
	{http.MethodDelete, "/v1/workspaces/:slug/rooms/:id/members/:memberId", NeedsMember,
		"Takes a member, or oneself, out of a private room. It takes to be one of the room's members.", removed2(domain.Commands.RemoveRoomMember)},

	{http.MethodGet, "/v1/workspaces/:slug/rooms/:id/messages", NeedsMember,
		"The newest messages, oldest first; ?limit=1..200 (default 50), ?before=<message id>.", messages},
	{http.MethodPost, "/v1/workspaces/:slug/rooms/:id/messages", NeedsMember,
		"Says something in a room.", created("message", on1(domain.Commands.PostMessage))},
	{http.MethodPatch, "/v1/workspaces/:slug/rooms/:id/messages/:messageId", NeedsMember,
		"Edits one's own message.", changed("message", on2(domain.Commands.EditMessage))},
	{http.MethodDelete, "/v1/workspaces/:slug/rooms/:id/messages/:messageId", NeedsMember,
		"Takes back one's own message; another's needs rooms.manage.", removed2(domain.Commands.DeleteMessage)},
}
