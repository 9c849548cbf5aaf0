// Package forecasttest is the suite of laws that every forecaster obeys, and the small panels it is tried on.
package forecasttest
