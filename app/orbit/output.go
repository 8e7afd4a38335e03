package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	ops "github.com/orbit/realtime/transport/console"
)

// printJSON prints one object on one line.
func (con console) printJSON(v any) error { return json.NewEncoder(con.out).Encode(v) }

// table prints rows for people; the first is the head.
func (con console) table(rows [][]string) error {
	w := tabwriter.NewWriter(con.out, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// facts prints names with values, those without one left out.
func (con console) facts(rows [][2]string) error {
	w := tabwriter.NewWriter(con.out, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
		}
	}
	return w.Flush()
}

// block prints a text of several lines under a title, indented.
func (con console) block(title, text string) {
	text = ops.Visible(strings.TrimRight(text, "\n"))
	fmt.Fprintf(con.out, "\n%s\n  %s\n", title, strings.ReplaceAll(text, "\n", "\n  "))
}

// indented is a JSON document over several lines.
func indented(raw json.RawMessage) string {
	text, err := json.MarshalIndent(raw, "", "  ")
	if err != nil {
		return string(raw)
	}
	return string(text)
}

// printable cuts s to one line of at most limit characters. What failed may
// have come from anywhere: nothing of it steers the terminal.
func printable(s string, limit int) string {
	s = ops.Visible(strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " "))
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return s
}

// aged is how long ago t was.
func aged(t time.Time) string { return time.Since(t).Round(time.Second).String() }

// progress draws one line that changes, on a terminal's standard error; it
// draws nothing elsewhere.
type progress struct {
	w     io.Writer // nil: no terminal
	drawn bool
}

const barWidth = 30

func (p *progress) draw(done, failed, total int, state string) {
	if p.w == nil || total == 0 {
		return
	}
	full := barWidth * done / total
	fmt.Fprintf(p.w, "\r\x1b[K[%s%s] %d of %d, %d failed, %s", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), done, total, failed, state)
	p.drawn = true
}

func (p *progress) end() {
	if p.drawn {
		fmt.Fprintln(p.w)
	}
}
