package hub

import (
	"strings"

	"github.com/orbit/realtime/domain"
)

// tagLength is how much of a node's id its sessions' ids begin with: 40 random
// bits, which two nodes don't share by chance.
const tagLength = 8

// sessionID makes the id of a session, from which OfNode tells the node.
func (h *Hub) sessionID() string {
	id := domain.NewID("s")
	if tag := nodeTag(h.cfg.NodeID); tag != "" {
		return "s_" + tag + id[len("s_")+len(tag):]
	}
	return id
}

// nodeTag is the beginning of the random part of a node's id.
func nodeTag(nodeID string) string {
	_, random, _ := strings.Cut(nodeID, "_")
	return random[:min(tagLength, len(random))]
}

// OfNode tells whether a session's id was made on the node.
func OfNode(sessionID, nodeID string) bool {
	tag := nodeTag(nodeID)
	return tag != "" && strings.HasPrefix(sessionID, "s_"+tag)
}

// Foreign tells whether a session's id may be that of another node. Without
// nodes there are none.
func (h *Hub) Foreign(sessionID string) bool {
	return h.cfg.NodeID != "" && sessionID != "" && !OfNode(sessionID, h.cfg.NodeID)
}
