package xgboost

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"

	"salescast/pkg/regress"
	"salescast/pkg/regress/internal/boost"
)

type learner struct {
	engine      *Engine
	params      boost.Params
	categorical bool
	watch       boost.Watch
}

// Learner returns a learner with XGBoost's own parameters. Beside them: "rounds" (or num_boost_round, n_estimators) is the number of
// trees, 100 if absent; enable_categorical=true splits categorical columns by sets of codes instead of by order.
//
// With a validation set, training stops by the last of eval_metric, and the rounds up to the best one are kept.
func (e *Engine) Learner(params map[string]string) (regress.Learner, error) {
	p, err := boost.Parse(params, "rounds", "num_boost_round", "n_estimators")
	if err != nil {
		return nil, fmt.Errorf("xgboost: %w", err)
	}
	l := &learner{engine: e, params: p}
	if v, ok := p.Values["enable_categorical"]; ok {
		if l.categorical, err = strconv.ParseBool(v); err != nil {
			return nil, fmt.Errorf("xgboost: parameter enable_categorical = %q: want true or false", v)
		}
	}
	if v, ok := p.Values["booster"]; ok && v != "gbtree" && v != "dart" {
		return nil, fmt.Errorf("xgboost: booster = %q: only trees (gbtree, dart) are supported", v)
	}
	for _, k := range []string{"early_stopping_rounds", "verbosity", "device"} {
		if _, ok := p.Values[k]; ok {
			return nil, fmt.Errorf("xgboost: parameter %s cannot be set here", k)
		}
	}
	l.params.Default("nthread", strconv.Itoa(e.config.Threads), "n_jobs")
	if v, ok := p.Values["n_jobs"]; ok {
		l.params.Values["nthread"] = v
	}
	return l, nil
}

func (l *learner) Fit(ctx context.Context, train regress.Source, valid *regress.Valid) (regress.Model, error) {
	m, err := l.fit(ctx, train, valid)
	if err != nil {
		return nil, fmt.Errorf("fit xgboost on %d rows: %w", train.Rows(), err)
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
	matrices := make([]uintptr, 0, 2)
	defer func() {
		for _, m := range matrices {
			_ = e.train(func() int32 { return e.api.matrixFree(m) })
		}
	}()
	dtrain, err := e.matrix(ctx, train, l.params, l.categorical, 0)
	if err != nil {
		return nil, err
	}
	matrices = append(matrices, dtrain)
	if valid != nil {
		dvalid, err := e.matrix(ctx, valid.Source, l.params, l.categorical, dtrain)
		if err != nil {
			return nil, fmt.Errorf("validation: %w", err)
		}
		matrices = append(matrices, dvalid)
	}
	booster, err := l.booster(matrices, train.Columns())
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.train(func() int32 { return e.api.boosterFree(booster) }) }()
	best, err := l.boost(ctx, booster, matrices, valid)
	if err != nil {
		return nil, err
	}
	saved, err := l.save(booster, best)
	if err != nil {
		return nil, err
	}
	// What predicts is what a file would give: the booster of the training, with its caches, goes.
	return e.open(saved)
}

// booster creates a booster with the parameters and the names of the columns.
func (l *learner) booster(matrices []uintptr, columns []regress.Column) (uintptr, error) {
	e, booster := l.engine, new(uintptr)
	if err := e.train(func() int32 { return e.api.boosterCreate(&matrices[0], uint64(len(matrices)), booster) }); err != nil {
		return 0, err
	}
	set := func(name, value string) error {
		return e.train(func() int32 { return e.api.boosterSet(*booster, name+"\x00", value+"\x00") })
	}
	err := set("validate_parameters", "1")
	for _, k := range l.params.Keys {
		if k != "enable_categorical" && err == nil {
			err = set(k, l.params.Values[k])
		}
	}
	names := make([]string, len(columns))
	types := make([]string, len(columns))
	for i, c := range columns {
		names[i], types[i] = c.Name, "float"
		if l.categorical && c.Categorical {
			types[i] = "c"
		}
	}
	cn, ct := cStrings(names), cStrings(types)
	if err == nil {
		err = e.train(func() int32 { return e.api.boosterSetStrings(*booster, "feature_name\x00", &cn[0], uint64(len(cn))) })
	}
	if err == nil {
		err = e.train(func() int32 { return e.api.boosterSetStrings(*booster, "feature_type\x00", &ct[0], uint64(len(ct))) })
	}
	if err != nil {
		return 0, errors.Join(err, e.train(func() int32 { return e.api.boosterFree(*booster) }))
	}
	return *booster, nil
}

// boost grows the trees and returns the number of rounds to keep.
func (l *learner) boost(ctx context.Context, booster uintptr, matrices []uintptr, valid *regress.Valid) (int, error) {
	e := l.engine
	rounds := boost.Rounds{
		Number: l.params.Rounds, Watch: l.watch,
		Grow: func(round int) (bool, error) {
			return true, e.train(func() int32 { return e.api.boosterUpdate(booster, int32(round), matrices[0]) })
		},
		Loss:  func(round int) (float64, error) { return l.evaluate(booster, round, matrices[0]) },
		Score: func(round int) (float64, error) { return l.evaluate(booster, round, matrices[1]) },
	}
	if valid != nil {
		rounds.Stop = &boost.Stop{Patience: valid.Patience, Higher: higherIsBetter(l.params.Values["eval_metric"])}
	}
	if err := rounds.Run(ctx); err != nil {
		return 0, err
	}
	if valid == nil {
		return l.params.Rounds, nil
	}
	return max(1, rounds.Stop.Best), nil
}

// Watch implements [regress.Watcher].
func (l *learner) Watch(every int, tell func(rounds int, loss float64)) regress.Learner {
	watched := *l
	watched.watch = boost.Watch{Every: every, Tell: tell}
	return &watched
}

// evaluate returns the last metric on a matrix. The engine answers "[round]\tvalid-rmse:0.25\tvalid-mae:0.1".
func (l *learner) evaluate(booster uintptr, round int, matrix uintptr) (float64, error) {
	e, name := l.engine, cStrings([]string{"valid"})
	out, text := new(*byte), ""
	err := e.train(func() int32 {
		status := e.api.boosterEval(booster, int32(round), &matrix, &name[0], 1, out)
		if status == 0 {
			text = goString(*out)
		}
		return status
	})
	runtime.KeepAlive(name)
	if err != nil {
		return 0, err
	}
	score, err := strconv.ParseFloat(strings.TrimSpace(text[strings.LastIndexByte(text, ':')+1:]), 64)
	if err != nil {
		return math.NaN(), fmt.Errorf("xgboost answers %q to an evaluation", text)
	}
	return score, nil
}

// higherIsBetter reports whether an evaluation metric is better when larger, as XGBoost's Python package has it.
func higherIsBetter(metric string) bool {
	name, _, _ := strings.Cut(metric, "@")
	switch name {
	case "auc", "aucpr", "pre", "map", "ndcg":
		return true
	}
	return false
}

// save returns the first rounds of a booster as UBJSON.
func (l *learner) save(booster uintptr, rounds int) ([]byte, error) {
	e := l.engine
	if rounds < l.params.Rounds {
		sliced := new(uintptr)
		if err := e.train(func() int32 { return e.api.boosterSlice(booster, 0, int32(rounds), 1, sliced) }); err != nil {
			return nil, err
		}
		defer func() { _ = e.train(func() int32 { return e.api.boosterFree(*sliced) }) }()
		booster = *sliced
	}
	var saved []byte
	err := e.train(func() (status int32) {
		saved, status = e.save(booster)
		return status
	})
	return saved, err
}
