package console

import (
	"net/http"
	"slices"

	"github.com/orbit/realtime/domain"
)

//go:generate go test . -run TestReferenceIsCurrent -update

// Route is one row of the API's index.
type Route struct {
	Method string
	Path   string // with {id}, as net/http's patterns
	Role   Role   // the least that may call it
	Doc    string
	Query  []string // the parameters it knows; others are refused
	Body   any      // zero value of the JSON body, nil without one

	serve func(*call) error
}

// Prefix is where the API is mounted.
const Prefix = "/admin/v1"

func with(lists ...[]string) []string { return slices.Concat(lists...) }

// Routes is the one table of the admin API: its index, its documentation and
// what the handler is made of.
var Routes = []Route{
	{http.MethodGet, "/whoami", RoleViewer, "Who the caller is.", nil, nil, whoami},
	{http.MethodGet, "/status", RoleViewer, "How this node and the database behind it are doing: the verdict and why, lanes, latencies, sessions.", nil, nil, status},
	{http.MethodGet, "/live", RoleViewer, "Server-sent events: `status` every second (without its series), `poison` with the counts by state when they have changed.", nil, nil, live},

	{http.MethodGet, "/poison/groups", RoleViewer, "Groups of messages that failed in the same way, those with open ones first, then newest and biggest.", with(filterNames, pageNames), nil, listGroups},
	{http.MethodGet, "/poison/groups/{fingerprint}", RoleViewer, "One group.", nil, nil, showGroup},
	{http.MethodGet, "/poison/messages", RoleViewer, "Messages, newest first. With `detail=true` each in full.", with(filterNames, pageNames, []string{"detail"}), nil, listMessages},
	{http.MethodGet, "/poison/stats", RoleViewer, "What the filter selects in numbers: by state, groups, the age of the oldest open one.", filterNames, nil, stats},
	{http.MethodGet, "/poison/messages/{id}", RoleViewer, "One message in full: payload, metadata, error chain, stack, attempts. Its version is the ETag.", nil, nil, showMessage},
	{http.MethodGet, "/poison/messages/{id}/preview", RoleViewer, "What the projector would do now: the exact server events with their channels, and how many of this node's sessions would get each, by transport; or the error. Nothing is written.", nil, nil, preview},
	{http.MethodGet, "/poison/messages/{id}/aggregate", RoleViewer, "What the message is about, as it is in the database now; null when it is gone.", nil, nil, aggregateNow},
	{http.MethodGet, "/poison/messages/{id}/fixture", RoleOperator, "A redacted fixture, the event and the rows that its projector reads, for `orbit poison replay`.", nil, nil, fixture},
	{http.MethodPost, "/poison/messages/{id}/requeue", RoleOperator, "Sends an open message back to the projector that failed, once. 409 when it isn't open.", nil, ActBody{}, act(VerbRequeue)},
	{http.MethodPost, "/poison/messages/{id}/discard", RoleOperator, "Drops an open message; needs a reason.", nil, ActBody{}, act(VerbDiscard)},
	{http.MethodPost, "/poison/messages/{id}/restore", RoleOperator, "Opens a discarded message again.", nil, ActBody{}, act(VerbRestore)},

	{http.MethodPost, "/operations", RoleOperator, "Begins a bulk operation over all that the filter selects now; 201. 409 when that isn't `expect` messages, or when a running operation has yet to begin with some of them. With `dryRun` it only counts; 200.", nil, OperationBody{}, createOperation},
	{http.MethodGet, "/operations", RoleViewer, "Operations, newest first.", pageNames, nil, listOperations},
	{http.MethodGet, "/operations/{id}", RoleViewer, "One operation and its progress.", nil, nil, showOperation},
	{http.MethodGet, "/operations/{id}/items", RoleViewer, "The outcome of each message; `state` narrows it to pending, inFlight, succeeded, failed or skipped.", with(pageNames, []string{"state"}), nil, listItems},
	{http.MethodPost, "/operations/{id}/cancel", RoleOperator, "Ends an operation; what it has not begun stays as it is.", nil, ActBody{}, cancelOperation},

	{http.MethodGet, "/audit", RoleViewer, "Who did what, when and why, refusals too; newest first.", with([]string{"operator", "action", "target", "outcome", "since", "until"}, pageNames), nil, listAudit},
	{http.MethodGet, "/trace/{event}", RoleViewer, "The way of one domain event from its commit to the tabs; with `tab`, the id of a session or a member, also what became of it there.", []string{"tab"}, nil, trace},

	{http.MethodGet, "/presence", RoleViewer, "The sessions of all nodes, summed by workspace; a member counts once.", nil, nil, presence},
	{http.MethodGet, "/sessions", RoleViewer, "The sessions of all nodes, newest first; `workspace` is a slug or an id.", []string{"workspace", "member", "limit"}, nil, listSessions},
	{http.MethodDelete, "/sessions/{id}", RoleOperator, "Disconnects a session; its client may come back.", []string{"reason"}, nil, disconnect},
	{http.MethodGet, "/tail", RoleViewer, "A workspace's server events as they are appended, one JSON object a line, until the client goes. `after` is a position to begin behind.", []string{"workspace", "after"}, nil, tail},
}

// ActBody may be left out where there is nothing to say.
type ActBody struct {
	Reason string `json:"reason"`
}

// OperationBody asks for a bulk operation.
type OperationBody struct {
	Kind   domain.OperationKind `json:"kind"`
	Filter domain.PoisonFilter  `json:"filter"`
	// Expect is how many messages the operator means; required unless DryRun.
	Expect    *int   `json:"expect"`
	PerSecond int    `json:"perSecond"`
	NoCanary  bool   `json:"noCanary"`
	Reason    string `json:"reason"`
	DryRun    bool   `json:"dryRun"`
}
