package tracktest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"salescast/pkg/track"
)

// Observed is what is kept of one run.
type Observed struct {
	Experiment, Name string
	// Parent is the key of the enclosing run.
	Parent     string
	Start, End time.Time
	Status     track.Status
	// Params and Tags are those of the caller, without what the tracker adds of its own.
	Params, Tags map[string]string
	// Metrics are all points by name, sorted by step, then time, then value.
	Metrics map[string][]track.Metric
	// Datasets are sorted by name and digest; Columns and URI are not compared.
	Datasets  []track.Dataset
	Artifacts map[string][]byte
	// Models are the names of logged models, sorted; nil where the tracker has no such thing.
	Models []string
}

// Memory is a track.Tracker that keeps everything in memory: the slow obvious one.
type Memory struct {
	mu   sync.Mutex
	runs map[string]*Observed
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{runs: map[string]*Observed{}} }

// Runs returns what is kept under a key: nothing or one run.
func (m *Memory) Runs(key string) []Observed {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.runs[key]; o != nil {
		return []Observed{*o}
	}
	return nil
}

// Keys returns the keys of all runs, sorted.
func (m *Memory) Keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.runs))
}

// Start begins or continues a run.
func (m *Memory) Start(ctx context.Context, s track.Spec) (track.Run, error) {
	if err := cmp.Or(ctx.Err(), s.Validate()); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.runs[s.Key]
	if o == nil {
		o = &Observed{
			Experiment: s.Experiment, Name: s.Name, Parent: s.Parent, Start: ms(s.Start),
			Params: map[string]string{}, Tags: map[string]string{}, Metrics: map[string][]track.Metric{}, Artifacts: map[string][]byte{},
		}
		m.runs[s.Key] = o
	}
	o.Status, o.End = track.Running, time.Time{}
	maps.Copy(o.Tags, s.Tags)
	return &memoryRun{m, o, s.Key}, nil
}

// Close does nothing.
func (m *Memory) Close(context.Context) error { return nil }

func ms(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()) }

type memoryRun struct {
	m   *Memory
	o   *Observed
	key string
}

func (r *memoryRun) ID() string  { return r.key }
func (r *memoryRun) URL() string { return "" }

func (r *memoryRun) change(ctx context.Context, invalid error, change func(*Observed) error) error {
	if err := cmp.Or(ctx.Err(), invalid); err != nil {
		return err
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	return change(r.o)
}

func (r *memoryRun) Params(ctx context.Context, p map[string]string) error {
	return r.change(ctx, track.ValidateParams(p), func(o *Observed) error {
		for k, v := range p {
			if old, there := o.Params[k]; there && old != v {
				return fmt.Errorf("%w: %q", track.ErrConflict, k)
			}
		}
		maps.Copy(o.Params, p)
		return nil
	})
}

func (r *memoryRun) Metrics(ctx context.Context, ps []track.Metric) error {
	return r.change(ctx, track.ValidateMetrics(ps), func(o *Observed) error {
		for _, p := range ps {
			p.At = ms(p.At)
			at, there := slices.BinarySearchFunc(o.Metrics[p.Name], p, ComparePoints)
			if !there {
				o.Metrics[p.Name] = slices.Insert(o.Metrics[p.Name], at, p)
			}
		}
		return nil
	})
}

// ComparePoints orders points by step, then time, then value; NaN equals NaN and comes first.
func ComparePoints(a, b track.Metric) int {
	return cmp.Or(cmp.Compare(a.Step, b.Step), a.At.Compare(b.At), cmp.Compare(a.Value, b.Value))
}

func (r *memoryRun) Tags(ctx context.Context, t map[string]string) error {
	return r.change(ctx, track.ValidateTags(t), func(o *Observed) error {
		maps.Copy(o.Tags, t)
		return nil
	})
}

func (r *memoryRun) Dataset(ctx context.Context, d track.Dataset) error {
	return r.change(ctx, d.Validate(), func(o *Observed) error {
		at, there := slices.BinarySearchFunc(o.Datasets, d, compareDatasets)
		if !there {
			o.Datasets = slices.Insert(o.Datasets, at, d)
		}
		return nil
	})
}

func compareDatasets(a, b track.Dataset) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest))
}

func (r *memoryRun) Artifact(ctx context.Context, name string, src io.Reader, size int64) error {
	if err := cmp.Or(ctx.Err(), track.ValidateArtifact(name, size)); err != nil {
		return err
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(src, b); err != nil {
		return err
	}
	return r.change(ctx, nil, func(o *Observed) error {
		o.Artifacts[name] = b
		return nil
	})
}

func (r *memoryRun) Model(ctx context.Context, m track.LoggedModel) error {
	return r.change(ctx, m.Validate(), func(o *Observed) error {
		if at, there := slices.BinarySearch(o.Models, m.Name); !there {
			o.Models = slices.Insert(o.Models, at, m.Name)
		}
		return nil
	})
}

func (r *memoryRun) Flush(ctx context.Context) error { return ctx.Err() }

func (r *memoryRun) End(ctx context.Context, s track.Status, at time.Time) error {
	return r.change(ctx, track.ValidateEnd(s), func(o *Observed) error {
		o.Status, o.End = s, ms(at)
		return nil
	})
}
