// Package synth generates the sales of a chain of shops from a seed: demand with a known expectation, the stock that censors it, and the promotions, events and visitors around it.
package synth
