package report

import (
	"fmt"
	"strconv"

	"salescast/pkg/metric"
)

// coverageRow is a group of predictions and how their intervals kept their word.
type coverageRow struct {
	Group, Series, Rows                  string
	C80, C95, Below, Above, Floor, Zeros string
	Worse                                bool
}

func coverageRowOf(group string, s metric.IntervalScores) coverageRow {
	return coverageRow{
		Group: group, Series: count(s.Series), Rows: count(s.Rows), C80: percent(s.Coverage80, 1), C95: percent(s.Coverage95, 1),
		Below: percent(s.Below95, 1), Above: percent(s.Above95, 1), Floor: percent(s.ZeroFloor, 0), Zeros: percent(s.Zeros, 0),
		Worse: s.Rows >= judged && s.Coverage95 < tooNarrow,
	}
}

// maxSteps is the number of steps ahead above which a table tells of weeks of them.
const maxSteps = 14

// horizonCoverage has a row for each step ahead, or for each seven of many.
func (p *Page) horizonCoverage() []coverageRow {
	if p.Coverage == nil {
		return nil
	}
	by := p.Coverage.ByHorizon
	size := 1
	if len(by) > maxSteps {
		size = 7
	}
	var out []coverageRow
	for lo := 0; lo < len(by); lo += size {
		hi := min(lo+size, len(by))
		name := strconv.Itoa(lo + 1)
		if hi > lo+1 {
			name = fmt.Sprintf("%d–%d", lo+1, hi)
		}
		out = append(out, coverageRowOf(name, together(by[lo:hi])))
	}
	return out
}

// together pools rows of several steps ahead.
func together(by []metric.HorizonCoverage) metric.IntervalScores {
	var out metric.IntervalScores
	for _, h := range by {
		out.Series, out.Rows = max(out.Series, h.Series), out.Rows+h.Rows
	}
	for _, h := range by {
		if h.Rows == 0 {
			continue
		}
		w := metric.Value(float64(h.Rows) / float64(out.Rows))
		out.Coverage80, out.Coverage95 = out.Coverage80+w*h.Coverage80, out.Coverage95+w*h.Coverage95
		out.Below95, out.Above95 = out.Below95+w*h.Below95, out.Above95+w*h.Above95
		out.Zeros, out.ZeroFloor = out.Zeros+w*h.Zeros, out.ZeroFloor+w*h.ZeroFloor
	}
	return out
}

// classNames say what a volume class is.
func classNames(class string) string {
	switch class {
	case metric.ClassHigh:
		return "sells most (a third)"
	case metric.ClassMiddle:
		return "middling"
	case metric.ClassLow:
		return "sells least (a third)"
	case metric.ClassIntermittent:
		return "intermittent"
	case metric.ClassNew:
		return "not sold before the test"
	}
	return class
}

func (p *Page) classCoverage() []coverageRow {
	if p.Coverage == nil {
		return nil
	}
	var out []coverageRow
	for _, c := range p.Coverage.ByClass {
		out = append(out, coverageRowOf(classNames(c.Class), c.IntervalScores))
	}
	return out
}

// seriesCoverage says how the coverage of single series spreads.
func (p *Page) seriesCoverage() string {
	if p.Coverage == nil {
		return ""
	}
	o := p.Coverage.OverSeries
	if o.Judged == 0 {
		return "No series was tested often enough for its own coverage to say anything."
	}
	out := fmt.Sprintf("Of the %s tested often enough, the median held %s of its 95\u00a0%% intervals, the lowest %s.", plural(o.Judged, "series"), percent(o.Median, 0), percent(o.Lowest, 0))
	return out + fmt.Sprintf(" %s of them held less than 90\u00a0%%; chance alone would put %s there if misses came one by one, and they come in runs.",
		count(o.Under90), decimal(float64(o.Chance), 1))
}
