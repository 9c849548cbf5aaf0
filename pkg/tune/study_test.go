package tune_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/c-bata/goptuna"

	"salescast/pkg/tune"
	"salescast/pkg/tune/rdb"
)

func space() tune.Space {
	return tune.Space{
		{Name: "n", Low: 10, High: 90, Int: true},
		{Name: "rate", Low: 0.001, High: 1, Log: true},
		{Name: "share", Low: 0, High: 1},
		{Name: "loss", Choices: []string{"a", "b", "c"}},
	}
}

func storage(t *testing.T) *rdb.Storage {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "studies.db"))
}

func openAt(t *testing.T, file string) *rdb.Storage {
	t.Helper()
	s, err := rdb.SQLite(t.Context(), file, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// bowl is least, 0, at n = 30, rate = 0.03, share = 0.3 and loss b, and approaches its score in ten steps.
func bowl(t tune.Trial) float64 {
	if t.Params == nil {
		return 1
	}
	v := func(name string) float64 {
		x, err := strconv.ParseFloat(t.Params[name], 64)
		if err != nil {
			panic(err)
		}
		return x
	}
	s := math.Pow((v("n")-30)/80, 2) + math.Pow(math.Log(v("rate")/0.03)/7, 2) + math.Pow(v("share")-0.3, 2)
	if t.Params["loss"] != "b" {
		s += 0.3
	}
	return s
}

type tried struct{ steps int }

func (n *tried) objective(_ context.Context, t tune.Trial, report tune.Report) (float64, error) {
	score := bowl(t)
	for step := 1; step <= 10; step++ {
		n.steps++
		if err := report(step, score+1-float64(step)/10); err != nil {
			return 0, err
		}
	}
	return score, nil
}

func options(trials int, seed uint64) tune.Options {
	return tune.Options{Space: space(), Trials: trials, Seed: seed, Now: time.Now}
}

func search(t *testing.T, st tune.Storage, o tune.Options, objective tune.Objective) []tune.Trial {
	t.Helper()
	trials, err := tune.Search(t.Context(), st, "bowl", o, objective)
	if err != nil {
		t.Fatal(err)
	}
	return trials
}

// timeless are trials without when they were.
func timeless(trials []tune.Trial) []tune.Trial {
	out := slices.Clone(trials)
	for i := range out {
		out[i].Start, out[i].End = time.Time{}, time.Time{}
	}
	return out
}

func TestSameSeedSameTrials(t *testing.T) {
	t.Parallel()
	one := timeless(search(t, storage(t), options(25, 7), new(tried).objective))
	two := timeless(search(t, storage(t), options(25, 7), new(tried).objective))
	if !reflect.DeepEqual(one, two) {
		t.Error("the same seed gives other trials")
	}
	if other := search(t, storage(t), options(25, 8), new(tried).objective); reflect.DeepEqual(one[1].Params, other[1].Params) {
		t.Error("another seed gives the same trials")
	}
	if len(one) != 25 || one[0].Params != nil || one[0].Ordinal != 0 {
		t.Errorf("%d trials, the first with %v; want 25, and the default first", len(one), one[0].Params)
	}
}

// More trials continue a study: its first trials are those of a shorter one.
func TestMoreTrialsContinue(t *testing.T) {
	t.Parallel()
	st := storage(t)
	n := new(tried)
	short := search(t, st, options(6, 7), n.objective)
	before := n.steps
	if again := search(t, st, options(6, 7), n.objective); !reflect.DeepEqual(again, short) || n.steps != before {
		t.Error("a finished study was searched again")
	}
	long := search(t, st, options(12, 7), n.objective)
	if !reflect.DeepEqual(timeless(long), timeless(search(t, storage(t), options(12, 7), n.objective))) || !reflect.DeepEqual(long[:6], short) {
		t.Error("a study that goes on is not the one that was longer from the beginning")
	}
}

func TestPruning(t *testing.T) {
	t.Parallel()
	n := new(tried)
	trials := search(t, storage(t), options(40, 1), n.objective)
	pruned := 0
	for _, tr := range trials {
		switch {
		case tr.State == tune.Pruned:
			pruned++
			if len(tr.Curve) >= 10 || len(tr.Curve) < 3 {
				t.Errorf("trial %d was pruned after %d steps of 10, before the third or not at all", tr.Ordinal, len(tr.Curve))
			}
		case len(tr.Curve) != 10:
			t.Errorf("trial %d is %s after %d steps of 10", tr.Ordinal, tr.State, len(tr.Curve))
		}
	}
	if pruned < 8 || n.steps > 350 {
		t.Errorf("%d of 40 trials were pruned, and %d of 400 steps done", pruned, n.steps)
	}
}

// The estimator finds a better place than as many even draws do, on most seeds.
func TestLearns(t *testing.T) {
	t.Parallel()
	won := 0
	for seed := range uint64(5) {
		st := storage(t)
		plain := func(_ context.Context, tr tune.Trial, _ tune.Report) (float64, error) { return bowl(tr), nil }
		best, _ := tune.Best(search(t, st, options(30, seed), plain))
		evenly := math.Inf(1)
		for part := range uint64(3) { // ten trials are drawn evenly before the estimator is asked
			b, _ := tune.Best(search(t, storage(t), options(10, 1000+3*seed+part), plain))
			evenly = min(evenly, b.Score)
		}
		if best.Score < evenly {
			won++
		}
	}
	if won < 4 {
		t.Errorf("the estimator was better than even draws on %d of 5 seeds", won)
	}
}

// What was cut off is done again with the same parameters, and the study ends as if nothing had happened.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	want := timeless(search(t, storage(t), options(20, 3), new(tried).objective))
	file := filepath.Join(t.TempDir(), "studies.db")
	for cut := range 4 { // the process is told to stop in its trial 4, 8, 12 and 16
		st := openAt(t, file)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := tune.Search(ctx, st, "bowl", options(20, 3), func(ctx context.Context, tr tune.Trial, report tune.Report) (float64, error) {
			if tr.Ordinal == 4*(cut+1) {
				cancel()
				return 0, ctx.Err()
			}
			return new(tried).objective(ctx, tr, report)
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("a search that was stopped answers %v", err)
		}
	}
	st := openAt(t, file)
	got := search(t, st, options(20, 3), new(tried).objective)
	if !reflect.DeepEqual(timeless(got), want) {
		t.Error("the study is not what it would have been")
	}
	all, err := st.GetAllTrials(1)
	if err != nil || len(all) != 24 {
		t.Fatalf("%d trials are kept, %v; want 20 and the 4 that were cut off", len(all), err)
	}
	for _, f := range all {
		if f.State == goptuna.TrialStateRunning {
			t.Errorf("trial %d still runs", f.Number)
		}
	}
}

func TestFailuresAreSaid(t *testing.T) {
	t.Parallel()
	trials := search(t, storage(t), options(5, 1), func(_ context.Context, tr tune.Trial, _ tune.Report) (float64, error) {
		switch tr.Ordinal {
		case 1:
			return 0, errors.New("the tree is on fire")
		case 2:
			return math.NaN(), nil
		}
		return bowl(tr), nil
	})
	if len(trials) != 5 || trials[1].State != tune.Failed || trials[1].Error != "the tree is on fire" || trials[2].State != tune.Failed || trials[2].Error == "" {
		t.Errorf("failed trials are %+v", trials[1:3])
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	o := options(50, 1)
	o.Now, o.Deadline = func() time.Time { return at }, at.Add(time.Minute)
	trials := search(t, storage(t), o, func(_ context.Context, tr tune.Trial, _ tune.Report) (float64, error) {
		at = at.Add(25 * time.Second)
		return bowl(tr), nil
	})
	if len(trials) != 3 {
		t.Errorf("%d trials of 25 s in a minute, want the 3 that began in it", len(trials))
	}
}

// Two that share a study, each in the midst of its first trial when the other is, do its trials once each.
func TestShared(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "studies.db")
	var got [2][]tune.Trial
	var did [2]int
	errs := make(chan error, 2)
	var both sync.WaitGroup
	both.Add(2)
	for i := range 2 {
		st := openAt(t, file)
		o := options(24, 5)
		o.Done = func(context.Context, tune.Trial) { did[i]++ }
		one := new(tried)
		objective := func(ctx context.Context, tr tune.Trial, report tune.Report) (float64, error) {
			if did[i] == 0 {
				both.Done()
				both.Wait()
			}
			return one.objective(ctx, tr, report)
		}
		go func() {
			var err error
			got[i], err = tune.Search(t.Context(), st, "bowl", o, objective)
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if did[0]+did[1] != 24 || did[0] == 0 || did[1] == 0 {
		t.Errorf("the two did %v of 24 trials", did)
	}
	if !reflect.DeepEqual(got[0], got[1]) || len(got[0]) != 24 {
		t.Error("the two see other trials")
	}
	for i, tr := range got[0] {
		if tr.Ordinal != i {
			t.Errorf("trial %d has ordinal %d", i, tr.Ordinal)
		}
	}
}

func TestSpaces(t *testing.T) {
	t.Parallel()
	for engine, want := range map[string]map[string][2]float64{
		"xgboost": {"rounds": {50, 300}, "max_depth": {3, 10}, "eta": {0.01, 0.3}, "subsample": {0.6, 1}, "colsample_bytree": {0.6, 1}, "gamma": {0, 0.5}, "alpha": {0, 1}, "lambda": {0, 1}},
		"lightgbm": {
			"num_leaves": {20, 100}, "learning_rate": {0.01, 0.3}, "rounds": {50, 300}, "min_data_in_leaf": {10, 50}, "bagging_fraction": {0.6, 1},
			"feature_fraction": {0.6, 1}, "lambda_l1": {0, 1}, "lambda_l2": {0, 1},
		},
	} {
		s, err := tune.SpaceOf(engine, true)
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range want {
			i := slices.IndexFunc(s, func(p tune.Param) bool { return p.Name == name })
			if i < 0 || s[i].Low > r[0] || s[i].High < r[1] {
				t.Errorf("%s: the range of %s is not all of %v", engine, name, r)
			}
		}
		if got := len(s.Without(map[string]string{"rounds": "10", "unknown": "1"})); got != len(s)-1 {
			t.Errorf("%s: %d of %d are left without rounds", engine, got, len(s))
		}
	}
	if _, err := tune.SpaceOf("golearn", true); err == nil {
		t.Error("golearn has a space")
	}
	for _, p := range []tune.Param{{Name: "a"}, {Name: "b", Low: 1, High: 1}, {Name: "c", High: 1, Log: true}} {
		if _, err := tune.Search(t.Context(), storage(t), "bad", tune.Options{Space: tune.Space{p}, Trials: 1, Now: time.Now}, nil); err == nil {
			t.Errorf("%+v was searched", p)
		}
	}
}
