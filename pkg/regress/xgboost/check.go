package xgboost

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"salescast/pkg/regress/internal/boost"
)

// Check reports whether bytes are a model of regression trees as XGBoost 3 writes it in UBJSON, whose every walk ends in a leaf. The engine
// follows the indices of what looks like a model beyond its memory, or for ever; so whatever XGBoost does not write is an error.
func Check(b []byte) error {
	root, err := parse(b)
	if err != nil {
		return err
	}
	if err := root.keys("", "learner", "version"); err != nil {
		return err
	}
	if v, err := root.object["version"].whole("version", 3, 0, math.MaxInt16); err != nil || v[0] != 3 {
		return errors.Join(errors.New("it was not written by XGBoost 3"), err)
	}
	learner := root.object["learner"]
	if err := learner.keys("learner", "attributes", "feature_names", "feature_types", "gradient_booster", "learner_model_param", "objective"); err != nil {
		return err
	}
	columns, err := checkParameters(learner.object["learner_model_param"])
	if err != nil {
		return err
	}
	return errors.Join(
		checkTexts("attributes", learner.object["attributes"]),
		checkColumns(learner, columns), checkObjective(learner.object["objective"]), checkBooster(learner.object["gradient_booster"], columns),
	)
}

// keys reports whether an object has these keys and no others; one that begins with "?" may be absent.
func (v *value) keys(what string, want ...string) error {
	if v == nil || v.object == nil {
		return fmt.Errorf("%s is no object", what)
	}
	left := maps.Clone(v.object)
	for _, k := range want {
		name, optional := strings.CutPrefix(k, "?")
		if _, ok := left[name]; !ok && !optional {
			return fmt.Errorf("%s has no %s", what, name)
		}
		delete(left, name)
	}
	if len(left) > 0 {
		return fmt.Errorf("%s has a %.40q that XGBoost 3 does not write", what, slices.Min(slices.Collect(maps.Keys(left))))
	}
	return nil
}

// numbers returns a list or packed array of n numbers, any count where n is negative.
func (v *value) numbers(what string, n int) (func(int) float64, int, error) {
	switch {
	case v != nil && v.packed != 0:
		if count := len(v.raw) / int(sizes[v.packed]); n < 0 || count == n {
			return v.at, count, nil
		}
	case v != nil && v.list != nil && (n < 0 || len(v.list) == n):
		if !slices.ContainsFunc(v.list, func(e *value) bool { return e.number == nil }) {
			return func(i int) float64 { return *v.list[i].number }, len(v.list), nil
		}
	}
	if n < 0 {
		return nil, 0, fmt.Errorf("%s is no array of numbers", what)
	}
	return nil, 0, fmt.Errorf("%s is no array of %d numbers", what, n)
}

// whole returns n whole numbers from lo to hi, as many as there are where n is negative.
func (v *value) whole(what string, n int, lo, hi int64) ([]int64, error) {
	at, n, err := v.numbers(what, n)
	if err != nil {
		return nil, err
	}
	out := make([]int64, n)
	for i := range out {
		f := at(i)
		if f != math.Trunc(f) || f < float64(lo) || f > float64(hi) {
			return nil, fmt.Errorf("%s: %g is no whole number from %d to %d", what, f, lo, hi)
		}
		out[i] = int64(f)
	}
	return out, nil
}

// finite reports whether an array has n finite numbers.
func (v *value) finite(what string, n int) error {
	at, n, err := v.numbers(what, n)
	if err != nil {
		return err
	}
	for i := range n {
		if f := at(i); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%s: number %d is %g", what, i, f)
		}
	}
	return nil
}

// parameters returns an object of whole numbers that are written as text, each from 0 to hi.
func (v *value) parameters(what string, hi int64, keys ...string) (map[string]int, error) {
	if err := v.keys(what, keys...); err != nil {
		return nil, err
	}
	out := make(map[string]int, len(keys))
	for _, k := range keys {
		text := v.object[k].text
		if text == nil {
			return nil, fmt.Errorf("%s: %s is no text", what, k)
		}
		n, err := strconv.ParseInt(*text, 10, 64)
		if err != nil || n < 0 || n > hi || (*text)[0] == '+' {
			return nil, fmt.Errorf("%s: %s is %.40q", what, k, *text)
		}
		out[k] = int(n)
	}
	return out, nil
}

// checkParameters answers the number of columns of a model with one value for a row.
func checkParameters(v *value) (columns int, err error) {
	const what = "learner_model_param"
	if err := v.keys(what, "base_score", "boost_from_average", "num_class", "num_feature", "num_target"); err != nil {
		return 0, err
	}
	base := v.object["base_score"].text
	if base == nil {
		return 0, errors.New("base_score is no text")
	}
	if f, err := strconv.ParseFloat(strings.Trim(*base, "[]"), 64); err != nil || math.IsNaN(f) || math.IsInf(f, 0) || len(*base) > maxNumber {
		return 0, fmt.Errorf("base_score is %.40q, not one number", *base)
	}
	rest := &value{object: maps.Clone(v.object)}
	delete(rest.object, "base_score")
	p, err := rest.parameters(what, boost.MaxColumns, "boost_from_average", "num_class", "num_feature", "num_target")
	if err != nil {
		return 0, err
	}
	if p["num_class"] > 0 || p["num_target"] != 1 || p["boost_from_average"] > 1 || p["num_feature"] < 1 {
		return 0, fmt.Errorf("a model of %d classes, %d targets and %d columns is not one of sales", p["num_class"], p["num_target"], p["num_feature"])
	}
	return p["num_feature"], nil
}

const maxNumber = 40

// checkTexts accepts an object of texts.
func checkTexts(what string, v *value) error {
	if v == nil || v.object == nil {
		return fmt.Errorf("%s is no object", what)
	}
	for k, e := range v.object {
		if e.text == nil {
			return fmt.Errorf("%s: %.40q is no text", what, k)
		}
	}
	return nil
}

// checkColumns looks at the names and types of the columns; a model may have none.
func checkColumns(learner *value, columns int) error {
	for key, ok := range map[string]func(string) bool{
		"feature_names": func(s string) bool { return s != "" && len(s) <= boost.MaxName },
		"feature_types": func(s string) bool { return slices.Contains([]string{"float", "int", "i", "q", "c"}, s) },
	} {
		list := learner.object[key].list
		if list == nil || len(list) != 0 && len(list) != columns {
			return fmt.Errorf("%s has %d words for %d columns", key, len(list), columns)
		}
		for _, e := range list {
			if e.text == nil || !ok(*e.text) {
				return fmt.Errorf("%s has a word that is none", key)
			}
		}
	}
	return nil
}

// objectives are those of one value for a row, with the object of their parameters.
var objectives = map[string]string{
	"reg:squarederror": "reg_loss_param", "reg:squaredlogerror": "", "reg:logistic": "reg_loss_param", "binary:logistic": "reg_loss_param",
	"binary:logitraw": "reg_loss_param", "reg:gamma": "", "reg:absoluteerror": "", "binary:hinge": "", "reg:tweedie": "tweedie_regression_param",
	"reg:pseudohubererror": "pseudo_huber_param", "reg:quantileerror": "quantile_loss_param", "count:poisson": "poisson_regression_param",
}

func checkObjective(v *value) error {
	if v == nil || v.object == nil || v.object["name"] == nil || v.object["name"].text == nil {
		return errors.New("it names no objective")
	}
	name := *v.object["name"].text
	param, ok := objectives[name]
	if !ok {
		return fmt.Errorf("its objective is %.40q", name)
	}
	if param == "" {
		return v.keys("objective", "name", "?reg_loss_param")
	}
	if err := v.keys("objective", "name", "?"+param); err != nil {
		return err
	}
	if v.object[param] == nil {
		return nil
	}
	if err := checkTexts(param, v.object[param]); err != nil {
		return err
	}
	for k, e := range v.object[param].object {
		if f, err := strconv.ParseFloat(strings.Trim(*e.text, "[]"), 64); err != nil || math.IsNaN(f) || math.IsInf(f, 0) || len(*e.text) > maxNumber {
			return fmt.Errorf("%s: %s is %.40q, not one number", param, k, *e.text)
		}
	}
	return nil
}
