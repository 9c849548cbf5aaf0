package servetest

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// coverage counts sales inside of 95 % intervals.
type coverage struct{ inside, all int }

func (c *coverage) add(y, lo, hi float64) {
	c.all++
	if lo <= y && y <= hi {
		c.inside++
	}
}

func (c *coverage) share() float64 { return float64(c.inside) / float64(c.all) }

func (c *coverage) want(t *testing.T, what string, lo, hi float64) {
	t.Helper()
	t.Logf("%s: 95 %% intervals hold %.4f of %d sales", what, c.share(), c.all)
	if s := c.share(); s < lo || s > hi {
		t.Errorf("%s: 95 %% intervals hold %.4f of %d sales", what, s, c.all)
	}
}

// A shop that sends its sales day after day, and is forecast 1 to 28 days ahead each time by a model that is not trained again, finds 93
// to 97 % of what it then sells inside of the 95 % intervals. However the history comes, the answer is the same.
func TestBakeryDayByDay(t *testing.T) {
	t.Parallel()
	b := trained(t)
	s := b.serve(t, nil, "--model", b.workspace)
	sold := map[string]float64{}
	for _, r := range b.rows {
		sold[strings.Join(r[:3], ",")] = number(t, r[3])
	}
	var all coverage
	for day := range heldOut - steps + 1 {
		origin := b.end.AddDate(0, 0, day)
		rows := b.upTo(origin)[1:]
		fresh := slices.DeleteFunc(slices.Clone(rows), func(r []string) bool { return r[2] <= b.end.Format(time.DateOnly) })
		var a answer
		if day == 0 {
			s.ask(t, map[string]any{"plan": columns(b.head[:3], fresh)}, &a)
		} else {
			s.ask(t, map[string]any{"history": columns(b.head, fresh), "append": true}, &a)
		}
		if day%70 == 0 {
			var whole answer
			s.ask(t, map[string]any{"history": columns(b.head, rows)}, &whole)
			same(t, whole, a)
		}
		for _, one := range a.Series {
			if one.Origin != origin.Format(time.DateOnly) {
				t.Fatalf("%v is forecast from %s, want %s", one.ID, one.Origin, origin.Format(time.DateOnly))
			}
			for h, d := range one.Dates {
				all.add(sold[one.ID["store"]+","+one.ID["item"]+","+d], one.Quantiles["0.025"][h], one.Quantiles["0.975"][h])
			}
		}
	}
	all.want(t, "the bakery, day by day", 0.93, 0.97)
}

func same(t *testing.T, a, b answer) {
	t.Helper()
	if len(a.Series) != len(b.Series) || len(a.Series) == 0 {
		t.Fatalf("%d and %d series", len(a.Series), len(b.Series))
	}
	for i, one := range a.Series {
		two := b.Series[i]
		if !maps.Equal(one.ID, two.ID) {
			t.Fatalf("%v and %v", one.ID, two.ID)
		}
		for h, y := range one.Forecast {
			near(t, one.ID, one.Dates[h], y, two.Forecast[h])
			for q, v := range one.Quantiles {
				near(t, one.ID, one.Dates[h]+" "+q, v[h], two.Quantiles[q][h])
			}
		}
	}
}

func near(t *testing.T, id map[string]string, what string, a, b float64) {
	t.Helper()
	if math.Abs(a-b) > 1e-6*(1+math.Abs(a)) {
		t.Fatalf("%v %s: %v and %v", id, what, a, b)
	}
}

// The page's sample generator: an average with a straight trend, a week's wave and normal noise (astro/ui/data.py, sample). The model was
// trained on a bakery's sales and never saw such a series; its intervals hold 93 to 97 % all the same.
func TestGeneratedSeries(t *testing.T) {
	t.Parallel()
	b := trained(t)
	s := b.serve(t, nil, "--model", b.workspace)
	series := 4
	if os.Getenv("SALESCAST_TEST_ALL") != "" {
		series = 20
	}
	r := rand.New(rand.NewPCG(2026, 11))
	var all coverage
	by := map[string]*coverage{}
	count := func(key string, y, lo, hi float64) {
		if by[key] == nil {
			by[key] = &coverage{}
		}
		by[key].add(y, lo, hi)
	}
	for _, days := range []int{60, 90, 180, 365} {
		for _, volatility := range []float64{0.1, 0.2, 0.3} {
			for _, trend := range []float64{-0.2, 0, 0.1, 0.3} {
				for range 3 { // three last days, so that no one season decides
					last := time.Date(2017+r.IntN(9), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC)
					history := map[string][]any{}
					next := map[string][]float64{}
					for k := range series {
						store := fmt.Sprintf("sample_%03d", k)
						for i := range days + steps {
							day := last.AddDate(0, 0, i-days+1)
							level := 1 + trend*float64(i)/float64(days-1)
							wave := volatility * math.Sin(2*math.Pi*float64((int(day.Weekday())+6)%7)/7)
							y := math.Round(100*max(0, 5000*(level+wave+r.NormFloat64()*volatility/2))) / 100
							if i >= days {
								next[store] = append(next[store], y)
								continue
							}
							for name, v := range map[string]any{"store": store, "item": "x", "date": day.Format(time.DateOnly), "sales": y, "promo": 0, "holiday": 0, "holiday_next2": 0, "school_holiday": 0} {
								history[name] = append(history[name], v)
							}
						}
					}
					var a answer
					s.ask(t, map[string]any{"history": history}, &a)
					for _, one := range a.Series {
						for h, y := range next[one.ID["store"]] {
							lo, hi := one.Quantiles["0.025"][h], one.Quantiles["0.975"][h]
							all.add(y, lo, hi)
							count(fmt.Sprintf("%d days", days), y, lo, hi)
							count(fmt.Sprintf("volatility %v", volatility), y, lo, hi)
							count(fmt.Sprintf("trend %v", trend), y, lo, hi)
						}
					}
				}
			}
		}
	}
	all.want(t, "generated series", 0.93, 0.97)
	for _, key := range slices.Sorted(maps.Keys(by)) {
		by[key].want(t, key, 0.90, 0.985)
	}
}
