package xgboost

import (
	"errors"
	"fmt"
	"math"

	"salescast/pkg/regress/internal/boost"
)

// maxCategoryBytes bounds the sets of categories of a model: the engine makes for each split a bit for every category up to its largest.
const maxCategoryBytes = 256 << 20

// checkBooster accepts trees, and trees with weights of their own (dart).
func checkBooster(v *value, columns int) error {
	if v == nil || v.object == nil || v.object["name"] == nil || v.object["name"].text == nil {
		return errors.New("it names no booster")
	}
	switch name := *v.object["name"].text; name {
	case "gbtree":
		if err := v.keys(name, "model", "name"); err != nil {
			return err
		}
		_, err := checkTrees(v.object["model"], columns)
		return err
	case "dart":
		if err := v.keys(name, "gbtree", "name", "weight_drop"); err != nil {
			return err
		}
		inner := v.object["gbtree"]
		if err := inner.keys("dart.gbtree", "model", "name"); err != nil {
			return err
		}
		if t := inner.object["name"].text; t == nil || *t != "gbtree" {
			return errors.New("the trees of dart are not gbtree's")
		}
		trees, err := checkTrees(inner.object["model"], columns)
		return errors.Join(err, v.object["weight_drop"].finite("weight_drop", trees))
	default:
		return fmt.Errorf("its booster is %.40q, not trees", name)
	}
}

func checkTrees(v *value, columns int) (trees int, err error) {
	if err := v.keys("model", "cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees"); err != nil {
		return 0, err
	}
	p, err := v.object["gbtree_model_param"].parameters("gbtree_model_param", boost.MaxNodes, "num_parallel_tree", "num_trees")
	if err != nil {
		return 0, err
	}
	trees = p["num_trees"]
	list := v.object["trees"].list
	if len(list) != trees || p["num_parallel_tree"] < 1 {
		return 0, fmt.Errorf("it has %d trees and says %d, %d at a time", len(list), trees, p["num_parallel_tree"])
	}
	if _, err := v.object["tree_info"].whole("tree_info", trees, 0, 0); err != nil {
		return 0, err
	}
	if err := checkRounds(v.object["iteration_indptr"], trees); err != nil {
		return 0, err
	}
	if err := checkNoEncoder(v.object["cats"]); err != nil {
		return 0, err
	}
	left := maxCategoryBytes
	for i, t := range list {
		used, err := checkTree(t, i, columns)
		if left -= used; err == nil && left < 0 {
			err = errors.New("the sets of categories are too large")
		}
		if err != nil {
			return 0, fmt.Errorf("tree %d: %w", i, err)
		}
	}
	return trees, nil
}

// checkRounds looks at the numbers of the trees with which the rounds begin, and end.
func checkRounds(v *value, trees int) error {
	rounds, err := v.whole("iteration_indptr", -1, 0, int64(trees))
	if err != nil {
		return err
	}
	if len(rounds) == 0 || rounds[0] != 0 || rounds[len(rounds)-1] != int64(trees) {
		return errors.New("iteration_indptr does not go from the first tree to the last")
	}
	for i, r := range rounds[1:] {
		if r < rounds[i] {
			return errors.New("iteration_indptr does not rise")
		}
	}
	return nil
}

// checkNoEncoder refuses the encoder of a data frame's categories, which models of ours do not have.
func checkNoEncoder(v *value) error {
	if err := v.keys("cats", "enc", "feature_segments", "sorted_idx"); err != nil {
		return err
	}
	for k, e := range v.object {
		if e.object != nil || e.text != nil || e.number != nil || len(e.list) > 0 || len(e.raw) > 0 {
			return fmt.Errorf("cats.%s is not empty", k)
		}
	}
	return nil
}

// tree is what the check keeps of a tree.
type tree struct {
	*value
	nodes int
	left  []int64
	right []int64
}

// checkTree answers how many bytes the sets of categories of a tree take.
func checkTree(v *value, id, columns int) (bytes int, err error) {
	err = v.keys("tree", "base_weights", "categories", "categories_nodes", "categories_segments", "categories_sizes", "default_left", "id", "left_children",
		"loss_changes", "parents", "right_children", "split_conditions", "split_indices", "split_type", "sum_hessian", "tree_param")
	if err != nil {
		return 0, err
	}
	p, err := v.object["tree_param"].parameters("tree_param", boost.MaxNodes, "num_deleted", "num_feature", "num_nodes", "size_leaf_vector")
	if err != nil {
		return 0, err
	}
	if p["num_deleted"] > 0 || p["num_feature"] != columns || p["num_nodes"] < 1 || p["size_leaf_vector"] > 1 {
		return 0, fmt.Errorf("it has %d nodes without %d, %d columns and %d values for each leaf", p["num_nodes"], p["num_deleted"], p["num_feature"], p["size_leaf_vector"])
	}
	if n := v.object["id"].number; n == nil || *n != float64(id) {
		return 0, errors.New("its number is another's")
	}
	t := &tree{value: v, nodes: p["num_nodes"]}
	if err := t.checkChildren(); err != nil {
		return 0, err
	}
	if err := t.checkSplits(columns); err != nil {
		return 0, err
	}
	return t.checkCategories()
}

func (t *tree) whole(key string, lo, hi int64) ([]int64, error) {
	return t.object[key].whole(key, t.nodes, lo, hi)
}

const noNode = -1

// checkChildren walks from the root: each node is met once, and knows from where.
func (t *tree) checkChildren() (err error) {
	last := int64(t.nodes - 1)
	if t.left, err = t.whole("left_children", noNode, last); err != nil {
		return err
	}
	if t.right, err = t.whole("right_children", noNode, last); err != nil {
		return err
	}
	parents, err := t.whole("parents", noNode, math.MaxInt32)
	if err != nil {
		return err
	}
	if parents[0] != math.MaxInt32 && parents[0] != noNode {
		return errors.New("the root has a parent")
	}
	return boost.CheckTree(t.nodes, func(node int) (int, int, bool) {
		l, r := t.left[node], t.right[node]
		if l == noNode && r == noNode {
			return 0, 0, true
		}
		if l == noNode || r == noNode || parents[l] != int64(node) || parents[r] != int64(node) {
			return noNode, noNode, false
		}
		return int(l), int(r), false
	})
}

func (t *tree) leaf(node int64) bool { return t.left[node] == noNode }

// checkSplits looks at where the splits look, and at the values of the leaves, which stand in the place of a split's condition.
func (t *tree) checkSplits(columns int) error {
	if _, err := t.whole("split_indices", 0, int64(columns-1)); err != nil {
		return err
	}
	if _, err := t.whole("default_left", 0, 1); err != nil {
		return err
	}
	for _, key := range []string{"base_weights", "loss_changes", "sum_hessian"} {
		if err := t.object[key].finite(key, t.nodes); err != nil {
			return err
		}
	}
	at, n, err := t.object["split_conditions"].numbers("split_conditions", t.nodes)
	if err != nil {
		return err
	}
	for i := range n {
		if f := at(i); t.leaf(int64(i)) && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return fmt.Errorf("leaf %d is %g", i, f)
		}
	}
	return nil
}

// checkCategories answers how many bytes the sets of categories take: each split of that type has one, in the order of the nodes.
func (t *tree) checkCategories() (bytes int, err error) {
	kinds, err := t.whole("split_type", 0, 1)
	if err != nil {
		return 0, err
	}
	nodes, err := t.object["categories_nodes"].whole("categories_nodes", -1, 0, int64(t.nodes-1))
	if err != nil {
		return 0, err
	}
	categories, err := t.object["categories"].whole("categories", -1, 0, maxCategoryBytes)
	if err != nil {
		return 0, err
	}
	begins, err := t.object["categories_segments"].whole("categories_segments", len(nodes), 0, int64(len(categories)))
	if err != nil {
		return 0, err
	}
	counts, err := t.object["categories_sizes"].whole("categories_sizes", len(nodes), 1, int64(len(categories)))
	if err != nil {
		return 0, err
	}
	next, sets := int64(0), 0
	for i, n := range nodes {
		if kinds[n] == 0 || t.leaf(n) || i > 0 && n <= nodes[i-1] || begins[i] != next || next+counts[i] > int64(len(categories)) {
			return 0, fmt.Errorf("set %d of categories is out of place", i)
		}
		largest := int64(0)
		for _, c := range categories[next : next+counts[i]] {
			largest = max(largest, c)
		}
		bytes += int(largest/8) + 8
		next += counts[i]
		sets++
	}
	for _, kind := range kinds {
		sets -= int(kind)
	}
	if next != int64(len(categories)) || sets != 0 {
		return 0, errors.New("the sets of categories are not those of the splits")
	}
	return bytes, nil
}
