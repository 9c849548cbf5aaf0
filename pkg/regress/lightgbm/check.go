package lightgbm

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"salescast/pkg/regress/internal/boost"
)

// Check reports whether a model text holds regression trees that every walk leaves by a leaf. The engine's own parser trusts the text: a
// short list makes it read beyond its memory, and a child that points back makes it walk for ever. So what differs in anything from
// what LightGBM 4 writes is an error.
func Check(text []byte) error {
	if bytes.IndexByte(text, 0) >= 0 {
		return errors.New("a zero byte stands in the model text")
	}
	head, rest, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok {
		return errors.New("the model text has no trees")
	}
	h, err := readHead(head)
	if err != nil {
		return err
	}
	for i, size := range h.sizes {
		if size > len(rest) {
			return fmt.Errorf("tree %d ends beyond the model text", i)
		}
		if err := checkTree(rest[:size], i, h.columns); err != nil {
			return fmt.Errorf("tree %d: %w", i, err)
		}
		rest = rest[size:]
	}
	return checkEnd(rest)
}

var errNoTrees = errors.New("there are no trees")

// endOfTrees follows the last tree.
const endOfTrees = "end of trees\n"

// checkEnd looks at what follows the trees, which the engine keeps as text and skims for more trees.
func checkEnd(rest []byte) error {
	if !bytes.HasPrefix(rest, []byte(endOfTrees)) {
		return errors.New("its trees are not as long as tree_sizes says")
	}
	if bytes.Contains(rest, []byte("Tree=")) || bytes.Contains(rest, []byte("tree_sizes=")) || bytes.Count(rest, []byte(endOfTrees)) != 1 {
		return errors.New("there is another tree behind the last one")
	}
	return nil
}

// head is what the lines before the trees say.
type head struct {
	columns int
	sizes   []int
}

// headKeys are the lines of the head; each may stand once.
var headKeys = []string{
	"version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective", "feature_names", "monotone_constraints", "feature_infos", "tree_sizes",
}

func readHead(text []byte) (h head, err error) {
	lines := strings.Split(string(text), "\n")
	if lines[0] != "tree" {
		return h, errors.New("it does not begin with tree")
	}
	lines = slices.DeleteFunc(lines[1:], func(l string) bool { return l == "average_output" }) // a random forest
	values, err := pairs(lines, headKeys)
	if err != nil {
		return h, err
	}
	for key, want := range map[string]string{"version": "v4", "num_class": "1", "num_tree_per_iteration": "1"} {
		if values[key] != want {
			return h, fmt.Errorf("%s is %q, not %s", key, values[key], want)
		}
	}
	last, err := integers(values["max_feature_idx"], 1, 0, boost.MaxColumns-1)
	if err != nil {
		return h, fmt.Errorf("max_feature_idx: %w", err)
	}
	h.columns = int(last[0]) + 1
	if _, err := integers(values["label_index"], 1, 0, math.MaxInt32); err != nil {
		return h, fmt.Errorf("label_index: %w", err)
	}
	if err := h.checkColumns(values); err != nil {
		return h, err
	}
	sizes, err := integers(values["tree_sizes"], fields(values["tree_sizes"]), 1, boost.MaxModelBytes)
	for _, s := range sizes {
		h.sizes = append(h.sizes, int(s))
	}
	if err != nil || len(sizes) == 0 {
		return h, fmt.Errorf("tree_sizes: %w", cmp.Or(err, errNoTrees))
	}
	return h, nil
}

// checkColumns looks at the lists that have a word for each column.
func (h *head) checkColumns(values map[string]string) error {
	for _, key := range []string{"feature_names", "feature_infos"} {
		if n := fields(values[key]); n != h.columns {
			return fmt.Errorf("%s has %d words for %d columns", key, n, h.columns)
		}
	}
	if names := strings.Split(values["feature_names"], " "); slices.ContainsFunc(names, func(n string) bool { return n == "" || len(n) > boost.MaxName }) {
		return errors.New("a column has no name, or one that is too long")
	}
	if m, ok := values["monotone_constraints"]; ok {
		if _, err := integers(m, h.columns, -1, 1); err != nil {
			return fmt.Errorf("monotone_constraints: %w", err)
		}
	}
	return checkObjective(values["objective"])
}

// checkObjective accepts the objectives of one value for a row.
func checkObjective(line string) error {
	words := strings.Split(line, " ")
	known := []string{
		"regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie", "binary", "cross_entropy", "cross_entropy_lambda", "lambdarank", "rank_xendcg",
	}
	if !slices.Contains(known, words[0]) {
		return fmt.Errorf("its objective is %q", words[0])
	}
	for _, w := range words[1:] {
		_, v, ok := strings.Cut(w, ":")
		if ok {
			if f, err := strconv.ParseFloat(v, 64); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
				return fmt.Errorf("the objective's %q is no number", w)
			}
		}
	}
	return nil
}

// pairs splits lines of KEY=VALUE, of which each key of known may stand once.
func pairs(lines, known []string) (map[string]string, error) {
	values := make(map[string]string, len(lines))
	for _, l := range lines {
		key, value, ok := strings.Cut(l, "=")
		if !ok || !slices.Contains(known, key) {
			return nil, fmt.Errorf("it has a line %q that LightGBM 4 does not write", clip(l))
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("%s stands twice", key)
		}
		values[key] = value
	}
	return values, nil
}

func clip(s string) string { return s[:min(len(s), 40)] }

func fields(s string) int {
	if s == "" {
		return 0
	}
	return strings.Count(s, " ") + 1
}

// integers reads n whole numbers from lo to hi with one space between each and the next.
func integers(s string, n int, lo, hi int64) ([]int64, error) {
	if fields(s) != n {
		return nil, fmt.Errorf("%d numbers, not %d", fields(s), n)
	}
	out := make([]int64, 0, n)
	for range n {
		var word string
		word, s, _ = strings.Cut(s, " ")
		v, err := strconv.ParseInt(word, 10, 64)
		if err != nil || v < lo || v > hi || word[0] == '+' {
			return nil, fmt.Errorf("%q is no whole number from %d to %d", clip(word), lo, hi)
		}
		out = append(out, v)
	}
	return out, nil
}

// maxNumber is the most digits of a number that LightGBM writes, and some.
const maxNumber = 32

// smallest is the least number that is not subnormal: the engine's reader throws at smaller ones, where nothing catches.
const smallest = 0x1p-1022

// finite reads n finite decimal numbers with one space between each and the next.
func finite(s string, n int) ([]float64, error) { return numbers(s, n, false) }

// thresholds reads what n splits compare with: finite numbers, and "inf" where a split tells known values from missing ones.
func thresholds(s string, n int) ([]float64, error) { return numbers(s, n, true) }

func numbers(s string, n int, infinite bool) ([]float64, error) {
	if fields(s) != n {
		return nil, fmt.Errorf("%d numbers, not %d", fields(s), n)
	}
	out := make([]float64, 0, n)
	for range n {
		var word string
		word, s, _ = strings.Cut(s, " ")
		v, err := strconv.ParseFloat(word, 64)
		if infinite && word == "inf" {
			out = append(out, v)
			continue
		}
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v != 0 && math.Abs(v) < smallest || len(word) > maxNumber || strings.ContainsAny(word, "xX_pP") {
			return nil, fmt.Errorf("%q is no finite number", clip(word))
		}
		out = append(out, v)
	}
	return out, nil
}
