package console

import (
	"net/http"
	"strings"

	"github.com/orbit/realtime/domain"
)

type signInData struct {
	Next       string
	Configured bool
}

func (p *pages) signInPage(w http.ResponseWriter, r *http.Request) {
	to := next(r.URL.Query().Get("next"))
	if p.gate.demo { // there is nothing to sign in with, and no need to
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	p.showSignIn(&view{w: w, r: r}, to)
}

func (p *pages) showSignIn(v *view, to string) {
	data := signInData{Next: to, Configured: len(p.Operators) > 0}
	if err := p.render(v, "signin", "Sign in", data); err != nil {
		p.fail(v, err)
	}
}

// next is where to go after signing in: a page of ours, whatever was asked for.
func next(path string) string {
	if path != "/ops" && !strings.HasPrefix(path, "/ops/") && !strings.HasPrefix(path, "/ops?") || strings.Contains(path, "\\") {
		return "/ops"
	}
	return path
}

// signIn trades a token for a session. There is no session yet to hold a
// form's token: where the request comes from must do.
func (p *pages) signIn(w http.ResponseWriter, r *http.Request) {
	p.limitTime(w, r)
	v := &view{w: w, r: r}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.fail(v, domain.Wrap(err, domain.CodeInvalid, "The form did not arrive in full."))
		return
	}
	to := next(r.PostForm.Get("next"))
	if err := p.gate.checkForgery(r, nil, ""); err != nil {
		p.fail(v, err)
		return
	}
	who, err := p.gate.byToken(r, strings.TrimSpace(r.PostForm.Get("token")), ViaConsole)
	if err == nil {
		err = p.service.record(r.Context(), who, domain.AuditEntry{Action: "login", Target: remote(r), Outcome: "done"}, nil)
	}
	if err != nil {
		v.alert(err)
		p.showSignIn(v, to)
		return
	}
	p.gate.logins.begin(w, r, who)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (p *pages) signOut(w http.ResponseWriter, r *http.Request) {
	v := &view{w: w, r: r}
	if err := p.admit(v, pageRoute{}); err != nil {
		p.fail(v, err)
		return
	}
	_ = p.service.record(r.Context(), v.who, domain.AuditEntry{Action: "logout", Target: remote(r), Outcome: "done"}, nil) // it ends either way
	p.gate.logins.end(w, r)
	http.Redirect(w, r, "/ops/sign-in", http.StatusSeeOther)
}
