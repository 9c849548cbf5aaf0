// Package track is the contract of an experiment tracker and a model registry: where a step records what it did and which model serves.
package track
