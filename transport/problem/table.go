// Package problem tells clients what went wrong: as an RFC 9457 problem
// document while there is an HTTP answer to give, as a close code or
// system.goodbye once a stream has begun. One table serves all three.
package problem

import (
	"net/http"
	"strings"

	"github.com/orbit/realtime/domain"
)

// TypeBase is what every problem's type URI begins with. The rest is the code
// with dashes, so a type never changes while its code stands.
const TypeBase = "https://orbit.dev/problems/"

// Kind is one row of the table: how one code is told to clients.
type Kind struct {
	Code   domain.Code
	Status int
	Title  string
	// Close ends a session that meets this failure after its stream began.
	Close domain.CloseCode
}

// Type is the problem's stable URI.
func (k Kind) Type() string {
	return TypeBase + strings.ReplaceAll(string(k.Code), "_", "-")
}

// CloseInternal is RFC 6455's own code for a failure of the server (section
// 7.4.1). It is worth coming back: the next attempt may not meet the bug.
var CloseInternal = domain.CloseCode{
	Code: 1011, Name: "internal", Reconnect: true, Doc: "the server failed; come back after jitter",
}

// Codes that only an HTTP answer can have: no rule of the domain gives them.
const (
	CodeMethodNotAllowed     domain.Code = "method_not_allowed"
	CodeUpgradeRequired      domain.Code = "upgrade_required"
	CodeUnsupportedMediaType domain.Code = "unsupported_media_type"
	CodePreconditionFailed   domain.Code = "precondition_failed" // If-Match names another version
	CodeMisdirected          domain.Code = "misdirected"         // the Host is none of this listener's names
)

// Kinds is the one table from codes to HTTP statuses and close codes.
var Kinds = []Kind{
	{domain.CodeInvalid, http.StatusBadRequest, "Malformed input", domain.CloseBadMessage},
	{domain.CodeUnauthenticated, http.StatusUnauthorized, "Not signed in", domain.CloseUnauthenticated},
	{domain.CodeForbidden, http.StatusForbidden, "Not allowed", domain.CloseRevoked},
	{domain.CodeNotFound, http.StatusNotFound, "Not found", domain.CloseBadMessage},
	{domain.CodeConflict, http.StatusConflict, "Conflict", domain.CloseBadMessage},
	{domain.CodeLastOwner, http.StatusConflict, "The last owner must stay", domain.CloseBadMessage},
	{domain.CodeRoleInUse, http.StatusConflict, "The role is in use", domain.CloseBadMessage},
	{domain.CodeSystemRole, http.StatusUnprocessableEntity, "Built-in roles can't be changed", domain.CloseBadMessage},
	{domain.CodeSeatsExhausted, http.StatusConflict, "No free seat", domain.CloseBadMessage},
	{domain.CodeSeatsBelowMembers, http.StatusConflict, "Fewer seats than members", domain.CloseBadMessage},
	{domain.CodeUnprocessable, http.StatusUnprocessableEntity, "A rule refuses it", domain.CloseBadMessage},
	{domain.CodeTooLarge, http.StatusRequestEntityTooLarge, "Too large", domain.CloseMessageTooLarge},
	{domain.CodeRateLimited, http.StatusTooManyRequests, "Too many", domain.CloseRateLimited},
	{domain.CodeUnavailable, http.StatusServiceUnavailable, "Temporarily unavailable", domain.CloseDraining},
	{domain.CodeInternal, http.StatusInternalServerError, "Internal error", CloseInternal},
	{CodeMethodNotAllowed, http.StatusMethodNotAllowed, "Method not allowed", domain.CloseBadMessage},
	{CodeUpgradeRequired, http.StatusUpgradeRequired, "WebSocket upgrade required", domain.CloseBadMessage},
	{CodeUnsupportedMediaType, http.StatusUnsupportedMediaType, "Unsupported media type", domain.CloseBadMessage},
	{CodePreconditionFailed, http.StatusPreconditionFailed, "Changed meanwhile", domain.CloseBadMessage},
	{CodeMisdirected, http.StatusMisdirectedRequest, "Another host's request", domain.CloseBadMessage},
}

var kinds = func() map[domain.Code]Kind {
	byCode := make(map[domain.Code]Kind, len(Kinds))
	for _, k := range Kinds {
		byCode[k.Code] = k
	}
	return byCode
}()

// KindOf finds the row for err. Errors without a code, and codes without a
// row, are internal: better to hide too much than to leak.
func KindOf(err error) Kind {
	if k, ok := kinds[Coded(err).Code]; ok {
		return k
	}
	return kinds[domain.CodeInternal]
}
