package forecast_test

import (
	"errors"
	"math"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/forecasttest"
)

func TestCheckPlan(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily()) // a plan of 28 days
	end, _ := p.End()
	if err := forecast.CheckPlan(p, end, 28); err != nil {
		t.Errorf("the plan is whole: %v", err)
	}
	var missing *forecast.MissingPlanError
	if err := forecast.CheckPlan(p, end, 30); !errors.As(err, &missing) || missing.Count != p.Series() || missing.Column != "promo" {
		t.Errorf("two days of every series are missing: %v", err)
	}
	if missing.From != p.Frequency.Day(end+29) || missing.To != p.Frequency.Day(end+30) {
		t.Errorf("missing from %s to %s, want the 29th and 30th day", missing.From, missing.To)
	}
	for c := range p.Covariates { // past-only values are never missed
		r, _ := p.Row(2, end+5)
		if p.Covariates[c].Name == "weather" {
			p.Covariates[c].Values[r] = float32(math.NaN())
		}
	}
	if err := forecast.CheckPlan(p, end, 28); err != nil {
		t.Errorf("weather is not planned: %v", err)
	}
	r, _ := p.Row(2, end+5)
	p.Covariates[0].Values[r] = float32(math.NaN())
	if err := forecast.CheckPlan(p, end, 28); !errors.As(err, &missing) || missing.Count != 1 || missing.From != missing.To || missing.From != p.Frequency.Day(end+calendar.Step(5)) {
		t.Errorf("one day of one series: %v", err)
	}
}
