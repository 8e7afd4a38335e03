package pipeline

import (
	"testing"

	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/stretchr/testify/require"
)

// The stock queue adapter acks every row that was fetched, also when the
// subscriber gave up in the middle: with one message that kept failing, 7 of 10
// were deleted unhandled.
func TestAckStopsAtTheLastHandledRow(t *testing.T) {
	rows := []wsql.Row{{Offset: 3}, {Offset: 5}, {Offset: 8}, {Offset: 9}}
	query, err := offsetsAdapter{}.AckMessageQuery(wsql.AckMessageQueryParams{Rows: rows, LastRow: rows[1]})
	require.NoError(t, err)
	require.Equal(t, ackStatement, query.Query)
	require.Equal(t, []any{[]int64{3, 5}}, query.Args)
}
