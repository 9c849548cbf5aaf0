package report

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/metric"
)

const (
	// maxCharted bounds the series that can be charted.
	maxCharted = 150
	// maxPoints bounds the points of history in the page, over all charted series.
	maxPoints = 150_000
)

// figure is a number in the page, with six digits; one that is not known, or beyond any chart, is null.
type figure float64

// most bounds the magnitude of what is charted: the ranges and sums that a browser makes of such figures are finite.
const most = 1e100

// known says whether f has a place in a chart.
func (f figure) known() bool { return math.Abs(float64(f)) <= most } // NaN has none

// MarshalJSON implements json.Marshaler.
func (f figure) MarshalJSON() ([]byte, error) {
	if !f.known() {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(f), 'g', 6, 64), nil
}

// payload is what the page's script draws. Dates of a grid are not repeated: they follow from the first step.
type payload struct {
	Unit    string `json:"unit"`
	Step    string `json:"step"` // day, week or month
	Primary string `json:"primary"`
	// Baseline names what the primary is held against.
	Baseline string          `json:"baseline"`
	Total    chartedSeries   `json:"total"`
	Series   []chartedSeries `json:"series"`
	Horizon  []horizonLine   `json:"horizon"`
}

type chartedSeries struct {
	Name  string `json:"name"`
	Group string `json:"group"`
	Note  string `json:"note"`
	// Start is the first day of Sold, one value per step.
	Start string   `json:"start"`
	Sold  []figure `json:"sold"`
	// Tested are predictions made at the test origins, Next those after the data; bands are null where the model gave none.
	Tested *stretch `json:"tested"`
	Next   *stretch `json:"next"`
}

// stretch is a run of predictions on consecutive steps.
type stretch struct {
	Start string   `json:"start"`
	Point []figure `json:"point"`
	Lo95  []figure `json:"lo95"`
	Lo80  []figure `json:"lo80"`
	Hi80  []figure `json:"hi80"`
	Hi95  []figure `json:"hi95"`
}

type horizonLine struct {
	Model string   `json:"model"`
	Role  string   `json:"role"`
	WAPE  []figure `json:"wape"`
}

// Shown lists the series, by their index among the predictions, whose single sales and predictions the page needs, increasing; it reads
// nothing of the page but Overview, Evaluation, Primary and the keys of Backtest.
func (p *Page) Shown() []int {
	page := *p
	page.all = p.Overview
	rows := page.seriesRows()
	var out []int
	for _, c := range choose(rows) {
		out = append(out, rows[c.row].series)
	}
	for _, r := range rows[:min(len(rows), maxSparks)] {
		out = append(out, r.series)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// payload chooses the series to chart and gives each of those rows its Index.
func (p *Page) payload(rows []seriesRow) *payload {
	out := &payload{Unit: p.Target, Step: units(p.Panel.Frequency), Primary: display(p.Primary), Baseline: display(p.Baseline), Series: []chartedSeries{}, Horizon: p.horizonLines()}
	at := map[string]int{}
	for s := range p.Panel.Series() {
		_, parts := nameOf(p.Panel.Keys, s)
		at[strings.Join(parts, "\x00")] = s
	}
	chosen := choose(rows)
	steps := max(maxPoints/max(len(chosen), 1), 4*p.Evaluation.Horizons)
	m := slices.Index(p.Evaluation.Models, p.Primary)
	tested, next := rowsBySeries(p.Backtest, m), rowsBySeries(p.Forecast, -1)
	for i, c := range chosen {
		r := &rows[c.row]
		r.Index = i
		key := strings.Join(r.Keys, "\x00")
		s, ok := at[key]
		if !ok {
			continue
		}
		cs := chartedSeries{Name: r.Name, Group: c.group, Note: "WAPE " + r.WAPE + ", baseline " + r.Baseline}
		cs.Start, cs.Sold = p.history(s, steps)
		cs.Tested = p.stretch(p.Backtest, tested[key], steps)
		cs.Next = p.stretch(p.Forecast, next[key], steps)
		out.Series = append(out.Series, cs)
	}
	out.Total = p.total(steps)
	return out
}

type choice struct {
	row   int
	group string
}

// choose picks the rows that get a chart: all of them, or the ones that a reader asks for first and some by lot. rows are sorted by
// sales; the choice is grouped in the order in which it is listed.
func choose(rows []seriesRow) []choice {
	var out []choice
	if len(rows) <= maxCharted {
		for i := range rows {
			out = append(out, choice{i, "Series, by sales"})
		}
		return out
	}
	taken := make([]bool, len(rows))
	take := func(order []int, n int, group string) {
		for _, i := range order {
			if n > 0 && !taken[i] {
				taken[i] = true
				n--
				out = append(out, choice{i, group})
			}
		}
	}
	all := make([]int, 0, len(rows))
	scored := make([]int, 0, len(rows))
	for i, r := range rows {
		all = append(all, i)
		if !math.IsNaN(r.wape) {
			scored = append(scored, i)
		}
	}
	take(all, maxCharted/3, "Largest sales")
	byMiss := slices.Clone(scored)
	slices.SortStableFunc(byMiss, func(a, b int) int { return cmp.Compare(rows[b].wape, rows[a].wape) })
	take(byMiss, maxCharted/3, "Worst forecast")
	slices.Reverse(byMiss)
	take(byMiss, maxCharted/6, "Best forecast")
	lot := rand.New(rand.NewPCG(1, 1)).Perm(len(rows))
	take(lot, maxCharted-len(out), "Drawn by lot")
	return out
}

// history returns the sales of the panel's series s up to the end of the data, at most the last n steps.
func (p *Page) history(s, n int) (start string, sold []figure) {
	first := p.Panel.Start[s]
	end := p.all.end
	if !p.all.observed || end < first {
		return p.Panel.Frequency.Day(first).String(), []figure{}
	}
	first = max(first, end-calendar.Step(n)+1)
	sold = make([]figure, 0, end-first+1)
	for at := first; at <= end; at++ {
		v := math.NaN()
		if row, ok := p.Panel.Row(s, at); ok && p.Panel.Observed[row] {
			v = float64(p.Panel.Target[row])
		}
		sold = append(sold, figure(v))
	}
	return p.Panel.Frequency.Day(first).String(), sold
}

// rowsBySeries lists the rows of model m, or of every model where m is -1, by the joined keys of their series.
func rowsBySeries(pr *backtest.Predictions, m int) map[string][]int {
	out := map[string][]int{}
	if pr == nil {
		return out
	}
	ids := map[int32]string{}
	for i := range pr.Rows() {
		if m >= 0 && int(pr.Model[i]) != m {
			continue
		}
		s := pr.Series[i]
		if _, ok := ids[s]; !ok {
			_, parts := nameOf(pr.Keys, int(s))
			ids[s] = strings.Join(parts, "\x00")
		}
		out[ids[s]] = append(out[ids[s]], i)
	}
	return out
}

// stretch lays predictions on the grid, at most the last steps of them; where several origins forecast one step, the latest stands.
func (p *Page) stretch(pr *backtest.Predictions, rows []int, steps int) *stretch {
	if len(rows) == 0 {
		return nil
	}
	step := func(i int) calendar.Step {
		s, _ := p.Panel.Frequency.Step(pr.Date[i])
		return s
	}
	first, last := step(rows[0]), step(rows[0])
	for _, i := range rows {
		first, last = min(first, step(i)), max(last, step(i))
	}
	first = max(first, last-calendar.Step(steps)+1)
	n := int(last-first) + 1
	ends := [...]int{level(pr.Levels, 0.025), level(pr.Levels, 0.1), level(pr.Levels, 0.9), level(pr.Levels, 0.975)}
	out := &stretch{Start: p.Panel.Frequency.Day(first).String(), Point: nothing(n)}
	bands := [...]*[]figure{&out.Lo95, &out.Lo80, &out.Hi80, &out.Hi95}
	for k, b := range bands {
		if ends[k] >= 0 {
			*b = nothing(n)
		}
	}
	for _, i := range rows {
		at := int(step(i) - first)
		if at < 0 {
			continue
		}
		out.Point[at] = figure(pr.Forecast[i])
		for k, b := range bands {
			if ends[k] >= 0 {
				(*b)[at] = figure(pr.Quantiles[i*len(pr.Levels)+ends[k]])
			}
		}
	}
	return out
}

func nothing(n int) []figure {
	f := make([]figure, n)
	for i := range f {
		f[i] = figure(math.NaN())
	}
	return f
}

func level(levels []float64, want float64) int {
	return slices.IndexFunc(levels, func(l float64) bool { return math.Abs(l-want) < 1e-9 })
}

// total is of all series. Quantiles of a sum are not the sum of quantiles, so only sums that were calibrated have a band.
func (p *Page) total(steps int) chartedSeries {
	out := chartedSeries{Name: "All series together", Note: "no interval: those of single series cannot be added up", Sold: []figure{}}
	all, f := p.all, p.Panel.Frequency
	if !all.observed {
		return out
	}
	steps = max(steps, 800)
	first := max(min(all.start, all.end), all.end-calendar.Step(steps)+1)
	out.Start = f.Day(first).String()
	for at := first; at <= all.end; at++ {
		out.Sold = append(out.Sold, figure(all.sold[at]))
	}
	out.Tested, out.Next = p.stretch(p.BacktestTotals, allRows(p.BacktestTotals), steps), p.stretch(p.ForecastTotals, allRows(p.ForecastTotals), steps)
	if out.Tested == nil {
		out.Tested = stretchOf(f, all.tested, steps)
	}
	if out.Next == nil {
		out.Next = stretchOf(f, all.next, steps)
	}
	if banded := func(s *stretch) bool { return s != nil && s.Lo95 != nil }; banded(out.Tested) || banded(out.Next) {
		out.Note = "its interval is calibrated on the errors of the sum"
	}
	return out
}

// allRows lists the rows of totals that are the sums of all series.
func allRows(totals *backtest.Predictions) []int {
	var out []int
	if totals == nil {
		return nil
	}
	for i, s := range totals.Series {
		if level := totals.Keys[0]; level.Levels[level.Codes[s]] == metric.AllSeries {
			out = append(out, i)
		}
	}
	return out
}

func (p *Page) horizonLines() []horizonLine {
	out := []horizonLine{}
	for m, name := range p.Evaluation.Models {
		l := horizonLine{Model: display(name), Role: name}
		switch name {
		case p.Primary:
			l.Role = "primary"
		case p.Baseline:
			l.Role = "baseline"
		}
		for _, s := range p.Evaluation.ByHorizon[m] {
			l.WAPE = append(l.WAPE, figure(s.WAPE))
		}
		out = append(out, l)
	}
	return out
}

// sparkSteps is how much history a small picture shows.
const sparkSteps = 84

// spark gives the first rows small pictures of the last sales and of what is forecast: points of an SVG of 140 x 28.
func (p *Page) spark(rows []seriesRow) {
	next := rowsBySeries(p.Forecast, -1)
	at := map[string]int{}
	for s := range p.Panel.Series() {
		_, parts := nameOf(p.Panel.Keys, s)
		at[strings.Join(parts, "\x00")] = s
	}
	for i := range rows[:min(len(rows), maxSparks)] {
		key := strings.Join(rows[i].Keys, "\x00")
		s, ok := at[key]
		if !ok {
			continue
		}
		_, sold := p.history(s, sparkSteps)
		var ahead []figure
		if st := p.stretch(p.Forecast, next[key], maxPoints); st != nil {
			ahead = st.Point
		}
		rows[i].SparkA, rows[i].SparkB = polylines(sold, ahead)
		rows[i].Spark = len(sold)+len(ahead) > 1
	}
}

func polylines(sold, ahead []figure) (a, b string) {
	top := 0.0
	for _, v := range slices.Concat(sold, ahead) {
		if v.known() {
			top = max(top, float64(v))
		}
	}
	if top < 1/most {
		top = 1
	}
	n := max(len(sold)+len(ahead)-1, 1)
	line := func(v []figure, from int) string {
		var s strings.Builder
		for i, y := range v {
			if !y.known() {
				continue
			}
			s.WriteString(strconv.FormatFloat(140*float64(from+i)/float64(n), 'f', 1, 64))
			s.WriteByte(',')
			s.WriteString(strconv.FormatFloat(27-26*max(float64(y)/top, -1), 'f', 1, 64))
			s.WriteByte(' ')
		}
		return strings.TrimSpace(s.String())
	}
	return line(sold, 0), line(ahead, len(sold))
}
