// Package table is the contract of row sources: an open table yields typed columns in blocks of rows, each row with its position, in bounded
// memory.
//
// A Source is one file of one format; pkg/table/csv and pkg/table/parquet have those that there are, and pkg/table/format tells from
// a file's content which of them reads it. To add a source, implement [Source] over a [Builder], which knows how the cells of every
// format are read as numbers, dates and text; hand its constructor to tabletest.Run in a test; and name it in pkg/table/format.
//
// A cell or row that cannot be read is a [Fault] in its block, so that whoever owns the data hears of every one; a file that cannot be
// read is a [*SyntaxError].
package table
