package mlflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"salescast/pkg/artifact"
	"salescast/pkg/track"
)

// Tags of ours on runs, models and versions.
const (
	// TagKey holds the key of a run, a model or a version.
	TagKey = "pipeline.idempotency_key"
	// TagParentKey holds the key of the enclosing run, which may not be there yet.
	TagParentKey = "pipeline.parent_key"
	// TagModelPath holds the folder among a run's artifacts that a logged model was made from.
	TagModelPath = "pipeline.model_path"

	tagParent = "mlflow.parentRunId"
)

// Tracker is a track.Tracker on an MLflow server. It is made with New.
type Tracker struct {
	client *client
	conf   Config

	mu          sync.Mutex
	experiments map[string]string
	runs        map[string]*run
	families    map[string]*family
	models      *bool
}

// New returns the tracker of a server. It does not call the server.
func New(c Config) (*Tracker, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	return &Tracker{client: cl, conf: c, experiments: map[string]string{}, runs: map[string]*run{}, families: map[string]*family{}}, nil
}

// Start begins or continues the run of a key.
func (t *Tracker) Start(ctx context.Context, s track.Spec) (track.Run, error) {
	r, err := t.start(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("start run %q in MLflow: %w", s.Name, err)
	}
	return r, nil
}

func (t *Tracker) start(ctx context.Context, s track.Spec) (*run, error) {
	if err := cmp.Or(ctx.Err(), s.Validate()); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	exp, err := t.experiment(ctx, s.Experiment)
	if err != nil {
		return nil, err
	}
	id := exp + "/" + s.Key
	if r := t.runs[id]; r != nil {
		return r, r.reopen(ctx, s.Tags)
	}
	if s.Leaf && s.Parent != "" {
		r, err := t.leaf(ctx, exp, s)
		if err == nil {
			t.runs[id] = r
		}
		return r, err
	}
	found, err := t.find(ctx, exp, s.Key)
	if err != nil {
		return nil, err
	}
	var r *run
	if len(found) > 0 {
		r = newRun(t, s, found[0])
		err = r.reopen(ctx, s.Tags)
	} else {
		r, err = t.make(ctx, exp, s)
	}
	if err != nil {
		return nil, err
	}
	t.runs[id] = r
	return r, nil
}

// Close flushes every run.
func (t *Tracker) Close(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	errs := make([]error, 0, len(t.runs))
	for _, id := range slices.Sorted(maps.Keys(t.runs)) {
		errs = append(errs, t.runs[id].Flush(ctx))
	}
	return errors.Join(append(errs, t.verifyLeaves(ctx))...)
}

// experiment returns the id of an experiment, making or restoring it.
func (t *Tracker) experiment(ctx context.Context, name string) (string, error) {
	if id := t.experiments[name]; id != "" {
		return id, nil
	}
	for range 3 {
		e, err := t.lookExperiment(ctx, name)
		if isCode(err, codeMissing) {
			if err := t.client.post(ctx, "experiments/create", createExperiment{name}, nil); err != nil && !isCode(err, codeExists) {
				return "", fmt.Errorf("create experiment %q: %w", name, err)
			}
			continue
		}
		if err != nil {
			return "", fmt.Errorf("look up experiment %q: %w", name, err)
		}
		if e.Stage == "deleted" {
			if err := t.client.post(ctx, "experiments/restore", experimentID{e.ID}, nil); err != nil && !isCode(err, codeMissing) {
				return "", fmt.Errorf("restore experiment %q, which is deleted: %w", name, err)
			}
			continue
		}
		t.experiments[name] = e.ID
		return e.ID, nil
	}
	return "", fmt.Errorf("experiment %q is deleted or made by others again and again", name)
}

func (t *Tracker) lookExperiment(ctx context.Context, name string) (experiment, error) {
	var a experimentAnswer
	err := t.client.get(ctx, "experiments/get-by-name", url.Values{"experiment_name": {name}}, &a)
	return a.Experiment, err
}

// find returns the runs of a key, the one that counts first: that with the smallest start and id.
func (t *Tracker) find(ctx context.Context, exp, key string) ([]runRecord, error) {
	return t.search(ctx, exp, "tags.`"+TagKey+"` = '"+key+"'")
}

func (t *Tracker) search(ctx context.Context, exp, filter string) ([]runRecord, error) {
	var a runsAnswer
	err := t.client.post(ctx, "runs/search", searchRuns{ExperimentIDs: []string{exp}, Filter: filter, MaxResults: 1000, ViewType: "ACTIVE_ONLY"}, &a)
	slices.SortFunc(a.Runs, func(a, b runRecord) int {
		return cmp.Or(cmp.Compare(a.Info.StartTime, b.Info.StartTime), cmp.Compare(a.Info.RunID, b.Info.RunID))
	})
	return a.Runs, err
}

// make creates a run, and sees to it that there is one alone, also when another process is making it at this moment.
func (t *Tracker) make(ctx context.Context, exp string, s track.Spec) (*run, error) {
	tags := maps.Clone(s.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	tags[TagKey] = s.Key
	if s.Parent != "" {
		tags[TagParentKey] = s.Parent
		parent, err := t.parent(ctx, exp, s.Parent)
		if err != nil {
			return nil, err
		}
		if parent != "" {
			tags[tagParent] = parent
		}
	}
	mine, err := t.create(ctx, exp, s, tags)
	if err != nil {
		return nil, err
	}
	all, err := t.find(ctx, exp, s.Key)
	if err != nil {
		return nil, err
	}
	if len(all) > 0 && all[0].Info.RunID != mine.Info.RunID {
		// Somebody else made it too, and theirs is the one that counts.
		if err := t.remove(ctx, mine.Info.RunID); err != nil {
			return nil, err
		}
		mine = all[0]
	}
	r := newRun(t, s, mine)
	r.maps(tags)
	return r, t.adopt(ctx, exp, s.Key, mine.Info.RunID)
}

// create makes a run, once also where the answer is lost.
func (t *Tracker) create(ctx context.Context, exp string, s track.Spec, tags map[string]string) (runRecord, error) {
	var a runAnswer
	in := createRun{ExperimentID: exp, RunName: s.Name, StartTime: s.Start.UnixMilli(), Tags: pairs(tags)}
	err := t.client.create(ctx, request{method: http.MethodPost, path: api("runs/create"), in: in, out: &a}, func(ctx context.Context) (bool, error) {
		found, err := t.find(ctx, exp, s.Key)
		if len(found) > 0 {
			a.Run = found[0]
		}
		return len(found) > 0, err
	})
	return a.Run, err
}

func (t *Tracker) parent(ctx context.Context, exp, key string) (string, error) {
	if p := t.runs[exp+"/"+key]; p != nil {
		return p.ID(), nil
	}
	found, err := t.find(ctx, exp, key)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0].Info.RunID, nil
}

// adopt hangs children that were made before their parent under it.
func (t *Tracker) adopt(ctx context.Context, exp, key, id string) error {
	children, err := t.search(ctx, exp, "tags.`"+TagParentKey+"` = '"+key+"'")
	if err != nil {
		return err
	}
	for _, c := range children {
		if c.tag(tagParent) == id {
			continue
		}
		if err := t.client.post(ctx, "runs/set-tag", setTag{c.Info.RunID, keyValue{tagParent, id}}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tracker) remove(ctx context.Context, id string) error {
	err := t.client.post(ctx, "runs/delete", runID{id}, nil)
	if isCode(err, codeInvalid, codeMissing) { // it is deleted already
		return nil
	}
	return err
}

// merge takes away the other runs of a key, which a call that was cut off may have made.
func (t *Tracker) merge(ctx context.Context, exp, key, id string) error {
	all, err := t.find(ctx, exp, key)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Info.RunID == id {
			continue
		}
		if err := t.remove(ctx, r.Info.RunID); err != nil {
			return err
		}
	}
	if len(all) > 1 {
		return t.adopt(ctx, exp, key, id)
	}
	return nil
}

// loggedModels says whether the server has them: MLflow 3 does.
func (t *Tracker) loggedModels(ctx context.Context, exp string) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.models != nil {
		return *t.models, nil
	}
	err := t.client.post(ctx, "logged-models/search", searchModels{ExperimentIDs: []string{exp}, Filter: "name = 'none'"}, nil)
	var e *apiError
	has := err == nil || errors.As(err, &e) && e.Status != http.StatusNotFound && e.Status != http.StatusMethodNotAllowed
	if err != nil && !has && e == nil {
		return false, err
	}
	if err != nil && (errors.Is(err, track.ErrUnavailable) || e == nil) {
		return false, err
	}
	t.models = &has
	return has, nil
}

func pairs(m map[string]string) []keyValue {
	out := make([]keyValue, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, keyValue{k, m[k]})
	}
	return out
}

// direct says whether artifacts under a URI are written without the server, and where.
func direct(uri string) (artifact.Location, bool, error) {
	if !strings.HasPrefix(uri, "s3://") {
		return artifact.Location{}, false, nil
	}
	at, err := artifact.ParseLocation(uri)
	return at, true, err
}
