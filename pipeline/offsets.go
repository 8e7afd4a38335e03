package pipeline

import (
	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
)

// ackStatement is what offsetsAdapter asks a batch to execute. It is no SQL:
// [batch.ExecContext] knows it and commits.
const ackStatement = "orbit: commit the batch"

// offsetsAdapter acknowledges rows. There is no cursor and no consumer group:
// acknowledged rows are deleted, so a late commit has nothing to slip behind.
type offsetsAdapter struct{}

var _ wsql.OffsetsAdapter = offsetsAdapter{}

// AckMessageQuery names the rows up to LastRow, and no more. The library calls
// it with every row it fetched, also when it gave up in the middle; its own
// queue adapter acks them all and so loses those that were not handled.
func (offsetsAdapter) AckMessageQuery(p wsql.AckMessageQueryParams) (wsql.Query, error) {
	seqs := make([]int64, 0, len(p.Rows))
	for _, row := range p.Rows {
		seqs = append(seqs, row.Offset)
		if row.Offset == p.LastRow.Offset {
			break
		}
	}
	return wsql.Query{Query: ackStatement, Args: []any{seqs}}, nil
}

func (offsetsAdapter) ConsumedMessageQuery(wsql.ConsumedMessageQueryParams) (wsql.Query, error) {
	return wsql.Query{}, nil
}

func (offsetsAdapter) NextOffsetQuery(wsql.NextOffsetQueryParams) (wsql.Query, error) {
	return wsql.Query{}, nil
}

func (offsetsAdapter) SchemaInitializingQueries(wsql.OffsetsSchemaInitializingQueriesParams) ([]wsql.Query, error) {
	return nil, nil
}

func (offsetsAdapter) BeforeSubscribingQueries(wsql.BeforeSubscribingQueriesParams) ([]wsql.Query, error) {
	return nil, nil
}
