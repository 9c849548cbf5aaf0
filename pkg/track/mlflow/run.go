package mlflow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"salescast/pkg/track"
)

// What one log-batch may hold.
const (
	maxMetrics = 1000
	maxPairs   = 100
	// flushEvery is how long points wait for company.
	flushEvery = 5 * time.Second
)

// run is one run, with what is not sent yet and what must be there in the end.
type run struct {
	t    *Tracker
	spec track.Spec
	info runInfo

	// mu guards the fields below and is held over calls, so that batches arrive in order.
	mu       sync.Mutex
	params   map[string]string // not sent
	tags     map[string]string // not sent
	points   []metric          // not sent
	datasets []datasetInput    // not sent
	flushed  time.Time

	allParams map[string]string
	allTags   map[string]string
	seen      map[string]map[point]struct{} // of this process, by metric
	digests   map[string]struct{}
	// family is set for a leaf.
	family *family
	// recent are small files of this process, by name: a model's are asked for again when it is made of them.
	recent recent
}

type point struct {
	step, at int64
	bits     uint64
}

func newRun(t *Tracker, s track.Spec, r runRecord) *run {
	out := &run{
		t: t, spec: s, info: r.Info,
		params: map[string]string{}, tags: map[string]string{}, allParams: map[string]string{}, allTags: map[string]string{},
		seen: map[string]map[point]struct{}{}, digests: map[string]struct{}{},
	}
	for _, p := range r.Data.Params {
		out.allParams[p.Key] = p.Value
	}
	return out
}

// maps notes tags that the server was sent already.
func (r *run) maps(tags map[string]string) { maps.Copy(r.allTags, tags) }

func (r *run) ID() string { return r.info.RunID }

func (r *run) URL() string {
	u := *r.t.client.base
	return strings.TrimSuffix(u.String(), "/") + "/#/experiments/" + r.info.ExperimentID + "/runs/" + r.info.RunID
}

func (r *run) fail(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("record %s of run %q in MLflow (%s): %w", what, r.spec.Name, r.info.RunID, err)
}

// reopen makes a run that was started before run again.
func (r *run) reopen(ctx context.Context, tags map[string]string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.info.Status != string(track.Running) {
		if err := r.t.client.post(ctx, "runs/update", updateRun{RunID: r.info.RunID, Status: string(track.Running)}, nil); err != nil {
			return err
		}
		r.info.Status = string(track.Running)
	}
	r.addTags(tags)
	return nil
}

func (r *run) addTags(tags map[string]string) {
	maps.Copy(r.tags, tags)
	maps.Copy(r.allTags, tags)
}

func (r *run) Params(ctx context.Context, p map[string]string) error {
	if err := cmp.Or(ctx.Err(), track.ValidateParams(p)); err != nil {
		return r.fail("parameters", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, v := range p {
		if old, there := r.allParams[k]; there && old != v {
			return r.fail("parameters", fmt.Errorf("%w: %q is %q and would become %q", track.ErrConflict, k, old, v))
		}
	}
	for k, v := range p {
		if _, there := r.allParams[k]; !there {
			r.params[k], r.allParams[k] = v, v
		}
	}
	return nil
}

func (r *run) Tags(ctx context.Context, t map[string]string) error {
	if err := cmp.Or(ctx.Err(), track.ValidateTags(t)); err != nil {
		return r.fail("tags", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addTags(t)
	return nil
}

func (r *run) Metrics(ctx context.Context, m []track.Metric) error {
	if err := cmp.Or(ctx.Err(), track.ValidateMetrics(m)); err != nil {
		return r.fail("metrics", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addMetrics(m, "")
	if len(r.points) < maxMetrics && !r.due() {
		return nil
	}
	return r.fail("metrics", r.flush(ctx))
}

func (r *run) due() bool {
	if r.t.conf.Now == nil {
		return false
	}
	now := r.t.conf.Now()
	if r.flushed.IsZero() {
		r.flushed = now
	}
	return now.Sub(r.flushed) > flushEvery
}

func (r *run) addMetrics(m []track.Metric, model string) {
	for _, p := range m {
		if r.seen[p.Name] == nil {
			r.seen[p.Name] = map[point]struct{}{}
		}
		id := pointOf(p.Step, p.At.UnixMilli(), p.Value)
		if _, twice := r.seen[p.Name][id]; twice && model == "" {
			continue
		}
		r.seen[p.Name][id] = struct{}{}
		r.points = append(r.points, metric{Key: p.Name, Value: value(p.Value), Timestamp: integer(p.At.UnixMilli()), Step: integer(p.Step), ModelID: model})
	}
}

func pointOf(step, at int64, v float64) point {
	if math.IsNaN(v) {
		v = math.NaN() // one NaN
	}
	return point{step, at, math.Float64bits(v)}
}

func (r *run) Dataset(ctx context.Context, d track.Dataset) error {
	if err := cmp.Or(ctx.Err(), d.Validate()); err != nil {
		return r.fail("dataset", err)
	}
	in, err := inputOf(d)
	if err != nil {
		return r.fail("dataset", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := d.Name + "\x00" + d.Digest
	if _, twice := r.digests[id]; !twice {
		r.digests[id] = struct{}{}
		r.datasets = append(r.datasets, in)
	}
	return nil
}

func inputOf(d track.Dataset) (datasetInput, error) {
	type source struct {
		URI string `json:"uri"`
	}
	type column struct {
		Type string `json:"type"`
		Name string `json:"name"`
	}
	type schema struct {
		Columns []column `json:"mlflow_colspec"`
	}
	type profile struct {
		Rows     int64 `json:"num_rows"`
		Elements int64 `json:"num_elements"`
	}
	kind := "local"
	if scheme, _, ok := strings.Cut(d.URI, "://"); ok {
		kind = scheme
	}
	from, err := json.Marshal(source{d.URI})
	if err != nil {
		return datasetInput{}, err
	}
	out := datasetInput{Dataset: dataset{Name: d.Name, Digest: d.Digest, SourceType: kind, Source: string(from)}}
	if d.Context != "" {
		out.Tags = []keyValue{{"mlflow.data.context", d.Context}}
	}
	if len(d.Columns) > 0 {
		s := schema{}
		for _, c := range d.Columns {
			s.Columns = append(s.Columns, column{"double", c})
		}
		b, err := json.Marshal(s)
		if err != nil {
			return datasetInput{}, err
		}
		out.Dataset.Schema = string(b)
	}
	if d.Rows > 0 {
		b, err := json.Marshal(profile{d.Rows, d.Rows * int64(max(1, len(d.Columns)))})
		if err != nil {
			return datasetInput{}, err
		}
		out.Dataset.Profile = string(b)
	}
	return out, nil
}

// Flush sends what is buffered.
func (r *run) Flush(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fail("data", cmp.Or(ctx.Err(), r.flush(ctx)))
}

// flush sends parameters on their own, since a refused one takes its whole batch with it, then tags and metrics, then datasets. What
// was not sent stays buffered.
func (r *run) flush(ctx context.Context) error {
	if r.family != nil {
		if done, err := r.flushAll(ctx); done || err != nil {
			return err
		}
	}
	if err := r.flushParams(ctx); err != nil {
		return err
	}
	for len(r.tags) > 0 || len(r.points) > 0 {
		tags := pairs(r.tags)
		tags = tags[:min(len(tags), maxPairs)]
		points := r.points[:min(len(r.points), maxMetrics-len(tags))]
		err := r.t.client.post(ctx, "runs/log-batch", logBatch{RunID: r.info.RunID, Tags: tags, Metrics: points}, nil)
		if isCode(err, codeBad) {
			known, herr := r.dropKnown(ctx)
			if herr != nil {
				return herr
			}
			if known {
				continue
			}
		}
		if err != nil {
			return err
		}
		for _, t := range tags {
			delete(r.tags, t.Key)
		}
		r.points = slices.Clone(r.points[len(points):])
	}
	if len(r.datasets) > 0 {
		if err := r.t.client.post(ctx, "runs/log-inputs", logInputs{RunID: r.info.RunID, Datasets: r.datasets}, nil); err != nil {
			return err
		}
		r.datasets = nil
	}
	if r.t.conf.Now != nil {
		r.flushed = r.t.conf.Now()
	}
	return nil
}

// dropKnown takes out of the buffer the points that the server has. MLflow 2 refuses a whole batch for a NaN that it has already.
func (r *run) dropKnown(ctx context.Context) (dropped bool, err error) {
	have := map[string]map[point]struct{}{}
	for _, p := range r.points {
		if have[p.Key] != nil {
			continue
		}
		have[p.Key] = map[point]struct{}{}
		err := r.history(ctx, p.Key, func(known point) { have[p.Key][known] = struct{}{} })
		if err != nil {
			return false, err
		}
	}
	before := len(r.points)
	r.points = slices.DeleteFunc(r.points, func(p metric) bool {
		_, known := have[p.Key][pointOf(int64(p.Step), int64(p.Timestamp), float64(p.Value))]
		return known
	})
	return len(r.points) < before, nil
}

func (r *run) flushParams(ctx context.Context) error {
	all := pairs(r.params)
	for len(all) > 0 {
		n := min(len(all), maxPairs)
		err := r.t.client.post(ctx, "runs/log-batch", logBatch{RunID: r.info.RunID, Params: all[:n]}, nil)
		if isCode(err, codeInvalid) {
			return r.settle(ctx, err)
		}
		if err != nil {
			return err
		}
		for _, p := range all[:n] {
			delete(r.params, p.Key)
		}
		all = all[n:]
	}
	return nil
}

// settle finds out which parameters another process has given other values meanwhile, gives those up and says so.
func (r *run) settle(ctx context.Context, refused error) error {
	now, err := r.read(ctx)
	if err != nil {
		return errors.Join(refused, err)
	}
	var errs []error
	for _, p := range now.Data.Params {
		v, ours := r.params[p.Key]
		if ours {
			delete(r.params, p.Key)
		}
		if ours && v != p.Value {
			errs = append(errs, fmt.Errorf("%w: %q is %q and would become %q", track.ErrConflict, p.Key, p.Value, v))
		}
		r.allParams[p.Key] = p.Value
	}
	if len(errs) == 0 {
		return refused
	}
	return errors.Join(append(errs, r.flushParams(ctx))...)
}

func (r *run) read(ctx context.Context) (runRecord, error) {
	var a runAnswer
	err := r.t.client.get(ctx, "runs/get", url.Values{"run_id": {r.info.RunID}}, &a)
	return a.Run, err
}

// End flushes, closes the run and reads it back.
func (r *run) End(ctx context.Context, s track.Status, at time.Time) error {
	if err := cmp.Or(ctx.Err(), track.ValidateEnd(s)); err != nil {
		return r.fail("the end", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.flush(ctx); err != nil {
		return r.fail("data", err)
	}
	if r.family != nil {
		return r.endLeaf(ctx, s, at.UnixMilli())
	}
	if err := r.t.merge(ctx, r.info.ExperimentID, r.spec.Key, r.info.RunID); err != nil {
		return r.fail("the end", err)
	}
	if err := r.t.client.post(ctx, "runs/update", updateRun{RunID: r.info.RunID, Status: string(s), EndTime: at.UnixMilli()}, nil); err != nil {
		return r.fail("the end", err)
	}
	r.info.Status = string(s)
	return r.fail("everything", r.verify(ctx, s))
}

// ErrLost is a server that answered success and did not keep what it was sent.
var ErrLost = errors.New("MLflow answered success and did not keep everything")

// verify compares what the server has with what it was sent.
func (r *run) verify(ctx context.Context, s track.Status) error {
	now, err := r.read(ctx)
	if err != nil {
		return err
	}
	return r.compare(ctx, now, s, slices.Sorted(maps.Keys(r.seen)))
}

// compare is verify with what the server has; curves are those metrics whose points are looked for.
func (r *run) compare(ctx context.Context, now runRecord, s track.Status, curves []string) error {
	var lost []string
	miss := func(format string, args ...any) { lost = append(lost, fmt.Sprintf(format, args...)) }
	if now.Info.Status != string(s) {
		miss("the status is %s, not %s", now.Info.Status, s)
	}
	missing(r.allParams, now.Data.Params, func(k string) { miss("parameter %q", k) })
	missing(r.allTags, now.Data.Tags, func(k string) { miss("tag %q", k) })
	have := map[string]struct{}{}
	for _, d := range now.Inputs.Datasets {
		have[d.Dataset.Name+"\x00"+d.Dataset.Digest] = struct{}{}
	}
	for id := range r.digests {
		if _, ok := have[id]; !ok {
			miss("dataset %q", strings.SplitN(id, "\x00", 2)[0])
		}
	}
	latest := map[string]metric{}
	for _, m := range now.Data.Metrics {
		latest[m.Key] = m
	}
	for _, name := range curves {
		n, err := r.lostPoints(ctx, name, latest)
		if err != nil {
			return err
		}
		if n > 0 {
			miss("%d points of metric %q", n, name)
		}
	}
	if len(lost) > 0 {
		slices.Sort(lost)
		more := len(lost) - min(len(lost), 5)
		return fmt.Errorf("%w: missing are %s and %d more", ErrLost, strings.Join(lost[:len(lost)-more], ", "), more)
	}
	return nil
}

func missing(want map[string]string, have []keyValue, miss func(string)) {
	got := map[string]string{}
	for _, kv := range have {
		got[kv.Key] = kv.Value
	}
	for k, v := range want {
		if g, there := got[k]; !there || g != v {
			miss(k)
		}
	}
}

// lostPoints counts the points of a metric that the server does not have. A single point is looked for among the latest values that
// came with the run; only a curve costs a call.
func (r *run) lostPoints(ctx context.Context, name string, latest map[string]metric) (int, error) {
	want := maps.Clone(r.seen[name])
	if m, there := latest[name]; there {
		delete(want, pointOf(int64(m.Step), int64(m.Timestamp), float64(m.Value)))
	}
	if len(want) == 0 {
		return 0, nil
	}
	err := r.history(ctx, name, func(p point) { delete(want, p) })
	return len(want), err
}

// history tells of every point of a metric that the server has.
func (r *run) history(ctx context.Context, name string, point func(point)) error {
	token := ""
	for {
		var a historyAnswer
		q := url.Values{"run_id": {r.info.RunID}, "metric_key": {name}, "max_results": {"25000"}}
		if token != "" {
			q.Set("page_token", token)
		}
		if err := r.t.client.get(ctx, "metrics/get-history", q, &a); err != nil {
			return err
		}
		for _, m := range a.Metrics {
			point(pointOf(int64(m.Step), int64(m.Timestamp), float64(m.Value)))
		}
		if token = a.NextToken; token == "" {
			return nil
		}
	}
}
