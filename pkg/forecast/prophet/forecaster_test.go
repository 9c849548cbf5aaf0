package prophet_test

import (
	"testing"

	"salescast/pkg/forecast"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/forecast/prophet"
)

func TestForecaster(t *testing.T) {
	t.Parallel()
	forecasttest.Run(t, forecasttest.Traits{Plan: true, Quantiles: true}, func(*testing.T) forecast.Forecaster {
		return prophet.Forecaster{Options: prophet.DefaultOptions(), NonNegative: true, Samples: 200, Threads: 2, Seed: 1}
	})
}
