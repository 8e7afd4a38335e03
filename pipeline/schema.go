package pipeline

import (
	"database/sql"
	"fmt"
	"strings"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"

	"github.com/orbit/realtime/domain"
	"github.com/orbit/realtime/store"
)

// schemaAdapter tells watermill-sql how to read and write our outbox. The stock
// PostgreSQL schema reads only below pg_snapshot_xmin, so that any open write
// transaction in the cluster stops all delivery; ours reads the lane's lowest
// rows, whoever else is writing.
type schemaAdapter struct {
	store *store.Store
	lane  int        // read by SelectQuery
	limit func() int // rows per batch, read by SelectQuery
}

var _ wsql.SchemaAdapter = schemaAdapter{}

func (a schemaAdapter) SelectQuery(p wsql.SelectQueryParams) (wsql.Query, error) {
	query, args := a.store.OutboxSelect(p.Topic, a.lane, a.limit())
	return wsql.Query{Query: query, Args: args}, nil
}

// UnmarshalMessage takes the row as [batchRows] hands it over: scanned already.
func (a schemaAdapter) UnmarshalMessage(p wsql.UnmarshalMessageParams) (wsql.Row, error) {
	var row store.OutboxRow
	if err := p.Row.Scan(&row); err != nil {
		return wsql.Row{}, err
	}
	return wsql.Row{Offset: row.Seq, Msg: messageFromEvent(row.Event)}, nil
}

func (a schemaAdapter) InsertQuery(p wsql.InsertQueryParams) (wsql.Query, error) {
	events := make([]domain.Event, len(p.Msgs))
	for i, msg := range p.Msgs {
		ev, err := eventFromMessage(msg)
		if err != nil {
			return wsql.Query{}, err
		}
		ev.ID = outboxID(p.Topic, ev.ID)
		events[i] = ev
	}
	query, args, err := a.store.OutboxInsert(p.Topic, events...)
	if err != nil {
		return wsql.Query{}, fmt.Errorf("insert into the outbox: %w", err)
	}
	return wsql.Query{Query: query, Args: args}, nil
}

// SchemaInitializingQueries is empty: migrations make the tables.
func (a schemaAdapter) SchemaInitializingQueries(wsql.SchemaInitializingQueriesParams) ([]wsql.Query, error) {
	return nil, nil
}

// SubscribeIsolationLevel is not used: a batch holds no database transaction.
func (a schemaAdapter) SubscribeIsolationLevel() sql.IsolationLevel { return sql.LevelDefault }

// outboxID is the event id under which a message waits. Ids in the outbox are
// unique, and Watermill's UUIDs are so within one topic only; of the topic of
// domain events they are the events' own.
func outboxID(topic, uuid string) string {
	if topic == store.Topic {
		return uuid
	}
	return topic + "/" + uuid // neither topics nor event ids contain a slash
}

// messageUUID is the inverse of outboxID.
func messageUUID(topic, eventID string) string {
	if topic == store.Topic {
		return eventID
	}
	return strings.TrimPrefix(eventID, topic+"/")
}
