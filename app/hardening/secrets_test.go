package hardening

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/app"
	"github.com/orbit/realtime/config"
)

// TestNoSecretIsLogged goes everywhere with secrets in hand, at the most
// talkative level, right and wrong, and looks for them in the log.
func TestNoSecretIsLogged(t *testing.T) {
	const webhookSecret, webhookPath = "whsec-0123456789", "T0123-B0123-hush"
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	t.Cleanup(hook.Close)
	w := start(t, func(c *config.Config) {
		c.AlertWebhook, c.AlertSecret = hook.URL+"/"+webhookPath, webhookSecret
	})
	owner, guest := w.signIn(t, "owner"), w.signIn(t, "guest")
	room := w.room(t, owner, "general")
	const guess, words = "a-guess-of-a-token", "words-between-us-two"
	for _, tab := range w.watch(t, owner, room) {
		defer tab.close()
	}
	w.post(t, owner, room, words)
	for _, requests := range [][]request{commands(guest.String(), room), connections(guest.String())} {
		for _, r := range requests {
			c := dial(t, w.addr())
			c.write(r.send)
			c.answer()
		}
	}
	for _, token := range []string{operatorToken, viewerToken, guess} {
		for _, path := range []string{"/admin/v1/status", "/admin/v1/nothing", "/ops", "/debug/pprof/cmdline"} {
			c := dial(t, strings.TrimPrefix(w.AdminURL(), "http://"))
			c.write("GET " + path + "?token=" + token + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\nConnection: close\r\n\r\n")
			c.answer()
		}
	}
	c := dial(t, strings.TrimPrefix(w.AdminURL(), "http://"))
	c.write("POST /ops/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ",
		"24\r\n\r\ntoken="+guess)
	c.answer()
	w.open(t, guest).write(whole(`{"type":"`+words+`"}`), closeFrame(1000, words))
	w.call(t, guest, http.StatusNoContent, "POST", "/v1/logout", "")
	w.stop()

	log := w.log.String()
	require.Contains(t, log, `"level":"DEBUG"`, "or nothing would be proven")
	require.Contains(t, log, "/v1/logout")
	for name, secret := range map[string]string{
		"the owner's session": owner.Value, "the guest's session": guest.Value,
		"an operator's token": operatorToken, "a viewer's token": viewerToken, "a guess": guess,
		"the webhook's path": webhookPath, "the webhook's secret": webhookSecret, "what was said": words,
	} {
		require.NotContains(t, log, secret, name)
	}
}

// A database that can't be reached is told of without its password, in every
// form that the password may be given.
func TestNoPasswordInErrors(t *testing.T) {
	const password = "hunter2-hunter2"
	for _, dsn := range []string{
		"postgres://orbit:" + password + "@127.0.0.1:1/orbit?connect_timeout=1",
		"postgres://127.0.0.1:1/orbit?connect_timeout=1&user=orbit&password=" + password,
		"postgres://orbit:" + password + "@127.0.0.1:1/orbit?sslmode=nonsense",
		"postgres://orbit:" + password + "@[::1/orbit",
		"mysql://orbit:" + password + "@127.0.0.1/orbit",
	} {
		c := config.Default()
		c.DatabaseURL, c.Addr, c.AdminAddr, c.LogLevel = dsn, "127.0.0.1:0", "127.0.0.1:0", "debug"
		out := &logs{}
		a, err := app.New(c, app.LogTo(out))
		if err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			err = a.Run(ctx)
			cancel()
		}
		require.Error(t, err, dsn)
		require.NotContains(t, err.Error(), password)
		require.NotContains(t, out.String(), password)
	}
}
