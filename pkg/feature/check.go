package feature

import (
	"fmt"
	"math"
	"slices"

	"salescast/pkg/calendar"
)

// What a plan that is read may declare: all of it decides how much memory the plan's features take.
const (
	maxHorizon    = 5000
	maxReach      = 20_000  // steps of a lag, a window or a neighbour
	maxDeclared   = 1000    // lags, windows, neighbours, families
	maxCovariates = 10_000  // columns of the data
	maxStep       = 5 << 20 // days of 14,000 years
)

// check reports what a plan cannot be made of, or not in the memory of a computer.
func (f *planFile) check() error {
	d, s := f.Data, f.Spec
	switch {
	case d.Horizon > maxHorizon:
		return fmt.Errorf("its horizon is %d, more than %d", d.Horizon, maxHorizon)
	case len(d.Covariates) > maxCovariates || len(d.Keys)+len(d.Static) > maxCovariates || len(f.Columns) > maxCovariates:
		return fmt.Errorf("it is of more than %d columns", maxCovariates)
	case d.Series < 0:
		return fmt.Errorf("it is of %d series", d.Series)
	}
	for _, at := range []calendar.Step{d.First, d.Last, d.Origin} {
		if at < -maxStep || at > maxStep {
			return fmt.Errorf("it is of step %d, thousands of years away", at)
		}
	}
	for _, c := range d.Covariates {
		if math.IsNaN(c.Spread) || math.IsInf(c.Spread, 0) || c.Spread <= 0 {
			return fmt.Errorf("the spread of %q is %g", c.Name, c.Spread)
		}
	}
	if max(len(s.Families), len(s.Lags), len(s.Windows), len(s.Stats), len(s.Neighbours)) > maxDeclared || len(s.Covariates) > maxCovariates {
		return fmt.Errorf("it declares more than %d features of a kind", maxDeclared)
	}
	for _, n := range slices.Concat(s.Lags, s.Windows, s.Neighbours) {
		if n < -maxReach || n > maxReach {
			return fmt.Errorf("it reaches %d steps, more than %d", n, maxReach)
		}
	}
	return nil
}
