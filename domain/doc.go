// Package domain holds what Orbit Realtime is about, free of any library:
// aggregates and their rules, domain events, the catalog of server events,
// channels, positions, coded errors and close codes.
//
// The use cases (join, change a role, post a message, …) are methods of
// [Commands]. They run over [UnitOfWork], a port that package store implements,
// so every rule can be tested without a server.
//
// Invariants that the whole program leans on:
//
//   - Every aggregate carries a version that only grows. Whoever changes an
//     aggregate bumps its version and publishes a domain event in the same
//     transaction.
//   - A domain event says "look again"; the database says what is true.
//   - A server event carries an aggregate's full state and version, or a
//     tombstone with its last version. Applying one twice, or late, is harmless.
package domain
