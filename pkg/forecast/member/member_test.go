package member_test

import (
	"errors"
	"slices"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/forecast/member"
	"salescast/pkg/regress"
	"salescast/pkg/regress/golearn"
)

var errAsked = errors.New("an engine was asked for")

func noEngine(string, map[string]string) (regress.Learner, error) { return nil, errAsked }

func settings() member.Settings {
	return member.Settings{Horizon: 14, Rows: 1000, NonNegative: true, Learners: noEngine}
}

func TestNames(t *testing.T) {
	t.Parallel()
	names := member.Names()
	if sorted := slices.Sorted(slices.Values(names)); len(slices.Compact(sorted)) != len(names) {
		t.Errorf("a name is there twice: %v", names)
	}
	for _, n := range names {
		if s, err := member.Named(n); err != nil || s.Name != n {
			t.Errorf("%s: %+v, %v", n, s, err)
		}
	}
	if _, err := member.Named("lstm"); err == nil {
		t.Error("an unknown name was found")
	}
}

// Members that need no library obey the laws and forecast every series: those without history like their kin.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, s := range member.All() {
		set, traits := settings(), forecasttest.Traits{Quantiles: true}
		switch {
		case s.Name == "golearn":
			// Sums over the panel are added in the order of its series: their last bits may move a split.
			set.Params = map[string]string{"rounds": "4", "sample_rows": "200"} // the laws hold for few trees as for many
			set.Learners, traits = goLearner, forecasttest.Traits{Plan: true, Order: 0.02}
		case s.Kind == member.Prophet:
			set.Country, traits.Plan = "DE", true
		case !s.Statistical():
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			forecasttest.Run(t, traits, func(*testing.T) forecast.Forecaster { return s.Forecaster(set) })
		})
	}
}

func goLearner(engine string, params map[string]string) (regress.Learner, error) {
	if engine != "golearn" {
		return nil, errAsked
	}
	return golearn.NewLearner(params)
}

// A Prophet that is told the country's holidays learns what they do and forecasts the next one so.
func TestProphetKnowsHolidays(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Shape{Frequency: calendar.Frequency{Unit: calendar.Daily}, Stores: 1, Items: 1, Steps: 1000})
	p.Covariates = nil
	days, err := calendar.Holidays("DE")
	if err != nil {
		t.Fatal(err)
	}
	var holidays []calendar.Step
	for i := range p.Target {
		p.Target[i], p.Observed[i] = 100, true
		at := p.Start[0] + calendar.Step(i)
		if _, ok := days.Name(p.Frequency.Day(at)); ok {
			p.Target[i] = 200
			holidays = append(holidays, at)
		}
	}
	next := holidays[len(holidays)-1]
	s, err := member.Named("prophet")
	if err != nil {
		t.Fatal(err)
	}
	for country, known := range map[string]bool{"DE": true, "": false} {
		set := settings()
		set.Country = country
		m, err := s.Forecaster(set).Fit(t.Context(), p, next-1)
		if err != nil {
			t.Fatal(err)
		}
		f, err := m.Forecast(t.Context(), forecast.Request{Panel: p, Origin: next - 1, Horizon: 1})
		if err != nil {
			t.Fatal(err)
		}
		if (f.Point[0] > 150) != known {
			t.Errorf("country %q: a holiday that sells 200 is forecast %.0f", country, f.Point[0])
		}
	}
}

func TestTreesNeedHistoryAndAnEngine(t *testing.T) {
	t.Parallel()
	s, err := member.Named("lightgbm")
	if err != nil {
		t.Fatal(err)
	}
	daily := calendar.Frequency{Unit: calendar.Daily}
	short := forecasttest.Panel(forecasttest.Shape{Frequency: daily, Stores: 1, Items: 1, Steps: 20})
	end, _ := short.End()
	m, err := s.Forecaster(settings()).Fit(t.Context(), short, end)
	if err != nil {
		t.Fatal(err)
	}
	if k := m.(*member.Model).Kind; k != member.Smoothing {
		t.Errorf("twenty days are forecast by %s, want smoothing", k)
	}
	long := forecasttest.Panel(forecasttest.Daily())
	end, _ = long.End()
	if _, err := s.Forecaster(settings()).Fit(t.Context(), long, end); !errors.Is(err, errAsked) {
		t.Errorf("the error of the engine was lost: %v", err)
	}
}

// Defaults follow rules on what was known at the first test origin, and nothing after it.
func TestDefaults(t *testing.T) {
	t.Parallel()
	shape := forecasttest.Daily()
	p := forecasttest.Panel(shape)
	sched, err := backtest.Origins(p, 14, 3)
	if err != nil {
		t.Fatal(err)
	}
	for r := range p.Target {
		p.Target[r] = p.Target[r]*100 + 1000
	}
	want := []string{"lightgbm", "xgboost_recursive", "smoothing", "smoothing_yearly", "lightgbm_log", "theta", "ets", "prophet"}
	if got := member.Defaults(p, sched, false); !slices.Equal(got, want) {
		t.Errorf("large sales of 640 days: %v, want %v", got, want)
	}
	if got := member.Defaults(p, sched, true); !slices.Equal(got, []string{"lightgbm", "smoothing", "smoothing_yearly", "lightgbm_log"}) {
		t.Errorf("fast: %v, want no recursion and no model of single series but smoothing", got)
	}
	zeros := forecasttest.Clone(p)
	for s := range zeros.Series() {
		for at := sched.Test[0] + 1; ; at++ {
			r, ok := zeros.Row(s, at)
			if !ok {
				break
			}
			zeros.Target[r] = 0
		}
	}
	if got := member.Defaults(zeros, sched, false); !slices.Equal(got, want) {
		t.Errorf("zeros after the first test origin changed the members: %v", got)
	}
	shape.Steps = 300
	p = forecasttest.Panel(shape)
	if sched, err = backtest.Origins(p, 14, 3); err != nil {
		t.Fatal(err)
	}
	if got := member.Defaults(p, sched, false); slices.Contains(got, "smoothing_yearly") {
		t.Errorf("300 days have no yearly profile: %v", got)
	}
	shape.Stores, shape.Items, shape.Steps = 5, 10, 640
	p = forecasttest.Panel(shape)
	if sched, err = backtest.Origins(p, 14, 3); err != nil {
		t.Fatal(err)
	}
	if got := member.Defaults(p, sched, false); slices.Contains(got, "theta") || slices.Contains(got, "ets") || !slices.Contains(got, "prophet") {
		t.Errorf("30,000 sales are not a model's for each series, but Prophet's: %v", got)
	}
	p = forecasttest.Panel(forecasttest.Shape{Frequency: calendar.Frequency{Unit: calendar.Monthly}, Stores: 2, Items: 2, Steps: 80, Seed: 1})
	if sched, err = backtest.Origins(p, 6, 3); err != nil {
		t.Fatal(err)
	}
	if got := member.Defaults(p, sched, false); !slices.Contains(got, "theta") {
		t.Errorf("months have no theta: %v", got)
	}
}

// Rows grow with the sales, never faster than they do, and those of validation stay in proportion.
func TestRowsGrow(t *testing.T) {
	t.Parallel()
	last := 0
	for sales := 1; sales < 200_000_000; sales = sales*5/4 + 1 {
		rows := member.Rows(sales, true)
		if rows < last || rows > max(sales, 60_000) {
			t.Errorf("%d sales have %d rows, fewer had %d", sales, rows, last)
		}
		last = rows
		if v := member.Rows(sales, false); v != rows*5/12 {
			t.Errorf("%d rows in validation, %d else", v, rows)
		}
	}
	if last > 1_200_000 {
		t.Errorf("200 million sales have %d rows, which no machine has the memory for", last)
	}
}
