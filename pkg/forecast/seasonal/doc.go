// Package seasonal forecasts each series from its own past: the seasonal naive baseline, and exponential smoothing of what a weekday profile leaves.
package seasonal
