package boost

import (
	"errors"
	"fmt"
)

// What a saved model may hold, far above what any training makes.
const (
	MaxColumns = 1 << 16
	MaxName    = 1 << 12
	// MaxNodes bounds one tree.
	MaxNodes = 1 << 26
	// MaxDepth bounds the splits from a root to a leaf: the engines explain a row by recursion, with memory that grows by the square of it.
	MaxDepth = 1024
)

// CheckTree walks a tree of n nodes from node 0 and reports whether it meets each node once. children answers the two nodes below one, or
// that it is a leaf.
func CheckTree(n int, children func(node int) (left, right int, leaf bool)) error {
	seen := make([]bool, n)
	level, next, met := []int{0}, []int{}, 0
	for depth := 0; len(level) > 0; depth++ {
		if depth > MaxDepth {
			return fmt.Errorf("it is more than %d splits deep", MaxDepth)
		}
		next = next[:0]
		for _, node := range level {
			if node < 0 || node >= n {
				return fmt.Errorf("a split leads to node %d of %d", node, n)
			}
			if seen[node] {
				return fmt.Errorf("two ways lead to node %d", node)
			}
			seen[node] = true
			met++
			if left, right, leaf := children(node); !leaf {
				next = append(next, left, right)
			}
		}
		level, next = next, level
	}
	if met != n {
		return errors.New("no way leads to some of its nodes")
	}
	return nil
}
