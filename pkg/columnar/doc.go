// Package columnar reads and writes the product's own documents as tables: the panel, predictions, design matrices and rows that were set
// aside.
//
// They are Parquet files whose metadata says what their columns mean (pkg/table/parquet has the codec), and predictions for people are
// CSV too. A malformed file gives a [*table.SyntaxError], never a panic. Their bytes are checked by digests where they are kept.
package columnar
