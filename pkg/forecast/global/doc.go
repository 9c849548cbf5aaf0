// Package global forecasts all series of a panel with one regression model: directly, with the horizon as a feature, or recursively, one step at a time.
package global
