package api_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/transport/auth"
)

func TestSnapshot(t *testing.T) {
	eachSite(t, func(s *site) {
		s.online = []string{s.expand("{member:admin}")}
		a := s.ask("guest", "GET", "/v1/workspaces/acme/snapshot", "")
		require.Equal(s, 200, a.status)
		keys := make([]string, 0, len(a.body))
		for key := range a.body {
			keys = append(keys, key)
		}
		require.ElementsMatch(s, []string{"position", "workspace", "me", "members", "roles", "teams", "subscription", "rooms", "presence", "stale"}, keys)
		require.Equal(s, map[string]any{"memberId": s.expand("{member:guest}")}, a.body["me"])
		require.Equal(s, []any{s.expand("{member:admin}")}, a.body["presence"])
		require.Len(s, a.body["members"], 3)
		require.Len(s, a.body["rooms"], 2)
		require.NotContains(s, a.body["members"].([]any)[0], "WorkspaceID")

		// Nothing of what is there but empty may be null.
		s.online = nil
		a = s.ask("owner", "GET", "/v1/workspaces/globex/snapshot", "")
		for _, list := range []string{"teams", "rooms", "presence", "stale"} {
			require.Equal(s, []any{}, a.body[list], list)
		}
	})
}

func TestMessagesArePaged(t *testing.T) {
	eachSite(t, func(s *site) {
		path := s.expand("/v1/workspaces/acme/rooms/{room:general}/messages")
		all := s.ask("guest", "GET", path, "").body["messages"].([]any)
		require.Len(s, all, 3)
		newest := s.ask("guest", "GET", path+"?limit=1", "").body["messages"].([]any)
		require.Equal(s, all[2:], newest)
		before := s.ask("guest", "GET", path+"?before="+newest[0].(map[string]any)["id"].(string), "").body["messages"]
		require.Equal(s, all[:2], before)
		none := s.ask("guest", "GET", s.expand("/v1/workspaces/acme/rooms/{room:random}/messages"), "").body["messages"]
		require.Equal(s, []any{}, none)
	})
}

func TestSigningInAndOut(t *testing.T) {
	eachSite(t, func(s *site) {
		cookie := s.cookie("admin")
		require.Equal(s, auth.CookieName, cookie.Name)
		require.True(s, cookie.HttpOnly)

		with := func(method, path string) answer {
			r := httptest.NewRequest(method, path, nil)
			r.AddCookie(cookie)
			return s.send(r)
		}
		a := with("GET", "/v1/me")
		require.Equal(s, 200, a.status)
		require.Equal(s, "admin@acme.test", a.body["user"].(map[string]any)["email"])
		require.Equal(s, "acme", a.body["workspaces"].([]any)[0].(map[string]any)["slug"])

		session, err := s.store.Reader().SessionByToken(s.Context(), auth.HashToken(cookie.Value))
		require.NoError(s, err)
		a = with("POST", "/v1/logout")
		require.Equal(s, 204, a.status)
		require.Contains(s, a.header.Get("Set-Cookie"), "Max-Age=0")
		require.Equal(s, []string{session.ID}, s.signedOut)
		s.refused(with("GET", "/v1/me"), 401, domain.CodeUnauthenticated, "")

		cookie = s.cookie("admin")
		s.clock = s.clock.Add(domain.SessionLifetime)
		s.refused(with("GET", "/v1/me"), 401, domain.CodeUnauthenticated, "")
	})
}

func TestMemberOfNothing(t *testing.T) {
	eachSite(t, func(s *site) {
		cookie := s.cookie("guest")
		a := s.ask("guest", "DELETE", s.expand("/v1/workspaces/acme/members/{member:guest}"), "")
		require.Equal(s, 204, a.status)
		r := httptest.NewRequest("GET", "/v1/me", nil)
		r.AddCookie(cookie)
		require.Equal(s, []any{}, s.send(r).body["workspaces"], "still signed in")
		r = httptest.NewRequest("GET", "/v1/workspaces/acme/snapshot", nil)
		r.AddCookie(cookie)
		s.refused(s.send(r), 404, domain.CodeNotFound, "")
	})
}
