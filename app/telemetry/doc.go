// Package telemetry is how operators see what a node does: metrics, the
// dashboard's data, spans, the trace of an event, and alerts.
//
// Pipeline and hub tell it what happens, through observers that they declare
// themselves; it asks the database in a loop of its own, so that neither a
// scrape nor a dashboard costs a query, however many look.
package telemetry
