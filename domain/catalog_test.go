package domain_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/domain"
)

func TestCatalog(t *testing.T) {
	known := map[domain.EventType]bool{}
	for _, spec := range domain.EventTypes {
		require.False(t, known[spec.Type], "%s stands twice in EventTypes", spec.Type)
		known[spec.Type] = true
		require.NotEmpty(t, spec.Doc, spec.Type)
		require.NotEmpty(t, spec.Aggregate, spec.Type)
		require.Equal(t, reflect.Struct, reflect.TypeOf(spec.Payload).Kind(), spec.Type)
	}

	seen := map[domain.ServerEventType]bool{}
	caused := map[domain.EventType]bool{}
	for _, spec := range domain.Catalog {
		require.False(t, seen[spec.Type], "%s stands twice", spec.Type)
		seen[spec.Type] = true
		require.NotEmpty(t, spec.Doc, spec.Type)
		for _, cause := range spec.Causes {
			require.True(t, known[cause], "%s: %s is no domain event", spec.Type, cause)
			caused[cause] = true
		}
		// system.stale and system.healed are in the log, too, and any event may cause them.
		product := spec.Channel != "" && !spec.Ephemeral && !strings.HasPrefix(string(spec.Type), "system.")
		require.Equal(t, product, len(spec.Causes) > 0, "%s: what is in the log has a cause, and nothing else", spec.Type)
		if strings.HasPrefix(string(spec.Type), "system.") {
			require.Empty(t, spec.Causes, spec.Type)
		}
	}
	for _, spec := range domain.EventTypes {
		require.True(t, caused[spec.Type], "%s leads to no server event", spec.Type)
	}
}

// Payload fields stand beside the envelope's, so none may share a name.
func TestPayloadsLeaveTheEnvelopeAlone(t *testing.T) {
	for _, spec := range domain.Catalog {
		raw, err := json.Marshal(spec.Payload)
		require.NoError(t, err, spec.Type)
		var fields map[string]any
		require.NoError(t, json.Unmarshal(raw, &fields), "%s: a payload is a JSON object", spec.Type)
		for _, reserved := range []string{"type", "id", "channel", "cause", "at"} {
			require.NotContains(t, fields, reserved, spec.Type)
		}
	}
}

// A tombstone is id and version and nothing else: what is gone must not travel.
func TestTombstonesAreBare(t *testing.T) {
	for _, spec := range domain.Catalog {
		gone := strings.HasSuffix(string(spec.Type), ".deleted") || spec.Type == domain.ServerMemberRemoved
		payload := reflect.TypeOf(spec.Payload)
		if gone {
			require.Equal(t, 1, payload.NumField(), spec.Type)
			require.Equal(t, reflect.TypeFor[domain.Tombstone](), payload.Field(0).Type, spec.Type)
		}
	}
}

func TestCatalogHashIsStable(t *testing.T) {
	require.Regexp(t, `^[0-9a-f]{12}$`, domain.CatalogHash())
	require.Equal(t, domain.CatalogHash(), domain.CatalogHash())
}

func TestTimesTravelWithMilliseconds(t *testing.T) {
	for _, spec := range []string{"2026-11-23T09:30:14.120Z", "2026-11-23T09:30:14.000Z"} {
		var parsed domain.Time
		require.NoError(t, json.Unmarshal([]byte(`"`+spec+`"`), &parsed))
		raw, err := json.Marshal(domain.At(parsed.Time))
		require.NoError(t, err)
		require.Equal(t, `"`+spec+`"`, string(raw))
	}
}

func TestNewEvent(t *testing.T) {
	ev := domain.NewEvent(domain.EventTeamMemberAdded, "ws_1", "team_1", domain.GroupChanged{Version: 3, MemberID: "mem_1"})
	require.JSONEq(t, `{"version":3,"memberId":"mem_1"}`, string(ev.Payload))
	require.True(t, domain.ValidID(ev.ID))
	require.True(t, ev.CreatedAt.IsZero(), "set when it is published")
	require.Panics(t, func() { domain.NewEvent(domain.EventRoleCreated, "ws_1", "role_1", func() {}) })
}
