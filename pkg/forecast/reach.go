package forecast

import (
	"math"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Reach is how much of the future a source knows: for every known-future covariate and series, at which of the steps after the last
// sale it has a value. A backtest that gives the models more than that at its origins scores a forecast that nobody will get.
type Reach struct {
	// Horizon is the number of steps that were looked at.
	Horizon int
	// Columns are the known-future covariates, with what is known of each.
	Columns []ColumnReach
	series  int
}

// ColumnReach is the reach of one known-future covariate.
type ColumnReach struct {
	Name string
	// Least, Median and Most are the numbers of steps after the last sale with a value, over the series that are still sold.
	Least, Median, Most int
	covariate           int
	known               []bool // series-major, as [Prediction.Point]
}

// Whole says whether all of the horizon is known of the column.
func (c *ColumnReach) Whole(horizon int) bool { return c.Least >= horizon }

// ReachOf measures what p knows of the horizon steps after end. Of a series that has ended it takes what most others have, since it was
// planned like them while it was sold; of nothing but ended series everything counts as unknown.
func ReachOf(p *panel.Panel, end calendar.Step, horizon int) *Reach {
	r := &Reach{Horizon: horizon, series: p.Series()}
	var alive []int
	ended := make([]bool, p.Series())
	for s := range p.Series() {
		if ended[s] = p.Ended(s, end); !ended[s] {
			alive = append(alive, s)
		}
	}
	for c := range p.Covariates {
		if p.Covariates[c].Role != panel.KnownFuture {
			continue
		}
		col := ColumnReach{Name: p.Covariates[c].Name, covariate: c, known: make([]bool, p.Series()*horizon)}
		votes, steps := make([]int, horizon), make([]int, 0, len(alive))
		for _, s := range alive {
			n := 0
			for h := range horizon {
				row, ok := p.Row(s, end+calendar.Step(h+1))
				if ok && p.Covariates[c].Values[row] == p.Covariates[c].Values[row] {
					col.known[s*horizon+h] = true
					votes[h]++
					n++
				}
			}
			steps = append(steps, n)
		}
		for s := range p.Series() {
			for h := range horizon {
				col.known[s*horizon+h] = col.known[s*horizon+h] || ended[s] && 2*votes[h] > len(alive)
			}
		}
		if slices.Sort(steps); len(steps) > 0 {
			col.Least, col.Median, col.Most = steps[0], steps[(len(steps)-1)/2], steps[len(steps)-1]
		}
		r.Columns = append(r.Columns, col)
	}
	return r
}

// Knows says whether the value of covariate c of series s is known h steps after the last sale, 1 or more.
func (r *Reach) Knows(s, c, h int) bool {
	for i := range r.Columns {
		if r.Columns[i].covariate == c {
			return h <= r.Horizon && r.Columns[i].known[s*r.Horizon+h-1]
		}
	}
	return false
}

// Whole says whether every column is known up to the horizon, so that nothing has to be assumed.
func (r *Reach) Whole() bool { return len(r.Short()) == 0 }

// Short are the names of the columns that are not known up to the horizon.
func (r *Reach) Short() []string {
	var out []string
	for i := range r.Columns {
		if !r.Columns[i].Whole(r.Horizon) {
			out = append(out, r.Columns[i].Name)
		}
	}
	return out
}

// Plan is what was known at an origin of the known-future covariates at the steps after it. It is of the panel's memory, and small.
type Plan struct {
	panel   *panel.Panel
	origin  calendar.Step
	horizon int
	// assumed has, for covariates of which something was not known, the values of all series and steps, as [Prediction.Point].
	assumed map[int][]float32
}

// PlanOf is the plan that stands in p itself, from origin on.
func PlanOf(p *panel.Panel, origin calendar.Step) *Plan { return &Plan{panel: p, origin: origin} }

// At is the plan as it was known at origin: at the steps that the reach leaves unknown stands what a forecast assumes there, what was
// usual up to the origin (see [Usual]). The columns of planned are known up to the horizon whatever the reach.
func (r *Reach) At(p *panel.Panel, origin calendar.Step, planned ...string) *Plan {
	out := &Plan{panel: p, origin: origin, horizon: r.Horizon, assumed: map[int][]float32{}}
	for i := range r.Columns {
		if c := &r.Columns[i]; !c.Whole(r.Horizon) && !slices.Contains(planned, c.Name) {
			out.assumed[c.covariate] = c.at(p, origin, r.Horizon)
		}
	}
	return out
}

func (c *ColumnReach) at(p *panel.Panel, origin calendar.Step, horizon int) []float32 {
	all := p.Covariates[c.covariate].Values
	out := make([]float32, p.Series()*horizon)
	for s := range p.Series() {
		lo, hi := p.Span(s)
		past := max(0, int(origin-p.Start[s])+1)
		known := all[lo:min(hi, lo+past)]
		for h := range horizon {
			v := float32(math.NaN())
			if r, ok := p.Row(s, origin+calendar.Step(h+1)); ok {
				v = all[r]
			}
			if !c.known[s*horizon+h] {
				v = Usual(known, past+h, p.Frequency)
			}
			out[s*horizon+h] = v
		}
	}
	return out
}

// Value is that of covariate c of series s, h steps after the origin, 1 or more; NaN where nothing is known.
func (k *Plan) Value(s, c, h int) float32 {
	if v, ok := k.assumed[c]; ok && h <= k.horizon {
		return v[s*k.horizon+h-1]
	}
	if r, ok := k.panel.Row(s, k.origin+calendar.Step(h)); ok {
		return k.panel.Covariates[c].Values[r]
	}
	return float32(math.NaN())
}

// Panel is the panel with this plan in it, for models to forecast from: it shares everything but the columns of which something was not
// known. Sales and past-only covariates after the origin stay; models never read them.
func (k *Plan) Panel() *panel.Panel {
	if len(k.assumed) == 0 {
		return k.panel
	}
	q := *k.panel
	q.Covariates = slices.Clone(q.Covariates)
	for c, v := range k.assumed {
		own := slices.Clone(q.Covariates[c].Values)
		for s := range q.Series() {
			for h := range k.horizon {
				if r, ok := q.Row(s, k.origin+calendar.Step(h+1)); ok {
					own[r] = v[s*k.horizon+h]
				}
			}
		}
		q.Covariates[c].Values = own
	}
	return &q
}
