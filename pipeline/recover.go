package pipeline

import (
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// recoverer is Watermill's. It sits inside retry and poison, because a panic
// would pass both by, and be delivered again for ever.
//
// It can't see a panic in another goroutine, so runner, which runs projectors
// in goroutines of their own, applies it there as well.
func recoverer(h message.HandlerFunc) message.HandlerFunc { return middleware.Recoverer(h) }
