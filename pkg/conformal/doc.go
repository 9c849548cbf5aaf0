// Package conformal turns out-of-sample errors into quantiles: errors are scaled by series, level of the forecast and horizon, pooled, and scaled back.
package conformal
