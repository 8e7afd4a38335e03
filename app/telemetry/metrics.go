package telemetry

//go:generate go test . -run TestReferenceIsCurrent -update

import (
	"fmt"
	"io"
	"strings"
)

// kind is a metric's type in Prometheus.
type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
)

// metric is one row of the table: every name there is, in this file alone.
// docs/metrics.md, the dashboard's and the alert rules' tests read it.
type metric struct {
	name   string
	kind   kind
	labels []string
	help   string
	// shared says that the value is the database's, the same from every node:
	// aggregate it with max, not with sum.
	shared bool
}

var table []*metric

func define(k kind, name, help string, labels ...string) *metric {
	m := &metric{name: name, kind: k, labels: labels, help: help}
	table = append(table, m)
	return m
}

func shared(m *metric) *metric {
	m.shared = true
	return m
}

// Never a label by workspace, channel, member or fingerprint: the values of
// every label below come from a list that somebody wrote down.
var (
	outboxPending = shared(define(gauge, "orbit_outbox_pending_messages", "Events waiting in the outbox.", "lane"))
	outboxOldest  = shared(define(gauge, "orbit_outbox_oldest_age_seconds", "Age of the oldest event waiting; 0 when none is.", "lane"))
	laneHeld      = shared(define(gauge, "orbit_lane_held", "1 if some node holds the lane, else 0.", "lane"))
	laneOwned     = define(gauge, "orbit_lane_owned", "1 if this node holds the lane, else 0.", "lane")
	laneLag       = define(gauge, "orbit_lane_lag_seconds", "From publishing to commit, of the newest event this node projected in the lane; 0 after a minute without.", "lane")
	laneFailing   = define(gauge, "orbit_lane_failing", "1 while the lane waits for something that fails (the database, as a rule).", "lane")

	projectionSeconds = define(histogram, "orbit_projection_duration_seconds", "One run of a projector, failed or not.", "type")
	projections       = define(counter, "orbit_projections_total", "Events by what became of them: projected, silent, collapsed, poisoned, duplicate; and failed attempts.", "type", "outcome")
	collapsedEvents   = define(counter, "orbit_collapsed_total", "Events that the entries of an earlier one of their aggregate and type told of, without a re-read of their own.")
	stageSeconds      = define(histogram, "orbit_stage_duration_seconds", "The legs of an event's way to the log: claimed (from publishing to being read), projected, committed.", "stage")
	logAppends        = define(counter, "orbit_log_appends_total", "Entries appended to workspaces' logs by this node.")
	abandoned         = define(gauge, "orbit_projectors_abandoned", "Projector runs that ignored the end of their time and still go on.")

	poisonMessages = shared(define(gauge, "orbit_poison_messages", "Messages in the poison queue.", "state"))
	poisonOldest   = shared(define(gauge, "orbit_poison_oldest_open_age_seconds", "Age of the oldest open poison message; 0 when none is open."))
	poisoned       = define(counter, "orbit_poisoned_total", "Events poisoned, by the class of their error.", "type", "class")

	auditDivergent = define(gauge, "orbit_audit_divergent", "Aggregates of this node's lanes that differ, for too long, from what tabs were told of them.")
	auditRepaired  = define(counter, "orbit_audit_repaired_total", "Aggregates told of again by the auditor.")
	auditChecked   = define(counter, "orbit_audit_checked_total", "Looks of the auditor at an aggregate.")

	sessions       = define(gauge, "orbit_sessions", "Sessions connected to this node.", "transport")
	membersOnline  = define(gauge, "orbit_members_online", "Members with a session on this node.")
	workspacesLive = define(gauge, "orbit_workspaces_active", "Workspaces with a session on this node.")
	sessionOpens   = define(counter, "orbit_session_opens_total", "Sessions opened.", "transport")
	sessionCloses  = define(counter, "orbit_session_closes_total", "Sessions closed: left, dropped, or a close code's name.", "transport", "reason")
	resumes        = define(counter, "orbit_resumes_total", "Sessions by how they began: resumed, fresh (no position), or the reason of a resync.", "outcome")
	deliveries     = define(counter, "orbit_deliveries_total", "Log entries written to sessions.", "transport")
	replays        = define(counter, "orbit_replayed_deliveries_total", "Those of them that were in the log before the session.", "transport")
	commitToWrite  = define(histogram, "orbit_commit_to_write_seconds", "From publishing an event in its transaction to the write to a session, live ones only.", "transport")
	slowSessions   = define(gauge, "orbit_slow_sessions", "Sessions that have had something to take for more than a second.")
	untoldWrites   = define(counter, "orbit_trace_untold_writes_total", "Deliveries that the traces of their events won't show, for there was no room or no database.")

	httpRequests = define(counter, "orbit_http_requests_total", "Requests answered, streams when they end.", "method", "route", "status")
	httpSeconds  = define(histogram, "orbit_http_request_duration_seconds", "Time to answer, streams not counted.", "method", "route")

	databaseUp      = define(gauge, "orbit_database_up", "1 if the last look at the database succeeded, else 0.")
	databaseLooked  = define(gauge, "orbit_database_sample_age_seconds", "Age of the values that come from the database.")
	dbConnections   = define(gauge, "orbit_db_connections", "Connections by pool: in_use, idle.", "pool", "state")
	dbConnectionMax = define(gauge, "orbit_db_connections_max", "Connections that a pool may open.", "pool")
	dbWaits         = define(counter, "orbit_db_waits_total", "Times somebody waited for a connection.", "pool")
	dbWaitSeconds   = define(counter, "orbit_db_wait_seconds_total", "Time spent waiting for a connection.", "pool")

	alerts    = define(counter, "orbit_alerts_total", "Attempts to post an alert: sent, retried, failed (given up).", "kind", "outcome")
	buildInfo = define(gauge, "orbit_build_info", "1; the labels say what runs.", "version", "goversion")
)

// WriteMarkdown prints the reference, docs/metrics.md.
func WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`<!-- Generated from package app/telemetry by "make generate"; edits here are lost. -->

# Metrics

` + "`GET /metrics`" + ` on the admin listener, in the formats of Prometheus and OpenMetrics. Histograms have
classic buckets from 0.5 ms to 30 s.
Beside these there are client_golang's own ` + "`go_…` and `process_…`" + `.

A metric marked *shared* is the database's: every node tells the same, so aggregate over nodes with
` + "`max`" + `. It is looked up every few seconds, not when it is scraped. All others are the node's own:
use ` + "`sum`" + `. No label is a workspace, a channel, a member or an error's text.

| metric | type | labels | |
|---|---|---|---|
`)
	for _, m := range table {
		labels := "–"
		if len(m.labels) > 0 {
			labels = "`" + strings.Join(m.labels, "`, `") + "`"
		}
		mark := ""
		if m.shared {
			mark = " *Shared.*"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s%s |\n", m.name, m.kind, labels, m.help, mark)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
