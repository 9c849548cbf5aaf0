package quality

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Profile looks at the series of a panel as its chunks go by.
type Profile struct {
	found   *Collector
	horizon int
	// end is the last step with a sale of any series: where a forecast begins.
	end calendar.Step

	Series, Rows, Filled int64
	Start                calendar.Day
	PlanEnd              calendar.Day

	longest    int // observed rows of the longest series
	sold       bool
	gapRows    int64
	longestGap int
	longestAt  string
	worst      []extreme
	outliers   int64
	sample     *reservoir

	buf, med []float32
}

// extreme is an outlier, kept while it is among the farthest.
type extreme struct {
	score float64
	text  string
}

// outlierDistance is how many robust standard deviations from the usual make an outlier: far enough that counts with a long tail do
// not fill the report.
const outlierDistance = 10

// sparse is one in how many steps without a sale makes a series sparse. Shops that are closed on Sundays have more.
const sparse = 10

// NewProfile returns a profile of a panel whose last sale is at step end. The seed draws the sample of the isolation forest.
func NewProfile(found *Collector, horizon int, end calendar.Step, seed uint64) *Profile {
	return &Profile{found: found, horizon: max(horizon, 1), end: end, sample: newReservoir(seed)}
}

// Add looks at a chunk of whole series.
func (f *Profile) Add(p *panel.Panel) {
	for s := range p.Series() {
		f.series(p, s)
	}
}

func (f *Profile) series(p *panel.Panel, s int) {
	lo, hi := p.Span(s)
	name := strings.Join(p.ID(s), " ")
	start := p.Start[s]
	if day := p.Frequency.Day(start); f.Series == 0 || day < f.Start {
		f.Start = day
	}
	f.Series++
	f.Rows += int64(hi - lo)
	last, sold := p.LastObserved(s)
	if !sold && start > f.end {
		f.found.Add("new_series", Place{Text: name})
		f.plan(p, s, name)
		return
	}
	f.gaps(p, s, name, int(last-start)+1)
	observed, smallest, largest := 0, float32(math.Inf(1)), float32(math.Inf(-1))
	for r := lo; r < hi; r++ {
		if p.Observed[r] {
			observed++
			smallest, largest = min(smallest, p.Target[r]), max(largest, p.Target[r])
		} else if int(start)+r-lo <= int(f.end) {
			f.Filled++
		}
	}
	f.longest = max(f.longest, observed)
	f.sold = f.sold || largest > 0
	switch {
	case largest <= 0:
		f.found.Add("zero_series", Place{Text: name})
	case smallest == largest && observed > 1:
		f.found.Add("constant_series", Place{Text: fmt.Sprintf("%s: %v in %d rows", name, largest, observed)})
	}
	if observed < 2*f.horizon {
		f.found.Add("short_series", Place{Text: fmt.Sprintf("%s: %d rows", name, observed)})
	}
	stale := int(f.end - last)
	switch {
	case p.Ended(s, f.end):
		f.found.Add("ended_series", Place{Text: fmt.Sprintf("%s: last sale %v", name, p.Frequency.Day(last))})
	case stale > 2*f.horizon:
		f.found.Add("stale_series", Place{Text: fmt.Sprintf("%s: last sale %v", name, p.Frequency.Day(last))})
	}
	if !p.Ended(s, f.end) {
		f.plan(p, s, name)
		var shut []string
		for w, is := range p.ClosedWeekdays(s, f.end) {
			if is {
				shut = append(shut, time.Weekday((w+1)%7).String())
			}
		}
		if len(shut) > 0 {
			f.found.Add("closed_weekdays", Place{Text: name + ": " + strings.Join(shut, ", ")})
		}
	}
	if smallest < largest {
		f.outliersOf(p, s, name, int(last-start)+1)
	}
}

// gaps counts filled rows up to the series' own last sale.
func (f *Profile) gaps(p *panel.Panel, s int, name string, n int) {
	lo, _ := p.Span(s)
	run, gaps := 0, 0
	for i := range n {
		if !p.Observed[lo+i] {
			gaps++
			run++
			continue
		}
		if run > f.longestGap {
			f.longestGap = run
			f.longestAt = fmt.Sprintf("%s: %d rows from %v", name, run, p.Frequency.Day(p.Start[s]+calendar.Step(i-run)))
		}
		run = 0
	}
	f.gapRows += int64(gaps)
	if gaps*sparse >= n && gaps > 0 {
		f.found.Add("sparse_series", Place{Text: fmt.Sprintf("%s: %d of %d", name, gaps, n)})
	}
}

// plan checks that known-future values reach the horizon.
func (f *Profile) plan(p *panel.Panel, s int, name string) {
	lo, hi := p.Span(s)
	reach := p.Start[s] + calendar.Step(hi-lo) - 1
	f.PlanEnd = max(f.PlanEnd, p.Frequency.Day(reach))
	var short []string
	first := calendar.Step(0)
	for _, c := range p.Covariates {
		if c.Role != panel.KnownFuture {
			continue
		}
		for at := max(f.end+1, p.Start[s]); at <= f.end+calendar.Step(f.horizon); at++ {
			if r, ok := p.Row(s, at); ok && c.Values[r] == c.Values[r] {
				continue
			}
			if len(short) == 0 || at < first {
				first = at
			}
			short = append(short, c.Name)
			break
		}
	}
	if len(short) > 0 {
		f.found.Add("missing_plan", Place{Text: fmt.Sprintf("%s: %s from %v", name, strings.Join(short, ", "), p.Frequency.Day(first))})
	}
}

// outliersOf measures each sale against the median of its weekday (all sales for weeks and months), in units of the median absolute
// deviation of the whole series (Iglewicz and Hoaglin, 1993).
func (f *Profile) outliersOf(p *panel.Panel, s int, name string, n int) {
	lo, _ := p.Span(s)
	season := p.Frequency.Season()
	f.med = f.med[:0]
	for phase := range season {
		f.buf = f.buf[:0]
		for i := phase; i < n; i += season {
			if p.Observed[lo+i] {
				f.buf = append(f.buf, p.Target[lo+i])
			}
		}
		f.med = append(f.med, median(f.buf))
	}
	f.buf = f.buf[:0]
	for i := range n {
		if p.Observed[lo+i] {
			f.buf = append(f.buf, abs(p.Target[lo+i]-f.med[i%season]))
		}
	}
	scale := 1.4826 * float64(median(f.buf))
	for i := range n {
		if !p.Observed[lo+i] {
			continue
		}
		y, usual := p.Target[lo+i], f.med[i%season]
		d := float64(y - usual)
		if scale > 0 {
			f.sample.offer(p, s, lo+i, d/scale)
		}
		// Counts vary with the root of their level, so a series that hardly varies otherwise is given that much.
		spread := math.Max(scale, math.Sqrt(math.Max(float64(usual), 1)))
		if score := math.Abs(d) / spread; score > outlierDistance {
			f.outliers++
			f.keep(score, fmt.Sprintf("%s on %v: %v, usually %v", name, p.Frequency.Day(p.Start[s]+calendar.Step(i)), y, usual))
		}
	}
}

func (f *Profile) keep(score float64, text string) {
	f.worst = append(f.worst, extreme{score, text})
	slices.SortStableFunc(f.worst, func(a, b extreme) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return strings.Compare(a.text, b.text)
	})
	f.worst = f.worst[:min(len(f.worst), MaxPlaces)]
}

// Finish adds the findings about the panel as a whole.
func (f *Profile) Finish() {
	if f.Series > 0 && !f.sold {
		f.found.Add("all_zero", Place{})
	}
	if need := 2 * f.horizon; f.Series > 0 && f.longest < need {
		f.found.Add("too_short", Place{Text: fmt.Sprintf("the longest series has %d rows with a sale, and a horizon of %d needs %d", f.longest, f.horizon, need)})
	}
	if f.gapRows > 0 {
		f.found.AddN("gaps", f.gapRows, Place{Text: "the longest is " + f.longestAt})
	}
	if f.outliers > 0 {
		f.found.AddN("outlier", f.outliers-int64(len(f.worst)), Place{})
		for _, w := range f.worst {
			f.found.Add("outlier", Place{Text: w.text})
		}
	}
	f.sample.report(f.found)
}

// median reorders xs; it is NaN for none.
func median(xs []float32) float32 {
	if len(xs) == 0 {
		return float32(math.NaN())
	}
	slices.Sort(xs)
	m := len(xs) / 2
	if len(xs)%2 == 1 {
		return xs[m]
	}
	return (xs[m-1] + xs[m]) / 2
}

func stepOf(n int) calendar.Step { return calendar.Step(n) }

func abs(x float32) float32 { return max(x, -x) }
