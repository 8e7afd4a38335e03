package problem

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/orbit/realtime/domain"
)

// ContentType is the media type of problem documents (RFC 9457, section 3).
const ContentType = "application/problem+json"

// RequestIDHeader is the response header whose value, if the middleware has
// set one, names the request in the problem document and in the log.
const RequestIDHeader = "X-Request-Id"

// Document is a problem document.
type Document struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail is written for people and may change; Type and Code don't.
	Detail string      `json:"detail,omitempty"`
	Code   domain.Code `json:"code"`
	// Field names the input field or parameter to blame, if there is one.
	Field string `json:"field,omitempty"`
	// Instance is the request's id, to be quoted in a bug report.
	Instance string `json:"instance,omitempty"`
}

// Coded gives every error a code. What a client's own behaviour or the clock
// did to a request is not our bug: a cancelled or timed-out context is
// unavailable, a body over its limit is too large. Anything else that carries
// no code is internal.
func Coded(err error) *domain.Error {
	var coded *domain.Error
	if errors.As(err, &coded) {
		return coded
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return domain.Wrap(err, domain.CodeTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return domain.Transient(err, "the server could not answer in time")
	}
	return domain.Wrap(err, domain.CodeInternal, "internal error")
}

// Write answers with the problem document for err. Answers to 429 and 503
// carry Retry-After, 1 to 5 s, spread so that clients don't come back as one.
// Internal errors are logged; the client learns nothing of their cause.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	kind, coded := KindOf(err), Coded(err)
	doc := Document{
		Type: kind.Type(), Title: kind.Title, Status: kind.Status, Code: kind.Code,
		Detail: coded.Message, Field: coded.Field, Instance: w.Header().Get(RequestIDHeader),
	}
	switch kind.Status {
	case http.StatusInternalServerError:
		doc.Detail, doc.Field = "Something went wrong on our side.", ""
		slog.ErrorContext(r.Context(), "request failed",
			"method", r.Method, "path", r.URL.Path, "request", doc.Instance, "error", err)
	case http.StatusServiceUnavailable:
		slog.WarnContext(r.Context(), "request refused",
			"method", r.Method, "path", r.URL.Path, "request", doc.Instance, "error", err)
		fallthrough
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(1+rand.IntN(5)))
	}
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err) // strings and a number
	}
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Del("Content-Length") // a handler may have announced another body
	w.WriteHeader(kind.Status)
	_, _ = w.Write(body) // the client may be gone, and nobody else wants to know
}

// MethodNotAllowed answers 405 with the methods that would do, such as "GET".
func MethodNotAllowed(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	Write(w, r, domain.Errorf(CodeMethodNotAllowed, "%s is not allowed here; allowed: %s", r.Method, allow))
}

// UpgradeRequired answers 426: the resource speaks WebSocket only (RFC 9110,
// section 15.5.22).
func UpgradeRequired(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Connection", "Upgrade")
	Write(w, r, domain.Errorf(CodeUpgradeRequired, "this address speaks WebSocket; use the sse or poll address for plain HTTP"))
}
