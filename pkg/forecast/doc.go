// Package forecast is the contract of everything that forecasts series: fit a panel, then answer requests at any origin with points and quantiles.
package forecast
