// Package parquet reads and writes Parquet: as a [table.Source] of sales that users bring, and column by column for the workspace's own
// documents.
//
// It is the only package that imports a Parquet library. That library is parquet-go; arrow-go's parquet/file was measured beside it
// (2 million rows of 38 float32 columns, zstd level 1, one core, Go 1.26, values with few distinct digits):
//
//	                            arrow-go v18.8.0    parquet-go v0.32.0
//	write, required columns     3.5 s, 82 MB        2.9 s, 30 MB
//	write, nullable columns     3.5 s, 82 MB        5.4 s, 37 MB
//	read                        1.2 s, 31 MB        0.9 s, 21 MB
//	added to a stripped binary  24.4 MB             8.1 MB
//	added to process start      4.3 ms              0.8 ms
//
// parquet-go wins where it matters; its dearer null handling is why the design matrix holds NaN and not null.
//
// A malformed file gives a [*table.SyntaxError], never a panic: the library's own are caught where its code is called.
// The library also makes room for whatever a file claims, so the footer, and the pages of files that users bring, are compared with
// their bytes before it reads them (bounds.go); the files of a workspace have their digests.
package parquet
