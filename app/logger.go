package app

import (
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/mattn/go-isatty"

	"github.com/orbit/realtime/app/telemetry"
	"github.com/orbit/realtime/config"
)

// newLogger writes text for people on a terminal and JSON elsewhere, unless
// ORBIT_LOG_FORMAT says which.
func newLogger(cfg config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		level = slog.LevelInfo // Validate has refused it before
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	text := cfg.LogFormat == "text"
	if file, ok := w.(*os.File); ok && cfg.LogFormat == "auto" {
		text = isatty.IsTerminal(file.Fd())
	}
	if text {
		return slog.New(telemetry.Logs(slog.NewTextHandler(w, options)))
	}
	return slog.New(telemetry.Logs(slog.NewJSONHandler(w, options)))
}

// readable writes durations as Go does, "20s": JSON would have nanoseconds.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// Build names this build: the module version, or the commit it was built from.
func Build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version, dirty := info.Main.Version, ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			version = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return version + dirty
}
