package report

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
)

// The picture in points, and its margins.
const (
	stillWidth, stillHeight        = 1000, 380
	stillLeft, stillRight          = 56, 12
	stillTop, stillBottom          = 10, 28
	stillLines                     = 4 // horizontal grid lines
	stillBack                      = 5 // times the steps ahead is the history that is shown
	stillLeastBack                 = 28
	stillLabels                    = 6
	stillInk, stillAccent, stillIn = "var(--actual)", "var(--accent-2)", "var(--soft)"
)

// still is the chart of all series together as a picture, for where scripts do not run, as in some previews of files: the end of the history
// and the forecast with its intervals. A script that runs takes its place.
func (p *payload) still() template.HTML {
	s := p.Total
	ahead := 0
	if s.Next != nil {
		ahead = len(s.Next.Point)
	}
	sold := s.Sold[max(0, len(s.Sold)-max(stillBack*ahead, stillLeastBack)):]
	n := len(sold) + ahead
	start, err := time.Parse(time.DateOnly, s.Start)
	if err != nil || n < 2 {
		return ""
	}
	top := 0.0
	raise := func(values []figure) {
		for _, v := range values {
			if v.known() {
				top = max(top, float64(v))
			}
		}
	}
	raise(sold)
	if s.Next != nil {
		raise(s.Next.Point)
		raise(s.Next.Hi95)
	}
	if top < 1/most {
		top = 1
	}
	top *= 1.05
	x := func(i int) float64 { return stillLeft + float64(i)/float64(n-1)*(stillWidth-stillLeft-stillRight) }
	y := func(v float64) float64 { return stillHeight - stillBottom - v/top*(stillHeight-stillTop-stillBottom) }
	var b strings.Builder
	to := still{b: &b, at: func(step int, v figure) string { return fmt.Sprintf("%.1f %.1f", x(step), y(max(float64(v), 0))) }}
	fmt.Fprintf(&b, `<svg class="still" viewBox="0 0 %d %d" width="100%%" height="100%%" preserveAspectRatio="none" role="img" aria-label="All series together: history and forecast" font-size="12" fill="none">`, stillWidth, stillHeight)
	for i := range stillLines {
		v := top / 1.05 * float64(i) / (stillLines - 1)
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="var(--line)"/><text x="%d" y="%.1f" text-anchor="end" fill="%s">%s</text>`,
			stillLeft, y(v), stillWidth-stillRight, stillLeft-6, y(v)+4, stillIn, rounded(v))
	}
	for i := range stillLabels {
		at := i * (n - 1) / (stillLabels - 1)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" fill="%s">%s</text>`, min(max(x(at), stillLeft), stillWidth-40), stillHeight-8, stillIn,
			p.day(start, len(s.Sold)-len(sold)+at).Format("2 Jan 2006"))
	}
	if next := s.Next; next != nil {
		to.area(next.Lo95, next.Hi95, len(sold), 0.2)
		to.area(next.Lo80, next.Hi80, len(sold), 0.26)
		fmt.Fprintf(&b, `<path d="M%.1f %dV%d" stroke="var(--naive)" stroke-dasharray="3 3"/>`, x(len(sold)-1), stillTop, stillHeight-stillBottom)
		to.curve(next.Point, len(sold), stillAccent, 2.6)
	}
	to.curve(sold, 0, stillInk, 1.6)
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // numbers and dates alone
}

// day is the date of a step of the grid.
func (p *payload) day(start time.Time, steps int) time.Time {
	switch p.Step {
	case "month":
		return start.AddDate(0, steps, 0)
	case "week":
		return start.AddDate(0, 0, 7*steps)
	}
	return start.AddDate(0, 0, steps)
}

// still is the picture that is drawn into; at is where a value of a step stands in it.
type still struct {
	b  *strings.Builder
	at func(step int, v figure) string
}

// curve draws values from the step first on; it breaks where a value is not known.
func (to still) curve(values []figure, first int, color string, width float64) {
	to.b.WriteString(`<path d="`)
	pen := "M"
	for i, v := range values {
		if !v.known() {
			pen = "M"
			continue
		}
		to.b.WriteString(pen + to.at(first+i, v))
		pen = "L"
	}
	fmt.Fprintf(to.b, `" stroke="%s" stroke-width="%g"/>`, color, width)
}

// area fills what lies between two bounds, where both are known.
func (to still) area(lo, hi []figure, first int, opacity float64) {
	if len(lo) == 0 || len(lo) != len(hi) {
		return
	}
	var edge []string
	for i := range lo {
		if !lo[i].known() || !hi[i].known() {
			continue
		}
		edge = append(edge, to.at(first+i, hi[i]))
	}
	for i := range slices.Backward(lo) {
		if lo[i].known() && hi[i].known() {
			edge = append(edge, to.at(first+i, lo[i]))
		}
	}
	if len(edge) > 0 {
		fmt.Fprintf(to.b, `<path d="M%sZ" fill="%s" fill-opacity="%g"/>`, strings.Join(edge, "L"), stillAccent, opacity)
	}
}

// rounded is a number of an axis.
func rounded(v float64) string {
	switch {
	case v >= 1e12:
		return fmt.Sprintf("%.1e", v)
	case v >= 1e7:
		return fmt.Sprintf("%.0fM", v/1e6)
	case v >= 10_000:
		return fmt.Sprintf("%.0fk", v/1000)
	case v >= 1000:
		return fmt.Sprintf("%.1fk", v/1000)
	case v >= 10 || v == 0:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2g", v)
}
