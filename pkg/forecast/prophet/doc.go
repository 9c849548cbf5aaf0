// Package prophet fits the additive model of Taylor and Letham, "Forecasting at Scale" (2018), to one series at a time, as Prophet 1.x does.
//
// The density, the features and the defaults are those of Prophet 1.5 (forecaster.py and its Stan model). What differs is the optimiser.
// The posterior mode of Prophet's density is a penalised least-squares problem: quadratic in everything but the Laplace prior on the
// changepoints and the noise. So the fit alternates the exact solution of that problem (feature-sign search, Lee et al., "Efficient
// sparse coding algorithms", 2006, after the unpenalised parameters are eliminated) with the closed form of the noise, over
// Gauss-Newton steps where the mean is not linear in its parameters (multiplicative terms, logistic growth). Every step lowers the
// objective, no derivative is approximated, and with linear growth and additive terms the history is read once.
package prophet
