package seasonal

import (
	"context"
	"encoding/binary"
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

// Group forecasts a series with little or no history like its kin: the recent mean, by weekday where the panel is daily, of the series
// that share its last key (the item), else its static attributes (the class) and its first key (the store), else its class, else its store,
// else of all, times the ratio of the series' own sales to theirs. A series without kin is forecast at its own mean.
type Group struct{ NonNegative bool }

// Fit returns a model that looks at the panel only when asked for a forecast.
func (g Group) Fit(context.Context, *panel.Panel, calendar.Step) (forecast.Model, error) {
	return groupModel{g}, nil
}

type groupModel struct{ Group }

func (groupModel) Close() error { return nil }

// MinHistory is the number of steps from its first sale that a series must have for a forecast of its own: 4 weeks, 8 weeks, 6 months.
func MinHistory(f calendar.Frequency) int {
	_, base := yearShape(f)
	return base
}

// Spread is the standard deviation to be expected of a forecast for a series with so many known steps: that of a Poisson variable or, if
// larger, half the forecast where nothing is known. The half shrinks with the square root of what is, against two weeks (four weeks, two
// months).
func Spread(point float64, known int, f calendar.Frequency) float64 {
	p := prior(f)
	return max(math.Sqrt(math.Abs(point)), 0.5*math.Abs(point)*math.Sqrt(p/(p+float64(max(known, 0)))))
}

// Forecast implements [forecast.Model]. Quantiles are normal, with the standard deviation of [Spread].
func (m groupModel) Forecast(ctx context.Context, r forecast.Request) (*forecast.Prediction, error) {
	all := make([]int, r.Panel.Series())
	for s := range all {
		all[s] = s
	}
	return m.forecast(ctx, r, all)
}

func (m groupModel) forecast(ctx context.Context, r forecast.Request, series []int) (*forecast.Prediction, error) {
	p := r.Panel
	out := forecast.NewPrediction(r.Origin, p.Series(), r.Horizon, r.Levels)
	profiles := groupProfiles(p, r.Origin)
	for _, s := range series {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v := historyOf(p, s, r.Origin)
		kin, ok := profiles.like(s)
		if !ok {
			own := v.mean(0, v.n())
			if math.IsNaN(own) {
				continue
			}
			kin = profile{own, own, own, own, own, own, own}
		}
		ratio := kin.ratio(v, p.Frequency, p.Start[s])
		for h := 1; h <= r.Horizon; h++ {
			i := out.At(s, h)
			out.Point[i] = ratio * kin[seasonOf(p.Frequency, r.Origin+calendar.Step(h))]
			Normal(out.Point[i], Spread(out.Point[i], v.n(), p.Frequency), r.Levels, m.NonNegative, out.QuantilesAt(i))
		}
	}
	return out, nil
}

// profile is a mean sale by weekday; without weekdays only the first counts.
type profile [7]float64

func seasonOf(f calendar.Frequency, at calendar.Step) int {
	if f.Unit == calendar.Daily {
		return f.Day(at).Weekday()
	}
	return 0
}

// prior is how many steps of a series say as much of it as its kin do.
func prior(f calendar.Frequency) float64 {
	switch f.Unit {
	case calendar.Weekly:
		return 4
	case calendar.Monthly, calendar.Quarterly, calendar.Yearly:
		return 2
	case calendar.Daily:
	}
	return 14
}

// ratio is the series' own sales over those of its kin at the same steps, shrunk to 1 by two weeks (four weeks, two months) of the kin's.
func (k profile) ratio(v history, f calendar.Frequency, start calendar.Step) float64 {
	prior := prior(f)
	var own, kin, n float64
	for i := max(0, len(v.target)-KinHistory(f)); i < len(v.target); i++ {
		if y, ok := v.at(i); ok {
			own, kin, n = own+y, kin+k[seasonOf(f, start+calendar.Step(i))], n+1
		}
	}
	if n == 0 || kin == 0 {
		return 1
	}
	return (own + prior*kin/n) / (kin + prior*kin/n)
}

// profiles are those of the series with enough history, by kinship and group, the closest kinship first.
type profiles struct {
	kinships [][]int32 // group of every series, by kinship
	of       []map[int32]profile
}

func (g profiles) like(s int) (profile, bool) {
	for k, groups := range g.kinships {
		if v, ok := g.of[k][groups[s]]; ok {
			return v, true
		}
	}
	return profile{}, false
}

// kinships gives every series its group in each kinship that tells series apart; the last is of all. A single key is the series itself and
// makes no kin.
func kinships(p *panel.Panel) [][]int32 {
	var out [][]int32
	several := len(p.Keys) > 1
	if several {
		out = append(out, p.Keys[len(p.Keys)-1].Codes)
	}
	if len(p.Static) > 0 {
		if several {
			out = append(out, grouped(p, append([]panel.Key{p.Keys[0]}, p.Static...)))
		}
		out = append(out, grouped(p, p.Static))
	}
	if several {
		out = append(out, p.Keys[0].Codes)
	}
	return append(out, make([]int32, p.Series()))
}

// grouped numbers the combinations of the keys' values in the order of the series.
func grouped(p *panel.Panel, keys []panel.Key) []int32 {
	out := make([]int32, p.Series())
	seen := map[string]int32{}
	var id []byte
	for s := range out {
		id = id[:0]
		for _, k := range keys {
			id = binary.LittleEndian.AppendUint32(id, uint32(k.Codes[s]))
		}
		code, ok := seen[string(id)]
		if !ok {
			code = int32(len(seen))
			seen[string(id)] = code
		}
		out[s] = code
	}
	return out
}

func groupProfiles(p *panel.Panel, origin calendar.Step) profiles {
	type sums struct{ sum, n [7]float64 }
	g := profiles{kinships: kinships(p)}
	by := make([]map[int32]*sums, len(g.kinships))
	for k := range by {
		by[k] = map[int32]*sums{}
	}
	base := MinHistory(p.Frequency)
	into := make([]*sums, len(by))
	for s := range p.Series() {
		v := historyOf(p, s, origin)
		if v.n() < base {
			continue
		}
		for k := range by {
			c := g.kinships[k][s]
			if by[k][c] == nil {
				by[k][c] = &sums{}
			}
			into[k] = by[k][c]
		}
		for i := max(0, v.n()-KinHistory(p.Frequency)); i < v.n(); i++ {
			if y, ok := v.at(i); ok {
				d := seasonOf(p.Frequency, p.Start[s]+calendar.Step(i))
				for _, a := range into {
					a.sum[d] += y
					a.n[d]++
				}
			}
		}
	}
	mean := func(a *sums) (out profile, ok bool) {
		var sum, n float64
		for d := range a.sum {
			sum, n = sum+a.sum[d], n+a.n[d]
		}
		for d := range out {
			out[d] = sum / max(n, 1)
			if a.n[d] > 0 {
				out[d] = a.sum[d] / a.n[d]
			}
		}
		return out, n > 0
	}
	for k := range by {
		g.of = append(g.of, map[int32]profile{})
		for c, a := range by[k] {
			if v, ok := mean(a); ok {
				g.of[k][c] = v
			}
		}
	}
	return g
}

// Complete wraps a forecaster so that series without a forecast, because they have no or too little history, get that of their [Group].
func Complete(f forecast.Forecaster, nonNegative bool) forecast.Forecaster {
	return completing{f, nonNegative}
}

type completing struct {
	forecast.Forecaster
	nonNegative bool
}

func (c completing) Fit(ctx context.Context, p *panel.Panel, origin calendar.Step) (forecast.Model, error) {
	m, err := c.Forecaster.Fit(ctx, p, origin)
	if err != nil {
		return nil, err
	}
	return CompleteModel(m, c.nonNegative), nil
}

// CompleteModel is [Complete] for a model; closing it closes m.
func CompleteModel(m forecast.Model, nonNegative bool) forecast.Model {
	return completeModel{m, Group{NonNegative: nonNegative}}
}

type completeModel struct {
	forecast.Model
	group Group
}

func (m completeModel) Forecast(ctx context.Context, r forecast.Request) (*forecast.Prediction, error) {
	out, err := m.Model.Forecast(ctx, r)
	if err != nil {
		return nil, err
	}
	return out, m.group.Complete(ctx, r, out, func() (*panel.Panel, error) { return r.Panel, nil })
}

// Complete gives the series of a forecast of r that have no first step the forecast of g. Their kin are looked for in the panel of kin, whose
// last series are those of r.Panel; of the others it needs the last [KinHistory] steps up to the origin. It is asked for where it is needed.
func (g Group) Complete(ctx context.Context, r forecast.Request, out *forecast.Prediction, kin func() (*panel.Panel, error)) error {
	var missing []int
	for s := range out.Series {
		if out.Horizon > 0 && math.IsNaN(out.Point[out.At(s, 1)]) {
			missing = append(missing, s)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	p, err := kin()
	if err != nil {
		return err
	}
	first := p.Series() - out.Series
	r.Panel, r.Levels = p, out.Levels
	for i := range missing {
		missing[i] += first
	}
	f, err := groupModel{g}.forecast(ctx, r, missing)
	if err != nil {
		return err
	}
	n, k := out.Horizon, len(out.Levels)
	for _, from := range missing {
		to := from - first
		copy(out.Point[to*n:(to+1)*n], f.Point[from*n:(from+1)*n])
		copy(out.Quantiles[to*n*k:(to+1)*n*k], f.Quantiles[from*n*k:(from+1)*n*k])
	}
	return nil
}

// KinHistory is how many steps before an origin say what a series' kin are like.
func KinHistory(f calendar.Frequency) int { return 2 * MinHistory(f) }
