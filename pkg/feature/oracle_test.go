package feature_test

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/panel"
)

var nan = math.NaN()

// oracle answers every feature the slow, obvious way: it walks over the steps and looks each one up.
type oracle struct {
	p      *panel.Panel
	d      feature.Schema
	origin calendar.Step
	target calendar.Step
	series int
	issued calendar.Step // origin of the forecast as a whole
	scale  float64
}

// params are the lengths that go with a frequency, as the package's documentation states them.
type params struct{ season, year, base, near, panelNear, covariates, profile, profileLevel, trend int }

func (o *oracle) params() params {
	switch o.p.Frequency.Unit {
	case calendar.Daily:
		return params{7, 364, 28, 3, 3, 56, 52, 364, 7}
	case calendar.Weekly:
		return params{1, 52, 8, 1, 0, 52, 52, 364, 2}
	case calendar.Quarterly:
		return params{1, 4, 4, 0, 0, 4, 8, 16, 2}
	case calendar.Yearly:
		return params{1, 1, 3, 0, 0, 2, 4, 8, 2}
	case calendar.Monthly:
	}
	return params{1, 12, 6, 0, 0, 12, 24, 48, 2}
}

func (o *oracle) sale(s int, at calendar.Step) float64 {
	r, ok := o.p.Row(s, at)
	if !ok || at > o.origin || !o.p.Observed[r] {
		return nan
	}
	return float64(o.p.Target[r])
}

// sales are the observed sales of steps a to b.
func (o *oracle) sales(a, b calendar.Step) []float64 {
	var v []float64
	for t := max(a, o.p.Start[o.series]); t <= b; t++ {
		if y := o.sale(o.series, t); !math.IsNaN(y) {
			v = append(v, y)
		}
	}
	return v
}

func mean(v []float64) float64 {
	if len(v) == 0 {
		return nan
	}
	s := 0.0
	for _, x := range v {
		s += x
	}
	return s / float64(len(v))
}

func std(v []float64) float64 {
	if len(v) < 2 {
		return nan
	}
	m, s := mean(v), 0.0
	for _, x := range v {
		s += (x - m) * (x - m)
	}
	return math.Sqrt(s / float64(len(v)-1))
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return nan
	}
	w := slices.Sorted(slices.Values(v))
	n := len(w)
	return (w[(n-1)/2] + w[n/2]) / 2
}

func (o *oracle) last(w int) []float64 {
	return o.sales(o.origin-calendar.Step(w)+1, o.origin)
}

func orZero(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return x
}

func (o *oracle) scaleOf(kind feature.ScaleKind) float64 {
	q := o.params()
	level, all, year := orZero(mean(o.last(2*q.base))), orZero(mean(o.last(1<<20))), orZero(mean(o.last(q.year)))
	switch kind {
	case feature.Recent:
		return max(level, 0.05*all) + 0.001*(1+all)
	case feature.Yearly:
		return max((year+level)/2, 0.05*all) + 0.001*(1+all)
	case feature.Overall:
		return max(all, 0.2*level) + 0.001
	case feature.Unscaled:
	}
	return 1
}

// total is the observed sales of steps a to b of the series that keep says.
func (o *oracle) total(a, b calendar.Step, keep func(s int) bool) float64 {
	sum := 0.0
	for s := range o.p.Series() {
		if keep(s) {
			for t := a; t <= b; t++ {
				sum += orZero(o.sale(s, t))
			}
		}
	}
	return sum
}

func (o *oracle) first() calendar.Step { return slices.Min(o.p.Start) }

func (o *oracle) key(name string) (panel.Key, bool) {
	for _, k := range append(slices.Clone(o.p.Keys), o.p.Static...) {
		if k.Name == name {
			return k, true
		}
	}
	return panel.Key{}, false
}

func (o *oracle) cov(name string) (panel.Covariate, bool) {
	for _, c := range o.p.Covariates {
		if c.Name == name {
			return c, true
		}
	}
	return panel.Covariate{}, false
}

func (o *oracle) value(c panel.Covariate, s int, at calendar.Step) float64 {
	r, ok := o.p.Row(s, at)
	if !ok {
		return nan
	}
	return float64(c.Values[r])
}

func (o *oracle) column(name string) float64 {
	q := o.params()
	h := int(o.target - o.origin)
	if k, ok := o.key(strings.TrimSuffix(name, "_code")); ok {
		return float64(k.Codes[o.series])
	}
	if c, ok := o.cov(name); ok {
		return o.value(c, o.series, o.target)
	}
	if v, ok := o.date(name); ok {
		return v
	}
	switch name {
	case "horizon":
		return float64(h)
	case "log_scale":
		return math.Log(o.scale)
	case "age":
		return float64(min(int(o.origin-o.p.Start[o.series]), q.year))
	case "sales_mean_all":
		return mean(o.last(1<<20)) / o.scale
	case "sales_season_lag1":
		return o.season()[0] / o.scale
	case "sales_season_lag2":
		return o.season()[1] / o.scale
	case "sales_season_mean4":
		return mean(observed(o.season()[:4])) / o.scale
	case "sales_season_mean8":
		return mean(observed(o.season())) / o.scale
	case "sales_season_median8":
		return median(observed(o.season())) / o.scale
	case "sales_year_lag", "sales_year_lag_before", "sales_year_lag_after":
		at := o.target - calendar.Step(q.year) + map[string]calendar.Step{"sales_year_lag": 0, "sales_year_lag_before": -1, "sales_year_lag_after": 1}[name]
		return o.sale(o.series, at) / o.scale
	case "sales_year_mean":
		near, _ := o.yearBack(1)
		return near / o.scale
	case "sales_year_level":
		_, level := o.yearBack(1)
		return level / o.scale
	case "sales_year_ratio":
		near, level := o.yearBack(1)
		return near / max(level, 0.02*o.guard())
	case "sales_years_ratio":
		num, den := 0.0, 0.0
		for k := 1; k <= 3; k++ {
			if near, level := o.yearBack(k); !math.IsNaN(near) && !math.IsNaN(level) {
				num, den = num+near, den+level
			}
		}
		if den == 0 {
			return nan
		}
		return num / den
	case "panel_year_ratio":
		return o.panelYear()
	case "panel_trend":
		return o.trend(func(int) bool { return true })
	case "sales_profile", "sales_profile_ratio", "sales_analog", "sales_analog_ratio":
		return o.profile(name)
	}
	return o.numbered(name)
}

func (o *oracle) guard() float64 {
	if o.scale != 1 {
		return o.scale
	}
	return o.scaleOf(feature.Recent)
}

func observed(v []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(v), math.IsNaN)
}

// season is the latest 8 sales on the target's weekday that the origin knows of.
func (o *oracle) season() []float64 {
	var v []float64
	for t := o.target; len(v) < 8; t -= 7 {
		if t <= o.origin {
			v = append(v, o.sale(o.series, t))
		}
	}
	return v
}

func (o *oracle) yearBack(k int) (near, level float64) {
	q := o.params()
	at, from := o.target-calendar.Step(k*q.year), o.origin-calendar.Step(k*q.year)
	n := calendar.Step(q.near)
	return mean(o.sales(at-n, min(at+n, o.origin))), mean(o.sales(from-calendar.Step(q.base)+1, from))
}

func (o *oracle) panelYear() float64 {
	q := o.params()
	all := func(int) bool { return true }
	a := o.target - calendar.Step(q.year) - calendar.Step(q.panelNear)
	b := min(a+2*calendar.Step(q.panelNear), o.origin)
	then := o.origin - calendar.Step(q.year)
	from := then - calendar.Step(q.base) + 1
	if a < o.first() || b < a || from < o.first() {
		return nan
	}
	level := o.total(from, then, all) / float64(q.base)
	if level <= 0 {
		return nan
	}
	return o.total(a, b, all) / float64(b-a+1) / level
}

func (o *oracle) trend(keep func(int) bool) float64 {
	q := o.params()
	from := o.origin - calendar.Step(2*q.base) + 1
	if from < o.first() {
		return nan
	}
	return o.total(o.origin-calendar.Step(q.trend)+1, o.origin, keep) / float64(q.trend) / max(o.total(from, o.origin, keep)/float64(2*q.base), 1e-9)
}

func (o *oracle) profile(name string) float64 {
	q := o.params()
	var num, den, likeNum, likeDen float64
	t := o.origin
	if q.season > 1 {
		for t = o.target; t > o.origin; {
			t -= calendar.Step(q.season)
		}
	}
	for j := range q.profile {
		if y := o.sale(o.series, t); !math.IsNaN(y) {
			w := math.Exp(-float64(j) / (float64(q.profile) / 2))
			num, den = num+w*y, den+w
			d := 0.0
			for i, c := range o.p.Covariates {
				if c.Role == panel.KnownFuture {
					x := (o.value(c, o.series, t) - o.value(c, o.series, o.target)) / o.d.Covariates[i].Spread
					d += orZero(x * x)
				}
			}
			w *= math.Exp(-2 * d)
			likeNum, likeDen = likeNum+w*y, likeDen+w
		}
		t -= calendar.Step(q.season)
	}
	if den == 0 {
		return nan
	}
	base := num / den
	like := (likeNum + 0.05*base) / (likeDen + 0.05)
	switch name {
	case "sales_profile":
		return base / o.scale
	case "sales_profile_ratio":
		return base / max(mean(o.last(q.profileLevel)), 0.01*o.guard())
	case "sales_analog":
		return like / o.scale
	}
	return like / max(base, 1e-9)
}

func (o *oracle) date(name string) (float64, bool) {
	t := o.p.Frequency.Day(o.target).Time()
	_, w := t.ISOWeek()
	dow := float64((int(t.Weekday()) + 6) % 7)
	angle := func(x, n float64) float64 { return 2 * math.Pi * x / n }
	m, d := float64(t.Month()), float64(t.Day())
	v, ok := map[string]float64{
		"day_of_year": float64(t.YearDay()), "month": m, "weekday": dow, "day_of_month": d, "week_of_month": float64((t.Day() - 1) / 7),
		"year": float64(t.Year()), "quarter": float64((int(t.Month())-1)/3 + 1), "week_of_year": float64(w), "is_weekend": math.Floor(dow / 5),
		"month_sin": math.Sin(angle(m, 12)), "month_cos": math.Cos(angle(m, 12)), "day_sin": math.Sin(angle(d, 31)), "day_cos": math.Cos(angle(d, 31)),
		"weekday_sin": math.Sin(angle(dow, 7)), "weekday_cos": math.Cos(angle(dow, 7)),
	}[name]
	if ok {
		return v, true
	}
	from, to := o.p.Frequency.Day(o.target), o.p.Frequency.Day(o.target+1)
	switch name {
	case "since_easter":
		best := 1000
		for y := t.Year() - 1; y <= t.Year()+1; y++ {
			if n := int(from - calendar.Easter(y)); max(n, -n) < max(best, -best) {
				best = n
			}
		}
		return float64(max(-60, min(best, 60))), true
	case "public_holidays", "to_holiday", "since_holiday":
		h, err := calendar.Holidays(o.d.Country)
		if err != nil {
			panic(err)
		}
		count, ahead, behind := 0, 60, 60
		for _, x := range h.Between(from-100, to+100) {
			if x.Day >= from {
				ahead = min(ahead, int(x.Day-from))
			}
			if x.Day <= from {
				behind = min(behind, int(from-x.Day))
			}
			if x.Day >= from && x.Day < to {
				count++ // no two of a German year fall on one day
			}
		}
		return map[string]float64{"public_holidays": float64(count), "to_holiday": float64(ahead), "since_holiday": float64(behind)}[name], true
	}
	return 0, false
}

// numbered answers the columns that carry a number or the name of a key or covariate.
func (o *oracle) numbered(name string) float64 {
	digits := strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyz_")
	n, _ := strconv.Atoi(digits)
	switch stem := strings.TrimSuffix(name, digits); stem {
	case "sales_mean":
		return mean(o.last(n)) / o.scale
	case "sales_std":
		return std(o.last(n)) / o.scale
	case "sales_median":
		return median(o.last(n)) / o.scale
	case "sales_min", "sales_max":
		v := o.last(n)
		if len(v) == 0 {
			return nan
		}
		if stem == "sales_min" {
			return slices.Min(v) / o.scale
		}
		return slices.Max(v) / o.scale
	case "sales_lag":
		return o.sale(o.series, o.origin+1-calendar.Step(n)) / o.scale
	case "sales_zeros":
		v := o.last(n)
		if len(v) == 0 {
			return nan
		}
		return float64(len(v)-len(slices.DeleteFunc(slices.Clone(v), func(x float64) bool { return x == 0 }))) / float64(len(v))
	case "sales_ewm":
		m := nan
		for _, y := range o.last(1 << 20) {
			if math.IsNaN(m) {
				m = y
			}
			m += float64(n) / 100 * (y - m)
		}
		return m / o.scale
	}
	return o.covariate(name, n)
}

func (o *oracle) covariate(name string, n int) float64 {
	q := o.params()
	if k, ok := o.key(strings.TrimSuffix(name, "_trend")); ok {
		return o.trend(func(s int) bool { return k.Codes[s] == k.Codes[o.series] })
	}
	for _, c := range o.p.Covariates {
		rest, ok := strings.CutPrefix(name, c.Name+"_")
		if !ok {
			continue
		}
		x := o.value(c, o.series, o.target)
		var past []float64
		for t := max(o.origin-calendar.Step(q.covariates)+1, o.p.Start[o.series]); t <= o.origin; t++ {
			past = append(past, o.value(c, o.series, t))
		}
		m := mean(observed(past))
		switch {
		case rest == "over_mean":
			return x - m
		case rest == "log_over_mean":
			return math.Log(x / m)
		case strings.HasPrefix(rest, "log_over_"):
			other, _ := o.cov(strings.TrimPrefix(rest, "log_over_"))
			return math.Log(x / o.value(other, o.series, o.target))
		case strings.HasPrefix(rest, "before"):
			return o.value(c, o.series, o.target-calendar.Step(n))
		case strings.HasPrefix(rest, "after"):
			lo, hi := o.p.Span(o.series)
			end := o.p.Start[o.series] + calendar.Step(hi-lo-1)
			return o.value(c, o.series, min(o.target+calendar.Step(n), max(o.target, o.issued+calendar.Step(o.d.Horizon)), end))
		case rest == o.p.Keys[0].Name+"_over":
			var all []float64
			for s := range o.p.Series() {
				if o.p.Keys[0].Codes[s] == o.p.Keys[0].Codes[o.series] {
					all = append(all, o.value(c, s, o.target))
				}
			}
			return mean(observed(all)) - x
		}
	}
	panic("the oracle does not know " + name)
}
