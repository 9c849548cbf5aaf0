// Package backtest splits history at forecast origins by date and holds the out-of-sample predictions made at them.
package backtest
