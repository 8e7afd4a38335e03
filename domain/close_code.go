package domain

// CloseCode says why a session was closed and what its client should do. It is
// a value, not an error: its code alone decides about reconnecting. WebSocket
// sends Code in the close frame; SSE and poll send the same in system.goodbye.
type CloseCode struct {
	Code      int
	Name      string
	Reconnect bool
	Doc       string
}

var (
	CloseGoingAway        = CloseCode{1001, "going_away", true, "the server or the tab goes away; come back after jitter"}
	CloseServiceRestart   = CloseCode{1012, "service_restart", true, "the server restarts; come back after jitter"}
	CloseBadMessage       = CloseCode{4400, "bad_message", false, "repeated malformed or unknown messages"}
	CloseUnauthenticated  = CloseCode{4401, "unauthenticated", false, "the login session ended; come back after signing in"}
	CloseRevoked          = CloseCode{4403, "revoked", false, "the membership ended"}
	CloseHeartbeatTimeout = CloseCode{4408, "heartbeat_timeout", true, "no pong in time; come back with the position"}
	CloseSlowConsumer     = CloseCode{4409, "slow_consumer", true, "fell out of the log's memory and retention; will resync"}
	CloseMessageTooLarge  = CloseCode{4413, "message_too_large", false, "a message over the size limit"}
	CloseRateLimited      = CloseCode{4429, "rate_limited", true, "too many messages; come back after delayMs"}
	CloseDraining         = CloseCode{4503, "draining", true, "the node drains; come back after delayMs, with the position"}
)

// CloseCodes is the one table; docs and clients are generated from it.
var CloseCodes = []CloseCode{
	CloseGoingAway, CloseServiceRestart, CloseBadMessage, CloseUnauthenticated, CloseRevoked,
	CloseHeartbeatTimeout, CloseSlowConsumer, CloseMessageTooLarge, CloseRateLimited, CloseDraining,
}
