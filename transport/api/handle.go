package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
	"github.com/orbit/realtime/transport/body"
	"github.com/orbit/realtime/transport/problem"
)

// request is one HTTP request at work.
type request struct {
	*API
	*gin.Context
	who auth.Identity // zero for routes that anybody may call
}

func (r request) ctx() context.Context { return r.Request.Context() }

func (r request) actor() domain.Actor {
	return domain.Actor{UserID: r.who.UserID, Workspace: r.Param("slug")}
}

// id returns the nth id in the path, behind the slug.
func (r request) id(n int) string { return r.Params[1+n].Value }

type handler func(r request) error

// serve runs a route: who is it, may this page ask, then the handler.
func (a *API) serve(route Route) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("Cache-Control", "no-store")
		if err := a.run(c, route); err != nil {
			problem.Write(c.Writer, c.Request, err)
		}
	}
}

func (a *API) run(c *gin.Context, route Route) error {
	r := request{API: a, Context: c}
	a.limitTime(c)
	if route.Method != http.MethodGet {
		// The cookie travels with other sites' requests too, if they come from
		// another port of this host: only the Origin tells.
		if err := a.Origins.Check(c.Request); err != nil {
			return err
		}
	}
	if route.Needs != NeedsDemo {
		var err error
		if r.who, err = a.Sessions.Authenticate(r.ctx(), c.Request); err != nil {
			return err
		}
	}
	if route.Method != http.MethodGet {
		if err := a.pace.allow(r.who.UserID); err != nil {
			return err
		}
	}
	return route.handle(r)
}

// limitTime sets deadlines on the connection. The server has none, for it
// serves streams too. Each lasts for this request alone: net/http lifts the
// one when the body has been read, and the other after the answer.
func (a *API) limitTime(c *gin.Context) {
	// An error says that the writer is no connection: there is nothing to limit.
	conn := http.NewResponseController(c.Writer)
	_ = conn.SetWriteDeadline(time.Now().Add(a.WriteTimeout))
	// Without a body net/http is reading ahead already, and would take a
	// deadline for the client's end.
	if c.Request.Body != http.NoBody {
		_ = conn.SetReadDeadline(time.Now().Add(a.ReadTimeout))
	}
}

// A use case is a method of domain.Commands: with ids from the path, and with
// a body or without.
type (
	useCase[In, Out any]  func(domain.Commands, context.Context, domain.Actor, In) (Out, string, error)
	useCase1[In, Out any] func(domain.Commands, context.Context, domain.Actor, string, In) (Out, string, error)
	useCase2[In, Out any] func(domain.Commands, context.Context, domain.Actor, string, string, In) (Out, string, error)
)

// on, on1 and on2 say how many ids a use case takes from the path.
func on[In, Out any](f useCase[In, Out]) func(request, In) (Out, string, error) {
	return func(r request, in In) (Out, string, error) { return f(r.Commands, r.ctx(), r.actor(), in) }
}

func on1[In, Out any](f useCase1[In, Out]) func(request, In) (Out, string, error) {
	return func(r request, in In) (Out, string, error) { return f(r.Commands, r.ctx(), r.actor(), r.id(0), in) }
}

func on2[In, Out any](f useCase2[In, Out]) func(request, In) (Out, string, error) {
	return func(r request, in In) (Out, string, error) {
		return f(r.Commands, r.ctx(), r.actor(), r.id(0), r.id(1), in)
	}
}

// created answers 201 with the entity under its key, changed 200.
func created[In, Out any](key string, do func(request, In) (Out, string, error)) handler {
	return answer(http.StatusCreated, key, do)
}

func changed[In, Out any](key string, do func(request, In) (Out, string, error)) handler {
	return answer(http.StatusOK, key, do)
}

func answer[In, Out any](status int, key string, do func(request, In) (Out, string, error)) handler {
	return func(r request) error {
		var in In
		if err := body.Decode(r.Writer, r.Request, r.MaxBodyBytes, &in); err != nil {
			return err
		}
		entity, eventID, err := do(r, in)
		if err != nil {
			return err
		}
		r.caused(eventID)
		r.JSON(status, gin.H{key: entity})
		return nil
	}
}

// put answers 200 with the group that a member was put into. It has no body.
func put[Out any](key string, f func(domain.Commands, context.Context, domain.Actor, string, string) (Out, string, error)) handler {
	return func(r request) error {
		entity, eventID, err := f(r.Commands, r.ctx(), r.actor(), r.id(0), r.id(1))
		if err != nil {
			return err
		}
		r.caused(eventID)
		r.JSON(http.StatusOK, gin.H{key: entity})
		return nil
	}
}

// removed answers 204.
func removed(f func(domain.Commands, context.Context, domain.Actor, string) (string, error)) handler {
	return func(r request) error {
		eventID, err := f(r.Commands, r.ctx(), r.actor(), r.id(0))
		return r.gone(eventID, err)
	}
}

func removed2(f func(domain.Commands, context.Context, domain.Actor, string, string) (string, error)) handler {
	return func(r request) error {
		eventID, err := f(r.Commands, r.ctx(), r.actor(), r.id(0), r.id(1))
		return r.gone(eventID, err)
	}
}

func (r request) gone(eventID string, err error) error {
	if err != nil {
		return err
	}
	r.caused(eventID)
	r.Status(http.StatusNoContent)
	r.Writer.WriteHeaderNow()
	return nil
}

func (r request) caused(eventID string) {
	if eventID != "" {
		r.Header(EventIDHeader, eventID)
	}
}
