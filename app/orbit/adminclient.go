package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/user"
	"strings"
	"time"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	ops "github.com/orbit/realtime/transport/console"
	"github.com/orbit/realtime/transport/problem"
)

// adminAPI is what every command for operators has: where the admin API is.
type adminAPI struct {
	Server string `group:"Where" env:"ORBIT_ADMIN_URL" default:"http://127.0.0.1:8081" help:"The admin listener of a running server."`
	Token  string `group:"Where" env:"ORBIT_ADMIN_TOKEN" placeholder:"TOKEN" help:"An operator's token. Better in the environment: others can read a command line."`
	DSN    string `group:"Where" name:"dsn" aliases:"database-url" placeholder:"DSN" help:"Work straight on this database instead, as when no server runs: postgres://… or the path of a SQLite file."`
	JSON   bool   `group:"Where" name:"json" help:"JSON, for scripts; lists are one object a line."`
}

// with runs fn on the API of a server, or on the very same API over a database.
func (a adminAPI) with(ctx context.Context, fn func(*adminClient) error) error {
	if a.DSN != "" {
		return database{DSN: a.DSN}.with(ctx, func(s *store.Store) error {
			handler := app.DirectConsole(s, systemUser())
			return fn(&adminClient{base: "http://direct", http: &http.Client{Transport: inProcess{handler}}, step: s.StepOperation})
		})
	}
	base, err := url.Parse(a.Server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return domain.InvalidField("server", "--server is a URL such as http://127.0.0.1:8081")
	}
	return fn(&adminClient{base: strings.TrimRight(a.Server, "/"), token: a.Token, http: &http.Client{}})
}

// systemUser is who works straight on the database.
func systemUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "unknown"
}

// adminClient calls the admin API.
type adminClient struct {
	base, token string
	http        *http.Client
	// step takes a bulk operation further; nil where a server does.
	step func(ctx context.Context, id string) (active bool, err error)
}

// patience bounds a call that isn't a stream.
const patience = 30 * time.Second

// get reads a JSON answer into out.
func (c *adminClient) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.call(ctx, http.MethodGet, path, query, nil, out)
}

// post sends a JSON body, and reads the answer into out.
func (c *adminClient) post(ctx context.Context, path string, body, out any) error {
	return c.call(ctx, http.MethodPost, path, nil, body, out)
}

func (c *adminClient) call(ctx context.Context, method, path string, query url.Values, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	resp, err := c.do(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("the server's answer is not what was expected: %w", err)
	}
	return nil
}

// do sends a request; an answer that isn't a success becomes an error with the
// code of its problem document.
func (c *adminClient) do(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	var content io.Reader = http.NoBody
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(raw)
	}
	target := c.base + ops.Prefix + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", ops.CLIAgent+"/"+app.Build())
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
			return nil, context.Canceled
		}
		return nil, fmt.Errorf("no answer from the admin listener: %w (another one: --server; straight on the database: --dsn)", err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, problemOf(resp)
}

func problemOf(resp *http.Response) error {
	var doc problem.Document
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&doc); err != nil || doc.Code == "" {
		return fmt.Errorf("the server answered %s, and not as the admin API does: is --server its admin listener?", resp.Status)
	}
	e := domain.Errorf(doc.Code, "%s", doc.Detail)
	e.Field = doc.Field
	if doc.Code == domain.CodeUnauthenticated {
		e.Message += " (--token or ORBIT_ADMIN_TOKEN)"
	}
	return e
}

// inProcess is a transport that needs no network: it runs a handler.
type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper. The answer's body streams.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	read, write := io.Pipe()
	w := &pipedAnswer{header: http.Header{}, body: write, begun: make(chan struct{})}
	go func() {
		defer func() { _ = write.Close() }()
		t.handler.ServeHTTP(w, r)
		w.WriteHeader(http.StatusOK)
	}()
	select {
	case <-w.begun:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return &http.Response{
		StatusCode: w.status, Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.sent, Body: read, ContentLength: -1, Request: r,
	}, nil
}

// pipedAnswer is the handler's end of inProcess.
type pipedAnswer struct {
	header, sent http.Header
	status       int
	body         *io.PipeWriter
	begun        chan struct{} // closed when status and sent are final
}

func (w *pipedAnswer) Header() http.Header { return w.header }

func (w *pipedAnswer) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
		close(w.begun)
	}
}

func (w *pipedAnswer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush implements http.Flusher: a pipe holds nothing back.
func (w *pipedAnswer) Flush() { w.WriteHeader(http.StatusOK) }
