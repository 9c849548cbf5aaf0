// Package regress is the contract between a design matrix and the learners that fit its rows: gradient-boosted trees and baselines.
package regress
