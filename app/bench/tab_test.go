package bench

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// An event that was committed while a tab replayed came in the same message as
// system.live, and was thrown away with the rest of it: resume called events lost
// that had arrived.
func TestATabKeepsWhatFollowsLiveInTheSameMessage(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrader := websocket.Upgrader{Subprotocols: websocket.Subprotocols(r)}
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		batch := strings.Join([]string{
			`{"type":"room.message.posted","id":"e-1","data":{"message":{"body":"` + stamped() + `"}}}`,
			`{"type":"system.live","id":"e-1"}`,
			`{"type":"room.message.posted","id":"e-2","data":{"message":{"body":"` + stamped() + `"}}}`,
		}, "\n")
		_ = ws.WriteMessage(websocket.TextMessage, []byte(batch))
		_, _, _ = ws.ReadMessage() // until the tab closes
	}))
	t.Cleanup(server.Close)
	tab, err := openTab(t.Context(), Target{BaseURL: server.URL}, nil)
	require.NoError(t, err)
	t.Cleanup(tab.close)
	require.Equal(t, 2, tab.replayed)
	require.Equal(t, "e-2", tab.position)
}
