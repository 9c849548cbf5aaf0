package tasks

import (
	"context"
	"encoding/json"

	"salescast/pkg/backtest"
	"salescast/pkg/columnar"
	"salescast/pkg/panel"
)

// readPanel reads the whole panel of the validate step.
func readPanel(ctx context.Context, in *Opened) (*panel.Panel, columnar.PanelSchema, error) {
	r, err := in.ReadAt(ctx, "panel.parquet")
	if err != nil {
		return nil, columnar.PanelSchema{}, err
	}
	defer r.Close()
	schema, err := columnar.ReadPanelSchema(r)
	if err != nil {
		return nil, schema, in.damagedFile(ctx, "panel.parquet", err)
	}
	p, err := columnar.ReadPanel(ctx, r)
	if err != nil {
		return nil, schema, in.damagedFile(ctx, "panel.parquet", err)
	}
	return p, schema, nil
}

// readPredictions reads a whole table of predictions.
func readPredictions(ctx context.Context, in *Opened, name string) (*backtest.Predictions, error) {
	r, err := in.ReadAt(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p, err := columnar.ReadPredictions(ctx, r)
	if err != nil {
		return nil, in.damagedFile(ctx, name, err)
	}
	return p, nil
}

// readJSON reads a small JSON file of the step into v.
func (o *Opened) readJSON(ctx context.Context, name string, v any) error {
	b, err := o.ReadFile(ctx, name, maxSmall)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return o.damagedFile(ctx, name, err)
	}
	return nil
}

// damagedFile says that a file of the step cannot be decoded, unless the reader was told to stop.
func (o *Opened) damagedFile(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return damaged(o.Manifest.Step, o.Manifest.Step+"/"+name, err)
}
