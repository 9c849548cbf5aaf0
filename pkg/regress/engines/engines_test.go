package engines_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"salescast/pkg/regress"
	"salescast/pkg/regress/engines"
	"salescast/pkg/regress/regresstest"
)

func open(tb testing.TB, threads int) *engines.Engines {
	tb.Helper()
	e := engines.New(engines.Config{EngineDir: regresstest.EngineDir(tb), CacheDir: tb.TempDir(), Threads: threads})
	tb.Cleanup(e.Close)
	return e
}

func fit(tb testing.TB, e *engines.Engines, engine string, s regress.Source, params map[string]string) regress.Model {
	tb.Helper()
	l, err := e.Learner(engine, params)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := l.Fit(tb.Context(), s, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = m.Close() })
	return m
}

// What one engine's model says it is, opens again under that name.
func TestFormatsLeadBack(t *testing.T) {
	t.Parallel()
	e, s := open(t, 2), regresstest.Sales(800, 1)
	for _, engine := range []string{"xgboost", "lightgbm", "golearn"} {
		m := fit(t, e, engine, s, map[string]string{"rounds": "5"})
		load, err := e.Open(m.Format())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := m.Save(&b); err != nil {
			t.Fatal(err)
		}
		again, err := load(&b)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		want, got := make([]float32, s.Rows()), make([]float32, s.Rows())
		if err := errors.Join(m.Predict(t.Context(), s.X, want), again.Predict(t.Context(), s.X, got)); err != nil || !slices.Equal(want, got) {
			t.Errorf("%s: the opened model predicts differently (error %v)", engine, err)
		}
	}
}

// The number of threads may change how fast a model predicts, and nothing else.
func TestThreadsDoNotChangePredictions(t *testing.T) {
	t.Parallel()
	s, test := regresstest.Sales(800, 2), regresstest.Sales(9000, 3)
	for _, engine := range []string{"xgboost", "lightgbm"} {
		m := fit(t, open(t, 1), engine, s, map[string]string{"rounds": "5"})
		var b bytes.Buffer
		if err := m.Save(&b); err != nil {
			t.Fatal(err)
		}
		load, err := open(t, 4).Open(m.Format())
		if err != nil {
			t.Fatal(err)
		}
		wide, err := load(&b)
		if err != nil {
			t.Fatal(err)
		}
		defer wide.Close()
		want, got := make([]float32, test.Rows()), make([]float32, test.Rows())
		if err := errors.Join(m.Predict(t.Context(), test.X, want), wide.Predict(t.Context(), test.X, got)); err != nil || !slices.Equal(want, got) {
			t.Errorf("%s: four threads predict differently from one (error %v)", engine, err)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	e := open(t, 1)
	var wg sync.WaitGroup
	for range 4 {
		for engine, version := range map[string]string{"xgboost": "3.2.0", "lightgbm": "4.7.0"} {
			wg.Go(func() {
				s, err := e.Status(t.Context(), engine)
				if err != nil || s.Version != version || s.Path == "" || s.Origin == "" {
					t.Errorf("status of %s is %+v, error %v", engine, s, err)
				}
			})
		}
	}
	wg.Wait()
	if _, err := e.Status(t.Context(), "prophet"); err == nil {
		t.Error("an unknown engine has a status")
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	e := open(t, 1)
	for engine, want := range map[string]string{"xgboost": "3.2.0", "lightgbm": "4.7.0", "golearn": ""} {
		before := e.Release(t.Context(), engine)
		if want != "" {
			if _, err := e.Status(t.Context(), engine); err != nil {
				t.Fatal(err)
			}
		}
		if after := e.Release(t.Context(), engine); before != want || after != want {
			t.Errorf("release of %s is %q, and %q once it is open, want %q", engine, before, after, want)
		}
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	e := engines.New(engines.Config{EngineDir: t.TempDir()})
	defer e.Close()
	for _, engine := range []string{"xgboost", "lightgbm"} {
		_, err := e.Learner(engine, nil)
		u := (*regress.UnavailableError)(nil)
		if !errors.As(err, &u) || u.Engine != engine || !strings.Contains(u.Hint, "make engines") {
			t.Errorf("without a library the error is %v", err)
		}
	}
	if _, err := e.Learner("golearn", nil); err != nil {
		t.Errorf("golearn needs no library: %v", err)
	}
	if _, err := e.Learner("catboost", nil); err == nil || !strings.Contains(err.Error(), "xgboost, lightgbm, golearn") {
		t.Errorf("an unknown engine gives %v", err)
	}
	if _, err := e.Open("catboost.cbm"); err == nil {
		t.Error("an unknown format opens")
	}
}

func TestClosedEnginesStayClosed(t *testing.T) {
	t.Parallel()
	e := engines.New(engines.Config{EngineDir: regresstest.EngineDir(t)})
	e.Close()
	if _, err := e.Learner("xgboost", nil); err == nil {
		t.Error("closed engines make learners")
	}
}

func TestLicensesAreWhole(t *testing.T) {
	t.Parallel()
	for i, words := range [][]string{
		{"Apache License", "END OF TERMS AND CONDITIONS"},
		{"MIT License", "Microsoft"},
		{"GCC RUNTIME LIBRARY EXCEPTION", "GNU GENERAL PUBLIC LICENSE", "END OF TERMS AND CONDITIONS"},
	} {
		l := engines.Licenses()[i]
		for _, w := range words {
			if !strings.Contains(l.Text, w) {
				t.Errorf("the licence of %s lacks %q", l.Name, w)
			}
		}
	}
}
