package console

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/problem"
)

// filterForm is what the filters of a list were, to be shown again.
type filterForm struct {
	Action string
	Values url.Values
	Any    bool // some filter is set
}

func newFilterForm(action string, values url.Values, without ...string) filterForm {
	f := filterForm{Action: action, Values: url.Values{}}
	for _, name := range filterNames {
		given := slices.DeleteFunc(slices.Clone(values[name]), func(s string) bool { return s == "" })
		if len(given) == 0 || slices.Contains(without, name) {
			continue
		}
		f.Values[name] = given
		f.Any = f.Any || name != "state"
	}
	return f
}

// Get returns a filter's value.
func (f filterForm) Get(name string) string { return f.Values.Get(name) }

// Has reports whether a filter has that value.
func (f filterForm) Has(name, value string) bool { return slices.Contains(f.Values[name], value) }

// Operate is a link to the form for an operation on what the filter selects. It
// is whole, for a template would escape the parts of a query.
func (f filterForm) Operate(kind string) string {
	values := maps.Clone(f.Values)
	values.Set("kind", kind)
	return "/ops/operations/new?" + values.Encode()
}

// With is a link to the same list with another value of one filter.
func (f filterForm) With(name, value string) string {
	values := maps.Clone(f.Values)
	values[name] = []string{value}
	return f.Action + "?" + values.Encode()
}

// more is the link to the page after, or "".
func more(v *view, next string) string {
	if next == "" {
		return ""
	}
	q := v.r.URL.Query()
	q.Set("after", next)
	return v.r.URL.Path + "?" + q.Encode()
}

type groupsData struct {
	Groups  []domain.PoisonGroup
	Filter  filterForm
	More    string
	Stats   PoisonStats
	OpenAll int
}

func (p *pages) groups(v *view) error {
	f, page := v.query.filter(v.ctx(), p.service, v.who), v.query.page()
	if v.query.err != nil {
		return v.query.err
	}
	list, err := p.service.Groups(v.ctx(), v.who, f, page)
	if err != nil {
		return err
	}
	stats, err := p.service.Stats(v.ctx(), domain.PoisonFilter{})
	if err != nil {
		return err
	}
	return p.render(v, "groups", "Poison queue", groupsData{
		Groups: list.Items, Filter: newFilterForm("/ops/poison", v.r.URL.Query()), More: more(v, list.Next), Stats: stats,
	})
}

type messagesData struct {
	Group    *domain.PoisonGroup
	Messages []Message
	Filter   filterForm
	More     string
	// Counts are of the filter without its states.
	Counts map[domain.PoisonState]int
	// Matching is how many each kind of operation would be about.
	Matching map[string]int
}

// messages lists, by default, open messages; of a group, or all.
func (p *pages) messages(v *view) error {
	values := v.r.URL.Query()
	fingerprint := v.r.PathValue("fingerprint")
	if fingerprint != "" {
		values.Set("fingerprint", fingerprint)
	}
	if len(values["state"]) == 0 {
		values.Set("state", string(domain.PoisonOpen))
	}
	v.query.values = values
	f, page := v.query.filter(v.ctx(), p.service, v.who), v.query.page()
	if v.query.err != nil {
		return v.query.err
	}
	data := messagesData{Filter: newFilterForm(v.r.URL.Path, values)}
	if fingerprint != "" {
		g, err := p.service.Group(v.ctx(), v.who, fingerprint)
		if err != nil {
			return err
		}
		data.Group = &g
	}
	list, err := p.service.Messages(v.ctx(), v.who, f, page, false)
	if err != nil {
		return err
	}
	anyState := f
	anyState.States = nil
	if data.Counts, err = p.service.Count(v.ctx(), anyState); err != nil {
		return err
	}
	selected := func(state domain.PoisonState) int {
		if len(f.States) > 0 && !slices.Contains(f.States, state) {
			return 0
		}
		return data.Counts[state]
	}
	data.Matching = map[string]int{"open": selected(domain.PoisonOpen), "discarded": selected(domain.PoisonDiscarded)}
	data.Messages, data.More = list.Items, more(v, list.Next)
	return p.render(v, "messages", "Messages", data)
}

type messageData struct {
	Message
	Aggregate    json.RawMessage
	AggregateErr string
	History      []domain.AuditEntry
	IfVersion    int64
	// Slowest is the longest attempt in milliseconds, for the bars.
	Slowest float64
}

func (p *pages) message(v *view) error { return p.showMessage(v, v.r.PathValue("id")) }

func (p *pages) showMessage(v *view, id string) error {
	m, err := p.service.Message(v.ctx(), v.who, id)
	if err != nil {
		return err
	}
	data := messageData{Message: m, IfVersion: m.Version}
	if data.Aggregate, err = p.service.AggregateNow(v.ctx(), v.who, id); err != nil {
		data.AggregateErr = problem.Coded(err).Message
	}
	history, err := p.service.Audit(v.ctx(), domain.AuditFilter{Target: id}, domain.Page{Limit: 50})
	if err != nil {
		return err
	}
	data.History = history.Items
	for _, a := range m.Attempts {
		data.Slowest = max(data.Slowest, a.DurationMS)
	}
	return p.render(v, "message", "Poison message", data)
}

func (p *pages) preview(v *view) error {
	sample, err := p.service.Preview(v.ctx(), v.who, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	return p.fragment(v, "message", "preview", sample)
}

func (p *pages) fixture(v *view) error {
	f, err := p.service.Fixture(v.ctx(), v.who, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Disposition", `attachment; filename="fixture-`+v.r.PathValue("id")+`.json"`)
	send(v.w, 200, f)
	return nil
}

// act does what a button says, and shows the message again. Somebody was
// faster: the message as it is now, and that nothing was done.
func (p *pages) act(v *view) error {
	id, verb := v.r.PathValue("id"), Verb(v.r.PathValue("verb"))
	if !slices.Contains([]Verb{VerbRequeue, VerbDiscard, VerbRestore}, verb) {
		return domain.Errorf(domain.CodeNotFound, "There is no such page.")
	}
	form := &query{values: v.r.PostForm}
	why, err := reason(form.values.Get("reason"))
	if err != nil {
		return err
	}
	version := form.number("version", 0, 1, 1<<53)
	if form.err != nil {
		return form.err
	}
	_, err = p.service.Act(v.ctx(), v.who, verb, id, ActOptions{Reason: why, IfVersion: int64(version)})
	switch domain.CodeOf(err) {
	case domain.CodeConflict, domain.CodeInvalid:
		v.alert(err)
		return p.showMessage(v, id)
	}
	if err != nil {
		return err
	}
	return v.redirect("/ops/poison/messages/" + id + "?did=" + string(verb))
}
