package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orbit/realtime/config"
)

// Whatever is set, Validate answers in lines that name their variable, nothing
// panics, and no error or listing holds a secret.
func FuzzConfig(f *testing.F) {
	f.Add("127.0.0.1:8080", "postgres://u:p@h/d", "olga:operator:0123456789abcdef", "https://app.example.com", "ops.example.com", "https://hooks.example.com/x")
	f.Add("", "", "", "", "", "")
	f.Add("[::1", "postgres://%zz@", "a:b:c:d", "*", "a b", "javascript:alert(1)")
	f.Add(":99999", "mysql://x", "::", "http://[::1", "[", "http://")
	f.Fuzz(func(t *testing.T, addr, dsn, token, origin, host, webhook string) {
		const secret = "s3cr3t-0123456789"
		c := config.Default()
		c.Addr, c.AdminAddr, c.DatabaseURL = addr, addr, dsn
		c.AdminTokens, c.AllowedOrigins, c.AdminHosts = []string{token, "olga:operator:" + secret}, []string{origin}, []string{host}
		c.AlertWebhook, c.AlertSecret = webhook, secret
		told := ""
		if err := c.Validate(); err != nil {
			told = err.Error()
			require.Contains(t, told, " (--")
		}
		for _, s := range config.Describe(c, nil) {
			told += s.Value
		}
		told += strings.Join(c.Warnings(), "\n")
		if !strings.Contains(addr+dsn+token+origin+host+webhook, secret) {
			require.NotContains(t, told, secret)
		}
	})
}
