package prove

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/app/prove/check"
)

func sampleReport() *Report {
	return &Report{
		Engine: "sqlite", Seed: 1<<63 + 1, Machine: "a machine", LeftOut: []string{"half-open: <not root>"},
		Rounds: []*Round{{
			Seconds: 3, Faults: []Fault{{"kill", 0.5, 1.5}}, Committed: 10, P99: 1200,
			Counts:     map[string]int{check.Complete: 1},
			Violations: []check.Violation{{Invariant: check.Complete, Client: "acme/0 ws", At: time.Second, Detail: "<b>offset 5</b> is missing"}},
			Timeline:   []Second{{At: 0, Deliveries: 5, P50: 3, P99: 9}, {At: 1, Resumes: 4}, {At: 2, Deliveries: 50, P50: 900, P99: 1200}},
		}},
	}
}

// The page stands alone, shows what was broken, and lets nothing in as markup.
func TestThePage(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, sampleReport().WriteHTML(&b))
	page := b.String()
	require.NotRegexp(t, `(src|href)=|https?://`, page, "nothing is fetched")
	require.Contains(t, page, "&lt;b&gt;offset 5&lt;/b&gt;")
	require.Contains(t, page, "Broken: complete")
	svg := regexp.MustCompile(`(?s)<svg.*</svg>`).FindString(page)
	require.NotEmpty(t, svg)
	require.NoError(t, xml.Unmarshal([]byte(svg), new(struct{})), "the picture is well-formed")
	require.Equal(t, 4, strings.Count(svg, "<polyline"))
}

// A seed is 64 bits, which JSON numbers are not.
func TestTheReportForMachines(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, sampleReport().WriteJSON(&b))
	var back Report
	require.NoError(t, json.Unmarshal(b.Bytes(), &back))
	require.Equal(t, uint64(1<<63+1), back.Seed)
	require.Contains(t, b.String(), `"seed": "9223372036854775809"`)
	require.False(t, back.Clean())
}

func TestThePageForPeople(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, sampleReport().WriteText(&b))
	require.Contains(t, b.String(), "BROKEN  complete")
	require.Contains(t, b.String(), "kept    once")
	require.Contains(t, b.String(), "kill × 1")
}
