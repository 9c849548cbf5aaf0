// Package ensemble weighs several forecasters by their out-of-sample errors, combines what they forecast, and puts calibrated quantiles around it.
package ensemble
