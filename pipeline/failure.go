package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/orbit/realtime/domain"
)

// Error classes that are neither a domain.Code nor a Go type.
const (
	classPanic   = "panic"
	classTimeout = "timeout"
)

// passes reports whether the failure passes by itself: ctx, the message's
// context, was cancelled, or the error is transient (the database is away).
// Such an event is never poisoned. A panic or a timeout is judged on its own,
// whatever it wraps.
func passes(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	switch errorClass(err) {
	case classPanic, classTimeout:
		return false
	}
	return domain.IsTransient(err)
}

// errorClass names the kind of failure: panic, timeout, the error's code, or
// the Go type of its root.
func errorClass(err error) string {
	var panicked middleware.RecoveredPanicError
	var timeout *TimeoutError
	var coded *domain.Error
	switch {
	case errors.As(err, &panicked):
		return classPanic
	case errors.As(err, &timeout):
		return classTimeout
	case errors.As(err, &coded):
		return string(coded.Code)
	}
	root := err
	for next := errors.Unwrap(root); next != nil; next = errors.Unwrap(root) {
		root = next
	}
	return fmt.Sprintf("%T", root)
}

// errorText is err.Error(), but without the stack that Watermill writes into
// the text of a panic.
func errorText(err error) string {
	var panicked middleware.RecoveredPanicError
	if errors.As(err, &panicked) {
		return fmt.Sprintf("panic: %v", panicked.V)
	}
	return err.Error()
}

// errorChain lists the texts of err and of all it wraps, outermost first.
// Wrappers that add nothing to the text are left out.
func errorChain(err error) []string {
	var texts []string
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		if text := errorText(err); len(texts) == 0 || texts[len(texts)-1] != text {
			texts = append(texts, text)
		}
		switch e := err.(type) { //nolint:errorlint // this walks the chain itself, a step at a time
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		}
	}
	walk(err)
	return texts
}

// panicStack returns the stack at the panic, or "".
func panicStack(err error) string {
	var panicked middleware.RecoveredPanicError
	if errors.As(err, &panicked) {
		return panicked.Stacktrace
	}
	return ""
}
