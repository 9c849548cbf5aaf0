// Package golearn fits a small ensemble of golearn's regression trees: a baseline in pure Go that needs no engine library.
//
// It is honest about what it is. golearn grows one exact tree in time that is quadratic in the rows, so each tree sees an evenly spaced
// sample of them (1,000 by default) with every column cut to 16 values, and 20 such trees are added up, each fitted to what the ones
// before leave over. That makes a forecast possible everywhere and accuracy below the real engines'; weights are not used, categorical
// codes are treated as numbers, and a missing value is read as the column's median.
package golearn
