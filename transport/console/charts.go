package console

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/orbit/realtime/domain"
)

// spark is a small chart, in the units of a viewBox of sparkWidth by
// sparkHeight: drawn here, so that the page needs no script for it.
type spark struct {
	Name, Unit string
	Now, Peak  string
	Line, Area string // path data; "" with fewer than two points
}

const (
	sparkWidth  = 240.0
	sparkHeight = 44.0
)

func newSpark(name, unit string, points []float64, format func(float64) string) spark {
	s := spark{Name: name, Unit: unit, Now: "–", Peak: "–"}
	if len(points) == 0 {
		return s
	}
	top := 0.0
	for _, p := range points {
		top = max(top, p)
	}
	s.Now, s.Peak = format(points[len(points)-1]), format(top)
	if len(points) < 2 {
		return s
	}
	var line strings.Builder
	for i, p := range points {
		x := float64(i) * sparkWidth / float64(len(points)-1)
		y := sparkHeight - 1
		if top > 0 {
			y -= p / top * (sparkHeight - 3)
		}
		letter := 'L'
		if i == 0 {
			letter = 'M'
		}
		fmt.Fprintf(&line, "%c%.1f %.1f", letter, x, y)
	}
	s.Line = line.String()
	s.Area = fmt.Sprintf("%sL%.1f %.1fL0 %.1fZ", s.Line, sparkWidth, sparkHeight, sparkHeight)
	return s
}

// sparks are the dashboard's charts.
func sparks(series []domain.Sample) []spark {
	of := func(pick func(domain.Sample) float64) []float64 {
		points := make([]float64, len(series))
		for i, sample := range series {
			points[i] = pick(sample)
		}
		return points
	}
	whole := func(n float64) string { return count(int(n)) }
	return []spark{
		newSpark("Published", "events/s", of(func(s domain.Sample) float64 { return s.Published }), perSecond),
		newSpark("Projected", "events/s", of(func(s domain.Sample) float64 { return s.Projected }), perSecond),
		newSpark("Written to tabs", "deliveries/s", of(func(s domain.Sample) float64 { return s.Written }), perSecond),
		newSpark("Commit to tab", "p99", of(func(s domain.Sample) float64 { return s.TotalP99 }), millis),
		newSpark("Outbox", "waiting", of(func(s domain.Sample) float64 { return float64(s.Pending) }), whole),
		newSpark("Sessions", "open here", of(func(s domain.Sample) float64 { return float64(s.Sessions) }), whole),
		newSpark("Poison", "open", of(func(s domain.Sample) float64 { return float64(s.Poison) }), whole),
	}
}

// bar is one leg of the waterfall: percentages of the picture's width.
type bar struct {
	domain.Stage
	Total      bool
	Start      float64 // where the legs before end, by their medians
	P50W, P95W float64
	P99X       float64
	FromTo     string
}

var legs = map[string]string{
	"claimed": "commit → claimed", "projected": "claimed → projected", "committed": "projected → in the log",
	"written": "log → written to a tab", "total": "commit → tab",
}

// waterfall lays the legs of the way one behind the other.
func waterfall(stages []domain.Stage) []bar {
	far, start := 0.0, 0.0
	for _, s := range stages {
		if s.Name == "total" {
			far = max(far, s.P99)
			continue
		}
		far = max(far, start+s.P99)
		start += s.P50
	}
	if far == 0 {
		far = 1
	}
	bars := make([]bar, 0, len(stages))
	start = 0
	for _, s := range stages {
		b := bar{Stage: s, Total: s.Name == "total", FromTo: legs[s.Name]}
		if b.FromTo == "" {
			b.FromTo = s.Name
		}
		if !b.Total {
			b.Start = start / far * 100
			start += s.P50
		}
		b.P50W, b.P95W = max(0.4, s.P50/far*100), max(0.4, s.P95/far*100)
		b.P99X = min(99.6, b.Start+s.P99/far*100)
		bars = append(bars, b)
	}
	return bars
}

// slice is one line of a breakdown: a name, a number, and its share of the
// biggest in percent.
type slice struct {
	Name  string
	N     int
	Share float64
}

func breakdown(counts map[string]int) []slice {
	top := 0
	for _, n := range counts {
		top = max(top, n)
	}
	list := make([]slice, 0, len(counts))
	for name, n := range counts {
		list = append(list, slice{Name: name, N: n, Share: 100 * float64(n) / float64(max(1, top))})
	}
	slices.SortFunc(list, func(a, b slice) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) })
	return list
}
