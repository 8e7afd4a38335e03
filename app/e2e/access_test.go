package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// TestResumeAcrossTransports drops a tab and brings it back on another
// transport with the position it had: no gap, no repetition.
func TestResumeAcrossTransports(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		a := start(t, testConfig(dsn))
		owner := login(t, a.BaseURL(), "owner")
		snap := owner.snapshot(t, "acme")
		room := snap.room(t, "general")
		say := func(body string) string {
			return owner.do(t, http.StatusCreated, "POST", "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]any{"body": body}).eventID
		}
		position, want := snap.Position, []string(nil)
		for _, transport := range []string{"ws", "sse", "poll", "ws+batch", "sse"} {
			missed := say("while nobody looks")
			tb := openTab(t, owner, "acme", position, []string{room}, always(transport))
			tb.waitLive()
			live := say("while somebody looks")
			tb.waitCause(live)
			var got []string
			for _, e := range tb.logged() {
				got = append(got, e.Cause)
			}
			require.Equal(t, []string{missed, live}, got, transport)
			require.True(t, tb.all()[0].Resumed, "hello says resumed")
			tb.close()
			position, want = tb.position, append(want, got...)
		}
		require.Len(t, want, 10)
	})
}

// TestRemovedMemberSeesNothingLater removes a member while events flow: the
// last event they get is their own removal, then the session ends for good.
func TestRemovedMemberSeesNothingLater(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		a := start(t, testConfig(dsn))
		owner, guest := login(t, a.BaseURL(), "owner"), login(t, a.BaseURL(), "guest")
		snap, guestSnap := owner.snapshot(t, "acme"), guest.snapshot(t, "acme")
		room := snap.room(t, "general")
		witness := openTab(t, owner, "acme", snap.Position, []string{room}, always("ws"))
		witness.waitLive()
		var tabs []*tab
		for _, transport := range transports {
			tb := openTab(t, guest, "acme", snap.Position, []string{room}, always(transport))
			tb.waitLive()
			tabs = append(tabs, tb)
		}

		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = owner.try("POST", "/v1/workspaces/acme/rooms/"+room+"/messages", map[string]any{"body": "noise"})
				}
			}
		}()
		removal := owner.do(t, http.StatusNoContent, "DELETE", "/v1/workspaces/acme/members/"+guestSnap.Me.MemberID, nil).eventID
		witness.waitCause(removal)
		for _, tb := range tabs {
			tb.waitEnded()
		}
		close(stop)
		<-done

		for i, tb := range tabs {
			events := tb.logged()
			last := events[len(events)-1]
			require.Equal(t, removal, last.Cause, "%s: the last event is their own removal, not %s", transports[i], last.raw)
		}
		require.Equal(t, http.StatusNotFound, must(t, guest, "GET", "/v1/workspaces/acme/snapshot").status)

		// The witness sees them go offline; presence in the snapshot agrees.
		witness.waitFor("offline", func(tb *tab) bool {
			return slices.ContainsFunc(tb.events, func(e event) bool {
				return e.Type == "presence.update" && e.MemberID == guestSnap.Me.MemberID && !e.Online
			})
		})
		require.NotContains(t, owner.snapshot(t, "acme").Presence, guestSnap.Me.MemberID)
	})
}

func must(t *testing.T, u *user, method, path string) answer {
	t.Helper()
	a, err := u.try(method, path, nil)
	require.NoError(t, err)
	return a
}

// TestSigningOutClosesTheSessionsTabs also leaves other sign-ins of the same
// person alone.
func TestSigningOutClosesTheSessionsTabs(t *testing.T) {
	a := start(t, testConfig(sqliteDSN(t)))
	here, elsewhere := login(t, a.BaseURL(), "admin"), login(t, a.BaseURL(), "admin")
	snap := here.snapshot(t, "acme")
	other := openTab(t, elsewhere, "acme", snap.Position, nil, always("ws"))
	other.waitLive()
	var tabs []*tab
	for _, transport := range transports {
		tb := openTab(t, here, "acme", snap.Position, nil, always(transport))
		tb.waitLive()
		tabs = append(tabs, tb)
	}
	here.do(t, http.StatusNoContent, "POST", "/v1/logout", nil)
	for _, tb := range tabs {
		tb.waitEnded()
	}
	require.Nil(t, other.ended)
	require.Equal(t, http.StatusUnauthorized, must(t, here, "GET", "/v1/me").status)
	require.Equal(t, http.StatusOK, must(t, elsewhere, "GET", "/v1/me").status)
}

// TestOutsidersLearnNothing compares a workspace one is no member of with one
// that doesn't exist: the answers are the same but for the id of the request.
func TestOutsidersLearnNothing(t *testing.T) {
	a := start(t, testConfig(sqliteDSN(t)))
	guest := login(t, a.BaseURL(), "guest")
	for _, path := range []string{"/v1/workspaces/%s/snapshot", "/v1/ws?workspace=%s", "/v1/sse?workspace=%s", "/v1/poll?workspace=%s", "/v1/probe?workspace=%s"} {
		foreign := must(t, guest, "GET", fmt.Sprintf(path, "globex"))
		unknown := must(t, guest, "GET", fmt.Sprintf(path, "no-such"))
		require.Contains(t, []int{http.StatusUnauthorized, http.StatusNotFound}, foreign.status, path)
		require.Equal(t, unknown.status, foreign.status, path)
		for _, a := range []answer{foreign, unknown} {
			delete(a.body, "instance")
		}
		require.Equal(t, unknown.body, foreign.body, path)
	}
	_, resp, err := websocket.DefaultDialer.Dial("ws"+a.BaseURL()[4:]+"/v1/ws?workspace=acme", http.Header{})
	require.Error(t, err)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "401 before any WebSocket exists")
	_, resp, err = websocket.DefaultDialer.Dial("ws"+a.BaseURL()[4:]+"/v1/ws?workspace=acme",
		http.Header{"Cookie": {guest.cookie.String()}, "Origin": {"https://evil.example"}})
	require.Error(t, err)
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
}

// TestPrivateRoomsStayPrivate follows a private room through its life and
// checks what somebody outside of it learns: nothing.
func TestPrivateRoomsStayPrivate(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		a := start(t, testConfig(dsn))
		owner, admin, guest := login(t, a.BaseURL(), "owner"), login(t, a.BaseURL(), "admin"), login(t, a.BaseURL(), "guest")
		snap, adminID := owner.snapshot(t, "acme"), admin.snapshot(t, "acme").Me.MemberID
		outside := openTab(t, guest, "acme", snap.Position, nil, always("ws"))
		invited := openTab(t, admin, "acme", snap.Position, nil, always("ws"))
		outside.waitLive()
		invited.waitLive()

		rooms := "/v1/workspaces/acme/rooms"
		room := owner.do(t, http.StatusCreated, "POST", rooms, map[string]any{"name": "secret plans", "private": true}).id("room")
		in := owner.do(t, http.StatusOK, "PUT", rooms+"/"+room+"/members/"+adminID, nil).eventID
		invited.waitCause(in)
		peeking := openTab(t, guest, "acme", snap.Position, []string{room}, always("ws"))
		member := openTab(t, admin, "acme", snap.Position, []string{room}, always("sse"))
		peeking.waitLive()
		member.waitLive()
		said := owner.do(t, http.StatusCreated, "POST", rooms+"/"+room+"/messages", map[string]any{"body": "hush"}).eventID
		member.waitCause(said)
		owner.do(t, http.StatusNoContent, "DELETE", rooms+"/"+room+"/members/"+adminID, nil)
		after := owner.do(t, http.StatusCreated, "POST", rooms+"/"+room+"/messages", map[string]any{"body": "without you"}).eventID
		end := owner.do(t, http.StatusOK, "PATCH", "/v1/workspaces/acme", map[string]any{"name": "The end"}).eventID
		for _, tb := range []*tab{outside, invited, peeking, member} {
			tb.waitCause(end)
			for _, e := range tb.logged() {
				require.NotEqual(t, after, e.Cause)
			}
		}
		for _, tb := range []*tab{outside, peeking} {
			for _, e := range tb.logged() {
				require.NotContains(t, string(e.raw), room, "an outsider learns nothing of a private room")
			}
		}
		for _, r := range guest.snapshot(t, "acme").Rooms {
			require.NotEqual(t, room, r.ID)
		}
		require.Equal(t, http.StatusNotFound, must(t, guest, "GET", rooms+"/"+room+"/messages").status)
	})
}
