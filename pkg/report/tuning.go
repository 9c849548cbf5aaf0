package report

import (
	"fmt"
	"math"
	"strings"

	"salescast/pkg/metric"
)

type tuningRow struct{ Model, Trials, Pruned, ValidationDefault, ValidationTuned, TestDefault, TestTuned, Change, Fits string }

func (p *Page) tuningRows() []tuningRow {
	var out []tuningRow
	for _, t := range p.Tuned {
		out = append(out, tuningRow{
			display(t.Model), count(t.Trials), count(t.Pruned), percent(t.ValidationDefault, 1), percent(t.ValidationTuned, 1),
			percent(t.TestDefault, 1), percent(t.TestTuned, 1), signed(t.change()), decimal(t.Fits, 0),
		})
	}
	return out
}

// change is that of WAPE at the test origins, as a share; not defined where the default has none.
func (t Tuned) change() metric.Value {
	if !t.TestDefault.Defined() || !t.TestTuned.Defined() || t.TestDefault <= 0 {
		return metric.Value(math.NaN())
	}
	return t.TestTuned/t.TestDefault - 1
}

// noise is the change of WAPE that says nothing on panels of this size.
const noise = 0.01

// tuningSaid says whether tuning paid, or why there was none.
func (p *Page) tuningSaid() string {
	if len(p.Tuned) == 0 {
		return "Parameters of the trees were not searched, which is the default: on the real sales that it was measured with, a search won on the dates that it looked at " +
			"and not on those that it did not, for many times the processor time (docs/method.md has the figures). tuning.trials turns it on."
	}
	var better, worse, same []string
	for _, t := range p.Tuned {
		switch c := t.change(); {
		case !c.Defined():
		case c < -noise:
			better = append(better, display(t.Model))
		case c > noise:
			worse = append(worse, display(t.Model))
		default:
			same = append(same, display(t.Model))
		}
	}
	var parts []string
	for _, v := range []struct {
		models []string
		what   string
	}{{better, "it lowered the error of %s"}, {same, "it changed nothing beyond 1\u00a0%% for %s"}, {worse, "it raised the error of %s"}} {
		if len(v.models) > 0 {
			parts = append(parts, fmt.Sprintf(v.what, strings.Join(v.models, ", ")))
		}
	}
	if len(parts) == 0 {
		return "Parameters of the trees were searched; there are no test dates to say whether that was worth it."
	}
	return "Parameters of the trees were searched on dates before the test. On the test dates, which the search did not see, " + strings.Join(parts, "; ") + "."
}
