// Package prophettest has the real Prophet load what salescast saves.
package prophettest
