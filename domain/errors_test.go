package domain_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func TestCodeOf(t *testing.T) {
	forbidden := domain.Errorf(domain.CodeForbidden, "not yours")
	require.Equal(t, domain.CodeForbidden, domain.CodeOf(forbidden))
	require.Equal(t, domain.CodeForbidden, domain.CodeOf(fmt.Errorf("post: %w", forbidden)))
	require.Equal(t, domain.CodeInternal, domain.CodeOf(io.EOF), "an error without a code is a bug of ours")
	require.Equal(t, domain.CodeConflict, domain.CodeOf(domain.Wrap(forbidden, domain.CodeConflict, "taken")), "the outermost code counts")
}

func TestErrNotFoundMatchesByCode(t *testing.T) {
	missing := domain.Errorf(domain.CodeNotFound, "no room %s", "r1")
	require.ErrorIs(t, missing, domain.ErrNotFound)
	require.ErrorIs(t, fmt.Errorf("read: %w", missing), domain.ErrNotFound)
	require.NotErrorIs(t, domain.Errorf(domain.CodeForbidden, "no"), domain.ErrNotFound)
	require.NotErrorIs(t, missing, domain.Errorf(domain.CodeNotFound, "no room r2"), "an error with a message stands for itself alone")
}

func TestTransient(t *testing.T) {
	away := domain.Transient(io.ErrUnexpectedEOF, "the database is away")
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(away))
	require.ErrorIs(t, away, io.ErrUnexpectedEOF)

	for _, err := range []error{
		away,
		fmt.Errorf("read member: %w", away),
		domain.Wrap(away, domain.CodeInternal, "could not project"), // a permanent one around it doesn't hide it
		domain.Wrap(fmt.Errorf("deeper: %w", away), domain.CodeInternal, "could not project"),
	} {
		require.True(t, domain.IsTransient(err), "%v", err)
	}
	for _, err := range []error{
		nil,
		io.EOF,
		context.Canceled,
		domain.Errorf(domain.CodeUnavailable, "says unavailable, but was not born transient"),
		domain.Wrap(io.EOF, domain.CodeInternal, "broken"),
	} {
		require.False(t, domain.IsTransient(err), "%v", err)
	}
}

// Message is what users may read; the cause, which may hold addresses and SQL,
// shows in the log's line alone.
func TestTheCauseStaysOutOfTheMessage(t *testing.T) {
	cause := errors.New("dial tcp 10.0.0.7:5432: refused")
	err := domain.Wrap(cause, domain.CodeUnavailable, "try again later")
	require.Equal(t, "try again later", err.Message)
	require.Equal(t, "unavailable: try again later: dial tcp 10.0.0.7:5432: refused", err.Error())
	require.ErrorIs(t, err, cause)

	field := domain.InvalidField("slug", "at most %d characters", 40)
	require.Equal(t, "invalid: at most 40 characters", field.Error())
	require.Equal(t, "slug", field.Field)
}

func TestCloseCodesAreOneTable(t *testing.T) {
	codes, names := map[int]bool{}, map[string]bool{}
	for _, c := range domain.CloseCodes {
		require.False(t, codes[c.Code] || names[c.Name], "%d %s stands twice", c.Code, c.Name)
		codes[c.Code], names[c.Name] = true, true
		require.NotEmpty(t, c.Doc)
		// RFC 6455, section 7.4: 1000-2999 belong to the protocol, 4000-4999 are ours.
		require.True(t, c.Code == 1001 || c.Code == 1012 || 4000 <= c.Code && c.Code <= 4999, "%d", c.Code)
	}
}
