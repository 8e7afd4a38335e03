package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/orbit/realtime/domain"
)

// Visible shows what would steer a terminal or mislead a reader: control
// characters, escape sequences, marks that turn the direction of text. Line
// breaks and tabs stay.
func Visible(s string) string {
	if !strings.ContainsFunc(s, hidden) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029')
}

// maxShown is how much of one text a page shows, in bytes.
const maxShown = 64 << 10

// shown is a text as a page shows it.
type shown struct {
	Text string
	Cut  int // bytes left out
}

func show(s string) shown {
	if len(s) <= maxShown {
		return shown{Text: Visible(s)}
	}
	return shown{Text: Visible(valid(s[:maxShown])), Cut: len(s) - maxShown}
}

// showJSON indents a document.
func showJSON(raw json.RawMessage) shown {
	var b bytes.Buffer
	if len(raw) > 4*maxShown || json.Indent(&b, raw, "", "  ") != nil {
		return show(string(raw))
	}
	return show(unescaped.ReplaceAllStringFunc(b.String(), func(escape string) string {
		if plain, ok := plainEscapes[escape]; ok {
			return plain
		}
		return escape // a backslash that is escaped itself
	}))
}

// Go escapes in JSON what could end a script of HTML; people needn't see it so.
var (
	unescaped    = regexp.MustCompile(`\\\\|\\u003[ce]|\\u0026`)
	plainEscapes = map[string]string{`\u003c`: "<", `\u003e`: ">", `\u0026`: "&"}
)

// short cuts a text to one line of n characters.
func short(n int, s string) string {
	s = Visible(strings.Join(strings.Fields(s), " "))
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}

// ago says how long ago t was.
func ago(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	d := time.Since(t)
	if d < time.Second {
		return "now"
	}
	return span(d) + " ago"
}

// span is a duration in its largest unit, for people.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return millis(float64(d) / float64(time.Millisecond))
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// millis writes milliseconds with as many digits as mean something.
func millis(ms float64) string {
	switch {
	case ms == 0:
		return "0 ms"
	case ms < 10:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case ms < 1000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	}
	return span(time.Duration(ms * float64(time.Millisecond)))
}

// count writes a number with thousands apart.
func count[T int | int64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// perSecond writes a rate.
func perSecond(n float64) string {
	if n < 10 && n != float64(int(n)) {
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return count(int(n + 0.5))
}

// clock is a time of day to the millisecond, UTC.
func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("15:04:05.000")
}

// full is a time in full, UTC.
func full(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(domain.TimeFormat)
}
