package ets_test

import (
	"testing"

	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ets"
	"salescast/pkg/forecast/forecasttest"
)

func TestForecaster(t *testing.T) {
	t.Parallel()
	forecasttest.Run(t, forecasttest.Traits{Quantiles: true}, func(*testing.T) forecast.Forecaster {
		return ets.Forecaster{NonNegative: true, Threads: 2}
	})
}
