package feature_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/panel"
)

var (
	daily     = calendar.Frequency{Unit: calendar.Daily}
	weekly    = calendar.Frequency{Unit: calendar.Weekly, Anchor: 0}
	monthly   = calendar.Frequency{Unit: calendar.Monthly}
	quarterly = calendar.Frequency{Unit: calendar.Quarterly, Anchor: 1}
	yearly    = calendar.Frequency{Unit: calendar.Yearly, Anchor: 3, End: true}
)

// randomPanel has stores x items series of up to steps steps, begun at different times, with gaps, zeros and a plan of plan steps
// after the last sale, and the covariates promo (a flag of the store), stock (numeric, with holes), price and rival_price, and
// weather, which is known of the past only.
func randomPanel(seed uint64, f calendar.Frequency, stores, items, steps, plan int) *panel.Panel {
	g := rand.New(rand.NewPCG(seed, 1))
	first, _ := f.Step(calendar.DateOf(2016, 2, 1))
	p := &panel.Panel{Frequency: f, Offsets: []int{0}}
	store, item, region := panel.Key{Name: "store"}, panel.Key{Name: "item"}, panel.Key{Name: "region", Levels: []string{"east", "west"}}
	for i := range stores {
		store.Levels = append(store.Levels, fmt.Sprintf("s%02d", i))
	}
	for i := range items {
		item.Levels = append(item.Levels, fmt.Sprintf("i%02d", i))
	}
	cov := []panel.Covariate{
		{Name: "promo", Role: panel.KnownFuture},
		{Name: "stock", Role: panel.KnownFuture},
		{Name: "price", Role: panel.KnownFuture},
		{Name: "rival_price", Role: panel.KnownFuture},
		{Name: "weather", Role: panel.PastOnly},
	}
	for a := range stores {
		for b := range items {
			start := 0
			if a+b > 0 {
				start = g.IntN(steps / 2)
			}
			p.Start = append(p.Start, first+calendar.Step(start))
			store.Codes, item.Codes, region.Codes = append(store.Codes, int32(a)), append(item.Codes, int32(b)), append(region.Codes, int32(a%2))
			level := math.Exp(3 * g.NormFloat64())
			end := steps
			if g.IntN(4) == 0 {
				end -= g.IntN(steps / 8) // discontinued
			}
			for t := start; t < end+plan; t++ {
				y, seen := nan, t < end && (t == start || g.IntN(10) > 0)
				if seen || t < end {
					y = math.Max(0, math.Round(level*(1+math.Sin(float64(t)))+g.NormFloat64()*level)*0.25)
				}
				p.Target, p.Observed = append(p.Target, float32(y)), append(p.Observed, seen)
				add := func(i int, v float64) { cov[i].Values = append(cov[i].Values, float32(v)) }
				add(0, float64((t/5+a)%4/3))
				if g.IntN(20) == 0 {
					add(1, nan)
				} else {
					add(1, g.NormFloat64())
				}
				add(2, 1+math.Round(10*g.Float64())/4)
				add(3, 2+math.Round(8*g.Float64())/4)
				if t < end {
					add(4, 20*g.Float64())
				} else {
					add(4, nan)
				}
			}
			p.Offsets = append(p.Offsets, len(p.Target))
		}
	}
	p.Keys, p.Static, p.Covariates = []panel.Key{store, item}, []panel.Key{region}, cov
	return p
}

type setup struct {
	name    string
	f       calendar.Frequency
	steps   int
	horizon int
}

var setups = []setup{{"daily", daily, 900, 28}, {"weekly", weekly, 190, 13}, {"monthly", monthly, 70, 18}, {"quarterly", quarterly, 48, 8}, {"yearly", yearly, 30, 5}}

// make returns a panel, the plan of every family for it, and the origin of its last forecast.
func (u setup) make(t *testing.T, seed uint64) (*panel.Panel, *feature.Plan, calendar.Step) {
	t.Helper()
	p := randomPanel(seed, u.f, 3, 2, u.steps, u.horizon)
	origin, ok := p.End()
	if !ok {
		t.Fatal("the panel has no sales")
	}
	plan, err := feature.NewPlan(feature.Spec{Families: feature.Families()}, feature.Describe(p, origin, u.horizon, "DE"))
	if err != nil {
		t.Fatal(err)
	}
	return p, plan, origin
}

// randomRows draws rows of all series whose targets lie within the panel.
func randomRows(g *rand.Rand, p *panel.Panel, origin calendar.Step, horizon, n int) []feature.Row {
	rows := make([]feature.Row, n)
	for i := range rows {
		s := g.IntN(p.Series())
		o := p.Start[s] + calendar.Step(g.IntN(int(origin-p.Start[s])+1))
		rows[i] = feature.Row{Series: int32(s), Origin: o, Target: o + calendar.Step(1+g.IntN(horizon))}
	}
	return rows
}

func fill(t *testing.T, p *feature.Plan, pn *panel.Panel, rows []feature.Row, kind feature.ScaleKind) (*panel.Frame, []float64) {
	t.Helper()
	st, err := p.NewState(pn, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fillState(t, st, rows, kind)
}

func fillState(t *testing.T, st *feature.State, rows []feature.Row, kind feature.ScaleKind) (*panel.Frame, []float64) {
	t.Helper()
	f, scale := new(panel.Frame), make([]float64, len(rows))
	if err := st.Fill(rows, kind, f, scale); err != nil {
		t.Fatal(err)
	}
	return f, scale
}

// sameBits reports the first value of two frames that differs in any bit; all NaN are one.
func sameBits(t *testing.T, got, want *panel.Frame, rows []feature.Row) {
	t.Helper()
	if !slices.Equal(got.Names, want.Names) || got.Rows != want.Rows {
		t.Fatalf("frames of %d columns x %d rows and %d x %d", len(got.Names), got.Rows, len(want.Names), want.Rows)
	}
	for c, name := range got.Names {
		a, b := got.Column(c), want.Column(c)
		for r := range a {
			if a[r] != b[r] && !(a[r] != a[r] && b[r] != b[r]) {
				t.Fatalf("%s of %+v: %v, want %v", name, rows[r], a[r], b[r])
			}
		}
	}
}

// Every column equals the obvious computation, for every frequency and kind of scale.
func TestColumnsEqualTheirOracle(t *testing.T) {
	t.Parallel()
	for _, u := range setups {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			for kind := feature.Unscaled; kind <= feature.Overall; kind++ {
				p, plan, origin := u.make(t, uint64(kind))
				rows := randomRows(rand.New(rand.NewPCG(uint64(kind), 2)), p, origin, u.horizon, 200)
				got, scale := fill(t, plan, p, rows, kind)
				st, err := plan.NewState(p, nil)
				if err != nil {
					t.Fatal(err)
				}
				scales := make([]float64, len(rows))
				if st.Scales(rows, kind, scales); !slices.Equal(scales, scale) {
					t.Fatal("Scales and Fill disagree")
				}
				present := make([]int, len(got.Names))
				for r, row := range rows {
					o := &oracle{p: p, d: plan.Schema(), series: int(row.Series), origin: row.Origin, issued: row.Origin, target: row.Target}
					o.scale = o.scaleOf(kind)
					if math.Abs(scale[r]-o.scale) > 1e-9*o.scale {
						t.Fatalf("%s scale of %+v is %v, want %v", kind, row, scale[r], o.scale)
					}
					for c, name := range got.Names {
						want := o.column(name)
						v := float64(got.Column(c)[r])
						if !math.IsNaN(want) {
							present[c]++
						}
						// single precision, and for spreads and exponential means what cancels and what float32 sums of them lose
						if tol := 2e-6*math.Abs(want) + 2e-6*mean(o.last(1<<20))/o.scale + 1e-6; math.IsNaN(v) != math.IsNaN(want) || math.Abs(v-want) > tol {
							t.Fatalf("%s (%s) of %+v is %v, want %v", name, kind, row, v, want)
						}
					}
				}
				for c, n := range present {
					if n < 10 {
						t.Errorf("%s is present in %d of %d rows only: the test says nothing of it", got.Names[c], n, len(rows))
					}
				}
			}
		})
	}
}

// garbage returns the panel with everything that a forecast at origin cannot know replaced: sales, what is observed, past-only
// covariates, and known-future covariates beyond the horizon.
func garbage(p *panel.Panel, origin calendar.Step, horizon int) *panel.Panel {
	q := *p
	q.Target, q.Observed = slices.Clone(p.Target), slices.Clone(p.Observed)
	q.Covariates = slices.Clone(p.Covariates)
	for k := range q.Covariates {
		q.Covariates[k].Values = slices.Clone(p.Covariates[k].Values)
	}
	for s := range p.Series() {
		lo, hi := p.Span(s)
		for r := lo; r < hi; r++ {
			at := p.Start[s] + calendar.Step(r-lo)
			if at > origin {
				q.Target[r] = 1000*q.Target[r] + 7
				if q.Target[r] != q.Target[r] {
					q.Target[r] = 1e9
				}
				q.Observed[r] = r%3 > 0
			}
			for k := range q.Covariates {
				reach := origin
				if q.Covariates[k].Role == panel.KnownFuture {
					reach += calendar.Step(horizon)
				}
				if at > reach {
					q.Covariates[k].Values[r] = float32(1e6 + float64(r))
				}
			}
		}
	}
	return &q
}

// Nothing after the origin changes a bit of any feature at the origin, nor of the schema.
func TestNothingAfterTheOriginIsRead(t *testing.T) {
	t.Parallel()
	for _, u := range setups {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			p, _, end := u.make(t, 7)
			for _, back := range []int{0, 1, u.horizon, 2*u.horizon + 3} {
				origin := end - calendar.Step(back)
				q := garbage(p, origin, u.horizon)
				a, b := feature.Describe(p, origin, u.horizon, ""), feature.Describe(q, origin, u.horizon, "")
				if fmt.Sprint(a) != fmt.Sprint(b) {
					t.Fatalf("the schema at origin %d changed with the future:\n%v\n%v", origin, a, b)
				}
				plan, err := feature.NewPlan(feature.Spec{Families: feature.Families()}, a)
				if err != nil {
					t.Fatal(err)
				}
				var rows []feature.Row
				for s := range p.Series() {
					for h := range u.horizon {
						rows = append(rows, feature.Row{Series: int32(s), Origin: origin, Target: origin + calendar.Step(h+1)})
					}
				}
				for kind := feature.Unscaled; kind <= feature.Overall; kind++ {
					want, _ := fill(t, plan, p, rows, kind)
					got, _ := fill(t, plan, q, rows, kind)
					sameBits(t, got, want, rows)
				}
			}
		})
	}
}

// A known-future value at a step changes the features of the row that forecasts that step, and of no row too far from it.
func TestPlansAreRead(t *testing.T) {
	t.Parallel()
	p, plan, origin := setups[0].make(t, 8)
	rows := make([]feature.Row, 28)
	for h := range rows {
		rows[h] = feature.Row{Series: 1, Origin: origin, Target: origin + calendar.Step(h+1)}
	}
	before, _ := fill(t, plan, p, rows, feature.Recent)
	for h := range rows {
		q := *p
		q.Covariates = slices.Clone(p.Covariates)
		q.Covariates[0].Values = slices.Clone(p.Covariates[0].Values)
		r, ok := p.Row(1, rows[h].Target)
		if !ok {
			t.Fatal("the plan is missing")
		}
		q.Covariates[0].Values[r] = 1 - q.Covariates[0].Values[r]
		after, _ := fill(t, plan, &q, rows, feature.Recent)
		for i := range rows {
			changed := false
			for c := range after.Names {
				a, b := after.Column(c)[i], before.Column(c)[i]
				changed = changed || a != b && !(a != a && b != b)
			}
			if distance := max(i-h, h-i); changed != (distance <= 2) {
				t.Errorf("the plan at step %d changed: features of step %d changed is %v", h+1, i+1, changed)
			}
		}
	}
}

// A fork that is given the sales after its origin one by one answers as the state of the whole history does, to the bit.
func TestAppendingEqualsTheLongerHistory(t *testing.T) {
	t.Parallel()
	for _, u := range setups {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			p, plan, end := u.make(t, 9)
			whole, err := plan.NewState(p, nil)
			if err != nil {
				t.Fatal(err)
			}
			const steps = 12
			origin := end - steps
			fork, err := whole.Fork(origin, steps)
			if err != nil {
				t.Fatal(err)
			}
			for round := range 2 {
				for k := range steps {
					at := origin + calendar.Step(k+1)
					values := make([]float64, p.Series())
					for s := range values {
						values[s] = nan
						if r, ok := p.Row(s, at); ok && p.Observed[r] {
							values[s] = float64(p.Target[r])
						}
					}
					if err := fork.Append(values); err != nil {
						t.Fatal(err)
					}
					var rows []feature.Row
					for s := range p.Series() {
						if p.Start[s] <= origin {
							rows = append(rows, feature.Row{Series: int32(s), Origin: at, Target: at + 1}, feature.Row{Series: int32(s), Origin: at - 5, Target: at})
						}
					}
					want, _ := fillState(t, whole, rows, feature.Yearly)
					got, _ := fillState(t, fork, rows, feature.Yearly)
					sameBits(t, got, want, rows)
					if err := fork.Fill([]feature.Row{{Origin: at + 1, Target: at + 2}}, feature.Recent, new(panel.Frame), nil); err == nil {
						t.Fatal("a row whose origin was not appended yet was filled")
					}
				}
				if round == 0 {
					fork.Rewind()
				}
			}
		})
	}
}

// A tail restored with the later rows answers as the state of the whole history does, to the bit, and its size is bounded.
func TestTailIsEnough(t *testing.T) {
	t.Parallel()
	for _, u := range setups {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			p := randomPanel(14, u.f, 3, 2, 3*u.steps, u.horizon)
			end, _ := p.End()
			all, err := feature.NewPlan(feature.Spec{Families: feature.Families()}, feature.Describe(p, end, u.horizon, "DE"))
			if err != nil {
				t.Fatal(err)
			}
			short, err := all.SelectFamilies(feature.Level, feature.Rolling, feature.Trend, feature.Promotion)
			if err != nil {
				t.Fatal(err)
			}
			for _, plan := range []*feature.Plan{all, short} {
				whole, err := plan.NewState(p, nil)
				if err != nil {
					t.Fatal(err)
				}
				origin := end - 9
				tail, err := whole.Tail(origin)
				if err != nil {
					t.Fatal(err)
				}
				if n := tail.Panel.Rows(); n > plan.Lookback()*p.Series() || n == 0 {
					t.Fatalf("the tail has %d rows of %d series, a lookback of %d each is enough", n, p.Series(), plan.Lookback())
				}
				st, err := plan.Restore(tail, p)
				if err != nil {
					t.Fatal(err)
				}
				var rows []feature.Row
				for s := range p.Series() {
					for o := origin; o < end; o += 3 {
						rows = append(rows, feature.Row{Series: int32(s), Origin: o, Target: o + 1}, feature.Row{Series: int32(s), Origin: o, Target: o + calendar.Step(u.horizon)})
					}
				}
				for kind := feature.Unscaled; kind <= feature.Overall; kind++ {
					want, _ := fillState(t, whole, rows, kind)
					got, _ := fillState(t, st, rows, kind)
					sameBits(t, got, want, rows)
				}
				again, err := st.Tail(origin + 4)
				if err != nil {
					t.Fatal(err)
				}
				direct, err := whole.Tail(origin + 4)
				if err != nil {
					t.Fatal(err)
				}
				if fmt.Sprint(again.Carry, again.Totals) != fmt.Sprint(direct.Carry, direct.Totals) {
					t.Error("the tail of a tail is not the tail of the whole")
				}
				early := []feature.Row{{Origin: origin - 60, Target: origin - 59}}
				if err := st.Fill(early, feature.Recent, new(panel.Frame), nil); err == nil && plan.Lookback() < int(origin-p.Start[0]) {
					t.Error("a row was filled of which the tail holds too little")
				}
			}
		})
	}
}

// A state in the memory of another, of other values or of fewer series, gives the same bits as one in memory of its own.
func TestReleasedMemory(t *testing.T) {
	t.Parallel()
	for _, u := range setups {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			p, plan, end := u.make(t, 11)
			rows := randomRows(rand.New(rand.NewPCG(3, 3)), p, end, plan.Schema().Horizon, 300)
			want, scales := fill(t, plan, p, rows, feature.Recent)
			for range 3 {
				other, err := plan.NewState(garbage(p, p.Start[0]+2, 0), nil)
				if err != nil {
					t.Fatal(err)
				}
				other.Release()
				st, err := plan.NewState(p, nil)
				if err != nil {
					t.Fatal(err)
				}
				got, gotScales := fillState(t, st, rows, feature.Recent)
				sameBits(t, got, want, rows)
				if !slices.Equal(gotScales, scales) {
					t.Error("the scales differ")
				}
				st.Release()
				if st, err = plan.NewState(p.Slice(0, 1), nil); err != nil {
					t.Fatal(err)
				}
				st.Release()
			}
		})
	}
}

// In recursion the reach of known-future covariates counts from the origin of the forecast as a whole.
func TestRecursionReadsThePlanOfTheRealOrigin(t *testing.T) {
	t.Parallel()
	p, plan, end := setups[0].make(t, 10)
	issued := end - 30
	st, err := plan.NewState(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	fork, err := st.Fork(issued, 28)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]float64, p.Series())
	for range 27 {
		if err := fork.Append(values); err != nil {
			t.Fatal(err)
		}
	}
	row := []feature.Row{{Series: 0, Origin: issued + 27, Target: issued + 28}}
	var f panel.Frame
	if err := fork.FillFrom(issued, row, feature.Recent, &f, nil); err != nil {
		t.Fatal(err)
	}
	at := func(name string) float32 { return f.Column(slices.Index(f.Names, name))[0] }
	if at("price_after2") != at("price") || at("price_after1") != at("price") {
		t.Errorf("prices after the last planned step: %v, %v, want that of the step itself, %v", at("price_after1"), at("price_after2"), at("price"))
	}
}

// The order of the rows, of the series and of the batches is of no account.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	p, plan, origin := setups[0].make(t, 11)
	g := rand.New(rand.NewPCG(11, 3))
	rows := randomRows(g, p, origin, 28, 300)
	want, _ := fill(t, plan, p, rows, feature.Recent)
	perm := g.Perm(p.Series())
	q := permute(p, perm)
	moved := slices.Clone(rows)
	for i := range moved {
		moved[i].Series = int32(slices.Index(perm, int(rows[i].Series)))
	}
	got, _ := fill(t, plan, q, moved, feature.Recent)
	sameBits(t, got, want, rows) // sales are quarters: their sums are exact in any order

	pool, err := plan.PoolBatches(plan.Schema().First, plan.Schema().Last, func(yield func(*panel.Panel, error) bool) {
		for s := range p.Series() {
			if !yield(p.Slice(s, s+1), nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for s := range p.Series() {
		var mine, local []feature.Row
		for _, r := range rows {
			if int(r.Series) == s {
				mine = append(mine, r)
				local = append(local, feature.Row{Origin: r.Origin, Target: r.Target})
			}
		}
		st, err := plan.NewState(p.Slice(s, s+1), pool)
		if err != nil {
			t.Fatal(err)
		}
		alone, _ := fillState(t, st, local, feature.Recent)
		all, _ := fill(t, plan, p, mine, feature.Recent)
		sameBits(t, alone, all, mine)
	}
}

func permute(p *panel.Panel, perm []int) *panel.Panel {
	q := &panel.Panel{Frequency: p.Frequency, Offsets: []int{0}}
	take := func(ks []panel.Key) []panel.Key {
		out := make([]panel.Key, len(ks))
		for i, k := range ks {
			out[i] = panel.Key{Name: k.Name, Levels: k.Levels}
			for _, s := range perm {
				out[i].Codes = append(out[i].Codes, k.Codes[s])
			}
		}
		return out
	}
	q.Keys, q.Static = take(p.Keys), take(p.Static)
	for _, c := range p.Covariates {
		q.Covariates = append(q.Covariates, panel.Covariate{Name: c.Name, Role: c.Role})
	}
	for _, s := range perm {
		lo, hi := p.Span(s)
		q.Start = append(q.Start, p.Start[s])
		q.Target, q.Observed = append(q.Target, p.Target[lo:hi]...), append(q.Observed, p.Observed[lo:hi]...)
		for k := range q.Covariates {
			q.Covariates[k].Values = append(q.Covariates[k].Values, p.Covariates[k].Values[lo:hi]...)
		}
		q.Offsets = append(q.Offsets, len(q.Target))
	}
	return q
}

// Sales ten times as large give the same scaled features, but for the scale's constants.
func TestScaledFeaturesDoNotDependOnTheUnitOfSales(t *testing.T) {
	t.Parallel()
	p, plan, origin := setups[0].make(t, 12)
	q := *p
	q.Target = slices.Clone(p.Target)
	for i := range q.Target {
		q.Target[i] *= 1024
	}
	rows := randomRows(rand.New(rand.NewPCG(12, 1)), p, origin, 28, 300)
	a, sa := fill(t, plan, p, rows, feature.Recent)
	b, sb := fill(t, plan, &q, rows, feature.Recent)
	for c, col := range plan.Columns() {
		for r := range rows {
			// undo the constant part of the scale, which does not grow with the sales
			x, y := float64(a.Column(c)[r]), float64(b.Column(c)[r])
			switch {
			case col.Name == "log_scale", col.Name == "sales_year_ratio", col.Name == "sales_profile_ratio":
				continue // the scale and its floors have constants
			case col.Scaled:
				x, y = x*sa[r]*1024, y*sb[r]
			}
			if math.Abs(x-y) > 1e-4*math.Abs(x)+1e-6 {
				t.Fatalf("%s of %+v: %v and %v", col.Name, rows[r], x, y)
			}
		}
	}
}

// A plan refuses what a forecast cannot know, and says which column and why.
func TestPlanRefusesTheFuture(t *testing.T) {
	t.Parallel()
	p := randomPanel(1, daily, 2, 2, 100, 7)
	d := feature.Describe(p, p.Start[0]+90, 7, "")
	for name, spec := range map[string]feature.Spec{
		"the sale of the target":       {Families: []string{feature.Lag}, Lags: []int{0}},
		"the sale after the target":    {Families: []string{feature.Lag}, Lags: []int{1, -1}},
		"past-only at the target":      {Families: []string{feature.Promotion}, Covariates: []string{"weather"}},
		"past-only beside known ones":  {Families: []string{feature.Promotion}, Covariates: []string{"price", "weather"}},
		"past-only with zero families": {Covariates: []string{"weather"}},
	} {
		var refused *feature.AvailabilityError
		if _, err := feature.NewPlan(spec, d); !errors.As(err, &refused) {
			t.Errorf("%s: error %v, want an AvailabilityError", name, err)
		}
	}
	for name, spec := range map[string]feature.Spec{
		"an unknown family":    {Families: []string{"levels"}},
		"an unknown covariate": {Covariates: []string{"discount"}},
		"an unknown statistic": {Families: []string{feature.Rolling}, Stats: []string{"mode"}},
		"an empty window":      {Families: []string{feature.Rolling}, Windows: []int{0}},
	} {
		if _, err := feature.NewPlan(spec, d); err == nil {
			t.Errorf("%s was planned", name)
		}
	}
}

// A plan survives its JSON form, also cut down to some columns.
func TestPlanRoundTrip(t *testing.T) {
	t.Parallel()
	p, plan, origin := setups[0].make(t, 13)
	some, err := plan.Select("sales_mean28", "year", "price", "promo_after2")
	if err != nil {
		t.Fatal(err)
	}
	rows := randomRows(rand.New(rand.NewPCG(13, 1)), p, origin, 28, 100)
	for _, want := range []*feature.Plan{plan, some, plan.Without("price", "sales_lag1", "no such column")} {
		b, err := want.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		got, err := feature.ParsePlan(b)
		if err != nil {
			t.Fatal(err)
		}
		x, _ := fill(t, want, p, rows, feature.Overall)
		y, _ := fill(t, got, p, rows, feature.Overall)
		sameBits(t, y, x, rows)
	}
	for _, family := range feature.Families() {
		alone, err := feature.NewPlan(feature.Spec{Families: []string{family}}, plan.Schema())
		if err != nil {
			t.Fatal(err)
		}
		if len(alone.Names()) == 0 {
			continue // there is no weekday in a year of weeks
		}
		cut, err := plan.SelectFamilies(family)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(slices.Sorted(slices.Values(cut.Names())), slices.Sorted(slices.Values(alone.Names()))) {
			t.Errorf("family %s of the plan of all is %v, alone %v", family, cut.Names(), alone.Names())
		}
	}
	if _, err := plan.Select("no such column"); err == nil {
		t.Error("a column that is not there was selected")
	}
	if _, err := plan.SelectFamilies("price"); err == nil {
		t.Error("a family that is not there was selected")
	}
}

// A plan that can be read at all is written back as it was read.
func FuzzParsePlan(f *testing.F) {
	p := randomPanel(1, weekly, 2, 2, 60, 4)
	for _, families := range [][]string{{feature.Lag, feature.Holiday}, {feature.Promotion, feature.Trend}} {
		plan, err := feature.NewPlan(feature.Spec{Families: families}, feature.Describe(p, p.Start[0]+50, 4, "US"))
		if err != nil {
			f.Fatal(err)
		}
		b, err := plan.MarshalJSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		plan, err := feature.ParsePlan(b)
		if err != nil {
			return
		}
		once, err := plan.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := feature.ParsePlan(once)
		if err != nil {
			t.Fatalf("%v of %s", err, once)
		}
		if twice, err := again.MarshalJSON(); err != nil || string(twice) != string(once) {
			t.Fatalf("%v: %s became %s", err, once, twice)
		}
	})
}

// Panels at the edge of what a panel can be are filled, with NaN where nothing is known, and never panic.
func TestEdgesOfPanels(t *testing.T) {
	t.Parallel()
	bare := func(p *panel.Panel) *panel.Panel { p.Keys, p.Static, p.Covariates = nil, nil, nil; return p }
	silent := func(p *panel.Panel) *panel.Panel { clear(p.Observed); return p }
	for name, p := range map[string]*panel.Panel{
		"one series":           randomPanel(1, daily, 1, 1, 60, 5),
		"one step":             randomPanel(1, daily, 1, 1, 2, 0).Slice(0, 1),
		"one store":            randomPanel(2, weekly, 1, 3, 60, 5),
		"one series per store": randomPanel(3, monthly, 4, 1, 60, 5),
		"nothing but sales":    bare(randomPanel(4, daily, 2, 2, 60, 5)),
		"no sale":              silent(randomPanel(5, weekly, 2, 2, 60, 5)),
		"no series":            randomPanel(6, daily, 2, 2, 60, 5).Slice(0, 0),
	} {
		origin := calendar.Step(0)
		if p.Series() > 0 {
			origin = p.Start[0] + 1
		}
		plan, err := feature.NewPlan(feature.Spec{Families: feature.Families()}, feature.Describe(p, origin, 5, "US"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var rows []feature.Row
		for s := range p.Series() {
			for o := p.Start[s] - 3; o < p.Start[s]+2; o++ {
				rows = append(rows, feature.Row{Series: int32(s), Origin: o, Target: o + 4})
			}
		}
		f, scale := fill(t, plan, p, rows, feature.Recent)
		lag := f.Column(slices.Index(f.Names, "sales_lag1"))
		for i, row := range rows {
			if row.Origin < p.Start[row.Series] && lag[i] == lag[i] {
				t.Errorf("%s: %+v has a sale before the first", name, row)
			}
			if !(scale[i] > 0) {
				t.Errorf("%s: the scale of %+v is %v", name, row, scale[i])
			}
		}
	}
}
