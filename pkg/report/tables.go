package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"salescast/pkg/metric"
	"salescast/pkg/panel"
	"salescast/pkg/report/chart"
)

const (
	// maxListed bounds the table of all series.
	maxListed = 1000
	// maxSparks bounds the small pictures in it.
	maxSparks = 300
	// shownWorst is the number of series in the table of the worst.
	shownWorst = 10
	// shownGains is the number of features listed per model.
	shownGains = 12
)

type scoreRow struct {
	Model                                                             string
	Primary, Baseline                                                 bool
	WAPE, RMSSE, MASE, RMSE, MAE, MAPE, R2, Bias, C80, C95, WQL, MSIS string
	Rows, Missing                                                     string
}

func (p *Page) scoreRows() []scoreRow {
	ev := p.Evaluation
	order := make([]int, len(ev.Models))
	for i := range order {
		order[i] = i
	}
	rank := func(m int) int {
		switch ev.Models[m] {
		case p.Primary:
			return 0
		case p.Baseline:
			return 2
		}
		return 1
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(ev.Overall[a].WAPE, ev.Overall[b].WAPE))
	})
	var out []scoreRow
	for _, m := range order {
		s := ev.Overall[m]
		out = append(out, scoreRow{
			Model: display(ev.Models[m]), Primary: ev.Models[m] == p.Primary, Baseline: ev.Models[m] == p.Baseline,
			WAPE: percent(s.WAPE, 1), RMSSE: score(s.RMSSE), MASE: score(s.MASE), RMSE: amount(float64(s.RMSE)), MAE: amount(float64(s.MAE)), MAPE: percent(s.MAPE, 1),
			R2: score(s.R2), Bias: signed(s.Bias), C80: percent(s.Coverage80, 1), C95: percent(s.Coverage95, 1), WQL: score(s.WQL), MSIS: decimalOr(s.MSIS, 2),
			Rows: count(s.Rows), Missing: count(s.Missing),
		})
	}
	return out
}

func decimalOr(v metric.Value, places int) string {
	if !v.Defined() {
		return "–"
	}
	return decimal(float64(v), places)
}

type originRow struct{ Origin, WAPE, Baseline, Bias, C95 string }

func (p *Page) originRows() []originRow {
	m, b := slices.Index(p.Evaluation.Models, p.Primary), slices.Index(p.Evaluation.Models, p.Baseline)
	var out []originRow
	for i, o := range p.Evaluation.Origins {
		s := p.Evaluation.ByOrigin[m][i]
		r := originRow{shortDay(o), percent(s.WAPE, 1), "–", signed(s.Bias), percent(s.Coverage95, 1)}
		if b >= 0 {
			r.Baseline = percent(p.Evaluation.ByOrigin[b][i].WAPE, 1)
		}
		out = append(out, r)
	}
	return out
}

type quantileRow struct {
	Promised, Held string
	Width          string // CSS width of the bar
	Mark           string // where the promise stands
}

func (p *Page) quantileRows() []quantileRow {
	m := slices.Index(p.Evaluation.Models, p.Primary)
	var out []quantileRow
	for j, l := range p.Evaluation.Levels {
		v := p.Evaluation.Held(m, j)
		if v.Defined() {
			out = append(out, quantileRow{percent(metric.Value(l), trimmed(l)), percent(v, 1), fmt.Sprintf("%.1f%%", 100*float64(v)), fmt.Sprintf("%.1f%%", 100*l)})
		}
	}
	return out
}

// trimmed is the number of decimals that a level in percent needs: 10 %, 2.5 %.
func trimmed(l float64) int {
	if math.Abs(100*l-math.Round(100*l)) < 1e-9 {
		return 0
	}
	return 1
}

// seriesRow is one series in the tables; Index is its place among the charts, -1 where it has none.
type seriesRow struct {
	series                                int
	Index                                 int
	Name                                  string
	Keys                                  []string
	wape, sold, missed                    float64
	WAPE, Baseline, Bias, C95, Sold, Next string
	// Sort has the numbers by which the table is sorted.
	Sort           sortKeys
	Worse          bool
	SparkA, SparkB string
	Spark          bool
}

// sortKeys are numbers in HTML attributes; undefined ones sort last.
type sortKeys struct{ WAPE, Baseline, Bias, C95, Sold, Next string }

func nameOf(keys []panel.Key, s int) (name string, parts []string) {
	for _, k := range keys {
		parts = append(parts, k.Levels[k.Codes[s]])
	}
	if len(parts) == 0 {
		return "all", []string{"all"}
	}
	return strings.Join(parts, " · "), parts
}

// seriesRows lists every series, those that sell most first.
func (p *Page) seriesRows() []seriesRow {
	ev := p.Evaluation
	m, b := slices.Index(ev.Models, p.Primary), slices.Index(ev.Models, p.Baseline)
	next, sold := p.all.nextBy, p.all.soldBy
	rows := make([]seriesRow, 0, ev.Series)
	for s, v := range ev.BySeries[m] {
		name, parts := nameOf(p.Backtest.Keys, s)
		n, has := next[strings.Join(parts, "\x00")]
		if !has {
			n = math.NaN()
		}
		base := metric.Value(math.NaN())
		if b >= 0 {
			base = ev.BySeries[b][s].WAPE
		}
		r := seriesRow{
			series: s, Index: -1, Name: name, Keys: parts, wape: float64(v.WAPE), sold: sold[s], missed: float64(v.MAE) * float64(v.Rows),
			WAPE: percent(v.WAPE, 1), Baseline: percent(base, 1), Bias: signed(v.Bias), C95: percent(v.Coverage95, 0), Sold: amount(sold[s]), Next: amount(n),
			Sort:  sortKeys{sortable(float64(v.WAPE)), sortable(float64(base)), sortable(float64(v.Bias)), sortable(float64(v.Coverage95)), sortable(sold[s]), sortable(n)},
			Worse: v.WAPE > base,
		}
		rows = append(rows, r)
	}
	slices.SortStableFunc(rows, func(a, b seriesRow) int { return cmp.Compare(b.sold, a.sold) })
	return rows
}

func sortable(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	return fmt.Sprintf("%.6g", v)
}

// worst returns the series that were missed by most units: mending them helps most.
func worst(rows []seriesRow) []seriesRow {
	out := slices.DeleteFunc(slices.Clone(rows), func(r seriesRow) bool { return math.IsNaN(r.missed) })
	slices.SortStableFunc(out, func(a, b seriesRow) int { return cmp.Compare(b.missed, a.missed) })
	return out[:min(len(out), shownWorst)]
}

// hardest names the series with the largest errors in relation to what they sell.
func hardest(rows []seriesRow) string {
	out := slices.DeleteFunc(slices.Clone(rows), func(r seriesRow) bool { return math.IsNaN(r.wape) })
	slices.SortStableFunc(out, func(a, b seriesRow) int { return cmp.Compare(b.wape, a.wape) })
	var names []string
	for _, r := range out[:min(len(out), 3)] {
		names = append(names, fmt.Sprintf("%s (%s)", r.Name, r.WAPE))
	}
	if len(rows) < 2*len(names) {
		return ""
	}
	return "In relation to what they sell, the hardest are " + strings.Join(names, ", ") + "."
}

type gains struct {
	Model string
	Rows  []gainRow
}

type gainRow struct{ Name, Share, Width string }

func (p *Page) gains() []gains {
	var out []gains
	for _, imp := range p.Importance {
		f := slices.Clone(imp.Features)
		total := 0.0
		for _, x := range f {
			total += max(x.Gain, 0)
		}
		if !(total > 0) || math.IsInf(total, 0) {
			continue
		}
		slices.SortStableFunc(f, func(a, b chart.Feature) int { return cmp.Or(cmp.Compare(b.Gain, a.Gain), cmp.Compare(a.Name, b.Name)) })
		g := gains{Model: display(imp.Model)}
		for _, x := range f[:min(len(f), shownGains)] {
			g.Rows = append(g.Rows, gainRow{x.Name, percent(metric.Value(x.Gain/total), 1), fmt.Sprintf("%.1f%%", 100*max(x.Gain, 0)/f[0].Gain)})
		}
		out = append(out, g)
	}
	return out
}
