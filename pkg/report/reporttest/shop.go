// Package reporttest makes the sales and predictions of a small invented shop, for tests of what is drawn and told of them.
package reporttest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Shop is a panel of daily sales with weekly and yearly seasons, closed days and holidays, and predictions of it.
type Shop struct {
	Panel       *panel.Panel
	Predictions *backtest.Predictions
	// Forecast holds the ensemble's rows after the end of the data, without actuals.
	Forecast *backtest.Predictions
	Horizon  int
}

// Levels are the quantile levels of every prediction.
var Levels = []float64{0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975}

// normal quantiles of Levels.
var normal = []float64{-1.96, -1.2816, -0.6745, 0, 0.6745, 1.2816, 1.96}

// Awkward is an item whose name would break out of HTML, a script or CSV.
const Awkward = `Rye "N" <script>alert('x')</script>, 1/2`

// New makes a shop of stores x items over days, with origins test origins of horizon days. The same arguments give the same shop.
func New(stores, items, days, origins, horizon int) *Shop {
	rng := rand.New(rand.NewPCG(7, 11))
	store, item := panel.Key{Name: "store"}, panel.Key{Name: "item"}
	for s := range stores {
		store.Levels = append(store.Levels, fmt.Sprintf("B%03d", s+1))
	}
	for i := range items - 1 {
		item.Levels = append(item.Levels, fmt.Sprintf("P%d", 101+i))
	}
	item.Levels = append(item.Levels, Awkward)
	end := calendar.DateOf(2019, time.April, 30)
	p := &panel.Panel{Frequency: calendar.Frequency{Unit: calendar.Daily}, Offsets: []int{0}}
	for s := range stores {
		for i := range items {
			store.Codes, item.Codes = append(store.Codes, int32(s)), append(item.Codes, int32(i))
			p.Start = append(p.Start, calendar.Step(int(end)-days+1))
			level := math.Exp(rng.NormFloat64()*0.7 + 4.5)
			weekend := 0.6 + 1.2*rng.Float64()
			wobble := 0.0
			for d := range days {
				day := calendar.Day(int(end) - days + 1 + d)
				wobble = 0.9*wobble + 0.05*rng.NormFloat64()
				y := level * math.Exp(wobble+0.15*math.Sin(2*math.Pi*float64(day.YearDay())/365)+0.18*rng.NormFloat64())
				if day.Weekday() >= 5 {
					y *= weekend
				}
				if _, m, dom := day.Date(); m == time.December && dom == 25 || m == time.January && dom == 1 {
					y = 0
				}
				p.Target = append(p.Target, float32(math.Round(y)))
				p.Observed = append(p.Observed, rng.IntN(500) != 0)
			}
			p.Offsets = append(p.Offsets, len(p.Target))
		}
	}
	p.Keys = []panel.Key{store, item}
	shop := &Shop{Panel: p, Horizon: horizon}
	shop.predict(rng, int(end), origins, horizon)
	return shop
}

func (shop *Shop) predict(rng *rand.Rand, end, origins, horizon int) {
	p := shop.Panel
	models := []string{"ensemble", "lightgbm", "seasonal_naive", "xgboost"}
	noise := map[string]float64{"ensemble": 0.15, "lightgbm": 0.19, "xgboost": 0.18}
	shop.Predictions = &backtest.Predictions{Keys: p.Keys, Models: models, Levels: Levels}
	shop.Forecast = &backtest.Predictions{Keys: p.Keys, Models: models[:1], Levels: Levels}
	for m, name := range models {
		for o := origins; o >= 0; o-- {
			into := shop.Predictions
			if o == 0 {
				into = shop.Forecast
			}
			cut := end - o*horizon
			for s := range p.Series() {
				for h := 1; h <= horizon && (o > 0 || m == 0); h++ {
					lag := 7 * ((h + 6) / 7)
					naive, _ := p.Row(s, calendar.Step(cut+h-lag))
					truth, actual := float64(p.Target[naive]), math.NaN()
					if row, ok := p.Row(s, calendar.Step(cut+h)); ok {
						truth = float64(p.Target[row])
						if p.Observed[row] {
							actual = truth
						}
					}
					f := float64(p.Target[naive])
					sd := 0.45
					if n, ok := noise[name]; ok {
						sd = n * (1 + 0.02*float64(h))
						f = max(truth*(1+sd*rng.NormFloat64())+0.01*truth, 0)
					}
					into.Model, into.Series = append(into.Model, int32(m)), append(into.Series, int32(s))
					into.Cutoff, into.Date = append(into.Cutoff, calendar.Day(cut)), append(into.Date, calendar.Day(cut+h))
					into.Horizon, into.Actual, into.Forecast = append(into.Horizon, int32(h)), append(into.Actual, actual), append(into.Forecast, f)
					q := make([]float64, len(Levels))
					for j, z := range normal {
						q[j] = max(f*(1+sd*z), 0)
					}
					slices.Sort(q)
					into.Quantiles = append(into.Quantiles, q...)
				}
			}
		}
	}
}
