package problem_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/problem"
)

// domainCodes reads the constants of type Code from domain's source, so that a
// new code without a row fails here and not in front of a client.
func domainCodes(t *testing.T) []domain.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../domain/errors.go", nil, 0)
	require.NoError(t, err)
	var codes []domain.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
			return true
		}
		for _, value := range spec.Values {
			s, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			require.NoError(t, err)
			codes = append(codes, domain.Code(s))
		}
		return true
	})
	require.NotEmpty(t, codes)
	return codes
}

func write(t *testing.T, err error) (*httptest.ResponseRecorder, problem.Document) {
	t.Helper()
	w := httptest.NewRecorder()
	w.Header().Set(problem.RequestIDHeader, "req_1")
	problem.Write(w, httptest.NewRequest(http.MethodGet, "/v1/ws", nil), err)
	var doc problem.Document
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
	return w, doc
}

func TestEveryCodeHasARow(t *testing.T) {
	want := map[domain.Code]int{
		domain.CodeInvalid: 400, domain.CodeUnauthenticated: 401, domain.CodeForbidden: 403, domain.CodeNotFound: 404,
		domain.CodeConflict: 409, domain.CodeLastOwner: 409, domain.CodeRoleInUse: 409, domain.CodeSystemRole: 422,
		domain.CodeSeatsExhausted: 409, domain.CodeSeatsBelowMembers: 409, domain.CodeUnprocessable: 422,
		domain.CodeTooLarge: 413, domain.CodeRateLimited: 429, domain.CodeUnavailable: 503, domain.CodeInternal: 500,
	}
	for _, code := range domainCodes(t) {
		t.Run(string(code), func(t *testing.T) {
			w, doc := write(t, domain.Errorf(code, "because"))
			require.Equal(t, want[code], w.Code)
			require.Equal(t, code, doc.Code)
			require.Equal(t, w.Code, doc.Status)
			require.NotEmpty(t, doc.Title)
			require.Equal(t, problem.TypeBase+strings.ReplaceAll(string(code), "_", "-"), doc.Type)
			require.Equal(t, "req_1", doc.Instance)
			require.Equal(t, problem.ContentType, w.Header().Get("Content-Type"))
			require.NotZero(t, problem.KindOf(domain.Errorf(code, "")).Close.Code)
		})
	}
}

func TestTypesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range problem.Kinds {
		require.False(t, seen[kind.Type()], kind.Type())
		seen[kind.Type()] = true
	}
}

func TestFieldAndDetail(t *testing.T) {
	_, doc := write(t, fmt.Errorf("rename: %w", domain.InvalidField("name", "a name has 1 to 80 characters")))
	require.Equal(t, "name", doc.Field)
	require.Equal(t, "a name has 1 to 80 characters", doc.Detail)
}

func TestRetryAfter(t *testing.T) {
	for _, err := range []error{domain.Errorf(domain.CodeRateLimited, "slower"), domain.Transient(io.EOF, "database away")} {
		w, _ := write(t, err)
		seconds, convErr := strconv.Atoi(w.Header().Get("Retry-After"))
		require.NoError(t, convErr)
		require.GreaterOrEqual(t, seconds, 1)
		require.LessOrEqual(t, seconds, 5)
	}
	w, _ := write(t, domain.ErrNotFound)
	require.Empty(t, w.Header().Get("Retry-After"))
}

// An internal error's text may name tables, hosts or secrets: it belongs in
// the log and nowhere else.
func TestInternalErrorsShowNothing(t *testing.T) {
	var logged bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	defer slog.SetDefault(before)

	secret := "password=hunter2"
	for _, err := range []error{
		errors.New(secret),
		domain.Wrap(errors.New(secret), domain.CodeInternal, "query members %s", secret),
		domain.Errorf("no_such_code", "%s", secret),
	} {
		logged.Reset()
		w, doc := write(t, err)
		require.Equal(t, http.StatusInternalServerError, w.Code)
		require.Equal(t, domain.CodeInternal, doc.Code)
		require.NotContains(t, w.Body.String(), "hunter2")
		require.Contains(t, logged.String(), "hunter2")
		require.Contains(t, logged.String(), "req_1")
	}
	w, _ := write(t, domain.Transient(errors.New(secret), "the database is away"))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.NotContains(t, w.Body.String(), "hunter2")
}

func TestErrorsWithoutACode(t *testing.T) {
	require.Equal(t, http.StatusRequestEntityTooLarge, problem.KindOf(&http.MaxBytesError{Limit: 10}).Status)
	require.Equal(t, http.StatusServiceUnavailable, problem.KindOf(context.Canceled).Status)
	require.Equal(t, http.StatusServiceUnavailable, problem.KindOf(fmt.Errorf("read: %w", context.DeadlineExceeded)).Status)
	require.Equal(t, http.StatusInternalServerError, problem.KindOf(io.ErrUnexpectedEOF).Status)
}

func TestHTTPOnlyProblems(t *testing.T) {
	w := httptest.NewRecorder()
	problem.MethodNotAllowed(w, httptest.NewRequest(http.MethodPut, "/v1/sse", nil), "GET")
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "GET", w.Header().Get("Allow"))

	w = httptest.NewRecorder()
	problem.UpgradeRequired(w, httptest.NewRequest(http.MethodGet, "/v1/ws", nil))
	require.Equal(t, http.StatusUpgradeRequired, w.Code)
	require.Equal(t, "websocket", w.Header().Get("Upgrade"))
}

func TestGoodbye(t *testing.T) {
	require.JSONEq(t,
		`{"type":"system.goodbye","code":4503,"reason":"draining","reconnect":true,"delayMs":1800}`,
		string(problem.Goodbye(domain.CloseDraining, 1800*time.Millisecond)))
}
