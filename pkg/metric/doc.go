// Package metric scores out-of-sample predictions against what was sold: point errors, scaled errors, bias and the quality of quantiles.
package metric
