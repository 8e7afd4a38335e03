// Package pipeline carries domain events from the outbox to the log. All of
// Watermill lives here: the bus (watermill-sql's Subscriber and Publisher with
// plug-ins of our own), the lanes, and the router with its middleware.
//
//	outbox ─▶ lane ─▶ delivery ▸ poison ▸ retry ▸ attempt ▸ recover ▸ timeout ▸ dedupe ─▶ projector
//	                                                                                    │ staged
//	                         one short transaction: marks + log entries + poison + deletion of acked rows
//	                                                                                    ▼ after the commit
//	                                                                                OnAppended
//
// Invariants:
//
//   - A lane is strictly ordered: one message in flight, the lowest row first.
//     One subscription in the whole cluster holds a lane at a time.
//   - No database transaction, snapshot or lock is held while a projector runs.
//   - What a projector led to is staged, and committed together with the
//     deletion of exactly the rows that were handled. Whatever dies before that
//     commit leaves the rows in the outbox, and they are delivered again.
//   - Nobody is told of an entry before its commit.
//   - An event leaves the outbox in three ways only: projected, recognised as a
//     duplicate, or poisoned. Cancellation and a database that is away are
//     waited out, never poisoned.
package pipeline
