package api

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/orbit/realtime/domain"
)

// defaultPage is how many messages an answer holds when nobody says.
const defaultPage = 50

func snapshot(r request) error {
	snap, err := r.Commands.Snapshot(r.ctx(), r.actor(), r.Online)
	if err != nil {
		return err
	}
	r.JSON(http.StatusOK, snap)
	return nil
}

// messages takes ?limit=1..200 (default 50) and ?before=<message id>.
func messages(r request) error {
	limit := defaultPage
	if given := r.Query("limit"); given != "" {
		var err error
		if limit, err = strconv.Atoi(given); err != nil {
			return domain.InvalidField("limit", "limit is a number")
		}
	}
	page, err := r.Commands.Messages(r.ctx(), r.actor(), r.id(0), r.Query("before"), limit)
	if err != nil {
		return err
	}
	r.JSON(http.StatusOK, gin.H{"messages": page})
	return nil
}
