package bundle

import (
	"bytes"
	"context"
	"fmt"

	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/panel"
)

const (
	// historyYears is how much of the panel a bundle keeps: the yearly features look back three years and some weeks.
	historyYears = 4
	maxHistory   = 2 << 30
)

// tail returns the steps of p after from, with the plan; of a series without any, its last row.
func tail(p *panel.Panel, from calendar.Step) *panel.Panel {
	q := &panel.Panel{Frequency: p.Frequency, Keys: p.Keys, Static: p.Static, Offsets: []int{0}}
	for _, c := range p.Covariates {
		q.Covariates = append(q.Covariates, panel.Covariate{Name: c.Name, Role: c.Role})
	}
	for s := range p.Series() {
		lo, hi := p.Span(s)
		skip := min(max(0, int(from-p.Start[s])+1), max(0, hi-lo-1))
		lo += skip
		q.Start = append(q.Start, p.Start[s]+calendar.Step(skip))
		q.Target, q.Observed = append(q.Target, p.Target[lo:hi]...), append(q.Observed, p.Observed[lo:hi]...)
		for c := range q.Covariates {
			q.Covariates[c].Values = append(q.Covariates[c].Values, p.Covariates[c].Values[lo:hi]...)
		}
		q.Offsets = append(q.Offsets, len(q.Target))
	}
	return q
}

func encodeHistory(p *panel.Panel, m Manifest, origin calendar.Step) ([]byte, error) {
	var b bytes.Buffer
	w, err := columnar.NewPanelWriter(&b, columnar.SchemaOf(p, m.Time, m.Target))
	if err != nil {
		return nil, fmt.Errorf("write history: %w", err)
	}
	if err := w.Write(tail(p, origin-calendar.Step(historyYears*p.Frequency.Year()))); err != nil {
		return nil, fmt.Errorf("write history: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write history: %w", err)
	}
	return b.Bytes(), nil
}

// History returns the last years of the panel that the bundle was fitted on, with the plan that was known then.
func (b *Bundle) History(ctx context.Context) (*panel.Panel, error) {
	raw, err := b.reader.ReadFile(ctx, HistoryName, maxHistory)
	if err != nil {
		return nil, err
	}
	return columnar.ReadPanel(ctx, bytes.NewReader(raw))
}
