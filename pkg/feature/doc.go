// Package feature turns sales and covariates into the columns of a design matrix, by one code for training, materialising and forecasting.
//
// A [Spec] declares families of features, a [Schema] says what the data has, and a [Plan] is both together, checked: every column
// states what it may read at a forecast origin o for a target step t, and a plan refuses a column that would read sales after o,
// a past-only covariate after o, or a known-future covariate after o plus the horizon. A [State] holds prefix sums of each series,
// so that any window of any (series, origin, target) costs O(1); it answers from values at or before the origin only, whatever the
// panel holds after it, to the last bit. [State.Fork] and [State.Append] walk it forward, forecast by forecast.
package feature
