package tasks

import (
	"context"
	"errors"

	"salescast/pkg/artifact"
	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
)

// scoring reads the ensemble's predictions at the test origins beside the panel they were made from, both a block at a time: there may be
// many more of them than fit into memory.
type scoring struct {
	step     *Step
	panel    artifact.ReaderAt
	schema   columnar.PanelSchema
	file     artifact.ReaderAt
	tested   *columnar.PredictionsFile
	origins  []calendar.Day
	horizons int
}

const backtestName = "backtest.parquet"

func (s *Step) openScoring(ctx context.Context) (x *scoring, err error) {
	x = &scoring{step: s}
	defer func() {
		if err != nil {
			err = errors.Join(err, x.close())
		}
	}()
	validated, ensemble := s.Input("validate"), s.Input("ensemble")
	if x.panel, err = validated.ReadAt(ctx, "panel.parquet"); err != nil {
		return x, err
	}
	if x.schema, err = columnar.ReadPanelSchema(x.panel); err != nil {
		return x, validated.damagedFile(ctx, "panel.parquet", err)
	}
	if x.file, err = ensemble.ReadAt(ctx, backtestName); err != nil {
		return x, err
	}
	if x.tested, err = columnar.OpenPredictions(x.file); err == nil {
		x.origins, x.horizons, err = x.tested.Span(ctx)
	}
	if err != nil {
		return x, ensemble.damagedFile(ctx, backtestName, err)
	}
	return x, nil
}

func (x *scoring) close() error {
	var errs []error
	for _, r := range []artifact.ReaderAt{x.panel, x.file} {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	return errors.Join(errs...)
}

// panels hands over the panel in parts of whole series.
func (x *scoring) panels(ctx context.Context, do ...func(*panel.Panel) error) error {
	for p, err := range columnar.Panels(ctx, x.panel, panelChunk) {
		if err != nil {
			return x.step.Input("validate").damagedFile(ctx, "panel.parquet", err)
		}
		for _, f := range do {
			if err := f(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows hands over the predictions in order; a block is valid during the call.
func (x *scoring) rows(ctx context.Context, do ...func(*backtest.Predictions) error) error {
	for p, err := range x.tested.Blocks(ctx) {
		if err != nil {
			return x.step.Input("ensemble").damagedFile(ctx, backtestName, err)
		}
		for _, f := range do {
			if err := f(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// scorer scores the predictions; its methods are to be handed to panels and rows.
func (x *scoring) scorer() (*scorer, error) {
	sc, err := metric.NewScorer(x.tested.Head(), x.schema.Frequency, x.origins, x.horizons)
	return &scorer{sc}, unscorable(err)
}

// scorer is a metric.Scorer whose errors say what to do.
type scorer struct{ *metric.Scorer }

func (sc *scorer) addPanel(p *panel.Panel) error        { return unscorable(sc.AddPanel(p)) }
func (sc *scorer) add(rows *backtest.Predictions) error { return unscorable(sc.Add(rows)) }
func (sc *scorer) finish() (ev *metric.Evaluation, err error) {
	ev, err = sc.Finish()
	return ev, unscorable(err)
}

func unscorable(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: KindData, Op: "score ensemble/" + backtestName, Err: err, Hint: `redo it with "salescast ensemble --force"`}
}

// eachPredictions hands over a file of predictions of a step, a block at a time.
func eachPredictions(ctx context.Context, in *Opened, name string, do func(*backtest.Predictions) error) error {
	r, err := in.ReadAt(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := columnar.OpenPredictions(r)
	if err != nil {
		return in.damagedFile(ctx, name, err)
	}
	for p, err := range f.Blocks(ctx) {
		if err != nil {
			return in.damagedFile(ctx, name, err)
		}
		if err := do(p); err != nil {
			return err
		}
	}
	return nil
}
