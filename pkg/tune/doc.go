// Package tune searches the parameters of boosted trees with goptuna: trials that look bad after some of their rounds are pruned, a study
// that was killed goes on where it was, and its storage is Optuna's.
package tune
