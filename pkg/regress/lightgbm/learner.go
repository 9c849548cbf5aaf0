package lightgbm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"salescast/pkg/regress"
	"salescast/pkg/regress/internal/boost"
)

// roundNames are LightGBM's aliases of num_iterations, and "rounds".
var roundNames = []string{
	"rounds", "num_iterations", "num_iteration", "n_iter", "num_tree", "num_trees", "num_round", "num_rounds", "nrounds", "num_boost_round", "n_estimators", "max_iter",
}

type learner struct {
	engine *Engine
	params boost.Params
	watch  boost.Watch
}

// Learner returns a learner with LightGBM's own parameters. Beside them "rounds", or any of the engine's aliases of num_iterations, is the
// number of trees, 100 if absent. Where the parameters say nothing else, deterministic and force_col_wise are true, so that two runs give
// the same bytes and no second copy of the bins is made.
//
// With a validation set, training stops by the first of metric, and the rounds up to the best one are kept.
func (e *Engine) Learner(params map[string]string) (regress.Learner, error) {
	p, err := boost.Parse(params, roundNames...)
	if err != nil {
		return nil, fmt.Errorf("lightgbm: %w", err)
	}
	for _, k := range []string{"early_stopping_round", "early_stopping_rounds", "early_stopping", "n_iter_no_change", "categorical_feature", "device_type", "device", "input_model"} {
		if _, ok := p.Values[k]; ok {
			return nil, fmt.Errorf("lightgbm: parameter %s cannot be set here", k)
		}
	}
	p.Default("num_threads", strconv.Itoa(e.config.Threads), "num_thread", "nthread", "nthreads", "n_jobs")
	p.Default("verbosity", "0", "verbose")
	p.Default("deterministic", "true")
	p.Default("force_col_wise", "true", "force_row_wise")
	return &learner{engine: e, params: p}, nil
}

// text is the form in which the C API takes parameters.
func (l *learner) text(columns []regress.Column) string {
	var words []string
	for _, k := range l.params.Keys {
		words = append(words, k+"="+l.params.Values[k])
	}
	var codes []string
	for i, c := range columns {
		if c.Categorical {
			codes = append(codes, strconv.Itoa(i))
		}
	}
	if codes != nil {
		words = append(words, "categorical_feature="+strings.Join(codes, ","))
	}
	return strings.Join(words, " ") + "\x00"
}

func (l *learner) Fit(ctx context.Context, train regress.Source, valid *regress.Valid) (regress.Model, error) {
	m, err := l.fit(ctx, train, valid)
	if err != nil {
		return nil, fmt.Errorf("fit lightgbm on %d rows: %w", train.Rows(), err)
	}
	return m, nil
}

func (l *learner) fit(ctx context.Context, train regress.Source, valid *regress.Valid) (*model, error) {
	if err := boost.CheckFit(train, valid); err != nil {
		return nil, err
	}
	e := l.engine
	end, err := e.worker.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	params := l.text(train.Columns())
	dtrain, err := e.dataset(ctx, train, params)
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.free(dtrain.handle) }()
	booster := new(uintptr)
	if err := e.train(func() int32 { return e.api.boosterCreate(dtrain.handle, params, booster) }); err != nil {
		return nil, err
	}
	defer func() { _ = e.train(func() int32 { return e.api.boosterFree(*booster) }) }()
	if valid != nil {
		dvalid, err := e.like(ctx, valid.Source, dtrain)
		if err != nil {
			return nil, fmt.Errorf("validation: %w", err)
		}
		defer func() { _ = e.free(dvalid.handle) }()
		if err := e.train(func() int32 { return e.api.boosterAddValid(*booster, dvalid.handle) }); err != nil {
			return nil, err
		}
	}
	best, err := l.boost(ctx, *booster, valid)
	if err != nil {
		return nil, err
	}
	var saved []byte
	err = e.train(func() (status int32) {
		saved, status = e.save(*booster, best)
		return status
	})
	if err != nil {
		return nil, err
	}
	// What predicts is what a file would give: the booster of the training, with its data, goes.
	return e.open(saved)
}

// boost grows the trees and returns the number of rounds to keep, -1 for all.
func (l *learner) boost(ctx context.Context, booster uintptr, valid *regress.Valid) (int, error) {
	e, scores, n := l.engine, []float64(nil), new(int32)
	evaluate := func(set int32) (float64, error) {
		err := e.train(func() int32 { return e.api.boosterEval(booster, set, n, &scores[0]) })
		return scores[0], err
	}
	finished := new(int32)
	rounds := boost.Rounds{
		Number: l.params.Rounds, Watch: l.watch,
		Grow: func(int) (bool, error) { // no more where no leaf can be split: this round added nothing and neither would the next
			err := e.train(func() int32 { return e.api.boosterUpdate(booster, finished) })
			return *finished == 0, err
		},
		Loss:  func(int) (float64, error) { return evaluate(0) },
		Score: func(int) (float64, error) { return evaluate(1) },
	}
	if valid != nil || l.watch.Tell != nil {
		metric, n, err := l.metric(booster)
		if err != nil {
			return 0, err
		}
		scores = make([]float64, n)
		if valid != nil {
			rounds.Stop = &boost.Stop{Patience: valid.Patience, Higher: higherIsBetter(metric)}
		}
	}
	if err := rounds.Run(ctx); err != nil {
		return 0, err
	}
	if rounds.Stop == nil || rounds.Stop.Best == 0 {
		return -1, nil
	}
	return rounds.Stop.Best, nil
}

// Watch implements [regress.Watcher].
func (l *learner) Watch(every int, tell func(rounds int, loss float64)) regress.Learner {
	watched := *l
	watched.watch = boost.Watch{Every: every, Tell: tell}
	return &watched
}

// metric returns the name of the first metric, and how many there are.
func (l *learner) metric(booster uintptr) (string, int, error) {
	e, n := l.engine, new(int32)
	if err := e.train(func() int32 { return e.api.boosterEvalCounts(booster, n) }); err != nil {
		return "", 0, err
	}
	if *n == 0 {
		return "", 0, errors.New("early stopping needs a metric, and the parameters set none")
	}
	var metrics []string
	err := e.train(func() (status int32) {
		metrics, status = strs(int(*n), func(room int32, n *int32, buffer uint64, needed *uint64, out **byte) int32 {
			return e.api.boosterEvalNames(booster, room, n, buffer, needed, out)
		})
		return status
	})
	if err != nil {
		return "", 0, err
	}
	return metrics[0], int(*n), nil
}

// higherIsBetter reports whether a metric is better when larger, as LightGBM's Python package has it.
func higherIsBetter(metric string) bool {
	name, _, _ := strings.Cut(metric, "@")
	switch name {
	case "auc", "ndcg", "map", "average_precision", "r2":
		return true
	}
	return false
}
