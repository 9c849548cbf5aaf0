package lightgbm

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"salescast/pkg/regress/internal/boost"
)

// treeKeys are the lines of a tree; each may stand once.
var treeKeys = []string{
	"num_leaves", "num_cat", "split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child",
	"leaf_value", "leaf_weight", "leaf_count", "internal_value", "internal_weight", "internal_count",
	"cat_boundaries", "cat_threshold", "is_linear", "leaf_const", "num_features", "leaf_features", "leaf_coeff", "shrinkage",
}

// The bits of a decision_type.
const (
	categorical  = 1
	missingShift = 2
	// mostDecision has the last kind of missing value of three, the default side and a set of categories.
	mostDecision = 2<<missingShift + 3
)

// tree is what the check keeps of a tree.
type tree struct {
	values map[string]string
	leaves int
	cats   int
}

func checkTree(text []byte, i, columns int) error {
	body, ok := strings.CutSuffix(string(text), "\n\n\n")
	lines := strings.Split(body, "\n")
	if !ok || lines[0] != "Tree="+strconv.Itoa(i) {
		return errors.New("it does not begin and end where tree_sizes says")
	}
	values, err := pairs(lines[1:], treeKeys)
	if err != nil {
		return err
	}
	t := tree{values: values}
	leaves, err := t.integers("num_leaves", 1, 1, boost.MaxNodes)
	if err != nil {
		return err
	}
	t.leaves = int(leaves[0])
	cats, err := t.integers("num_cat", 1, 0, int64(t.leaves-1))
	if err != nil {
		return err
	}
	t.cats = int(cats[0])
	return errors.Join(t.checkNumbers(), t.checkSplits(columns), t.checkChildren(), t.checkLinear(columns))
}

func (t *tree) integers(key string, n int, lo, hi int64) ([]int64, error) {
	v, err := integers(t.values[key], n, lo, hi)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return v, nil
}

func (t *tree) finite(key string, n int) error {
	if _, err := finite(t.values[key], n); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// checkNumbers looks at what leaves and splits have counted and weighed. A tree of one leaf has no weights.
func (t *tree) checkNumbers() error {
	weights := t.leaves
	if t.leaves == 1 {
		weights = fields(t.values["leaf_weight"])
	}
	errs := []error{t.finite("leaf_value", t.leaves), t.finite("leaf_weight", min(weights, t.leaves)), t.finite("shrinkage", 1)}
	for _, key := range []string{"split_gain", "internal_value", "internal_weight"} {
		errs = append(errs, t.finite(key, t.leaves-1))
	}
	_, leaf := t.integers("leaf_count", t.leaves, 0, math.MaxInt32)
	_, internal := t.integers("internal_count", t.leaves-1, 0, math.MaxInt32)
	return errors.Join(append(errs, leaf, internal)...)
}

// checkSplits looks at where the splits look and what they compare with.
func (t *tree) checkSplits(columns int) error {
	if _, err := t.integers("split_feature", t.leaves-1, 0, int64(columns-1)); err != nil {
		return err
	}
	kinds, err := t.integers("decision_type", t.leaves-1, 0, mostDecision)
	if err != nil {
		return err
	}
	values, err := thresholds(t.values["threshold"], t.leaves-1)
	if err != nil {
		return fmt.Errorf("threshold: %w", err)
	}
	for i, kind := range kinds {
		if set := values[i]; kind&categorical != 0 && (set != math.Trunc(set) || set < 0 || set >= float64(t.cats)) {
			return fmt.Errorf("split %d takes set %g of %d sets of categories", i, set, t.cats)
		}
	}
	return t.checkCategories()
}

// checkCategories looks at the sets of categories, which are bits in words of 32.
func (t *tree) checkCategories() error {
	if t.cats == 0 {
		if t.values["cat_boundaries"] != "" || t.values["cat_threshold"] != "" {
			return errors.New("it has sets of categories and says that it has none")
		}
		return nil
	}
	words := fields(t.values["cat_threshold"])
	bounds, err := t.integers("cat_boundaries", t.cats+1, 0, int64(words))
	if err != nil {
		return err
	}
	for i, b := range bounds[1:] {
		if b < bounds[i] {
			return errors.New("cat_boundaries do not rise")
		}
	}
	if bounds[0] != 0 || bounds[t.cats] != int64(words) {
		return fmt.Errorf("cat_boundaries do not divide the %d words of cat_threshold", words)
	}
	_, err = t.integers("cat_threshold", words, 0, math.MaxUint32)
	return err
}

// checkChildren walks from the root: each split and each leaf is met once. A leaf is the complement of its number.
func (t *tree) checkChildren() error {
	splits := t.leaves - 1
	left, err := t.integers("left_child", splits, int64(-t.leaves), int64(splits-1))
	if err != nil {
		return err
	}
	right, err := t.integers("right_child", splits, int64(-t.leaves), int64(splits-1))
	if err != nil {
		return err
	}
	if splits == 0 {
		return nil
	}
	return boost.CheckTree(splits+t.leaves, func(node int) (int, int, bool) {
		if node >= splits {
			return 0, 0, true
		}
		return t.index(left[node]), t.index(right[node]), false
	})
}

// index numbers splits and leaves in one row: the leaves come after the splits.
func (t *tree) index(child int64) int {
	if child < 0 {
		return t.leaves - 1 + int(^child)
	}
	return int(child)
}

// checkLinear looks at the linear models of the leaves.
func (t *tree) checkLinear(columns int) error {
	linear, err := t.integers("is_linear", 1, 0, 1)
	if err != nil {
		return err
	}
	if linear[0] == 0 {
		for _, key := range []string{"leaf_const", "num_features", "leaf_features", "leaf_coeff"} {
			if _, ok := t.values[key]; ok {
				return fmt.Errorf("%s stands in a tree that is not linear", key)
			}
		}
		return nil
	}
	if err := t.finite("leaf_const", t.leaves); err != nil {
		return err
	}
	counts, err := t.integers("num_features", t.leaves, 0, int64(columns))
	if err != nil {
		return err
	}
	features, err := perLeaf(t.values["leaf_features"], counts)
	if err == nil {
		_, err = integers(features, fields(features), 0, int64(columns-1))
	}
	if err != nil {
		return fmt.Errorf("leaf_features: %w", err)
	}
	coefficients, err := perLeaf(t.values["leaf_coeff"], counts)
	if err == nil {
		_, err = finite(coefficients, fields(coefficients))
	}
	if err != nil {
		return fmt.Errorf("leaf_coeff: %w", err)
	}
	return nil
}

// perLeaf joins the words of all leaves: each leaf writes its own with a space after each, and one more after the leaf.
func perLeaf(s string, counts []int64) (string, error) {
	var words []string
	for leaf, n := range counts {
		for range n {
			word, rest, ok := strings.Cut(s, " ")
			if !ok || word == "" {
				return "", fmt.Errorf("leaf %d has fewer than %d", leaf, n)
			}
			words, s = append(words, word), rest
		}
		rest, ok := strings.CutPrefix(s, " ")
		if !ok {
			return "", fmt.Errorf("leaf %d has more than %d", leaf, n)
		}
		s = rest
	}
	if s != "" {
		return "", errors.New("there are words after the last leaf")
	}
	return strings.Join(words, " "), nil
}
