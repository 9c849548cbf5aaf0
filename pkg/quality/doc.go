// Package quality holds sales data against its contract: rules look at every row and every series, and what they find becomes a report.
//
// Rows that no forecast may learn from are rejected one by one and counted; what is wrong with the data as a whole is a finding of
// severity error. Memory is bounded: findings keep a count and the first places, statistics run series by series, and only the
// isolation forest keeps a sample.
package quality
