// Package bundle writes a fitted ensemble as files and opens it again.
//
// A bundle is a folder of these files, of which bundle.json names the others and gives their SHA-256:
//
//	bundle.json        what is forecast and how: schema, frequency, horizon, origin, quantile levels, members with their weights
//	weights.json       how the weights came about (written by the ensemble step, not read here)
//	calibration.json   quantiles: the ids of the series and a conformal.Calibration; absent where there was too little history
//	totals.json        quantiles of sums: ensemble.Totals, of all series and by key; absent likewise, and in bundles that are older
//	members/NAME/member.json   what the member is: its kind, and for trees their global.Spec and the files of their models
//	members/NAME/plan.json     the features of trees: a feature.Plan
//	members/NAME/calibration.json   quantiles of the member by itself: a conformal.Calibration of the same series; absent in bundles that are older
//	members/NAME/model-1.ubj   trees in the engine's own format, one file per seed: XGBoost's .ubj, LightGBM's .txt
//	history.parquet    the panel it was fitted on, with the plan: a forecast needs nothing else
//
// Members without weight are left out. A forecast asks for a panel; [Bundle.History] is that panel where no fresher one is at hand. It is
// whole, because features and members read means over all of the past: from it, a forecast has the bits of the one that was tested.
package bundle
