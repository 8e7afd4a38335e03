package prove

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/orbit/realtime/app/prove/check"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"clock":   func(d time.Duration) string { return d.Round(time.Millisecond).String() },
	"ms":      func(v float64) string { return fmt.Sprintf("%.1f", v) },
	"meaning": func(name string) string { return meaning[name] },
	"broken":  func(r *Report, name string) bool { return slices.Contains(r.Broken(), name) },
	"inc":     func(i int) int { return i + 1 },
	"names":   func() []string { return check.Invariants },
	"join":    func(s []string) string { return strings.Join(s, ", ") },
	"chart":   func(r *Round) chart { return newChart(r) },
}).Parse(page))

// WriteHTML writes a page that needs nothing but itself, with a timeline of each
// round: what was broken when, how late events were, and how often clients
// came back.
func (r *Report) WriteHTML(w io.Writer) error { return pageTemplate.Execute(w, r) }

// The timeline's measures, in units of its viewBox.
const (
	chartWidth = 1000
	chartLeft  = 110
	laneHeight = 14
	plotHeight = 90
	plotGap    = 34
)

// chart is a timeline, laid out.
type chart struct {
	Width, Height int
	Left          int
	Lanes         []lane
	Plots         []plot
	Ticks         []tick
	Marks         []bar // violations
	Top           int   // of the plots
}

type lane struct {
	Name string
	Y    int
	Bars []bar
}

type bar struct {
	X, Width float64
	Title    string
}

type plot struct {
	Title        string
	Y, Bottom    int
	Max          string
	Lines        []line
	HasOverlying bool
}

type line struct{ Points, Class string }

type tick struct {
	X     float64
	Label string
}

func newChart(r *Round) chart {
	c := chart{Width: chartWidth, Left: chartLeft}
	span := math.Max(1, float64(len(r.Timeline)))
	x := func(seconds float64) float64 {
		return chartLeft + seconds/span*(chartWidth-chartLeft-10)
	}
	names := []string{}
	for _, f := range r.Faults {
		if !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	for i, name := range names {
		l := lane{Name: name, Y: 8 + i*(laneHeight+4)}
		for _, f := range r.Faults {
			if f.Name == name {
				l.Bars = append(l.Bars, bar{x(f.Start), math.Max(2, x(f.End)-x(f.Start)), fmt.Sprintf("%s, %.1f s to %.1f s", f.Name, f.Start, f.End)})
			}
		}
		c.Lanes = append(c.Lanes, l)
	}
	c.Top = 8 + len(names)*(laneHeight+4)
	y := c.Top + plotGap
	for _, p := range []struct {
		title  string
		log    bool
		values []func(Second) float64
		class  []string
	}{
		{"command → tab, ms (p50, p99; logarithmic)", true, []func(Second) float64{func(s Second) float64 { return s.P99 }, func(s Second) float64 { return s.P50 }}, []string{"p99", "p50"}},
		{"deliveries a second", false, []func(Second) float64{func(s Second) float64 { return float64(s.Deliveries) }}, []string{"deliveries"}},
		{"resumes a second", false, []func(Second) float64{func(s Second) float64 { return float64(s.Resumes) }}, []string{"resumes"}},
	} {
		most := 1.0
		for _, s := range r.Timeline {
			for _, v := range p.values {
				most = math.Max(most, v(s))
			}
		}
		scale := func(v float64) float64 {
			if p.log {
				return math.Log1p(v) / math.Log1p(most)
			}
			return v / most
		}
		out := plot{Title: p.title, Y: y, Bottom: y + plotHeight, Max: fmt.Sprintf("%.0f", most)}
		for i, v := range p.values {
			var points strings.Builder
			for _, s := range r.Timeline {
				fmt.Fprintf(&points, "%.1f,%.1f ", x(float64(s.At)+0.5), float64(y+plotHeight)-scale(v(s))*plotHeight)
			}
			out.Lines = append(out.Lines, line{points.String(), p.class[i]})
		}
		c.Plots = append(c.Plots, out)
		y += plotHeight + plotGap
	}
	c.Height = y + 4
	for _, v := range r.Violations {
		if v.At > 0 {
			c.Marks = append(c.Marks, bar{X: x(v.At.Seconds()), Title: v.String()})
		}
	}
	step := math.Max(1, math.Ceil(span/12/5)*5)
	if span < 12 {
		step = 1
	}
	for at := 0.0; at < span; at += step {
		c.Ticks = append(c.Ticks, tick{x(at), fmt.Sprintf("%.0f s", at)})
	}
	return c
}
