package bundle

import (
	"bytes"
	"context"
	"fmt"
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

func (b *Bundle) hasHistory() bool {
	return slices.ContainsFunc(b.Manifest.Files, func(f File) bool { return f.Name == HistoryName })
}
