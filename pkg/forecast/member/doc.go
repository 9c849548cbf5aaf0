// Package member names the forecasters that an ensemble is made of, and says which of them suit a panel.
package member
