// Package theta forecasts each series by the dynamic optimised theta model of Fiorucci et al., "Models for optimising the theta method and their relationship to state space models" (2016).
//
// The recursion is that of statsforecast's DOTM. Its three parameters are found differently: for a given smoothing constant the one-step
// errors are linear in the initial level and in 1-1/theta, so both have a closed form, and what is left is a search in one dimension.
package theta
