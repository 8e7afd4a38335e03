package telemetry

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
	"github.com/orbit/realtime/store/storetest"
)

const key = "a secret"

var quiet = slog.New(slog.DiscardHandler)

// receiver is whoever the webhook leads to.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []AlertMessage
	tries  int
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{status: 200}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tries++
		body, err := io.ReadAll(req.Body)
		var m AlertMessage
		if err != nil || json.Unmarshal(body, &m) != nil || !signed(req.Header.Get(SignatureHeader), body) || req.Header.Get(AlertIDHeader) != m.ID {
			t.Errorf("not an alert: %s", body)
		}
		if r.status/100 == 2 {
			r.got = append(r.got, m)
		}
		w.WriteHeader(r.status)
	}))
	t.Cleanup(func() {
		r.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return r
}

// signed checks as docs/operations.md says, without our code.
func signed(header string, body []byte) bool {
	parts := regexp.MustCompile(`^t=(\d+),v1=([0-9a-f]{64})$`).FindStringSubmatch(header)
	if parts == nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s.%s", parts[1], body)
	return hex.EncodeToString(mac.Sum(nil)) == parts[2]
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) tried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries
}

// take returns the kinds that were received since the last time.
func (r *receiver) take() (kinds []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.got {
		kinds = append(kinds, m.Kind)
	}
	r.got = nil
	return kinds
}

// node is one node's alerts over a store.
func node(t *testing.T, s *store.Store, r *receiver, name string, cfg AlertsConfig) *Alerts {
	monitor := NewMonitor(NewMeters("v1"), s, fakeLanes{}, fakeHub{}, MonitorConfig{Node: name})
	cfg.Webhook, cfg.Secret, cfg.Node, cfg.Build, cfg.Logger = r.URL+"/T000/secret", key, name, "v1", quiet
	a := NewAlerts(s, monitor, cfg)
	t.Cleanup(a.hook.client.CloseIdleConnections)
	return a
}

// again makes the next round look at the database anew.
func (a *Alerts) again(ctx context.Context) {
	a.monitor.mu.Lock()
	a.monitor.look.tried = time.Time{}
	a.monitor.mu.Unlock()
	a.round(ctx)
}

// poison makes n open messages, each in a group of its own.
func poison(t *testing.T, s *store.Store, n int) (ids []string) {
	t.Helper()
	var all []domain.Poison
	for i := range n {
		p := domain.Poison{
			ID: domain.NewID("psn"), Event: domain.NewEvent(domain.EventMessagePosted, "ws", "msg_1", domain.Changed{}),
			Projector: string(domain.EventMessagePosted), Error: "boom", ErrorClass: fmt.Sprintf("class%c", 'a'+i), Build: "v1",
			PoisonedAt: time.Now(), UpdatedAt: time.Now(),
		}
		all, ids = append(all, p), append(ids, p.ID)
	}
	_, err := s.CommitEffects(t.Context(), store.Effects{Topic: store.Topic, Poisoned: all})
	require.NoError(t, err)
	return ids
}

// TestAlertsAreOfNoTenant: a chat room isn't where a customer's mail belongs.
func TestAlertsAreOfNoTenant(t *testing.T) {
	g := domain.PoisonGroup{Projector: "p", Error: `olive@acme.test asked for "my own words"`, Counts: map[domain.PoisonState]int{domain.PoisonOpen: 1}}
	body, err := json.Marshal(groupBody(&g))
	require.NoError(t, err)
	require.Contains(t, string(body), "asked for")
	require.NotContains(t, string(body), "olive")
	require.NotContains(t, string(body), "my own words")

	g.Error, g.Where = "\x1b[2J\u202egnp.exe", "\x1b[2J\u202egnp.exe"
	hostile := groupBody(&g)
	require.NotContains(t, hostile.Title+hostile.Why[0]+hostile.Group.Error, "\x1b")
	require.NotContains(t, hostile.Title+hostile.Why[0]+hostile.Group.Error, "\u202e")
	g.Error = "olive"
	require.Contains(t, g.Error, "olive", "the group itself is left alone")
}

func TestANewGroupIsAnAlertAndItsReturnARegression(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx, r := t.Context(), newReceiver(t)
		n1, n2 := node(t, s, r, "n1", AlertsConfig{}), node(t, s, r, "n2", AlertsConfig{})
		rounds := func() {
			for range 3 {
				n1.again(ctx)
				n2.again(ctx)
			}
		}
		rounds()
		require.Empty(t, r.take())

		ids := poison(t, s, 1)
		poison(t, s, 1) // another message of the same group
		n1.again(ctx)
		r.mu.Lock()
		require.Len(t, r.got, 1)
		m := r.got[0]
		r.mu.Unlock()
		require.Equal(t, "rooms.message.posted fails: boom", m.Title)
		require.Equal(t, "[new_group] rooms.message.posted fails: boom", strings.Split(m.Text, "\n")[0])
		require.Equal(t, 2, m.Group.Counts[domain.PoisonOpen])
		require.Equal(t, "n1", m.Node)
		rounds()
		require.Equal(t, []string{AlertNewGroup}, r.take(), "two nodes, six rounds, two messages, one alert")

		by := domain.Act{Operator: "op", Role: "operator", Via: "api", Reason: "mended"}
		open, _, err := s.ListPoison(ctx, domain.PoisonFilter{}, domain.Page{})
		require.NoError(t, err)
		require.Contains(t, []string{open[0].ID, open[1].ID}, ids[0])
		for _, p := range open {
			require.NoError(t, s.DiscardPoison(ctx, by, p.ID))
		}
		rounds()
		require.Empty(t, r.take())
		poison(t, s, 1)
		rounds()
		require.Equal(t, []string{AlertRegression}, r.take())
	})
}

// A bad deploy breaks everything at once: some are told one by one, and the
// rest as a number.
func TestManyNewGroupsAreFewAlerts(t *testing.T) {
	s, r := storetest.Open(t, store.SQLite), newReceiver(t)
	n := node(t, s, r, "n1", AlertsConfig{})
	poison(t, s, 25)
	for range 5 {
		n.again(t.Context())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.got, alertBurst+1)
	require.Contains(t, r.got[alertBurst].Text, "And 15 more new groups")
}

func TestAnOldMessageIsAnAlertUntilItIsGone(t *testing.T) {
	s, r := storetest.Open(t, store.SQLite), newReceiver(t)
	n := node(t, s, r, "n1", AlertsConfig{Age: time.Nanosecond})
	id := poison(t, s, 1)[0]
	for range 3 {
		n.again(t.Context())
	}
	require.ElementsMatch(t, []string{AlertNewGroup, AlertAge}, r.take())
	require.NoError(t, s.DiscardPoison(t.Context(), domain.Act{Operator: "op", Role: "operator", Via: "api", Reason: "x"}, id))
	for range 3 {
		n.again(t.Context())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.got, 1)
	require.Equal(t, AlertRecovered, r.got[0].Kind)
	require.Equal(t, AlertAge, r.got[0].Of)
	require.Contains(t, r.got[0].Text, "it is over, after")
}

func TestLaggingIsAnAlertWhenItLasts(t *testing.T) {
	s, r := storetest.Open(t, store.SQLite), newReceiver(t)
	n := node(t, s, r, "n1", AlertsConfig{After: time.Hour})
	ev := domain.NewEvent(domain.EventWorkspaceUpdated, "ws", "ws", domain.Changed{})
	ev.CreatedAt = time.Now().Add(-time.Minute)
	require.NoError(t, s.Write(t.Context(), func(tx domain.Tx) error { return tx.Publish(t.Context(), ev) }))
	n.again(t.Context())
	require.Empty(t, r.take(), "not for long enough")
	n.since[AlertLagging] = time.Now().Add(-2 * time.Hour)
	n.again(t.Context())
	n.again(t.Context())
	require.Equal(t, []string{AlertLagging}, r.take())

	rows, err := s.OutboxStats(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, rows)
	query, args := s.OutboxDelete([]int64{1})
	_, err = s.WriteDB().ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
	n.again(t.Context())
	require.Equal(t, []string{AlertRecovered}, r.take())
}

func TestAReceiverThatIsDownIsTriedAgain(t *testing.T) {
	s, r := storetest.Open(t, store.SQLite), newReceiver(t)
	n := node(t, s, r, "n1", AlertsConfig{})
	r.answer(503)
	poison(t, s, 1)
	n.again(t.Context())
	n.again(t.Context())
	require.Equal(t, 1, r.tried(), "not before its time")
	due := func() {
		_, err := s.WriteDB().ExecContext(t.Context(), `UPDATE alerts SET due_at = 0`)
		require.NoError(t, err)
	}
	due()
	r.answer(200)
	n.again(t.Context())
	require.Equal(t, []string{AlertNewGroup}, r.take())

	// One that says no is not asked again.
	r.answer(400)
	_, err := s.RaiseAlert(t.Context(), "another", AlertAge, AlertAge, AlertBody{}, false)
	require.NoError(t, err)
	tries := r.tried()
	for range 3 {
		due()
		n.again(t.Context())
	}
	require.Equal(t, tries+1, r.tried())
	got := values(t, n.monitor.meters)
	require.EqualValues(t, 1, got["orbit_alerts_total{kind=new_group,outcome=retried}"])
	require.EqualValues(t, 1, got["orbit_alerts_total{kind=age,outcome=failed}"])
}

// When the database is away there is no row to agree over: each node tells for itself.
func TestTheDatabaseIsAway(t *testing.T) {
	r := newReceiver(t)
	_, w := newWorld(t)
	n := NewAlerts(nil, w.monitor, AlertsConfig{Webhook: r.URL, Secret: key, Node: "n1", After: -1, Logger: quiet})
	t.Cleanup(n.hook.client.CloseIdleConnections)
	w.db.set(func(d *fakeDB) { d.err = errors.New("connection refused") })
	r.answer(500)
	n.again(t.Context())
	r.answer(200)
	n.again(t.Context())
	n.again(t.Context())
	require.Equal(t, []string{AlertDatabase}, r.take())
	require.NoError(t, n.databaseBack(t.Context(), time.Now()))
	require.NoError(t, n.databaseBack(t.Context(), time.Now()))
	require.Equal(t, []string{AlertRecovered}, r.take())
}

// The URL is a secret: no error may hold it.
func TestNoErrorHoldsTheWebhook(t *testing.T) {
	r := newReceiver(t)
	r.Close()
	for _, target := range []string{r.URL + "/T000/secret", "http://bad host/secret"} {
		hook := newWebhook(target, "", "n1", "v1")
		err := hook.post(t.Context(), newLocalAlert(AlertAge, time.Now(), AlertBody{}))
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestAlertsStartAndStop(t *testing.T) {
	s, r := storetest.Open(t, store.SQLite), newReceiver(t)
	n := node(t, s, r, "n1", AlertsConfig{})
	poison(t, s, 1)
	n.Start(t.Context())
	require.Eventually(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.got) == 1 }, 30*time.Second, 5*time.Millisecond)
	n.Stop()
	n.Stop()
	off := NewAlerts(s, n.monitor, AlertsConfig{})
	off.Start(t.Context())
	off.Stop()
}
