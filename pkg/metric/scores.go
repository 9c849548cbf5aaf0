package metric

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Value is a score. NaN is a score that is not defined, such as a ratio to nothing sold; it is null in JSON.
type Value float64

// Defined reports whether v is a finite number.
func (v Value) Defined() bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }

// MarshalJSON writes the shortest number that reads back the same, or null.
func (v Value) MarshalJSON() ([]byte, error) {
	if !v.Defined() {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(v), 'g', -1, 64), nil
}

// UnmarshalJSON reads a number, or null as NaN.
func (v *Value) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*v = Value(math.NaN())
		return nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("score %q is not a number", b)
	}
	*v = Value(f)
	return nil
}

// Scores are the scores of a set of predictions. Errors are forecast minus actual. Only rows with an observed sale and a forecast
// are scored; with none, every score is NaN.
type Scores struct {
	// Rows is the number of scored predictions; Missing counts observed sales after an origin for which the model gave no forecast.
	Rows    int `json:"rows"`
	Missing int `json:"missing"`
	// WAPE is the sum of absolute errors over the sum of absolute sales.
	WAPE Value `json:"wape"`
	// RMSE and MAE are in units of the target.
	RMSE Value `json:"rmse"`
	MAE  Value `json:"mae"`
	// MAPE is the mean of absolute error over sale, over the MAPERows rows with a sale above zero.
	MAPE     Value `json:"mape"`
	MAPERows int   `json:"mape_rows"`
	// R2 is 1 - squared errors over squared deviations of the sales from their mean.
	R2 Value `json:"r2"`
	// RMSSE and MASE are errors relative to the in-sample error of a naive forecast (see Scale), computed for each of the Scaled pairs
	// of series and origin and averaged.
	RMSSE  Value `json:"rmsse"`
	MASE   Value `json:"mase"`
	Scaled int   `json:"scaled"`
	// Bias is the sum of errors over the sum of sales: positive forecasts too much.
	Bias Value `json:"bias"`
	// Coverage80 and Coverage95 are the shares of sales inside the central intervals, ends included.
	Coverage80 Value `json:"coverage_80"`
	Coverage95 Value `json:"coverage_95"`
	// WQL is the mean over the quantile levels of twice the pinball loss over the sum of absolute sales.
	WQL Value `json:"wql"`
	// MSIS is the interval score of the 95 % interval relative to the scale of MASE, averaged like MASE.
	MSIS Value `json:"msis"`
}

// Columns are the names of the scores in the order of Scores.Values.
func Columns() []string {
	return []string{"wape", "rmse", "mae", "mape", "r2", "rmsse", "mase", "bias", "coverage_80", "coverage_95", "wql", "msis"}
}

// Values returns the scores in the order of Columns.
func (s Scores) Values() []Value {
	return []Value{s.WAPE, s.RMSE, s.MAE, s.MAPE, s.R2, s.RMSSE, s.MASE, s.Bias, s.Coverage80, s.Coverage95, s.WQL, s.MSIS}
}

// layout says where the quantiles that scores need stand among the levels; -1 is absent.
type layout struct {
	levels                 []float64
	lo95, hi95, lo80, hi80 int
}

func newLayout(levels []float64) layout {
	find := func(want float64) int {
		for i, l := range levels {
			if math.Abs(l-want) < 1e-9 {
				return i
			}
		}
		return -1
	}
	return layout{levels, find(0.025), find(0.975), find(0.1), find(0.9)}
}

// tally accumulates the sums from which Scores follow.
type tally struct {
	rows, sold, mapeRows        int
	absErr, absY, err, y, sqErr float64
	ape                         float64
	meanY, devY                 float64 // running mean of the sales and sum of squared deviations from it (Welford, 1962)
	pinball                     []float64
	in80, in95                  int
	noQuantiles                 bool
	rmsse, mase, msis           float64
	scaled, intervals           int
}

// row adds one scored prediction.
func (t *tally) row(l *layout, y, f float64, q []float64) {
	e := f - y
	t.rows++
	t.absErr += math.Abs(e)
	t.absY += math.Abs(y)
	t.err += e
	t.y += y
	t.sqErr += e * e
	if y > 0 {
		t.mapeRows++
		t.ape += math.Abs(e) / y
	}
	d := y - t.meanY
	t.meanY += d / float64(t.rows)
	t.devY += d * (y - t.meanY)
	if !complete(q) {
		t.noQuantiles = true
		return
	}
	if t.pinball == nil {
		t.pinball = make([]float64, len(q))
	}
	for i, v := range q {
		t.pinball[i] += pinball(y, v, l.levels[i])
	}
	if l.lo80 >= 0 && l.hi80 >= 0 && y >= q[l.lo80] && y <= q[l.hi80] {
		t.in80++
	}
	if l.lo95 >= 0 && l.hi95 >= 0 && y >= q[l.lo95] && y <= q[l.hi95] {
		t.in95++
	}
}

func complete(q []float64) bool {
	return len(q) > 0 && !slices.ContainsFunc(q, math.IsNaN)
}

func pinball(y, q, level float64) float64 {
	e := y - q
	return max(level*e, (level-1)*e)
}

// intervalScore is that of Gneiting and Raftery (2007) for a central 95 % interval.
func intervalScore(y, lo, hi float64) float64 {
	return (hi - lo) + 40*max(lo-y, 0) + 40*max(y-hi, 0)
}

// scale adds one pair of series and origin, given the means over its scored rows.
func (t *tally) scale(s Scale, meanSq, meanAbs, meanInterval float64) {
	if s.Absolute > 0 && s.Squared > 0 {
		t.rmsse += math.Sqrt(meanSq / s.Squared)
		t.mase += meanAbs / s.Absolute
		t.scaled++
	}
	if s.Absolute > 0 {
		t.msis += meanInterval / s.Absolute
		t.intervals++
	}
}

func (t *tally) scores(l *layout) Scores {
	n := float64(t.rows)
	s := Scores{
		Rows: t.rows, Missing: t.sold - t.rows, MAPERows: t.mapeRows, Scaled: t.scaled,
		WAPE: ratio(t.absErr, t.absY), RMSE: Value(math.Sqrt(t.sqErr / n)), MAE: ratio(t.absErr, n), MAPE: ratio(t.ape, float64(t.mapeRows)),
		R2: 1 - ratio(t.sqErr, t.devY), RMSSE: ratio(t.rmsse, float64(t.scaled)), MASE: ratio(t.mase, float64(t.scaled)), Bias: ratio(t.err, t.y),
	}
	none := Value(math.NaN())
	s.Coverage80, s.Coverage95, s.WQL, s.MSIS = none, none, none, none
	if t.rows == 0 || t.noQuantiles {
		return s
	}
	if l.lo80 >= 0 && l.hi80 >= 0 {
		s.Coverage80 = ratio(float64(t.in80), n)
	}
	if l.lo95 >= 0 && l.hi95 >= 0 {
		s.Coverage95 = ratio(float64(t.in95), n)
		s.MSIS = ratio(t.msis, float64(t.intervals))
	}
	sum := 0.0
	for _, p := range t.pinball {
		sum += 2 * p
	}
	s.WQL = ratio(sum/float64(len(t.pinball)), t.absY)
	return s
}

// ratio is NaN where b is 0: nothing to compare with.
func ratio(a, b float64) Value {
	if b == 0 {
		return Value(math.NaN())
	}
	return Value(a / b)
}
