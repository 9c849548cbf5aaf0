package xgboost

import (
	"context"
	"errors"
	"fmt"

	"salescast/pkg/regress"
	"salescast/pkg/regress/internal/boost"
)

// bins is a quantised matrix.
type bins struct {
	engine  *Engine
	matrix  uintptr
	columns []regress.Column
	rows    int
}

// Bin implements [regress.Booster].
func (l *learner) Bin(ctx context.Context, train regress.Source, like regress.Bins) (regress.Bins, error) {
	b, err := l.bin(ctx, train, like)
	if err != nil {
		return nil, fmt.Errorf("bin %d rows for xgboost: %w", train.Rows(), err)
	}
	return b, nil
}

func (l *learner) bin(ctx context.Context, train regress.Source, like regress.Bins) (*bins, error) {
	if err := boost.CheckSource(train); err != nil {
		return nil, err
	}
	ref := uintptr(0)
	if like != nil {
		old, ok := like.(*bins)
		if !ok || old.engine != l.engine {
			return nil, errors.New("the bins to follow are another engine's")
		}
		if err := boost.SameColumns(old.columns, train.Columns()); err != nil {
			return nil, err
		}
		ref = old.matrix
	}
	end, err := l.engine.worker.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	matrix, err := l.engine.matrix(ctx, train, l.params, l.categorical, ref)
	if err != nil {
		return nil, err
	}
	return &bins{engine: l.engine, matrix: matrix, columns: train.Columns(), rows: train.Rows()}, nil
}

func (b *bins) Rows() int { return b.rows }

func (b *bins) Close() error {
	if b.matrix == 0 {
		return nil
	}
	matrix := b.matrix
	b.matrix = 0
	return b.engine.train(func() int32 { return b.engine.api.matrixFree(matrix) })
}

// boosting is a booster that still grows.
type boosting struct {
	learner *learner
	train   *bins
	booster uintptr
	rounds  int
}

// Boost implements [regress.Booster]. The engine draws from one random state per thread, which the fits that take turns would share, so
// every round is seeded anew.
func (l *learner) Boost(ctx context.Context, train regress.Bins) (regress.Boosting, error) {
	b, ok := train.(*bins)
	if !ok || b.engine != l.engine || b.matrix == 0 {
		return nil, errors.New("begin an xgboost fit: the bins are closed or another engine's")
	}
	steps := *l
	steps.params = l.params.With("seed_per_iteration", "true")
	end, err := l.engine.worker.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	booster, err := steps.booster([]uintptr{b.matrix}, b.columns)
	if err != nil {
		return nil, fmt.Errorf("begin an xgboost fit: %w", err)
	}
	return &boosting{learner: &steps, train: b, booster: booster}, nil
}

func (b *boosting) Grow(ctx context.Context, n int) (int, error) {
	e := b.learner.engine
	end, err := e.worker.Begin(ctx)
	if err != nil {
		return b.rounds, err
	}
	defer end()
	for to := min(b.rounds+n, b.learner.params.Rounds); b.rounds < to; b.rounds++ {
		if err := ctx.Err(); err != nil {
			return b.rounds, err
		}
		if err := e.train(func() int32 { return e.api.boosterUpdate(b.booster, int32(b.rounds), b.train.matrix) }); err != nil {
			return b.rounds, fmt.Errorf("fit xgboost on %d rows: %w", b.train.rows, err)
		}
	}
	return b.rounds, nil
}

func (b *boosting) Model() (regress.Model, error) {
	saved, err := b.learner.save(b.booster, b.learner.params.Rounds) // all that there is
	if err != nil {
		return nil, err
	}
	return b.learner.engine.open(saved)
}

func (b *boosting) Close() error {
	if b.booster == 0 {
		return nil
	}
	booster := b.booster
	b.booster = 0
	return b.learner.engine.train(func() int32 { return b.learner.engine.api.boosterFree(booster) })
}
