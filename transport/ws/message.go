package ws

import (
	"encoding/json"
	"errors"

	"github.com/orbit/realtime/domain"
)

// What a client may send. Server events it can only receive.
const (
	messageSubscribe   = "subscribe"
	messageUnsubscribe = "unsubscribe"
	messagePing        = "ping"
)

// message is one message of a client. Unknown fields are ignored, so that a
// newer client can talk to an older server.
type message struct {
	Type string `json:"type"`
	Room string `json:"room"`
	// Position asks for the room's entries after it. The hub judges it: a bad
	// one leads to a resync, as everywhere.
	Position string `json:"position"`
	// Ref comes back in the answer.
	Ref *int64 `json:"ref"`
}

// parse reads a message. The error's text is for the client; the message's Ref
// is set, if it could be read, even when something else is wrong.
func parse(data []byte) (message, error) {
	var m message
	err := json.Unmarshal(data, &m)
	var wrongType *json.UnmarshalTypeError // the other fields are read all the same
	switch {
	case errors.As(err, &wrongType) && wrongType.Field != "":
		if wrongType.Field == "ref" {
			m.Ref = nil // encoding/json leaves a 0, which the client never sent
		}
		return m, errors.New("field " + wrongType.Field + " has the wrong type")
	case err != nil:
		return m, errors.New("not a JSON object")
	}
	switch m.Type {
	case messageSubscribe, messageUnsubscribe:
		if !domain.ValidID(m.Room) {
			return m, errors.New("field room must be a room's id")
		}
	case messagePing:
	default:
		return m, errors.New("unknown message type")
	}
	return m, nil
}
