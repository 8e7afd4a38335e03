package pipeline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConfigDefaultsAreValid(t *testing.T) {
	var cfg Config
	cfg.setDefaults()
	require.NoError(t, cfg.Validate())
	require.NotEmpty(t, cfg.Build)
	require.NotEmpty(t, cfg.Node)
	require.NotNil(t, cfg.OnAppended)
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	cfg := Config{
		Lanes: 65, HandlerTimeout: -1, SafetyPoll: -1,
		Retry:     RetryConfig{Budget: -time.Second},
		Retention: RetentionConfig{MaxAge: -1, MaxEntries: -1},
	}
	err := cfg.Validate()
	for _, name := range []string{"lanes", "handler timeout", "safety poll", "retry budget", "retention max age", "retention max entries"} {
		require.ErrorContains(t, err, name)
	}
}
