package console

import (
	"crypto/rand"
	"time"

	"github.com/orbit/realtime/domain"
)

func (p *pages) operations(v *view) error {
	page := v.query.page()
	if v.query.err != nil {
		return v.query.err
	}
	list, next, err := p.service.Queue.Operations(v.ctx(), page)
	if err != nil {
		return err
	}
	return p.render(v, "operations", "Operations", map[string]any{"Operations": list, "More": more(v, next)})
}

type newOperationData struct {
	Kind      domain.OperationKind
	Filter    filterForm
	Matching  int
	Messages  []Message // the newest few
	Key       string    // the same form sent twice is one operation
	Reason    string
	PerSecond int
	NoCanary  bool
}

// defaultPerSecond is the rate that the form proposes.
const defaultPerSecond = 50

func (p *pages) newOperation(v *view) error {
	return p.showNewOperation(v, newOperationData{
		Kind: domain.OperationKind(v.query.text("kind")), Key: rand.Text(), PerSecond: defaultPerSecond,
	})
}

// showNewOperation shows what an operation would be about, before it is.
func (p *pages) showNewOperation(v *view, data newOperationData) error {
	f := v.query.filter(v.ctx(), p.service, v.who)
	if v.query.err != nil {
		return v.query.err
	}
	f, err := fitting(data.Kind, f)
	if err != nil {
		return err
	}
	if data.Matching, err = p.service.Matching(v.ctx(), data.Kind, f); err != nil {
		return err
	}
	list, err := p.service.Messages(v.ctx(), v.who, f, domain.Page{Limit: 5}, false)
	if err != nil {
		return err
	}
	data.Messages, data.Filter = list.Items, newFilterForm("/ops/operations/new", v.query.values, "state")
	return p.render(v, "operation-new", participleTitle[data.Kind], data)
}

var participleTitle = map[domain.OperationKind]string{
	domain.OperationRequeue: "Requeue messages", domain.OperationDiscard: "Discard messages", domain.OperationRestore: "Restore messages",
}

func (p *pages) createOperation(v *view) error {
	form := &query{values: v.r.PostForm}
	f := form.filter(v.ctx(), p.service, v.who)
	r := domain.OperationRequest{
		Kind: domain.OperationKind(form.text("kind")), Filter: f,
		Expect: form.number("expect", 0, 1, 1<<40), PerSecond: form.number("perSecond", defaultPerSecond, 1, 1000),
		NoCanary: form.values.Get("canary") == "",
	}
	key := form.text("key")
	why, err := reason(form.values.Get("reason"))
	if form.err != nil {
		return form.err
	}
	if err != nil {
		return err
	}
	op, err := p.service.Operate(v.ctx(), v.who, r, ActOptions{Reason: why, IdempotencyKey: key})
	switch domain.CodeOf(err) {
	case domain.CodeConflict, domain.CodeInvalid:
		v.alert(err)
		v.query = form
		return p.showNewOperation(v, newOperationData{Kind: r.Kind, Key: rand.Text(), Reason: why, PerSecond: r.PerSecond, NoCanary: r.NoCanary})
	}
	if err != nil {
		return err
	}
	return v.redirect("/ops/operations/" + op.ID)
}

type operationData struct {
	domain.Operation
	Items   []domain.OperationItem
	More    string
	State_  string // the items' filter
	Running bool
	Done    int
	Took    string
}

// operation shows one; while it runs the page asks for its progress again and
// again.
func (p *pages) operation(v *view) error {
	page, state := v.query.page(), domain.ItemState(v.query.text("state"))
	if v.query.err != nil {
		return v.query.err
	}
	op, err := p.service.Queue.Operation(v.ctx(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	items, err := p.service.OperationItems(v.ctx(), v.who, op.ID, state, page)
	if err != nil {
		return err
	}
	data := operationData{
		Operation: op, Items: items.Items, More: more(v, items.Next), State_: string(state),
		Running: op.State == domain.OperationRunning, Done: op.Succeeded + op.Failed + op.Skipped,
	}
	if op.FinishedAt != nil {
		data.Took = span(op.FinishedAt.Sub(op.CreatedAt.Time))
	} else {
		data.Took = span(time.Since(op.CreatedAt.Time))
	}
	if v.r.Header.Get("HX-Request") != "" {
		return p.fragment(v, "operation", "progress", data)
	}
	return p.render(v, "operation", "Operation", data)
}

func (p *pages) cancelOperation(v *view) error {
	id := v.r.PathValue("id")
	why, err := reason(v.r.PostForm.Get("reason"))
	if err != nil {
		return err
	}
	_, err = p.service.CancelOperation(v.ctx(), v.who, id, ActOptions{Reason: why})
	if domain.CodeOf(err) == domain.CodeConflict {
		v.alert(err)
		return p.operation(v)
	}
	if err != nil {
		return err
	}
	return v.redirect("/ops/operations/" + id + "?did=cancel")
}
