package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/problem"
)

// named gives the request an id: the one that a proxy in front has given it,
// if that looks like one, else a fresh one. It comes back in the answer, in
// problem documents, and as the correlation id of domain events.
func named(c *gin.Context) {
	id := c.GetHeader(problem.RequestIDHeader)
	if !domain.ValidID(id) {
		id = domain.NewID("req")
	}
	c.Header(problem.RequestIDHeader, id)
	c.Request = c.Request.WithContext(domain.WithCorrelation(c.Request.Context(), id))
}

func logged(logger *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Now()
		c.Next()
		logger.DebugContext(c.Request.Context(), "request",
			"method", c.Request.Method, "path", c.Request.URL.Path, "status", c.Writer.Status(),
			"duration", time.Since(start), "request", c.Writer.Header().Get(problem.RequestIDHeader))
	}
}

// guarded sets the headers that no answer should go without. A page has a
// policy of its own, and sets it in place of this one.
func guarded(c *gin.Context) {
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("X-Frame-Options", "DENY")
	c.Header("Referrer-Policy", "same-origin")
	c.Header("Cross-Origin-Resource-Policy", "same-origin")
	c.Header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// recovered turns a panic into an answer that gives nothing away, and logs it
// with its stack.
func recovered(logger *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(cause) // net/http's own way to cut a connection
			}
			logger.ErrorContext(c.Request.Context(), "panic in a handler",
				"panic", cause, "stack", string(debug.Stack()))
			c.Abort()
			if !c.Writer.Written() {
				problem.Write(c.Writer, c.Request, fmt.Errorf("panic: %v", cause))
			}
		}()
		c.Next()
	}
}

func unknownRoute(c *gin.Context) {
	problem.Write(c.Writer, c.Request, domain.Errorf(domain.CodeNotFound, "no such address"))
}

// wrongMethod runs after gin has listed the right ones in Allow.
func wrongMethod(c *gin.Context) {
	problem.MethodNotAllowed(c.Writer, c.Request, c.Writer.Header().Get("Allow"))
}
