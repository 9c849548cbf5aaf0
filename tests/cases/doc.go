// Package casestest takes sales made for a hard case through the whole pipeline and holds the forecasts against what is known of them.
package casestest
