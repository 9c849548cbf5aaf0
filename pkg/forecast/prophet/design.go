package prophet

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// column is one regressor of the linear part.
type column struct {
	// component is the seasonality, holiday or regressor it belongs to.
	component string
	prior     float64
	mode      Mode
}

// design is the linear part of the model at some times: a matrix in columns, without the trend.
type design struct {
	columns []column
	x       [][]float64
}

// holidayColumn is one day of a holiday's window.
type holidayColumn struct {
	key    string
	h      *Holiday
	offset int
}

func (m *Model) holidayColumns() []holidayColumn {
	var out []holidayColumn
	for i := range m.opts.Holidays {
		h := &m.opts.Holidays[i]
		for off := h.Lower; off <= h.Upper; off++ {
			sign := '+'
			if off < 0 {
				sign = '-'
			}
			out = append(out, holidayColumn{fmt.Sprintf("%s_delim_%c%d", h.Name, sign, max(off, -off)), h, off})
		}
	}
	slices.SortFunc(out, func(a, b holidayColumn) int { return strings.Compare(a.key, b.key) })
	return out
}

// design builds the columns in Prophet's order: seasonalities as they were added, holidays by name, regressors as they were added.
func (m *Model) design(t *Times) design {
	var d design
	n := len(t.At)
	add := func(c column) []float64 {
		v := make([]float64, n)
		d.columns, d.x = append(d.columns, c), append(d.x, v)
		return v
	}
	for _, s := range m.seasonalities {
		cols := make([][]float64, 2*s.Order)
		for j := range cols {
			cols[j] = add(column{s.Name, s.PriorScale, s.Mode})
		}
		fourier(cols, t.At, s.Period)
		if s.Condition != "" {
			for i, on := range t.Conditions[s.Condition] {
				if !on {
					for j := range cols {
						cols[j][i] = 0
					}
				}
			}
		}
	}
	if hc := m.holidayColumns(); len(hc) > 0 {
		rows := make(map[int][]int, n)
		for i, at := range t.At {
			day := int(math.Floor(at))
			rows[day] = append(rows[day], i)
		}
		for _, c := range hc {
			ps := c.h.PriorScale
			if ps == 0 {
				ps = m.opts.HolidaysPriorScale
			}
			v := add(column{c.h.Name, ps, m.opts.holidaysMode()})
			for _, day := range c.h.Days {
				for _, i := range rows[day+c.offset] {
					v[i] = 1
				}
			}
		}
	}
	for i, r := range m.opts.Regressors {
		ps, mode := r.PriorScale, r.Mode
		if ps == 0 {
			ps = m.opts.HolidaysPriorScale
		}
		if mode == "" {
			mode = m.opts.SeasonalityMode
		}
		v := add(column{r.Name, ps, mode})
		for j, x := range t.Regressors[i] {
			v[j] = (x - m.regressors[i].Mu) / m.regressors[i].Std
		}
	}
	if len(d.columns) == 0 { // as Prophet does, so that beta is never empty
		add(column{"zeros", 1, Additive})
	}
	return d
}

// fourier fills sin and cos pairs of 2 pi n t / period, t in days since the epoch, by the angle-addition recurrence.
func fourier(cols [][]float64, at []float64, period float64) {
	for i, t := range at {
		s1, c1 := math.Sincos(2 * math.Pi * math.Mod(t/period, 1))
		s, c := s1, c1
		for j := 0; j < len(cols); j += 2 {
			cols[j][i], cols[j+1][i] = s, c
			s, c = s*c1+c*s1, c*c1-s*s1
		}
	}
}
