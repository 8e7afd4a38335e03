package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/body"
	"github.com/orbit/realtime/transport/problem"
)

// maxBody bounds the body of a request, in bytes: a thousand ids fit.
const maxBody = 128 << 10

// maxReason bounds a reason, in characters.
const maxReason = 1000

// call is one request to the API at work.
type call struct {
	*Service
	*Console
	w     http.ResponseWriter
	r     *http.Request
	who   Caller
	query *query
}

// api mounts every route, and answers what isn't one with a problem document.
func (c *Console) api(mux *http.ServeMux) {
	allowed := map[string][]string{}
	for _, route := range Routes {
		allowed[route.Path] = append(allowed[route.Path], route.Method)
		mux.HandleFunc(route.Method+" "+Prefix+route.Path, c.serve(route))
	}
	for path, methods := range allowed {
		mux.HandleFunc(Prefix+path, func(w http.ResponseWriter, r *http.Request) {
			problem.MethodNotAllowed(w, r, strings.Join(methods, ", "))
		})
	}
	mux.HandleFunc(Prefix+"/", func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, domain.Errorf(domain.CodeNotFound, "no such address; GET %s lists them", Prefix))
	})
	mux.HandleFunc("GET "+Prefix, c.index)
}

// index lists the routes; it tells nothing that the documentation doesn't.
func (c *Console) index(w http.ResponseWriter, _ *http.Request) {
	type row struct {
		Method string   `json:"method"`
		Path   string   `json:"path"`
		Role   Role     `json:"role"`
		Query  []string `json:"query"`
		Doc    string   `json:"doc"`
	}
	rows := make([]row, len(Routes))
	for i, route := range Routes {
		rows[i] = row{route.Method, Prefix + route.Path, route.Role, nonNil(route.Query), route.Doc}
	}
	send(w, http.StatusOK, map[string]any{"routes": rows})
}

// serve runs a route: who is it, may they, are the parameters known.
func (c *Console) serve(route Route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.limitTime(w, r)
		if err := c.run(route, w, r); err != nil {
			if domain.CodeOf(err) == domain.CodeUnauthenticated {
				w.Header().Set("WWW-Authenticate", `Bearer realm="orbit admin"`)
			}
			problem.Write(w, r, err)
		}
	}
}

func (c *Console) run(route Route, w http.ResponseWriter, r *http.Request) error {
	who, l, err := c.gate.identify(r)
	if err != nil {
		return err
	}
	if err := c.gate.checkForgery(r, l, r.Header.Get("X-CSRF-Token")); err != nil {
		return err
	}
	q := newQuery(r.URL.Query(), route.Query)
	if q.err != nil {
		return q.err
	}
	for _, id := range []string{r.PathValue("id"), r.PathValue("event"), r.PathValue("fingerprint")} {
		if id != "" && !domain.ValidID(id) {
			return domain.Errorf(domain.CodeNotFound, "no such thing: that is not an id")
		}
	}
	return route.serve(&call{Service: c.service, Console: c, w: w, r: r, who: who, query: q})
}

func send(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client may be gone
}

// answer sends what a service method returned.
func answer[T any](c *call, result T, err error) error {
	if err != nil {
		return err
	}
	send(c.w, http.StatusOK, result)
	return nil
}

func whoami(c *call) error { return answer(c, c.who, nil) }

func status(c *call) error {
	st, err := c.Status(c.r.Context())
	return answer(c, st, err)
}

func listGroups(c *call) error {
	f, p := c.query.filter(c.r.Context(), c.Service, c.who), c.query.page()
	if c.query.err != nil {
		return c.query.err
	}
	list, err := c.Groups(c.r.Context(), c.who, f, p)
	return answer(c, list, err)
}

func showGroup(c *call) error {
	g, err := c.Group(c.r.Context(), c.who, c.r.PathValue("fingerprint"))
	return answer(c, g, err)
}

func listMessages(c *call) error {
	f, p, detail := c.query.filter(c.r.Context(), c.Service, c.who), c.query.page(), c.query.flag("detail")
	if c.query.err != nil {
		return c.query.err
	}
	list, err := c.Messages(c.r.Context(), c.who, f, p, detail)
	return answer(c, list, err)
}

func stats(c *call) error {
	f := c.query.filter(c.r.Context(), c.Service, c.who)
	if c.query.err != nil {
		return c.query.err
	}
	st, err := c.Stats(c.r.Context(), f)
	return answer(c, st, err)
}

func showMessage(c *call) error {
	m, err := c.Message(c.r.Context(), c.who, c.r.PathValue("id"))
	return c.message(m, err)
}

// message answers with a message, and its version as the ETag.
func (c *call) message(m Message, err error) error {
	if err == nil {
		c.w.Header().Set("ETag", fmt.Sprintf(`"%d"`, m.Version))
	}
	return answer(c, m, err)
}

func preview(c *call) error {
	sample, err := c.Preview(c.r.Context(), c.who, c.r.PathValue("id"))
	return answer(c, sample, err)
}

func aggregateNow(c *call) error {
	now, err := c.AggregateNow(c.r.Context(), c.who, c.r.PathValue("id"))
	return answer(c, map[string]any{"aggregate": now}, err)
}

func fixture(c *call) error {
	f, err := c.Fixture(c.r.Context(), c.who, c.r.PathValue("id"))
	return answer(c, f, err)
}

// options reads what every act takes: a reason, If-Match and Idempotency-Key.
func (c *call) options(in *ActBody) (o ActOptions, err error) {
	if c.r.ContentLength != 0 {
		if err := body.Decode(c.w, c.r, maxBody, in); err != nil {
			return o, err
		}
	}
	if o.Reason, err = reason(in.Reason); err != nil {
		return o, err
	}
	if o.IdempotencyKey, err = c.idempotencyKey(); err != nil {
		return o, err
	}
	o.IfVersion, err = c.ifMatch()
	return o, err
}

func reason(s string) (string, error) {
	s = strings.TrimSpace(s)
	if len([]rune(s)) > maxReason || s != valid(s) || strings.Contains(s, "\x00") {
		return "", domain.InvalidField("reason", "a reason is a text of at most %d characters", maxReason)
	}
	return s, nil
}

func (c *call) idempotencyKey() (string, error) {
	key := c.r.Header.Get("Idempotency-Key")
	if len(key) > 128 || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", domain.InvalidField("Idempotency-Key", "an idempotency key is 1 to 128 printable ASCII characters")
	}
	return key, nil
}

// ifMatch reads the version that If-Match names; 0 for none, or for "*".
func (c *call) ifMatch() (int64, error) {
	tag := c.r.Header.Get("If-Match")
	if tag == "" || tag == "*" {
		return 0, nil
	}
	text, ok := strings.CutPrefix(tag, `"`)
	text, closed := strings.CutSuffix(text, `"`)
	version, err := strconv.ParseInt(text, 10, 64)
	if !ok || !closed || err != nil || version < 1 {
		return 0, domain.InvalidField("If-Match", `If-Match takes an ETag of ours, such as "3"`)
	}
	return version, nil
}

func act(verb Verb) func(*call) error {
	return func(c *call) error {
		var in ActBody
		o, err := c.options(&in)
		if err != nil {
			return err
		}
		id := c.r.PathValue("id")
		m, err := c.Act(c.r.Context(), c.who, verb, id, o)
		if domain.CodeOf(err) == domain.CodeConflict && o.IfVersion != 0 {
			// RFC 9110, section 13.1.1: it was the condition that failed.
			if now, lookErr := c.Message(c.r.Context(), c.who, id); lookErr == nil && now.Version != o.IfVersion {
				var coded *domain.Error
				errors.As(err, &coded)
				err = domain.Errorf(problem.CodePreconditionFailed, "%s", coded.Message)
			}
		}
		return c.message(m, err)
	}
}

func createOperation(c *call) error {
	var in OperationBody
	if err := body.Decode(c.w, c.r, maxBody, &in); err != nil {
		return err
	}
	o := ActOptions{}
	var err error
	if o.Reason, err = reason(in.Reason); err != nil {
		return err
	}
	if o.IdempotencyKey, err = c.idempotencyKey(); err != nil {
		return err
	}
	if in.Filter.WorkspaceID, err = c.workspaceID(c.r.Context(), in.Filter.WorkspaceID); err != nil {
		return err
	}
	if len(in.Filter.IDs) > maxIDs {
		return domain.InvalidField("filter.ids", "at most %d messages can be named one by one; use a filter", maxIDs)
	}
	if in.DryRun {
		n, err := c.Matching(c.r.Context(), in.Kind, in.Filter)
		return answer(c, map[string]any{"matching": n}, err)
	}
	if in.Expect == nil || *in.Expect < 1 {
		return domain.InvalidField("expect", "say how many messages you mean; dryRun counts them")
	}
	op, err := c.Operate(c.r.Context(), c.who, domain.OperationRequest{
		Kind: in.Kind, Filter: in.Filter, Expect: *in.Expect, PerSecond: in.PerSecond, NoCanary: in.NoCanary,
	}, o)
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", Prefix+"/operations/"+op.ID)
	send(c.w, http.StatusCreated, op)
	return nil
}

func listOperations(c *call) error {
	p := c.query.page()
	if c.query.err != nil {
		return c.query.err
	}
	list, next, err := c.Queue.Operations(c.r.Context(), p)
	return answer(c, List[domain.Operation]{nonNil(list), next}, err)
}

func showOperation(c *call) error {
	op, err := c.Queue.Operation(c.r.Context(), c.r.PathValue("id"))
	return answer(c, op, err)
}

func listItems(c *call) error {
	p, state := c.query.page(), domain.ItemState(c.query.text("state"))
	if state != "" && !slices.Contains(itemStates, state) {
		c.query.fail("state", "a state is one of %s", join(itemStates))
	}
	if c.query.err != nil {
		return c.query.err
	}
	list, err := c.OperationItems(c.r.Context(), c.who, c.r.PathValue("id"), state, p)
	return answer(c, list, err)
}

var itemStates = []domain.ItemState{domain.ItemPending, domain.ItemInFlight, domain.ItemSucceeded, domain.ItemFailed, domain.ItemSkipped}

func cancelOperation(c *call) error {
	var in ActBody
	o, err := c.options(&in)
	if err != nil {
		return err
	}
	op, err := c.CancelOperation(c.r.Context(), c.who, c.r.PathValue("id"), o)
	return answer(c, op, err)
}

// auditFilter reads what narrows the audit.
func (q *query) auditFilter() domain.AuditFilter {
	return domain.AuditFilter{
		Operator: q.text("operator"), Action: q.text("action"), Target: q.text("target"), Outcome: q.text("outcome"),
		Since: q.moment("since"), Until: q.moment("until"),
	}
}

func listAudit(c *call) error {
	f, p := c.query.auditFilter(), c.query.page()
	if c.query.err != nil {
		return c.query.err
	}
	list, err := c.Audit(c.r.Context(), f, p)
	return answer(c, list, err)
}

func trace(c *call) error {
	tab := c.query.text("tab")
	if c.query.err != nil {
		return c.query.err
	}
	t, err := c.Trace(c.r.Context(), c.who, c.r.PathValue("event"), tab)
	return answer(c, t, err)
}

func presence(c *call) error {
	list, err := c.Presence()
	return answer(c, List[WorkspacePresence]{Items: list}, err)
}

func listSessions(c *call) error {
	limit, member := c.query.number("limit", defaultPage, 1, maxSessions), c.query.text("member")
	workspace, err := c.workspaceID(c.r.Context(), c.query.text("workspace"))
	if err = errors.Join(c.query.err, err); err != nil {
		return err
	}
	list, err := c.ListSessions(workspace, member, limit)
	return answer(c, List[domain.SessionInfo]{Items: list}, err)
}

func disconnect(c *call) error {
	why, err := reason(c.query.text("reason"))
	if err != nil {
		return err
	}
	if err := c.Disconnect(c.r.Context(), c.who, c.r.PathValue("id"), why); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
