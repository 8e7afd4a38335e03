package bench

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// Line is one line of a plot: points in the order of x.
type Line struct {
	Name   string
	points [][2]float64
}

// Add appends a point. x is more than 0, for its axis is logarithmic.
func (l *Line) Add(x, y float64) { l.points = append(l.points, [2]float64{x, y}) }

const (
	plotWidth, plotHeight                            = 640, 360
	marginLeft, marginRight, marginTop, marginBottom = 56, 16, 40, 72
)

// Colours that are told apart by people who see colours differently, too
// (Okabe and Ito, 2008).
var plotColors = []string{"#0072b2", "#999999", "#d55e00", "#009e73", "#cc79a7"}

// Plot draws lines over a logarithmic x axis and a y axis from 0, as an SVG
// image that stands by itself.
func Plot(title, xName, yUnit string, lines []Line) []byte {
	minX, maxX, maxY := math.Inf(1), math.Inf(-1), 0.0
	ticks := map[float64]bool{}
	for _, l := range lines {
		for _, p := range l.points {
			minX, maxX, maxY = min(minX, p[0]), max(maxX, p[0]), max(maxY, p[1])
			ticks[p[0]] = true
		}
	}
	if maxX == minX {
		minX, maxX = minX/2, maxX*2
	}
	if maxY == 0 {
		maxY = 1
	}
	const w, h = plotWidth - marginLeft - marginRight, plotHeight - marginTop - marginBottom
	x := func(v float64) float64 {
		return marginLeft + w*(math.Log(v)-math.Log(minX))/(math.Log(maxX)-math.Log(minX))
	}
	y := func(v float64) float64 { return marginTop + h*(1-v/(1.1*maxY)) }

	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12" fill="#444">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%d" y="22" font-size="15" fill="#111">%s</text>`+"\n", marginLeft, html.EscapeString(title))
	for i := range 5 {
		v := maxY * float64(i) / 4
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#e4e4e4"/><text x="%d" y="%.1f" text-anchor="end">%.3g</text>`+"\n",
			marginLeft, plotWidth-marginRight, y(v), y(v), marginLeft-6, y(v)+4, v)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", marginLeft-6, marginTop-8, html.EscapeString(yUnit))
	for v := range ticks {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n", x(v), plotHeight-marginBottom+18, v)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", marginLeft+w/2, plotHeight-marginBottom+36, html.EscapeString(xName))
	for i, l := range lines {
		color := plotColors[i%len(plotColors)]
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, color)
		for _, p := range l.points {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(p[0]), y(p[1]))
		}
		b.WriteString("\"/>\n")
		for _, p := range l.points {
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, x(p[0]), y(p[1]), color)
		}
		left := marginLeft + i*w/len(lines)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="10" height="10" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
			left, plotHeight-22, color, left+16, plotHeight-13, html.EscapeString(l.Name))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
