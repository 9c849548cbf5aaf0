package conformal

import (
	"errors"
	"fmt"
	"math"
)

// Check reports what makes a calibration that was read no calibration of so many series.
func (c *Calibration) Check(series int) error {
	if err := checkLevels(c.Levels); err != nil {
		return err
	}
	switch {
	case len(c.Mean) != series || len(c.Scale) != series:
		return fmt.Errorf("it has %d means and %d scales for %d series", len(c.Mean), len(c.Scale), series)
	case len(c.Quantiles) != len(c.Levels):
		return fmt.Errorf("it has %d quantiles for %d levels", len(c.Quantiles), len(c.Levels))
	case len(c.Buckets) == 0:
		return errors.New("it has no factors of the steps ahead")
	}
	numbers := [][]float64{c.Mean, c.Scale, c.Quantiles, {c.Exponent, c.UnseenScale}}
	for i, b := range c.Buckets {
		numbers = append(numbers, []float64{b.Factor})
		if i > 0 && b.From <= c.Buckets[i-1].From {
			return errors.New("the steps of its factors do not rise")
		}
	}
	if c.Exponent < 0 || c.Exponent > 1 {
		return fmt.Errorf("errors grow by the power %g of the forecast, not 0 to 1", c.Exponent)
	}
	if z := c.Sizes; z != nil {
		numbers = append(numbers, z.Centres, []float64{z.Power, z.Gain})
		if z.Power < 0 || z.Power > 1 {
			return fmt.Errorf("the sizes of errors have the power %g, not 0 to 1", z.Power)
		}
	}
	if err := c.Counts.check(len(c.Levels)); err != nil {
		return err
	}
	return checkFinite(numbers...)
}

func checkFinite(numbers ...[]float64) error {
	for _, list := range numbers {
		for _, v := range list {
			if math.IsNaN(v) || math.Abs(v) > math.MaxFloat32 {
				return fmt.Errorf("it has a number %g", v)
			}
		}
	}
	return nil
}
