package console

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/problem"
)

//go:embed templates
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// pagePolicy lets a page load our own files and talk to us, nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// pages are the console: HTML over the same Service that the API is made of.
type pages struct {
	*Console
	templates map[string]*template.Template
}

// pageRoute is one row of the console's index.
type pageRoute struct {
	Pattern string
	Query   []string // the parameters it knows
	serve   func(*pages, *view) error
}

var pageRoutes = []pageRoute{
	{"GET /ops", nil, (*pages).dashboard},
	{"GET /ops/live", nil, (*pages).live},
	{"GET /ops/poison", with(filterNames, pageNames), (*pages).groups},
	{"GET /ops/poison/groups/{fingerprint}", with(filterNames, pageNames), (*pages).messages},
	{"GET /ops/poison/messages", with(filterNames, pageNames), (*pages).messages},
	{"GET /ops/poison/messages/{id}", []string{"did"}, (*pages).message},
	{"GET /ops/poison/messages/{id}/preview", nil, (*pages).preview},
	{"GET /ops/poison/messages/{id}/fixture", nil, (*pages).fixture},
	{"POST /ops/poison/messages/{id}/{verb}", nil, (*pages).act},
	{"GET /ops/operations", pageNames, (*pages).operations},
	{"GET /ops/operations/new", with(filterNames, []string{"kind"}), (*pages).newOperation},
	{"POST /ops/operations", nil, (*pages).createOperation},
	{"GET /ops/operations/{id}", with(pageNames, []string{"state", "did"}), (*pages).operation},
	{"POST /ops/operations/{id}/cancel", nil, (*pages).cancelOperation},
	{"GET /ops/audit", with([]string{"operator", "action", "target", "outcome", "since", "until"}, pageNames), (*pages).audit},
	{"GET /ops/trace", []string{"event", "tab"}, (*pages).trace},
	{"GET /ops/presence", []string{"workspace", "member", "did"}, (*pages).presence},
	{"POST /ops/sessions/{id}/disconnect", nil, (*pages).disconnect},
}

func newPages(c *Console) *pages {
	p := &pages{Console: c, templates: map[string]*template.Template{}}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err) // a constant pattern
	}
	shared := []string{"templates/layout.html", "templates/parts.html"}
	for _, name := range names {
		page := strings.TrimSuffix(strings.TrimPrefix(name, "templates/"), ".html")
		p.templates[page] = template.Must(template.New(page).Funcs(functions).ParseFS(templateFiles, append(slices.Clone(shared), name)...))
	}
	return p
}

// functions are what templates may call.
var functions = template.FuncMap{
	"ago": func(t domain.Time) string { return ago(t.Time) }, "agoP": func(t *domain.Time) string {
		if t == nil {
			return "–"
		}
		return ago(t.Time)
	},
	"clock": func(t domain.Time) string { return clock(t.Time) }, "full": func(t domain.Time) string { return full(t.Time) },
	"clockT": clock, "millis": millis, "total": func(counts map[string]int) (n int) {
		for _, more := range counts {
			n += more
		}
		return n
	}, "count": func(n any) string {
		if long, ok := n.(int64); ok {
			return count(long)
		}
		return count(n.(int))
	},
	"show": show, "json": showJSON, "short": short, "visible": Visible, "rate": perSecond, "breakdown": breakdown,
	"poison": func(s string) domain.PoisonState { return domain.PoisonState(s) },
	"str":    func(v any) string { return str(v) }, "states": func() []domain.PoisonState { return domain.PoisonStates },
	"hasPrefix": strings.HasPrefix, "share": func(n, of float64) float64 { return 100 * n / of },
	"within": func(x float64) float64 { return min(max(x, 0.6), 99.4) }, // a dot at the edge stays whole
	"add":    func(a, b int) int { return a + b }, "percent": func(n, of int) float64 { return 100 * float64(n) / float64(max(1, of)) },
}

func str(v any) string {
	switch s := v.(type) {
	case string:
		return s
	case domain.PoisonState:
		return string(s)
	case domain.ItemState:
		return string(s)
	case domain.EventType:
		return string(s)
	case domain.ServerEventType:
		return string(s)
	case domain.Channel:
		return string(s)
	}
	return fmt.Sprint(v)
}

// mount adds the pages' routes.
func (p *pages) mount(mux *http.ServeMux) {
	for _, route := range pageRoutes {
		mux.HandleFunc(route.Pattern, p.serve(route))
	}
	mux.HandleFunc("GET /ops/sign-in", p.signInPage)
	mux.HandleFunc("POST /ops/sign-in", p.signIn)
	mux.HandleFunc("POST /ops/sign-out", p.signOut)
	mux.Handle("GET /ops/static/", http.StripPrefix("/ops/", p.static()))
	mux.Handle("GET /{$}", http.RedirectHandler("/ops", http.StatusFound))
	mux.HandleFunc("/ops/", func(w http.ResponseWriter, r *http.Request) {
		p.fail(&view{w: w, r: r}, domain.Errorf(domain.CodeNotFound, "There is no such page."))
	})
}

// static serves the embedded files. Their URLs carry the build, so that a new
// one is fetched.
func (p *pages) static() http.Handler {
	files := http.FileServerFS(staticFiles)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "max-age=3600")
		files.ServeHTTP(w, r)
	})
}

// view is one request for a page.
type view struct {
	w      http.ResponseWriter
	r      *http.Request
	who    Caller
	login  *login
	query  *query
	status int // of the answer; 0 is 200
}

func (v *view) ctx() context.Context { return v.r.Context() }

// frame is what every page's template gets.
type frame struct {
	Title, Active string
	Who           Caller
	CanAct        bool
	CSRF          string
	Open          int // open poison messages
	Alert         string
	Notice        string
	Build         string
	Product       string
	Now           domain.Time
	Query         url.Values
	Page          any
}

// serve runs a page: who is it, is the form ours, then the page.
func (p *pages) serve(route pageRoute) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p.limitTime(w, r)
		v := &view{w: w, r: r}
		if err := p.admit(v, route); err != nil {
			if domain.CodeOf(err) == domain.CodeUnauthenticated && safe(r.Method) {
				p.askToSignIn(v)
				return
			}
			p.fail(v, err)
			return
		}
		if err := route.serve(p, v); err != nil {
			p.fail(v, err)
		}
	}
}

// maxForm bounds a posted form, in bytes: a thousand ids fit.
const maxForm = 128 << 10

func (p *pages) admit(v *view, route pageRoute) (err error) {
	if v.who, v.login, err = p.gate.identify(v.r); err != nil {
		return err
	}
	if v.login == nil && v.who.Demo && safe(v.r.Method) {
		v.login = p.gate.logins.begin(v.w, v.r, v.who) // forms need a session's token
	}
	if v.login != nil {
		v.who = v.login.who
	}
	given := ""
	if !safe(v.r.Method) {
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
		if err := v.r.ParseForm(); err != nil {
			return domain.Wrap(err, domain.CodeInvalid, "The form did not arrive in full.")
		}
		given = v.r.PostForm.Get("csrf")
	}
	if err := p.gate.checkForgery(v.r, v.login, given); err != nil {
		return err
	}
	v.query = newQuery(v.r.URL.Query(), route.Query)
	return v.query.err
}

// askToSignIn sends a browser to the sign-in page, and tells it where to come
// back to. A fragment that htmx asks for makes it load the whole page anew.
func (p *pages) askToSignIn(v *view) {
	if v.r.Header.Get("HX-Request") != "" {
		v.w.Header().Set("HX-Refresh", "true")
		v.w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(v.w, v.r, "/ops/sign-in?next="+url.QueryEscape(v.r.URL.RequestURI()), http.StatusSeeOther)
}

// render answers with a page.
func (p *pages) render(v *view, page, title string, data any) error {
	return p.renderPart(v, page, "layout", frame{Title: title, Page: data})
}

// fragment answers with a part of a page.
func (p *pages) fragment(v *view, page, part string, data any) error {
	return p.renderPart(v, page, part, frame{Page: data})
}

func (p *pages) renderPart(v *view, page, part string, f frame) error {
	html, err := p.html(v, page, part, f)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-store")
	if v.status != 0 {
		v.w.WriteHeader(v.status)
	}
	_, _ = v.w.Write(html) // the browser may be gone
	return nil
}

func (p *pages) html(v *view, page, part string, f frame) ([]byte, error) {
	f.Active, f.Who, f.CanAct = page, v.who, v.who.Operator != "" && v.who.may(RoleOperator)
	f.Build, f.Product, f.Now = p.Build, p.Product, domain.At(time.Now())
	f.Query = v.r.URL.Query()
	if v.login != nil {
		f.CSRF = v.login.csrf
	}
	if part == "layout" && v.who.Operator != "" {
		if counts, err := p.service.Count(v.ctx(), domain.PoisonFilter{States: []domain.PoisonState{domain.PoisonOpen}}); err == nil {
			f.Open = counts[domain.PoisonOpen]
		}
	}
	f.Notice = notices[f.Query.Get("did")]
	if alert, ok := v.ctx().Value(alertKey{}).(string); ok {
		f.Alert = alert
	}
	var b bytes.Buffer
	if err := p.templates[page].ExecuteTemplate(&b, part, f); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// notices say what was done, after the redirect that follows every act.
var notices = map[string]string{
	"requeue": "Requeued. It goes back to the projector that failed.", "discard": "Discarded. It can be restored until retention takes it.",
	"restore": "Restored: it is open again.", "cancel": "Cancelled. What had not begun stays as it was.", "disconnect": "Disconnected. The client may come back.",
}

type alertKey struct{}

// alert shows a page again, with what went wrong above it.
func (v *view) alert(err error) {
	v.status = problem.KindOf(err).Status
	v.r = v.r.WithContext(context.WithValue(v.ctx(), alertKey{}, problem.Coded(err).Message))
}

// fail answers with a page that says what went wrong, as the API's problem
// document would.
func (p *pages) fail(v *view, err error) {
	kind, detail := problem.KindOf(err), problem.Coded(err).Message
	if kind.Status == http.StatusInternalServerError {
		detail = "Something went wrong on our side. The log of the server says more."
		p.Logger.ErrorContext(v.ctx(), "console page failed", "path", v.r.URL.Path, "error", err)
	}
	v.status = kind.Status
	page := "error"
	if v.r.Header.Get("HX-Request") != "" {
		_ = p.fragment(v, page, "failure", detail)
		return
	}
	if err := p.render(v, page, kind.Title, detail); err != nil {
		problem.Write(v.w, v.r, err)
	}
}

func (v *view) redirect(to string) error {
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}
