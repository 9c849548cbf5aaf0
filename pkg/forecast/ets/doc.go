// Package ets forecasts each series by exponential smoothing in state space form with additive errors: a level, with or without a damped trend and a season (Hyndman et al., "Forecasting with Exponential Smoothing", 2008).
//
// The four forms are a subset of those of statsforecast's AutoETS (ANN, AAdN, ANA, AAdA), the criterion that chooses among them is the
// same, and so is the variance of forecasts. Parameters are found differently: for given smoothing constants the one-step errors are linear
// in the initial states, which have a closed form, so that the search is over at most four numbers and not over the states too. It reaches
// lower errors, by so much that undamped trends would be chosen far more often than upstream chooses them: those are left out.
package ets
