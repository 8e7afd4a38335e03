package domain_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func TestChannels(t *testing.T) {
	for _, tc := range []struct {
		channel domain.Channel
		name    string
		kind    domain.ChannelKind
	}{
		{domain.WorkspaceChannel("ws_01"), "workspace:ws_01", domain.KindWorkspace},
		{domain.RoomChannel("r1"), "room:r1", domain.KindRoom},
		{domain.MemberChannel("mem_01"), "member:mem_01", domain.KindMember},
	} {
		require.EqualValues(t, tc.name, tc.channel)
		require.Equal(t, tc.kind, tc.channel.Kind())
		require.True(t, strings.HasSuffix(tc.name, ":"+tc.channel.ID()))
		parsed, err := domain.ParseChannel(tc.name)
		require.NoError(t, err)
		require.Equal(t, tc.channel, parsed)
	}
}

func TestParseChannelRefuses(t *testing.T) {
	for _, s := range []string{
		"", "workspace", "workspace:", ":ws_01", "Workspace:ws_01", "team:t1", "room:r1:r2",
		"room: r1", "room:r/1", "member:mem\x00", "room:" + strings.Repeat("r", domain.MaxIDLength+1),
	} {
		_, err := domain.ParseChannel(s)
		require.Equal(t, domain.CodeInvalid, domain.CodeOf(err), "%q", s)
	}
}

func FuzzParseChannel(f *testing.F) {
	for _, seed := range []string{"workspace:ws_01", "room:r1", "member:mem_01", "", ":", "room:", "room:a:b", "team:t1", "room:é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := domain.ParseChannel(s)
		if err != nil {
			require.Equal(t, domain.CodeInvalid, domain.CodeOf(err))
			require.Empty(t, c)
			return
		}
		require.EqualValues(t, s, c)
		require.Equal(t, s, string(c.Kind())+":"+c.ID())
		require.True(t, domain.ValidID(c.ID()))
		require.Contains(t, []domain.ChannelKind{domain.KindWorkspace, domain.KindRoom, domain.KindMember}, c.Kind())
	})
}
