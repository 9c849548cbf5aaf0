// Package report renders one self-contained HTML page that tells a planner what will sell, how far to trust it, and how it was made.
package report
