package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"salescast/pkg/columnar"
	"salescast/pkg/panel"
)

const maxHistory = 2 << 30

// encodeHistory keeps the whole panel: means over all of the past, and members that learn from a series as they forecast it, give the
// very bits of the backtest from nothing less.
func encodeHistory(p *panel.Panel, m Manifest) ([]byte, error) {
	var b bytes.Buffer
	w, err := columnar.NewPanelWriter(&b, columnar.SchemaOf(p, m.Time, m.Target))
	if err != nil {
		return nil, fmt.Errorf("write history: %w", err)
	}
	if err := w.Write(p); err != nil {
		return nil, fmt.Errorf("write history: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write history: %w", err)
	}
	return b.Bytes(), nil
}

// History returns the panel that the bundle was fitted on, with the plan that was known then.
func (b *Bundle) History(ctx context.Context) (*panel.Panel, error) {
	raw, err := b.reader.ReadFile(ctx, HistoryName, maxHistory)
	if err != nil {
		return nil, err
	}
	return columnar.ReadPanel(ctx, bytes.NewReader(raw))
}

// HasHistory says whether the bundle has the panel that it was fitted on; that of a member by itself has none.
func (b *Bundle) HasHistory() bool {
	return slices.ContainsFunc(b.Manifest.Files, func(f File) bool { return f.Name == HistoryName })
}

// InputName is the file beside a bundle that says how the table is read that it was fitted on, and forecasts from.
const InputName = "input.json"

const maxInput = 1 << 20

// Input is what a forecast from rows must know of that: the policy of days without a row, and the column of empty shelves, "" for none.
type Input struct {
	Missing  panel.Missing `json:"missing"`
	Stockout string        `json:"stockout"`
}

// ReadInput reads it. Where a bundle has none, as those of single members and of before, days without a row are unknown.
func ReadInput(ctx context.Context, r Reader) (Input, error) {
	in := Input{Missing: panel.Leave}
	b, err := r.ReadFile(ctx, InputName, maxInput)
	if errors.Is(err, fs.ErrNotExist) {
		return in, nil
	}
	if err != nil {
		return in, err
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return in, fmt.Errorf("read %s: %w", InputName, err)
	}
	return in, nil
}
