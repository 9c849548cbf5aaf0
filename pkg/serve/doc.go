// Package serve answers HTTP requests for forecasts from opened bundles, which it takes over anew when a newer one appears.
package serve
