package theta_test

import (
	"testing"

	"salescast/pkg/forecast"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/forecast/theta"
)

func TestForecaster(t *testing.T) {
	t.Parallel()
	forecasttest.Run(t, forecasttest.Traits{Quantiles: true}, func(*testing.T) forecast.Forecaster {
		return theta.Forecaster{NonNegative: true, Samples: 200, Threads: 2, Seed: 1}
	})
}
