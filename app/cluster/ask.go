package cluster

import (
	"context"
	"encoding/json"
	"time"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// commandAsk is the command that asks; its argument is a question.
const commandAsk = "ask"

// askPatience is how long the others have to answer: somewhat more than the
// pace at which they look when no hint reaches them.
const askPatience = 2 * time.Second

// answersPace is how often answers are looked for.
const answersPace = 20 * time.Millisecond

// question is what one node asks all others.
type question struct {
	ID   string `json:"id"`
	From string `json:"from"` // node id
	Kind string `json:"kind"`
	Arg  string `json:"arg"`
}

// Ask asks every other node that is alive, and returns the answers by node id.
// One that doesn't answer within two seconds is left out. hint is called when
// there is something to tell the others of.
func (c *Cluster) Ask(ctx context.Context, kind, arg string, hint func()) (map[string]string, error) {
	others := map[string]bool{}
	for _, n := range c.Nodes() {
		if n.ID != c.cfg.Self.ID {
			others[n.ID] = true
		}
	}
	if len(others) == 0 {
		return nil, nil
	}
	q := question{ID: domain.NewID("ask"), From: c.cfg.Self.ID, Kind: kind, Arg: arg}
	text, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	if err := c.Command(ctx, commandAsk, string(text)); err != nil {
		return nil, err
	}
	hint()
	patience := time.NewTimer(askPatience)
	defer patience.Stop()
	tick := time.NewTicker(answersPace)
	defer tick.Stop()
	for waited := false; ; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-patience.C:
			waited = true
		case <-tick.C:
		}
		there, err := c.db.Answered(ctx, q.ID)
		if err != nil {
			return nil, err
		}
		if there >= len(others) || waited {
			return c.db.TakeAnswers(ctx, q.ID)
		}
	}
}

// answer answers a question of another node.
func (c *Cluster) answer(ctx context.Context, command store.Command) {
	var q question
	if err := json.Unmarshal([]byte(command.Arg), &q); err != nil || q.From == c.cfg.Self.ID {
		return
	}
	if err := c.db.AddAnswer(ctx, q.ID, c.cfg.Self.ID, c.cfg.OnAsk(q.Kind, q.Arg)); err != nil {
		c.cfg.Logger.Debug("a node's question can't be answered", "kind", q.Kind, "error", err)
	}
}
