package tasks

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"salescast/pkg/artifact"
	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/feature"
	"salescast/pkg/panel"
	"salescast/pkg/table"
)

const (
	// featurizeRows bounds the rows of a part of the design matrix, and with them what one worker holds.
	featurizeRows = 1 << 16
	// fillRows are filled at a time.
	fillRows = 1 << 13
	// observedFeature is the column that says whether the row's sale was observed: others are no training targets.
	observedFeature = "observed"
)

// Featurize writes the one-step design matrix of validate's panel, origin = target - 1, of every series and step up to the last sale:
// features/part-*.parquet with the keys, date, target, whether it was observed, and the features in units of sales; and plan.json, which
// says what each column is and may read.
// It streams: what is held does not grow with the number of series.
func Featurize(ctx context.Context, env Env, o FeaturizeOptions) (*Result, error) {
	name := "featurize"
	if o.Shards > 0 {
		if o.Shard < 1 || o.Shard > o.Shards {
			return nil, &Error{Kind: KindUsage, Op: "featurize", Err: fmt.Errorf("shard %d of %d does not exist", o.Shard, o.Shards), Hint: "shards count from 1"}
		}
		name = fmt.Sprintf("featurize/shard-%d-of-%d", o.Shard, o.Shards)
	}
	spec := stepSpec{Name: name, Options: o, Inputs: []string{"validate"}, Force: o.Force, Salt: map[string]string{"plan": feature.PlanSchema}}
	return runStep(ctx, env, spec, func(ctx context.Context, s *Step) error {
		r, err := s.Input("validate").ReadAt(ctx, "panel.parquet")
		if err != nil {
			return err
		}
		defer r.Close()
		f := featurizer{env: env, step: s, options: o, file: r}
		if err := f.run(ctx); err != nil {
			if bad, ok := errors.AsType[*table.SyntaxError](err); ok {
				return &Error{Kind: KindData, Op: "featurize", Err: err, Hint: bad.Hint}
			}
			return err
		}
		return nil
	})
}

type featurizer struct {
	env     Env
	step    *Step
	options FeaturizeOptions
	file    artifact.ReaderAt
	data    columnar.PanelSchema
	plan    *feature.Plan
	pool    *feature.Pool
	rows    atomic.Int64
	series  atomic.Int64
}

func (f *featurizer) run(ctx context.Context) error {
	var err error
	if f.data, err = columnar.ReadPanelSchema(f.file); err != nil {
		return err
	}
	f.step.Phase("survey", 0)
	survey := feature.NewSurvey(math.MaxInt32, f.options.Horizon, f.options.Country)
	var rows int64
	for p, err := range columnar.Panels(ctx, f.file, featurizeRows) {
		if err != nil {
			return err
		}
		survey.Add(p)
		rows += int64(p.Rows())
	}
	if rows == 0 {
		return &Error{Kind: KindData, Op: "featurize", Err: errors.New("the panel has no rows"), Hint: "look at validate/report.json for why every row was set aside"}
	}
	if err := f.makePlan(ctx, survey.Schema()); err != nil {
		return err
	}
	f.step.Phase("features", rows)
	if err := f.parts(ctx); err != nil {
		return err
	}
	f.step.Rows("features", f.rows.Load())
	f.step.Rows("series", f.series.Load())
	f.step.Metric("columns", float64(len(f.plan.Columns())))
	return f.step.WriteJSON(ctx, "plan.json", f.plan)
}

func (f *featurizer) makePlan(ctx context.Context, schema feature.Schema) error {
	families := f.options.Families
	if len(families) == 0 {
		families = feature.Families()
	}
	plan, err := feature.NewPlan(feature.Spec{Families: families}, schema)
	if err != nil {
		return &Error{Kind: KindConfig, Op: "featurize", Err: err, Hint: "mend the families, the country or the roles of the columns"}
	}
	f.plan = plan.Without("horizon", "log_scale") // the same in every row of one step ahead and unscaled
	if f.plan.UsesPool() {
		f.step.Phase("totals", 0)
		f.pool, err = f.plan.PoolBatches(schema.First, schema.Last, columnar.Panels(ctx, f.file, featurizeRows))
	}
	return err
}

type featurePart struct {
	index int
	panel *panel.Panel
}

// parts hands the panel's chunks to workers; chunk i becomes part i, whoever makes it.
func (f *featurizer) parts(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	jobs := make(chan featurePart)
	var workers sync.WaitGroup
	for range max(1, f.env.Threads) {
		workers.Go(func() {
			w := partWriter{featurizer: f}
			for j := range jobs {
				if err := w.write(ctx, j); err != nil {
					cancel(err)
				}
			}
		})
	}
	index := 0
	for p, err := range columnar.Panels(ctx, f.file, featurizeRows) {
		if err == nil {
			p, err = f.mine(p)
		}
		if err != nil {
			cancel(err)
			break
		}
		select {
		case jobs <- featurePart{index, p}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		index++
	}
	close(jobs)
	workers.Wait()
	return context.Cause(ctx)
}

// mine keeps the series of the shard.
func (f *featurizer) mine(p *panel.Panel) (*panel.Panel, error) {
	if f.options.Shards <= 1 {
		return p, nil
	}
	chunks := []*panel.Panel{p.Slice(0, 0)}
	for s := range p.Series() {
		if shardOf(p.ID(s), f.options.Shards) == f.options.Shard {
			chunks = append(chunks, p.Slice(s, s+1))
		}
	}
	return panel.Concat(chunks...)
}

// shardOf is the shard, from 1, of a series: a hash of its id, so that it stays the same whatever series come and go.
func shardOf(id []string, shards int) int {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q", id)
	return int(h.Sum64()%uint64(shards)) + 1
}

// partWriter is the memory of one worker.
type partWriter struct {
	*featurizer
	rows  []feature.Row
	block columnar.FrameBlock
	part  panel.Frame
}

// schema is the keys, the target, observed and the features; a feature whose name is taken by the data is written as feature_<name>.
func (w *partWriter) schema() columnar.FrameSchema {
	s := columnar.FrameSchema{Keys: w.data.Keys, Columns: []columnar.FrameColumn{{Name: w.data.Target}, {Name: observedFeature, Int16: true}}}
	taken := append([]string{"date", w.data.Target, observedFeature}, w.data.Keys...)
	for _, c := range w.plan.Columns() {
		name := c.Name
		for slices.Contains(taken, name) {
			name = "feature_" + name
		}
		taken = append(taken, name)
		s.Columns = append(s.Columns, columnar.FrameColumn{Name: name, Int16: c.Whole})
	}
	return s
}

func (w *partWriter) write(ctx context.Context, j featurePart) error {
	st, err := w.plan.NewState(j.panel, w.pool)
	if err != nil {
		return err
	}
	out, err := w.step.Create(ctx, fmt.Sprintf("features/part-%05d.parquet", j.index))
	if err != nil {
		return err
	}
	defer out.Abort()
	fw, err := columnar.NewFrameWriter(out, w.schema())
	if err != nil {
		return err
	}
	for s := range j.panel.Series() {
		start := j.panel.Start[s]
		lo, hi := j.panel.Span(s)
		hi = min(hi, lo+int(w.plan.Schema().Origin-start)+1) // what follows is the plan of steps not yet sold
		for r := lo; r < hi; r++ {
			at := start + calendar.Step(r-lo)
			w.rows = append(w.rows, feature.Row{Series: int32(s), Origin: at - 1, Target: at})
			if len(w.rows) == fillRows {
				if err := w.flush(ctx, fw, st); err != nil {
					return err
				}
			}
		}
	}
	if err := w.flush(ctx, fw, st); err != nil {
		return err
	}
	if err := fw.Close(); err != nil {
		return err
	}
	out.Rows(fw.Rows())
	w.series.Add(int64(j.panel.Series()))
	return out.Close()
}

// flush fills and writes the pending rows.
func (w *partWriter) flush(ctx context.Context, fw *columnar.FrameWriter, st *feature.State) error {
	n := len(w.rows)
	if n == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p, b := st.Panel(), &w.block
	if b.Frame == nil {
		b.Frame = &panel.Frame{}
		for _, c := range w.schema().Columns {
			b.Frame.Names = append(b.Frame.Names, c.Name)
		}
		b.Codes, b.Levels = make([][]int32, len(p.Keys)), make([][]string, len(p.Keys))
	}
	b.Frame.Resize(n)
	w.part.Data = b.Frame.Data[2*n:]
	if err := st.Fill(w.rows, feature.Unscaled, &w.part, nil); err != nil {
		return err
	}
	b.Dates = b.Dates[:0]
	for k := range p.Keys {
		b.Levels[k], b.Codes[k] = p.Keys[k].Levels, slices.Grow(b.Codes[k][:0], n)
	}
	target, observed := b.Frame.Column(0), b.Frame.Column(1)
	for i, r := range w.rows {
		row, _ := p.Row(int(r.Series), r.Target)
		target[i], observed[i] = p.Target[row], 0
		if p.Observed[row] {
			observed[i] = 1
		}
		b.Dates = append(b.Dates, p.Frequency.Day(r.Target))
		for k := range p.Keys {
			b.Codes[k] = append(b.Codes[k], p.Keys[k].Codes[r.Series])
		}
	}
	if err := fw.Write(b); err != nil {
		return err
	}
	w.featurizer.rows.Add(int64(n))
	w.step.Add(int64(n))
	w.rows = w.rows[:0]
	return nil
}
