package prove

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/orbit/realtime/app/prove/check"
	"github.com/orbit/realtime/domain"
)

// callTimeout is how long a command waits for its answer. A command that was
// given up on may be carried out all the same.
const callTimeout = 8 * time.Second

// answer is what a command was told.
type answer struct {
	outcome check.Outcome
	status  int // 0: none came
	event   string
	body    []byte
}

// caller sends commands as somebody.
type caller struct {
	base string
	http *http.Client
}

func newCaller(base string) *caller {
	return &caller{base: base, http: &http.Client{Timeout: callTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 10 * time.Second}}}
}

func (c *caller) call(ctx context.Context, as *person, method, path string, body any) answer {
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			panic(err) // bodies are maps of this package
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		panic(err) // paths are of this package
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Cookie", as.cookie)
	// net/http sends a request again by itself when a kept connection turns out
	// dead, if it may; a command must be sent once, or its outcome isn't ours.
	req.GetBody = nil
	res, err := c.http.Do(req)
	if err != nil {
		return answer{outcome: check.Unknown}
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, event: res.Header.Get("Orbit-Event-Id")}
	a.body, err = io.ReadAll(res.Body)
	switch {
	case res.StatusCode/100 == 2 && (err == nil || a.event != ""):
		a.outcome = check.OK
	case res.StatusCode/100 == 4:
		a.outcome = check.Refused
	default:
		a.outcome = check.Unknown
	}
	return a
}

// entity reads the one entity that an answer is about.
func (a answer) entity(key string) thing {
	var body map[string]json.RawMessage
	if json.Unmarshal(a.body, &body) != nil {
		return thing{}
	}
	if t := object(body[key]); t != nil {
		return *t
	}
	return thing{}
}

// snapshotOf fetches a workspace as somebody sees it. gone: they are not a member.
func (c *caller) snapshotOf(ctx context.Context, as *person, slug string) (s domain.Snapshot, gone bool, err error) {
	a := c.call(ctx, as, http.MethodGet, "/v1/workspaces/"+slug+"/snapshot", nil)
	switch a.status {
	case http.StatusOK:
		return s, false, json.Unmarshal(a.body, &s)
	case http.StatusNotFound, http.StatusUnauthorized:
		return s, true, fmt.Errorf("snapshot: status %d", a.status)
	}
	return s, false, fmt.Errorf("snapshot: status %d", a.status)
}
