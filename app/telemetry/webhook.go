package telemetry

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// webhookTimeout bounds one post.
const webhookTimeout = 10 * time.Second

// Headers of an alert.
const (
	// SignatureHeader is "t=<Unix seconds>,v1=<hex>": v1 is the HMAC-SHA256,
	// under ORBIT_ALERT_SECRET, of t, a dot and the body. Who checks it compares
	// in constant time, and refuses a t of long ago.
	SignatureHeader = "Orbit-Signature"
	// AlertIDHeader repeats the body's id: the same one twice is one alert.
	AlertIDHeader = "Orbit-Alert-Id"
)

// AlertMessage is the body of a post. Chat services that read a "text" show it.
type AlertMessage struct {
	ID       string      `json:"id"`
	Kind     string      `json:"kind"`         // what it is, AlertRecovered included
	Of       string      `json:"of,omitempty"` // what is over, if it is AlertRecovered
	Text     string      `json:"text"`
	At       domain.Time `json:"at"`
	RaisedAt domain.Time `json:"raisedAt"`
	Node     string      `json:"node"`
	Build    string      `json:"build"`
	AlertBody
}

type webhook struct {
	url, secret, node, build string
	client                   *http.Client
}

func newWebhook(target, secret, node, build string) webhook {
	return webhook{target, secret, node, build, &http.Client{
		Timeout: webhookTimeout,
		// Whoever the URL leads to is told; nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// refusal is an answer that another attempt won't change.
type refusal struct{ error }

func permanent(err error) bool {
	var r refusal
	return errors.As(err, &r)
}

// post sends an alert; nil when it was taken. No error holds the URL.
func (w webhook) post(ctx context.Context, a store.Alert) error {
	now := time.Now()
	body, err := json.Marshal(w.message(a, now))
	if err != nil {
		return refusal{err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return refusal{errors.New("ORBIT_ALERT_WEBHOOK is not a URL")}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "orbit/"+w.build)
	req.Header.Set(AlertIDHeader, alertID(a))
	if w.secret != "" {
		req.Header.Set(SignatureHeader, sign(w.secret, now, body))
	}
	resp, err := w.client.Do(req)
	if err != nil {
		var hidden *url.Error
		if errors.As(err, &hidden) {
			err = hidden.Err
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return fmt.Errorf("the webhook answers %s", resp.Status)
	default:
		return refusal{fmt.Errorf("the webhook answers %s", resp.Status)}
	}
}

func (w webhook) message(a store.Alert, now time.Time) AlertMessage {
	m := AlertMessage{
		ID: alertID(a), Kind: a.Pending, At: domain.At(now), RaisedAt: domain.At(a.RaisedAt), Node: w.node, Build: w.build,
	}
	_ = json.Unmarshal(a.Body, &m.AlertBody) // our own; without it there is still the kind
	lines := append([]string{fmt.Sprintf("[%s] %s", m.Kind, m.Title)}, m.Why...)
	if a.Pending == AlertRecovered {
		m.Of = a.Kind
		lines = []string{fmt.Sprintf("[%s] %s: it is over, after %s", m.Kind, m.Title, round(now.Sub(a.RaisedAt)))}
	}
	m.Text = strings.Join(lines, "\n")
	return m
}

// alertID tells one alert from all others, also those of the same name.
func alertID(a store.Alert) string {
	return fmt.Sprintf("%s@%d:%s", a.Name, a.RaisedAt.UnixMilli(), a.Pending)
}

func sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// newLocalAlert makes one that no other node knows of.
func newLocalAlert(kind string, at time.Time, body AlertBody) store.Alert {
	raw, err := json.Marshal(body)
	if err != nil {
		raw = []byte("{}")
	}
	return store.Alert{Name: "node/" + kind, Kind: kind, Pending: kind, RaisedAt: at, Attempts: 1, Body: raw}
}
