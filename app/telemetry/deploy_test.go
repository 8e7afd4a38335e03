package telemetry

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const deploy = "../../deploy/"

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(raw, into), path)
}

// unknown tells what is wrong with the names in a query: a metric that isn't in
// the table, a label that it doesn't have, a suffix that its type doesn't have.
func unknown(query string) (complaints []string) {
	known := []string{"instance", "job", "le"}
	for _, name := range regexp.MustCompile(`\borbit_[a-z_]+\b`).FindAllString(query, -1) {
		i := slices.IndexFunc(table, func(m *metric) bool {
			return name == m.name || m.kind == histogram && slices.Contains([]string{m.name + "_bucket", m.name + "_count", m.name + "_sum"}, name)
		})
		switch {
		case i < 0:
			complaints = append(complaints, "no metric "+name)
			continue
		case table[i].kind == histogram && name == table[i].name:
			complaints = append(complaints, name+" is a histogram")
		case table[i].kind == counter && !regexp.MustCompile(`(rate|increase)\(`+name).MatchString(query):
			complaints = append(complaints, name+" is a counter, and the query takes no rate of it")
		}
		known = append(known, table[i].labels...)
	}
	var labels []string
	for _, by := range regexp.MustCompile(`\bby \(([^)]*)\)`).FindAllStringSubmatch(query, -1) {
		labels = append(labels, strings.Split(by[1], ",")...)
	}
	for _, braces := range regexp.MustCompile(`\{([^}]*)\}`).FindAllStringSubmatch(query, -1) {
		for _, matcher := range regexp.MustCompile(`([a-z_]+)\s*[=!]`).FindAllStringSubmatch(braces[1], -1) {
			labels = append(labels, matcher[1])
		}
	}
	for _, label := range labels {
		if label = strings.TrimSpace(label); !slices.Contains(known, label) {
			complaints = append(complaints, "no label "+label)
		}
	}
	return complaints
}

func TestUnknownBites(t *testing.T) {
	for query, complaints := range map[string]int{
		`max by (lane) (orbit_outbox_pending_messages) > 5`: 0,
		`orbit_lane_ownd`:                          1,
		`sum by (shoe) (orbit_sessions{size="3"})`: 2,
		`orbit_deliveries_total`:                   1,
		`rate(orbit_deliveries_total[1m])`:         0,
		`orbit_commit_to_write_seconds`:            1,
		`histogram_quantile(0.9, sum by (le) (rate(orbit_commit_to_write_seconds_bucket[1m])))`: 0,
		`orbit_sessions_bucket`: 1,
	} {
		require.Len(t, unknown(query), complaints, query)
	}
}

func TestAlertRules(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Expr        string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	readYAML(t, deploy+"prometheus/alerts.yml", &rules)
	docs, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	require.NotEmpty(t, rules.Groups[0].Rules)
	for _, r := range rules.Groups[0].Rules {
		require.Empty(t, unknown(r.Expr), r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.Contains(t, []string{"page", "warning"}, r.Labels["severity"], r.Alert)
		page, section, ok := strings.Cut(r.Annotations["runbook"], "#")
		require.True(t, ok, r.Alert)
		require.Equal(t, "docs/operations.md", page)
		require.Contains(t, strings.ToLower(string(docs)), "\n## "+strings.ReplaceAll(section, "-", " ")+"\n", "%s: the runbook's section", r.Alert)
	}
}

// promtool understands the queries themselves. Debian has it in the package prometheus.
func TestAlertRulesAsPrometheusReadsThem(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"}, {"test", "rules", "alerts_test.yml"},
	} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = deploy + "prometheus"
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}

type panel struct {
	Title   string
	Type    string
	Targets []struct{ Expr string }
	Panels  []panel
	GridPos struct{ H, W, X, Y int }
}

func TestDashboard(t *testing.T) {
	raw, err := os.ReadFile(deploy + "grafana/dashboards/orbit.json")
	require.NoError(t, err)
	var dashboard struct {
		UID        string
		Panels     []panel
		Templating struct {
			List []struct{ Query struct{ Query string } }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	require.NoError(t, json.Unmarshal(raw, &dashboard))
	require.Equal(t, "orbit", dashboard.UID)
	shown := map[string]bool{}
	queries := []string{dashboard.Annotations.List[0].Expr, dashboard.Templating.List[0].Query.Query}
	for _, p := range dashboard.Panels {
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		require.NotEmpty(t, p.Title)
		require.Equal(t, p.Type == "row", len(p.Targets) == 0, p.Title)
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	for _, q := range queries {
		require.Empty(t, unknown(q), q)
		for _, m := range table {
			if strings.Contains(q, m.name) {
				shown[m.name] = true
			}
		}
	}
	// A metric that nobody looks at is either missing there or not worth having.
	// (What was collapsed is shown as an outcome of orbit_projections_total.)
	for _, m := range table {
		if !slices.Contains([]string{"orbit_database_sample_age_seconds", "orbit_db_waits_total", "orbit_log_appends_total", "orbit_collapsed_total", "orbit_audit_checked_total"}, m.name) {
			require.True(t, shown[m.name], "%s is on no panel", m.name)
		}
	}
	require.Regexp(t, `"uid": "prometheus"`, string(raw))
}
