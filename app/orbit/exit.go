package main

import (
	"errors"
	"fmt"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/problem"
)

// Exit codes, for scripts.
const (
	exitOK       = 0
	exitError    = 1
	exitUsage    = 2
	exitNotFound = 3
	exitBreached = 4 // a threshold, or the server isn't healthy
	exitPartial  = 5 // some of it was done
	exitConflict = 6 // somebody was faster, or another number matches
	exitAuth     = 7 // no token, a wrong one, or a viewer's
)

// exitCodes is what --help says about them.
const exitCodes = "Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 threshold breached, 5 partial, 6 conflict, 7 not allowed."

// coded is an error with an exit code of its own.
type coded struct {
	exit int
	text string
}

func (e coded) Error() string { return e.text }

func breached(format string, args ...any) error {
	return coded{exitBreached, fmt.Sprintf(format, args...)}
}

func partial(format string, args ...any) error {
	return coded{exitPartial, fmt.Sprintf(format, args...)}
}

// silent has been told already: only its exit code is left.
type silent struct{ error }

// Unwrap lets the code be found.
func (e silent) Unwrap() error { return e.error }

func exitCode(err error) int {
	var own coded
	if errors.As(err, &own) {
		return own.exit
	}
	switch domain.CodeOf(err) {
	case domain.CodeNotFound:
		return exitNotFound
	case domain.CodeConflict, problem.CodePreconditionFailed:
		return exitConflict
	case domain.CodeInvalid:
		return exitUsage
	case domain.CodeUnauthenticated, domain.CodeForbidden, domain.CodeRateLimited:
		return exitAuth
	}
	return exitError
}
