package domain

import (
	"errors"
	"fmt"
)

// Code names one kind of failure. Codes are stable: clients, tests and
// dashboards may depend on them. HTTP status codes and WebSocket close codes
// are looked up from the code in the tables of package api and in [CloseCodes].
type Code string

const (
	CodeInvalid           Code = "invalid"             // malformed input: nothing the server could do with it
	CodeUnauthenticated   Code = "unauthenticated"     // no session, or it has ended
	CodeForbidden         Code = "forbidden"           // known caller, not allowed
	CodeNotFound          Code = "not_found"           // no such thing, or not visible to the caller
	CodeConflict          Code = "conflict"            // a unique value is taken, or state changed meanwhile
	CodeLastOwner         Code = "last_owner"          // the workspace would lose its last owner
	CodeRoleInUse         Code = "role_in_use"         // members still hold the role
	CodeSystemRole        Code = "system_role"         // built-in roles can't be changed
	CodeSeatsExhausted    Code = "seats_exhausted"     // the subscription has no free seat
	CodeSeatsBelowMembers Code = "seats_below_members" // fewer seats than members already there
	CodeUnprocessable     Code = "unprocessable"       // well-formed, but a rule refuses it
	CodeTooLarge          Code = "too_large"           // body, frame or list over its limit
	CodeRateLimited       Code = "rate_limited"        // too many, try later
	CodeUnavailable       Code = "unavailable"         // database away, node draining: try later
	CodeInternal          Code = "internal"            // a bug of ours
)

// Error is the one error type of Orbit. Message is safe to show to users;
// the wrapped cause is for logs alone.
type Error struct {
	Code    Code
	Message string
	// Field names the offending input field or parameter, if one can be blamed.
	Field string
	// Transient says that the same call may succeed later without anybody
	// mending anything (database away, lock timeout). It is decided where the
	// error is born; a transient error is never poisoned.
	Transient bool
	cause     error
}

func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is(err, ErrNotFound) true for every error of that code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Message == ""
}

// ErrNotFound matches, with errors.Is, every error whose code is not_found.
var ErrNotFound error = &Error{Code: CodeNotFound}

// Errorf returns an error with a code and a message for users.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// InvalidField returns an error that blames one input field.
func InvalidField(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Wrap gives an error from below a code and a message for users, and keeps the
// cause for the log.
func Wrap(cause error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), cause: cause}
}

// Transient marks an error that time alone may heal.
func Transient(cause error, format string, args ...any) *Error {
	return &Error{Code: CodeUnavailable, Message: fmt.Sprintf(format, args...), Transient: true, cause: cause}
}

// IsTransient reports whether err, or an error it wraps, is transient.
func IsTransient(err error) bool {
	var e *Error
	for errors.As(err, &e) {
		if e.Transient {
			return true
		}
		err = e.cause
	}
	return false
}

// CodeOf returns the code of err: CodeInternal for errors that carry none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
