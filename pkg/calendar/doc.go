// Package calendar counts days and periods: a civil date as a number, the regular grids that sales live on, and public holidays.
package calendar
