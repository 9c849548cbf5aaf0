// Package drift tells whether a model still forecasts as well as it did when it was measured, and whether its data still look like those
// that it learned from.
package drift
