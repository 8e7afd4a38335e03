package pipeline

import (
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// retry is Watermill's, exponential with jitter. What shall not be retried is
// marked by attempt, inside of it: ShouldRetry and OnRetryHook would each draw
// from the backoff and so skew the delays.
func retry(cfg RetryConfig) message.HandlerMiddleware {
	return middleware.Retry{
		MaxRetries:          max(cfg.MaxRetries, 0),
		InitialInterval:     cfg.InitialInterval,
		MaxInterval:         cfg.MaxInterval,
		Multiplier:          3,
		RandomizationFactor: 1.0 / 3,
		MaxElapsedTime:      cfg.Budget,
	}.Middleware
}
