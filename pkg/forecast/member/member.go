package member

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ets"
	"salescast/pkg/forecast/global"
	"salescast/pkg/forecast/prophet"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/forecast/theta"
	"salescast/pkg/panel"
)

// Kind is a family of forecasters.
type Kind string

// The kinds. All but Trees and Prophet look at nothing but sales.
const (
	Trees           Kind = "trees"
	Prophet         Kind = "prophet"
	Theta           Kind = "theta"
	ETS             Kind = "ets"
	Smoothing       Kind = "smoothing"
	SmoothingYearly Kind = "smoothing_yearly"
	SeasonalNaive   Kind = "seasonal_naive"
)

// Spec declares a member.
type Spec struct {
	Name  string
	Kind  Kind
	About string
	// Trees is set for the kind Trees.
	Trees global.Spec
	// MaxRows is the most training rows that the engine can make use of; 0 is no bound.
	MaxRows int
}

// Statistical says that the member knows nothing of covariates.
func (s Spec) Statistical() bool { return s.Kind != Trees && s.Kind != Prophet }

// Baseline is the member that every other must beat; it has no weight unless it is asked for.
const Baseline = "seasonal_naive"

// All returns every member.
func All() []Spec {
	trees := func(name, about, engine string, strategy global.Strategy, target global.Target, scale string) Spec {
		return Spec{Name: name, Kind: Trees, About: about, Trees: global.Spec{Engine: engine, Strategy: strategy, Target: target, Scale: scale}}
	}
	golearn := trees("golearn", "a few small trees in Go alone, on a sample: a baseline that needs no library", "golearn", global.Direct, global.Ratio, "recent")
	golearn.MaxRows = golearnRows
	return []Spec{
		trees("lightgbm", "LightGBM on all series, any step ahead at once", "lightgbm", global.Direct, global.Ratio, "recent"),
		trees("xgboost", "XGBoost on all series, any step ahead at once", "xgboost", global.Direct, global.Ratio, "year"),
		trees("lightgbm_recursive", "LightGBM on all series, step by step", "lightgbm", global.Recursive, global.Ratio, "year"),
		trees("xgboost_recursive", "XGBoost on all series, step by step", "xgboost", global.Recursive, global.Ratio, "recent"),
		trees("lightgbm_log", "LightGBM on the logarithm of large sales", "lightgbm", global.Direct, global.Log, "exp"),
		golearn,
		{Name: "prophet", Kind: Prophet, About: "Prophet, one model per series: trend, seasons, holidays and covariates"},
		{Name: "theta", Kind: Theta, About: "the dynamic optimised theta method, one model per series"},
		{Name: "ets", Kind: ETS, About: "exponential smoothing in state space form with a damped trend and a season, one model per series"},
		{Name: "smoothing", Kind: Smoothing, About: "exponential smoothing with a weekday profile"},
		{Name: "smoothing_yearly", Kind: SmoothingYearly, About: "exponential smoothing with weekday and yearly profiles"},
		{Name: Baseline, Kind: SeasonalNaive, About: "the last sale of the same season"},
	}
}

// Names returns the names of all members.
func Names() []string {
	var out []string
	for _, s := range All() {
		out = append(out, s.Name)
	}
	return out
}

// Named returns the member of a name.
func Named(name string) (Spec, error) {
	all := All()
	i := slices.IndexFunc(all, func(s Spec) bool { return s.Name == name })
	if i < 0 {
		return Spec{}, fmt.Errorf("there is no model %q; the models are %v", name, Names())
	}
	return all[i], nil
}

const (
	// logZeros and logMean say when logarithms suit: few zeros, such as those of closed days, and large counts.
	logZeros, logMean = 0.10, 30
	// yearlyBases is the history beyond a year, in multiples of the shortest that is forecast, that the yearly profile needs.
	yearlyBases = 2
	// nativeSales and prophetSales are how many sales up to the first test origin a panel may have for a model of every series to be worth
	// its time: with more there is more for trees to learn.
	nativeSales  = 20_000
	prophetSales = 40_000
)

// Defaults returns the members that suit a panel, from what is known at the first test origin: trees of one engine for any step, and of the
// other step by step, and smoothing; the yearly profile where most series are longer than a year; logarithms where sales are large and
// seldom 0; and models of single series, which cost by the sale: theta and exponential smoothing where there are few sales, or steps are
// months, of which no series has many, and Prophet where there are not many. Those that are fast have one engine and one strategy.
func Defaults(p *panel.Panel, s backtest.Schedule, fast bool) []string {
	origin := s.End
	if len(s.Test) > 0 {
		origin = s.Test[0]
	}
	oldest := origin
	if len(s.Validation) > 0 {
		oldest = s.Validation[0]
	}
	out := []string{"lightgbm", "xgboost_recursive", "smoothing"}
	if fast {
		out = []string{"lightgbm", "smoothing"}
	}
	var zeros, rows int
	var means []float64
	lengths := make([]int, 0, p.Series())
	for i := range p.Series() {
		lengths = append(lengths, int(oldest-p.Start[i])+1)
		lo, hi := p.Span(i)
		sum, n := 0.0, 0
		for r := lo; r < min(hi, lo+int(origin-p.Start[i])+1); r++ {
			if p.Observed[r] {
				n++
				sum += float64(p.Target[r])
				if p.Target[r] == 0 {
					zeros++
				}
			}
		}
		rows += n
		if n > 0 {
			means = append(means, sum/float64(n))
		}
	}
	slices.Sort(lengths)
	slices.Sort(means)
	if len(lengths) > 0 && lengths[len(lengths)/2] >= p.Frequency.Year()+yearlyBases*seasonal.MinHistory(p.Frequency) {
		out = append(out, "smoothing_yearly")
	}
	if rows > 0 && float64(zeros) < logZeros*float64(rows) && means[len(means)/2] >= logMean {
		out = append(out, "lightgbm_log")
	}
	if p.Frequency.Unit == calendar.Monthly || !fast && rows <= nativeSales {
		out = append(out, "theta", "ets")
	}
	if !fast && rows <= prophetSales {
		out = append(out, "prophet")
	}
	return out
}

// Settings are what a member is fitted with.
type Settings struct {
	Horizon int
	// Rows is the most training rows of trees.
	Rows        int
	Seed        uint64
	Country     string
	NonNegative bool
	// Threads is the number of series that are fitted at once, one model each; 0 is 1. Trees do not ask it.
	Threads int
	// Params override the engine's parameters of trees.
	Params   map[string]string
	Learners global.Learners
	// Watch is told how the training loss of trees falls; it may be nil.
	Watch func(rounds int, loss float64)
}

const (
	// leastRows are the training rows of a panel of so many sales or fewer; with more there are as many rows as sales, up to everySale,
	// and beyond that they grow with the fourth root: by then twice the rows gain a hundredth of the error, and cost twice the time.
	leastRows, everySale = 60_000, 200_000
	// golearnRows is four times what golearn samples: its trees take seconds on more.
	golearnRows = 2400
)

// Rows is the number of training rows of trees for a panel of so many sales: of forecasts that are shown, and of those that weights are
// learned from, which do with five twelfths.
func Rows(sales int, shown bool) int {
	rows := min(max(sales, leastRows), everySale)
	if sales > everySale {
		rows = int(everySale * math.Sqrt(math.Sqrt(float64(sales)/everySale)))
	}
	if !shown {
		rows = rows * 5 / 12
	}
	return rows
}

// Forecaster returns the member as a forecaster whose models are *[Model]. Where the history is too short for trees it is smoothing.
func (s Spec) Forecaster(set Settings) forecast.Forecaster { return fitter{s, set} }

type fitter struct {
	spec Spec
	set  Settings
}

// Model is a fitted member. Series without enough history are forecast like their kin.
type Model struct {
	forecast.Model
	// Own is the Model without its kin: it has no forecast, NaN, of series without enough history.
	Own forecast.Model
	// Kind is what was fitted: Smoothing also where the history was too short for trees.
	Kind Kind
	// Country is whose public holidays the member was told; a Prophet alone keeps them here.
	Country string
	// Trees is set for the kind Trees; closing the Model closes it.
	Trees *global.Model
}

// NeedsPlan says whether it reads known-future covariates.
func (m *Model) NeedsPlan() bool { return m.Kind == Trees || m.Kind == Prophet }

// Fit implements [forecast.Forecaster].
func (f fitter) Fit(ctx context.Context, p *panel.Panel, origin calendar.Step) (forecast.Model, error) {
	if f.spec.Kind != Trees {
		return Native(ctx, f.spec.Kind, f.set)
	}
	m, err := f.spec.Global(f.set).Fit(ctx, p, origin)
	if errors.Is(err, global.ErrTooShort) {
		return Native(ctx, Smoothing, f.set)
	}
	if err != nil {
		return nil, err
	}
	return FromTrees(m.(*global.Model)), nil
}

// Global returns what fits the trees of a member of that kind.
func (s Spec) Global(set Settings) global.Forecaster {
	rows := set.Rows
	if s.MaxRows > 0 {
		rows = min(rows, s.MaxRows)
	}
	spec := s.Trees
	spec.Country, spec.NonNegative, spec.Params = set.Country, set.NonNegative, set.Params
	return global.Forecaster{Spec: spec, Horizon: set.Horizon, Rows: rows, Seed: set.Seed, Learners: set.Learners, Watch: set.Watch}
}

// FromTrees wraps fitted trees, which it owns from then on.
func FromTrees(m *global.Model) *Model {
	return &Model{Model: seasonal.CompleteModel(m, m.Spec().NonNegative), Own: m, Kind: Trees, Trees: m}
}

// Native returns a member of a kind whose models are fitted when they are asked for a forecast, to the history of the request. Of set it
// looks at Country, NonNegative, Seed and Threads.
func Native(ctx context.Context, k Kind, set Settings) (*Model, error) {
	var f forecast.Forecaster
	switch k {
	case Smoothing, SmoothingYearly:
		f = seasonal.Smoothing{Yearly: k == SmoothingYearly, NonNegative: set.NonNegative}
	case SeasonalNaive:
		f = seasonal.Naive{NonNegative: set.NonNegative}
	case Theta:
		f = theta.Forecaster{NonNegative: set.NonNegative, Threads: set.Threads, Seed: set.Seed}
	case ETS:
		f = ets.Forecaster{NonNegative: set.NonNegative, Threads: set.Threads}
	case Prophet:
		f = ProphetForecaster(set)
	case Trees:
		return nil, errors.New("trees must be fitted")
	default:
		return nil, fmt.Errorf("there is no kind of forecaster %q", k)
	}
	m, err := f.Fit(ctx, nil, 0) // it looks at the panel only when asked for a forecast
	if err != nil {
		return nil, err
	}
	return &Model{Model: seasonal.CompleteModel(m, set.NonNegative), Own: m, Kind: k, Country: set.Country}, nil
}

// ProphetForecaster is what a member of the kind Prophet fits each series with.
func ProphetForecaster(set Settings) prophet.Forecaster {
	o := prophet.DefaultOptions()
	o.SeasonalityMode = prophet.ByZeros
	return prophet.Forecaster{Options: o, Country: set.Country, NonNegative: set.NonNegative, Threads: set.Threads, Seed: set.Seed}
}
