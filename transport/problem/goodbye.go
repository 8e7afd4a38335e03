package problem

import (
	"time"

	"github.com/orbit/realtime/domain"
)

// Goodbye encodes the system.goodbye that tells a client why its stream ends
// and when to come back; a delay of zero leaves that to the client.
func Goodbye(code domain.CloseCode, delay time.Duration) []byte {
	data, err := domain.EncodeServerEvent(domain.ServerEvent{
		Type: domain.ServerSystemGoodbye,
		Payload: domain.GoodbyePayload{
			Code: code.Code, Reason: code.Name, Reconnect: code.Reconnect, DelayMS: delay.Milliseconds(),
		},
	}, "", time.Time{})
	if err != nil {
		panic(err) // a struct of strings and numbers
	}
	return data
}
