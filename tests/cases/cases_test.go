package casestest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"salescast/pkg/calendar"
)

const days = 180

var unsold = math.NaN()

// An item that is planned and was never sold is forecast like the items of its class in the same store, from the day it is listed.
func TestNewItemIsForecastLikeItsClass(t *testing.T) {
	t.Parallel()
	s := newShop(3, 4, days)
	s.columns, s.data.Static = ",class", []string{"class"}
	class := map[string]string{"I1": "small", "I2": "small", "I3": "large", "I4": "large", "I9": "large"}
	const listed = 4 // days before it is on the shelf
	for d := days + listed; d < days+horizon; d++ {
		s.add("S2", "I9", d, unsold)
	}
	for i := range s.rows {
		s.rows[i].more = "," + class[s.rows[i].item]
	}
	r := s.run(t)
	got := r.ahead["S2 I9"]
	if len(got) != horizon-listed || got[0].date != (monday+days+listed).String() {
		t.Fatalf("it has %d forecasts: %v", len(got), got)
	}
	for i, v := range got {
		d := days + listed + i
		want := (usual(1, 2, d) + usual(1, 3, d)) / 2
		if math.Abs(v.forecast-want) > 0.2*want {
			t.Errorf("%s: %v, and its class sells %v", v.date, v.forecast, want)
		}
		if v.q[0] > 0.75*want || v.q[len(v.q)-1] < 1.25*want {
			t.Errorf("%s: an interval from %v to %v says more than is known", v.date, v.q[0], v.q[len(v.q)-1])
		}
	}
	if r.overall("ensemble").Missing != 0 {
		t.Errorf("scores: %+v", r.overall("ensemble"))
	}
}

// A series of a few days is forecast like its kin, at its own level.
func TestShortHistory(t *testing.T) {
	t.Parallel()
	s := newShop(3, 3, days)
	const known = 10
	for d := days - known; d < days; d++ {
		s.add("S4", "I1", d, 2*usual(0, 0, d)) // twice what the item sells elsewhere
	}
	s.run(t).near(t, "S4 I1", 0.35, func(h int) float64 { return 2 * usual(0, 0, days-1+h) })
}

// A series that ended is forecast no more, and the totals count it as nothing; another that is silent for as long as it often was goes on.
func TestItemThatEnded(t *testing.T) {
	t.Parallel()
	s := newShop(2, 3, days)
	for d := range 100 {
		s.add("S1", "gone", d, usual(0, 9, d))
	}
	for d := 0; d < days; d += 45 { // four times in all, the last of them 45 days ago
		s.add("S1", "rare", d, 30)
	}
	r := s.run(t)
	if n := len(r.ahead["S1 gone"]); n != 0 {
		t.Errorf("it has %d forecasts", n)
	}
	if !strings.Contains(r.warnings["forecast"], "1 series have ended") {
		t.Errorf("warnings: %q", r.warnings["forecast"])
	}
	if n := len(r.ahead["S1 rare"]); n != horizon {
		t.Errorf("what sells rarely has %d forecasts", n)
	}
	totals := string(r.file(t, "forecast", "forecast_totals.csv"))
	if !strings.Contains(totals, "store,S1") || strings.Contains(totals, "item,gone") && !strings.Contains(totals, "item,gone,"+(monday+days).String()) {
		t.Errorf("totals:\n%s", totals)
	}
	// The policy decides: nothing ends, or everything that was silent for a month.
	s.data.EndedAfter = -1
	if n := len(s.run(t).ahead["S1 gone"]); n != horizon {
		t.Errorf("where nothing ends it has %d forecasts", n)
	}
	s.data.EndedAfter = 30
	if r := s.run(t); len(r.ahead["S1 rare"]) != 0 || len(r.ahead["S1 I1"]) != horizon {
		t.Error("30 days of silence end what sells rarely, and nothing else")
	}
}

// Demand that is mostly 0 has quantiles of 0, and intervals that hold as often as they say.
func TestIntermittentDemand(t *testing.T) {
	t.Parallel()
	s := newShop(0, 0, 0)
	rng := rand.New(rand.NewPCG(1, 2))
	for k := range 12 {
		for d := range 400 {
			y := 0.0
			if rng.Float64() < 0.25 {
				y = float64(1 + rng.IntN(4))
			}
			s.add("S1", fmt.Sprintf("I%02d", k), d, y)
		}
	}
	s.origins = 4
	r := s.run(t)
	zero, all := 0, 0
	for _, v := range r.ahead["S1 I03"] {
		all++
		if v.q[0] == 0 && v.q[1] == 0 && v.q[2] < 0.5 { // nothing, in pieces
			zero++
		}
		if v.q[6] < 1 {
			t.Errorf("%s: the highest quantile is %v", v.date, v.q[6])
		}
	}
	if zero < all {
		t.Errorf("%d of %d days have quantiles of 0", zero, all)
	}
	e := r.overall("ensemble")
	// 672 sales: 94 to 99 %. The lower end is 0, so that nothing can lie under it: 97.5 % is what an honest upper end holds.
	if c := float64(e.Coverage95); c < 0.94 || c > 0.995 {
		t.Errorf("95 %% intervals hold %.1f %%", 100*c)
	}
	if b := math.Abs(float64(e.Bias)); b > 0.1 {
		t.Errorf("the bias is %.1f %%", 100*b)
	}
}

// Days on which a flag closes the shop are 0, whatever the weekday; a holiday that moves is learned as a holiday.
func TestClosedDaysAndMovingHolidays(t *testing.T) {
	t.Parallel()
	s := newShop(0, 0, 0)
	s.columns, s.data.KnownFuture = ",closed,feast", []string{"closed", "feast"}
	const n = 500
	closed := func(d int) bool { return d%31 == 17 }
	feast := func(d int) bool { return d%25 == d/25*9%25 } // at no fixed distance
	demand := func(k, i, d int) float64 {
		switch {
		case closed(d):
			return 0
		case feast(d):
			return 3 * usual(k, i, d)
		}
		return usual(k, i, d)
	}
	flag := map[bool]string{false: "0", true: "1"}
	feasts := 0
	for k := range 3 {
		for i := range 2 {
			for d := range n + horizon {
				y := unsold
				if d < n {
					y = demand(k, i, d)
				}
				s.add(fmt.Sprintf("S%d", k), fmt.Sprintf("I%d", i), d, y)
				s.rows[len(s.rows)-1].more = "," + flag[closed(d)] + "," + flag[feast(d) && !closed(d)]
			}
		}
	}
	r := s.run(t)
	for k := range 3 {
		for h, v := range r.ahead[fmt.Sprintf("S%d I1", k)] {
			d := n + h
			switch want := demand(k, 1, d); {
			case closed(d) && (v.forecast != 0 || v.q[6] != 0):
				t.Errorf("%s is closed, and the forecast is %v to %v", v.date, v.forecast, v.q[6])
			case feast(d) && !closed(d):
				feasts++
				if v.forecast < 0.7*want || v.forecast > 1.3*want {
					t.Errorf("%s is a feast, and the forecast is %v, want about %v", v.date, v.forecast, want)
				}
			}
		}
	}
	shut := 0
	for d := n; d < n+horizon; d++ {
		if closed(d) {
			shut++
		}
	}
	if feasts == 0 || shut == 0 {
		t.Fatalf("%d feasts and %d closed days lie ahead: the test says nothing", feasts, shut)
	}
}

// A promotion that stands in the plan and was never seen changes nothing that could be known, and breaks nothing.
func TestPromotionNeverSeen(t *testing.T) {
	t.Parallel()
	plan := func(promo string) *result {
		s := newShop(2, 3, days)
		s.columns, s.data.KnownFuture = ",promo", []string{"promo"}
		for k := range 2 {
			for i := range 3 {
				for d := days; d < days+horizon; d++ {
					s.add(fmt.Sprintf("S%d", k+1), fmt.Sprintf("I%d", i+1), d, unsold)
				}
			}
		}
		for i := range s.rows {
			s.rows[i].more = ",0"
			if s.rows[i].day >= days+3 && s.rows[i].day < days+6 {
				s.rows[i].more = "," + promo
			}
		}
		return s.run(t)
	}
	with, without := plan("1"), plan("0")
	for id := range without.ahead {
		with.near(t, id, 0.1, func(h int) float64 { return without.ahead[id][h-1].forecast })
	}
	with.near(t, "S2 I3", 0.15, func(h int) float64 { return usual(1, 2, days-1+h) })
}

// A level that broke a month ago is followed: the forecast stands at the new level, not between the two.
func TestLevelBreakLastMonth(t *testing.T) {
	t.Parallel()
	s := newShop(2, 4, 2*days)
	const broke = 2*days - 30
	for i := range s.rows {
		if r := &s.rows[i]; r.item == "I2" && r.day >= broke {
			r.sold = math.Round(0.4 * r.sold)
		}
	}
	r := s.run(t)
	for k := range 2 {
		r.near(t, fmt.Sprintf("S%d I2", k+1), 0.25, func(h int) float64 { return 0.4 * usual(k, 1, 2*days-1+h) })
		r.near(t, fmt.Sprintf("S%d I3", k+1), 0.15, func(h int) float64 { return usual(k, 2, 2*days-1+h) })
	}
}

// A series that never sold is forecast 0, with quantiles of 0, and disturbs no other.
func TestAllZeroSeries(t *testing.T) {
	t.Parallel()
	s := newShop(2, 3, days)
	for d := range days {
		s.add("S1", "never", d, 0)
	}
	r := s.run(t)
	for _, v := range r.ahead["S1 never"] {
		if v.forecast > 0.01 || v.q[6] > 0.5 {
			t.Errorf("%s: %v, up to %v", v.date, v.forecast, v.q[6])
		}
	}
	r.near(t, "S1 I3", 0.15, func(h int) float64 { return usual(0, 2, days-1+h) })
	// All series of a source may be so.
	none := newShop(0, 0, 0)
	for d := range days {
		none.add("S1", "I1", d, 0)
		none.add("S1", "I2", d, 0)
	}
	for id, rows := range none.run(t).ahead {
		for _, v := range rows {
			if v.forecast != 0 || v.q[6] != 0 {
				t.Errorf("%s on %s: %v, up to %v", id, v.date, v.forecast, v.q[6])
			}
		}
	}
}

// One series alone is forecast, with one key and with trees.
func TestOneSeriesOnly(t *testing.T) {
	t.Parallel()
	s := newShop(1, 1, 300)
	s.data.Keys, s.data.Ignore = []string{"item"}, []string{"store"}
	s.run(t).near(t, "I1", 0.15, func(h int) float64 { return usual(0, 0, 299+h) })
}

// Three sales are enough for a forecast, which says that it could not be tested.
func TestThreePointsOnly(t *testing.T) {
	t.Parallel()
	s := newShop(1, 1, 3)
	r := s.run(t)
	got := r.ahead["S1 I1"]
	if len(got) != horizon {
		t.Fatalf("%d forecasts", len(got))
	}
	for _, v := range got {
		if v.forecast < 15 || v.forecast > 30 || !(v.q[0] < v.forecast && v.forecast < v.q[6]) {
			t.Errorf("%s: %v, from %v to %v", v.date, v.forecast, v.q[0], v.q[6])
		}
	}
	if !strings.Contains(r.warnings["ensemble"], "too short") {
		t.Errorf("warnings: %q", r.warnings)
	}
	if got[0].date != (monday + calendar.Day(3)).String() {
		t.Errorf("the forecast begins on %s", got[0].date)
	}
}
