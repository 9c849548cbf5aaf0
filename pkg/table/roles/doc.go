// Package roles tells from the rows of a table what each of its columns is to a forecast: the time, the key of a series, the sale, or what
// is known beside it. What the rows do not decide is a [*table.Question].
package roles
