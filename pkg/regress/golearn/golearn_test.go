package golearn_test

import (
	"strings"
	"testing"

	"salescast/pkg/regress"
	"salescast/pkg/regress/golearn"
	"salescast/pkg/regress/regresstest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	regresstest.Run(t, regresstest.Engine{
		Learner: golearn.NewLearner, Open: golearn.Load, Params: map[string]string{"sample_rows": "400", "rounds": "12"},
	})
}

// A validation set would have to be ignored, and that must not happen silently.
func TestEarlyStoppingIsRefused(t *testing.T) {
	t.Parallel()
	l, err := golearn.NewLearner(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := regresstest.Sales(100, 1)
	if _, err := l.Fit(t.Context(), s, &regress.Valid{Source: s, Patience: 3}); err == nil {
		t.Error("a validation set is no error")
	}
}

func TestLoadRefusesTreesThatDoNotEnd(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"loop":           `{"schema":"salescast.golearn/v1","columns":["a"],"medians":[0],"gain":[0],"trees":[[{"left":1,"right":1},{"left":1,"right":1}]]}`,
		"outside":        `{"schema":"salescast.golearn/v1","columns":["a"],"medians":[0],"gain":[0],"trees":[[{"left":1,"right":2},{"leaf":1}]]}`,
		"unknown column": `{"schema":"salescast.golearn/v1","columns":["a"],"medians":[0],"gain":[0],"trees":[[{"column":1,"left":1,"right":2},{},{}]]}`,
		"other schema":   `{"schema":"salescast.golearn/v2","columns":["a"],"medians":[0],"gain":[0],"trees":[]}`,
	} {
		if _, err := golearn.Load(strings.NewReader(text)); err == nil {
			t.Errorf("%s: opens", name)
		}
	}
}
