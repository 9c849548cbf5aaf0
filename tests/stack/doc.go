// Package stack tests "make stack": that its services find each other, and that nothing of them is left when it ends. See make/stack.mk.
package stack
