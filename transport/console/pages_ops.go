package console

import (
	"errors"
	"time"

	"github.com/orbit/realtime/domain"
)

type dashboardData struct {
	domain.OpsStatus
	Sparks    []spark
	Waterfall []bar
	Depth     int     // events waiting in all lanes
	Oldest    float64 // ms
	Open      int     // sessions
	Up        string
	Missing   string // why there is nothing to see
}

func (p *pages) dashboardData(v *view) (dashboardData, error) {
	st, err := p.service.Status(v.ctx())
	if err != nil {
		return dashboardData{Missing: err.Error()}, err
	}
	data := dashboardData{OpsStatus: st, Sparks: sparks(st.Series), Waterfall: waterfall(st.Stages), Up: span(time.Since(st.StartedAt.Time))}
	for _, lane := range st.Lanes {
		data.Depth += lane.Pending
		data.Oldest = max(data.Oldest, lane.OldestAgeMS)
	}
	for _, n := range st.Sessions.Open {
		data.Open += n
	}
	return data, nil
}

func (p *pages) dashboard(v *view) error {
	data, err := p.dashboardData(v)
	if err != nil {
		return err
	}
	return p.render(v, "dashboard", "Dashboard", data)
}

// live streams the dashboard's HTML, a piece a second, and the number of open
// messages for the badge in the head of every page.
func (p *pages) live(v *view) error {
	s, end, err := p.stream(v.w, v.r, "text/event-stream")
	if err != nil {
		return err
	}
	defer end()
	v.r = v.r.WithContext(s.ctx)
	before := -1
	_ = s.every(livePeriod, func() error {
		data, err := p.dashboardData(v)
		if err != nil {
			return err
		}
		html, err := p.html(v, "dashboard", "live", frame{Page: data})
		if err != nil {
			return err
		}
		if err := s.event("dashboard", html); err != nil {
			return err
		}
		counts, err := p.service.Count(s.ctx, domain.PoisonFilter{})
		if err != nil || counts[domain.PoisonOpen] == before {
			return err
		}
		before = counts[domain.PoisonOpen]
		return s.event("poison", []byte(count(before)))
	})
	return nil
}

func (p *pages) audit(v *view) error {
	f, page := v.query.auditFilter(), v.query.page()
	if v.query.err != nil {
		return v.query.err
	}
	list, err := p.service.Audit(v.ctx(), f, page)
	if err != nil {
		return err
	}
	return p.render(v, "audit", "Audit", map[string]any{"Entries": list.Items, "More": more(v, list.Next)})
}

func (p *pages) trace(v *view) error {
	id, tab := v.query.text("event"), v.query.text("tab")
	if v.query.err != nil {
		return v.query.err
	}
	data := traceData{EventID: id, Tab: tab}
	if id == "" {
		return p.render(v, "trace", "Trace", data)
	}
	found, err := p.service.Trace(v.ctx(), v.who, id, tab)
	if errors.Is(err, domain.ErrNotFound) {
		v.alert(err)
		return p.render(v, "trace", "Trace", data)
	}
	if err != nil {
		return err
	}
	data.Trace = &found
	data.draw()
	return p.render(v, "trace", "Trace", data)
}

type presenceData struct {
	Workspaces []WorkspacePresence
	Workspace  string // drilled into
	Member     string
	Sessions   []domain.SessionInfo
	Members    []memberPresence
	Cut        bool
}

type memberPresence struct {
	MemberID string
	Sessions []domain.SessionInfo
}

// maxSockets is how many sessions the page lists.
const maxSockets = 500

func (p *pages) presence(v *view) error {
	data := presenceData{Member: v.query.text("member")}
	workspace, err := p.service.workspaceID(v.ctx(), v.query.text("workspace"))
	if err = errors.Join(v.query.err, err); err != nil {
		return err
	}
	data.Workspace = workspace
	if workspace == "" && data.Member == "" {
		if data.Workspaces, err = p.service.Presence(); err != nil {
			return err
		}
		return p.render(v, "presence", "Presence", data)
	}
	if data.Sessions, err = p.service.ListSessions(workspace, data.Member, maxSockets+1); err != nil {
		return err
	}
	if data.Cut = len(data.Sessions) > maxSockets; data.Cut {
		data.Sessions = data.Sessions[:maxSockets]
	}
	at := map[string]int{}
	for _, session := range data.Sessions {
		i, known := at[session.MemberID]
		if !known {
			i = len(data.Members)
			at[session.MemberID] = i
			data.Members = append(data.Members, memberPresence{MemberID: session.MemberID})
		}
		data.Members[i].Sessions = append(data.Members[i].Sessions, session)
	}
	return p.render(v, "presence", "Presence", data)
}

func (p *pages) disconnect(v *view) error {
	why, err := reason(v.r.PostForm.Get("reason"))
	if err != nil {
		return err
	}
	if err := p.service.Disconnect(v.ctx(), v.who, v.r.PathValue("id"), why); err != nil {
		return err
	}
	to := "/ops/presence?did=disconnect"
	if workspace := v.r.PostForm.Get("workspace"); domain.ValidID(workspace) {
		to += "&workspace=" + workspace
	}
	return v.redirect(to)
}
