package feature

import (
	"errors"
	"fmt"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// sums are the prefix sums of a series before a step; every mean is a difference of two of them.
type sums struct {
	sum, squares float64
	count, zeros int32
	ewm          [2]float32
}

// next is the sums one step later; y is NaN where nothing was observed.
func (a *sums) next(y float32, alphas *[2]float64) sums {
	b := *a
	if y != y {
		return b
	}
	v := float64(y)
	b.sum += v
	b.squares += v * v
	b.count++
	if v == 0 {
		b.zeros++
	}
	for k, alpha := range alphas {
		if a.count == 0 {
			b.ewm[k] = y
		} else {
			b.ewm[k] = float32(alpha*v + (1-alpha)*float64(a.ewm[k]))
		}
	}
	return b
}

// covariateSums are the prefix sums of one covariate in the layout of State.sums; counts is nil where no value is NaN.
type covariateSums struct {
	values []float32 // the panel's
	sum    []float64
	counts []int32
}

// State is the memory of every series of a panel, from which features are filled. It is read-only and safe for concurrent use,
// but for a fork, which belongs to one goroutine while it is appended to.
//
// The sums of series s lie at off[s] to off[s]+n[s]-held[s]: entry i is the state before step start[s]+held[s]+i.
type State struct {
	plan  *Plan
	panel *panel.Panel
	pool  *Pool
	start []calendar.Step
	held  []int32 // steps since start that are no longer held, only their sums
	n     []int32 // steps since start up to the last row
	off   []int
	sums  []sums
	y     []float32   // y[i+1] is the sale of entry i's step, NaN where not observed
	order [][]float32 // per plan.stats: the statistic of the window that ends before the entry's step
	cov   []covariateSums
	codes [][]float32
	dates dateTable
	fork  *fork
}

// fork is what was appended after an origin.
type fork struct {
	origin   calendar.Step
	steps    int
	appended int
	sums     []sums      // series x steps
	y        []float32   // series x steps
	order    [][]float32 // per statistic, series x steps
	pool     *poolFork
}

// NewState reads the sales and covariates of p. pool may be nil: it is then made from p alone; a panel that is a batch of a larger
// one needs the pool of the whole. Key levels that the plan's schema does not know become missing.
func (p *Plan) NewState(pn *panel.Panel, pool *Pool) (*State, error) {
	return p.newState(pn, pool, nil)
}

func (p *Plan) newState(pn *panel.Panel, pool *Pool, carry []Carry) (*State, error) {
	if err := p.fits(pn); err != nil {
		return nil, err
	}
	if pool == nil && p.needs&needsPool != 0 {
		pool = p.Pool(pn)
	}
	st, _ := p.states.Get().(*State)
	if st == nil {
		st = &State{}
	}
	st.plan, st.panel, st.pool = p, pn, pool
	series := pn.Series()
	st.start = pn.Start
	st.held, st.n, st.off = sized(st.held, series), sized(st.n, series), sized(st.off, series)
	clear(st.held)
	if carry != nil {
		st.start = make([]calendar.Step, series)
	}
	st.sums, st.y = sized(st.sums, pn.Rows()+series), sized(st.y, pn.Rows()+series)
	last := p.schema.Last
	first := p.schema.First
	for s := range series {
		lo, hi := pn.Span(s)
		st.off[s] = lo + s
		var a sums
		if carry != nil {
			st.start[s] = carry[s].Start
			st.held[s] = int32(pn.Start[s] - carry[s].Start)
			a = carry[s].sums()
		}
		st.n[s] = st.held[s] + int32(hi-lo)
		if hi == lo {
			st.sums[st.off[s]], st.y[st.off[s]] = a, nan32
			continue
		}
		first, last = min(first, pn.Start[s]), max(last, pn.Start[s]+calendar.Step(hi-lo-1))
		st.sums[st.off[s]], st.y[st.off[s]] = a, nan32
		alphas := &p.grid.alphas
		for r := lo; r < hi; r++ {
			y := nan32
			if pn.Observed[r] {
				y = pn.Target[r]
			}
			a = a.next(y, alphas)
			st.sums[r+s+1], st.y[r+s+1] = a, y
		}
	}
	st.order = sized(st.order, len(p.stats))
	st.rollAll()
	st.sumCovariates()
	st.codeIdentities()
	var err error
	st.dates, err = p.datesOf(first, last+calendar.Step(p.schema.Horizon))
	return st, err
}

// sized is v with n elements of any value, in its memory where there is room.
func sized[T any](v []T, n int) []T { return slices.Grow(v[:0], n)[:n] }

// mostKept is the most rows of a state whose memory is kept for the next.
const mostKept = 1 << 14

// Release lets the plan use the memory of st for its next state. Neither st nor what shares its memory may be used any more.
func (st *State) Release() {
	if cap(st.sums) > mostKept {
		return
	}
	for k := range st.cov {
		st.cov[k].values = nil
	}
	st.panel, st.start, st.pool, st.fork, st.dates = nil, nil, nil, nil, dateTable{}
	st.plan.states.Put(st)
}

// fits reports a panel that has not the columns of the plan.
func (p *Plan) fits(pn *panel.Panel) error {
	d := &p.schema
	if pn.Frequency != d.Frequency {
		return fmt.Errorf("features of a panel of frequency %s with a plan for %s", pn.Frequency, d.Frequency)
	}
	if len(pn.Keys) != len(d.Keys) || len(pn.Static) != len(d.Static) {
		return fmt.Errorf("features of a panel with %d keys and %d static columns with a plan for %d and %d", len(pn.Keys), len(pn.Static), len(d.Keys), len(d.Static))
	}
	for i := range pn.Keys {
		if pn.Keys[i].Name != d.Keys[i].Name {
			return fmt.Errorf("features of a panel with key %q with a plan for key %q", pn.Keys[i].Name, d.Keys[i].Name)
		}
	}
	for i := range pn.Static {
		if pn.Static[i].Name != d.Static[i].Name {
			return fmt.Errorf("features of a panel with static column %q with a plan for %q", pn.Static[i].Name, d.Static[i].Name)
		}
	}
	if len(pn.Covariates) != len(d.Covariates) {
		return fmt.Errorf("features of a panel with %d covariates with a plan for %d", len(pn.Covariates), len(d.Covariates))
	}
	for i := range pn.Covariates {
		if pn.Covariates[i].Name != d.Covariates[i].Name {
			return fmt.Errorf("features of a panel with covariate %q with a plan for %q", pn.Covariates[i].Name, d.Covariates[i].Name)
		}
	}
	return nil
}

func (st *State) sumCovariates() {
	st.cov = sized(st.cov, len(st.panel.Covariates))
	for _, k := range st.plan.covariates {
		v, n := st.panel.Covariates[k].Values, len(st.sums)
		c := covariateSums{values: v, sum: sized(st.cov[k].sum, n)}
		if slices.ContainsFunc(v, func(x float32) bool { return x != x }) {
			c.counts = sized(st.cov[k].counts, n)
		}
		for s := range st.panel.Series() {
			lo, hi := st.panel.Span(s)
			c.add(s, lo, hi)
		}
		st.cov[k] = c
	}
}

// add sums up series s, whose rows are lo to hi-1.
func (c *covariateSums) add(s, lo, hi int) {
	var sum float64
	var n int32
	for r := lo; ; r++ {
		c.sum[r+s] = sum
		if c.counts != nil {
			c.counts[r+s] = n
		}
		if r == hi {
			return
		}
		if x := c.values[r]; x == x {
			sum += float64(x)
			n++
		}
	}
}

// codeIdentities maps the panel's codes to the plan's by level name.
func (st *State) codeIdentities() {
	d, pn := &st.plan.schema, st.panel
	st.codes = st.codes[:0]
	code := func(k panel.Key, known Key) {
		to := make([]float32, len(k.Levels))
		if slices.Equal(k.Levels, known.Levels) {
			for i := range to {
				to[i] = float32(i)
			}
		} else {
			index := make(map[string]int, len(known.Levels))
			for i, l := range known.Levels {
				index[l] = i
			}
			for i, l := range k.Levels {
				to[i] = nan32
				if j, ok := index[l]; ok {
					to[i] = float32(j)
				}
			}
		}
		out := make([]float32, len(k.Codes))
		for s, c := range k.Codes {
			out[s] = to[c]
		}
		st.codes = append(st.codes, out)
	}
	for i, k := range pn.Keys {
		code(k, d.Keys[i])
	}
	for i, k := range pn.Static {
		code(k, d.Static[i])
	}
}

// Plan returns the plan whose columns the state fills.
func (st *State) Plan() *Plan { return st.plan }

// Panel returns the panel the state was made from.
func (st *State) Panel() *panel.Panel { return st.panel }

// Fork returns a state that knows the sales up to origin only and has room for steps more, to be given by Append: recursion writes
// its forecasts there, a service new sales. It shares the memory of st, which is not changed.
func (st *State) Fork(origin calendar.Step, steps int) (*State, error) {
	if st.fork != nil {
		return nil, fmt.Errorf("fork features at step %d: the state is itself a fork", origin)
	}
	q := *st
	n := st.panel.Series() * steps
	f := &fork{origin: origin, steps: steps, sums: make([]sums, n), y: make([]float32, n)}
	for range st.order {
		f.order = append(f.order, make([]float32, n))
	}
	if st.pool != nil && st.pool.sealed == nil {
		f.pool = st.pool.fork(steps)
	}
	q.fork = f
	return &q, nil
}

// Appended returns the last step a fork knows: its origin plus what was appended.
func (st *State) Appended() calendar.Step {
	return st.fork.origin + calendar.Step(st.fork.appended)
}

// Append gives a fork the next step: one value per series, NaN where nothing is sold or observed. Values are kept as float32, like
// those of a panel, so that the fork answers as the state of the longer history would, to the bit; series that begin after the
// origin must get NaN.
func (st *State) Append(values []float64) error {
	f := st.fork
	switch {
	case f == nil:
		return errors.New("append to features: the state is not a fork")
	case f.appended == f.steps:
		return fmt.Errorf("append to features: the fork has room for %d steps only", f.steps)
	case len(values) != st.panel.Series():
		return fmt.Errorf("append to features: %d values for %d series", len(values), st.panel.Series())
	}
	k := f.appended
	for s, v := range values {
		var c cursor
		st.locate(&c, int32(s), f.origin+calendar.Step(k)) // the last step known
		y := float32(v)
		f.sums[s*f.steps+k] = st.at(&c, c.end).next(y, &st.plan.grid.alphas)
		f.y[s*f.steps+k] = y
	}
	if f.pool != nil {
		f.pool.append(st, k)
	}
	f.appended++
	st.rollFork(k)
	return nil
}

// Rewind takes back everything that was appended to a fork.
func (st *State) Rewind() { st.fork.appended = 0 }
