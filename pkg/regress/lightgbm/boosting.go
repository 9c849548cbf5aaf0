package lightgbm

import (
	"context"
	"errors"
	"fmt"

	"salescast/pkg/regress"
	"salescast/pkg/regress/internal/boost"
)

// bins is a quantised dataset.
type bins struct {
	engine  *Engine
	data    data
	columns []regress.Column
	rows    int
}

// unfiltered are the learner's parameters without the engine's filter of columns that no leaf of min_data_in_leaf rows can split by: fits
// on the same bins may have smaller leaves.
func (l *learner) unfiltered() *learner {
	u := *l
	u.params = l.params.With("feature_pre_filter", "false")
	return &u
}

// Bin implements [regress.Booster].
func (l *learner) Bin(ctx context.Context, train regress.Source, like regress.Bins) (regress.Bins, error) {
	b, err := l.unfiltered().bin(ctx, train, like)
	if err != nil {
		return nil, fmt.Errorf("bin %d rows for lightgbm: %w", train.Rows(), err)
	}
	return b, nil
}

func (l *learner) bin(ctx context.Context, train regress.Source, like regress.Bins) (*bins, error) {
	if err := boost.CheckSource(train); err != nil {
		return nil, err
	}
	end, err := l.engine.worker.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	b := &bins{engine: l.engine, columns: train.Columns(), rows: train.Rows()}
	if like == nil {
		b.data, err = l.engine.dataset(ctx, train, l.text(b.columns))
		return b, err
	}
	old, ok := like.(*bins)
	if !ok || old.engine != l.engine {
		return nil, errors.New("the bins to follow are another engine's")
	}
	if err := boost.SameColumns(old.columns, b.columns); err != nil {
		return nil, err
	}
	b.data, err = l.engine.like(ctx, train, old.data)
	return b, err
}

func (b *bins) Rows() int { return b.rows }

func (b *bins) Close() error {
	if b.data.handle == 0 {
		return nil
	}
	handle := b.data.handle
	b.data.handle = 0
	return b.engine.free(handle)
}

// boosting is a booster that still grows.
type boosting struct {
	learner *learner
	train   *bins
	booster uintptr
	rounds  int
	done    bool
}

// Boost implements [regress.Booster].
func (l *learner) Boost(ctx context.Context, train regress.Bins) (regress.Boosting, error) {
	b, ok := train.(*bins)
	if !ok || b.engine != l.engine || b.data.handle == 0 {
		return nil, errors.New("begin a lightgbm fit: the bins are closed or another engine's")
	}
	end, err := l.engine.worker.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	u, booster := l.unfiltered(), new(uintptr)
	params := u.text(b.columns)
	if err := l.engine.train(func() int32 { return l.engine.api.boosterCreate(b.data.handle, params, booster) }); err != nil {
		return nil, fmt.Errorf("begin a lightgbm fit: %w", err)
	}
	return &boosting{learner: u, train: b, booster: *booster}, nil
}

func (b *boosting) Grow(ctx context.Context, n int) (int, error) {
	e, finished := b.learner.engine, new(int32)
	end, err := e.worker.Begin(ctx)
	if err != nil {
		return b.rounds, err
	}
	defer end()
	for to := min(b.rounds+n, b.learner.params.Rounds); b.rounds < to && !b.done; {
		if err := ctx.Err(); err != nil {
			return b.rounds, err
		}
		if err := e.train(func() int32 { return e.api.boosterUpdate(b.booster, finished) }); err != nil {
			return b.rounds, fmt.Errorf("fit lightgbm on %d rows: %w", b.train.rows, err)
		}
		if b.done = *finished != 0; !b.done {
			b.rounds++
		}
	}
	return b.rounds, nil
}

func (b *boosting) Model() (m regress.Model, err error) {
	e, saved := b.learner.engine, []byte(nil)
	err = e.train(func() (status int32) {
		saved, status = e.save(b.booster, -1)
		return status
	})
	if err != nil {
		return nil, err
	}
	return e.open(saved)
}

func (b *boosting) Close() error {
	if b.booster == 0 {
		return nil
	}
	booster := b.booster
	b.booster = 0
	return b.learner.engine.train(func() int32 { return b.learner.engine.api.boosterFree(booster) })
}
