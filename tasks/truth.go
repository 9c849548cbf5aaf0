package tasks

import (
	"context"
	"io"
	"slices"
	"strings"

	"salescast/pkg/calendar"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/format"
)

const truthName = "truth.parquet"

// generated says whether validate read the sales that Generate left, so that their truth is known.
func generated(ctx context.Context, env Env) (bool, error) {
	in, err := OpenStep(ctx, env.Store, validateStep)
	if err != nil {
		return false, err
	}
	for _, i := range in.Manifest.Inputs {
		if i.Step == dataStep {
			_, err := OpenStep(ctx, env.Store, dataStep)
			if KindOf(err) == KindInputMissing {
				return false, nil
			}
			return err == nil, err
		}
	}
	return false, nil
}

// expectations reads what was to be expected of the series on the days that x predicts.
func (s *Step) expectations(ctx context.Context, x *scoring) (*metric.TruthTally, error) {
	var dates []calendar.Day
	for _, o := range x.origins {
		origin, ok := x.schema.Frequency.Step(o)
		for h := 1; ok && h <= x.horizons; h++ {
			dates = append(dates, x.schema.Frequency.Day(origin+calendar.Step(h)))
		}
	}
	t := metric.NewTruth(x.tested.Head(), primaryModel, dates)
	data := s.Input(dataStep)
	file, _ := data.file(truthName) // without one, reading it says so
	f := table.File{Name: dataStep + "/" + truthName, Size: file.Size, Open: func(ctx context.Context) (table.Reader, error) {
		r, err := data.ReadAt(ctx, truthName)
		if err != nil {
			return nil, err
		}
		return stored{io.NewSectionReader(r, 0, r.Size()), r}, nil
	}}
	keys := make([]panel.Dictionary, len(x.schema.Keys))
	var want []table.Column
	for k, name := range x.schema.Keys {
		want = append(want, table.Column{Name: name, Kind: table.Text, Dictionary: &keys[k]})
	}
	want = append(want, table.Column{Name: "date", Kind: table.Date}, table.Column{Name: "expected_demand", Kind: table.Number})
	id := make([]string, len(keys))
	for r, err := range format.Blocks(ctx, f, table.Dialect{}, want) {
		if err != nil {
			return nil, data.damagedFile(ctx, truthName, err)
		}
		days, expected := r.Columns[len(keys)].Days, r.Columns[len(keys)+1].Numbers
		for i := range r.Rows {
			if !t.Wants(days[i]) {
				continue
			}
			for k := range keys {
				id[k] = keys[k].Value(r.Columns[k].Codes[i])
			}
			t.Expect(strings.Join(id, "\x00"), days[i], expected[i])
		}
	}
	return t, nil
}

// tellTruth records how far the forecast is from the truth.
func (s *Step) tellTruth(t *metric.TruthScores) {
	if t == nil {
		return
	}
	s.Metric("truth_ratio", float64(t.Ratio))
	s.Metric("truth_excess", float64(t.Excess))
}

// evaluateInputs are the steps that are read.
func evaluateInputs(models []string, truth bool) []string {
	in := slices.Concat([]string{"ensemble", validateStep}, trainSteps(models))
	if truth {
		in = append(in, dataStep)
	}
	return in
}
