// Package monitortest replays half a year of the bakery past a model that is not trained again, as it was and with sales that changed, and
// counts how often monitoring calls it drift.
package monitortest
