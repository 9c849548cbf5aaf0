package tune

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/c-bata/goptuna"
)

// Param is one dimension of a search: a range of numbers, both ends included, or a choice of words.
type Param struct {
	// Name is the engine's own.
	Name      string
	Low, High float64
	// Int takes whole numbers alone; Log searches the logarithm, of numbers above 0. At most one of them is set.
	Int, Log bool
	// Choices replace the range.
	Choices []string
}

// Space is what a study searches, in the order in which parameters are drawn.
type Space []Param

// SpaceOf returns what is searched for an engine: at least the number of rounds, the size of trees, the rate and the shares of rows and
// columns. Targets that are ratios may be fitted under several losses; logarithms have one.
func SpaceOf(engine string, ratio bool) (Space, error) {
	var s Space
	var losses []string
	switch engine {
	case "lightgbm":
		s = Space{
			{Name: "rounds", Low: 50, High: 300, Int: true},
			{Name: "num_leaves", Low: 7, High: 100, Int: true},
			{Name: "learning_rate", Low: 0.01, High: 0.3, Log: true},
			{Name: "min_data_in_leaf", Low: 10, High: 100, Int: true},
			{Name: "bagging_fraction", Low: 0.6, High: 1},
			{Name: "feature_fraction", Low: 0.4, High: 1},
			{Name: "lambda_l1", Low: 0, High: 1},
			{Name: "lambda_l2", Low: 0, High: 10},
		}
		losses = []string{"tweedie", "poisson", "regression"}
	case "xgboost":
		s = Space{
			{Name: "rounds", Low: 50, High: 300, Int: true},
			{Name: "max_depth", Low: 3, High: 10, Int: true},
			{Name: "max_leaves", Low: 7, High: 100, Int: true},
			{Name: "eta", Low: 0.01, High: 0.3, Log: true},
			{Name: "min_child_weight", Low: 1, High: 50, Log: true},
			{Name: "subsample", Low: 0.6, High: 1},
			{Name: "colsample_bytree", Low: 0.4, High: 1},
			{Name: "gamma", Low: 0, High: 0.5},
			{Name: "alpha", Low: 0, High: 1},
			{Name: "lambda", Low: 0, High: 10},
		}
		losses = []string{"reg:tweedie", "count:poisson", "reg:squarederror"}
	default:
		return nil, fmt.Errorf("there is nothing to tune in %s", engine)
	}
	if ratio {
		s = append(s, Param{Name: "objective", Choices: losses})
	}
	return s, nil
}

// Without leaves out parameters that are given.
func (s Space) Without(given map[string]string) Space {
	return slices.DeleteFunc(slices.Clone(s), func(p Param) bool {
		_, fixed := given[p.Name]
		return fixed
	})
}

func (p Param) check() error {
	if p.Name == "" || p.Int && p.Log || len(p.Choices) == 0 && !(p.Low < p.High) || p.Log && !(p.Low > 0) {
		return fmt.Errorf("search %q: there is no range from %v to %v, or it has no logarithm", p.Name, p.Low, p.High)
	}
	return nil
}

// suggest draws the parameter for a trial, as the text that an engine reads. Fractions have four digits that count: more would say what
// nobody measured.
func (p Param) suggest(t *goptuna.Trial) (string, error) {
	switch {
	case len(p.Choices) > 0:
		return t.SuggestCategorical(p.Name, p.Choices)
	case p.Int:
		v, err := t.SuggestInt(p.Name, int(p.Low), int(p.High))
		return strconv.Itoa(v), err
	}
	suggest := t.SuggestFloat
	if p.Log {
		suggest = t.SuggestLogFloat
	}
	v, err := suggest(p.Name, p.Low, p.High)
	return strconv.FormatFloat(v, 'g', 4, 64), err
}

// text is what suggest answered, from what the storage kept.
func (p Param) text(kept any) string {
	switch v := kept.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', 4, 64)
	default:
		return fmt.Sprint(v)
	}
}
