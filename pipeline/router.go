package pipeline

import (
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/orbit/realtime/store"
)

// newRouter builds Watermill's router: one handler per lane, all with the same
// middleware, outermost first.
func newRouter(cfg Config, lanes []*Subscriber, p poisoner, d dispatcher, logger watermill.LoggerAdapter) (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{
		// Lanes are drained before the router is closed, so what is left then
		// are cancelled handlers.
		CloseTimeout: graceToReturn + 5*time.Second,
	}, logger)
	if err != nil {
		return nil, err
	}
	router.AddMiddleware(
		delivery,
		p.middleware,
		retry(cfg.Retry),
		attempt,
		recoverer,
		timeout(cfg.HandlerTimeout),
		dedupe(),
	)
	for lane, subscriber := range lanes {
		router.AddConsumerHandler("lane-"+strconv.Itoa(lane), store.Topic, subscriber, d.handle)
	}
	return router, nil
}
