package config_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/config"
)

func TestOperators(t *testing.T) {
	c := config.Default()
	c.AdminTokens = []string{"alice:operator:sixteen-chars-ok", " bob.b:viewer:with:colons:in:it:ok"}
	operators, err := c.Operators()
	require.NoError(t, err)
	require.Equal(t, []config.Operator{
		{Name: "alice", Role: "operator", Token: "sixteen-chars-ok"},
		{Name: "bob.b", Role: "viewer", Token: "with:colons:in:it:ok"},
	}, operators)
	require.NoError(t, c.Validate())
}

func TestOperatorsRefused(t *testing.T) {
	for _, tc := range []struct {
		tokens []string
		want   string
	}{
		{[]string{"alice"}, "entry 1 is not name:role:token"},
		{[]string{"alice:sekrit-sekrit-sekrit"}, "entry 1 is not name:role:token"},
		{[]string{"al ice:viewer:sekrit-sekrit-sekrit"}, "a name is"},
		{[]string{":viewer:sekrit-sekrit-sekrit"}, "a name is"},
		{[]string{"alice:root:sekrit-sekrit-sekrit"}, "viewer, operator"},
		{[]string{"alice:viewer:sekrit"}, "16 to 256"},
		{[]string{"alice:viewer:sekrit sekrit sekrit"}, "16 to 256"},
		{[]string{"a:viewer:sekrit-sekrit-sekrit", "a:viewer:other-sekrit-sekrit"}, "entry 2 repeats"},
		{[]string{"a:viewer:sekrit-sekrit-sekrit", "b:viewer:sekrit-sekrit-sekrit"}, "entry 2 repeats"},
	} {
		c := config.Default()
		c.AdminTokens = tc.tokens
		err := c.Validate()
		require.ErrorContains(t, err, "ORBIT_ADMIN_TOKENS (--admin-tokens)")
		require.ErrorContains(t, err, tc.want)
		require.NotContains(t, err.Error(), "sekrit", "no error holds a token")
	}
}

func TestTokensAreMasked(t *testing.T) {
	c := config.Default()
	c.AdminTokens = []string{"alice:operator:sekrit-sekrit-sekrit", "broken-sekrit"}
	var table bytes.Buffer
	require.NoError(t, config.WriteTable(&table, config.Describe(c, nil)))
	require.Contains(t, table.String(), "alice:operator:*****,*****")
	require.NotContains(t, table.String(), "sekrit")
}
