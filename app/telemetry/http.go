package telemetry

import (
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
)

// HTTP counts requests by route. streams are the patterns of routes that answer
// for as long as a client stays: how long that was is nobody's latency.
func (m *Meters) HTTP(streams ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		began := time.Now()
		c.Next()
		route, status := c.FullPath(), c.Writer.Status()
		if status == http.StatusOK && c.IsWebsocket() {
			status = http.StatusSwitchingProtocols // gin doesn't learn of it
		}
		m.request(c.Request.Method, route, status, time.Since(began), slices.Contains(streams, route))
	}
}
